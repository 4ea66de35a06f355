//! From what is decided about a run to its spec, with the id of its content; and why there is none. Pure.

use super::cells::Cell;
use super::check::PlanError;
use super::facts::{CorpusFacts, Facts};
use crate::core::id::RUN_ID_LENGTH;
use crate::core::legal;
use crate::core::spec::{DataSpec, ExecutionSpec, OptimizerSpec, RunSpec, SPEC_FORMAT, TrainingSpec};
use crate::core::study::StudySpec;
use crate::core::summary::Refusal;
use crate::core::{ModelSpec, ObjectiveSpec, RunId};

/// Why one cell gives no run.
pub(super) enum Refused {
    /// The cell; the others go on.
    Cell(Refusal),
    /// The study as a whole.
    Study(PlanError),
}

pub(super) fn refuse<T>(name: &str, reason: String) -> Result<T, Refused> {
    Err(Refused::Cell(Refusal { cell: name.to_owned(), reason }))
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
            notices: corpus.notices.clone(),
        },
        prompts: None,
        parent: None,
        ancestors: Vec::new(),
        stage: None,
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
