//! A lab of its own for each test: a home in a temporary folder, a config, and the binary. When the test ends, however
//! it ends, its server is stopped and what is left of its workers is killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use trilab::core::RunId;
use trilab::runlog::{Home, RunFolder};
use trilab::wire::ServerRecord;

use super::patience;
use super::process::Process;

/// The program under test.
pub(crate) const TRILAB: &str = env!("CARGO_BIN_EXE_trilab");

/// Settings under which a run takes a second or two.
pub(crate) const TINY: &str = "[model]\nd_model = 16\nnum_layers = 1\nnum_heads = 2\n\
    [training]\nseq_len = 32\nbatch_size = 4\n\
    [probes]\nvalidation_every = 20\nvalidation_examples = 4\nsample_every = 40\nsample_tokens = 4\ncheckpoint_every = 5\n";

/// What variables of the person who runs the tests must not reach the program.
pub(crate) const FOREIGN: [&str; 4] = ["TRILAB_HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "NO_COLOR"];

pub(crate) struct Lab {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Lab {
    pub(crate) fn new() -> Self {
        let lab = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(lab.config(), "[lab]\nslots = 2\nnice = 0\n").unwrap();
        lab
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder().join("lab.toml")
    }

    pub(crate) fn home(&self) -> Home {
        Home::new(self.folder().join("home"))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(TRILAB);
        command.arg("--home").arg(self.home().root()).arg("--config").arg(self.config()).args(arguments);
        command.current_dir(self.folder()).stdin(Stdio::null());
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
    }

    /// Looks until there is something to see.
    pub(crate) fn wait_for<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        patience::wait_for(&self.home(), what, look)
    }

    /// Looks until it is so.
    pub(crate) fn wait_until(&self, what: &str, mut so: impl FnMut() -> bool) {
        self.wait_for(what, || so().then_some(()));
    }

    /// Starts a command and leaves it alone.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        let output = patience::output(&self.home(), &mut self.command(arguments));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Done { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// A command that must succeed; gives what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!(done.code, Some(0), "{arguments:?}: {done:?}");
        done.stdout
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(arguments)).unwrap()
    }

    /// Writes a study of tiny runs; `more` is TOML behind its name.
    pub(crate) fn study(&self, name: &str, more: &str) -> String {
        let file = format!("{name}.toml");
        fs::write(self.folder().join(&file), format!("name = \"{name}\"\n{more}\n{TINY}")).unwrap();
        format!("./{file}")
    }

    pub(crate) fn runs(&self) -> Vec<RunFolder> {
        let home = self.home();
        home.list_runs().unwrap().iter().map(|run| home.run(run)).collect()
    }

    /// The word for the state of a run, as the server sees it.
    pub(crate) fn status(&self, run: &RunId) -> String {
        let runs = self.json(&["run", "list", "--json"]);
        let found = runs.as_array().unwrap().iter().find(|row| row["id"] == run.as_str()).unwrap();
        found["status"]["state"].as_str().unwrap().to_owned()
    }

    /// The server of this home, if it lives.
    pub(crate) fn server(&self) -> Option<Process> {
        let record = ServerRecord::read(&self.home())?;
        Process::of(i32::try_from(record.pid).ok()?).filter(|process| self.owns(process, "serve"))
    }

    /// The workers of this home that live.
    pub(crate) fn workers(&self) -> Vec<(RunId, Process)> {
        let all = Process::all_with(&self.home().runs_dir()).into_iter().filter(|process| self.owns(process, "worker"));
        let run = |process: &Process| process.arguments.iter().find_map(|word| word.rsplit('/').next()?.parse().ok());
        all.filter_map(|process| Some((run(&process)?, process))).collect()
    }

    fn owns(&self, process: &Process, word: &str) -> bool {
        let home = self.home().root().to_str().unwrap().to_owned();
        process.arguments.iter().any(|argument| argument == word)
            && process.arguments.iter().any(|argument| argument.starts_with(&home))
    }
}

impl Drop for Lab {
    #[expect(clippy::print_stderr, reason = "a broken test tells why")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("server log:\n{}", fs::read_to_string(self.home().server_log()).unwrap_or_default());
        }
        drop(self.command(&["server", "stop"]).stdout(Stdio::null()).stderr(Stdio::null()).status());
        // A server that could not be asked to leave would start new workers: it goes first.
        for word in ["serve", "worker"] {
            for process in Process::all_with(self.home().root()) {
                if self.owns(&process, word) {
                    process.signal(rustix::process::Signal::KILL);
                }
            }
        }
    }
}
