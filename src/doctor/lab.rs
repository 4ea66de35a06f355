//! The files of the lab itself: queue, studies, index.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::Doctor;
use crate::core::sealed::text_is_whole;
use crate::runlog::RunLogError;
use crate::runlog::sealed_file::{read_sealed, set_aside};
use crate::store::{StoreError, StoreHandle};

/// How long an index may think about one question before it is taken for damaged.
const PATIENCE: Duration = Duration::from_secs(60);

impl Doctor<'_> {
    pub(super) fn files_of_the_lab(&mut self) {
        let (queue, dashboard) = (self.home.queue_file(), self.home.dashboard_file());
        if self.has_server {
            // The server replaces the file whenever the queue changes, and does not read it.
            self.small(&queue, "the server writes it anew when the queue changes next");
        } else {
            self.small(&queue, "it is set aside, and every unfinished run is queued again when the server starts");
        }
        self.small(&dashboard, "it is set aside; the dashboard begins with its usual columns");
    }

    /// A small file that is replaced whole, and set aside where it is damaged.
    fn small(&mut self, path: &Path, how: &str) {
        if !path.exists() {
            return;
        }
        self.look_at(path);
        match read_sealed::<Value>(path) {
            Ok(_) => {}
            Err(RunLogError::Content { reason, .. }) => self.mendable(path, reason, how, || {
                let aside = set_aside(path).map_err(|error| error.to_string())?;
                Ok(format!("it is {} now", aside.display()))
            }),
            Err(error) => self.lost(path, error.to_string(), "let this user read it"),
        }
    }

    pub(super) fn studies(&mut self) -> Result<(), RunLogError> {
        for study in self.home.list_studies()? {
            let path = self.home.study_file(&study);
            self.look_at(&path);
            match fs::read_to_string(&path) {
                Ok(text) if text_is_whole(&text) => {}
                Ok(_) => self.damaged_study(&path, "its checksum is not that of its content".to_owned()),
                Err(error) => self.damaged_study(&path, error.to_string()),
            }
            self.small(&path.with_file_name("runs.json"), "it is set aside; the runs say whose they are");
        }
        Ok(())
    }

    fn damaged_study(&mut self, path: &Path, what: String) {
        let advice = "start the server, which restores it from runs.json beside it, or else submit the study again";
        self.lost(path, what, advice);
    }

    pub(super) fn index(&mut self) {
        let folder = self.home.index_dir();
        if self.has_server || !folder.exists() {
            return;
        }
        self.look_at(&folder);
        let home = self.home;
        let read = || -> Result<Option<String>, StoreError> {
            let (store, notice) = StoreHandle::start(home, PATIENCE)?;
            store.call("reading all of it", |store| store.dump())?;
            store.close()?;
            Ok(notice)
        };
        match read() {
            Ok(None) => {}
            // Opening it has done what is to be done.
            Ok(Some(notice)) => {
                self.mendable(&folder, "it could not be opened".to_owned(), &notice, || Ok(notice.clone()))
            }
            Err(error) => {
                let how = "it is set aside, and rebuilt from the logs when the server starts";
                self.mendable(&folder, error.to_string(), how, || {
                    let reason = error.to_string();
                    crate::store::set_aside(home, &reason).map_err(|error| error.to_string())
                });
            }
        }
    }
}
