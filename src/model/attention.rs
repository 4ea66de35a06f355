//! Multi-head attention without biases. Heads have `head_dim` dimensions whatever the width of the stream
//! (Bhojanapalli et al. 2020, arXiv 2002.07028, §3: fixed multi-head attention).

use candle_core::{Result, Tensor};

use super::capture::Matrices;
use super::initial::Deviations;
use super::parameters::Parameters;
use crate::core::ModelSpec;
use crate::kernel::attention::{Sight, attend, logits, softmax};
use crate::kernel::linear::{add_linear, linear};
use crate::kernel::mask::Mask;
use crate::kernel::rope::Rotation;

/// One attention module.
#[derive(Clone, Debug)]
pub struct Attention {
    num_heads: usize,
    q_proj: Tensor, // [H·K, D]
    k_proj: Tensor, // [H·K, D]
    v_proj: Tensor, // [H·K, D]
    o_proj: Tensor, // [D, H·K]
}

impl Attention {
    /// Seeded weights under `name`; `residual_deviation` is that of the projection back into the stream.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(spec: &ModelSpec, parameters: &mut Parameters, name: &str, deviations: Deviations) -> Result<Self> {
        let inner = spec.num_heads * spec.head_dim;
        let mut weight = |part: &str, shape: [usize; 2], deviation| {
            parameters.normal(&format!("{name}.{part}.weight"), &shape, deviation)
        };
        Ok(Self {
            num_heads: spec.num_heads,
            q_proj: weight("q_proj", [inner, spec.d_model], deviations.weight)?,
            k_proj: weight("k_proj", [inner, spec.d_model], deviations.weight)?,
            v_proj: weight("v_proj", [inner, spec.d_model], deviations.weight)?,
            o_proj: weight("o_proj", [spec.d_model, inner], deviations.residual)?,
        })
    }

    /// `stream [B, T, D]` plus what `x [B, T, D]` sees of `memory [B, S, D]` through `mask`; with a rotation for
    /// self-attention, without for cross.
    ///
    /// # Errors
    /// Shapes do not fit, or the device fails.
    pub fn forward(
        &self,
        stream: &Tensor,
        x: &Tensor,
        memory: &Tensor,
        mask: &Mask,
        rotation: Option<&Rotation>,
    ) -> Result<Tensor> {
        let q = linear(x, &self.q_proj)?; // [B, T, H·K]
        let k = linear(memory, &self.k_proj)?; // [B, S, H·K]
        let v = linear(memory, &self.v_proj)?; // [B, S, H·K]
        let sight = Sight { num_heads: self.num_heads, mask, rotation };
        add_linear(stream, &attend(&q, &k, &v, sight)?, &self.o_proj) // [B, T, D]
    }

    /// What `forward` of the same arguments looks through: its logits before the mask and its probabilities.
    ///
    /// # Errors
    /// As [`Attention::forward`].
    pub fn matrices(&self, x: &Tensor, memory: &Tensor, mask: &Mask, rotation: Option<&Rotation>) -> Result<Matrices> {
        let (q, k) = (linear(x, &self.q_proj)?, linear(memory, &self.k_proj)?);
        let logits = logits(&q, &k, self.num_heads, rotation)?;
        let probabilities = softmax(&logits.broadcast_add(&mask.additive()?)?)?;
        Ok(Matrices { logits, probabilities })
    }

    /// The same weights as constants: a forward pass through it keeps no graph.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self {
            num_heads: self.num_heads,
            q_proj: self.q_proj.detach(),
            k_proj: self.k_proj.detach(),
            v_proj: self.v_proj.detach(),
            o_proj: self.o_proj.detach(),
        }
    }
}
