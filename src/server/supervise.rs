//! Workers: started on free slots, watched by lock and log, adopted after a restart, put back when they died.
//! Promises: a run has one worker at a time; what a person wished outlives the worker it was meant for.

use std::collections::BTreeSet;
use std::process::Child;

use super::engine::{Engine, Happened, Process, RunRecord};
use super::observe::{Look, Seen, attempt, observe};
use crate::core::{Control, ParentSpec, RunEvent, RunId, RunStatus, Shortage};
use crate::schedule::{Action, Found, LaunchError, Parent, Standing, launches, standing};
use crate::store::Ending;

impl Engine {
    pub(super) fn runs_to_watch(&self) -> bool {
        !self.looking && (!self.look_again.is_empty() || self.runs.values().any(RunRecord::is_alive))
    }

    /// Look at all live runs, and at those that asked for it, beside the loop.
    pub(super) fn look(&mut self) {
        if self.looking {
            return;
        }
        let alive = self.runs.iter().filter(|(_, record)| record.is_alive()).map(|(run, _)| run.clone());
        let mut runs: BTreeSet<RunId> = alive.collect();
        runs.append(&mut self.look_again);
        let looks: Vec<Look> = runs
            .into_iter()
            .filter_map(|run| {
                let record = self.runs.get(&run)?;
                Some(Look { run, epoch: record.epoch, sparkline_from: record.sparkline_from })
            })
            .collect();
        if looks.is_empty() {
            return;
        }
        self.looking = true;
        let (home, store, news) = (self.home.clone(), self.store.clone(), self.news.clone());
        tokio::task::spawn_blocking(move || {
            let seen = looks.into_iter().map(|look| observe(&home, &store, look)).collect();
            // A loop that has ended needs no news.
            _ = news.blocking_send(match seen {
                Ok(seen) => Happened::Observed(seen),
                Err(error) => Happened::StoreLost(error),
            });
        });
    }

    pub(super) fn observed(&mut self, all: Vec<Seen>) {
        self.looking = false;
        let before = self.ledger.clone();
        for seen in all {
            let run = seen.look.run.clone();
            if self.take_sight(seen) {
                self.settle(&run);
            }
        }
        if !self.look_again.is_empty() {
            self.look();
        }
        self.schedule();
        if self.ledger != before {
            self.save_ledger();
        }
    }

    /// Believe what was seen, unless the run was launched since. `true` if it must be settled.
    pub(super) fn take_sight(&mut self, seen: Seen) -> bool {
        let run = seen.look.run;
        for notice in seen.notices {
            self.notice(format!("run {run}: {notice}"));
        }
        for event in &seen.events {
            if let RunEvent::Warned { message } = &event.event {
                self.log.say(&format!("run {run} warns: {message}"));
            }
        }
        if seen.unread {
            // Nothing is concluded from a log that could not be read, least of all that its run has not ended.
            self.look_again.insert(run);
            return false;
        }
        let Some(record) = self.runs.get_mut(&run) else { return false };
        if seen.look.epoch != record.epoch {
            self.look_again.insert(run);
            return false;
        }
        if record.process == Process::Unread {
            record.process = Process::None;
        }
        if let Some(sparkline) = seen.sparkline {
            record.sparkline_from = seen.sight.facts.step + 1 + seen.sight.facts.step / 64;
            record.sparkline = sparkline;
            self.changes.run(run.clone());
        }
        if record.sight != seen.sight {
            let further = record.sight.facts.checkpoint_step != seen.sight.facts.checkpoint_step;
            record.sight = seen.sight;
            self.changes.run(run.clone());
            if further {
                self.restate_children(&run);
            }
        }
        true
    }

    /// Our own worker ended; its log and its lock say how.
    pub(super) fn worker_exited(&mut self, run: &RunId) {
        if let Some(record) = self.runs.get_mut(run) {
            record.process = Process::Unread;
            record.epoch += 1;
            self.look_again.insert(run.clone());
            self.look();
        }
    }

    fn found(&self, run: &RunId, record: &RunRecord) -> Found {
        let entry = self.ledger.queue.get(run);
        Found {
            attempts: record.sight.attempts.clone(),
            locked: record.is_alive(),
            in_queue: entry.is_some(),
            held: entry.is_some_and(|entry| entry.held),
            control: record.wish,
            corpus_ready: self.ready.contains(&record.spec.data.fingerprint),
            parent: self.parent(record),
            lacks_checkpoint: entry.is_some()
                && matches!(record.sight.facts.ending(), Some(Ending::Finished { .. }))
                && !self.lost_checkpoints(run).is_empty(),
            output_tail: record.sight.last_words.clone(),
        }
    }

