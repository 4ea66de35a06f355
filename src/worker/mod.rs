//! The process of one run: spec.json → train → events. `trilab worker DIR` is all a launcher has to start.
//! Promises: the run's lock is held from before the first event to the end; every ending that the process survives is
//! an event; a lab that is moved takes its running workers along. Must not know: the server, the queue, the config.

mod hold;
mod program;
mod signals;

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::core::cost::parameters;
use crate::core::seed::index_of;
use crate::core::task::ScoringForm;
use crate::core::{ControlSource, Device, EventSink, RunEvent, RunSpec, Shortage, SinkError};
use crate::corpus::{self, Corpus, CorpusError};
use crate::eval::TaskReport;
use crate::kernel::memory::keep_large_blocks;
use crate::runlog::{EvalHeader, EvalLog, EvalRow, EventLog, Home, RunFolder, RunLock, RunLogError};
use crate::train::{Outcome, Surroundings, TrainError, train};

use hold::{Hold, HoldingLog};
pub use program::program;
use signals::Wishes;

/// The thread pools inside candle read their size from here, once.
const THREADS_VARIABLE: &str = "RAYON_NUM_THREADS";

/// How often a lock is tried that someone may be testing for a moment, and how long between.
const LOCK_TRIES: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Trains the run in `folder` to its end or until it is asked to leave.
///
/// # Errors
/// The folder holds no run, another worker holds it, or training failed; the log has a `Failed` event if it could be written.
pub fn work(folder: &Path) -> Result<Outcome> {
    without_pools()?;
    let folder = std::path::absolute(folder).with_context(|| format!("could not find {}", folder.display()))?;
    let folder = RunFolder::open(folder)?;
    let spec = match folder.spec() {
        Ok(spec) => spec,
        Err(error) => return Err(unreadable(&folder, error)),
    };
    std::env::set_current_dir(folder.path())
        .with_context(|| format!("could not enter the folder {}", folder.path().display()))?;
    let lock = lock(&folder)?;
    let mut wishes = Wishes::new(folder.from_within().control_source()).context("could not listen to signals")?;
    let mut hold = Hold::new(&lock, wishes.asked());
    let attempt = hold.through(|| folder.new_attempt())?;
    hold.through(|| folder.copy_spec(&attempt, &spec))?;
    // From within, so that what is written beside the log at its end goes along with a lab that is moved.
    let path = folder.from_within().attempt(attempt.number).events_path();
    let log = hold.through(|| EventLog::create(&path, &spec.id, attempt.number, now_ms))?;
    let mut log = HoldingLog { log, hold };
    keep_large_blocks();
    log.record(started(&spec, attempt.number))?;
    let failure = loop {
        let ended = catch_unwind(AssertUnwindSafe(|| run(&spec, &folder, &mut wishes, &mut log, attempt.number)));
        match ended {
            Ok(Ok(outcome)) => return Ok(outcome),
            // Like a worker that died: the run is put back, and goes on from its checkpoint.
            Ok(Err(_)) if log.hold.has_left() => return Ok(Outcome::Yielded),
            // It begins again from its checkpoint when the machine has what was missing.
            Ok(Err(Trouble::Short(reason))) => {
                if !log.wait_for_machine(&reason) {
                    return Ok(Outcome::Yielded);
                }
            }
            // No word of an ending: like a worker that died, the run is put back.
            Ok(Err(Trouble::Waits(error))) => {
                log.record(RunEvent::Warned { message: format!("{error:#}") })?;
                return Err(error);
            }
            Ok(Err(Trouble::Fails(error))) => break error,
            Err(panic) => break anyhow::anyhow!("the worker panicked: {}", words(panic.as_ref())),
        }
    };
    let message = format!("{failure:#}");
    log.record(RunEvent::Failed { message })
        .with_context(|| format!("could not record that the run failed: {failure:#}"))?;
    Err(failure)
}

/// A run whose spec is damaged says so in its log, if it has no other worker.
fn unreadable(folder: &RunFolder, error: RunLogError) -> anyhow::Error {
    let message = format!("could not {error}");
    if matches!(error, RunLogError::Spec { .. })
        && let Ok(_lock) = lock(folder)
        && let Ok(attempt) = folder.new_attempt()
        && let Ok(mut log) = EventLog::create(&attempt.events_path(), folder.id(), attempt.number, now_ms)
    {
        // Where even that cannot be written, it is printed all the same.
        drop(log.record(RunEvent::Failed { message }));
    }
    error.into()
}

/// Why there is no outcome.
enum Trouble {
    /// Something that others make is damaged and was set aside. The lab makes it again, or says who must ask for that; then the
    /// run can go on.
    Waits(anyhow::Error),
    /// The machine is short of something, as the words say.
    Short(String),
    /// The run cannot go on.
    Fails(anyhow::Error),
}

