//! The zero-shot probe: the tasks of a run, asked while it trains and, every item of them, at its end.
//! Promises: probes on the way stay within the stated share of the training time, judged by the cost of the last one;
//! nothing of training is touched. Must not know: where events and answers go.

use std::collections::BTreeSet;

use super::scoring::{ModelScorer, forms};
use super::{TrainError, Trainer};
use crate::core::task::{ScoringForm, TaskRecord};
use crate::core::{Metrics, RunSpec};
use crate::corpus::Corpus;
use crate::eval::{PreparedTask, TaskReport, families, fingerprint, gather, read, zero_shot_metrics};

/// The tasks of a run and what asking them has cost.
#[derive(Clone, Debug)]
pub struct ZeroShotProbe {
    tasks: Vec<PreparedTask>,
    every: u64,
    items: usize,
    share: f64,
    spent: f64,
    last: f64,
    /// What was told already: a probe finds the same again and again.
    told: BTreeSet<String>,
}

/// What a probe gave besides its records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ZeroShotTotals {
    /// Means over the families.
    pub metrics: Metrics,
    /// Items asked, over all tasks.
    pub items: u64,
    /// Things a person should know.
    pub notices: Vec<String>,
}

/// Receives the report of a task as soon as it is there.
pub type Receive<'a> = &'a mut dyn FnMut(&TaskReport, TaskRecord) -> Result<(), TrainError>;

impl ZeroShotProbe {
    /// The tasks of `spec`, with their prompts; `Ok(None)` if it names none. Words that `warn` gets are for a person.
    ///
    /// # Errors
    /// In words: a task cannot be used, or tasks or their data changed since the run was queued, so that its scores
    /// would not be those of its neighbours.
    pub fn new(spec: &RunSpec, warn: &mut dyn FnMut(String)) -> Result<Option<Self>, String> {
        let probes = &spec.probes;
        let found = fingerprint(&probes.zero_shot).map_err(|error| format!("could not {error}"))?;
        if found.is_none() {
            return Ok(None);
        }
        if spec.tasks_fingerprint.is_some() && spec.tasks_fingerprint != found {
            return Err(
                "the task files or their data changed since the run was queued; `trilab eval` scores it on the \
                        new ones"
                    .to_owned(),
            );
        }
        let gathered = gather(&probes.zero_shot).map_err(|error| format!("could not {error}"))?;
        gathered.notices.into_iter().for_each(&mut *warn);
        let mut tasks = Vec::new();
        for task in gathered.suite.tasks() {
            match PreparedTask::new(task, &read, None) {
                Ok(prepared) => {
                    let name = prepared.name();
                    prepared.notices().iter().for_each(|notice| warn(format!("{name}: {notice}")));
                    tasks.push(prepared);
                }
                Err(error) => warn(format!("could not {error}; the task is left out")),
            }
        }
        let (every, items, share) = (probes.zero_shot_every, probes.zero_shot_items, probes.zero_shot_share);
        Ok(Some(Self { tasks, every, items, share, spent: 0.0, last: 0.0, told: BTreeSet::new() }))
    }

    /// Whether a probe on the way is due at `step`, after `trained` seconds of training by this process.
    #[must_use]
    pub fn is_due(&self, step: u64, trained: f64) -> bool {
        self.every > 0 && step.is_multiple_of(self.every) && self.spent + self.last <= self.share * trained
    }

    /// A probe on the way cost this many seconds.
    pub const fn charge(&mut self, seconds: f64) {
        self.spent += seconds;
        self.last = seconds;
    }

    /// Asks every task in every form of the model: all items at the `end`, else the first few. A task that fails is
    /// left out with a notice, which is given once. `clock` gives seconds.
    ///
    /// # Errors
    /// The device fails, or `receive` does.
    pub fn measure(
        &mut self,
        trainer: &Trainer,
        corpus: &Corpus,
        end: bool,
        clock: &dyn Fn() -> f64,
        receive: Receive<'_>,
    ) -> Result<ZeroShotTotals, TrainError> {
        let (step, limit) = (trainer.step_count(), (!end).then_some(self.items));
        let mut records: Vec<TaskRecord> = Vec::new();
        let mut totals = ZeroShotTotals::default();
        for form in &forms(&trainer.spec().objective) {
            let mut scorer = ModelScorer::new(trainer, corpus.tokenizer(), *form)?;
            for task in &self.tasks {
                let began = clock();
                match task.ask(&mut scorer, limit) {
                    Ok(report) => {
                        let record = report.record(step, *form, clock() - began);
                        totals.items += record.items;
                        let task = &record.task;
                        totals.notices.extend(report.notices.iter().map(|notice| format!("{task}: {notice}")));
                        receive(&report, record.clone())?;
                        records.push(record);
                    }
                    Err(error) => totals.notices.push(format!("could not {error}; the task is left out")),
                }
            }
        }
        totals.notices.retain(|notice| self.told.insert(notice.clone()));
        totals.metrics = zero_shot_metrics(&families(&records));
        Ok(totals)
    }
}

/// Receives the answers of a task that was asked in full.
pub type Answers<'a> = &'a mut dyn FnMut(u64, &TaskReport, ScoringForm) -> Result<(), TrainError>;
