//! Differentiable operations on tensors, one per file, written so that every input that should get a gradient does:
//! several stock ops of candle return none and say nothing. Fused versions will stand beside these plain ones.
//! Must not know: models, objectives, optimizers.

pub mod activation;
pub mod attention;
pub mod cross_entropy;
mod host;
pub mod linear;
pub mod mask;
mod matrix;
pub mod memory;
pub mod norm;
pub mod rope;
mod vector;
