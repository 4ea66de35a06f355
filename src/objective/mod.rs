//! Tokens → batches: every objective from each architecture, as plain rows of numbers. A task makes an example of a text,
//! the architecture's layout makes rows of examples.
//! Promises: the shapes of `core::rows`, loss weights on targets only, the same draws give the same batch.
//! Must not know: tensors, files, where windows come from.

mod batch;
mod blank_infilling;
mod draw;
mod error;
mod example;
mod iid_denoising;
mod inference;
mod masked_lm;
mod places;
mod prefix_lm;
mod scoring;
mod span_corruption;
mod unigram;

pub use batch::{Batch, Side, batch};
pub use draw::example;
pub use error::ObjectiveError;
pub use example::{Example, Words};
pub use iid_denoising::drop_tokens;
pub use inference::{Asking, prompt_batch};
pub use places::target_places;
pub use scoring::{ScoringRow, ScoringRowError, rolling_windows, room, scoring_batch, scoring_rows};
pub use span_corruption::{Corrupted, corrupt};
pub use unigram::UnigramCounts;
