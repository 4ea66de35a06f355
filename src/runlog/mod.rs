//! The home folder and the run directory: where every file lies, how it is written, and how it is read back.
//! Promises: each file has one writer, is append-only or replaced by rename, and begins with a format version; a
//! process killed at any instant leaves at most one unfinished line, which readers ignore.
//! Must not know: what trains, who asks, what is stored where in the index.

pub mod error;
pub mod layout;
pub mod folder;
pub mod batch;
pub mod control;
pub mod evals;
mod line_file;
pub mod log;
pub mod read;
pub mod sealed_file;
mod spec_copy;

pub use batch::Batch;
pub use control::ControlFile;
pub use error::RunLogError;
pub use evals::{EvalHeader, EvalLog, EvalRow};
pub use folder::{Attempt, RunFolder, RunLock};
pub use layout::{Home, write_atomic};
pub use log::{EventLog, Witness};
pub use read::{LogChunk, LogHeader, read_from};
