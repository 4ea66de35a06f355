//! What a run is asked to be: complete, immutable, written once as `spec.json`. A run never reads a config.
//! The id hashes what changes the result and nothing else; device, threads, paths and probes are recorded only.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::id::{RunId, StudyId};

/// Version of `spec.json`.
pub const SPEC_FORMAT: u32 = 1;

/// How the layers are wired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Architecture {
    /// CD: every position sees itself and what came before.
    #[serde(rename = "CD", alias = "cd", alias = "causal_decoder")]
    CausalDecoder,
    /// ND: a prefix sees itself both ways, the rest is causal.
    #[serde(rename = "ND", alias = "nd", alias = "non_causal_decoder")]
    NonCausalDecoder,
    /// ED: a bidirectional encoder and a causal decoder with cross-attention.
    #[serde(rename = "ED", alias = "ed", alias = "encoder_decoder")]
    EncoderDecoder,
}

/// What the model is trained to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Objective {
    /// FLM: every next token.
    #[serde(rename = "FLM", alias = "flm", alias = "full_lm")]
    FullLm,
    /// PLM: every next token after a uniformly drawn split.
    #[serde(rename = "PLM", alias = "plm", alias = "prefix_lm")]
    PrefixLm,
    /// MLM: the spans that sentinels replaced (T5's span corruption).
    #[serde(rename = "MLM", alias = "mlm", alias = "span_corruption")]
    SpanCorruption,
}

impl Architecture {
    /// All, in the order of tables.
    pub const ALL: [Self; 3] = [Self::CausalDecoder, Self::NonCausalDecoder, Self::EncoderDecoder];

    /// Two letters for tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::CausalDecoder => "CD",
            Self::NonCausalDecoder => "ND",
            Self::EncoderDecoder => "ED",
        }
    }

    /// The name in words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::CausalDecoder => "causal decoder",
            Self::NonCausalDecoder => "non-causal decoder",
            Self::EncoderDecoder => "encoder-decoder",
        }
    }
}

impl Objective {
    /// All, in the order of tables.
    pub const ALL: [Self; 3] = [Self::FullLm, Self::PrefixLm, Self::SpanCorruption];

    /// Three letters for tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::FullLm => "FLM",
            Self::PrefixLm => "PLM",
            Self::SpanCorruption => "MLM",
        }
    }

    /// The name in words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::FullLm => "full language modelling",
            Self::PrefixLm => "prefix language modelling",
            Self::SpanCorruption => "span corruption",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
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
    /// Hidden width of the gated MLP.
    pub d_ff: usize,
    /// Blocks of the decoder; an encoder–decoder has as many in its encoder.
    pub num_layers: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Size of one head; even, because RoPE turns pairs.
    pub head_dim: usize,
    /// Base of the rotary frequencies (RoFormer, arXiv 2104.09864, eq. 15).
    pub rope_theta: f64,
    /// Added to the mean square in RMSNorm.
    pub norm_epsilon: f64,
}

/// The objective and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveSpec {
    /// Which.
    pub objective: Objective,
    /// Share of tokens that span corruption removes.
    pub noise_density: f64,
    /// Mean length of a removed span, in tokens.
    pub mean_noise_span_length: f64,
    /// Whether a decoder also learns from its inputs (prefix or corrupted text).
    pub loss_on_inputs: bool,
}

/// Shape of the learning rate after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LearningRateSchedule {
    /// Half a cosine from the peak to `final_fraction` of it at the last step.
    Cosine,
    /// Peak × √(warm-up / step): T5's schedule.
    Rsqrt,
    /// The peak throughout.
    Constant,
}

/// AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101, algorithm 2) and its schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerSpec {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Shape after warm-up.
    pub schedule: LearningRateSchedule,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// Share of the peak at the end of the cosine.
    pub final_fraction: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled decay of matrices; vectors (norm gains) are not decayed.
    pub weight_decay: f64,
    /// Largest global gradient norm; 0 switches clipping off.
    pub grad_clip_norm: f64,
}

