//! A whole run: restore, then step, log, validate, measure ranks, ask tasks, sample, save, until the budget is spent or
//! someone asks to leave.

use std::path::Path;

use super::checkpoint::{self, State, Wanted};
use super::examples::{Examples, ValidationTotals};
use super::inference::inference;
use super::rank_probe::RankProbe;
use super::sample::sample;
use super::zero_shot::{Answers, ZeroShotProbe};
use super::{StepMade, StepReport, TrainError, Trainer, Yardstick};
use crate::core::cost::step_tokens;
use crate::core::task::TaskRecord;
use crate::core::{Control, ControlSource, EventSink, Metric, Metrics, ParentSpec, RunEvent, RunSpec};
use crate::corpus::Corpus;
use crate::eval::TaskReport;
use crate::objective::Batch;

/// Seconds without another event after which a heartbeat is sent.
const HEARTBEAT_S: f64 = 5.0;

/// What the loop needs from outside.
pub struct Surroundings<'a> {
    /// Where events go.
    pub sink: &'a mut dyn EventSink,
    /// What is wished.
    pub control: &'a mut dyn ControlSource,
    /// Where the answers of the last zero-shot probe go.
    pub answers: Answers<'a>,
    /// Folder of the checkpoints of the run it goes on from.
    pub parent: Option<&'a Path>,
    /// Seconds on a clock that never goes back.
    pub clock: &'a dyn Fn() -> f64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are made.
    Finished,
    /// Paused; its checkpoint exists.
    Paused,
    /// Stopped; its checkpoint exists.
    Stopped,
    /// Left because the machine asked; its checkpoint exists.
    Yielded,
    /// The loss or gradient was not finite, or the loss ran away.
    Diverged,
}

struct Run<'a, 'b> {
    spec: &'a RunSpec,
    corpus: &'a Corpus,
    checkpoints: &'a Path,
    outside: Surroundings<'b>,
    trainer: Trainer,
    examples: Examples<'a>,
    validation: Vec<Batch>,
    totals: ValidationTotals,
    rank: Option<RankProbe>,
    yardstick: Yardstick,
    zero_shot: Option<ZeroShotProbe>,
    /// Training seconds of this process.
    trained: f64,
    /// Tokens and seconds since a step was logged.
    unlogged: (u64, f64),
    state: State,
    saved: Option<u64>,
    /// A step whose checkpoint is made again, though the run has been further.
    again: Option<u64>,
    spoke: f64,
}

/// Trains `spec` on `corpus` from its newest checkpoint in `checkpoints` to its end.
///
/// # Errors
/// The spec does not fit the corpus or the build, the disk fails, an event cannot be recorded, or the checkpoint that it begins
/// with is lost ([`TrainError::Parent`]). A checkpoint of its own that is damaged is no error: the one before it gives the same.
/// A divergence is an outcome and not an error.
pub fn train(
    spec: &RunSpec,
    corpus: &Corpus,
    checkpoints: &Path,
    outside: Surroundings<'_>,
) -> Result<Outcome, TrainError> {
    let mut trainer = Trainer::new(spec)?;
    let examples = Examples::new(spec, corpus)?;
    checkpoint::sweep(checkpoints)?;
    let mut warnings = examples.notices();
    let kept = [spec.probes.keep_steps.as_slice(), outside.control.kept_steps()].concat();
    let again = checkpoint::missing(checkpoints, &kept, spec.training.steps)?.last().copied();
    let wanted = Wanted { beyond: None, kept: &kept };
    let restored = checkpoint::restore(checkpoints, &mut trainer, wanted, &mut |warning| warnings.push(warning))?;
    let validation = examples.validation()?;
    let totals = Examples::totals(&validation);
    let rank = rank_probe(spec, corpus, &mut warnings)?;
    let yardstick = Yardstick::new(spec, corpus)?;
    let zero_shot = ZeroShotProbe::new(spec, &mut |warning| warnings.push(warning)).unwrap_or_else(|reason| {
        warnings.push(format!("zero-shot tasks are not asked: {reason}"));
        None
    });
    if restored.is_none()
        && let Some(parent) = &spec.parent
    {
        begin_from(parent, outside.parent, &trainer)?;
    }
    let saved = restored.as_ref().map(|state| state.step);
    let state = restored.unwrap_or_else(|| State::start(spec));
    let spoke = (outside.clock)();
    let mut run = Run {
        spec,
        corpus,
        checkpoints,
        outside,
        trainer,
        examples,
        validation: validation.batches,
        totals,
        rank,
        yardstick,
        zero_shot,
        trained: 0.0,
        unlogged: (0, 0.0),
        state,
        saved,
        again,
        spoke,
    };
    for message in warnings {
        run.tell(RunEvent::Warned { message })?;
    }
    if saved.is_some() {
        let step = run.state.step;
        run.tell(RunEvent::Resumed { step })?;
    }
    run.go()
}

