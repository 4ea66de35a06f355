//! Writing to stdout so that a closed pipe is no accident.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;

/// Writes text to stdout.
pub(super) fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// Writes a value as indented JSON.
pub(super) fn print_json<T: Serialize>(value: &T) -> Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// Says something to the person, on stderr.
pub(super) fn tell(text: &str) {
    eprintln!("trilab: {text}");
}

/// Whether the reader of stdout has gone, as in `trilab run list | head`.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
