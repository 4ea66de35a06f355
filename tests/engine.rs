//! The server in this process: clients over in-memory pipes, a launcher whose workers the test plays itself, a supplied
//! clock. What is waited for is waited for by subscription, for as long as news comes.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken test stops")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use trilab::config::load_study;
use trilab::core::board::EqualBudget;
use trilab::core::stage::{StageCorpus, StageSettings};
use trilab::core::study::{Axis, StudySpec};
use trilab::core::summary::{Curve, LabSummary, PlanReport, RunDetail, RunSummary};
use trilab::core::texts::TokenizerSpec;
use trilab::core::{
    Architecture, Control, ControlSource, EventSink, Metric, Metrics, Objective, RunEvent, RunId, RunStatus,
};
use trilab::corpus::Corpus;
use trilab::runlog::{EventLog, Home, RunFolder, RunLock};
use trilab::schedule::{LaunchError, Launched, Launcher};
use trilab::server::{Clock, Ended, Engine, Incoming, LabOptions, ServerOptions, look_at, serve, unwritable};
use trilab::wire::{
    ClientFrame, Connection, FrameReader, FrameWriter, Frames, Reply, Request, RunSelection, ServerFrame, ServerRecord,
    Topic, Update, WireError, attach, connect, stop_server,
};

/// How long no news may come: far longer than any single answer takes on a slow machine.
const QUIET: Duration = Duration::from_secs(120);

/// A worker that the test plays: it holds the lock and writes the log, as the real one does.
struct Worker {
    folder: RunFolder,
    log: EventLog,
    _lock: RunLock,
}

impl Worker {
    fn say(&mut self, event: RunEvent) {
        self.log.record(event).unwrap();
    }

    fn step(&mut self, step: u64) {
        let metrics = Metrics::from([(Metric::Loss, 5.0 / step as f64), (Metric::TokensPerSecond, 1000.0)]);
        self.say(RunEvent::StepLogged { step, tokens: step * 64, elapsed_s: step as f64, metrics });
    }

    /// Leave as the wish says.
    fn obey(mut self, step: u64) {
        match self.folder.control().unwrap() {
            Control::Pause => self.say(RunEvent::Paused { step }),
            Control::Stop => self.say(RunEvent::Stopped { step }),
            other => panic!("nothing to obey: {other:?}"),
        }
    }

    fn finish(mut self) {
        let steps = self.folder.spec().unwrap().training.steps;
        self.step(steps);
        self.say(RunEvent::Finished { step: steps });
    }
}

#[derive(Clone, Default)]
struct Stage {
    workers: Arc<Mutex<BTreeMap<RunId, Worker>>>,
    launches: Arc<Mutex<Vec<RunId>>>,
    broken: Arc<Mutex<bool>>,
}

impl Stage {
    fn take(&self, run: &RunId) -> Worker {
        self.workers.lock().unwrap().remove(run).unwrap()
    }

    fn step(&self, run: &RunId, step: u64) {
        self.workers.lock().unwrap().get_mut(run).unwrap().step(step);
    }
}

impl Launcher for Stage {
    fn launch(&mut self, run: &RunFolder) -> Result<Launched, LaunchError> {
        if *self.broken.lock().unwrap() {
            let source = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(LaunchError::Start { program: "trilab".into(), source });
        }
        assert_eq!(run.control().unwrap(), Control::Run, "the wish is reset before a launch");
        let lock = run.lock().unwrap();
        let attempt = run.reserve_attempt()?;
        let mut now = 1_000_000 * u64::from(attempt.number);
        let mut log = EventLog::create(&attempt.events_path(), run.id(), attempt.number, move || {
            now += 1;
            now
        })?;
        log.record(RunEvent::Started {
            attempt: attempt.number,
            program_version: "0".into(),
            device: "cpu".into(),
            threads: 1,
            host: "stage".into(),
            pid: 1,
            parameters: 1,
            steps: run.spec()?.training.steps,
        })
        .unwrap();
        self.launches.lock().unwrap().push(run.id().clone());
        let worker = Worker { folder: run.clone(), log, _lock: lock };
        self.workers.lock().unwrap().insert(run.id().clone(), worker);
        Ok(Launched { attempt: attempt.number, process: None })
    }
}

/// A server in this process.
struct Lab {
    home: Home,
    stage: Stage,
    clients: mpsc::Sender<Incoming>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Ended>,
}

impl Lab {
    async fn open(path: &Path, slots: usize, stage: Stage) -> Self {
        let now = AtomicU64::new(1_700_000_000_000);
        let clock: Clock = Arc::new(move || now.fetch_add(1, Ordering::Relaxed));
        let options = LabOptions { home: path.to_owned(), slots };
        let launcher = stage.clone();
        let engine = tokio::task::spawn_blocking(move || Engine::open(&options, Box::new(launcher), clock).unwrap());
        let engine = engine.await.unwrap();
        let (clients, incoming) = mpsc::channel(4);
        let (stop, stopped) = oneshot::channel::<()>();
        let until = async move {
            stopped.await.ok();
        };
        let serving = tokio::spawn(async move { engine.run(incoming, until, || true).await.unwrap() });
        Self { home: Home::new(path), stage, clients, stop, serving }
    }

    /// Leave as on TERM; workers stay.
    async fn close(self) -> Stage {
        self.stop.send(()).unwrap();
        assert_eq!(timeout(QUIET, self.serving).await.unwrap().unwrap(), Ended::Asked);
        self.stage
    }

    async fn stream(&self) -> tokio::io::DuplexStream {
        let (near, far) = tokio::io::duplex(1 << 16);
        self.clients.send(Box::new(far)).await.unwrap();
        near
    }

    async fn client(&self) -> Connection {
        Connection::connect(self.stream().await).await.unwrap()
    }

    async fn watch(&self, topics: Vec<Topic>) -> Watch {
        let (requests, frames) = self.client().await.split();
        requests.send(ClientFrame { id: 1, request: Request::Subscribe { topics } }).await.unwrap();
        Watch { requests, frames, last: None }
    }
}

/// A subscribed client.
struct Watch {
    requests: mpsc::Sender<ClientFrame>,
    frames: Frames,
    /// What is on its screen: an idle lab does not repeat itself.
    last: Option<LabSummary>,
}

impl Watch {
    async fn next(&mut self) -> Update {
        loop {
            match timeout(QUIET, self.frames.next()).await.unwrap().unwrap() {
                ServerFrame::Update(update) => return update,
                ServerFrame::Reply { .. } => {}
            }
        }
    }

    /// The first screen, the present one included, that is as wanted.
    async fn lab(&mut self, what: &str, wanted: impl Fn(&LabSummary) -> bool) -> LabSummary {
        let mut advanced = Instant::now();
        loop {
            if let Some(lab) = self.last.as_ref().filter(|lab| wanted(lab)) {
                return lab.clone();
            }
            match timeout_at(advanced + QUIET, self.frames.next()).await {
                Ok(Ok(ServerFrame::Update(Update::Lab(lab)))) => {
                    // The load of the machine is no news of the lab.
                    let now = LabSummary { machine_load: None, memory_used: None, ..*lab };
                    if self.last.as_ref() != Some(&now) {
                        advanced = Instant::now();
                    }
                    self.last = Some(now);
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => panic!("{what}: {error}"),
                Err(_) => panic!("{what} never came; last: {:#?}", self.last),
            }
        }
    }

    /// Wait until a run's status is called so.
    async fn status(&mut self, run: &RunId, word: &str) -> RunSummary {
        let has = |lab: &LabSummary| lab.runs.iter().any(|row| &row.id == run && row.status.word() == word);
        let lab = self.lab(&format!("{run} {word}"), has).await;
        row(&lab, run).clone()
    }
}

fn row<'l>(lab: &'l LabSummary, run: &RunId) -> &'l RunSummary {
    lab.runs.iter().find(|row| &row.id == run).unwrap()
}

