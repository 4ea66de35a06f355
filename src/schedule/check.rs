//! Values of a study that make no sense whatever the cell: each is an error that names its key.

use std::collections::BTreeSet;

use super::cells::lineages;
use crate::core::grid::{self, MOST_STAGES, NO_STAGE, TooManyRuns};
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
    /// It is too large to be expanded.
    #[error("plan the study: {0}")]
    TooMany(#[from] TooManyRuns),
}

/// Longest example and largest size of a model; far beyond what a lab trains, it keeps the arithmetic of planning quick.
const LONGEST: usize = 1 << 20;

/// Steps of a run at most, and steps between two of anything: a run of so many takes ten thousand years.
pub(super) const MOST_STEPS: u64 = 1_000_000_000_000;

/// The words for [`MOST_STEPS`].
const STEPS: &str = "between 1 and 1,000,000,000,000";

/// As [`STEPS`], of what can be switched off.
const STEPS_OR_NONE: &str = "between 0 and 1,000,000,000,000 (0 for none)";

/// Threads of one worker at most: more than any machine shares a batch among.
const MOST_THREADS: usize = 1024;

/// Checkpoints, or steps whose checkpoints are kept, at most; each is a folder that the worker lists.
const MOST_KEPT: usize = 100_000;

/// Largest of the numbers that are factors; what is larger was meant to be something else.
const LARGEST: f64 = 1e12;

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

/// Every value of the study by itself, how many runs it has, then what must agree in every cell.
///
/// # Errors
/// A value makes no sense and its key is named, or there are too many runs.
pub fn study(study: &StudySpec) -> Result<(), PlanError> {
    let any = "one value or a list of values";
    each("grid.architecture", &study.grid.architecture, any, |_| true)?;
    each("grid.objective", &study.grid.objective, any, |_| true)?;
    each("grid.seed", &study.grid.seed, any, |_| true)?;
    model(study)?;
    objective(study)?;
    training(study)?;
    budget("", study.budget)?;
    probes(study)?;
    let threads = study.execution.threads;
    value("execution.threads", threads, "between 1 and 1024", (1..=MOST_THREADS).contains(&threads))?;
    few_stages(study)?;
    grid::count(study)?;
    stages(study)
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
    // Each size is compared with every other one in every cell.
    let heads = model.head_dim.0.len();
    let few = !model.match_parameters || heads <= MOST_MATCHED;
    value("model.head_dim", format!("a list of {heads}"), "a list of at most 100 while match_parameters", few)?;
    value("model.rope_theta", model.rope_theta, POSITIVE, positive(model.rope_theta))?;
    let epsilon = model.norm_epsilon;
    value("model.norm_epsilon", epsilon, "above 0 and at most 1", positive(epsilon) && epsilon <= 1.0)
}

/// Sizes of heads that are compared at equal parameters, at most.
const MOST_MATCHED: usize = 100;

/// The words for [`positive`].
const POSITIVE: &str = "a positive number of at most 1e12";

/// The words for [`not_negative`].
const NOT_NEGATIVE: &str = "between 0 and 1e12 (0 switches it off)";

fn positive(number: f64) -> bool {
    number > 0.0 && number <= LARGEST
}

