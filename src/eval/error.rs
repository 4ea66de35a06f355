//! What can go wrong between a task file and its scores. Every message completes "could not …".

use std::path::PathBuf;

/// A task cannot be read, asked or scored.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// A file cannot be read.
    #[error("read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// There are no such tasks.
    #[error("find the tasks {source_name}: {reason}")]
    Source {
        /// As it was asked for.
        source_name: String,
        /// Why, and the cure.
        reason: String,
    },
    /// A task file says something that this program does not do, or that nobody does.
    #[error("use the task file {}:{line}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What, and the cure.
        reason: String,
    },
    /// The data of a task is not what its file says.
    #[error("use the data of task {task}: {reason}")]
    Data {
        /// Which task.
        task: String,
        /// What, where, and the cure.
        reason: String,
    },
    /// A document cannot be made into a prompt.
    #[error("ask document {document} of task {task}: {reason}")]
    Prompt {
        /// Which task.
        task: String,
        /// Which document, from 0.
        document: usize,
        /// Why.
        reason: String,
    },
    /// The scorer failed on a request, or on all.
    #[error("score {place}: {reason}")]
    Score {
        /// `task x, document 3, request 1`.
        place: String,
        /// Why, and the cure.
        reason: String,
    },
}
