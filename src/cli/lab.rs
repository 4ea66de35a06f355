//! What every command stands on: the config, the home, and a connection to the home's server.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use super::output::say;
use crate::config::{Config, load_config, load_neighbour, paths};
use crate::core::RunId;
use crate::core::summary::RunSummary;
use crate::runlog::Home;
use crate::server::{Clock, look_at, start_in_background, unwritable};
use crate::wire::{Connection, LabIdentity, Reply, Request, attach, attach_again, connect};
use crate::worker::program;

/// What a command does with a `config.toml` in the working directory that it cannot use: nobody named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Neighbour {
    /// Says so and goes on with the shipped settings, because it only looks or stops.
    Ignored,
    /// As above for another program's file; one that is probably ours is refused, because its settings would have mattered.
    ForeignIgnored,
    /// Refuses, because the settings matter.
    Refused,
    /// Does not look at it, usable or not.
    Unread,
}

/// The lab of this invocation.
pub(super) struct Lab {
    /// Where runs live.
    pub(super) home: Home,
    /// Settings.
    pub(super) config: Config,
    /// The file they came from, besides the shipped ones.
    pub(super) config_file: Option<PathBuf>,
    /// Where this program lay when it started.
    pub(super) program: PathBuf,
    /// The lab that was talked to first; no later server may be that of another.
    known: OnceLock<LabIdentity>,
}

impl Lab {
    /// Reads the config and finds the home: `--home`, `TRILAB_HOME` unless it is empty, the config, the user's data directory.
    pub(super) fn new(home: Option<PathBuf>, config_file: Option<PathBuf>, neighbour: Neighbour) -> Result<Self> {
        let from_environment = || std::env::var_os("TRILAB_HOME").filter(|text| !text.is_empty()).map(PathBuf::from);
        let home = home.or_else(from_environment);
        let (config, config_file) = match config_file {
            Some(file) => (load_config(Some(&file))?, Some(file)),
            None => beside(neighbour, home.is_some())?,
        };
        let home = match home.or_else(|| config.lab.home.clone()) {
            Some(home) => whole(&home)?,
            None => data_directory()?,
        };
        let program = program().context("could not find this program")?;
        Ok(Self { home: Home::new(home), config, config_file, program, known: OnceLock::new() })
    }

    /// A connection to the server, which is started if none answers.
    pub(super) async fn connect(&self) -> Result<Connection> {
        let start = || self.start_server();
        let connection = match self.known.get() {
            Some(known) => attach_again(&self.home, *known, &start).await?,
            None => attach(&self.home, &start).await?,
        };
        self.remember(&connection);
        Ok(connection)
    }

    /// A connection for who only looks: to the server, or, where the home cannot be written and no server answers, to one
    /// inside this process that reads the run directories and changes nothing. It says so in the lab's notices.
    pub(super) async fn look(&self) -> Result<Connection> {
        let Some(reason) = unwritable(&self.home) else { return self.connect().await };
        match connect(&self.home).await {
            // A server that somebody else keeps for this lab, or one that is stuck, is no reason not to look.
            Err(_) => {}
            Ok(connection) => {
                self.remember(&connection);
                return Ok(connection);
            }
        }
        let stream = look_at(&self.home, &reason, Some(self.program.clone()), clock()).await?;
        Ok(Connection::connect(stream).await?)
    }

    /// As [`Lab::look`], for commands: what a person should know of a lab without a server is said on stderr.
    pub(super) async fn look_aloud(&self) -> Result<Connection> {
        let mut connection = self.look().await?;
        if self.known.get().is_none()
            && let Reply::Lab(lab) = ask(&mut connection, Request::GetLab).await?
        {
            lab.notices.iter().for_each(|notice| say(notice));
        }
        Ok(connection)
    }

    fn remember(&self, connection: &Connection) {
        if let Some(lab) = connection.server().lab {
            // The first stays.
            _ = self.known.set(lab);
        }
    }

    /// Whether the home is still the lab that was talked to, if there was one.
    pub(super) fn is_in_place(&self) -> bool {
        self.known.get().is_none_or(|known| LabIdentity::of(self.home.root()).is_ok_and(|found| found == *known))
    }

    /// Starts `trilab server serve` in the background.
    fn start_server(&self) -> std::io::Result<()> {
        let mut arguments = vec!["--home".into(), self.home.root().as_os_str().to_owned()];
        if let Some(file) = &self.config_file {
            arguments.extend(["--config".into(), std::path::absolute(file)?.into_os_string()]);
        }
        arguments.extend(["server".into(), "serve".into(), "--without-neighbour".into()]);
        start_in_background(self.home.root(), &self.program, &arguments)
    }

