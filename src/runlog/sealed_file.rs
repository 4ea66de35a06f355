//! Small files that are replaced whole, JSON with a checksum: read, written, and set aside when they are damaged.
//! Promises: what was changed by anything but this program is never taken for what it wrote; files of earlier versions, without a
//! checksum, are read as they are; a damaged file is kept beside its place.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::RunLogError;
use super::layout::write_atomic;
use crate::core::sealed::{self, Seal};

/// What lies at `path`; `None` if nothing does.
///
/// # Errors
/// The system refuses, or what lies there is damaged: [`RunLogError::Content`].
pub fn read_sealed<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RunLogError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(RunLogError::io("read", path)(error)),
    };
    parse_sealed(path, &bytes).map(Some)
}

/// The same of bytes that are those of `path`.
pub(super) fn parse_sealed<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, RunLogError> {
    let damaged = |reason: String| RunLogError::Content { path: path.to_owned(), reason };
    let (seal, value) = sealed::read(bytes).map_err(|error| damaged(error.to_string()))?;
    if seal == Seal::Broken {
        return Err(damaged("its checksum is not that of its content".to_owned()));
    }
    serde_json::from_value(value).map_err(|error| damaged(error.to_string()))
}

/// Replace what lies at `path`.
///
/// # Errors
/// It cannot be written.
pub fn write_sealed(path: &Path, value: &impl Serialize) -> Result<(), RunLogError> {
    let json = |source| RunLogError::Json { path: path.to_owned(), source };
    write_atomic(path, &sealed::sealed(value).map_err(json)?)
}

/// Rename a damaged file to `NAME.damaged` beside it, in the place of an earlier one.
///
/// # Errors
/// It cannot be renamed.
pub fn set_aside(path: &Path) -> Result<PathBuf, RunLogError> {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(".damaged");
    let aside = path.with_file_name(name);
    fs::rename(path, &aside).map_err(RunLogError::io("set aside", path))?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn one_changed_bit_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.json");
        type Numbers = BTreeMap<String, u32>;
        assert_eq!(read_sealed::<Numbers>(&path).unwrap(), None);
        let numbers = Numbers::from([("priority".to_owned(), 3)]);
        write_sealed(&path, &numbers).unwrap();
        assert_eq!(read_sealed(&path).unwrap(), Some(numbers.clone()));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(": 3", ": 7")).unwrap();
        let error = read_sealed::<Numbers>(&path).unwrap_err().to_string();
        assert!(error.contains("queue.json") && error.contains("checksum"), "{error}");
        assert!(set_aside(&path).unwrap().ends_with("queue.json.damaged"));
        assert_eq!(read_sealed::<Numbers>(&path).unwrap(), None);
        fs::write(&path, r#"{"priority":5}"#).unwrap();
        assert_eq!(read_sealed::<Numbers>(&path).unwrap().unwrap()["priority"], 5, "of an earlier version");
    }
}
