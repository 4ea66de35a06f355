//! The lock under which a corpus is prepared, and the folder in which that is done.
//! Promises: of two preparations of one corpus the second waits for the first; what a killed one left is removed.
//! Must not know: what is written there.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::CorpusError;
use super::prepare::Progress;
use crate::config::files;

/// Between two looks whether another preparation of the same corpus has ended.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// The right to prepare one corpus. The operating system returns it when the process ends, however it ends.
pub(super) struct Lock {
    corpora_dir: PathBuf,
    fingerprint: String,
    held: Option<File>,
}

impl Lock {
    /// Waits for the lock. A file system without locks gives none: then the rename decides between two preparations.
    pub(super) fn take(
        corpora_dir: &Path,
        fingerprint: &str,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, CorpusError> {
        let path = corpora_dir.join(format!(".{fingerprint}.lock"));
        let file = File::create(&path).map_err(CorpusError::io("create", &path))?;
        let held = match file.try_lock() {
            Ok(()) => Some(file),
            Err(TryLockError::WouldBlock) => {
                progress(Progress { phase: "waiting for another preparation", done: 0, total: 0 });
                // Not with a call that waits: who watches hears that this goes on.
                loop {
                    std::thread::sleep(LOCK_PAUSE);
                    files::goes_on();
                    match file.try_lock() {
                        Ok(()) => break Some(file),
                        Err(TryLockError::WouldBlock) => {}
                        Err(TryLockError::Error(error)) => return Err(CorpusError::io("lock", &path)(error)),
                    }
                }
            }
            Err(TryLockError::Error(_)) => None,
        };
        Ok(Self { corpora_dir: corpora_dir.to_path_buf(), fingerprint: fingerprint.to_owned(), held })
    }

    /// Whether nobody else prepares it meanwhile.
    pub(super) const fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// A fresh folder to write in; what killed preparations left is removed if the lock says that nobody writes there.
    pub(super) fn partial_folder(&self) -> Result<PathBuf, CorpusError> {
        let mut number = 0u32;
        loop {
            let path = self.corpora_dir.join(format!(".{}.partial-{number}", self.fingerprint));
            if self.held.is_some() && path.exists() {
                fs::remove_dir_all(&path).map_err(CorpusError::io("remove", &path))?;
            }
            match fs::create_dir(&path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(CorpusError::io("create", &path)(error)),
            }
        }
    }
}
