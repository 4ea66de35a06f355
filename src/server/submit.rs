//! From a study to queued runs: read the texts, plan, write study and specs, enqueue, prepare the corpus.
//! Promises: a name means one study for ever; a run that the lab has is not queued twice; texts and files are handled
//! beside the loop.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::engine::{Engine, Happened, RunRecord};
use super::session::SessionId;
use super::studies::StudyRecord;
use crate::core::rows::prompt_lengths;
use crate::core::study::StudySpec;
use crate::core::summary::{PlanReport, Refusal};
use crate::core::texts::CorpusSettings;
use crate::core::{Objective, ParentSpec, PromptSpec, RunId, RunSpec, RunStatus, StudyId};
use crate::corpus::{Corpus, CorpusError, PartTokens, TextSize, as_long, survey};
use crate::eval::{EvalError, Template, can_be_asked, fingerprint, leak, templates};
use crate::schedule::{CorpusFacts, PartFacts, Plan, StageFacts, StudyFacts, check, plan, report};
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

/// Texts and tasks of a study, below `corpora`. Blocking.
fn read_all(study: &StudySpec, corpora: &Path) -> Result<StudyFacts, String> {
    let texts = |settings: &CorpusSettings| facts(settings, corpora).map_err(|error| error.to_string());
    let asked = |error: EvalError| format!("use the tasks of probes.zero_shot: could not {error}");
    let zero_shot = fingerprint(&study.probes.zero_shot).map_err(asked)?;
    let notices = can_be_asked(&study.probes.zero_shot).map_err(asked)?;
    let mut known = StudyFacts { corpus: texts(&study.corpus)?, zero_shot, stages: BTreeMap::new(), notices };
    for (name, stage) in &study.stages {
        let trained = |error: EvalError| format!("use stages.{name}.tasks: could not {error}");
        let corpus = stage.corpus.as_ref().map(|own| texts(&own.over(&study.corpus))).transpose()?;
        let tasks = fingerprint(&stage.tasks).map_err(trained)?;
        if let Some(fingerprint) = &tasks {
            let prompts = PromptSpec {
                sources: stage.tasks.clone(),
                held_out: stage.held_out.clone(),
                examples: stage.examples(),
                cap: stage.cap(),
                fingerprint: fingerprint.clone(),
            };
            let templates = templates(&prompts).map_err(trained)?;
            for template in &templates {
                known.notices.extend(template.notices.iter().map(|notice| format!("{}: {notice}", template.name)));
            }
            if stage.objective == Some(Objective::Finetuning) && templates.len() > 1 {
                let count = templates.len();
                return Err(format!(
                    "use stages.{name}.tasks: FT trains on one task, and these are {count}; use MTF for a mixture"
                ));
            }
            if let Some(reason) = too_long(study, &known.corpus, &templates).map_err(|error| error.to_string())? {
                return Err(format!("train the stage {name}: {reason}"));
            }
            if let Some(leak) = leak(&templates, &study.probes.zero_shot).map_err(asked)? {
                return Err(format!("train the stage {name}: {leak}"));
            }
        }
        known.stages.insert(name.clone(), StageFacts { tasks, corpus });
    }
    Ok(known)
}

/// Why no prompt can be trained on, if its targets are all too long. Nobody knows before the texts are prepared how many tokens a
/// BPE of them gives.
fn too_long(study: &StudySpec, corpus: &CorpusFacts, all: &[Template]) -> Result<Option<String>, CorpusError> {
    let tokenizer = if corpus.ready {
        Some(Corpus::open(&corpus.directory)?.tokenizer().clone())
    } else {
        as_long(&study.corpus.tokenizer)?
    };
    let Some((seq_len, tokenizer)) = study.training.seq_len.iter().max().zip(tokenizer) else { return Ok(None) };
    let most = prompt_lengths(*seq_len).1;
    let pairs = || all.iter().flat_map(|template| &template.pairs);
    for pair in pairs() {
        // The end mark stands behind a target.
        if tokenizer.encode(&pair.targets)?.len() < most {
            return Ok(None);
        }
    }
    Ok(Some(format!(
        "none of its {} prompts has a target of at most {most} tokens, a quarter of seq_len {seq_len}; raise training.seq_len",
        pairs().count()
    )))
}

fn facts(settings: &CorpusSettings, corpora: &Path) -> Result<CorpusFacts, CorpusError> {
    let survey = survey(settings)?;
    let directory = corpora.join(&survey.fingerprint);
    // Once it is prepared, a tokenizer that was trained on the texts is known.
    let prepared = Corpus::open(&directory).ok().filter(|corpus| corpus.byte_counts().is_some());
    let trained = prepared.as_ref().map(|corpus| corpus.tokenizer().identity()).transpose()?;
    let tokens = match &prepared {
        Some(corpus) => {
            let manifest = corpus.manifest();
            Some(PartTokens { train: manifest.train_tokens, validation: manifest.validation_tokens })
        }
        None => survey.tokens,
    };
    let part = |size: TextSize, tokens| PartFacts { bytes: size.bytes, documents: size.documents, tokens };
    let train = part(survey.train, tokens.map(|tokens| tokens.train));
    let validation = part(survey.validation, tokens.map(|tokens| tokens.validation));
    Ok(CorpusFacts {
        name: survey.name,
        fingerprint: survey.fingerprint,
        vocab_size: survey.vocab_size,
        vocabulary: trained.unwrap_or(survey.vocabulary),
        directory,
        train,
        validation,
        ready: prepared.is_some(),
        notices: survey.notices,
        uncovered: survey.uncovered,
    })
}

impl Engine {
    /// First step, beside the loop: read the texts and tasks.
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
        let (news, corpora) = (self.news.clone(), self.home.corpora_dir());
        tokio::task::spawn_blocking(move || {
            let known = read_all(&study, &corpora);
            _ = news.blocking_send(Happened::Surveyed(Box::new(Surveyed { asker, study, submit, known })));
        });
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
