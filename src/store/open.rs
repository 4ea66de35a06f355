//! Opens the index, makes a fresh one where it is bad, and owns the database.
//! Promises: an index that cannot be opened or has another layout is renamed, never deleted, and one line says so; an
//! index that another process uses is left alone.

use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::runlog::Home;
use crate::runlog::layout::{create_private_dir, has_room};

use super::error::{StoreError, in_words};
use super::tables;

/// Entries of a leaf: a step of a live run rewrites one leaf, so leaves are smaller than sled's default.
const LEAF_FANOUT: usize = 256;

/// Memory for leaves; the default of 512 MiB belongs to the models.
const CACHE_BYTES: usize = 24 << 20;

/// sled's own flusher kills the process when the disk is full, and without one every dropped iterator flushes. So it
/// exists and never wakes by itself: the store's thread flushes.
const NEVER_MS: usize = 1000 * 60 * 60 * 24 * 365;

/// How long an index that was just closed may stay locked: by a thread of sled's that is ending, or by a child process that has
/// the file open until it becomes another program.
const HANDOVER: Duration = Duration::from_secs(3);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Room that the disk must have before anything is flushed: sled never recovers from a disk that is full in the middle.
const FLUSH_BYTES: u64 = 4 << 20;

pub(super) type Tree = sled::Tree<LEAF_FANOUT>;

struct Database {
    records: Tree,
    db: sled::Db<LEAF_FANOUT>,
}

/// The index. One owner at a time; see [`super::StoreHandle`] for the server's way to it.
pub struct Store {
    folder: PathBuf,
    database: Option<Database>,
}

/// An open index.
pub struct Opened {
    /// The index.
    pub store: Store,
    /// What happened to an earlier one, for the log and the screen; then every run must be read again.
    pub notice: Option<String>,
}

impl Store {
    /// Open the index of a lab, or make one.
    ///
    /// # Errors
    /// Another process has it open, or a fresh one cannot be made either.
    pub fn open(home: &Home) -> Result<Opened, StoreError> {
        Self::open_in(home.index_dir())
    }

    /// The same for an index that may lie elsewhere.
    pub(super) fn open_in(folder: PathBuf) -> Result<Opened, StoreError> {
        if let Some(database) = existing(&folder)? {
            match database {
                Ok(database) => return Ok(Opened { store: Self { folder, database: Some(database) }, notice: None }),
                Err(reason) => {
                    let notice = set_folder_aside(&folder, &reason)?;
                    let database = Some(fresh(&folder)?);
                    return Ok(Opened { store: Self { folder, database }, notice: Some(notice) });
                }
            }
        }
        let database = Some(fresh(&folder)?);
        Ok(Opened { store: Self { folder, database }, notice: None })
    }

    pub(super) fn records(&self) -> Result<&Tree, StoreError> {
        self.database.as_ref().map(|database| &database.records).ok_or(StoreError::Ended)
    }

    /// Make everything written so far survive a power cut; on a disk without room it stays in memory, from where a later call
    /// brings it.
    ///
    /// # Errors
    /// The disk refuses. After that a second call may never return: ask only through the store's thread.
    pub fn flush(&self) -> Result<(), StoreError> {
        if let Some(database) = &self.database
            && self.has_room()
        {
            database.db.flush()?;
        }
        Ok(())
    }

    /// Whether the disk has room for what is written next.
    pub(super) fn has_room(&self) -> bool {
        has_room(&self.folder, FLUSH_BYTES)
    }

    /// Forget everything: the first half of rebuilding.
    ///
    /// # Errors
    /// The folder cannot be replaced; then the store has ended.
    pub fn reset(&mut self) -> Result<(), StoreError> {
        drop(self.database.take());
        fs::remove_dir_all(&self.folder).or_else(missing_is_fine)?;
        self.database = Some(fresh(&self.folder)?);
        Ok(())
    }
}

