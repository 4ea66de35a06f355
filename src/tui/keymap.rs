//! The one table of keys: (place, key) → action, with the words that help, palette and footer are made from.
//! Promises: every binding has a label and a help text, and no key means two things in one place (tested).
//! Must not know: what an action does.

use crossterm::event::KeyCode;

pub use super::action::{Action, Move, Place, Verb};
pub use super::key::Key;

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// Where it works.
    pub places: &'static [Place],
    /// Which keys; the first is the one shown.
    pub keys: &'static [Key],
    /// What it means.
    pub action: Action,
    /// One or two words for the footer.
    pub label: &'static str,
    /// A sentence for help and palette.
    pub help: &'static str,
}

const fn bind(
    places: &'static [Place],
    keys: &'static [Key],
    action: Action,
    label: &'static str,
    help: &'static str,
) -> Binding {
    Binding { places, keys, action, label, help }
}

use Place::{
    Answers, Chooser, Columns, Confirm, Curves, Detail, Filter, Form, Help, Lab, Leaderboard, Palette, Rank, Report,
    Review,
};

const EVERYWHERE: &[Place] = &Place::ALL;
const SCREENS: &[Place] = &[Lab, Curves, Rank, Leaderboard, Detail, Answers];
const LISTS: &[Place] = &[Lab, Leaderboard];
const RUNS: &[Place] = &[Lab, Leaderboard, Detail];
const MARKING: &[Place] = &[Lab, Curves, Leaderboard];
const MOVING: &[Place] = &[Lab, Curves, Rank, Leaderboard, Detail, Answers, Chooser, Review, Report, Columns];
const TYPING: &[Place] = &[Help, Palette, Form];
const UP: Key = Key::named(KeyCode::Up);
const DOWN: Key = Key::named(KeyCode::Down);
const LEFT: Key = Key::named(KeyCode::Left);
const RIGHT: Key = Key::named(KeyCode::Right);
const ENTER: Key = Key::named(KeyCode::Enter);
const ESC: Key = Key::named(KeyCode::Esc);
const TAB: Key = Key::named(KeyCode::Tab);
const BACK_TAB: Key = Key::named(KeyCode::BackTab);

