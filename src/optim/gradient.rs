//! The gradient of all parameters as one vector: measured, and how much of it clipping leaves.

use crate::kernel::threads::map;
use crate::kernel::{Reading, Weight};

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
) -> Result<Reading, GradientError> {
    let all: Vec<_> = parameters.collect();
    let shares = all.chunks(all.len().div_ceil(threads.max(1)).max(1)).collect();
    let squares = |(name, weight): &(&str, &Weight)| {
        weight.gradient_squares()?.ok_or_else(|| GradientError::Missing((*name).to_owned()))
    };
    let sums = map(shares, |share: &[_]| share.iter().map(squares).collect::<Result<Vec<_>, _>>())?;
    Ok(match Reading::sum(sums.into_iter().flatten())? {
        Reading::Known(sum) => Reading::Known(sum.sqrt()),
        Reading::Elsewhere(sum) => Reading::Elsewhere(sum.sqrt()?),
    })
}

/// What a gradient of `norm` is multiplied by so that its norm is at most `limit`; 0 means no limit
/// (Pascanu et al. 2013, arXiv 1211.5063, algorithm 1).
///
/// # Errors
/// The device fails.
pub fn clip(norm: &Reading, limit: f64) -> candle_core::Result<Reading> {
    match norm {
        _ if limit <= 0.0 => Ok(Reading::Known(1.0)),
        Reading::Known(norm) if *norm <= limit => Ok(Reading::Known(1.0)),
        Reading::Known(norm) => Ok(Reading::Known(limit / (norm + 1e-6))),
        Reading::Elsewhere(norm) => ((norm + 1e-6)?.recip()? * limit)?.minimum(1.0).map(Reading::Elsewhere),
    }
}