    /// What a run is now. A paused run that is stopped has no worker left to say so: the wish says it.
    fn standing(&self, run: &RunId, record: &RunRecord) -> Standing {
        let found = self.found(run, record);
        let standing = standing(&found);
        if standing.status == RunStatus::Paused && !found.in_queue && found.control == Control::Stop {
            return Standing { status: RunStatus::Stopped, action: Action::None };
        }
        standing
    }

    /// Draw the consequences of what is known of a run: its status, and its place in queue and slots.
    pub(super) fn settle(&mut self, run: &RunId) {
        let now_ms = self.now_ms();
        let Some(record) = self.runs.get(run) else { return };
        let waits = self.ledger.queue.contains(run);
        if record.is_alive() {
            if waits || !self.ledger.started.contains_key(run) {
                self.ledger.start(run, now_ms);
            }
        } else if !waits {
            let standing = self.standing(run, record);
            let wished_to_wait = record.wish == Control::Pause;
            let left_early = matches!(record.sight.facts.ending(), Some(Ending::Paused { .. }));
            match (standing.action, standing.status) {
                (Action::Requeue, _) => self.ledger.put_back(run, wished_to_wait, now_ms),
                // It left as if to pause, but by now it is wished to run, or only the machine had asked.
                (_, RunStatus::Paused) => self.ledger.put_back(run, wished_to_wait || !left_early, now_ms),
                (
                    Action::None | Action::GiveUp { .. },
                    RunStatus::Preparing
                    | RunStatus::Waiting { .. }
                    | RunStatus::Blocked { .. }
                    | RunStatus::Queued
                    | RunStatus::Running { .. }
                    | RunStatus::Stopped
                    | RunStatus::Finished
                    | RunStatus::Diverged { .. }
                    | RunStatus::Failed { .. },
                ) => {
                    self.ledger.close(run);
                }
            }
        }
        self.restate(run);
    }

    /// Compute the status of a run anew, after anything it depends on has changed.
    pub(super) fn restate(&mut self, run: &RunId) {
        let Some(record) = self.runs.get(run) else { return };
        let failed = self.preparations.get(&record.spec.data.fingerprint).and_then(|p| p.failed.clone());
        let status = match (self.standing(run, record).status, failed) {
            (RunStatus::Preparing, Some(reason)) => RunStatus::Failed { reason },
            (RunStatus::Running { .. }, _) => RunStatus::Running { since_ms: self.since(record) },
            (status, _) => status,
        };
        if let Some(record) = self.runs.get_mut(run)
            && record.status != status
        {
            if self.serving && record.status.word() != status.word() {
                self.log.say(&format!("run {run}: {} → {}", record.status.word(), status.word()));
            }
            record.status = status;
            self.changes.run(run.clone());
            self.changes.lab = true;
            self.restate_children(run);
        }
    }

    /// Runs that go on from `run` see it anew.
    pub(super) fn restate_children(&mut self, run: &RunId) {
        let children = self.children.get(run).cloned().unwrap_or_default();
        for child in children {
            self.restate(&child);
        }
    }

    /// Steps of a run of which there is no checkpoint although others begin there, or because it was found damaged.
    pub(super) fn lost_checkpoints(&self, run: &RunId) -> Vec<u64> {
        let folder = self.home.run(run);
        let parents = self.runs.values().filter_map(|record| record.spec.parent.as_ref());
        let wanted = parents.filter(|parent| parent.run == *run).map(|parent| parent.step);
        let damaged = folder.damaged_checkpoint().unwrap_or_default();
        let lost: BTreeSet<u64> = wanted.chain(damaged).filter(|step| !folder.has_checkpoint(*step)).collect();
        lost.into_iter().collect()
    }

