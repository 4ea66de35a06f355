//! The block all layouts are made of: x + attention(norm(x)), optionally + cross-attention, + MLP(norm(x)).

use candle_core::Result;

use super::attention::Attention;
use super::capture::StackCapture;
use super::initial::Deviations;
use super::parameters::Parameters;
use crate::core::ModelSpec;
use crate::kernel::activation::{Activation, add_activated};
use crate::kernel::linear::project;
use crate::kernel::mask::Mask;
use crate::kernel::norm::{Kind, Norm};
use crate::kernel::rope::Rotation;
use crate::kernel::{Value, Weight};

/// RMSNorm with its gain.
#[derive(Clone, Debug)]
struct RmsNorm {
    gain: Weight, // [D]
    epsilon: f64,
}

impl RmsNorm {
    /// Gains of one under `name`.
    fn new(spec: &ModelSpec, parameters: &mut Parameters, name: &str) -> Result<Self> {
        let gain = parameters.ones(&format!("{name}.weight"), &[spec.d_model])?;
        Ok(Self { gain, epsilon: spec.norm_epsilon })
    }

    const fn as_norm(&self) -> Norm<'_> {
        Norm { kind: Kind::RootMeanSquare, gain: &self.gain, epsilon: self.epsilon }
    }
}

#[derive(Clone, Debug)]
struct Mlp {
    gate: Weight, // [F, D]
    up: Weight,   // [F, D]
    down: Weight, // [D, F]
}

impl Mlp {
    fn new(spec: &ModelSpec, parameters: &mut Parameters, name: &str, deviations: Deviations) -> Result<Self> {
        let mut weight = |part: &str, shape: [usize; 2], deviation| {
            parameters.normal(&format!("{name}.{part}.weight"), &shape, deviation)
        };
        Ok(Self {
            gate: weight("gate_proj", [spec.d_ff, spec.d_model], deviations.weight)?,
            up: weight("up_proj", [spec.d_ff, spec.d_model], deviations.weight)?,
            down: weight("down_proj", [spec.d_model, spec.d_ff], deviations.residual)?,
        })
    }

    /// `x [B, T, D]` plus the gated MLP of it behind `norm`.
    fn forward(&self, x: &Value, norm: Norm<'_>) -> Result<Value> {
        let [gate, up] = project(x, Some(norm), [&self.gate, &self.up])?; // [B, T, F]
        add_activated(x, Activation::Silu, &gate, Some(&up), &self.down)
    }
}

/// Where a decoder block looks besides itself.
#[derive(Clone, Copy)]
pub struct Memory<'a> {
    /// Encoder output `[B, S, D]`.
    pub states: &'a Value,
    /// Who sees it.
    pub mask: &'a Mask,
}

/// One block.
#[derive(Clone, Debug)]
pub struct Block {
    attention_norm: RmsNorm,
    attention: Attention,
    cross: Option<(RmsNorm, Attention)>,
    mlp_norm: RmsNorm,
    mlp: Mlp,
}

impl Block {
    /// Seeded weights under `name`, with cross-attention if `cross`.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(spec: &ModelSpec, parameters: &mut Parameters, name: &str, cross: bool) -> Result<Self> {
        let deviations = Deviations::of_size(spec.num_layers, spec.d_model);
        let attention_norm = RmsNorm::new(spec, parameters, &format!("{name}.attention_norm"))?;
        let attention = Attention::new(spec, parameters, &format!("{name}.attention"), deviations)?;
        let cross = if cross {
            let norm = RmsNorm::new(spec, parameters, &format!("{name}.cross_attention_norm"))?;
            Some((norm, Attention::new(spec, parameters, &format!("{name}.cross_attention"), deviations)?))
        } else {
            None
        };
        let mlp_norm = RmsNorm::new(spec, parameters, &format!("{name}.mlp_norm"))?;
        let mlp = Mlp::new(spec, parameters, &format!("{name}.mlp"), deviations)?;
        Ok(Self { attention_norm, attention, cross, mlp_norm, mlp })
    }

    /// `x [B, T, D]` to the same shape; what is looked at is shown to `watch`, if there is one.
    ///
    /// # Errors
    /// Shapes do not fit, a block with cross-attention has no memory, or the device fails.
    pub fn forward(
        &self,
        x: &Value,
        mask: &Mask,
        rotation: &Rotation,
        memory: Option<Memory<'_>>,
        mut watch: Option<&mut StackCapture>,
    ) -> Result<Value> {
        let norm = self.attention_norm.as_norm();
        if let Some(watch) = watch.as_deref_mut() {
            watch.attention.push(self.attention.matrices(x, norm, None, mask, Some(rotation))?);
        }
        let mut x = self.attention.to_self(x, norm, mask, rotation)?;
        match (&self.cross, memory) {
            (Some((norm, attention)), Some(Memory { states, mask })) => {
                let norm = norm.as_norm();
                if let Some(watch) = watch {
                    watch.cross.push(attention.matrices(&x, norm, Some(states), mask, None)?);
                }
                x = attention.to_memory(&x, norm, states, mask)?;
            }
            (None, None) => {}
            (Some(_), None) => candle_core::bail!("a decoder block with cross-attention needs encoder states"),
            (None, Some(_)) => candle_core::bail!("encoder states reach a block without cross-attention"),
        }
        self.mlp.forward(&x, self.mlp_norm.as_norm())
    }
}

/// Blocks and a final norm.
#[derive(Clone, Debug)]
pub struct Stack {
    blocks: Vec<Block>,
    norm: RmsNorm,
}

impl Stack {
    /// `num_layers` blocks under `name`.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(spec: &ModelSpec, parameters: &mut Parameters, name: &str, cross: bool) -> Result<Self> {
        let block = |layer: usize| Block::new(spec, parameters, &format!("{name}.layers.{layer}"), cross);
        let blocks = (0..spec.num_layers).map(block).collect::<Result<Vec<_>>>()?;
        Ok(Self { blocks, norm: RmsNorm::new(spec, parameters, &format!("{name}.norm"))? })
    }

    /// `x [B, T, D]` through all blocks and the final norm; what happens on the way is shown to `watch`, if there is one.
    ///
    /// # Errors
    /// As [`Block::forward`].
    pub fn forward(
        &self,
        mut x: Value,
        mask: &Mask,
        rotation: &Rotation,
        memory: Option<Memory<'_>>,
        mut watch: Option<&mut StackCapture>,
    ) -> Result<Value> {
        for block in &self.blocks {
            if let Some(watch) = watch.as_deref_mut() {
                watch.residual.push(x.tensor().clone());
            }
            x = block.forward(&x, mask, rotation, memory, watch.as_deref_mut())?;
        }
        if let Some(watch) = watch {
            watch.residual.push(x.tensor().clone());
        }
        self.norm.as_norm().apply(&x)
    }
}