fn runs_as(lab: &LabSummary, run: &RunId, attempt: u32) -> bool {
    lab.runs.iter().any(|row| &row.id == run && row.attempt == attempt && row.status.word() == "running")
}

/// A study of `seeds` runs over a small text.
fn study(folder: &Path, name: &str, seeds: usize) -> StudySpec {
    let text: String = (0..3000).map(|n| format!("ship {} of {}. ", n * 7919 % 1000, n % 13)).collect();
    let path = folder.join("text.txt");
    if !path.exists() {
        fs::write(&path, text).unwrap();
    }
    let seeds: Vec<String> = (1..=seeds).map(|seed| seed.to_string()).collect();
    let toml = format!(
        "name = '{name}'\n[grid]\nseed = [{}]\n[corpus]\npaths = ['text.txt']\n[model]\nd_model = 16\n[training]\n\
         seq_len = 16\nbatch_size = 4\nwarmup_steps = 2\n[budget]\nsteps = 10\n",
        seeds.join(", ")
    );
    load_study(None, "study.toml", &toml, folder, &[]).unwrap()
}

async fn submit(client: &mut Connection, study: &StudySpec) -> PlanReport {
    match client.request(Request::SubmitStudy { study: Box::new(study.clone()), force: false }).await.unwrap() {
        Reply::Submitted(report) => *report,
        other => panic!("{other:?}"),
    }
}

async fn change(client: &mut Connection, request: Request) -> (Vec<RunId>, Vec<(RunId, String)>) {
    match client.request(request).await.unwrap() {
        Reply::Changed { runs, refused } => (runs, refused),
        other => panic!("{other:?}"),
    }
}

fn one(run: &RunId) -> RunSelection {
    RunSelection::Runs(vec![run.clone()])
}

fn ids(report: &PlanReport) -> Vec<RunId> {
    report.runs.iter().map(|run| run.id.clone()).collect()
}

/// What the index says of a run.
async fn indexed(client: &mut Connection, run: &RunId) -> (RunDetail, Curve) {
    let Reply::Run(detail) = client.request(Request::ShowRun { run: run.clone() }).await.unwrap() else { panic!() };
    let curve = Request::GetCurve { run: run.clone(), metric: Metric::Loss, width: None };
    let Reply::Curve(curve) = client.request(curve).await.unwrap() else { panic!() };
    (*detail, curve)
}

#[tokio::test]
async fn a_study_is_prepared_queued_trained_and_finished() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("lab"), 1, Stage::default()).await;
    let mut client = lab.client().await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let study = study(folder.path(), "first", 2);
    let Reply::Plan(plan) = client.request(Request::CheckStudy { study: Box::new(study.clone()) }).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((plan.runs.len(), plan.corpus_ready, plan.seconds), (2, false, None));
    assert!(lab.home.list_runs().unwrap().is_empty(), "a check writes nothing");
    let report = submit(&mut client, &study).await;
    let runs = ids(&report);
    assert_eq!(runs, ids(&plan));
    let running = watch.status(&runs[0], "running").await;
    assert_eq!((running.attempt, running.steps, running.studies.len()), (1, 10, 1));
    let waiting = watch.lab("the second waits", |lab| row(lab, &runs[1]).status == RunStatus::Queued).await;
    assert_eq!(row(&waiting, &runs[1]).queue_position, Some(0));
    assert_eq!(waiting.slots[0].run.as_ref(), Some(&runs[0]));
    lab.stage.step(&runs[0], 1);
    lab.stage.step(&runs[0], 2);
    let seen = watch.lab("two steps", |lab| row(lab, &runs[0]).step == 2).await;
    assert_eq!(row(&seen, &runs[0]).latest[&Metric::Loss], 2.5);
    assert_eq!(row(&seen, &runs[0]).eta_s, Some(8.0 * 64.0 / 1000.0));
    lab.stage.take(&runs[0]).finish();
    watch.status(&runs[0], "finished").await;
    watch.status(&runs[1], "running").await;
    lab.stage.take(&runs[1]).finish();
    let finished = |lab: &LabSummary| lab.studies[0].counts.get("finished") == Some(&2);
    // A worker that has said its last word may still be leaving.
    let done = watch.lab("a free slot", |lab| finished(lab) && lab.slots.iter().all(|slot| slot.run.is_none())).await;
    assert_eq!(done.queue_eta_s, None);
    let (detail, curve) = indexed(&mut client, &runs[0]).await;
    assert_eq!(curve.points.iter().map(|point| point.step).collect::<Vec<_>>(), [1, 2, 10]);
    assert!(matches!(detail.events.last().unwrap().event, RunEvent::Finished { step: 10 }));
    let Reply::Plan(again) = client.request(Request::CheckStudy { study: Box::new(study) }).await.unwrap() else {
        panic!()
    };
    assert!(again.corpus_ready && again.flops == 0.0, "nothing is left to do");
    assert!(again.runs.iter().all(|run| run.existing == Some(RunStatus::Finished)));
    lab.close().await;
}

/// A study whose run goes on as another.
fn staged(folder: &Path, from_step: u64) -> StudySpec {
    let mut study = study(folder, "staged", 1);
    let adapt = StageSettings {
        architecture: Some(Architecture::NonCausalDecoder),
        objective: Some(Objective::PrefixLm),
        from_step: Some(from_step),
        ..StageSettings::default()
    };
    study.stages = BTreeMap::from([("adapt".to_owned(), adapt)]);
    study.grid.then = vec![vec!["adapt".to_owned()]];
    study
}

impl Worker {
    fn checkpoint(&mut self, step: u64) {
        fs::create_dir_all(self.folder.checkpoint_dir(step)).unwrap();
        self.say(RunEvent::CheckpointSaved { step, bytes: 1, seconds: 0.1 });
    }
}

#[tokio::test]
async fn a_child_waits_for_its_parent_and_a_failed_parent_blocks_it() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("home"), 2, Stage::default()).await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let mut client = lab.client().await;
    let report = submit(&mut client, &staged(folder.path(), 10)).await;
    let [parent, child] = ids(&report).try_into().unwrap();
    watch.status(&parent, "running").await;
    let row = watch.status(&child, "waiting").await;
    assert_eq!((row.cell(), row.status), ("CD:FLM→ND:PLM".to_owned(), RunStatus::Waiting { parent: parent.clone() }));
    let mut worker = lab.stage.take(&parent);
    worker.step(4);
    worker.say(RunEvent::Failed { message: "the disk is full".to_owned() });
    drop(worker);
    let row = watch.status(&child, "blocked").await;
    let RunStatus::Blocked { reason } = row.status else { panic!() };
    assert!(
        reason.starts_with(&format!("retry {parent} when it is mended"))
            && reason.ends_with("failed: the disk is full"),
        "{reason}"
    );
    change(&mut client, Request::RetryRuns { runs: one(&parent) }).await;
    watch.status(&child, "waiting").await;
    watch.lab("the parent runs again", |lab| runs_as(lab, &parent, 2)).await;
    let mut worker = lab.stage.take(&parent);
    worker.checkpoint(10);
    worker.finish();
    watch.status(&child, "running").await;
    assert_eq!(*lab.stage.launches.lock().unwrap(), [parent.clone(), parent, child.clone()]);
    lab.stage.take(&child).finish();
    watch.status(&child, "finished").await;
}

