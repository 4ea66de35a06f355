//! Who asks: starts a digest, hears it, and says in words how one was lost.
//! Promises: a digest that says nothing for long is ended; one whose asker is gone ends too.
//! Must not know: what the answer is for.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use super::process::words;
use super::{Answer, Request, Said, Unable, answer, limits};
use crate::core::study::StudySpec;
use crate::core::visible::visible;
use crate::eval::ItemText;
use crate::schedule::StudyFacts;

/// How long a digest may say neither that it goes on nor what it reads.
const QUIET: Duration = Duration::from_secs(600);

/// Bytes that are kept of what it says before it dies.
const LAST_WORDS: usize = 4 << 10;

/// Stack of the threads that it makes besides the one that reads.
const THREAD_STACK: &str = "16777216";

/// Hears how far a preparation is: the phase, and 0 to 1.
pub type Told = Box<dyn FnMut(&str, f64) + Send>;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is something wrong with what was asked for, in words.
    Refused(String),
    /// The machine is short of something.
    Short(String),
    /// The process was lost: how, and over which file.
    Lost(String),
}

impl From<Unable> for Failure {
    fn from(unable: Unable) -> Self {
        if unable.short { Self::Short(unable.words) } else { Self::Refused(unable.words) }
    }
}

/// Reads other people's files, in a process of its own if there is a program for it.
#[derive(Debug)]
pub struct Digester {
    program: Option<Command>,
    corpora: PathBuf,
    quiet: Duration,
}

impl Digester {
    /// One that starts `program` with arguments of its own, or reads in this process if there is none. The corpora are those
    /// below `corpora`.
    #[must_use]
    pub const fn new(program: Option<Command>, corpora: PathBuf) -> Self {
        Self { program, corpora, quiet: QUIET }
    }

    /// What planning must know of the texts and tasks of `study`.
    ///
    /// # Errors
    /// They cannot be used, in words that complete "could not …", or the process that read them was lost.
    pub async fn survey(self, study: StudySpec) -> Result<StudyFacts, Failure> {
        let corpora = self.corpora.clone();
        match self.ask(Request::Survey(Box::new(study)), Box::new(|_, _| {})).await? {
            Answer::Surveyed(mut facts) => {
                facts.locate(&corpora);
                Ok(*facts)
            }
            Answer::Prepared(_) | Answer::Asked(_) => Err(another_answer()),
        }
    }

    /// Prepares the corpus of `study`, or of one of its stages, that has the fingerprint; what was damaged before, in words.
    ///
    /// # Errors
    /// It cannot be prepared, in a sentence, or the process was lost.
    pub async fn prepare(self, study: StudySpec, fingerprint: String, told: Told) -> Result<Vec<String>, Failure> {
        match self.ask(Request::Prepare { study: Box::new(study), fingerprint }, told).await? {
            Answer::Prepared(damaged) => Ok(damaged),
            Answer::Surveyed(_) | Answer::Asked(_) => Err(another_answer()),
        }
    }

    /// What the task called `task` asks in `documents`, each by its place in the split.
    ///
    /// # Errors
    /// The task cannot be asked any more, in a sentence, or the process was lost.
    pub async fn texts(
        self,
        sources: Vec<String>,
        task: String,
        documents: Vec<usize>,
    ) -> Result<Vec<Option<ItemText>>, Failure> {
        match self.ask(Request::Texts { sources, task, documents }, Box::new(|_, _| {})).await? {
            Answer::Asked(texts) => Ok(texts),
            Answer::Surveyed(_) | Answer::Prepared(_) => Err(another_answer()),
        }
    }

    async fn ask(mut self, request: Request, told: Told) -> Result<Answer, Failure> {
        match self.program.take() {
            Some(program) => self.ask_process(program, &request, told).await,
            None => here(request, self.corpora, told).await,
        }
    }

