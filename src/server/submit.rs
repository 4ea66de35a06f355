//! From a study to queued runs: read the texts, plan, write study and specs, enqueue, prepare the corpus.
//! Promises: a name means one list of runs for ever; a run that the lab has is not queued twice; whoever submits the same study at
//! the same time gets the same answer; planning, texts and files are handled beside the loop, which only says what it knows and
//! hears what was done.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::amend::Amendments;
use super::beside::to_the_end;
use super::engine::{Engine, Happened, RunRecord};
use super::machine::machine;
use super::session::SessionId;
use super::studies::StudyRecord;
use crate::core::grid::grouped;
use crate::core::study::StudySpec;
use crate::core::summary::{PlanReport, Refusal};
use crate::core::{Control, ParentSpec, RunId, RunSpec, RunStatus, StudyId};
use crate::digest::{Digester, Failure};
use crate::runlog::{Batch, Home, RunLogError};
use crate::schedule::{Plan, StudyFacts, Workload, admission, check, plan, report};
use crate::wire::Reply;

/// Whom to answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) session: SessionId,
    pub(super) id: u64,
}

/// What is asked of a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To say what it would do.
    Check,
    /// To queue it, also, if so forced, what does not fit this machine.
    Submit { force: bool },
}

/// A study in hand.
struct Job {
    asker: Asker,
    study: StudySpec,
    purpose: Purpose,
}

/// A study that is being submitted.
pub(super) struct Submission {
    study: StudySpec,
    purpose: Purpose,
    /// All who get its answer.
    askers: Vec<Asker>,
    /// What was asked of its name meanwhile and is something else.
    later: Vec<Job>,
}

/// The texts of a study were read, and it was planned.
pub(super) struct Surveyed {
    job: Job,
    planned: Result<(StudyFacts, Plan), String>,
}

/// A study was weighed, and its files were written if it was submitted.
pub(super) struct Recorded {
    job: Job,
    /// Runs that were held back for it.
    held: Vec<RunId>,
    result: Result<Outcome, String>,
}

/// What came of a study.
enum Outcome {
    Checked(Box<PlanReport>),
    Written(Box<Written>),
}

/// A study that is on disk.
struct Written {
    study: StudyRecord,
    runs: Vec<RunSpec>,
    amendments: Amendments,
    report: PlanReport,
    /// When what is new was queued, Unix milliseconds.
    queued_ms: u64,
}

/// What the loop knows of the runs of a plan.
struct Known {
    /// Where those are that the lab has.
    existing: HashMap<RunId, RunStatus>,
    /// Runs of the lab that others of the plan go on from: cell, whether it is over, step.
    parents: HashMap<RunId, (String, bool, u64)>,
    amendments: Amendments,
    /// The study of that name, if there is one.
    present: Option<StudyRecord>,
    workload: Workload,
    now_ms: u64,
}

/// Reasons for which cells are refused that are told when all are.
const REASONS: usize = 5;

/// Read and expand.
async fn read_and_plan(study: &StudySpec, digester: Digester) -> Result<(StudyFacts, Plan), String> {
    // First, because texts may take long.
    check(study).map_err(|error| error.to_string())?;
    let known = digester.survey(study.clone()).await.map_err(|failure| match failure {
        Failure::Refused(message) | Failure::Short(message) => message,
        Failure::Lost(reason) => {
            format!("read the texts and tasks of {}: {reason}; leave that out or mend it, and try again", study.name)
        }
    })?;
    let study = study.clone();
    let planned = tokio::task::spawn_blocking(move || {
        let plan = plan(&study, &known, env!("CARGO_PKG_VERSION")).map_err(|error| error.to_string())?;
        Ok((known, plan))
    });
    planned.await.unwrap_or_else(|error| Err(format!("plan the study: {error}")))
}

/// Takes out of a plan what would begin with a checkpoint that was not kept, and all that goes on from it. Blocking.
fn refuse_what_is_past(plan: &mut Plan, known: &Known, home: &Home) {
    let mut refused: HashMap<RunId, String> = HashMap::new();
    for run in plan.runs.iter().filter(|run| !known.existing.contains_key(&run.id)) {
        let Some(parent) = &run.parent else { continue };
        let reason = refused.get(&parent.run).cloned().or_else(|| not_kept(parent, known, home));
        if let Some(reason) = reason {
            plan.refusals.push(Refusal { cell: run.lineage(), reason: reason.clone() });
            refused.insert(run.id.clone(), reason);
        }
    }
    plan.runs.retain(|run| !refused.contains_key(&run.id));
}

