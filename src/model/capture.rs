//! What a forward pass shows of itself when it is asked to: attention matrices and the residual stream by depth.
//! Promises: the pass that is watched is the pass that trains and scores, so watching cannot change a result, and a pass
//! that is not watched does nothing more than before. Must not know: what is measured on it.

use candle_core::Tensor;

/// The matrices of one attention module.
#[derive(Clone, Debug)]
pub struct Matrices {
    /// q kᵀ / √K before the mask, `[B, H, T, S]`.
    pub logits: Tensor,
    /// After mask and softmax, `[B, H, T, S]`.
    pub probabilities: Tensor,
}

/// What one stack showed.
#[derive(Clone, Debug, Default)]
pub struct StackCapture {
    /// Self-attention of every block, the first first.
    pub attention: Vec<Matrices>,
    /// Cross-attention of every block; empty in stacks without.
    pub cross: Vec<Matrices>,
    /// The stream `[B, T, D]` after the embedding and after every block, before the final norm.
    pub residual: Vec<Tensor>,
}

/// What a model showed.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    /// Empty if there is no encoder.
    pub encoder: StackCapture,
    /// The decoder, or the only stack.
    pub decoder: StackCapture,
}
