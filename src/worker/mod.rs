//! The process of one run: spec.json → train → events. `trilab worker DIR` is all a launcher has to start.
//! Promises: the run's lock is held from before the first event to the end; every ending that the process survives is
//! an event; a lab that is moved takes its running workers along. Must not know: the server, the queue, the config.

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
use crate::core::{Device, EventSink, RunEvent, RunSpec, SinkError};
use crate::corpus::Corpus;
use crate::eval::TaskReport;
use crate::kernel::memory::keep_large_blocks;
use crate::runlog::{EvalHeader, EvalLog, EvalRow, EventLog, RunFolder, RunLock, RunLogError};
use crate::train::{Outcome, Surroundings, TrainError, train};

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
    let _lock = lock(&folder)?;
    let wishes = Wishes::new(folder.from_within().control_source()).context("could not listen to signals")?;
    let attempt = folder.new_attempt()?;
    let mut log = EventLog::create(&attempt.events_path(), &spec.id, attempt.number, now_ms)?;
    keep_large_blocks();
    log.record(started(&spec, attempt.number))?;
    let ended = catch_unwind(AssertUnwindSafe(|| run(&spec, &folder, wishes, &mut log)));
    let failure = match ended {
        Ok(Ok(outcome)) => return Ok(outcome),
        Ok(Err(error)) => error,
        Err(panic) => anyhow::anyhow!("the worker panicked: {}", words(panic.as_ref())),
    };
    let message = format!("{failure:#}");
    log.record(RunEvent::Failed { message })
        .with_context(|| format!("could not record that the run failed: {failure:#}"))?;
    Err(failure)
}

fn run(spec: &RunSpec, folder: &RunFolder, mut wishes: Wishes, log: &mut EventLog) -> Result<Outcome> {
    let corpus = Corpus::open(&folder.corpus_dir(&spec.data)).map_err(|error| anyhow::anyhow!("could not {error}"))?;
    // What lies outside this folder is read now; what is written from now on stays with it when the lab is moved.
    let within = folder.from_within();
    let origin = Instant::now();
    let mut file: Option<EvalLog> = None;
    let mut answers = |step, report: &TaskReport, form| {
        record_answers(spec, &within, &mut file, step, report, form)
            .map_err(|error| SinkError(error.to_string()).into())
    };
    let parent = spec.parent.as_ref().map(|parent| folder.sibling(&parent.run).checkpoints_dir());
    let outside = Surroundings {
        parent: parent.as_deref(),
        sink: log,
        control: &mut wishes,
        answers: &mut answers,
        clock: &|| origin.elapsed().as_secs_f64(),
    };
    train(spec, &corpus, &within.checkpoints_dir(), outside).map_err(|error| match error {
        TrainError::Corpus(error) => anyhow::anyhow!("could not {error}"),
        other => other.into(),
    })
}

/// Every answer of a task goes into a file of its own beside the log, which holds the scores.
fn record_answers(
    spec: &RunSpec,
    folder: &RunFolder,
    file: &mut Option<EvalLog>,
    step: u64,
    report: &TaskReport,
    form: ScoringForm,
) -> Result<(), RunLogError> {
    let log = match file {
        Some(log) => log,
        None => {
            let sources = spec.probes.zero_shot.clone();
            file.insert(EvalLog::create(folder, &EvalHeader::new(spec.id.clone(), step, None, sources))?)
        }
    };
    report
        .items
        .iter()
        .try_for_each(|item| log.append(&EvalRow::Item { task: report.task.clone(), form, item: item.clone() }))
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