    /// How far the run is that `record` goes on from.
    fn parent(&self, record: &RunRecord) -> Parent {
        let Some(ParentSpec { run, step, .. }) = &record.spec.parent else { return Parent::Ready };
        // A run with a checkpoint of its own goes on from that, unless all of them were found damaged.
        let own = || self.home.run(&record.spec.id).checkpoint_steps().is_ok_and(|steps| !steps.is_empty());
        if record.sight.facts.checkpoint_step.is_some() && own() {
            return Parent::Ready;
        }
        let Some(parent) = self.runs.get(run) else {
            return Parent::Lost(format!(
                "it goes on from run {run}, which the lab does not have; submit a study with that run again"
            ));
        };
        let (cell, reached) = (parent.spec.cell(), parent.sight.facts.checkpoint_step >= Some(*step));
        let kept = || self.home.run(run).has_checkpoint(*step);
        match &parent.status {
            _ if reached && kept() => Parent::Ready,
            RunStatus::Finished => {
                let damaged = self.home.run(run).damaged_checkpoint().unwrap_or_default() == Some(*step);
                let lost = if damaged { "was damaged and is set aside" } else { "is gone" };
                Parent::Lost(format!(
                    "retry {run}, which makes it again: the checkpoint of step {step} of {cell}, which it goes on from, {lost}"
                ))
            }
            RunStatus::Stopped => Parent::Lost(format!("retry {run}: {cell}, which it goes on from, was stopped")),
            RunStatus::Diverged { step } => Parent::Lost(format!(
                "{run} diverged at step {step}: lower the learning rate of {cell}, which it goes on from"
            )),
            RunStatus::Failed { reason } => {
                Parent::Lost(format!("retry {run} when it is mended: {cell}, which it goes on from, failed: {reason}"))
            }
            RunStatus::Blocked { reason } => Parent::Lost(reason.clone()),
            RunStatus::Preparing
            | RunStatus::Waiting { .. }
            | RunStatus::Queued
            | RunStatus::Running { .. }
            | RunStatus::Paused => Parent::Behind(run.clone()),
        }
    }

    /// When the present attempt began; until its log says so, the moment of the launch.
    fn since(&self, record: &RunRecord) -> u64 {
        let logged = record.sight.attempts.last().map_or(0, |attempt| attempt.started_ms);
        match (logged, &record.status) {
            (0, RunStatus::Running { since_ms }) => *since_ms,
            (0, _) => self.now_ms(),
            (logged, _) => logged,
        }
    }

    /// Fill the free slots from the queue.
    pub(super) fn schedule(&mut self) {
        if self.read_only || self.held().is_some() {
            return;
        }
        let running = self.runs.values().filter(|record| record.is_alive()).count();
        if running < self.slots {
            self.forget_lost_corpora();
        }
        let ready = |run: &RunId| {
            !self.is_held_back(run)
                && self.runs.get(run).is_some_and(|record| {
                    self.ready.contains(&record.spec.data.fingerprint) && self.parent(record) == Parent::Ready
                })
        };
        for run in launches(&self.ledger.queue, &ready, running, self.slots) {
            self.launch(&run);
            if self.ledger.queue.paused || self.held().is_some() {
                break;
            }
        }
    }

    fn launch(&mut self, run: &RunId) {
        let folder = self.home.run(run);
        let now_ms = self.now_ms();
        // Another server, or a person, may have started it.
        if folder.is_locked().unwrap_or(true) {
            if let Some(record) = self.runs.get_mut(run) {
                record.sight.locked = true;
            }
            self.settle(run);
            self.save_ledger();
            return;
        }
        // Written first: a server killed in between finds a started run without a worker and puts it back.
        self.ledger.start(run, now_ms);
        self.save_ledger();
        if self.held().is_some() {
            self.ledger.put_back(run, false, now_ms);
            return;
        }
        let launched = match folder.write_control(Control::Run).map_err(LaunchError::from) {
            Ok(()) => self.launcher.launch(&folder),
            Err(error) => Err(error),
        };
        let launched = match launched {
            Ok(launched) => launched,
            Err(error) => {
                // Whatever it is, it would meet every other run too.
                self.ledger.put_back(run, false, now_ms);
                if let Some(short) = Shortage::behind(&error) {
                    self.give_up_for_now(short.sentence(&error.to_string()));
                } else {
                    self.ledger.queue.pause();
                    self.notice(format!("could not {error}; the queue is paused, resume it when that is mended"));
                }
                self.restate(run);
                self.save_ledger();
                return;
            }
        };
        let Some(record) = self.runs.get_mut(run) else { return };
        record.wish = Control::Run;
        record.epoch += 1;
        record.process = Process::Running;
        record.sparkline_from = 0;
        record.sight.attempts.push(attempt(&record.sight.facts, launched.attempt));
        record.sight.last_words.clear();
        self.reap(run, launched.process);
        self.changes.run(run.clone());
        self.restate(run);
    }

    /// Learn when a worker has ended. Without a thread to wait in, its lock tells.
    fn reap(&mut self, run: &RunId, process: Option<Child>) {
        let (news, id) = (self.news.clone(), run.clone());
        let waiting = std::thread::Builder::new().name(format!("reap {run}")).spawn(move || {
            if let Some(mut process) = process {
                // However it ended, its log says more than its status.
                drop(process.wait());
            }
            _ = news.blocking_send(Happened::Exited(id));
        });
        if let Err(error) = waiting {
            self.log.say(&format!("could not wait for the worker of run {run}: {error}"));
            if let Some(record) = self.runs.get_mut(run) {
                record.process = Process::Unread;
            }
        }
    }
}
