//! What a machine can be short of for a while: space, files, memory, processes. It is a state of the machine and never an error
//! of a run: whoever meets it waits and tries again.
//! Must not know: what was tried.

use std::error::Error;
use std::io::{self, ErrorKind};

/// `ENFILE` and `EMFILE`, the same numbers on every Unix; the standard library has no kind for them.
const TOO_MANY_OPEN_FILES: [i32; 2] = [23, 24];

/// Something that a machine has too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// The disk, or its table of files.
    Disk,
    /// What this user may write.
    Quota,
    /// Files that may be open at once.
    OpenFiles,
    /// Memory.
    Memory,
    /// Processes and threads.
    Processes,
}

impl Shortage {
    /// What an error of the system says is short; `None` if it is about something else.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        if error.raw_os_error().is_some_and(|number| TOO_MANY_OPEN_FILES.contains(&number)) {
            return Some(Self::OpenFiles);
        }
        match error.kind() {
            ErrorKind::StorageFull => Some(Self::Disk),
            ErrorKind::QuotaExceeded => Some(Self::Quota),
            ErrorKind::OutOfMemory => Some(Self::Memory),
            // What `fork` says; nothing else here asks without waiting.
            ErrorKind::WouldBlock => Some(Self::Processes),
            _ => None,
        }
    }

    /// The same for an error that stands behind others.
    #[must_use]
    pub fn behind(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(system) = error.downcast_ref::<io::Error>() {
                // Its `source` is what stands behind the error that it holds, not that error itself.
                let held = system.get_ref().and_then(|inner| Self::behind(inner));
                if let Some(short) = Self::of(system).or(held) {
                    return Some(short);
                }
            }
            next = error.source();
        }
        None
    }

    /// As a sentence.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Disk => "the disk is full",
            Self::Quota => "the disk quota is used up",
            Self::OpenFiles => "too many files are open",
            Self::Memory => "the machine has no memory left",
            Self::Processes => "the machine starts no more processes",
        }
    }

    /// What whoever waits says of it: the shortage first, since there may be room for little more, and at the end `what` was tried.
    #[must_use]
    pub fn sentence(self, what: &str) -> String {
        let cure = self.cure();
        let what = what.strip_suffix(cure).and_then(|what| what.strip_suffix("; ")).unwrap_or(what);
        format!("{}; {cure}, and all goes on by itself (could not {what})", self.words())
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn cure(self) -> &'static str {
        match self {
            Self::Disk => "free some space",
            Self::Quota => "free some space or raise the quota",
            Self::OpenFiles => "close some programs or raise `ulimit -n`",
            Self::Memory => "close some programs",
            Self::Processes => "close some programs or raise `ulimit -u`",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortages_are_told_from_errors() {
        let of = |number| Shortage::of(&io::Error::from_raw_os_error(number));
        assert_eq!(of(28), Some(Shortage::Disk));
        assert_eq!((of(23), of(24)), (Some(Shortage::OpenFiles), Some(Shortage::OpenFiles)));
        assert_eq!(of(12), Some(Shortage::Memory));
        assert_eq!((of(2), of(13)), (None, None));
        let wrapped = io::Error::other(io::Error::from(ErrorKind::QuotaExceeded));
        assert_eq!(Shortage::behind(&wrapped), Some(Shortage::Quota));
        assert_eq!(Shortage::behind(&io::Error::other("no space left")), None);
        assert_eq!(
            Shortage::Disk.sentence("append to a.jsonl: No space left on device; free some space"),
            "the disk is full; free some space, and all goes on by itself (could not append to a.jsonl: No space left on device)"
        );
    }
}
