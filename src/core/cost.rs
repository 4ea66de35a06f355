//! What a run costs: parameters, FLOPs and memory as exact or stated functions of its spec. Pure; the planner, the
//! review page and the axes of the charts all ask here.

use super::rows::{BatchShape, batch_shape};
use super::spec::{Architecture, ModelSpec, ObjectiveSpec, RunSpec, TrainingSpec};

/// Bytes of one f32.
const F32: u64 = 4;

/// Parameters of one attention module: three projections in, one out, no biases.
const fn attention_parameters(model: &ModelSpec) -> u64 {
    4 * (model.d_model * model.num_heads * model.head_dim) as u64
}

const fn block_parameters(model: &ModelSpec, cross: bool) -> u64 {
    let d_model = model.d_model as u64;
    let own = attention_parameters(model) + 3 * d_model * model.d_ff as u64 + 2 * d_model;
    if cross { own + attention_parameters(model) + d_model } else { own }
}

/// Exact number of parameters (untied embeddings, norm gains included).
#[must_use]
pub const fn parameters(model: &ModelSpec) -> u64 {
    let layers = model.num_layers as u64;
    let d_model = model.d_model as u64;
    let ends = 2 * model.vocab_size as u64 * d_model + d_model;
    match model.architecture {
        Architecture::CausalDecoder | Architecture::NonCausalDecoder => ends + layers * block_parameters(model, false),
        Architecture::EncoderDecoder => {
            ends + d_model + layers * (block_parameters(model, false) + block_parameters(model, true))
        }
    }
}

/// Floating-point operations of one forward pass over a batch of `shape`: two per multiply-add of every matrix product,
/// attention scores counted unmasked; norms, softmax and activations are left out.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "FLOP counts are estimates")]
pub fn forward_flops(model: &ModelSpec, shape: &BatchShape) -> f64 {
    let rows = shape.rows as f64;
    let (source, target) = (shape.encoder_len as f64, shape.decoder_len as f64);
    let inner = (model.num_heads * model.head_dim) as f64;
    let d_model = model.d_model as f64;
    let layers = model.num_layers as f64;
    let mlp = 3.0 * d_model * model.d_ff as f64;
    let projections = 4.0 * d_model * inner;
    let scores = |queries: f64, keys: f64| 2.0 * queries * keys * inner;
    let stack = |length: f64| layers * (length * (projections + mlp) + scores(length, length));
    let cross = layers * (target * projections / 2.0 + source * projections / 2.0 + scores(target, source));
    let head = target * d_model * model.vocab_size as f64;
    let multiply_adds = match model.architecture {
        Architecture::CausalDecoder | Architecture::NonCausalDecoder => stack(target) + head,
        Architecture::EncoderDecoder => stack(source) + stack(target) + cross + head,
    };
    2.0 * rows * multiply_adds
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

/// Estimated bytes of a training process on a processor: weights, gradients and two moments in f32, plus what the fused
/// operations keep of one micro-batch for the backward pass (per position and block: the stream before attention and before
/// the MLP, queries, keys, values, what they mix, gates and what they gate), and the slopes of one block. An estimate for
/// planning, not a bound.
#[must_use]
pub fn training_bytes(model: &ModelSpec, objective: &ObjectiveSpec, training: &TrainingSpec) -> Option<u64> {
    let shape = batch_shape(model.architecture, objective, training.micro_batch_size, training.seq_len)?;
    let rows = shape.rows as u64;
    let (source, target) = (shape.encoder_len as u64, shape.decoder_len as u64);
    let (layers, d_model) = (model.num_layers as u64, model.d_model as u64);
    let inner = (model.num_heads * model.head_dim) as u64;
    let block = 2 * d_model + 4 * inner + 2 * model.d_ff as u64;
    let stacks = (layers + 1) * block * (source + target);
    let cross = if source > 0 { layers * (target * (d_model + 2 * inner) + source * 2 * inner) } else { 0 };
    Some(F32 * (4 * parameters(model) + rows * (stacks + cross)))
}
