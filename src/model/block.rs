//! The block all layouts are made of: x + attention(norm(x)), optionally + cross-attention, + MLP(norm(x)).

use candle_core::Result;

use super::attention::{Attention, View};
use super::capture::StackCapture;
use super::dropout::Dropping;
use super::initial::Deviations;
use super::mlp::Mlp;
use super::norm::OwnNorm;
use super::parameters::Parameters;
use super::past::BlockPast;
use super::position::Here;
use crate::core::ModelSpec;
use crate::kernel::Value;
use crate::kernel::mask::Mask;

/// How a decoder block looks at what the encoder read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Across {
    /// Not at all: there is no encoder, or it is one of its blocks.
    Never,
    /// With a module of its own.
    Cross,
    /// In one softmax with itself.
    Merged,
}

/// Where a decoder block looks besides itself.
#[derive(Clone, Copy)]
pub struct Memory<'a> {
    /// Encoder output `[B, S, D]`.
    pub states: &'a Value,
    /// Who sees it; in merged attention the mask of self-attention says that too.
    pub mask: Option<&'a Mask>,
}

/// One block.
#[derive(Clone, Debug)]
pub struct Block {
    attention_norm: OwnNorm,
    attention: Attention,
    merged: bool,
    cross: Option<(OwnNorm, Attention)>,
    mlp_norm: OwnNorm,
    mlp: Mlp,
}

impl Block {
    /// Seeded weights under `name`.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(spec: &ModelSpec, parameters: &mut Parameters, name: &str, across: Across) -> Result<Self> {
        let deviations = Deviations::of_size(spec.num_layers, spec.d_model);
        let attention_norm = OwnNorm::new(spec, parameters, &format!("{name}.attention_norm"))?;
        let attention = Attention::new(spec, parameters, &format!("{name}.attention"), deviations)?;
        let cross = if across == Across::Cross {
            let norm = OwnNorm::new(spec, parameters, &format!("{name}.cross_attention_norm"))?;
            Some((norm, Attention::new(spec, parameters, &format!("{name}.cross_attention"), deviations)?))
        } else {
            None
        };
        let mlp_norm = OwnNorm::new(spec, parameters, &format!("{name}.mlp_norm"))?;
        let mlp = Mlp::new(spec, parameters, &format!("{name}.mlp"), deviations)?;
        Ok(Self { attention_norm, attention, merged: across == Across::Merged, cross, mlp_norm, mlp })
    }

    /// A block of an encoder with the same self-attention and MLP.
    #[must_use]
    pub fn shared(&self) -> Self {
        Self { cross: None, merged: false, ..self.clone() }
    }

    /// `x [B, T, D]` to the same shape; what is looked at is shown to `watch`, if there is one.
    ///
    /// # Errors
    /// Shapes do not fit, a block that looks at an encoder has none, or the device fails.
    pub fn forward(
        &self,
        x: &Value,
        view: View<'_>,
        memory: Option<Memory<'_>>,
        dropping: Option<&Dropping>,
        mut watch: Option<&mut StackCapture>,
    ) -> Result<Value> {
        let norm = self.attention_norm.as_norm();
        if self.merged {
            let Some(Memory { states, mask: None }) = memory else {
                candle_core::bail!("merged attention needs encoder states, and one mask for both texts")
            };
            if let Some(watch) = watch {
                watch.attention.push(self.attention.merged_matrices(x, norm, states, view)?);
            }
            let x = self.attention.to_both(x, norm, states, view, dropping)?;
            return self.mlp.forward(&x, self.mlp_norm.as_norm(), dropping);
        }
        if let Some(watch) = watch.as_deref_mut() {
            watch.attention.push(self.attention.matrices(x, norm, None, view)?);
        }
        let mut x = self.attention.to_self(x, norm, view, dropping)?;
        match (&self.cross, memory) {
            (Some((norm, attention)), Some(Memory { states, mask: Some(mask) })) => {
                let norm = norm.as_norm();
                if let Some(watch) = watch {
                    let view = View { mask, here: &Here::default() };
                    watch.cross.push(attention.matrices(&x, norm, Some(states), view)?);
                }
                x = attention.to_memory(&x, norm, states, mask, dropping)?;
            }
            (None, None) => {}
            (Some(_), _) => {
                candle_core::bail!("a decoder block with cross-attention needs encoder states and their mask")
            }
            (None, Some(_)) => candle_core::bail!("encoder states reach a block without cross-attention"),
        }
        self.mlp.forward(&x, self.mlp_norm.as_norm(), dropping)
    }

    /// What it remembers of nothing: room for `keys` keys, behind those of `memory [1, S, D]` in merged attention.
    ///
    /// # Errors
    /// The device fails.
    pub fn past(&self, keys: usize, memory: Option<&Value>) -> Result<BlockPast> {
        let far = match (&self.cross, memory) {
            (Some((_, attention)), Some(memory)) => Some(attention.keys_and_values(memory)?),
            (Some(_), None) => candle_core::bail!("a decoder block with cross-attention needs encoder states"),
            (None, _) => None,
        };
        let merged = memory.filter(|_| self.merged).map(|memory| self.attention.keys_and_values(memory)).transpose()?;
        BlockPast::new(self.attention.width()?, keys, merged.as_ref(), far)
    }

    /// `x [1, T, D]` behind all that `past` remembers, to the same shape; it is remembered too.
    ///
    /// # Errors
    /// There is no room for more keys, or the device fails.
    pub fn extend(&self, x: &Value, here: &Here, past: &mut BlockPast, both: bool) -> Result<Value> {
        let mut x = self.attention.extend(x, self.attention_norm.as_norm(), here, &mut past.own, both)?;
        if let (Some((norm, attention)), Some(far)) = (&self.cross, &past.far) {
            x = attention.recall(&x, norm.as_norm(), far)?;
        }
        self.mlp.forward(&x, self.mlp_norm.as_norm(), None)
    }
}
