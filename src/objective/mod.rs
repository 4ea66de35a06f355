//! Tokens → batches: full LM, prefix LM and span corruption from each architecture, as plain rows of numbers.
//! Promises: the shapes of `core::rows`, loss weights on targets only, the same draws give the same batch.
//! Must not know: tensors, files, where windows come from.

mod batch;
mod full_lm;
mod inference;
mod prefix_lm;
mod scoring;
mod span_corruption;
mod unigram;

pub use batch::{Batch, ObjectiveError, Side, batch};
pub use inference::prompt_batch;
pub use scoring::{ScoringRow, ScoringRowError, rolling_windows, room, scoring_batch, scoring_row};
pub use span_corruption::{Corrupted, corrupt};
pub use unigram::UnigramCounts;
