//! The run directory: cut logs, damaged lines, locks, attempts, wishes.

use std::fs;
use std::path::Path;

use trilab::core::{Control, ControlSource, Metric, RunEvent};
use trilab::runlog::{Home, RunFolder, RunLogError, read_from};

use crate::fixture::{new_run, spec, step, write_attempt};

#[test]
fn a_log_cut_at_any_byte_gives_the_exact_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let run = new_run(&home, 1);
    let events = vec![
        RunEvent::Resumed { step: 0 },
        step(1, 5.25),
        RunEvent::SampleGenerated { step: 1, prompt: "a\nb".to_owned(), text: "ü → \u{1F980}".to_owned() },
        step(2, 1.0 / 3.0),
        RunEvent::Finished { step: 2 },
    ];
    let whole = fs::read(write_attempt(&run, &events)).unwrap();
    let ends: Vec<usize> = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    assert_eq!(ends.len(), events.len() + 1, "one line each");
    let cut = folder.path().join("cut.jsonl");
    for length in 0..=whole.len() {
        fs::write(&cut, &whole[..length]).unwrap();
        let lines = ends.iter().filter(|end| **end <= length).count();
        let chunk = read_from(&cut, 0).unwrap();
        let read: Vec<RunEvent> = chunk.events.iter().map(|event| event.event.clone()).collect();
        assert_eq!(read, events[..lines.saturating_sub(1)], "cut at byte {length}");
        assert_eq!(chunk.next_offset, lines.checked_sub(1).map_or(0, |last| ends[last] as u64));
        assert_eq!(chunk.header.is_some(), lines > 0);
        assert!(chunk.notices.is_empty());
        // Going on after the cut gives exactly the rest.
        fs::write(&cut, &whole).unwrap();
        let rest = read_from(&cut, chunk.next_offset).unwrap();
        assert_eq!(read.len() + rest.events.len(), events.len());
        assert_eq!(rest.next_offset, whole.len() as u64);
    }
}

#[test]
fn losses_come_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let run = new_run(&Home::new(folder.path()), 1);
    let values = [0.1 + 0.2, f64::MIN_POSITIVE, 1e300, -0.0, 5.0, 2.0_f64.sqrt()];
    let path = write_attempt(&run, &values.iter().map(|value| step(1, *value)).collect::<Vec<_>>());
    for (event, value) in read_from(&path, 0).unwrap().events.iter().zip(values) {
        assert_eq!(event.event, step(1, value));
        if let RunEvent::StepLogged { metrics, .. } = &event.event {
            assert_eq!(metrics[&Metric::Loss].to_bits(), value.to_bits());
        }
    }
}

#[test]
fn a_damaged_line_costs_itself_only() {
    let folder = tempfile::tempdir().unwrap();
    let run = new_run(&Home::new(folder.path()), 1);
    let path = write_attempt(&run, &[step(1, 5.0), step(2, 4.0), step(3, 3.0)]);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[2] = "{\"time_ms\":1,\"event\":{\"event\":\"from_the_future\"}}";
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    let chunk = read_from(&path, 0).unwrap();
    assert_eq!(chunk.events.iter().map(|event| event.event.clone()).collect::<Vec<_>>(), [step(1, 5.0), step(3, 3.0)]);
    assert_eq!((chunk.notices.len(), chunk.lost), (1, 1));
    assert!(chunk.notices[0].contains("events.jsonl") && chunk.notices[0].contains("checksum"), "{:?}", chunk.notices);
}

#[test]
fn foreign_and_shortened_logs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    fs::write(&path, "{\"format\":7,\"run\":\"0123456789ab\",\"attempt\":1}\n").unwrap();
    assert!(matches!(read_from(&path, 0), Err(RunLogError::Format { found: 7, .. })));
    fs::write(&path, "hello\n").unwrap();
    assert_eq!(read_from(&path, 0).unwrap().lost, 1, "a damaged first line is lost like any other");
    assert!(matches!(read_from(&path, 100), Err(RunLogError::Shrunk { offset: 100, length: 6, .. })));
}

#[test]
fn a_long_log_is_read_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let run = new_run(&Home::new(folder.path()), 1);
    let text = "x".repeat(5 << 20);
    let long = RunEvent::Warned { message: text };
    let path = write_attempt(&run, &[long.clone(), step(1, 5.0), long, step(2, 4.0)]);
    let (mut offset, mut events, mut parts) = (0, Vec::new(), 0);
    loop {
        let chunk = read_from(&path, offset).unwrap();
        if chunk.next_offset == offset {
            break;
        }
        offset = chunk.next_offset;
        parts += 1;
        events.extend(chunk.events);
    }
    assert_eq!(events.len(), 4);
    assert!(parts > 1, "{parts} parts");
}

#[test]
fn a_spec_is_written_once_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let first = spec(1);
    let run = new_run(&home, 1);
    let mut again = first.clone();
    again.execution.threads = 9;
    assert!(!run.create(&again).unwrap(), "the same content is there already");
    assert_eq!(run.spec().unwrap(), first, "and the first spec stays");
    assert!(matches!(run.create(&spec(2)), Err(RunLogError::Differs { .. })));
    let mut forged = spec(2);
    forged.id = first.id.clone();
    assert!(matches!(run.create(&forged), Err(RunLogError::Differs { .. })), "another content under the same id");
    assert_eq!(home.list_runs().unwrap(), vec![first.id.clone()]);
    assert_eq!(RunFolder::open(run.path()).unwrap(), run);
    assert!(RunFolder::open(folder.path()).is_err());

    let text = fs::read_to_string(run.spec_path()).unwrap();
    let mut later: serde_json::Value = serde_json::from_str(&text).unwrap();
    later.as_object_mut().unwrap().remove("checksum");
    fs::write(run.spec_path(), later.to_string()).unwrap();
    assert_eq!(run.spec().unwrap(), first, "earlier versions wrote no checksum");
    later["format"] = 2.into();
    fs::write(run.spec_path(), later.to_string()).unwrap();
    let error = run.spec().unwrap_err().to_string();
    assert!(error.contains("spec.json") && error.contains("format 2") && error.contains("knows format 1"), "{error}");
    assert!(run.create(&first).is_err(), "what a later version wrote is not replaced");
}