/// Gives `trainer` the weights that another run has come to, whose checkpoints are in `folder`. One that is damaged is set aside,
/// so that the lab sees that it is gone.
fn begin_from(parent: &ParentSpec, folder: Option<&Path>, trainer: &Trainer) -> Result<(), TrainError> {
    let run = &parent.run;
    let folder =
        folder.ok_or_else(|| TrainError::Spec(format!("it goes on from run {run}, whose folder is not known")))?;
    checkpoint::inherit(folder, parent, trainer).map_err(|error| {
        let TrainError::Damaged { .. } = &error else { return error };
        let reason = match checkpoint::set_aside_of(folder, parent.step) {
            Ok(Some(name)) => format!("{error}; it is set aside as {name}"),
            Ok(None) => {
                format!("checkpoint {} of run {run} is gone", folder.join(checkpoint::name(parent.step)).display())
            }
            Err(other) => format!("{error}; it could not be set aside: {other}"),
        };
        TrainError::Parent { run: run.clone(), reason }
    })
}

/// The rank probe, if one is asked for. A text that is too short for it must not end a run that can train.
fn rank_probe(spec: &RunSpec, corpus: &Corpus, warnings: &mut Vec<String>) -> Result<Option<RankProbe>, TrainError> {
    if spec.probes.rank_every == 0 {
        return Ok(None);
    }
    match RankProbe::new(spec, corpus) {
        Ok(probe) => Ok(Some(probe)),
        Err(TrainError::Order(error)) => {
            warnings.push(format!("attention rank is not measured: could not {error}, or set probes.rank_every = 0"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A heartbeat, if nothing else was said for a while.
fn show_life(outside: &mut Surroundings<'_>, spoke: &mut f64, step: u64) -> Result<(), TrainError> {
    if (outside.clock)() - *spoke > HEARTBEAT_S {
        *spoke = (outside.clock)();
        outside.sink.record(RunEvent::Heartbeat { step })?;
    }
    Ok(())
}

impl Run<'_, '_> {
    fn tell(&mut self, event: RunEvent) -> Result<(), TrainError> {
        self.spoke = (self.outside.clock)();
        Ok(self.outside.sink.record(event)?)
    }

    fn go(&mut self) -> Result<Outcome, TrainError> {
        while self.state.step < self.spec.training.steps {
            match self.outside.control.control() {
                Control::Run => {}
                Control::Pause => return self.leave(Outcome::Paused),
                Control::Stop => return self.leave(Outcome::Stopped),
                Control::Yield => return self.leave(Outcome::Yielded),
            }
            let began = (self.outside.clock)();
            let micro_batches = self.examples.step(self.state.cursor)?;
            let made = match self.trainer.advance(&micro_batches).and_then(|made| self.seen(made)) {
                Ok(made) => made,
                Err(TrainError::Diverged(reason)) => {
                    let step = self.state.step + 1;
                    self.tell(RunEvent::Diverged { step, reason })?;
                    return Ok(Outcome::Diverged);
                }
                Err(error) => return Err(error),
            };
            self.advance(made.as_ref(), (self.outside.clock)() - began)?;
            self.probe()?;
        }
        self.leave(Outcome::Finished)
    }

    /// What a step that has just been made saw, if it is logged: only then is a device waited for.
    fn seen(&self, made: StepMade) -> Result<Option<StepReport>, TrainError> {
        let step = self.state.step + 1;
        let logged = step == self.spec.training.steps || due(step, self.spec.probes.log_every);
        logged.then(|| self.trainer.look(&made)).transpose()
    }

    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    fn advance(&mut self, report: Option<&StepReport>, seconds: f64) -> Result<(), TrainError> {
        let tokens = step_tokens(self.spec);
        self.state.step += 1;
        self.state.cursor += self.spec.training.batch_size as u64;
        self.state.tokens += tokens;
        self.state.elapsed_s += seconds;
        self.trained += seconds;
        self.unlogged = (self.unlogged.0 + tokens, self.unlogged.1 + seconds);
        if let Some(report) = report {
            let (unlogged_tokens, unlogged_seconds) = std::mem::take(&mut self.unlogged);
            let metrics = Metrics::from([
                (Metric::Loss, report.loss),
                (Metric::GradNorm, report.grad_norm),
                (Metric::LearningRate, report.learning_rate),
                (Metric::TokensPerSecond, unlogged_tokens as f64 / unlogged_seconds.max(1e-9)),
            ]);
            let (step, tokens, elapsed_s) = (self.state.step, self.state.tokens, self.state.elapsed_s);
            self.tell(RunEvent::StepLogged { step, tokens, elapsed_s, metrics })?;
        }
        Ok(())
    }

    /// Validation, ranks, tasks, sample and checkpoint, in this order, so that nothing is missing before a checkpoint.
    fn probe(&mut self) -> Result<(), TrainError> {
        let step = self.state.step;
        let last = step == self.spec.training.steps;
        if last || due(step, self.spec.probes.validation_every) {
            self.validate()?;
        }
        if last || due(step, self.spec.probes.rank_every) {
            self.measure_rank()?;
        }
        if last || self.zero_shot.as_ref().is_some_and(|probe| probe.is_due(step, self.trained)) {
            self.ask_tasks(last)?;
        }
        if last {
            self.time_inference()?;
        }
        if self.spec.probes.sample_every > 0 && (last || due(step, self.spec.probes.sample_every)) {
            let (prompt, text) = sample(&self.trainer, self.corpus, self.spec.probes.sample_tokens)?;
            self.tell(RunEvent::SampleGenerated { step, prompt, text })?;
        }
        if last || due(step, self.spec.probes.checkpoint_every) || self.kept_steps().contains(&step) {
            self.save()?;
            self.leap()?;
        }
        Ok(())
    }

    /// Steps whose checkpoints stay.
    fn kept_steps(&self) -> Vec<u64> {
        [self.spec.probes.keep_steps.as_slice(), self.outside.control.kept_steps()].concat()
    }

    fn validate(&mut self) -> Result<(), TrainError> {
        let (step, began) = (self.state.step, (self.outside.clock)());
        let mut summed = 0.0;
        for place in 0..self.validation.len() {
            if let Some(batch) = self.validation.get(place) {
                summed += self.trainer.score(batch)?;
            }
            show_life(&mut self.outside, &mut self.spoke, step)?;
        }
        let mut metrics = self.totals.metrics(summed);
        metrics.extend(self.yardstick.measure(&self.trainer, self.corpus)?);
        if metrics.values().any(|value| !value.is_finite()) {
            return self
                .tell(RunEvent::Warned { message: format!("validation at step {step} is not finite: {metrics:?}") });
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of targets")]
        let targets = self.totals.weight as u64;
        let seconds = (self.outside.clock)() - began;
        self.tell(RunEvent::Validated { step, metrics, targets, seconds })
    }

    fn measure_rank(&mut self) -> Result<(), TrainError> {
        let (step, began) = (self.state.step, (self.outside.clock)());
        let Self { rank: Some(probe), trainer, outside, spoke, .. } = self else { return Ok(()) };
        let measured = probe.measure(trainer, &mut || show_life(outside, spoke, step));
        let seconds = (self.outside.clock)() - began;
        match measured {
            Ok(report) => {
                let metrics = report.metrics();
                self.tell(RunEvent::RankMeasured { step, report, metrics, seconds })
            }
            Err(TrainError::Rank(error)) => {
                self.tell(RunEvent::Warned { message: format!("rank at step {step} is not measured: {error}") })
            }
            Err(error) => Err(error),
        }
    }

    fn ask_tasks(&mut self, end: bool) -> Result<(), TrainError> {
        let (step, began) = (self.state.step, (self.outside.clock)());
        let Self { zero_shot: Some(probe), trainer, corpus, outside, spoke, .. } = self else { return Ok(()) };
        let Surroundings { sink, answers, clock, .. } = outside;
        let mut receive = |report: &TaskReport, record: TaskRecord| {
            if end {
                answers(step, report, record.form)?;
            }
            *spoke = clock();
            Ok(sink.record(RunEvent::TaskScored(record))?)
        };
        let totals = probe.measure(trainer, corpus, end, *clock, &mut receive)?;
        let seconds = (self.outside.clock)() - began;
        if let Some(probe) = &mut self.zero_shot
            && !end
        {
            probe.charge(seconds);
        }
        for message in totals.notices {
            self.tell(RunEvent::Warned { message })?;
        }
        self.tell(RunEvent::ZeroShotMeasured { step, metrics: totals.metrics, items: totals.items, seconds })
    }

    fn time_inference(&mut self) -> Result<(), TrainError> {
        let (step, began, clock) = (self.state.step, (self.outside.clock)(), self.outside.clock);
        let length = self.corpus.validation().len().min(self.spec.training.seq_len as u64);
        let prompt = self.corpus.validation().window(0, usize::try_from(length).unwrap_or(usize::MAX))?;
        let metrics = inference(&self.trainer, self.corpus.vocabulary(), &prompt, clock)?;
        if metrics.is_empty() {
            return Ok(());
        }
        self.tell(RunEvent::InferenceMeasured { step, metrics, seconds: (self.outside.clock)() - began })
    }

    fn save(&mut self) -> Result<(), TrainError> {
        if self.saved == Some(self.state.step) {
            return Ok(());
        }
        let began = (self.outside.clock)();
        let kept = self.kept_steps();
        let kept = (self.spec.probes.keep_checkpoints, kept.as_slice());
        let bytes = loop {
            match checkpoint::save(self.checkpoints, &self.state, &self.trainer, kept) {
                Err(error) if let Some(short) = error.shortage() => {
                    if !self.outside.sink.wait_for_machine(&short.sentence(&format!("write the {error}"))) {
                        return Err(error);
                    }
                }
                saved => break saved?,
            }
        };
        self.saved = Some(self.state.step);
        let (step, seconds) = (self.state.step, (self.outside.clock)() - began);
        self.tell(RunEvent::CheckpointSaved { step, bytes, seconds })
    }

    /// On to the newest checkpoint, if what had to be made again is made: all that lies between was trained before.
    fn leap(&mut self) -> Result<(), TrainError> {
        if self.again.is_none_or(|again| self.saved.is_none_or(|saved| saved < again)) {
            return Ok(());
        }
        self.again = None;
        let kept = self.kept_steps();
        let wanted = Wanted { beyond: Some(self.state.step), kept: &kept };
        let mut warnings = Vec::new();
        let restored =
            checkpoint::restore(self.checkpoints, &mut self.trainer, wanted, &mut |warning| warnings.push(warning))?;
        for message in warnings {
            self.tell(RunEvent::Warned { message })?;
        }
        if let Some(state) = restored {
            let step = state.step;
            (self.state, self.saved, self.unlogged) = (state, Some(step), (0, 0.0));
            checkpoint::prune(self.checkpoints, step, (self.spec.probes.keep_checkpoints, &kept))?;
            self.tell(RunEvent::Resumed { step })?;
        }
        Ok(())
    }

    fn leave(&mut self, outcome: Outcome) -> Result<Outcome, TrainError> {
        let step = self.state.step;
        self.save()?;
        match outcome {
            Outcome::Finished => self.tell(RunEvent::Finished { step })?,
            Outcome::Paused => self.tell(RunEvent::Paused { step })?,
            Outcome::Stopped => self.tell(RunEvent::Stopped { step })?,
            Outcome::Yielded => {
                let message = format!(
                    "asked to leave by the system; checkpoint of step {step} saved, the run goes on when a slot is free"
                );
                self.tell(RunEvent::Warned { message })?;
            }
            Outcome::Diverged => {}
        }
        Ok(outcome)
    }
}

const fn due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}
