//! What screens and commands are shown, made from what the engine knows, and the table also from
//! the store.
//! Promises: one place for every number, so that two screens cannot disagree.

use std::collections::BTreeMap;

use super::engine::{Engine, RunRecord};
use crate::core::board::{EqualBudget, Leaderboard};
use crate::core::summary::{LabSummary, PreparationSummary, RunSummary, SlotSummary, StudySummary};
use crate::core::{Metric, RunId, RunSpec, RunStatus, StudyId};
use crate::schedule::Workload;
use crate::store::{RunEvidence, StoreError, StoreHandle, leaderboard};

/// The runs of a table.
pub(super) struct BoardQuestion {
    study: Option<StudyId>,
    budget: EqualBudget,
    runs: Vec<(RunSpec, RunSummary)>,
}

impl BoardQuestion {
    /// Ask the store. Blocking.
    pub(super) fn answer(self, store: &StoreHandle) -> Result<Leaderboard, StoreError> {
        let Self { study, budget, runs } = self;
        let cut = match budget {
            EqualBudget::AsTrained | EqualBudget::Parameters => false,
            EqualBudget::Flops | EqualBudget::Tokens | EqualBudget::WallClock => true,
        };
        let mut evidence = Vec::with_capacity(runs.len());
        for (spec, summary) in runs {
            let run = spec.id.clone();
            let (records, curves) = store.call("leaderboard", move |store| {
                let metrics: &[Metric] = if cut { &Metric::ALL } else { &[] };
                let curve = |metric: &Metric| Ok((*metric, store.curve(&run, *metric, None)?.points));
                Ok((store.scores(&run, cut)?, metrics.iter().map(curve).collect::<Result<Vec<_>, StoreError>>()?))
            })?;
            evidence.push(RunEvidence::new(spec, summary, records, curves));
        }
        leaderboard(study, budget, evidence).map_err(|error| StoreError::Row(error.to_string()))
    }
}

impl Engine {
    /// Places in the queue of those that really wait, from 0.
    fn places(&self) -> BTreeMap<&RunId, usize> {
        let waits = |run: &RunId| self.runs.get(run).is_some_and(|record| record.status.is_queued());
        let waiting = self.ledger.queue.order().map(|entry| &entry.run).filter(|run| waits(run));
        waiting.enumerate().map(|(place, run)| (run, place)).collect()
    }

    /// One run.
    pub(super) fn summary(&self, record: &RunRecord) -> RunSummary {
        self.summary_at(record, self.places().get(&record.spec.id).copied())
    }

    fn summary_at(&self, record: &RunRecord, place: Option<usize>) -> RunSummary {
        let (spec, facts) = (&record.spec, &record.sight.facts);
        let entry = self.ledger.entry(&spec.id);
        let submitted = record.studies.iter().filter_map(|study| self.studies.get(study)).map(|s| s.submitted_ms).min();
        RunSummary {
            id: spec.id.clone(),
            studies: record.studies.clone(),
            architecture: spec.model.architecture,
            objective: spec.objective.objective,
            ancestors: spec.ancestors.clone(),
            task: spec.task(),
            seed: spec.seed,
            size: spec.size_label(),
            corpus: spec.data.name.clone(),
            status: record.status.clone(),
            queue_position: place,
            priority: entry.map_or(0, |entry| entry.priority),
            attempt: record.sight.attempts.last().map_or(0, |attempt| attempt.attempt),
            step: facts.step,
            steps: spec.training.steps,
            tokens: facts.tokens,
            step_tokens: record.step_tokens,
            step_flops: record.step_flops,
            parameters: record.parameters,
            latest: facts.latest.clone(),
            elapsed_s: facts.elapsed_s,
            eta_s: eta(record),
            sparkline: record.sparkline.clone(),
            checkpoint_step: facts.checkpoint_step,
            last_event_ms: facts.last_event_ms,
            queued_ms: entry.map(|entry| entry.queued_ms).or(submitted).unwrap_or(facts.first_event_ms),
            lost_lines: facts.lost(),
        }
    }

    /// Runs in the order of the Lab: running, then as they wait, then newest first.
    pub(super) fn summaries(&self, study: Option<&StudyId>) -> Vec<RunSummary> {
        let places = self.places();
        let order: BTreeMap<&RunId, usize> =
            self.ledger.queue.order().enumerate().map(|(place, entry)| (&entry.run, place)).collect();
        let wanted = |record: &&RunRecord| study.is_none_or(|study| record.studies.contains(study));
        let mut rows: Vec<RunSummary> = self
            .runs
            .values()
            .filter(wanted)
            .map(|record| self.summary_at(record, places.get(&record.spec.id).copied()))
            .collect();
        rows.sort_by_cached_key(|row| match (&row.status, order.get(&row.id)) {
            (RunStatus::Running { since_ms }, _) => (0, *since_ms, row.id.clone()),
            (_, Some(place)) => (1, *place as u64, row.id.clone()),
            (_, None) => (2, u64::MAX - row.last_event_ms, row.id.clone()),
        });
        rows
    }

