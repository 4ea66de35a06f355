//! Why texts or tasks cannot become rows.

use crate::core::legal::Illegal;
use crate::corpus::{SENTINELS, SENTINELS_BESIDE_MARKS};

/// Why windows cannot become a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectiveError {
    /// The cell is not legal.
    #[error("make a batch: {0}")]
    Illegal(#[from] Illegal),
    /// No windows, windows of different lengths, or too short ones.
    #[error(
        "make a batch from windows of {found} tokens: all must have {least}; raise `training.seq_len` if that is too short"
    )]
    Windows {
        /// Lengths seen.
        found: String,
        /// The length that they must have.
        least: usize,
    },
    /// An odd number of examples where two share a row.
    #[error(
        "make a batch of {0} examples: an encoder-decoder packs two of them into a row; make `training.micro_batch_size` even"
    )]
    Odd(usize),
    /// More spans than sentinels.
    #[error(
        "mark {0} removed spans with {SENTINELS} sentinels; lower `training.seq_len` or `objective.noise_density`, or raise `objective.mean_noise_span_length`"
    )]
    Spans(usize),
    /// A text where a prompt with its target is wanted.
    #[error("make a prompt of a text: this objective trains on tasks")]
    Prompted,
    /// More spans than sentinels that are left beside mode tokens.
    #[error("mark removed spans with {SENTINELS_BESIDE_MARKS} sentinels beside mode tokens; lower `training.seq_len`")]
    Marks,
}
