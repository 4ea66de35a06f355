//! Processes of a lab, found by what they were started with and killed without mistaking one for another.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process that is held by a descriptor, so that a signal can never reach another one with its number.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    handle: OwnedFd,
    pub(crate) arguments: Vec<String>,
}

impl Process {
    /// The process of that number, if it lives.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let handle = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        let text = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let arguments: Vec<String> =
            text.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
        // What has ended and was not waited for has no arguments any more.
        (!text.is_empty()).then_some(Self { pid, handle, arguments })
    }

    /// Every process that was started with `folder`, or something in it, among its arguments.
    pub(crate) fn all_with(folder: &Path) -> Vec<Self> {
        let folder = folder.to_str().unwrap();
        let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter_map(Self::of).filter(|process| process.arguments.iter().any(|word| word.contains(folder))).collect()
    }

    /// False if it was gone already.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        pidfd_send_signal(&self.handle, signal).is_ok()
    }

    /// It holds no file and no lock any more, waited for or not.
    pub(crate) fn is_gone(&self) -> bool {
        let Ok(status) = fs::read_to_string(format!("/proc/{}/stat", self.pid)) else { return true };
        let state = status.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
        matches!(state, Some(Some('Z' | 'X')) | None) || !self.signal_zero()
    }

    fn signal_zero(&self) -> bool {
        // Another process with its number has other arguments, or none.
        Self::of(self.pid).is_none_or(|found| found.arguments == self.arguments)
    }

    /// Ends it at once. False if it was gone already.
    pub(crate) fn kill(&self) -> bool {
        let hit = self.signal(Signal::KILL);
        // No process survives a KILL; how soon it is gone is up to the machine.
        while !self.is_gone() {
            std::thread::yield_now();
        }
        hit
    }
}