    /// Every study, newest first.
    pub(super) fn study_summaries(&self) -> Vec<StudySummary> {
        let mut studies: Vec<StudySummary> =
            self.studies.keys().filter_map(|study| self.study_summary(study)).collect();
        studies.sort_by(|a, b| b.submitted_ms.cmp(&a.submitted_ms).then_with(|| a.id.cmp(&b.id)));
        studies
    }

    pub(super) fn study_summary(&self, id: &StudyId) -> Option<StudySummary> {
        let study = self.studies.get(id)?;
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for record in study.runs.iter().filter_map(|run| self.runs.get(run)) {
            *counts.entry(record.status.word().to_owned()).or_default() += 1;
        }
        Some(StudySummary {
            id: id.clone(),
            description: study.spec.description.clone(),
            runs: study.runs.clone(),
            counts,
            submitted_ms: study.submitted_ms,
        })
    }

    /// The Lab at this moment.
    pub(super) fn lab(&self) -> LabSummary {
        let alive = self.runs.iter().filter(|(_, record)| record.is_alive()).map(|(run, _)| run);
        let mut slots: Vec<SlotSummary> = alive.map(|run| SlotSummary { run: Some(run.clone()) }).collect();
        slots.resize(slots.len().max(self.slots), SlotSummary { run: None });
        let preparing = self.preparations.values().filter(|preparation| preparation.failed.is_none());
        LabSummary {
            runs: self.summaries(None),
            studies: self.study_summaries(),
            slots,
            queue_paused: self.ledger.queue.paused,
            held: self.held(),
            preparing: preparing
                .map(|preparation| PreparationSummary {
                    corpus: preparation.corpus.clone(),
                    phase: preparation.phase.clone(),
                    fraction: preparation.fraction,
                })
                .collect(),
            machine_load: self.load.processor,
            memory_used: self.load.memory,
            queue_eta_s: self.queue_eta(),
            notices: self.notices.iter().cloned().collect(),
            now_ms: self.now_ms(),
        }
    }

    /// The table of lineages, of one study or of all, but for what the store must add.
    pub(super) fn board_question(&self, study: Option<&StudyId>, budget: EqualBudget) -> BoardQuestion {
        let records = self.runs.values().filter(|record| study.is_none_or(|study| record.studies.contains(study)));
        let runs = records.map(|record| (record.spec.clone(), self.summary_at(record, None))).collect();
        BoardQuestion { study: study.cloned(), budget, runs }
    }

    /// What the machine has shown and still has to do. Speed is that of finished runs, or of running ones before any
    /// has finished.
    pub(super) fn workload(&self) -> Workload {
        let speed = |finished: bool| {
            let counted = self.runs.values().filter(|record| !finished || record.status == RunStatus::Finished);
            let timed = counted.filter(|record| record.sight.facts.elapsed_s > 0.0 && record.sight.facts.step > 0);
            let (flops, seconds) = timed.fold((0.0, 0.0), |(flops, seconds), record| {
                (flops + done_flops(record), seconds + record.sight.facts.elapsed_s)
            });
            (seconds > 0.0).then(|| flops / seconds)
        };
        let unfinished = self.runs.values().filter(|record| record.is_alive() || record.status.is_queued());
        // What is blocked does not run by itself.
        let unfinished = unfinished.filter(|record| !matches!(record.status, RunStatus::Blocked { .. }));
        Workload {
            slots: self.slots,
            flops_per_second: speed(true).or_else(|| speed(false)),
            queued_flops: unfinished.map(remaining_flops).sum(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "slots are few")]
    fn queue_eta(&self) -> Option<f64> {
        let workload = self.workload();
        let speed = workload.flops_per_second.filter(|speed| *speed > 0.0)?;
        let waiting = |record: &&RunRecord| record.is_alive() || record.status == RunStatus::Queued;
        let longest = self.runs.values().filter(waiting).map(remaining_flops).fold(0.0, f64::max);
        // A run cannot be shared between workers.
        (workload.queued_flops > 0.0)
            .then(|| (workload.queued_flops / (speed * workload.slots as f64)).max(longest / speed))
    }
}

#[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
fn done_flops(record: &RunRecord) -> f64 {
    record.step_flops * record.sight.facts.step as f64
}

#[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
fn remaining_flops(record: &RunRecord) -> f64 {
    record.step_flops * record.spec.training.steps.saturating_sub(record.sight.facts.step) as f64
}

/// Seconds to go at the present speed.
#[expect(clippy::cast_precision_loss, reason = "positions are far below 2^52")]
fn eta(record: &RunRecord) -> Option<f64> {
    if !matches!(record.status, RunStatus::Running { .. }) {
        return None;
    }
    let facts = &record.sight.facts;
    let speed = facts.latest.get(&Metric::TokensPerSecond).copied().filter(|speed| *speed > 0.0)?;
    let steps = record.spec.training.steps.saturating_sub(facts.step);
    Some(steps as f64 * record.step_tokens as f64 / speed)
}
