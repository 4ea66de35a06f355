//! Bits that flip and files that lose their end: what is read is what was written, what is lost is counted, and a run that has
//! ended has ended.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::RngExt;
use trilab::core::seed::{Stream, generator};
use trilab::core::task::ScoringForm;
use trilab::core::{Metric, RunEvent, RunId};
use trilab::runlog::evals::{eval_path, read_evals};
use trilab::runlog::{EvalHeader, EvalLog, EvalRow, Home, RunFolder};
use trilab::store::{Ending, LogFacts, Store, StoreHandle, sync};

use crate::fixture::{eventful, new_run, step, write_attempt};

/// Flips of each kind of file.
const FLIPS: usize = 60;

/// What an index says of the losses of a run, and its facts.
fn indexed(home: &Home, run: &RunFolder) -> (BTreeMap<u64, u64>, LogFacts, Vec<String>) {
    drop(fs::remove_dir_all(home.index_dir()));
    let store = Store::open(home).unwrap().store;
    let notices = sync(&store, run).unwrap().notices;
    let curve = store.curve(run.id(), Metric::Loss, None).unwrap();
    let losses = curve.points.iter().map(|point| (point.step, point.value.to_bits())).collect();
    (losses, store.facts(run.id()).unwrap().unwrap(), notices)
}

fn finished(run: &RunFolder) -> Vec<PathBuf> {
    let mut events: Vec<RunEvent> = (1..=30).map(|at| step(at, 1.0 / f64::from(u32::try_from(at).unwrap()))).collect();
    events.push(RunEvent::Finished { step: 30 });
    let log = write_attempt(run, &events);
    vec![log.with_file_name("end.json"), log]
}

#[test]
fn no_flipped_bit_changes_a_number_or_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let run = new_run(&home, 1);
    let mut chance = generator(13, Stream::Sample, 0);
    let files = finished(&run);
    let (truth, whole, none) = indexed(&home, &run);
    assert_eq!((truth.len(), whole.lost(), none.len()), (30, 0, 0));
    let mut told = 0;
    for file in &files {
        let bytes = fs::read(file).unwrap();
        for _ in 0..FLIPS {
            let (at, bit) = (chance.random_range(0..bytes.len()), chance.random_range(0..8));
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            fs::write(file, damaged).unwrap();
            let (losses, facts, notices) = indexed(&home, &run);
            let place = format!("bit {bit} of byte {at} of {}", file.display());
            assert_eq!(facts.ending(), Some(&Ending::Finished { step: 30 }), "{place}");
            assert!(losses.iter().all(|(step, loss)| truth.get(step) == Some(loss)), "{place}");
            let missing = (truth.len() - losses.len()) as u64;
            assert!(missing <= facts.lost() && (missing == 0 || !notices.is_empty()), "{place}: {facts:?} {notices:?}");
            told += usize::from(facts.lost() > 0);
        }
        fs::write(file, bytes).unwrap();
    }
    assert!(told > FLIPS / 2, "{told} flips were told of, so most of them hit nothing");
}

#[test]
fn a_log_that_lost_its_end_or_itself_leaves_a_finished_run_finished() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let run = new_run(&home, 1);
    let log = finished(&run).pop().unwrap();
    let bytes = fs::read(&log).unwrap();
    let (truth, ..) = indexed(&home, &run);
    for length in (0..bytes.len()).step_by(97) {
        fs::write(&log, &bytes[..length]).unwrap();
        let (losses, facts, notices) = indexed(&home, &run);
        assert_eq!(facts.ending(), Some(&Ending::Finished { step: 30 }), "{length} bytes");
        assert!(losses.iter().all(|(step, loss)| truth.get(step) == Some(loss)), "{length} bytes");
        assert!(facts.lost() > 0 && notices.len() == 1, "{length} bytes: {notices:?}");
    }
    fs::remove_file(&log).unwrap();
    let (losses, facts, _) = indexed(&home, &run);
    assert_eq!((losses.len(), facts.lost()), (0, 32));
    assert_eq!(facts.ending(), Some(&Ending::Finished { step: 30 }));
}

#[test]
fn lines_that_are_gone_or_there_twice_are_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let run = new_run(&home, 1);
    let log = finished(&run).pop().unwrap();
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let write = |lines: &[&str]| fs::write(&log, lines.join("\n") + "\n").unwrap();
    write(&[&lines[..5], &lines[9..]].concat());
    let (losses, facts, notices) = indexed(&home, &run);
    assert_eq!((losses.len(), facts.lost()), (26, 4));
    assert!(notices[0].starts_with("4 of the lines before line 9 of "), "{notices:?}");
    write(&[&lines[..9], &lines[5..]].concat());
    let (losses, facts, notices) = indexed(&home, &run);
    assert_eq!((losses.len(), facts.lost()), (30, 0));
    assert!(notices.iter().all(|notice| notice.contains("it is there twice")) && notices.len() == 4, "{notices:?}");
}

