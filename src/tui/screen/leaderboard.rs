//! Screen 4: who wins at what, and is it more than noise? Rows are lineages with their seeds folded; Enter opens a row.
//! Promises: a column is shown whole or not at all, and the one that is looked at is always there; no width depends on
//! which rows are visible. Must not know: keys, how rows are ordered, how places are found.

use std::collections::BTreeSet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::core::board::{BoardColumn, ColumnKind, Leaderboard, LeaderboardRow};
use crate::core::summary::RunSummary;
use crate::core::{Metric, RunId};
use crate::tui::app::App;
use crate::tui::board::{self, Entry, GAP, Order, SIZE, Scrolled};
use crate::tui::board_acts;
use crate::tui::format;
use crate::tui::table::{self, Cell, Column, Row, shorten};
use crate::tui::theme::status_mark;

use super::board_matrix;
use super::board_words::{WIDE, note, seeds, standing, title};
use super::frame::{body, pane};

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
struct Layout<'a> {
    columns: Vec<Scrolled<'a>>,
    headings: Vec<String>,
    widths: Vec<usize>,
    /// Widths of mean, interval and star.
    parts: Vec<[usize; 3]>,
    /// Widths of place, cell, size and seeds; no size where it has no column of its own.
    fixed: (usize, usize, Option<usize>, usize),
    /// The size of all rows, where it has no column because all are of one size.
    one_size: Option<&'a str>,
    scroll: Scroll,
}

/// Width of the marks before a row.
const MARKS: usize = 2;
/// Longest corpus name that is shown whole.
const LONGEST_CORPUS: usize = 24;

fn chars(text: &str) -> usize {
    text.chars().count()
}

fn layout<'a>(app: &'a App, table: &'a Leaderboard, rows: &[&'a LeaderboardRow]) -> Layout<'a> {
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
        let heading = chars(heading.trim_start_matches(['▾', '▴', '#'])) + 1;
        heading.max(parts.iter().sum())
    };
    let widths: Vec<usize> = headings.iter().zip(&parts).map(width).collect();
    let widest = |texts: &mut dyn Iterator<Item = usize>, least: usize| texts.max().unwrap_or(0).max(least);
    let sizes: BTreeSet<&str> = rows.iter().map(|row| row.size.as_str()).collect();
    let one_size = (app.size.0 < WIDE && sizes.len() == 1).then(|| sizes.first().copied()).flatten();
    let with_size = one_size.is_none() && !hidden.contains(SIZE);
    let fixed = (
        widest(&mut rows.iter().map(|row| chars(&place(app, row))), 1),
        widest(&mut rows.iter().map(|row| chars(&row.cell())), CHANCE.len()),
        with_size.then(|| widest(&mut sizes.iter().map(|size| chars(size)), SIZE.len())),
        widest(&mut rows.iter().map(|row| chars(&seeds(row))), "finished".len()),
    );
    let taken = [MARKS, fixed.0, fixed.1, fixed.3].iter().map(|width| width + GAP).sum::<usize>();
    let taken = taken + fixed.2.map_or(0, |width| width + GAP);
    let room = usize::from(app.size.0.saturating_sub(2)).saturating_sub(taken);
    let furthest = board::furthest(&widths, pinned, room);
    let first = app.board.first.min(furthest);
    let shown = board::window(&widths, first, pinned, room);
    let one_size = one_size.filter(|_| !hidden.contains(SIZE));
    Layout { columns, headings, widths, parts, fixed, one_size, scroll: Scroll { first, furthest, shown, pinned } }
}

const CHANCE: &str = "chance";

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
            *width = (*width).max(chars(&text));
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
                    take([run_value(app, column, run), String::new(), String::new()]);
                }
            }
            Scrolled::Parameters | Scrolled::Done | Scrolled::LearningRate | Scrolled::Corpus => {
                take([plain_text(column, row), String::new(), String::new()]);
            }
        }
    }
    if let Scrolled::Value(BoardColumn { chance: Some(chance), .. }) = column
        && let Scrolled::Value(column) = column
    {
        take([format::board_value(column, *chance), String::new(), String::new()]);
    }
    widest
}

fn plain_text(column: &Scrolled, row: &LeaderboardRow) -> String {
    match column {
        Scrolled::Value(_) => String::new(),
        Scrolled::Parameters => format::count(row.parameters as f64),
        Scrolled::Done => format::percent(row.progress),
        Scrolled::LearningRate => format::learning_rate(row.learning_rate),
        Scrolled::Corpus => shorten(&row.corpus, LONGEST_CORPUS),
    }
}

