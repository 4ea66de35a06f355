//! The only place of the command line that writes: data to stdout, words to stderr.
//! Promises: what a failed write means is decided here, so that a closed stderr loses words and no command, and a full disk
//! behind stdout is an error; control characters of data reach no terminal; JSON, CSV and Markdown mean the same in a file
//! as they did before. Must not know: what is written.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::core::visible::{visible, visible_json, visible_lines};

/// Why nothing more can be written to stdout.
#[derive(Debug, thiserror::Error)]
enum Unwritten {
    /// The reader has gone, as in `trilab run list | head`.
    #[error("nobody reads the output any more")]
    Closed,
    /// A full disk, for instance.
    #[error("could not write the output: {0}")]
    Failed(io::Error),
}

impl From<io::Error> for Unwritten {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Closed } else { Self::Failed(error) }
    }
}

/// Whether the reader of stdout has gone, which is no failure.
pub(super) fn is_closed(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Unwritten::Closed))
}

#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn stdout() -> io::Stdout {
    io::stdout()
}

#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn stderr() -> io::Stderr {
    io::stderr()
}

/// Whether a person looks at stdout.
pub(super) fn is_terminal() -> bool {
    stdout().is_terminal()
}

fn write(text: &str) -> anyhow::Result<()> {
    let mut stdout = stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    Ok(written.map_err(Unwritten::from)?)
}

/// Writes text for people: control characters are written out, wherever it goes.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    write(&visible_lines(text))
}

/// Writes text for programs as it is; only a terminal gets control characters written out.
pub(super) fn print_data(text: &str) -> anyhow::Result<()> {
    if is_terminal() { print(text) } else { write(text) }
}

/// Writes lines that are JSON.
pub(super) fn print_json_lines(lines: &str) -> anyhow::Result<()> {
    write(&visible_json(lines))
}

/// Writes a value as indented JSON.
pub(super) fn print_json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    print_json_lines(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// Says something to the person. A stderr that is closed or full ends nothing.
pub(super) fn say(text: &str) {
    tell(&format!("trilab: {text}"));
}

/// Says something without the name of the program.
pub(super) fn tell(text: &str) {
    let line = format!("{}\n", visible_lines(text));
    _ = stderr().write_all(line.as_bytes());
}

/// What clap says instead of a command: help and version to stdout, wrong usage, with the words that were typed, to stderr.
pub(super) fn answer(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        tell(error.render().to_string().trim_end());
        return ExitCode::from(super::USAGE);
    }
    // In its colours: there is nothing of anybody's in it.
    match error.print().map_err(Unwritten::from) {
        Ok(()) | Err(Unwritten::Closed) => ExitCode::SUCCESS,
        Err(failed @ Unwritten::Failed(_)) => {
            say(&failed.to_string());
            ExitCode::FAILURE
        }
    }
}

/// A progress bar on stderr, where that is a terminal.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar that looks as `template` says.
    pub(super) fn new(template: &str) -> anyhow::Result<Self> {
        let style = ProgressStyle::with_template(template).context("could not draw a progress bar")?;
        Ok(Self(ProgressBar::new(0).with_style(style)))
    }

    /// How much is done, of how much.
    pub(super) fn set(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    /// What is being done.
    pub(super) fn name(&self, text: &str) {
        self.0.set_message(visible(text).into_owned());
    }

    /// Takes it away.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
