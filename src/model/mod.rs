//! Models: one pre-norm block in all layouts. Each reads like its paper: embed, blocks, norm, project.
//! Promises: weights depend only on the seed and their own name; every parameter is trainable and has a gradient.
//! Must not know: objectives, optimizers, files.

pub mod attention;
pub mod block;
pub mod capture;
pub mod decoding;
pub mod dropout;
pub mod initial;
pub mod input;
pub mod language_model;
pub mod mask;
pub mod mlp;
pub mod norm;
pub mod parameters;
pub mod past;
pub mod position;
pub mod stack;

pub use capture::{Capture, Matrices, StackCapture};
pub use decoding::Decoding;
pub use dropout::Dropping;
pub use input::{ModelInput, SideInput};
pub use language_model::{LanguageModel, Pass};
pub use parameters::{Numbers, ParameterError, Parameters};
