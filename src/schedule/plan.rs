//! Study → runs: the product of the axes, cell by cell either a complete spec or a refusal in words. Pure.
//! Promises: the same study gives the same runs in the same order; the first seed of every cell comes before any
//! second seed, so that a comparison is fair from its first hour on; identical cells appear once.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::core::cost::{parameters, parameters_per_unit, step_flops, step_tokens};
use crate::core::id::RUN_ID_LENGTH;
use crate::core::legal;
use crate::core::rows::{batch_shape, iid_bounds, span_lengths, task_lengths};
use crate::core::spec::{DataSpec, ExecutionSpec, OptimizerSpec, RunSpec, SPEC_FORMAT, TrainingSpec};
use crate::core::study::{Axis, Budget, HeadDim, StudySpec};
use crate::core::summary::Refusal;
use crate::core::{
    Architecture, AttentionDirection, MixturePart, Mlp, ModelPreset, ModelSpec, NormKind, Objective, ObjectiveSpec,
    Position, RunId, Task,
};
use crate::corpus::{SENTINELS, SENTINELS_BESIDE_MARKS};

use super::check::{self, PlanError, budget_key};

/// What planning must know of the corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorpusFacts {
    /// What people call it.
    pub name: String,
    /// Fingerprint of texts, split and tokenizer.
    pub fingerprint: String,
    /// Token ids, specials and sentinels included.
    pub vocab_size: usize,
    /// Folder of the shards.
    pub directory: PathBuf,
    /// Tokens of the training text; absent while nobody has counted them.
    pub train_tokens: Option<u64>,
    /// UTF-8 bytes of the training text.
    pub train_bytes: u64,
    /// Whether it is prepared.
    pub ready: bool,
}

/// What a study expands to.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Runs, in the order in which they should start.
    pub runs: Vec<RunSpec>,
    /// Cells that cannot be trained.
    pub refusals: Vec<Refusal>,
}

/// One combination of the axes.
#[derive(Clone, Copy)]
struct Cell {
    seed: u64,
    architecture: Architecture,
    objective: Objective,
    d_model: usize,
    num_layers: usize,
    num_heads: usize,
    head_dim: HeadDim,
    d_ff: Option<usize>,
    preset: ModelPreset,
    position: Option<Position>,
    mlp: Option<Mlp>,
    norm: Option<NormKind>,
    tied_embeddings: Option<bool>,
    direction: AttentionDirection,
    loss_on_inputs: bool,
    seq_len: usize,
    learning_rate: f64,
}

/// Why one cell gives no run.
enum Refused {
    /// The cell; the others go on.
    Cell(Refusal),
    /// The study as a whole.
    Study(PlanError),
}

/// Expand `study` over `corpus`, its zero-shot tasks as they are now, for a program of `program_version`.
///
/// # Errors
/// A value that makes no sense in any cell; the message names its key.
pub fn plan(
    study: &StudySpec,
    corpus: &CorpusFacts,
    tasks_fingerprint: Option<&str>,
    program_version: &str,
) -> Result<Plan, PlanError> {
    check::study(study)?;
    let mut known: BTreeSet<RunId> = BTreeSet::new();
    let mut result = Plan { runs: Vec::new(), refusals: Vec::new() };
    for cell in cells(study) {
        match resolve(study, corpus, (tasks_fingerprint, program_version), &cell) {
            Ok(run) => {
                if known.insert(run.id.clone()) {
                    result.runs.push(run);
                }
            }
            Err(Refused::Cell(refusal)) => {
                if !result.refusals.contains(&refusal) {
                    result.refusals.push(refusal);
                }
            }
            Err(Refused::Study(error)) => return Err(error),
        }
    }
    Ok(result)
}

