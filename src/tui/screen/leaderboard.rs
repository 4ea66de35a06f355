//! Screen 4: who wins at what, and is it more than noise? Rows are lineages with their seeds folded; Enter opens a row.
//! Promises: what stands beside a number is what it is a number of. Must not know: keys, how rows are ordered, how places are
//! found, how wide columns are.

use std::collections::BTreeSet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::core::RunId;
use crate::core::board::{BoardColumn, Leaderboard, LeaderboardRow};
use crate::core::text_width::{self, columns_of};
use crate::tui::app::App;
use crate::tui::board::{self, Entry, SIZE, Scrolled};
use crate::tui::board_acts;
use crate::tui::format;
use crate::tui::table::{self, Cell, Column, Row, shorten};
use crate::tui::theme::status_mark;

use super::board_layout::{CHANCE, Layout, MARKS, layout, place, plain_text, run_value};
use super::board_matrix;
use super::board_words::{note, seeds, standing, title};
use super::frame::{body, pane};

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
                Some(Entry::Run(row, run)) => (run_cells(app, &layout, row, run), place == Some(*at)),
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
    let rest = "─".repeat(width.saturating_sub(columns_of(&text)));
    buf.set_stringn(inside.x, y, format!("{text}{rest}"), width, app.palette.dim);
}

/// Shorter words on the border say nothing.
const SHORTEST_BORDER: usize = 12;

/// What is said on the lower border: which columns are shown, and what all sizes share.
fn border(app: &App, layout: &Layout, inside: Rect, buf: &mut Buffer) {
    let y = inside.bottom();
    let mut room = usize::from(inside.width);
    if layout.scroll.shown.len() < layout.columns.len() {
        let ranges = board::ranges(&layout.scroll.shown);
        let text = format!(" columns {ranges} of {} ← → ", layout.columns.len());
        let width = columns_of(&text);
        if width <= room {
            room -= width;
            let x = inside.right().saturating_sub(width as u16);
            buf.set_string(x, y, text, app.palette.key);
        }
    }
    if !layout.shared.is_empty() {
        let whole = format!(" all {} ", layout.shared.join(" "));
        let text = shorten(&whole, room);
        if text == whole || columns_of(&text) >= SHORTEST_BORDER {
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
        let text = shorten(&text, width);
        Some(Cell::new(if right { text_width::right(&text, width) } else { text_width::left(&text, width) }, style))
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
            (layout.own_size(&row.size), palette.text),
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

fn run_cells(app: &App, layout: &Layout, row: &LeaderboardRow, id: &RunId) -> Vec<Cell> {
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
            Some(Scrolled::Value(column)) => run_value(app, column, (row, run)),
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
