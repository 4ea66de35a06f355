//! A batch as tensors: what every layout reads. Made from the plain vectors of an objective's batch.

use candle_core::{Device, Result, Tensor};

use super::mask::{Segments, causal, full};
use crate::kernel::mask::Mask;
use crate::objective::{Batch, Side};

/// One side of a batch.
#[derive(Clone, Debug)]
pub struct SideInput {
    /// Token ids `[B, T]`, u32.
    pub tokens: Tensor,
    /// Positions `[B, T]`, u32.
    pub positions: Tensor,
    /// Self-attention mask, T queries and keys.
    pub mask: Mask,
}

/// All that a forward pass needs.
#[derive(Clone, Debug)]
pub struct ModelInput {
    /// Decoder side.
    pub decoder: SideInput,
    /// Encoder side and the cross-attention mask, T queries and S keys.
    pub encoder: Option<(SideInput, Mask)>,
}

const fn segments(side: &Side) -> Segments<'_> {
    Segments { length: side.length, ids: side.segments.as_slice() }
}

fn side(side: &Side, rows: usize, mask: Mask, device: &Device) -> Result<SideInput> {
    let tensor = |values: &[u32]| Tensor::from_slice(values, (rows, side.length), device);
    Ok(SideInput { tokens: tensor(&side.tokens)?, positions: tensor(&side.positions)?, mask })
}

impl ModelInput {
    /// Puts a batch on the device.
    ///
    /// # Errors
    /// The batch's vectors do not have its shape, or the device fails.
    pub fn new(batch: &Batch, device: &Device) -> Result<Self> {
        let own = segments(&batch.decoder);
        let decoder = side(&batch.decoder, batch.rows, causal(own, &batch.prefix_lengths, device)?, device)?;
        let encoder = match &batch.encoder {
            None => None,
            Some(encoder) => {
                let source = segments(encoder);
                let mask = full(source, source, device)?;
                Some((side(encoder, batch.rows, mask, device)?, full(own, source, device)?))
            }
        };
        Ok(Self { decoder, encoder })
    }
}
