//! What a server finds when it opens a lab: studies, runs as they are or went on without a server, corpora that are whole.
//! Promises: what is damaged is left out and told of, and keeps nobody from the rest.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Context;

use super::engine::{Engine, RunRecord};
use super::observe::{Look, attempt, never_started, observe};
use super::studies::StudyRecord;
use crate::core::{RunId, StudyId};
use crate::runlog::RunLogError;
use crate::store::{Ending, StoreError};

impl Engine {
    /// All that is on the disk; an index that opens and cannot be read is replaced by an empty one. Blocking.
    pub(super) fn load_with_any_index(&mut self) -> anyhow::Result<()> {
        let Err(error) = self.load() else { return Ok(()) };
        match error.downcast_ref::<StoreError>() {
            None | Some(StoreError::Files(_) | StoreError::InUse(_)) => return Err(error),
            Some(_) => {}
        }
        let notice = self.store.replace(&self.home, &format!("{error:#}"))?;
        self.notice(notice);
        self.runs.clear();
        self.children.clear();
        self.studies.clear();
        self.load()
    }

    /// All that is on the disk. Blocking.
    pub(super) fn load(&mut self) -> anyhow::Result<()> {
        self.load_studies()?;
        self.load_runs().context("read the runs of the lab")
    }

    fn load_studies(&mut self) -> anyhow::Result<()> {
        for study in self.home.list_studies()? {
            match StudyRecord::load(&self.home, &study) {
                Ok((record, notice)) => {
                    self.studies.insert(study, record);
                    notice.into_iter().for_each(|notice| self.notice(notice));
                }
                Err(error) => self.notice(format!("could not {error:#}; the study is left out, its runs are not")),
            }
        }
        Ok(())
    }

    fn load_runs(&mut self) -> anyhow::Result<()> {
        let known: BTreeMap<_, _> = self.store.call("all facts", |store| store.all_facts())?.into_iter().collect();
        let mut studies: HashMap<RunId, Vec<StudyId>> = HashMap::new();
        for (id, study) in &self.studies {
            study.runs.iter().for_each(|run| studies.entry(run.clone()).or_default().push(id.clone()));
        }
        let mut unread: BTreeSet<RunId> = BTreeSet::new();
        for run in self.home.list_runs()? {
            let folder = self.home.run(&run);
            let spec = match (folder.spec(), self.read_only) {
                (Ok(spec), _) => spec,
                (Err(RunLogError::Spec { .. }), false) if let Ok(Some(spec)) = folder.restore_spec() => {
                    let path = folder.spec_path();
                    let told = "was damaged and is restored from the copy of its newest attempt";
                    self.notice(format!("{} {told}; the damaged file is spec.damaged.json beside it", path.display()));
                    spec
                }
                (Err(error), _) => {
                    self.notice(format!("could not {error}; the run is left out"));
                    continue;
                }
            };
            let wish = folder.control().unwrap_or_default();
            let mut record = RunRecord::new(spec, wish);
            record.studies = studies.remove(&run).unwrap_or_default();
            let finished = known.get(&run).filter(|facts| matches!(facts.ending(), Some(Ending::Finished { .. })));
            if let Some(facts) = finished {
                // Its log has ended, so nothing is new; its sparkline may come later.
                record.sight.attempts = facts.attempts.keys().map(|number| attempt(facts, *number)).collect();
                record.sight.facts = facts.clone();
                self.look_again.insert(run.clone());
                self.add_run(record);
            } else if !known.contains_key(&run) && never_started(&folder) {
                self.add_run(record);
            } else {
                self.add_run(record);
                let seen = observe(&self.home, &self.store, Look { run, epoch: 0, sparkline_from: 0 })?;
                if seen.unread {
                    unread.insert(seen.look.run.clone());
                }
                self.take_sight(seen);
            }
        }
        let fingerprints: BTreeSet<_> = self.runs.values().map(|record| record.spec.data.fingerprint.clone()).collect();
        self.ready = fingerprints.into_iter().filter(|print| self.corpus_is_whole(print)).collect();
        self.recall_failed_preparations();
        // Of a run whose logs cannot be read nobody knows whether it has ended.
        let runs: Vec<RunId> = self.runs.keys().filter(|run| !unread.contains(*run)).cloned().collect();
        for run in &runs {
            self.settle(run);
        }
        Ok(())
    }
}
