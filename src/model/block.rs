//! The block all layouts are made of: x + attention(norm(x)), optionally + cross-attention, + MLP(norm(x)).

use candle_core::{Result, Tensor};

use super::attention::Attention;
use super::capture::StackCapture;
use super::initial::Deviations;
use super::parameters::Parameters;
use crate::core::ModelSpec;
use crate::kernel::activation::swiglu_linear;
use crate::kernel::linear::linear;
use crate::kernel::mask::Mask;
use crate::kernel::norm::rms_norm;
use crate::kernel::rope::Rotation;

/// RMSNorm with its gain.
#[derive(Clone, Debug)]
pub struct Norm {
    gain: Tensor, // [D]
    epsilon: f64,
}

impl Norm {
    /// Gains of one under `name`.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(spec: &ModelSpec, parameters: &mut Parameters, name: &str) -> Result<Self> {
        let gain = parameters.ones(&format!("{name}.weight"), &[spec.d_model])?;
        Ok(Self { gain, epsilon: spec.norm_epsilon })
    }

    /// `x [B, T, D]` to the same shape.
    ///
    /// # Errors
    /// The device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        rms_norm(x, &self.gain, self.epsilon)
    }

    fn detach(&self) -> Self {
        Self { gain: self.gain.detach(), epsilon: self.epsilon }
    }
}

#[derive(Clone, Debug)]
struct Mlp {
    gate: Tensor, // [F, D]
    up: Tensor,   // [F, D]
    down: Tensor, // [D, F]
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

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        swiglu_linear(&linear(x, &self.gate)?, &linear(x, &self.up)?, &self.down)
    }

    fn detach(&self) -> Self {
        Self { gate: self.gate.detach(), up: self.up.detach(), down: self.down.detach() }
    }
}

/// Where a decoder block looks besides itself.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a> {
    /// Encoder output `[B, S, D]`.
    pub states: &'a Tensor,
    /// Who sees it.
    pub mask: &'a Mask,
}

/// One block.
#[derive(Clone, Debug)]
pub struct Block {
    attention_norm: Norm,
    attention: Attention,
    cross: Option<(Norm, Attention)>,
    mlp_norm: Norm,
    mlp: Mlp,
}

impl Block {
    /// Seeded weights under `name`, with cross-attention if `cross`.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(spec: &ModelSpec, parameters: &mut Parameters, name: &str, cross: bool) -> Result<Self> {
        let deviations = Deviations::of_size(spec.num_layers, spec.d_model);
        let attention_norm = Norm::new(spec, parameters, &format!("{name}.attention_norm"))?;
        let attention = Attention::new(spec, parameters, &format!("{name}.attention"), deviations)?;
        let cross = if cross {
            let norm = Norm::new(spec, parameters, &format!("{name}.cross_attention_norm"))?;
            Some((norm, Attention::new(spec, parameters, &format!("{name}.cross_attention"), deviations)?))
        } else {
            None
        };
        let mlp_norm = Norm::new(spec, parameters, &format!("{name}.mlp_norm"))?;
        let mlp = Mlp::new(spec, parameters, &format!("{name}.mlp"), deviations)?;
        Ok(Self { attention_norm, attention, cross, mlp_norm, mlp })
    }

    /// `x [B, T, D]` to the same shape; what is looked at is shown to `watch`, if there is one.
    ///
    /// # Errors
    /// Shapes do not fit, a block with cross-attention has no memory, or the device fails.
    pub fn forward(
        &self,
        x: &Tensor,
        mask: &Mask,
        rotation: &Rotation,
        memory: Option<Memory<'_>>,
        mut watch: Option<&mut StackCapture>,
    ) -> Result<Tensor> {
        let normed = self.attention_norm.forward(x)?;
        if let Some(watch) = watch.as_deref_mut() {
            watch.attention.push(self.attention.matrices(&normed, &normed, mask, Some(rotation))?);
        }
        let mut x = self.attention.forward(x, &normed, &normed, mask, Some(rotation))?;
        match (&self.cross, memory) {
            (Some((norm, attention)), Some(memory)) => {
                let normed = norm.forward(&x)?;
                if let Some(watch) = watch {
                    watch.cross.push(attention.matrices(&normed, memory.states, memory.mask, None)?);
                }
                x = attention.forward(&x, &normed, memory.states, memory.mask, None)?;
            }
            (None, None) => {}
            (Some(_), None) => candle_core::bail!("a decoder block with cross-attention needs encoder states"),
            (None, Some(_)) => candle_core::bail!("encoder states reach a block without cross-attention"),
        }
        &x + self.mlp.forward(&self.mlp_norm.forward(&x)?)?
    }

    /// The same weights as constants.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self {
            attention_norm: self.attention_norm.detach(),
            attention: self.attention.detach(),
            cross: self.cross.as_ref().map(|(norm, attention)| (norm.detach(), attention.detach())),
            mlp_norm: self.mlp_norm.detach(),
            mlp: self.mlp.detach(),
        }
    }
}

/// Blocks and a final norm.
#[derive(Clone, Debug)]
pub struct Stack {
    blocks: Vec<Block>,
    norm: Norm,
}

impl Stack {
    /// `num_layers` blocks under `name`.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(spec: &ModelSpec, parameters: &mut Parameters, name: &str, cross: bool) -> Result<Self> {
        let block = |layer: usize| Block::new(spec, parameters, &format!("{name}.layers.{layer}"), cross);
        let blocks = (0..spec.num_layers).map(block).collect::<Result<Vec<_>>>()?;
        Ok(Self { blocks, norm: Norm::new(spec, parameters, &format!("{name}.norm"))? })
    }

    /// `x [B, T, D]` through all blocks and the final norm; what happens on the way is shown to `watch`, if there is one.
    ///
    /// # Errors
    /// As [`Block::forward`].
    pub fn forward(
        &self,
        mut x: Tensor,
        mask: &Mask,
        rotation: &Rotation,
        memory: Option<Memory<'_>>,
        mut watch: Option<&mut StackCapture>,
    ) -> Result<Tensor> {
        for block in &self.blocks {
            if let Some(watch) = watch.as_deref_mut() {
                watch.residual.push(x.clone());
            }
            x = block.forward(&x, mask, rotation, memory, watch.as_deref_mut())?;
        }
        if let Some(watch) = watch {
            watch.residual.push(x.clone());
        }
        self.norm.forward(&x)
    }

    /// The same weights as constants.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self { blocks: self.blocks.iter().map(Block::detach).collect(), norm: self.norm.detach() }
    }
}
