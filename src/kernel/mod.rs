//! Differentiable operations on tensors, one per file, written so that every input that should get a gradient does:
//! several stock ops of candle return none and say nothing. On a processor they are fused, in f32; each stands beside its
//! plain reference, which serves other devices and number formats.
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
pub mod threads;
pub mod update;
mod vector;
