//! `trilab server` and `trilab reindex`.

use std::process::ExitCode;

use anyhow::Result;

use super::arguments::ServerCommand;
use super::lab::{Lab, clock, unexpected};
use super::output::{print, print_json};
use crate::schedule::LocalLauncher;
use crate::server::{ServerOptions, serve as serve_lab};
use crate::wire::{Connection, Reply, Request, WireError, connect, stop_server};

pub(super) fn run(lab: &Lab, command: &ServerCommand) -> Result<ExitCode> {
    match command {
        ServerCommand::Serve { .. } => serve(lab),
        ServerCommand::Start => super::lab::block_on(async {
            lab.connect().await?;
            Ok(ExitCode::SUCCESS)
        }),
        ServerCommand::Stop => {
            let stopped = super::lab::block_on(async { Ok(stop_server(&lab.home).await?) })?;
            print(if stopped { "stopped; runs go on\n" } else { "no server was running\n" })?;
            Ok(ExitCode::SUCCESS)
        }
        ServerCommand::Status { json } => status(lab, *json),
    }
}

/// The server itself, until it is asked to leave.
fn serve(lab: &Lab) -> Result<ExitCode> {
    let options = ServerOptions {
        home: lab.home.root().to_owned(),
        slots: lab.config.lab.slots,
        threads: lab.config.execution.threads,
        detach: true,
    };
    let launcher = LocalLauncher::new(lab.program.clone(), lab.config.lab.nice);
    let served = super::lab::block_on(serve_lab(options, launcher, clock()));
    // What a server says is the end of a sentence that begins with "could not".
    served.map_err(|error| anyhow::anyhow!("could not {error:#}"))?;
    Ok(ExitCode::SUCCESS)
}

fn status(lab: &Lab, json: bool) -> Result<ExitCode> {
    let found: Result<Connection, WireError> = super::lab::block_on(async { Ok(connect(&lab.home).await) })?;
    match found {
        Ok(connection) => {
            let info = connection.server();
            if json {
                print_json(info)?;
            } else {
                print(&format!("running: version {}, process {}, home {}\n", info.version, info.pid, info.home))?;
                if let Some(reason) = &info.held {
                    print(&format!("held: {reason}\n"))?;
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(WireError::NoServer { .. }) => {
            print(if json { "null\n" } else { "not running\n" })?;
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.into()),
    }
}

/// Rebuilds the index from the run directories.
pub(super) fn reindex(lab: &Lab) -> Result<()> {
    match lab.ask(Request::Reindex)? {
        Reply::Done => Ok(()),
        other => unexpected(&other),
    }
}
