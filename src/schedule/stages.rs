//! Later stages: a run that goes on from the weights of another, under another mask, objective or data. Pure.
//! Promises: what a stage does not say is as in the study; weights go on only where they mean the same; a parent keeps the
//! checkpoints that its children begin with. Must not know: files.

use std::collections::HashMap;

use super::assemble::{Refused, check_cell, name, optimizer_of, refuse, run_of};
use super::cells::Cell;
use super::check::{self, PlanError};
use super::facts::{CorpusFacts, Facts};
use super::fits::{fits, steps_of};
use crate::core::cost::{step_flops, step_tokens};
use crate::core::legal;
use crate::core::stage::StageSettings;
use crate::core::{
    Ancestor, Architecture, ModelSpec, Objective, ObjectiveSpec, OptimizerSpec, ParentSpec, Position, PromptSpec,
    RunId, RunSpec, TrainingSpec,
};

/// The stage `stage` after `parent`, in the lineage that `cell` began.
pub(super) fn next(facts: Facts<'_>, cell: &Cell, parent: &RunSpec, stage: &str) -> Result<RunSpec, Refused> {
    let study = facts.study;
    let Some(settings) = study.stages.get(stage) else {
        return Err(Refused::Study(PlanError::Conflict(format!("there is no [stages.{stage}]"))));
    };
    let name_of = |architecture, objective| format!("{} → {architecture}:{objective}", parent.lineage());
    let architecture = settings.architecture.unwrap_or(parent.model.architecture);
    let objective = objective_of(facts, cell, parent, settings);
    let label = name_of(architecture, objective.objective);
    check_cell(architecture, &objective)?;
    let model = ModelSpec { architecture, ..parent.model.clone() };
    continues(&parent.model, &model, &objective).or_else(|reason| refuse(&label, reason))?;
    let corpus = facts.known.corpus_of(stage);
    same_words(facts, corpus, parent, &objective, stage).or_else(|reason| refuse(&label, reason))?;
    let prompts = prompts_of(facts, &objective, settings, stage).or_else(|reason| refuse(&label, reason))?;
    let step = settings.from_step.unwrap_or(parent.training.steps);
    if step == 0 || step > parent.training.steps {
        let steps = parent.training.steps;
        return refuse(
            &label,
            format!("stages.{stage}.from_step is {step}, and the stage before it has steps 1 to {steps}"),
        );
    }
    let batch_size = settings.batch_size.unwrap_or(study.training.batch_size);
    let micro = settings.micro_batch_size.or(settings.batch_size).or(study.training.micro_batch_size);
    let mut training = TrainingSpec {
        batch_size,
        micro_batch_size: micro.unwrap_or(batch_size),
        steps: 1,
        dropout: settings.dropout.unwrap_or(study.training.dropout),
        ..parent.training.clone()
    };
    fits(&model, &objective, &training, corpus, &label)?;
    let budget = settings.budget.unwrap_or(study.budget);
    training.steps = steps_of(budget, &model, &objective, &training, &label)?;
    let own = optimizer_of(study, cell);
    let optimizer = OptimizerSpec {
        learning_rate: settings.learning_rate.unwrap_or(own.learning_rate),
        schedule: settings.schedule.unwrap_or(own.schedule),
        warmup_steps: settings.warmup_steps.unwrap_or(own.warmup_steps),
        final_fraction: settings.final_fraction.unwrap_or(own.final_fraction),
        ..own
    };
    check::warmup(&optimizer, budget, training.steps, &label).map_err(Refused::Study)?;
    let mut run = run_of(facts, corpus, cell.seed, (model, objective, optimizer, training))?;
    let lineage = parent.lineage_id().map_err(|error| Refused::Study(PlanError::Conflict(error.to_string())))?;
    run.parent = Some(ParentSpec { run: parent.id.clone(), step, lineage });
    run.prompts = prompts;
    run.stage = Some(stage.to_owned());
    run.ancestors = parent.ancestors.iter().cloned().chain([ancestor(parent, step)]).collect();
    name(&mut run)?;
    Ok(run)
}

#[expect(clippy::cast_precision_loss, reason = "FLOPs are estimates")]
fn ancestor(parent: &RunSpec, steps: u64) -> Ancestor {
    let flops = step_flops(&parent.model, &parent.objective, &parent.training).unwrap_or(0.0) * steps as f64;
    let tokens = step_tokens(parent).saturating_mul(steps);
    let early = if steps < parent.training.steps { format!("@{steps}") } else { String::new() };
    let examples = steps.saturating_mul(parent.training.batch_size as u64);
    Ancestor { run: parent.id.clone(), cell: parent.cell() + &early, steps, examples, tokens, flops }
}