/// The product of the axes, seeds outermost.
fn cells(study: &StudySpec) -> Vec<Cell> {
    fn optional<T: Copy>(axis: Option<&Axis<T>>) -> Vec<Option<T>> {
        axis.map_or_else(|| vec![None], |axis| axis.iter().copied().map(Some).collect())
    }
    fn product<T: Copy>(cells: Vec<Cell>, values: &[T], set: impl Fn(&mut Cell, T)) -> Vec<Cell> {
        let with = |cell: Cell, value: T| {
            let mut cell = cell;
            set(&mut cell, value);
            cell
        };
        cells
            .into_iter()
            .flat_map(|cell| values.iter().map(move |value| (cell, *value)))
            .map(|(c, v)| with(c, v))
            .collect()
    }
    let start = Cell {
        seed: 0,
        architecture: Architecture::CausalDecoder,
        objective: Objective::FullLm,
        d_model: 0,
        num_layers: 0,
        num_heads: 0,
        head_dim: HeadDim::STANDARD,
        d_ff: None,
        preset: ModelPreset::Llama,
        position: None,
        mlp: None,
        norm: None,
        tied_embeddings: None,
        direction: AttentionDirection::Both,
        loss_on_inputs: false,
        seq_len: 0,
        learning_rate: 0.0,
    };
    let (grid, model, training) = (&study.grid, &study.model, &study.training);
    let cells = product(vec![start], &grid.seed.0, |cell, value| cell.seed = value);
    let cells = product(cells, &model.d_model.0, |cell, value| cell.d_model = value);
    let cells = product(cells, &model.num_layers.0, |cell, value| cell.num_layers = value);
    let cells = product(cells, &model.num_heads.0, |cell, value| cell.num_heads = value);
    let cells = product(cells, &model.head_dim.0, |cell, value| cell.head_dim = value);
    let cells = product(cells, &optional(model.d_ff.as_ref()), |cell, value| cell.d_ff = value);
    let cells = product(cells, &model.preset.0, |cell, value| cell.preset = value);
    let cells = product(cells, &optional(model.position.as_ref()), |cell, value| cell.position = value);
    let cells = product(cells, &optional(model.mlp.as_ref()), |cell, value| cell.mlp = value);
    let cells = product(cells, &optional(model.norm.as_ref()), |cell, value| cell.norm = value);
    let cells = product(cells, &optional(model.tied_embeddings.as_ref()), |cell, value| cell.tied_embeddings = value);
    let cells = product(cells, &model.direction.0, |cell, value| cell.direction = value);
    let cells = product(cells, &study.objective.loss_on_inputs.0, |cell, value| cell.loss_on_inputs = value);
    let cells = product(cells, &training.seq_len.0, |cell, value| cell.seq_len = value);
    let cells = product(cells, &training.learning_rate.0, |cell, value| cell.learning_rate = value);
    let cells = product(cells, &grid.architecture.0, |cell, value| cell.architecture = value);
    let mut cells = product(cells, &grid.objective.0, |cell, value| cell.objective = value);
    cells.retain(|cell| {
        !grid.exclude.iter().any(|e| e.architecture == cell.architecture && e.objective == cell.objective)
    });
    cells
}

/// The id of a spec whose content is not complete yet.
fn unnamed() -> Result<RunId, Refused> {
    let nothing = "0".repeat(RUN_ID_LENGTH).parse::<RunId>();
    nothing.map_err(|error| Refused::Study(PlanError::Conflict(error.to_string())))
}

fn refuse<T>(name: &str, reason: String) -> Result<T, Refused> {
    Err(Refused::Cell(Refusal { cell: name.to_owned(), reason }))
}

fn resolve(
    study: &StudySpec,
    corpus: &CorpusFacts,
    (tasks_fingerprint, program_version): (Option<&str>, &str),
    cell: &Cell,
) -> Result<RunSpec, Refused> {
    let name = format!("{}:{}", cell.architecture, cell.objective);
    let settings = &study.objective;
    let shares = (settings.noise_density, settings.mean_noise_span_length);
    let objective = ObjectiveSpec::new(cell.objective, shares, cell.loss_on_inputs, &settings.mixture);
    legal::check(cell.architecture, &objective).or_else(|illegal| {
        refuse(&illegal.cell, format!("{}; nearest legal cell: {}", illegal.reason, illegal.nearest))
    })?;
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
    check::warmup(study, training.steps, &name).map_err(Refused::Study)?;
    let mut run = RunSpec {
        format: SPEC_FORMAT,
        id: unnamed()?,
        study: study.name.clone(),
        seed: cell.seed,
        model,
        objective,
        optimizer: optimizer_of(study, cell),
        training,
        data: DataSpec {
            fingerprint: corpus.fingerprint.clone(),
            name: corpus.name.clone(),
            directory: corpus.directory.clone(),
        },
        parent: None,
        probes: study.probes.clone(),
        tasks_fingerprint: tasks_fingerprint.map(ToOwned::to_owned),
        execution: ExecutionSpec {
            device: study.execution.device,
            threads: study.execution.threads,
            program_version: program_version.to_owned(),
        },
    };
    run.id = run.content_id().map_err(|error| Refused::Study(PlanError::Conflict(error.to_string())))?;
    Ok(run)
}

