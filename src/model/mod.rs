//! Models: one pre-norm block in three layouts. Each reads like its paper: embed, blocks, norm, project.
//! Promises: weights depend only on the seed and their own name; every parameter is trainable and has a gradient.
//! Must not know: objectives, optimizers, files.

pub mod attention;
pub mod block;
pub mod capture;
pub mod initial;
pub mod input;
pub mod language_model;
pub mod mask;
pub mod parameters;

pub use capture::{Capture, Matrices, StackCapture};
pub use input::{ModelInput, SideInput};
pub use language_model::LanguageModel;
pub use parameters::{Numbers, ParameterError, Parameters};
