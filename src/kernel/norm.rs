//! Root-mean-square normalisation.

use candle_core::{D, Result, Tensor};

/// RMSNorm (Zhang & Sennrich 2019, arXiv 1910.07467, eq. 4): `x / √(mean(x²) + ε) ⊙ gain`, for `x [.., D]`, `gain [D]`.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn rms_norm(x: &Tensor, gain: &Tensor, epsilon: f64) -> Result<Tensor> {
    let mean_square = x.sqr()?.mean_keepdim(D::Minus1)?; // [.., 1]
    x.broadcast_div(&(mean_square + epsilon)?.sqrt()?)?.broadcast_mul(gain)
}
