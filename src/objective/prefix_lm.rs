//! PLM: predict what follows a uniformly drawn split (Wang et al. 2022, arXiv 2204.05832, §3.2 and its code).
//! Promises: inputs are shifted right, so a non-causal prefix of p tokens covers p + 1 positions; an encoder–decoder
//! packs two examples so that encoder and decoder are full. Must not know: sentinels.

use rand::{Rng, RngExt};

use super::batch::{Batch, ObjectiveError, shifted};
use crate::core::{Architecture, ObjectiveSpec};
use crate::corpus::Vocabulary;

pub(super) fn batch<R: Rng>(
    spec: &ObjectiveSpec,
    architecture: Architecture,
    vocabulary: &Vocabulary,
    windows: &[Vec<u32>],
    length: usize,
    draw: &mut dyn FnMut(usize) -> R,
) -> Result<Batch, ObjectiveError> {
    let mut split = |example: usize| draw(example).random_range(1..length);
    match architecture {
        Architecture::CausalDecoder | Architecture::NonCausalDecoder => {
            let mut batch = Batch::empty(length, None);
            for (example, window) in windows.iter().enumerate() {
                let split = split(example);
                let weight_from = if spec.loss_on_inputs { 0 } else { split };
                let prefix = if architecture == Architecture::NonCausalDecoder { split + 1 } else { 0 };
                batch.push_shifted(vocabulary.start(), window, weight_from, prefix);
            }
            Ok(batch)
        }
        Architecture::EncoderDecoder => {
            if !windows.len().is_multiple_of(2) {
                return Err(ObjectiveError::Odd(windows.len()));
            }
            let mut batch = Batch::empty(length, Some(length));
            for (row, pair) in windows.chunks_exact(2).enumerate() {
                // The second prefix has the length that the first leaves free.
                let at = split(2 * row);
                push_pair(&mut batch, vocabulary, pair, [at, length - at]);
            }
            Ok(batch)
        }
    }
}

/// Appends a row with two examples, each split where `splits` says.
fn push_pair(batch: &mut Batch, vocabulary: &Vocabulary, pair: &[Vec<u32>], splits: [usize; 2]) {
    batch.rows += 1;
    batch.prefix_lengths.push(0);
    for ((window, split), segment) in pair.iter().zip(splits).zip(1..) {
        let Some((prefix, suffix)) = window.split_at_checked(split) else { continue };
        if let Some(encoder) = &mut batch.encoder {
            encoder.push(segment, prefix);
        }
        batch.decoder.push(segment, &shifted(vocabulary.start(), suffix));
        batch.targets.extend_from_slice(suffix);
        batch.loss_weights.extend(suffix.iter().map(|_| 1.0));
    }
}
