//! What the program writes, and where it cannot: control characters of data, closed and full streams.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use super::lab::Lab;
use super::patience;

/// Colours, a title, the clipboard, a cleared screen in one byte and the other direction, as logs of terminals hold them.
const NASTY: &str = "\x1b[31mred\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\u{9b}2J\x7f\x08\u{202e}";

fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

/// A pipe whose reader has gone.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// How a command ends whose streams are what they are.
fn code(lab: &Lab, arguments: &[&str], stdout: Stdio, stderr: Stdio) -> Option<i32> {
    let mut child = lab.command(arguments).stdout(stdout).stderr(stderr).spawn().unwrap();
    let status = patience::wait_for(&lab.home(), &format!("the end of {arguments:?}"), || child.try_wait().unwrap());
    assert_eq!(status.signal(), None, "{arguments:?}");
    status.code()
}

/// Everything that a person reads, without what moves a terminal.
fn assert_harmless(what: &str, text: &str) {
    let bad = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
    assert!(!text.contains(bad), "{what}: {text:?}");
}

#[test]
fn no_text_of_anybodys_commands_the_terminal() {
    let lab = Lab::new();
    let name = format!("港\n|{NASTY}.txt");
    fs::write(lab.folder().join(&name), format!("{NASTY} the pier lay still.\r\n\t").repeat(60)).unwrap();
    let prepared = lab.ok(&["corpus", "prepare", &name, "--tokenizer", "chars"]);
    assert_harmless("corpus prepare", &prepared);
    assert!(prepared.contains("港\\n|\\x1b[31mred\\x1b]0;owned\\x07"), "{prepared}");
    fs::create_dir(lab.folder().join(format!("d{NASTY}"))).unwrap();
    fs::write(lab.folder().join(format!("d{NASTY}/a.jsonl")), "{\"text\": 1}\n").unwrap();
    for arguments in [["corpus", "prepare", &format!("d{NASTY}")], ["run", "show", NASTY], ["study", NASTY, NASTY]] {
        let failed = lab.run(&arguments);
        assert_ne!(failed.code, Some(0));
        assert_harmless(arguments[0], &failed.stderr);
        // clap leaves out of what was typed whatever begins as a sequence for terminals.
        assert!(["\\u{9b}2J", "\\u{202e}"].iter().all(|shown| failed.stderr.contains(shown)), "{failed:?}");
    }
    // A delete character must be escaped in TOML, and need not be in JSON.
    let written = serde_json::json!(name).to_string().replace('\x7f', "\\u007f");
    let grid = format!("[corpus]\npaths = [{written}]\ntokenizer = 'chars'\n[budget]\nsteps = 20");
    let done = lab.run(&["study", "submit", &lab.study("nasty", &grid), "--wait"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let [run] = lab.runs().try_into().unwrap();
    let attempt = run.attempts().unwrap()[0];
    fs::write(run.output_log(attempt), format!("{NASTY}from the worker\r\n")).unwrap();
    let id = run.id().as_str();
    let shown = lab.ok(&["run", "show", id]);
    assert!(shown.contains("from the worker\n") && shown.contains("sample at step 20"), "{shown}");
    let table = lab.ok(&["run", "list"]);
    assert!(table.lines().count() == 2 && table.contains("港\\n|\\x1b[31mred"), "a name keeps to its line: {table}");
    let board = lab.ok(&["leaderboard", "--markdown"]);
    for (what, text) in [
        ("run show", shown),
        ("run list", table),
        ("leaderboard", board),
        ("snapshot", lab.ok(&[])),
        ("study show", lab.ok(&["study", "show", "nasty"])),
        ("run log", lab.ok(&["run", "log", id])),
        ("run show --json", lab.ok(&["run", "show", id, "--json"])),
    ] {
        assert_harmless(what, &text);
    }
    // What is for programs means what it meant.
    assert_eq!(lab.json(&["run", "list", "--json"])[0]["corpus"].as_str().map(|name| name.contains(NASTY)), Some(true));
}

#[test]
fn closed_and_full_streams_lose_words_and_no_command() {
    let lab = Lab::new();
    let study = lab.study("short", "[budget]\nsteps = 20");
    assert_eq!(code(&lab, &["study", "submit", &study, "--wait"], Stdio::null(), full()), Some(0));
    let id = lab.runs()[0].id().to_string();
    fs::write(lab.folder().join("typo.toml"), "name = 'typo'\n[training]\nlearning_rat = 1\n").unwrap();
    for stderr in [full, closed] {
        let with = |arguments: &[&str]| code(&lab, arguments, Stdio::null(), stderr());
        assert_eq!(with(&["run", "list"]), Some(0));
        assert_eq!(with(&["run", "show", "nothing"]), Some(1));
        assert_eq!(with(&["study", "check", "./typo.toml"]), Some(2));
        assert_eq!(with(&["frobnicate"]), Some(2));
        assert_eq!(with(&["run", "pause", &id]), Some(1));
        assert_eq!(with(&["eval", &id, "--tasks", "./missing.yaml"]), Some(1));
        assert_eq!(with(&["worker", "/nowhere"]), Some(1));
    }
    for arguments in
        [["run", "list"].as_slice(), &["run", "show", &id, "--json"], &["--help"], &["completions", "bash"]]
    {
        assert_eq!(code(&lab, arguments, closed(), closed()), Some(0), "{arguments:?}: a reader may leave");
        assert_eq!(code(&lab, arguments, full(), full()), Some(1), "{arguments:?}: what is lost is a failure");
        let mut command = lab.command(arguments);
        let mut child = command.stdout(full()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1));
        assert!(said.starts_with("trilab: could not write the output: ") && said.contains("No space"), "{said}");
    }
    // Closed before the program begins.
    let script = "exec \"$0\" \"$@\" >&- 2>&-";
    let list = lab.command(&["run", "list"]);
    let status =
        Command::new("sh").arg("-c").arg(script).arg(list.get_program()).args(list.get_args()).status().unwrap();
    assert_eq!(status.code(), Some(0));
}
