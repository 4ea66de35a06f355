//! Multi-head attention without biases. Heads have `head_dim` dimensions whatever the width of the stream
//! (Bhojanapalli et al. 2020, arXiv 2002.07028, §3: fixed multi-head attention).

use candle_core::{Result, Tensor};

use super::capture::Matrices;
use super::dropout::Dropping;
use super::initial::Deviations;
use super::parameters::Parameters;
use super::past::Past;
use super::position::Here;
use crate::core::ModelSpec;
use crate::kernel::attention::{Sight, attend, logits, softmax};
use crate::kernel::join::{behind, sum};
use crate::kernel::linear::{add_linear, linear, project};
use crate::kernel::mask::{Mask, Seen};
use crate::kernel::norm::Norm;
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

/// Who sees whom, and where they stand.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Who sees whom.
    pub mask: &'a Mask,
    /// Places of the queries, and of the keys in self-attention.
    pub here: &'a Here,
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

    const fn sight<'a>(&self, View { mask, here }: View<'a>) -> Sight<'a> {
        let rotation = here.rotation.as_ref();
        Sight { num_heads: self.num_heads, mask, rotations: [rotation, rotation], bias: here.bias.as_ref() }
    }

    /// `x [B, T, D]` plus what its positions see of each other, behind `norm`.
    ///
    /// # Errors
    /// Shapes do not fit, or the device fails.
    pub fn to_self(&self, x: &Value, norm: Norm<'_>, view: View<'_>, dropping: Option<&Dropping>) -> Result<Value> {
        let [q, k, v] = project(x, Some(norm), [&self.q_proj, &self.k_proj, &self.v_proj])?; // [B, T, H·K]
        self.add(x, &attend(&q, &k, &v, self.sight(view))?, dropping)
    }

    /// `x [B, T, D]` plus what its positions, behind `norm`, see of `memory [B, S, D]` through `mask`.
    ///
    /// # Errors
    /// Shapes do not fit, or the device fails.
    pub fn to_memory(
        &self,
        x: &Value,
        norm: Norm<'_>,
        memory: &Value,
        mask: &Mask,
        dropping: Option<&Dropping>,
    ) -> Result<Value> {
        let [q] = project(x, Some(norm), [&self.q_proj])?; // [B, T, H·K]
        let [k, v] = project(memory, None, [&self.k_proj, &self.v_proj])?; // [B, S, H·K]
        self.add(x, &attend(&q, &k, &v, self.sight(View { mask, here: &Here::default() }))?, dropping)
    }

    /// `x [B, T, D]` plus what its positions, behind `norm`, see of `memory [B, S, D]` and of each other in one softmax. The
    /// keys of the memory do not turn (T5Gemma 2, arXiv 2512.14856, and its code).
    ///
    /// # Errors
    /// Shapes do not fit, or the device fails.
    pub fn to_both(
        &self,
        x: &Value,
        norm: Norm<'_>,
        memory: &Value,
        view: View<'_>,
        dropping: Option<&Dropping>,
    ) -> Result<Value> {
        let [q, k, v] = project(x, Some(norm), [&self.q_proj, &self.k_proj, &self.v_proj])?; // [B, T, H·K]
        let [far_k, far_v] = project(memory, None, [&self.k_proj, &self.v_proj])?; // [B, S, H·K]
        let source = memory.dims().get(1).copied().unwrap_or(0);
        let of_keys = view.here.rotation.as_ref().map(|rotation| rotation.behind(source)).transpose()?;
        let rotations = [view.here.rotation.as_ref(), of_keys.as_ref()];
        let sight = Sight { rotations, ..self.sight(view) };
        self.add(x, &attend(&q, &behind(&far_k, &k)?, &behind(&far_v, &v)?, sight)?, dropping)
    }

    /// Width of its keys and values, and where they are: a tensor of none, `[1, 0, H·K]`.
    ///
    /// # Errors
    /// The device fails.
    pub fn width(&self) -> Result<Tensor> {
        let weight = self.k_proj.tensor();
        Tensor::zeros((1, 0, weight.dim(0)?), weight.dtype(), weight.device())
    }

    /// Keys and values of `memory [1, S, D]`.
    ///
    /// # Errors
    /// The device fails.
    pub fn keys_and_values(&self, memory: &Value) -> Result<(Value, Value)> {
        project(memory, None, [&self.k_proj, &self.v_proj]).map(|[k, v]| (k, v))
    }

    /// `x [1, T, D]` plus what its positions, behind `norm`, see of `past` and of each other; they become part of it.
    ///
    /// # Errors
    /// There is no room for more keys, or the device fails.
    pub fn extend(&self, x: &Value, norm: Norm<'_>, here: &Here, past: &mut Past, both: bool) -> Result<Value> {
        let [q, k, v] = project(x, Some(norm), [&self.q_proj, &self.k_proj, &self.v_proj])?; // [1, T, H·K]
        // Keys are remembered turned: their places do not change any more.
        let rotation = here.rotation.as_ref();
        let k =
            rotation.map_or_else(|| Ok(k.tensor().clone()), |rotation| rotation.turned(k.tensor(), self.num_heads))?;
        let mask = past.push(&k, v.tensor(), both)?;
        let sight =
            Sight { num_heads: self.num_heads, mask: &mask, rotations: [rotation, None], bias: here.bias.as_ref() };
        let (keys, values) = past.all();
        self.add(x, &attend(&q, &keys, &values, sight)?, None)
    }

    /// `x [1, T, D]` plus what its positions, behind `norm`, see of keys and values that are known already.
    ///
    /// # Errors
    /// Shapes do not fit, or the device fails.
    pub fn recall(&self, x: &Value, norm: Norm<'_>, (keys, values): &(Value, Value)) -> Result<Value> {
        let [q] = project(x, Some(norm), [&self.q_proj])?; // [1, T, H·K]
        let ((_, queries, _), (_, count, _)) = (q.tensor().dims3()?, keys.tensor().dims3()?);
        let all = Seen::all((0, count as u32));
        let mask = Mask::new(vec![all; queries], queries, count, q.tensor().device())?;
        let here = Here::default();
        let sight = self.sight(View { mask: &mask, here: &here });
        self.add(x, &attend(&q, keys, values, sight)?, None)
    }

    /// `x [B, T, D]` plus the projection of what was `mixed [B, T, H·K]`.
    fn add(&self, x: &Value, mixed: &Value, dropping: Option<&Dropping>) -> Result<Value> {
        match dropping {
            None => add_linear(x, mixed, &self.o_proj),
            Some(dropping) => sum(x, &dropping.drop(&linear(mixed, &self.o_proj)?)?),
        }
    }

    /// What is looked through on the way from `x [B, T, D]`, behind `norm`, to `memory [B, S, D]`, or to itself without one:
    /// logits before bias and mask, and probabilities.
    ///
    /// # Errors
    /// As [`Attention::to_self`].
    pub fn matrices(&self, x: &Value, norm: Norm<'_>, memory: Option<&Value>, view: View<'_>) -> Result<Matrices> {
        let [q] = project(x, Some(norm), [&self.q_proj])?;
        let [k] = match memory {
            None => project(x, Some(norm), [&self.k_proj])?,
            Some(memory) => project(memory, None, [&self.k_proj])?,
        };
        self.seen(&q, &k, self.sight(view))
    }

    /// The same of merged attention: the keys of the memory stand before its own.
    ///
    /// # Errors
    /// As [`Attention::to_self`].
    pub fn merged_matrices(&self, x: &Value, norm: Norm<'_>, memory: &Value, view: View<'_>) -> Result<Matrices> {
        let [q, k] = project(x, Some(norm), [&self.q_proj, &self.k_proj])?;
        let [far] = project(memory, None, [&self.k_proj])?;
        let source = memory.dims().get(1).copied().unwrap_or(0);
        let of_keys = view.here.rotation.as_ref().map(|rotation| rotation.behind(source)).transpose()?;
        let sight = Sight { rotations: [view.here.rotation.as_ref(), of_keys.as_ref()], ..self.sight(view) };
        self.seen(&q, &behind(&far, &k)?, sight)
    }

    fn seen(&self, q: &Value, k: &Value, sight: Sight<'_>) -> Result<Matrices> {
        let logits = logits(q.tensor(), k.tensor(), self.num_heads, sight.rotations)?;
        let (_, _, queries, keys) = logits.dims4()?;
        let biased = match sight.bias {
            None => logits.clone(),
            Some(bias) => logits.broadcast_add(&bias.plain(q, queries, keys)?)?,
        };
        let mask = sight.mask.additive(self.num_heads)?.to_dtype(biased.dtype())?;
        Ok(Matrices { logits, probabilities: softmax(&biased.broadcast_add(&mask)?)? })
    }
}
