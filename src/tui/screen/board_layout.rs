//! How the table of the Leaderboard lies: which columns are shown, how wide each is, what all sizes have in common.
//! Promises: a column is shown whole or not at all, and the one that is looked at is always there; sizes give way first, then
//! names of cells; no width depends on which rows are visible. Must not know: colours.

use std::collections::BTreeSet;

use super::board_words::{WIDE, seeds};
use super::sizes::{own_words, shared_words};
use crate::core::board::{BoardColumn, ColumnKind, Leaderboard, LeaderboardRow};
use crate::core::summary::RunSummary;
use crate::core::text_width::columns_of;
use crate::core::{Metric, RunId};
use crate::tui::app::App;
use crate::tui::board::{self, GAP, Order, SIZE, Scrolled};
use crate::tui::board_acts;
use crate::tui::format;
use crate::tui::table::shorten;

/// Where the table is scrolled to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scroll {
    /// The first column that is shown.
    pub first: usize,
    /// The first column from which the last one is seen.
    pub furthest: usize,
    /// The columns shown.
    pub shown: Vec<usize>,
    /// The column that is looked at.
    pub pinned: Option<usize>,
}

/// How the table lies: widths are those of all rows, so that scrolling moves nothing.
pub(super) struct Layout<'a> {
    pub(super) columns: Vec<Scrolled<'a>>,
    pub(super) headings: Vec<String>,
    pub(super) widths: Vec<usize>,
    /// Widths of mean, interval and star.
    pub(super) parts: Vec<[usize; 3]>,
    /// Widths of place, cell, size and seeds; no size where it has no column of its own.
    pub(super) fixed: (usize, usize, Option<usize>, usize),
    /// The words that all sizes share, where the rows leave them out.
    pub(super) shared: Vec<&'a str>,
    pub(super) scroll: Scroll,
}

impl Layout<'_> {
    /// What tells the size of a row from those of the others.
    pub(super) fn own_size(&self, size: &str) -> String {
        own_words(size, &self.shared)
    }
}

/// Width of the marks before a row.
pub(super) const MARKS: usize = 2;
/// Longest size that is shown whole where there is room for everything.
const LONGEST_SIZE: usize = 24;
/// Columns that are shown beside the one that is looked at before a size is longer than that.
const BESIDE: usize = 4;
/// Narrower columns say nothing of a size.
const SHORTEST_SIZE: usize = 6;
/// Longest corpus name that is shown whole.
const LONGEST_CORPUS: usize = 24;

pub(super) fn layout<'a>(app: &'a App, table: &'a Leaderboard, rows: &[&'a LeaderboardRow]) -> Layout<'a> {
    let hidden = &app.remembered.hidden_leaderboard;
    let prefix = board::family_prefix(&table.columns);
    let columns = board::scrolled(table, hidden);
    let looked_at = board_acts::looked_at(app).map(|column| column.key.as_str());
    let pinned = columns.iter().position(|column| Some(column.key()) == looked_at);
    let heading = |(at, column): (usize, &Scrolled)| {
        let mark = match (pinned == Some(at), app.board.order, app.board.reversed) {
            (false, _, _) => "",
            (true, Order::Column, false) => "▾",
            (true, Order::Column, true) => "▴",
            (true, Order::Cell | Order::Parameters | Order::Progress, _) => "#",
        };
        format!("{mark}{}", column.heading(prefix))
    };
    let headings: Vec<String> = columns.iter().enumerate().map(heading).collect();
    let parts: Vec<[usize; 3]> = columns.iter().map(|column| parts(app, column, rows)).collect();
    // A place for the mark, so that looking at a column does not widen it.
    let width = |(heading, parts): (&String, &[usize; 3])| {
        let heading = columns_of(heading.trim_start_matches(['▾', '▴', '#'])) + 1;
        heading.max(parts.iter().sum())
    };
    let widths: Vec<usize> = headings.iter().zip(&parts).map(width).collect();
    let widest = |texts: &mut dyn Iterator<Item = usize>, least: usize| texts.max().unwrap_or(0).max(least);
    let sizes: BTreeSet<&str> = rows.iter().map(|row| row.size.as_str()).collect();
    let longest = sizes.iter().map(|size| columns_of(size)).max().unwrap_or(0);
    let spare = app.size.0 < WIDE || longest > LONGEST_SIZE;
    let shared = if spare && !hidden.contains(SIZE) { shared_words(&sizes) } else { Vec::new() };
    let own = widest(&mut sizes.iter().map(|size| columns_of(&own_words(size, &shared))), 0);
    let place = widest(&mut rows.iter().map(|row| columns_of(&place(app, row))), 1);
    let cell = widest(&mut rows.iter().map(|row| columns_of(&row.cell())), CHANCE.len());
    let seeds = widest(&mut rows.iter().map(|row| columns_of(&seeds(row))), "finished".len());
    // The column that is looked at is there in any case.
    let all = usize::from(app.size.0.saturating_sub(2));
    let least = widths.get(pinned.unwrap_or(0)).map_or(0, |width| width + GAP);
    let left = all.saturating_sub(MARKS + place + seeds + 3 * GAP + least);
    let cell = cell.min(left.saturating_sub(GAP));
    let left = left.saturating_sub(cell + GAP);
    let room_for_size = left.saturating_sub(GAP);
    let with_size = own > 0 && !hidden.contains(SIZE) && room_for_size >= own.clamp(SIZE.len(), SHORTEST_SIZE);
    // Beyond what most sizes take, columns go first.
    let others: usize = widths.iter().take(BESIDE).map(|width| width + GAP).sum();
    let widest_size = room_for_size.saturating_sub(others).max(LONGEST_SIZE.min(room_for_size));
    let size = with_size.then(|| own.max(SIZE.len()).min(widest_size));
    let fixed = (place, cell, size, seeds);
    let taken = [MARKS, place, cell, seeds].iter().map(|width| width + GAP).sum::<usize>();
    let room = all.saturating_sub(taken + size.map_or(0, |width| width + GAP));
    let furthest = board::furthest(&widths, pinned, room);
    let first = app.board.first.min(furthest);
    let shown = board::window(&widths, first, pinned, room);
    Layout { columns, headings, widths, parts, fixed, shared, scroll: Scroll { first, furthest, shown, pinned } }
}

