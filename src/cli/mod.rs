//! The command line: one file per noun, each thin over the modules that do the work.
//! Promises: data to stdout, messages to stderr, all of it through `output`; exit code 0 done, 1 failed, 2 wrong usage, 130 interrupted.

mod arguments;
mod bench;
mod corpus;
mod dashboard;
mod doctor;
mod eval;
mod export;
mod lab;
mod leaderboard;
mod output;
mod rank;
mod run;
mod server;
mod study;

use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};

use rustix::fs::Mode;
use rustix::process::umask;

use crate::config::ConfigError;
use crate::corpus::CorpusError;
use crate::runlog::RunLogError;
use crate::store::StoreError;
use crate::wire::WireError;
use arguments::{Cli, Command, RunCommand, ServerCommand, StudyCommand};
use lab::{Lab, Neighbour};

/// Wrong usage: an unknown key, a malformed value. The same code that clap uses.
const USAGE: u8 = 2;
/// Ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// A command was ended by Ctrl-C.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Reads the arguments, runs the command, and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::answer(&error),
    };
    // What is written in a lab is its user's alone, whatever the shell allows. A dashboard gives the lab's files their modes
    // by itself, and what it exports goes into people's own folders, by their own rules.
    if cli.command.is_some() {
        umask(Mode::RWXG | Mode::RWXO);
    }
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) if error.is::<Interrupted>() => ExitCode::from(INTERRUPTED),
        Err(error) if output::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::say(&sentence(&error));
            if error.is::<ConfigError>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

/// An error in words. Those of the modules below are the ends of sentences that begin with "could not".
fn sentence(error: &anyhow::Error) -> String {
    let is_end = |top: &(dyn std::error::Error + 'static)| {
        top.is::<WireError>() || top.is::<RunLogError>() || top.is::<CorpusError>() || top.is::<StoreError>()
    };
    let text = format!("{error:#}");
    if error.chain().next().is_some_and(is_end) { format!("could not {text}") } else { text }
}

/// What a command does with a `config.toml` in the working directory that it cannot use.
const fn neighbour(command: &Command) -> Neighbour {
    match command {
        // What is queued, started or trained depends on the settings.
        Command::Study(StudyCommand::Check(_) | StudyCommand::Submit { .. })
        | Command::Run(RunCommand::Resume(_) | RunCommand::Retry(_))
        | Command::Server(ServerCommand::Start | ServerCommand::Serve { without_neighbour: false }) => {
            Neighbour::Refused
        }
        // A corpus depends on them too, but texts lie in anybody's folder.
        Command::Corpus(_) => Neighbour::ForeignIgnored,
        Command::Server(ServerCommand::Serve { without_neighbour: true }) => Neighbour::Unread,
        Command::Study(StudyCommand::List { .. } | StudyCommand::Show(_))
        | Command::Run(
            RunCommand::List { .. }
            | RunCommand::Show { .. }
            | RunCommand::Log { .. }
            | RunCommand::Pause(_)
            | RunCommand::Stop(_)
            | RunCommand::Move { .. }
            | RunCommand::Priority { .. },
        )
        | Command::Server(ServerCommand::Stop | ServerCommand::Status { .. })
        | Command::Leaderboard { .. }
        | Command::Rank { .. }
        | Command::Eval(_)
        | Command::Export(_)
        | Command::Bench(_)
        | Command::Reindex
        | Command::Doctor { .. }
        | Command::Worker { .. }
        | Command::Digest { .. }
        | Command::Completions { .. } => Neighbour::Ignored,
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    let neighbour = cli.command.as_ref().map_or_else(dashboard::neighbour, neighbour);
    let lab = || Lab::new(cli.home, cli.config, neighbour);
    match cli.command {
        None => dashboard::run(&lab()?).map(done),
        Some(Command::Study(command)) => study::run(&lab()?, command),
        Some(Command::Run(command)) => run::run(&lab()?, command).map(done),
        Some(Command::Leaderboard { study, sort, equal, format }) => {
            leaderboard::run(&lab()?, study, equal, sort.as_deref(), format).map(done)
        }
        Some(Command::Rank { run, json }) => rank::run(&lab()?, run, json).map(done),
        Some(Command::Eval(command)) => eval::run(&lab()?, &command),
        Some(Command::Corpus(command)) => corpus::run(&lab()?, command).map(done),
        Some(Command::Export(command)) => export::run(&lab()?, &command).map(done),
        Some(Command::Bench(command)) => bench::run(&command).map(done),
        Some(Command::Server(command)) => server::run(&lab()?, &command),
        Some(Command::Reindex) => server::reindex(&lab()?).map(done),
        Some(Command::Doctor { repair, json }) => doctor::run(&lab()?, repair, json),
        Some(Command::Worker { directory }) => crate::worker::work(&directory).map(|_| ExitCode::SUCCESS),
        Some(Command::Digest { corpora }) => {
            crate::digest::work(&corpora).map(done).context("could not talk to the server that asks")
        }
        Some(Command::Completions { shell }) => {
            // Into memory first: the generator panics when the reader of a pipe has gone.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "trilab", &mut script);
            output::print_data(&String::from_utf8_lossy(&script)).map(done)
        }
    }
}
