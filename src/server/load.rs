//! How busy the machine is: processor and memory shares from `/proc`; unknown elsewhere.
//! Must not know: who is shown it.

use std::fs;

/// Two readings make a share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ticks {
    busy: u64,
    total: u64,
}

/// What was last measured, in whole percents so that noise is no news.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Load {
    last: Ticks,
    /// Share of the processor since the reading before, 0 to 1.
    pub(super) processor: Option<f64>,
    /// Share of memory in use, 0 to 1.
    pub(super) memory: Option<f64>,
}

impl Load {
    /// Measure again. `true` if a person would see a difference.
    pub(super) fn sample(&mut self) -> bool {
        let before = (self.processor, self.memory);
        if let Some(now) = fs::read_to_string("/proc/stat").ok().as_deref().and_then(ticks) {
            let (busy, total) = (now.busy.saturating_sub(self.last.busy), now.total.saturating_sub(self.last.total));
            if total > 0 && self.last.total > 0 {
                self.processor = Some(percent(busy, total));
            }
            self.last = now;
        }
        self.memory = fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(memory);
        before != (self.processor, self.memory)
    }
}

#[expect(clippy::cast_precision_loss, reason = "shares for the eye")]
fn percent(part: u64, whole: u64) -> f64 {
    (100.0 * part as f64 / whole as f64).round() / 100.0
}

/// First line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal.
fn ticks(stat: &str) -> Option<Ticks> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let numbers: Vec<u64> = line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
    let total: u64 = numbers.iter().sum();
    let idle = numbers.get(3)? + numbers.get(4).copied().unwrap_or(0);
    Some(Ticks { busy: total.saturating_sub(idle), total })
}

fn memory(meminfo: &str) -> Option<f64> {
    let kilobytes = |key: &str| -> Option<u64> {
        meminfo.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
    };
    let total = kilobytes("MemTotal:")?;
    let available = kilobytes("MemAvailable:")?;
    (total > 0).then(|| percent(total.saturating_sub(available), total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_from_proc() {
        let stat = "cpu  100 0 50 800 50 0 0 0 7 7\ncpu0 1 2 3 4\n";
        assert_eq!(ticks(stat), Some(Ticks { busy: 150, total: 1000 }));
        assert_eq!(ticks("cpu0 1 2 3"), None);
        assert_eq!(memory("MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    250 kB\n"), Some(0.75));
        assert_eq!(memory("MemTotal: 1000 kB"), None);
    }
}
