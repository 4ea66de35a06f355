//! An index that is damaged, hangs or is gone: another one takes its place while the lab goes on.
//! Promises: no client is lost and no run stops for it; what the logs say is in the new one.

use std::time::{Duration, Instant};

use super::engine::{Engine, Happened};
use crate::store::StoreError;

/// Between two replacements.
const PAUSE: Duration = Duration::from_secs(10);

/// The replacement of the index.
#[derive(Debug, Default)]
pub(super) struct Replacement {
    under_way: bool,
    last: Option<Instant>,
}

impl Engine {
    /// The index cannot go on: another takes its place, and everything else goes on meanwhile.
    pub(super) fn store_lost(&mut self, error: &StoreError) {
        if self.replacement.under_way {
            return;
        }
        if self.replacement.last.is_some_and(|last| last.elapsed() < PAUSE) {
            // One that fails again and again is asked again, and not replaced again and again.
            self.ask_again();
            return;
        }
        self.replacement.under_way = true;
        self.log.say(&format!("could not {error}; the index is replaced"));
        let (home, store, news, reason) = (self.home.clone(), self.store.clone(), self.news.clone(), error.to_string());
        tokio::task::spawn_blocking(move || {
            let replaced = store.replace(&home, &reason);
            _ = news.blocking_send(Happened::StoreReplaced(replaced));
        });
    }

    pub(super) fn store_replaced(&mut self, result: Result<String, StoreError>) {
        self.replacement = Replacement { under_way: false, last: Some(Instant::now()) };
        self.ask_again();
        match result {
            Ok(notice) => self.reindexed(vec![notice]),
            Err(error) => self.notice(format!("could not {error}; values stand still until `trilab server stop`")),
        }
    }

    /// Whatever asked the old store has nobody to answer it.
    fn ask_again(&mut self) {
        self.looking = false;
        self.publishing.give_up();
    }

    /// Every known run is looked at again, because the index was emptied.
    pub(super) fn reindexed(&mut self, notices: Vec<String>) {
        for notice in notices {
            self.notice(notice);
        }
        self.look_again.extend(self.runs.keys().cloned());
        self.look();
    }
}