pub(super) const CHANCE: &str = "chance";

/// Where the table is scrolled to; `None` without a table.
#[must_use]
pub fn scroll(app: &App) -> Option<Scroll> {
    let rows = board_acts::rows(app);
    Some(layout(app, app.leaderboard.as_ref()?, &rows).scroll)
}

/// Widths of mean, interval and star over all rows and the chance level.
fn parts(app: &App, column: &Scrolled, rows: &[&LeaderboardRow]) -> [usize; 3] {
    let mut widest = [1, 0, 0];
    let mut take = |texts: [String; 3]| {
        for (width, text) in widest.iter_mut().zip(texts) {
            *width = (*width).max(columns_of(&text));
        }
    };
    for row in rows {
        match column {
            Scrolled::Value(column) => {
                if let Some(cell) = row.cells.get(&column.key) {
                    take(format::board_cell(column, cell));
                }
                let opened: &[RunId] = if app.board.opened.contains(&row.lineage) { &row.runs } else { &[] };
                for run in opened.iter().filter_map(|run| app.run(run)) {
                    take([run_value(app, column, (row, run)), String::new(), String::new()]);
                }
            }
            Scrolled::Parameters | Scrolled::Done | Scrolled::LearningRate | Scrolled::Corpus => {
                take([plain_text(column, row), String::new(), String::new()]);
            }
        }
    }
    if let Scrolled::Value(column) = column
        && let Some(chance) = column.chance
    {
        take([format::board_value(column, chance), String::new(), String::new()]);
    }
    widest
}

pub(super) fn plain_text(column: &Scrolled, row: &LeaderboardRow) -> String {
    match column {
        Scrolled::Value(_) => String::new(),
        Scrolled::Parameters => format::count(row.parameters as f64),
        Scrolled::Done => format::percent(row.progress),
        Scrolled::LearningRate => format::learning_rate(row.learning_rate),
        Scrolled::Corpus => shorten(&row.corpus, LONGEST_CORPUS),
    }
}

/// The place of a row in the column that is looked at.
pub(super) fn place(app: &App, row: &LeaderboardRow) -> String {
    let cell = board_acts::looked_at(app).and_then(|column| row.cells.get(&column.key));
    cell.map_or_else(|| "-".to_owned(), crate::core::board::BoardCell::place_text)
}

/// The newest value of a run where a column holds one metric; scores of tasks are on the page of the run.
pub(super) fn run_value(app: &App, column: &BoardColumn, (row, run): (&LeaderboardRow, &RunSummary)) -> String {
    let metric = match column.kind {
        ColumnKind::Metric => Metric::from_name(&column.key),
        ColumnKind::OwnLoss => row.cells.contains_key(&column.key).then_some(Metric::ValidationLoss),
        ColumnKind::ZeroShot | ColumnKind::Family | ColumnKind::Later => None,
    };
    // What a run has now is not what it had at a common budget.
    let cut = app.leaderboard.as_ref().is_some_and(|table| table.budget_at.is_some());
    let value = metric.filter(|_| !cut).and_then(|metric| run.latest.get(&metric));
    value.map(|value| format::board_value(column, *value)).unwrap_or_default()
}
