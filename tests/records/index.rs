//! The index: applied once, rebuilt the same, set aside when bad, never waited for in vain.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use trilab::core::task::{ItemMarks, ScoringForm, TaskMetric, TaskRecord, TaskScore, TaskScores};
use trilab::core::{Metric, Metrics, RunEvent, RunId, StampedEvent};
use trilab::runlog::{EvalHeader, EvalLog, EvalRow, Home};
use trilab::store::{Ending, Ingested, NewLines, Store, StoreError, StoreHandle, next_lines, reindex, sync};

use crate::fixture::{eventful, new_run, ranks, step, write_attempt};

fn open(home: &Home) -> Store {
    let opened = Store::open(home).unwrap();
    assert_eq!(opened.notice, None);
    opened.store
}

#[test]
fn questions_get_answers() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let run = new_run(&home, 1);
    let store = open(&home);
    assert_eq!(store.facts(run.id()).unwrap(), None);
    assert!(store.curve(run.id(), Metric::Loss, Some(10)).unwrap().points.is_empty());
    eventful(&run);
    let synced = sync(&store, &run).unwrap();
    assert_eq!(synced.events.len(), 38);
    assert_eq!(sync(&store, &run).unwrap(), Default::default(), "nothing new");

    let facts = store.facts(run.id()).unwrap().unwrap();
    assert_eq!((facts.attempt, facts.step, facts.tokens, facts.checkpoint_step), (2, 20, 20 * 128, Some(10)));
    assert_eq!(facts.ending(), Some(&Ending::Finished { step: 20 }));
    assert_eq!(facts.latest[&Metric::ValidationLoss], 4.2);
    assert_eq!(store.all_facts().unwrap(), vec![(run.id().clone(), facts)]);

    let curve = store.curve(run.id(), Metric::Loss, None).unwrap();
    assert_eq!(curve.points.iter().map(|point| point.step).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
    assert!(curve.points.iter().all(|point| point.tokens == point.step * 128));
    let validation = store.curve(run.id(), Metric::ValidationLoss, None).unwrap();
    assert_eq!(
        validation.points.iter().map(|point| (point.step, point.tokens, point.value)).collect::<Vec<_>>(),
        [(0, 0, 6.0), (10, 1280, 5.1), (20, 2560, 4.2)]
    );
    let thinned = store.curve(run.id(), Metric::Loss, Some(6)).unwrap();
    assert_eq!((thinned.stored, thinned.points.len()), (20, 6));
    assert_eq!(store.sparkline(run.id()).unwrap().len(), 20);

    let samples = store.samples(run.id(), 2).unwrap();
    assert_eq!(samples.iter().map(|sample| sample.text.as_str()).collect::<Vec<_>>(), ["once at 20", "the at 10"]);
    assert_eq!(store.samples(run.id(), 9).unwrap().len(), 3);
    let events = store.events(run.id(), 3).unwrap();
    let words: Vec<RunEvent> = events.into_iter().map(|event| event.event).collect();
    assert_eq!(
        words,
        [
            RunEvent::Resumed { step: 10 },
            RunEvent::Warned { message: "slow".to_owned() },
            RunEvent::Finished { step: 20 }
        ]
    );
}

#[test]
fn ranks_are_kept_by_step_and_their_headline_is_a_curve() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let (run, other) = (new_run(&home, 1), new_run(&home, 2));
    let measured = |at: u64| {
        let report = ranks(0.01 * at as f64);
        let metrics = report.metrics();
        RunEvent::RankMeasured { step: at, report, metrics, seconds: 0.25 }
    };
    let mut events = Vec::new();
    for at in 1..=12 {
        events.extend([step(at, 5.0), measured(at)]);
    }
    write_attempt(&run, &events);
    // A second attempt measures a step again: the newer word counts.
    write_attempt(&run, &[RunEvent::Resumed { step: 11 }, step(12, 4.0), measured(12)]);
    let mut store = open(&home);
    sync(&store, &run).unwrap();
    assert!(store.ranks(other.id(), 5).unwrap().reports.is_empty());
    let all = store.ranks(run.id(), 100).unwrap();
    assert_eq!(all.run, *run.id());
    assert_eq!(all.reports.iter().map(|at| at.step).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    let newest = all.reports.last().unwrap();
    assert_eq!((newest.seconds, &newest.report), (0.25, &ranks(0.12)));
    assert!(all.reports[..11].iter().all(|at| at.report.heads[0].spectrum.is_empty()), "only the newest is whole");
    let few = store.ranks(run.id(), 4).unwrap();
    assert_eq!(few.reports.iter().map(|at| at.step).collect::<Vec<_>>(), [1, 5, 9, 12]);
    assert_eq!(store.ranks(run.id(), 1).unwrap().reports, vec![newest.clone()]);

    let curve = store.curve(run.id(), Metric::EffectiveRankShare, None).unwrap();
    assert_eq!(curve.points.len(), 12);
    assert_eq!((curve.points[11].step, curve.points[11].tokens), (12, 12 * 128));
    assert!((curve.points[11].value - 0.12).abs() < 1e-12);
    let facts = store.facts(run.id()).unwrap().unwrap();
    assert_eq!(facts.latest[&Metric::EffectiveRankShare], curve.points[11].value);
    assert!(store.events(run.id(), 99).unwrap().iter().all(|at| !matches!(at.event, RunEvent::RankMeasured { .. })));
    let incremental = store.dump().unwrap();
    reindex(&mut store, &home).unwrap();
    assert!(store.dump().unwrap() == incremental, "the rebuilt index differs");
}

