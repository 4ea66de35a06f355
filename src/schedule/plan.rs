//! Study → runs: the product of the axes, cell by cell either complete specs or a refusal in words. Pure.
//! Promises: the same study gives the same runs in the same order; the first seed of every cell comes before any
//! second seed, so that a comparison is fair from its first hour on; identical runs appear once, parents before children.

use std::collections::HashSet;

use super::assemble::{Refused, check_cell, optimizer_of, refuse, run_of};
use super::cells::{Cell, Chain, chains};
use super::check::{self, PlanError};
use super::facts::{Facts, StudyFacts};
use super::fits::{fits, steps_of};
use super::models::model_of;
use super::stages;
use crate::core::cost::step_tokens;
use crate::core::study::StudySpec;
use crate::core::summary::Refusal;
use crate::core::{ObjectiveSpec, RunId, RunSpec, TrainingSpec};

/// What a study expands to.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Runs, in the order in which they should start.
    pub runs: Vec<RunSpec>,
    /// Cells that cannot be trained.
    pub refusals: Vec<Refusal>,
}

/// Expand `study` over its texts and tasks as they are now, for a program of `program_version`.
///
/// # Errors
/// A value that makes no sense in any cell, or more runs than a study may have; the message names the key or the axes.
pub fn plan(study: &StudySpec, known: &StudyFacts, program_version: &str) -> Result<Plan, PlanError> {
    check::study(study)?;
    let facts = Facts { study, known, program_version };
    let (mut known, mut refused): (HashSet<RunId>, HashSet<Refusal>) = (HashSet::new(), HashSet::new());
    let mut result = Plan { runs: Vec::new(), refusals: Vec::new() };
    for chain in chains(study) {
        match resolve(facts, &chain) {
            Ok(runs) => {
                let fresh = runs.into_iter().filter(|run| known.insert(run.id.clone()));
                result.runs.extend(fresh);
            }
            Err(Refused::Cell(refusal)) => {
                if refused.insert(refusal.clone()) {
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

/// Positions of the whole run.
#[must_use]
pub fn run_tokens(run: &RunSpec) -> u64 {
    step_tokens(run).saturating_mul(run.training.steps)
}
