//! Screen 4: who wins, and is it more than noise? Rows are lineages with their seeds folded; Enter opens a row.
//! Promises: every interval is written where its mean is; ties are marked. Must not know: keys, how rows are ordered.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::core::board::LeaderboardRow;
use crate::core::{Metric, RunId};
use crate::tui::act::{board_entries, board_place};
use crate::tui::app::App;
use crate::tui::board::{Entry, RowKey};
use crate::tui::format;
use crate::tui::msg::Tab;
use crate::tui::table::{self, Cell, Column, Row};
use crate::tui::theme::status_mark;

use super::frame::{body, pane};

const COLUMNS: [Column; 15] = [
    Column::new("", 30),
    Column::new("#", 29).right(),
    Column::new("cell", 28),
    Column::new("size", 20),
    Column::new("seeds", 22).right(),
    Column::new("val loss", 27).right(),
    Column::new("unigram", 12).right(),
    Column::new("perplexity", 15).right(),
    Column::new("bits/byte", 18).right(),
    Column::new("loss", 8).right(),
    Column::new("tok/s", 10).right(),
    Column::new("params", 16).right(),
    Column::new("done", 19).right(),
    Column::new("lr", 9).right(),
    Column::new("corpus", 5).free_text(),
];

/// What stands over the columns, in order.
#[must_use]
pub fn headings() -> Vec<&'static str> {
    COLUMNS.iter().map(Column::heading).collect()
}

const NOTE: &str = "Losses of different objectives average over different tokens: ranks count within one objective and corpus. \
                    = marks ties: 95 % intervals over seeds overlap.";

fn parts(area: Rect) -> (Rect, Vec<String>) {
    let note = format::wrap(NOTE, usize::from(area.width.saturating_sub(2)));
    let height = area.height.saturating_sub(note.len() as u16);
    (Rect { height, ..area }, note)
}

/// Draws the screen.
pub fn draw(app: &App, area: Rect, buf: &mut Buffer) {
    let palette = &app.palette;
    let (table_area, note) = parts(area);
    let entries = board_entries(app);
    let whose = app.study.as_ref().map_or_else(|| "all studies".to_owned(), |study| format!("study {study}"));
    let reversed = if app.board.reversed { ", reversed" } else { "" };
    let filtered = if app.filter.is_empty() { "" } else { " · filtered" };
    let title = format!("Leaderboard  {whose} · sorted by {}{reversed}{filtered}", app.board.sort.title());
    let inside = pane(app, &title, !entries.is_empty(), table_area, buf);
    for (y, line) in (table_area.bottom()..area.bottom()).zip(&note) {
        buf.set_stringn(area.x + 1, y, line, usize::from(area.width.saturating_sub(1)), palette.dim);
    }
    if entries.is_empty() {
        let text = match (&app.leaderboard, app.filter.is_empty()) {
            (None, _) => "waiting for the table",
            (Some(_), false) => "no row matches the filter; Esc clears it",
            (Some(_), true) => "no results yet: a adds a study; rows appear as soon as runs have validated",
        };
        buf.set_stringn(inside.x + 1, inside.y + 1, text, usize::from(inside.width.saturating_sub(1)), palette.dim);
        return;
    }
    let place = board_place(app, &entries);
    let shown = table::visible(entries.len(), place, usize::from(inside.height.saturating_sub(1)));
    let rows: Vec<Row> = shown
        .filter_map(|at| {
            let cells = match entries.get(at)? {
                Entry::Lineage(row, rank) => lineage_cells(app, row, rank),
                Entry::Run(run) => run_cells(app, run),
            };
            Some(Row { cells, selected: place == Some(at) })
        })
        .collect();
    let hidden = crate::tui::columns::hidden(app, Tab::Leaderboard);
    let columns = COLUMNS.map(|column| column.unless_in(hidden));
    table::draw(&columns, &rows, inside, buf, palette);
}

/// The row at a place of the screen.
#[must_use]
pub fn entry_at(app: &App, column: u16, row: u16) -> Option<RowKey> {
    let (area, _) = parts(body(Rect::new(0, 0, app.size.0, app.size.1)));
    if !area.contains((column, row).into()) {
        return None;
    }
    let entries = board_entries(app);
    let line = usize::from(row.checked_sub(area.y + 2)?);
    let height = usize::from(area.height.saturating_sub(3));
    let shown = table::visible(entries.len(), board_place(app, &entries), height);
    (line < shown.len()).then(|| entries.get(shown.start + line).map(Entry::key)).flatten()
}

fn lineage_cells(app: &App, row: &LeaderboardRow, rank: &str) -> Vec<Cell> {
    let palette = &app.palette;
    let plain = |text: String| Cell::new(text, palette.text);
    let folded = |metric: Metric| {
        let text = row.metrics.get(&metric).map(|estimate| format::estimate(metric, estimate));
        plain(text.unwrap_or_else(|| "-".to_owned()))
    };
    let mean = |metric: Metric| {
        let text = row.metrics.get(&metric).map(|estimate| format::metric(metric, estimate.mean));
        plain(text.unwrap_or_else(|| "-".to_owned()))
    };
    let done = row.counts.get("finished").copied().unwrap_or(0);
    let opened = app.board.opened.contains(&row.lineage);
    let marked = row.runs.iter().all(|run| app.marks.contains(run)) && !row.runs.is_empty();
    let style = if done == row.runs.len() { palette.good } else { palette.text };
    vec![
        plain(format!("{}{}", if marked { "◆" } else { " " }, if opened { "▾" } else { "▸" })),
        plain(rank.to_owned()),
        plain(row.cell()),
        plain(row.size.clone()),
        Cell::new(format!("{done}/{}", row.runs.len()), style),
        folded(Metric::ValidationLoss),
        mean(Metric::TargetEntropy),
        folded(Metric::Perplexity),
        folded(Metric::BitsPerByte),
        mean(Metric::Loss),
        mean(Metric::TokensPerSecond),
        plain(format::count(row.parameters as f64)),
        plain(format::percent(row.progress)),
        plain(format::learning_rate(row.learning_rate)),
        Cell::new(row.corpus.as_str(), palette.dim),
    ]
}

fn run_cells(app: &App, id: &RunId) -> Vec<Cell> {
    let palette = &app.palette;
    let Some(run) = app.run(id) else {
        return vec![Cell::new("", palette.text), Cell::new("", palette.text), Cell::new(id.as_str(), palette.dim)];
    };
    let plain = |text: String| Cell::new(text, palette.text);
    let value = |metric: Metric| {
        plain(run.latest.get(&metric).map_or_else(|| "-".to_owned(), |value| format::metric(metric, *value)))
    };
    let style = palette.status(&run.status);
    let marked = if app.marks.contains(id) { "◆" } else { " " };
    vec![
        Cell::new(format!("{marked}{}", status_mark(&run.status)), style),
        plain(String::new()),
        plain(format!("s{}", run.seed)),
        Cell::new(run.id.as_str(), palette.dim),
        Cell::new(run.status.word(), style),
        value(Metric::ValidationLoss),
        value(Metric::TargetEntropy),
        value(Metric::Perplexity),
        value(Metric::BitsPerByte),
        value(Metric::Loss),
        value(Metric::TokensPerSecond),
        plain(String::new()),
        plain(format::percent(run.step as f64 / run.steps.max(1) as f64)),
        plain(String::new()),
        plain(String::new()),
    ]
}