#[test]
fn applied_twice_is_applied_once() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let run = new_run(&home, 1);
    eventful(&run);
    let store = open(&home);
    let first = next_lines(&run, None).unwrap().unwrap();
    assert_eq!(store.ingest(run.id(), &first).unwrap(), Ingested::Applied);
    let once = store.dump().unwrap();
    assert_eq!(store.ingest(run.id(), &first).unwrap(), Ingested::Elsewhere { offset: first.offset_after });
    assert_eq!(store.dump().unwrap(), once);
    let gap = NewLines { attempt: 2, offset_before: 999, offset_after: 1200, ..first };
    assert_eq!(store.ingest(run.id(), &gap).unwrap(), Ingested::Elsewhere { offset: 0 });
    assert_eq!(store.dump().unwrap(), once);
}

#[test]
fn line_by_line_or_all_at_once_or_rebuilt_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let (run, other) = (new_run(&home, 1), new_run(&home, 2));
    eventful(&run);
    eventful(&other);
    // Let the logs of one run grow byte by byte under the eyes of the store.
    let logs: Vec<(PathBuf, Vec<u8>)> = [1, 2]
        .map(|attempt| run.attempt(attempt).events_path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .to_vec();
    for (path, _) in &logs {
        fs::remove_file(path).unwrap();
        // Written with the last line, which is not there yet.
        drop(fs::remove_file(path.with_file_name("end.json")));
    }
    let mut store = open(&home);
    for (path, bytes) in &logs {
        for length in (0..bytes.len()).step_by(37).chain([bytes.len()]) {
            fs::write(path, &bytes[..length]).unwrap();
            sync(&store, &run).unwrap();
        }
    }
    sync(&store, &other).unwrap();
    let incremental = store.dump().unwrap();
    assert!(incremental.len() > 60, "{} rows", incremental.len());
    assert_eq!(reindex(&mut store, &home).unwrap(), Vec::<String>::new());
    assert!(store.dump().unwrap() == incremental, "the rebuilt index differs");
    drop(store);
    assert!(open(&home).dump().unwrap() == incremental, "the reopened index differs");
}

#[test]
fn a_log_that_cannot_be_read_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let runs = [new_run(&home, 1), new_run(&home, 2), new_run(&home, 3)];
    for run in &runs {
        eventful(run);
    }
    fs::write(runs[1].attempt(1).events_path(), "{\"format\":99}\n").unwrap();
    let mut store = open(&home);
    let notices = reindex(&mut store, &home).unwrap();
    assert_eq!(notices.len(), 1);
    assert!(notices[0].starts_with("could not read ") && notices[0].contains("format 99"), "{}", notices[0]);
    assert_eq!(store.all_facts().unwrap().len(), 3, "the second attempt of that run is read all the same");
    // A log under the wrong run is not believed either, and told of once.
    fs::copy(runs[0].attempt(1).events_path(), runs[1].attempt(1).events_path()).unwrap();
    let notices = reindex(&mut store, &home).unwrap();
    assert!(notices.len() == 1 && notices[0].contains("it is the log of attempt 1 of run"), "{notices:?}");
    assert!(sync(&store, &runs[1]).unwrap().notices.is_empty());
}

