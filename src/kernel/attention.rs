//! Scaled dot-product attention with an additive mask.

use candle_core::{D, Result, Tensor};

/// Softmax over the last dimension. The maximum is a constant to the gradient: it cancels, and candle would otherwise
/// differentiate it.
///
/// # Errors
/// The device fails.
pub fn softmax(logits: &Tensor) -> Result<Tensor> {
    let peak = logits.max_keepdim(D::Minus1)?.detach();
    let exponentials = logits.broadcast_sub(&peak)?.exp()?;
    exponentials.broadcast_div(&exponentials.sum_keepdim(D::Minus1)?)
}

/// Attention logits before any mask: q kᵀ / √K for `q [B, H, T, K]` and `k [B, H, S, K]`. Gives `[B, H, T, S]`.
///
/// # Errors
/// Shapes do not fit, or the device fails.
#[expect(clippy::cast_precision_loss, reason = "head sizes are small")]
pub fn logits(q: &Tensor, k: &Tensor) -> Result<Tensor> {
    let scale = 1.0 / (q.dim(D::Minus1)? as f64).sqrt();
    (q * scale)?.matmul(&k.transpose(2, 3)?)
}

/// Attention probabilities: softmax(q kᵀ / √K + mask) for `q [B, H, T, K]`, `k [B, H, S, K]` and
/// `mask [B or 1, 1, T, S]` of 0 and −∞ (Vaswani et al. 2017, arXiv 1706.03762, eq. 1). Gives `[B, H, T, S]`.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn probabilities(q: &Tensor, k: &Tensor, mask: &Tensor) -> Result<Tensor> {
    softmax(&logits(q, k)?.broadcast_add(mask)?)
}

/// Attention: probabilities times values, `v [B, H, S, K]`. Gives `[B, H, T, K]`.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn attend(q: &Tensor, k: &Tensor, v: &Tensor, mask: &Tensor) -> Result<Tensor> {
    probabilities(q, k, mask)?.matmul(v)
}
