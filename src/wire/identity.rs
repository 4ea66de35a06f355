//! Which lab a home is: its folder, by device and inode. A copy is another lab; a lab that was moved, renamed or is
//! reached through a link is the same.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A lab, by the folder that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabIdentity {
    /// The device that the folder is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

impl LabIdentity {
    /// The lab in the folder `home`, which may be a link to it.
    ///
    /// # Errors
    /// There is no such folder, or it cannot be looked at.
    pub fn of(home: &Path) -> io::Result<Self> {
        let found = fs::metadata(home)?;
        if found.is_dir() {
            Ok(Self { device: found.dev(), inode: found.ino() })
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_or_linked_home_is_the_same_lab_and_a_copy_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("home")).unwrap();
        let lab = LabIdentity::of(&at("home")).unwrap();
        std::os::unix::fs::symlink(at("home"), at("link")).unwrap();
        assert_eq!(LabIdentity::of(&at("link")).unwrap(), lab);
        fs::create_dir(at("copy")).unwrap();
        assert_ne!(LabIdentity::of(&at("copy")).unwrap(), lab);
        fs::rename(at("home"), at("moved")).unwrap();
        assert_eq!(LabIdentity::of(&at("moved")).unwrap(), lab);
        fs::write(at("file"), "").unwrap();
        assert!(LabIdentity::of(&at("file")).is_err() && LabIdentity::of(&at("home")).is_err());
    }
}
