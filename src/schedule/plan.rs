//! Study → runs: the product of the axes, cell by cell either a complete spec or a refusal in words. Pure.
//! Promises: the same study gives the same runs in the same order; the first seed of every cell comes before any
//! second seed, so that a comparison is fair from its first hour on; identical cells appear once.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::core::cost::{step_flops, step_tokens};
use crate::core::id::RUN_ID_LENGTH;
use crate::core::legal;
use crate::core::rows::{batch_shape, span_window};
use crate::core::spec::{
    DataSpec, ExecutionSpec, ModelSpec, Objective, ObjectiveSpec, OptimizerSpec, RunSpec, SPEC_FORMAT, TrainingSpec,
};
use crate::core::study::{Budget, StudySpec};
use crate::core::summary::Refusal;
use crate::core::{Architecture, RunId};

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
    head_dim: Option<usize>,
    d_ff: Option<usize>,
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
    fn optional(axis: Option<&crate::core::study::Axis<usize>>) -> Vec<Option<usize>> {
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
        head_dim: None,
        d_ff: None,
        seq_len: 0,
        learning_rate: 0.0,
    };
    let (grid, model, training) = (&study.grid, &study.model, &study.training);
    let cells = product(vec![start], &grid.seed.0, |cell, value| cell.seed = value);
    let cells = product(cells, &model.d_model.0, |cell, value| cell.d_model = value);
    let cells = product(cells, &model.num_layers.0, |cell, value| cell.num_layers = value);
    let cells = product(cells, &model.num_heads.0, |cell, value| cell.num_heads = value);
    let cells = product(cells, &optional(model.head_dim.as_ref()), |cell, value| cell.head_dim = value);
    let cells = product(cells, &optional(model.d_ff.as_ref()), |cell, value| cell.d_ff = value);
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
    let objective = ObjectiveSpec {
        objective: cell.objective,
        noise_density: study.objective.noise_density,
        mean_noise_span_length: study.objective.mean_noise_span_length,
        // Full LM learns from every position anyway; one training must not have two ids.
        loss_on_inputs: study.objective.loss_on_inputs && cell.objective != Objective::FullLm,
    };
    legal::check(cell.architecture, cell.objective, objective.loss_on_inputs).or_else(|illegal| {
        refuse(&illegal.cell, format!("{}; nearest legal cell: {}", illegal.reason, illegal.nearest))
    })?;
    let model = model_of(study, corpus, cell, &name)?;
    let batch_size = study.training.batch_size;
    let mut training = TrainingSpec {
        batch_size,
        micro_batch_size: study.training.micro_batch_size.unwrap_or(batch_size),
        seq_len: cell.seq_len,
        steps: 1,
        divergence_factor: study.training.divergence_factor,
        z_loss: study.training.z_loss,
        precision: study.training.precision,
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

fn model_of(study: &StudySpec, corpus: &CorpusFacts, cell: &Cell, name: &str) -> Result<ModelSpec, Refused> {
    let (d_model, num_heads) = (cell.d_model, cell.num_heads);
    let head_dim = match cell.head_dim {
        Some(head_dim) => head_dim,
        None if !d_model.is_multiple_of(num_heads) => {
            return refuse(
                name,
                format!("model.d_model {d_model} is no multiple of model.num_heads {num_heads}; set model.head_dim"),
            );
        }
        None => d_model / num_heads,
    };
    if !head_dim.is_multiple_of(2) || head_dim == 0 {
        return refuse(
            name,
            format!(
                "model.d_model {d_model} over model.num_heads {num_heads} gives heads of {head_dim}, and rotary \
                 embeddings need an even number; set model.head_dim"
            ),
        );
    }
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
    let spans = span_window(seq_len, objective.noise_density, objective.mean_noise_span_length);
    if objective.objective == Objective::SpanCorruption && spans.is_none() {
        return refuse(
            name,
            format!("training.seq_len {seq_len} is too short for a kept and a removed token; use at least 6"),
        );
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
