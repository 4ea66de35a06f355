//! From a study to queued runs: read the texts, plan, write study and specs, enqueue, prepare the corpus.
//! Promises: a name means one study for ever; a run that the lab has is not queued twice; texts and files are handled
//! beside the loop.

use std::collections::{BTreeMap, BTreeSet};

use super::engine::{Engine, Happened, RunRecord};
use super::session::SessionId;
use super::studies::StudyRecord;
use crate::core::study::StudySpec;
use crate::core::summary::{PlanReport, Refusal};
use crate::core::{ParentSpec, RunId, RunSpec, RunStatus, StudyId};
use crate::digest::{Digester, Failure};
use crate::schedule::{Plan, StudyFacts, check, plan, report};
use crate::wire::Reply;

/// Whom to answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) session: SessionId,
    pub(super) id: u64,
}

/// The texts of a study were read.
pub(super) struct Surveyed {
    asker: Asker,
    study: StudySpec,
    submit: bool,
    known: Result<StudyFacts, String>,
}

/// The files of a study were written.
pub(super) struct Recorded {
    asker: Asker,
    study: StudyRecord,
    runs: Vec<RunSpec>,
    report: PlanReport,
    result: anyhow::Result<()>,
}

impl Engine {
    /// First step, in a process of its own: read the texts and tasks.
    pub(super) fn survey(&mut self, asker: Asker, study: StudySpec, submit: bool) {
        if let Err(error) = check(&study) {
            return self.refuse(asker, error.to_string());
        }
        if submit && let Some(message) = self.name_conflict(&study) {
            return self.refuse(asker, message);
        }
        if submit && !self.submitting.insert(study.name.clone()) {
            let name = &study.name;
            return self.refuse(asker, format!("submit {name}: it is being submitted already; wait for that"));
        }
        let (news, digester) = (self.news.clone(), self.digester());
        let reading = self.digests.spawn(async move {
            let known = digester.survey(study.clone()).await.map_err(|failure| match failure {
                Failure::Refused(message) | Failure::Short(message) => message,
                Failure::Lost(reason) => {
                    format!(
                        "read the texts and tasks of {}: {reason}; leave that out or mend it, and try again",
                        study.name
                    )
                }
            });
            _ = news.send(Happened::Surveyed(Box::new(Surveyed { asker, study, submit, known }))).await;
        });
        if !submit {
            let checks = self.checks.entry(asker.session).or_default();
            checks.retain(|check| !check.is_finished());
            checks.push(reading);
        }
    }

    /// What reads other people's files for this lab. What ended is forgotten.
    pub(super) fn digester(&mut self) -> Digester {
        while self.digests.try_join_next().is_some() {}
        Digester::new(self.launcher.program(), self.home.corpora_dir())
    }

    fn name_conflict(&self, study: &StudySpec) -> Option<String> {
        let present = self.studies.get(&study.name)?;
        (present.spec != *study).then(|| {
            format!(
                "submit {0}: the lab has another study of that name; change `name`, or `trilab study show {0}`",
                study.name
            )
        })
    }

    /// Second step: plan, answer a check, or have the files written.
    pub(super) fn surveyed(&mut self, surveyed: Surveyed) {
        let Surveyed { asker, study, submit, known } = surveyed;
        let name = study.name.clone();
        let refuse = |engine: &mut Self, message: String| {
            if submit {
                engine.submitting.remove(&name);
            }
            engine.refuse(asker, message);
        };
        let known = match known {
            Ok(known) => known,
            Err(message) => return refuse(self, message),
        };
        for corpus in known.corpora() {
            if corpus.ready {
                self.ready.insert(corpus.fingerprint.clone());
            } else if submit {
                // Its texts are at hand: what is damaged, or was prepared by an earlier version, is prepared again.
                self.ready.remove(&corpus.fingerprint);
            }
        }
        let mut plan = match plan(&study, &known, env!("CARGO_PKG_VERSION")) {
            Ok(plan) => plan,
            Err(error) => return refuse(self, error.to_string()),
        };
        self.refuse_what_is_past(&mut plan);
        let existing = |run: &_| self.runs.get(run).map(|record| record.status.clone());
        let report = report(&study, &plan, &known, &self.workload(), &existing);
        if !submit {
            return self.reply(asker, Reply::Plan(Box::new(report)));
        }
        if plan.runs.is_empty() {
            if plan.refusals.is_empty() {
                return refuse(self, format!("submit {name}: grid.exclude leaves no cell of it"));
            }
            let reasons: Vec<String> = plan.refusals.iter().map(|r| format!("{}: {}", r.cell, r.reason)).collect();
            return refuse(self, format!("submit {name}: no cell of it can be trained; {}", reasons.join("; ")));
        }
        self.record(asker, study, plan.runs, report);
    }

