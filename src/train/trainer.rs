//! One optimizer step and one forward-only scoring, on batches from anywhere: studies, validation and the benchmark
//! all go through here.

use candle_core::{DType, Device as TensorDevice, Tensor};

use super::TrainError;
use crate::core::{Device, RunSpec};
use crate::kernel::cross_entropy::{Likelihood, Target};
use crate::kernel::threads::map;
use crate::model::{Capture, LanguageModel, ModelInput, Parameters};
use crate::objective::Batch;
use crate::optim::{AdamW, Gradients, learning_rate};

/// A model with its optimizer.
#[derive(Debug)]
pub struct Trainer {
    spec: RunSpec,
    device: TensorDevice,
    model: LanguageModel,
    scorer: LanguageModel,
    parameters: Parameters,
    optimizer: AdamW,
}

/// What an optimizer step saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Mean negative log-likelihood over the step's weighted targets, nats.
    pub loss: f64,
    /// Global gradient norm before clipping.
    pub grad_norm: f64,
    /// Learning rate used.
    pub learning_rate: f64,
}

/// How a model rates one given token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenScore {
    /// Nats.
    pub log_likelihood: f64,
    /// Whether no token is likelier.
    pub greedy: bool,
}

/// The tensor device of a spec.
///
/// # Errors
/// The build or the machine does not have it.
pub fn tensor_device(device: Device) -> Result<TensorDevice, TrainError> {
    let missing = |device, feature: &str, error: candle_core::Error| TrainError::Device {
        device,
        cure: format!(
            "build with `--features {feature}` on a machine that has one, or set execution.device = \"cpu\" ({error})"
        ),
    };
    match device {
        Device::Cpu => Ok(TensorDevice::Cpu),
        Device::Cuda => TensorDevice::new_cuda(0).map_err(|error| missing("cuda", "cuda", error)),
        Device::Metal => TensorDevice::new_metal(0).map_err(|error| missing("metal", "metal", error)),
    }
}

impl Trainer {
    /// A freshly initialised model and optimizer.
    ///
    /// # Errors
    /// The device is missing or fails.
    pub fn new(spec: &RunSpec) -> Result<Self, TrainError> {
        let device = tensor_device(spec.execution.device)?;
        let (model, parameters) = LanguageModel::new(&spec.model, spec.training.seq_len, spec.seed, &device)?;
        let optimizer = AdamW::new(spec.optimizer.clone(), parameters.iter())?;
        let scorer = model.detach();
        Ok(Self { spec: spec.clone(), device, model, scorer, parameters, optimizer })
    }

    /// Optimizer steps made so far.
    #[must_use]
    pub const fn step_count(&self) -> u64 {
        self.optimizer.step()
    }

    /// What it trains.
    #[must_use]
    pub const fn spec(&self) -> &RunSpec {
        &self.spec
    }

    /// The parameters.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The optimizer.
    #[must_use]
    pub const fn optimizer(&self) -> &AdamW {
        &self.optimizer
    }

    /// Both, to restore a checkpoint.
    pub const fn state_mut(&mut self) -> (&Parameters, &mut AdamW) {
        (&self.parameters, &mut self.optimizer)
    }

    /// One optimizer step over the micro-batches of one batch: every target weighs the same, whichever micro-batch it
    /// is in.
    ///
    /// # Errors
    /// `Diverged` if the loss or gradient is not finite or the loss runs away (the weights are left as they were);
    /// a parameter has no gradient; the device fails.
    pub fn step(&mut self, micro_batches: &[Batch]) -> Result<StepReport, TrainError> {
        let total_weight: f64 = micro_batches.iter().map(Batch::weight).sum();
        let mut loss = 0.0;
        let mut sum: Option<Gradients> = None;
        for batch in micro_batches {
            let parts = map(batch.split(self.threads()), |part| self.slope(&part, total_weight))?;
            for (part_loss, gradients) in parts {
                loss += part_loss;
                sum = Some(match sum {
                    None => gradients,
                    Some(sum) => sum.accumulate(&gradients)?,
                });
            }
        }
        let gradients = sum.ok_or_else(|| TrainError::Spec("a batch carries no loss".to_owned()))?;
        let grad_norm = gradients.norm()?;
        self.check_finite(loss, grad_norm)?;
        let step = self.optimizer.step() + 1;
        let learning_rate = learning_rate(&self.spec.optimizer, step, self.spec.training.steps);
        let clipped = gradients.clip(grad_norm, self.spec.optimizer.grad_clip_norm)?;
        self.optimizer.update(self.parameters.iter(), &clipped, learning_rate, self.spec.execution.threads)?;
        Ok(StepReport { loss, grad_norm, learning_rate })
    }

    /// Loss and gradient of a batch as its share of a step of `total_weight`.
    fn slope(&self, batch: &Batch, total_weight: f64) -> Result<(f64, Gradients), TrainError> {
        let loss = (self.summed_loss(&self.model, batch)? * (1.0 / total_weight))?;
        let gradients = Gradients::collect(&mut loss.backward()?, self.parameters.iter())?;
        Ok((f64::from(loss.to_dtype(DType::F32)?.to_scalar::<f32>()?), gradients))
    }

