//! The layouts: one stack under a mask, or an encoder stack and a decoder stack that share the input embedding. Masks come
//! with the input, so architectures that differ in the mask alone are the same weights.

use candle_core::{Result, Tensor};

use super::block::{Across, Memory};
use super::capture::Capture;
use super::dropout::Dropping;
use super::initial::Deviations;
use super::input::{ModelInput, SideInput};
use super::parameters::{Numbers, Parameters};
use super::stack::{Role, Stack};
use crate::core::{Architecture, ModelSpec, Position};
use crate::kernel::cross_entropy::{Asked, Likelihood, ProjectedLoss, Target, likelihoods, projected_loss};
use crate::kernel::embedding::embed;
use crate::kernel::join::sum;
use crate::kernel::linear::{linear, scaled};
use crate::kernel::rope::RotaryTables;
use crate::kernel::{Tape, Value, Weight};

/// A language model.
#[derive(Clone, Debug)]
pub struct LanguageModel {
    embedding: Weight,      // [V, D]
    places: Option<Weight>, // [N, D], of learned positions
    blanks: Option<Weight>, // [N, D], of places inside a blank
    pub(super) encoder: Option<Stack>,
    pub(super) decoder: Stack,
    head: Weight, // [V, D]
    /// What states are multiplied by before the head.
    pub(super) scale: f64,
}

/// How a forward pass is made.
#[derive(Clone, Copy, Default)]
pub struct Pass<'a> {
    /// Where it is recorded; nowhere without one.
    pub tape: Option<&'a Tape>,
    /// What it drops; nothing without one.
    pub dropping: Option<&'a Dropping>,
}

