//! What tasks beside the loop have in hand: verbs whose wishes are being written, studies that are being planned and written, and
//! the runs that must not start meanwhile.
//! Promises: a run whose files a task is writing is not started before the loop knows what was written; one task writes files of
//! runs at a time, and the loop hears of their work in the order in which they did it.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::engine::Engine;
use super::requests::runs::Verbs;
use super::submit::Submission;
use crate::core::{RunId, StudyId};

/// Studies that are planned at the same time; a large one takes memory.
const PLANNED_AT_ONCE: usize = 4;

/// What is in hand.
pub(super) struct Beside {
    pub(super) verbs: Verbs,
    pub(super) submissions: BTreeMap<StudyId, Submission>,
    pub(super) planning: Arc<Semaphore>,
    pub(super) files: Files,
    /// How many tasks are about to change each of these runs.
    held_back: HashMap<RunId, usize>,
}

impl Default for Beside {
    fn default() -> Self {
        Self {
            verbs: Verbs::default(),
            submissions: BTreeMap::new(),
            planning: Arc::new(Semaphore::new(PLANNED_AT_ONCE)),
            files: Files::default(),
            held_back: HashMap::new(),
        }
    }
}

/// The right to write files of runs, one task at a time. Not for the loop, which waits for nobody.
#[derive(Clone, Default)]
pub(super) struct Files(Arc<Mutex<()>>);

impl Files {
    /// Wait for it. Keep it until the loop was told what was written.
    pub(super) fn take(&self) -> MutexGuard<'_, ()> {
        // A task that panicked left every file whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Do `work`, to the end of a sentence that begins with `what`; also where it breaks, because somebody waits for what came of it.
pub(super) fn to_the_end<T>(what: &str, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    // What it was working on is given up with it.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(format!("{what}: this is a defect of trilab, and server.log in the home says where; please report it"))
    })
}

impl Engine {
    /// The run does not start before it is let go.
    pub(super) fn hold_back(&mut self, run: &RunId) {
        *self.beside.held_back.entry(run.clone()).or_default() += 1;
    }

    /// A task has done with the run.
    pub(super) fn let_go(&mut self, run: &RunId) {
        if let Some(tasks) = self.beside.held_back.get_mut(run) {
            *tasks -= 1;
            if *tasks == 0 {
                self.beside.held_back.remove(run);
            }
        }
    }

    pub(super) fn is_held_back(&self, run: &RunId) -> bool {
        self.beside.held_back.contains_key(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_answered_although_the_work_broke() {
        assert_eq!(to_the_end("plan the study", || Ok(7)), Ok(7));
        assert_eq!(
            to_the_end::<u8>("plan the study", || Err("it is too large".to_owned())),
            Err("it is too large".to_owned())
        );
        let broken = to_the_end::<u8>("plan the study", || panic!("a defect")).unwrap_err();
        assert!(broken.starts_with("plan the study: this is a defect of trilab"), "{broken}");
    }
}
