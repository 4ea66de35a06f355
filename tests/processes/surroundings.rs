//! What happens to lie around the program: another program's `config.toml` in the working directory, a home on a read-only
//! disk, and a newer program in the place of this one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use trilab::runlog::Home;

use super::homes::{Yard, done};
use super::lab::{FOREIGN, TINY, TRILAB};
use super::patience::wait_for;
use super::process::Process;
use super::records::steps_logged;

const SITE: &str = "baseURL = \"https://example.org/\"\ntitle = \"My site\"\n[params]\n  author = \"x\"\n";

#[test]
fn another_programs_config_is_passed_over_by_what_looks_and_refused_by_what_trains() {
    let yard = Yard::new();
    let home = yard.at("home");
    yard.ok(&home, &["server", "start"]);
    for text in
        [SITE, "not toml at all {{\n", "[training]\nlearning_rat = 1\n", "[lab]\nhome = '/nowhere'\nslots = 'x'\n"]
    {
        fs::write(yard.at("config.toml"), text).unwrap();
        for looks in ["run list", "study list", "leaderboard", "reindex", "server status"] {
            let done = yard.run(&home, &looks.split(' ').collect::<Vec<_>>());
            assert_eq!(done.code, Some(0), "{looks} beside {text}: {done:?}");
            let said = "trilab: ignored `config.toml` in the working directory: ";
            assert!(
                done.stderr.starts_with(said) && done.stderr.lines().count() == 1,
                "{looks} beside {text}: {done:?}"
            );
        }
        for trains in ["study check first-steps", "study submit first-steps", "server start", "run retry --all"] {
            let done = yard.run(&home, &trains.split(' ').collect::<Vec<_>>());
            assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{trains} beside {text}: {done:?}");
            for words in ["config.toml", "picked up from the working directory", "--config FILE"] {
                assert!(done.stderr.contains(words), "{trains} beside {text} does not say `{words}`: {done:?}");
            }
        }
        let silent = yard.run(&home, &["completions", "bash"]);
        assert_eq!((silent.code, silent.stderr.as_str()), (Some(0), ""), "it needs no settings");
    }
    // Texts may lie beside anybody's config, but not beside one of ours with a mistake.
    fs::write(yard.at("text.txt"), "the pier lay still. ".repeat(50)).unwrap();
    let prepare = ["corpus", "prepare", "text.txt"];
    assert_eq!(yard.run(&home, &prepare).code, Some(2));
    fs::write(yard.at("config.toml"), SITE).unwrap();
    assert_eq!(yard.run(&home, &prepare).code, Some(0));
    assert_eq!(yard.ok(&home, &["server", "stop"]), "stopped; runs go on\n");
    // A server that a command starts does not pick it up where it is started either.
    fs::write(home.join("config.toml"), SITE).unwrap();
    fs::remove_file(yard.at("config.toml")).unwrap();
    yard.ok(&home, &["run", "list"]);
}

#[test]
fn a_config_that_names_a_lab_is_not_ignored_in_favour_of_another() {
    let yard = Yard::new();
    fs::write(yard.at("config.toml"), "[lab]\nhome = 'mine'\nslot = 2\n").unwrap();
    let mut command = Command::new(TRILAB);
    command.args(["server", "stop"]).current_dir(yard.at("")).stdin(Stdio::null());
    FOREIGN.iter().for_each(|name| _ = command.env_remove(name));
    let refused = done(command.env("XDG_DATA_HOME", yard.at("data")));
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("config.toml:3") && refused.stderr.contains("--home DIR"), "{refused:?}");
}

