//! What a run costs: parameters, FLOPs and memory as exact or stated functions of its spec. Pure; the planner, the
//! review page and the axes of the charts all ask here.

use super::architecture::Architecture;
use super::model::{ModelSpec, Position};
use super::objective::ObjectiveSpec;
use super::rows::{BatchShape, batch_shape};
use super::spec::{RunSpec, TrainingSpec};

/// Bytes of one f32.
const F32: u64 = 4;

/// Buckets of T5's relative positions (T5, arXiv 1910.10683, §2.1).
pub const T5_BUCKETS: usize = 32;

/// Parameters of one attention module: three projections in, one out, no biases.
const fn attention_parameters(model: &ModelSpec) -> u64 {
    4 * (model.d_model * model.num_heads * model.head_dim) as u64
}

/// Parameters of one norm.
const fn norm_parameters(model: &ModelSpec) -> u64 {
    (model.norm.vectors() * model.d_model) as u64
}

/// Parameters that one more hidden unit brings to every MLP that is a module of its own.
#[must_use]
pub const fn parameters_per_unit(model: &ModelSpec) -> u64 {
    (own_blocks(model) * model.mlp.matrices() * model.d_model) as u64
}

/// Blocks whose self-attention and MLP are weights of their own.
const fn own_blocks(model: &ModelSpec) -> usize {
    let (encoder, decoder) = model.depths();
    match model.architecture {
        Architecture::SharedEncoderDecoder => decoder,
        Architecture::CausalDecoder
        | Architecture::NonCausalDecoder
        | Architecture::EncoderDecoder
        | Architecture::HalfEncoderDecoder
        | Architecture::CausalEncoderDecoder
        | Architecture::MergedEncoderDecoder
        | Architecture::EncoderOnly => encoder + decoder,
    }
}

/// Exact number of parameters: embeddings, norms and tables of positions included, what is shared counted once.
#[must_use]
pub const fn parameters(model: &ModelSpec) -> u64 {
    let (encoder, decoder) = model.depths();
    let (encoder, decoder) = (encoder as u64, decoder as u64);
    let stacks = if encoder > 0 { 2 } else { 1 };
    // Attention and the norms of attention and MLP; MLPs are counted by their units.
    let block = attention_parameters(model) + 2 * norm_parameters(model);
    let own = own_blocks(model) as u64;
    let cross = attention_parameters(model) + norm_parameters(model);
    let crosses = if model.architecture.has_cross_attention() { decoder * cross } else { 0 };
    let vocabulary = (model.vocab_size * model.d_model) as u64;
    let ends = if model.tied_embeddings { vocabulary } else { 2 * vocabulary };
    let learned = ((model.max_positions + model.block_positions) * model.d_model) as u64;
    let biases = match model.position {
        Position::T5Bias => stacks * (T5_BUCKETS * model.num_heads) as u64,
        Position::Rope | Position::Alibi | Position::Learned | Position::None => 0,
    };
    let units = parameters_per_unit(model) * model.d_ff as u64;
    ends + learned + biases + stacks * norm_parameters(model) + own * block + crosses + units
}

/// Floating-point operations of one forward pass over a batch of `shape`: two per multiply-add of every matrix product,
/// attention scores counted unmasked, as is the custom, and the head at every position of the decoder, also where a position
/// carries no loss and its logits are never made; norms, softmax, biases and activations are left out.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "FLOP counts are estimates")]
pub fn forward_flops(model: &ModelSpec, shape: &BatchShape) -> f64 {
    let rows = shape.rows as f64;
    let (source, target) = (shape.encoder_len as f64, shape.decoder_len as f64);
    let inner = (model.num_heads * model.head_dim) as f64;
    let d_model = model.d_model as f64;
    let (encoder, decoder) = model.depths();
    let (encoder, decoder) = (encoder as f64, decoder as f64);
    let mlp = model.mlp.matrices() as f64 * d_model * model.d_ff as f64;
    let projection = d_model * inner;
    let scores = |queries: f64, keys: f64| 2.0 * queries * keys * inner;
    let stack = |layers: f64, length: f64| layers * (length * (4.0 * projection + mlp) + scores(length, length));
    // To the encoder's states: their keys and values, and the scores; with a module of its own also queries and output.
    let own = if model.architecture.has_cross_attention() { 2.0 * projection } else { 0.0 };
    let across = decoder * (target * own + source * 2.0 * projection + scores(target, source));
    let head = target * d_model * model.vocab_size as f64;
    let across = if encoder > 0.0 { across } else { 0.0 };
    2.0 * rows * (stack(encoder, source) + stack(decoder, target) + across + head)
}

