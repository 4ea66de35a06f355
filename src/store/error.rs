//! What can go wrong with the index. It is derived, so every cure ends in rebuilding it.

use std::io;
use std::path::PathBuf;

use crate::runlog::RunLogError;

/// The index could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("open the index {}: another server has it open; attach to it or stop it with `trilab server stop`", .0.display())]
    InUse(PathBuf),
    /// The database refused; nothing more can be asked of it.
    #[error("use the index: {}; restart the server, and free space if the disk is full", in_words(.0))]
    Database(#[from] io::Error),
    /// A stored row is not what the tables say.
    #[error("read the index: {0}; run `trilab reindex`")]
    Row(String),
    /// The store's thread did not answer in time: on a full disk a failed write never returns.
    #[error("ask the index: the store hangs in `{0}`; free space if the disk is full and restart the server")]
    Hangs(&'static str),
    /// The database panicked.
    #[error("ask the index: the database failed inside in `{0}`; run `trilab reindex`")]
    Panicked(&'static str),
    /// The store's thread is gone.
    #[error("ask the index: the store has ended; restart the server")]
    Ended,
    /// A log or the folder of the index could not be read or written.
    #[error(transparent)]
    Files(#[from] RunLogError),
}

/// sled's errors begin with the places in its source that they passed; a person needs the last part only.
pub(super) fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.rsplit(" -> ").next().unwrap_or_default().to_owned()
}
