//! PLM: predict what follows a uniformly drawn split (Wang et al. 2022, arXiv 2204.05832, §3.2 and its code). And UL2's
//! S-denoiser: predict the end of a text (arXiv 2205.05131, §3.1.1). Must not know: sentinels.

use rand::{Rng, RngExt};

use super::error::ObjectiveError;
use super::example::Example;
use crate::core::rows::suffix_length;

/// A split of `length` tokens with at least one on either side.
pub(super) fn split<R: Rng>(length: usize, draws: &mut R) -> usize {
    draws.random_range(1..length)
}

/// `window` read up to `split`, and written from there.
pub(super) fn at(window: &[u32], split: usize) -> Example {
    let (inputs, targets) = window.split_at_checked(split).unwrap_or((window, &[]));
    Example::Pair { inputs: inputs.to_vec(), targets: targets.to_vec() }
}

/// The last share of `window` is written.
pub(super) fn suffix(window: &[u32], share: f64) -> Example {
    at(window, window.len() - suffix_length(window.len(), share))
}

/// Two windows that share a row: the second is split so that its prefix has the length that the first leaves free.
///
/// # Errors
/// There are not two.
pub(super) fn pair<R: Rng>(windows: &[Vec<u32>], draws: &mut R) -> Result<[Example; 2], ObjectiveError> {
    let [first, second] = windows else { return Err(ObjectiveError::Odd(windows.len())) };
    let split = split(first.len(), draws);
    Ok([at(first, split), at(second, second.len() - split)])
}
