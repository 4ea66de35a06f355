//! The leaderboard as the papers print it: architecture × objective, one block a contest, each cell with the best of its
//! lineages in the column that is looked at.
//! Promises: a cell that cannot be is told from one that was not measured; no number is cut: where there is little room
//! cells say less, all of them alike, and what does not fit scrolls with the cursor. Must not know: keys, how places are
//! found.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::core::board::{BoardCell, BoardColumn, LeaderboardRow};
use crate::core::text_width::columns_of;
use crate::core::{Architecture, Objective, legal};
use crate::tui::app::App;
use crate::tui::board::{self, Spot};
use crate::tui::board_acts;
use crate::tui::cells::Cells;
use crate::tui::format;
use crate::tui::table;

use super::board_words::{seeds, standing};
use super::leaderboard::rule;

/// Room for `EDS`.
const LABEL: u16 = 4;
/// Widest a column gets.
const WIDEST: u16 = 46;
/// Room beside the text of a cell: the bar of the cursor begins one before it, and one stays free behind it.
const BESIDE: u16 = 2;
/// Room for `BERT`.
const HEADING: usize = 4;

/// Where the blocks are.
struct Layout {
    /// Every row and column.
    cells: Cells,
    /// The rows shown, of each block.
    architectures: Range<usize>,
    /// The columns shown.
    objectives: Range<usize>,
    /// Width of a column.
    width: u16,
    /// Whether intervals are shown: in all cells or in none.
    intervals: bool,
    /// Lines of a block, with its chance line and the empty one after it.
    height: u16,
    /// The first block shown.
    first: usize,
    /// Lines kept for what is said of the cell under the cursor.
    foot: u16,
}

/// Lines below the blocks: what is under the cursor, and what the marks of empty cells mean.
const FOOT: u16 = 2;
/// What the marks of empty cells mean.
const EMPTY: &str = "-: not measured   ·: no legal cell";
/// Lines of a block besides its rows: its name, the objectives, the empty line after it.
const AROUND: u16 = 3;

fn layout(app: &App, (rows, spot): (&[&LeaderboardRow], Option<&Spot>), inside: Rect) -> Layout {
    let contests = board::contests(rows);
    let cells = board_acts::cells(rows);
    let column = board_acts::looked_at(app);
    let least = rows.iter().map(|row| least_width(row, column)).max().unwrap_or(0).max(HEADING) as u16 + BESIDE;
    let room = inside.width.saturating_sub(LABEL);
    let shown = usize::from(room / least).clamp(1, cells.objectives.len().max(1));
    let width = (room / shown as u16).min(WIDEST);
    let at = spot.and_then(|spot| cells.column(spot.objective));
    let objectives = table::visible(cells.objectives.len(), at, shown);
    let text = usize::from(width.saturating_sub(BESIDE));
    let intervals = rows.iter().all(|row| value_of(row, column, true).is_none_or(|value| columns_of(&value) <= text));
    let around = AROUND + u16::from(column.is_some_and(|column| column.chance.is_some()));
    // The empty line after the last block is not needed.
    let room = inside.height.saturating_sub(FOOT) + 1;
    let shown = usize::from(room.saturating_sub(around) / 2).clamp(1, cells.architectures.len().max(1));
    let at = spot.and_then(|spot| cells.row(spot.architecture));
    let architectures = table::visible(cells.architectures.len(), at, shown);
    let height = around + 2 * shown as u16;
    let at = spot.and_then(|spot| contests.iter().position(|(name, _)| *name == spot.contest));
    let first = table::visible(contests.len(), at, usize::from((room / height).max(1))).start;
    Layout { cells, architectures, objectives, width, intervals, height, first, foot: FOOT }
}

/// The number of a row in a column, with or without its interval.
fn value_of(row: &LeaderboardRow, column: Option<&BoardColumn>, interval: bool) -> Option<String> {
    let (column, cell) = cell_of(row, column)?;
    let [mean, second, third] = format::board_cell(column, cell);
    let dropped = !interval && cell.estimate.low.is_some();
    Some(if dropped { mean + &third } else { mean + &second + &third })
}

fn cell_of<'a>(row: &'a LeaderboardRow, column: Option<&'a BoardColumn>) -> Option<(&'a BoardColumn, &'a BoardCell)> {
    let column = column?;
    Some((column, row.cells.get(&column.key)?))
}

