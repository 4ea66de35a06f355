//! Writing token by token with what was read before remembered: the prompt is read once, each further token costs one row.
//! Promises: the same states as one pass over all of it, up to rounding. Must not know: which token is chosen.

use candle_core::{Device, Result, Tensor, bail};

use super::input::SideInput;
use super::language_model::{LanguageModel, Pass};
use super::mask::{Segments, bidirectional, causal};
use super::past::BlockPast;
use crate::core::ModelSpec;
use crate::kernel::Value;
use crate::kernel::linear::scaled;
use crate::objective::Side;

/// A text that is being read or written.
pub struct Decoding<'m> {
    model: &'m LanguageModel,
    pasts: Vec<BlockPast>,
    device: Device,
}

impl LanguageModel {
    /// Begins a text of at most `length` tokens; what an encoder reads of it is `encoder`.
    ///
    /// # Errors
    /// There is an encoder and nothing to read or the reverse, or the device fails.
    pub fn begin(
        &self,
        spec: &ModelSpec,
        encoder: Option<&Side>,
        length: usize,
        device: &Device,
    ) -> Result<Decoding<'_>> {
        let memory = match (&self.encoder, encoder) {
            (None, None) => None,
            (Some(stack), Some(side)) => {
                let segments = Segments { length: side.length, ids: &side.segments };
                let masks = if spec.architecture.has_bidirectional_stack() {
                    bidirectional(segments, spec.direction, device)?
                } else {
                    vec![causal(segments, &[0], device)?]
                };
                let side = SideInput::new(side, 1, masks, device)?;
                Some(stack.forward(self.embed(&side, Pass::default())?, &side, None, None, None)?)
            }
            (Some(_), None) => bail!("an encoder-decoder needs encoder tokens"),
            (None, Some(_)) => bail!("a decoder has no encoder to read encoder tokens"),
        };
        Ok(Decoding { model: self, pasts: self.decoder.pasts(length, memory.as_ref())?, device: device.clone() })
    }
}

impl Decoding<'_> {
    /// Reads `side`, one row, behind all that was read before; its positions see each other both ways if `both`. Gives the states
    /// `[1, T, D]`.
    ///
    /// # Errors
    /// The text becomes longer than it was to be, a token or place is out of range, or the device fails.
    pub fn read(&mut self, side: &Side, both: bool) -> Result<Value> {
        let tensor = |values: &[u32]| Tensor::from_slice(values, (1, side.length), &self.device);
        let blanks = (!side.block_positions.is_empty()).then(|| tensor(&side.block_positions)).transpose()?;
        let positions = tensor(&side.positions)?;
        let x = self.model.embed_at(&tensor(&side.tokens)?, &positions, blanks.as_ref(), Pass::default())?;
        scaled(&self.model.decoder.extend(x, &positions, &mut self.pasts, both)?, self.model.scale)
    }
}
