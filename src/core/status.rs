//! Where a run is. Each state carries only what can be true in it.

use serde::{Deserialize, Serialize};

use super::id::RunId;

/// The state of a run as the lab knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RunStatus {
    /// Its corpus is still being prepared.
    Preparing,
    /// Goes on from another run, which has not come that far.
    Waiting {
        /// That run.
        parent: RunId,
    },
    /// Goes on from another run, which will not come that far unless someone asks.
    Blocked {
        /// Why, and the cure.
        reason: String,
    },
    /// Waits for a slot; a checkpoint may exist.
    Queued,
    /// A worker holds its lock.
    Running {
        /// Since when, Unix milliseconds.
        since_ms: u64,
    },
    /// Asked to wait; goes on from its checkpoint when resumed.
    Paused,
    /// Stopped on request.
    Stopped,
    /// All steps made.
    Finished,
    /// Ended by a non-finite or runaway loss.
    Diverged {
        /// The step at which it did.
        step: u64,
    },
    /// Ended by an error.
    Failed {
        /// The error.
        reason: String,
    },
}

impl RunStatus {
    /// One lower-case word for tables and filters.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Waiting { .. } => "waiting",
            Self::Blocked { .. } => "blocked",
            Self::Queued => "queued",
            Self::Running { .. } => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Diverged { .. } => "diverged",
            Self::Failed { .. } => "failed",
        }
    }

    /// True if it stands in the queue, whatever it waits for.
    #[must_use]
    pub const fn is_queued(&self) -> bool {
        match self {
            Self::Preparing | Self::Waiting { .. } | Self::Blocked { .. } | Self::Queued => true,
            Self::Running { .. }
            | Self::Paused
            | Self::Stopped
            | Self::Finished
            | Self::Diverged { .. }
            | Self::Failed { .. } => false,
        }
    }

    /// Why a run ended or cannot begin, in a line; empty where there is nothing to say.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Failed { reason } => reason.lines().next().unwrap_or_default().to_owned(),
            Self::Diverged { step } => format!("diverged at step {step}"),
            Self::Blocked { reason } => reason.clone(),
            Self::Waiting { parent } => format!("waits for {parent}"),
            Self::Preparing | Self::Queued | Self::Running { .. } | Self::Paused | Self::Stopped | Self::Finished => {
                String::new()
            }
        }
    }

    /// True if the run will not move unless someone asks.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        match self {
            Self::Preparing
            | Self::Waiting { .. }
            | Self::Blocked { .. }
            | Self::Queued
            | Self::Running { .. }
            | Self::Paused => false,
            Self::Stopped | Self::Finished | Self::Diverged { .. } | Self::Failed { .. } => true,
        }
    }

    /// True if `retry` may put it back into the queue.
    #[must_use]
    pub const fn can_retry(&self) -> bool {
        match self {
            Self::Stopped | Self::Diverged { .. } | Self::Failed { .. } => true,
            Self::Preparing
            | Self::Waiting { .. }
            | Self::Blocked { .. }
            | Self::Queued
            | Self::Running { .. }
            | Self::Paused
            | Self::Finished => false,
        }
    }
}
