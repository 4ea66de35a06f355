//! trilab: a terminal lab for language-model experiments. Queue, train, watch, evaluate and compare, in one program.
//!
//! Modules are listed in layer order: each may import only those above it (`tests/architecture.rs` checks it).

pub mod core;
pub mod config;
pub mod corpus;
pub mod objective;
pub mod kernel;
pub mod model;
pub mod optim;
pub mod rank;
pub mod eval;
pub mod stats;
pub mod train;
pub mod runlog;
pub mod worker;
pub mod store;
pub mod schedule;
pub mod doctor;
pub mod digest;
pub mod wire;
pub mod server;
pub mod tui;
pub mod report;
pub mod cli;
