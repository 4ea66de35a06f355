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
use crate::core::task::ScoringForm;
use crate::core::{Device, EventSink, RunEvent, RunSpec, Shortage, SinkError};
use crate::corpus::{Corpus, CorpusError};
use crate::eval::TaskReport;
use crate::kernel::memory::keep_large_blocks;
use crate::runlog::{EvalHeader, EvalLog, EvalRow, EventLog, RunFolder, RunLock, RunLogError};
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
    let spec = folder.spec()?;
    std::env::set_current_dir(folder.path())
        .with_context(|| format!("could not enter the folder {}", folder.path().display()))?;
    let lock = lock(&folder)?;
    let mut wishes = Wishes::new(folder.from_within().control_source()).context("could not listen to signals")?;
    let mut hold = Hold::new(&lock, wishes.asked());
    let attempt = hold.through(|| folder.new_attempt())?;
    let log = hold.through(|| EventLog::create(&attempt.events_path(), &spec.id, attempt.number, now_ms))?;
    let mut log = HoldingLog { log, hold };
    keep_large_blocks();
    log.record(started(&spec, attempt.number))?;
    let failure = loop {
        let ended = catch_unwind(AssertUnwindSafe(|| run(&spec, &folder, &mut wishes, &mut log)));
        match ended {
            Ok(Ok(outcome)) => return Ok(outcome),
            // It begins again from its checkpoint when the machine has what was missing.
            Ok(Err(error)) if let Some(short) = Shortage::behind(error.as_ref()) => {
                if !log.wait_for_machine(&format!("{error:#}; {}", short.cure())) {
                    return Ok(Outcome::Yielded);
                }
            }
            Ok(Err(error)) => break error,
            Err(panic) => break anyhow::anyhow!("the worker panicked: {}", words(panic.as_ref())),
        }
    };
    let message = format!("{failure:#}");
    log.record(RunEvent::Failed { message })
        .with_context(|| format!("could not record that the run failed: {failure:#}"))?;
    Err(failure)
}

fn run(spec: &RunSpec, folder: &RunFolder, wishes: &mut Wishes, log: &mut HoldingLog<'_>) -> Result<Outcome> {
    let corpus = Corpus::open(&folder.corpus_dir(&spec.data)).map_err(could_not)?;
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
    train(spec, &corpus, &within.checkpoints_dir(), outside).map_err(|error| match error {
        TrainError::Corpus(error) => could_not(error),
        other => other.into(),
    })
}

/// An error of the corpus as a sentence; where the machine is short of something, the error itself, which says of what.
fn could_not(error: CorpusError) -> anyhow::Error {
    if Shortage::behind(&error).is_some() { error.into() } else { anyhow::anyhow!("could not {error}") }
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
