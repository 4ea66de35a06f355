//! Looks at runs on disk: lock, attempts, new lines of the logs. Blocking; runs beside the loop and only reads files
//! and asks the store.
//! Promises: the lock is tried before the log is read, so a worker that is seen gone has its last word already read.

use crate::core::{RunId, StampedEvent};
use crate::runlog::{Home, RunFolder};
use crate::store::{AttemptFacts, LogFacts, StoreError, StoreHandle};

/// Bytes of a worker's output that explain its death.
const LAST_WORDS: u64 = 600;

/// What to look at. The epoch tells a look before a launch from one after it.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) run: RunId,
    pub(super) epoch: u64,
    /// Draw the sparkline anew from this step on; it reads the whole curve, so not for every line.
    pub(super) sparkline_from: u64,
}

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sight {
    /// A worker holds the lock.
    pub(super) locked: bool,
    /// Every attempt that has a folder.
    pub(super) attempts: Vec<AttemptFacts>,
    /// What the logs say.
    pub(super) facts: LogFacts,
    /// The end of what the newest worker printed, if it may have died.
    pub(super) last_words: String,
    /// What the worker waits for, if the machine is short of something.
    pub(super) waits_for: Option<String>,
}

/// A look and what came of it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) look: Look,
    pub(super) sight: Sight,
    /// Training loss, thinned, if it was drawn anew.
    pub(super) sparkline: Option<Vec<f64>>,
    /// Events that were new.
    pub(super) events: Vec<StampedEvent>,
    /// Things a person should know.
    pub(super) notices: Vec<String>,
    /// The logs could not be read; what is not known must not be concluded from.
    pub(super) unread: bool,
}

/// Look at one run.
pub(super) fn observe(home: &Home, store: &StoreHandle, look: Look) -> Result<Seen, StoreError> {
    let folder = home.run(&look.run);
    let mut notices = Vec::new();
    let mut sight = Sight::default();
    let (mut events, mut unread) = (Vec::new(), false);
    // A lock that cannot be tried is taken for held: starting a second worker would be worse than waiting.
    sight.locked = folder.is_locked().unwrap_or_else(|error| {
        notices.push(format!("could not {error}"));
        true
    });
    match store.sync(&folder) {
        Ok(synced) => {
            events = synced.events;
            notices.extend(synced.notices);
        }
        Err(StoreError::Files(error)) => {
            notices.push(format!("could not {error}"));
            unread = true;
        }
        Err(error) => return Err(error),
    }
    if sight.locked {
        sight.waits_for = folder.waits_for();
    }
    let (run, sparkline_from) = (look.run.clone(), look.sparkline_from);
    let (facts, sparkline) = store.call("facts", move |store| {
        let facts = store.facts(&run)?.unwrap_or_default();
        let draw = facts.step >= sparkline_from && facts.attempt > 0;
        let sparkline = if draw { Some(store.sparkline(&run)?) } else { None };
        Ok((facts, sparkline))
    })?;
    sight.facts = facts;
    match folder.attempts() {
        Ok(numbers) => sight.attempts = numbers.into_iter().map(|number| attempt(&sight.facts, number)).collect(),
        Err(error) => notices.push(format!("could not {error}")),
    }
    let newest = sight.attempts.last().filter(|attempt| attempt.ending.is_none() && !sight.locked);
    if let Some(number) = newest.map(|attempt| attempt.attempt) {
        sight.last_words = folder.output_tail(number, LAST_WORDS).unwrap_or_default();
    }
    Ok(Seen { look, sight, sparkline, events, notices, unread })
}

/// Whether no worker has ever had the run, so that there is nothing to look at: most runs of a lab that has just been given a
/// large study.
pub(super) fn never_started(folder: &RunFolder) -> bool {
    folder.attempts().is_ok_and(|attempts| attempts.is_empty()) && folder.is_locked().is_ok_and(|locked| !locked)
}

/// What is known of an attempt that has a folder.
pub(super) fn attempt(facts: &LogFacts, number: u32) -> AttemptFacts {
    facts.of_attempt(number).cloned().unwrap_or(AttemptFacts { attempt: number, ..AttemptFacts::default() })
}
