//! The shape of a model and what its blocks are made of. Promises: what every model had before there was a choice is left out
//! of ids, so that no finished run is trained again. Must not know: how anything is computed.

use serde::{Deserialize, Serialize};

use super::architecture::Architecture;

/// How a model knows where a token stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// Queries and keys of self-attention are turned by their places (RoFormer, arXiv 2104.09864).
    #[default]
    Rope,
    /// A learnt number per head and bucket of distances is added to the logits of self-attention, one table per stack: 32
    /// buckets, up to a distance of 128, of both directions where a position may see what follows it (T5, arXiv 1910.10683,
    /// §2.1).
    T5Bias,
    /// A fixed multiple of the distance is taken from the logits of self-attention (Press et al. 2021, arXiv 2108.12409).
    Alibi,
    /// A learnt vector per place is added to the token's embedding (Vaswani et al. 2017, arXiv 1706.03762, §3.5).
    Learned,
    /// It does not, but for the mask.
    None,
}

/// What a block does besides looking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mlp {
    /// Gated by SiLU (Shazeer 2020, arXiv 2002.05202, eq. 6).
    #[default]
    SwiGlu,
    /// Gated by GELU in its tanh approximation (the same, eq. 6).
    GeGlu,
    /// GELU in its tanh approximation.
    Gelu,
    /// max(x, 0).
    Relu,
}

impl Mlp {
    /// Matrices of `d_model` × `d_ff`.
    #[must_use]
    pub const fn matrices(self) -> usize {
        match self {
            Self::SwiGlu | Self::GeGlu => 3,
            Self::Gelu | Self::Relu => 2,
        }
    }
}

/// What rows are brought to before they are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Root mean square 1, with a gain (Zhang & Sennrich 2019, arXiv 1910.07467).
    #[default]
    RmsNorm,
    /// Mean 0 and deviation 1, with a gain and a bias (Ba et al. 2016, arXiv 1607.06450).
    LayerNorm,
}

impl NormKind {
    /// Vectors of `d_model`.
    #[must_use]
    pub const fn vectors(self) -> usize {
        match self {
            Self::RmsNorm => 1,
            Self::LayerNorm => 2,
        }
    }
}

/// Where the positions of a bidirectional stack look (Su Jianlin's mixed-direction attention).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttentionDirection {
    /// Both ways, in every head.
    #[default]
    Both,
    /// The first half of the heads at themselves and what came before, the others at themselves and what follows.
    MixedHeads,
    /// Even layers, the first included, at what came before, odd ones at what follows.
    AlternatingLayers,
}

/// Settings that belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelPreset {
    /// RoPE, SwiGLU, RMSNorm, an output matrix of its own (Llama, arXiv 2302.13971, §2.2).
    #[default]
    Llama,
    /// T5's relative bias, GEGLU, RMSNorm, tied embeddings (T5 1.1 as Wang et al. 2022 used it, arXiv 2204.05832; T5 1.1
    /// itself has them untied).
    T5,
}

impl ModelPreset {
    /// What it stands for.
    #[must_use]
    pub const fn parts(self) -> (Position, Mlp, NormKind, bool) {
        match self {
            Self::Llama => (Position::Rope, Mlp::SwiGlu, NormKind::RmsNorm, false),
            Self::T5 => (Position::T5Bias, Mlp::GeGlu, NormKind::RmsNorm, true),
        }
    }
}

