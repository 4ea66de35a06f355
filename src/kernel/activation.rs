//! The gate of the MLP.

use candle_core::{Result, Tensor};

/// SwiGLU: silu(gate) ⊙ up (Shazeer 2020, arXiv 2002.05202, eq. 6). Both `[.., F]`.
///
/// # Errors
/// Shapes differ, or the device fails.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.silu()? * up
}
