//! A disk that fills up and is freed again under a lab that trains: nothing fails, nothing is lost, and nobody lays a hand on it.
//! The disk is a small one in memory, which only root can make; others skip these tests with a message.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::RngExt;
use trilab::core::seed::{Stream, generator};
use trilab::runlog::RunFolder;

use super::lab::Lab;
use super::records::{assert_same, steps_logged};

/// Times that the disk fills up.
const PULSES: usize = 3;

/// A file system of its own at a folder, gone with this value.
struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let options = format!("size={size},mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder).output();
        if mounted.is_ok_and(|done| done.status.success()) {
            return Some(Self { folder: folder.to_owned() });
        }
        None
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }

    /// Leaves no byte.
    fn fill(&self) {
        let mut file = File::options().append(true).create(true).open(self.filler()).unwrap();
        for block in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![7; block]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a worker that is being killed may still stand in it.
        drop(Command::new("umount").arg("-l").arg(&self.folder).status());
    }
}

#[test]
fn a_full_disk_costs_time_and_nothing_else() {
    let (quiet, lab) = (Lab::new(), Lab::new());
    let Some(disk) = SmallDisk::mount(lab.home().root(), "24m") else {
        println!("skipped: only root can make a small disk");
        return;
    };
    let study = |lab: &Lab| {
        lab.study(
            "pulses",
            "[grid]\narchitecture = [\"CD\", \"ND\"]\nobjective = [\"PLM\"]\nseed = [1, 2]\n[budget]\nsteps = 150",
        )
    };
    let mut chance = generator(15, Stream::Sample, 0);
    lab.ok(&["study", "submit", &study(&lab)]);
    let server = lab.server().unwrap();
    let newest = |run: &RunFolder| run.attempts().unwrap().last().map_or(0, |attempt| steps_logged(run, *attempt));
    let steps = || lab.runs().iter().map(newest).sum::<u64>();
    let words = || lab.runs().iter().map(|run| lab.status(run.id())).collect::<Vec<_>>();
    for pulse in 0..PULSES {
        let until = steps() + chance.random_range(1..80);
        lab.wait_until("some steps", || steps() >= until);
        disk.fill();
        let held = lab.wait_for("a lab that says what it waits for", || {
            let said = lab.ok(&["server", "status"]);
            said.lines().find_map(|line| line.strip_prefix("held: ")).map(str::to_owned)
        });
        assert!(held.contains("No space left") && held.starts_with("the disk is full; free some space"), "{held}");
        assert!(words().iter().all(|word| ["queued", "running", "finished"].contains(&word.as_str())), "{:?}", words());
        let refused = lab.run(&["study", "submit", &lab.study(&format!("late-{pulse}"), "[budget]\nsteps = 40")]);
        assert!(refused.code == Some(1) && refused.stderr.contains("free some space"), "{refused:?}");
        disk.free();
    }
    lab.wait_until("the end of all runs", || words().iter().all(|word| word == "finished"));
    assert!(!lab.ok(&["server", "status"]).contains("held: "));
    assert!(lab.server().is_some_and(|now| now.pid == server.pid), "the server has never left");
    quiet.ok(&["study", "submit", &study(&quiet), "--wait"]);
    for run in lab.runs() {
        assert_same(&run, &quiet.home().run(run.id()));
    }
}

#[test]
fn a_first_start_on_a_full_disk_says_so() {
    let lab = Lab::new();
    let Some(disk) = SmallDisk::mount(lab.home().root(), "1m") else {
        println!("skipped: only root can make a small disk");
        return;
    };
    disk.fill();
    let refused = lab.run(&["run", "list"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("No space left") && refused.stderr.contains("free some space"), "{refused:?}");
    disk.free();
    lab.ok(&["run", "list"]);
}
