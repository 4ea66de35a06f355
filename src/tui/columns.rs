//! The column chooser: which columns of a table may be left out, and which are.
//! Promises: what tells rows apart always stays; the choice is remembered. Must not know: widths, keys.

use std::collections::BTreeSet;

use super::app::{App, Overlay};
use super::msg::Tab;
use super::screen::{lab, leaderboard};

/// Headings that are always there: state, rank and cell.
const ALWAYS: [&str; 3] = ["", "#", "cell"];

/// The columns of a screen that can be hidden, in the order of its tables, each once.
#[must_use]
pub fn choices(tab: Tab) -> Vec<&'static str> {
    let all = match tab {
        Tab::Lab => lab::headings(),
        Tab::Leaderboard => leaderboard::headings(),
        Tab::Curves | Tab::Rank => Vec::new(),
    };
    let mut seen = BTreeSet::new();
    all.into_iter().filter(|heading| !ALWAYS.contains(heading) && seen.insert(*heading)).collect()
}

/// The hidden columns of a screen.
#[must_use]
pub const fn hidden(app: &App, tab: Tab) -> &BTreeSet<String> {
    match tab {
        Tab::Lab | Tab::Curves | Tab::Rank => &app.remembered.hidden_lab,
        Tab::Leaderboard => &app.remembered.hidden_leaderboard,
    }
}

/// Show or hide the column under the chooser's cursor.
pub(super) fn toggle(app: &mut App) {
    let Some(Overlay::Columns { tab, cursor }) = &app.overlay else { return };
    let Some(heading) = choices(*tab).get(*cursor).copied() else { return };
    let hidden = match tab {
        Tab::Lab | Tab::Curves | Tab::Rank => &mut app.remembered.hidden_lab,
        Tab::Leaderboard => &mut app.remembered.hidden_leaderboard,
    };
    if !hidden.remove(heading) {
        hidden.insert(heading.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_is_there_once_and_cells_stay() {
        for tab in [Tab::Lab, Tab::Leaderboard] {
            let choices = choices(tab);
            let once: BTreeSet<_> = choices.iter().collect();
            assert_eq!(once.len(), choices.len(), "{choices:?}");
            assert!(choices.contains(&"loss") && !choices.contains(&"cell"), "{choices:?}");
        }
    }
}