#[tokio::test]
async fn a_child_of_an_early_step_starts_while_its_parent_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("home"), 2, Stage::default()).await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let mut client = lab.client().await;
    let [parent, child] = ids(&submit(&mut client, &staged(folder.path(), 4)).await).try_into().unwrap();
    watch.status(&parent, "running").await;
    let mut worker = lab.stage.take(&parent);
    worker.step(4);
    worker.checkpoint(4);
    watch.status(&child, "running").await;
    assert_eq!(worker.folder.spec().unwrap().probes.keep_steps, [4]);
    // A parent that trains already is told of a step that it is still to reach.
    let named = |name: &str, from_step| StudySpec { name: name.parse().unwrap(), ..staged(folder.path(), from_step) };
    let later = ids(&submit(&mut client, &named("later", 6)).await).pop().unwrap();
    watch.status(&later, "waiting").await;
    let mut wish = worker.folder.control_source();
    assert_eq!((wish.control(), wish.kept_steps()), (Control::Run, &[6][..]));
    worker.step(5);
    worker.checkpoint(6);
    worker.finish();
    watch.status(&parent, "finished").await;
    for (name, step) in [("late", 5), ("early", 3)] {
        let study = Box::new(named(name, step));
        let Reply::Plan(plan) = client.request(Request::CheckStudy { study }).await.unwrap() else { panic!() };
        let [refusal] = plan.refusals.as_slice() else { panic!("{plan:?}") };
        assert_eq!((refusal.cell.as_str(), plan.runs.len()), (format!("CD:FLM@{step}→ND:PLM").as_str(), 1));
        assert!(refusal.reason.contains(&format!("is past step {step} and kept no checkpoint of it")), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_finished_parent_makes_a_lost_checkpoint_again_and_its_child_goes_on_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("home");
    let lab = Lab::open(&path, 2, Stage::default()).await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let mut client = lab.client().await;
    let [parent, child] = ids(&submit(&mut client, &staged(folder.path(), 10)).await).try_into().unwrap();
    watch.status(&parent, "running").await;
    let mut worker = lab.stage.take(&parent);
    worker.checkpoint(10);
    worker.finish();
    watch.status(&child, "running").await;
    let (_, refused) = change(&mut client, Request::RetryRuns { runs: one(&parent) }).await;
    assert!(refused[0].1.contains("it is finished; only stopped, diverged or failed"), "{refused:?}");
    // The child finds the checkpoint damaged, sets it aside and leaves without a word of an ending.
    let checkpoints = lab.home.run(&parent).checkpoints_dir();
    fs::rename(checkpoints.join("step-00000010"), checkpoints.join("damaged-step-00000010")).unwrap();
    drop(lab.stage.take(&child));
    let RunStatus::Blocked { reason } = watch.status(&child, "blocked").await.status else { panic!() };
    assert!(
        reason.starts_with(&format!("retry {parent}, which makes it again: the checkpoint of step 10")),
        "{reason}"
    );
    assert!(reason.ends_with("which it goes on from, was damaged and is set aside"), "{reason}");
    // All of that is on the disk: another server knows it too.
    let lab = Lab::open(&path, 2, lab.close().await).await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let mut client = lab.client().await;
    watch.status(&child, "blocked").await;
    let (changed, refused) = change(&mut client, Request::RetryRuns { runs: one(&parent) }).await;
    assert_eq!((changed, refused), (vec![parent.clone()], vec![]));
    watch.lab("the parent runs again", |lab| runs_as(lab, &parent, 2)).await;
    watch.status(&child, "waiting").await;
    let mut worker = lab.stage.take(&parent);
    let mut wish = worker.folder.control_source();
    assert_eq!((wish.control(), wish.kept_steps()), (Control::Run, &[10][..]));
    worker.checkpoint(10);
    worker.finish();
    watch.lab("the child goes on", |lab| runs_as(lab, &child, 2)).await;
    watch.status(&parent, "finished").await;
    lab.stage.take(&child).finish();
    watch.status(&child, "finished").await;
    let (_, refused) = change(&mut client, Request::RetryRuns { runs: one(&parent) }).await;
    assert!(refused[0].1.contains("only stopped, diverged or failed"), "nothing is lost any more: {refused:?}");
    lab.close().await;
}

#[tokio::test]
async fn a_corpus_that_a_run_found_damaged_is_prepared_again_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("home"), 1, Stage::default()).await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let mut client = lab.client().await;
    let runs = ids(&submit(&mut client, &study(folder.path(), "damaged", 2)).await);
    watch.status(&runs[0], "running").await;
    let worker = lab.stage.take(&runs[0]);
    let corpus = worker.folder.spec().unwrap().data.directory;
    let shard = corpus.join("train.tokens");
    let whole = fs::read(&shard).unwrap();
    let mut other = whole.clone();
    other[100] ^= 1;
    fs::write(&shard, other).unwrap();
    trilab::corpus::set_aside(&corpus).unwrap();
    drop(worker);
    watch.lab("the run goes on", |lab| runs_as(lab, &runs[0], 2)).await;
    assert_eq!(fs::read(&shard).unwrap(), whole);
    assert!(trilab::corpus::verify(&corpus).unwrap().is_whole());
    let repaired = |lab: &LabSummary| lab.notices.iter().any(|notice| notice.contains("was damaged and is repaired"));
    watch.lab("a notice", repaired).await;
    // Also one that is not there at all when the next run is to start.
    fs::remove_dir_all(&corpus).unwrap();
    lab.stage.take(&runs[0]).finish();
    watch.status(&runs[1], "running").await;
    assert!(trilab::corpus::verify(&corpus).unwrap().is_whole());
    lab.close().await;
}

#[tokio::test]
async fn a_damaged_spec_is_left_out_with_the_cure_and_the_cure_works() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("home");
    let lab = Lab::open(&path, 1, Stage::default()).await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let mut client = lab.client().await;
    let study = study(folder.path(), "spec", 1);
    let run = ids(&submit(&mut client, &study).await).remove(0);
    watch.status(&run, "running").await;
    lab.stage.take(&run).finish();
    watch.status(&run, "finished").await;
    let file = lab.home.run(&run).spec_path();
    let stage = lab.close().await;
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, whole.replace("\"seed\": 1", "\"seed\": 3")).unwrap();
    let lab = Lab::open(&path, 1, stage).await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let mut client = lab.client().await;
    let told = |lab: &LabSummary| {
        let said =
            |notice: &&String| notice.contains("spec.json") && notice.contains("submit the study of this run again");
        lab.notices.iter().any(|notice| said(&notice)) && lab.runs.is_empty()
    };
    watch.lab("a notice", told).await;
    submit(&mut client, &study).await;
    assert_eq!(fs::read_to_string(&file).unwrap(), whole);
    // What it had made before is known again, and nothing is made twice.
    let row = watch.status(&run, "finished").await;
    assert_eq!((row.step, lab.stage.launches.lock().unwrap().len()), (10, 1));
    lab.close().await;
}

