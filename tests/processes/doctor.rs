//! `trilab doctor` against bits that flip in every file of a lab: each flip is named, and what can be derived is mended.

use std::fs;
use std::path::{Path, PathBuf};

use rand::RngExt;
use trilab::core::seed::{Stream, generator};

use super::lab::Lab;

/// What is written for people, or for a moment, and holds no result.
const WORDS: [&str; 6] = ["server.log", "output.log", "lock", "server.lock", "start.lock", "lab.toml"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if !WORDS.iter().any(|word| path.ends_with(word)) {
            found.push(path);
        }
    }
}

#[test]
fn every_flipped_bit_is_named_and_what_can_be_derived_is_mended() {
    let lab = Lab::new();
    let study = lab.study("whole", "[grid]\nobjective = [\"FLM\"]\nseed = [1]\n[budget]\nsteps = 30");
    lab.ok(&["study", "submit", &study, "--wait"]);
    lab.ok(&["server", "stop"]);
    let whole = lab.run(&["doctor"]);
    assert!(whole.code == Some(0) && whole.stdout.contains(" 0 damaged"), "{whole:?}");
    let (mut all, index) = (Vec::new(), lab.home().index_dir());
    files(lab.home().root(), &mut all);
    // The index is derived, and what its database does not read is not checked.
    all.retain(|path| !path.starts_with(&index) && fs::metadata(path).unwrap().len() > 0 && !is_lock(path));
    all.sort();
    let kinds = [
        "queue.json",
        "study.toml",
        "runs.json",
        "spec.json",
        "events.jsonl",
        "end.json",
        "state.json",
        "train.tokens",
    ];
    for kind in kinds {
        assert!(all.iter().any(|path| path.ends_with(kind)), "no {kind} among {all:?}");
    }
    let mut chance = generator(16, Stream::Sample, 0);
    for path in &all {
        let bytes = fs::read(path).unwrap();
        let (at, bit) = (chance.random_range(0..bytes.len()), chance.random_range(0..8));
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << bit;
        fs::write(path, &damaged).unwrap();
        let found = lab.run(&["doctor", "--json"]);
        let place = format!("bit {bit} of byte {at} of {}", path.display());
        assert!(found.code == Some(1), "{place}: {found:?}");
        let findings = found.json()["findings"].to_string();
        let folder = path.parent().unwrap().display().to_string();
        assert!(findings.contains(&folder), "{place}: {findings}");
        assert_eq!(fs::read(path).unwrap(), damaged, "{place}: examining changes nothing");
        fs::write(path, &bytes).unwrap();
    }
    // Mending, once for each kind that can be: then a lab is whole again, and what is missing is made by whoever made it.
    for kind in ["queue.json", "train.tokens", "weights.safetensors"] {
        let path = all.iter().find(|path| path.ends_with(kind)).unwrap();
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, &bytes).unwrap();
        let mended = lab.run(&["doctor", "--repair"]);
        assert!(mended.code == Some(0) && mended.stdout.contains("mended"), "{kind}: {mended:?}");
        let again = lab.run(&["doctor"]);
        assert!(again.code == Some(0), "{kind}: {again:?}");
    }
    let run = lab.runs().remove(0);
    assert_eq!(lab.status(run.id()), "finished", "no damage makes an ended run unfinished");
    lab.ok(&["run", "retry", run.id().as_str()]);
    lab.wait_until("the checkpoint that is made again", || run.has_checkpoint(30));
    lab.wait_until("the end of the run", || lab.status(run.id()) == "finished");
    assert_eq!(lab.run(&["doctor"]).code, Some(0));
}

fn is_lock(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "lock")
}