/// The place of a row in the column that is looked at.
fn place(app: &App, row: &LeaderboardRow) -> String {
    let cell = board_acts::looked_at(app).and_then(|column| row.cells.get(&column.key));
    cell.map_or_else(|| "-".to_owned(), crate::core::board::BoardCell::place_text)
}

fn split(app: &App, area: Rect) -> (Rect, Vec<String>) {
    let note = note(app, area.width);
    let height = area.height.saturating_sub(note.len() as u16);
    (Rect { height, ..area }, note)
}

/// Draws the screen.
pub fn draw(app: &App, area: Rect, buf: &mut Buffer) {
    let (above, note) = split(app, area);
    let rows = board_acts::rows(app);
    let inside = pane(app, &title(app), !rows.is_empty(), above, buf);
    for (y, line) in (above.bottom()..area.bottom()).zip(&note) {
        buf.set_stringn(area.x + 1, y, line, usize::from(area.width.saturating_sub(1)), app.palette.dim);
    }
    match &app.leaderboard {
        Some(_) if app.board.matrix && !rows.is_empty() => board_matrix::draw(app, &rows, inside, buf),
        Some(table) if !rows.is_empty() => draw_table(app, table, rows, inside, buf),
        Some(_) | None => {
            let text = match (&app.leaderboard, app.filter.is_empty()) {
                (None, _) => "waiting for the table",
                (Some(_), false) => "no row matches the filter; Esc clears it",
                (Some(_), true) => "no results yet: a adds a study; rows appear as soon as runs have validated",
            };
            buf.set_stringn(
                inside.x + 1,
                inside.y + 1,
                text,
                usize::from(inside.width.saturating_sub(1)),
                app.palette.dim,
            );
        }
    }
}

/// A line below the headings.
#[derive(Clone, Copy)]
enum Line<'a> {
    /// Where a contest begins, if there are several.
    Contest(&'a str),
    /// An entry by its place.
    Entry(usize),
}

fn lines<'a>(entries: &[Entry<'a>]) -> Vec<Line<'a>> {
    let contests: BTreeSet<&str> = entries.iter().map(|entry| entry.lineage().contest.as_str()).collect();
    let mut lines = Vec::new();
    let mut last = None;
    for (at, entry) in entries.iter().enumerate() {
        let contest = entry.lineage().contest.as_str();
        if contests.len() > 1 && last != Some(contest) {
            lines.push(Line::Contest(contest));
        }
        last = Some(contest);
        lines.push(Line::Entry(at));
    }
    lines
}

/// The lines that are shown when there is room for `height`, and the whole list of them.
fn visible<'a>(app: &App, entries: &[Entry<'a>], height: usize) -> (Vec<Line<'a>>, std::ops::Range<usize>) {
    let lines = lines(entries);
    let place = board_acts::place(app, entries);
    let selected = lines.iter().position(|line| matches!(line, Line::Entry(at) if Some(*at) == place));
    let shown = table::visible(lines.len(), selected, height);
    (lines, shown)
}

fn has_chance(layout: &Layout) -> bool {
    let shown = layout.scroll.shown.iter().filter_map(|at| layout.columns.get(*at));
    shown.clone().any(|column| matches!(column, Scrolled::Value(BoardColumn { chance: Some(_), .. })))
}

/// Lines for entries: without the headings and the chance line.
fn room(layout: &Layout, inside: Rect) -> usize {
    usize::from(inside.height).saturating_sub(1 + usize::from(has_chance(layout)))
}

fn draw_table(app: &App, table: &Leaderboard, rows: Vec<&LeaderboardRow>, inside: Rect, buf: &mut Buffer) {
    let layout = layout(app, table, &rows);
    let entries = board::entries(rows, &app.board);
    let place = board_acts::place(app, &entries);
    let (lines, shown) = visible(app, &entries, room(&layout, inside));
    let mut drawn = Vec::new();
    let mut rules = Vec::new();
    for (line, y) in lines.get(shown).unwrap_or(&[]).iter().zip(inside.y + 1..) {
        let (cells, selected) = match line {
            Line::Contest(contest) => {
                rules.push((y, *contest));
                (Vec::new(), false)
            }
            Line::Entry(at) => match entries.get(*at) {
                Some(Entry::Lineage(row)) => (lineage_cells(app, &layout, row), place == Some(*at)),
                Some(Entry::Run(_, run)) => (run_cells(app, &layout, run), place == Some(*at)),
                None => (Vec::new(), false),
            },
        };
        drawn.push(Row { cells, selected });
    }
    if has_chance(&layout) {
        drawn.push(Row { cells: chance_cells(app, &layout), selected: false });
    }
    let mut columns = vec![Column::new("", 9), Column::new("#", 9).right(), Column::new("cell", 9)];
    if layout.fixed.2.is_some() {
        columns.push(Column::new(SIZE, 9));
    }
    columns.push(Column::new("seeds", 9).right());
    for at in &layout.scroll.shown {
        let heading = layout.headings.get(*at).map_or("", String::as_str);
        let column = Column::new(heading, 9);
        let left = matches!(layout.columns.get(*at), Some(Scrolled::Corpus));
        let column = if left { column } else { column.right() };
        columns.push(if layout.scroll.pinned == Some(*at) { column.lit() } else { column });
    }
    table::draw(&columns, &drawn, inside, buf, &app.palette);
    for (y, contest) in rules {
        rule(app, contest, y, inside, buf);
    }
    border(app, &layout, inside, buf);
}

