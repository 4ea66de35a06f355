//! What a run left on disk, in a form in which two runs can be compared bit for bit.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use trilab::core::{Metric, RunEvent};
use trilab::runlog::{RunFolder, read_from};

/// Values by step and metric, as bits.
pub(crate) type Values = BTreeMap<(u64, Metric), u64>;

/// The events of one attempt; a line that is no event is a broken test.
pub(crate) fn events(run: &RunFolder, attempt: u32) -> Vec<RunEvent> {
    let path = run.attempt(attempt).events_path();
    let (mut events, mut offset) = (Vec::new(), 0);
    while path.exists() {
        let chunk = read_from(&path, offset).unwrap();
        assert!(chunk.notices.is_empty(), "{:?}", chunk.notices);
        events.extend(chunk.events.into_iter().map(|stamped| stamped.event));
        if chunk.next_offset == offset {
            break;
        }
        offset = chunk.next_offset;
    }
    events
}

/// The events of all attempts, in order.
pub(crate) fn all_events(run: &RunFolder) -> Vec<RunEvent> {
    run.attempts().unwrap().into_iter().flat_map(|attempt| events(run, attempt)).collect()
}

/// The furthest step that an attempt has logged.
pub(crate) fn steps_logged(run: &RunFolder, attempt: u32) -> u64 {
    let step = |event: &RunEvent| if let RunEvent::StepLogged { step, .. } = event { *step } else { 0 };
    // The newest log may not have its header yet.
    let path = run.attempt(attempt).events_path();
    let Ok(chunk) = read_from(&path, 0) else { return 0 };
    chunk.events.iter().map(|stamped| step(&stamped.event)).max().unwrap_or(0)
}

/// Everything that was measured but for speeds. Steps that were made again must have given the same bits.
pub(crate) fn values(run: &RunFolder) -> Values {
    let mut values = Values::new();
    for event in all_events(run) {
        let (RunEvent::StepLogged { step, metrics, .. } | RunEvent::Validated { step, metrics, .. }) = event else {
            continue;
        };
        for (metric, value) in metrics {
            if metric == Metric::TokensPerSecond {
                continue;
            }
            let before = values.insert((step, metric), value.to_bits());
            let again = before.is_none_or(|before| before == value.to_bits());
            assert!(again, "run {}: {metric} of step {step} came out different the second time", run.id());
        }
    }
    values
}

/// What the model wrote, by step.
fn samples(run: &RunFolder) -> BTreeMap<u64, String> {
    let text = |event| if let RunEvent::SampleGenerated { step, text, .. } = event { Some((step, text)) } else { None };
    all_events(run).into_iter().filter_map(text).collect()
}

/// Complete checkpoints, oldest first.
pub(crate) fn checkpoints(run: &RunFolder) -> Vec<u64> {
    let names = names(run.checkpoints_dir());
    names.iter().filter_map(|name| name.strip_prefix("step-")?.parse().ok()).collect()
}

/// Checkpoints that are being written, or were when their worker died.
pub(crate) fn unfinished(run: &RunFolder) -> Vec<String> {
    names(run.checkpoints_dir()).into_iter().filter(|name| name.starts_with(".writing-")).collect()
}

fn names(folder: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Bytes of the newest weights and moments.
fn tensors(run: &RunFolder) -> [Vec<u8>; 2] {
    let newest = run.checkpoints_dir().join(format!("step-{:08}", checkpoints(run).last().unwrap()));
    ["weights.safetensors", "moments.safetensors"].map(|name| fs::read(newest.join(name)).unwrap())
}

/// Both runs measured the same, wrote the same texts and ended with the same weights and moments, to the last bit.
pub(crate) fn assert_same(disturbed: &RunFolder, quiet: &RunFolder) {
    let (found, expected) = (values(disturbed), values(quiet));
    let differing: Vec<_> = expected.iter().filter(|(key, bits)| found.get(key) != Some(bits)).collect();
    assert!(differing.is_empty(), "run {}: missing or different: {differing:?}", disturbed.id());
    assert_eq!(found.len(), expected.len(), "run {}: more than was measured", disturbed.id());
    assert!(!expected.is_empty());
    assert_eq!(samples(disturbed), samples(quiet), "run {}", disturbed.id());
    assert!(tensors(disturbed) == tensors(quiet), "run {}: other weights or moments", disturbed.id());
}
