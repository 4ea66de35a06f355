//! The server as a process: one per home, its log, its socket, signals, and its replacement by itself.
//! Promises: whoever holds `server.lock` is the server of the home and may remove a dead socket; a socket that is deleted
//! comes back; a server whose home was taken away leaves and touches nothing that lies there since; leaving never touches a
//! worker.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::engine::{Clock, Incoming};
use crate::runlog::Home;
use crate::runlog::layout::{open_append, private};
use crate::wire::{ServerRecord, check_peer};

/// How long a starting server waits for one that is just leaving.
const HANDOVER: Duration = Duration::from_secs(3);

/// A log larger than this is begun anew.
const LARGEST_LOG: u64 = 8 << 20;

/// Bytes of the lock file.
const LOCK_BYTES: usize = 1024;

/// What the server says, with the time before each line.
pub(super) struct Log {
    file: Option<File>,
    clock: Clock,
}

impl Log {
    pub(super) fn open(home: &Home, clock: Clock) -> anyhow::Result<Self> {
        let path = home.server_log();
        let large = |found: fs::Metadata| found.is_file() && found.len() > LARGEST_LOG;
        if fs::symlink_metadata(&path).is_ok_and(large) {
            // The one before it is kept; a link to the file elsewhere keeps what it has.
            fs::rename(&path, path.with_extension("log.1")).with_context(|| format!("rename {}", path.display()))?;
        }
        match open_append(&path) {
            Ok(file) => Ok(Self { file: Some(file), clock }),
            // A server without a log is better than none.
            Err(error) if error.shortage().is_some() => Ok(Self::nowhere(clock)),
            Err(error) => Err(error.into()),
        }
    }

    /// For a lab in which nothing can be written.
    pub(super) const fn nowhere(clock: Clock) -> Self {
        Self { file: None, clock }
    }

    pub(super) fn say(&self, text: &str) {
        let line = format!("{} {text}\n", utc((self.clock)()));
        // A log on a full disk must not end the lab.
        _ = self.file.as_ref().map(|mut file| file.write_all(line.as_bytes()));
    }
}

/// `2026-01-31T23:59:59Z`.
fn utc(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01 in eras of 400 years (Hinnant, "chrono-compatible low-level date algorithms").
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Proof that this process is the server of a home.
pub(super) struct ServerLock {
    file: File,
    path: PathBuf,
}

impl ServerLock {
    /// Become the server. A client that looks whether one lives holds the lock for an instant, and an old server may
    /// be leaving, so this tries for a while.
    pub(super) fn take(home: &Home) -> anyhow::Result<Self> {
        let path = home.server_lock();
        let open = private().read(true).write(true).create(true).truncate(false).open(&path);
        let file = open.with_context(|| format!("open {}", path.display()))?;
        let deadline = Instant::now() + HANDOVER;
        loop {
            match file.try_lock() {
                Ok(()) => {
                    let lock = Self { file, path };
                    // What the last server wrote, here or in the home that this one is a copy of, is over.
                    lock.write(b"")?;
                    return Ok(lock);
                }
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => {
                    let pid = ServerRecord::read(home).map_or_else(String::new, |record| format!(" {}", record.pid));
                    anyhow::bail!(
                        "serve {}: another server{pid} does already; attach to it, or stop it with `trilab server stop`",
                        home.root().display()
                    );
                }
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("lock {}", path.display()));
                }
            }
        }
    }

    /// Whether the locked file is still the one in the home: a home that was deleted, moved or made anew has another server.
    fn is_in_place(&self) -> bool {
        let same = |(ours, found): (fs::Metadata, fs::Metadata)| (ours.dev(), ours.ino()) == (found.dev(), found.ino());
        self.file.metadata().ok().zip(fs::metadata(&self.path).ok()).is_some_and(same)
    }

    /// Say where this server listens.
    pub(super) fn record(&self, record: &ServerRecord) -> anyhow::Result<()> {
        self.write(&serde_json::to_vec(record)?)
    }

    /// Always as many bytes, in place: so that there is room for them on a full disk.
    fn write(&self, text: &[u8]) -> anyhow::Result<()> {
        let mut bytes = text.to_vec();
        bytes.resize(bytes.len().max(LOCK_BYTES), b' ');
        let written = self.file.write_all_at(&bytes, 0);
        written.with_context(|| format!("write {}; free some space if the disk is full", self.path.display()))
    }
}

