//! Study → runs: the product of the axes, cell by cell either complete specs or a refusal in words. Pure.
//! Promises: the same study gives the same runs in the same order; the first seed of every cell comes before any
//! second seed, so that a comparison is fair from its first hour on; identical runs appear once, parents before children.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::cells::{Cell, Chain, chains};
use super::check::{self, PlanError};
use super::fits::{fits, steps_of};
use super::models::model_of;
use super::stages;
use crate::core::cost::step_tokens;
use crate::core::id::RUN_ID_LENGTH;
use crate::core::legal;
use crate::core::spec::{DataSpec, ExecutionSpec, OptimizerSpec, RunSpec, SPEC_FORMAT, TrainingSpec};
use crate::core::study::StudySpec;
use crate::core::summary::Refusal;
use crate::core::{ModelSpec, ObjectiveSpec, RunId};

/// What planning must know of the corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorpusFacts {
    /// What people call it.
    pub name: String,
    /// Fingerprint of texts, split and tokenizer.
    pub fingerprint: String,
    /// Token ids, specials and sentinels included.
    pub vocab_size: usize,
    /// What the vocabulary is known by: equal where the same ids mean the same.
    pub vocabulary: String,
    /// Folder of the shards.
    pub directory: PathBuf,
    /// Tokens of the training text; absent while nobody has counted them.
    pub train_tokens: Option<u64>,
    /// UTF-8 bytes of the training text.
    pub train_bytes: u64,
    /// Whether it is prepared.
    pub ready: bool,
}

/// What planning must know of a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageFacts {
    /// Fingerprint of all that the sources of its tasks say, if it trains on tasks.
    pub tasks: Option<String>,
    /// Its texts, if they are not the study's.
    pub corpus: Option<CorpusFacts>,
}

/// What planning must know beside a study: the texts and tasks that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StudyFacts {
    /// The texts.
    pub corpus: CorpusFacts,
    /// Fingerprint of all that the sources of the zero-shot tasks say, if there are any.
    pub zero_shot: Option<String>,
    /// By the stage's name.
    pub stages: BTreeMap<String, StageFacts>,
}

impl StudyFacts {
    /// All texts.
    pub fn corpora(&self) -> impl Iterator<Item = &CorpusFacts> {
        std::iter::once(&self.corpus).chain(self.stages.values().filter_map(|stage| stage.corpus.as_ref()))
    }

    /// The texts of a stage.
    pub(super) fn corpus_of(&self, stage: &str) -> &CorpusFacts {
        self.stages.get(stage).and_then(|stage| stage.corpus.as_ref()).unwrap_or(&self.corpus)
    }
}

/// All that planning must know.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) study: &'a StudySpec,
    pub(super) known: &'a StudyFacts,
    pub(super) program_version: &'a str,
}

/// What a study expands to.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Runs, in the order in which they should start.
    pub runs: Vec<RunSpec>,
    /// Cells that cannot be trained.
    pub refusals: Vec<Refusal>,
}

/// Why one cell gives no run.
pub(super) enum Refused {
    /// The cell; the others go on.
    Cell(Refusal),
    /// The study as a whole.
    Study(PlanError),
}

/// Expand `study` over its texts and tasks as they are now, for a program of `program_version`.
///
/// # Errors
/// A value that makes no sense in any cell; the message names its key.
pub fn plan(study: &StudySpec, known: &StudyFacts, program_version: &str) -> Result<Plan, PlanError> {
    check::study(study)?;
    let facts = Facts { study, known, program_version };
    let mut known: BTreeSet<RunId> = BTreeSet::new();
    let mut result = Plan { runs: Vec::new(), refusals: Vec::new() };
    for chain in chains(study) {
        match resolve(facts, &chain) {
            Ok(runs) => {
                let fresh = runs.into_iter().filter(|run| known.insert(run.id.clone()));
                result.runs.extend(fresh);
            }
            Err(Refused::Cell(refusal)) => {
                if !result.refusals.contains(&refusal) {
                    result.refusals.push(refusal);
                }
            }
            Err(Refused::Study(error)) => return Err(error),
        }
    }
    stages::keep(&mut result.runs);
    Ok(result)
}

/// The runs of a chain, the first stage first.
fn resolve(facts: Facts<'_>, chain: &Chain<'_>) -> Result<Vec<RunSpec>, Refused> {
    let mut runs = vec![first(facts, &chain.cell)?];
    for stage in &chain.stages {
        if let Some(parent) = runs.last() {
            runs.push(stages::next(facts, &chain.cell, parent, stage)?);
        }
    }
    Ok(runs)
}

