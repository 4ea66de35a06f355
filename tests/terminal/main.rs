//! The real program in a real terminal: from an empty home, with keys alone, to a finished grid whose every figure is
//! what the commands print. Waits for what is shown, as long as something advances; never for a time.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a broken test stops")]

mod composing;
mod figures;
mod lab;
mod manners;
#[path = "../patience/mod.rs"]
mod patience;
mod pty;