impl LanguageModel {
    /// A model of `spec`, able to read positions `0..length`, whose parameters, in the model's order, are still to be drawn.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(spec: &ModelSpec, length: usize, numbers: &Numbers) -> Result<(Self, Parameters)> {
        let mut own = Parameters::new(numbers.clone());
        let parameters = &mut own;
        let deviations = Deviations::of_size(spec.num_layers, spec.d_model);
        let embedding =
            parameters.normal("embedding.weight", &[spec.vocab_size, spec.d_model], deviations.embedding)?;
        let mut table = |name: &str, rows: usize| {
            let shape = [rows, spec.d_model];
            (rows > 0).then(|| parameters.normal(&format!("{name}.weight"), &shape, deviations.weight)).transpose()
        };
        let places = table("position_embedding", spec.max_positions)?;
        let blanks = table("block_position_embedding", spec.block_positions)?;
        let tables = (spec.position == Position::Rope)
            .then(|| RotaryTables::new(length, spec.head_dim, spec.rope_theta, &numbers.device))
            .transpose()?;
        let tables = tables.as_ref();
        let (encoder_depth, depth) = spec.depths();
        let alone = |both| Role { name: "decoder", depth, across: Across::Never, both };
        let beside = |across| Role { name: "decoder", depth, across, both: false };
        let read = |both| Role { name: "encoder", depth: encoder_depth, across: Across::Never, both };
        let (encoder, decoder) = match spec.architecture {
            Architecture::CausalDecoder => (None, Stack::new(spec, parameters, alone(false), tables)?),
            Architecture::NonCausalDecoder | Architecture::EncoderOnly => {
                (None, Stack::new(spec, parameters, alone(true), tables)?)
            }
            Architecture::EncoderDecoder | Architecture::HalfEncoderDecoder | Architecture::CausalEncoderDecoder => {
                let both = spec.architecture.has_bidirectional_stack();
                let encoder = Stack::new(spec, parameters, read(both), tables)?;
                (Some(encoder), Stack::new(spec, parameters, beside(Across::Cross), tables)?)
            }
            Architecture::MergedEncoderDecoder => {
                let encoder = Stack::new(spec, parameters, read(true), tables)?;
                (Some(encoder), Stack::new(spec, parameters, beside(Across::Merged), tables)?)
            }
            Architecture::SharedEncoderDecoder => {
                let decoder = Stack::new(spec, parameters, beside(Across::Cross), tables)?;
                (Some(Stack::sharing(&decoder, spec, parameters, read(true), tables)?), decoder)
            }
        };
        let (head, scale) = if spec.tied_embeddings {
            (embedding.clone(), deviations.weight)
        } else {
            let shape = [spec.vocab_size, spec.d_model];
            (parameters.normal("head.weight", &shape, deviations.weight)?, 1.0)
        };
        Ok((Self { embedding, places, blanks, encoder, decoder, head, scale }, own))
    }

    pub(super) fn embed(&self, side: &SideInput, pass: Pass<'_>) -> Result<Value> {
        self.embed_at(&side.tokens, &side.positions, side.block_positions.as_ref(), pass)
    }

    /// The embeddings `[B, T, D]` of `tokens [B, T]` at their places.
    ///
    /// # Errors
    /// A token or place is out of range, or the device fails.
    pub(super) fn embed_at(
        &self,
        tokens: &Tensor,
        positions: &Tensor,
        block_positions: Option<&Tensor>,
        pass: Pass<'_>,
    ) -> Result<Value> {
        let (batch, length) = tokens.dims2()?;
        let shape = [batch, length, self.embedding.tensor().dim(1)?];
        let rows = |table: &Weight, ids: &Tensor| embed(pass.tape, table, &ids.flatten_all()?)?.reshape(&shape);
        let mut x = rows(&self.embedding, tokens)?; // [B, T, D]
        if let Some(places) = &self.places {
            x = sum(&x, &rows(places, positions)?)?;
        }
        if block_positions.is_some() && self.blanks.is_none() {
            candle_core::bail!("a model without places inside blanks cannot read blanks");
        }
        if let Some(blanks) = &self.blanks {
            // Texts without blanks stand at place 0 throughout.
            let ids = block_positions.map_or_else(|| positions.zeros_like(), |places| Ok(places.clone()))?;
            x = sum(&x, &rows(blanks, &ids)?)?;
        }
        pass.dropping.map_or_else(|| Ok(x.clone()), |dropping| dropping.drop(&x))
    }

    /// Decoder states before the output projection, `[B, T, D]`.
    ///
    /// # Errors
    /// The input has an encoder side and the model none or the reverse, a token or position is out of range, or the
    /// device fails.
    pub fn states(&self, input: &ModelInput, pass: Pass<'_>) -> Result<Value> {
        self.run(input, pass, None)
    }

    /// The same states, with the attention matrices and residual streams on the way to them.
    ///
    /// # Errors
    /// As [`LanguageModel::states`].
    pub fn observe(&self, input: &ModelInput) -> Result<(Value, Capture)> {
        let mut capture = Capture::default();
        let states = self.run(input, Pass::default(), Some(&mut capture))?;
        Ok((states, capture))
    }

    fn run(&self, input: &ModelInput, pass: Pass<'_>, watch: Option<&mut Capture>) -> Result<Value> {
        let (watch_encoder, watch_decoder) = watch.map(|watch| (&mut watch.encoder, &mut watch.decoder)).unzip();
        let memory = match (&self.encoder, &input.encoder) {
            (None, None) => None,
            (Some(stack), Some((side, cross_mask))) => {
                let states = stack.forward(self.embed(side, pass)?, side, None, pass.dropping, watch_encoder)?;
                Some((states, cross_mask.as_ref()))
            }
            (Some(_), None) => candle_core::bail!("an encoder-decoder needs encoder tokens"),
            (None, Some(_)) => candle_core::bail!("a decoder has no encoder to read encoder tokens"),
        };
        let memory = memory.as_ref().map(|(states, mask)| Memory { states, mask: *mask });
        let embedded = self.embed(&input.decoder, pass)?;
        let states = self.decoder.forward(embedded, &input.decoder, memory, pass.dropping, watch_decoder)?;
        scaled(&states, self.scale)
    }

    /// Σ weight · (negative log-likelihood + `z_loss` · ln²Z) of `targets` under the logits of `states [N, D]`, nats, with and
    /// without its second part.
    ///
    /// # Errors
    /// A target is outside the vocabulary, shapes do not fit, or the device fails.
    pub fn loss(&self, states: &Value, targets: &[Target], z_loss: f64) -> Result<ProjectedLoss> {
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
        Ok(self.project(&self.states(input, Pass::default())?)?.tensor().clone())
    }
}
