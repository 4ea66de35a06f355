//! The queue as a value: order, priorities, holds, the pause. Every verb is a function on it; the server writes the
//! result to `queue.json`.
//! Promises: a run is in it at most once; higher priority first, then the order of arrival and of moves.

use serde::{Deserialize, Serialize};

use crate::core::RunId;

/// Version of `queue.json`.
const QUEUE_FORMAT: u32 = 1;

/// A run that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Which.
    pub run: RunId,
    /// Higher starts sooner.
    pub priority: i32,
    /// Waits until it is released.
    pub held: bool,
    /// When it was queued first, Unix milliseconds.
    pub queued_ms: u64,
}

/// All that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    format: u32,
    /// Nothing new is started.
    pub paused: bool,
    /// Always in starting order.
    entries: Vec<Entry>,
}

/// `queue.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// It is damaged.
    #[error("read the queue: {0}; move queue.json away and submit the studies again")]
    Content(serde_json::Error),
    /// It was written by another version.
    #[error(
        "read the queue: it has format {0}, this program knows format {QUEUE_FORMAT}; use the version that wrote it"
    )]
    Format(u64),
    /// It cannot be written.
    #[error("write the queue: {0}")]
    Write(serde_json::Error),
}

impl Default for Queue {
    fn default() -> Self {
        Self { format: QUEUE_FORMAT, paused: false, entries: Vec::new() }
    }
}

impl Queue {
    /// The queue that `queue.json` holds.
    ///
    /// # Errors
    /// It is damaged or of another format.
    pub fn from_json(bytes: &[u8]) -> Result<Self, QueueError> {
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(QueueError::Content)?;
        if let Some(format) = value.get("format").and_then(serde_json::Value::as_u64)
            && format != u64::from(QUEUE_FORMAT)
        {
            return Err(QueueError::Format(format));
        }
        let read: Self = serde_json::from_value(value).map_err(QueueError::Content)?;
        let mut queue = Self { paused: read.paused, ..Self::default() };
        for entry in read.entries {
            if !queue.contains(&entry.run) {
                queue.entries.push(entry);
            }
        }
        queue.sort();
        Ok(queue)
    }

    /// What `queue.json` should hold.
    ///
    /// # Errors
    /// Never with today's fields; a queue that cannot be written must not be lost silently.
    pub fn to_json(&self) -> Result<Vec<u8>, QueueError> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(QueueError::Write)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The entries in starting order, held ones included.
    #[must_use]
    pub fn order(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of a run.
    #[must_use]
    pub fn get(&self, run: &RunId) -> Option<&Entry> {
        self.entries.iter().find(|entry| &entry.run == run)
    }

    /// Its place in starting order, from 0.
    #[must_use]
    pub fn position(&self, run: &RunId) -> Option<usize> {
        self.entries.iter().position(|entry| &entry.run == run)
    }

    /// Whether the run waits.
    #[must_use]
    pub fn contains(&self, run: &RunId) -> bool {
        self.position(run).is_some()
    }

    fn sort(&mut self) {
        // Stable, so arrivals and moves within a priority stay as they are.
        self.entries.sort_by_key(|entry| std::cmp::Reverse(entry.priority));
    }

    /// Add a run behind its equals. `false` if it waits already.
    pub fn enqueue(&mut self, run: RunId, priority: i32, queued_ms: u64) -> bool {
        if self.contains(&run) {
            return false;
        }
        self.entries.push(Entry { run, priority, held: false, queued_ms });
        self.sort();
        true
    }

    /// Add a run before its equals: one that had started and must go on. `false` if it waits already.
    pub fn enqueue_first(&mut self, run: RunId, priority: i32, queued_ms: u64) -> bool {
        if self.contains(&run) {
            return false;
        }
        self.entries.insert(0, Entry { run, priority, held: false, queued_ms });
        self.sort();
        true
    }

    /// Take a run out: it was launched or stopped.
    pub fn remove(&mut self, run: &RunId) -> Option<Entry> {
        self.position(run).map(|place| self.entries.remove(place))
    }

    fn set_held(&mut self, run: &RunId, held: bool) -> bool {
        match self.entries.iter_mut().find(|entry| &entry.run == run) {
            Some(entry) if entry.held != held => {
                entry.held = held;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Let a run wait. `false` if it is not there or held already.
    pub fn hold(&mut self, run: &RunId) -> bool {
        self.set_held(run, true)
    }

    /// Let a held run go on. `false` if it is not there or not held.
    pub fn release(&mut self, run: &RunId) -> bool {
        self.set_held(run, false)
    }

    /// Move a run among those of its priority; negative is sooner. `false` if that changes nothing.
    pub fn move_by(&mut self, run: &RunId, by: i64) -> bool {
        let Some(place) = self.position(run) else { return false };
        let Some(priority) = self.get(run).map(|entry| entry.priority) else { return false };
        let first = self.entries.iter().take_while(|entry| entry.priority > priority).count();
        let last = self.entries.iter().take_while(|entry| entry.priority >= priority).count().saturating_sub(1);
        let distance = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
        let target = if by < 0 { place.saturating_sub(distance) } else { place.saturating_add(distance) };
        let target = target.clamp(first, last);
        if target == place {
            return false;
        }
        let entry = self.entries.remove(place);
        self.entries.insert(target, entry);
        true
    }

    /// Raise or lower a run's priority. `false` if that changes nothing.
    pub fn change_priority(&mut self, run: &RunId, by: i32) -> bool {
        let Some(entry) = self.entries.iter_mut().find(|entry| &entry.run == run) else { return false };
        let priority = entry.priority.saturating_add(by);
        let changed = priority != entry.priority;
        entry.priority = priority;
        self.sort();
        changed
    }

    /// Start nothing new. `false` if it was paused already.
    pub fn pause(&mut self) -> bool {
        !std::mem::replace(&mut self.paused, true)
    }

    /// Start again. `false` if it was not paused.
    pub fn resume(&mut self) -> bool {
        std::mem::replace(&mut self.paused, false)
    }
}

/// The runs to start now on the free slots. A run that is not `ready` (its corpus is being prepared) lets those behind
/// it pass.
#[must_use]
pub fn launches(queue: &Queue, ready: &dyn Fn(&RunId) -> bool, running: usize, slots: usize) -> Vec<RunId> {
    if queue.paused {
        return Vec::new();
    }
    let waiting = queue.order().iter().filter(|entry| !entry.held && ready(&entry.run));
    waiting.take(slots.saturating_sub(running)).map(|entry| entry.run.clone()).collect()
}
