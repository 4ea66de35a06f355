//! Checkpoints that are not what was written: every flipped bit is noticed and named, nothing of it is trained on or scored, and
//! a run that can be made again comes to the same bits.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use rand::RngExt;
use serde_json::Value;
use tempfile::TempDir;
use trilab::core::file_seal::{BLOCK, FileSeal};
use trilab::core::sealed::sealed;
use trilab::core::seed::{Stream, generator};
use trilab::core::{Architecture, Control, ControlSource, Objective, RunEvent, RunSpec};
use trilab::corpus::Corpus;
use trilab::train::{Outcome, Surroundings, TrainError, Trainer, checkpoint, train};

use super::{child_of, corpus_in, measured, run_spec};

const FILES: [&str; 3] = ["weights.safetensors", "moments.safetensors", "state.json"];

/// A run of twelve steps with its corpus, and checkpoints of the steps 6, 10 and 12.
struct Bench {
    folder: TempDir,
    corpus: Corpus,
    spec: RunSpec,
    events: Vec<RunEvent>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus_in(folder.path());
        let mut spec =
            run_spec(Architecture::CausalDecoder, Objective::FullLm, corpus.vocabulary().size(), folder.path());
        spec.probes.keep_steps = vec![6];
        let mut bench = Self { folder, corpus, spec, events: Vec::new() };
        let (outcome, events) = bench.train(&bench.spec.clone(), "run", &[]);
        assert_eq!(outcome.unwrap(), Outcome::Finished);
        assert_eq!(bench.steps("run"), [6, 10, 12]);
        bench.events = events;
        bench
    }

    fn at(&self, run: &str) -> PathBuf {
        self.folder.path().join(run)
    }

    /// A copy of the run's checkpoints, to be damaged.
    fn copy(&self, name: &str) -> PathBuf {
        let copy = self.at(name);
        for (step, from) in checkpoint::list(&self.at("run")).unwrap() {
            let to = copy.join(checkpoint::name(step));
            fs::create_dir_all(&to).unwrap();
            FILES.iter().for_each(|file| assert!(fs::copy(from.join(file), to.join(file)).unwrap() > 0));
        }
        copy
    }

    fn steps(&self, run: &str) -> Vec<u64> {
        checkpoint::list(&self.at(run)).unwrap().into_iter().map(|(step, _)| step).collect()
    }

    /// Trains in the folder `run`, beside its parent's in `parent`, while others wait for the checkpoints of `kept`.
    fn train(&self, spec: &RunSpec, run: &str, kept: &[u64]) -> (Result<Outcome, TrainError>, Vec<RunEvent>) {
        let mut events = Vec::new();
        let mut control = Kept(kept.to_vec());
        let parent = self.at("parent");
        let (parent, answers) = (Some(parent.as_path()), &mut |_, _: &_, _| Ok(()));
        let outside = Surroundings { sink: &mut events, control: &mut control, answers, parent, clock: &|| 0.0 };
        let outcome = train(spec, &self.corpus, &self.at(run), outside);
        (outcome, events)
    }

    /// The bytes of a checkpoint's tensors.
    fn tensors(&self, run: &str, step: u64) -> [Vec<u8>; 2] {
        let folder = self.at(run).join(checkpoint::name(step));
        [FILES[0], FILES[1]].map(|file| fs::read(folder.join(file)).unwrap())
    }

    fn assert_same(&self, run: &str, step: u64) {
        assert!(self.tensors(run, step) == self.tensors("run", step), "{run}: other weights or moments at step {step}");
    }
}

/// Nothing is wished but that checkpoints are kept.
struct Kept(Vec<u64>);

impl ControlSource for Kept {
    fn control(&mut self) -> Control {
        Control::Run
    }

    fn kept_steps(&self) -> &[u64] {
        &self.0
    }
}

fn flip(path: &Path, bit: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs::write(path, bytes).unwrap();
}

fn warnings(events: &[RunEvent]) -> Vec<&str> {
    let mut said = Vec::new();
    for event in events {
        if let RunEvent::Warned { message } = event {
            said.push(message.as_str());
        }
    }
    said
}