/// Training operations of one optimizer step: the backward pass counts twice the forward pass.
#[must_use]
pub fn step_flops(model: &ModelSpec, objective: &ObjectiveSpec, training: &TrainingSpec) -> Option<f64> {
    let shape = batch_shape(model.architecture, objective, training.batch_size, training.seq_len)?;
    Some(3.0 * forward_flops(model, &shape))
}

/// Positions of one optimizer step, encoder and decoder.
#[must_use]
pub fn step_tokens(spec: &RunSpec) -> u64 {
    batch_shape(spec.model.architecture, &spec.objective, spec.training.batch_size, spec.training.seq_len)
        .map_or(0, |shape| shape.positions() as u64)
}

/// Numbers that the fused operations keep of one micro-batch for the backward pass: per position and block the stream before
/// attention and before the MLP, queries, keys, values, what they mix, and what the MLP projects to.
#[must_use]
pub const fn activations(model: &ModelSpec, shape: &BatchShape) -> u64 {
    let (source, target) = (shape.encoder_len as u64, shape.decoder_len as u64);
    let (encoder, decoder) = model.depths();
    let (encoder, decoder) = (encoder as u64, decoder as u64);
    let (d_model, inner) = (model.d_model as u64, (model.num_heads * model.head_dim) as u64);
    let block = 2 * d_model + 4 * inner + (model.mlp.matrices() as u64 - 1) * model.d_ff as u64;
    let stacks = block * (encoder * source + decoder * target);
    let across = if encoder == 0 {
        0
    } else if model.architecture.has_cross_attention() {
        decoder * (target * (d_model + 2 * inner) + source * 2 * inner)
    } else {
        decoder * source * 2 * inner
    };
    shape.rows as u64 * (stacks + across)
}

/// Estimated bytes of a training process on a processor: weights, gradients and two moments in f32, what is kept of one
/// micro-batch ([`activations`]), and the slopes of one block. An estimate for planning, not a bound.
#[must_use]
pub fn training_bytes(model: &ModelSpec, objective: &ObjectiveSpec, training: &TrainingSpec) -> Option<u64> {
    let shape = batch_shape(model.architecture, objective, training.micro_batch_size, training.seq_len)?;
    let (encoder, decoder) = model.depths();
    let kept = activations(model, &shape);
    let slopes = kept / (encoder + decoder).max(1) as u64;
    Some(F32 * (4 * parameters(model) + kept + slopes))
}

/// Estimated bytes of the validation examples that a run holds in memory, all of them at once: token, place and segment of each position
/// that is read, target and weight of each that is predicted.
#[must_use]
pub fn validation_bytes(spec: &RunSpec) -> u64 {
    const OF_A_POSITION: u64 = 20;
    let examples = spec.probes.validation_examples.saturating_add(1);
    let even = examples - examples % 2;
    batch_shape(spec.model.architecture, &spec.objective, even, spec.training.seq_len)
        .map_or(0, |shape| (shape.positions() as u64).saturating_mul(OF_A_POSITION))
}

/// Bytes of a checkpoint of so many parameters: weights and two moments in f32.
#[must_use]
pub const fn checkpoint_bytes(parameters: u64) -> u64 {
    parameters.saturating_mul(3 * F32)
}