#[test]
fn a_bad_index_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let run = new_run(&home, 1);
    eventful(&run);
    let fill = || {
        let store = Store::open(&home).unwrap().store;
        sync(&store, &run).unwrap();
        store.dump().unwrap().len()
    };
    let rows = fill();
    // Damage every file of the index.
    let mut folders = vec![home.index_dir()];
    let mut damaged = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let length = fs::metadata(&path).unwrap().len();
                fs::write(&path, vec![0xA5; usize::try_from(length).unwrap()]).unwrap();
                damaged += 1;
            }
        }
    }
    assert!(damaged > 0);
    let opened = Store::open(&home).unwrap();
    let notice = opened.notice.unwrap();
    assert!(notice.contains("index-broken"), "{notice}");
    assert!(folder.path().join("index-broken").is_dir());
    assert!(opened.store.dump().unwrap().is_empty());
    drop(opened.store);
    assert_eq!(fill(), rows, "the logs bring everything back");
    // A file where the folder should be.
    fs::remove_dir_all(home.index_dir()).unwrap();
    fs::write(home.index_dir(), "hello").unwrap();
    assert!(Store::open(&home).unwrap().notice.unwrap().contains("index-broken"));
    assert!(folder.path().join("index-broken").is_file(), "one is kept, the newest");
}

#[test]
fn an_index_in_use_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let store = open(&home);
    assert!(matches!(Store::open(&home), Err(StoreError::InUse(_))));
    drop(store);
    drop(open(&home));
    assert!(!folder.path().join("index-broken").exists());
}

#[test]
fn a_thousand_runs_of_a_thousand_steps() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let store = open(&home);
    let id = |run: u64| format!("{run:012x}").parse::<RunId>().unwrap();
    let events: Vec<StampedEvent> = (1..=1000)
        .map(|at| StampedEvent { time_ms: at, event: step(at, 1.0 / f64::from(u32::try_from(at).unwrap())) })
        .collect();
    for run in 0..1000 {
        // Half of the runs at once, half in parts, as a tailing server sees them.
        let parts = if run % 2 == 0 { 1 } else { 4 };
        for (place, part) in (0..).zip(events.chunks(1000 / parts)) {
            let lines = NewLines {
                attempt: 1,
                offset_before: place * 100,
                events: part.to_vec(),
                offset_after: (place + 1) * 100,
                ..NewLines::default()
            };
            assert_eq!(store.ingest(&id(run), &lines).unwrap(), Ingested::Applied);
        }
        if run % 100 == 99 {
            store.flush().unwrap();
        }
    }
    for run in [0, 1, 499, 998, 999] {
        let curve = store.curve(&id(run), Metric::Loss, Some(100)).unwrap();
        assert_eq!((curve.stored, curve.points.len()), (1000, 100));
        assert_eq!(curve.points[0].value, 1.0);
        assert_eq!(curve.points[99].value, 0.001);
    }
    assert_eq!(store.all_facts().unwrap().len(), 1000);
    drop(store);
    let store = open(&home);
    assert_eq!(store.dump().unwrap().len(), 1000 * 1001);
}

#[test]
fn the_store_answers_from_its_thread_until_it_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let run = new_run(&home, 1);
    eventful(&run);
    let (handle, notice) = StoreHandle::start(&home, Duration::from_secs(60)).unwrap();
    assert_eq!(notice, None);
    assert_eq!(handle.sync(&run).unwrap().events.len(), 38);
    let id = run.id().clone();
    let facts = handle.call("facts", move |store| store.facts(&id)).unwrap().unwrap();
    assert_eq!(facts.step, 20);
    assert!(handle.reindex(&home).unwrap().is_empty());
    let rows = handle.call("dump", |store| store.dump()).unwrap();
    handle.clone().close().unwrap();
    assert!(matches!(handle.flush(), Err(StoreError::Ended)));
    assert_eq!(open(&home).dump().unwrap(), rows, "closing kept everything");

    let (handle, _) = StoreHandle::start(&home, Duration::from_millis(50)).unwrap();
    let (release, held) = mpsc::channel::<()>();
    let stuck = handle.call("a full disk", move |_| {
        let _ = held.recv();
        Ok(())
    });
    assert!(matches!(stuck, Err(StoreError::Hangs("a full disk"))));
    assert!(handle.hangs());
    assert!(matches!(handle.call("next", |_| Ok(())), Err(StoreError::Hangs("next"))), "believed at once");
    // Another one takes its place while it still hangs, and all who had the handle have it.
    let clone = handle.clone();
    let notice = handle.replace(&home, "it hung").unwrap();
    assert!(notice.contains("it hung") && notice.contains("index-broken"), "{notice}");
    assert_eq!(clone.sync(&run).unwrap().events.len(), 38);
    assert_eq!(clone.call("dump", |store| store.dump()).unwrap(), rows);
    drop(release);
}

