//! How much of its freedom a matrix uses: singular values in f64 and what they sum up to, and the theorem that says
//! when an attention head can form any attention matrix at all.
//! Promises: pure functions of numbers; no determinant anywhere, because one of n = 128 leaves the range of floats.
//! Must not know: models, tensors, steps.

pub mod measures;
pub mod picture;
pub mod representation;
pub mod spectrum;

pub use measures::{measures, rank_one_residual};
pub use picture::pooled;
pub use spectrum::spectrum;

/// Why a matrix has no rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RankError {
    /// The values do not fill the shape.
    #[error("{found} values are not a matrix of {rows} x {columns}")]
    Shape {
        /// Values given.
        found: usize,
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
    },
    /// A value is infinite or not a number.
    #[error("a matrix of {rows} x {columns} holds values that are not finite")]
    NotFinite {
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
    },
    /// The singular values were not found.
    #[error("the singular values of a matrix of {rows} x {columns} did not converge")]
    NoConvergence {
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
    },
    /// A head is too narrow for the theorem.
    #[error("a head of size {size} cannot form every attention over {length} tokens; it needs at least {length}")]
    Narrow {
        /// Dimensions.
        size: usize,
        /// Tokens.
        length: usize,
    },
    /// The tokens depend on each other.
    #[error("the tokens are not linearly independent, so keys cannot tell them apart freely")]
    Dependent,
    /// Columns that are not distributions with full support.
    #[error("the columns are not distributions without zeros, which is all that a softmax can form")]
    NotStochastic,
}