/// The model of a cell; if heads of several sizes are compared at equal parameters, with the MLP that makes them so.
fn model_of(
    study: &StudySpec,
    corpus: &CorpusFacts,
    cell: &Cell,
    objective: &ObjectiveSpec,
    name: &str,
) -> Result<ModelSpec, Refused> {
    let of = |head_dim| sized(study, corpus, &Cell { head_dim, ..*cell }, objective, name);
    let mut model = of(cell.head_dim)?;
    if study.model.match_parameters {
        // Sizes that do not go with this cell are refused where they stand.
        let others = study.model.head_dim.iter().filter_map(|head_dim| of(*head_dim).ok());
        let most = others.map(|other| parameters(&other)).max().unwrap_or(0);
        model.d_ff += matching_units(&model, most);
    }
    legal::model(&model).or_else(|reason| refuse(name, reason))?;
    Ok(model)
}

/// Hidden units that bring `model` as close as they can to `most` parameters (Bhojanapalli et al. 2020, arXiv 2002.07028,
/// §4.1, widens the MLP of the baseline).
#[expect(clippy::cast_possible_truncation, reason = "far below 2^52")]
fn matching_units(model: &ModelSpec, most: u64) -> usize {
    let unit = parameters_per_unit(model).max(1);
    ((most.saturating_sub(parameters(model)) + unit / 2) / unit) as usize
}

fn sized(
    study: &StudySpec,
    corpus: &CorpusFacts,
    cell: &Cell,
    objective: &ObjectiveSpec,
    name: &str,
) -> Result<ModelSpec, Refused> {
    let (d_model, num_heads) = (cell.d_model, cell.num_heads);
    let head_dim = match cell.head_dim {
        HeadDim::Fixed(head_dim) => head_dim,
        HeadDim::Standard(_) if !d_model.is_multiple_of(num_heads) => {
            return refuse(
                name,
                format!("model.d_model {d_model} is no multiple of model.num_heads {num_heads}; set model.head_dim"),
            );
        }
        HeadDim::Standard(_) => d_model / num_heads,
    };
    let (position, mlp, norm, tied) = cell.preset.parts();
    let position = cell.position.unwrap_or(position);
    let has_blanks = objective.parts().iter().any(|part| part.task.has_blanks());
    let table = |wanted: bool| if wanted { cell.seq_len } else { 0 };
    Ok(ModelSpec {
        architecture: cell.architecture,
        vocab_size: corpus.vocab_size,
        d_model,
        d_ff: cell.d_ff.unwrap_or(4 * d_model),
        num_layers: cell.num_layers,
        num_heads,
        head_dim,
        rope_theta: study.model.rope_theta,
        norm_epsilon: study.model.norm_epsilon,
        position,
        mlp: cell.mlp.unwrap_or(mlp),
        norm: cell.norm.unwrap_or(norm),
        tied_embeddings: cell.tied_embeddings.unwrap_or(tied),
        direction: cell.direction,
        max_positions: table(position == Position::Learned),
        block_positions: table(has_blanks),
    })
}