/// Why nothing can begin at a step of a run of the lab.
fn not_kept(ParentSpec { run, step, .. }: &ParentSpec, known: &Known, home: &Home) -> Option<String> {
    let (cell, is_finished, reached) = known.parents.get(run)?;
    let past = *is_finished || reached > step;
    (past && !home.run(run).has_checkpoint(*step)).then(|| {
        format!(
            "{cell} {run}, which it goes on from, is past step {step} and kept no checkpoint of it; go on from its last step, or \
             change a setting of it, such as its seed, so that it is trained again"
        )
    })
}

/// What a study that was planned would do, or does: its files are written if it was submitted. Blocking.
fn weigh(job: &Job, facts: &StudyFacts, mut plan: Plan, known: Known, home: &Home) -> Result<Outcome, String> {
    let name = &job.study.name;
    refuse_what_is_past(&mut plan, &known, home);
    let existing = |run: &RunId| known.existing.get(run).cloned();
    let mut report = report(&job.study, &plan, facts, &known.workload, &existing);
    let machine = machine(home);
    if job.purpose != (Purpose::Submit { force: true })
        && let Some(refusal) = admission::refusal(&plan.runs, &report, &machine)
    {
        let verb = if job.purpose == Purpose::Check { "plan" } else { "submit" };
        return Err(format!("{verb} {name}: {refusal}"));
    }
    report.notices.extend(admission::remarks(&plan.runs, &report, &machine, known.workload.slots));
    report.notices.extend(known.amendments.told(name));
    if job.purpose == Purpose::Check {
        return Ok(Outcome::Checked(Box::new(report)));
    }
    if plan.runs.is_empty() {
        return Err(nothing_to_train(name, &plan.refusals));
    }
    let ids: Vec<RunId> = plan.runs.iter().map(|run| run.id.clone()).collect();
    if let Some(present) = known.present.as_ref().filter(|present| !present.derived) {
        let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) = (ids.iter().collect(), present.runs.iter().collect());
        if ours != theirs {
            return Err(if present.spec == job.study {
                format!("submit {name}: its texts changed since it was first submitted; change `name`")
            } else {
                format!(
                    "submit {name}: the lab has another study of that name, with other runs; change `name`, or \
                     `trilab study show {name}`"
                )
            });
        }
    }
    let submitted_ms = known.present.as_ref().map_or(known.now_ms, |present| present.submitted_ms);
    let study = StudyRecord { spec: job.study.clone(), runs: ids, submitted_ms, derived: false };
    write(&study, &plan.runs, &known, home)
        .map_err(|error| format!("{error:#}; submit the study again when that is mended"))?;
    let queued_ms = known.now_ms;
    let written = Written { study, runs: plan.runs, amendments: known.amendments, report, queued_ms };
    Ok(Outcome::Written(Box::new(written)))
}

fn nothing_to_train(name: &StudyId, refusals: &[Refusal]) -> String {
    if refusals.is_empty() {
        return format!("submit {name}: grid.exclude leaves no cell of it");
    }
    let reasons: Vec<String> = refusals.iter().take(REASONS).map(|r| format!("{}: {}", r.cell, r.reason)).collect();
    let more = refusals.len().saturating_sub(REASONS);
    let more = if more > 0 { format!("; and {} more", grouped(more as u128)) } else { String::new() };
    format!("submit {name}: no cell of it can be trained; {}{more}", reasons.join("; "))
}