/// Data per step and length of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSpec {
    /// Examples per optimizer step.
    pub batch_size: usize,
    /// Examples per forward pass; gradients accumulate up to `batch_size`.
    pub micro_batch_size: usize,
    /// Positions of one example, inputs and targets together.
    pub seq_len: usize,
    /// Optimizer steps.
    pub steps: u64,
    /// A training loss above this multiple of ln(vocab_size) is a divergence.
    pub divergence_factor: f64,
    /// Weight of the z-loss (`kernel::cross_entropy`); 0 for none. Left out of the id then, as of runs before there was one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub z_loss: f64,
    /// Number format of the factors of products with weights. Left out of the id if it is f32, as of runs before there was
    /// another.
    #[serde(default, skip_serializing_if = "Precision::is_f32")]
    pub precision: Precision,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// Number format of the factors of products with weights. Weights, sums, gradients and everything else are f32 in either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 24 bits of precision.
    #[default]
    F32,
    /// 8 bits of precision: about twice as fast where the processor multiplies them (AVX-512 BF16) and on GPUs.
    Bf16,
}

impl Precision {
    /// Its name in settings.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    fn is_f32(&self) -> bool {
        *self == Self::F32
    }
}

/// What is measured on the way. Recorded, not hashed: it does not change the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeSpec {
    /// Steps between logged training steps.
    pub log_every: u64,
    /// Steps between validations; one more happens at the end.
    pub validation_every: u64,
    /// Held-out examples per validation, the same each time and for every seed.
    pub validation_examples: usize,
    /// Steps between measurements of attention rank, with one more at the end; 0 for none, as in specs that were written
    /// before rank was measured.
    #[serde(default)]
    pub rank_every: u64,
    /// Zero-shot tasks: `shipped:NAME`, task files or folders of them; empty for none.
    #[serde(default)]
    pub zero_shot: Vec<String>,
    /// Steps between zero-shot probes on the way; one more, of every item, is made at the end. 0 for the last only.
    #[serde(default)]
    pub zero_shot_every: u64,
    /// Items of each task that a probe on the way asks.
    #[serde(default)]
    pub zero_shot_items: usize,
    /// The largest share of the training time that probes on the way may take; one that would take more is left out.
    #[serde(default)]
    pub zero_shot_share: f64,
    /// Steps between text samples; 0 for none.
    pub sample_every: u64,
    /// Tokens of a sample.
    pub sample_tokens: usize,
    /// Steps between checkpoints; one more is made at the end.
    pub checkpoint_every: u64,
    /// Newest checkpoints kept.
    pub keep_checkpoints: usize,
}

/// Where tensors live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA card; needs a build with `--features cuda`.
    Cuda,
    /// Apple silicon; needs a build with `--features metal`.
    Metal,
}

/// How the run is executed. Recorded, not hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutionSpec {
    /// Where tensors live.
    pub device: Device,
    /// Threads of the worker.
    pub threads: usize,
    /// Version of the program that queued the run.
    pub program_version: String,
}

/// The prepared corpus a run reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// Fingerprint of texts, split and tokenizer.
    pub fingerprint: String,
    /// What people call it.
    pub name: String,
    /// Folder of the shards.
    pub directory: PathBuf,
}

/// A stage that this run continues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParentSpec {
    /// The run.
    pub run: RunId,
    /// The checkpoint.
    pub step: u64,
}

