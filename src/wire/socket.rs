//! Where the lab's socket lies, and whom to trust behind it.
//! Promises: the path fits what Unix allows, its folder is private to the user, and both sides check whose process the
//! other is. A running server writes its choice into its lock file, so that a client with another environment finds it.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use super::error::WireError;
use super::identity::LabIdentity;
use crate::runlog::Home;

/// Bytes of a socket path, the closing zero included, on Linux; macOS has 104.
const MOST_BYTES: usize = 104;

/// Version of the server's lock file.
const RECORD_FORMAT: u32 = 1;

/// What a running server says of itself in `server.lock`, readable without speaking its protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRecord {
    /// Version of this record.
    pub format: u32,
    /// Its process.
    pub pid: u32,
    /// Its socket.
    #[serde(with = "path_in_json")]
    pub socket: PathBuf,
    /// The lab it serves; absent in the records of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lab: Option<LabIdentity>,
}

impl ServerRecord {
    /// The record of a server.
    #[must_use]
    pub const fn new(pid: u32, socket: PathBuf, lab: LabIdentity) -> Self {
        Self { format: RECORD_FORMAT, pid, socket, lab: Some(lab) }
    }

    /// What the present or the last server of `home` wrote; `None` if there never was one or it cannot be read. Believe it
    /// only while a process holds the lock: what lies in a copy, or was left by a server that is gone, names a process and
    /// a socket that may be another lab's by now.
    #[must_use]
    pub fn read(home: &Home) -> Option<Self> {
        let record: Self = serde_json::from_slice(&fs::read(home.server_lock()).ok()?).ok()?;
        (record.format == RECORD_FORMAT).then_some(record)
    }
}

/// A path as text, or as its bytes where they are no text: a file name may hold any.
mod path_in_json {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Text(PathBuf),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => text.serialize(serializer),
            None => path.as_os_str().as_bytes().serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Ok(match Stored::deserialize(deserializer)? {
            Stored::Text(path) => path,
            Stored::Bytes(bytes) => PathBuf::from(OsString::from_vec(bytes)),
        })
    }
}

/// What the choice of a place depends on.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// `$XDG_RUNTIME_DIR`, if it is set and outlives logins.
    pub lasting_runtime_dir: Option<PathBuf>,
    /// The system's folder for temporary files.
    pub temporary: PathBuf,
    /// The user.
    pub uid: u32,
}

impl Surroundings {
    /// As they are for this process. A runtime folder lasts only if systemd keeps it for the user ("lingering");
    /// otherwise it vanishes with the last login, and the socket of a server that goes on with it.
    #[must_use]
    pub fn of_this_process() -> Self {
        let user = std::env::var_os("USER").or_else(|| std::env::var_os("LOGNAME"));
        let lingers = user.is_some_and(|user| Path::new("/var/lib/systemd/linger").join(user).exists());
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        Self {
            lasting_runtime_dir: runtime.filter(|dir| lingers && dir.is_absolute() && dir.is_dir()),
            temporary: std::env::temp_dir(),
            uid: rustix::process::geteuid().as_raw(),
        }
    }
}

fn fits(path: &Path) -> bool {
    path.as_os_str().as_bytes().len() < MOST_BYTES
}

/// Where a server of `home` puts its socket: the lasting runtime folder, else the home, else a private folder among
/// the temporary files. Makes the folder and checks it.
///
/// # Errors
/// The folder cannot be made, or is not the user's alone.
pub fn choose(home: &Path, around: &Surroundings) -> Result<PathBuf, WireError> {
    let absolute = fs::canonicalize(home).or_else(|_| std::path::absolute(home))?;
    let hash = blake3::hash(absolute.as_os_str().as_bytes()).to_hex();
    let name = format!("{}.sock", hash.chars().take(16).collect::<String>());
    if let Some(runtime) = &around.lasting_runtime_dir {
        let path = runtime.join("trilab").join(&name);
        if fits(&path) {
            make_private(&runtime.join("trilab"), around.uid)?;
            return Ok(path);
        }
    }
    let inside = absolute.join("socket");
    if fits(&inside) {
        return Ok(inside);
    }
    let folder = around.temporary.join(format!("trilab-{}", around.uid));
    make_private(&folder, around.uid)?;
    let path = folder.join(name);
    if fits(&path) {
        return Ok(path);
    }
    let reason = format!("a socket path may have {} bytes; use a shorter --home or TMPDIR", MOST_BYTES - 1);
    Err(WireError::Place { path, reason })
}

