//! Finds the server of a home, starts one if none answers, or asks it to leave.
//! Promises: of many clients at once one starts the server; a server of another version is left alone and named.
//! Must not know: how the server process is made; the caller's closure does that.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::client::{Connection, GREETING, connect_in_time};
use super::error::WireError;
use super::socket::{ServerRecord, Surroundings, check_peer, choose};
use crate::runlog::Home;

/// How long a new server has until it answers, and an old one until it is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(15);

fn start_lock(home: &Home) -> PathBuf {
    home.root().join("start.lock")
}

/// A checked stream to whatever listens for `home`.
async fn reach(home: &Home) -> Result<UnixStream, WireError> {
    let none = || WireError::NoServer { home: home.root().to_owned() };
    if !home.root().is_dir() {
        return Err(none());
    }
    let path = match ServerRecord::read(home) {
        Some(record) => record.socket,
        None => choose(home.root(), &Surroundings::of_this_process())?,
    };
    match UnixStream::connect(&path).await {
        Ok(stream) => check_peer(&stream).map(|()| stream),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Err(none()),
            _ => Err(WireError::Place { path, reason: format!("it cannot be reached: {error}") }),
        },
    }
}

/// A connection to the server of `home`, if one runs.
///
/// # Errors
/// [`WireError::NoServer`] if none runs; else as [`Connection::connect`].
pub async fn connect(home: &Home) -> Result<Connection, WireError> {
    connect_in_time(reach(home).await?, home.server_log()).await
}

/// A connection to the server of `home`; if none runs, `start` is called once to start it in the background, and it has
/// ten seconds to answer.
///
/// # Errors
/// The server speaks another protocol, cannot be started, or does not answer; the error names its log.
pub async fn attach(home: &Home, start: &(dyn Fn() -> io::Result<()> + Sync)) -> Result<Connection, WireError> {
    match connect(home).await {
        Err(WireError::NoServer { .. } | WireError::Closed) => {}
        other => return other,
    }
    home.create().map_err(|error| WireError::Place { path: home.root().to_owned(), reason: error.to_string() })?;
    let deadline = Instant::now() + PATIENCE;
    let Some(_starting) = starter(home, deadline).await? else {
        return wait_for(home, deadline).await;
    };
    // Another client may have started it while this one waited for the lock.
    match connect(home).await {
        Err(WireError::NoServer { .. } | WireError::Closed) => {}
        other => return other,
    }
    // A dead socket is removed by the new server, which alone can prove with its lock that nobody owns it. The lock is
    // looked at again and again: a server may be leaving, or was killed and a worker that it was just starting still has
    // the file open for an instant.
    let mut started = false;
    while Instant::now() < deadline {
        if !started && !server_is_alive(home)? {
            start().map_err(WireError::Io)?;
            started = true;
        }
        match connect(home).await {
            Err(WireError::NoServer { .. } | WireError::Closed) => sleep(PAUSE).await,
            other => return other,
        }
    }
    wait_for(home, deadline).await
}

/// The right to start the server; `None` if another client keeps it until the deadline.
async fn starter(home: &Home, deadline: Instant) -> Result<Option<File>, WireError> {
    let path = start_lock(home);
    let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = open.map_err(|error| WireError::Place { path, reason: error.to_string() })?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(PAUSE).await,
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(WireError::Io(error)),
        }
    }
}

/// Whether some process holds the server's lock; it may still be starting.
fn server_is_alive(home: &Home) -> Result<bool, WireError> {
    let file = match File::open(home.server_lock()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(WireError::Io(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(WireError::Io(error)),
    }
}

async fn wait_for(home: &Home, deadline: Instant) -> Result<Connection, WireError> {
    loop {
        match connect(home).await {
            Err(WireError::NoServer { .. } | WireError::Closed) if Instant::now() < deadline => sleep(PAUSE).await,
            Err(WireError::NoServer { .. } | WireError::Closed) => {
                let log = home.server_log();
                let said = last_line(home).unwrap_or_else(|| "nothing".to_owned());
                return Err(WireError::NotStarted { seconds: PATIENCE.as_secs(), log, said });
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

/// Ask the server of `home` to leave, whatever its version, and wait until its lock is free; runs go on.
/// `false` if none runs.
///
/// # Errors
/// It does not leave within ten seconds; the error says how to end it.
pub async fn stop_server(home: &Home) -> Result<bool, WireError> {
    let stream = match reach(home).await {
        Ok(stream) => stream,
        Err(WireError::NoServer { .. }) if !server_is_alive(home)? => return Ok(false),
        Err(error) => return Err(error),
    };
    let silent = || WireError::Silent { seconds: GREETING.as_secs(), log: home.server_log() };
    timeout(GREETING, Connection::shut_down(stream)).await.map_err(|_| silent())??;
    let deadline = Instant::now() + PATIENCE;
    while server_is_alive(home)? {
        if Instant::now() >= deadline {
            let pid = ServerRecord::read(home).map_or_else(String::new, |record| format!(" {}", record.pid));
            return Err(WireError::Refused(format!(
                "stop the server: it promised to leave and is still there; end it with `kill{pid}`, runs go on"
            )));
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
