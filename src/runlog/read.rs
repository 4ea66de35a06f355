//! Reads event logs while they grow: whole lines from a byte offset on.
//! Promises: a tail without a newline is left for the next time; a damaged line costs itself and a notice, not the
//! rest; reading from the returned offset gives each line exactly once.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::core::event::LOG_FORMAT;
use crate::core::{RunId, StampedEvent};

use super::error::RunLogError;

/// Bytes taken at once, so that a long log does not fill memory; a single line may be longer.
const CHUNK_BYTES: u64 = 4 << 20;

/// The first line of every log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHeader {
    /// Version of the lines that follow.
    pub format: u32,
    /// Whose log.
    pub run: RunId,
    /// Of which attempt.
    pub attempt: u32,
}

/// Some whole lines of a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogChunk {
    /// The header, if the chunk began at the beginning.
    pub header: Option<LogHeader>,
    /// The events, in order.
    pub events: Vec<StampedEvent>,
    /// What was skipped and why, for a person.
    pub notices: Vec<String>,
    /// Where to go on; equal to the offset asked for if there is nothing new.
    pub next_offset: u64,
}

/// The whole lines of the log from `offset` on, some megabytes at most: ask again until `next_offset` stands still.
///
/// # Errors
/// The file cannot be read, is shorter than `offset`, or is a log of another format.
pub fn read_from(path: &Path, offset: u64) -> Result<LogChunk, RunLogError> {
    let mut file = File::open(path).map_err(RunLogError::io("read", path))?;
    let length = file.metadata().map_err(RunLogError::io("read", path))?.len();
    if length < offset {
        return Err(RunLogError::Shrunk { path: path.to_owned(), offset, length });
    }
    let bytes = whole_lines(&mut file, offset).map_err(RunLogError::io("read", path))?;
    let mut chunk = LogChunk { next_offset: offset, ..LogChunk::default() };
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let start = chunk.next_offset;
        chunk.next_offset += line.len() as u64;
        if start == 0 {
            chunk.header = Some(header(path, line)?);
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(event) => chunk.events.push(event),
            Err(error) => chunk.notices.push(format!(
                "skipped a line of {} at byte {start} that is not an event of this version: {error}",
                path.display()
            )),
        }
    }
    Ok(chunk)
}

/// The whole lines of a file from `offset` on, some megabytes at most.
pub(super) fn whole_lines(file: &mut File, offset: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    loop {
        let read = file.by_ref().take(CHUNK_BYTES).read_to_end(&mut bytes)?;
        if let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') {
            bytes.truncate(last + 1);
            return Ok(bytes);
        }
        if read == 0 {
            return Ok(Vec::new());
        }
    }
}

fn header(path: &Path, line: &[u8]) -> Result<LogHeader, RunLogError> {
    let damaged = |reason: String| RunLogError::Content { path: path.to_owned(), reason };
    let value: serde_json::Value =
        serde_json::from_slice(line).map_err(|error| damaged(format!("the first line is no header: {error}")))?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(format) if format == u64::from(LOG_FORMAT) => {}
        Some(found) => return Err(RunLogError::Format { path: path.to_owned(), found, known: LOG_FORMAT }),
        None => return Err(damaged("the first line names no format".to_owned())),
    }
    serde_json::from_value(value).map_err(|error| damaged(format!("the first line is no header: {error}")))
}
