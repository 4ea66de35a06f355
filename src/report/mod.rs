//! The tables that screens show, for pipes and files: aligned text and CSV from the same values.
//! Must not know: where the values come from, where the text goes.

pub mod eval;
pub mod figures;
pub mod leaderboard;
pub mod plan;
pub mod rank;
pub mod runs;
pub mod table;

pub use table::Table;
