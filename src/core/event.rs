//! Facts about a run, in the past tense. The worker appends them to its log; everything else is derived from them.
//! JSON has no NaN: a non-finite loss is a `Diverged` event and never a number in a log.

use serde::{Deserialize, Serialize};

use super::metric::Metrics;
use super::rank::RankReport;
use super::task::TaskRecord;

/// Version of the event log; the first line of every log names it. From 2 on every line has its number and a checksum.
pub const LOG_FORMAT: u32 = 2;

/// One thing that happened to a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    /// An attempt began.
    Started {
        /// 1 for the first attempt.
        attempt: u32,
        /// Version of the program that trains.
        program_version: String,
        /// `cpu`, `cuda:0`, `metal:0`.
        device: String,
        /// Threads of the attempt.
        threads: usize,
        /// Name of the machine.
        host: String,
        /// Process id on that machine; a hint for people, never proof of life.
        pid: u32,
        /// Counted parameters.
        parameters: u64,
        /// Optimizer steps of the whole run.
        steps: u64,
    },
    /// The attempt continues from a checkpoint.
    Resumed {
        /// Step of that checkpoint.
        step: u64,
    },
    /// An optimizer step was made.
    StepLogged {
        /// Steps made so far, this one included.
        step: u64,
        /// Training positions seen so far, encoder and decoder.
        tokens: u64,
        /// Training seconds of all attempts so far, without validation and checkpoints.
        elapsed_s: f64,
        /// Values of the step.
        metrics: Metrics,
    },
    /// Held-out examples were scored.
    Validated {
        /// Steps made so far.
        step: u64,
        /// Values.
        metrics: Metrics,
        /// Targets that carried loss.
        targets: u64,
        /// Cost in seconds.
        seconds: f64,
    },
    /// The ranks of attention and of the residual stream were measured on the probe examples.
    RankMeasured {
        /// Steps made so far.
        step: u64,
        /// What was seen.
        report: RankReport,
        /// The headline of the report.
        metrics: Metrics,
        /// Cost in seconds.
        seconds: f64,
    },
    /// A zero-shot task was scored.
    TaskScored(TaskRecord),
    /// All zero-shot tasks of a probe were scored.
    ZeroShotMeasured {
        /// Steps made so far.
        step: u64,
        /// Means over the families of wordings.
        metrics: Metrics,
        /// Items asked, over all tasks.
        items: u64,
        /// Cost in seconds.
        seconds: f64,
    },
    /// Reading and writing were timed.
    InferenceMeasured {
        /// Steps made so far.
        step: u64,
        /// Speeds.
        metrics: Metrics,
        /// Cost in seconds.
        seconds: f64,
    },
    /// The model wrote a text.
    SampleGenerated {
        /// Steps made so far.
        step: u64,
        /// What it was given.
        prompt: String,
        /// What it wrote.
        text: String,
    },
    /// A checkpoint is complete on disk.
    CheckpointSaved {
        /// Steps made so far.
        step: u64,
        /// Size.
        bytes: u64,
        /// Cost in seconds.
        seconds: f64,
    },
    /// The attempt ended on request; a checkpoint of this step exists.
    Paused {
        /// Steps made so far.
        step: u64,
    },
    /// The attempt is alive though it has nothing else to say.
    Heartbeat {
        /// Steps made so far.
        step: u64,
    },
    /// The loss or the gradient was not finite, or the loss ran away; the run is over.
    Diverged {
        /// The step that diverged.
        step: u64,
        /// What was seen, in words.
        reason: String,
    },
    /// Something a person should know; training goes on.
    Warned {
        /// What.
        message: String,
    },
    /// The run was stopped on request; a checkpoint of this step exists.
    Stopped {
        /// Steps made so far.
        step: u64,
    },
    /// All steps are made.
    Finished {
        /// Steps made.
        step: u64,
    },
    /// The attempt ended with an error.
    Failed {
        /// What went wrong and the cure.
        message: String,
    },
}

impl RunEvent {
    /// Whether it is the last of its attempt.
    #[must_use]
    pub const fn is_ending(&self) -> bool {
        match self {
            Self::Paused { .. }
            | Self::Stopped { .. }
            | Self::Finished { .. }
            | Self::Diverged { .. }
            | Self::Failed { .. } => true,
            Self::Started { .. }
            | Self::Resumed { .. }
            | Self::StepLogged { .. }
            | Self::Validated { .. }
            | Self::RankMeasured { .. }
            | Self::TaskScored(_)
            | Self::ZeroShotMeasured { .. }
            | Self::InferenceMeasured { .. }
            | Self::SampleGenerated { .. }
            | Self::CheckpointSaved { .. }
            | Self::Heartbeat { .. }
            | Self::Warned { .. } => false,
        }
    }
}

/// An event and when it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StampedEvent {
    /// Milliseconds since 1970 on the worker's clock.
    pub time_ms: u64,
    /// What happened.
    pub event: RunEvent,
}

/// An event could not be recorded.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SinkError(pub String);

/// Where the training loop reports; one of the three inversions of the house.
pub trait EventSink {
    /// Record `event`.
    ///
    /// # Errors
    /// The fact could not be recorded; the caller must end the attempt, because a run without its log is lost.
    fn record(&mut self, event: RunEvent) -> Result<(), SinkError>;

    /// The machine is short of something, as the words say: wait for a moment. `false` if there is nothing to wait for, and what
    /// was tried has failed.
    fn wait_for_machine(&mut self, short_of: &str) -> bool {
        _ = short_of;
        false
    }
}

impl EventSink for Vec<RunEvent> {
    fn record(&mut self, event: RunEvent) -> Result<(), SinkError> {
        self.push(event);
        Ok(())
    }
}