#[test]
fn a_spec_that_was_changed_is_refused_and_submitting_it_again_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let (first, run) = (spec(1), new_run(&home, 1));
    let (path, aside) = (run.spec_path(), run.path().join("spec.damaged.json"));
    let whole = fs::read_to_string(&path).unwrap();
    let changes = [
        ("\"seed\"", "\"sead\"", "unknown field `sead`"),
        ("\"format\": 1", "\"format\": 3", "no format that fits its checksum"),
        ("\"steps\": 200", "\"steps\": 201", "something was changed"),
        ("\"threads\": 1", "\"threads\": 3", "such as probes or execution"),
        ("\"checkpoint_every\": 50", "\"checkpoint_every\": 51", "such as probes or execution"),
    ];
    for (from, to, reason) in changes {
        let other = whole.replace(from, to);
        assert_ne!(other, whole, "{from}");
        fs::write(&path, &other).unwrap();
        let said = run.spec().unwrap_err().to_string();
        assert!(said.contains(path.to_str().unwrap()) && said.contains(reason), "{said}");
        assert!(said.contains("submit the study of this run again"), "{said}");
        assert!(run.create(&first).unwrap(), "it is written anew");
        assert_eq!((run.spec().unwrap(), fs::read_to_string(&path).unwrap()), (first.clone(), whole.clone()));
        assert_eq!(fs::read_to_string(&aside).unwrap(), other);
    }
    let mut bits = trilab::core::seed::generator(1, trilab::core::seed::Stream::Sample, 0);
    for _ in 0..200 {
        let mut other = whole.clone().into_bytes();
        let bit = rand::RngExt::random_range(&mut bits, 0..other.len() * 8);
        other[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &other).unwrap();
        // An exponent may be written with a capital letter.
        assert!(run.spec().is_ok_and(|spec| spec == first) || run.spec().is_err(), "bit {bit}");
    }
}

#[test]
fn the_lock_is_the_proof_of_life() {
    let folder = tempfile::tempdir().unwrap();
    let run = new_run(&Home::new(folder.path()), 1);
    assert!(!run.is_locked().unwrap(), "never locked");
    let lock = run.lock().unwrap();
    assert!(run.is_locked().unwrap());
    assert!(matches!(run.lock(), Err(RunLogError::Locked { .. })));
    drop(lock);
    assert!(!run.is_locked().unwrap());
    drop(run.lock().unwrap());
}

#[test]
fn attempts_are_numbered_and_reserved_ones_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let run = new_run(&Home::new(folder.path()), 1);
    assert!(run.attempts().unwrap().is_empty());
    let reserved = run.reserve_attempt().unwrap();
    fs::write(reserved.output_path(), "could not start: no memory\n").unwrap();
    assert_eq!(run.new_attempt().unwrap(), reserved, "the worker takes what the launcher reserved");
    write_attempt(&run, &[]);
    assert_eq!(run.new_attempt().unwrap().number, 2, "an attempt with a log is taken");
    assert_eq!(run.reserve_attempt().unwrap().number, 3, "a launcher never shares");
    assert_eq!(run.attempts().unwrap(), vec![1, 2, 3]);
    assert_eq!(run.output_tail(1, 10).unwrap(), "no memory\n");
    assert_eq!(run.output_tail(2, 10).unwrap(), "");
    assert!(run.checkpoint_steps().unwrap().is_empty());
    for name in ["step-00000200", "step-00000100", ".step-00000300.new", "step-00000400.tmp", "step-1", "notes"] {
        fs::create_dir_all(run.checkpoints_dir().join(name)).unwrap();
    }
    assert_eq!(run.checkpoint_steps().unwrap(), vec![100, 200]);
    assert_eq!(run.checkpoint_dir(200), run.checkpoints_dir().join("step-00000200"));
}

#[test]
fn wishes_reach_the_worker() {
    let folder = tempfile::tempdir().unwrap();
    let run = new_run(&Home::new(folder.path()), 1);
    let mut source = run.control_source();
    assert_eq!(source.control(), Control::Run);
    run.write_control(Control::Pause).unwrap();
    assert_eq!((source.control(), run.control().unwrap()), (Control::Pause, Control::Pause));
    assert!(!Path::new(&run.path().join(".control.json.new")).exists());
}

#[test]
fn a_damaged_spec_is_restored_from_the_copy_of_an_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let run = new_run(&Home::new(folder.path()), 1);
    let spec = run.spec().unwrap();
    assert_eq!(run.restore_spec().unwrap(), None, "there is no copy");
    let first = run.reserve_attempt().unwrap();
    run.copy_spec(&first, &spec).unwrap();
    let second = run.reserve_attempt().unwrap();
    fs::write(second.path.join("spec.json"), "{}").unwrap();
    let whole = fs::read(run.spec_path()).unwrap();
    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    fs::write(run.spec_path(), &damaged).unwrap();
    assert!(run.spec().is_err());
    assert_eq!(run.restore_spec().unwrap(), Some(spec.clone()), "from the newest copy that is whole");
    assert_eq!(fs::read(run.spec_path()).unwrap(), whole);
    assert_eq!(fs::read(run.path().join("spec.damaged.json")).unwrap(), damaged);
    assert!(run.damaged_copy(&first).is_none() && run.damaged_copy(&second).is_some());
}
