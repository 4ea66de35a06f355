//! The file of this program, by which it starts itself again. Ask at the start of a process: later the file may have been
//! replaced, and what matters then is the file in its place.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where this program lies, or lay before it was replaced or removed.
///
/// # Errors
/// The system cannot say.
pub fn program() -> io::Result<PathBuf> {
    Ok(in_place(std::env::current_exe()?))
}

/// Linux adds a word to the path of a file that is no longer in its place.
fn in_place(path: PathBuf) -> PathBuf {
    match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(bare) if !path.exists() => Path::new(OsStr::from_bytes(bare)).to_owned(),
        Some(_) | None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_program_is_looked_for_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (bare, marked) = (folder.path().join("trilab"), folder.path().join("trilab (deleted)"));
        assert_eq!(in_place(marked.clone()), bare);
        assert_eq!(in_place(bare.clone()), bare);
        std::fs::write(&marked, "a program of that very name").unwrap();
        assert_eq!(in_place(marked.clone()), marked);
    }
}
