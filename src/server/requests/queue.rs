//! Order, priority and the pause of the queue.

use super::super::engine::Engine;
use super::super::submit::Asker;
use crate::core::{RunId, RunStatus};
use crate::wire::{Reply, RunSelection};

impl Engine {
    pub(super) fn move_run(&mut self, asker: Asker, run: &RunId, by: i64) -> anyhow::Result<()> {
        let Some(record) = self.runs.get(run) else {
            self.refuse(asker, unknown(run));
            return Ok(());
        };
        if !self.ledger.queue.contains(run) {
            let word = record.status.word();
            self.refuse(asker, format!("move run {run}: it is {word}; only runs that wait have a place in the queue"));
            return Ok(());
        }
        if !self.ledger.queue.move_by(run, by) {
            let end = if by < 0 { "first" } else { "last" };
            let cure = "change its priority with `+` or `-` to pass others";
            self.refuse(asker, format!("move run {run}: it is {end} of its priority already; {cure}"));
            return Ok(());
        }
        self.save_ledger()?;
        self.changes.lab = true;
        self.reply(asker, Reply::Changed { runs: vec![run.clone()], refused: Vec::new() });
        Ok(())
    }

    pub(super) fn change_priority(&mut self, asker: Asker, selection: RunSelection, by: i32) -> anyhow::Result<()> {
        self.change(asker, selection, "change the priority of", |engine, run| {
            if engine.ledger.queue.contains(run) {
                engine.ledger.queue.change_priority(run, by);
                return Ok(());
            }
            match (engine.ledger.started.get_mut(run), engine.runs.get(run).map(|record| record.status.clone())) {
                (Some(entry), Some(RunStatus::Running { .. })) => {
                    // It counts when the run comes back into the queue.
                    entry.priority = entry.priority.saturating_add(by);
                    Ok(())
                }
                (_, Some(status)) => Err(format!("it is {}; only runs that wait or run have one", status.word())),
                (_, None) => Err(unknown(run)),
            }
        })
    }

    pub(super) fn pause_queue(&mut self, asker: Asker, pause: bool) -> anyhow::Result<()> {
        let changed = if pause { self.ledger.queue.pause() } else { self.ledger.queue.resume() };
        if changed {
            self.save_ledger()?;
            self.changes.lab = true;
            self.schedule()?;
        }
        self.reply(asker, Reply::Done);
        Ok(())
    }
}

/// For a run that the lab does not have.
pub(super) fn unknown(run: &RunId) -> String {
    format!("find run {run}; `trilab run list` shows the ids")
}