/// The least that a cell says of a row: its number, its place and how many seeds are done.
fn least_width(row: &LeaderboardRow, column: Option<&BoardColumn>) -> usize {
    let place = cell_of(row, column).map_or(0, |(_, cell)| columns_of(&cell.place_text()) + 2);
    let value = value_of(row, column, false).map_or(0, |value| columns_of(&value));
    value.max(place + columns_of(&seeds(row)))
}

/// Draws the blocks that fit, the one with the cursor among them.
pub fn draw(app: &App, rows: &[&LeaderboardRow], inside: Rect, buf: &mut Buffer) {
    let contests = board::contests(rows);
    let spot = board_acts::spot(app);
    let layout = layout(app, (rows, spot.as_ref()), inside);
    let column = board_acts::looked_at(app);
    let end = inside.bottom().saturating_sub(layout.foot);
    let mut y = inside.y;
    for (contest, own) in contests.iter().skip(layout.first) {
        if y + layout.height - 1 > end {
            break;
        }
        let area = Rect { y, height: layout.height, ..inside };
        draw_block(app, (contest, own), column, spot.as_ref(), &layout, area, buf);
        y += layout.height;
    }
    let hidden = contests.len().saturating_sub(layout.first + usize::from((y - inside.y) / layout.height));
    if let Some(spot) = &spot {
        let width = usize::from(inside.width.saturating_sub(1));
        let first = said(app, spot, column, (width, layout.intervals));
        buf.set_stringn(inside.x + 1, end, first, width, app.palette.text);
        let more = (hidden > 0).then(|| format!("{hidden} more below ↓"));
        let parts: Vec<String> = scrolled(&layout).into_iter().chain(more).chain([EMPTY.to_owned()]).collect();
        let text = table::shorten(&parts.join(" · "), width);
        buf.set_stringn(inside.x + 1, end + 1, text, width, app.palette.dim);
    }
}

/// `rows 2–7 of 8`: what is not all there.
fn scrolled(layout: &Layout) -> Vec<String> {
    let said = |what, shown: &Range<usize>, all: usize| {
        let numbers = board::ranges(&shown.clone().collect::<Vec<_>>());
        (shown.len() < all).then(|| format!("{what} {numbers} of {all}"))
    };
    let rows = said("rows", &layout.architectures, layout.cells.architectures.len());
    rows.into_iter().chain(said("columns", &layout.objectives, layout.cells.objectives.len())).collect()
}

impl Layout {
    fn shown_architectures(&self) -> impl Iterator<Item = Architecture> {
        self.cells.architectures.iter().copied().skip(self.architectures.start).take(self.architectures.len())
    }

    fn shown_objectives(&self) -> impl Iterator<Item = Objective> {
        self.cells.objectives.iter().copied().skip(self.objectives.start).take(self.objectives.len())
    }
}

fn draw_block(
    app: &App,
    (contest, own): (&str, &[&LeaderboardRow]),
    column: Option<&BoardColumn>,
    spot: Option<&Spot>,
    layout: &Layout,
    area: Rect,
    buf: &mut Buffer,
) {
    let palette = &app.palette;
    rule(app, contest, area.y, area, buf);
    let x_of = |at: usize| area.x + LABEL + at as u16 * layout.width;
    for (at, objective) in layout.shown_objectives().enumerate() {
        buf.set_string(x_of(at) + 1, area.y + 1, objective.label(), palette.dim);
    }
    mark_ends(app, layout, area, buf);
    let mut y = area.y + 2;
    for architecture in layout.shown_architectures() {
        buf.set_string(area.x + 1, y, architecture.label(), palette.dim);
        for (at, objective) in layout.shown_objectives().enumerate() {
            let here = spot.is_some_and(|spot| {
                spot.contest == contest && spot.architecture == architecture && spot.objective == objective
            });
            let place = Rect { x: x_of(at), y, width: layout.width.saturating_sub(1), height: 2 };
            let width = usize::from(layout.width.saturating_sub(BESIDE));
            let lines = cell_lines(app, own, (architecture, objective), column, (width, layout.intervals));
            if here {
                buf.set_style(place, palette.selected);
            }
            for (line, (text, style)) in lines.into_iter().enumerate() {
                let style = if here { palette.selected } else { style };
                buf.set_stringn(place.x + 1, y + line as u16, text, width, style);
            }
        }
        y += 2;
    }
    if let Some((column, chance)) = column.and_then(|column| Some((column, column.chance?))) {
        let text = format!("chance {}", format::board_value(column, chance));
        buf.set_string(area.x + 1, y, text, palette.dim);
    }
}

