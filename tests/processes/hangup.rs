//! The end of a terminal is the end of a dashboard and of nothing else.

use rustix::process::Signal;

use super::lab::Lab;
use super::records::steps_logged;
use super::terminal::Terminal;

const LEAVE_ALTERNATE_SCREEN: &[u8] = b"\x1b[?1049l";
const SHOW_CURSOR: &[u8] = b"\x1b[?25h";

fn position(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).rposition(|window| window == what)
}

#[test]
fn a_hangup_ends_the_dashboard_and_neither_server_nor_runs() {
    let lab = Lab::new();
    let terminal = Terminal::open(&lab);
    // The dashboard itself has started the server.
    lab.wait_until("a server", || lab.server().is_some());
    let study = lab.study("walk", "[grid]\nseed = [1, 2]\n[budget]\nsteps = 100000");
    lab.ok(&["study", "submit", &study]);
    terminal.wait_for("CD:FLM");
    lab.wait_until("steps", || lab.runs().iter().any(|run| steps_logged(run, 1) > 5));
    let server = lab.server().unwrap();
    let dashboard = terminal.process().unwrap();
    terminal.hang_up();
    assert!(dashboard.is_gone());
    assert!(!server.is_gone(), "the server lives");
    let then: Vec<u64> = lab.runs().iter().map(|run| steps_logged(run, 1)).collect();
    lab.wait_until("steps of both runs", || {
        lab.runs().iter().zip(&then).all(|(run, then)| steps_logged(run, 1) > *then)
    });
    lab.ok(&["run", "stop", "--all"]);
    lab.wait_until("their end", || lab.runs().iter().all(|run| lab.status(run.id()) == "stopped"));
    assert_eq!(lab.server().unwrap().pid, server.pid, "still the same server");
    for run in lab.runs() {
        assert_eq!(run.attempts().unwrap(), [1], "never interrupted");
    }
}

#[test]
fn a_terminated_dashboard_gives_the_terminal_back() {
    let lab = Lab::new();
    lab.ok(&["server", "start"]);
    let mut terminal = Terminal::open(&lab);
    terminal.wait_until("the alternate screen", || position(&terminal.bytes(), b"\x1b[?1049h").is_some());
    terminal.wait_until("a screen", || !terminal.screen().trim().is_empty());
    assert!(!terminal.is_as_before(), "a dashboard takes keys as they come");
    assert!(terminal.process().unwrap().signal(Signal::TERM));
    assert!(terminal.ended().success());
    terminal.wait_until("the last bytes", || {
        let bytes = terminal.bytes();
        let left = position(&bytes, LEAVE_ALTERNATE_SCREEN);
        left.is_some() && position(&bytes, SHOW_CURSOR) > position(&bytes, b"\x1b[?25l") && {
            // Nothing is drawn over the shell's screen afterwards, only the parting words.
            let rest = String::from_utf8_lossy(&bytes[left.unwrap()..]).into_owned();
            rest.contains("left the dashboard")
        }
    });
    assert!(terminal.is_as_before(), "echo and lines are back");
    assert!(lab.server().is_some(), "the server stays");
}
