//! How many clients a server can have: as many as there are open files for, but for a reserve that the lab itself needs.
//! Promises: a client beyond that is told so and hung up on, and never left hanging; the reserve is never spent on clients.
//! Must not know: what clients ask.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, split};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::engine::Incoming;
use crate::wire::{FrameWriter, Reply, ServerFrame};

/// Open files that a server needs before its first client: those of the index above all.
const LEAST: u64 = 112;

/// Open files that are kept for what comes and goes, at least and at most: files of runs that are looked at or written, outputs of
/// workers that are being started. Between the two, one part in [`SPARE_PART`] of what there is.
const SPARE: (u64, u64) = (16, 256);

const SPARE_PART: u64 = 8;

/// Clients at most, where files are without limit: more than anybody opens but a program that has gone wrong.
const MOST: u64 = 4096;

/// Clients that are told at the same time that there is no room; further ones are hung up on without a word.
const TURNED_AWAY: usize = 8;

/// How long a client that is turned away has to read why.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Clients that there is room for.
#[derive(Clone, Debug)]
pub(super) struct Room {
    most: usize,
    turning_away: Arc<Semaphore>,
}

/// Let this process open as many files as it may; a limit that cannot be raised stays as it is.
///
/// # Errors
/// They are too few for any server.
pub(super) fn raise_limit() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // The hard limit is the system's, and some systems allow less than it says.
        _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    match getrlimit(Resource::Nofile).current {
        Some(files) if files < LEAST => {
            anyhow::bail!(
                "open enough files: this process may have {files} open and a server needs {LEAST}; raise `ulimit -n`"
            )
        }
        Some(_) | None => Ok(()),
    }
}

/// Files that this process has open.
fn open_files() -> u64 {
    // A system that does not say is taken to need as many as any.
    std::fs::read_dir("/dev/fd").map_or(LEAST, |files| files.count() as u64)
}

/// Clients that fit beside what is open and spare; one at least, so that a server can always be asked to leave.
fn most(files: Option<u64>, open: u64) -> usize {
    let clients = files.map_or(MOST, |files| {
        let spare = (files / SPARE_PART).clamp(SPARE.0, SPARE.1);
        files.saturating_sub(open).saturating_sub(spare).clamp(1, MOST)
    });
    usize::try_from(clients).unwrap_or(usize::MAX)
}

impl Room {
    /// As much as the limits of this process leave beside what it has open.
    pub(super) fn of_this_process() -> Self {
        let most = most(getrlimit(Resource::Nofile).current, open_files());
        Self { most, turning_away: Arc::new(Semaphore::new(TURNED_AWAY)) }
    }

    /// Whether there is room for one more beside so many.
    pub(super) const fn has_place(&self, clients: usize) -> bool {
        clients < self.most
    }

    /// Tell a client that there is no room for it, and hang up.
    pub(super) fn turn_away(&self, stream: Incoming, clients: usize) {
        let Ok(permit) = Arc::clone(&self.turning_away).try_acquire_owned() else { return };
        tokio::spawn(async move {
            let (mut read, write) = split(stream);
            let message = format!(
                "talk to the server: it has {clients} clients, as many as it can open files for; close one, or stop the server \
                 (runs go on) and start it where `ulimit -n` is higher"
            );
            let word = ServerFrame::Reply { id: 0, reply: Reply::Refused { message } };
            let told = async {
                FrameWriter::new(write).send(&word).await.ok()?;
                // Until it hangs up: who closes first may cut off what the other has not read yet.
                let mut unread = [0; 256];
                while read.read(&mut unread).await.ok()? > 0 {}
                Some(())
            };
            _ = timeout(LAST_WORD, told).await;
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Connection, WireError};

    #[test]
    fn a_reserve_is_kept_and_one_client_always_fits() {
        let table =
            [(None, 4096), (Some(1 << 20), 4096), (Some(1024), 800), (Some(118), 6), (Some(100), 1), (Some(3), 1)];
        for (files, clients) in table {
            assert_eq!(most(files, 96), clients, "{files:?}");
        }
        assert!(open_files() > 2);
    }

    #[tokio::test]
    async fn a_client_too_many_is_told_how_many_there_are() {
        let room = Room { most: 2, turning_away: Arc::new(Semaphore::new(1)) };
        assert!(room.has_place(1) && !room.has_place(2));
        let (near, far) = tokio::io::duplex(4096);
        room.turn_away(Box::new(far), 2);
        match Connection::connect(near).await {
            Err(WireError::Refused(message)) => {
                assert!(message.contains("it has 2 clients") && message.contains("close one"), "{message}");
            }
            other => panic!("{other:?}"),
        }
        // Nobody hears the next one while another is being told.
        let (near, far) = tokio::io::duplex(4096);
        let _busy = Arc::clone(&room.turning_away).try_acquire_owned();
        room.turn_away(Box::new(far), 2);
        assert!(matches!(Connection::connect(near).await, Err(WireError::Closed | WireError::Io(_))));
    }
}
