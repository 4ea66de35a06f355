//! The three layouts: one stack with a causal or prefix mask, or an encoder stack and a decoder stack that share the
//! input embedding. The mask comes with the input, so causal and non-causal decoders are the same weights.

use candle_core::{Device, Result, Tensor};

use super::block::{Memory, Stack};
use super::capture::Capture;
use super::initial::Deviations;
use super::input::{ModelInput, SideInput};
use super::parameters::Parameters;
use crate::core::{Architecture, ModelSpec};
use crate::kernel::cross_entropy::{Asked, Likelihood, Target, likelihoods, projected_loss};
use crate::kernel::linear::linear;
use crate::kernel::rope::RotaryTables;

/// A language model.
#[derive(Clone, Debug)]
pub struct LanguageModel {
    embedding: Tensor, // [V, D]
    encoder: Option<Stack>,
    decoder: Stack,
    head: Tensor, // [V, D]
    tables: RotaryTables,
}

impl LanguageModel {
    /// Seeded weights for `spec`, able to read positions `0..length`; the parameters are returned in the model's order.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(spec: &ModelSpec, length: usize, seed: u64, device: &Device) -> Result<(Self, Parameters)> {
        let mut parameters = Parameters::new(seed, device.clone());
        let deviations = Deviations::of_size(spec.num_layers, spec.d_model);
        let embedding =
            parameters.normal("embedding.weight", &[spec.vocab_size, spec.d_model], deviations.embedding)?;
        let (encoder, cross) = match spec.architecture {
            Architecture::CausalDecoder | Architecture::NonCausalDecoder => (None, false),
            Architecture::EncoderDecoder => (Some(Stack::new(spec, &mut parameters, "encoder", false)?), true),
        };
        let decoder = Stack::new(spec, &mut parameters, "decoder", cross)?;
        let head = parameters.normal("head.weight", &[spec.vocab_size, spec.d_model], deviations.weight)?;
        let tables = RotaryTables::new(length, spec.head_dim, spec.rope_theta, device)?;
        Ok((Self { embedding, encoder, decoder, head, tables }, parameters))
    }

    fn embed(&self, side: &SideInput) -> Result<Tensor> {
        let (batch, length) = side.tokens.dims2()?;
        let rows = self.embedding.index_select(&side.tokens.flatten_all()?, 0)?; // [B·T, D]
        rows.reshape((batch, length, self.embedding.dim(1)?))
    }

    /// Decoder states before the output projection, `[B, T, D]`.
    ///
    /// # Errors
    /// The input has an encoder side and the model none or the reverse, a token or position is out of range, or the
    /// device fails.
    pub fn states(&self, input: &ModelInput) -> Result<Tensor> {
        self.pass(input, None)
    }

    /// The same states, with the attention matrices and residual streams on the way to them. Watch a detached model:
    /// otherwise everything shown keeps its graph.
    ///
    /// # Errors
    /// As [`LanguageModel::states`].
    pub fn observe(&self, input: &ModelInput) -> Result<(Tensor, Capture)> {
        let mut capture = Capture::default();
        let states = self.pass(input, Some(&mut capture))?;
        Ok((states, capture))
    }

    fn pass(&self, input: &ModelInput, watch: Option<&mut Capture>) -> Result<Tensor> {
        let (watch_encoder, watch_decoder) = watch.map(|watch| (&mut watch.encoder, &mut watch.decoder)).unzip();
        let memory = match (&self.encoder, &input.encoder) {
            (None, None) => None,
            (Some(stack), Some((side, cross_mask))) => {
                let rotation = self.tables.at(&side.positions)?;
                Some((stack.forward(self.embed(side)?, &side.mask, &rotation, None, watch_encoder)?, cross_mask))
            }
            (Some(_), None) => candle_core::bail!("an encoder-decoder needs encoder tokens"),
            (None, Some(_)) => candle_core::bail!("a decoder has no encoder to read encoder tokens"),
        };
        let rotation = self.tables.at(&input.decoder.positions)?;
        let memory = memory.as_ref().map(|(states, mask)| Memory { states, mask });
        self.decoder.forward(self.embed(&input.decoder)?, &input.decoder.mask, &rotation, memory, watch_decoder)
    }

    /// Σ weight · negative log-likelihood of `targets` under the logits of `states [N, D]`, nats; a scalar.
    ///
    /// # Errors
    /// A target is outside the vocabulary, shapes do not fit, or the device fails.
    pub fn loss(&self, states: &Tensor, targets: Vec<Target>) -> Result<Tensor> {
        projected_loss(states, &self.head, targets)
    }

    /// How likely each asked token is after its row of `states [N, D]`; no gradient.
    ///
    /// # Errors
    /// A row or token does not exist, shapes do not fit, or the device fails.
    pub fn likelihoods(&self, states: &Tensor, asked: &[Asked]) -> Result<Vec<Likelihood>> {
        likelihoods(states, &self.head, asked)
    }

    /// Logits of `states [.., D]`: `[.., V]`.
    ///
    /// # Errors
    /// The device fails.
    pub fn project(&self, states: &Tensor) -> Result<Tensor> {
        linear(states, &self.head)
    }

    /// Logits of every decoder position, `[B, T, V]`.
    ///
    /// # Errors
    /// As [`LanguageModel::states`].
    pub fn logits(&self, input: &ModelInput) -> Result<Tensor> {
        self.project(&self.states(input)?)
    }

    /// The same weights as constants, for scoring: a forward pass keeps no graph, and later updates are seen.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self {
            embedding: self.embedding.detach(),
            encoder: self.encoder.as_ref().map(Stack::detach),
            decoder: self.decoder.detach(),
            head: self.head.detach(),
            tables: self.tables.clone(),
        }
    }
}
