//! Finds the server of a home, starts one if none answers, or asks it to leave.
//! Promises: of many clients at once one starts the server; a server of another version is left alone and named; a server
//! of another lab is never asked anything: what `server.lock` says counts only while its lock is held, and who answers must
//! serve this very folder.
//! Must not know: how the server process is made; the caller's closure does that.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::client::Connection;
use super::error::WireError;
use super::identity::LabIdentity;
use super::message::ServerInfo;
use super::patience::{LOOK, Patience};
use super::socket::{ServerRecord, Surroundings, check_peer, choose};
use super::stuck::{Pid, cure, holder};
use crate::runlog::Home;
use crate::runlog::layout::{has_room, private};

/// How long a server that does nothing else may take to greet.
const GREETING: Duration = Duration::from_secs(5);

/// How long a new server has until it answers, and an old one until it is gone, while it does nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a new lab needs at once.
const FIRST_BYTES: u64 = 256 << 10;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(15);

fn start_lock(home: &Home) -> PathBuf {
    home.root().join("start.lock")
}

/// Whatever listens for `home`: a stream whose other end runs as the same user, and its process.
struct Reached {
    stream: UnixStream,
    lab: LabIdentity,
    pid: Pid,
}

impl Reached {
    /// Refuse whoever serves another lab. A server of another version may not say which it serves; then its path does.
    fn check(home: &Home, lab: LabIdentity, server: &ServerInfo) -> Result<(), WireError> {
        match server.lab.or_else(|| LabIdentity::of(server.home.as_ref()).ok()) {
            Some(theirs) if theirs != lab => Err(other_lab(home, server.pid, server.home.clone())),
            Some(_) | None => Ok(()),
        }
    }
}

fn other_lab(home: &Home, pid: u32, theirs: String) -> WireError {
    WireError::OtherLab { home: home.root().to_owned(), lock: home.server_lock(), pid, theirs }
}

async fn reach(home: &Home) -> Result<Reached, WireError> {
    let none = || WireError::NoServer { home: home.root().to_owned() };
    if !home.root().is_dir() || !server_is_alive(home)? {
        return Err(none());
    }
    let lab = LabIdentity::of(home.root())?;
    let record = ServerRecord::read(home);
    if let Some(ServerRecord { pid, lab: Some(theirs), .. }) = &record
        && *theirs != lab
    {
        return Err(other_lab(home, *pid, format!("folder {} of device {}", theirs.inode, theirs.device)));
    }
    let path = match &record {
        Some(record) => record.socket.clone(),
        None => choose(home.root(), &Surroundings::of_this_process())?,
    };
    match UnixStream::connect(&path).await {
        Ok(stream) => {
            check_peer(&stream)?;
            let listener = stream.peer_cred()?.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
            Ok(Reached { stream, lab, pid: listener.or_else(|| record.map(|record| record.pid)) })
        }
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Err(none()),
            _ => Err(WireError::Place { path, reason: format!("it cannot be reached: {error}") }),
        },
    }
}

/// What a server says, or an error where it says nothing and does nothing.
async fn heard<T>(home: &Home, pid: Pid, said: impl Future<Output = Result<T, WireError>>) -> Result<T, WireError> {
    let mut patience = Patience::new(home, GREETING);
    let mut said = std::pin::pin!(said);
    loop {
        match timeout(LOOK, &mut said).await {
            Ok(said) => return said,
            Err(_) if patience.lasts() => {}
            Err(_) => {
                let seconds = patience.seconds();
                return Err(WireError::Silent { seconds, log: home.server_log(), cure: cure(pid) });
            }
        }
    }
}

fn stuck(home: &Home, what: &'static str, pid: Pid, patience: &Patience<'_>) -> WireError {
    let pid = pid.or_else(|| holder(&home.server_lock()));
    WireError::Stuck { what, seconds: patience.seconds(), log: home.server_log(), cure: cure(pid) }
}

/// A connection to the server of `home`, if one runs.
///
/// # Errors
/// [`WireError::NoServer`] if none runs, [`WireError::OtherLab`] if who answers serves another folder; else as
/// [`Connection::connect`].
pub async fn connect(home: &Home) -> Result<Connection, WireError> {
    let Reached { stream, lab, pid } = reach(home).await?;
    let connection = heard(home, pid, Connection::connect(stream)).await?;
    Reached::check(home, lab, connection.server())?;
    Ok(connection)
}

/// Nobody answers for this home yet; a server that is just starting or leaving may still be behind its lock or its socket.
const fn is_absence(error: &WireError) -> bool {
    matches!(error, WireError::NoServer { .. } | WireError::Closed | WireError::OtherLab { .. })
}

/// A connection to the server of `home`, which is made if there is none; if no server runs, `start` is called once to start
/// it in the background, and it has ten seconds to answer, and longer as long as it works.
///
/// # Errors
/// The server speaks another protocol, cannot be started, or does not answer; the error names its log.
pub async fn attach(home: &Home, start: &(dyn Fn() -> io::Result<()> + Sync)) -> Result<Connection, WireError> {
    match connect(home).await {
        Err(error) if is_absence(&error) => {}
        other => return other,
    }
    home.create().map_err(|error| WireError::Place { path: home.root().to_owned(), reason: error.to_string() })?;
    start_one(home, start).await
}

