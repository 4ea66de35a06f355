//! What a digest may take of the machine: half of its memory, no core file, and the processor only where nobody else wants it.
//! Must not know: what it reads.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};

/// Memory that is given in any case, in bytes.
const LEAST_MEMORY: u64 = 1 << 30;

/// Stack of the thread that reads: what calls itself for each level of a file is limited by that file's reader; this is for
/// what is not.
pub(super) const STACK: usize = 64 << 20;

/// Niceness beside the server.
const NICE: i32 = 5;

/// Applies all of them to this process.
pub(super) fn apply() {
    if let Some(most) = memory() {
        lower(Resource::Data, most);
    }
    // Nobody looks at the memory of one that died.
    lower(Resource::Core, 0);
    // If the system must end something for want of memory, then this, which can be done again.
    _ = fs::write("/proc/self/oom_score_adj", "1000");
    _ = nice(NICE);
}

/// A limit that is lower already stays. One that cannot be set is missed only where something goes wrong.
fn lower(resource: Resource, most: u64) {
    let found = getrlimit(resource);
    let most = found.maximum.map_or(most, |maximum| maximum.min(most));
    let most = found.current.map_or(most, |current| current.min(most));
    _ = setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
}

/// Bytes of data that a digest may have: half of what the machine, or the container that this runs in, has, or what this process
/// may have if that is less; none where neither is known.
pub(super) fn memory() -> Option<u64> {
    [half(), getrlimit(Resource::Data).current].into_iter().flatten().min()
}

/// Half of what the machine or the container has.
fn half() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(total)?;
    let group = fs::read_to_string("/proc/self/cgroup").ok();
    let group = group.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("0::/")));
    let root = Path::new("/sys/fs/cgroup");
    let within = [Some(root.to_owned()), group.map(|group| root.join(group))].into_iter().flatten();
    let group = within.filter_map(|folder| fs::read_to_string(folder.join("memory.max")).ok()?.trim().parse().ok());
    Some((group.fold(machine, u64::min) / 2).max(LEAST_MEMORY))
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_the_machine_is_read_from_proc() {
        assert_eq!(total("MemTotal:       24684096 kB\nMemFree: 1 kB\n"), Some(24_684_096 << 10));
        assert_eq!(total("MemFree: 1 kB\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn half_of_the_machine_is_given() {
        let all = total(&fs::read_to_string("/proc/meminfo").unwrap()).unwrap();
        let most = half().unwrap();
        assert!(most >= LEAST_MEMORY && most <= (all / 2).max(LEAST_MEMORY), "{most} of {all}");
    }
}