    async fn ask_process(self, program: Command, request: &Request, told: Told) -> Result<Answer, Failure> {
        let not_started = |error: &dyn std::fmt::Display| {
            Failure::Lost(format!(
                "no process can be started for it: {error}; check that the program is still installed"
            ))
        };
        let mut line = serde_json::to_vec(request).map_err(|error| not_started(&error))?;
        line.push(b'\n');
        let mut command = tokio::process::Command::from(program);
        command.arg("digest").arg(&self.corpora).env("RUST_MIN_STACK", THREAD_STACK);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| not_started(&error))?;
        let pipes = child.stdin.take().zip(child.stdout.take()).zip(child.stderr.take());
        let Some(((mut input, output), errors)) = pipes else { return Err(not_started(&"it has no pipes")) };
        let last_words = tokio::spawn(tail(errors));
        // One that is gone already cannot be written to; its status says why.
        _ = input.write_all(&line).await;
        let mut heard = Heard { file: None, told };
        let ended = heard.listen(BufReader::new(output), self.quiet).await;
        if matches!(ended, Ended::Silent) {
            _ = child.start_kill();
        }
        // The input is its sign that somebody waits.
        drop(input);
        let status = child.wait().await;
        let why = match (ended, status) {
            (Ended::Answered(answer), _) => return answer.map_err(Failure::from),
            (Ended::Silent, _) => format!("said nothing for {} and was ended", minutes(self.quiet)),
            (Ended::Panicked(message), _) => format!("failed: {message}"),
            (Ended::Gone, Ok(status)) => cause(status, &last_words.await.unwrap_or_default()),
            (Ended::Gone, Err(error)) => format!("was lost: {error}"),
        };
        let place = heard.file.map_or_else(String::new, |file| format!(" while it read `{}`", visible(&file)));
        Err(Failure::Lost(format!("the process for it {why}{place}")))
    }
}

fn another_answer() -> Failure {
    Failure::Lost("the process for it gave the answer to another question".to_owned())
}

/// How the talk with a digest ended.
enum Ended {
    Answered(Result<Answer, Unable>),
    Panicked(String),
    /// It said nothing more and closed its output.
    Gone,
    /// It said nothing and is still there.
    Silent,
}

/// What was heard of a digest.
struct Heard {
    /// The file that it reads.
    file: Option<String>,
    told: Told,
}

impl Heard {
    async fn listen(&mut self, output: impl AsyncBufRead + Unpin, quiet: Duration) -> Ended {
        let mut lines = output.lines();
        loop {
            let line = match timeout(quiet, lines.next_line()).await {
                Err(_) => return Ended::Silent,
                Ok(Ok(Some(line))) => line,
                Ok(Ok(None) | Err(_)) => return Ended::Gone,
            };
            match serde_json::from_str(&line) {
                Ok(Said::Reads(file)) => self.file = Some(file),
                Ok(Said::GoesOn) => {}
                Ok(Said::At(phase, fraction)) => (self.told)(&phase, fraction),
                Ok(Said::Ends(ended)) => return Ended::Answered(ended),
                Ok(Said::Panicked(message)) => return Ended::Panicked(message),
                Err(error) => return Ended::Panicked(format!("it said what cannot be understood: {error}")),
            }
        }
    }
}

/// Reads in this process.
async fn here(request: Request, corpora: PathBuf, mut told: Told) -> Result<Answer, Failure> {
    let answered = tokio::task::spawn_blocking(move || answer(&request, &corpora, &mut told)).await;
    match answered {
        Ok(answer) => answer.map_err(Failure::from),
        Err(error) => {
            let panic = error.try_into_panic();
            let message = panic.map_or_else(|error| error.to_string(), |panic| words(panic.as_ref()));
            Err(Failure::Lost(format!("the thread for it failed: {message}")))
        }
    }
}

