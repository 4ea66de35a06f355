//! Pause, resume, stop, retry and priority, for one run or for thousands. A wish is written for the worker first, beside the loop,
//! and the queue follows.
//! Promises: each run is answered for by itself; of a whole study or the whole lab, runs for which the verb makes no sense are
//! left out in silence; verbs take effect in the order in which they were asked; no run starts between a wish and its effect.

use std::collections::{HashSet, VecDeque};

use super::super::beside::to_the_end;
use super::super::engine::{Engine, Happened};
use super::super::submit::Asker;
use super::queue::unknown;
use crate::core::{Control, RunId, RunStatus};
use crate::runlog::{Batch, Home};
use crate::wire::{Reply, RunSelection};

/// What is to become of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Verb {
    Pause,
    Resume,
    Stop,
    Retry,
    /// Raise or lower the priority.
    Priority(i32),
}

impl Verb {
    const fn words(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Retry => "retry",
            Self::Priority(_) => "change the priority of",
        }
    }
}

/// Why a run that has ended cannot be paused.
const OVER: &str = "it is over; retry it if it should train again";

/// A verb that waits for those before it.
struct Asked {
    asker: Asker,
    selection: RunSelection,
    verb: Verb,
}

/// Verbs, in the order in which they were asked.
#[derive(Default)]
pub(in crate::server) struct Verbs {
    /// The wishes of one are being written.
    writing: bool,
    waiting: VecDeque<Asked>,
}

impl Verbs {
    /// Wishes are on their way to the disk.
    pub(in crate::server) const fn is_writing(&self) -> bool {
        self.writing
    }
}

/// A run that a verb was meant for.
struct Target {
    run: RunId,
    /// What is written for the worker, if anything must be; or why the verb makes no sense. A run for which it does is held back
    /// until the verb has taken effect.
    decided: Result<Option<Wish>, String>,
    /// Why that could not be written.
    failed: Option<String>,
}

impl Target {
    const fn wish(&self) -> Option<&Wish> {
        match (&self.decided, &self.failed) {
            (Ok(wish), None) => wish.as_ref(),
            (Ok(_) | Err(_), _) => None,
        }
    }
}

/// What is written for the worker.
struct Wish {
    control: Control,
    /// Steps whose checkpoints are to be made again, and kept.
    keep: Vec<u64>,
    /// What was wished before, where the new wish counts already because a worker may obey it at once.
    before: Option<Control>,
}

/// Wishes that were written, or could not be.
pub(in crate::server) struct Wished {
    asker: Asker,
    verb: Verb,
    /// Runs were named one by one.
    named: bool,
    targets: Vec<Target>,
}

/// Write all wishes, together. Blocking.
fn write(home: &Home, targets: &mut [Target]) {
    let mut batch = Batch::default();
    for target in &mut *targets {
        if let Some(wish) = target.wish() {
            let put = home.run(&target.run).put_control(&mut batch, Some(wish.control), &wish.keep);
            target.failed = put.err().map(|error| error.to_string());
        }
    }
    if let Err(error) = batch.commit() {
        for target in targets.iter_mut().filter(|target| target.wish().is_some()) {
            target.failed = Some(error.to_string());
        }
    }
}

impl Engine {
    /// Apply `verb` to each selected run once the verbs before it are done, save, answer.
    pub(in crate::server) fn change(&mut self, asker: Asker, selection: RunSelection, verb: Verb) {
        self.beside.verbs.waiting.push_back(Asked { asker, selection, verb });
        self.next_verb()
    }

    fn next_verb(&mut self) {
        while !self.beside.verbs.writing
            && let Some(asked) = self.beside.verbs.waiting.pop_front()
        {
            self.begin(asked);
        }
    }

