//! Blocks one behind the other, a final norm, and what they know of places.

use candle_core::{Result, Tensor};

use super::attention::View;
use super::block::{Across, Block, Memory};
use super::capture::StackCapture;
use super::dropout::Dropping;
use super::input::SideInput;
use super::norm::OwnNorm;
use super::parameters::Parameters;
use super::past::BlockPast;
use super::position::Places;
use crate::core::ModelSpec;
use crate::kernel::Value;
use crate::kernel::rope::RotaryTables;

/// Blocks and a final norm.
#[derive(Clone, Debug)]
pub struct Stack {
    blocks: Vec<Block>,
    norm: OwnNorm,
    places: Places,
}

/// What a stack is besides the model's shape.
#[derive(Clone, Copy, Debug)]
pub struct Role<'a> {
    /// What its weights are called.
    pub name: &'a str,
    /// How many blocks it has.
    pub depth: usize,
    /// How they look at an encoder.
    pub across: Across,
    /// Whether a position may see what follows it.
    pub both: bool,
}

impl Stack {
    /// Seeded weights. `tables` are the rotations of a model with rotary positions.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(
        spec: &ModelSpec,
        parameters: &mut Parameters,
        role: Role<'_>,
        tables: Option<&RotaryTables>,
    ) -> Result<Self> {
        let block = |layer: usize| Block::new(spec, parameters, &format!("{}.layers.{layer}", role.name), role.across);
        let blocks = (0..role.depth).map(block).collect::<Result<Vec<_>>>()?;
        Self::around(blocks, spec, parameters, role, tables)
    }

    /// An encoder with the self-attention and MLPs of `decoder`, and a final norm and places of its own.
    ///
    /// # Errors
    /// The device fails.
    pub fn sharing(
        decoder: &Self,
        spec: &ModelSpec,
        parameters: &mut Parameters,
        role: Role<'_>,
        tables: Option<&RotaryTables>,
    ) -> Result<Self> {
        Self::around(decoder.blocks.iter().map(Block::shared).collect(), spec, parameters, role, tables)
    }

    fn around(
        blocks: Vec<Block>,
        spec: &ModelSpec,
        parameters: &mut Parameters,
        Role { name, both, .. }: Role<'_>,
        tables: Option<&RotaryTables>,
    ) -> Result<Self> {
        let norm = OwnNorm::new(spec, parameters, &format!("{name}.norm"))?;
        Ok(Self { blocks, norm, places: Places::new(spec, parameters, name, both, tables)? })
    }

    /// `x [B, T, D]`, the embeddings of `side`, through all blocks and the final norm; what happens on the way is shown to
    /// `watch`, if there is one.
    ///
    /// # Errors
    /// As [`Block::forward`].
    pub fn forward(
        &self,
        mut x: Value,
        side: &SideInput,
        memory: Option<Memory<'_>>,
        dropping: Option<&Dropping>,
        mut watch: Option<&mut StackCapture>,
    ) -> Result<Value> {
        let here = self.places.at(&side.positions)?;
        for (block, mask) in self.blocks.iter().zip(side.masks.iter().cycle()) {
            if let Some(watch) = watch.as_deref_mut() {
                watch.residual.push(x.tensor().clone());
            }
            x = block.forward(&x, View { mask, here: &here }, memory, dropping, watch.as_deref_mut())?;
        }
        if let Some(watch) = watch {
            watch.residual.push(x.tensor().clone());
        }
        self.norm.as_norm().apply(&x)
    }

    /// What its blocks remember of nothing: room for `keys` keys each, behind those of `memory [1, S, D]` in merged attention.
    ///
    /// # Errors
    /// The device fails.
    pub fn pasts(&self, keys: usize, memory: Option<&Value>) -> Result<Vec<BlockPast>> {
        self.blocks.iter().map(|block| block.past(keys, memory)).collect()
    }

    /// `x [1, T, D]`, the embeddings of tokens at `positions [1, T]`, behind all that `pasts` remember, through all blocks and
    /// the final norm; they are remembered too. A position sees what came before it, or with `both` all of `x`.
    ///
    /// # Errors
    /// There is no room for more keys, or the device fails.
    pub fn extend(&self, mut x: Value, positions: &Tensor, pasts: &mut [BlockPast], both: bool) -> Result<Value> {
        for (block, past) in self.blocks.iter().zip(pasts) {
            let (before, keys) = past.room();
            let here = self.places.among(positions, before, keys)?;
            x = block.extend(&x, &here, past, both)?;
        }
        self.norm.as_norm().apply(&x)
    }
}