#[tokio::test]
async fn targets_that_fit_no_row_are_refused_before_the_texts_are_prepared() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("home"), 1, Stage::default()).await;
    let mut client = lab.client().await;
    let mut finetuned = staged(folder.path(), 10);
    finetuned.name = "finetuned".parse().unwrap();
    let stage = finetuned.stages.get_mut("adapt").unwrap();
    (stage.architecture, stage.objective) = (None, Some(Objective::Finetuning));
    stage.tasks = vec!["shipped:write_summary".to_owned()];
    for tokenizer in [TokenizerSpec::Bytes, TokenizerSpec::Chars] {
        finetuned.corpus.tokenizer = tokenizer;
        match client.request(Request::CheckStudy { study: Box::new(finetuned.clone()) }).await {
            Err(WireError::Refused(message)) => {
                assert!(message.contains("train the stage adapt: none of its"), "{message}");
                assert!(message.contains("target of at most 4 tokens, a quarter of seq_len 16"), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
    // A BPE gives fewer tokens than there are characters; how many is known once it is trained.
    finetuned.corpus.tokenizer = TokenizerSpec::Bpe(300);
    let check = Request::CheckStudy { study: Box::new(finetuned) };
    let Reply::Plan(plan) = client.request(check).await.unwrap() else { panic!() };
    assert_eq!((plan.runs.len(), plan.corpus_ready), (2, false));
}

#[tokio::test]
async fn a_stage_with_other_texts_has_them_prepared_in_the_vocabulary_of_the_stage_before() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("home"), 2, Stage::default()).await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let mut client = lab.client().await;
    let other = folder.path().join("other.txt");
    fs::write(&other, "a tale of another town. ".repeat(500)).unwrap();
    let mut study = staged(folder.path(), 10);
    let read = |study: &mut StudySpec, tokenizer: Option<TokenizerSpec>| {
        let paths = Some(vec![other.display().to_string()]);
        let corpus = StageCorpus { paths, tokenizer, ..StageCorpus::default() };
        study.stages.get_mut("adapt").unwrap().corpus = Some(corpus);
    };
    read(&mut study, Some(TokenizerSpec::Chars));
    let Reply::Plan(plan) = client.request(Request::CheckStudy { study: Box::new(study.clone()) }).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(plan.refusals[0].cell, "CD:FLM → ND:PLM");
    assert!(plan.refusals[0].reason.starts_with("other/chars has another vocabulary than "), "{plan:?}");
    read(&mut study, None);
    let report = submit(&mut client, &study).await;
    assert!(report.corpus.ends_with("/bytes, other/bytes"), "{report:?}");
    let [parent, child] = ids(&report).try_into().unwrap();
    watch.status(&parent, "running").await;
    let mut worker = lab.stage.take(&parent);
    worker.checkpoint(10);
    worker.finish();
    watch.status(&child, "running").await;
    let own = lab.stage.take(&child).folder.spec().unwrap().data;
    assert_eq!(own.name, "other/bytes");
    assert_eq!(Corpus::open(&own.directory).unwrap().manifest().settings.paths, [other.display().to_string()]);
}

#[tokio::test]
async fn pause_resume_stop_retry() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("lab"), 1, Stage::default()).await;
    let mut client = lab.client().await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let runs = ids(&submit(&mut client, &study(folder.path(), "verbs", 3)).await);
    watch.status(&runs[0], "running").await;
    // A waiting run is held at once, a running one when its worker has left.
    assert_eq!(change(&mut client, Request::PauseRuns { runs: one(&runs[1]) }).await.0, [runs[1].clone()]);
    watch.status(&runs[1], "paused").await;
    change(&mut client, Request::PauseRuns { runs: one(&runs[0]) }).await;
    lab.stage.take(&runs[0]).obey(0);
    watch.status(&runs[0], "paused").await;
    watch.status(&runs[2], "running").await;
    let (_, refused) = change(&mut client, Request::PauseRuns { runs: one(&runs[0]) }).await;
    assert!(refused[0].1.contains("paused already"), "{refused:?}");
    // A resumed run goes before those that never started.
    change(&mut client, Request::ResumeRuns { runs: one(&runs[1]) }).await;
    change(&mut client, Request::ResumeRuns { runs: one(&runs[0]) }).await;
    let lab_now = watch.lab("both wait", |lab| row(lab, &runs[0]).queue_position.is_some()).await;
    assert_eq!(row(&lab_now, &runs[0]).queue_position, Some(0));
    // Stopped while running, then the next starts as attempt 2.
    change(&mut client, Request::StopRuns { runs: one(&runs[2]) }).await;
    lab.stage.take(&runs[2]).obey(0);
    watch.status(&runs[2], "stopped").await;
    assert_eq!(watch.status(&runs[0], "running").await.attempt, 2);
    // Stopped while waiting: no worker ever runs.
    change(&mut client, Request::StopRuns { runs: one(&runs[1]) }).await;
    watch.status(&runs[1], "stopped").await;
    lab.stage.take(&runs[0]).finish();
    watch.status(&runs[0], "finished").await;
    let (changed, refused) = change(&mut client, Request::RetryRuns { runs: RunSelection::Runs(runs.clone()) }).await;
    assert_eq!(changed, runs[1..]);
    assert!(refused[0].1.contains("only stopped, diverged or failed"), "{refused:?}");
    watch.status(&runs[1], "running").await;
    // A worker that says it failed is over; all at once leaves out what makes no sense, in silence.
    lab.stage.take(&runs[1]).say(RunEvent::Failed { message: "no memory".into() });
    let failed = watch.status(&runs[1], "failed").await;
    assert_eq!(failed.status, RunStatus::Failed { reason: "no memory".into() });
    watch.status(&runs[2], "running").await;
    let (changed, refused) = change(&mut client, Request::StopRuns { runs: RunSelection::All }).await;
    assert_eq!((changed, refused), (vec![runs[2].clone()], vec![]));
    let unknown: RunId = "000000000000".parse().unwrap();
    let (_, refused) = change(&mut client, Request::StopRuns { runs: one(&unknown) }).await;
    assert!(refused[0].1.contains("trilab run list"), "{refused:?}");
    let unknown = RunSelection::Study("nothing".parse().unwrap());
    let error = client.request(Request::StopRuns { runs: unknown }).await.unwrap_err();
    assert!(error.to_string().contains("trilab study list"), "{error}");
    drop(lab.close().await);
}

#[tokio::test]
async fn a_paused_run_that_is_stopped_stays_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab");
    let lab = Lab::open(&path, 1, Stage::default()).await;
    let mut client = lab.client().await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let run = ids(&submit(&mut client, &study(folder.path(), "halted", 1)).await).remove(0);
    watch.status(&run, "running").await;
    change(&mut client, Request::PauseRuns { runs: one(&run) }).await;
    lab.stage.take(&run).obey(0);
    watch.status(&run, "paused").await;
    change(&mut client, Request::StopRuns { runs: one(&run) }).await;
    watch.status(&run, "stopped").await;
    let lab = Lab::open(&path, 1, lab.close().await).await;
    let mut client = lab.client().await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    watch.status(&run, "stopped").await;
    change(&mut client, Request::RetryRuns { runs: one(&run) }).await;
    assert_eq!(watch.status(&run, "running").await.attempt, 2);
    lab.close().await;
}

#[tokio::test]
async fn order_and_priority_and_the_pause_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab");
    let lab = Lab::open(&path, 1, Stage::default()).await;
    let mut client = lab.client().await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    client.request(Request::PauseQueue).await.unwrap();
    let runs = ids(&submit(&mut client, &study(folder.path(), "order", 4)).await);
    for run in &runs {
        watch.status(run, "queued").await;
    }
    change(&mut client, Request::MoveRun { run: runs[2].clone(), by: -2 }).await;
    change(&mut client, Request::ChangePriority { runs: one(&runs[3]), by: 1 }).await;
    change(&mut client, Request::PauseRuns { runs: one(&runs[0]) }).await;
    let error = client.request(Request::MoveRun { run: runs[3].clone(), by: 1 }).await.unwrap_err().to_string();
    assert!(error.contains("last of its priority"), "{error}");
    let order = |lab: &LabSummary| {
        let mut rows: Vec<_> =
            lab.runs.iter().filter_map(|row| Some((row.queue_position?, row.id.clone(), row.priority))).collect();
        rows.sort();
        rows.into_iter().map(|(_, run, priority)| (run, priority)).collect::<Vec<_>>()
    };
    let wanted = [(runs[3].clone(), 1), (runs[2].clone(), 0), (runs[1].clone(), 0)];
    watch.lab("the new order", |lab| order(lab) == wanted).await;
    let stage = lab.close().await;
    assert!(stage.launches.lock().unwrap().is_empty());

    let lab = Lab::open(&path, 1, stage).await;
    let mut client = lab.client().await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let now = watch.lab("anything", |_| true).await;
    assert!(now.queue_paused);
    assert_eq!(order(&now), wanted);
    assert_eq!(row(&now, &runs[0]).status, RunStatus::Paused);
    client.request(Request::ResumeQueue).await.unwrap();
    watch.status(&runs[3], "running").await;
    lab.close().await;
}

