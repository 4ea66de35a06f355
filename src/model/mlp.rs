//! What a block does besides looking: two matrices with a bend between them, or three with a gate.

use candle_core::Result;

use super::dropout::Dropping;
use super::initial::Deviations;
use super::parameters::Parameters;
use crate::core::{self, ModelSpec};
use crate::kernel::activation::{Activation, add_activated};
use crate::kernel::join::sum;
use crate::kernel::linear::project;
use crate::kernel::norm::Norm;
use crate::kernel::{Value, Weight};

/// One MLP.
#[derive(Clone, Debug)]
pub struct Mlp {
    activation: Activation,
    gate: Option<Weight>, // [F, D]
    up: Weight,           // [F, D]
    down: Weight,         // [D, F]
}

impl Mlp {
    /// Seeded weights under `name`.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(spec: &ModelSpec, parameters: &mut Parameters, name: &str, deviations: Deviations) -> Result<Self> {
        let mut weight = |part: &str, shape: [usize; 2], deviation| {
            parameters.normal(&format!("{name}.{part}.weight"), &shape, deviation)
        };
        let (activation, gated) = match spec.mlp {
            core::Mlp::SwiGlu => (Activation::Silu, true),
            core::Mlp::GeGlu => (Activation::Gelu, true),
            core::Mlp::Gelu => (Activation::Gelu, false),
            core::Mlp::Relu => (Activation::Relu, false),
        };
        let inner = [spec.d_ff, spec.d_model];
        let gate = gated.then(|| weight("gate_proj", inner, deviations.weight)).transpose()?;
        let up = weight("up_proj", inner, deviations.weight)?;
        let down = weight("down_proj", [spec.d_model, spec.d_ff], deviations.residual)?;
        Ok(Self { activation, gate, up, down })
    }

    /// `x [B, T, D]` plus the MLP of it behind `norm`.
    ///
    /// # Errors
    /// Shapes do not fit, or the device fails.
    pub fn forward(&self, x: &Value, norm: Norm<'_>, dropping: Option<&Dropping>) -> Result<Value> {
        let add = |stream: &Value| match &self.gate {
            Some(gate) => {
                let [gate, up] = project(x, Some(norm), [gate, &self.up])?; // [B, T, F]
                add_activated(stream, self.activation, &gate, Some(&up), &self.down)
            }
            None => {
                let [up] = project(x, Some(norm), [&self.up])?; // [B, T, F]
                add_activated(stream, self.activation, &up, None, &self.down)
            }
        };
        match dropping {
            None => add(x),
            Some(dropping) => sum(x, &dropping.drop(&add(&Value::constant(&x.tensor().zeros_like()?))?)?),
        }
    }
}
