//! Examines every file of a lab against what was written, and mends what can be derived from the others.
//! Promises: examining changes nothing; mending destroys nothing: a damaged file is renamed, and what it held is made again by whoever
//! made it; what nobody can derive is named with what a person can do.
//! Must not know: terminals, who asks.

mod corpora;
mod lab;
mod runs;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::runlog::{Home, RunLogError};

/// What was found at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub care: Care,
}

/// What becomes of something that is damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "care", content = "how", rename_all = "snake_case")]
pub enum Care {
    /// It was mended, so.
    Mended(String),
    /// It can be mended, so.
    Mendable(String),
    /// Nothing derives it; a person can do this.
    Person(String),
}

/// What an examination found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Files that were read.
    pub files: usize,
    /// Of an earlier version, without checksums: read as far as possible.
    pub unsealed: usize,
    /// What is damaged.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether something is damaged that was not mended.
    #[must_use]
    pub fn leaves_damage(&self) -> bool {
        self.findings.iter().any(|finding| !matches!(finding.care, Care::Mended(_)))
    }
}

/// Examine the lab in `home`; with `repair`, mend what can be derived. `tell` hears of every place before it is read.
///
/// # Errors
/// The home cannot be listed.
pub fn examine(home: &Home, repair: bool, tell: &mut dyn FnMut(&Path)) -> Result<Report, RunLogError> {
    let has_server = is_locked(&home.server_lock());
    let mut doctor = Doctor { home, repair, has_server, tell, report: Report::default() };
    doctor.files_of_the_lab();
    doctor.studies()?;
    doctor.runs()?;
    doctor.corpora();
    doctor.index();
    Ok(doctor.report)
}

/// An examination under way.
struct Doctor<'a> {
    home: &'a Home,
    repair: bool,
    /// A server owns the queue and the index.
    has_server: bool,
    tell: &'a mut dyn FnMut(&Path),
    report: Report,
}

impl Doctor<'_> {
    /// A file is read next.
    fn look_at(&mut self, path: &Path) {
        self.report.files += 1;
        (self.tell)(path);
    }

    /// Something that can be derived is damaged. `mend` says what was done, `how` what would be.
    fn mendable(&mut self, path: &Path, what: String, how: &str, mend: impl FnOnce() -> Result<String, String>) {
        let care = if self.repair {
            match mend() {
                Ok(done) => Care::Mended(done),
                Err(reason) => Care::Person(format!("could not {reason}; mend that and try again")),
            }
        } else {
            Care::Mendable(how.to_owned())
        };
        self.report.findings.push(Finding { path: path.to_owned(), what, care });
    }

    /// Something that nothing derives is damaged.
    fn lost(&mut self, path: &Path, what: String, advice: &str) {
        let care = Care::Person(advice.to_owned());
        self.report.findings.push(Finding { path: path.to_owned(), what, care });
    }
}

/// Whether some process holds the lock at `path`.
fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}
