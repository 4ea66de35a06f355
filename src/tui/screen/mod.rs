//! What each screen looks like: pure functions from the model to a buffer of cells.
//! Promises: no number is ever cut, nothing is drawn outside its area, the same model gives the same screen.
//! Must not know: keys by name (they come from the keymap), sockets, clocks.

pub mod answers;
pub mod board_layout;
pub mod board_matrix;
pub mod board_words;
pub mod composer;
pub mod coverage;
pub mod curves;
pub mod detail;
pub mod form;
pub mod frame;
pub mod help;
pub mod lab;
pub mod leaderboard;
pub mod mask_picture;
pub mod rank;
pub mod review;
mod sizes;
pub mod tasks;

pub use frame::{body, draw, tab_at};
