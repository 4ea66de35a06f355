//! A file of lines that only grows, written by one process: each line is a JSON object with its number and a checksum.
//! Promises: the file is made exclusively; a line is there whole or not at all, even when the disk fills up and is freed again.
//! Must not know: what the lines say.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::RunLogError;
use super::layout::private;
use crate::core::sealed::seal_line;

/// The file.
#[derive(Debug)]
pub(super) struct LineFile {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines; what lies behind them is the rest of a failed write.
    whole: u64,
    lines: u64,
    torn: bool,
}

impl LineFile {
    /// Make the file and write its first line.
    ///
    /// # Errors
    /// There is such a file already, or it cannot be written; then there is none.
    pub(super) fn create(path: &Path, header: &impl Serialize) -> Result<Self, RunLogError> {
        let file = private().append(true).create_new(true).open(path).map_err(RunLogError::io("create", path))?;
        let mut lines = Self { path: path.to_owned(), file, whole: 0, lines: 0, torn: false };
        match lines.append(header) {
            Ok(()) => Ok(lines),
            Err(error) => {
                // So that it can be tried again; if that fails too, the number of the file is lost and nothing else.
                drop(fs::remove_file(path));
                Err(error)
            }
        }
    }

    /// The file's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Add a line.
    ///
    /// # Errors
    /// It is no JSON object, or cannot be written; then nothing of it is there.
    pub(super) fn append(&mut self, value: &impl Serialize) -> Result<(), RunLogError> {
        let json = |source| RunLogError::Json { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(value).map_err(json)?;
        seal_line(&mut line, self.lines);
        line.push(b'\n');
        self.write(&line).map_err(RunLogError::io("append to", &self.path))
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.whole)?;
            self.torn = false;
        }
        if let Err(error) = self.file.write_all(line) {
            // The cut may fail like the write did; then the next line tries it again before it is written.
            self.torn = self.file.set_len(self.whole).is_err();
            return Err(error);
        }
        self.whole += line.len() as u64;
        self.lines += 1;
        Ok(())
    }

    /// Make the lines survive a power cut.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn sync(&self) -> Result<(), RunLogError> {
        self.file.sync_data().map_err(RunLogError::io("append to", &self.path))
    }

    /// Bytes and lines so far.
    pub(super) const fn extent(&self) -> (u64, u64) {
        (self.whole, self.lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sealed::open_line;
    use std::fs::OpenOptions;

    #[test]
    fn a_torn_line_is_cut_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines.jsonl");
        let mut lines = LineFile::create(&path, &serde_json::json!({"format": 2})).unwrap();
        lines.append(&serde_json::json!({"n": 1})).unwrap();
        // What a full disk leaves behind: a part of a line that could not be cut away at once.
        lines.file.write_all(br#"{"n":"#).unwrap();
        lines.torn = true;
        lines.append(&serde_json::json!({"n": 2})).unwrap();
        let text = fs::read(&path).unwrap();
        let read: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').map(|line| open_line(line).unwrap()).collect();
        assert_eq!(read.iter().map(|line| line.number).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(read[2].object, br#"{"n":2}"#);
        assert_eq!(lines.extent(), (text.len() as u64, 3));
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_file_and_the_cure() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            return; // only Linux has it
        }
        let file = OpenOptions::new().append(true).open(full).unwrap();
        let mut lines = LineFile { path: full.to_owned(), file, whole: 0, lines: 0, torn: false };
        let error = lines.append(&serde_json::json!({})).unwrap_err();
        assert_eq!(error.shortage(), Some(crate::core::Shortage::Disk));
        let text = error.to_string();
        assert!(text.contains("/dev/full") && text.contains("free some space"), "{text}");
    }
}
