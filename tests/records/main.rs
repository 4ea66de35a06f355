//! The run log and the store from outside: what is written comes back, whatever is cut, repeated or lost.
#![expect(clippy::unwrap_used, reason = "a broken test stops")]

mod board;
mod damage;
mod fixture;
mod index;
mod log;