/// A folder that exists, is really a folder, belongs to `uid` and lets nobody else in.
fn make_private(folder: &Path, uid: u32) -> Result<(), WireError> {
    let refuse = |reason: String| WireError::Place { path: folder.to_owned(), reason };
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(refuse(format!("it cannot be made: {error}"))),
    }
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() {
        return Err(refuse("it is not a folder; remove it".to_owned()));
    }
    if found.uid() != uid {
        return Err(refuse(format!("it belongs to user {}; set TMPDIR to a folder of your own", found.uid())));
    }
    if found.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .map_err(|error| refuse(format!("others can enter it and that cannot be changed: {error}")))?;
    }
    Ok(())
}

/// Whether the process at the other end runs as the same user.
///
/// # Errors
/// It does not, or the system cannot say.
pub fn check_peer(stream: &UnixStream) -> Result<(), WireError> {
    let theirs = stream.peer_cred()?.uid();
    let ours = rustix::process::geteuid().as_raw();
    if theirs == ours { Ok(()) } else { Err(WireError::Stranger { theirs, ours }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(temporary: &Path, runtime: Option<PathBuf>) -> Surroundings {
        Surroundings {
            lasting_runtime_dir: runtime,
            temporary: temporary.to_owned(),
            uid: rustix::process::geteuid().as_raw(),
        }
    }

    #[test]
    fn the_first_place_that_lasts_and_fits_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let home = root.join("lab");
        fs::create_dir(&home).unwrap();
        let runtime = choose(&home, &around(root, Some(root.to_owned()))).unwrap();
        assert_eq!(runtime.parent().unwrap(), root.join("trilab"));
        assert_eq!(fs::metadata(root.join("trilab")).unwrap().permissions().mode() & 0o777, 0o700);
        assert_ne!(runtime, choose(root, &around(root, Some(root.to_owned()))).unwrap(), "one socket per home");
        let inside = choose(&home, &around(root, None)).unwrap();
        assert_eq!(inside.file_name().unwrap(), "socket");
        assert!(inside.starts_with(fs::canonicalize(&home).unwrap()));
        let deep = home.join("d".repeat(120));
        let short = choose(&deep, &around(root, None)).unwrap();
        assert_eq!(short.parent().unwrap().parent().unwrap(), root);
        let nowhere = choose(&deep, &around(&deep, None)).unwrap_err().to_string();
        assert!(nowhere.starts_with("use "), "{nowhere}");
    }

    #[test]
    fn a_record_holds_any_path_and_reads_those_of_older_versions() {
        let strange = PathBuf::from(std::ffi::OsStr::from_bytes(b"/lab-\xff/socket"));
        for path in [PathBuf::from("/lab/socket"), strange] {
            let record = ServerRecord::new(7, path, LabIdentity { device: 1, inode: u64::MAX });
            assert_eq!(serde_json::from_slice::<ServerRecord>(&serde_json::to_vec(&record).unwrap()).unwrap(), record);
        }
        let old: ServerRecord = serde_json::from_str(r#"{"format":1,"pid":7,"socket":"/lab/socket"}"#).unwrap();
        assert_eq!((old.pid, old.lab), (7, None));
    }

    #[test]
    fn a_foreign_or_false_folder_is_refused_and_an_open_one_closed() {
        let folder = tempfile::tempdir().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let open = folder.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        make_private(&open, uid).unwrap();
        assert_eq!(fs::metadata(&open).unwrap().permissions().mode() & 0o777, 0o700);
        let foreign = make_private(&open, uid + 1).unwrap_err().to_string();
        assert!(foreign.contains("belongs to user"), "{foreign}");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&open, &link).unwrap();
        assert!(make_private(&link, uid).unwrap_err().to_string().contains("not a folder"));
    }
}
