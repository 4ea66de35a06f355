//! Writes the event log of one attempt: a header line, then one line per event; and beside it, when the attempt ends, a witness of
//! its end, so that damage to the log makes no ended run look unfinished.
//! Promises: the file is made exclusively; a line is there whole or not at all, even when the disk fills up and is
//! freed again; a number that JSON cannot hold is an error and never a `null`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::core::event::LOG_FORMAT;
use crate::core::task::{TaskRecord, TaskScore};
use crate::core::{EventSink, Metrics, RunEvent, RunId, SinkError, StampedEvent};

use super::error::RunLogError;
use super::line_file::LineFile;
use super::read::LogHeader;
use super::sealed_file::{read_sealed, write_sealed};

/// The log of the attempt that this process is.
pub struct EventLog {
    lines: LineFile,
    now_ms: Box<dyn FnMut() -> u64 + Send>,
}

/// How an attempt ended, and how long its log was then: `end.json` beside the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Witness {
    /// Bytes of the log.
    pub bytes: u64,
    /// Lines of the log, its header included.
    pub lines: u64,
    /// Its last event.
    pub ending: StampedEvent,
}

impl Witness {
    /// Where the witness of a log lies.
    fn path(log: &Path) -> PathBuf {
        log.with_file_name("end.json")
    }

    /// Whether there is a witness of the log at `log` that is damaged.
    #[must_use]
    pub fn is_damaged(log: &Path) -> bool {
        Self::path(log).exists() && Self::of(log).is_none()
    }

    /// Write it beside the log at `log`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, log: &Path) -> Result<(), RunLogError> {
        write_sealed(&Self::path(log), self)
    }

    /// The witness of the log at `log`; none if the attempt has not ended, or if it is damaged too.
    #[must_use]
    pub fn of(log: &Path) -> Option<Self> {
        read_sealed(&Self::path(log)).ok().flatten()
    }
}

impl EventLog {
    /// Make the log and write its header. `now_ms` stamps the events, in Unix milliseconds.
    ///
    /// # Errors
    /// There is a log already, or it cannot be written; then there is none.
    pub fn create(
        path: &Path,
        run: &RunId,
        attempt: u32,
        now_ms: impl FnMut() -> u64 + Send + 'static,
    ) -> Result<Self, RunLogError> {
        let header = LogHeader { format: LOG_FORMAT, run: run.clone(), attempt };
        Ok(Self { lines: LineFile::create(path, &header)?, now_ms: Box::new(now_ms) })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.lines.path()
    }

    /// An event with the time of now: the first of three steps, after which [`EventLog::append`] and [`EventLog::settle`] can each be
    /// tried until they succeed.
    ///
    /// # Errors
    /// It has a number that JSON cannot hold.
    pub fn stamp(&mut self, event: RunEvent) -> Result<StampedEvent, SinkError> {
        match non_finite(&event) {
            Some(what) => Err(SinkError(format!(
                "append to {}: {what} is not finite and JSON has no such number; report a divergence instead",
                self.path().display()
            ))),
            None => Ok(StampedEvent { time_ms: (self.now_ms)(), event }),
        }
    }

    /// Add its line.
    ///
    /// # Errors
    /// It cannot be written; then nothing of it is there.
    pub fn append(&mut self, event: &StampedEvent) -> Result<(), RunLogError> {
        self.lines.append(event)
    }

    /// Make a line that others act on survive a power cut, and the end of the attempt survive damage to the log.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn settle(&self, event: &StampedEvent) -> Result<(), RunLogError> {
        if !must_survive_power_cut(&event.event) {
            return Ok(());
        }
        self.lines.sync()?;
        if !event.event.is_ending() {
            return Ok(());
        }
        let (bytes, lines) = self.lines.extent();
        Witness { bytes, lines, ending: event.clone() }.save(self.path())
    }
}

impl EventSink for EventLog {
    fn record(&mut self, event: RunEvent) -> Result<(), SinkError> {
        let event = self.stamp(event)?;
        let written = self.append(&event).and_then(|()| self.settle(&event));
        written.map_err(|error| SinkError(error.to_string()))
    }
}

/// Ends and checkpoints are synced: they are rare, and others act on them.
const fn must_survive_power_cut(event: &RunEvent) -> bool {
    event.is_ending() || matches!(event, RunEvent::CheckpointSaved { .. })
}

