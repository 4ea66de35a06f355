//! Files of other people: texts, tokenizers, tasks, studies and settings. One way to open them all.
//! Promises: only regular files on a disk are read, and opening never waits, whatever a path leads to; who watches hears of
//! each file before it is read. Must not know: what the files hold.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::OFlags;

/// Hears of files that are about to be read (a path), and in between that the work on them goes on (none).
pub type Watcher = Box<dyn Fn(Option<&Path>) + Send + Sync>;

static WATCHER: OnceLock<Watcher> = OnceLock::new();

/// File systems whose files have no end, or wait for something to happen: proc, tracefs, debugfs.
#[cfg(target_os = "linux")]
const ENDLESS: [u32; 3] = [0x9fa0, 0x7472_6163, 0x6462_6720];

/// From now on `watcher` hears of every file that this process reads for others. The first one stays.
pub fn watch(watcher: Watcher) {
    _ = WATCHER.set(watcher);
}

/// Says that the file at `path` is being worked on.
pub fn begins(path: &Path) {
    if let Some(watcher) = WATCHER.get() {
        watcher(Some(path));
    }
}

/// Says that the work goes on.
pub fn goes_on() {
    if let Some(watcher) = WATCHER.get() {
        watcher(None);
    }
}

/// The regular file at `path`, open for reading.
///
/// # Errors
/// It cannot be opened, or it is a folder, a pipe, a socket, a device, or a file that the system makes up while it is read.
pub fn open(path: &Path) -> io::Result<File> {
    // Looked at first, because opening a device may do something to it.
    regular(&fs::metadata(path)?)?;
    begins(path);
    let mut options = OpenOptions::new();
    // What took its place since must not make this process wait, nor give it a terminal.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = options.read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    regular(&file.metadata()?)?;
    on_disk(&file)?;
    Ok(file)
}

/// All bytes of the regular file at `path`, which may have at most `most`.
///
/// # Errors
/// As [`open`]; it cannot be read, or is larger.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let length = file.metadata()?.len();
    let too_large = || refused(format!("it has more than {}, too many for such a file; make it smaller", size(most)));
    if length > most {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    // It may have grown since.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large()) } else { Ok(bytes) }
}

/// `3 MiB`, `1 KiB`: whole units of a limit.
#[must_use]
pub fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}

fn regular(found: &Metadata) -> io::Result<()> {
    let file_type = found.file_type();
    if file_type.is_file() {
        return Ok(());
    }
    if file_type.is_dir() {
        return Err(rustix::io::Errno::ISDIR.into());
    }
    let what = word(file_type);
    Err(refused(format!("it is {what}, not a regular file; save what it gives in a file and name that")))
}

fn word(file_type: FileType) -> &'static str {
    if file_type.is_fifo() {
        "a pipe"
    } else if file_type.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(target_os = "linux")]
fn on_disk(file: &File) -> io::Result<()> {
    let found = rustix::fs::fstatfs(file)?;
    if ENDLESS.into_iter().any(|magic| is(found.f_type, magic)) {
        let reason = "it is made up by the system while it is read, not a file on a disk; save its text in a file";
        return Err(refused(reason.to_owned()));
    }
    Ok(())
}

/// Whether a file system is of the kind `magic`; the width of the number differs between machines.
#[cfg(target_os = "linux")]
fn is<T: TryFrom<u32> + PartialEq>(found: T, magic: u32) -> bool {
    T::try_from(magic).is_ok_and(|magic| magic == found)
}

#[cfg(not(target_os = "linux"))]
fn on_disk(_: &File) -> io::Result<()> {
    Ok(())
}

fn refused(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, socket, file) = (folder.path().join("p"), folder.path().join("s"), folder.path().join("f"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        let said = |path: &Path| read(path, 10).unwrap_err().to_string();
        assert!(said(&pipe).starts_with("it is a pipe, not a regular file; save"), "{}", said(&pipe));
        assert!(said(&socket).starts_with("it is a socket"), "{}", said(&socket));
        for device in ["/dev/zero", "/dev/tty"].map(Path::new) {
            if device.exists() {
                assert!(said(device).starts_with("it is a device"), "{}", said(device));
            }
        }
        assert!(said(folder.path()).to_lowercase().contains("is a directory"), "{}", said(folder.path()));
        fs::write(&file, "0123456789").unwrap();
        assert_eq!(read(&file, 10).unwrap(), b"0123456789");
        let large = read(&file, 9).unwrap_err().to_string();
        assert_eq!(large, "it has more than 9 bytes, too many for such a file; make it smaller");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_the_system_makes_up_is_refused() {
        let said = open(Path::new("/proc/self/status")).unwrap_err().to_string();
        assert!(said.starts_with("it is made up by the system"), "{said}");
    }

    #[test]
    fn limits_are_told_in_whole_units() {
        assert_eq!([size(2 << 30), size(1 << 20), size(1500)], ["2 GiB", "1 MiB", "1500 bytes"]);
    }
}
