//! Every number the lab measures: its name, unit and direction, once. A new metric is one variant and one row here,
//! and is emitted where it is computed; charts and leaderboards need nothing.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Smaller is better.
    Lower,
    /// Larger is better.
    Higher,
    /// Neither: it describes.
    Neutral,
}

/// A measured quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Mean negative log-likelihood of the training targets of one optimizer step.
    Loss,
    /// The same on held-out examples that are fixed for a corpus.
    ValidationLoss,
    /// exp(validation loss).
    Perplexity,
    /// Validation loss spread over the UTF-8 bytes of the targets.
    BitsPerByte,
    /// Entropy of the validation targets under their own unigram distribution: what a model without context reaches.
    TargetEntropy,
    /// Global L2 norm of the gradient before clipping.
    GradNorm,
    /// Learning rate of the step.
    LearningRate,
    /// Training speed over all positions, encoder and decoder.
    TokensPerSecond,
    /// Prompt tokens read per second, one text at a time, until the first token can be written.
    PrefillTokensPerSecond,
    /// Tokens written per second, one text at a time, with keys and values remembered.
    DecodeTokensPerSecond,
    /// Effective rank of the attention matrices of decoder (or only) self-attention as a share of the sequence length,
    /// mean over layers and heads: 1 for the identity, 1/4 for uniform causal attention, 1/n for uniform full attention.
    EffectiveRankShare,
    /// Mean negative log-likelihood of held-out continuations given their prefixes, the same pairs for every cell: the
    /// one loss that may be compared across objectives.
    ContinuationLoss,
    /// The same spread over the UTF-8 bytes of the continuations.
    ContinuationBitsPerByte,
    /// Continuation loss asked in the form of span corruption, behind a sentinel; only of models trained so.
    ContinuationLossSentinel,
    /// The same spread over bytes.
    ContinuationBitsPerByteSentinel,
    /// Zero-shot accuracy: mean over the families of wordings of the median accuracy over their wordings.
    ZeroShotAcc,
    /// The same after (acc − chance) / (1 − chance): 0 is guessing, 1 is perfect.
    ZeroShotAboveChance,
    /// Zero-shot accuracy asked behind a sentinel; only of models trained so.
    ZeroShotAccSentinel,
    /// The same above chance.
    ZeroShotAboveChanceSentinel,
}

/// How values of a metric are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// With the metric's digits after the point.
    Fixed,
    /// Three digits and a prefix: `12.3k`.
    Count,
    /// `3.5e-4`.
    Scientific,
}

/// What a metric is called and how it is read.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// The field's word, as stored.
    pub name: &'static str,
    /// A short heading for tables.
    pub heading: &'static str,
    /// Its unit; empty if it has none.
    pub unit: &'static str,
    /// Which way is better.
    pub direction: Direction,
    /// Digits after the point in tables.
    pub decimals: usize,
    /// How people see it.
    pub notation: Notation,
}

/// Measured values at one step.
pub type Metrics = BTreeMap<Metric, f64>;

impl Metric {
    /// All metrics, in the order in which tables show them.
    pub const ALL: [Self; 19] = [
        Self::Loss,
        Self::ValidationLoss,
        Self::Perplexity,
        Self::BitsPerByte,
        Self::TargetEntropy,
        Self::GradNorm,
        Self::LearningRate,
        Self::TokensPerSecond,
        Self::PrefillTokensPerSecond,
        Self::DecodeTokensPerSecond,
        Self::EffectiveRankShare,
        Self::ContinuationLoss,
        Self::ContinuationBitsPerByte,
        Self::ContinuationLossSentinel,
        Self::ContinuationBitsPerByteSentinel,
        Self::ZeroShotAcc,
        Self::ZeroShotAboveChance,
        Self::ZeroShotAccSentinel,
        Self::ZeroShotAboveChanceSentinel,
    ];

