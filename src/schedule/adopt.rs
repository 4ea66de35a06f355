//! What a run is, and what must be done about it, from what is found: its logs, its lock, the queue, the wish. Pure;
//! a restarted server asks for every run, a running one whenever a worker ends (not between starting a worker and its
//! first event: a worker takes a moment to take its lock).
//! Promises: what a worker said about its end counts more than any guess; a run whose worker died goes on from its
//! checkpoint, but not for ever.

use crate::core::{Control, RunId, RunStatus};
use crate::store::{AttemptFacts, Ending};

/// Attempts that may die one after the other before their first step: such a worker cannot work at all.
const SILENT_DEATHS: usize = 3;

/// Attempts that may die one after the other without getting any further. More, because whoever makes steps can work,
/// and whatever killed it (the machine's memory, a person) may be over.
const FRUITLESS_DEATHS: usize = 10;

/// How far the run is that another goes on from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Parent {
    /// Far enough, or there is none.
    #[default]
    Ready,
    /// Not yet.
    Behind(RunId),
    /// It will not get there by itself.
    Lost(String),
}

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
    /// The run it goes on from.
    pub parent: Parent,
    /// A checkpoint that others begin with, or that was found damaged, is gone.
    pub lacks_checkpoint: bool,
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
        // A finished run has nothing more to do in the queue, unless it is to make a checkpoint again.
        (Some(Ending::Finished { .. }), _) if !found.lacks_checkpoint => Standing::just(RunStatus::Finished),
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
    } else if let Parent::Lost(reason) = &found.parent {
        RunStatus::Blocked { reason: reason.clone() }
    } else if !found.corpus_ready {
        RunStatus::Preparing
    } else if let Parent::Behind(parent) = &found.parent {
        RunStatus::Waiting { parent: parent.clone() }
    } else {
        RunStatus::Queued
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
    let deaths = Deaths::of(&found.attempts);
    let what = if deaths.silent >= SILENT_DEATHS {
        format!("the worker died {} times in a row before its first step", deaths.silent)
    } else if deaths.fruitless >= FRUITLESS_DEATHS {
        format!("the worker died {} times in a row without getting any further", deaths.fruitless)
    } else {
        return Standing { status: waiting(found), action: Action::Requeue };
    };
    let tail = found.output_tail.trim();
    let said = if tail.is_empty() { "it printed nothing".to_owned() } else { format!("its last words: {tail}") };
    let reason = format!("{what}; {said}");
    Standing { status: RunStatus::Failed { reason: reason.clone() }, action: Action::GiveUp { reason } }
}

/// Attempts at the end that died one after the other.
#[derive(Default)]
struct Deaths {
    /// Without a single step or checkpoint.
    silent: usize,
    /// Without a step or a checkpoint beyond all attempts before them.
    fruitless: usize,
}

impl Deaths {
    fn of(attempts: &[AttemptFacts]) -> Self {
        let mut deaths = Self::default();
        let (mut furthest, mut checkpoint) = (0, None);
        for attempt in attempts {
            let silent = attempt.step == 0 && attempt.checkpoint_step.is_none();
            let further = attempt.step > furthest || attempt.checkpoint_step > checkpoint;
            let said = attempt.ending.is_some();
            deaths.silent = if said || !silent { 0 } else { deaths.silent + 1 };
            deaths.fruitless = if said || further { 0 } else { deaths.fruitless + 1 };
            furthest = furthest.max(attempt.step);
            checkpoint = checkpoint.max(attempt.checkpoint_step);
        }
        deaths
    }
}
