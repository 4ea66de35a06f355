//! Files that a disk has changed: a corpus is prepared again, a checkpoint is made again, and every run ends with the bits of
//! one that nobody disturbed.

use std::fs;
use std::path::Path;

use trilab::core::RunEvent;
use trilab::corpus::verify;
use trilab::runlog::RunFolder;

use super::lab::Lab;
use super::records::{assert_same, checkpoints, events, steps_logged};

const FIRST: &str = "[grid]\nseed = [1]\n[budget]\nsteps = 40";
const LATER: &str = "[grid]\nseed = [1]\nlineages = ['CD:FLM > adapt']\n[budget]\nsteps = 40\n\
    [stages.adapt]\nobjective = 'PLM'\nbudget = { steps = 30 }";

fn flip(path: &Path, byte: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[byte] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// The run of a study that is not among those known.
fn new_run(lab: &Lab, known: &RunFolder) -> RunFolder {
    lab.runs().into_iter().find(|run| run.id() != known.id()).unwrap()
}

/// The last warning of an attempt that ended without a word of an ending.
fn left(run: &RunFolder, attempt: u32) -> String {
    match events(run, attempt).pop() {
        Some(RunEvent::Warned { message }) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_corpus_and_a_parents_damaged_checkpoint_are_made_again() {
    let quiet = Lab::new();
    quiet.ok(&["study", "submit", &quiet.study("later", LATER), "--wait"]);
    let lab = Lab::new();
    lab.ok(&["study", "submit", &lab.study("first", FIRST), "--wait"]);
    let parent = lab.runs().remove(0);
    let (corpus, weights) =
        (parent.spec().unwrap().data.directory, parent.checkpoint_dir(40).join("weights.safetensors"));
    let whole = fs::read(&weights).unwrap();
    // A token off by one, and a number of the weights.
    flip(&corpus.join("train.tokens"), 1000);
    flip(&weights, whole.len() / 2);
    lab.ok(&["study", "submit", &lab.study("later", LATER)]);
    let child = new_run(&lab, &parent);
    lab.wait_until("the parent's damage", || lab.status(child.id()) == "blocked");
    assert!(verify(&corpus).unwrap().is_whole());
    let said = left(&child, 1);
    assert!(said.contains(corpus.join("train.tokens").to_str().unwrap()) && said.contains("checksum"), "{said}");
    let said = left(&child, 2);
    let cure = format!("`trilab run retry {}`", parent.id());
    assert!(said.contains(weights.to_str().unwrap()) && said.contains(&cure), "{said}");
    assert!(parent.checkpoints_dir().join("damaged-step-00000040").is_dir());
    lab.ok(&["run", "retry", parent.id().as_str()]);
    lab.wait_until("the child's end", || lab.status(child.id()) == "finished");
    assert_eq!(fs::read(&weights).unwrap(), whole);
    assert!(!parent.checkpoints_dir().join("damaged-step-00000040").exists());
    for run in [parent, child] {
        assert_eq!(lab.status(run.id()), "finished");
        assert_same(&run, &quiet.home().run(run.id()));
    }
}

#[test]
fn a_damaged_checkpoint_is_not_scored_and_a_retry_makes_it_again() {
    let lab = Lab::new();
    lab.ok(&["study", "submit", &lab.study("first", FIRST), "--wait"]);
    let run = lab.runs().remove(0);
    let score = ["eval", run.id().as_str(), "--limit", "1", "--tasks", "shipped:world_order_0"];
    let moments = run.checkpoint_dir(40).join("moments.safetensors");
    let whole = fs::read(&moments).unwrap();
    flip(&moments, whole.len() - 1);
    let refused = lab.run(&score);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let cure = format!("left are 35; `trilab run retry {}` makes it again", run.id());
    assert!(refused.stderr.contains(moments.to_str().unwrap()) && refused.stderr.contains(&cure), "{refused:?}");
    assert_eq!(checkpoints(&run), [35]);
    assert!(lab.ok(&score).contains("step 35"), "the one before is whole");
    lab.ok(&["run", "retry", run.id().as_str()]);
    lab.wait_until("the checkpoint", || run.has_checkpoint(40) && lab.status(run.id()) == "finished");
    assert_eq!(fs::read(&moments).unwrap(), whole);
    assert!(lab.ok(&score).contains("step 40"));
}

#[test]
fn a_spec_that_is_damaged_while_its_run_rests_fails_it_with_the_cure() {
    let lab = Lab::new();
    let study = lab.study("endless", "[budget]\nsteps = 1000000");
    lab.ok(&["study", "submit", &study]);
    let run = lab.runs().remove(0);
    lab.wait_until("a step", || steps_logged(&run, 1) > 0);
    lab.ok(&["run", "pause", run.id().as_str()]);
    lab.wait_until("the rest", || lab.status(run.id()) == "paused");
    let whole = fs::read_to_string(run.spec_path()).unwrap();
    fs::write(run.spec_path(), whole.replace("\"steps\": 1000000", "\"steps\": 1000001")).unwrap();
    lab.ok(&["run", "resume", run.id().as_str()]);
    lab.wait_until("the failure", || lab.status(run.id()) == "failed");
    let Some(RunEvent::Failed { message }) = events(&run, 2).pop() else { panic!() };
    assert!(message.contains(run.spec_path().to_str().unwrap()), "{message}");
    assert!(
        message.contains("submit the study of this run again") && message.contains("then retry the run"),
        "{message}"
    );
    lab.ok(&["study", "submit", &study]);
    assert_eq!(fs::read_to_string(run.spec_path()).unwrap(), whole);
    lab.ok(&["run", "retry", run.id().as_str()]);
    lab.wait_until("another step", || steps_logged(&run, 3) > 0);
    lab.ok(&["run", "stop", run.id().as_str()]);
}