impl Trouble {
    /// Of a corpus in `directory`. What is damaged is set aside, if it is the lab's own and the lab can prepare it again.
    fn of_corpus(error: &CorpusError, directory: &Path, folder: &RunFolder) -> Self {
        let home = folder.path().parent().and_then(Path::parent);
        let own = home.is_some_and(|home| directory.parent() == Some(&Home::new(home).corpora_dir()));
        if let Some(short) = Shortage::behind(error) {
            return Self::Short(short.sentence(&error.to_string()));
        }
        let damaged = matches!(error, CorpusError::Damaged { .. });
        let error = anyhow::anyhow!("could not {error}");
        if damaged && own && corpus::set_aside(directory).is_ok() { Self::Waits(error) } else { Self::Fails(error) }
    }

    fn of_training(error: TrainError, directory: &Path, folder: &RunFolder) -> Self {
        match error {
            TrainError::Corpus(error) => Self::of_corpus(&error, directory, folder),
            TrainError::Parent { .. } => Self::Waits(error.into()),
            other => match other.shortage() {
                Some(short) => Self::Short(short.sentence(&format!("go on: {other}"))),
                None => Self::Fails(other.into()),
            },
        }
    }
}

fn run(
    spec: &RunSpec,
    folder: &RunFolder,
    wishes: &mut Wishes,
    log: &mut HoldingLog<'_>,
    attempt: u32,
) -> Result<Outcome, Trouble> {
    let directory = folder.corpus_dir(&spec.data);
    // Of a very large corpus, runs and their attempts read different parts.
    let corpus = Corpus::open_checked(&directory, index_of(spec.id.as_str()).wrapping_add(u64::from(attempt)));
    let corpus = corpus.map_err(|error| Trouble::of_corpus(&error, &directory, folder))?;
    // A first look, so that the checkpoints that others wait for are known.
    wishes.control();
    // What lies outside this folder is read now; what is written from now on stays with it when the lab is moved.
    let within = folder.from_within();
    let origin = Instant::now();
    let (mut file, mut hold): (Option<EvalLog>, _) = (None, log.hold.another());
    let mut answers = |step, report: &TaskReport, form| {
        record_answers(spec, &within, (&mut file, &mut hold), step, report, form)
            .map_err(|error| SinkError(error.to_string()).into())
    };
    let parent = spec.parent.as_ref().map(|parent| folder.sibling(&parent.run).checkpoints_dir());
    let outside = Surroundings {
        parent: parent.as_deref(),
        sink: log,
        control: wishes,
        answers: &mut answers,
        clock: &|| origin.elapsed().as_secs_f64(),
    };
    let trained = train(spec, &corpus, &within.checkpoints_dir(), outside);
    trained.map_err(|error| Trouble::of_training(error, &directory, folder))
}

/// Every answer of a task goes into a file of its own beside the log, which holds the scores.
fn record_answers(
    spec: &RunSpec,
    folder: &RunFolder,
    (file, hold): (&mut Option<EvalLog>, &mut Hold<'_>),
    step: u64,
    report: &TaskReport,
    form: ScoringForm,
) -> Result<(), RunLogError> {
    let log = match file {
        Some(log) => log,
        None => {
            let header = EvalHeader::new(spec.id.clone(), step, None, spec.probes.zero_shot.clone());
            file.insert(hold.through(|| EvalLog::create(folder, &header))?)
        }
    };
    report.items.iter().try_for_each(|item| {
        let row = EvalRow::Item { task: report.task.clone(), form, item: item.clone() };
        hold.through(|| log.append(&row))
    })
}

fn lock(folder: &RunFolder) -> Result<RunLock> {
    for _ in 0..LOCK_TRIES {
        match folder.lock() {
            Err(RunLogError::Locked { .. }) => std::thread::sleep(LOCK_PAUSE),
            other => return Ok(other?),
        }
    }
    bail!("run {} already has a worker; pause or stop it first", folder.path().display())
}

fn started(spec: &RunSpec, attempt: u32) -> RunEvent {
    let device = match spec.execution.device {
        Device::Cpu => "cpu",
        Device::Cuda => "cuda:0",
        Device::Metal => "metal:0",
    };
    RunEvent::Started {
        attempt,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        device: device.to_owned(),
        threads: spec.execution.threads,
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        pid: std::process::id(),
        parameters: parameters(&spec.model),
        steps: spec.training.steps,
    }
}

/// Makes sure that the thread pools inside candle have one thread: a run shares its batches out over threads of its own, and
/// the pools would spin beside them. They read an environment variable before anyone can tell them, so a process without
/// it starts itself again with it, in the same process id.
///
/// # Errors
/// The program cannot be started again.
pub fn without_pools() -> Result<()> {
    if std::env::var_os(THREADS_VARIABLE).as_deref() == Some(OsStr::new("1")) {
        return Ok(());
    }
    let program = program().context("could not find this program")?;
    let error = Command::new(&program).args(std::env::args_os().skip(1)).env(THREADS_VARIABLE, "1").exec();
    Err(error).with_context(|| format!("could not start {} again", program.display()))
}

fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
