//! The leaderboard as text, Markdown and CSV: one row a lineage, a line of chance levels, places with ties.

use super::figures::{count, duration};
use super::table::{Align, Table};
use crate::core::board::{BoardCell, BoardColumn, ColumnKind, EqualBudget, Leaderboard, LeaderboardRow};

/// As a person reads it: places in the column `sort` (default: the first), intervals, chance, notes.
#[must_use]
pub fn text(board: &Leaderboard, sort: Option<&str>) -> String {
    format!("{}{}", table(board, sort).text(), notes(board).join("\n"))
}

/// The same for a document.
#[must_use]
pub fn markdown(board: &Leaderboard, sort: Option<&str>) -> String {
    format!("{}\n{}", table(board, sort).markdown(), notes(board).join("  \n"))
}

/// Every number with all its digits, for programs: mean, interval (its half width where it has one, and its ends), standard error
/// and place of each column.
#[must_use]
pub fn csv(board: &Leaderboard) -> String {
    let mut headings = vec!["cell", "size", "corpus", "seeds", "finished", "parameters", "progress", "learning_rate"]
        .into_iter()
        .map(ToOwned::to_owned)
        .collect::<Vec<_>>();
    for column in &board.columns {
        headings.extend(
            ["", " half_width", " low", " high", " stderr", " place"].map(|part| format!("{}{part}", column.key)),
        );
    }
    let headings: Vec<(&str, Align)> = headings.iter().map(|heading| (heading.as_str(), Align::Left)).collect();
    let mut table = Table::new(&headings);
    for row in &board.rows {
        let mut cells = vec![
            row.cell(),
            row.size.clone(),
            row.corpus.clone(),
            row.runs.len().to_string(),
            finished(row).to_string(),
            row.parameters.to_string(),
            row.progress.to_string(),
            row.learning_rate.to_string(),
        ];
        for column in &board.columns {
            let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
            let cell = row.cells.get(&column.key);
            cells.push(number(cell.map(|cell| cell.estimate.mean)));
            cells.push(number(cell.and_then(|cell| cell.estimate.half_width)));
            cells.push(number(cell.and_then(|cell| cell.estimate.low)));
            cells.push(number(cell.and_then(|cell| cell.estimate.high)));
            cells.push(number(cell.and_then(|cell| cell.stderr)));
            cells.push(cell.map(BoardCell::place_text).unwrap_or_default());
        }
        table.push(cells);
    }
    table.csv()
}

#[expect(clippy::cast_precision_loss, reason = "parameter counts are shown with three digits")]
fn table(board: &Leaderboard, sort: Option<&str>) -> Table {
    let sorted = match sort {
        Some(name) => board.column(name).ok(),
        None => board.columns.first(),
    };
    let mut headings = vec![("#", Align::Right), ("cell", Align::Left), ("size", Align::Left), ("seeds", Align::Right)];
    headings.extend(board.columns.iter().map(|column| (column.heading.as_str(), Align::Right)));
    headings.extend([("params", Align::Right), ("done", Align::Right), ("corpus", Align::Left)]);
    let mut table = Table::new(&headings);
    for row in &board.rows {
        let place = sorted.and_then(|column| row.cells.get(&column.key)).map_or_else(dash, BoardCell::place_text);
        let seeds = format!("{}/{}", finished(row), row.runs.len());
        let mut cells = vec![place, row.cell(), row.size.clone(), seeds];
        cells.extend(board.columns.iter().map(|column| number(row, column)));
        let done = format!("{:.0}%", row.progress * 100.0);
        cells.extend([count(row.parameters as f64), done, row.corpus.clone()]);
        table.push(cells);
    }
    if board.columns.iter().any(|column| column.chance.is_some()) {
        let chance = |column: &BoardColumn| {
            column.chance.map_or_else(String::new, |chance| format!("{chance:.*}", column.decimals))
        };
        let mut cells = vec![String::new(), "chance".to_owned(), String::new(), String::new()];
        cells.extend(board.columns.iter().map(chance));
        cells.extend(std::iter::repeat_n(String::new(), 3));
        table.push(cells);
    }
    table
}

fn dash() -> String {
    "-".to_owned()
}

fn finished(row: &LeaderboardRow) -> usize {
    row.counts.get("finished").copied().unwrap_or(0)
}

/// `3.712±0.031` or `0.712 [.645,.770]*`: mean, 95 % interval over seeds, a star for more than two standard errors above chance.
fn number(row: &LeaderboardRow, column: &BoardColumn) -> String {
    let Some(cell) = row.cells.get(&column.key) else { return dash() };
    let decimals = column.decimals;
    let mean = cell.estimate.mean;
    let interval = cell.estimate.half_width.map(|half| format!("±{half:.decimals$}"));
    let interval =
        interval.or_else(|| cell.estimate.brackets(decimals).map(|ends| format!(" {ends}"))).unwrap_or_default();
    let beats = column.chance.and_then(|chance| cell.beats(chance)).unwrap_or(false);
    format!("{mean:.decimals$}{interval}{}", if beats { "*" } else { "" })
}

fn notes(board: &Leaderboard) -> Vec<String> {
    let mut notes = Vec::new();
    match (board.budget, board.budget_at) {
        (EqualBudget::AsTrained, _) => {}
        (EqualBudget::Parameters, _) => {
            notes.push("equal parameters: places count among lineages within 10 % of one size".to_owned());
        }
        (EqualBudget::Flops, Some(at)) => notes.push(format!("equal FLOPs: every value is the last within {at:.3e}")),
        (EqualBudget::Tokens, Some(at)) => {
            notes.push(format!("equal tokens: every value is the last within {}", count(at)));
        }
        (EqualBudget::WallClock, Some(at)) => {
            notes.push(format!("equal training time: every value is the last within {}", duration(at)));
        }
        (EqualBudget::Flops | EqualBudget::Tokens | EqualBudget::WallClock, None) => {
            notes.push(format!("{}: nothing has been trained yet", board.budget.title()));
        }
    }
    let blank = |row: &&LeaderboardRow| row.cells.is_empty() && !row.earlier.is_empty();
    let blank = board.rows.iter().filter(blank).count();
    if board.budget_at.is_some() && blank > 0 {
        notes.push(format!("{blank} rows are empty: the stages before theirs took the whole budget"));
    }
    notes.push(
        "± or [low,high]: 95 % interval over seeds (Student's t; Wilson's where there are bounds). # place in the sorted \
         column: = tied by a paired test over seeds and items (p > 0.05), ? too few seeds to test."
            .to_owned(),
    );
    let has = |kind| board.columns.iter().any(|column| column.kind == kind);
    if has(ColumnKind::Family) || has(ColumnKind::ZeroShot) || has(ColumnKind::Later) {
        notes.push(
            "A family is the median over its prompt wordings; * more than two standard errors (items and seeds) above \
             chance; <X0> asked behind a sentinel."
                .to_owned(),
        );
    }
    if has(ColumnKind::Later) {
        notes
            .push("later: asked by `trilab eval` after the run; means are over what runs asked themselves.".to_owned());
    }
    notes.extend(board.notices.iter().cloned());
    notes.push(String::new());
    notes
}