/// All keys, in the order in which footer and help show them.
pub const BINDINGS: &[Binding] = &[
    bind(&[Lab, Leaderboard, Curves, Rank], &[ENTER], Action::Open, "open", "open the run or row under the cursor"),
    bind(&[Detail], &[ENTER], Action::Open, "answers", "read the answers to the task under the cursor"),
    bind(
        &[Answers],
        &[Key::char('w'), Key::char('f')],
        Action::OnlyWrong,
        "only wrong",
        "show only wrong answers, or all",
    ),
    bind(&[Chooser], &[ENTER], Action::Proceed, "choose", "review the chosen study, or compose one"),
    bind(&[Form], &[ENTER], Action::Proceed, "review", "see what the study would do before it is queued"),
    bind(&[Review], &[ENTER], Action::Proceed, "submit", "queue the study"),
    bind(&[Palette], &[ENTER], Action::Proceed, "run", "do what is under the cursor"),
    bind(&[Filter], &[ENTER], Action::Proceed, "apply", "keep the filter and go back to the list"),
    bind(&[Filter], &[TAB], Action::Complete, "complete", "complete the key or value before the cursor"),
    bind(&[Confirm], &[ENTER], Action::Proceed, "choose", "answer with the marked choice"),
    bind(&[Confirm], &[Key::char('y')], Action::Yes, "yes", "do it"),
    bind(&[Confirm], &[Key::char('n')], Action::No, "no", "leave everything as it is"),
    bind(&[Chooser, Review], &[Key::char('e')], Action::EditStudy, "edit", "change the study in the form"),
    bind(MARKING, &[Key::char(' ')], Action::Mark, "mark", "mark or unmark; verbs and curves use the marked runs"),
    bind(&[Form], &[Key::char(' ')], Action::Move(Move::Toggle), "toggle", "switch the choice under the cursor"),
    bind(&[Lab], &[TAB], Action::Move(Move::NextPane), "pane", "go to the next list"),
    bind(&[Detail, Rank], &[TAB], Action::Move(Move::NextPane), "pane", "go to the next pane"),
    bind(
        &[Answers],
        &[TAB, BACK_TAB],
        Action::Move(Move::NextPane),
        "list or item",
        "scroll the item, or go on in the list",
    ),
    bind(&[Form], &[TAB], Action::Move(Move::NextPane), "next field", "complete a path, or go to the next field"),
    bind(
        &[Lab, Detail, Rank, Form],
        &[BACK_TAB],
        Action::Move(Move::PreviousPane),
        "back a pane",
        "go to the previous list, pane or field",
    ),
    bind(
        &[Confirm],
        &[TAB, LEFT, RIGHT, BACK_TAB],
        Action::Move(Move::NextPane),
        "other choice",
        "mark the other answer",
    ),
    bind(
        &[Rank],
        &[Key::char('n')],
        Action::NextRun,
        "next run",
        "show the next run that has rank; the marked ones first",
    ),
    bind(&[Rank], &[Key::char('N')], Action::PreviousRun, "last run", "show the previous run that has rank"),
    bind(
        &[Rank],
        &[Key::char(']')],
        Action::NextMeasure,
        "measure",
        "next measure: of P after the mask, of the logits before",
    ),
    bind(&[Rank], &[Key::char('[')], Action::PreviousMeasure, "last measure", "show the previous measure"),
    bind(&[Rank], &[Key::char('v')], Action::NextAttention, "attention", "next attention: encoder, decoder, cross"),
    bind(SCREENS, &[Key::char('a')], Action::AddStudy, "add study", "queue a shipped study or compose one"),
    bind(&[Curves], &[Key::char(']'), Key::char('v')], Action::NextMetric, "metric", "show the next metric"),
    bind(&[Curves], &[Key::char('[')], Action::PreviousMetric, "last metric", "show the previous metric"),
    bind(&[Curves], &[Key::char('X')], Action::NextAxis, "x axis", "x axis: step, tokens, FLOPs, wall clock"),
    bind(&[Curves], &[Key::char('L')], Action::LogX, "log x", "logarithmic x axis on or off"),
    bind(&[Curves], &[Key::char('Y')], Action::LogY, "log y", "logarithmic y axis on or off"),
    bind(&[Curves], &[Key::char('s')], Action::SmoothMore, "smooth", "smooth more; the raw curve stays as faint dots"),
    bind(&[Curves], &[Key::char('S')], Action::SmoothLess, "smooth less", "smooth less"),
    bind(
        &[Curves],
        &[Key::char('b')],
        Action::FoldSeeds,
        "band",
        "fold seeds into their mean with a band from least to most",
    ),
    bind(&[Curves], &[Key::char('+'), Key::char('=')], Action::ZoomIn, "zoom", "zoom in around the cursor"),
    bind(&[Curves], &[Key::char('-')], Action::ZoomOut, "zoom out", "zoom out"),
    bind(&[Curves], &[Key::char('<'), Key::char(',')], Action::PanLeft, "pan left", "move the window left"),
    bind(&[Curves], &[Key::char('>'), Key::char('.')], Action::PanRight, "pan right", "move the window right"),
    bind(&[Curves], &[Key::char('0')], Action::ResetView, "whole", "show the whole curve, without a cursor"),
    bind(&[Curves, Leaderboard], &[TAB], Action::NextStudy, "study", "show the next study, or all"),
    bind(&[Curves, Leaderboard], &[BACK_TAB], Action::PreviousStudy, "last study", "show the previous study, or all"),
    bind(
        &[Leaderboard],
        &[Key::char('M')],
        Action::ToggleMatrix,
        "matrix",
        "matrix architecture × objective, or the table",
    ),
    bind(
        &[Leaderboard],
        &[Key::char('b')],
        Action::NextBudget,
        "budget",
        "make equal: nothing, parameters, FLOPs, tokens, time",
    ),
    bind(&[Leaderboard], &[Key::char('>'), Key::char(']')], Action::NextColumn, "column", "look at the next column"),
    bind(
        &[Leaderboard],
        &[Key::char('<'), Key::char('[')],
        Action::PreviousColumn,
        "last column",
        "look at the previous column",
    ),
    bind(
        &[Leaderboard],
        &[Key::char('s')],
        Action::NextSort,
        "sort",
        "sort by the next column, by cell, parameters or progress",
    ),
    bind(&[Leaderboard], &[Key::char('S')], Action::ReverseSort, "reverse", "turn the order round"),
    bind(
        RUNS,
        &[Key::char('p')],
        Action::Verb(Verb::PauseOrResume),
        "pause",
        "hold the runs at a checkpoint, or let them go on",
    ),
    bind(RUNS, &[Key::char('x')], Action::Verb(Verb::Stop), "stop", "stop the runs after a question; checkpoints stay"),
    bind(RUNS, &[Key::char('R')], Action::Verb(Verb::Retry), "retry", "queue failed, diverged or stopped runs again"),
    bind(
        RUNS,
        &[Key::char('+'), Key::char('=')],
        Action::Verb(Verb::Raise),
        "sooner +",
        "start these runs sooner than those of lower priority",
    ),
    bind(RUNS, &[Key::char('-')], Action::Verb(Verb::Lower), "later -", "lower the priority of these runs"),
    bind(&[Lab], &[Key::char('K')], Action::Verb(Verb::Sooner), "sooner", "move the queued run up by one place"),
    bind(&[Lab], &[Key::char('J')], Action::Verb(Verb::Later), "later", "move the queued run down by one place"),
    bind(
        &[Lab],
        &[Key::char('P')],
        Action::Verb(Verb::HoldQueue),
        "hold queue",
        "start nothing new, or start again; what runs goes on",
    ),
    bind(&[Lab], &[Key::char('f')], Action::Follow, "follow", "let the cursor follow the run that was heard of last"),
    bind(
        LISTS,
        &[Key::char('/')],
        Action::Filter,
        "filter",
        "show only matches: arch:CD status:failed loss<3 -seed:1 a|b",
    ),
    bind(LISTS, &[Key::char('n')], Action::NextMatch, "next", "go to the next marked run, or the next filter match"),
    bind(LISTS, &[Key::char('N')], Action::PreviousMatch, "previous", "go to the previous marked run or match"),
    bind(LISTS, &[Key::char('c')], Action::Columns, "columns", "choose the columns of the table"),
    bind(
        &[Columns],
        &[Key::char(' '), ENTER],
        Action::ToggleColumn,
        "show or hide",
        "show or hide the column under the cursor",
    ),
    bind(
        SCREENS,
        &[Key::char('e')],
        Action::Export,
        "export",
        "write what is on the screen as CSV into a new file here",
    ),
    bind(
        &[Lab, Detail, Rank],
        &[Key::char('z')],
        Action::ZoomPane,
        "zoom",
        "give the pane the whole screen, or take it back",
    ),
    bind(
        &[Lab, Leaderboard, Detail, Curves, Rank],
        &[Key::char('y')],
        Action::CopyId,
        "copy id",
        "copy the run's id to the clipboard (OSC 52)",
    ),
    bind(&[Answers], &[Key::char('y')], Action::CopyId, "copy", "copy the item to the clipboard (OSC 52)"),
    bind(MARKING, &[Key::char('u')], Action::ClearMarks, "unmark all", "remove all marks"),
    bind(MOVING, &[UP, Key::char('k')], Action::Move(Move::Up), "up", "one up"),
    bind(MOVING, &[DOWN, Key::char('j')], Action::Move(Move::Down), "down", "one down"),
    bind(TYPING, &[UP], Action::Move(Move::Up), "up", "one up"),
    bind(TYPING, &[DOWN], Action::Move(Move::Down), "down", "one down"),
    bind(&[Curves], &[LEFT, Key::char('h')], Action::Move(Move::Left), "cursor", "move the reading line left"),
    bind(&[Curves], &[RIGHT, Key::char('l')], Action::Move(Move::Right), "cursor right", "move the reading line right"),
    bind(&[Leaderboard], &[LEFT, Key::char('h')], Action::Move(Move::Left), "left", "show columns further left"),
    bind(&[Leaderboard], &[RIGHT, Key::char('l')], Action::Move(Move::Right), "right", "show columns further right"),
    bind(&[Rank], &[LEFT, Key::char('h')], Action::Move(Move::Left), "head", "one head to the left"),
    bind(&[Rank], &[RIGHT, Key::char('l')], Action::Move(Move::Right), "head", "one head to the right"),
    bind(&[Form], &[LEFT], Action::Move(Move::Left), "left", "previous choice, column of a grid, or letter of a text"),
    bind(&[Form], &[RIGHT], Action::Move(Move::Right), "right", "next choice, column of a grid, or letter of a text"),
    bind(
        MOVING,
        &[Key::char('g'), Key::named(KeyCode::Home)],
        Action::Move(Move::Top),
        "top",
        "go to the first row (gg works too)",
    ),
    bind(
        MOVING,
        &[Key::char('G'), Key::named(KeyCode::End)],
        Action::Move(Move::Bottom),
        "bottom",
        "go to the last row",
    ),
    bind(
        MOVING,
        &[Key::named(KeyCode::PageUp), Key::control('u')],
        Action::Move(Move::PageUp),
        "page up",
        "half a screen up",
    ),
    bind(
        MOVING,
        &[Key::named(KeyCode::PageDown), Key::control('d')],
        Action::Move(Move::PageDown),
        "page down",
        "half a screen down",
    ),
    bind(SCREENS, &[Key::char('1')], Action::ShowLab, "Lab", "screen: what runs, what is next, when it is done"),
    bind(SCREENS, &[Key::char('2')], Action::ShowCurves, "Curves", "screen: how the losses are going"),
    bind(SCREENS, &[Key::char('3')], Action::ShowRank, "Rank", "screen: is attention losing rank"),
    bind(
        SCREENS,
        &[Key::char('4')],
        Action::ShowLeaderboard,
        "Leaderboard",
        "screen: who wins, and is it more than noise",
    ),
    bind(SCREENS, &[Key::char('t')], Action::CycleTheme, "theme", "colours: dark, light, none"),
    bind(
        SCREENS,
        &[Key::char('m')],
        Action::ToggleMouse,
        "mouse",
        "capture the mouse, or leave it to the terminal for copying",
    ),
    bind(
        &[Detail, Answers, Rank, Chooser, Form, Review, Help, Palette, Confirm, Filter, Report, Columns],
        &[ESC],
        Action::Back,
        "back",
        "one level back",
    ),
    bind(MARKING, &[ESC], Action::Back, "clear", "clear the filter or the message"),
    bind(
        &[Lab, Curves, Rank, Leaderboard, Detail, Answers, Chooser, Review],
        &[Key::char('?')],
        Action::Help,
        "help",
        "the keys that work here",
    ),
    bind(SCREENS, &[Key::char(':')], Action::Palette, "palette", "search all actions and run one"),
    bind(SCREENS, &[Key::char('q')], Action::Detach, "quit", "leave the screen; runs go on"),
    bind(EVERYWHERE, &[Key::control('l')], Action::Redraw, "redraw", "draw the whole screen again"),
    bind(EVERYWHERE, &[Key::control('z')], Action::Suspend, "suspend", "go to the shell; fg comes back"),
    bind(EVERYWHERE, &[Key::control('c')], Action::Leave, "leave", "leave at once; runs go on"),
];

