//! What a plan would cost, in the numbers of the review page. Pure: the caller says what exists and how fast the
//! machine has been.

use std::collections::BTreeSet;

use crate::core::cost::{parameters, step_flops, training_bytes};
use crate::core::study::StudySpec;
use crate::core::summary::{PlanReport, PlannedRun};
use crate::core::{RunId, RunSpec, RunStatus};

use super::facts::{CorpusFacts, StudyFacts};
use super::plan::{Plan, run_tokens};

/// Refused cells that are told one by one.
const MOST_REFUSALS: usize = 100;

/// What the machine has shown and still has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Workload {
    /// Workers at the same time.
    pub slots: usize,
    /// Training FLOPs per second of one worker, from runs that trained here; absent if nothing has run yet.
    pub flops_per_second: Option<f64>,
    /// FLOPs of queued and running runs that are still to do.
    pub queued_flops: f64,
}

/// The numbers of one run.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "FLOPs are estimates")]
pub fn planned_run(run: &RunSpec, existing: Option<RunStatus>) -> PlannedRun {
    let per_step = step_flops(&run.model, &run.objective, &run.training).unwrap_or(0.0);
    PlannedRun {
        id: run.id.clone(),
        cell: run.lineage(),
        size: run.size_label(),
        seed: run.seed,
        steps: run.training.steps,
        parameters: parameters(&run.model),
        flops: per_step * run.training.steps as f64,
        tokens: run_tokens(run),
        memory_bytes: training_bytes(&run.model, &run.objective, &run.training).unwrap_or(0),
        existing,
    }
}

/// The review page of a plan. `existing` says where a run is that the lab has already.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "slots are few")]
pub fn report(
    study: &StudySpec,
    plan: &Plan,
    known: &StudyFacts,
    workload: &Workload,
    existing: &dyn Fn(&RunId) -> Option<RunStatus>,
) -> PlanReport {
    let runs: Vec<PlannedRun> = plan.runs.iter().map(|run| planned_run(run, existing(&run.id))).collect();
    let to_do = || runs.iter().filter(|run| run.existing != Some(RunStatus::Finished));
    let fresh = || to_do().filter(|run| run.existing.is_none());
    let total = |runs: &mut dyn Iterator<Item = &PlannedRun>| runs.fold(0.0, |sum, run| sum + run.flops);
    let flops = total(&mut to_do());
    let mut memory: Vec<u64> = to_do().map(|run| run.memory_bytes).collect();
    memory.sort_unstable_by(|a, b| b.cmp(a));
    let slots = workload.slots.max(1);
    let speed = workload.flops_per_second.filter(|speed| *speed > 0.0);
    let longest = to_do().map(|run| run.flops).fold(0.0, f64::max);
    // A run cannot be shared between workers, so the longest one is a floor.
    let seconds_for = |flops: f64, speed: f64| (flops / (speed * slots as f64)).max(longest / speed);
    let seconds = speed.map(|speed| seconds_for(flops, speed));
    let queue_done_s = speed.map(|speed| seconds_for(workload.queued_flops + total(&mut fresh()), speed));
    let mut seen = BTreeSet::new();
    let corpora: Vec<&CorpusFacts> = known.corpora().filter(|corpus| seen.insert(&corpus.fingerprint)).collect();
    let mut notices = known.all_notices();
    if let Some(more) = plan.refusals.len().checked_sub(MOST_REFUSALS).filter(|more| *more > 0) {
        notices.push(format!("{MOST_REFUSALS} refused cells are listed, and {more} more are refused"));
    }
    PlanReport {
        study: study.name.clone(),
        description: study.description.clone(),
        refusals: plan.refusals.iter().take(MOST_REFUSALS).cloned().collect(),
        corpus: corpora.iter().map(|corpus| corpus.name.as_str()).collect::<Vec<_>>().join(", "),
        fingerprint: known.corpus.fingerprint.clone(),
        corpus_ready: corpora.iter().all(|corpus| corpus.ready),
        corpus_bytes: corpora.iter().map(|corpus| corpus.train.bytes).sum(),
        flops,
        memory_bytes: memory.iter().take(slots).fold(0, |sum: u64, bytes| sum.saturating_add(*bytes)),
        seconds,
        queue_done_s,
        notices,
        runs,
    }
}
