//! Homes as people treat them: copied while the lab works, renamed, linked, read-only, called strange names. No command ever
//! reaches another lab than the one that was named.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use trilab::runlog::Home;

use super::lab::{Done, FOREIGN, TINY, TRILAB};
use super::patience::wait_for;
use super::process::Process;
use super::records::{checkpoints, steps_logged};

/// A folder in which labs are copied and moved. When the test ends, the servers of all of them are stopped, and what is left
/// of their processes is killed.
pub(crate) struct Yard {
    folder: TempDir,
}

impl Yard {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command on the lab in `home`, given in the yard.
    pub(crate) fn command(&self, home: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(TRILAB);
        command.arg("--home").arg(home).args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn run(&self, home: &Path, arguments: &[&str]) -> Done {
        done(&mut self.command(home, arguments))
    }

    pub(crate) fn ok(&self, home: &Path, arguments: &[&str]) -> String {
        let done = self.run(home, arguments);
        assert_eq!(done.code, Some(0), "{arguments:?}: {done:?}");
        done.stdout
    }

    /// A study of one tiny run with that seed, trained in `home` to its end; `more` is TOML.
    pub(crate) fn train(&self, home: &Path, seed: u64, more: &str) -> Done {
        let text = format!("name = \"s{seed}\"\n[grid]\nseed = [{seed}]\n[budget]\nsteps = 40\n{TINY}{more}");
        fs::write(self.at("study.toml"), text).unwrap();
        let done = self.run(home, &["study", "submit", "./study.toml", "--wait"]);
        assert_eq!(done.code, Some(0), "{done:?}");
        done
    }

    /// The home that the server of `home` says it serves.
    fn served(&self, home: &Path) -> Option<PathBuf> {
        let status: Value = self.run(home, &["server", "status", "--json"]).json();
        status["home"].as_str().map(PathBuf::from)
    }
}

pub(crate) fn done(command: &mut Command) -> Done {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Done { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Drop for Yard {
    fn drop(&mut self) {
        for entry in
            fs::read_dir(self.folder.path()).unwrap().flatten().filter(|entry| entry.path().join("runs").is_dir())
        {
            drop(self.run(&entry.path(), &["server", "stop"]));
        }
        for process in Process::all_with(self.folder.path()) {
            if ["serve", "worker"].iter().any(|word| process.arguments.iter().any(|argument| argument == word)) {
                process.signal(Signal::KILL);
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

fn runs(home: &Path) -> usize {
    Home::new(home).list_runs().unwrap().len()
}

#[test]
fn a_copy_that_was_made_while_the_server_ran_is_another_lab() {
    let yard = Yard::new();
    let (original, copied) = (yard.at("original"), yard.at("copy"));
    yard.train(&original, 1, "");
    copy(&original, &copied);
    assert!(copied.join("server.lock").is_file(), "with the record of the original's server");
    assert_eq!((yard.served(&copied), yard.served(&original)), (None, Some(original.clone())));
    assert_eq!(yard.ok(&copied, &["server", "stop"]), "no server was running\n");
    yard.train(&copied, 2, "");
    assert_eq!((runs(&copied), runs(&original)), (2, 1), "a study for the copy is trained in the copy");
    let listed: Value = serde_json::from_str(&yard.ok(&original, &["run", "list", "--json"])).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!((yard.served(&copied), yard.served(&original)), (Some(copied.clone()), Some(original.clone())));
    assert_eq!(yard.ok(&copied, &["server", "stop"]), "stopped; runs go on\n");
    assert_eq!(yard.served(&original), Some(original), "the original's server was not meant");
}

#[test]
fn the_runs_of_a_copy_read_the_copys_corpus_and_its_parents() {
    let yard = Yard::new();
    let (original, copied) = (yard.at("original"), yard.at("copy"));
    let stage = "[stages.adapt]\nobjective = 'PLM'\nbudget = { steps = 30 }\n";
    yard.train(&original, 1, "");
    yard.ok(&original, &["server", "stop"]);
    copy(&original, &copied);
    // Nothing of the original can be read any more.
    fs::rename(&original, yard.at("away")).unwrap();
    let text = format!(
        "name = \"later\"\n[grid]\nseed = [1]\nlineages = ['CD:FLM > adapt']\n[budget]\nsteps = 40\n{TINY}{stage}"
    );
    fs::write(yard.at("later.toml"), text).unwrap();
    let done = yard.run(&copied, &["study", "submit", "./later.toml", "--wait", "--json"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.json().as_array().unwrap().len(), 2, "the first is the one that the original had trained");
    let first = Home::new(&copied).list_runs().unwrap().remove(0);
    yard.ok(&copied, &["eval", first.as_str(), "--limit", "1", "--tasks", "shipped:world_order_0"]);
    assert!(!original.exists(), "and nothing was made in its place");
}

#[test]
fn a_lab_that_is_moved_while_it_works_takes_its_worker_along() {
    let yard = Yard::new();
    let (old, new) = (yard.at("old"), yard.at("new"));
    fs::write(yard.at("long.toml"), format!("name = \"long\"\n[budget]\nsteps = 1000000\n{TINY}")).unwrap();
    yard.ok(&old, &["study", "submit", "./long.toml"]);
    let id = Home::new(&old).list_runs().unwrap().remove(0);
    wait_for(&Home::new(&old), "steps", || (steps_logged(&Home::new(&old).run(&id), 1) > 3).then_some(()));
    fs::rename(&old, &new).unwrap();
    // At once, while the server of the old place may not have noticed; and a new lab begins in the old place.
    let listed: Value = serde_json::from_str(&yard.ok(&new, &["run", "list", "--json"])).unwrap();
    assert_eq!(listed[0]["status"]["state"], "running", "{listed}");
    yard.ok(&old, &["server", "start"]);
    let run = Home::new(&new).run(&id);
    let before = steps_logged(&run, 1);
    wait_for(&Home::new(&new), "steps in the new place", || (steps_logged(&run, 1) > before + 10).then_some(()));
    yard.ok(&new, &["run", "pause", id.as_str()]);
    wait_for(&Home::new(&new), "the pause", || (!run.is_locked().unwrap()).then_some(()));
    assert_eq!(checkpoints(&run).last(), Some(&steps_logged(&run, 1)), "it saved where the lab is now");
    assert_eq!((run.attempts().unwrap(), runs(&old)), (vec![1], 0), "never interrupted, nothing left in the old place");
    yard.ok(&new, &["run", "resume", id.as_str()]);
    wait_for(&Home::new(&new), "another attempt", || (steps_logged(&run, 2) > 0).then_some(()));
    yard.ok(&new, &["run", "stop", "--all"]);
    assert_eq!((yard.served(&new), yard.served(&old)), (Some(new.clone()), Some(old)));
}

#[test]
fn a_link_to_a_home_is_the_same_lab_and_outlives_the_link() {
    let yard = Yard::new();
    let (home, link) = (yard.at("home"), yard.at("link"));
    fs::create_dir(&home).unwrap();
    symlink(&home, &link).unwrap();
    yard.ok(&link, &["server", "start"]);
    let pid = |home: &Path| yard.run(home, &["server", "status", "--json"]).json()["pid"].clone();
    assert!(pid(&home).is_u64() && pid(&home) == pid(&link));
    let server = pid(&home);
    fs::remove_file(&link).unwrap();
    yard.ok(&home, &["run", "list"]);
    assert_eq!(pid(&home), server, "the lab did not go with the link");
}

#[test]
fn a_lock_that_two_homes_share_is_refused_and_named() {
    let yard = Yard::new();
    let (home, twin) = (yard.at("home"), yard.at("twin"));
    yard.ok(&home, &["server", "start"]);
    Home::new(&twin).create().unwrap();
    fs::hard_link(home.join("server.lock"), twin.join("server.lock")).unwrap();
    for verb in ["status", "stop"] {
        let refused = yard.run(&twin, &["server", verb]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("another lab") && refused.stderr.contains("twin/server.lock"), "{refused:?}");
    }
    assert_eq!(yard.served(&home), Some(home));
    fs::remove_file(twin.join("server.lock")).unwrap();
    assert_eq!(yard.ok(&twin, &["server", "stop"]), "no server was running\n", "the advice helps");
}

#[test]
fn a_stopped_server_is_named_with_advice_that_helps() {
    let yard = Yard::new();
    let home = yard.at("home");
    yard.ok(&home, &["server", "start"]);
    let pid = yard.run(&home, &["server", "status", "--json"]).json()["pid"].as_i64().unwrap();
    let server = Process::of(i32::try_from(pid).unwrap()).unwrap();
    server.signal(Signal::STOP);
    let told = yard.run(&home, &["server", "stop"]);
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(told.stderr.starts_with("trilab: could not hear from the server"), "{told:?}");
    for advice in [format!("`kill -CONT {pid}`"), format!("`kill -KILL {pid}`")] {
        assert!(told.stderr.contains(&advice), "{told:?}");
    }
    assert!(!told.stderr.contains("server stop"), "it does not send in a circle: {told:?}");
    let kill =
        |signal: &str| assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
    kill("-CONT");
    yard.ok(&home, &["run", "list"]);
    assert!(!server.is_gone(), "it went on");
    server.signal(Signal::STOP);
    kill("-KILL");
    yard.ok(&home, &["run", "list"]);
    assert_ne!(yard.run(&home, &["server", "status", "--json"]).json()["pid"].as_i64(), Some(pid));
}

#[test]
fn a_home_of_any_name_works_and_its_commands_can_be_copied() {
    let yard = Yard::new();
    let home = yard.folder.path().join(OsStr::from_bytes(b"my lab's \xff"));
    yard.train(&home, 1, "");
    let id = Home::new(&home).list_runs().unwrap().remove(0);
    let shown = yard.ok(&home, &["run", "show", id.as_str()]);
    let command = shown.lines().find_map(|line| line.strip_prefix("reproduce  trilab ")).unwrap();
    let again = done(Command::new("bash").arg("-c").arg(format!("{TRILAB} {command}")));
    assert_eq!(again.code, Some(0), "{command}: {again:?}");
    assert_eq!(yard.ok(&home, &["server", "stop"]), "stopped; runs go on\n");
}

#[test]
fn everything_in_a_home_is_private_whatever_the_shell_allows() {
    let yard = Yard::new();
    let home = yard.at("home");
    let text = format!("name = \"open\"\n[budget]\nsteps = 40\n{TINY}");
    fs::write(yard.at("open.toml"), text).unwrap();
    let script = format!("umask 000; exec {TRILAB} --home home study submit ./open.toml --wait");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).current_dir(yard.folder.path()).stdin(Stdio::null());
    FOREIGN.iter().for_each(|name| _ = shell.env_remove(name));
    let submitted = done(&mut shell);
    assert_eq!(submitted.code, Some(0), "{submitted:?}");
    let id = Home::new(&home).list_runs().unwrap().remove(0);
    let eval = format!("umask 000; exec {TRILAB} --home home eval {id} --limit 1 --tasks shipped:world_order_0");
    let scored = done(Command::new("sh").arg("-c").arg(eval).current_dir(yard.folder.path()));
    assert_eq!(scored.code, Some(0), "{scored:?}");
    let (mut folders, mut seen) = (vec![home], 0);
    while let Some(folder) = folders.pop() {
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o077, 0, "{}", folder.display());
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
            seen += 1;
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn a_working_directory_that_is_gone_stops_only_what_needs_it() {
    let yard = Yard::new();
    let home = yard.at("home");
    let from_nowhere = |command: &str| {
        let gone = yard.at("gone");
        fs::create_dir_all(&gone).unwrap();
        let script = format!("cd {0}; rmdir {0}; exec {TRILAB} --home {1} {command}", gone.display(), home.display());
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script).stdin(Stdio::null());
        FOREIGN.iter().for_each(|name| _ = shell.env_remove(name));
        done(&mut shell)
    };
    for command in ["run list", "study list", "study check first-steps", "server status", "leaderboard"] {
        let done = from_nowhere(command);
        assert_eq!(done.code, Some(0), "{command}: {done:?}");
    }
    for command in
        ["study check ./mine.toml", "corpus prepare mine.txt", "study check first-steps --set budget.steps=2"]
    {
        let done = from_nowhere(command);
        assert_eq!(done.code, Some(1), "{command}: {done:?}");
        assert!(done.stderr.contains("working directory") && done.stderr.contains("`cd`"), "{command}: {done:?}");
    }
}