/// A thin line with the name of a contest in it.
pub fn rule(app: &App, contest: &str, y: u16, inside: Rect, buf: &mut Buffer) {
    // Numbers in it are padded so that they sort.
    let name = contest.split_whitespace().collect::<Vec<_>>().join(" ");
    let width = usize::from(inside.width);
    let text = shorten(&format!("── {name} "), width);
    let rest = "─".repeat(width.saturating_sub(chars(&text)));
    buf.set_stringn(inside.x, y, format!("{text}{rest}"), width, app.palette.dim);
}

/// What is said on the lower border: which columns are shown, and the size where all have one.
fn border(app: &App, layout: &Layout, inside: Rect, buf: &mut Buffer) {
    let y = inside.bottom();
    let mut room = usize::from(inside.width);
    if layout.scroll.shown.len() < layout.columns.len() {
        let ranges = board::ranges(&layout.scroll.shown);
        let text = format!(" columns {ranges} of {} ← → ", layout.columns.len());
        let width = chars(&text);
        if width <= room {
            room -= width;
            let x = inside.right().saturating_sub(width as u16);
            buf.set_string(x, y, text, app.palette.key);
        }
    }
    if let Some(size) = layout.one_size {
        let text = format!(" all {size} ");
        if chars(&text) <= room {
            buf.set_string(inside.x, y, text, app.palette.dim);
        }
    }
}

/// Marks, place, cell, size and seeds, each as wide as its column.
fn leading(layout: &Layout, texts: [(String, Style); 5]) -> Vec<Cell> {
    let (place, cell, size, seeds) = layout.fixed;
    let widths = [Some(MARKS), Some(place), Some(cell), size, Some(seeds)];
    let right = [false, true, false, false, true];
    let cell = |(((text, style), width), right): (((String, Style), Option<usize>), bool)| {
        let width = width?;
        Some(Cell::new(if right { format!("{text:>width$}") } else { format!("{text:width$}") }, style))
    };
    texts.into_iter().zip(widths).zip(right).filter_map(cell).collect()
}

/// A number in its parts, each under those of the rows above.
fn aligned(layout: &Layout, at: usize, [mean, half, star]: [String; 3]) -> String {
    let [a, b, c] = layout.parts.get(at).copied().unwrap_or_default();
    let width = layout.widths.get(at).copied().unwrap_or(0);
    format!("{:>width$}", format!("{mean:>a$}{half:<b$}{star:<c$}"))
}

fn bare(text: String) -> [String; 3] {
    [text, String::new(), String::new()]
}

fn lineage_cells(app: &App, layout: &Layout, row: &LeaderboardRow) -> Vec<Cell> {
    let palette = &app.palette;
    let opened = app.board.opened.contains(&row.lineage);
    let marked = row.runs.iter().all(|run| app.marks.contains(run)) && !row.runs.is_empty();
    let done = row.counts.get("finished").copied().unwrap_or(0) == row.runs.len();
    let lead = board_acts::looked_at(app).map_or(palette.text, |column| standing(app, row, column));
    let mut cells = leading(
        layout,
        [
            (format!("{}{}", if marked { "◆" } else { " " }, if opened { "▾" } else { "▸" }), palette.text),
            (place(app, row), lead),
            (row.cell(), palette.text),
            (row.size.clone(), palette.text),
            (seeds(row), if done { palette.good } else { palette.text }),
        ],
    );
    for at in &layout.scroll.shown {
        cells.push(match layout.columns.get(*at) {
            Some(Scrolled::Value(column)) => match row.cells.get(&column.key) {
                Some(cell) => {
                    let text = aligned(layout, *at, format::board_cell(column, cell));
                    Cell::new(text, standing(app, row, column))
                }
                None => Cell::new(aligned(layout, *at, bare("-".to_owned())), palette.dim),
            },
            Some(Scrolled::Corpus) => Cell::new(plain_text(&Scrolled::Corpus, row), palette.dim),
            Some(column) => Cell::new(aligned(layout, *at, bare(plain_text(column, row))), palette.text),
            None => Cell::new("", palette.text),
        });
    }
    cells
}

