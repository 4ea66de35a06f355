//! `control.json`: the server's wish for a run, and the steps whose checkpoints later runs wait for; replaced by rename, the worker
//! looks between steps.
//! Promises: looking costs one `stat` while nothing changed; a wish that cannot be read leaves the one before it, at first `Run`.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::core::sealed::sealed;
use crate::core::{Control, ControlSource};

use super::batch::Batch;
use super::error::RunLogError;
use super::layout::write_atomic;
use super::sealed_file::parse_sealed;

/// Version of `control.json`.
const CONTROL_FORMAT: u32 = 1;

#[derive(Default, Serialize, Deserialize)]
pub(super) struct Wish {
    format: u32,
    pub(super) control: Control,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) keep: Vec<u64>,
}

/// Replace the wish; a part that is not given stays, and one that cannot be read is none.
pub(super) fn write(path: &Path, control: Option<Control>, keep: &[u64]) -> Result<(), RunLogError> {
    write_atomic(path, &changed(path, read(path).unwrap_or_default(), control, keep)?)
}

/// As [`write`], with other files.
pub(super) fn put(batch: &mut Batch, path: &Path, control: Option<Control>, keep: &[u64]) -> Result<(), RunLogError> {
    let present = match batch.get(path) {
        Some(bytes) => parse(path, bytes),
        None => read(path),
    };
    let bytes = changed(path, present.unwrap_or_default(), control, keep)?;
    batch.put(path, bytes)
}

fn changed(path: &Path, present: Wish, control: Option<Control>, keep: &[u64]) -> Result<Vec<u8>, RunLogError> {
    let mut wish = Wish { format: CONTROL_FORMAT, control: control.unwrap_or(present.control), keep: present.keep };
    wish.keep.extend(keep);
    wish.keep.sort_unstable();
    wish.keep.dedup();
    let json = |source| RunLogError::Json { path: path.to_owned(), source };
    sealed(&wish).map_err(json)
}

/// The wish; `Run` if none was written yet.
pub(super) fn read(path: &Path) -> Result<Wish, RunLogError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Wish::default()),
        Err(error) => return Err(RunLogError::io("read", path)(error)),
    };
    parse(path, &bytes)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Wish, RunLogError> {
    let wish: Wish = parse_sealed(path, bytes)?;
    if wish.format == CONTROL_FORMAT {
        Ok(wish)
    } else {
        Err(RunLogError::Format { path: path.to_owned(), found: u64::from(wish.format), known: CONTROL_FORMAT })
    }
}

/// What tells one version of a file from the next: a rename brings a new inode even within one tick of the clock.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    seconds: i64,
    nanoseconds: i64,
    length: u64,
}

/// The worker's view of the wish.
pub struct ControlFile {
    path: PathBuf,
    seen: Option<Stamp>,
    wish: Wish,
}

impl ControlFile {
    /// Reads `path` when it is asked.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, seen: None, wish: Wish::default() }
    }
}

impl ControlSource for ControlFile {
    fn control(&mut self) -> Control {
        let stamp = fs::metadata(&self.path).ok().map(|data| Stamp {
            inode: data.ino(),
            seconds: data.mtime(),
            nanoseconds: data.mtime_nsec(),
            length: data.len(),
        });
        if stamp.is_none() || stamp != self.seen {
            // One that cannot be read changes nothing; before the first it is `Run`.
            if let Ok(wish) = read(&self.path) {
                self.wish = wish;
            }
            self.seen = stamp;
        }
        self.wish.control
    }

    fn kept_steps(&self) -> &[u64] {
        &self.wish.keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_arrive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.json");
        let mut source = ControlFile::new(path.clone());
        assert_eq!(source.control(), Control::Run);
        for wish in [Control::Pause, Control::Stop, Control::Run, Control::Stop, Control::Pause] {
            write(&path, Some(wish), &[]).unwrap();
            assert_eq!(source.control(), wish);
            assert_eq!(source.control(), wish, "asked twice");
            assert_eq!(read(&path).unwrap().control, wish);
        }
        for step in [7, 3, 7] {
            write(&path, None, &[step]).unwrap();
        }
        assert_eq!((source.control(), source.kept_steps()), (Control::Pause, &[3, 7][..]), "neither undoes the other");
        write(&path, Some(Control::Run), &[]).unwrap();
        assert_eq!((source.control(), source.kept_steps()), (Control::Run, &[3, 7][..]));
        fs::write(&path, "{").unwrap();
        assert_eq!(source.control(), Control::Run, "the wish before one that cannot be read");
        assert!(read(&path).err().unwrap().to_string().contains("control.json"));
        fs::write(&path, r#"{"format":9,"control":"stop"}"#).unwrap();
        assert!(read(&path).err().unwrap().to_string().contains("format 9"));
    }
}