    /// Threads that share a batch: a GPU takes it whole.
    pub(super) const fn threads(&self) -> usize {
        match self.spec.execution.device {
            Device::Cpu => self.spec.execution.threads,
            Device::Cuda | Device::Metal => 1,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "vocabularies are far below 2^52")]
    fn check_finite(&self, loss: f64, grad_norm: f64) -> Result<(), TrainError> {
        let limit = self.spec.training.divergence_factor * (self.spec.model.vocab_size as f64).ln();
        if !loss.is_finite() {
            Err(TrainError::Diverged(format!("loss is {loss}")))
        } else if !grad_norm.is_finite() {
            Err(TrainError::Diverged(format!("gradient norm is {grad_norm}")))
        } else if limit > 0.0 && loss > limit {
            let factor = self.spec.training.divergence_factor;
            Err(TrainError::Diverged(format!("loss {loss:.3} is above {factor} x ln(vocab_size) = {limit:.3}")))
        } else {
            Ok(())
        }
    }

    /// Weighted sum of negative log-likelihoods over a batch, nats; a scalar.
    fn summed_loss(&self, model: &LanguageModel, batch: &Batch) -> Result<Tensor, TrainError> {
        let (states, targets) = self.predictions(model, batch)?;
        Ok(model.loss(&states, targets)?)
    }

    /// States `[N, D]` and targets of the N positions that carry loss, row by row: only they are projected to the vocabulary.
    fn predictions(&self, model: &LanguageModel, batch: &Batch) -> Result<(Tensor, Vec<Target>), TrainError> {
        let states = model.states(&ModelInput::new(batch, &self.device)?)?; // [B, T, D]
        let flat = states.flatten(0, 1)?; // [B·T, D]
        let (mut places, mut targets) = (Vec::new(), Vec::new());
        for (place, (token, weight)) in batch.targets.iter().zip(&batch.loss_weights).enumerate() {
            if *weight != 0.0 {
                places.push(
                    u32::try_from(place)
                        .map_err(|_| TrainError::Spec("batch of more than 2^32 positions".to_owned()))?,
                );
                targets.push(Target { token: *token, weight: *weight });
            }
        }
        if places.is_empty() {
            return Err(TrainError::Spec("a batch carries no loss".to_owned()));
        }
        let count = places.len();
        let chosen = if count == batch.targets.len() {
            flat
        } else {
            flat.index_select(&Tensor::from_vec(places, count, &self.device)?, 0)? // [N, D]
        };
        Ok((chosen, targets))
    }

    /// Negative log-likelihood summed over the weighted targets of a batch, nats, without a graph.
    ///
    /// # Errors
    /// The device fails.
    pub fn score(&self, batch: &Batch) -> Result<f64, TrainError> {
        let value = |part: Batch| -> Result<f64, TrainError> {
            Ok(f64::from(self.summed_loss(&self.scorer, &part)?.to_dtype(DType::F32)?.to_scalar::<f32>()?))
        };
        Ok(map(batch.split(self.threads()), value)?.into_iter().sum())
    }

    /// What the model looks through while it reads a batch, without a graph.
    ///
    /// # Errors
    /// The device fails.
    pub fn observe(&self, batch: &Batch) -> Result<Capture, TrainError> {
        Ok(self.scorer.observe(&ModelInput::new(batch, &self.device)?)?.1)
    }

    /// How likely each weighted target of a batch is, row by row, without a graph; then how likely each of `others` is:
    /// a token in the place of the weighted target of that number, counted from 0 over the batch.
    ///
    /// # Errors
    /// A number is out of range, or the device fails.
    pub fn token_scores(&self, batch: &Batch, others: &[(u32, u32)]) -> Result<Vec<TokenScore>, TrainError> {
        let (states, targets) = self.predictions(&self.scorer, batch)?; // [N, D]
        let own = (0..).zip(targets.iter().map(|target| target.token));
        let asked: Vec<_> = own.chain(others.iter().copied()).collect();
        let score = |found: &Likelihood| TokenScore { log_likelihood: -f64::from(found.nll), greedy: found.greedy };
        Ok(self.scorer.likelihoods(&states, &asked)?.iter().map(score).collect())
    }

    /// Logits at the last decoder position of the first row, `[V]`.
    ///
    /// # Errors
    /// The device fails.
    pub fn last_logits(&self, batch: &Batch) -> Result<Vec<f32>, TrainError> {
        let states = self.scorer.states(&ModelInput::new(batch, &self.device)?)?; // [1, T, D]
        let last = states.get(0)?.narrow(0, batch.decoder.length.saturating_sub(1), 1)?; // [1, D]
        Ok(self.scorer.project(&last)?.flatten_all()?.to_vec1::<f32>()?)
    }
}
