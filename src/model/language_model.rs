//! The three layouts: one stack with a causal or prefix mask, or an encoder stack and a decoder stack that share the
//! input embedding. The mask comes with the input, so causal and non-causal decoders are the same weights.

use candle_core::{Result, Tensor};

use super::block::{Memory, Stack};
use super::capture::Capture;
use super::initial::Deviations;
use super::input::{ModelInput, SideInput};
use super::parameters::{Numbers, Parameters};
use crate::core::{Architecture, ModelSpec};
use crate::kernel::cross_entropy::{Asked, Likelihood, Target, likelihoods, projected_loss};
use crate::kernel::embedding::embed;
use crate::kernel::linear::linear;
use crate::kernel::rope::RotaryTables;
use crate::kernel::{Tape, Value, Weight};

/// A language model.
#[derive(Clone, Debug)]
pub struct LanguageModel {
    embedding: Weight, // [V, D]
    encoder: Option<Stack>,
    decoder: Stack,
    head: Weight, // [V, D]
    tables: RotaryTables,
}

impl LanguageModel {
    /// A model of `spec`, able to read positions `0..length`, whose parameters, in the model's order, are still to be drawn.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(spec: &ModelSpec, length: usize, numbers: &Numbers) -> Result<(Self, Parameters)> {
        let mut parameters = Parameters::new(numbers.clone());
        let deviations = Deviations::of_size(spec.num_layers, spec.d_model);
        let embedding =
            parameters.normal("embedding.weight", &[spec.vocab_size, spec.d_model], deviations.embedding)?;
        let (encoder, cross) = match spec.architecture {
            Architecture::CausalDecoder | Architecture::NonCausalDecoder => (None, false),
            Architecture::EncoderDecoder => (Some(Stack::new(spec, &mut parameters, "encoder", false)?), true),
        };
        let decoder = Stack::new(spec, &mut parameters, "decoder", cross)?;
        let head = parameters.normal("head.weight", &[spec.vocab_size, spec.d_model], deviations.weight)?;
        let tables = RotaryTables::new(length, spec.head_dim, spec.rope_theta, &numbers.device)?;
        Ok((Self { embedding, encoder, decoder, head, tables }, parameters))
    }

    fn embed(&self, side: &SideInput, tape: Option<&Tape>) -> Result<Value> {
        let (batch, length) = side.tokens.dims2()?;
        let rows = embed(tape, &self.embedding, &side.tokens.flatten_all()?)?; // [B·T, D]
        rows.reshape(&[batch, length, self.embedding.tensor().dim(1)?])
    }

    /// Decoder states before the output projection, `[B, T, D]`, recorded on `tape`, if there is one.
    ///
    /// # Errors
    /// The input has an encoder side and the model none or the reverse, a token or position is out of range, or the
    /// device fails.
    pub fn states(&self, input: &ModelInput, tape: Option<&Tape>) -> Result<Value> {
        self.pass(input, tape, None)
    }

    /// The same states, with the attention matrices and residual streams on the way to them.
    ///
    /// # Errors
    /// As [`LanguageModel::states`].
    pub fn observe(&self, input: &ModelInput) -> Result<(Value, Capture)> {
        let mut capture = Capture::default();
        let states = self.pass(input, None, Some(&mut capture))?;
        Ok((states, capture))
    }

    fn pass(&self, input: &ModelInput, tape: Option<&Tape>, watch: Option<&mut Capture>) -> Result<Value> {
        let (watch_encoder, watch_decoder) = watch.map(|watch| (&mut watch.encoder, &mut watch.decoder)).unzip();
        let memory = match (&self.encoder, &input.encoder) {
            (None, None) => None,
            (Some(stack), Some((side, cross_mask))) => {
                let rotation = self.tables.at(&side.positions)?;
                Some((stack.forward(self.embed(side, tape)?, &side.mask, &rotation, None, watch_encoder)?, cross_mask))
            }
            (Some(_), None) => candle_core::bail!("an encoder-decoder needs encoder tokens"),
            (None, Some(_)) => candle_core::bail!("a decoder has no encoder to read encoder tokens"),
        };
        let rotation = self.tables.at(&input.decoder.positions)?;
        let memory = memory.as_ref().map(|(states, mask)| Memory { states, mask });
        self.decoder.forward(self.embed(&input.decoder, tape)?, &input.decoder.mask, &rotation, memory, watch_decoder)
    }

    /// Σ weight · (negative log-likelihood + `z_loss` · ln²Z) of `targets` under the logits of `states [N, D]`, nats; a scalar.
    ///
    /// # Errors
    /// A target is outside the vocabulary, shapes do not fit, or the device fails.
    pub fn loss(&self, states: &Value, targets: &[Target], z_loss: f64) -> Result<Value> {
        projected_loss(states, &self.head, targets, z_loss)
    }

    /// How likely each asked token is after its row of `states [N, D]`; no gradient.
    ///
    /// # Errors
    /// A row or token does not exist, shapes do not fit, or the device fails.
    pub fn likelihoods(&self, states: &Value, asked: &[Asked]) -> Result<Vec<Likelihood>> {
        likelihoods(states.tensor(), &self.head, asked)
    }

    /// Logits of `states [.., D]`: `[.., V]`.
    ///
    /// # Errors
    /// The device fails.
    pub fn project(&self, states: &Value) -> Result<Value> {
        linear(states, &self.head)
    }

    /// Logits of every decoder position, `[B, T, V]`; no gradient.
    ///
    /// # Errors
    /// As [`LanguageModel::states`].
    pub fn logits(&self, input: &ModelInput) -> Result<Tensor> {
        Ok(self.project(&self.states(input, None)?)?.tensor().clone())
    }
}
