//! The real binary from outside: workers, server, command line and dashboard as processes that die at any instant.
//! The storm takes `TRILAB_KILL_SEED` (any number) and `TRILAB_KILLS` (12 unless given; the full storm is 50):
//! `TRILAB_KILLS=50 cargo test --release --test processes storm -- --nocapture`. Every wait is for a state, and
//! lasts as long as something advances.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a broken test stops")]

mod cells;
mod cli;
mod damage;
mod doctor;
mod foreign;
mod hangup;
mod homes;
mod kills;
mod lab;
mod limits;
mod output;
#[path = "../patience/mod.rs"]
mod patience;
mod process;
mod records;
mod shortage;
mod surroundings;
mod terminal;
mod watcher;
mod worker;