#[tokio::test]
async fn a_restarted_server_adopts_the_living_and_puts_back_the_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab");
    let lab = Lab::open(&path, 3, Stage::default()).await;
    let mut client = lab.client().await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let runs = ids(&submit(&mut client, &study(folder.path(), "adopt", 4)).await);
    for run in &runs[..3] {
        watch.status(run, "running").await;
        lab.stage.step(run, 1);
    }
    change(&mut client, Request::ChangePriority { runs: one(&runs[1]), by: 5 }).await;
    change(&mut client, Request::PauseRuns { runs: one(&runs[2]) }).await;
    let stage = lab.close().await;
    // Meanwhile one goes on, one is killed, one obeys the wish.
    stage.step(&runs[0], 2);
    drop(stage.take(&runs[1]));
    stage.take(&runs[2]).obey(1);

    let lab = Lab::open(&path, 2, stage).await;
    let mut client = lab.client().await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let lost = watch.status(&runs[1], "running").await;
    assert_eq!((lost.attempt, lost.priority), (2, 5), "put back before the one that never started");
    let now = watch.lab("the adopted run's step", |lab| row(lab, &runs[0]).step == 2).await;
    assert_eq!(row(&now, &runs[0]).attempt, 1, "the living worker was left alone");
    assert!(matches!(row(&now, &runs[0]).status, RunStatus::Running { .. }));
    assert_eq!(row(&now, &runs[2]).status, RunStatus::Paused);
    assert_eq!(row(&now, &runs[3]).status, RunStatus::Queued);
    lab.stage.take(&runs[0]).finish();
    watch.status(&runs[0], "finished").await;
    watch.status(&runs[3], "running").await;

    // What was read bit by bit while it happened is what a fresh index reads from the logs.
    let before = indexed(&mut client, &runs[0]).await;
    let stage = lab.close().await;
    fs::remove_dir_all(Home::new(&path).index_dir()).unwrap();
    let lab = Lab::open(&path, 2, stage).await;
    let mut client = lab.client().await;
    assert_eq!(indexed(&mut client, &runs[0]).await, before);
    assert_eq!(client.request(Request::Reindex).await.unwrap(), Reply::Done);
    assert_eq!(indexed(&mut client, &runs[0]).await, before);
    lab.close().await;
}

#[tokio::test]
async fn a_worker_that_dies_again_and_again_is_given_up_and_can_be_retried() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("lab"), 1, Stage::default()).await;
    let mut client = lab.client().await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let run = ids(&submit(&mut client, &study(folder.path(), "dies", 1)).await).remove(0);
    for attempt in 1..=3 {
        let at = |lab: &LabSummary| runs_as(lab, &run, attempt);
        watch.lab(&format!("attempt {attempt}"), at).await;
        fs::write(lab.home.run(&run).output_log(attempt), format!("killed {attempt}\n")).unwrap();
        drop(lab.stage.take(&run));
    }
    let RunStatus::Failed { reason } = watch.status(&run, "failed").await.status else { panic!() };
    assert!(reason.contains("3 times") && reason.contains("killed 3"), "{reason}");
    change(&mut client, Request::RetryRuns { runs: one(&run) }).await;
    assert_eq!(watch.status(&run, "running").await.attempt, 4);
    lab.stage.take(&run).finish();
    watch.status(&run, "finished").await;
    lab.close().await;
}

#[tokio::test]
async fn a_resume_that_comes_too_late_for_the_worker_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("lab"), 1, Stage::default()).await;
    let mut client = lab.client().await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let run = ids(&submit(&mut client, &study(folder.path(), "late", 1)).await).remove(0);
    watch.status(&run, "running").await;
    change(&mut client, Request::PauseRuns { runs: one(&run) }).await;
    let mut worker = lab.stage.take(&run);
    change(&mut client, Request::ResumeRuns { runs: one(&run) }).await;
    worker.say(RunEvent::Paused { step: 0 });
    drop(worker);
    let again = |lab: &LabSummary| runs_as(lab, &run, 2);
    watch.lab("attempt 2", again).await;
    lab.close().await;
}

#[tokio::test]
async fn a_worker_that_was_not_looked_at_yet_keeps_its_slot() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("lab"), 2, Stage::default()).await;
    let mut client = lab.client().await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let runs = ids(&submit(&mut client, &study(folder.path(), "slots", 4)).await);
    // Each request settles the run and fills free slots, whatever was seen of the workers so far.
    for _ in 0..50 {
        change(&mut client, Request::ChangePriority { runs: RunSelection::Runs(runs.clone()), by: 1 }).await;
        assert!(lab.stage.launches.lock().unwrap().len() <= 2, "more workers than slots");
    }
    watch.status(&runs[1], "running").await;
    for _ in 0..50 {
        change(&mut client, Request::ChangePriority { runs: RunSelection::Runs(runs.clone()), by: 1 }).await;
        assert_eq!(lab.stage.launches.lock().unwrap()[..], runs[..2]);
    }
    lab.close().await;
}

#[tokio::test]
async fn every_client_sees_changes_and_an_idle_lab_is_silent() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("lab"), 1, Stage::default()).await;
    let mut client = lab.client().await;
    let runs = ids(&submit(&mut client, &study(folder.path(), "seen", 1)).await);
    let curves = Topic::Curves { runs: runs.clone(), metric: Metric::Loss, width: 10 };
    let mut first = lab.watch(vec![Topic::Lab, curves.clone()]).await;
    let mut second = lab
        .watch(vec![
            curves,
            Topic::Leaderboard { study: None, budget: EqualBudget::AsTrained },
            Topic::Run { run: runs[0].clone() },
        ])
        .await;
    first.status(&runs[0], "running").await;
    lab.stage.step(&runs[0], 1);
    lab.stage.step(&runs[0], 2);
    let has_two = |update: &Update| matches!(update, Update::Curves(curves) if curves[0].points.len() == 2);
    while !has_two(&first.next().await) {}
    let (mut curves, mut board, mut detail) = (false, false, false);
    while !(curves && board && detail) {
        match second.next().await {
            Update::Curves(all) => curves |= all[0].points.len() == 2,
            Update::Leaderboard(table) => board |= table.rows[0].metrics.contains_key(&Metric::Loss),
            Update::Run(run) => detail |= run.summary.step == 2 && run.directory.ends_with(runs[0].as_str()),
            Update::Lab(_) | Update::Rank(_) => panic!("not subscribed"),
        }
    }
    lab.stage.take(&runs[0]).finish();
    first.status(&runs[0], "finished").await;
    // Each of these makes the lab look for news and find none: only replies may come.
    let (requests, frames) = lab.client().await.split();
    let mut silent = Watch { requests, frames, last: None };
    let subscribe = Request::Subscribe { topics: vec![Topic::Lab] };
    silent.requests.send(ClientFrame { id: 1, request: subscribe }).await.unwrap();
    assert!(matches!(silent.next().await, Update::Lab(_)));
    for id in 2..40 {
        let selection = RunSelection::Runs(vec![]);
        silent.requests.send(ClientFrame { id, request: Request::PauseRuns { runs: selection } }).await.unwrap();
        loop {
            match timeout(QUIET, silent.frames.next()).await.unwrap().unwrap() {
                ServerFrame::Reply { id: answered, .. } if answered == id => break,
                ServerFrame::Reply { .. } => {}
                ServerFrame::Update(update) => panic!("nothing changed: {update:?}"),
            }
        }
    }
    lab.close().await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("lab"), 1, Stage::default()).await;
    let (near, far) = tokio::io::duplex(64);
    lab.clients.send(Box::new(far)).await.unwrap();
    let (read, write) = tokio::io::split(near);
    let mut deaf = FrameWriter::new(write);
    let flood = tokio::spawn(async move {
        let mut id = 0;
        // Ends when the server stops reading and then hangs up.
        while deaf.send(&ClientFrame { id, request: Request::GetLab }).await.is_ok() {
            id += 1;
        }
        drop(read);
    });
    let mut client = lab.client().await;
    let runs = ids(&submit(&mut client, &study(folder.path(), "deaf", 1)).await);
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    watch.status(&runs[0], "running").await;
    lab.stage.take(&runs[0]).finish();
    watch.status(&runs[0], "finished").await;
    flood.abort();
    lab.close().await;
}

