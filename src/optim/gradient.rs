//! The gradient of all parameters as one vector: measured, and how much of it clipping leaves.

use crate::kernel::Weight;
use crate::kernel::threads::map;

/// A gradient could not be formed.
#[derive(Debug, thiserror::Error)]
pub enum GradientError {
    /// The backward pass did not reach a parameter.
    #[error("parameter `{0}` received no gradient: an op on its path has no backward pass")]
    Missing(String),
    /// The device failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// Global L2 norm over the gradients of all `parameters`, measured on as many threads as asked for; it does not depend on
/// their number.
///
/// # Errors
/// A parameter has none, or the device fails.
pub fn norm<'a>(
    parameters: impl Iterator<Item = (&'a str, &'a Weight)>,
    threads: usize,
) -> std::result::Result<f64, GradientError> {
    let all: Vec<_> = parameters.collect();
    let jobs = all.chunks(all.len().div_ceil(threads.max(1)).max(1)).collect();
    let squares = |(name, weight): &(&str, &Weight)| {
        weight.gradient_squares()?.ok_or_else(|| GradientError::Missing((*name).to_owned()))
    };
    let sums =
        map(jobs, |job: &[(&str, &Weight)]| job.iter().map(squares).collect::<std::result::Result<Vec<f64>, _>>())?;
    Ok(sums.iter().flatten().sum::<f64>().sqrt())
}

/// What a gradient of `norm` is multiplied by so that its norm is at most `limit`; 0 means no limit
/// (Pascanu et al. 2013, arXiv 1211.5063, algorithm 1).
#[must_use]
pub fn clip(norm: f64, limit: f64) -> f64 {
    if limit <= 0.0 || norm <= limit { 1.0 } else { limit / (norm + 1e-6) }
}