fn missing_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// The index in `folder`: `None` if there is none, the inner error in words if it is bad.
fn existing(folder: &Path) -> Result<Option<Result<Database, String>>, StoreError> {
    let empty = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Ok(Some(Err("it is no folder".to_owned())));
        }
        Err(error) => return Err(error.into()),
    };
    if empty {
        return Ok(None);
    }
    // sled locks the folder. An index in use must never be taken for a bad one, so this is asked first.
    let (lock, deadline) = (File::open(folder)?, Instant::now() + HANDOVER);
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    drop(lock);
    let opened = open_database(folder).and_then(|database| Ok((stored_layout(&database.db)?, database)));
    Ok(Some(match opened {
        Ok((Some(layout), database)) if layout == tables::layout() => Ok(database),
        Ok((Some(layout), _)) => Err(format!("it has the layout `{layout}` of another version")),
        Ok((None, _)) => Err("it does not say its layout".to_owned()),
        Err(error) if is_the_machines_fault(&error) => return Err(error.into()),
        Err(error) => Err(format!("it cannot be opened: {}", in_words(&error))),
    }))
}

/// A full disk or a missing permission says nothing about the index: it must not be set aside for that.
fn is_the_machines_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::WouldBlock
    )
}

fn open_database(folder: &Path) -> io::Result<Database> {
    let config = sled::Config::new().path(folder).cache_capacity_bytes(CACHE_BYTES).flush_every_ms(Some(NEVER_MS));
    // A damaged index makes this alpha of sled panic in places; here that is an error like any other.
    let opened = catch_unwind(AssertUnwindSafe(|| -> io::Result<Database> {
        let db: sled::Db<LEAF_FANOUT> = config.open()?;
        let records = db.open_tree(tables::RECORDS)?;
        Ok(Database { records, db })
    }));
    opened.unwrap_or_else(|_| Err(io::Error::other("opening it failed inside the database")))
}

fn stored_layout(db: &sled::Db<LEAF_FANOUT>) -> io::Result<Option<String>> {
    let value = db.open_tree(tables::META)?.get(tables::LAYOUT_KEY)?;
    Ok(value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn fresh(folder: &Path) -> Result<Database, StoreError> {
    create_private_dir(folder)?;
    let database = open_database(folder)?;
    let meta = database.db.open_tree(tables::META)?;
    meta.insert(tables::LAYOUT_KEY, tables::layout().into_bytes())?;
    database.db.flush()?;
    Ok(database)
}

/// Rename the index of a lab that nobody has open to `index-broken`, in the place of an earlier one; gives a sentence for people.
///
/// # Errors
/// It cannot be renamed.
pub fn set_aside(home: &Home, reason: &str) -> Result<String, StoreError> {
    set_folder_aside(&home.index_dir(), reason)
}

/// The same for an index that may lie elsewhere.
pub(super) fn set_folder_aside(folder: &Path, reason: &str) -> Result<String, StoreError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let aside = folder.with_file_name(format!("{name}-broken"));
    if fs::symlink_metadata(&aside).is_ok_and(|found| found.is_dir()) {
        fs::remove_dir_all(&aside)?;
    } else {
        fs::remove_file(&aside).or_else(missing_is_fine)?;
    }
    fs::rename(folder, &aside).or_else(missing_is_fine)?;
    Ok(format!("the index was rebuilt, because {reason}; the old one is in {}, which can be deleted", aside.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_not_a_bad_index() {
        let full = io::Error::new(io::ErrorKind::StorageFull, "sled:heap.rs:907 -> sled:heap.rs:435 -> no space left");
        assert!(is_the_machines_fault(&full));
        assert!(!is_the_machines_fault(&io::Error::new(io::ErrorKind::InvalidData, "bad checksum")));
        assert!(!is_the_machines_fault(&io::Error::other("opening it failed inside the database")));
        let told = StoreError::from(full).to_string();
        assert!(told.starts_with("use the index: no space left; ") && told.contains("free space"), "{told}");
    }
}
