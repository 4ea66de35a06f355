//! MLM: spans are replaced by sentinels and restored (T5's random-span helper, arXiv 1910.10683 §3.1.4 and its code).
//! Promises: lengths are those of `core::rows`; clean and noise runs alternate, starting clean, ending in noise, or rolled around
//! the text; no closing sentinel, the end mark closes. Must not know: where windows come from.

use rand::seq::index;
use rand::{Rng, RngExt};

use super::error::ObjectiveError;
use super::example::Example;
use crate::core::rows::span_lengths;
use crate::corpus::Vocabulary;

/// A window with spans removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrupted {
    /// Kept tokens with a sentinel for each removed span, then the end mark.
    pub inputs: Vec<u32>,
    /// Each sentinel followed by the tokens it stands for, then the end mark.
    pub targets: Vec<u32>,
}

impl From<Corrupted> for Example {
    fn from(Corrupted { inputs, targets }: Corrupted) -> Self {
        Self::Pair { inputs, targets }
    }
}

/// Removes random spans from `window`; noise density and mean length of a span fix how many and how much. If they are rolled, by
/// an offset that all are equally likely to be, a span may be cut in two, at the beginning and at the end.
///
/// # Errors
/// The window has fewer than two tokens, or there are more spans than sentinels.
pub fn corrupt<R: Rng>(
    (noise_density, mean_noise_span_length, rolled): (f64, f64, bool),
    vocabulary: &Vocabulary,
    window: &[u32],
    draws: &mut R,
) -> Result<Corrupted, ObjectiveError> {
    let lengths = span_lengths(window.len(), noise_density, mean_noise_span_length)
        .ok_or_else(|| ObjectiveError::Windows { found: window.len().to_string(), least: 2 })?;
    let noise = composition(lengths.noise, lengths.spans, draws);
    let clean = composition(lengths.raw - lengths.noise, lengths.spans, draws);
    let mut removed: Vec<bool> = Vec::with_capacity(window.len());
    for (kept, dropped) in clean.into_iter().zip(noise) {
        removed.resize(removed.len() + kept, false);
        removed.resize(removed.len() + dropped, true);
    }
    if rolled {
        removed.rotate_right(draws.random_range(0..window.len()));
    }
    let mut corrupted =
        Corrupted { inputs: Vec::with_capacity(lengths.inputs), targets: Vec::with_capacity(lengths.targets) };
    let (mut spans, mut inside) = (0, false);
    for (token, removed) in window.iter().zip(removed) {
        if removed && !inside {
            let sentinel = vocabulary.sentinel(spans).ok_or(ObjectiveError::Spans(lengths.spans))?;
            corrupted.inputs.push(sentinel);
            corrupted.targets.push(sentinel);
            spans += 1;
        }
        inside = removed;
        if removed { corrupted.targets.push(*token) } else { corrupted.inputs.push(*token) }
    }
    corrupted.inputs.push(vocabulary.end());
    corrupted.targets.push(vocabulary.end());
    Ok(corrupted)
}

/// `total` as a sum of `parts` positive numbers, every such sum equally likely: the cuts are a random subset.
fn composition<R: Rng>(total: usize, parts: usize, draws: &mut R) -> Vec<usize> {
    let places = total.saturating_sub(1);
    let mut cuts: Vec<usize> =
        index::sample(draws, places, parts.saturating_sub(1).min(places)).into_iter().map(|cut| cut + 1).collect();
    cuts.sort_unstable();
    cuts.push(total);
    cuts.iter().scan(0, |before, cut| Some(cut - std::mem::replace(before, *cut))).collect()
}
