//! The leaderboard as the papers print it: architecture × objective, one block a contest, each cell with the best of its
//! lineages in the column that is looked at.
//! Promises: a cell that cannot be is told from one that was not measured. Must not know: keys, how places are found.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::core::board::{BoardColumn, LeaderboardRow};
use crate::core::{Architecture, Objective, legal};
use crate::tui::app::App;
use crate::tui::board::{self, Spot};
use crate::tui::board_acts;
use crate::tui::format;
use crate::tui::table;

use super::board_words::{seeds, standing};
use super::leaderboard::rule;

/// Room for `CD`.
const LABEL: u16 = 4;
/// Widest a column gets.
const WIDEST: u16 = 46;
/// Lines of a block: its name, the objectives, two a row.
const LINES: u16 = 2 + 2 * Architecture::ALL.len() as u16;

/// Where the blocks are.
struct Layout {
    /// Width of an objective's column.
    width: u16,
    /// Lines of a block, with its chance line and the empty one after it.
    height: u16,
    /// The first block shown.
    first: usize,
    /// Lines kept for what is said of the cell under the cursor.
    foot: u16,
}

/// Lines below the blocks: what is under the cursor, and what the marks of empty cells mean.
const FOOT: u16 = 2;

fn layout(app: &App, contests: &[(&str, Vec<&LeaderboardRow>)], inside: Rect) -> Layout {
    let columns = Objective::ALL.len() as u16;
    let width = (inside.width.saturating_sub(LABEL) / columns).min(WIDEST);
    let chance = board_acts::looked_at(app).is_some_and(|column| column.chance.is_some());
    let height = LINES + u16::from(chance) + 1;
    // The empty line after the last block is not needed.
    let room = inside.height.saturating_sub(FOOT) + 1;
    let at = board_acts::spot(app).and_then(|spot| contests.iter().position(|(name, _)| *name == spot.contest));
    let blocks = usize::from((room / height).max(1));
    let first = table::visible(contests.len(), at, blocks).start;
    Layout { width, height, first, foot: FOOT }
}

/// Draws the blocks that fit, the one with the cursor among them.
pub fn draw(app: &App, rows: &[&LeaderboardRow], inside: Rect, buf: &mut Buffer) {
    let contests = board::contests(rows);
    let layout = layout(app, &contests, inside);
    let column = board_acts::looked_at(app);
    let spot = board_acts::spot(app);
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
        let (first, second) = said(app, spot, column);
        let width = usize::from(inside.width.saturating_sub(1));
        buf.set_stringn(inside.x + 1, end, table::shorten(&first, width), width, app.palette.text);
        let more = if hidden > 0 { format!("{hidden} more below ↓ · {second}") } else { second };
        buf.set_stringn(inside.x + 1, end + 1, table::shorten(&more, width), width, app.palette.dim);
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
    for (at, objective) in Objective::ALL.into_iter().enumerate() {
        buf.set_string(x_of(at) + 1, area.y + 1, objective.label(), palette.dim);
    }
    let mut y = area.y + 2;
    for architecture in Architecture::ALL {
        buf.set_string(area.x + 1, y, architecture.label(), palette.dim);
        for (at, objective) in Objective::ALL.into_iter().enumerate() {
            let here = spot.is_some_and(|spot| {
                spot.contest == contest && spot.architecture == architecture && spot.objective == objective
            });
            let place = Rect { x: x_of(at), y, width: layout.width.saturating_sub(1), height: 2 };
            let width = usize::from(place.width.saturating_sub(1));
            let lines = cell_lines(app, own, (architecture, objective), column, width);
            if here {
                buf.set_style(place, palette.selected);
            }
            for (line, (text, style)) in lines.into_iter().enumerate() {
                let style = if here { palette.selected } else { style };
                buf.set_stringn(place.x + 1, y + line as u16, table::shorten(&text, width), width, style);
            }
        }
        y += 2;
    }
    if let Some((column, chance)) = column.and_then(|column| Some((column, column.chance?))) {
        let text = format!("chance {}", format::board_value(column, chance));
        buf.set_string(area.x + 1, y, text, palette.dim);
    }
}

/// A cell: its number, then place, seeds and how many lineages it is the best of.
fn cell_lines(
    app: &App,
    own: &[&LeaderboardRow],
    (architecture, objective): (Architecture, Objective),
    column: Option<&BoardColumn>,
    width: usize,
) -> [(String, Style); 2] {
    let dim = app.palette.dim;
    let empty = |text: &str| [(text.to_owned(), dim), (String::new(), dim)];
    let found = board::in_cell(own, (architecture, objective), column);
    let Some(best) = found.first() else {
        let possible = legal::usual(architecture, objective).is_ok();
        return empty(if possible { "-" } else { "·" });
    };
    let of = if found.len() > 1 { format!(" (of {})", found.len()) } else { String::new() };
    let Some((column, cell)) = column.and_then(|column| Some((column, best.cells.get(&column.key)?))) else {
        return [("-".to_owned(), dim), (format!("{} seeds{of}", seeds(best)), dim)];
    };
    let value = format::board_cell(column, cell).concat();
    let about = format!("#{} {} seeds{of}", cell.place_text(), seeds(best));
    // The cursor says the size where there is no room for it.
    let sized = format!("{about}  {}", best.size);
    let about = if sized.chars().count() <= width { sized } else { about };
    [(value, standing(app, best, column)), (about, dim)]
}

/// What is to be said of the cell under the cursor, and of empty cells.
fn said(app: &App, spot: &Spot, column: Option<&BoardColumn>) -> (String, String) {
    let name = format!("{}:{}", spot.architecture, spot.objective);
    let empty = "-: not measured   ·: no legal cell, the cursor says why".to_owned();
    match (board_acts::best_at(app, spot), legal::usual(spot.architecture, spot.objective)) {
        (Some(best), _) => {
            let above = column.and_then(|column| best.cells.get(&column.key)).and_then(|cell| cell.above_chance);
            let above = above.map(|above| format!(" · above chance {above:.3}"));
            let parameters = format::count(best.parameters as f64);
            let rate = format::learning_rate(best.learning_rate);
            (format!("{name} {}, {parameters} parameters, lr {rate}{}", best.size, above.unwrap_or_default()), empty)
        }
        (None, Ok(())) => (format!("{name}: no such lineage here"), empty),
        (None, Err(reason)) => (reason.to_string(), empty),
    }
}

/// The spot at a place of the screen.
#[must_use]
pub fn spot_at(app: &App, inside: Rect, column: u16, row: u16) -> Option<Spot> {
    let rows = board_acts::rows(app);
    let contests = board::contests(&rows);
    let layout = layout(app, &contests, inside);
    if row >= inside.bottom().saturating_sub(layout.foot) {
        return None;
    }
    let down = row - inside.y;
    let (contest, _) = contests.get(layout.first + usize::from(down / layout.height))?;
    let line = (down % layout.height).checked_sub(2)? / 2;
    let across = column.checked_sub(inside.x + LABEL)?.checked_div(layout.width)?;
    Some(Spot {
        contest: (*contest).to_owned(),
        architecture: *Architecture::ALL.get(usize::from(line))?,
        objective: *Objective::ALL.get(usize::from(across))?,
    })
}
