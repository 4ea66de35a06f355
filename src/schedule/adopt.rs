//! What a run is, and what must be done about it, from what is found: its logs, its lock, the queue, the wish. Pure;
//! a restarted server asks for every run, a running one whenever a worker ends (not between starting a worker and its
//! first event: a worker takes a moment to take its lock).
//! Promises: what a worker said about its end counts more than any guess; a run whose worker died goes on from its
//! checkpoint, but not for ever.

use crate::core::{Control, RunStatus};
use crate::store::{AttemptFacts, Ending};

/// Attempts that may die one after the other without getting any further.
const FRUITLESS_ATTEMPTS: usize = 3;

/// All that is known of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Every attempt that has a folder, in order; one that died before its first event has empty facts.
    pub attempts: Vec<AttemptFacts>,
    /// A worker holds the lock.
    pub locked: bool,
    /// It waits in the queue.
    pub in_queue: bool,
    /// It is held there.
    pub held: bool,
    /// The wish that stands.
    pub control: Control,
    /// Its corpus is prepared.
    pub corpus_ready: bool,
    /// The end of what the newest worker printed; explains a death.
    pub output_tail: String,
}

/// What must be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// Put it into the queue: it is lost otherwise.
    Requeue,
    /// Do not try again by itself.
    GiveUp {
        /// Why, for a person.
        reason: String,
    },
}

/// Where a run is and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Where it is.
    pub status: RunStatus,
    /// What must be done.
    pub action: Action,
}

impl Standing {
    const fn just(status: RunStatus) -> Self {
        Self { status, action: Action::None }
    }
}

/// What `found` amounts to.
#[must_use]
pub fn standing(found: &Found) -> Standing {
    let Some(newest) = found.attempts.last() else {
        return if found.locked { Standing::just(RunStatus::Running { since_ms: 0 }) } else { not_started(found) };
    };
    match (&newest.ending, found.locked) {
        (Some(Ending::Finished { .. }), _) => Standing::just(RunStatus::Finished),
        (Some(ending), _) => {
            // A retry or a resume puts an ended run back into the queue.
            Standing::just(if found.in_queue { waiting(found) } else { ended(ending) })
        }
        (None, true) => Standing::just(RunStatus::Running { since_ms: newest.started_ms }),
        (None, false) => died(found),
    }
}

fn waiting(found: &Found) -> RunStatus {
    if found.held {
        RunStatus::Paused
    } else if found.corpus_ready {
        RunStatus::Queued
    } else {
        RunStatus::Preparing
    }
}

fn not_started(found: &Found) -> Standing {
    if found.in_queue {
        return Standing::just(waiting(found));
    }
    match found.control {
        Control::Stop => Standing::just(RunStatus::Stopped),
        Control::Pause => Standing::just(RunStatus::Paused),
        // Its spec was written, but not the queue.
        Control::Run | Control::Yield => Standing { status: waiting(found), action: Action::Requeue },
    }
}

fn ended(ending: &Ending) -> RunStatus {
    match ending {
        Ending::Paused { .. } => RunStatus::Paused,
        Ending::Stopped { .. } => RunStatus::Stopped,
        Ending::Finished { .. } => RunStatus::Finished,
        Ending::Diverged { step, .. } => RunStatus::Diverged { step: *step },
        Ending::Failed { message } => RunStatus::Failed { reason: message.clone() },
    }
}

/// The newest attempt has no ending and nobody holds the lock.
fn died(found: &Found) -> Standing {
    if found.in_queue {
        return Standing::just(waiting(found));
    }
    match found.control {
        // It was asked to leave and died on the way: what a person wished stands.
        Control::Stop => return Standing::just(RunStatus::Stopped),
        Control::Pause => return Standing::just(RunStatus::Paused),
        Control::Run | Control::Yield => {}
    }
    let fruitless = fruitless_deaths(&found.attempts);
    if fruitless < FRUITLESS_ATTEMPTS {
        return Standing { status: waiting(found), action: Action::Requeue };
    }
    let tail = found.output_tail.trim();
    let said = if tail.is_empty() { "it printed nothing".to_owned() } else { format!("its last words: {tail}") };
    let reason = format!("the worker died {fruitless} times in a row without getting any further; {said}");
    Standing { status: RunStatus::Failed { reason: reason.clone() }, action: Action::GiveUp { reason } }
}

/// How many attempts at the end died without a step or a checkpoint beyond all attempts before them.
fn fruitless_deaths(attempts: &[AttemptFacts]) -> usize {
    let mut in_a_row = 0;
    let (mut furthest, mut checkpoint) = (0, None);
    for attempt in attempts {
        let further = attempt.step > furthest || attempt.checkpoint_step > checkpoint;
        in_a_row = if further || attempt.ending.is_some() { 0 } else { in_a_row + 1 };
        furthest = furthest.max(attempt.step);
        checkpoint = checkpoint.max(attempt.checkpoint_step);
    }
    in_a_row
}