fn not_negative(number: f64) -> bool {
    (0.0..=LARGEST).contains(&number)
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
#[expect(clippy::cast_precision_loss, reason = "2^20 is exact")]
fn noise(of: &str, density: Option<f64>, length: Option<f64>) -> Result<(), PlanError> {
    let share = "between 0 and 1, both excluded";
    if let Some(density) = density {
        value(format!("{of}.noise_density"), density, share, density > 0.0 && density < 1.0)?;
    }
    if let Some(length) = length {
        let key = format!("{of}.mean_noise_span_length");
        value(key, length, "between 1 and 1048576", (1.0..=LONGEST as f64).contains(&length))?;
    }
    Ok(())
}

fn mixture(of: &str, parts: &[MixturePart]) -> Result<(), PlanError> {
    for part in parts {
        let weight = part.weight;
        value(format!("{of}.weight"), weight, POSITIVE, positive(weight))?;
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
    each("training.learning_rate", &training.learning_rate, POSITIVE, |rate| positive(*rate))?;
    value("training.warmup_steps", training.warmup_steps, STEPS_OR_NONE, training.warmup_steps <= MOST_STEPS)?;
    let fraction = training.final_fraction;
    value("training.final_fraction", fraction, "between 0 and 1", (0.0..=1.0).contains(&fraction))?;
    let decay = "at least 0 and below 1";
    value("training.beta1", training.beta1, decay, (0.0..1.0).contains(&training.beta1))?;
    value("training.beta2", training.beta2, decay, (0.0..1.0).contains(&training.beta2))?;
    value("training.epsilon", training.epsilon, POSITIVE, positive(training.epsilon))?;
    let off = [
        ("training.weight_decay", training.weight_decay),
        ("training.grad_clip_norm", training.grad_clip_norm),
        ("training.z_loss", training.z_loss),
        ("training.divergence_factor", training.divergence_factor),
    ];
    off.into_iter().try_for_each(|(key, number)| value(key, number, NOT_NEGATIVE, not_negative(number)))?;
    let dropout = "at least 0 and below 1 (0 switches it off)";
    value("training.dropout", training.dropout, dropout, (0.0..1.0).contains(&training.dropout))
}

/// Positions of a run at most; far beyond every corpus, it keeps sums of them exact.
const MOST_TOKENS: u64 = 1_000_000_000_000_000_000;

/// FLOPs of a run at most.
const MOST_FLOPS: f64 = 1e30;

fn budget(of: &str, budget: Budget) -> Result<(), PlanError> {
    let key = format!("{of}{}", budget_key(budget));
    match budget {
        Budget::Steps(steps) => value(key, steps, STEPS, (1..=MOST_STEPS).contains(&steps)),
        Budget::Tokens(tokens) => value(key, tokens, "between 1 and 10^18", (1..=MOST_TOKENS).contains(&tokens)),
        Budget::Flops(flops) => {
            value(key, flops, "a positive number of at most 1e30", flops > 0.0 && flops <= MOST_FLOPS)
        }
    }
}

fn probes(study: &StudySpec) -> Result<(), PlanError> {
    let probes = &study.probes;
    for (key, every) in [
        ("probes.log_every", probes.log_every),
        ("probes.validation_every", probes.validation_every),
        ("probes.checkpoint_every", probes.checkpoint_every),
    ] {
        value(key, every, STEPS, (1..=MOST_STEPS).contains(&every))?;
    }
    for (key, every) in [
        ("probes.rank_every", probes.rank_every),
        ("probes.zero_shot_every", probes.zero_shot_every),
        ("probes.sample_every", probes.sample_every),
    ] {
        value(key, every, STEPS_OR_NONE, every <= MOST_STEPS)?;
    }
    let range = "between 1 and 1048576";
    let examples = probes.validation_examples;
    value("probes.validation_examples", examples, range, (1..=LONGEST).contains(&examples))?;
    let kept = probes.keep_checkpoints;
    value("probes.keep_checkpoints", kept, "between 1 and 100,000", (1..=MOST_KEPT).contains(&kept))?;
    let (listed, last) = (probes.keep_steps.len(), probes.keep_steps.iter().max().copied().unwrap_or(0));
    value("probes.keep_steps", format!("a list of {listed}"), "a list of at most 100,000 steps", listed <= MOST_KEPT)?;
    value("probes.keep_steps", last, STEPS, last <= MOST_STEPS)?;
    let (items, share) = (probes.zero_shot_items, probes.zero_shot_share);
    value("probes.zero_shot_items", items, "between 0 and 1,000,000,000", items <= 1_000_000_000)?;
    value("probes.zero_shot_share", share, "between 0 and 1e12", not_negative(share))?;
    let tokens = probes.sample_tokens;
    value("probes.sample_tokens", tokens, "between 0 and 1048576", tokens <= LONGEST)?;
    let samples = probes.sample_every == 0 || tokens > 0;
    value("probes.sample_tokens", tokens, "at least 1 while probes.sample_every is not 0", samples)
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

/// Lists of stages that are short enough to be counted.
fn few_stages(study: &StudySpec) -> Result<(), PlanError> {
    let longest = study.grid.lineages.iter().map(|lineage| lineage.stages.len()).max().unwrap_or(0);
    let lists = [("stages", study.stages.len()), ("grid.then", study.grid.then.len()), ("grid.lineages", longest)];
    lists.into_iter().try_for_each(|(key, length)| {
        value(key, format!("a list of {length} stages"), "a list of at most 64", length <= MOST_STAGES)
    })
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
    for (_, stages) in lineages(study) {
        let mut seen = BTreeSet::new();
        if let Some(stage) = stages.iter().find(|stage| !seen.insert(**stage)) {
            let lineage = stages.join(" > ");
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
        self::budget(&format!("{of}."), budget)?;
    }
    if let Some(rate) = stage.learning_rate {
        value(key("learning_rate"), rate, POSITIVE, positive(rate))?;
    }
    if let Some(steps) = stage.warmup_steps {
        value(key("warmup_steps"), steps, STEPS_OR_NONE, steps <= MOST_STEPS)?;
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
    let (examples, cap) = (stage.examples(), stage.cap());
    let range = "between 1 and 10,000,000";
    value(key("examples"), examples, range, (1..=10_000_000).contains(&examples))?;
    value(key("cap"), cap, STEPS, (1..=MOST_STEPS).contains(&cap))
}

/// The key of the budget that was given.
pub(super) const fn budget_key(budget: Budget) -> &'static str {
    match budget {
        Budget::Steps(_) => "budget.steps",
        Budget::Tokens(_) => "budget.tokens",
        Budget::Flops(_) => "budget.flops",
    }
}
