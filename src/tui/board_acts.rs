//! What keys do on the Leaderboard: the cursors of table and matrix, the column that is looked at, the budget. Pure.
//! Promises: the column that is looked at is on the screen; table and matrix stand on the same lineage when one gives way
//! to the other. Must not know: which key it was, colours.

use crate::core::board::{BoardColumn, EqualBudget, LeaderboardRow};
use crate::core::{Architecture, RunId};

use super::app::App;
use super::board::{self, Entry, Order, RowKey, Spot};
use super::cells::{self, Cells};
use super::screen::board_layout::scroll;

/// The rows that are shown, in order.
#[must_use]
pub fn rows(app: &App) -> Vec<&LeaderboardRow> {
    let hidden = &app.remembered.hidden_leaderboard;
    app.leaderboard.as_ref().map_or_else(Vec::new, |table| board::rows(table, &app.board, hidden, &app.filter))
}

/// Rows and columns of the matrix of `rows`.
#[must_use]
pub fn cells(rows: &[&LeaderboardRow]) -> Cells {
    let rows = rows.iter().filter(|row| board::in_matrix(row));
    cells::shown(rows.map(|row| (row.architecture, row.objective)))
}

/// The lines of the table, in order.
#[must_use]
pub fn entries(app: &App) -> Vec<Entry<'_>> {
    board::entries(rows(app), &app.board)
}

/// The column that is looked at.
#[must_use]
pub fn looked_at(app: &App) -> Option<&BoardColumn> {
    board::looked_at(app.leaderboard.as_ref()?, &app.board, &app.remembered.hidden_leaderboard)
}

/// The place of the cursor in `entries`. The cursor on a run of a closed lineage is on the lineage.
#[must_use]
pub fn place(app: &App, entries: &[Entry]) -> Option<usize> {
    let at = |key: &RowKey| {
        let exact = entries.iter().position(|entry| entry.key() == *key);
        exact.or_else(|| match key {
            RowKey::Run(run) => entries.iter().position(|entry| entry.lineage().runs.contains(run)),
            RowKey::Lineage(_) => None,
        })
    };
    app.board.cursor.as_ref().and_then(at).or_else(|| (!entries.is_empty()).then_some(0))
}

/// Whether the table on the screen is the one that was asked for.
#[must_use]
pub fn is_current(app: &App) -> bool {
    let asked = |table: &crate::core::board::Leaderboard| table.study == app.study && table.budget == app.board.budget;
    app.leaderboard.as_ref().is_some_and(asked)
}

/// The spot of the matrix under the cursor: where it was put, or the cell of the row that the table's cursor is on.
#[must_use]
pub fn spot(app: &App) -> Option<Spot> {
    let rows = rows(app);
    let cells = cells(&rows);
    let shown = |spot: &Spot| cells.row(spot.architecture).is_some() && cells.column(spot.objective).is_some();
    let there = |spot: &&Spot| shown(spot) && rows.iter().any(|row| row.contest == spot.contest);
    app.board.spot.as_ref().filter(there).cloned().or_else(|| {
        let entries = entries(app);
        place(app, &entries).and_then(|at| entries.get(at)).map(|entry| spot_of(entry.lineage()))
    })
}

fn spot_of(row: &LeaderboardRow) -> Spot {
    Spot { contest: row.contest.clone(), architecture: row.architecture, objective: row.objective }
}

/// The best lineage at a spot of the matrix.
#[must_use]
pub fn best_at<'a>(app: &'a App, spot: &Spot) -> Option<&'a LeaderboardRow> {
    let own: Vec<&LeaderboardRow> = rows(app).into_iter().filter(|row| row.contest == spot.contest).collect();
    board::in_cell(&own, (spot.architecture, spot.objective), looked_at(app)).first().copied()
}

/// The runs under the cursor.
#[must_use]
pub fn under_cursor(app: &App) -> Vec<RunId> {
    if app.board.matrix {
        return spot(app).and_then(|spot| best_at(app, &spot)).map_or_else(Vec::new, |row| row.runs.clone());
    }
    let entries = entries(app);
    place(app, &entries).and_then(|at| entries.get(at)).map_or_else(Vec::new, Entry::runs)
}

/// Up or down by `by` lines, or cells of the matrix.
pub(super) fn step(app: &mut App, by: i64) {
    if app.board.matrix {
        return step_matrix(app, by);
    }
    let entries = entries(app);
    let last = entries.len().saturating_sub(1) as i64;
    let at = (place(app, &entries).unwrap_or(0) as i64).saturating_add(by).clamp(0, last);
    let key = usize::try_from(at).ok().and_then(|at| entries.get(at)).map(Entry::key);
    app.board.cursor = key;
}

fn step_matrix(app: &mut App, by: i64) {
    let Some(spot) = spot(app) else { return };
    let rows = rows(app);
    let cells = cells(&rows);
    let of_contest =
        |contest: &str| cells.architectures.iter().map(|row| (contest.to_owned(), *row)).collect::<Vec<_>>();
    let lines: Vec<(String, Architecture)> =
        board::contests(&rows).into_iter().flat_map(|(contest, _)| of_contest(contest)).collect();
    let now = lines.iter().position(|(contest, row)| *contest == spot.contest && *row == spot.architecture);
    let last = lines.len().saturating_sub(1) as i64;
    let at = (now.unwrap_or(0) as i64).saturating_add(by).clamp(0, last);
    if let Some((contest, architecture)) = usize::try_from(at).ok().and_then(|at| lines.into_iter().nth(at)) {
        put(app, Spot { contest, architecture, objective: spot.objective });
    }
}

