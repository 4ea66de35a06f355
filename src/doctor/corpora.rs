//! Prepared corpora.

use std::fs;

use super::Doctor;
use crate::corpus;

impl Doctor<'_> {
    pub(super) fn corpora(&mut self) {
        let Ok(entries) = fs::read_dir(self.home.corpora_dir()) else { return };
        let mut folders: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        folders.retain(|folder| folder.is_dir() && corpus::has_manifest(folder));
        folders.sort();
        for folder in folders {
            self.look_at(&folder);
            match corpus::verify(&folder) {
                Ok(found) => {
                    self.report.unsealed += found.unsealed.len();
                    if found.is_whole() {
                        continue;
                    }
                    let how = "its manifest is set aside, and it is prepared again when a run needs it";
                    self.mendable(&folder, found.damaged.join("; "), how, || {
                        corpus::set_aside(&folder).map_err(|error| error.to_string())?;
                        Ok("its manifest is set aside; it is prepared again when a run needs it".to_owned())
                    });
                }
                Err(error) => self.lost(&folder, error.to_string(), "let this user read it"),
            }
        }
    }
}
