//! The queue as a value: order, priorities, holds, the pause. Every verb is a function on it; the server writes the
//! result to `queue.json`.
//! Promises: a run is in it at most once; higher priority first, then the order of arrival and of moves; no verb on one run
//! looks at all others, but for a move among its equals.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

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

/// Where a run stands: higher priority first, then by a number that only says before or behind.
type Place = (Reverse<i32>, i64);

/// All that waits.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Queue {
    /// Nothing new is started.
    pub paused: bool,
    entries: BTreeMap<Place, Entry>,
    places: HashMap<RunId, Place>,
}

/// The queue as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    paused: bool,
    /// In starting order.
    entries: Vec<Entry>,
}

impl From<Queue> for Stored {
    fn from(queue: Queue) -> Self {
        Self { format: QUEUE_FORMAT, paused: queue.paused, entries: queue.entries.into_values().collect() }
    }
}

impl TryFrom<Stored> for Queue {
    type Error = QueueError;
    fn try_from(stored: Stored) -> Result<Self, QueueError> {
        if stored.format != QUEUE_FORMAT {
            return Err(QueueError::Format(u64::from(stored.format)));
        }
        let mut queue = Self { paused: stored.paused, ..Self::default() };
        for entry in stored.entries {
            if !queue.contains(&entry.run) {
                queue.put(entry, Side::Behind);
            }
        }
        Ok(queue)
    }
}

/// Two queues are alike if they would be written alike: the numbers that keep the order say nothing by themselves.
impl PartialEq for Queue {
    fn eq(&self, other: &Self) -> bool {
        self.paused == other.paused && self.entries.values().eq(other.entries.values())
    }
}

impl Eq for Queue {}

/// On which side of its equals an entry is put.
#[derive(Clone, Copy)]
enum Side {
    Before,
    Behind,
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
        serde_json::from_value(value).map_err(QueueError::Content)
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
    pub fn order(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The entry of a run.
    #[must_use]
    pub fn get(&self, run: &RunId) -> Option<&Entry> {
        self.entries.get(self.places.get(run)?)
    }

    fn get_mut(&mut self, run: &RunId) -> Option<&mut Entry> {
        self.entries.get_mut(self.places.get(run)?)
    }

    /// Its place in starting order, from 0; counts those before it.
    #[must_use]
    pub fn position(&self, run: &RunId) -> Option<usize> {
        let place = self.places.get(run)?;
        Some(self.entries.range(..*place).count())
    }

    /// Whether the run waits.
    #[must_use]
    pub fn contains(&self, run: &RunId) -> bool {
        self.places.contains_key(run)
    }

    /// The places of a priority.
    fn equals(&self, priority: i32) -> impl DoubleEndedIterator<Item = (&Place, &Entry)> {
        self.entries.range((Reverse(priority), i64::MIN)..=(Reverse(priority), i64::MAX))
    }

    fn put(&mut self, entry: Entry, side: Side) {
        let number = match side {
            Side::Before => self.equals(entry.priority).next().map_or(0, |((_, number), _)| number - 1),
            Side::Behind => self.equals(entry.priority).next_back().map_or(0, |((_, number), _)| number + 1),
        };
        let place = (Reverse(entry.priority), number);
        self.places.insert(entry.run.clone(), place);
        self.entries.insert(place, entry);
    }

    /// Add a run behind its equals. `false` if it waits already.
    pub fn enqueue(&mut self, run: RunId, priority: i32, queued_ms: u64) -> bool {
        self.add(Entry { run, priority, held: false, queued_ms }, Side::Behind)
    }

    /// Add a run before its equals: one that had started and must go on. `false` if it waits already.
    pub fn enqueue_first(&mut self, run: RunId, priority: i32, queued_ms: u64) -> bool {
        self.add(Entry { run, priority, held: false, queued_ms }, Side::Before)
    }

    fn add(&mut self, entry: Entry, side: Side) -> bool {
        let is_new = !self.contains(&entry.run);
        if is_new {
            self.put(entry, side);
        }
        is_new
    }

    /// Take a run out: it was launched or stopped.
    pub fn remove(&mut self, run: &RunId) -> Option<Entry> {
        self.entries.remove(&self.places.remove(run)?)
    }

    fn set_held(&mut self, run: &RunId, held: bool) -> bool {
        self.get_mut(run).is_some_and(|entry| std::mem::replace(&mut entry.held, held) != held)
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
        let Some(priority) = self.get(run).map(|entry| entry.priority) else { return false };
        let mut equals: Vec<(Place, Entry)> =
            self.equals(priority).map(|(place, entry)| (*place, entry.clone())).collect();
        let Some(at) = equals.iter().position(|(_, entry)| &entry.run == run) else { return false };
        let distance = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
        let target = if by < 0 { at.saturating_sub(distance) } else { at.saturating_add(distance) };
        let target = target.min(equals.len().saturating_sub(1));
        if target == at {
            return false;
        }
        let places: Vec<Place> = equals.iter().map(|(place, _)| *place).collect();
        let moved = equals.remove(at);
        equals.insert(target, moved);
        for (place, (_, entry)) in places.into_iter().zip(equals) {
            self.places.insert(entry.run.clone(), place);
            self.entries.insert(place, entry);
        }
        true
    }

    /// Raise or lower a run's priority: among its new equals it is the last if it was raised and the first if it was lowered.
    /// `false` if that changes nothing.
    pub fn change_priority(&mut self, run: &RunId, by: i32) -> bool {
        let Some(before) = self.get(run).map(|entry| entry.priority) else { return false };
        let priority = before.saturating_add(by);
        if priority == before {
            return false;
        }
        let side = if priority > before { Side::Behind } else { Side::Before };
        if let Some(entry) = self.remove(run) {
            self.put(Entry { priority, ..entry }, side);
        }
        true
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
    let waiting = queue.order().filter(|entry| !entry.held && ready(&entry.run));
    waiting.take(slots.saturating_sub(running)).map(|entry| entry.run.clone()).collect()
}
