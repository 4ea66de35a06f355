//! What a run is asked to be: complete, written as `spec.json`; what its id covers never changes. A run never reads a config.
//! The id hashes what changes the result and nothing else; device, threads, paths and probes are recorded only.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cell::{cell_label, lineage_label};
use super::id::{RunId, StudyId};
use super::model::ModelSpec;
use super::objective::{Objective, ObjectiveSpec};
use super::seed::index_of;

/// Version of `spec.json`.
pub const SPEC_FORMAT: u32 = 1;

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
    /// Share of the numbers that dropout drops of the embedding and of what blocks add; 0 for none, and left out of the id.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropout: f64,
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
    /// Steps whose checkpoints are made and kept besides, because later stages begin there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep_steps: Vec<u64>,
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
    /// Folder of the shards when the run was queued. A worker looks into its own lab first, which may have been moved or
    /// copied since; in letters, because a name may hold bytes that are no text.
    #[serde(serialize_with = "in_letters")]
    pub directory: PathBuf,
    /// What a person should know of the texts as the study names them, a sentence each. Recorded, not hashed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

fn in_letters<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// A stage that this run continues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParentSpec {
    /// The run.
    pub run: RunId,
    /// The checkpoint.
    pub step: u64,
    /// The run's content without the seed, for leaderboards. Recorded, not hashed.
    pub lineage: RunId,
}

/// An earlier stage, as far as this run continues it. Recorded, not hashed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ancestor {
    /// The run.
    pub run: RunId,
    /// `CD:FLM`, or `CD:FLM@900` if it went on beyond that step.
    pub cell: String,
    /// Optimizer steps.
    pub steps: u64,
    /// Training examples drawn.
    pub examples: u64,
    /// Positions seen.
    pub tokens: u64,
    /// Training FLOPs.
    pub flops: f64,
}

/// Tasks that are trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptSpec {
    /// Tasks: `shipped:NAME`, task files, `.jsonl` files of prompts, or folders of them.
    pub sources: Vec<String>,
    /// Families or tasks that are left out, by the beginning of their names.
    pub held_out: Vec<String>,
    /// Items of each generated task.
    pub examples: usize,
    /// A data set counts as no larger than this in the mixture.
    pub cap: u64,
    /// Of all that the sources say, when the run was queued.
    pub fingerprint: String,
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
    /// Tasks that are trained on, by stages that train on tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<PromptSpec>,
    /// Earlier stage, if any.
    pub parent: Option<ParentSpec>,
    /// All earlier stages, the first first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<Ancestor>,
    /// What the study calls this stage, if it is a later one. Recorded, not hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Measurements on the way.
    pub probes: ProbeSpec,
    /// Fingerprint of the task files of `probes.zero_shot` and of their data, when the run was queued. Recorded, not
    /// hashed: tasks do not change the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_fingerprint: Option<String>,
    /// Execution.
    pub execution: ExecutionSpec,
}

/// What a parent adds to the id.
#[derive(Serialize)]
struct ParentContent<'a> {
    run: &'a RunId,
    step: u64,
}

/// What tasks add to the id: their content, not where they lie.
#[derive(Serialize)]
struct PromptContent<'a> {
    fingerprint: &'a str,
    held_out: &'a [String],
    examples: usize,
    cap: u64,
}

#[derive(Serialize)]
struct Content<'a> {
    seed: Option<u64>,
    model: &'a ModelSpec,
    objective: &'a ObjectiveSpec,
    optimizer: &'a OptimizerSpec,
    training: &'a TrainingSpec,
    fingerprint: &'a str,
    parent: Option<ParentContent<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompts: Option<PromptContent<'a>>,
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
            parent: self.parent.as_ref().map(|parent| ParentContent {
                run: if seed.is_some() { &parent.run } else { &parent.lineage },
                step: parent.step,
            }),
            prompts: self.prompts.as_ref().map(|prompts| PromptContent {
                fingerprint: &prompts.fingerprint,
                held_out: &prompts.held_out,
                examples: prompts.examples,
                cap: prompts.cap,
            }),
        };
        Ok(RunId::from_hash(&blake3::hash(serde_json::to_string(&content)?.as_bytes())))
    }

    /// `ED:MLM`, or with the task of a finetuning on one `ED:FT(write_span)`.
    #[must_use]
    pub fn cell(&self) -> String {
        cell_label(self.model.architecture, self.objective.objective, self.task().as_deref())
    }

    /// The name of the one task that it is finetuned on.
    #[must_use]
    pub fn task(&self) -> Option<String> {
        let prompts = self.prompts.as_ref().filter(|_| self.objective.objective == Objective::Finetuning)?;
        let source = prompts.sources.first()?;
        let name = source.strip_prefix("shipped:").map(str::to_owned);
        Some(name.unwrap_or_else(|| Path::new(source).file_stem().unwrap_or_default().to_string_lossy().into_owned()))
    }

    /// What its own validation loss averages over, as a word: runs of another word are not compared by it. `PLM`, `MLM noise0.5`,
    /// `FT(write_span)`; `MTF 1c4f` stands for the tasks of one mixture.
    #[must_use]
    pub fn target(&self) -> String {
        let objective = self.objective.objective.label();
        let (variant, task) = (self.objective.variant(), self.task());
        match (&self.prompts, task) {
            (_, Some(task)) => format!("{objective}({task})"),
            (Some(prompts), None) => {
                let tasks = format!("{:?}", (&prompts.sources, &prompts.held_out, prompts.examples));
                format!("{objective} {:04x}", index_of(&tasks) & 0xffff)
            }
            (None, None) if variant.is_empty() => objective.to_owned(),
            (None, None) => format!("{objective} {variant}"),
        }
    }

    /// `CD:FLM→ND:MLM→MTF`: all stages, the first first.
    #[must_use]
    pub fn lineage(&self) -> String {
        let own = self.cell();
        lineage_label(self.ancestors.iter().map(|ancestor| ancestor.cell.as_str()).chain([own.as_str()]))
    }

    /// Size in the notation of the screens: `d128 L4 h4x32 n128`, with what is not usual about it behind.
    #[must_use]
    pub fn size_label(&self) -> String {
        let (m, training) = (&self.model, &self.training);
        let mut label =
            format!("d{} L{} h{}x{} n{}", m.d_model, m.num_layers, m.num_heads, m.head_dim, training.seq_len);
        let z_loss = if is_zero(&training.z_loss) { String::new() } else { format!("z{}", training.z_loss) };
        let dropout = if is_zero(&training.dropout) { String::new() } else { format!("dropout{}", training.dropout) };
        let precision = if training.precision.is_f32() { "" } else { training.precision.label() };
        for word in [m.variant().as_str(), &self.objective.variant(), &z_loss, &dropout, precision]
            .into_iter()
            .filter(|word| !word.is_empty())
        {
            label.push(' ');
            label.push_str(word);
        }
        label
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
        assert_eq!((training.z_loss, training.precision, training.dropout), (0.0, Precision::F32, 0.0));
        assert_eq!(serde_json::to_string(&training).unwrap(), old);
        let other = TrainingSpec { z_loss: 1e-4, precision: Precision::Bf16, dropout: 0.1, ..training };
        let stored = serde_json::to_string(&other).unwrap();
        assert!(stored.ends_with(r#""z_loss":0.0001,"precision":"bf16","dropout":0.1}"#), "{stored}");
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
