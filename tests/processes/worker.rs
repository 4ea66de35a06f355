//! `trilab worker` without a server: it finishes, leaves when asked, is alone, survives KILL and a full disk.

use std::collections::BTreeMap;
use std::process::{Child, Command, Output, Stdio};

use rand::RngExt;
use rustix::process::Signal;
use trilab::config::{load_study, parse_override};
use trilab::core::RunEvent;
use trilab::core::seed::{Stream, generator};
use trilab::corpus::{TextSize, prepare};
use trilab::runlog::RunFolder;
use trilab::schedule::{CorpusFacts, PartFacts, StudyFacts, plan};

use super::lab::{Lab, TINY, TRILAB};
use super::process::Process;
use super::records::{all_events, assert_same, checkpoints, events, steps_logged, unfinished};

/// A run that waits for a worker, with settings over the tiny ones.
fn new_run(lab: &Lab, settings: &[&str]) -> RunFolder {
    let home = lab.home();
    home.create().unwrap();
    let text = format!("name = \"one\"\n{TINY}");
    let settings: Vec<_> = settings.iter().map(|setting| parse_override(setting, lab.folder()).unwrap()).collect();
    let study = load_study(None, "one.toml", &text, lab.folder(), &settings).unwrap();
    let manifest = prepare(&study.corpus, &home.corpora_dir(), &mut |_| {}).unwrap().manifest;
    let part =
        |size: TextSize, tokens| PartFacts { bytes: size.bytes, documents: size.documents, tokens: Some(tokens) };
    let corpus = CorpusFacts {
        name: manifest.name,
        directory: home.corpora_dir().join(&manifest.fingerprint),
        fingerprint: manifest.fingerprint,
        vocab_size: manifest.vocab_size,
        vocabulary: "bytes".to_owned(),
        train: part(manifest.train, manifest.train_tokens),
        validation: part(manifest.validation, manifest.validation_tokens),
        ready: true,
        notices: Vec::new(),
        uncovered: None,
    };
    let known = StudyFacts { corpus, zero_shot: None, stages: BTreeMap::new(), notices: Vec::new() };
    let plan = plan(&study, &known, "0.0.0").unwrap();
    let run = home.run(&plan.runs[0].id);
    assert!(run.create(&plan.runs[0]).unwrap());
    run
}

fn start(run: &RunFolder) -> Child {
    let mut command = Command::new(TRILAB);
    command.arg("worker").arg(run.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn work(run: &RunFolder) -> Output {
    Command::new(TRILAB).arg("worker").arg(run.path()).output().unwrap()
}

/// A worker in a shell under which no file may grow beyond `blocks` of 512 bytes (1024 in some shells).
fn work_with_little_room(run: &RunFolder, blocks: u32) -> Output {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" worker \"$1\"");
    Command::new("sh").arg("-c").arg(script).arg(TRILAB).arg(run.path()).output().unwrap()
}

fn finish(run: &RunFolder) {
    let output = work(run);
    assert!(output.status.success(), "{output:?}");
    let last = *run.attempts().unwrap().last().unwrap();
    assert!(matches!(events(run, last).last(), Some(RunEvent::Finished { .. })));
}

/// The same run, trained without disturbance in another lab.
fn undisturbed(settings: &[&str]) -> (Lab, RunFolder) {
    let lab = Lab::new();
    let run = new_run(&lab, settings);
    finish(&run);
    assert_eq!(run.attempts().unwrap(), [1]);
    (lab, run)
}

#[test]
fn a_worker_that_is_asked_to_leave_saves_and_the_next_goes_on_from_there() {
    let (_quiet, expected) = undisturbed(&["budget.steps=300"]);
    let lab = Lab::new();
    let run = new_run(&lab, &["budget.steps=300"]);
    let mut worker = start(&run);
    lab.wait_until("the twelfth step", || steps_logged(&run, 1) >= 12);
    assert!(Process::of(worker.id().cast_signed()).unwrap().signal(Signal::TERM));
    assert!(worker.wait().unwrap().success());
    let told = events(&run, 1);
    let step = steps_logged(&run, 1);
    assert!((12..300).contains(&step), "{step}");
    assert_eq!(checkpoints(&run).last(), Some(&step), "of the very step at which it left");
    let Some(RunEvent::Warned { message }) = told.last() else { panic!("{:?}", told.last()) };
    assert!(message.contains("asked to leave"), "{message}");
    finish(&run);
    assert_eq!(events(&run, 2)[1], RunEvent::Resumed { step });
    assert_same(&run, &expected);
}

#[test]
fn a_run_has_one_worker_at_a_time() {
    let lab = Lab::new();
    let run = new_run(&lab, &["budget.steps=1000000"]);
    let mut first = start(&run);
    lab.wait_until("the first step", || steps_logged(&run, 1) > 0);
    let second = work(&run);
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("already has a worker") && said.contains(run.id().as_str()), "{said}");
    assert_eq!(run.attempts().unwrap(), [1], "the second leaves no trace");
    assert!(run.is_locked().unwrap() && first.try_wait().unwrap().is_none(), "the first goes on");
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(!run.is_locked().unwrap(), "the lock goes with its holder");
}

