//! `queue.json`: the queue, and the runs that left it for a slot. A run stands here from its submission to its end.
//! Promises: written before what it says is acted upon, so that a server killed at any instant finds every run again,
//! with its priority and its place.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::RunId;
use crate::runlog::sealed_file::{read_sealed, set_aside, write_sealed};
use crate::runlog::{Home, RunLogError};
use crate::schedule::{Entry, Queue};

/// Version of `queue.json`.
const LEDGER_FORMAT: u32 = 1;

/// All unfinished business.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ledger {
    format: u32,
    /// What waits.
    pub(super) queue: Queue,
    /// What left the queue for a slot, and how it stood in it.
    pub(super) started: BTreeMap<RunId, Entry>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { format: LEDGER_FORMAT, queue: Queue::default(), started: BTreeMap::new() }
    }
}

impl Ledger {
    /// What the last server of `home` left behind; of a damaged file nothing, and a sentence that says so: every unfinished run is
    /// queued again then.
    pub(super) fn load(home: &Home) -> anyhow::Result<(Self, Option<String>)> {
        let path = home.queue_file();
        let found = match read_sealed::<serde_json::Value>(&path) {
            Ok(None) => return Ok((Self::default(), None)),
            Ok(Some(value)) => {
                let format = value.get("format").and_then(serde_json::Value::as_u64);
                if let Some(format) = format.filter(|format| *format > u64::from(LEDGER_FORMAT)) {
                    anyhow::bail!(
                        "read {}: it has format {format}, this program knows {LEDGER_FORMAT}; use the version that wrote it",
                        path.display()
                    );
                }
                serde_json::from_value::<Self>(value).map_err(|error| error.to_string())
            }
            Err(RunLogError::Content { reason, .. }) => Err(reason),
            Err(error) => return Err(error.into()),
        };
        match found {
            Ok(mut ledger) => {
                ledger.started.retain(|run, _| !ledger.queue.contains(run));
                Ok((ledger, None))
            }
            Err(reason) => {
                // A lab that is only looked at keeps it where it is.
                let aside = set_aside(&path).unwrap_or(path);
                let notice = format!(
                    "the queue was damaged ({reason}): every unfinished run is queued again, without its priority and hold; the \
                     damaged file is {}",
                    aside.display()
                );
                Ok((Self::default(), Some(notice)))
            }
        }
    }

    /// Replace the file.
    pub(super) fn save(&self, home: &Home) -> Result<(), RunLogError> {
        write_sealed(&home.queue_file(), self)
    }

    /// How a run stands, waiting or started.
    pub(super) fn entry(&self, run: &RunId) -> Option<&Entry> {
        self.queue.get(run).or_else(|| self.started.get(run))
    }

    /// The run leaves the queue for a slot.
    pub(super) fn start(&mut self, run: &RunId, now_ms: u64) {
        let entry = self.queue.remove(run).unwrap_or_else(|| unknown(run, now_ms));
        self.started.entry(run.clone()).or_insert(Entry { held: false, ..entry });
    }

    /// The run goes back into the queue, before its equals, because it had started.
    pub(super) fn put_back(&mut self, run: &RunId, held: bool, now_ms: u64) {
        let entry = self.started.remove(run).unwrap_or_else(|| unknown(run, now_ms));
        self.queue.enqueue_first(run.clone(), entry.priority, entry.queued_ms);
        if held {
            self.queue.hold(run);
        }
    }

    /// The run is over. `false` if it was not here.
    pub(super) fn close(&mut self, run: &RunId) -> bool {
        let waiting = self.queue.remove(run).is_some();
        self.started.remove(run).is_some() || waiting
    }
}

fn unknown(run: &RunId, now_ms: u64) -> Entry {
    Entry { run: run.clone(), priority: 0, held: false, queued_ms: now_ms }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn run(n: u8) -> RunId {
        format!("{n:012x}").parse().unwrap()
    }

    #[test]
    fn everything_is_as_before_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        assert_eq!(Ledger::load(&home).unwrap(), (Ledger::default(), None));
        let mut ledger = Ledger::default();
        for n in 1..=4 {
            ledger.queue.enqueue(run(n), i32::from(n == 3), u64::from(n));
        }
        ledger.queue.hold(&run(4));
        ledger.queue.pause();
        ledger.start(&run(3), 99);
        ledger.save(&home).unwrap();
        let mut read = Ledger::load(&home).unwrap().0;
        assert_eq!(read, ledger);
        assert_eq!(read.entry(&run(3)).unwrap().priority, 1);
        read.put_back(&run(3), true, 99);
        let order: Vec<_> = read.queue.order().map(|e| (e.run.clone(), e.held, e.queued_ms)).collect();
        assert_eq!(order, [(run(3), true, 3), (run(1), false, 1), (run(2), false, 2), (run(4), true, 4)]);
        assert!(read.started.is_empty());
        fs::write(home.queue_file(), r#"{"format":9}"#).unwrap();
        assert!(Ledger::load(&home).unwrap_err().to_string().contains("format 9"));
    }

    #[test]
    fn a_damaged_queue_is_set_aside_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let mut ledger = Ledger::default();
        ledger.queue.enqueue(run(1), 5, 1);
        ledger.save(&home).unwrap();
        let text = fs::read_to_string(home.queue_file()).unwrap();
        for damage in [text.replace("5", "6"), text.replace("format", "formau"), text[..20].to_owned(), "\0".to_owned()]
        {
            fs::write(home.queue_file(), &damage).unwrap();
            let (read, notice) = Ledger::load(&home).unwrap();
            assert_eq!(read, Ledger::default(), "{damage}");
            assert!(notice.unwrap().contains("queue.json.damaged"));
            assert!(!home.queue_file().exists());
        }
    }
}
