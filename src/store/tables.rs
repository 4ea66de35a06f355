//! Every tree, key and value of the index. All rows of a run lie in one tree, because a batch is atomic within one
//! tree only and the offset must move together with what it covers.
//!
//! Tree `meta-1`: `layout` → [`layout`], text. An index with another layout is set aside and rebuilt.
//!
//! Tree `records-3`, keys `kind ‖ run id (12 bytes) ‖ …`, numbers big-endian so that they sort:
//!
//! | kind | rest of the key | value |
//! |---|---|---|
//! | 0 facts | | JSON of `LogFacts`, offsets of the attempts included |
//! | 1 training | step u64 | point |
//! | 2 validation | step u64 | point |
//! | 3 sample | step u64, prompt (64 bytes at most) | JSON of `Sample` |
//! | 4 event | attempt u32, place in the log u64 | JSON of `StampedEvent` |
//! | 5 rank | step u64 | JSON of `RankAtStep` |
//! | 6 probe | step u64 | point: the metrics of a rank report |
//! | 7 score | step u64, form u8, task | JSON of `TaskRecord` |
//! | 8 zero-shot | step u64 | point: the means over the tasks of a probe |
//! | 9 inference | step u64 | point: speeds of reading and writing |
//! | 10 later | step u64, form u8, task | JSON of `TaskRecord`, asked after the run |
//!
//! A point is tokens u64 ‖ seconds f64 ‖ (place in `Metric::ALL` u8 ‖ value f64)…

use crate::core::summary::Point;
use crate::core::task::{ScoringForm, TaskRecord};
use crate::core::{Metric, Metrics, RunId};

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Name of the tree that says how the others are laid out.
pub(super) const META: &str = "meta-1";
/// Name of the tree of all rows.
pub(super) const RECORDS: &str = "records-3";
/// Key of the layout in [`META`].
pub(super) const LAYOUT_KEY: &str = "layout";

/// What the layout depends on: the version of the tables and the places of the metrics.
pub(super) fn layout() -> String {
    let metrics: Vec<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    format!("{RECORDS} {}", metrics.join(","))
}

/// The first byte of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Facts = 0,
    Training = 1,
    Validation = 2,
    Sample = 3,
    Event = 4,
    Rank = 5,
    Probe = 6,
    Score = 7,
    ZeroShot = 8,
    Inference = 9,
    Later = 10,
}

/// All keys of one kind.
pub(super) const fn kind_prefix(kind: Kind) -> [u8; 1] {
    [kind as u8]
}

/// All keys of one kind of one run; for facts, the key.
pub(super) fn prefix(kind: Kind, run: &RunId) -> Vec<u8> {
    let mut key = vec![kind as u8];
    key.extend_from_slice(run.as_str().as_bytes());
    key
}

/// Key of a point.
pub(super) fn point_key(kind: Kind, run: &RunId, step: u64) -> Vec<u8> {
    let mut key = prefix(kind, run);
    key.extend_from_slice(&step.to_be_bytes());
    key
}

/// Key of a sample: another prompt at the same step is another sample.
pub(super) fn sample_key(run: &RunId, step: u64, prompt: &str) -> Vec<u8> {
    let mut key = point_key(Kind::Sample, run, step);
    key.extend(prompt.bytes().take(64));
    key
}

/// Key of a task's score: what the run asked itself and what it was asked later never replace one another.
pub(super) fn score_key(run: &RunId, record: &TaskRecord) -> Vec<u8> {
    let mut key = point_key(if record.later { Kind::Later } else { Kind::Score }, run, record.step);
    key.push(match record.form {
        ScoringForm::Plain => 0,
        ScoringForm::Sentinel => 1,
    });
    key.extend(record.task.bytes());
    key
}

/// What tells one score's task and form from another's: the key behind the step.
pub(super) fn score_name(key: &[u8]) -> &[u8] {
    key.get(1 + crate::core::id::RUN_ID_LENGTH + 8..).unwrap_or_default()
}

/// Key of an event.
pub(super) fn event_key(run: &RunId, attempt: u32, place: u64) -> Vec<u8> {
    let mut key = prefix(Kind::Event, run);
    key.extend_from_slice(&attempt.to_be_bytes());
    key.extend_from_slice(&place.to_be_bytes());
    key
}

/// The run of a key.
pub(super) fn run_of(key: &[u8]) -> Option<RunId> {
    std::str::from_utf8(key.get(1..=crate::core::id::RUN_ID_LENGTH)?).ok()?.parse().ok()
}

/// Value of a point.
pub(super) fn encode_point(tokens: u64, elapsed_s: f64, metrics: &Metrics) -> Vec<u8> {
    let mut value = Vec::with_capacity(16 + 9 * metrics.len());
    value.extend_from_slice(&tokens.to_be_bytes());
    value.extend_from_slice(&elapsed_s.to_be_bytes());
    for (place, metric) in (0_u8..).zip(Metric::ALL) {
        if let Some(number) = metrics.get(&metric) {
            value.push(place);
            value.extend_from_slice(&number.to_be_bytes());
        }
    }
    value
}

fn eight(bytes: &[u8], at: usize) -> Option<[u8; 8]> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok()
}

/// One metric of a point; `Ok(None)` if the point has no such metric, `Err` if the row is damaged.
pub(super) fn decode_point(key: &[u8], value: &[u8], metric: Metric) -> Result<Option<Point>, String> {
    let damaged = || format!("a point of {} bytes under a key of {} is damaged", value.len(), key.len());
    let step = eight(key, 1 + crate::core::id::RUN_ID_LENGTH).map(u64::from_be_bytes).ok_or_else(damaged)?;
    let tokens = eight(value, 0).map(u64::from_be_bytes).ok_or_else(damaged)?;
    let elapsed_s = eight(value, 8).map(f64::from_be_bytes).ok_or_else(damaged)?;
    for pair in value.get(16..).ok_or_else(damaged)?.chunks(9) {
        let number = eight(pair, 1).map(f64::from_be_bytes).ok_or_else(damaged)?;
        if pair.first().and_then(|place| Metric::ALL.get(usize::from(*place))) == Some(&metric) {
            return Ok(Some(Point { step, tokens, elapsed_s, value: number }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_come_back() {
        let run: RunId = "0123456789ab".parse().unwrap();
        let metrics = Metrics::from([(Metric::Loss, 0.1 + 0.2), (Metric::TokensPerSecond, 1e9)]);
        let (key, value) = (point_key(Kind::Training, &run, 77), encode_point(5, 0.3, &metrics));
        let point = |metric| decode_point(&key, &value, metric).unwrap();
        assert_eq!(point(Metric::Loss), Some(Point { step: 77, tokens: 5, elapsed_s: 0.3, value: 0.1 + 0.2 }));
        assert_eq!(point(Metric::TokensPerSecond).unwrap().value, 1e9);
        assert_eq!(point(Metric::GradNorm), None);
        assert_eq!(run_of(&key), Some(run));
        for length in (0..value.len()).filter(|length| *length < 16 || (length - 16) % 9 != 0) {
            assert!(decode_point(&key, &value[..length], Metric::TokensPerSecond).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn steps_sort_as_numbers() {
        let run: RunId = "0123456789ab".parse().unwrap();
        let key = |step| point_key(Kind::Training, &run, step);
        assert!(key(2) < key(10) && key(255) < key(256) && key(u64::MAX) > key(1));
        assert!(event_key(&run, 1, 900) < event_key(&run, 2, 1));
    }
}