#[test]
fn killed_at_random_steps_a_run_equals_one_that_never_was() {
    let settings = ["budget.steps=400", "grid.architecture=ED", "grid.objective=MLM"];
    let (_quiet, expected) = undisturbed(&settings);
    let lab = Lab::new();
    let run = new_run(&lab, &settings);
    let mut chance = generator(7, Stream::Sample, 0);
    let mut furthest = 0;
    for attempt in 1..=5 {
        let at = (furthest + chance.random_range(1..30)).min(150);
        let mut worker = start(&run);
        lab.wait_until("a step", || steps_logged(&run, attempt) >= at);
        worker.kill().unwrap();
        assert!(!worker.wait().unwrap().success(), "it must not have finished before attempt {attempt} was killed");
        furthest = steps_logged(&run, attempt);
    }
    finish(&run);
    let resumed = all_events(&run).iter().filter(|event| matches!(event, RunEvent::Resumed { .. })).count();
    assert!(resumed >= 4, "{resumed} attempts went on from a checkpoint");
    assert_same(&run, &expected);
}

#[test]
fn a_checkpoint_that_does_not_fit_fails_the_run_and_a_retry_goes_on() {
    let (_quiet, expected) = undisturbed(&["budget.steps=60"]);
    let lab = Lab::new();
    let run = new_run(&lab, &["budget.steps=60"]);
    let output = work_with_little_room(&run, 24);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = events(&run, 1);
    let Some(RunEvent::Failed { message }) = told.last() else { panic!("{:?}", told.last()) };
    assert!(message.contains(run.checkpoints_dir().to_str().unwrap()), "{message}");
    assert!(String::from_utf8(output.stderr).unwrap().contains(message), "said on stderr too");
    assert_eq!((checkpoints(&run), unfinished(&run)), (vec![], vec![]), "nothing half-written stays");
    finish(&run);
    assert_same(&run, &expected);
}

#[test]
fn a_log_that_does_not_fit_is_left_whole_and_a_retry_goes_on() {
    // Weights and moments of less than 60 kB fit where a log of 800 steps does not.
    let settings = ["budget.steps=800", "model.d_model=8", "probes.checkpoint_every=50"];
    let (_quiet, expected) = undisturbed(&settings);
    let lab = Lab::new();
    let run = new_run(&lab, &settings);
    let output = work_with_little_room(&run, 120);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let log = run.attempt(1).events_path();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(log.to_str().unwrap()), "{said}");
    assert!(std::fs::read(&log).unwrap().ends_with(b"\n"), "no torn line");
    let reached = steps_logged(&run, 1);
    assert!(reached > 50 && !checkpoints(&run).is_empty(), "{reached}");
    finish(&run);
    assert!(matches!(events(&run, 2)[1], RunEvent::Resumed { step } if step <= reached));
    assert_same(&run, &expected);
}