#[test]
fn a_lab_on_a_read_only_disk_is_looked_at_without_a_server() {
    let yard = Yard::new();
    let home = yard.at("home");
    yard.train(&home, 1, "rank_every = 20\n");
    let id = Home::new(&home).list_runs().unwrap().remove(0);
    let questions = [
        "run list --json".to_owned(),
        format!("run show {id} --json"),
        format!("run log {id}"),
        "leaderboard --csv".to_owned(),
        format!("export metrics {id}"),
        format!("rank {id} --json"),
        "study list --json".to_owned(),
    ];
    let ask = |question: &String| yard.ok(&home, &question.split(' ').collect::<Vec<_>>());
    let expected: Vec<String> = questions.iter().map(ask).collect();
    yard.ok(&home, &["server", "stop"]);
    let Some(looked) = read_only(&home, &yard.at(""), &questions) else {
        return eprintln!("not tried: this system lets nobody make a read-only mount");
    };
    for ((question, expected), looked) in questions.iter().zip(&expected).zip(&looked) {
        assert_eq!((looked.code, &looked.stdout), (Some(0), expected), "{question}: {looked:?}");
        assert!(looked.stderr.contains("Read-only file system") && looked.stderr.lines().count() == 1, "{looked:?}");
    }
    assert!(!home.join("start.lock").exists() || yard.run(&home, &["server", "status"]).code == Some(1));
    let refused = read_only(&home, &yard.at(""), &["run retry --all".to_owned()]).unwrap().remove(0);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("could not write") && refused.stderr.contains("run list"), "{refused:?}");
}

/// How commands end on `home` as a read-only mount of a namespace of their own; nothing if there can be none.
fn read_only(home: &Path, here: &Path, commands: &[String]) -> Option<Vec<super::lab::Done>> {
    let home = home.to_str().unwrap();
    let mounted = format!("mount --bind {home} {home} && mount -o remount,bind,ro {home}");
    let inside = |command: &str| {
        let mut shell = Command::new("unshare");
        shell.args(["-m", "sh", "-c", &format!("{mounted} && exec {command}")]).current_dir(here).stdin(Stdio::null());
        FOREIGN.iter().for_each(|name| _ = shell.env_remove(name));
        shell
    };
    if !inside("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return None;
    }
    Some(commands.iter().map(|words| done(&mut inside(&format!("{TRILAB} --home {home} {words}")))).collect())
}

/// A program of its own for a test, which can be replaced and removed.
fn install(place: &Path) {
    drop(fs::remove_file(place));
    if fs::hard_link(TRILAB, place).is_err() {
        fs::copy(TRILAB, place).unwrap();
    }
}

fn waiter(yard: &Yard, program: &Path, home: &Path) -> std::process::Child {
    let mut command = Command::new(program);
    command.arg("--home").arg(home).args(["study", "submit", "./walk.toml", "--wait"]).current_dir(yard.at(""));
    FOREIGN.iter().for_each(|name| _ = command.env_remove(name));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn first_steps(home: &Path) {
    let home = Home::new(home);
    wait_for(&home, "steps", || {
        let run = home.list_runs().unwrap().into_iter().next()?;
        (steps_logged(&home.run(&run), 1) > 3).then_some(())
    });
}

#[test]
fn who_waits_goes_on_with_the_program_that_replaced_its_own() {
    let yard = Yard::new();
    let (home, program): (PathBuf, PathBuf) = (yard.at("home"), yard.at("trilab"));
    fs::write(yard.at("walk.toml"), format!("name = \"walk\"\n[budget]\nsteps = 1500\n{TINY}")).unwrap();
    install(&program);
    let mut waiting = waiter(&yard, &program, &home);
    first_steps(&home);
    install(&program);
    assert_eq!(yard.ok(&home, &["server", "stop"]), "stopped; runs go on\n");
    let ended = waiting.wait().unwrap();
    assert!(ended.success(), "{ended:?}");
    let run = Home::new(&home).list_runs().unwrap().remove(0);
    assert_eq!(Home::new(&home).run(&run).attempts().unwrap(), [1], "the run itself was never interrupted");
}

#[test]
fn who_waits_says_that_its_program_is_gone() {
    let yard = Yard::new();
    let (home, program): (PathBuf, PathBuf) = (yard.at("home"), yard.at("trilab"));
    fs::write(yard.at("walk.toml"), format!("name = \"walk\"\n[budget]\nsteps = 1000000\n{TINY}")).unwrap();
    install(&program);
    let waiting = waiter(&yard, &program, &home);
    first_steps(&home);
    fs::remove_file(&program).unwrap();
    yard.ok(&home, &["server", "stop"]);
    let ended = waiting.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{} is gone", program.display())) && said.contains("put it back"), "{said}");
    for process in Process::all_with(&home) {
        process.signal(Signal::KILL);
    }
}