#[tokio::test]
async fn greetings_are_checked_and_an_old_server_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("lab"), 1, Stage::default()).await;
    let (read, write) = tokio::io::split(lab.stream().await);
    let (mut reader, mut writer) = (FrameReader::new(read), FrameWriter::new(write));
    let mut ask = async |value: serde_json::Value| -> String {
        writer.send(&value).await.unwrap();
        let reply: serde_json::Value = reader.next().await.unwrap().unwrap();
        reply["reply"]["reply"].to_string()
    };
    let early = ask(serde_json::json!({"id": 1, "request": {"request": "get_lab"}})).await;
    assert!(early.contains("greeting"), "{early}");
    let hello = ask(serde_json::json!({"id": 2, "request": {"request": "hello", "protocol": 99}})).await;
    assert!(hello.contains("welcome"), "{hello}");
    let lab_reply = ask(serde_json::json!({"id": 3, "request": {"request": "get_lab"}})).await;
    assert!(lab_reply.contains("refused") && lab_reply.contains("trilab server stop"), "{lab_reply}");
    let nonsense = ask(serde_json::json!({"id": 4, "request": {"request": "fly"}})).await;
    assert!(nonsense.contains("refused") && nonsense.contains("fly"), "{nonsense}");
    let leave = ask(serde_json::json!({"id": 5, "request": {"request": "shutdown"}})).await;
    assert!(leave.contains("done"), "{leave}");
    assert_eq!(timeout(QUIET, lab.serving).await.unwrap().unwrap(), Ended::Asked);
}

#[tokio::test]
async fn a_name_means_one_study_and_a_cell_is_trained_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab");
    let lab = Lab::open(&path, 2, Stage::default()).await;
    let mut client = lab.client().await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let small = study(folder.path(), "small", 1);
    let runs = ids(&submit(&mut client, &small).await);
    watch.status(&runs[0], "running").await;
    assert_eq!(ids(&submit(&mut client, &small).await), runs, "again is fine");
    let other = study(folder.path(), "small", 2);
    let error =
        client.request(Request::SubmitStudy { study: Box::new(other), force: false }).await.unwrap_err().to_string();
    assert!(error.contains("change `name`"), "{error}");
    let large = submit(&mut client, &study(folder.path(), "large", 2)).await;
    assert!(large.runs[0].existing.is_some() && large.runs[1].existing.is_none());
    watch.status(&large.runs[1].id, "running").await;
    let both = |lab: &LabSummary| row(lab, &runs[0]).studies.len() == 2 && lab.studies.len() == 2;
    watch.lab("one run in two studies", both).await;
    assert_eq!(lab.stage.launches.lock().unwrap().len(), 2);
    let mut wrong = study(folder.path(), "wrong", 1);
    wrong.corpus.paths = vec![folder.path().join("nothing.txt").display().to_string()];
    let error =
        client.request(Request::SubmitStudy { study: Box::new(wrong), force: false }).await.unwrap_err().to_string();
    assert!(error.contains("nothing.txt"), "{error}");
    let stage = lab.close().await;
    let lab = Lab::open(&path, 2, stage).await;
    let mut client = lab.client().await;
    let show = Request::ShowStudy { study: "small".parse().unwrap() };
    let Reply::Study(shown) = client.request(show).await.unwrap() else { panic!() };
    assert_eq!((&shown.1, &shown.0.runs), (&small, &runs), "as submitted, after a restart");
    let Reply::Runs(listed) = client.request(Request::ListRuns { study: Some(small.name) }).await.unwrap() else {
        panic!()
    };
    assert_eq!(listed.len(), 1);
    lab.close().await;
}

#[tokio::test]
async fn whoever_submits_the_same_study_at_once_gets_the_same_answer() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("lab"), 1, Stage::default()).await;
    let (same, other) = (study(folder.path(), "same", 3), study(folder.path(), "same", 4));
    let (requests, mut frames) = lab.client().await.split();
    for id in 1..=20 {
        // One of them means another study by the name.
        let study = Box::new(if id == 11 { other.clone() } else { same.clone() });
        requests.send(ClientFrame { id, request: Request::SubmitStudy { study, force: false } }).await.unwrap();
    }
    let mut answers = BTreeMap::new();
    while answers.len() < 20 {
        if let ServerFrame::Reply { id, reply } = timeout(QUIET, frames.next()).await.unwrap().unwrap() {
            answers.insert(id, reply);
        }
    }
    let Some(Reply::Refused { message }) = answers.remove(&11) else { panic!("{answers:?}") };
    assert!(message.contains("another study of that name, with other runs"), "{message}");
    for answer in answers.values() {
        assert!(matches!(answer, Reply::Submitted(report) if report.runs.len() == 3), "{answer:?}");
    }
    assert_eq!(lab.home.list_runs().unwrap().len(), 3);
    lab.close().await;
}

