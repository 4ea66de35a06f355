//! How long a client waits for the process of a server: a while, and longer as long as that process works. A slow machine, or
//! an index that takes long to open, is no reason to give up; a process that is stopped or stuck does not work.
//! Must not know: what is waited for.

use std::fs;
use std::time::Duration;

use tokio::time::Instant;

use super::stuck::holder;
use crate::runlog::Home;

/// Nobody waits longer for a process that works for ever.
const MOST: Duration = Duration::from_secs(120);
/// Between two looks at the process.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// The patience of one wait.
pub(super) struct Patience<'h> {
    home: &'h Home,
    began: Instant,
    looked: Option<Instant>,
    work: Work,
}

impl<'h> Patience<'h> {
    /// Patience with the server of `home`, which may do nothing for as long as `quiet`.
    pub(super) fn new(home: &'h Home, quiet: Duration) -> Self {
        let work = Work { quiet, since: Duration::ZERO, ticks: None };
        Self { home, began: Instant::now(), looked: None, work }
    }

    /// Whether to wait on.
    pub(super) fn lasts(&mut self) -> bool {
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            self.looked = Some(Instant::now());
            self.work.see(self.began.elapsed(), holder(&self.home.server_lock()).and_then(processor_ticks));
        }
        self.work.lasts(self.began.elapsed())
    }

    /// How long the wait has lasted.
    pub(super) fn seconds(&self) -> u64 {
        self.began.elapsed().as_secs()
    }
}

/// What is known of the work of a process since a wait began.
struct Work {
    quiet: Duration,
    /// When it was last seen to have worked.
    since: Duration,
    ticks: Option<u64>,
}

impl Work {
    fn see(&mut self, now: Duration, ticks: Option<u64>) {
        if ticks.is_some() && ticks != self.ticks {
            self.since = now;
        }
        self.ticks = ticks;
    }

    fn lasts(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) < self.quiet && now < MOST
    }
}

/// What a process has had of the processors; unknown where there is no /proc.
fn processor_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split_whitespace().skip(11).map_while(|field| field.parse::<u64>().ok());
    Some(times.next()? + times.next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn work() -> Work {
        Work { quiet: after(10), since: Duration::ZERO, ticks: None }
    }

    #[test]
    fn patience_ends_with_a_process_that_does_nothing() {
        let mut nobody = work();
        nobody.see(after(1), None);
        assert!(nobody.lasts(after(9)));
        assert!(!nobody.lasts(after(10)));
        let mut stuck = work();
        (1..30).for_each(|now| stuck.see(after(now), Some(7)));
        assert!(stuck.lasts(after(10)));
        assert!(!stuck.lasts(after(11)), "ten seconds after it was first seen");
    }

    #[test]
    fn patience_lasts_while_a_process_works_but_not_for_ever() {
        let mut working = work();
        for now in 0..120 {
            working.see(after(now), Some(now / 5));
            assert!(working.lasts(after(now)), "{now}");
        }
        assert!(!working.lasts(after(120)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn work_is_seen() {
        let before = processor_ticks(std::process::id()).unwrap();
        while processor_ticks(std::process::id()).unwrap() == before {
            std::hint::spin_loop();
        }
        assert_eq!(processor_ticks(u32::MAX), None);
    }
}
