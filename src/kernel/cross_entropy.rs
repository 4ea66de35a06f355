//! Cross-entropy of chosen targets.

use candle_core::{D, Result, Tensor};

/// Negative log-likelihoods in nats of `targets [N]` (u32) under `logits [N, V]`. Gives `[N]`.
///
/// # Errors
/// Shapes do not fit, a target is outside the vocabulary, or the device fails.
pub fn negative_log_likelihood(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let peak = logits.max_keepdim(D::Minus1)?.detach();
    let shifted = logits.broadcast_sub(&peak)?; // [N, V]
    let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?; // [N, 1]
    let chosen = shifted.gather(&targets.unsqueeze(1)?, 1)?; // [N, 1]
    (log_sum - chosen)?.squeeze(1)
}
