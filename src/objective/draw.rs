//! Which task of a mixture makes an example, and the example.
//! Promises: the same draws give the same example; a mode stands before the inputs. Must not know: rows, batches, architectures.

use rand::{Rng, RngExt};

use super::error::ObjectiveError;
use super::example::{Example, Words};
use super::{blank_infilling, iid_denoising, masked_lm, prefix_lm, span_corruption};
use crate::core::rows::task_lengths;
use crate::core::{MixturePart, Mode, Task};
use crate::corpus::{Mark, Vocabulary};

/// The token that says a mode.
#[must_use]
pub(super) const fn mode_token(vocabulary: &Vocabulary, mode: Mode) -> u32 {
    vocabulary.of(match mode {
        Mode::R => Mark::Regular,
        Mode::S => Mark::Sequential,
        Mode::X => Mark::Extreme,
    })
}

/// One of `parts`, by weight; the only one without a draw.
pub(super) fn chosen<'p, R: Rng>(parts: &'p [MixturePart], draws: &mut R) -> Option<&'p MixturePart> {
    if parts.len() < 2 {
        return parts.first();
    }
    let mut left = draws.random::<f64>() * parts.iter().map(|part| part.weight).sum::<f64>();
    let found = parts.iter().find(|part| {
        left -= part.weight;
        left < 0.0
    });
    found.or(parts.last())
}

/// What `part` makes of the beginning of `window`, as much as fits into a row of `seq_len`.
///
/// # Errors
/// Nothing fits, or there are more spans than marks.
pub fn example<R: Rng>(
    part: &MixturePart,
    words: Words<'_>,
    window: &[u32],
    seq_len: usize,
    draws: &mut R,
) -> Result<Example, ObjectiveError> {
    let short = || ObjectiveError::Windows { found: window.len().to_string(), least: 2 };
    let lengths = task_lengths(part, seq_len).ok_or_else(short)?;
    let window = window.get(..lengths.window).ok_or_else(short)?;
    let vocabulary = words.vocabulary;
    let made = match part.task {
        // Its pairs are not made of texts.
        Task::Prompted => return Err(ObjectiveError::Prompted),
        Task::FullLm => Example::Pair { inputs: Vec::new(), targets: window.to_vec() },
        Task::PrefixLm => prefix_lm::at(window, prefix_lm::split(window.len(), draws)),
        Task::Suffix => prefix_lm::suffix(window, part.noise_density),
        Task::SpanCorruption => {
            let settings = (part.noise_density, part.mean_noise_span_length, part.rolled);
            span_corruption::corrupt(settings, vocabulary, window, draws)?.into()
        }
        Task::IidDenoising => iid_denoising::drop_tokens(part.noise_density, vocabulary, window, draws)?.into(),
        Task::MaskedLm => masked_lm::mask(part.noise_density, vocabulary, window, draws),
        Task::BlankTokens | Task::BlankSentences | Task::BlankDocument => {
            blank_infilling::blank(part, words, window, draws)
        }
    };
    Ok(match (made, part.mode) {
        (Example::Pair { mut inputs, targets }, Some(mode)) => {
            if inputs.iter().chain(&targets).any(|id| vocabulary.is_mark(*id)) {
                return Err(ObjectiveError::Marks);
            }
            inputs.insert(0, mode_token(vocabulary, mode));
            Example::Pair { inputs, targets }
        }
        (other, _) => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::seed::{Stream, generator};
    use crate::core::{Objective, ObjectiveSpec};

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    fn every_task_of_a_mixture_has_its_share() {
        for objective in [Objective::Ul2, Objective::Ul2R, Objective::BlankInfilling] {
            let parts = ObjectiveSpec::new(objective, (0.15, 3.0), false, &[]).parts();
            let total: f64 = parts.iter().map(|part| part.weight).sum();
            let drawn: Vec<&MixturePart> =
                (0..20_000).filter_map(|n| chosen(&parts, &mut generator(1, Stream::Objective, n))).collect();
            for part in &parts {
                let (share, found) = (part.weight / total, drawn.iter().filter(|one| **one == part).count());
                // Four standard deviations.
                let allowed = 4.0 * (20_000.0 * share * (1.0 - share)).sqrt();
                assert!((found as f64 - 20_000.0 * share).abs() < allowed, "{objective} {part:?}: {found}");
            }
        }
    }
}