#[tokio::test]
async fn a_study_with_too_many_runs_or_of_too_large_ones_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("lab"), 1, Stage::default()).await;
    let mut client = lab.client().await;
    let mut large = study(folder.path(), "large", 1);
    large.grid.seed = Axis((0..1000).collect());
    large.model.d_model = Axis((1..=1000).map(|size| 16 * size).collect());
    large.training.learning_rate = Axis((1..=1000).map(|rate| f64::from(rate) * 1e-6).collect());
    let mut wide = study(folder.path(), "wide", 1);
    wide.model.d_model = 100_000.into();
    for (study, words) in [
        (large, "the grid has 1,000,000,000 runs"),
        (wide.clone(), "of memory, too little for 1 of 1 runs: CD:FLM d100000"),
    ] {
        let study = Box::new(study);
        for request in [Request::CheckStudy { study: study.clone() }, Request::SubmitStudy { study, force: false }] {
            match client.request(request).await {
                Err(WireError::Refused(message)) => assert!(message.contains(words), "{message}"),
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(lab.home.list_runs().unwrap().is_empty());
    client.request(Request::PauseQueue).await.unwrap();
    let forced = client.request(Request::SubmitStudy { study: Box::new(wide.clone()), force: true }).await.unwrap();
    let Reply::Submitted(forced) = forced else { panic!("{forced:?}") };
    let again = submit(&mut client, &wide).await;
    assert_eq!(ids(&again), ids(&forced), "what was taken once is taken again");
    lab.close().await;
}

#[test]
fn a_client_that_knows_no_force_uses_none() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Request::SubmitStudy { study: Box::new(study(folder.path(), "old", 1)), force: true };
    let mut sent = serde_json::to_value(&asked).unwrap();
    assert_eq!(serde_json::from_value::<Request>(sent.clone()).unwrap(), asked);
    sent.as_object_mut().unwrap().remove("force").unwrap();
    assert!(matches!(serde_json::from_value(sent).unwrap(), Request::SubmitStudy { force: false, .. }));
}

#[tokio::test]
async fn settings_outside_the_id_are_mended_by_submitting_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab");
    let lab = Lab::open(&path, 1, Stage::default()).await;
    let mut client = lab.client().await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let before = study(folder.path(), "mended", 4);
    let [failed, running, stopped, waiting] = ids(&submit(&mut client, &before).await).try_into().unwrap();
    watch.status(&failed, "running").await;
    lab.stage.take(&failed).say(RunEvent::Failed { message: "this build has no cuda".into() });
    watch.status(&failed, "failed").await;
    watch.status(&running, "running").await;
    change(&mut client, Request::StopRuns { runs: one(&stopped) }).await;
    watch.status(&stopped, "stopped").await;
    let mut after = before.clone();
    after.execution.threads = 2;
    after.probes.log_every = 5;
    let report = submit(&mut client, &after).await;
    let keys = "(execution.threads, probes.log_every)";
    let told = [
        format!("1 failed run takes the new settings {keys} and is queued again"),
        format!("1 run that waits takes the new settings {keys}"),
        format!(
            "1 run that was stopped or diverged takes the new settings {keys}; `trilab run retry --study mended` queues such \
             runs again"
        ),
        format!(
            "1 run that trains keeps the old settings {keys}; to change them, stop what trains, submit the study again, and retry it"
        ),
    ];
    assert!(report.notices.ends_with(&told), "{:#?}", report.notices);
    watch.status(&failed, "queued").await;
    let settings = |run: &RunId| {
        let spec = lab.home.run(run).spec().unwrap();
        assert_eq!((&spec.id, &spec.content_id().unwrap()), (run, run));
        (spec.execution.threads, spec.probes.log_every)
    };
    let every = before.probes.log_every;
    assert_eq!([&failed, &running, &stopped, &waiting].map(settings), [(2, 5), (1, every), (2, 5), (2, 5)]);
    let shown = async |client: &mut Connection| {
        let Reply::Study(shown) = client.request(Request::ShowStudy { study: after.name.clone() }).await.unwrap()
        else {
            panic!()
        };
        shown.1
    };
    assert_eq!(shown(&mut client).await, after);
    let mut other = after.clone();
    other.training.batch_size *= 2;
    let request = Request::SubmitStudy { study: Box::new(other), force: false };
    let error = client.request(request).await.unwrap_err().to_string();
    assert!(error.contains("another study of that name, with other runs; change `name`"), "{error}");
    lab.stage.take(&running).finish();
    watch.status(&running, "finished").await;
    watch.status(&waiting, "running").await;
    let stage = lab.close().await;
    let lab = Lab::open(&path, 1, stage).await;
    let mut client = lab.client().await;
    assert_eq!(shown(&mut client).await, after);
    let (detail, _) = indexed(&mut client, &failed).await;
    assert_eq!((detail.spec.execution.threads, detail.summary.status), (2, RunStatus::Queued));
    lab.close().await;
}

#[tokio::test]
async fn verbs_on_many_runs_take_effect_in_the_order_in_which_they_were_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab");
    let lab = Lab::open(&path, 2, Stage::default()).await;
    let (mut watch, mut client) = (lab.watch(vec![Topic::Lab]).await, lab.client().await);
    client.request(Request::PauseQueue).await.unwrap();
    let report = submit(&mut client, &study(folder.path(), "many", 60)).await;
    let runs = ids(&report);
    watch.status(&runs[59], "queued").await;
    // Asked one after the other without waiting for an answer: nothing starts in between, and the last word counts.
    let all = || RunSelection::Study("many".parse().unwrap());
    let (requests, mut frames) = lab.client().await.split();
    let verbs = [
        Request::StopRuns { runs: all() },
        Request::ResumeQueue,
        Request::RetryRuns { runs: RunSelection::Runs(runs[..3].to_vec()) },
        Request::PauseRuns { runs: all() },
        Request::StopRuns { runs: one(&runs[1]) },
    ];
    for (id, request) in (1..).zip(verbs) {
        requests.send(ClientFrame { id, request }).await.unwrap();
    }
    let mut answers = BTreeMap::new();
    while answers.len() < 5 {
        if let ServerFrame::Reply { id, reply } = timeout(QUIET, frames.next()).await.unwrap().unwrap() {
            let changed = if let Reply::Changed { runs, .. } = reply { runs.len() } else { 0 };
            answers.insert(id, changed);
        }
    }
    assert_eq!(answers.values().copied().collect::<Vec<_>>(), [60, 0, 3, 3, 1]);
    let launched = lab.stage.launches.lock().unwrap().clone();
    assert!(launched.iter().all(|run| runs[..2].contains(run)), "what was stopped never started: {launched:?}");
    for run in &runs[3..] {
        assert_eq!(lab.home.run(run).control().unwrap(), Control::Stop);
    }
    for run in &launched {
        let wish = if *run == runs[1] { Control::Stop } else { Control::Pause };
        assert_eq!(lab.home.run(run).control().unwrap(), wish);
        lab.stage.take(run).obey(0);
    }
    watch.status(&runs[2], "paused").await;
    watch.status(&runs[0], "paused").await;
    watch.status(&runs[1], "stopped").await;
    let stage = lab.close().await;
    let lab = Lab::open(&path, 2, stage).await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    for (run, word) in runs.iter().zip(["paused", "stopped", "paused"].into_iter().chain(std::iter::repeat("stopped")))
    {
        watch.status(run, word).await;
    }
    lab.close().await;
}

#[tokio::test]
async fn a_wish_that_cannot_be_written_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("lab"), 1, Stage::default()).await;
    let (mut watch, mut client) = (lab.watch(vec![Topic::Lab]).await, lab.client().await);
    client.request(Request::PauseQueue).await.unwrap();
    let runs = ids(&submit(&mut client, &study(folder.path(), "gone", 3)).await);
    watch.status(&runs[2], "queued").await;
    fs::remove_dir_all(lab.home.run(&runs[1]).path()).unwrap();
    let (changed, refused) = change(&mut client, Request::StopRuns { runs: RunSelection::Runs(runs.clone()) }).await;
    assert_eq!(changed, [runs[0].clone(), runs[2].clone()]);
    assert!(refused[0].0 == runs[1] && refused[0].1.contains("control.json"), "{refused:?}");
    let now = watch.lab("two stopped", |lab| row(lab, &runs[2]).status == RunStatus::Stopped).await;
    assert_eq!(row(&now, &runs[1]).status, RunStatus::Queued);
    lab.close().await;
}

#[tokio::test]
async fn a_text_that_changes_before_it_is_prepared_fails_its_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab");
    let lab = Lab::open(&path, 1, Stage::default()).await;
    let mut client = lab.client().await;
    client.request(Request::PauseQueue).await.unwrap();
    let runs = ids(&submit(&mut client, &study(folder.path(), "changes", 1)).await);
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    watch.status(&runs[0], "queued").await;
    let stage = lab.close().await;
    fs::remove_dir_all(Home::new(&path).corpora_dir()).unwrap();
    fs::write(folder.path().join("text.txt"), "another text altogether, long enough to split. ".repeat(40)).unwrap();
    let lab = Lab::open(&path, 1, stage).await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let RunStatus::Failed { reason } = watch.status(&runs[0], "failed").await.status else { panic!() };
    assert!(reason.contains("changed since"), "{reason}");
    lab.close().await;
}

