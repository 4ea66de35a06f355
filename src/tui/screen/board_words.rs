//! What table and matrix of the leaderboard say in words: the title, the note on their marks, how many seeds are done, and
//! which numbers stand out. Must not know: where any of it stands.

use ratatui::style::{Modifier, Style};

use crate::core::board::{BoardCell, BoardColumn, ColumnKind, Footing, LeaderboardRow};
use crate::core::metric::Direction;
use crate::core::text_width::columns_of;
use crate::tui::app::App;
use crate::tui::board::{self, Order, Scrolled};
use crate::tui::board_acts;
use crate::tui::format;

/// From this width on there is room for everything.
pub const WIDE: u16 = 100;

/// Finished seeds of all.
#[must_use]
pub fn seeds(row: &LeaderboardRow) -> String {
    format!("{}/{}", row.counts.get("finished").copied().unwrap_or(0), row.runs.len())
}

/// The style of a cell: the first of its contest, and all that are tied with it, stand out, where one way is better.
#[must_use]
pub fn standing(app: &App, row: &LeaderboardRow, column: &BoardColumn) -> Style {
    let first = |cell: &BoardCell| cell.place == 1 && cell.footing != Footing::Untested;
    if column.direction != Direction::Neutral && row.cells.get(&column.key).is_some_and(first) {
        app.palette.title.add_modifier(Modifier::BOLD)
    } else {
        app.palette.text
    }
}

/// What is asked about the table: its title.
#[must_use]
pub fn title(app: &App) -> String {
    let whose = app.study.as_ref().map_or_else(|| "all studies".to_owned(), |study| format!("study {study}"));
    let budget = match &app.leaderboard {
        Some(table) if board_acts::is_current(app) => format::budget(table),
        Some(_) | None => format!("asking for {}", app.board.budget.title()),
    };
    let looked_at = app
        .leaderboard
        .as_ref()
        .zip(board_acts::looked_at(app))
        .map(|(table, column)| Scrolled::Value(column).heading(board::family_prefix(&table.columns)));
    let by = match (app.board.order, app.board.matrix, looked_at) {
        (_, true, Some(heading)) => format!(" · {heading}"),
        (Order::Column, false, Some(heading)) => format!(" · by {heading}"),
        (Order::Cell, false, _) => " · by cell".to_owned(),
        (Order::Parameters, false, _) => " · by parameters".to_owned(),
        (Order::Progress, false, _) => " · by progress".to_owned(),
        (_, _, None) => String::new(),
    };
    let reversed = if app.board.reversed && !app.board.matrix { ", reversed" } else { "" };
    let filtered = if app.filter.is_empty() { "" } else { " · filtered" };
    format!("Leaderboard  {whose} · {budget}{by}{reversed}{filtered}")
}

/// What the marks mean, in lines of `width`.
#[must_use]
pub fn note(app: &App, width: u16) -> Vec<String> {
    let columns = app.leaderboard.as_ref().map_or(&[][..], |table| &table.columns);
    let chance = columns.iter().any(|column| column.chance.is_some());
    let sentinel = columns.iter().any(|column| column.heading.contains("<X0>"));
    let later = columns.iter().any(|column| column.kind == ColumnKind::Later);
    let told = app.leaderboard.iter().flat_map(|table| &table.notices).map(|notice| (true, notice.as_str()));
    let wide = width >= WIDE;
    let parts = [
        (!chance, "± 95 % over seeds"),
        (chance, "± or [low,high] 95 % over seeds"),
        (wide, "bold: first or tied with it"),
        (true, "= tied by a paired test over seeds and items"),
        (true, "? too few seeds"),
        (chance, "* over two standard errors above chance"),
        (wide && sentinel, "<X0> asked behind a sentinel"),
        (later, "later: asked by trilab eval, in no mean"),
    ];
    // A part stays whole.
    let mut lines: Vec<String> = Vec::new();
    for (_, part) in parts.into_iter().chain(told).filter(|(said, _)| *said) {
        match lines.last_mut() {
            Some(line) if columns_of(line) + columns_of(part) + 3 <= usize::from(width.saturating_sub(2)) => {
                line.push_str(" · ");
                line.push_str(part);
            }
            Some(_) | None => lines.push(part.to_owned()),
        }
    }
    lines
}
