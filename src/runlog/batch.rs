//! Many small files that are replaced together: each is written beside its place, then all are brought to the disk at once and
//! renamed, and the names are brought to the disk at once.
//! Promises: a reader sees the old or the new content of a file and never a part, also after a power cut; when
//! [`Batch::commit`] returns, all is on the disk; two changes of one file in one batch both count. Must not know: what the files
//! mean to anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::RunLogError;
use super::layout::{beside, write_beside};

/// Files that are brought to the disk one by one: so few cost less than all that anybody is just writing there.
const FEW: usize = 8;

/// Files that are on their way.
#[derive(Debug, Default)]
pub struct Batch {
    /// What lies beside each place and waits to be renamed.
    written: BTreeMap<PathBuf, Vec<u8>>,
    /// A file of each file system that was written to, by its device.
    systems: BTreeMap<u64, File>,
}

impl Batch {
    /// Write what `path` is to hold beside it. Its folder must be there.
    ///
    /// # Errors
    /// It cannot be written, for instance because the disk is full; the old content is untouched then, and so are the other files
    /// of the batch.
    pub fn put(&mut self, path: &Path, bytes: Vec<u8>) -> Result<(), RunLogError> {
        let file = write_beside(path, &bytes)?;
        let device = file.metadata().map_err(RunLogError::io("look at", path))?.dev();
        self.systems.entry(device).or_insert(file);
        self.written.insert(path.to_owned(), bytes);
        Ok(())
    }

    /// What `path` would hold after the batch, if the batch replaces it.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<&[u8]> {
        self.written.get(path).map(Vec::as_slice)
    }

    /// Put all files in their places; returns when that is on the disk.
    ///
    /// # Errors
    /// A file cannot be brought to the disk or renamed. Every file then has its old or its new content.
    pub fn commit(self) -> Result<(), RunLogError> {
        let few = self.written.len() <= FEW;
        if few {
            self.written.keys().try_for_each(|path| sync(&beside(path)))?;
        } else {
            self.sync_systems()?;
        }
        for path in self.written.keys() {
            fs::rename(beside(path), path).map_err(RunLogError::io("replace", path))?;
        }
        if few {
            // A folder may be new itself.
            let folders: BTreeSet<&Path> = self.written.keys().map(|path| folder(path)).collect();
            let above: BTreeSet<&Path> = folders.iter().map(|path| folder(path)).collect();
            folders.union(&above).try_for_each(|path| sync(path))
        } else {
            self.sync_systems()
        }
    }

    /// Bring all that was written to the file systems of the batch to the disk.
    #[cfg(target_os = "linux")]
    fn sync_systems(&self) -> Result<(), RunLogError> {
        let path = self.written.keys().next().map_or(Path::new("."), |path| folder(path));
        for file in self.systems.values() {
            rustix::fs::syncfs(file).map_err(io::Error::from).map_err(RunLogError::io("sync the disk of", path))?;
        }
        Ok(())
    }

    /// As above, where the system has no call for it: file by file, whichever name each has by now.
    #[cfg(not(target_os = "linux"))]
    fn sync_systems(&self) -> Result<(), RunLogError> {
        for path in self.written.keys() {
            let beside = beside(path);
            sync(if beside.exists() { &beside } else { path })?;
            sync(folder(path))?;
        }
        Ok(())
    }
}

impl Drop for Batch {
    /// What is not in its place by now never comes there, and only takes room.
    fn drop(&mut self) {
        for path in self.written.keys() {
            drop(fs::remove_file(beside(path)));
        }
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync(path: &Path) -> Result<(), RunLogError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(RunLogError::io("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_together_and_nothing_else_is_left() {
        for count in [1, FEW, FEW + 1, 40] {
            let folder = tempfile::tempdir().unwrap();
            let path = |number: usize| folder.path().join(format!("{number}.json"));
            fs::write(path(0), "old").unwrap();
            let mut batch = Batch::default();
            for number in 0..count {
                batch.put(&path(number), format!("new {number}").into_bytes()).unwrap();
            }
            assert_eq!(fs::read(path(0)).unwrap(), b"old", "nothing is replaced before all is written");
            assert_eq!(batch.get(&path(0)), Some(&b"new 0"[..]));
            batch.put(&path(0), b"newer".to_vec()).unwrap();
            batch.commit().unwrap();
            assert_eq!(fs::read(path(0)).unwrap(), b"newer");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), count);
            let last = path(count - 1);
            assert!(count == 1 || fs::read(last).unwrap() == format!("new {}", count - 1).into_bytes());
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_others_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut batch = Batch::default();
        let missing = folder.path().join("gone").join("a.json");
        let error = batch.put(&missing, b"x".to_vec()).unwrap_err().to_string();
        assert!(error.contains("a.json"), "{error}");
        batch.put(&folder.path().join("b.json"), b"y".to_vec()).unwrap();
        batch.commit().unwrap();
        assert_eq!(fs::read(folder.path().join("b.json")).unwrap(), b"y");
        let mut given_up = Batch::default();
        given_up.put(&folder.path().join("c.json"), b"z".to_vec()).unwrap();
        drop(given_up);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
