//! What every command stands on: the config, the home, and a connection to the home's server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::config::{Config, load_config};
use crate::core::RunId;
use crate::core::summary::RunSummary;
use crate::runlog::Home;
use crate::server::start_in_background;
use crate::wire::{Connection, Reply, Request, attach};

/// The lab of this invocation.
pub(super) struct Lab {
    /// Where runs live.
    pub(super) home: Home,
    /// Settings.
    pub(super) config: Config,
    /// The file they came from, besides the shipped ones.
    pub(super) config_file: Option<PathBuf>,
}

impl Lab {
    /// Reads the config and finds the home: `--home`, `TRILAB_HOME`, the config, the user's data directory.
    pub(super) fn new(home: Option<PathBuf>, config_file: Option<PathBuf>) -> Result<Self> {
        let neighbour = Path::new("config.toml");
        let config_file = config_file.or_else(|| neighbour.is_file().then(|| neighbour.to_owned()));
        let config = load_config(config_file.as_deref())?;
        let home = match home.or_else(|| config.lab.home.clone()) {
            Some(home) => expand(&home)?,
            None => data_directory()?,
        };
        Ok(Self { home: Home::new(std::path::absolute(home)?), config, config_file })
    }

    /// A connection to the server, which is started if none answers.
    pub(super) async fn connect(&self) -> Result<Connection> {
        Ok(attach(&self.home, &|| self.start_server()).await?)
    }

    /// Starts `trilab server serve` in the background.
    fn start_server(&self) -> std::io::Result<()> {
        let mut arguments = vec!["--home".into(), self.home.root().as_os_str().to_owned()];
        if let Some(file) = &self.config_file {
            arguments.extend(["--config".into(), std::path::absolute(file)?.into_os_string()]);
        }
        arguments.extend(["server".into(), "serve".into()]);
        start_in_background(self.home.root(), &std::env::current_exe()?, &arguments)
    }

    /// One request, for commands that make only one.
    pub(super) fn ask(&self, request: Request) -> Result<Reply> {
        block_on(async { ask(&mut self.connect().await?, request).await })
    }
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

fn expand(path: &Path) -> Result<PathBuf> {
    match path.strip_prefix("~") {
        Ok(rest) => Ok(user_directory()?.join(rest)),
        Err(_) => Ok(path.to_owned()),
    }
}

fn user_directory() -> Result<PathBuf> {
    std::env::home_dir().context("could not find your home directory; give --home DIR")
}

fn data_directory() -> Result<PathBuf> {
    let given = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    Ok(given.map_or_else(|| user_directory().map(|home| home.join(".local/share")), Ok)?.join("trilab"))
}