#[tokio::test]
async fn a_launch_that_fails_pauses_the_queue_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("lab"), 1, Stage::default()).await;
    *lab.stage.broken.lock().unwrap() = true;
    let mut client = lab.client().await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let runs = ids(&submit(&mut client, &study(folder.path(), "broken", 1)).await);
    let paused = watch.lab("a paused queue", |lab| lab.queue_paused).await;
    assert!(paused.notices.iter().any(|text| text.contains("the queue is paused")), "{:?}", paused.notices);
    assert_eq!(row(&paused, &runs[0]).status, RunStatus::Queued);
    *lab.stage.broken.lock().unwrap() = false;
    client.request(Request::ResumeQueue).await.unwrap();
    watch.status(&runs[0], "running").await;
    lab.close().await;
}

#[tokio::test]
async fn a_broken_index_is_set_aside_and_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab");
    let lab = Lab::open(&path, 1, Stage::default()).await;
    let mut client = lab.client().await;
    let mut watch = lab.watch(vec![Topic::Lab]).await;
    let run = ids(&submit(&mut client, &study(folder.path(), "index", 1)).await).remove(0);
    watch.status(&run, "running").await;
    lab.stage.take(&run).finish();
    watch.status(&run, "finished").await;
    let before = indexed(&mut client, &run).await;
    let stage = lab.close().await;
    let index = Home::new(&path).index_dir();
    fs::remove_dir_all(&index).unwrap();
    fs::write(&index, "not an index").unwrap();
    let lab = Lab::open(&path, 1, stage).await;
    let mut client = lab.client().await;
    assert_eq!(indexed(&mut client, &run).await, before);
    let Reply::Lab(now) = client.request(Request::GetLab).await.unwrap() else { panic!() };
    assert!(now.notices[0].contains("index-broken"), "{:?}", now.notices);
    assert!(path.join("index-broken").exists());
    lab.close().await;
}

#[tokio::test]
async fn unknown_names_are_refused_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::open(&folder.path().join("lab"), 1, Stage::default()).await;
    let mut client = lab.client().await;
    let run: RunId = "0123456789ab".parse().unwrap();
    for request in [
        Request::ShowRun { run: run.clone() },
        Request::GetCurve { run: run.clone(), metric: Metric::Loss, width: None },
        Request::GetEvents { run: run.clone() },
        Request::MoveRun { run, by: 1 },
        Request::ShowStudy { study: "none".parse().unwrap() },
        Request::ListRuns { study: Some("none".parse().unwrap()) },
        Request::GetLeaderboard { study: Some("none".parse().unwrap()), budget: EqualBudget::AsTrained },
    ] {
        match client.request(request).await {
            Err(WireError::Refused(message)) => assert!(message.contains(" list`"), "{message}"),
            other => panic!("{other:?}"),
        }
    }
    lab.close().await;
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let (mut folders, mut found) = (vec![folder.to_owned()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { _ = found.insert(path.clone(), fs::read(&path).unwrap()) }
        }
    }
    found
}

#[tokio::test]
async fn a_lab_that_cannot_be_written_answers_the_same_without_a_server_and_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab");
    let lab = Lab::open(&path, 2, Stage::default()).await;
    let (mut watch, mut client) = (lab.watch(vec![Topic::Lab]).await, lab.client().await);
    let runs = ids(&submit(&mut client, &study(folder.path(), "pair", 2)).await);
    for run in &runs {
        watch.status(run, "running").await;
        lab.stage.step(run, 3);
    }
    lab.stage.take(&runs[0]).finish();
    watch.status(&runs[0], "finished").await;
    lab.stage.take(&runs[1]).say(RunEvent::Stopped { step: 3 });
    watch.status(&runs[1], "stopped").await;
    let questions = [
        Request::ListRuns { study: None },
        Request::ListStudies,
        Request::ShowRun { run: runs[0].clone() },
        Request::GetCurve { run: runs[1].clone(), metric: Metric::Loss, width: None },
        Request::GetEvents { run: runs[0].clone() },
        Request::GetRank { run: runs[0].clone() },
        Request::GetLeaderboard { study: None, budget: EqualBudget::Tokens },
    ];
    let mut told = Vec::new();
    for question in &questions {
        told.push(client.request(question.clone()).await.unwrap());
    }
    lab.close().await;
    let before = files(&path);
    let home = Home::new(&path);
    assert_eq!(unwritable(&home), None, "it can be written, and is looked at all the same");
    let stream = look_at(&home, "the disk is read-only", None, Arc::new(|| 1_700_000_000_000)).await.unwrap();
    let mut looking = Connection::connect(stream).await.unwrap();
    for (question, told) in questions.iter().zip(&told) {
        assert_eq!(&looking.request(question.clone()).await.unwrap(), told, "{question:?}");
    }
    let Reply::Lab(seen) = looking.request(Request::GetLab).await.unwrap() else { panic!() };
    assert!(seen.notices[0].starts_with("the disk is read-only; the runs are read from their folders"), "{seen:?}");
    for change in [Request::RetryRuns { runs: RunSelection::All }, Request::PauseQueue, Request::Reindex] {
        match looking.request(change).await {
            Err(WireError::Refused(message)) => assert!(message.contains("cannot be written"), "{message}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(files(&path), before, "not a byte is written");
}

#[tokio::test]
async fn clients_find_the_server_of_a_home_start_it_once_and_stop_it() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path().join("lab"));
    assert!(matches!(connect(&home).await, Err(WireError::NoServer { .. })));
    assert!(!stop_server(&home).await.unwrap(), "none runs");
    let serve_here = |home: &Home| {
        let options = ServerOptions { home: home.root().to_owned(), slots: Some(1), threads: 1, detach: false };
        tokio::spawn(serve(options, Stage::default(), Arc::new(|| 1_700_000_000_000)))
    };
    let started = Mutex::new(Vec::new());
    let start = || {
        started.lock().unwrap().push(serve_here(&home));
        Ok(())
    };
    let (first, second) = tokio::join!(attach(&home, &start), attach(&home, &start));
    let (mut first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.server(), second.server());
    assert_eq!(started.lock().unwrap().len(), 1, "two clients at once start one server");
    let error = timeout(QUIET, serve_here(&home)).await.unwrap().unwrap().unwrap_err();
    assert!(format!("{error:#}").contains("trilab server stop"), "{error:#}");
    assert!(fs::read_to_string(home.server_log()).unwrap().contains("could not serve"), "said in the log too");
    // A socket that someone deletes comes back, and those who are connected do not notice.
    let socket = ServerRecord::read(&home).unwrap().socket;
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    fs::remove_file(&socket).unwrap();
    let mut again = timeout(QUIET, attach(&home, &|| panic!("it runs already"))).await.unwrap().unwrap();
    assert!(matches!(again.request(Request::ServerStatus).await.unwrap(), Reply::Welcome(_)));
    assert!(matches!(first.request(Request::GetLab).await.unwrap(), Reply::Lab(_)));
    assert!(stop_server(&home).await.unwrap());
    assert!(matches!(first.request(Request::GetLab).await, Err(WireError::Closed | WireError::Io(_))));
    let server = started.lock().unwrap().remove(0);
    timeout(QUIET, server).await.unwrap().unwrap().unwrap();
    assert!(!socket.exists(), "it takes its socket with it");
    // A socket that a killed server left behind is no obstacle.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let third = attach(&home, &start).await.unwrap();
    assert_eq!(third.server().home, home.root().display().to_string());
    // Without its home it leaves, and does not make a socket in the home that comes after.
    fs::rename(home.root(), folder.path().join("elsewhere")).unwrap();
    home.create().unwrap();
    let server = started.lock().unwrap().remove(0);
    timeout(QUIET, server).await.unwrap().unwrap().unwrap();
    assert!(!socket.exists());
}