/// As [`attach`], for a client that goes on through many servers: only to a server of the lab that it knows, because it must
/// not make a new lab in the place from which its own was moved away.
///
/// # Errors
/// As [`attach`], or [`WireError::Moved`].
pub async fn attach_again(
    home: &Home,
    known: LabIdentity,
    start: &(dyn Fn() -> io::Result<()> + Sync),
) -> Result<Connection, WireError> {
    if LabIdentity::of(home.root()).ok() != Some(known) {
        return Err(WireError::Moved { home: home.root().to_owned() });
    }
    match connect(home).await {
        Err(error) if is_absence(&error) => start_one(home, start).await,
        other => other,
    }
}

/// Start a server, unless another client just does, and wait for its answer.
async fn start_one(home: &Home, start: &(dyn Fn() -> io::Result<()> + Sync)) -> Result<Connection, WireError> {
    if !home.index_dir().exists() && !has_room(home.root(), FIRST_BYTES) {
        let reason = io::Error::other("the disk is full (No space left on device); free some space");
        return Err(WireError::Unwritable { path: home.root().to_owned(), reason });
    }
    let mut patience = Patience::new(home, PATIENCE);
    let Some(_starting) = starter(home, &mut patience).await? else {
        return wait_for(home, &mut patience).await;
    };
    // Another client may have started it while this one waited for the lock.
    match connect(home).await {
        Err(error) if is_absence(&error) => {}
        other => return other,
    }
    // A dead socket is removed by the new server, which alone can prove with its lock that nobody owns it. The lock is
    // looked at again and again: a server may be leaving, or was killed and a worker that it was just starting still has
    // the file open for an instant.
    let mut started = false;
    while patience.lasts() {
        if !started && !server_is_alive(home)? {
            start().map_err(WireError::Program)?;
            started = true;
        }
        match connect(home).await {
            Err(error) if is_absence(&error) => sleep(PAUSE).await,
            other => return other,
        }
    }
    wait_for(home, &mut patience).await
}

/// The right to start the server; `None` if another client keeps it as long as patience lasts.
async fn starter(home: &Home, patience: &mut Patience<'_>) -> Result<Option<File>, WireError> {
    let path = start_lock(home);
    let open = private().write(true).create(true).truncate(false).open(&path);
    let file = open.map_err(|reason| WireError::Unwritable { path, reason })?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if patience.lasts() => sleep(PAUSE).await,
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(WireError::Io(error)),
        }
    }
}

/// Whether some process holds the server's lock; it may still be starting.
fn server_is_alive(home: &Home) -> Result<bool, WireError> {
    let path = home.server_lock();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(WireError::Place { path, reason: error.to_string() }),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(WireError::Place { path, reason: error.to_string() }),
    }
}

async fn wait_for(home: &Home, patience: &mut Patience<'_>) -> Result<Connection, WireError> {
    loop {
        match connect(home).await {
            Err(error) if is_absence(&error) && patience.lasts() => sleep(PAUSE).await,
            Err(WireError::NoServer { .. } | WireError::Closed) if server_is_alive(home)? => {
                return Err(stuck(home, "reach the server", None, patience));
            }
            Err(WireError::NoServer { .. } | WireError::Closed) => {
                let log = home.server_log();
                let full = !has_room(home.root(), FIRST_BYTES);
                let nothing = if full { "nothing, because the disk is full; free some space" } else { "nothing" };
                let said = last_line(home).unwrap_or_else(|| nothing.to_owned());
                return Err(WireError::NotStarted { seconds: patience.seconds(), log, said });
            }
            other => return other,
        }
    }
}

fn last_line(home: &Home) -> Option<String> {
    let mut file = File::open(home.server_log()).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(2000))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    String::from_utf8_lossy(&bytes).lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned)
}

/// Ask the server of `home` to leave, whatever its version, and wait until its lock is free or another server's; runs go
/// on. `false` if none runs.
///
/// # Errors
/// It does not answer or does not leave; the error names its process and how to end it.
pub async fn stop_server(home: &Home) -> Result<bool, WireError> {
    let mut patience = Patience::new(home, PATIENCE);
    let Reached { stream, lab, pid } = loop {
        match reach(home).await {
            Ok(reached) => break reached,
            Err(WireError::NoServer { .. }) if !server_is_alive(home)? => return Ok(false),
            // It is starting or leaving.
            Err(WireError::NoServer { .. }) if patience.lasts() => sleep(PAUSE).await,
            Err(WireError::NoServer { .. }) => {
                return Err(stuck(home, "stop the server, which does not listen,", None, &patience));
            }
            Err(error) => return Err(error),
        }
    };
    let asked = Connection::shut_down(stream, |server| Reached::check(home, lab, server));
    match heard(home, pid, asked).await {
        // It was leaving already.
        Ok(()) | Err(WireError::Closed) => {}
        Err(error) => return Err(error),
    }
    let mut patience = Patience::new(home, PATIENCE);
    // A dashboard may have started another one at once.
    let is_another = || ServerRecord::read(home).is_some_and(|record| pid.is_some_and(|pid| pid != record.pid));
    while server_is_alive(home)? && !is_another() {
        if !patience.lasts() {
            return Err(stuck(home, "stop the server, which promised to leave,", pid, &patience));
        }
        sleep(PAUSE).await;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lock_that_outlives_its_server_for_an_instant_only_delays_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("home"));
        home.create().unwrap();
        let lock = File::create(home.server_lock()).unwrap();
        lock.lock().unwrap();
        let start = || Err(io::Error::other("this is the start"));
        let let_go = async {
            while !start_lock(&home).exists() {
                sleep(PAUSE).await;
            }
            drop(lock);
        };
        let (result, ()) = tokio::join!(attach(&home, &start), let_go);
        let error = result.unwrap_err().to_string();
        assert!(error.contains("this is the start"), "{error}");
    }
}
