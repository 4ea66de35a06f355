//! How many positions an example takes, for each architecture × objective: arithmetic shared by planner and batcher.
//! Source: Wang et al. 2022 (arXiv 2204.05832) and the random-span helper of T5 (arXiv 1910.10683, §3.1.4).

use super::spec::{Architecture, Objective, ObjectiveSpec};

/// Lengths of one span-corrupted example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanLengths {
    /// Tokens of raw text.
    pub raw: usize,
    /// Tokens removed.
    pub noise: usize,
    /// Spans they form; each becomes one sentinel.
    pub spans: usize,
    /// Kept tokens, sentinels and end mark.
    pub inputs: usize,
    /// Removed tokens, sentinels and end mark.
    pub targets: usize,
}

/// The lengths that `raw` tokens give; `None` if there is no room for one kept and one removed token.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "lengths are far below 2^52"
)]
pub fn span_lengths(raw: usize, noise_density: f64, mean_noise_span_length: f64) -> Option<SpanLengths> {
    if raw < 2 {
        return None;
    }
    let noise = ((raw as f64 * noise_density).round_ties_even() as usize).clamp(1, raw - 1);
    let spans = ((noise as f64 / mean_noise_span_length).round_ties_even() as usize).clamp(1, noise.min(raw - noise));
    Some(SpanLengths { raw, noise, spans, inputs: raw - noise + spans + 1, targets: noise + spans + 1 })
}

/// The longest raw window whose inputs and targets fit into `budget` positions together.
///
/// With 626 positions, density 0.15 and mean 3 this is T5's 568 → 512 + 114.
#[must_use]
pub fn span_window(budget: usize, noise_density: f64, mean_noise_span_length: f64) -> Option<SpanLengths> {
    (2..budget)
        .rev()
        .filter_map(|raw| span_lengths(raw, noise_density, mean_noise_span_length))
        .find(|lengths| lengths.inputs + lengths.targets <= budget)
}

/// Positions of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchShape {
    /// Rows.
    pub rows: usize,
    /// Encoder positions per row; 0 without an encoder.
    pub encoder_len: usize,
    /// Decoder positions per row.
    pub decoder_len: usize,
    /// Raw tokens that one example takes from the stream.
    pub window: usize,
    /// Examples packed into one row.
    pub examples_per_row: usize,
}

impl BatchShape {
    /// Positions of the whole batch, encoder and decoder.
    #[must_use]
    pub const fn positions(&self) -> usize {
        self.rows * (self.encoder_len + self.decoder_len)
    }
}

/// The shape of `examples` examples of `seq_len` positions; `None` where nothing fits (too short, or an odd number
/// of examples where two share a row).
#[must_use]
pub fn batch_shape(
    architecture: Architecture,
    objective: &ObjectiveSpec,
    examples: usize,
    seq_len: usize,
) -> Option<BatchShape> {
    if examples == 0 || seq_len < 2 {
        return None;
    }
    let plain =
        BatchShape { rows: examples, encoder_len: 0, decoder_len: seq_len, window: seq_len, examples_per_row: 1 };
    match (architecture, objective.objective) {
        (Architecture::EncoderDecoder, Objective::FullLm | Objective::PrefixLm) => (examples.is_multiple_of(2))
            .then_some(BatchShape { rows: examples / 2, encoder_len: seq_len, examples_per_row: 2, ..plain }),
        (_, Objective::FullLm | Objective::PrefixLm) => Some(plain),
        (Architecture::EncoderDecoder, Objective::SpanCorruption) => {
            let spans = span_window(seq_len, objective.noise_density, objective.mean_noise_span_length)?;
            Some(BatchShape { encoder_len: spans.inputs, decoder_len: spans.targets, window: spans.raw, ..plain })
        }
        (Architecture::CausalDecoder | Architecture::NonCausalDecoder, Objective::SpanCorruption) => {
            let spans = span_window(seq_len, objective.noise_density, objective.mean_noise_span_length)?;
            Some(BatchShape { decoder_len: spans.inputs + spans.targets, window: spans.raw, ..plain })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t5_lengths() {
        let spans = span_window(626, 0.15, 3.0).unwrap();
        assert_eq!(spans, SpanLengths { raw: 568, noise: 85, spans: 28, inputs: 512, targets: 114 });
        assert!(span_window(4, 0.15, 3.0).is_none());
        assert!(span_window(6, 0.15, 3.0).is_some());
    }

    #[test]
    fn windows_never_exceed_the_budget() {
        for budget in 6..700 {
            let spans = span_window(budget, 0.15, 3.0).unwrap();
            assert!(spans.inputs + spans.targets <= budget);
            assert_eq!(spans.inputs + spans.targets, spans.raw + 2 * spans.spans + 2);
        }
    }
}