    /// Decide what is to be written, and have it written.
    fn begin(&mut self, Asked { asker, selection, verb }: Asked) {
        let (selected, named) = match selection {
            RunSelection::Runs(runs) => (runs, true),
            RunSelection::All => (self.summaries(None).into_iter().map(|row| row.id).collect(), false),
            RunSelection::Study(study) => match self.studies.get(&study) {
                Some(record) => (record.runs.clone(), false),
                None => {
                    let words = verb.words();
                    let message = format!("{words} the runs of {study}: no such study; `trilab study list` shows them");
                    self.refuse(asker, message);
                    return;
                }
            },
        };
        let mut seen = HashSet::new();
        let mut targets = Vec::with_capacity(selected.len());
        for run in selected.into_iter().filter(|run| seen.insert(run.clone())) {
            let decided = self.decide(verb, &run);
            if decided.is_ok() {
                self.hold_back(&run);
            }
            targets.push(Target { run, decided, failed: None });
        }
        let mut wished = Wished { asker, verb, named, targets };
        if wished.targets.iter().all(|target| target.wish().is_none()) {
            return self.effect(wished);
        }
        self.beside.verbs.writing = true;
        let (home, news, files) = (self.home.clone(), self.news.clone(), self.beside.files.clone());
        tokio::task::spawn_blocking(move || {
            let writing = files.take();
            let targets = &mut wished.targets;
            if let Err(error) = to_the_end("write the wishes", || {
                write(&home, targets);
                Ok(())
            }) {
                wished.targets.iter_mut().for_each(|target| target.failed = Some(error.clone()));
            }
            // A loop that has ended needs no news.
            _ = news.blocking_send(Happened::Wished(Box::new(wished)));
            drop(writing);
        });
    }

    /// What must be written for a run before the verb takes effect, or why it makes no sense.
    fn decide(&mut self, verb: Verb, run: &RunId) -> Result<Option<Wish>, String> {
        // What a finished run can make again is a checkpoint that is lost.
        let is_finished = self.runs.get(run).is_some_and(|record| record.status == RunStatus::Finished);
        let lost = if verb == Verb::Retry && is_finished { self.lost_checkpoints(run) } else { Vec::new() };
        let Some(record) = self.runs.get_mut(run) else { return Err(unknown(run)) };
        let pausing = record.wish == Control::Pause;
        let running = matches!(record.status, RunStatus::Running { .. });
        let control = match (verb, &record.status) {
            (Verb::Pause, RunStatus::Running { .. }) => Control::Pause,
            (Verb::Pause, RunStatus::Paused) => return Err("it is paused already".to_owned()),
            (Verb::Pause, status) if status.is_over() => return Err(OVER.to_owned()),
            (Verb::Pause, _) => return Ok(None),
            (Verb::Resume, RunStatus::Paused) => Control::Run,
            // The worker may not have seen the wish to pause; if it has, it comes back by itself.
            (Verb::Resume, RunStatus::Running { .. }) if pausing => Control::Run,
            (Verb::Resume, RunStatus::Finished) => return Err("it is finished".to_owned()),
            (Verb::Resume, status) if status.is_over() => return Err("it is over; retry it instead".to_owned()),
            (Verb::Resume, _) => return Err("it is not paused".to_owned()),
            (Verb::Stop, status) if status.is_over() => return Err("it is over already".to_owned()),
            (Verb::Stop, _) => Control::Stop,
            (Verb::Retry, RunStatus::Blocked { reason }) => return Err(format!("it is blocked: {reason}")),
            (Verb::Retry, status) if !status.can_retry() && lost.is_empty() => {
                let word = status.word();
                return Err(format!("it is {word}; only stopped, diverged or failed runs can be retried"));
            }
            (Verb::Retry, _) => Control::Run,
            (Verb::Priority(_), RunStatus::Running { .. }) => return Ok(None),
            (Verb::Priority(_), _) if self.ledger.queue.contains(run) => return Ok(None),
            (Verb::Priority(_), status) => {
                return Err(format!("it is {}; only runs that wait or run have one", status.word()));
            }
        };
        let before = running.then(|| std::mem::replace(&mut record.wish, control));
        Ok(Some(Wish { control, keep: lost, before }))
    }

    /// Wishes were written: the queue follows, and the next verb may begin.
    pub(in crate::server) fn wished(&mut self, wished: Wished) {
        self.beside.verbs.writing = false;
        self.effect(wished);
        self.next_verb()
    }

