//! Later stages of a lineage as a study asks for them, and the lineages it lists.
//! Promises: what a stage does not say is as in the study. Must not know: how stages become runs.

use serde::{Deserialize, Serialize};

use super::architecture::Architecture;
use super::objective::{MixturePart, Objective};
use super::spec::LearningRateSchedule;
use super::study::{Budget, CellName, CorpusSettings, TokenizerSpec};

/// Between the stages of a lineage.
const ARROW: char = '>';

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

/// `ED:MLM`, or with a task `ED:FT(write_span)`.
#[must_use]
pub fn cell_label(architecture: Architecture, objective: Objective, task: Option<&str>) -> String {
    let task = task.map_or_else(String::new, |task| format!("({task})"));
    format!("{architecture}:{objective}{task}")
}

/// `CD:FLM→ND:MLM→MTF`: cells one after the other; a wiring that stays is not said again.
#[must_use]
pub fn lineage_label<'c>(cells: impl Iterator<Item = &'c str>) -> String {
    let (mut label, mut wiring) = (String::new(), "");
    for cell in cells {
        let (own, objective) = cell.split_once(':').unwrap_or(("", cell));
        if !label.is_empty() {
            label.push('→');
        }
        label.push_str(if own == wiring { objective } else { cell });
        wiring = own;
    }
    label
}

/// Stages one after the other, written `CD:FLM > adapt > mtf`: a cell, then names of `[stages]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LineageName {
    /// The first stage.
    pub cell: CellName,
    /// The others.
    pub stages: Vec<String>,
}

impl TryFrom<String> for LineageName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let mut names = text.split(ARROW).map(str::trim);
        let cell = CellName::try_from(names.next().unwrap_or_default().to_owned())?;
        let stages: Vec<String> = names.map(str::to_owned).collect();
        if stages.iter().any(String::is_empty) {
            return Err(format!("`{text}` names a stage that has no name; write it like `CD:FLM > adapt > mtf`"));
        }
        Ok(Self { cell, stages })
    }
}

impl From<LineageName> for String {
    fn from(lineage: LineageName) -> Self {
        let cell = Self::from(lineage.cell);
        std::iter::once(cell).chain(lineage.stages).collect::<Vec<_>>().join(&format!(" {ARROW} "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wiring_is_said_once() {
        let label = |cells: &[&'static str]| lineage_label(cells.iter().copied());
        assert_eq!(label(&["CD:FLM"]), "CD:FLM");
        assert_eq!(label(&["CD:FLM", "ND:MLM", "ND:MTF"]), "CD:FLM→ND:MLM→MTF");
    }

    #[test]
    fn lineages_are_read_as_they_are_written() {
        let written = "ND:MLM > adapt > mtf".to_owned();
        let lineage = LineageName::try_from(written.clone()).unwrap();
        assert_eq!((lineage.cell.architecture, lineage.stages.len()), (Architecture::NonCausalDecoder, 2));
        assert_eq!(String::from(lineage), written);
        assert!(LineageName::try_from("CD:FLM > > mtf".to_owned()).unwrap_err().contains("no name"));
        assert!(LineageName::try_from("mtf > CD:FLM".to_owned()).unwrap_err().contains("is no cell"));
    }
}