    /// One request, for commands that make only one.
    pub(super) fn ask(&self, request: Request) -> Result<Reply> {
        block_on(async { ask(&mut self.connect().await?, request).await })
    }

    /// One question, for commands that ask only one.
    pub(super) fn ask_to_look(&self, request: Request) -> Result<Reply> {
        block_on(async { ask(&mut self.look_aloud().await?, request).await })
    }
}

/// The settings of a `config.toml` in the working directory, if there is one that can be used.
fn beside(neighbour: Neighbour, home_is_named: bool) -> Result<(Config, Option<PathBuf>)> {
    let file = Path::new("config.toml");
    if neighbour == Neighbour::Unread || !file.is_file() {
        return Ok((load_config(None)?, None));
    }
    let unusable = match load_neighbour(file) {
        Ok(config) => return Ok((config, Some(file.to_owned()))),
        Err(unusable) => unusable,
    };
    let ignored = match neighbour {
        Neighbour::Ignored => true,
        Neighbour::ForeignIgnored => !unusable.ours,
        Neighbour::Refused | Neighbour::Unread => false,
    };
    // Without the home that it names this would look at, or stop, another lab.
    if !ignored || (unusable.names_home && !home_is_named) {
        return Err(unusable.refusal().into());
    }
    say(&format!("ignored `config.toml` in the working directory: {}", unusable.reason()));
    Ok((load_config(None)?, None))
}

/// Unix milliseconds.
pub(super) fn clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Runs a future on this thread.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("could not start the runtime")?.block_on(future)
}

/// One request; a refusal is an error with the server's words.
pub(super) async fn ask(connection: &mut Connection, request: Request) -> Result<Reply> {
    match connection.request(request).await? {
        Reply::Refused { message } => bail!("could not {message}"),
        reply => Ok(reply),
    }
}

/// An answer of another kind than the request's: a defect of the server, not of the user.
pub(super) fn unexpected<T>(reply: &Reply) -> Result<T> {
    bail!("the server gave an answer of the wrong kind: {reply:?}")
}

/// All runs, or those of a study.
pub(super) async fn runs(connection: &mut Connection, request: Request) -> Result<Vec<RunSummary>> {
    match ask(connection, request).await? {
        Reply::Runs(runs) => Ok(runs),
        other => unexpected(&other),
    }
}

/// The runs that texts stand for: ids, or beginnings of ids that fit one run only.
pub(super) async fn resolve(connection: &mut Connection, texts: &[String]) -> Result<Vec<RunId>> {
    let known = runs(connection, Request::ListRuns { study: None }).await?;
    let one = |text: &String| {
        let fitting: Vec<&RunId> =
            known.iter().map(|run| &run.id).filter(|id| id.as_str().starts_with(text.as_str())).collect();
        match fitting.as_slice() {
            [] => bail!("no run is called `{text}`; `trilab run list` shows the ids"),
            [one] => Ok((*one).clone()),
            more => bail!("`{text}` fits {} runs; give more of the id", more.len()),
        }
    };
    texts.iter().map(one).collect()
}

/// A path that a person gave, from the root.
fn whole(path: &Path) -> Result<PathBuf> {
    let path = paths::absolute(path, Path::new(""));
    std::path::absolute(&path).with_context(|| {
        format!(
            "could not find {}: the working directory is gone; `cd` to another one, or give a whole path",
            path.display()
        )
    })
}

fn user_directory() -> Result<PathBuf> {
    std::env::home_dir().context("could not find your home directory; give --home DIR")
}

fn data_directory() -> Result<PathBuf> {
    let given = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    Ok(given.map_or_else(|| user_directory().map(|home| home.join(".local/share")), Ok)?.join("trilab"))
}

/// The folder that relative paths start at.
pub(super) fn working_directory() -> Result<PathBuf> {
    std::env::current_dir().context("could not find the working directory: it is gone; `cd` to another one")
}

/// The folder that these texts start at, if they are relative paths. A working directory that is gone is missed only by them.
pub(super) fn start_of_paths<'a>(written: impl IntoIterator<Item = &'a str>) -> Result<PathBuf> {
    let needs_none =
        |text: &str| text.starts_with("shipped:") || paths::absolute(text.as_ref(), Path::new("")).is_absolute();
    match working_directory() {
        Err(_) if written.into_iter().all(needs_none) => Ok(PathBuf::from("/")),
        other => other,
    }
}
