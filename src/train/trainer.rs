//! One optimizer step and one forward-only scoring, on batches from anywhere: studies, validation and the benchmark
//! all go through here.

use candle_core::{DType, Device as TensorDevice};

use super::TrainError;
use crate::core::{Device, RunSpec};
use crate::kernel::crew::Part;
use crate::kernel::cross_entropy::{Likelihood, Target};
use crate::kernel::threads::{map, with_threads};
use crate::kernel::{Reading, Tape, Value, Weight};
use crate::model::{Capture, Decoding, Dropping, LanguageModel, ModelInput, Numbers, Parameters, Pass};
use crate::objective::{Batch, Side};
use crate::optim::{AdamW, clip, learning_rate, norm};

/// A model with its optimizer.
#[derive(Debug)]
pub struct Trainer {
    spec: RunSpec,
    device: TensorDevice,
    model: LanguageModel,
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

/// A step that was made, perhaps not yet seen.
#[derive(Clone, Debug)]
pub struct StepMade {
    loss: Reading,
    grad_norm: Reading,
    learning_rate: f64,
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
        Self::of_format(spec, DType::F32)
    }

    /// The same in f64, through the plain references that devices run: slow, and what the fused operations are compared with.
    ///
    /// # Errors
    /// The device is missing or fails.
    pub fn reference(spec: &RunSpec) -> Result<Self, TrainError> {
        Self::of_format(spec, DType::F64)
    }

