//! Writes the event log of one attempt: a header line, then one line per event.
//! Promises: the file is made exclusively; a line is there whole or not at all, even when the disk fills up and is
//! freed again; a number that JSON cannot hold is an error and never a `null`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::core::event::LOG_FORMAT;
use crate::core::task::{TaskRecord, TaskScore};
use crate::core::{EventSink, Metrics, RunEvent, RunId, SinkError, StampedEvent};

use super::error::RunLogError;
use super::read::LogHeader;

/// The log of the attempt that this process is.
pub struct EventLog {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines; what lies behind them is the rest of a failed write.
    whole: u64,
    torn: bool,
    now_ms: Box<dyn FnMut() -> u64 + Send>,
}

impl EventLog {
    /// Make the log and write its header. `now_ms` stamps the events, in Unix milliseconds.
    ///
    /// # Errors
    /// There is a log already, or it cannot be written.
    pub fn create(
        path: &Path,
        run: &RunId,
        attempt: u32,
        now_ms: impl FnMut() -> u64 + Send + 'static,
    ) -> Result<Self, RunLogError> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(RunLogError::io("create", path))?;
        let mut log = Self { path: path.to_owned(), file, whole: 0, torn: false, now_ms: Box::new(now_ms) };
        let header = LogHeader { format: LOG_FORMAT, run: run.clone(), attempt };
        let line = serde_json::to_vec(&header).map_err(|source| RunLogError::Json { path: path.to_owned(), source })?;
        log.append(line).map_err(RunLogError::io("append to", path))?;
        Ok(log)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(&mut self, mut line: Vec<u8>) -> io::Result<()> {
        line.push(b'\n');
        if self.torn {
            self.file.set_len(self.whole)?;
            self.torn = false;
        }
        if let Err(error) = self.file.write_all(&line) {
            // The cut may fail like the write did; then the next append tries it again before it writes.
            self.torn = self.file.set_len(self.whole).is_err();
            return Err(error);
        }
        self.whole += line.len() as u64;
        Ok(())
    }
}

impl EventSink for EventLog {
    fn record(&mut self, event: RunEvent) -> Result<(), SinkError> {
        let failed = |reason: String| SinkError(format!("append to {}: {reason}", self.path.display()));
        if let Some(what) = non_finite(&event) {
            return Err(failed(format!(
                "{what} is not finite and JSON has no such number; report a divergence instead"
            )));
        }
        let durable = must_survive_power_cut(&event);
        let line = serde_json::to_vec(&StampedEvent { time_ms: (self.now_ms)(), event })
            .map_err(|error| failed(error.to_string()))?;
        let written = self.append(line).and_then(|()| if durable { self.file.sync_data() } else { Ok(()) });
        written.map_err(|error| {
            let cure =
                if error.kind() == io::ErrorKind::StorageFull { "; free some space and retry the run" } else { "" };
            SinkError(format!("append to {}: {error}{cure}", self.path.display()))
        })
    }
}

/// Ends and checkpoints are synced: they are rare, and others act on them.
const fn must_survive_power_cut(event: &RunEvent) -> bool {
    match event {
        RunEvent::CheckpointSaved { .. }
        | RunEvent::Paused { .. }
        | RunEvent::Stopped { .. }
        | RunEvent::Finished { .. }
        | RunEvent::Diverged { .. }
        | RunEvent::Failed { .. } => true,
        RunEvent::Started { .. }
        | RunEvent::Resumed { .. }
        | RunEvent::StepLogged { .. }
        | RunEvent::Validated { .. }
        | RunEvent::RankMeasured { .. }
        | RunEvent::TaskScored(_)
        | RunEvent::ZeroShotMeasured { .. }
        | RunEvent::InferenceMeasured { .. }
        | RunEvent::SampleGenerated { .. }
        | RunEvent::Heartbeat { .. }
        | RunEvent::Warned { .. } => false,
    }
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
    fn a_torn_line_is_cut_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut log = log(&path);
        log.record(RunEvent::Heartbeat { step: 1 }).unwrap();
        // What a full disk leaves behind: a part of a line that could not be cut away at once.
        log.file.write_all(br#"{"time_ms":7,"event":{"ev"#).unwrap();
        log.torn = true;
        log.record(RunEvent::Heartbeat { step: 2 }).unwrap();
        let chunk = read_from(&path, 0).unwrap();
        assert_eq!(chunk.notices, Vec::<String>::new());
        assert_eq!(
            chunk.events.iter().map(|event| event.event.clone()).collect::<Vec<_>>(),
            vec![RunEvent::Heartbeat { step: 1 }, RunEvent::Heartbeat { step: 2 }]
        );
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_file_and_the_cure() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            return; // only Linux has it
        }
        let file = OpenOptions::new().append(true).open(full).unwrap();
        let mut log = EventLog { path: full.to_owned(), file, whole: 0, torn: false, now_ms: Box::new(|| 1) };
        let error = log.record(RunEvent::Heartbeat { step: 1 }).unwrap_err().0;
        assert!(error.contains("/dev/full") && error.contains("free some space"), "{error}");
    }
}
