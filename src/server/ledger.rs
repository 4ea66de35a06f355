//! `queue.json`: the queue, and the runs that left it for a slot. A run stands here from its submission to its end.
//! Promises: written before what it says is acted upon, so that a server killed at any instant finds every run again,
//! with its priority and its place.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::core::RunId;
use crate::runlog::{Home, write_atomic};
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
    /// What the last server of `home` left behind.
    pub(super) fn load(home: &Home) -> anyhow::Result<Self> {
        let path = home.queue_file();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        let cure = || format!("read {}; move it away and every unfinished run is queued again", path.display());
        let value: serde_json::Value = serde_json::from_slice(&bytes).with_context(cure)?;
        let found = value.get("format").and_then(serde_json::Value::as_u64);
        if found != Some(u64::from(LEDGER_FORMAT)) {
            let found = found.map_or_else(|| "none".to_owned(), |format| format.to_string());
            anyhow::bail!(
                "read {}: it has format {found}, this program knows {LEDGER_FORMAT}; use the version that wrote it",
                path.display()
            );
        }
        let mut ledger: Self = serde_json::from_value(value).with_context(cure)?;
        ledger.started.retain(|run, _| !ledger.queue.contains(run));
        Ok(ledger)
    }

    /// Replace the file.
    pub(super) fn save(&self, home: &Home) -> anyhow::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(self).context("write the queue")?;
        bytes.push(b'\n');
        Ok(write_atomic(&home.queue_file(), &bytes)?)
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

    fn run(n: u8) -> RunId {
        format!("{n:012x}").parse().unwrap()
    }

    #[test]
    fn everything_is_as_before_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        assert_eq!(Ledger::load(&home).unwrap(), Ledger::default());
        let mut ledger = Ledger::default();
        for n in 1..=4 {
            ledger.queue.enqueue(run(n), i32::from(n == 3), u64::from(n));
        }
        ledger.queue.hold(&run(4));
        ledger.queue.pause();
        ledger.start(&run(3), 99);
        ledger.save(&home).unwrap();
        let mut read = Ledger::load(&home).unwrap();
        assert_eq!(read, ledger);
        assert_eq!(read.entry(&run(3)).unwrap().priority, 1);
        read.put_back(&run(3), true, 99);
        let order: Vec<_> = read.queue.order().map(|e| (e.run.clone(), e.held, e.queued_ms)).collect();
        assert_eq!(order, [(run(3), true, 3), (run(1), false, 1), (run(2), false, 2), (run(4), true, 4)]);
        assert!(read.started.is_empty());
        fs::write(home.queue_file(), r#"{"format":9}"#).unwrap();
        assert!(Ledger::load(&home).unwrap_err().to_string().contains("format 9"));
    }
}
