//! Differentiable operations on values, one kind per file. On a processor they are fused, in f32, with products in the
//! precision of the run; each stands beside its plain reference, which serves other devices and number formats through
//! candle's own graph, written so that every input that should get a gradient does: several stock ops of candle return none
//! and say nothing.
//! Must not know: models, objectives, optimizers.

pub mod activation;
pub mod attention;
pub mod crew;
pub mod cross_entropy;
pub mod dropout;
pub mod embedding;
mod half_product;
mod host;
pub mod join;
pub mod linear;
pub mod mask;
mod matrix;
pub mod memory;
pub mod norm;
pub mod position_bias;
pub mod reading;
pub mod rope;
mod shape;
pub mod tape;
pub mod threads;
pub mod update;
mod vector;
pub mod weight;

pub use host::with_bytes;
pub use reading::Reading;
pub use tape::{Tape, Value};
pub use weight::Weight;
