//! Later stages of a lineage as a study asks for them, and the lineages it lists.
//! Promises: what a stage does not say is as in the study. Must not know: how stages become runs.

use serde::{Deserialize, Serialize};

use super::architecture::Architecture;
use super::objective::{MixturePart, Objective};
use super::spec::LearningRateSchedule;
use super::texts::{CorpusSettings, TokenizerSpec};

/// Length of a run; exactly one of the three.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Budget {
    /// Optimizer steps.
    Steps(u64),
    /// Training positions, encoder and decoder.
    Tokens(u64),
    /// Training FLOPs.
    Flops(f64),
}

/// A stage that goes on from the weights of the stage before it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StageSettings {
    /// Wiring; absent means that of the stage before. Weights must be of one kind, so it changes the mask alone.
    pub architecture: Option<Architecture>,
    /// Objective; absent means that of the stage before.
    pub objective: Option<Objective>,
    /// Step of the stage before from whose checkpoint it starts; absent means its last.
    pub from_step: Option<u64>,
    /// Length; absent means the study's.
    pub budget: Option<Budget>,
    /// Other texts; absent means the study's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corpus: Option<StageCorpus>,
    /// Peak learning rate.
    pub learning_rate: Option<f64>,
    /// Shape after warm-up.
    pub schedule: Option<LearningRateSchedule>,
    /// Steps of linear warm-up.
    pub warmup_steps: Option<u64>,
    /// Share of the peak at the end of the cosine.
    pub final_fraction: Option<f64>,
    /// Share of the numbers that dropout drops.
    pub dropout: Option<f64>,
    /// Examples per optimizer step.
    pub batch_size: Option<usize>,
    /// Examples per forward pass.
    pub micro_batch_size: Option<usize>,
    /// Share of tokens that denoising removes.
    pub noise_density: Option<f64>,
    /// Mean length of a removed span.
    pub mean_noise_span_length: Option<f64>,
    /// Whether decoders also learn from their inputs.
    pub loss_on_inputs: Option<bool>,
    /// The tasks of the objective MIX.
    pub mixture: Option<Vec<MixturePart>>,
    /// Tasks that the objectives MTF and FT train on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
    /// Families or tasks that are left out, by the beginning of their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held_out: Vec<String>,
    /// Items of each generated task; absent means 500.
    pub examples: Option<usize>,
    /// A data set counts as no larger than this in the mixture; absent means 500,000, as in T0.
    pub cap: Option<u64>,
}

/// Texts of a stage. What is absent is as in the study, but validation texts go with the texts they were named beside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StageCorpus {
    /// Files or folders (`.txt`, `.jsonl`), or `shipped:NAME`.
    pub paths: Option<Vec<String>>,
    /// The field of a `.jsonl` line that holds the text.
    pub field: Option<String>,
    /// Explicit validation files or folders.
    pub validation: Option<Vec<String>>,
    /// Share held out when there are no validation files.
    pub validation_fraction: Option<f64>,
    /// Tokenizer; its vocabulary must be that of the stage before.
    pub tokenizer: Option<TokenizerSpec>,
}

impl StageCorpus {
    /// These settings over those of the study.
    #[must_use]
    pub fn over(&self, study: &CorpusSettings) -> CorpusSettings {
        let own = self.clone();
        let beside = if own.paths.is_some() { Vec::new() } else { study.validation.clone() };
        CorpusSettings {
            paths: own.paths.unwrap_or_else(|| study.paths.clone()),
            field: own.field.unwrap_or_else(|| study.field.clone()),
            validation: own.validation.unwrap_or(beside),
            validation_fraction: own.validation_fraction.unwrap_or(study.validation_fraction),
            tokenizer: own.tokenizer.unwrap_or_else(|| study.tokenizer.clone()),
        }
    }
}

/// Items of each generated task that a stage trains on, if it does not say.
const EXAMPLES: usize = 500;

/// T0's limit for large data sets.
const CAP: u64 = 500_000;

impl StageSettings {
    /// Items of each generated task.
    #[must_use]
    pub fn examples(&self) -> usize {
        self.examples.unwrap_or(EXAMPLES)
    }

    /// The largest that a data set counts as.
    #[must_use]
    pub fn cap(&self) -> u64 {
        self.cap.unwrap_or(CAP)
    }
}
