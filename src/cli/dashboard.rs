//! `trilab` without a command: the dashboard on a terminal, a plain snapshot elsewhere. The dashboard is shown at once;
//! the server is found, started and found again beside it.

use std::time::Duration;

use anyhow::Result;
use tokio::sync::mpsc;

use super::lab::{Lab, Neighbour, block_on, unexpected, working_directory};
use super::output::{is_terminal, print, tell};
use crate::config::{load_study, shipped_studies};
use crate::corpus::shipped_names;
use crate::report::runs::{studies, table};
use crate::runlog::sealed_file::{read_sealed, write_sealed};
use crate::server::unwritable;
use crate::tui::{ComposerDefaults, Connection, FromServer, Remembered, StudyChoice, run as show};
use crate::wire::{ClientFrame, Reply, Request};

/// Frames that may wait for the screen; a screen that does not take them holds up only its own connection.
const WAITING_FRAMES: usize = 256;
/// Between two attempts to reach a server that went away.
const RETRY: Duration = Duration::from_millis(500);

/// A dashboard submits studies and starts servers, a snapshot only looks.
pub(super) fn neighbour() -> Neighbour {
    if is_terminal() { Neighbour::Refused } else { Neighbour::Ignored }
}

pub(super) fn run(lab: &Lab) -> Result<()> {
    if !is_terminal() {
        return snapshot(lab);
    }
    // A damaged one costs a person some column widths, and is replaced when the dashboard is left.
    let remembered: Remembered = read_sealed(&lab.home.dashboard_file()).ok().flatten().unwrap_or_default();
    let defaults = composer_defaults(lab)?;
    let (left, parting) = block_on(async {
        let (requests, asked) = mpsc::channel(WAITING_FRAMES);
        let (tell, frames) = mpsc::channel(WAITING_FRAMES);
        let screen = show(lab.config.screen.clone(), remembered, Connection { requests, frames }, defaults);
        tokio::select! {
            left = screen => left,
            () = keep_connected(lab, asked, tell) => std::future::pending().await,
        }
    })?;
    tell(&parting);
    // Nothing is left behind where the lab no longer is, or may not be changed.
    if !lab.is_in_place() || unwritable(&lab.home).is_some() {
        return Ok(());
    }
    lab.home.create()?;
    Ok(write_sealed(&lab.home.dashboard_file(), &left)?)
}

/// Carries frames both ways until the screen is gone, through any number of servers.
async fn keep_connected(lab: &Lab, mut asked: mpsc::Receiver<ClientFrame>, tell: mpsc::Sender<FromServer>) {
    loop {
        let reason = match lab.look().await {
            Ok(connection) => {
                let info = connection.server().clone();
                // What was asked of the server before this one is not for this one.
                while asked.try_recv().is_ok() {}
                if tell.send(FromServer::Connected(info)).await.is_err() {
                    return;
                }
                match carry(connection, &mut asked, &tell).await {
                    Some(reason) => reason,
                    None => return,
                }
            }
            Err(error) => format!("{error:#}"),
        };
        if tell.send(FromServer::Closed { reason }).await.is_err() {
            return;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Why the connection ended; nothing if the screen did.
async fn carry(
    connection: crate::wire::Connection,
    asked: &mut mpsc::Receiver<ClientFrame>,
    tell: &mpsc::Sender<FromServer>,
) -> Option<String> {
    let (requests, mut frames) = connection.split();
    loop {
        tokio::select! {
            frame = asked.recv() => {
                if requests.send(frame?).await.is_err() {
                    return Some("the server closed the connection".to_owned());
                }
            }
            frame = frames.next() => match frame {
                Ok(frame) => tell.send(FromServer::Frame(Box::new(frame))).await.ok()?,
                Err(error) => return Some(error.to_string()),
            },
        }
    }
}

fn composer_defaults(lab: &Lab) -> Result<ComposerDefaults> {
    let here = working_directory()?;
    let study = |name: &str, text: &str| load_study(lab.config_file.as_deref(), name, text, &here, &[]);
    let choice = |shipped: crate::config::ShippedStudy| {
        let spec = study(shipped.name, shipped.text)?;
        Ok(StudyChoice { name: shipped.name.to_owned(), description: spec.description.clone(), spec })
    };
    Ok(ComposerDefaults {
        base: study("the composer", "name = \"study\"")?,
        studies: shipped_studies().into_iter().map(choice).collect::<Result<_>>()?,
        corpora: shipped_names().into_iter().map(|name| format!("shipped:{name}")).collect(),
    })
}

/// The Lab as text, for pipes.
fn snapshot(lab: &Lab) -> Result<()> {
    match lab.ask_to_look(Request::GetLab)? {
        Reply::Lab(summary) => print(&format!("{}\n{}", table(&summary.runs).text(), studies(&summary.studies).text())),
        other => unexpected(&other),
    }
}