fn resumed(events: &[RunEvent]) -> Vec<u64> {
    let step = |event: &RunEvent| if let RunEvent::Resumed { step } = event { Some(*step) } else { None };
    events.iter().filter_map(step).collect()
}

#[test]
fn no_flipped_bit_of_a_checkpoint_is_trained_on_or_scored() {
    let bench = Bench::new();
    let mut chance = generator(5, Stream::Sample, 0);
    let newest = bench.copy("flipped").join(checkpoint::name(12));
    assert!(checkpoint::verify(&newest, &bench.spec).unwrap().is_whole());
    for file in FILES {
        let path = newest.join(file);
        let whole = fs::read(&path).unwrap();
        for number in 0..40 {
            // The first flips go to the header, where names, shapes and number formats are.
            let bits = if number < 10 { whole.len().min(1000) * 8 } else { whole.len() * 8 };
            let bit = chance.random_range(0..bits);
            flip(&path, bit);
            let name = path.to_str().unwrap();
            let mut trainer = Trainer::new(&bench.spec).unwrap();
            let found = checkpoint::verify(&newest, &bench.spec).unwrap().damaged;
            match checkpoint::load(&bench.at("flipped"), Some(12), &mut trainer) {
                Err(TrainError::Damaged { path, reason }) => {
                    assert_eq!(path.to_str().unwrap(), name, "bit {bit}: {reason}");
                    assert!(found.len() == 1 && found[0].starts_with(name), "bit {bit} of {name}: {found:?}");
                }
                // The exponent of a number may be written with a capital letter.
                Ok(state) => {
                    assert!(file == "state.json" && found.is_empty(), "bit {bit} of {name} is not noticed");
                    let mut other = Trainer::new(&bench.spec).unwrap();
                    assert_eq!(checkpoint::load(&bench.at("run"), Some(12), &mut other).unwrap(), state);
                }
                Err(other) => panic!("bit {bit} of {name}: {other}"),
            }
            fs::write(&path, &whole).unwrap();
        }
    }
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before_and_the_result_is_the_same() {
    let bench = Bench::new();
    for (file, bit) in [(FILES[0], 4001), (FILES[1], 9000), (FILES[2], 300)] {
        let copy = bench.copy(file);
        flip(&copy.join(checkpoint::name(12)).join(file), bit);
        fs::create_dir(copy.join(".writing-00000012")).unwrap();
        let (outcome, events) = bench.train(&bench.spec, file, &[]);
        assert_eq!((outcome.unwrap(), resumed(&events)), (Outcome::Finished, vec![10]));
        let [said] = warnings(&events).try_into().unwrap();
        assert!(said.contains(copy.join(checkpoint::name(12)).join(file).to_str().unwrap()), "{said}");
        assert!(said.contains("set aside as damaged-step-00000012; the run goes on from step 10"), "{said}");
        bench.assert_same(file, 12);
        let expected: Vec<_> = measured(&bench.events).into_iter().filter(|(step, ..)| *step > 10).collect();
        assert_eq!(measured(&events), expected);
        let names: Vec<_> = fs::read_dir(&copy).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 3, "what was made again or left half-written is gone: {names:?}");
    }
    // Two of three, and then all of them.
    let copy = bench.copy("more");
    flip(&copy.join(checkpoint::name(12)).join(FILES[0]), 5000);
    fs::remove_file(copy.join(checkpoint::name(10)).join(FILES[1])).unwrap();
    let (_, events) = bench.train(&bench.spec, "more", &[]);
    assert_eq!((warnings(&events).len(), resumed(&events)), (1, vec![6]));
    bench.assert_same("more", 12);
    let copy = bench.copy("all");
    for step in [6, 10, 12] {
        fs::write(copy.join(checkpoint::name(step)).join(FILES[0]), b"torn").unwrap();
    }
    let (_, events) = bench.train(&bench.spec, "all", &[]);
    let [said] = warnings(&events).try_into().unwrap();
    assert!(said.contains("the run goes on from its start") && said.matches("is damaged").count() == 3, "{said}");
    assert_eq!((measured(&events), resumed(&events)), (measured(&bench.events), vec![]));
    bench.assert_same("all", 6);
    bench.assert_same("all", 12);
}