/// All a worker needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// [`SPEC_FORMAT`].
    pub format: u32,
    /// Content address; see [`RunSpec::content_id`].
    pub id: RunId,
    /// The study that first asked for it.
    pub study: StudyId,
    /// Seed of every stream.
    pub seed: u64,
    /// Model.
    pub model: ModelSpec,
    /// Objective.
    pub objective: ObjectiveSpec,
    /// Optimizer.
    pub optimizer: OptimizerSpec,
    /// Data per step and length.
    pub training: TrainingSpec,
    /// Corpus.
    pub data: DataSpec,
    /// Earlier stage, if any.
    pub parent: Option<ParentSpec>,
    /// Measurements on the way.
    pub probes: ProbeSpec,
    /// Fingerprint of the task files of `probes.zero_shot` and of their data, when the run was queued. Recorded, not
    /// hashed: tasks do not change the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_fingerprint: Option<String>,
    /// Execution.
    pub execution: ExecutionSpec,
}

#[derive(Serialize)]
struct Content<'a> {
    seed: Option<u64>,
    model: &'a ModelSpec,
    objective: &'a ObjectiveSpec,
    optimizer: &'a OptimizerSpec,
    training: &'a TrainingSpec,
    fingerprint: &'a str,
    parent: Option<&'a ParentSpec>,
}

impl RunSpec {
    /// The id that this content has: the same cell has the same id on every machine and in every version.
    ///
    /// # Errors
    /// The spec holds a number that JSON cannot.
    pub fn content_id(&self) -> Result<RunId, serde_json::Error> {
        self.hash(Some(self.seed))
    }

    /// The id without the seed: what leaderboards fold seeds by.
    ///
    /// # Errors
    /// The spec holds a number that JSON cannot.
    pub fn lineage_id(&self) -> Result<RunId, serde_json::Error> {
        self.hash(None)
    }

    fn hash(&self, seed: Option<u64>) -> Result<RunId, serde_json::Error> {
        let content = Content {
            seed,
            model: &self.model,
            objective: &self.objective,
            optimizer: &self.optimizer,
            training: &self.training,
            fingerprint: &self.data.fingerprint,
            parent: self.parent.as_ref(),
        };
        Ok(RunId::from_hash(&blake3::hash(serde_json::to_string(&content)?.as_bytes())))
    }

    /// `ED:MLM`.
    #[must_use]
    pub fn cell(&self) -> String {
        format!("{}:{}", self.model.architecture, self.objective.objective)
    }

    /// Size in the notation of the screens: `d128 L4 h4x32 n128`, with the precision if it is not f32.
    #[must_use]
    pub fn size_label(&self) -> String {
        let (m, precision) = (&self.model, self.training.precision);
        let label = if precision.is_f32() { String::new() } else { format!(" {}", precision.label()) };
        format!("d{} L{} h{}x{} n{}{label}", m.d_model, m.num_layers, m.num_heads, m.head_dim, self.training.seq_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is new is left out of ids while it has the value that all had before.
    #[test]
    fn training_of_before_there_was_a_precision_is_the_same_training() {
        let old = r#"{"batch_size":4,"micro_batch_size":4,"seq_len":32,"steps":200,"divergence_factor":3.0}"#;
        let training: TrainingSpec = serde_json::from_str(old).unwrap();
        assert_eq!((training.z_loss, training.precision), (0.0, Precision::F32));
        assert_eq!(serde_json::to_string(&training).unwrap(), old);
        let other = TrainingSpec { z_loss: 1e-4, precision: Precision::Bf16, ..training };
        let stored = serde_json::to_string(&other).unwrap();
        assert!(stored.ends_with(r#""z_loss":0.0001,"precision":"bf16"}"#), "{stored}");
        assert_eq!(serde_json::from_str::<TrainingSpec>(&stored).unwrap(), other);
    }

    #[test]
    fn probes_of_before_rank_was_measured_still_load() {
        let old = r#"{"log_every":1,"validation_every":50,"validation_examples":64,"sample_every":100,"sample_tokens":64,
            "checkpoint_every":50,"keep_checkpoints":2}"#;
        let probes: ProbeSpec = serde_json::from_str(old).unwrap();
        assert_eq!((probes.rank_every, probes.sample_every), (0, 100));
    }
}
