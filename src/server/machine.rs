//! What this machine has: memory, also where a container was given less, cores, and room on the disk of the lab.
//! Promises: what cannot be found out is absent, never a guess. Must not know: who needs it.

use std::fs;
use std::path::Path;

use crate::runlog::Home;
use crate::schedule::Machine;

/// Look. Blocking, but for an instant.
pub(super) fn machine(home: &Home) -> Machine {
    let cores = std::thread::available_parallelism().ok().map(std::num::NonZero::get);
    let disk = rustix::fs::statvfs(home.root()).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    Machine { memory: memory(Path::new("/")), cores, disk }
}

/// Bytes that processes may have on the machine whose files are below `root`.
fn memory(root: &Path) -> Option<u64> {
    let meminfo = fs::read_to_string(root.join("proc/meminfo")).ok();
    let line = meminfo.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("MemTotal:")));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let total = kilobytes.map(|kilobytes| kilobytes.saturating_mul(1024));
    total.into_iter().chain(limits(root)).min()
}

/// What the groups of this process may have, from its own up to the outermost, and in the older layout.
fn limits(root: &Path) -> Vec<u64> {
    let number = |path: &Path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let groups = root.join("sys/fs/cgroup");
    let own = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    // The word `max` is no number and means no limit.
    let inner = groups.join(own);
    let chain = inner.ancestors().take_while(|group| group.starts_with(&groups));
    let mut found: Vec<u64> = chain.filter_map(|group| number(&group.join("memory.max"))).collect();
    found.extend(number(&groups.join("memory/memory.limit_in_bytes")));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_has_what_it_was_given() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(memory(root.path()), None, "nothing is known of other systems");
        write("proc/meminfo", "MemTotal:       1000 kB\nMemFree: 1 kB\n");
        assert_eq!(memory(root.path()), Some(1_024_000));
        write("proc/self/cgroup", "0::/lab/inner\n");
        write("sys/fs/cgroup/lab/inner/memory.max", "max\n");
        write("sys/fs/cgroup/lab/memory.max", "4096\n");
        assert_eq!(memory(root.path()), Some(4096), "the limit of a group further out");
        write("sys/fs/cgroup/lab/inner/memory.max", "2048\n");
        assert_eq!(memory(root.path()), Some(2048));
        write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(memory(root.path()), Some(2048), "an older layout without a limit");
    }
}