    /// Name, unit and direction.
    #[must_use]
    pub const fn definition(self) -> Definition {
        use Notation::{Count, Fixed, Scientific};
        let (name, heading, unit, direction, decimals, notation) = match self {
            Self::Loss => ("loss", "loss", "nats/token", Direction::Lower, 4, Fixed),
            Self::ValidationLoss => ("validation_loss", "val loss", "nats/token", Direction::Lower, 4, Fixed),
            Self::Perplexity => ("perplexity", "perplexity", "", Direction::Lower, 2, Fixed),
            Self::BitsPerByte => ("bits_per_byte", "bits/byte", "bits", Direction::Lower, 4, Fixed),
            Self::TargetEntropy => ("target_entropy", "unigram", "nats/token", Direction::Neutral, 4, Fixed),
            Self::GradNorm => ("grad_norm", "grad norm", "", Direction::Neutral, 3, Fixed),
            Self::LearningRate => ("learning_rate", "lr", "", Direction::Neutral, 6, Scientific),
            Self::TokensPerSecond => ("tokens_per_second", "tokens/s", "1/s", Direction::Higher, 0, Count),
            Self::PrefillTokensPerSecond => {
                ("prefill_tokens_per_second", "prefill tok/s", "1/s", Direction::Higher, 0, Count)
            }
            Self::DecodeTokensPerSecond => {
                ("decode_tokens_per_second", "decode tok/s", "1/s", Direction::Higher, 0, Count)
            }
            Self::EffectiveRankShare => ("effective_rank_share", "eff rank/n", "of n", Direction::Neutral, 4, Fixed),
            Self::ContinuationLoss => ("continuation_loss", "cont loss", "nats/token", Direction::Lower, 4, Fixed),
            Self::ContinuationBitsPerByte => {
                ("continuation_bits_per_byte", "cont bits/byte", "bits", Direction::Lower, 4, Fixed)
            }
            Self::ContinuationLossSentinel => {
                ("continuation_loss_sentinel", "cont loss <X0>", "nats/token", Direction::Lower, 4, Fixed)
            }
            Self::ContinuationBitsPerByteSentinel => {
                ("continuation_bits_per_byte_sentinel", "cont bits/byte <X0>", "bits", Direction::Lower, 4, Fixed)
            }
            Self::ZeroShotAcc => ("zero_shot_acc", "zero-shot", "acc", Direction::Higher, 3, Fixed),
            Self::ZeroShotAboveChance => {
                ("zero_shot_above_chance", "above chance", "of perfect", Direction::Higher, 3, Fixed)
            }
            Self::ZeroShotAccSentinel => {
                ("zero_shot_acc_sentinel", "zero-shot <X0>", "acc", Direction::Higher, 3, Fixed)
            }
            Self::ZeroShotAboveChanceSentinel => {
                ("zero_shot_above_chance_sentinel", "above chance <X0>", "of perfect", Direction::Higher, 3, Fixed)
            }
        };
        Definition { name, heading, unit, direction, decimals, notation }
    }

    /// The field's word, as stored and typed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.definition().name
    }

    /// Between what it lies, where both ends are known and near. A score above chance lies in these where guessing is right no
    /// more than half of the time.
    #[must_use]
    pub const fn bounds(self) -> Option<(f64, f64)> {
        match self {
            Self::ZeroShotAcc | Self::ZeroShotAccSentinel => Some((0.0, 1.0)),
            Self::ZeroShotAboveChance | Self::ZeroShotAboveChanceSentinel => Some((-1.0, 1.0)),
            Self::Loss
            | Self::ValidationLoss
            | Self::Perplexity
            | Self::BitsPerByte
            | Self::TargetEntropy
            | Self::GradNorm
            | Self::LearningRate
            | Self::TokensPerSecond
            | Self::PrefillTokensPerSecond
            | Self::DecodeTokensPerSecond
            | Self::EffectiveRankShare
            | Self::ContinuationLoss
            | Self::ContinuationBitsPerByte
            | Self::ContinuationLossSentinel
            | Self::ContinuationBitsPerByteSentinel => None,
        }
    }

    /// The metric of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_names_are_the_defined_names() {
        for metric in Metric::ALL {
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
            assert_eq!(Metric::from_name(metric.name()), Some(metric));
        }
    }
}
