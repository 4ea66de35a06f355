//! Values of a study that make no sense whatever the cell: each is an error that names its key.

use std::collections::BTreeSet;

use super::cells::{NO_STAGE, chains};
use crate::core::Objective;
use crate::core::spec::{LearningRateSchedule, OptimizerSpec};
use crate::core::stage::Budget;
use crate::core::study::{Axis, HeadDim, StudySpec};

/// A study cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A value is outside its range.
    #[error("plan the study: `{key}` is {value}, but it must be {rule}")]
    Value {
        /// Where it stands in the study file.
        key: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        rule: &'static str,
    },
    /// Two values do not go together.
    #[error("plan the study: {0}")]
    Conflict(String),
}

/// Longest example; far beyond what a lab trains, it keeps the arithmetic of planning quick.
const LONGEST: usize = 1 << 20;

fn value(key: &'static str, value: impl ToString, rule: &'static str, holds: bool) -> Result<(), PlanError> {
    if holds { Ok(()) } else { Err(PlanError::Value { key, value: value.to_string(), rule }) }
}

fn each<T: ToString>(
    key: &'static str,
    axis: &Axis<T>,
    rule: &'static str,
    holds: impl Fn(&T) -> bool,
) -> Result<(), PlanError> {
    if axis.0.is_empty() {
        return Err(PlanError::Value { key, value: "empty".to_owned(), rule: "one value or a list of values" });
    }
    axis.iter().try_for_each(|found| value(key, found.to_string(), rule, holds(found)))
}

/// Every value of the study by itself, then those that must agree in every cell.
pub(super) fn study(study: &StudySpec) -> Result<(), PlanError> {
    let any = "one value or a list of values";
    each("grid.architecture", &study.grid.architecture, any, |_| true)?;
    each("grid.objective", &study.grid.objective, any, |_| true)?;
    each("grid.seed", &study.grid.seed, any, |_| true)?;
    model(study)?;
    objective(study)?;
    training(study)?;
    budget(study.budget)?;
    probes(study)?;
    stages(study)?;
    value("execution.threads", study.execution.threads, "at least 1", study.execution.threads > 0)
}

fn model(study: &StudySpec) -> Result<(), PlanError> {
    let model = &study.model;
    let sizes = [
        ("model.d_model", Some(&model.d_model)),
        ("model.num_layers", Some(&model.num_layers)),
        ("model.num_heads", Some(&model.num_heads)),
        ("model.d_ff", model.d_ff.as_ref()),
    ];
    for (key, axis) in sizes.iter().filter_map(|(key, axis)| axis.map(|axis| (*key, axis))) {
        each(key, axis, "between 1 and 1048576", |size| (1..=LONGEST).contains(size))?;
    }
    each("model.head_dim", &model.head_dim, "\"standard\" or between 1 and 1048576", |size| match size {
        HeadDim::Fixed(size) => (1..=LONGEST).contains(size),
        HeadDim::Standard(_) => true,
    })?;
    let positive = |number: f64| number.is_finite() && number > 0.0;
    value("model.rope_theta", model.rope_theta, "a positive number", positive(model.rope_theta))?;
    value("model.norm_epsilon", model.norm_epsilon, "a positive number", positive(model.norm_epsilon))
}

fn objective(study: &StudySpec) -> Result<(), PlanError> {
    let density = study.objective.noise_density;
    value("objective.noise_density", density, "between 0 and 1, both excluded", density > 0.0 && density < 1.0)?;
    let length = study.objective.mean_noise_span_length;
    value("objective.mean_noise_span_length", length, "at least 1", length.is_finite() && length >= 1.0)?;
    for part in &study.objective.mixture {
        let weight = part.weight;
        value("objective.mixture.weight", weight, "a positive number", weight.is_finite() && weight > 0.0)?;
        let density = part.noise_density;
        let share = "between 0 and 1, both excluded";
        value("objective.mixture.noise_density", density, share, density > 0.0 && density < 1.0)?;
        let length = part.mean_noise_span_length;
        let key = "objective.mixture.mean_noise_span_length";
        value(key, length, "at least 1", length.is_finite() && length >= 1.0)?;
    }
    let mixes = study.grid.objective.iter().any(|objective| *objective == Objective::Mixture);
    let listed = !mixes || !study.objective.mixture.is_empty();
    value("objective.mixture", "empty", "a list of tasks while grid.objective has MIX", listed)
}

fn training(study: &StudySpec) -> Result<(), PlanError> {
    let training = &study.training;
    each("training.seq_len", &training.seq_len, "between 2 and 1048576", |len| (2..=LONGEST).contains(len))?;
    let range = "between 1 and 1048576";
    value("training.batch_size", training.batch_size, range, (1..=LONGEST).contains(&training.batch_size))?;
    if let Some(micro) = training.micro_batch_size {
        let divides = micro > 0 && training.batch_size.is_multiple_of(micro);
        value("training.micro_batch_size", micro, "a divisor of training.batch_size", divides)?;
    }
    let positive = |number: f64| number.is_finite() && number > 0.0;
    each("training.learning_rate", &training.learning_rate, "a positive number", |rate| positive(*rate))?;
    let fraction = training.final_fraction;
    value("training.final_fraction", fraction, "between 0 and 1", (0.0..=1.0).contains(&fraction))?;
    let decay = "at least 0 and below 1";
    value("training.beta1", training.beta1, decay, (0.0..1.0).contains(&training.beta1))?;
    value("training.beta2", training.beta2, decay, (0.0..1.0).contains(&training.beta2))?;
    value("training.epsilon", training.epsilon, "a positive number", positive(training.epsilon))?;
    let not_negative = |number: f64| number.is_finite() && number >= 0.0;
    value("training.weight_decay", training.weight_decay, "at least 0", not_negative(training.weight_decay))?;
    let clip = training.grad_clip_norm;
    value("training.grad_clip_norm", clip, "at least 0 (0 switches clipping off)", not_negative(clip))?;
    value("training.z_loss", training.z_loss, "at least 0 (0 switches it off)", not_negative(training.z_loss))?;
    let dropout = "at least 0 and below 1 (0 switches it off)";
    value("training.dropout", training.dropout, dropout, (0.0..1.0).contains(&training.dropout))?;
    let factor = training.divergence_factor;
    value("training.divergence_factor", factor, "a positive number", positive(factor))
}