/// A word for every value, as in settings; the first is what is not said on screen because it is usual.
macro_rules! words {
    ($kind:ty { $($value:ident => $word:literal),+ $(,)? }) => {
        impl $kind {
            /// All, the usual one first.
            pub const ALL: &[Self] = &[$(Self::$value),+];

            /// Its name in settings.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$value => $word),+
                }
            }

            /// What every model was before there was a choice.
            #[must_use]
            pub fn is_usual(&self) -> bool {
                *self == Self::default()
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words!(Position { Rope => "rope", T5Bias => "t5_bias", Alibi => "alibi", Learned => "learned", None => "none" });
words!(Mlp { SwiGlu => "swiglu", GeGlu => "geglu", Gelu => "gelu", Relu => "relu" });
words!(NormKind { RmsNorm => "rms_norm", LayerNorm => "layer_norm" });
words!(AttentionDirection { Both => "both", MixedHeads => "mixed_heads", AlternatingLayers => "alternating_layers" });
words!(ModelPreset { Llama => "llama", T5 => "t5" });

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Shape of a model. Every head has `head_dim` dimensions whatever `d_model / num_heads` is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Wiring.
    pub architecture: Architecture,
    /// Token ids, specials and sentinels included.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Hidden width of the MLP.
    pub d_ff: usize,
    /// Blocks of the decoder; an encoder–decoder has as many in its encoder, one of half depth half of them in each.
    pub num_layers: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Size of one head; even with RoPE, which turns pairs.
    pub head_dim: usize,
    /// Base of the rotary frequencies (RoFormer, arXiv 2104.09864, eq. 15).
    pub rope_theta: f64,
    /// Added to the mean square in norms.
    pub norm_epsilon: f64,
    /// How it knows places.
    #[serde(default, skip_serializing_if = "Position::is_usual")]
    pub position: Position,
    /// What blocks do besides looking.
    #[serde(default, skip_serializing_if = "Mlp::is_usual")]
    pub mlp: Mlp,
    /// What rows are brought to.
    #[serde(default, skip_serializing_if = "NormKind::is_usual")]
    pub norm: NormKind,
    /// Whether the embedding is the output matrix too; logits are divided by √`d_model` then (Mesh TensorFlow's T5).
    #[serde(default, skip_serializing_if = "is_false")]
    pub tied_embeddings: bool,
    /// Where a bidirectional stack looks.
    #[serde(default, skip_serializing_if = "AttentionDirection::is_usual")]
    pub direction: AttentionDirection,
    /// Rows of the table of learned positions; 0 without one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_positions: usize,
    /// Rows of the table of GLM's second positions, those inside a blank; 0 without one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub block_positions: usize,
}

impl ModelSpec {
    /// A model of the usual parts, of sizes `d_model`, `d_ff`, `num_layers`, `num_heads` and `head_dim`.
    #[must_use]
    pub fn of_size(architecture: Architecture, vocab_size: usize, sizes: [usize; 5]) -> Self {
        let [d_model, d_ff, num_layers, num_heads, head_dim] = sizes;
        let (position, mlp, norm, tied_embeddings) = ModelPreset::default().parts();
        Self {
            architecture,
            vocab_size,
            d_model,
            d_ff,
            num_layers,
            num_heads,
            head_dim,
            rope_theta: 10_000.0,
            norm_epsilon: 1e-6,
            position,
            mlp,
            norm,
            tied_embeddings,
            direction: AttentionDirection::default(),
            max_positions: 0,
            block_positions: 0,
        }
    }

    /// Blocks of the encoder and of the decoder, or of the only stack.
    #[must_use]
    pub const fn depths(&self) -> (usize, usize) {
        match self.architecture {
            Architecture::CausalDecoder | Architecture::NonCausalDecoder | Architecture::EncoderOnly => {
                (0, self.num_layers)
            }
            Architecture::EncoderDecoder
            | Architecture::SharedEncoderDecoder
            | Architecture::CausalEncoderDecoder
            | Architecture::MergedEncoderDecoder => (self.num_layers, self.num_layers),
            Architecture::HalfEncoderDecoder => (self.num_layers / 2, self.num_layers / 2),
        }
    }

    /// `t5_bias geglu`: what is not usual about it, for labels; empty if nothing is.
    #[must_use]
    pub fn variant(&self) -> String {
        let said = |usual: bool, word: &'static str| (!usual).then_some(word);
        let words = [
            (self.d_ff != 4 * self.d_model).then(|| format!("ff{}", self.d_ff)),
            said(self.position.is_usual(), self.position.word()).map(str::to_owned),
            said(self.mlp.is_usual(), self.mlp.word()).map(str::to_owned),
            said(self.norm.is_usual(), self.norm.word()).map(str::to_owned),
            said(!self.tied_embeddings, "tied").map(str::to_owned),
            said(self.direction.is_usual(), self.direction.word()).map(str::to_owned),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}