/// Put the cursor of the matrix on a spot, and that of the table on its lineage.
pub(super) fn put(app: &mut App, spot: Spot) {
    if let Some(lineage) = best_at(app, &spot).map(|row| row.lineage.clone()) {
        app.board.cursor = Some(RowKey::Lineage(lineage));
    }
    app.board.spot = Some(spot);
}

/// Left or right: through the cells of the matrix, or the columns of the table.
pub(super) fn sideways(app: &mut App, forward: bool) {
    if app.board.matrix {
        let Some(spot) = spot(app) else { return };
        let cells = cells(&rows(app));
        let at = cells.column(spot.objective).unwrap_or(0);
        let to = if forward { at + 1 } else { at.saturating_sub(1) };
        if let Some(objective) = cells.objectives.get(to) {
            put(app, Spot { objective: *objective, ..spot });
        }
        return;
    }
    if let Some(scroll) = scroll(app) {
        app.board.first =
            if forward { (scroll.first + 1).min(scroll.furthest) } else { scroll.first.saturating_sub(1) };
    }
}

/// Look at the next or previous column that is shown, and sort by it.
pub(super) fn turn_column(app: &mut App, forward: bool) {
    let keys = column_keys(app);
    let Some(now) = position(app, &keys) else { return };
    let count = keys.len();
    let to = (if forward { now + 1 } else { now + count - 1 }) % count;
    app.board.order = Order::Column;
    app.board.column = keys.into_iter().nth(to);
    reveal(app);
}

/// Sort by the next column; after the last by cell, parameters, progress, and then by the first again.
pub(super) fn next_sort(app: &mut App) {
    let keys = column_keys(app);
    let now = position(app, &keys);
    let (order, column) = match (app.board.order, now) {
        (Order::Column, Some(at)) if at + 1 < keys.len() => (Order::Column, keys.into_iter().nth(at + 1)),
        (Order::Column, _) => (Order::Cell, app.board.column.clone()),
        (Order::Cell, _) => (Order::Parameters, app.board.column.clone()),
        (Order::Parameters, _) => (Order::Progress, app.board.column.clone()),
        (Order::Progress, _) => (Order::Column, keys.into_iter().next()),
    };
    app.board.order = order;
    app.board.column = column;
    reveal(app);
}

fn column_keys(app: &App) -> Vec<String> {
    let hidden = &app.remembered.hidden_leaderboard;
    let columns = app.leaderboard.iter().flat_map(|table| &table.columns);
    columns.map(|column| column.key.clone()).filter(|key| !hidden.contains(key)).collect()
}

fn position(app: &App, keys: &[String]) -> Option<usize> {
    let looked_at = looked_at(app)?;
    keys.iter().position(|key| *key == looked_at.key)
}

/// Scroll until the column that is looked at stands among its neighbours.
fn reveal(app: &mut App) {
    while let Some(scroll) = scroll(app) {
        let Some(at) = scroll.pinned else { return };
        if at < scroll.first {
            app.board.first = at;
            return;
        }
        // Beyond the right edge it stands alone beside columns that are not its neighbours.
        let apart = scroll.shown.iter().rev().nth(1).is_some_and(|before| before + 1 < at);
        if !apart || scroll.shown.last() != Some(&at) || scroll.first >= scroll.furthest {
            return;
        }
        app.board.first = scroll.first + 1;
    }
}

/// Make something else equal.
pub(super) fn next_budget(app: &mut App) {
    let at = EqualBudget::ALL.iter().position(|budget| *budget == app.board.budget).unwrap_or(0);
    app.board.budget = EqualBudget::ALL.into_iter().cycle().nth(at + 1).unwrap_or_default();
}

/// Matrix or table.
pub(super) fn toggle_matrix(app: &mut App) {
    if !app.board.matrix {
        app.board.spot = None;
        app.board.spot = spot(app);
    }
    app.board.matrix = !app.board.matrix;
}

/// Open or close the lineage under the cursor, in the table; true unless the cursor is on a run, which opens itself.
pub(super) fn open(app: &mut App) -> bool {
    let key = if app.board.matrix {
        spot(app).and_then(|spot| best_at(app, &spot)).map(|row| RowKey::Lineage(row.lineage.clone()))
    } else {
        let entries = entries(app);
        place(app, &entries).and_then(|at| entries.get(at)).map(Entry::key)
    };
    let Some(RowKey::Lineage(lineage)) = key else { return app.board.matrix };
    let from_matrix = std::mem::take(&mut app.board.matrix);
    if from_matrix || !app.board.opened.remove(&lineage) {
        app.board.opened.insert(lineage.clone());
    }
    app.board.cursor = Some(RowKey::Lineage(lineage));
    true
}
