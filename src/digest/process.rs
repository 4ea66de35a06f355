//! `trilab digest DIR`: one request as a line of JSON on standard input, lines of JSON on standard output until the answer.
//! Promises: it ends when its input does, because then nobody waits any more; a defect of it is told like an answer.
//! Must not know: who asked.

use std::any::Any;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::{Answer, Request, Said, Unable, answer, limits};
use crate::config::files;

/// Milliseconds between two words that it goes on.
const PULSE: u64 = 1000;

/// Answers the request on standard input, with the corpora below `corpora`.
///
/// # Errors
/// The request cannot be read, the answer cannot be written, or there is no thread to work with.
pub fn work(corpora: &Path) -> io::Result<()> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let request: Request = serde_json::from_str(&line)?;
    limits::apply();
    std::thread::Builder::new().name("input".to_owned()).spawn(leave_with_input)?;
    let (origin, last) = (Instant::now(), AtomicU64::new(0));
    files::watch(Box::new(move |file| {
        if let Some(file) = file {
            say(&Said::Reads(file.display().to_string()));
            return;
        }
        let now = u64::try_from(origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now.saturating_sub(last.load(Ordering::Relaxed)) >= PULSE {
            last.store(now, Ordering::Relaxed);
            say(&Said::GoesOn);
        }
    }));
    let work = || answer(&request, corpora, &mut |phase, fraction| say(&Said::At(phase.to_owned(), fraction)));
    let ended = std::thread::scope(|scope| -> io::Result<std::thread::Result<Result<Answer, Unable>>> {
        let reader = std::thread::Builder::new().name("digest".to_owned()).stack_size(limits::STACK);
        Ok(reader.spawn_scoped(scope, work)?.join())
    })?;
    write(&match ended {
        Ok(ended) => Said::Ends(ended),
        Err(panic) => Said::Panicked(words(panic.as_ref())),
    })
}

/// Nobody waits for the answer any more when the other end of the input is closed.
fn leave_with_input() {
    let mut rest = [0; 64];
    while io::stdin().read(&mut rest).is_ok_and(|length| length > 0) {}
    std::process::exit(1);
}

/// What is not the answer may be lost: where the output is closed, the input is too.
fn say(said: &Said) {
    _ = write(said);
}

fn write(said: &Said) -> io::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    #[expect(clippy::disallowed_methods, reason = "nobody but the server that asks listens there")]
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}

pub(super) fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}
