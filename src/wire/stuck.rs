//! What helps against a server that does not answer, in words: which process it is, whether it is only stopped, and the
//! command that wakes or ends it. Asking it once more is never the advice: that is what it does not answer to.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The process of a server, as far as it is known.
pub(super) type Pid = Option<u32>;

/// What to do about the server `pid`, which does not answer.
pub(super) fn cure(pid: Pid) -> String {
    let Some(pid) = pid else {
        return "end it with `kill -KILL` and its number, which `pgrep -af 'trilab.* serve'` shows; runs go on"
            .to_owned();
    };
    if is_stopped(pid) {
        format!(
            "process {pid} is stopped, as by Ctrl-Z: `kill -CONT {pid}` lets it go on, and `kill -KILL {pid}` ends it; \
             runs go on either way"
        )
    } else {
        format!("`kill -KILL {pid}` ends it; runs go on, and the next command starts another")
    }
}

/// The process that holds `lock`, by the word of the system: what a server wrote there may be of one that is gone, whose
/// number another process has by now.
pub(super) fn holder(lock: &Path) -> Pid {
    let inode = fs::metadata(lock).ok()?.ino().to_string();
    let table = fs::read_to_string("/proc/locks").ok()?;
    table.lines().find_map(|line| {
        // `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, file, ..] = words.as_slice() else { return None };
        (file.rsplit(':').next() == Some(inode.as_str())).then(|| pid.parse().ok().filter(|pid| *pid > 0)).flatten()
    })
}

/// Whether a signal has stopped the process; unknown, and therefore no, where there is no /proc.
fn is_stopped(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    matches!(state, Some('T' | 't'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_holder_of_a_lock_is_known_whatever_the_file_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.lock");
        let file = fs::File::create(&path).unwrap();
        assert_eq!(holder(&path), None);
        file.lock().unwrap();
        assert_eq!(holder(&path), Some(std::process::id()));
        file.unlock().unwrap();
        assert_eq!(holder(&path), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_stopped_process_is_told_from_one_that_is_stuck() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = child.id();
        let process = rustix::process::Pid::from_child(&child);
        assert!(cure(Some(pid)).starts_with(&format!("`kill -KILL {pid}` ends it")), "{}", cure(Some(pid)));
        rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
        while !is_stopped(pid) {
            std::thread::yield_now();
        }
        assert!(cure(Some(pid)).contains(&format!("`kill -CONT {pid}` lets it go on")), "{}", cure(Some(pid)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