/// The end of what comes out of a pipe.
async fn tail(mut pipe: impl AsyncRead + Unpin) -> String {
    let (mut kept, mut read) = (Vec::new(), vec![0; LAST_WORDS]);
    while let Ok(length @ 1..) = pipe.read(&mut read).await {
        kept.extend_from_slice(read.get(..length).unwrap_or_default());
        kept.drain(..kept.len().saturating_sub(LAST_WORDS));
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// How a process ended that gave no answer, from its status and its last words.
fn cause(status: ExitStatus, last_words: &str) -> String {
    if last_words.contains("memory allocation of") {
        return match limits::memory() {
            Some(most) => format!("needed more memory than the {} it may have", gibibytes(most)),
            None => "ran out of memory".to_owned(),
        };
    }
    if last_words.contains("has overflowed its stack") {
        return "ran out of stack, because something is nested too deeply".to_owned();
    }
    let last = last_words.lines().rfind(|line| !line.trim().is_empty()).map(visible).unwrap_or_default();
    match (status.signal(), status.code()) {
        (Some(9), _) => "was killed (signal 9), as the system does when memory runs out".to_owned(),
        (Some(signal), _) => format!("was ended by signal {signal}: {last}"),
        (None, code) => format!("ended without an answer (exit code {}): {last}", code.unwrap_or_default()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a size for the eye")]
fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

fn minutes(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    if minutes > 0 { format!("{minutes} minutes") } else { format!("{:?}", time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is heard of a process that runs `script`.
    async fn heard(script: &str, quiet: Duration) -> Result<(Answer, Vec<String>), String> {
        let mut program = Command::new("sh");
        program.arg("-c").arg(script);
        let digester = Digester { program: Some(program), corpora: "corpora".into(), quiet };
        let study = crate::config::shipped_studies()[0];
        let study = crate::config::load_study(None, study.name, study.text, "/".as_ref(), &[]).unwrap();
        let (heard, phases) = std::sync::mpsc::channel();
        let told: Told = Box::new(move |phase, fraction| heard.send(format!("{phase} {fraction}")).unwrap());
        let request = Request::Prepare { study: Box::new(study), fingerprint: "f".to_owned() };
        match digester.ask(request, told).await {
            Ok(answer) => Ok((answer, phases.try_iter().collect())),
            Err(Failure::Refused(reason) | Failure::Short(reason)) => Err(format!("refused: {reason}")),
            Err(Failure::Lost(reason)) => Err(reason),
        }
    }

    const READS: &str = r#"read request; echo '{"Reads":"/home/ada/t.yaml"}'; "#;

    #[tokio::test]
    async fn an_answer_is_heard_with_what_came_before() {
        let script =
            format!(r#"{READS} echo '{{"At":["encoding",0.5]}}'; echo '{{"Ends":{{"Ok":{{"Prepared":[]}}}}}}'"#);
        let (answer, phases) = heard(&script, QUIET).await.unwrap();
        assert!(matches!(answer, Answer::Prepared(_)));
        assert_eq!(phases, ["encoding 0.5"]);
        let refused =
            heard(r#"echo '{"Ends":{"Err":{"words":"could not find it","short":false}}}'"#, QUIET).await.unwrap_err();
        assert_eq!(refused, "refused: could not find it");
    }

    #[tokio::test]
    async fn each_way_to_be_lost_has_its_words_and_the_file() {
        let place = " while it read `/home/ada/t.yaml`";
        for (end, words) in [
            ("kill -KILL $$", "was killed (signal 9), as the system does when memory runs out"),
            ("echo 'memory allocation of 8 bytes failed' >&2; kill -ABRT $$", "needed more memory than the"),
            ("echo \"thread 'digest' has overflowed its stack\" >&2; kill -ABRT $$", "ran out of stack"),
            ("echo 'no such thing' >&2; exit 3", "ended without an answer (exit code 3): no such thing"),
            (r#"echo '{"Panicked":"a defect"}'; exec cat"#, "failed: a defect"),
            ("echo hello; exec cat", "it said what cannot be understood"),
        ] {
            let said = heard(&format!("{READS}{end}"), QUIET).await.unwrap_err();
            assert!(said.starts_with("the process for it ") && said.contains(words), "{end}: {said}");
            assert!(said.ends_with(place), "{end}: {said}");
        }
        let said = heard(&format!("{READS} exec sleep 3600"), Duration::from_millis(200)).await.unwrap_err();
        assert_eq!(said, format!("the process for it said nothing for 200ms and was ended{place}"));
    }

    #[tokio::test]
    async fn a_program_that_is_gone_is_named_with_a_cure() {
        let program = Command::new("/nowhere/trilab");
        let digester = Digester::new(Some(program), "corpora".into());
        let study = crate::config::shipped_studies()[0];
        let study = crate::config::load_study(None, study.name, study.text, "/".as_ref(), &[]).unwrap();
        let Err(Failure::Lost(reason)) = digester.survey(study).await else { panic!("it answered") };
        assert!(reason.contains("no process can be started") && reason.contains("still installed"), "{reason}");
    }
}