/// The newest value of a run where a column holds one metric; scores of tasks are on the page of the run.
fn run_value(app: &App, column: &BoardColumn, run: &RunSummary) -> String {
    let metric = match column.kind {
        ColumnKind::Metric => Metric::from_name(&column.key),
        ColumnKind::OwnLoss => column.key.ends_with(run.objective.label()).then_some(Metric::ValidationLoss),
        ColumnKind::ZeroShot | ColumnKind::Family => None,
    };
    // What a run has now is not what it had at a common budget.
    let cut = app.leaderboard.as_ref().is_some_and(|table| table.budget_at.is_some());
    let value = metric.filter(|_| !cut).and_then(|metric| run.latest.get(&metric));
    value.map(|value| format::board_value(column, *value)).unwrap_or_default()
}

fn run_cells(app: &App, layout: &Layout, id: &RunId) -> Vec<Cell> {
    let palette = &app.palette;
    let marked = if app.marks.contains(id) { "◆" } else { " " };
    let Some(run) = app.run(id) else {
        let texts = [marked, "", "?", id.as_str(), "gone"];
        return leading(layout, texts.map(|text| (text.to_owned(), palette.dim)));
    };
    let style = palette.status(&run.status);
    let mut cells = leading(
        layout,
        [
            (format!("{marked}{}", status_mark(&run.status)), style),
            (String::new(), palette.text),
            (format!(" s{}", run.seed), palette.text),
            (run.id.to_string(), palette.dim),
            (run.status.word().to_owned(), style),
        ],
    );
    for at in &layout.scroll.shown {
        let text = match layout.columns.get(*at) {
            Some(Scrolled::Value(column)) => run_value(app, column, run),
            Some(Scrolled::Done) => format::percent(run.step as f64 / run.steps.max(1) as f64),
            Some(Scrolled::Parameters | Scrolled::LearningRate | Scrolled::Corpus) | None => String::new(),
        };
        cells.push(Cell::new(aligned(layout, *at, bare(text)), palette.text));
    }
    cells
}

fn chance_cells(app: &App, layout: &Layout) -> Vec<Cell> {
    let dim = app.palette.dim;
    let mut cells = leading(layout, ["", "", CHANCE, "", ""].map(|text| (text.to_owned(), dim)));
    for at in &layout.scroll.shown {
        let level = match layout.columns.get(*at) {
            Some(Scrolled::Value(column)) => column.chance.map(|chance| format::board_value(column, chance)),
            Some(Scrolled::Parameters | Scrolled::Done | Scrolled::LearningRate | Scrolled::Corpus) | None => None,
        };
        cells.push(Cell::new(aligned(layout, *at, bare(level.unwrap_or_default())), dim));
    }
    cells
}

/// Put the cursor on what is at a place of the screen, if something is.
pub fn click(app: &mut App, column: u16, row: u16) {
    let (above, _) = split(app, body(Rect::new(0, 0, app.size.0, app.size.1)));
    let inside = Rect { x: above.x + 1, y: above.y + 1, width: above.width - 2, height: above.height - 2 };
    if !inside.contains((column, row).into()) {
        return;
    }
    if app.board.matrix {
        if let Some(spot) = board_matrix::spot_at(app, inside, column, row) {
            board_acts::put(app, spot);
        }
        return;
    }
    let rows = board_acts::rows(app);
    let Some(table) = &app.leaderboard else { return };
    let height = room(&layout(app, table, &rows), inside);
    let entries = board::entries(rows, &app.board);
    let (lines, shown) = visible(app, &entries, height);
    let at = row.checked_sub(inside.y + 1).map(|line| shown.start + usize::from(line));
    let line = at.filter(|at| shown.contains(at)).and_then(|at| lines.get(at));
    let key = match line {
        Some(Line::Entry(at)) => entries.get(*at).map(Entry::key),
        Some(Line::Contest(_)) | None => None,
    };
    if key.is_some() {
        app.board.cursor = key;
    }
}
