//! Where the files of a lab lie, and the one way in which a file is replaced: written beside, synced, renamed.
//! Everything is private to the user: folders 0700, files 0600.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::core::shell::quoted;
use crate::core::{RunId, StudyId};

use super::error::RunLogError;
use super::folder::RunFolder;

/// The folder of a lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The lab in `root`; touches nothing.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Make the folders that are always there.
    ///
    /// # Errors
    /// A folder cannot be made, or somebody else can put into the home what they like.
    pub fn create(&self) -> Result<(), RunLogError> {
        create_private_dir(&self.root)?;
        own_folder(&self.root)?;
        for folder in [self.studies_dir(), self.corpora_dir(), self.runs_dir()] {
            create_private_dir(&folder)?;
        }
        Ok(())
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Submitted studies.
    #[must_use]
    pub fn studies_dir(&self) -> PathBuf {
        self.root.join("studies")
    }

    /// A study as it was submitted, with the ids of its runs.
    #[must_use]
    pub fn study_file(&self, study: &StudyId) -> PathBuf {
        self.studies_dir().join(study.as_str()).join("study.toml")
    }

    /// Make the folder of a study, in a lab that is there.
    ///
    /// # Errors
    /// The home is not there, or the folder cannot be made.
    pub fn create_study_dir(&self, study: &StudyId) -> Result<(), RunLogError> {
        create_within(&self.root, &self.studies_dir().join(study.as_str()))
    }

    /// Order, priorities and holds.
    #[must_use]
    pub fn queue_file(&self) -> PathBuf {
        self.root.join("queue.json")
    }

    /// What the dashboard remembers from one start to the next; written by the dashboard alone.
    #[must_use]
    pub fn dashboard_file(&self) -> PathBuf {
        self.root.join("dashboard.json")
    }

    /// Tags, notes and archive flags.
    #[must_use]
    pub fn labels_file(&self) -> PathBuf {
        self.root.join("labels.json")
    }

    /// Prepared corpora, one folder per fingerprint.
    #[must_use]
    pub fn corpora_dir(&self) -> PathBuf {
        self.root.join("corpora")
    }

    /// The derived index.
    #[must_use]
    pub fn index_dir(&self) -> PathBuf {
        self.root.join("index")
    }

    /// All runs.
    #[must_use]
    pub fn runs_dir(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// One run; touches nothing.
    #[must_use]
    pub fn run(&self, run: &RunId) -> RunFolder {
        RunFolder::at(self.runs_dir().join(run.as_str()), run.clone())
    }

    /// What the server says.
    #[must_use]
    pub fn server_log(&self) -> PathBuf {
        self.root.join("server.log")
    }

    /// Held by the server of this lab.
    #[must_use]
    pub fn server_lock(&self) -> PathBuf {
        self.root.join("server.lock")
    }

    /// Every run that has a `spec.json`, by id.
    ///
    /// # Errors
    /// The folder of runs exists and cannot be listed.
    pub fn list_runs(&self) -> Result<Vec<RunId>, RunLogError> {
        let mut runs: Vec<RunId> =
            names_in(&self.runs_dir())?.iter().filter_map(|name| name.parse::<RunId>().ok()).collect();
        runs.retain(|run| self.run(run).spec_path().is_file());
        runs.sort();
        Ok(runs)
    }

    /// Every study that has a `study.toml`, by name.
    ///
    /// # Errors
    /// The folder of studies exists and cannot be listed.
    pub fn list_studies(&self) -> Result<Vec<StudyId>, RunLogError> {
        let mut studies: Vec<StudyId> =
            names_in(&self.studies_dir())?.iter().filter_map(|name| name.parse::<StudyId>().ok()).collect();
        studies.retain(|study| self.study_file(study).is_file());
        studies.sort();
        Ok(studies)
    }
}

/// The names in a folder; none if it does not exist.
pub(super) fn names_in(folder: &Path) -> Result<Vec<String>, RunLogError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(RunLogError::io("list", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(RunLogError::io("list", folder))?;
        names.extend(entry.file_name().into_string().ok());
    }
    Ok(names)
}

/// Make a folder and its parents for the user alone; one that exists is left as it is.
///
/// # Errors
/// It cannot be made.
pub fn create_private_dir(path: &Path) -> Result<(), RunLogError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(RunLogError::io("create the folder", path))
}

/// Make a folder of the lab in `home` for the user alone, but never the home: where that was moved away, this fails, and does not
/// begin another lab in the old place.
///
/// # Errors
/// The home is not there, or the folder cannot be made.
pub(super) fn create_within(home: &Path, folder: &Path) -> Result<(), RunLogError> {
    if home.is_dir() {
        create_private_dir(folder)
    } else {
        Err(RunLogError::io("create the folder", folder)(io::ErrorKind::NotFound.into()))
    }
}