/// Study first, then the specs; only then the queue. Blocking.
fn write(study: &StudyRecord, runs: &[RunSpec], known: &Known, home: &Home) -> anyhow::Result<()> {
    if known.present.as_ref().is_none_or(|present| present.derived || present.spec != study.spec) {
        study.save(home)?;
    }
    let mut batch = Batch::default();
    for run in runs {
        let folder = home.run(&run.id);
        // One that is damaged is what the study says.
        if !known.existing.contains_key(&run.id) || matches!(folder.spec(), Err(RunLogError::Spec { .. })) {
            folder.put_new(&mut batch, run)?;
        }
    }
    for spec in known.amendments.specs() {
        home.run(&spec.id).put_amended(&mut batch, spec)?;
    }
    for run in known.amendments.retried() {
        home.run(run).put_control(&mut batch, Some(Control::Run), &[])?;
    }
    // A parent that the lab had already was queued when nobody waited for that step.
    let mut wanted: BTreeMap<&RunId, BTreeSet<u64>> = BTreeMap::new();
    for parent in runs.iter().filter_map(|run| run.parent.as_ref()) {
        if known.existing.contains_key(&parent.run) || known.parents.contains_key(&parent.run) {
            wanted.entry(&parent.run).or_default().insert(parent.step);
        }
    }
    for (run, mut steps) in wanted {
        let parent = home.run(run);
        let spec = parent.spec()?;
        for kept in spec.probes.keep_steps.iter().chain([&spec.training.steps]) {
            steps.remove(kept);
        }
        if !steps.is_empty() {
            parent.put_control(&mut batch, None, &steps.into_iter().collect::<Vec<_>>())?;
        }
    }
    Ok(batch.commit()?)
}

impl Engine {
    /// Say what a study would do.
    pub(super) fn check_study(&mut self, asker: Asker, study: StudySpec) {
        self.survey(Job { asker, study, purpose: Purpose::Check });
    }

    /// Queue a study; one that is being submitted is waited for.
    pub(super) fn submit_study(&mut self, asker: Asker, study: StudySpec, force: bool) {
        let purpose = Purpose::Submit { force };
        if let Some(submission) = self.beside.submissions.get_mut(&study.name) {
            if submission.study == study && submission.purpose == purpose {
                submission.askers.push(asker);
            } else {
                submission.later.push(Job { asker, study, purpose });
            }
            return;
        }
        let submission = Submission { study: study.clone(), purpose, askers: vec![asker], later: Vec::new() };
        self.beside.submissions.insert(study.name.clone(), submission);
        self.survey(Job { asker, study, purpose });
    }

    /// First step: read the texts and tasks in a process of its own, and plan beside the loop.
    fn survey(&mut self, job: Job) {
        let (news, digester, planning) = (self.news.clone(), self.digester(), Arc::clone(&self.beside.planning));
        let watcher = (job.purpose == Purpose::Check).then_some(job.asker.session);
        let reading = self.digests.spawn(async move {
            // Nobody closes it.
            let permit = planning.acquire_owned().await;
            let planned = read_and_plan(&job.study, digester).await;
            _ = news.send(Happened::Surveyed(Box::new(Surveyed { job, planned }))).await;
            drop(permit);
        });
        if let Some(session) = watcher {
            let checks = self.checks.entry(session).or_default();
            checks.retain(|check| !check.is_finished());
            checks.push(reading);
        }
    }

    /// What reads other people's files for this lab. What ended is forgotten.
    pub(super) fn digester(&mut self) -> Digester {
        while self.digests.try_join_next().is_some() {}
        Digester::new(self.launcher.program(), self.home.corpora_dir())
    }

    /// Second step: say what is known of the runs; then, beside the loop, the plan is weighed and the files are written.
    pub(super) fn surveyed(&mut self, Surveyed { job, planned }: Surveyed) {
        let (facts, plan) = match planned {
            Ok(planned) => planned,
            Err(message) => return self.answer_all(&job, Reply::Refused { message }),
        };
        for corpus in facts.corpora() {
            if corpus.ready {
                self.ready.insert(corpus.fingerprint.clone());
            } else if job.purpose != Purpose::Check {
                // Its texts are at hand: what is damaged, or was prepared by an earlier version, is prepared again.
                self.ready.remove(&corpus.fingerprint);
            }
        }
        let known = self.known_of(&job.study, &plan);
        let held = if job.purpose == Purpose::Check { Vec::new() } else { self.hold_for(&known) };
        let (home, news, files) = (self.home.clone(), self.news.clone(), self.beside.files.clone());
        tokio::task::spawn_blocking(move || {
            let writing = (job.purpose != Purpose::Check).then(|| files.take());
            let result = to_the_end("plan the study", || weigh(&job, &facts, plan, known, &home));
            _ = news.blocking_send(Happened::Recorded(Box::new(Recorded { job, held, result })));
            drop(writing);
        });
    }