#[test]
fn a_state_that_cannot_be_true_is_refused() {
    let bench = Bench::new();
    let path = bench.copy("told").join(checkpoint::name(12)).join("state.json");
    let whole: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let told = |key: &str, value: Value| {
        let mut other = whole.clone();
        other.as_object_mut().unwrap().remove("checksum").unwrap();
        other[key] = value;
        fs::write(&path, sealed(&other).unwrap()).unwrap();
        let mut trainer = Trainer::new(&bench.spec).unwrap();
        checkpoint::load(&bench.at("told"), Some(12), &mut trainer).map_err(|error| error.to_string())
    };
    told("elapsed_s", 7.5.into()).unwrap();
    for (key, value, reason) in [
        ("step", 4000, "it stands at step 4000, the run has 12 steps"),
        ("step", 10, "cursor is 48, after 10 steps it is 40"),
        ("cursor", 47, "cursor is 47, after 12 steps it is 48"),
        ("tokens", 1, "tokens is 1, after 12 steps it is "),
        ("seed", 8, "it belongs to run"),
        ("elapsed_s", -1, "elapsed_s is -1"),
    ] {
        let said = told(key, value.into()).unwrap_err();
        assert!(said.contains(reason) && said.contains("state.json is damaged"), "{key}: {said}");
    }
    let said = told("format", 3.into()).unwrap_err();
    assert!(said.contains("format 3 is not 2; use the version that wrote it") && !said.contains("damaged"), "{said}");
    let (run, copy) = (bench.at("run"), bench.at("moved"));
    fs::create_dir(&copy).unwrap();
    fs::rename(run.join(checkpoint::name(10)), copy.join(checkpoint::name(11))).unwrap();
    let said = checkpoint::load(&copy, None, &mut Trainer::new(&bench.spec).unwrap()).unwrap_err().to_string();
    assert!(said.contains("it stands at step 10, the folder is called otherwise"), "{said}");
}

/// Makes a checkpoint what an earlier version wrote.
fn unseal(checkpoint: &Path) {
    let path = checkpoint.join("state.json");
    let mut state: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    state["format"] = 1.into();
    for new in ["files", "checksum"] {
        state.as_object_mut().unwrap().remove(new).unwrap();
    }
    fs::write(&path, state.to_string()).unwrap();
}

#[test]
fn a_checkpoint_of_an_earlier_version_is_gone_on_from_and_checked_as_far_as_can_be() {
    let bench = Bench::new();
    let newest = bench.copy("earlier").join(checkpoint::name(12));
    unseal(&newest);
    let found = checkpoint::verify(&newest, &bench.spec).unwrap();
    assert!(found.is_whole() && found.unsealed[0].contains("state.json"), "{found:?}");
    let (outcome, events) = bench.train(&bench.spec, "earlier", &[]);
    assert_eq!((outcome.unwrap(), resumed(&events), warnings(&events).len()), (Outcome::Finished, vec![12], 0));
    // Tensors of another kind, of another shape, and a file that belongs to nobody.
    let weights = newest.join(FILES[0]);
    let whole = candle_core::safetensors::load(&weights, &Device::Cpu).unwrap();
    let oblong = |tensor: &Tensor| tensor.rank() == 2 && tensor.dims()[0] != tensor.dims()[1];
    let (name, tensor) = whole.iter().find(|(_, tensor)| oblong(tensor)).unwrap();
    let others = [
        ("holds i32", Tensor::zeros(tensor.dims(), DType::I32, &Device::Cpu).unwrap()),
        ("has the shape", tensor.t().unwrap().contiguous().unwrap()),
    ];
    for (reason, other) in others {
        let mut changed = whole.clone();
        changed.insert(name.clone(), other);
        candle_core::safetensors::save(&changed, &weights).unwrap();
        let loaded = checkpoint::load(&bench.at("earlier"), None, &mut Trainer::new(&bench.spec).unwrap());
        let said = loaded.unwrap_err().to_string();
        assert!(said.contains(reason) && said.contains(name), "{said}");
    }
    // With seals, tensors that were swapped are found although they fit.
    let newest = bench.copy("swapped").join(checkpoint::name(12));
    let fits = |name: &String, like: &String| name < like && whole[name].dims() == whole[like].dims();
    let matrices: Vec<&String> = whole.keys().filter(|name| whole[*name].rank() == 2).collect();
    let pairs = matrices.iter().flat_map(|first| matrices.iter().map(move |second| (*first, *second)));
    let (first, second) = pairs.into_iter().find(|(first, second)| fits(first, second)).unwrap();
    let mut swapped = whole.clone();
    swapped.insert(first.clone(), whole[second].clone());
    swapped.insert(second.clone(), whole[first].clone());
    candle_core::safetensors::save(&swapped, newest.join(FILES[0])).unwrap();
    let (_, events) = bench.train(&bench.spec, "swapped", &[]);
    assert!(warnings(&events)[0].contains("the checksum differs"), "{events:?}");
    bench.assert_same("swapped", 12);
}

