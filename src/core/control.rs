//! What a running worker is asked to do. The server writes the wish, the worker reads it between steps.

use serde::{Deserialize, Serialize};

/// The wish that stands for a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// Go on training.
    #[default]
    Run,
    /// Save a checkpoint, say `Paused`, and leave; the run goes on from there when it is resumed.
    Pause,
    /// Save a checkpoint, say `Stopped`, and leave for good (a retry continues from the checkpoint).
    Stop,
    /// Save a checkpoint and leave because the machine asks (TERM, a shutdown); the run stays in the queue.
    Yield,
}

/// Where the training loop learns what is wished of it; one of the three inversions of the house.
pub trait ControlSource {
    /// The wish at this moment. Called between steps, so it must be cheap; a wish that cannot be read is `Run`.
    fn control(&mut self) -> Control;

    /// Steps whose checkpoints others wait for, beside those that the spec keeps, as of the last look.
    fn kept_steps(&self) -> &[u64] {
        &[]
    }
}
