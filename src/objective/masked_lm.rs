//! BERT: a share of the tokens is restored in place (Devlin et al. 2018, arXiv 1810.04805, §3.1). Of those chosen 80 % are
//! masked, 10 % replaced by a random token and 10 % left as they are. Must not know: architectures.

use rand::seq::index;
use rand::{Rng, RngExt};

use super::example::Example;
use crate::core::rows::suffix_length;
use crate::corpus::{Mark, Vocabulary};

/// Chooses exactly `noise_density` of `window`, rounded, at least one.
pub(super) fn mask<R: Rng>(noise_density: f64, vocabulary: &Vocabulary, window: &[u32], draws: &mut R) -> Example {
    let count = suffix_length(window.len(), noise_density);
    let mut chosen = index::sample(draws, window.len(), count).into_vec();
    chosen.sort_unstable();
    let mut tokens = window.to_vec();
    let mut masked = Vec::with_capacity(count);
    for place in chosen {
        let Some(token) = tokens.get_mut(place) else { continue };
        masked.push((place, *token));
        let luck = draws.random::<f64>();
        if luck < 0.8 {
            *token = vocabulary.of(Mark::Mask);
        } else if luck < 0.9 {
            *token = draws.random_range(0..vocabulary.text_size().max(1));
        }
    }
    Example::InPlace { tokens, masked }
}
