//! Whether a cell can be trained on its data and machine, and how many steps its budget buys. Pure.

use super::assemble::{Refused, refuse};
use super::check::{MOST_STEPS, budget_key};
use super::facts::CorpusFacts;
use crate::core::cost::step_flops;
use crate::core::grid::grouped;
use crate::core::rows::{batch_shape, continuation_window, iid_bounds, span_lengths, task_lengths};
use crate::core::stage::Budget;
use crate::core::{MixturePart, ModelSpec, ObjectiveSpec, Task, TrainingSpec};
use crate::corpus::{SENTINELS, SENTINELS_BESIDE_MARKS};

/// Whether batches can be made of this: even where two examples share a row, long enough, short enough, small enough.
pub(super) fn fits(
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
    long_enough(corpus, shape.window, seq_len).or_else(|reason| refuse(name, reason))?;
    if rough_bytes(model, training) > MOST_BYTES { refuse(name, FITS_NOTHING.to_owned()) } else { Ok(()) }
}

/// Bytes of any machine's memory.
const MOST_BYTES: f64 = 1e15;

const FITS_NOTHING: &str = "a model or batch of this size fits no machine; lower the sizes";

/// Whether parameters can be counted without an overflow, whatever is trained on.
pub(super) fn countable(model: &ModelSpec, name: &str) -> Result<(), Refused> {
    if rough_weights(model) > MOST_BYTES { refuse(name, FITS_NOTHING.to_owned()) } else { Ok(()) }
}

/// Whether both parts of the texts hold an example of `window` tokens, as far as is known before they are prepared: where nobody
/// has counted tokens, each covers a byte at least. The validation text is continued too, whatever an example is.
fn long_enough(corpus: &CorpusFacts, window: usize, seq_len: usize) -> Result<(), String> {
    let parts = [
        ("training", corpus.train, window, "add text"),
        (
            "validation",
            corpus.validation,
            window.max(continuation_window(seq_len)),
            "raise corpus.validation_fraction, or add validation text",
        ),
    ];
    for (part, facts, needed, cure) in parts {
        let most = facts.tokens.unwrap_or(facts.bytes + facts.documents);
        if most < needed as u64 {
            let only = if facts.tokens.is_some() { "only" } else { "at most" };
            return Err(format!(
                "one example takes {needed} tokens, but the {part} text of {} has {only} {most}; lower training.seq_len, or {cure}",
                corpus.name
            ));
        }
    }
    Ok(())
}

/// The most spans that a task marks with sentinels, and the sentinels there are: marks and modes borrow some.
fn most_spans(part: &MixturePart, seq_len: usize) -> (usize, u32) {
    let sentinels = if part.mode.is_some() { SENTINELS_BESIDE_MARKS } else { SENTINELS };
    let window = task_lengths(part, seq_len).map_or(0, |lengths| lengths.window);
    let spans = match part.task {
        Task::SpanCorruption => {
            let lengths = span_lengths(window, part.noise_density, part.mean_noise_span_length);
            lengths.map_or(0, |lengths| lengths.spans + usize::from(part.rolled))
        }
        Task::IidDenoising => iid_bounds(window, part.noise_density).1,
        Task::FullLm
        | Task::PrefixLm
        | Task::Suffix
        | Task::MaskedLm
        | Task::Prompted
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
    let [d_model, d_ff, layers, heads, vocab, batch, length] = [
        model.d_model,
        model.d_ff,
        model.num_layers,
        model.num_heads,
        model.vocab_size,
        training.batch_size,
        training.seq_len,
    ]
    .map(|size| size as f64);
    let inner = heads * model.head_dim as f64;
    let per_layer = length * (20.0 * d_model + 8.0 * d_ff + 12.0 * inner) + 4.0 * heads * length * length;
    rough_weights(model) + 4.0 * batch * (3.0 * layers * per_layer + 3.0 * length * vocab)
}

/// The part of weights, gradients and moments in it.
#[expect(clippy::cast_precision_loss, reason = "a bound")]
fn rough_weights(model: &ModelSpec) -> f64 {
    let [d_model, d_ff, layers, heads, head_dim, vocab] =
        [model.d_model, model.d_ff, model.num_layers, model.num_heads, model.head_dim, model.vocab_size]
            .map(|size| size as f64);
    16.0 * (2.0 * layers * d_model * (8.0 * heads * head_dim + 3.0 * d_ff + 3.0) + 2.0 * vocab * d_model)
}

/// Optimizer steps that the budget buys in this cell.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive quotient; beyond 2^64 it saturates"
)]
pub(super) fn steps_of(
    budget: Budget,
    model: &ModelSpec,
    objective: &ObjectiveSpec,
    training: &TrainingSpec,
    name: &str,
) -> Result<u64, Refused> {
    let too_small = |need: String| {
        refuse(name, format!("`{}` is below one optimizer step, which takes {need}; raise it", budget_key(budget)))
    };
    let few = |steps: u64| {
        let key = budget_key(budget);
        let most = grouped(u128::from(MOST_STEPS));
        let reason = || format!("`{key}` buys more than {most} steps of this size; lower it");
        if steps > MOST_STEPS { refuse(name, reason()) } else { Ok(steps) }
    };
    match budget {
        Budget::Steps(steps) => Ok(steps),
        Budget::Tokens(tokens) => {
            let one = batch_shape(model.architecture, objective, training.batch_size, training.seq_len)
                .map_or(0, |shape| shape.positions() as u64);
            match tokens.checked_div(one) {
                Some(steps) if steps > 0 => few(steps),
                Some(_) | None => too_small(format!("{one} tokens")),
            }
        }
        Budget::Flops(flops) => {
            let one = step_flops(model, objective, training).unwrap_or(f64::INFINITY);
            let steps = (flops / one) as u64;
            if steps > 0 { few(steps) } else { too_small(format!("{one:.3e} FLOPs")) }
        }
    }
}
