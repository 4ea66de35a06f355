//! How the tests of real processes wait: for as long as something advances, however slow the machine is, and no longer.
//! Promises: no wait ends while runs make steps or a screen shows what it has not shown before, but for one through more
//! events than any test needs; one that ends says what was seen last. Must not know: what is waited for.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use trilab::runlog::Home;

/// How long nothing may advance: far longer than any single step, start or answer takes on a slow machine.
const QUIET: Duration = Duration::from_secs(120);
/// How many events any single wait may see, in the time of the lab: runs that go on and on do not make it endless.
const ENOUGH: usize = 10_000;
/// Between two looks at what advances.
const LOOK: Duration = Duration::from_millis(500);
/// Between two looks at what is waited for.
const PAUSE: Duration = Duration::from_millis(2);

/// The patience of one wait.
pub(crate) struct Patience<'h> {
    home: &'h Home,
    seen: BTreeSet<(String, String)>,
    /// Events that were logged when the wait began.
    before: Option<usize>,
    last: String,
    advanced: Instant,
    looked: Option<Instant>,
}

impl<'h> Patience<'h> {
    /// Patience with what happens in a home.
    pub(crate) fn new(home: &'h Home) -> Self {
        Self { home, seen: BTreeSet::new(), before: None, last: String::new(), advanced: Instant::now(), looked: None }
    }

    /// Ends the test if nothing has advanced for a while, neither in the home nor on the screen.
    pub(crate) fn keep(&mut self, what: &str, screen: impl FnOnce() -> String) {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        let ((events, standing), screen) = (standing(self.home), screen());
        let news = events.saturating_sub(*self.before.get_or_insert(events));
        // The load of the machine and the time that is left are no news: figures on a screen change for ever.
        let words = screen.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        self.last = format!("{standing}\n{screen}");
        if self.seen.insert((standing, words)) {
            self.advanced = Instant::now();
        }
        let quiet = self.advanced.elapsed();
        assert!(quiet < QUIET, "waited in vain for {what}: nothing advances; seen last:\n{}", self.last);
        assert!(news < ENOUGH, "waited in vain for {what} through {news} events; seen last:\n{}", self.last);
    }
}

/// Looks until there is something to see.
pub(crate) fn wait_for<T>(home: &Home, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut patience = Patience::new(home);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        patience.keep(what, String::new);
        thread::sleep(PAUSE);
    }
}

/// Runs a command to its end and gives what it wrote. One that hangs is killed, and the test ends.
pub(crate) fn output(home: &Home, command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut child = Guarded(child);
    let (stdout, stderr) = (gather(child.0.stdout.take()), gather(child.0.stderr.take()));
    let status = wait_for(home, &format!("the end of {command:?}"), || child.0.try_wait().unwrap());
    Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// A child that does not outlive a wait in vain.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        if thread::panicking() {
            drop(self.0.kill());
        }
    }
}

fn gather(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.map(|mut pipe| pipe.read_to_end(&mut bytes)).transpose().unwrap();
        bytes
    })
}

/// Where the runs of a home stand: how many events there are, the last one of each run, and the corpora that are there or on
/// their way.
fn standing(home: &Home) -> (usize, String) {
    let (mut count, mut lines) = (0, Vec::new());
    for id in home.list_runs().unwrap_or_default() {
        let run = home.run(&id);
        let Some(attempt) = run.attempts().ok().and_then(|attempts| attempts.last().copied()) else { continue };
        let log = fs::read(run.attempt(attempt).events_path()).unwrap_or_default();
        let events = String::from_utf8_lossy(&log);
        count += events.lines().count();
        lines.push(format!("{id} {attempt}: {}", events.lines().last().unwrap_or("nothing")));
    }
    sizes(&home.corpora_dir(), &mut lines);
    (count, lines.join("\n"))
}

fn sizes(folder: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(data) if data.is_dir() => sizes(&entry.path(), lines),
            Ok(data) => lines.push(format!("{}: {} bytes", entry.path().display(), data.len())),
            // Renamed or removed since.
            Err(_) => {}
        }
    }
}
