//! How the program behaves towards the terminal it is given.

use super::pty::Home;

#[test]
fn every_size_is_drawn_and_too_small_says_what_is_needed() {
    let home = Home::new();
    let mut terminal = home.open(80, 24);
    terminal.shows("no runs yet: a adds a study");
    for (columns, rows) in [(160, 45), (60, 16), (100, 30)] {
        terminal.resize(columns, rows);
        // The footer is on the last line of the new size, and the header on the first.
        terminal.until("the new size", |screen| {
            let lines: Vec<&str> = screen.lines().collect();
            lines.len() == usize::from(rows) && lines.last().is_some_and(|line| line.contains("q quit"))
        });
        assert!(terminal.lines().first().unwrap().contains("trilab"));
    }
    terminal.resize(59, 24);
    terminal.shows("trilab needs 60×16; this is 59×24");
    terminal.keys("wz2").shows("needs 60×16");
    terminal.resize(80, 24);
    // The terminal backend reads keys that came together with a new size only with the next key; this one means nothing.
    terminal.keys("w").shows("Legend");
    terminal.keys("q");
    let (code, said) = terminal.ended();
    assert_eq!(code, 0);
    assert!(said.contains("left the dashboard; `trilab` opens it again"), "{said}");
}

#[test]
fn what_was_chosen_is_remembered_and_exports_never_overwrite() {
    let home = Home::new();
    std::fs::write(home.path().join("trilab-lab-1.csv"), "mine").unwrap();
    let mut terminal = home.open(120, 40);
    terminal.shows("no runs yet");
    terminal.keys("e?").shows("Keys that work here");
    terminal.keys("\x1b").hides("Keys that work here");
    terminal.keys("c").shows("Columns");
    terminal.keys("j ").shows("[ ] size");
    terminal.keys("\x1b").hides("[ ] size");
    terminal.keys("4").shows("no results yet");
    terminal.keys("\x03");
    assert_eq!(terminal.ended().0, 0);
    let mut terminal = home.open(120, 40);
    terminal.shows("no results yet");
    terminal.keys("1c").shows("[ ] size");
    terminal.keys("\x03");
    assert_eq!(terminal.ended().0, 0);
    assert_eq!(std::fs::read_to_string(home.path().join("trilab-lab-1.csv")).unwrap(), "mine");
}
