//! Order and the pause of the queue.

use super::super::engine::Engine;
use super::super::submit::Asker;
use crate::core::RunId;
use crate::wire::Reply;

impl Engine {
    pub(super) fn move_run(&mut self, asker: Asker, run: &RunId, by: i64) {
        let Some(record) = self.runs.get(run) else {
            self.refuse(asker, unknown(run));
            return;
        };
        if !self.ledger.queue.contains(run) {
            let word = record.status.word();
            self.refuse(asker, format!("move run {run}: it is {word}; only runs that wait have a place in the queue"));
            return;
        }
        if !self.ledger.queue.move_by(run, by) {
            let end = if by < 0 { "first" } else { "last" };
            let cure = "change its priority with `+` or `-` to pass others";
            self.refuse(asker, format!("move run {run}: it is {end} of its priority already; {cure}"));
            return;
        }
        self.save_ledger();
        self.changes.lab = true;
        self.reply(asker, Reply::Changed { runs: vec![run.clone()], refused: Vec::new() });
    }

    pub(super) fn pause_queue(&mut self, asker: Asker, pause: bool) {
        let changed = if pause { self.ledger.queue.pause() } else { self.ledger.queue.resume() };
        if changed {
            self.save_ledger();
            self.changes.lab = true;
            self.schedule();
        }
        self.reply(asker, Reply::Done);
    }
}

/// For a run that the lab does not have.
pub(super) fn unknown(run: &RunId) -> String {
    format!("find run {run}; `trilab run list` shows the ids")
}
