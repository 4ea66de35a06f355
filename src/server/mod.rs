//! The engine of the lab: one loop that owns all state, and the tasks beside it.
//! Promises: runs go on whatever happens to the server; a server killed at any instant is followed by one that finds
//! everything again; each client is told the present and nothing twice.
//! Must not know: tensors, screens.

mod amend;
mod beside;
mod clients;
mod engine;
mod ledger;
mod lifecycle;
mod load;
mod loading;
mod look;
mod machine;
mod observe;
mod prepare;
mod replace;
mod requests;
mod session;
mod shortage;
mod studies;
mod submit;
mod subscribe;
mod summary;
mod supervise;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;

pub use engine::{Clock, Ended, Engine, Incoming, LabOptions};
pub use lifecycle::start_in_background;
pub use look::{look_at, unwritable};
pub use session::Stream;

use crate::runlog::Home;
use crate::schedule::Launcher;
use crate::wire::{LabIdentity, ServerRecord, Surroundings, socket};

/// How long the store may think about one question.
const STORE_DEADLINE: Duration = Duration::from_secs(20);

/// Clients that knock at once; more wait in the socket.
const KNOCKING: usize = 16;

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Folder of the lab.
    pub home: PathBuf,
    /// Workers at the same time; absent means one per `threads` cores.
    pub slots: Option<usize>,
    /// Threads of one worker, for the default of `slots`.
    pub threads: usize,
    /// Leave the terminal's session: for a server that a client starts in the background.
    pub detach: bool,
}

impl ServerOptions {
    fn slots(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.slots.unwrap_or(cores / self.threads.max(1)).max(1)
    }
}

/// Serve the lab until a client asks to leave or a signal does. Workers go on.
///
/// # Errors
/// Another server has the home, its files cannot be used, or there is no place for a socket.
pub async fn serve(options: ServerOptions, launcher: impl Launcher + 'static, clock: Clock) -> anyhow::Result<()> {
    if options.detach {
        lifecycle::detach();
    }
    let home = Home::new(&options.home);
    home.create()?;
    // The folder itself and not a link to it, so that a link that is changed or removed takes nothing away.
    let whole = std::fs::canonicalize(home.root()).with_context(|| format!("find {}", home.root().display()))?;
    let home = Home::new(whole);
    let log = lifecycle::Log::open(&home, Arc::clone(&clock))?;
    let result = serve_home(&options, &home, launcher, clock).await;
    if let Err(error) = &result {
        // A server in the background has no other place to say it, and `attach` shows the end of the log.
        log.say(&format!("could not {error:#}"));
    }
    result
}

async fn serve_home(
    options: &ServerOptions,
    home: &Home,
    launcher: impl Launcher + 'static,
    clock: Clock,
) -> anyhow::Result<()> {
    let signals = lifecycle::Signals::install().context("watch for signals")?;
    clients::raise_limit()?;
    let lock = lifecycle::ServerLock::take(home)?;
    let place = socket::choose(home.root(), &Surroundings::of_this_process())?;
    let lab = LabIdentity::of(home.root()).with_context(|| format!("find {}", home.root().display()))?;
    // Before the lab is opened, which may take its time: so that a client that waits for it can name the process.
    lock.record(&ServerRecord::new(std::process::id(), place.clone(), lab))?;
    let lab = LabOptions { home: home.root().to_owned(), slots: options.slots() };
    let engine = tokio::task::spawn_blocking(move || Engine::open(&lab, Box::new(launcher), clock)).await??;
    let (clients, incoming) = mpsc::channel(KNOCKING);
    let mut door = lifecycle::Door::open(place, clients)?;
    engine.log.say(&format!("serving {} with {} slots", home.root().display(), engine.slots));
    let ended = engine.run(incoming, signals.leave(), || door.keep(&lock)).await?;
    drop(door);
    match ended {
        Ended::Asked | Ended::Displaced => Ok(()),
    }
}
