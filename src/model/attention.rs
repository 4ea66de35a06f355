//! Multi-head attention without biases. Heads have `head_dim` dimensions whatever the width of the stream
//! (Bhojanapalli et al. 2020, arXiv 2002.07028, §3: fixed multi-head attention).

use candle_core::Result;

use super::capture::Matrices;
use super::initial::Deviations;
use super::parameters::Parameters;
use crate::core::ModelSpec;
use crate::kernel::attention::{Sight, attend, logits, softmax};
use crate::kernel::linear::{add_linear, project};
use crate::kernel::mask::Mask;
use crate::kernel::norm::Norm;
use crate::kernel::rope::Rotation;
use crate::kernel::{Value, Weight};

/// One attention module.
#[derive(Clone, Debug)]
pub struct Attention {
    num_heads: usize,
    q_proj: Weight, // [H·K, D]
    k_proj: Weight, // [H·K, D]
    v_proj: Weight, // [H·K, D]
    o_proj: Weight, // [D, H·K]
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

    /// `x [B, T, D]` plus what its positions see of each other through `mask`, behind `norm`.
    ///
    /// # Errors
    /// Shapes do not fit, or the device fails.
    pub fn to_self(&self, x: &Value, norm: Norm<'_>, mask: &Mask, rotation: &Rotation) -> Result<Value> {
        let [q, k, v] = project(x, Some(norm), [&self.q_proj, &self.k_proj, &self.v_proj])?; // [B, T, H·K]
        let sight = Sight { num_heads: self.num_heads, mask, rotation: Some(rotation), bias: None };
        add_linear(x, &attend(&q, &k, &v, sight)?, &self.o_proj) // [B, T, D]
    }

    /// `x [B, T, D]` plus what its positions, behind `norm`, see of `memory [B, S, D]` through `mask`.
    ///
    /// # Errors
    /// Shapes do not fit, or the device fails.
    pub fn to_memory(&self, x: &Value, norm: Norm<'_>, memory: &Value, mask: &Mask) -> Result<Value> {
        let [q] = project(x, Some(norm), [&self.q_proj])?; // [B, T, H·K]
        let [k, v] = project(memory, None, [&self.k_proj, &self.v_proj])?; // [B, S, H·K]
        let sight = Sight { num_heads: self.num_heads, mask, rotation: None, bias: None };
        add_linear(x, &attend(&q, &k, &v, sight)?, &self.o_proj) // [B, T, D]
    }

    /// What is looked through on the way from `x [B, T, D]`, behind `norm`, to `memory [B, S, D]`, or to itself without one:
    /// logits before the mask, and probabilities.
    ///
    /// # Errors
    /// As [`Attention::to_self`].
    pub fn matrices(
        &self,
        x: &Value,
        norm: Norm<'_>,
        memory: Option<&Value>,
        mask: &Mask,
        rotation: Option<&Rotation>,
    ) -> Result<Matrices> {
        let [q] = project(x, Some(norm), [&self.q_proj])?;
        let [k] = match memory {
            None => project(x, Some(norm), [&self.k_proj])?,
            Some(memory) => project(memory, None, [&self.k_proj])?,
        };
        let logits = logits(q.tensor(), k.tensor(), self.num_heads, rotation)?;
        let probabilities = softmax(&logits.broadcast_add(&mask.additive()?)?)?;
        Ok(Matrices { logits, probabilities })
    }
}
