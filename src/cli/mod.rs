//! The command line: one file per noun, each thin over the modules that do the work.
//! Promises: data to stdout, messages to stderr, all of it through `output`; exit code 0 done, 1 failed, 2 wrong usage, 130 interrupted.

mod arguments;
mod bench;
mod corpus;
mod dashboard;
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

use clap::{CommandFactory, Parser};

use crate::config::ConfigError;
use arguments::{Cli, Command};
use lab::Lab;

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
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) if error.is::<Interrupted>() => ExitCode::from(INTERRUPTED),
        Err(error) if output::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::say(&format!("{error:#}"));
            if error.is::<ConfigError>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    let lab = || Lab::new(cli.home, cli.config);
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
        Some(Command::Worker { directory }) => crate::worker::work(&directory).map(|_| ExitCode::SUCCESS),
        Some(Command::Completions { shell }) => {
            // Into memory first: the generator panics when the reader of a pipe has gone.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "trilab", &mut script);
            output::print_data(&String::from_utf8_lossy(&script)).map(done)
        }
    }
}