/// What `key` means in `place`.
#[must_use]
pub fn lookup(place: Place, key: Key) -> Option<Action> {
    BINDINGS.iter().find(|row| row.places.contains(&place) && row.keys.contains(&key)).map(|row| row.action)
}

/// The rows of one place.
pub fn rows(place: Place) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |row| row.places.contains(&place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_binding_says_what_it_does() {
        for row in BINDINGS {
            assert!(!row.label.is_empty() && !row.help.is_empty() && !row.keys.is_empty(), "{row:?}");
            assert!(!row.places.is_empty(), "{row:?}");
            assert!(row.help.chars().count() <= 62, "too long for 80 columns: {}", row.help);
        }
    }

    #[test]
    fn no_key_means_two_things_in_one_place() {
        for place in Place::ALL {
            let mut seen: Vec<(Key, Action)> = Vec::new();
            for row in rows(place) {
                for key in row.keys {
                    let clash = seen.iter().find(|(other, _)| other == key);
                    assert!(clash.is_none(), "{place:?}: {} is {:?} and {:?}", key.name(), clash, row.action);
                    seen.push((*key, row.action));
                }
            }
        }
    }

    #[test]
    fn ctrl_c_leaves_from_everywhere_and_esc_or_q_from_every_place() {
        for place in Place::ALL {
            assert_eq!(lookup(place, Key::control('c')), Some(Action::Leave));
            assert_eq!(lookup(place, ESC), Some(Action::Back), "{place:?}");
        }
    }
}