/// Make a new folder for the user alone in `place`, with a name that begins with `name`.
///
/// # Errors
/// It cannot be made.
pub fn create_temporary_dir(place: &Path, name: &str) -> Result<PathBuf, RunLogError> {
    let mut number: u32 = 0;
    loop {
        let folder = place.join(format!("{name}-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < u32::MAX => number += 1,
            Err(error) => return Err(RunLogError::io("create the folder", &folder)(error)),
        }
    }
}

/// Whether the disk of `folder` has room for so many bytes and for some files; yes if nobody can say.
#[must_use]
pub fn has_room(folder: &Path, bytes: u64) -> bool {
    /// Files that are made when an index is flushed.
    const FILES: u64 = 16;
    rustix::fs::statvfs(folder).map_or(true, |disk| {
        // Some file systems have no table of files, and say that it has no place for any.
        let files = disk.f_files == 0 || disk.f_favail >= FILES;
        files && disk.f_bavail.saturating_mul(disk.f_frsize) >= bytes
    })
}

/// How the files of a lab are opened: never through a link, which whoever prepared the folder may have put there.
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// Refuse a folder in which others can replace files: what is written there would go where they like.
fn own_folder(path: &Path) -> Result<(), RunLogError> {
    const OTHERS_WRITE: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    let found = fs::metadata(path).map_err(RunLogError::io("look at", path))?;
    let us = rustix::process::geteuid();
    let insecure = |reason: String| Err(RunLogError::Insecure { path: path.to_owned(), reason });
    if !us.is_root() && found.uid() != us.as_raw() {
        return insecure(format!(
            "it belongs to user {}; use a folder of your own with --home, or a copy of this one",
            found.uid()
        ));
    }
    if found.mode() & OTHERS_WRITE != 0 && found.mode() & STICKY == 0 {
        return insecure(format!("everybody can write there; `chmod o-w {}` closes it", quoted(path)));
    }
    Ok(())
}

/// Open a file for appending, made for the user alone if it is not there: logs of servers and workers.
///
/// # Errors
/// It cannot be opened, is a link, or is no file.
pub fn open_append(path: &Path) -> Result<File, RunLogError> {
    let file = private().append(true).create(true).open(path).map_err(RunLogError::io("open", path))?;
    let is_file = file.metadata().map_err(RunLogError::io("open", path))?.is_file();
    let reason = "it is no file; move it away".to_owned();
    if is_file { Ok(file) } else { Err(RunLogError::Insecure { path: path.to_owned(), reason }) }
}

/// Replace a file so that a reader sees the old or the new content and never a part, also after a power cut. Its folder
/// must be there. A file has one writer: two at once would share the sibling that is written first.
///
/// # Errors
/// The file cannot be written, for instance because the disk is full; the old content is untouched then.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), RunLogError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = beside(path);
    write_beside(path, bytes)?.sync_all().map_err(RunLogError::io("write", &beside))?;
    fs::rename(&beside, path).map_err(RunLogError::io("replace", path))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(RunLogError::io("sync the folder", folder))
}

/// Where a file is written before it takes its place.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

/// Write a file beside its place; nothing is brought to the disk and nothing is replaced yet.
pub(super) fn write_beside(path: &Path, bytes: &[u8]) -> Result<File, RunLogError> {
    let beside = beside(path);
    let write = || -> io::Result<File> {
        // What lies there is what a killed process left, or a link that somebody else made.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = private().write(true).create_new(true).open(&beside)?;
        file.write_all(bytes)?;
        Ok(file)
    };
    write().map_err(|error| {
        // Half a file only takes room on a full disk; the error that matters is the first.
        drop(fs::remove_file(&beside));
        RunLogError::io("write", &beside)(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_are_replaced_whole_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("lab"));
        home.create().unwrap();
        let file = home.study_file(&"first".parse().unwrap());
        home.create_study_dir(&"first".parse().unwrap()).unwrap();
        write_atomic(&file, b"one").unwrap();
        write_atomic(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "the sibling is gone");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(home.root()), 0o700);
        assert_eq!(mode(file.parent().unwrap()), 0o700);
        assert_eq!(home.list_studies().unwrap(), vec!["first".parse::<StudyId>().unwrap()]);
    }

    #[test]
    fn a_home_that_is_not_there_has_no_runs() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Home::new(folder.path().join("nothing")).list_runs().unwrap().is_empty());
    }

    #[test]
    fn nothing_is_written_where_a_home_was_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("lab"));
        home.create().unwrap();
        fs::rename(home.root(), folder.path().join("moved")).unwrap();
        let run = home.run(&"0123456789ab".parse().unwrap());
        assert!(write_atomic(&home.queue_file(), b"x").is_err());
        assert!(home.create_study_dir(&"first".parse().unwrap()).is_err());
        assert!(run.reserve_attempt().is_err() && run.write_control(crate::core::Control::Run).is_err());
        assert!(!home.root().exists());
    }

    #[test]
    fn a_failed_replacement_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("taken")).unwrap();
        let error = write_atomic(&folder.path().join("taken"), b"x").unwrap_err().to_string();
        assert!(error.starts_with("replace ") && error.contains("taken"), "{error}");
    }

    #[test]
    fn what_somebody_else_prepared_is_refused_or_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("lab"));
        home.create().unwrap();
        let theirs = folder.path().join("theirs");
        fs::write(&theirs, "of somebody else").unwrap();
        let link = |place: &Path| std::os::unix::fs::symlink(&theirs, place).unwrap();
        link(&home.server_log());
        assert!(open_append(&home.server_log()).unwrap_err().to_string().contains("server.log"));
        link(&beside(&home.queue_file()));
        write_atomic(&home.queue_file(), b"queue").unwrap();
        assert_eq!(fs::read(home.queue_file()).unwrap(), b"queue");
        assert_eq!(fs::read(&theirs).unwrap(), b"of somebody else");
        fs::set_permissions(home.root(), fs::Permissions::from_mode(0o777)).unwrap();
        let refused = home.create().unwrap_err().to_string();
        assert!(refused.contains("everybody can write there") && refused.contains("chmod o-w"), "{refused}");
    }
}
