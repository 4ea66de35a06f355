//! A worker on a machine that is short of something: it waits at the write that failed, says in its lock what it waits for, and goes
//! on when the write succeeds.
//! Promises: a full disk costs a run time and nothing else; whoever waits still leaves when the system asks.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::core::{EventSink, RunEvent, SinkError};
use crate::runlog::{EventLog, RunLock, RunLogError};

/// Between two tries: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Who waits.
pub(super) struct Hold<'l> {
    lock: &'l RunLock,
    /// The system asks this process to leave.
    asked: Arc<AtomicBool>,
    /// It was asked while one who waits with this lock did.
    left: Rc<Cell<bool>>,
    pause: Duration,
}

impl<'l> Hold<'l> {
    pub(super) fn new(lock: &'l RunLock, asked: Arc<AtomicBool>) -> Self {
        Self { lock, asked, left: Rc::default(), pause: FIRST_PAUSE }
    }

    /// Another one who waits with the same lock.
    pub(super) fn another(&self) -> Self {
        Self { left: Rc::clone(&self.left), ..Self::new(self.lock, Arc::clone(&self.asked)) }
    }

    /// Wait for a moment. `false` if this process must leave.
    pub(super) fn wait(&mut self, short_of: &str) -> bool {
        self.lock.say(short_of);
        thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.left.set(self.asked.load(Ordering::Relaxed));
        !self.left.get()
    }

    /// Whether something was given up because this process must leave: what came of that is no failure.
    pub(super) fn has_left(&self) -> bool {
        self.left.get()
    }

    /// What was tried has succeeded.
    fn over(&mut self) {
        if self.pause > FIRST_PAUSE {
            self.pause = FIRST_PAUSE;
            self.lock.say("");
        }
    }

    /// Try until it succeeds, or fails for another reason than a shortage.
    pub(super) fn through<T>(&mut self, mut attempt: impl FnMut() -> Result<T, RunLogError>) -> Result<T, RunLogError> {
        loop {
            match attempt() {
                Err(error) if error.shortage().is_some_and(|short| self.wait(&short.sentence(&error.to_string()))) => {}
                result => {
                    self.over();
                    return result;
                }
            }
        }
    }
}

/// The log of a worker that waits where the machine is short of something.
pub(super) struct HoldingLog<'l> {
    pub(super) log: EventLog,
    pub(super) hold: Hold<'l>,
}

impl EventSink for HoldingLog<'_> {
    fn record(&mut self, event: RunEvent) -> Result<(), SinkError> {
        let event = self.log.stamp(event)?;
        let written = self.hold.through(|| self.log.append(&event));
        let settled = written.and_then(|()| self.hold.through(|| self.log.settle(&event)));
        settled.map_err(|error| SinkError(error.to_string()))
    }

    fn wait_for_machine(&mut self, short_of: &str) -> bool {
        self.hold.wait(short_of)
    }
}
