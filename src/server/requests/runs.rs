//! Pause, resume, stop, retry. A wish is written for the worker first, and the queue follows.
//! Promises: each run is answered for by itself; of a whole study or the whole lab, runs for which the verb makes no
//! sense are left out in silence.

use super::super::engine::Engine;
use super::super::submit::Asker;
use super::queue::unknown;
use crate::core::{Control, RunId, RunStatus};
use crate::wire::{Reply, RunSelection};

impl Engine {
    /// Apply `change` to each selected run, save, answer.
    pub(super) fn change(
        &mut self,
        asker: Asker,
        selection: RunSelection,
        verb: &str,
        mut change: impl FnMut(&mut Self, &RunId) -> Result<(), String>,
    ) -> anyhow::Result<()> {
        let (selected, named) = match selection {
            RunSelection::Runs(runs) => (runs, true),
            RunSelection::All => (self.summaries(None).into_iter().map(|row| row.id).collect(), false),
            RunSelection::Study(study) => match self.studies.get(&study) {
                Some(record) => (record.runs.clone(), false),
                None => {
                    let message = format!("{verb} the runs of {study}: no such study; `trilab study list` shows them");
                    self.refuse(asker, message);
                    return Ok(());
                }
            },
        };
        let (mut runs, mut refused) = (Vec::new(), Vec::new());
        for run in selected {
            let result = if self.runs.contains_key(&run) { change(self, &run) } else { Err(unknown(&run)) };
            match result {
                Ok(()) => {
                    self.restate(&run);
                    self.changes.run(run.clone());
                    runs.push(run);
                }
                Err(reason) if named => refused.push((run.clone(), format!("{verb} run {run}: {reason}"))),
                Err(_) => {}
            }
        }
        self.save_ledger()?;
        self.changes.lab = true;
        self.prepare_what_is_missing();
        self.schedule()?;
        self.reply(asker, Reply::Changed { runs, refused });
        Ok(())
    }

    fn wish(&mut self, run: &RunId, wish: Control) -> Result<(), String> {
        self.home.run(run).write_control(wish).map_err(|error| error.to_string())?;
        if let Some(record) = self.runs.get_mut(run) {
            record.wish = wish;
        }
        Ok(())
    }

    fn status_of(&self, run: &RunId) -> RunStatus {
        // Callers have checked that the run is there.
        self.runs.get(run).map_or(RunStatus::Stopped, |record| record.status.clone())
    }

    pub(super) fn pause_runs(&mut self, asker: Asker, selection: RunSelection) -> anyhow::Result<()> {
        self.change(asker, selection, "pause", |engine, run| match engine.status_of(run) {
            RunStatus::Running { .. } => engine.wish(run, Control::Pause),
            RunStatus::Queued | RunStatus::Preparing | RunStatus::Waiting { .. } | RunStatus::Blocked { .. } => {
                engine.ledger.queue.hold(run);
                Ok(())
            }
            RunStatus::Paused => Err("it is paused already".to_owned()),
            RunStatus::Stopped | RunStatus::Finished | RunStatus::Diverged { .. } | RunStatus::Failed { .. } => {
                Err("it is over; retry it if it should train again".to_owned())
            }
        })
    }

    pub(super) fn resume_runs(&mut self, asker: Asker, selection: RunSelection) -> anyhow::Result<()> {
        self.change(asker, selection, "resume", |engine, run| {
            let pausing = engine.runs.get(run).is_some_and(|record| record.wish == Control::Pause);
            match engine.status_of(run) {
                RunStatus::Paused => {
                    engine.wish(run, Control::Run)?;
                    if let Some(entry) = engine.ledger.queue.remove(run) {
                        engine.ledger.queue.enqueue_first(run.clone(), entry.priority, entry.queued_ms);
                    }
                    Ok(())
                }
                // The worker may not have seen the wish to pause; if it has, it comes back by itself.
                RunStatus::Running { .. } if pausing => engine.wish(run, Control::Run),
                RunStatus::Running { .. }
                | RunStatus::Queued
                | RunStatus::Preparing
                | RunStatus::Waiting { .. }
                | RunStatus::Blocked { .. } => Err("it is not paused".to_owned()),
                RunStatus::Stopped | RunStatus::Diverged { .. } | RunStatus::Failed { .. } => {
                    Err("it is over; retry it instead".to_owned())
                }
                RunStatus::Finished => Err("it is finished".to_owned()),
            }
        })
    }

    pub(super) fn stop_runs(&mut self, asker: Asker, selection: RunSelection) -> anyhow::Result<()> {
        self.change(asker, selection, "stop", |engine, run| match engine.status_of(run) {
            RunStatus::Running { .. } => engine.wish(run, Control::Stop),
            RunStatus::Queued
            | RunStatus::Preparing
            | RunStatus::Waiting { .. }
            | RunStatus::Blocked { .. }
            | RunStatus::Paused => {
                engine.wish(run, Control::Stop)?;
                engine.ledger.close(run);
                Ok(())
            }
            RunStatus::Stopped | RunStatus::Finished | RunStatus::Diverged { .. } | RunStatus::Failed { .. } => {
                Err("it is over already".to_owned())
            }
        })
    }

    pub(super) fn retry_runs(&mut self, asker: Asker, selection: RunSelection) -> anyhow::Result<()> {
        self.change(asker, selection, "retry", |engine, run| {
            let status = engine.status_of(run);
            if let RunStatus::Blocked { reason } = &status {
                return Err(format!("it is blocked: {reason}"));
            }
            // What a finished run can make again is a checkpoint that is lost.
            let lost = if status == RunStatus::Finished { engine.lost_checkpoints(run) } else { Vec::new() };
            if !status.can_retry() && lost.is_empty() {
                return Err(format!("it is {}; only stopped, diverged or failed runs can be retried", status.word()));
            }
            for step in lost {
                engine.home.run(run).keep_checkpoint(step).map_err(|error| error.to_string())?;
            }
            engine.wish(run, Control::Run)?;
            let now_ms = engine.now_ms();
            engine.ledger.queue.enqueue(run.clone(), 0, now_ms);
            let fingerprint = engine.runs.get(run).map(|record| record.spec.data.fingerprint.clone());
            if let Some(fingerprint) = fingerprint
                && engine.preparations.get(&fingerprint).is_some_and(|preparation| preparation.failed.is_some())
            {
                engine.preparations.remove(&fingerprint);
                engine.restate_runs_of(&fingerprint);
            }
            Ok(())
        })
    }
}
