//! From gradients to new weights: AdamW whose state can be saved, learning-rate schedules, clipping.
//! Promises: a parameter without a gradient is an error, not a skip.
//! Must not know: models, data, files.

pub mod adamw;
pub mod gradient;
pub mod schedule;

pub use adamw::AdamW;
pub use gradient::{GradientError, clip, norm};
pub use schedule::learning_rate;