fn budget(budget: Budget) -> Result<(), PlanError> {
    match budget {
        Budget::Steps(steps) => value("budget.steps", steps, "at least 1", steps > 0),
        Budget::Tokens(tokens) => value("budget.tokens", tokens, "at least 1", tokens > 0),
        Budget::Flops(flops) => value("budget.flops", flops, "a positive number", flops.is_finite() && flops > 0.0),
    }
}

fn probes(study: &StudySpec) -> Result<(), PlanError> {
    let probes = &study.probes;
    let once = "at least 1";
    value("probes.log_every", probes.log_every, once, probes.log_every > 0)?;
    value("probes.validation_every", probes.validation_every, once, probes.validation_every > 0)?;
    value("probes.validation_examples", probes.validation_examples, once, probes.validation_examples > 0)?;
    value("probes.checkpoint_every", probes.checkpoint_every, once, probes.checkpoint_every > 0)?;
    value("probes.keep_checkpoints", probes.keep_checkpoints, once, probes.keep_checkpoints > 0)?;
    let samples = probes.sample_every == 0 || probes.sample_tokens > 0;
    value("probes.sample_tokens", probes.sample_tokens, "at least 1 while probes.sample_every is not 0", samples)
}

/// A cosine that would end before it begins; the other schedules have no end to miss.
pub(super) fn warmup(optimizer: &OptimizerSpec, budget: Budget, steps: u64, cell: &str) -> Result<(), PlanError> {
    let (key, warmup) = (budget_key(budget), optimizer.warmup_steps);
    match optimizer.schedule {
        LearningRateSchedule::Cosine if warmup > steps => Err(PlanError::Conflict(format!(
            "`training.warmup_steps` is {warmup}, but `{key}` gives {cell} only {steps} steps; lower the first or raise \
             the second"
        ))),
        LearningRateSchedule::Cosine | LearningRateSchedule::Rsqrt | LearningRateSchedule::Constant => Ok(()),
    }
}

/// Every stage by itself, and every chain of them: a lineage goes on, it does not go round.
fn stages(study: &StudySpec) -> Result<(), PlanError> {
    let listed = study.grid.lineages.iter().flat_map(|lineage| &lineage.stages);
    let axes = study.grid.then.iter().flatten().filter(|stage| *stage != NO_STAGE);
    for stage in listed.chain(axes) {
        if !study.stages.contains_key(stage) {
            let known = study.stages.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "there are none".to_owned() } else { format!("there are {known}") };
            return Err(PlanError::Conflict(format!("the grid names the stage `{stage}`; of [stages.NAME] {known}")));
        }
    }
    for axis in &study.grid.then {
        value("grid.then", "an empty axis", "lists of stages, of which `-` means none", !axis.is_empty())?;
    }
    for chain in chains(study) {
        let mut seen = BTreeSet::new();
        if let Some(stage) = chain.stages.iter().find(|stage| !seen.insert(**stage)) {
            let lineage = chain.stages.join(" > ");
            return Err(PlanError::Conflict(format!(
                "the lineage `{lineage}` comes back to the stage `{stage}`; give the second one a name of its own"
            )));
        }
    }
    for (name, stage) in &study.stages {
        let key = |what: &str| format!("stages.{name}.{what}");
        let bad = |what: &str, value: String, rule: &str| {
            Err(PlanError::Conflict(format!("`{}` is {value}, but it must be {rule}", key(what))))
        };
        if name == NO_STAGE || name.contains('>') {
            return Err(PlanError::Conflict(format!("`{name}` cannot be the name of a stage; use letters and digits")));
        }
        if let Some(budget) = stage.budget {
            self::budget(budget)?;
        }
        match stage.learning_rate {
            Some(rate) if !rate.is_finite() || rate <= 0.0 => {
                return bad("learning_rate", rate.to_string(), "a positive number");
            }
            Some(_) | None => {}
        }
        match stage.dropout {
            Some(rate) if !(0.0..1.0).contains(&rate) => {
                return bad("dropout", rate.to_string(), "at least 0 and below 1 (0 switches it off)");
            }
            Some(_) | None => {}
        }
        let batch_size = stage.batch_size.unwrap_or(study.training.batch_size);
        let micro = stage.micro_batch_size.unwrap_or(batch_size);
        if batch_size == 0 || batch_size > LONGEST {
            return bad("batch_size", batch_size.to_string(), "between 1 and 1048576");
        }
        if micro == 0 || !batch_size.is_multiple_of(micro) {
            return bad("micro_batch_size", micro.to_string(), "a divisor of the stage's batch_size");
        }
        if stage.examples == Some(0) || stage.cap == Some(0) {
            return bad(if stage.cap == Some(0) { "cap" } else { "examples" }, "0".to_owned(), "at least 1");
        }
    }
    Ok(())
}

/// The key of the budget that was given.
pub(super) const fn budget_key(budget: Budget) -> &'static str {
    match budget {
        Budget::Steps(_) => "budget.steps",
        Budget::Tokens(_) => "budget.tokens",
        Budget::Flops(_) => "budget.flops",
    }
}
