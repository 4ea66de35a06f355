//! Settings that do not belong to a run's id: how it is executed and what is measured on the way. A study that is submitted again
//! with others changes them for the runs that have no worker and are not finished.
//! Promises: what the id stands for never changes; steps whose checkpoints were to be kept are kept still; a person is told
//! which runs take which settings. Must not know: files.

use std::collections::{BTreeMap, BTreeSet};

use super::engine::RunRecord;
use crate::core::{ProbeSpec, PromptSpec, RunId, RunSpec, RunStatus, StudyId};

/// What becomes of a run whose settings differ from those that were submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// It failed, maybe because of them: it takes them and is queued again.
    Retried,
    /// It waits or is paused: it takes them.
    Waiting,
    /// It was stopped or diverged: it takes them, and stays what it is.
    Over,
    /// It has a worker, which has read them: it keeps its own.
    Kept,
}

/// A run whose settings differ from those that were submitted.
struct Difference {
    fate: Fate,
    keys: BTreeSet<String>,
    /// Its spec with the new settings.
    spec: RunSpec,
}

/// The runs of a study whose settings change.
#[derive(Default)]
pub(super) struct Amendments(BTreeMap<RunId, Difference>);

impl Amendments {
    /// Compare a run of the lab with the same run as it was submitted now.
    pub(super) fn compare(&mut self, record: &RunRecord, planned: &RunSpec) {
        let fate = match &record.status {
            RunStatus::Finished => return,
            _ if record.is_alive() => Fate::Kept,
            RunStatus::Running { .. } => Fate::Kept,
            RunStatus::Failed { .. } => Fate::Retried,
            RunStatus::Stopped | RunStatus::Diverged { .. } => Fate::Over,
            RunStatus::Queued
            | RunStatus::Preparing
            | RunStatus::Waiting { .. }
            | RunStatus::Blocked { .. }
            | RunStatus::Paused => Fate::Waiting,
        };
        if let Some((spec, keys)) = amended(&record.spec, planned) {
            self.0.insert(record.spec.id.clone(), Difference { fate, keys, spec });
        }
    }

    /// Runs that take new settings, with their new specs.
    pub(super) fn specs(&self) -> impl Iterator<Item = &RunSpec> {
        self.0.values().filter(|difference| difference.fate != Fate::Kept).map(|difference| &difference.spec)
    }

    /// Runs that are queued again.
    pub(super) fn retried(&self) -> impl Iterator<Item = &RunId> {
        self.0.iter().filter(|(_, difference)| difference.fate == Fate::Retried).map(|(run, _)| run)
    }

    /// What a person is told when `study` is submitted, a sentence each.
    pub(super) fn told(&self, study: &StudyId) -> Vec<String> {
        let mut groups: BTreeMap<Fate, (usize, BTreeSet<&str>)> = BTreeMap::new();
        for Difference { fate, keys, .. } in self.0.values() {
            let (count, all) = groups.entry(*fate).or_default();
            *count += 1;
            all.extend(keys.iter().map(String::as_str));
        }
        let sentence = |(fate, (count, keys)): (&Fate, &(usize, BTreeSet<&str>))| {
            let keys = keys.iter().copied().collect::<Vec<_>>().join(", ");
            let one = *count == 1;
            let runs = if one { "run" } else { "runs" };
            let take = if one { "takes" } else { "take" };
            match fate {
                Fate::Retried => {
                    let are = if one { "is" } else { "are" };
                    format!("{count} failed {runs} {take} the new settings ({keys}) and {are} queued again")
                }
                Fate::Waiting => format!(
                    "{count} {runs} that {} {take} the new settings ({keys})",
                    if one { "waits" } else { "wait" }
                ),
                Fate::Over => format!(
                    "{count} {runs} that {} stopped or diverged {take} the new settings ({keys}); `trilab run retry --study {study}` \
                     queues such runs again",
                    if one { "was" } else { "were" }
                ),
                Fate::Kept => format!(
                    "{count} {runs} that {} the old settings ({keys}); to change them, stop what trains, submit the study again, \
                     and retry it",
                    if one { "trains keeps" } else { "train keep" }
                ),
            }
        };
        groups.iter().map(sentence).collect()
    }
}

/// The spec of `present` with the settings of `planned`, which has the same id, and the keys of those that differ; `None` if none
/// does.
fn amended(present: &RunSpec, planned: &RunSpec) -> Option<(RunSpec, BTreeSet<String>)> {
    let keys = differing(present, planned);
    if keys.is_empty() {
        return None;
    }
    let mut keep_steps: Vec<u64> =
        [&present.probes.keep_steps, &planned.probes.keep_steps].into_iter().flatten().copied().collect();
    keep_steps.sort_unstable();
    keep_steps.dedup();
    let sources = planned.prompts.as_ref().map(|prompts| prompts.sources.clone());
    let prompts = present.prompts.clone().zip(sources).map(|(prompts, sources)| PromptSpec { sources, ..prompts });
    let spec = RunSpec {
        prompts,
        probes: ProbeSpec { keep_steps, ..planned.probes.clone() },
        tasks_fingerprint: planned.tasks_fingerprint.clone(),
        execution: planned.execution.clone(),
        ..present.clone()
    };
    Some((spec, keys))
}

/// Keys of the settings outside the id that differ. Steps whose checkpoints are kept are no setting of one study alone.
fn differing(present: &RunSpec, planned: &RunSpec) -> BTreeSet<String> {
    let probes = |spec: &RunSpec| ProbeSpec { keep_steps: Vec::new(), ..spec.probes.clone() };
    let (old, new) = (probes(present), probes(planned));
    let mut keys = BTreeSet::new();
    let mut differ = |key: &str, differs: bool| {
        if differs {
            keys.insert(key.to_owned());
        }
    };
    differ("execution.device", present.execution.device != planned.execution.device);
    differ("execution.threads", present.execution.threads != planned.execution.threads);
    differ("probes.zero_shot", present.tasks_fingerprint != planned.tasks_fingerprint);
    let sources = |spec: &RunSpec| spec.prompts.as_ref().map(|prompts| prompts.sources.clone());
    differ("tasks of a stage", sources(present) != sources(planned));
    if old != new {
        // By what they are called in files, so that none is forgotten.
        let fields = |probes: &ProbeSpec| match serde_json::to_value(probes) {
            Ok(serde_json::Value::Object(fields)) => fields,
            Ok(_) | Err(_) => serde_json::Map::new(),
        };
        let (old, new) = (fields(&old), fields(&new));
        for key in old.keys().chain(new.keys()).filter(|key| old.get(*key) != new.get(*key)) {
            differ(&format!("probes.{key}"), true);
        }
    }
    keys
}
