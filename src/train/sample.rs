//! What the model writes when it is given the beginning of a held-out text: a look at the model, not a measurement.

use rand::Rng;

use super::writer::Writer;
use super::{TrainError, Trainer};
use crate::core::seed::{Stream, generator};
use crate::corpus::Corpus;
use crate::objective::Asking;

/// Softer than the model's own distribution by this much.
const TEMPERATURE: f64 = 0.8;

/// Positions that the longest form needs besides prompt and continuation.
const MARKS: usize = 5;

/// A prompt from the validation text and what the model writes after it; draws depend on the seed and the step only.
///
/// # Errors
/// The corpus cannot be read, or the device fails.
pub fn sample(trainer: &Trainer, corpus: &Corpus, tokens: usize) -> Result<(String, String), TrainError> {
    let spec = trainer.spec();
    // The form that it was trained in: a sentinel, where it has one.
    let asking = Asking::all(&spec.objective).last().map_or(Asking::Plain(None), |(_, asking)| *asking);
    let room = spec.training.seq_len.saturating_sub(MARKS);
    let prompt_length = (room / 2).min(corpus.validation().len().try_into().unwrap_or(usize::MAX)).max(1);
    let prompt = corpus.validation().window(0, prompt_length)?;
    let tokens = tokens.min(room.saturating_sub(prompt_length));
    let mut source = generator(spec.seed, Stream::Sample, trainer.step_count());
    let mut writer = Writer::new(trainer, asking, corpus.vocabulary(), &prompt, tokens)?;
    while writer.written().len() < tokens {
        let uniform = f64::from(source.next_u32()) / 4_294_967_296.0;
        let next = draw(writer.logits(), uniform);
        if writer.ends(next) {
            break;
        }
        writer.write(next)?;
    }
    Ok((corpus.tokenizer().decode(&prompt), corpus.tokenizer().decode(writer.written())))
}

/// The token at `uniform` (in [0, 1)) of the softened distribution.
fn draw(logits: &[f32], uniform: f64) -> u32 {
    let peak = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = logits.iter().map(|logit| (f64::from(logit - peak) / TEMPERATURE).exp()).collect();
    let mut left = uniform * weights.iter().sum::<f64>();
    let place = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    u32::try_from(place.unwrap_or(weights.len().saturating_sub(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_distribution() {
        let logits = [0.0, f32::ln(3.0) * 0.8, f32::NEG_INFINITY];
        assert_eq!(draw(&logits, 0.0), 0);
        assert_eq!(draw(&logits, 0.249), 0);
        assert_eq!(draw(&logits, 0.251), 1);
        assert_eq!(draw(&logits, 0.999_999), 1);
    }
}
