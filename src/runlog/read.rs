//! Reads event logs while they grow: whole lines from a byte offset on.
//! Promises: a tail without a newline is left for the next time; a damaged line costs itself and a notice, not the
//! rest, also where it is the first; what is lost is counted; reading from the returned offset gives each line exactly once.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::core::event::LOG_FORMAT;
use crate::core::sealed::{is_sealed, open_line};
use crate::core::{RunId, StampedEvent};

use super::error::RunLogError;

/// Bytes taken at once, so that a long log does not fill memory; a single line may be longer.
const CHUNK_BYTES: u64 = 4 << 20;

/// Bytes that hold the first lines of a file for certain.
const FIRST_LINES: u64 = 64 << 10;

/// The version of logs and evaluations in which every line is sealed.
const SEALED_FORMAT: u64 = 2;

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
    /// The header, if the chunk began at the beginning and it is whole.
    pub header: Option<LogHeader>,
    /// The events, in order.
    pub events: Vec<StampedEvent>,
    /// What was skipped and why, for a person.
    pub notices: Vec<String>,
    /// Lines that were written and are damaged or gone.
    pub lost: u64,
    /// Number of the line that comes next, where lines are numbered.
    pub next_line: Option<u64>,
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
    let (bytes, mut lines) = whole_lines(&mut file, path, offset).map_err(RunLogError::io("read", path))?;
    let mut chunk = LogChunk { next_offset: offset, ..LogChunk::default() };
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let start = chunk.next_offset;
        chunk.next_offset += line.len() as u64;
        let Some(object) = lines.open(start, line) else { continue };
        if start == 0 {
            match header(path, &object)? {
                Ok(header) => chunk.header = Some(header),
                Err(reason) => lines.damaged(start, &reason),
            }
        } else {
            match serde_json::from_slice(&object) {
                Ok(event) => chunk.events.push(event),
                Err(error) => lines.damaged(start, &format!("it is not an event of this version: {error}")),
            }
        }
    }
    (chunk.lost, chunk.next_line, chunk.notices) = lines.finish();
    Ok(chunk)
}

/// The lines of a file, one after the other: opens their seals and counts what is missing.
pub(super) struct Lines<'p> {
    path: &'p Path,
    /// Every line of the file has a number and a checksum.
    sealed: bool,
    /// Number of the next line, where it is known.
    next: Option<u64>,
    /// Damaged lines since the last whole one.
    damaged: u64,
    lost: u64,
    notices: Vec<String>,
}

impl Lines<'_> {
    /// The object of the line at byte `start`; `None` if it is damaged, or was there before.
    pub(super) fn open<'l>(&mut self, start: u64, line: &'l [u8]) -> Option<Cow<'l, [u8]>> {
        if !self.sealed && !is_sealed(line) {
            return Some(Cow::Borrowed(line));
        }
        let Some(line) = open_line(line) else {
            self.damaged(start, "its checksum is not that of its content");
            return None;
        };
        match self.next {
            Some(next) if line.number < next => {
                self.notices.push(format!(
                    "skipped line {} of {}: it is there twice",
                    line.number,
                    self.path.display()
                ));
                return None;
            }
            Some(next) => {
                let missing = line.number - next;
                if missing > self.damaged {
                    self.notices.push(format!(
                        "{} of the lines before line {} of {} are gone",
                        missing - self.damaged,
                        line.number,
                        self.path.display()
                    ));
                }
                self.lost += missing;
            }
            None => self.lost += self.damaged,
        }
        self.damaged = 0;
        self.next = Some(line.number + 1);
        Some(Cow::Owned(line.object))
    }

    /// Count the line at byte `start` as damaged.
    pub(super) fn damaged(&mut self, start: u64, reason: &str) {
        self.damaged += 1;
        self.notices.push(format!("skipped a line of {} at byte {start}: {reason}", self.path.display()));
    }

    /// Lines lost, number of the next line, and what a person should know.
    pub(super) fn finish(self) -> (u64, Option<u64>, Vec<String>) {
        (self.lost + self.damaged, self.next.map(|next| next + self.damaged), self.notices)
    }
}

/// The whole lines of a file from `offset` on, some megabytes at most, and what opens them.
pub(super) fn whole_lines<'p>(file: &mut File, path: &'p Path, offset: u64) -> io::Result<(Vec<u8>, Lines<'p>)> {
    let mut first = Vec::new();
    file.by_ref().take(FIRST_LINES).read_to_end(&mut first)?;
    let next = (offset == 0).then_some(0);
    let lines = Lines { path, sealed: has_seals(&first), next, damaged: 0, lost: 0, notices: Vec::new() };
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    loop {
        let read = file.by_ref().take(CHUNK_BYTES).read_to_end(&mut bytes)?;
        if let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') {
            bytes.truncate(last + 1);
            return Ok((bytes, lines));
        }
        if read == 0 {
            return Ok((Vec::new(), lines));
        }
    }
}

/// Whether the lines of a file are sealed, by its header, or by those behind it where that is damaged.
fn has_seals(first: &[u8]) -> bool {
    let mut lines = first.split(|byte| *byte == b'\n');
    let header = lines.next().unwrap_or_default();
    if is_sealed(header) {
        return true;
    }
    match serde_json::from_slice::<serde_json::Value>(header) {
        Ok(header) => header.get("format").and_then(serde_json::Value::as_u64) == Some(SEALED_FORMAT),
        Err(_) => lines.any(is_sealed),
    }
}

/// The header of a log; the inner error says in words that it is none.
fn header(path: &Path, object: &[u8]) -> Result<Result<LogHeader, String>, RunLogError> {
    let none = |error: &dyn std::fmt::Display| Ok(Err(format!("it is no header: {error}")));
    let value: serde_json::Value = match serde_json::from_slice(object) {
        Ok(value) => value,
        Err(error) => return none(&error),
    };
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(format) if (1..=u64::from(LOG_FORMAT)).contains(&format) => {}
        Some(found) => return Err(RunLogError::Format { path: path.to_owned(), found, known: LOG_FORMAT }),
        None => return none(&"it names no format"),
    }
    Ok(serde_json::from_value(value).map_err(|error| format!("it is no header: {error}")))
}
