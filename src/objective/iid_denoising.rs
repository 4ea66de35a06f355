//! IID: tokens are dropped one by one, neighbours under one sentinel, and restored: the baseline of T5's Table 2 (Raffel et al.
//! 2019, arXiv 1910.10683, §3.1.4). Promises: a run of dropped tokens has the same sentinel in inputs and targets wherever it
//! stands: also a text that begins with one. (In T5's code the targets of such a text are one sentinel off.)
//! Must not know: where windows come from.

use rand::{Rng, RngExt};

use super::error::ObjectiveError;
use super::span_corruption::Corrupted;
use crate::core::rows::iid_bounds;
use crate::corpus::Vocabulary;

/// Drops tokens of `window` with probability `noise_density` each; at least one, and not more than rows have room for: what
/// would be too much is kept, from the end on.
///
/// # Errors
/// There are more runs of dropped tokens than sentinels.
pub fn drop_tokens<R: Rng>(
    noise_density: f64,
    vocabulary: &Vocabulary,
    window: &[u32],
    draws: &mut R,
) -> Result<Corrupted, ObjectiveError> {
    let mut dropped: Vec<bool> = window.iter().map(|_| draws.random::<f64>() < noise_density).collect();
    if !dropped.contains(&true) {
        let lonely = draws.random_range(0..window.len().max(1));
        dropped.iter_mut().skip(lonely).take(1).for_each(|dropped| *dropped = true);
    }
    let bounds = iid_bounds(window.len(), noise_density);
    while exceeds(&dropped, bounds) {
        let Some(last) = dropped.iter().rposition(|dropped| *dropped) else { break };
        dropped.iter_mut().skip(last).take(1).for_each(|dropped| *dropped = false);
    }
    let mut corrupted = Corrupted { inputs: Vec::new(), targets: Vec::new() };
    let mut sentinels = 0..;
    let mut rest = window;
    for run in dropped.chunk_by(|a, b| a == b) {
        let (tokens, tail) = rest.split_at_checked(run.len()).unwrap_or((rest, &[]));
        rest = tail;
        if run.first() == Some(&true) {
            let number = sentinels.next().unwrap_or(u32::MAX);
            let sentinel = vocabulary.sentinel(number).ok_or(ObjectiveError::Spans(number as usize + 1))?;
            corrupted.inputs.push(sentinel);
            corrupted.targets.push(sentinel);
            corrupted.targets.extend_from_slice(tokens);
        } else {
            corrupted.inputs.extend_from_slice(tokens);
        }
    }
    corrupted.inputs.push(vocabulary.end());
    corrupted.targets.push(vocabulary.end());
    Ok(corrupted)
}

fn exceeds(dropped: &[bool], (most, most_runs): (usize, usize)) -> bool {
    let runs = dropped.chunk_by(|a, b| a == b).filter(|run| run.first() == Some(&true)).count();
    dropped.iter().filter(|dropped| **dropped).count() > most || runs > most_runs
}
