//! A machine that is short of something: the queue holds by itself with the reason on every screen, and goes on by itself.
//! Promises: the server never leaves for a full disk; nothing is started that could not be written down; whoever asks is answered
//! from what is known.

use std::fs;

use super::engine::Engine;
use crate::runlog::{RunLogError, write_atomic};

/// Bytes of the file that tells whether there is room again: more than what is written first when the queue goes on.
const TRIAL_BYTES: usize = 64 << 10;

/// What could not be done.
#[derive(Debug, Default)]
pub(super) struct Shortfall {
    /// The queue differs from what its file says.
    unsaved: Option<String>,
    /// A worker, a corpus or a study was given up on; it is tried again when the machine has room.
    given_up: Option<String>,
    /// What was last told of.
    told: Option<String>,
}

impl Engine {
    /// Why nothing new starts, if the machine is short of something.
    pub(super) fn held(&self) -> Option<String> {
        let own = self.shortfall.unsaved.as_ref().or(self.shortfall.given_up.as_ref());
        let worker = || self.runs.values().find_map(|record| record.sight.waits_for.as_ref());
        own.or_else(worker).cloned()
    }

    /// Write the queue down, now or when the machine has room again.
    pub(super) fn save_ledger(&mut self) {
        if !self.read_only {
            let unsaved = |error: RunLogError| match error.shortage() {
                Some(short) => short.sentence(&error.to_string()),
                None => format!("could not {error}; nothing starts until that is mended, and it is tried every second"),
            };
            self.shortfall.unsaved = self.ledger.save(&self.home).err().map(unsaved);
            self.tell_of_shortage();
        }
    }

    /// Something could not be done because the machine is short of something.
    pub(super) fn give_up_for_now(&mut self, reason: String) {
        self.shortfall.given_up = Some(reason);
        self.tell_of_shortage();
    }

    /// Every second: see whether the machine has room again.
    pub(super) fn try_again(&mut self) {
        let was_told = self.shortfall.told.is_some();
        if self.shortfall.unsaved.is_some() {
            self.save_ledger();
        }
        if self.shortfall.given_up.is_some() && self.shortfall.unsaved.is_none() {
            let place = self.home.root().join("trial");
            let room = write_atomic(&place, &[b' '; TRIAL_BYTES]);
            drop(fs::remove_file(&place));
            if room.is_ok() {
                self.shortfall.given_up = None;
                self.prepare_what_is_missing();
            }
        }
        self.tell_of_shortage();
        if was_told && self.held().is_none() {
            self.schedule();
        }
    }

    /// Once in the log, when it begins, changes and ends; on the screens as long as it lasts.
    fn tell_of_shortage(&mut self) {
        let held = self.held();
        if self.shortfall.told != held {
            match &held {
                Some(reason) => self.log.say(reason),
                None => self.log.say("the machine has what was missing; runs and queue go on"),
            }
            self.shortfall.told = held;
            self.changes.lab = true;
        }
    }
}
