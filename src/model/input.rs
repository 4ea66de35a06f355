//! A batch as tensors: what every layout reads. Made from the plain vectors of an objective's batch and the masks that the
//! architecture lays over them.

use candle_core::{Device, Result, Tensor};

use super::mask::{Segments, bidirectional, causal, full, merged};
use crate::core::{Architecture, ModelSpec};
use crate::kernel::mask::Mask;
use crate::objective::{Batch, Side};

/// One side of a batch.
#[derive(Clone, Debug)]
pub struct SideInput {
    /// Token ids `[B, T]`, u32.
    pub tokens: Tensor,
    /// Positions `[B, T]`, u32.
    pub positions: Tensor,
    /// Places inside a blank `[B, T]`, u32, where there are blanks.
    pub block_positions: Option<Tensor>,
    /// Self-attention masks, which the layers use in turn: T queries and keys, or with the keys of the encoder before them in
    /// merged attention.
    pub masks: Vec<Mask>,
}

/// All that a forward pass needs.
#[derive(Clone, Debug)]
pub struct ModelInput {
    /// Decoder side.
    pub decoder: SideInput,
    /// Encoder side and the cross-attention mask, T queries and S keys; no such mask in merged attention.
    pub encoder: Option<(SideInput, Option<Mask>)>,
}

const fn segments(side: &Side) -> Segments<'_> {
    Segments { length: side.length, ids: side.segments.as_slice() }
}

impl SideInput {
    /// Puts `rows` rows of a side on the device.
    ///
    /// # Errors
    /// Its vectors do not have its shape, or the device fails.
    pub(super) fn new(side: &Side, rows: usize, masks: Vec<Mask>, device: &Device) -> Result<Self> {
        let tensor = |values: &[u32]| Tensor::from_slice(values, (rows, side.length), device);
        let block_positions = (!side.block_positions.is_empty()).then(|| tensor(&side.block_positions)).transpose()?;
        Ok(Self { tokens: tensor(&side.tokens)?, positions: tensor(&side.positions)?, block_positions, masks })
    }
}

impl ModelInput {
    /// Puts a batch for a model of `spec` on the device.
    ///
    /// # Errors
    /// The batch's vectors do not have its shape, or the device fails.
    pub fn new(batch: &Batch, spec: &ModelSpec, device: &Device) -> Result<Self> {
        let own = segments(&batch.decoder);
        let before = |own, prefixes: &[u32]| Ok(vec![causal(own, prefixes, device)?]);
        let none = vec![0; batch.rows];
        let masks = match (spec.architecture, &batch.encoder) {
            (Architecture::EncoderOnly, _) => bidirectional(own, spec.direction, device),
            (Architecture::MergedEncoderDecoder, Some(encoder)) => Ok(vec![merged(own, segments(encoder), device)?]),
            (
                Architecture::CausalDecoder
                | Architecture::NonCausalDecoder
                | Architecture::EncoderDecoder
                | Architecture::SharedEncoderDecoder
                | Architecture::HalfEncoderDecoder
                | Architecture::CausalEncoderDecoder
                | Architecture::MergedEncoderDecoder,
                _,
            ) => before(own, &batch.prefix_lengths),
        }?;
        let decoder = SideInput::new(&batch.decoder, batch.rows, masks, device)?;
        let Some(encoder) = &batch.encoder else { return Ok(Self { decoder, encoder: None }) };
        let source = segments(encoder);
        let masks = if spec.architecture.has_bidirectional_stack() {
            bidirectional(source, spec.direction, device)
        } else {
            before(source, &none)
        }?;
        let cross = spec.architecture.has_cross_attention().then(|| full(own, source, device)).transpose()?;
        Ok(Self { decoder, encoder: Some((SideInput::new(encoder, batch.rows, masks, device)?, cross)) })
    }
}