    fn effect(&mut self, Wished { asker, verb, named, targets }: Wished) {
        let (mut runs, mut refused) = (Vec::new(), Vec::new());
        for Target { run, decided, failed } in targets {
            let result = match (decided, failed) {
                (Ok(wish), None) => self.follow(verb, &run, wish),
                (Ok(wish), Some(error)) => {
                    self.take_back(&run, wish);
                    Err(error)
                }
                (Err(reason), _) => {
                    // It was not held back.
                    if named {
                        refused.push((run.clone(), format!("{} run {run}: {reason}", verb.words())));
                    }
                    continue;
                }
            };
            self.let_go(&run);
            match result {
                Ok(()) => {
                    self.restate(&run);
                    self.changes.run(run.clone());
                    runs.push(run);
                }
                Err(reason) if named => {
                    refused.push((run.clone(), format!("{} run {run}: {reason}", verb.words())));
                }
                Err(_) => {}
            }
        }
        self.save_ledger();
        self.changes.lab = true;
        self.prepare_what_is_missing();
        self.schedule();
        self.reply(asker, Reply::Changed { runs, refused });
    }

    /// The wish could not be written: what stood before stands again.
    fn take_back(&mut self, run: &RunId, wish: Option<Wish>) {
        if let (Some(record), Some(Wish { control, before: Some(before), .. })) = (self.runs.get_mut(run), wish)
            && record.wish == control
        {
            record.wish = before;
        }
    }

    /// The queue follows what was written; the run may have gone on meanwhile, but it has not been started.
    fn follow(&mut self, verb: Verb, run: &RunId, wish: Option<Wish>) -> Result<(), String> {
        let Some(record) = self.runs.get_mut(run) else { return Err(unknown(run)) };
        if let Some(wish) = &wish {
            record.wish = wish.control;
        }
        let status = record.status.clone();
        match verb {
            Verb::Pause => match status {
                RunStatus::Running { .. } if wish.is_none() => {
                    Err("somebody has just started it; try again".to_owned())
                }
                RunStatus::Running { .. } | RunStatus::Paused => Ok(()),
                RunStatus::Queued | RunStatus::Preparing | RunStatus::Waiting { .. } | RunStatus::Blocked { .. } => {
                    self.ledger.queue.hold(run);
                    Ok(())
                }
                RunStatus::Stopped | RunStatus::Finished | RunStatus::Diverged { .. } | RunStatus::Failed { .. } => {
                    Err(OVER.to_owned())
                }
            },
            Verb::Resume => {
                if status == RunStatus::Paused
                    && let Some(entry) = self.ledger.queue.remove(run)
                {
                    self.ledger.queue.enqueue_first(run.clone(), entry.priority, entry.queued_ms);
                }
                Ok(())
            }
            Verb::Stop => match status {
                RunStatus::Running { .. } | RunStatus::Stopped => Ok(()),
                RunStatus::Queued
                | RunStatus::Preparing
                | RunStatus::Waiting { .. }
                | RunStatus::Blocked { .. }
                | RunStatus::Paused => {
                    self.ledger.close(run);
                    Ok(())
                }
                RunStatus::Finished | RunStatus::Diverged { .. } | RunStatus::Failed { .. } => {
                    Err("it is over already".to_owned())
                }
            },
            Verb::Retry => {
                if status.can_retry() || wish.is_some_and(|wish| !wish.keep.is_empty()) {
                    self.queue_again(run);
                }
                Ok(())
            }
            Verb::Priority(by) => self.raise(run, by),
        }
    }

    /// A run that was over waits again; what could not be prepared for it may have been mended.
    pub(in crate::server) fn queue_again(&mut self, run: &RunId) {
        let now_ms = self.now_ms();
        self.ledger.queue.enqueue(run.clone(), 0, now_ms);
        let fingerprint = self.runs.get(run).map(|record| record.spec.data.fingerprint.clone());
        if let Some(fingerprint) = fingerprint
            && self.preparations.get(&fingerprint).is_some_and(|preparation| preparation.failed.is_some())
        {
            self.preparations.remove(&fingerprint);
            self.restate_runs_of(&fingerprint);
        }
    }

    fn raise(&mut self, run: &RunId, by: i32) -> Result<(), String> {
        if self.ledger.queue.contains(run) {
            self.ledger.queue.change_priority(run, by);
        } else if let Some(entry) = self.ledger.started.get_mut(run) {
            // It counts when the run comes back into the queue.
            entry.priority = entry.priority.saturating_add(by);
        } else {
            return Err("it has ended meanwhile; only runs that wait or run have one".to_owned());
        }
        Ok(())
    }
}
