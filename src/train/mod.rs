//! The training loop, in the order one would say it aloud, with its checkpoints, validation, ranks, zero-shot probes and samples.
//! Promises: the same spec and corpus give the same losses bit for bit on a processor, interrupted or not.
//! Must not know: where events go, who asks for a pause, what else runs.

pub mod bench;
pub mod checkpoint;
pub mod examples;
pub mod rank_probe;
pub mod inference;
mod prompted;
mod run;
pub mod sample;
pub mod scoring;
pub mod trainer;
pub mod writer;
mod yardstick;
pub mod zero_shot;

use std::path::PathBuf;

use crate::core::{RunId, Shortage, SinkError};

pub use inference::inference;
pub use run::{Outcome, Surroundings, train};
pub use scoring::{ModelScorer, forms};
pub use trainer::{StepMade, StepReport, TokenScore, Trainer};
pub use writer::Writer;
pub use yardstick::Yardstick;

/// Why training ended early.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The device of the spec is not in this build or machine.
    #[error("device `{device}` is not available: {cure}")]
    Device {
        /// As in the spec.
        device: &'static str,
        /// What to do.
        cure: String,
    },
    /// The spec cannot be trained.
    #[error("spec cannot be trained: {0}")]
    Spec(String),
    /// The loss or gradient is not finite, or the loss ran away.
    #[error("diverged: {0}")]
    Diverged(String),
    /// A parameter has no gradient.
    #[error(transparent)]
    Gradient(#[from] crate::optim::GradientError),
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// The corpus could not be read.
    #[error(transparent)]
    Corpus(#[from] crate::corpus::CorpusError),
    /// An example is longer than the text.
    #[error(transparent)]
    Order(#[from] crate::corpus::OrderError),
    /// A batch could not be made.
    #[error(transparent)]
    Objective(#[from] crate::objective::ObjectiveError),
    /// A checkpoint could not be written or read.
    #[error("checkpoint {}: {reason}", std::path::absolute(path).as_ref().unwrap_or(path).display())]
    Checkpoint {
        /// Which.
        path: PathBuf,
        /// Why, and the cure.
        reason: String,
        /// What the machine is short of, if that is all.
        short: Option<Shortage>,
    },
    /// A file of a checkpoint is not what was written, or cannot be read any more.
    #[error("checkpoint {} is damaged: {reason}", std::path::absolute(path).as_ref().unwrap_or(path).display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The checkpoint of another run that a run begins with is damaged or gone. Nobody takes it again; that run can make it anew.
    #[error(
        "{reason}; this run goes on from it: `trilab run retry {run}` makes it again, and then this run goes on by itself"
    )]
    Parent {
        /// The other run.
        run: RunId,
        /// The file, what is wrong with it, and where it is now.
        reason: String,
    },
    /// A rank could not be measured.
    #[error(transparent)]
    Rank(#[from] crate::rank::RankError),
    /// An event could not be recorded.
    #[error("event not recorded: {0}")]
    Sink(#[from] SinkError),
}

impl TrainError {
    /// What the machine is short of, if that is all.
    #[must_use]
    pub fn shortage(&self) -> Option<Shortage> {
        match self {
            Self::Checkpoint { short, .. } => *short,
            other => Shortage::behind(other),
        }
    }
}
