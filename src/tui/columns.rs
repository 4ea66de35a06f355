//! The column chooser: which columns of a table may be left out, and which are.
//! Promises: what tells rows apart always stays; the choice is remembered. Must not know: widths, keys.

use std::collections::BTreeSet;

use super::app::{App, Overlay};
use super::board;
use super::msg::Tab;
use super::screen::lab;

/// Headings that are always there: state and cell.
const ALWAYS: [&str; 2] = ["", "cell"];

/// A column that can be hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What it is remembered by.
    pub key: String,
    /// What stands over it.
    pub heading: String,
}

/// The columns of a screen that can be hidden, in the order of its tables, each once.
#[must_use]
pub fn choices(app: &App, tab: Tab) -> Vec<Choice> {
    match tab {
        Tab::Lab => {
            let mut seen = BTreeSet::new();
            let choice = |heading: &str| Choice { key: heading.to_owned(), heading: heading.to_owned() };
            let own = lab::headings().into_iter().filter(|heading| !ALWAYS.contains(heading) && seen.insert(*heading));
            own.map(choice).collect()
        }
        Tab::Leaderboard => {
            let size = Choice { key: board::SIZE.to_owned(), heading: board::SIZE.to_owned() };
            let none = BTreeSet::new();
            let columns = app.leaderboard.as_ref().map_or_else(Vec::new, |table| {
                let prefix = board::family_prefix(&table.columns);
                let choice =
                    |column: &board::Scrolled| Choice { key: column.key().to_owned(), heading: column.heading(prefix) };
                board::scrolled(table, &none).iter().map(choice).collect()
            });
            std::iter::once(size).chain(columns).collect()
        }
        Tab::Curves | Tab::Rank => Vec::new(),
    }
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
    let Some(Overlay::Columns { tab, cursor }) = app.overlay else { return };
    let Some(Choice { key, .. }) = choices(app, tab).into_iter().nth(cursor) else { return };
    let hidden = match tab {
        Tab::Lab | Tab::Curves | Tab::Rank => &mut app.remembered.hidden_lab,
        Tab::Leaderboard => &mut app.remembered.hidden_leaderboard,
    };
    if !hidden.remove(&key) {
        hidden.insert(key);
    }
}