/// The first number of an event that JSON cannot hold.
fn non_finite(event: &RunEvent) -> Option<&'static str> {
    let in_metrics =
        |metrics: &Metrics| metrics.iter().find(|(_, value)| !value.is_finite()).map(|(metric, _)| metric.name());
    let in_number = |name: &'static str, value: f64| (!value.is_finite()).then_some(name);
    match event {
        RunEvent::StepLogged { elapsed_s, metrics, .. } => {
            in_number("elapsed_s", *elapsed_s).or_else(|| in_metrics(metrics))
        }
        RunEvent::Validated { seconds, metrics, .. } => in_number("seconds", *seconds).or_else(|| in_metrics(metrics)),
        RunEvent::RankMeasured { seconds, metrics, report, .. } => in_number("seconds", *seconds)
            .or_else(|| in_metrics(metrics))
            .or_else(|| (!report.is_finite()).then_some("report")),
        RunEvent::ZeroShotMeasured { seconds, metrics, .. } | RunEvent::InferenceMeasured { seconds, metrics, .. } => {
            in_number("seconds", *seconds).or_else(|| in_metrics(metrics))
        }
        RunEvent::TaskScored(TaskRecord { seconds, scores, .. }) => {
            let finite = |score: &TaskScore| {
                [Some(score.value), score.stderr, score.chance].into_iter().flatten().all(f64::is_finite)
            };
            let wrong = scores.iter().find(|(_, score)| !finite(score)).map(|(metric, _)| metric.name());
            in_number("seconds", *seconds).or(wrong)
        }
        RunEvent::CheckpointSaved { seconds, .. } => in_number("seconds", *seconds),
        RunEvent::Started { .. }
        | RunEvent::Resumed { .. }
        | RunEvent::SampleGenerated { .. }
        | RunEvent::Paused { .. }
        | RunEvent::Heartbeat { .. }
        | RunEvent::Diverged { .. }
        | RunEvent::Warned { .. }
        | RunEvent::Stopped { .. }
        | RunEvent::Finished { .. }
        | RunEvent::Failed { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Metric;
    use crate::core::rank::{RankMeasures, RankReport, ResidualRank, StackKind};
    use crate::runlog::read_from;
    use std::fs;

    fn log(path: &Path) -> EventLog {
        let mut now = 1000;
        EventLog::create(path, &"0123456789ab".parse().unwrap(), 1, move || {
            now += 1;
            now
        })
        .unwrap()
    }

    #[test]
    fn a_log_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let _first = log(&path);
        let second = EventLog::create(&path, &"0123456789ab".parse().unwrap(), 1, || 0);
        assert!(second.err().unwrap().to_string().contains("events.jsonl"));
    }

    #[test]
    fn what_is_not_finite_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut log = log(&path);
        for bad in [f64::NAN, f64::INFINITY] {
            let metrics = Metrics::from([(Metric::Loss, 1.0), (Metric::GradNorm, bad)]);
            let error = log.record(RunEvent::StepLogged { step: 1, tokens: 1, elapsed_s: 0.5, metrics }).unwrap_err();
            assert!(error.0.contains("grad_norm") && error.0.contains("events.jsonl"), "{error}");
            let metrics = Metrics::from([(Metric::Loss, 1.0)]);
            assert!(log.record(RunEvent::StepLogged { step: 1, tokens: 1, elapsed_s: bad, metrics }).is_err());
            let residual = ResidualRank {
                stack: StackKind::Decoder,
                depth: 0,
                measures: RankMeasures::default(),
                rank_one_residual: bad,
            };
            let report = RankReport { residual: vec![residual], ..RankReport::default() };
            let event = RunEvent::RankMeasured { step: 1, report, metrics: Metrics::new(), seconds: 0.5 };
            assert!(log.record(event).unwrap_err().0.contains("report"));
        }
        log.record(RunEvent::Finished { step: 1 }).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("null"), "{text}");
        assert_eq!(read_from(&path, 0).unwrap().events.len(), 1);
    }

    #[test]
    fn an_end_has_a_witness() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut log = log(&path);
        log.record(RunEvent::Heartbeat { step: 1 }).unwrap();
        assert_eq!(Witness::of(&path), None);
        log.record(RunEvent::Finished { step: 1 }).unwrap();
        let witness = Witness::of(&path).unwrap();
        assert_eq!((witness.bytes, witness.lines), (fs::metadata(&path).unwrap().len(), 3));
        assert_eq!(witness.ending.event, RunEvent::Finished { step: 1 });
        let end = folder.path().join("end.json");
        let text = fs::read_to_string(&end).unwrap().replace("finished", "stopped");
        fs::write(&end, text).unwrap();
        assert_eq!(Witness::of(&path), None, "a damaged witness says nothing");
    }
}