/// Arrows where rows and columns go on beyond what is shown.
fn mark_ends(app: &App, layout: &Layout, area: Rect, buf: &mut Buffer) {
    let last_row = area.y + 1 + 2 * layout.architectures.len() as u16;
    let marks = [
        (layout.objectives.start > 0, area.x + LABEL - 1, area.y + 1, "◂"),
        (layout.objectives.end < layout.cells.objectives.len(), area.right() - 1, area.y + 1, "▸"),
        (layout.architectures.start > 0, area.x, area.y + 2, "▴"),
        (layout.architectures.end < layout.cells.architectures.len(), area.x, last_row, "▾"),
    ];
    for (_, x, y, mark) in marks.into_iter().filter(|(more, _, _, _)| *more) {
        buf.set_string(x, y, mark, app.palette.key);
    }
}

/// The first of `forms` that is at most `width` wide.
fn longest(forms: Vec<String>, width: usize) -> String {
    forms.into_iter().find(|form| columns_of(form) <= width).unwrap_or_else(|| "…".to_owned())
}

/// A cell: its number, then place, seeds and how many lineages it is the best of.
fn cell_lines(
    app: &App,
    own: &[&LeaderboardRow],
    (architecture, objective): (Architecture, Objective),
    column: Option<&BoardColumn>,
    (width, intervals): (usize, bool),
) -> [(String, Style); 2] {
    let dim = app.palette.dim;
    let empty = |text: &str| [(text.to_owned(), dim), (String::new(), dim)];
    let found = board::in_cell(own, (architecture, objective), column);
    let Some(best) = found.first() else {
        let possible = legal::usual(architecture, objective).is_ok();
        return empty(if possible { "-" } else { "·" });
    };
    let of = if found.len() > 1 { format!(" (of {})", found.len()) } else { String::new() };
    let short = seeds(best);
    let Some((column, cell)) = cell_of(best, column) else {
        let forms = vec![format!("{short} seeds{of}"), format!("{short} seeds"), short];
        return [("-".to_owned(), dim), (longest(forms, width), dim)];
    };
    let value = longest(value_of(best, Some(column), intervals).into_iter().collect(), width);
    let short = format!("#{} {short}", cell.place_text());
    let about = format!("{short} seeds{of}");
    // The cursor says the size where there is no room for it.
    let forms = vec![format!("{about}  {}", best.size), about, format!("{short} seeds"), short];
    [(value, standing(app, best, column)), (longest(forms, width), dim)]
}

/// What is to be said of the cell under the cursor, in at most `width` characters.
fn said(app: &App, spot: &Spot, column: Option<&BoardColumn>, (width, intervals): (usize, bool)) -> String {
    let name = format!("{}:{}", spot.architecture, spot.objective);
    let best = match (board_acts::best_at(app, spot), legal::usual(spot.architecture, spot.objective)) {
        (Some(best), _) => best,
        (None, Ok(())) => return table::shorten(&format!("{name}: no such lineage here"), width),
        (None, Err(reason)) => return table::shorten(&reason.to_string(), width),
    };
    let above = column.and_then(|column| best.cells.get(&column.key)).and_then(|cell| cell.above_chance);
    let whole = value_of(best, column, true).filter(|_| !intervals).map(|value| format!(" {value} ·"));
    let parts = [
        format!("{}{} {}", best.cell(), whole.unwrap_or_default(), best.size),
        format!(", {} parameters", format::count(best.parameters as f64)),
        format!(", lr {}", format::learning_rate(best.learning_rate)),
        above.map(|above| format!(" · above chance {above:.3}")).unwrap_or_default(),
    ];
    // A part stays whole.
    let mut text = String::new();
    for part in parts {
        if columns_of(&text) + columns_of(&part) > width {
            break;
        }
        text.push_str(&part);
    }
    text
}

/// The spot at a place of the screen.
#[must_use]
pub fn spot_at(app: &App, inside: Rect, column: u16, row: u16) -> Option<Spot> {
    let rows = board_acts::rows(app);
    let contests = board::contests(&rows);
    let layout = layout(app, (&rows, board_acts::spot(app).as_ref()), inside);
    if row >= inside.bottom().saturating_sub(layout.foot) {
        return None;
    }
    let down = row - inside.y;
    let (contest, _) = contests.get(layout.first + usize::from(down / layout.height))?;
    let line = (down % layout.height).checked_sub(2)? / 2;
    let across = column.checked_sub(inside.x + LABEL)?.checked_div(layout.width)?;
    Some(Spot {
        contest: (*contest).to_owned(),
        architecture: layout.shown_architectures().nth(usize::from(line))?,
        objective: layout.shown_objectives().nth(usize::from(across))?,
    })
}
