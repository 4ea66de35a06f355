//! A lab that cannot be written, as an archive on a read-only disk or a colleague's folder: the engine itself, in the process of
//! whoever looks, with its index in a temporary folder.
//! Promises: nothing is written in the home and no worker is started; every answer is the one that a server would give.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use rustix::fs::{Access, access};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use super::STORE_DEADLINE;
use super::engine::{Clock, Engine};
use super::lifecycle::Log;
use crate::runlog::{Home, RunFolder};
use crate::schedule::{LaunchError, Launched, Launcher, LocalLauncher};
use crate::store::StoreHandle;
use crate::wire::Request;

/// Bytes on their way between the two ends in this process.
const PIPE: usize = 1 << 20;

/// Why no server can run in `home`, if so: what cannot be written, and the system's word. A home that is not there yet can be
/// made.
#[must_use]
pub fn unwritable(home: &Home) -> Option<String> {
    let root = home.root().to_owned();
    let needed = [root, home.server_lock(), home.queue_file(), home.index_dir(), home.runs_dir(), home.studies_dir()];
    needed.iter().find_map(|path| match access(path, Access::WRITE_OK) {
        Err(rustix::io::Errno::NOENT) | Ok(()) => None,
        Err(error) => Some(format!("{} cannot be written: {}", path.display(), io::Error::from(error))),
    })
}

/// Opens the lab in `home`, which cannot be written for `reason`, and gives one client's way to it. What other people's files
/// hold is read by processes of `program`, or in this process if there is none.
///
/// # Errors
/// There is no place for the temporary index, or the runs cannot be listed.
pub async fn look_at(
    home: &Home,
    reason: &str,
    program: Option<PathBuf>,
    clock: Clock,
) -> anyhow::Result<DuplexStream> {
    let (home, reason) = (home.clone(), reason.to_owned());
    let opened = tokio::task::spawn_blocking(move || -> anyhow::Result<Engine> {
        let store = StoreHandle::start_temporary(STORE_DEADLINE)
            .context("could not make a temporary index; set TMPDIR to another folder")?;
        let log = Log::nowhere(std::sync::Arc::clone(&clock));
        let notice =
            format!("{reason}; the runs are read from their folders, which takes longer, and nothing can be changed");
        let engine = Engine::open_to_look(home, store, log, clock, Box::new(NoWorkers(program)), notice);
        engine.map_err(|error| anyhow::anyhow!("could not {error:#}"))
    });
    let engine = opened.await??;
    let (near, far) = tokio::io::duplex(PIPE);
    let (clients, incoming) = mpsc::channel(1);
    drop(clients.try_send(Box::new(far) as super::Incoming));
    tokio::spawn(async move {
        // Ends with this process, or with a client that asks it to leave; there is nobody to tell how.
        drop(engine.run(incoming, std::future::pending(), || true).await);
        drop(clients);
    });
    Ok(near)
}

/// Whether a request would change the lab.
pub(super) const fn changes(request: &Request) -> bool {
    match request {
        Request::SubmitStudy { .. }
        | Request::PauseRuns { .. }
        | Request::ResumeRuns { .. }
        | Request::StopRuns { .. }
        | Request::RetryRuns { .. }
        | Request::MoveRun { .. }
        | Request::ChangePriority { .. }
        | Request::PauseQueue
        | Request::ResumeQueue
        | Request::Reindex => true,
        Request::Hello { .. }
        | Request::CheckStudy { .. }
        | Request::ListRuns { .. }
        | Request::ListStudies
        | Request::ShowStudy { .. }
        | Request::ShowRun { .. }
        | Request::GetCurve { .. }
        | Request::GetRank { .. }
        | Request::GetLeaderboard { .. }
        | Request::GetAnswers { .. }
        | Request::LookAt { .. }
        | Request::GetLab
        | Request::GetEvents { .. }
        | Request::Subscribe { .. }
        | Request::ServerStatus
        | Request::Shutdown => false,
    }
}

/// Starts no worker.
struct NoWorkers(Option<PathBuf>);

impl Launcher for NoWorkers {
    fn launch(&mut self, run: &RunFolder) -> Result<Launched, LaunchError> {
        let program = run.path().to_owned();
        Err(LaunchError::Start { program, source: io::ErrorKind::ReadOnlyFilesystem.into() })
    }

    fn program(&self) -> Option<Command> {
        LocalLauncher::new(self.0.clone()?, 0).program()
    }
}
