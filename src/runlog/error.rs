//! What can go wrong with files of the lab. Every message completes "could not …" and names the file and the cure.

use std::io;
use std::path::{Path, PathBuf};

use crate::core::Shortage;

/// A file of the lab could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RunLogError {
    /// The operating system refused.
    #[error("{action} {}: {source}{}", path.display(), cure(source))]
    Io {
        /// What was tried, as in `read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The file was written by another version of the program.
    #[error(
        "read {}: it has format {found}, this program knows format {known}; use the version of trilab that wrote it, \
         or move the file away", path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: u64,
        /// What this program reads.
        known: u32,
    },
    /// The file does not hold what it should.
    #[error("read {}: {reason}; move the file away if it is damaged", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A spec is not what was written.
    #[error(
        "read {}: {reason}; submit the study of this run again, which writes the spec anew and keeps this one as \
         spec.damaged.json, then retry the run if it has failed", path.display()
    )]
    Spec {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A value cannot be written as JSON.
    #[error("write {}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Another worker holds the run.
    #[error("lock {}: another worker trains this run; wait for it or stop the run first", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A run with this id but another content lies there already.
    #[error("create {}: the folder holds another run ({found}); move it away", path.display())]
    Differs {
        /// The folder.
        path: PathBuf,
        /// The id inside.
        found: String,
    },
    /// Somebody else decides where what is written there goes.
    #[error("use {}: {reason}", path.display())]
    Insecure {
        /// The folder or file.
        path: PathBuf,
        /// Why, and the cure.
        reason: String,
    },
    /// A log is shorter than what was read of it before.
    #[error(
        "read {} from byte {offset}: the file has only {length} bytes; it was cut or replaced, run `trilab reindex`",
        path.display()
    )]
    Shrunk {
        /// The log.
        path: PathBuf,
        /// Where reading should have gone on.
        offset: u64,
        /// Bytes there are.
        length: u64,
    },
}

fn cure(error: &io::Error) -> String {
    Shortage::of(error).map_or_else(String::new, |short| format!("; {}", short.cure()))
}

impl RunLogError {
    /// What the machine is short of, if that is all.
    #[must_use]
    pub fn shortage(&self) -> Option<Shortage> {
        match self {
            Self::Io { source, .. } => Shortage::of(source),
            Self::Format { .. }
            | Self::Content { .. }
            | Self::Spec { .. }
            | Self::Json { .. }
            | Self::Locked { .. }
            | Self::Differs { .. }
            | Self::Insecure { .. }
            | Self::Shrunk { .. } => None,
        }
    }

    /// For `map_err`: an input or output error with what was tried on which file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        // A worker reaches its files from within its folder, and a person wants to know which folder that is.
        move |source| Self::Io { action, path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()), source }
    }
}
