//! Threads that share a step: each walks back over its part of the batch and adds to the same gradients, in the order of the
//! parts, so that the sums are the same every time. Whoever is not at turn waits without spinning.
//! Must not know: what is added up.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use candle_core::{Result, bail};

#[derive(Debug, Default)]
struct Crew {
    /// Whether a member left before its work was done.
    broken: Mutex<bool>,
    moved: Condvar,
}

/// One member of a crew, and its share of the work.
#[derive(Debug)]
pub struct Part {
    crew: Arc<Crew>,
    number: usize,
    parts: usize,
    done: Cell<bool>,
}

/// Whose turn it is at something that all members add to.
#[derive(Debug, Default)]
pub(super) struct Turn(AtomicUsize);

impl Part {
    /// The members of a crew of `count`.
    #[must_use]
    pub fn crew(count: usize) -> Vec<Self> {
        let crew = Arc::new(Crew::default());
        (0..count)
            .map(|number| Self { crew: Arc::clone(&crew), number, parts: count, done: Cell::new(false) })
            .collect()
    }

    /// All of the work.
    #[must_use]
    pub fn alone() -> Self {
        Self { crew: Arc::default(), number: 0, parts: 1, done: Cell::new(false) }
    }

    /// Whether nobody else works on the same step.
    pub(super) const fn is_alone(&self) -> bool {
        self.parts == 1
    }

    /// Its work is done: others need not wait for it any more.
    pub(super) fn done(&self) {
        self.done.set(true);
    }

    fn broken(&self) -> MutexGuard<'_, bool> {
        self.crew.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work` when it is this member's turn, and gives the turn on.
    ///
    /// # Errors
    /// A member whose turn comes first has left.
    pub(super) fn at_turn<R>(&self, turn: &Turn, work: impl FnOnce() -> R) -> Result<R> {
        if self.is_alone() {
            return Ok(work());
        }
        let mut broken = self.broken();
        while turn.0.load(Ordering::Acquire) != self.number {
            if *broken {
                bail!("another thread that works on the same step has failed");
            }
            broken = self.crew.moved.wait(broken).unwrap_or_else(PoisonError::into_inner);
        }
        drop(broken);
        let result = work();
        let _held = self.broken();
        turn.0.store((self.number + 1) % self.parts, Ordering::Release);
        self.crew.moved.notify_all();
        Ok(result)
    }
}

impl Turn {
    /// A step begins: it is the first member's again, whatever became of the last step.
    pub(super) fn begin(&self) {
        self.0.store(0, Ordering::Release);
    }
}

impl Drop for Part {
    /// Nobody may wait for one who left early: by an error, or in a panic.
    fn drop(&mut self) {
        if self.parts > 1 && !self.done.get() {
            *self.broken() = true;
            self.crew.moved.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::threads::map;

    #[test]
    fn members_take_turns_in_order() {
        let (turn, order) = (Turn::default(), Mutex::new(Vec::new()));
        let work = |part: Part| -> Result<()> {
            for _ in 0..50 {
                part.at_turn(&turn, || order.lock().unwrap_or_else(PoisonError::into_inner).push(part.number))?;
            }
            part.done();
            Ok(())
        };
        assert!(map(Part::crew(3), work).is_ok());
        let order = order.into_inner().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(order, [0, 1, 2].repeat(50));
    }

    #[test]
    fn nobody_waits_for_one_who_has_left() {
        let turn = Turn::default();
        let work = |part: Part| match part.number {
            0 => bail!("it fails"),
            _ => part.at_turn(&turn, || ()),
        };
        // With RUST_BACKTRACE an error of candle also says where it came from.
        let error = map(Part::crew(3), work).map_err(|error| error.to_string()).unwrap_err();
        assert!(error.starts_with("it fails"), "{error}");
        turn.begin();
        let done = |part: Part| {
            let result = part.at_turn(&turn, || ());
            part.done();
            result
        };
        assert!(map(Part::crew(2), done).is_ok(), "the next step is not touched");
    }
}
