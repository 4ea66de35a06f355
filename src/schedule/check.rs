//! Values of a study that make no sense whatever the cell: each is an error that names its key.

use std::collections::BTreeSet;

use super::cells::{NO_STAGE, chains};
use crate::core::spec::{LearningRateSchedule, OptimizerSpec};
use crate::core::stage::Budget;
use crate::core::stage::StageSettings;
use crate::core::study::{Axis, HeadDim, StudySpec};
use crate::core::{MixturePart, Objective, Task};

/// A study cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A value is outside its range.
    #[error("plan the study: `{key}` is {value}, but it must be {rule}")]
    Value {
        /// Where it stands in the study file.
        key: String,
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

fn value(key: impl Into<String>, value: impl ToString, rule: &'static str, holds: bool) -> Result<(), PlanError> {
    if holds { Ok(()) } else { Err(PlanError::Value { key: key.into(), value: value.to_string(), rule }) }
}

fn each<T: ToString>(
    key: &'static str,
    axis: &Axis<T>,
    rule: &'static str,
    holds: impl Fn(&T) -> bool,
) -> Result<(), PlanError> {
    if axis.0.is_empty() {
        let (key, value) = (key.to_owned(), "empty".to_owned());
        return Err(PlanError::Value { key, value, rule: "one value or a list of values" });
    }
    axis.iter().try_for_each(|found| value(key, found.to_string(), rule, holds(found)))
}

/// Every value of the study by itself, then those that must agree in every cell.
///
/// # Errors
/// One makes no sense; its key is named.
pub fn study(study: &StudySpec) -> Result<(), PlanError> {
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
    let own = &study.objective;
    noise("objective", Some(own.noise_density), Some(own.mean_noise_span_length))?;
    mixture("objective.mixture", &own.mixture)?;
    let of_lineages = study.grid.lineages.iter().map(|lineage| lineage.cell.objective);
    let mixes =
        study.grid.objective.iter().copied().chain(of_lineages).any(|objective| objective == Objective::Mixture);
    let rule = "a list of tasks while the grid has MIX";
    value("objective.mixture", "empty", rule, !mixes || !own.mixture.is_empty())
}

/// How much is removed, and in spans how long, below the key `of`.
fn noise(of: &str, density: Option<f64>, length: Option<f64>) -> Result<(), PlanError> {
    let share = "between 0 and 1, both excluded";
    if let Some(density) = density {
        value(format!("{of}.noise_density"), density, share, density > 0.0 && density < 1.0)?;
    }
    if let Some(length) = length {
        let key = format!("{of}.mean_noise_span_length");
        value(key, length, "at least 1", length.is_finite() && length >= 1.0)?;
    }
    Ok(())
}

fn mixture(of: &str, parts: &[MixturePart]) -> Result<(), PlanError> {
    for part in parts {
        let weight = part.weight;
        value(format!("{of}.weight"), weight, "a positive number", weight.is_finite() && weight > 0.0)?;
        noise(of, Some(part.noise_density), Some(part.mean_noise_span_length))?;
        let rule = "a task on texts; prompts are for the objectives MTF and FT of later stages";
        value(format!("{of}.task"), part.task.word(), rule, part.task != Task::Prompted)?;
        if let Some(mode) = part.mode {
            let in_place =
                matches!(part.task, Task::MaskedLm | Task::BlankTokens | Task::BlankSentences | Task::BlankDocument);
            let rule =
                "left out where tokens are masked in their places or blanks are filled: no inputs stand alone there";
            value(format!("{of}.mode"), format!("{mode:?}"), rule, !in_place)?;
        }
    }
    Ok(())
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
    let named: BTreeSet<&String> = study
        .grid
        .lineages
        .iter()
        .flat_map(|lineage| &lineage.stages)
        .chain(study.grid.then.iter().flatten())
        .collect();
    if let Some(unused) = study.stages.keys().find(|name| !named.contains(name)) {
        return Err(PlanError::Conflict(format!(
            "no lineage has the stage `{unused}`; name it in grid.then or grid.lineages, or leave stages.{unused} out"
        )));
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
    study.stages.iter().try_for_each(|(name, stage)| self::stage(study, name, stage))
}

fn stage(study: &StudySpec, name: &str, stage: &StageSettings) -> Result<(), PlanError> {
    if name == NO_STAGE || name.contains('>') {
        return Err(PlanError::Conflict(format!("`{name}` cannot be the name of a stage; use letters and digits")));
    }
    let of = format!("stages.{name}");
    let key = |what: &str| format!("{of}.{what}");
    if let Some(budget) = stage.budget {
        self::budget(budget)?;
    }
    if let Some(rate) = stage.learning_rate {
        value(key("learning_rate"), rate, "a positive number", rate.is_finite() && rate > 0.0)?;
    }
    if let Some(fraction) = stage.final_fraction {
        value(key("final_fraction"), fraction, "between 0 and 1", (0.0..=1.0).contains(&fraction))?;
    }
    if let Some(rate) = stage.dropout {
        value(key("dropout"), rate, "at least 0 and below 1 (0 switches it off)", (0.0..1.0).contains(&rate))?;
    }
    noise(&of, stage.noise_density, stage.mean_noise_span_length)?;
    let parts = stage.mixture.as_ref().unwrap_or(&study.objective.mixture);
    mixture(&key("mixture"), parts)?;
    let mixes = stage.objective == Some(Objective::Mixture);
    value(key("mixture"), "empty", "a list of tasks while the stage has MIX", !mixes || !parts.is_empty())?;
    let batch_size = stage.batch_size.unwrap_or(study.training.batch_size);
    let micro = stage.micro_batch_size.unwrap_or(batch_size);
    value(key("batch_size"), batch_size, "between 1 and 1048576", (1..=LONGEST).contains(&batch_size))?;
    let divides = micro > 0 && batch_size.is_multiple_of(micro);
    value(key("micro_batch_size"), micro, "a divisor of the stage's batch_size", divides)?;
    value(key("examples"), 0, "at least 1", stage.examples != Some(0))?;
    value(key("cap"), 0, "at least 1", stage.cap != Some(0))
}

/// The key of the budget that was given.
pub(super) const fn budget_key(budget: Budget) -> &'static str {
    match budget {
        Budget::Steps(_) => "budget.steps",
        Budget::Tokens(_) => "budget.tokens",
        Budget::Flops(_) => "budget.flops",
    }
}
