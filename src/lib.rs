//! trilab: a terminal lab for language-model experiments. Queue, train, watch, evaluate and compare, in one program.
//!
//! Modules are listed in layer order: each may import only those above it (`tests/architecture.rs` checks it).

pub mod core;
pub mod config;
pub mod wire;
pub mod tui;