#[test]
fn a_damaged_attempt_does_not_hide_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let run = new_run(&home, 1);
    eventful(&run);
    for damage in ["{\"format\":99}\n", "hello\n", "\0\0\0"] {
        fs::write(run.attempt(1).events_path(), damage).unwrap();
        let (losses, facts, notices) = indexed(&home, &run);
        assert!(facts.attempt == 2 && !losses.is_empty(), "{damage:?}: {facts:?}");
        assert!(damage.starts_with('\0') || !notices.is_empty(), "{damage:?}");
    }
}

#[test]
fn logs_of_earlier_versions_are_read_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let run = new_run(&home, 1);
    let attempt = run.new_attempt().unwrap();
    let old = format!(
        "{{\"format\":1,\"run\":\"{}\",\"attempt\":1}}\n\
         {{\"time_ms\":5,\"event\":{{\"event\":\"step_logged\",\"step\":1,\"tokens\":4,\"elapsed_s\":0.5,\"metrics\":{{\"loss\":2.5}}}}}}\n\
         {{\"time_ms\":6,\"event\":{{\"event\":\"finished\",\"step\":1}}}}\n",
        run.id()
    );
    fs::write(attempt.events_path(), old).unwrap();
    let (losses, facts, notices) = indexed(&home, &run);
    assert_eq!(losses, BTreeMap::from([(1, 2.5_f64.to_bits())]));
    assert_eq!((facts.ending(), facts.lost(), notices.len()), (Some(&Ending::Finished { step: 1 }), 0, 0));
}

#[test]
fn no_flipped_bit_changes_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let run = new_run(&home, 1);
    let id: RunId = run.id().clone();
    let mut log = EvalLog::create(&run, &EvalHeader::new(id, 20, None, vec!["shipped:world".to_owned()])).unwrap();
    for document in 0..20 {
        let item = serde_json::from_value(serde_json::json!({
            "document": document, "log_likelihoods": [-1.25, -2.5], "tokens": [2, 3], "greedy": [false, true]
        }));
        log.append(&EvalRow::Item { task: "t".to_owned(), form: ScoringForm::Plain, item: item.unwrap() }).unwrap();
    }
    let path = eval_path(&run, 1);
    let truth = read_evals(&path, 0, &|_| true).unwrap();
    assert_eq!((truth.rows.len(), truth.lost), (20, 0));
    let bytes = fs::read(&path).unwrap();
    let mut chance = generator(14, Stream::Sample, 0);
    for _ in 0..FLIPS {
        let (at, bit) = (chance.random_range(0..bytes.len()), chance.random_range(0..8));
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << bit;
        fs::write(&path, damaged).unwrap();
        let read = read_evals(&path, 0, &|_| true).unwrap();
        assert!(read.rows.iter().all(|row| truth.rows.contains(row)), "bit {bit} of byte {at}");
        let missing = (truth.rows.len() - read.rows.len()) as u64;
        let torn = at + 1 == bytes.len();
        assert!(missing <= read.lost || torn, "bit {bit} of byte {at}: {missing} missing, {} told", read.lost);
    }
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
    found.sort();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let place = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &place) } else { _ = fs::copy(&path, &place).unwrap() }
    }
}

#[test]
fn no_flipped_bit_of_the_index_is_believed_or_stops_anybody() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let run = new_run(&home, 1);
    eventful(&run);
    let (store, _) = StoreHandle::start(&home, Duration::from_secs(30)).unwrap();
    store.sync(&run).unwrap();
    let truth = store.call("dump", |store| store.dump()).unwrap();
    store.close().unwrap();
    let kept = folder.path().join("kept");
    copy(&home.index_dir(), &kept);
    let mut all = Vec::new();
    files(&kept, &mut all);
    all.retain(|path| fs::metadata(path).unwrap().len() > 0);
    let mut chance = generator(17, Stream::Sample, 0);
    let mut noticed = 0;
    for _ in 0..FLIPS / 4 {
        fs::remove_dir_all(home.index_dir()).unwrap();
        copy(&kept, &home.index_dir());
        let file = &all[chance.random_range(0..all.len())];
        let file = home.index_dir().join(file.strip_prefix(&kept).unwrap());
        let mut bytes = fs::read(&file).unwrap();
        let (at, bit) = (chance.random_range(0..bytes.len()), chance.random_range(0..8));
        bytes[at] ^= 1 << bit;
        fs::write(&file, bytes).unwrap();
        let place = format!("bit {bit} of byte {at} of {}", file.display());
        let (store, notice) = StoreHandle::start(&home, Duration::from_secs(30)).unwrap();
        noticed += usize::from(notice.is_some());
        let read = |store: &StoreHandle| {
            store.sync(&run)?;
            store.call("dump", |store| store.dump())
        };
        match read(&store) {
            Ok(rows) => assert!(rows == truth, "{place}"),
            Err(error) => {
                noticed += 1;
                store.replace(&home, &error.to_string()).unwrap();
                assert!(read(&store).unwrap() == truth, "{place}: {error}");
            }
        }
    }
    assert!(noticed > 0, "every flip hit what nobody reads");
}
