//! What a person asks for: fixed settings plus axes. A study file lies over the config's defaults; every key of both
//! is here. An axis is one value or a list of values; the grid is their product.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::architecture::Architecture;
use super::cell::{CellName, LineageName};
use super::id::StudyId;
use super::model::{AttentionDirection, Mlp, ModelPreset, NormKind, Position};
use super::objective::{MixturePart, Objective};
use super::spec::{Device, LearningRateSchedule, Precision};
use super::stage::{Budget, StageSettings};
use super::texts::CorpusSettings;

/// One value or a list; never empty.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Axis<T>(pub Vec<T>);

impl<T> Axis<T> {
    /// The values, in the order given.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<T> From<T> for Axis<T> {
    fn from(value: T) -> Self {
        Self(vec![value])
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Axis<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
            type Value = Axis<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a value or a list of values")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Axis<T>, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                if values.is_empty() {
                    Err(de::Error::custom("an axis needs at least one value"))
                } else {
                    Ok(Axis(values))
                }
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Axis<T>, E> {
                T::deserialize(de::value::I64Deserializer::new(value)).map(Axis::from)
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Axis<T>, E> {
                T::deserialize(de::value::U64Deserializer::new(value)).map(Axis::from)
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Axis<T>, E> {
                T::deserialize(de::value::F64Deserializer::new(value)).map(Axis::from)
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Axis<T>, E> {
                T::deserialize(de::value::BoolDeserializer::new(value)).map(Axis::from)
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Axis<T>, E> {
                T::deserialize(de::value::StrDeserializer::new(value)).map(Axis::from)
            }
        }
        deserializer.deserialize_any(OneOrMany(std::marker::PhantomData))
    }
}

/// Axes that have no other room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridSettings {
    /// `CD`, `ND`, `ED`, ….
    pub architecture: Axis<Architecture>,
    /// `FLM`, `PLM`, `MLM`, ….
    pub objective: Axis<Objective>,
    /// Seeds.
    pub seed: Axis<u64>,
    /// Cells of the product that are not wanted.
    pub exclude: Vec<CellName>,
    /// Lineages; if there are any, they take the place of the product of architectures and objectives.
    pub lineages: Vec<LineageName>,
    /// Axes of later stages: each is a list of names of `[stages]`, of which `-` means none.
    pub then: Vec<Vec<String>>,
}

/// Size of the heads of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "`head_dim` takes a size or \"standard\", which means d_model / num_heads")]
pub enum HeadDim {
    /// As many dimensions, whatever else the model has (Bhojanapalli et al. 2020, arXiv 2002.07028, §3).
    Fixed(usize),
    /// `d_model / num_heads`.
    Standard(Standard),
}

/// The word `standard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standard {
    /// The word.
    Standard,
}

impl HeadDim {
    /// `d_model / num_heads`.
    pub const STANDARD: Self = Self::Standard(Standard::Standard);
}

impl fmt::Display for HeadDim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Standard(Standard::Standard) => f.write_str("standard"),
        }
    }
}

/// Shape of the models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// Axis.
    pub d_model: Axis<usize>,
    /// Axis.
    pub num_layers: Axis<usize>,
    /// Axis.
    pub num_heads: Axis<usize>,
    /// Axis.
    pub head_dim: Axis<HeadDim>,
    /// Axis; absent means 4 × `d_model`.
    pub d_ff: Option<Axis<usize>>,
    /// Whether models that differ in `head_dim` alone get as many parameters as the largest of them, by a wider MLP.
    pub match_parameters: bool,
    /// Axis: what the next four are where they are absent.
    pub preset: Axis<ModelPreset>,
    /// Axis.
    pub position: Option<Axis<Position>>,
    /// Axis.
    pub mlp: Option<Axis<Mlp>>,
    /// Axis.
    pub norm: Option<Axis<NormKind>>,
    /// Axis.
    pub tied_embeddings: Option<Axis<bool>>,
    /// Axis.
    pub direction: Axis<AttentionDirection>,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Added to the mean square in RMSNorm.
    pub norm_epsilon: f64,
}

/// Settings of the objectives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveSettings {
    /// Share of tokens that span corruption removes.
    pub noise_density: f64,
    /// Mean length of a removed span.
    pub mean_noise_span_length: f64,
    /// Axis: whether decoders also learn from their inputs.
    pub loss_on_inputs: Axis<bool>,
    /// The tasks of the objective MIX.
    pub mixture: Vec<MixturePart>,
}

/// Data per step and optimizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    /// Axis: positions of one example.
    pub seq_len: Axis<usize>,
    /// Examples per optimizer step.
    pub batch_size: usize,
    /// Examples per forward pass; absent means `batch_size`.
    pub micro_batch_size: Option<usize>,
    /// Axis: peak learning rate.
    pub learning_rate: Axis<f64>,
    /// Shape after warm-up.
    pub schedule: LearningRateSchedule,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// Share of the peak at the end of the cosine.
    pub final_fraction: f64,
    /// AdamW.
    pub beta1: f64,
    /// AdamW.
    pub beta2: f64,
    /// AdamW.
    pub epsilon: f64,
    /// AdamW.
    pub weight_decay: f64,
    /// Largest global gradient norm; 0 switches clipping off.
    pub grad_clip_norm: f64,
    /// A loss above this multiple of ln(vocab_size) is a divergence.
    pub divergence_factor: f64,
    /// Weight of the z-loss; 0 for none.
    pub z_loss: f64,
    /// Number format of the factors of products with weights.
    pub precision: Precision,
    /// Share of the numbers that dropout drops.
    pub dropout: f64,
}

/// Measurements on the way; see `ProbeSpec`.
pub type ProbeSettings = super::spec::ProbeSpec;

/// How runs are executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutionSettings {
    /// `cpu`, `cuda`, `metal`.
    pub device: Device,
    /// Threads of one worker.
    pub threads: usize,
}

/// A study: the config's defaults with the study file on top.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudySpec {
    /// Name; also its folder.
    pub name: StudyId,
    /// What it asks, in a sentence or two.
    #[serde(default)]
    pub description: String,
    /// Architecture × objective × seed.
    pub grid: GridSettings,
    /// Texts.
    pub corpus: CorpusSettings,
    /// Models.
    pub model: ModelSettings,
    /// Objectives.
    pub objective: ObjectiveSettings,
    /// Training.
    pub training: TrainingSettings,
    /// Length.
    pub budget: Budget,
    /// Measurements.
    pub probes: ProbeSettings,
    /// Execution.
    pub execution: ExecutionSettings,
    /// Later stages, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stages: BTreeMap<String, StageSettings>,
}