    /// Takes out of a plan what would begin with a checkpoint that was not kept, and all that goes on from it.
    fn refuse_what_is_past(&self, plan: &mut Plan) {
        let mut refused: BTreeMap<RunId, String> = BTreeMap::new();
        for run in plan.runs.iter().filter(|run| !self.runs.contains_key(&run.id)) {
            let Some(parent) = &run.parent else { continue };
            let reason = refused.get(&parent.run).cloned().or_else(|| self.not_kept(parent));
            if let Some(reason) = reason {
                plan.refusals.push(Refusal { cell: run.lineage(), reason: reason.clone() });
                refused.insert(run.id.clone(), reason);
            }
        }
        plan.runs.retain(|run| !refused.contains_key(&run.id));
    }

    /// Why nothing can begin at a step of a run of the lab.
    fn not_kept(&self, ParentSpec { run, step, .. }: &ParentSpec) -> Option<String> {
        let record = self.runs.get(run)?;
        let past = record.status == RunStatus::Finished || record.sight.facts.step > *step;
        (past && !self.home.run(run).has_checkpoint(*step)).then(|| {
            format!(
                "{} {run}, which it goes on from, is past step {step} and kept no checkpoint of it; go on from its last step, or \
                 change a setting of it, such as its seed, so that it is trained again",
                record.spec.cell()
            )
        })
    }

    /// Third step, beside the loop: study first, then the specs; only then the queue.
    fn record(&mut self, asker: Asker, study: StudySpec, runs: Vec<RunSpec>, report: PlanReport) {
        let present = self.studies.get(&study.name);
        let submitted_ms = present.map_or_else(|| self.now_ms(), |present| present.submitted_ms);
        let ids = runs.iter().map(|run| run.id.clone()).collect();
        if let Some(present) = present.filter(|present| !present.derived)
            && present.runs != ids
        {
            let name = study.name;
            self.submitting.remove(&name);
            let message = format!("submit {name}: its texts changed since it was first submitted; change `name`");
            return self.refuse(asker, message);
        }
        let fresh = present.is_none_or(|present| present.derived);
        let study = StudyRecord { spec: study, runs: ids, submitted_ms, derived: false };
        let (home, news) = (self.home.clone(), self.news.clone());
        tokio::task::spawn_blocking(move || {
            let write = || -> anyhow::Result<()> {
                if fresh {
                    study.save(&home)?;
                }
                for run in &runs {
                    home.run(&run.id).create(run)?;
                }
                // A parent that the lab had already was queued when nobody waited for that step.
                for ParentSpec { run, step, .. } in runs.iter().filter_map(|run| run.parent.as_ref()) {
                    let parent = home.run(run);
                    if !parent.spec()?.probes.keep_steps.contains(step) {
                        parent.keep_checkpoint(*step)?;
                    }
                }
                Ok(())
            };
            let result = write();
            let recorded = Recorded { asker, study, runs, report, result };
            _ = news.blocking_send(Happened::Recorded(Box::new(recorded)));
        });
    }

    /// Last step: the runs that the lab did not have join the queue.
    pub(super) fn recorded(&mut self, recorded: Recorded) -> anyhow::Result<()> {
        let Recorded { asker, study, runs, report, result } = recorded;
        let name: StudyId = study.spec.name.clone();
        self.submitting.remove(&name);
        if let Err(error) = result {
            self.refuse(asker, format!("{error:#}; submit the study again when that is mended"));
            return Ok(());
        }
        self.log.say(&format!("study {name}: {} runs", runs.len()));
        self.studies.insert(name.clone(), study);
        let now_ms = self.now_ms();
        let fingerprints: BTreeSet<String> = runs.iter().map(|run| run.data.fingerprint.clone()).collect();
        for spec in runs {
            let run = spec.id.clone();
            if !self.runs.contains_key(&run) {
                let folder = self.home.run(&run);
                let wish = folder.control().unwrap_or_default();
                self.runs.insert(run.clone(), RunRecord::new(spec, wish));
                if folder.attempts().is_ok_and(|attempts| attempts.is_empty()) {
                    self.ledger.queue.enqueue(run.clone(), 0, now_ms);
                } else {
                    // Its spec was damaged until now: its logs say how it stands.
                    self.look_again.insert(run.clone());
                }
            }
            if let Some(record) = self.runs.get_mut(&run)
                && !record.studies.contains(&name)
            {
                record.studies.push(name.clone());
            }
            self.changes.run(run.clone());
            self.restate(&run);
        }
        self.save_ledger()?;
        self.changes.lab = true;
        // What failed to be prepared before may have been mended.
        for fingerprint in fingerprints {
            if self.preparations.get(&fingerprint).is_some_and(|preparation| preparation.failed.is_some()) {
                self.preparations.remove(&fingerprint);
                self.restate_runs_of(&fingerprint);
            }
        }
        self.prepare_what_is_missing();
        self.schedule()?;
        self.reply(asker, Reply::Submitted(Box::new(report)));
        Ok(())
    }
}
