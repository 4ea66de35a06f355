//! The whole way: an empty home, a grid, the queue in the hand, curves that grow, detach, come back, the end.

use super::composing;
use super::figures;
use super::pty::{Home, Terminal};

/// Of a run of the grid: no more than its warmup, and enough for figures of every kind.
const STEPS: u64 = 20;
/// Of the run that is paused, watched and stopped: it never comes to its end, on no machine.
const ENDLESS: u64 = 1_000_000;

/// Empties the filter; Esc would take away a message first, if one stands there.
pub(crate) const NO_FILTER: &str = "/\x15\r";

/// `cell seed` of the queued runs, in the order of the screen.
fn queue(screen: &str) -> Vec<String> {
    let rows = screen.lines().filter(|line| line.contains(" queued "));
    let names = rows.map(|line| line.split_whitespace().skip(2).take(2).collect::<Vec<_>>().join(" "));
    names.filter(|name| name.contains(':')).collect()
}

fn until_queue(terminal: &mut Terminal, wanted: &[String]) {
    terminal.until(&format!("the queue to be {wanted:?}"), |screen| queue(screen) == wanted);
}

/// The last step that is drawn: where the reading line stands when it comes in from the right.
fn last_drawn(terminal: &mut Terminal) -> f64 {
    terminal.keys("0").shows("read values");
    let screen = terminal.keys("l").shows("line at step");
    let text = screen.split("line at step ").nth(1).unwrap_or_default();
    let word = text.split_whitespace().next().unwrap_or_default();
    let (digits, unit) = word.strip_suffix('k').map_or((word, 1.0), |digits| (digits, 1e3));
    digits.parse::<f64>().unwrap_or_else(|_| panic!("no step:\n{screen}")) * unit
}

#[test]
fn a_grid_from_an_empty_home_to_the_last_figure() {
    let home = Home::new();
    let mut terminal = home.open(100, 40);
    terminal.shows("no runs yet: a adds a study");
    composing::one(&mut terminal, ENDLESS);
    terminal.shows("Running 1");
    terminal.keys("P").shows("Queue, held");
    composing::grid(&mut terminal, STEPS);

    // The order of the queue is the order of the screen.
    let screen = terminal.until("eight queued runs", |screen| queue(screen).len() == 8);
    terminal.keys("g\t");
    let before = queue(&screen);
    let mut swapped = before.clone();
    swapped.swap(0, 1);
    terminal.keys("J");
    until_queue(&mut terminal, &swapped);
    terminal.keys("K");
    until_queue(&mut terminal, &before);
    let mut raised = before.clone();
    raised.rotate_right(1);
    terminal.keys("jjjjjjj+");
    until_queue(&mut terminal, &raised);
    terminal.keys("-").hides(" +1 ");

    // A queued run can be left out and taken in again.
    terminal.keys("p").until("seven queued runs", |screen| queue(screen).len() == 7);
    assert_eq!(home.runs("paused").len(), 1);
    terminal.keys("p").until("eight queued runs", |screen| queue(screen).len() == 8);

    // Keys that mean nothing here change nothing.
    let kept = queue(&terminal.text());
    terminal.keys("wWoO%&]}4").shows("Leaderboard  all studies");
    terminal.keys("1").shows("Coverage");
    until_queue(&mut terminal, &kept);

    // A running run makes a checkpoint and waits.
    terminal.keys("gp").shows("nothing trains now");
    assert_eq!(home.runs("paused").len(), 1);

    // It goes on before those that never started, as soon as the queue does. What is behind them stays where it is.
    terminal.keys("/status:paused\r").shows("Queue, held 1 (filtered)");
    terminal.keys("gp").hides("Queue, held 1 (filtered)");
    assert_eq!(home.runs("paused").len(), 0);
    terminal.keys(NO_FILTER).shows("Queue, held 9");
    terminal.keys("P").hides("Queue, held");
    terminal.shows("Running 2");
    terminal.keys("P").shows("Queue, held");

    // A curve grows.
    terminal.keys("2").shows("smoothed 10");
    let first = last_drawn(&mut terminal);
    let grew = (0..200).any(|_| {
        let was = terminal.text();
        terminal.until("something new on the screen", |screen| screen != was);
        last_drawn(&mut terminal) > first
    });
    assert!(grew, "the curve stays at step {first}");

    // Leaving leaves the runs alone.
    terminal.keys("q");
    let (code, said) = terminal.ended();
    assert_eq!(code, 0);
    assert!(said.contains("more in the queue; `trilab` opens it again"), "{said}");

    // Back again: the same screen, the same runs, to the end.
    let mut terminal = home.open(160, 45);
    terminal.shows("smoothed 10");
    terminal.keys("1").shows("Coverage");
    terminal.keys("P").hides("Queue, held");
    terminal.keys("/obj:FLM\r").shows("Running 1 (filtered)");
    terminal.keys("gxy").shows("Ended 1 (filtered)");
    terminal.keys(NO_FILTER).shows("Ended 9");
    assert_eq!((home.runs("finished").len(), home.runs("stopped").len()), (8, 1));
    figures::agree(&home, &mut terminal);
    terminal.keys("\x03");
    assert_eq!(terminal.ended().0, 0, "Ctrl-C leaves");
}