    fn known_of(&self, study: &StudySpec, plan: &Plan) -> Known {
        let (mut existing, mut parents) = (HashMap::new(), HashMap::new());
        let mut amendments = Amendments::default();
        for run in &plan.runs {
            if let Some(record) = self.runs.get(&run.id) {
                existing.insert(run.id.clone(), record.status.clone());
                amendments.compare(record, run);
            }
            let parent = run.parent.as_ref().and_then(|parent| self.runs.get(&parent.run));
            if let Some(record) = parent {
                let is_finished = record.status == RunStatus::Finished;
                let sight = (record.spec.cell(), is_finished, record.sight.facts.step);
                parents.insert(record.spec.id.clone(), sight);
            }
        }
        let present = self.studies.get(&study.name).cloned();
        Known { existing, parents, amendments, present, workload: self.workload(), now_ms: self.now_ms() }
    }

    /// Hold back the runs of the lab whose files may be written.
    fn hold_for(&mut self, known: &Known) -> Vec<RunId> {
        let amended = known.amendments.specs().map(|spec| spec.id.clone());
        let held: BTreeSet<RunId> = known.parents.keys().cloned().chain(amended).collect();
        held.iter().for_each(|run| self.hold_back(run));
        held.into_iter().collect()
    }

    /// Last step: the runs that the lab did not have join the queue, and those that failed under other settings do again.
    pub(super) fn recorded(&mut self, Recorded { job, held, result }: Recorded) {
        held.iter().for_each(|run| self.let_go(run));
        match result {
            Err(message) => self.answer_all(&job, Reply::Refused { message }),
            Ok(Outcome::Checked(report)) => self.answer_all(&job, Reply::Plan(report)),
            Ok(Outcome::Written(written)) => {
                let report = self.enqueue_study(*written);
                self.answer_all(&job, Reply::Submitted(Box::new(report)));
            }
        }
        // What a refused study held back may start.
        if !held.is_empty() {
            self.schedule();
        }
    }

    fn enqueue_study(&mut self, written: Written) -> PlanReport {
        let Written { study, runs, amendments, report, queued_ms } = written;
        let name: StudyId = study.spec.name.clone();
        self.log.say(&format!("study {name}: {} runs", runs.len()));
        self.studies.insert(name.clone(), study);
        let fingerprints: BTreeSet<String> = runs.iter().map(|run| run.data.fingerprint.clone()).collect();
        for spec in amendments.specs() {
            if let Some(record) = self.runs.get_mut(&spec.id) {
                record.spec = spec.clone();
            }
        }
        for run in amendments.retried() {
            if let Some(record) = self.runs.get_mut(run).filter(|record| record.status.can_retry()) {
                record.wish = Control::Run;
                self.ledger.queue.enqueue(run.clone(), 0, queued_ms);
            }
        }
        let mut order = Vec::with_capacity(runs.len());
        for spec in runs {
            let run = spec.id.clone();
            if !self.runs.contains_key(&run) {
                let folder = self.home.run(&run);
                let wish = folder.control().unwrap_or_default();
                self.add_run(RunRecord::new(spec, wish));
                if folder.attempts().is_ok_and(|attempts| attempts.is_empty()) {
                    self.ledger.queue.enqueue(run.clone(), 0, queued_ms);
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
            order.push(run);
        }
        for run in order {
            self.restate(&run);
            self.changes.run(run);
        }
        self.save_ledger();
        self.changes.lab = true;
        // What failed to be prepared before may have been mended.
        for fingerprint in fingerprints {
            if self.preparations.get(&fingerprint).is_some_and(|preparation| preparation.failed.is_some()) {
                self.preparations.remove(&fingerprint);
                self.restate_runs_of(&fingerprint);
            }
        }
        self.prepare_what_is_missing();
        self.schedule();
        report
    }

    /// Answer all who wait for this; what was asked of the same study meanwhile begins now.
    fn answer_all(&mut self, job: &Job, reply: Reply) {
        if job.purpose == Purpose::Check {
            return self.reply(job.asker, reply);
        }
        let Some(submission) = self.beside.submissions.remove(&job.study.name) else { return };
        let (first, others) =
            submission.askers.split_first().map_or((job.asker, [].as_slice()), |(first, others)| (*first, others));
        for asker in others {
            self.reply(*asker, reply.clone());
        }
        self.reply(first, reply);
        for Job { asker, study, purpose } in submission.later {
            self.submit_study(asker, study, purpose == Purpose::Submit { force: true });
        }
    }
}