#[test]
fn a_parents_damaged_checkpoint_is_set_aside_and_the_parent_makes_it_again() {
    let bench = Bench::new();
    let child = child_of(&bench.spec, Architecture::NonCausalDecoder, Objective::SpanCorruption);
    let parent = bench.copy("parent");
    let (_, expected) = bench.train(&child, "whole", &[]);
    let weights = parent.join(checkpoint::name(6)).join(FILES[0]);
    flip(&weights, 7777);
    for what in ["damaged", "gone"] {
        let (outcome, events) = bench.train(&child, "child", &[]);
        let error = outcome.unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, TrainError::Parent { .. }) && events.is_empty(), "{said}");
        assert!(said.contains(what) && said.contains(&format!("`trilab run retry {}`", bench.spec.id)), "{said}");
        assert!(said.contains(parent.join(checkpoint::name(6)).to_str().unwrap()), "{said}");
        assert!(parent.join("damaged-step-00000006").is_dir(), "nobody takes it again");
    }
    // Whoever retries the parent has it keep the step; it goes back, makes it again, and leaps over what it has made before.
    let mut unaware = bench.spec.clone();
    unaware.probes.keep_steps.clear();
    let (outcome, events) = bench.train(&unaware, "parent", &[6]);
    assert_eq!((outcome.unwrap(), resumed(&events)), (Outcome::Finished, vec![12]));
    let [said] = warnings(&events).try_into().unwrap();
    assert!(said.contains("the checkpoint of step 6, which others go on from, is gone"), "{said}");
    assert!(said.contains("goes on from its start"), "{said}");
    let steps = measured(&events).into_iter().map(|(step, ..)| step).max();
    assert_eq!((steps, bench.steps("parent")), (Some(6), vec![6, 10, 12]));
    bench.assert_same("parent", 6);
    assert!(!parent.join("damaged-step-00000006").exists());
    let (outcome, events) = bench.train(&child, "child", &[]);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    assert_eq!(measured(&events), measured(&expected));
    // A child whose own checkpoints are all damaged begins with its parent's weights again.
    for step in bench.steps("child") {
        fs::write(bench.at("child").join(checkpoint::name(step)).join(FILES[2]), b"{}").unwrap();
    }
    let (_, events) = bench.train(&child, "child", &[]);
    let said = warnings(&events)[0];
    assert!(said.contains(&format!("the run goes on from the weights of run {} at step 6", bench.spec.id)), "{said}");
    assert_eq!(measured(&events), measured(&expected));
}

#[test]
fn seals_are_those_of_the_files() {
    let bench = Bench::new();
    let newest = bench.at("run").join(checkpoint::name(12));
    let state: Value = serde_json::from_slice(&fs::read(newest.join("state.json")).unwrap()).unwrap();
    for (name, file) in [("weights", FILES[0]), ("moments", FILES[1])] {
        let seal: FileSeal = serde_json::from_value(state["files"][name].clone()).unwrap();
        assert_eq!(seal, FileSeal::of(&fs::read(newest.join(file)).unwrap(), BLOCK));
    }
}
