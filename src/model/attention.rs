//! Multi-head attention without biases. Heads have `head_dim` dimensions whatever the width of the stream
//! (Bhojanapalli et al. 2020, arXiv 2002.07028, §3: fixed multi-head attention).

use candle_core::{Result, Tensor};

use super::initial::Deviations;
use super::parameters::Parameters;
use crate::core::ModelSpec;
use crate::kernel::attention::attend;
use crate::kernel::linear::linear;
use crate::kernel::rope::Rotation;

/// One attention module.
#[derive(Clone, Debug)]
pub struct Attention {
    num_heads: usize,
    head_dim: usize,
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
            head_dim: spec.head_dim,
            q_proj: weight("q_proj", [inner, spec.d_model], deviations.weight)?,
            k_proj: weight("k_proj", [inner, spec.d_model], deviations.weight)?,
            v_proj: weight("v_proj", [inner, spec.d_model], deviations.weight)?,
            o_proj: weight("o_proj", [spec.d_model, inner], deviations.residual)?,
        })
    }

    fn heads(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, length, _) = x.dims3()?;
        x.reshape((batch, length, self.num_heads, self.head_dim))?.transpose(1, 2)?.contiguous() // [B, H, T, K]
    }

    /// `x [B, T, D]` looks at `memory [B, S, D]` through `mask`; with a rotation for self-attention, without for cross.
    ///
    /// # Errors
    /// Shapes do not fit, or the device fails.
    pub fn forward(&self, x: &Tensor, memory: &Tensor, mask: &Tensor, rotation: Option<&Rotation>) -> Result<Tensor> {
        let mut q = self.heads(&linear(x, &self.q_proj)?)?; // [B, H, T, K]
        let mut k = self.heads(&linear(memory, &self.k_proj)?)?; // [B, H, S, K]
        let v = self.heads(&linear(memory, &self.v_proj)?)?; // [B, H, S, K]
        if let Some(rotation) = rotation {
            q = rotation.apply(&q)?;
            k = rotation.apply(&k)?;
        }
        let (batch, length, _) = x.dims3()?;
        let y = attend(&q, &k, &v, mask)?.transpose(1, 2)?; // [B, T, H, K]
        linear(&y.reshape((batch, length, self.num_heads * self.head_dim))?, &self.o_proj) // [B, T, D]
    }

    /// The same weights as constants: a forward pass through it keeps no graph.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self {
            num_heads: self.num_heads,
            head_dim: self.head_dim,
            q_proj: self.q_proj.detach(),
            k_proj: self.k_proj.detach(),
            v_proj: self.v_proj.detach(),
            o_proj: self.o_proj.detach(),
        }
    }
}
