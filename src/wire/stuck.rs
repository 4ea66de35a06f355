//! What helps against a server that does not answer, in words: which process it is, whether it is only stopped, and the
//! command that wakes or ends it. Asking it once more is never the advice: that is what it does not answer to.

use std::fs;

/// The process of a server, as far as it is known.
pub(super) type Pid = Option<u32>;

/// What to do about the server `pid`, which does not answer.
pub(super) fn cure(pid: Pid) -> String {
    let Some(pid) = pid else {
        return "end it with `kill -KILL` and its number, which `pgrep -af 'trilab.* serve'` shows; runs go on".to_owned();
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
