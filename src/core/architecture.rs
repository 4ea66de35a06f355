//! How the layers of a model are wired. Promises: a closed list; what tells architectures apart for an objective is their
//! layout, and where weights may go on is told by their kind of weights. Must not know: sizes, objectives.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the layers are wired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Architecture {
    /// CD: every position sees itself and what came before.
    #[serde(rename = "CD", alias = "cd", alias = "causal_decoder")]
    CausalDecoder,
    /// ND: a prefix sees itself both ways, the rest is causal.
    #[serde(rename = "ND", alias = "nd", alias = "non_causal_decoder")]
    NonCausalDecoder,
    /// ED: a bidirectional encoder and a causal decoder with cross-attention; twice the parameters of a decoder.
    #[serde(rename = "ED", alias = "ed", alias = "encoder_decoder")]
    EncoderDecoder,
    /// EDS: both stacks share self-attention and MLP; the decoder has its own cross-attention (T5, arXiv 1910.10683, §3.2.2).
    #[serde(rename = "EDS", alias = "eds", alias = "shared_encoder_decoder")]
    SharedEncoderDecoder,
    /// EDH: half of the blocks in each stack, so as many as a decoder has in all (T5, §3.2.2).
    #[serde(rename = "EDH", alias = "edh", alias = "half_encoder_decoder")]
    HalfEncoderDecoder,
    /// EDC: the encoder is causal too (left open by Su Jianlin's argument).
    #[serde(rename = "EDC", alias = "edc", alias = "causal_encoder_decoder")]
    CausalEncoderDecoder,
    /// EDM: the decoder looks at itself and at the encoder in one attention (T5Gemma 2, arXiv 2512.14856).
    #[serde(rename = "EDM", alias = "edm", alias = "merged_encoder_decoder")]
    MergedEncoderDecoder,
    /// EO: one stack, every position sees every other (BERT, arXiv 1810.04805).
    #[serde(rename = "EO", alias = "eo", alias = "encoder_only")]
    EncoderOnly,
}

/// Where an example goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Inputs and targets one behind the other in one causal stack; the inputs see themselves both ways if `prefix`.
    Decoder {
        /// Whether they do.
        prefix: bool,
    },
    /// Inputs in the encoder, targets in the decoder.
    EncoderDecoder,
    /// One stack that predicts some of the tokens it reads, in their places.
    Encoder,
}

/// Models of one kind have the same weights by name and shape: a later stage may go on with them under another mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightKind {
    /// One stack.
    OneStack,
    /// Two, of which the decoder has cross-attention.
    TwoStacks,
    /// Shared blocks.
    Shared,
    /// Two stacks of half the depth.
    Half,
    /// Two stacks without cross-attention of its own.
    Merged,
}

impl Architecture {
    /// All, in the order of tables.
    pub const ALL: [Self; 8] = [
        Self::CausalDecoder,
        Self::NonCausalDecoder,
        Self::EncoderDecoder,
        Self::SharedEncoderDecoder,
        Self::HalfEncoderDecoder,
        Self::CausalEncoderDecoder,
        Self::MergedEncoderDecoder,
        Self::EncoderOnly,
    ];

    /// Two or three letters for tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::CausalDecoder => "CD",
            Self::NonCausalDecoder => "ND",
            Self::EncoderDecoder => "ED",
            Self::SharedEncoderDecoder => "EDS",
            Self::HalfEncoderDecoder => "EDH",
            Self::CausalEncoderDecoder => "EDC",
            Self::MergedEncoderDecoder => "EDM",
            Self::EncoderOnly => "EO",
        }
    }

    /// The name in words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::CausalDecoder => "causal decoder",
            Self::NonCausalDecoder => "non-causal decoder",
            Self::EncoderDecoder => "encoder-decoder",
            Self::SharedEncoderDecoder => "shared encoder-decoder",
            Self::HalfEncoderDecoder => "half-depth encoder-decoder",
            Self::CausalEncoderDecoder => "encoder-decoder, causal encoder",
            Self::MergedEncoderDecoder => "encoder-decoder, merged attention",
            Self::EncoderOnly => "encoder-only",
        }
    }

    /// In a sentence, for the composer.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::CausalDecoder => "one stack, each position sees only the past",
            Self::NonCausalDecoder => "one stack, the prefix sees itself both ways",
            Self::EncoderDecoder => {
                "two stacks: the encoder reads both ways, the decoder writes; about twice the parameters"
            }
            Self::SharedEncoderDecoder => {
                "two stacks with the same self-attention and MLP: about a decoder's parameters"
            }
            Self::HalfEncoderDecoder => "two stacks of num_layers / 2: about a decoder's parameters, half its FLOPs",
            Self::CausalEncoderDecoder => "two stacks, and the encoder sees only the past: parameters without the mask",
            Self::MergedEncoderDecoder => {
                "two stacks, no cross-attention: the decoder looks at itself and the encoder in one softmax"
            }
            Self::EncoderOnly => "one stack, all sees all: restores masked tokens, scored by pseudo-log-likelihood",
        }
    }

    /// Where examples go.
    #[must_use]
    pub const fn layout(self) -> Layout {
        match self {
            Self::CausalDecoder => Layout::Decoder { prefix: false },
            Self::NonCausalDecoder => Layout::Decoder { prefix: true },
            Self::EncoderDecoder
            | Self::SharedEncoderDecoder
            | Self::HalfEncoderDecoder
            | Self::CausalEncoderDecoder
            | Self::MergedEncoderDecoder => Layout::EncoderDecoder,
            Self::EncoderOnly => Layout::Encoder,
        }
    }

    /// Whether a prefix sees itself both ways in the decoder's only stack.
    #[must_use]
    pub const fn has_prefix(self) -> bool {
        matches!(self.layout(), Layout::Decoder { prefix: true })
    }

    /// Whether there is an encoder besides the decoder.
    #[must_use]
    pub const fn has_encoder(self) -> bool {
        matches!(self.layout(), Layout::EncoderDecoder)
    }

    /// Whether a stack sees both ways throughout: that of EO, the encoder of most encoder–decoders.
    #[must_use]
    pub const fn has_bidirectional_stack(self) -> bool {
        match self {
            Self::CausalDecoder | Self::NonCausalDecoder | Self::CausalEncoderDecoder => false,
            Self::EncoderDecoder
            | Self::SharedEncoderDecoder
            | Self::HalfEncoderDecoder
            | Self::MergedEncoderDecoder
            | Self::EncoderOnly => true,
        }
    }

    /// Whether decoder blocks have a cross-attention of their own.
    #[must_use]
    pub const fn has_cross_attention(self) -> bool {
        self.has_encoder() && !matches!(self, Self::MergedEncoderDecoder)
    }

    /// What weights it has.
    #[must_use]
    pub const fn weights(self) -> WeightKind {
        match self {
            Self::CausalDecoder | Self::NonCausalDecoder | Self::EncoderOnly => WeightKind::OneStack,
            Self::EncoderDecoder | Self::CausalEncoderDecoder => WeightKind::TwoStacks,
            Self::SharedEncoderDecoder => WeightKind::Shared,
            Self::HalfEncoderDecoder => WeightKind::Half,
            Self::MergedEncoderDecoder => WeightKind::Merged,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}