#[test]
fn a_panic_of_the_database_ends_the_store_and_not_the_caller() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let run = new_run(&home, 1);
    eventful(&run);
    let (handle, _) = StoreHandle::start(&home, Duration::from_secs(60)).unwrap();
    handle.sync(&run).unwrap();
    let panics = handle.call("a damaged page", |_| -> Result<(), StoreError> { std::panic::panic_any("in sled") });
    assert!(matches!(panics, Err(StoreError::Panicked("a damaged page"))));
    assert!(matches!(handle.flush(), Err(StoreError::Ended)));
    handle.replace(&home, "it panicked").unwrap();
    assert_eq!(handle.sync(&run).unwrap().events.len(), 38);
}

/// Scores of a task at a step, of which every item below `right` is answered rightly.
fn scored(step: u64, task: &str, items: usize, right: usize) -> TaskRecord {
    let marks: Vec<bool> = (0..items).map(|item| item < right).collect();
    let value = f64::from(u32::try_from(right).unwrap()) / f64::from(u32::try_from(items).unwrap());
    TaskRecord {
        step,
        task: task.to_owned(),
        wording_of: Some("family".to_owned()),
        form: ScoringForm::Plain,
        scores: TaskScores::from([(TaskMetric::Acc, TaskScore { value, stderr: Some(0.01), chance: Some(0.5) })]),
        items: items as u64,
        right: ItemMarks::new(&marks),
        seconds: 0.1,
        later: false,
    }
}

#[test]
fn scores_come_from_the_log_and_from_later_evaluations() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let run = new_run(&home, 1);
    let event = |record: &TaskRecord| RunEvent::TaskScored(record.clone());
    let metrics = Metrics::from([(Metric::ZeroShotAcc, 0.6)]);
    write_attempt(
        &run,
        &[
            step(1, 3.0),
            event(&scored(1, "a", 10, 4)),
            event(&scored(1, "b", 10, 6)),
            step(2, 2.0),
            event(&scored(2, "a", 50, 30)),
            RunEvent::ZeroShotMeasured { step: 2, metrics, items: 50, seconds: 0.5 },
        ],
    );
    let mut store = open(&home);
    assert!(!sync(&store, &run).unwrap().scored);
    assert_eq!(store.scores(run.id(), false).unwrap(), [scored(2, "a", 50, 30), scored(1, "b", 10, 6)]);
    assert_eq!(store.scores(run.id(), true).unwrap().len(), 3);
    let curve = store.curve(run.id(), Metric::ZeroShotAcc, None).unwrap();
    assert_eq!(curve.points.iter().map(|point| (point.step, point.tokens)).collect::<Vec<_>>(), [(2, 256)]);
    assert_eq!(store.facts(run.id()).unwrap().unwrap().latest[&Metric::ZeroShotAcc], 0.6);
    assert!(store.events(run.id(), 9).unwrap().is_empty(), "scores are not news that crowd out others");

    let header = EvalHeader::new(run.id().clone(), 2, None, vec!["shipped:world".to_owned()]);
    let mut log = EvalLog::create(&run, &header).unwrap();
    let row = |record: &TaskRecord| EvalRow::Task(StampedEvent { time_ms: 1, event: event(record) });
    log.append(&row(&scored(2, "a", 5, 5))).unwrap();
    log.append(&row(&scored(2, "c", 5, 5))).unwrap();
    assert!(sync(&store, &run).unwrap().scored);
    assert!(!sync(&store, &run).unwrap().scored, "nothing new");
    let later = |record: TaskRecord| TaskRecord { later: true, ..record };
    let found = store.scores(run.id(), false).unwrap();
    assert_eq!(found[..2], [scored(2, "a", 50, 30), scored(1, "b", 10, 6)], "what the run asked stays as it was");
    assert_eq!(found[2..], [later(scored(2, "a", 5, 5)), later(scored(2, "c", 5, 5))]);
    let newest = store.newest_scores(run.id()).unwrap();
    let expected = [scored(2, "a", 50, 30), scored(1, "b", 10, 6), later(scored(2, "c", 5, 5))];
    assert_eq!(newest, expected, "five items do not replace fifty");
    log.append(&row(&scored(9, "a", 5, 5))).unwrap();
    sync(&store, &run).unwrap();
    assert_eq!(store.newest_scores(run.id()).unwrap()[0], later(scored(9, "a", 5, 5)), "a checkpoint further on does");
    assert_eq!(store.scores(run.id(), false).unwrap()[0], scored(2, "a", 50, 30));
    let before = store.dump().unwrap();
    reindex(&mut store, &home).unwrap();
    assert_eq!(store.dump().unwrap(), before, "the files give the same index again");
}