fn objective_of(facts: Facts<'_>, cell: &Cell, parent: &RunSpec, settings: &StageSettings) -> ObjectiveSpec {
    let study = &facts.study.objective;
    let shares = (
        settings.noise_density.unwrap_or(study.noise_density),
        settings.mean_noise_span_length.unwrap_or(study.mean_noise_span_length),
    );
    let objective = settings.objective.unwrap_or(parent.objective.objective);
    let listed = settings.mixture.as_ref().unwrap_or(&study.mixture);
    // The study's choice is for its texts: T0 and T5 learn from the targets of tasks alone.
    let on_inputs = settings.loss_on_inputs.unwrap_or(cell.loss_on_inputs && !objective.is_prompted());
    ObjectiveSpec::new(objective, shares, on_inputs, listed)
}

/// Whether weights of `before` mean the same in `after`.
fn continues(before: &ModelSpec, after: &ModelSpec, objective: &ObjectiveSpec) -> Result<(), String> {
    let (old, new) = (before.architecture, after.architecture);
    if old.weights() != new.weights() {
        let fitting = Architecture::ALL.into_iter().filter(|other| other.weights() == old.weights());
        let fitting = fitting.map(Architecture::label).collect::<Vec<_>>().join(", ");
        return Err(format!("{new} has other weights than {old}; a stage after {old} can be one of {fitting}"));
    }
    let both = |architecture: Architecture| architecture.has_bidirectional_stack() || architecture.has_prefix();
    if before.position == Position::T5Bias && both(old) != both(new) {
        return Err(format!(
            "the buckets of T5's bias stand for other distances in {new} than in {old}, which sees in other directions; \
             another model.position, such as \"rope\", goes on"
        ));
    }
    if before.block_positions == 0 && objective.parts().iter().any(|part| part.task.has_blanks()) {
        return Err(
            "the stage before has no table for places inside blanks; blanks must be there from the first stage"
                .to_owned(),
        );
    }
    legal::model(after)
}

/// Whether the ids of the texts of a stage mean what the weights of `parent` know them for.
fn same_words(
    facts: Facts<'_>,
    corpus: &CorpusFacts,
    parent: &RunSpec,
    objective: &ObjectiveSpec,
    stage: &str,
) -> Result<(), String> {
    let own = facts.study.stages.get(stage).is_some_and(|stage| stage.corpus.is_some());
    if own && objective.objective.is_prompted() {
        let objective = objective.objective;
        return Err(format!("{objective} trains on tasks, not on texts; leave stages.{stage}.corpus out"));
    }
    let before = facts.known.corpora().find(|corpus| corpus.fingerprint == parent.data.fingerprint);
    let before = before.unwrap_or(&facts.known.corpus);
    if corpus.vocabulary == before.vocabulary {
        return Ok(());
    }
    Err(format!(
        "{} has another vocabulary than {}, whose ids the weights know; use texts with a tokenizer that does not come \
         from them, such as \"bytes\", or set stages.{stage}.corpus.tokenizer to \"{}/tokenizer.json\" once that corpus is \
         prepared",
        corpus.name,
        before.name,
        before.directory.display()
    ))
}

/// The tasks that a stage trains on.
fn prompts_of(
    facts: Facts<'_>,
    objective: &ObjectiveSpec,
    settings: &StageSettings,
    stage: &str,
) -> Result<Option<PromptSpec>, String> {
    let objective = objective.objective;
    match (objective.is_prompted(), settings.tasks.as_slice()) {
        (true, []) => {
            Err(format!("{objective} trains on tasks; list them in stages.{stage}.tasks, as in [\"shipped:world\"]"))
        }
        (false, []) if !settings.held_out.is_empty() => Err(format!(
            "{objective} trains on texts, and nothing of them is held out by family; leave stages.{stage}.held_out out"
        )),
        (false, []) => Ok(None),
        (false, _) => Err(format!(
            "{objective} trains on texts, not on tasks; leave stages.{stage}.tasks out, or set its objective to MTF or FT"
        )),
        (true, [_, _, ..]) if objective == Objective::Finetuning => {
            Err(format!("FT trains on one task, and stages.{stage}.tasks lists several; use MTF for a mixture"))
        }
        (true, sources) => Ok(Some(PromptSpec {
            sources: sources.to_vec(),
            held_out: settings.held_out.clone(),
            examples: settings.examples(),
            cap: settings.cap(),
            fingerprint: facts.known.stages.get(stage).and_then(|stage| stage.tasks.clone()).unwrap_or_default(),
        })),
    }
}

/// Lets every run keep the checkpoints that others begin with.
pub(super) fn keep(runs: &mut [RunSpec]) {
    let mut wanted: HashMap<RunId, Vec<u64>> = HashMap::new();
    for ParentSpec { run, step, .. } in runs.iter().filter_map(|run| run.parent.as_ref()) {
        wanted.entry(run.clone()).or_default().push(*step);
    }
    for run in runs {
        // The last one is made and kept anyway.
        let own = wanted.remove(&run.id).unwrap_or_default().into_iter().filter(|step| *step < run.training.steps);
        run.probes.keep_steps.extend(own);
        run.probes.keep_steps.sort_unstable();
        run.probes.keep_steps.dedup();
    }
}