pub(super) fn refuse<T>(name: &str, reason: String) -> Result<T, Refused> {
    Err(Refused::Cell(Refusal { cell: name.to_owned(), reason }))
}

/// The first stage of a cell.
fn first(facts: Facts<'_>, cell: &Cell) -> Result<RunSpec, Refused> {
    let (study, corpus) = (facts.study, &facts.known.corpus);
    let name = format!("{}:{}", cell.architecture, cell.objective);
    if cell.objective.is_prompted() {
        let reason = "it trains on tasks, from weights that have seen text: list it in [stages] and name that stage in \
                      grid.then or grid.lineages";
        return refuse(&name, reason.to_owned());
    }
    let settings = &study.objective;
    let shares = (settings.noise_density, settings.mean_noise_span_length);
    let objective = ObjectiveSpec::new(cell.objective, shares, cell.loss_on_inputs, &settings.mixture);
    check_cell(cell.architecture, &objective)?;
    let model = model_of(study, corpus, cell, &objective, &name)?;
    let batch_size = study.training.batch_size;
    let mut training = TrainingSpec {
        batch_size,
        micro_batch_size: study.training.micro_batch_size.unwrap_or(batch_size),
        seq_len: cell.seq_len,
        steps: 1,
        divergence_factor: study.training.divergence_factor,
        z_loss: study.training.z_loss,
        precision: study.training.precision,
        dropout: study.training.dropout,
    };
    fits(&model, &objective, &training, corpus, &name)?;
    training.steps = steps_of(study.budget, &model, &objective, &training, &name)?;
    let optimizer = optimizer_of(study, cell);
    check::warmup(&optimizer, study.budget, training.steps, &name).map_err(Refused::Study)?;
    run_of(facts, corpus, cell.seed, (model, objective, optimizer, training))
}

pub(super) fn check_cell(architecture: crate::core::Architecture, objective: &ObjectiveSpec) -> Result<(), Refused> {
    legal::check(architecture, objective).or_else(|illegal| {
        refuse(&illegal.cell, format!("{}; nearest legal cell: {}", illegal.reason, illegal.nearest))
    })
}

/// A run without a parent, with its id.
pub(super) fn run_of(
    Facts { study, known, program_version }: Facts<'_>,
    corpus: &CorpusFacts,
    seed: u64,
    (model, objective, optimizer, training): (ModelSpec, ObjectiveSpec, OptimizerSpec, TrainingSpec),
) -> Result<RunSpec, Refused> {
    let mut run = RunSpec {
        format: SPEC_FORMAT,
        id: unnamed()?,
        study: study.name.clone(),
        seed,
        model,
        objective,
        optimizer,
        training,
        data: DataSpec {
            fingerprint: corpus.fingerprint.clone(),
            name: corpus.name.clone(),
            directory: corpus.directory.clone(),
        },
        prompts: None,
        parent: None,
        ancestors: Vec::new(),
        probes: study.probes.clone(),
        tasks_fingerprint: known.zero_shot.clone(),
        execution: ExecutionSpec {
            device: study.execution.device,
            threads: study.execution.threads,
            program_version: program_version.to_owned(),
        },
    };
    name(&mut run)?;
    Ok(run)
}

/// The id of a spec whose content is not complete yet.
fn unnamed() -> Result<RunId, Refused> {
    let nothing = "0".repeat(RUN_ID_LENGTH).parse::<RunId>();
    nothing.map_err(|error| Refused::Study(PlanError::Conflict(error.to_string())))
}

/// Gives a run the id of its content.
pub(super) fn name(run: &mut RunSpec) -> Result<(), Refused> {
    run.id = run.content_id().map_err(|error| Refused::Study(PlanError::Conflict(error.to_string())))?;
    Ok(())
}

pub(super) fn optimizer_of(study: &StudySpec, cell: &Cell) -> OptimizerSpec {
    let training = &study.training;
    OptimizerSpec {
        learning_rate: cell.learning_rate,
        schedule: training.schedule,
        warmup_steps: training.warmup_steps,
        final_fraction: training.final_fraction,
        beta1: training.beta1,
        beta2: training.beta2,
        epsilon: training.epsilon,
        weight_decay: training.weight_decay,
        grad_clip_norm: training.grad_clip_norm,
    }
}

/// Positions of the whole run.
#[must_use]
pub fn run_tokens(run: &RunSpec) -> u64 {
    step_tokens(run).saturating_mul(run.training.steps)
}