fn optimizer_of(study: &StudySpec, cell: &Cell) -> OptimizerSpec {
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

/// Whether batches can be made of this: even where two examples share a row, long enough, short enough, small enough.
fn fits(
    model: &ModelSpec,
    objective: &ObjectiveSpec,
    training: &TrainingSpec,
    corpus: &CorpusFacts,
    name: &str,
) -> Result<(), Refused> {
    let seq_len = training.seq_len;
    for part in objective.parts() {
        if task_lengths(&part, seq_len).is_none() {
            let task = part.task.word();
            return refuse(name, format!("training.seq_len {seq_len} is too short for {task}; use at least 6"));
        }
        let (spans, sentinels) = most_spans(&part, seq_len);
        if spans > sentinels as usize {
            return refuse(
                name,
                format!(
                    "{} of {seq_len} positions makes up to {spans} spans, and the vocabulary has {sentinels} sentinels for \
                     them; lower training.seq_len or the noise density, or raise the mean span length",
                    part.task.word()
                ),
            );
        }
    }
    let shape = |examples| batch_shape(model.architecture, objective, examples, seq_len);
    let (Some(shape), Some(_)) = (shape(training.batch_size), shape(training.micro_batch_size)) else {
        return refuse(
            name,
            format!(
                "two examples share a row, so training.batch_size {} and training.micro_batch_size {} must be even",
                training.batch_size, training.micro_batch_size
            ),
        );
    };
    if let Some(tokens) = corpus.train_tokens.filter(|tokens| *tokens < shape.window as u64) {
        return refuse(
            name,
            format!(
                "one example takes {} tokens, but the training text of {} has only {tokens}; lower training.seq_len or \
                 add text",
                shape.window, corpus.name
            ),
        );
    }
    if rough_bytes(model, training) > 1e15 {
        return refuse(name, "a model or batch of this size fits no machine; lower the sizes".to_owned());
    }
    Ok(())
}

/// The most spans that a task marks with sentinels, and the sentinels there are: marks and modes borrow some.
fn most_spans(part: &MixturePart, seq_len: usize) -> (usize, u32) {
    let sentinels = if part.mode.is_some() { SENTINELS_BESIDE_MARKS } else { SENTINELS };
    let window = task_lengths(part, seq_len).map_or(0, |lengths| lengths.window);
    let spans = match part.task {
        Task::SpanCorruption => {
            span_lengths(window, part.noise_density, part.mean_noise_span_length).map_or(0, |lengths| lengths.spans)
        }
        Task::IidDenoising => iid_bounds(window, part.noise_density).1,
        Task::FullLm
        | Task::PrefixLm
        | Task::Suffix
        | Task::MaskedLm
        | Task::BlankTokens
        | Task::BlankSentences
        | Task::BlankDocument => 0,
    };
    (spans, sentinels)
}

/// An upper bound of the memory in floating point, because the exact functions of `core::cost` count in integers that
/// absurd sizes would overflow.
#[expect(clippy::cast_precision_loss, reason = "a bound")]
fn rough_bytes(model: &ModelSpec, training: &TrainingSpec) -> f64 {
    let [d_model, d_ff, layers, heads, head_dim, vocab, batch, length] = [
        model.d_model,
        model.d_ff,
        model.num_layers,
        model.num_heads,
        model.head_dim,
        model.vocab_size,
        training.batch_size,
        training.seq_len,
    ]
    .map(|size| size as f64);
    let inner = heads * head_dim;
    let weights = 2.0 * layers * d_model * (8.0 * inner + 3.0 * d_ff + 3.0) + 2.0 * vocab * d_model;
    let per_layer = length * (20.0 * d_model + 8.0 * d_ff + 12.0 * inner) + 4.0 * heads * length * length;
    16.0 * weights + 4.0 * batch * (3.0 * layers * per_layer + 3.0 * length * vocab)
}

/// Optimizer steps that the budget buys in this cell.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive quotient; beyond 2^64 it saturates"
)]
fn steps_of(
    budget: Budget,
    model: &ModelSpec,
    objective: &ObjectiveSpec,
    training: &TrainingSpec,
    name: &str,
) -> Result<u64, Refused> {
    let too_small = |need: String| {
        refuse(name, format!("`{}` is below one optimizer step, which takes {need}; raise it", budget_key(budget)))
    };
    match budget {
        Budget::Steps(steps) => Ok(steps),
        Budget::Tokens(tokens) => {
            let one = batch_shape(model.architecture, objective, training.batch_size, training.seq_len)
                .map_or(0, |shape| shape.positions() as u64);
            match tokens.checked_div(one) {
                Some(steps) if steps > 0 => Ok(steps),
                Some(_) | None => too_small(format!("{one} tokens")),
            }
        }
        Budget::Flops(flops) => {
            let one = step_flops(model, objective, training).unwrap_or(f64::INFINITY);
            let steps = (flops / one) as u64;
            if steps > 0 { Ok(steps) } else { too_small(format!("{one:.3e} FLOPs")) }
        }
    }
}

/// Positions of the whole run.
#[must_use]
pub fn run_tokens(run: &RunSpec) -> u64 {
    step_tokens(run).saturating_mul(run.training.steps)
}