/// The socket of a server, re-made when someone deletes it.
pub(super) struct Door {
    path: Option<PathBuf>,
    accepting: tokio::task::JoinHandle<()>,
    clients: mpsc::Sender<Incoming>,
}

impl Door {
    /// Listen at `path`; a socket that lies there belongs to nobody, because this process holds the server's lock.
    pub(super) fn open(path: PathBuf, clients: mpsc::Sender<Incoming>) -> anyhow::Result<Self> {
        let accepting = accept(&path, clients.clone()).with_context(|| format!("listen at {}", path.display()))?;
        Ok(Self { path: Some(path), accepting, clients })
    }

    /// Come back if the socket was deleted. False if the home is no longer this server's: what lies there is another's.
    pub(super) fn keep(&mut self, lock: &ServerLock) -> bool {
        if !lock.is_in_place() {
            self.path = None;
        }
        let Some(path) = &self.path else { return false };
        if !path.exists()
            && let Ok(accepting) = accept(path, self.clients.clone())
        {
            std::mem::replace(&mut self.accepting, accepting).abort();
        }
        true
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.accepting.abort();
        // If it cannot be removed, the next server does it.
        drop(self.path.as_ref().map(fs::remove_file));
    }
}

fn accept(path: &Path, clients: mpsc::Sender<Incoming>) -> io::Result<tokio::task::JoinHandle<()>> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) if check_peer(&stream).is_ok() => {
                    if clients.send(Box::new(stream)).await.is_err() {
                        return;
                    }
                }
                // A stranger is hung up on.
                Ok(_) => {}
                // Too many open files, for instance; a client tries again.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }))
}

/// Signals that mean: leave.
pub(super) struct Signals {
    term: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn install() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Completes on TERM or an interrupt. A lost terminal is no reason to leave.
    pub(super) async fn leave(mut self) {
        loop {
            tokio::select! {
                _ = self.term.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {}
            }
        }
    }
}

/// Leave the session of the terminal, so that its end is not ours. A process that leads a group stays where it is: it was
/// started by hand, in the foreground.
pub(super) fn detach() {
    _ = rustix::process::setsid();
}

/// Start `program arguments…` as a server in the background: no input, output to the server's log. For `attach`.
///
/// # Errors
/// The log cannot be opened or the program does not start.
pub fn start_in_background(home: &Path, program: &Path, arguments: &[std::ffi::OsString]) -> io::Result<()> {
    let failed = |error: io::Error| {
        let shown = program.display();
        io::Error::other(if error.kind() == io::ErrorKind::NotFound && !program.exists() {
            format!(
                "{shown} is gone, it was removed or moved while this program was running; put it back, or leave and start \
                 trilab from where it is now"
            )
        } else {
            format!("{shown} does not start: {error}; check that it is whole and may be executed")
        })
    };
    let log =
        open_append(&Home::new(home).server_log()).map_err(|error| io::Error::other(format!("could not {error}")))?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .current_dir(home)
        .spawn()
        .map_err(failed)?;
    // The server outlives this process; until then its end is nobody's business.
    drop(child);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_gone_is_named_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("trilab");
        let gone = start_in_background(folder.path(), &program, &[]).unwrap_err().to_string();
        assert!(gone.contains(&program.display().to_string()) && gone.contains("put it back"), "{gone}");
        fs::write(&program, "half of it").unwrap();
        let broken = start_in_background(folder.path(), &program, &[]).unwrap_err().to_string();
        assert!(broken.contains("check that it is whole"), "{broken}");
    }

    #[test]
    fn times_are_written_as_people_read_them() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_767_225_599_999), "2025-12-31T23:59:59Z");
        assert_eq!(utc(1_767_225_600_000), "2026-01-01T00:00:00Z");
    }
}