    fn of_format(spec: &RunSpec, format: DType) -> Result<Self, TrainError> {
        let device = tensor_device(spec.execution.device)?;
        let numbers = Numbers { format, precision: spec.training.precision, device: device.clone() };
        let (model, parameters) = LanguageModel::new(&spec.model, spec.training.seq_len, &numbers)?;
        parameters.draw(spec.seed, spec.execution.threads)?;
        let optimizer = AdamW::new(spec.optimizer.clone(), parameters.iter(), spec.execution.threads)?;
        Ok(Self { spec: spec.clone(), device, model, parameters, optimizer })
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

    /// One optimizer step over the micro-batches of one batch, looked at; see [`Trainer::advance`].
    ///
    /// # Errors
    /// As for [`Trainer::advance`].
    pub fn step(&mut self, micro_batches: &[Batch]) -> Result<StepReport, TrainError> {
        let made = self.advance(micro_batches)?;
        self.look(&made)
    }

    /// One optimizer step over the micro-batches of one batch: every target weighs the same, whichever micro-batch it
    /// is in. A device is not waited for.
    ///
    /// # Errors
    /// `Diverged` if the loss or gradient is not finite or the loss runs away (the weights are left as they were; on a device
    /// [`Trainer::look`] finds out later); a parameter has no gradient; the device fails.
    pub fn advance(&mut self, micro_batches: &[Batch]) -> Result<StepMade, TrainError> {
        let total_weight: f64 = micro_batches.iter().map(Batch::weight).sum();
        if total_weight <= 0.0 {
            return Err(TrainError::Spec("a batch carries no loss".to_owned()));
        }
        let (parameters, threads) = (&self.parameters, self.threads());
        parameters.weights().for_each(Weight::forget_gradient);
        let (mut losses, mut rows) = (Vec::new(), 0);
        for batch in micro_batches {
            let slope = |part, (row, batch): (usize, Batch)| self.slope(part, (rows + row, &batch), total_weight);
            losses.extend(self.share(batch, slope)?);
            rows += batch.rows;
        }
        let (loss, grad_norm) = (Reading::sum(losses)?, norm(parameters.iter(), threads)?);
        if let (Reading::Known(loss), Reading::Known(grad_norm)) = (&loss, &grad_norm) {
            self.check_finite(*loss, *grad_norm)?;
        }
        let step = self.optimizer.step() + 1;
        let learning_rate = learning_rate(&self.spec.optimizer, step, self.spec.training.steps);
        let clip = clip(&grad_norm, self.spec.optimizer.grad_clip_norm)?;
        self.optimizer.update(parameters.iter(), &clip, learning_rate, threads)?;
        Ok(StepMade { loss, grad_norm, learning_rate })
    }

    /// What a step saw; a device is waited for.
    ///
    /// # Errors
    /// `Diverged` as for [`Trainer::advance`], or the device fails.
    pub fn look(&self, made: &StepMade) -> Result<StepReport, TrainError> {
        let (loss, grad_norm) = (made.loss.read()?, made.grad_norm.read()?);
        self.check_finite(loss, grad_norm)?;
        Ok(StepReport { loss, grad_norm, learning_rate: made.learning_rate })
    }

    /// Does `work` on the parts of a batch, each with the number of its first row and on its own thread; threads that are left
    /// over share the parts' products.
    fn share<R: Send>(
        &self,
        batch: &Batch,
        work: impl Fn(Part, (usize, Batch)) -> Result<R, TrainError> + Sync,
    ) -> Result<Vec<R>, TrainError> {
        let parts = batch.split(self.threads());
        let own = self.threads() / parts.len().max(1);
        let shares = Part::crew(parts.len()).into_iter().zip(parts).collect();
        map(shares, |(part, batch): (Part, (usize, Batch))| with_threads(own, || work(part, batch)))
    }

    /// Loss of a part of a batch as its share of a step of `total_weight`, without z-loss; the slopes of both are added to the
    /// gradients. Its first row has a number in the step.
    fn slope(&self, part: Part, (row, batch): (usize, &Batch), total_weight: f64) -> Result<Reading, TrainError> {
        let tape = Tape::new(part);
        let rate = self.spec.training.dropout;
        let dropping = (rate > 0.0).then(|| Dropping::new(rate, self.spec.seed, self.optimizer.step(), row as u64));
        let pass = Pass { tape: Some(&tape), dropping: dropping.as_ref() };
        let (states, mut targets) = self.predictions(batch, pass)?;
        #[expect(clippy::cast_possible_truncation, reason = "f32 is meant")]
        targets.iter_mut().for_each(|target| target.weight = (f64::from(target.weight) / total_weight) as f32);
        let loss = self.model.loss(&states, &targets, self.spec.training.z_loss)?;
        drop(states);
        tape.backward(&loss.total, self.parameters.weights())?;
        Ok(Reading::of(&loss.nll)?)
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

    /// States `[B·T, D]` and the targets that carry loss, row by row: only their states are projected to the vocabulary.
    fn predictions(&self, batch: &Batch, pass: Pass<'_>) -> Result<(Value, Vec<Target>), TrainError> {
        let states = self.model.states(&ModelInput::new(batch, &self.spec.model, &self.device)?, pass)?; // [B, T, D]
        let width = states.dims().last().copied().unwrap_or(0);
        let pairs = (0..).zip(batch.targets.iter().zip(&batch.loss_weights));
        let target = |(row, (token, weight)): (u32, (&u32, &f32))| Target { row, token: *token, weight: *weight };
        let targets: Vec<_> = pairs.map(target).filter(|target| target.weight != 0.0).collect();
        if targets.is_empty() {
            return Err(TrainError::Spec("a batch carries no loss".to_owned()));
        }
        Ok((states.reshape(&[batch.targets.len(), width])?, targets))
    }

    /// Negative log-likelihood summed over the weighted targets of a batch, nats, without a record.
    ///
    /// # Errors
    /// The device fails.
    pub fn score(&self, batch: &Batch) -> Result<f64, TrainError> {
        let value = |_: Part, (_, part): (usize, Batch)| -> Result<f64, TrainError> {
            let (states, targets) = self.predictions(&part, Pass::default())?;
            Ok(Reading::of(&self.model.loss(&states, &targets, 0.0)?.nll)?.read()?)
        };
        Ok(self.share(batch, value)?.into_iter().sum())
    }

    /// What the model looks through while it reads a batch, without a record.
    ///
    /// # Errors
    /// The device fails.
    pub fn observe(&self, batch: &Batch) -> Result<Capture, TrainError> {
        Ok(self.model.observe(&ModelInput::new(batch, &self.spec.model, &self.device)?)?.1)
    }

    /// How likely each weighted target of a batch is, row by row, without a record; then how likely each of `others` is:
    /// a token in the place of the weighted target of that number, counted from 0 over the batch.
    ///
    /// # Errors
    /// A number is out of range, or the device fails.
    pub fn token_scores(&self, batch: &Batch, others: &[(u32, u32)]) -> Result<Vec<TokenScore>, TrainError> {
        let (states, targets) = self.predictions(batch, Pass::default())?;
        let row = |number: u32| {
            let target = targets.get(number as usize);
            target.map(|target| target.row).ok_or_else(|| TrainError::Spec(format!("there is no target {number}")))
        };
        let own = targets.iter().map(|target| Ok((target.row, target.token)));
        let others = others.iter().map(|(number, token)| Ok((row(*number)?, *token)));
        let asked = own.chain(others).collect::<Result<Vec<_>, TrainError>>()?;
        let score = |found: &Likelihood| TokenScore { log_likelihood: -f64::from(found.nll), greedy: found.greedy };
        Ok(self.model.likelihoods(&states, &asked)?.iter().map(score).collect())
    }

    /// Begins a text of at most `length` decoder tokens, whose encoder side is `encoder`.
    ///
    /// # Errors
    /// The model has an encoder and there is no such side or the reverse, or the device fails.
    pub fn begin(&self, encoder: Option<&Side>, length: usize) -> Result<Decoding<'_>, TrainError> {
        Ok(self.model.begin(&self.spec.model, encoder, length, &self.device)?)
    }

    /// Logits at the last position of the first row, `[V]`.
    ///
    /// # Errors
    /// The device fails.
    pub fn last_logits(&self, batch: &Batch) -> Result<Vec<f32>, TrainError> {
        let input = ModelInput::new(batch, &self.spec.model, &self.device)?;
        self.last_of(&self.model.states(&input, Pass::default())?)
    }

    /// Logits of the last of `states [B, T, D]` of the first row, `[V]`.
    ///
    /// # Errors
    /// The device fails.
    pub fn last_of(&self, states: &Value) -> Result<Vec<f32>, TrainError> {
        let (_, length, _) = states.tensor().dims3()?;
        let last = states.tensor().get(0)?.narrow(0, length.saturating_sub(1), 1)?; // [1, D]
        let logits = self.model.project(&Value::constant(&last))?;
        Ok(logits.tensor().flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?)
    }
}
