//! Starts workers. A worker gets its own session, so that it outlives the terminal and the server, and a place for
//! its output before its first word.
//! Must not know: why this run is next, what a worker does.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::core::Shortage;
use crate::runlog::layout::open_append;
use crate::runlog::{Attempt, RunFolder, RunLogError};

/// A worker could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// There is no place for its output.
    #[error(transparent)]
    Folder(#[from] RunLogError),
    /// The program does not start.
    #[error("start {} as a worker: {source}; {}", program.display(), cure(source))]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn cure(error: &io::Error) -> &'static str {
    Shortage::of(error).map_or("check that the program is still installed", Shortage::cure)
}

/// A started worker.
#[derive(Debug)]
pub struct Launched {
    /// The attempt that was reserved for it.
    pub attempt: u32,
    /// Its process, which the caller must wait for, or it stays as a zombie; absent where the launcher has none.
    pub process: Option<Child>,
}

/// Something that can start workers; a test scripts one.
pub trait Launcher: Send {
    /// Start a worker of `run`.
    ///
    /// # Errors
    /// It could not be started; the run is as before, apart from an attempt without a log.
    fn launch(&mut self, run: &RunFolder) -> Result<Launched, LaunchError>;

    /// A command that starts this very program, still without arguments; none where workers are not processes of it.
    fn program(&self) -> Option<Command> {
        None
    }
}

/// Which file a path meant when the server started.
type Identity = Option<(u64, u64)>;

/// Starts workers as processes of this machine.
#[derive(Clone, Debug)]
pub struct LocalLauncher {
    program: PathBuf,
    identity: Identity,
    nice: i32,
}

impl LocalLauncher {
    /// Workers are `program worker <run dir>` with niceness `nice`. Make it when the server starts, from
    /// `std::env::current_exe()`: later that path may mean another version, or none.
    #[must_use]
    pub fn new(program: PathBuf, nice: i32) -> Self {
        Self { identity: identity(&program), program, nice: nice.clamp(0, 19) }
    }

    /// The file that was this program when the server started, also after an upgrade has replaced it.
    fn image(&self) -> PathBuf {
        let own = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
        let replaced = self.identity.is_some() && identity(&self.program) != self.identity;
        if replaced && identity(&own) == self.identity { own } else { self.program.clone() }
    }
}

fn identity(path: &Path) -> Identity {
    fs::metadata(path).ok().map(|data| (data.dev(), data.ino()))
}

impl Launcher for LocalLauncher {
    fn program(&self) -> Option<Command> {
        let mut command = Command::new(self.image());
        command.arg0(&self.program);
        Some(command)
    }

    fn launch(&mut self, run: &RunFolder) -> Result<Launched, LaunchError> {
        let program = self.image();
        let failed = |source| LaunchError::Start { program: program.clone(), source };
        let folder = std::path::absolute(run.path()).map_err(failed)?;
        let attempt = run.reserve_attempt()?;
        let started = self.start(&program, &folder, &attempt);
        if started.is_err() {
            // An attempt that nobody made must not count as one that died.
            drop(fs::remove_dir_all(&attempt.path));
        }
        started
    }
}

impl LocalLauncher {
    fn start(&self, program: &Path, folder: &Path, attempt: &Attempt) -> Result<Launched, LaunchError> {
        let failed = |source| LaunchError::Start { program: program.to_owned(), source };
        let output = open_append(&attempt.output_path())?;
        let mut command = Command::new(program);
        command
            .arg0(&self.program)
            .arg("worker")
            .arg(folder)
            .current_dir(folder)
            .env("RAYON_NUM_THREADS", "1") // what the worker wants; it would start itself again without
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output);
        detach(&mut command, self.nice);
        let process = command.spawn().map_err(failed)?;
        Ok(Launched { attempt: attempt.number, process: Some(process) })
    }
}

/// A session of its own and a lower priority, set between fork and exec.
#[expect(unsafe_code, reason = "the standard library has no safe way to start a process in a new session")]
fn detach(command: &mut Command, nice: i32) {
    // SAFETY: the closure runs in the forked child and makes two system calls; it allocates nothing, takes no lock and
    // touches no memory of other threads.
    unsafe {
        command.pre_exec(move || {
            rustix::process::setsid()?;
            rustix::process::nice(nice)?;
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn after_an_upgrade_workers_are_still_this_program() {
        let own = std::env::current_exe().unwrap();
        let folder = tempfile::tempdir_in(own.parent().unwrap()).unwrap();
        let program = folder.path().join("trilab");
        fs::hard_link(&own, &program).unwrap();
        let launcher = LocalLauncher::new(program.clone(), 0);
        assert_eq!(launcher.image(), program, "untouched");
        let running = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
        fs::remove_file(&program).unwrap();
        assert_eq!(launcher.image(), running, "removed");
        fs::write(&program, "another version").unwrap();
        assert_eq!(launcher.image(), running, "replaced");
        let other = LocalLauncher::new(folder.path().join("never there"), 0);
        assert_eq!(other.image(), other.program, "an error names what was asked for");
    }
}
