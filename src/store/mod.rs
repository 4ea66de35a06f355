//! The index over all logs: what was read of each, what it says now, curves, samples and events, in sled.
//! Promises: derived and disposable; a log applied twice equals once; a bad index is set aside and never a reason not
//! to start.
//! Must not know: sockets, schedules, screens. The only module that uses sled.

pub mod error;
pub mod facts;
pub mod tables;
pub mod open;
pub mod ingest;
pub mod query;
pub mod thin;
pub mod board;
mod thread;
pub mod handle;

pub use board::{Asked, RunEvidence, leaderboard};
pub use error::StoreError;
pub use facts::{AttemptFacts, Ending, LogFacts, fold};
pub use handle::StoreHandle;
pub use ingest::{Ingested, NewLines, Synced, next_lines, reindex, sync};
pub use open::{Opened, Store, set_aside};
pub use thin::thin;
