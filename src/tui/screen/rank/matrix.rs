//! The attention matrix of the head under the cursor, in little: half blocks where there are colours, shades where not.
//! Promises: queries go down, keys go right, at any size; what brightness means is written beside it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::core::picture::cells;
use crate::core::rank::{HeadRank, RankAtStep};
use crate::core::text_width::columns_of;
use crate::tui::app::App;
use crate::tui::ramp::Ramp;
use crate::tui::rank_measure::share;
use crate::tui::rank_view::positions_per_cell;

use super::words;

/// Columns that words beside the picture need.
const BESIDE: u16 = 24;

/// A picture drawn at some size: values between 0 and 1.
struct Drawn {
    values: Vec<f64>,
    across: usize,
    down: usize,
}

/// `masses` of `rows` × `columns` stretched or averaged to `down` × `across`.
fn resampled(masses: &[f64], (rows, columns): (usize, usize), (down, across): (usize, usize)) -> Drawn {
    let range = |at: usize, from: usize, to: usize| {
        let start = at * from / to.max(1);
        start..((at + 1) * from).div_ceil(to.max(1)).max(start + 1)
    };
    let value = |y: usize, x: usize| {
        let (ys, xs) = (range(y, rows, down), range(x, columns, across));
        let count = (ys.len() * xs.len()) as f64;
        ys.flat_map(|y| xs.clone().map(move |x| y * columns + x)).filter_map(|at| masses.get(at)).sum::<f64>() / count
    };
    let values = (0..down).flat_map(|y| (0..across).map(move |x| (y, x))).map(|(y, x)| value(y, x)).collect();
    Drawn { values, across, down }
}

/// The size in dots for a room of `width` × `height` dots: whole multiples of the picture if it fits, else all of the
/// room that it can use.
fn size(picture: (usize, usize), (down, across): (usize, usize)) -> (usize, usize) {
    let times = (down / picture.0.max(1)).min(across / picture.1.max(1));
    if times > 0 { (picture.0 * times, picture.1 * times) } else { (picture.0.min(down), picture.1.min(across)) }
}

/// The mass that is full: all but the top fiftieth lie below it. The first queries of a causal head see few keys and so
/// always have all their mass in a cell or two, which would leave the rest without contrast.
fn full_at(masses: &[f64]) -> f64 {
    let mut sorted = masses.to_vec();
    sorted.sort_by(f64::total_cmp);
    let most = sorted.last().copied().unwrap_or(0.0);
    let high = sorted.get(sorted.len() * 49 / 50).copied().unwrap_or(0.0);
    if high > 0.0 { high } else { most }
}

/// Draws the pane's inside.
pub(super) fn draw(app: &App, at: &RankAtStep, area: Rect, buf: &mut Buffer) {
    let Some(head) = app.rank_view.under_cursor() else { return };
    let (rows, columns) = (cells(head.queries), cells(head.keys));
    let masses = head.picture.masses();
    if masses.len() != rows * columns || masses.is_empty() {
        let text = "this report was made by a version that kept no pictures; the next report of a run has them";
        return words(app, text, area, buf);
    }
    let ramp = Ramp::new(app.theme, app.depth);
    let (wide, high) = (usize::from(area.width), usize::from(area.height));
    // A cell of the terminal is about twice as high as wide: a half block is a square, a whole one two of them.
    let drawn = if ramp.coloured() {
        resampled(&masses, (rows, columns), size((rows, columns), (high * 2, wide)))
    } else {
        let (down, across) = size((rows, columns * 2), (high, wide));
        let across = if down < rows || across < columns * 2 { across.min(columns) } else { across };
        resampled(&masses, (rows, columns), (down, across))
    };
    let most = full_at(&masses);
    let level = |y: usize, x: usize| {
        let value = if y < drawn.down { drawn.values.get(y * drawn.across + x).copied() } else { None };
        value.map(|value| if most > 0.0 { (value / most).min(1.0).sqrt() } else { 0.0 })
    };
    let lines = if ramp.coloured() { drawn.down.div_ceil(2) } else { drawn.down };
    for (row, y) in (0..lines).zip(area.y..area.bottom()) {
        for (column, x) in (0..drawn.across).zip(area.x..area.right()) {
            let Some(cell) = buf.cell_mut((x, y)) else { continue };
            if ramp.coloured() {
                let colour = |y: usize| level(y, column).and_then(|share| ramp.colour(share));
                let mut style = Style::new();
                style.fg = colour(2 * row);
                style.bg = colour(2 * row + 1);
                cell.set_char('▀').set_style(style);
            } else {
                cell.set_char(level(row, column).map_or(' ', |share| ramp.shade(share)));
            }
        }
    }
    explain(app, at, head, (&masses, most), (drawn.across as u16, lines as u16), area, buf);
}

/// What is seen, beside the picture or under it, as many whole lines as fit.
fn explain(
    app: &App,
    at: &RankAtStep,
    head: &HeadRank,
    (masses, most): (&[f64], f64),
    (across, lines): (u16, u16),
    area: Rect,
    buf: &mut Buffer,
) {
    let ramp = Ramp::new(app.theme, app.depth);
    let columns = cells(head.keys);
    let mean = |values: Vec<f64>| share(values.iter().sum::<f64>() / values.len().max(1) as f64);
    let (down, right) = positions_per_cell(head);
    let first = mean(masses.iter().step_by(columns.max(1)).copied().collect());
    let mut all = vec!["queries ↓  keys →".to_owned(), format!("to the first keys {first}")];
    if head.queries == head.keys {
        all.push(format!("to its own cell {}", mean(masses.iter().step_by(columns + 1).copied().collect())));
    }
    all.push(format!("a cell: {down} × {right} positions"));
    all.push(format!("mean of {} texts", at.report.examples));
    let beside = area.width.saturating_sub(across + 1);
    let room = if beside >= BESIDE {
        Rect { x: area.x + across + 1, width: beside, ..area }
    } else {
        Rect { y: area.y + lines, height: area.height.saturating_sub(lines), ..area }
    };
    let mut y = room.y;
    if room.height > 0 {
        let mut x = room.x;
        buf.set_string(x, y, "0 ", app.palette.dim);
        x += 2;
        for step in 0..9 {
            let level = f64::from(step) / 8.0;
            match ramp.colour(level) {
                Some(colour) => buf.set_string(x, y, " ", Style::new().bg(colour)),
                None => buf.set_string(x, y, ramp.shade(level).to_string(), Style::new()),
            }
            x += 1;
        }
        buf.set_string(x, y, format!(" {} of a row", share(most)), app.palette.dim);
        y += 1;
    }
    for text in all {
        if y >= room.bottom() {
            break;
        }
        if columns_of(&text) <= usize::from(room.width) {
            buf.set_string(room.x, y, text, app.palette.dim);
            y += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stretch_by_whole_cells_and_shrink_by_means() {
        let masses = [1.0, 0.0, 0.5, 0.5];
        let twice = resampled(&masses, (2, 2), (4, 4));
        assert_eq!(twice.values[..8], [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        assert_eq!(resampled(&masses, (2, 2), (1, 2)).values, [0.75, 0.25]);
        assert_eq!(resampled(&masses, (2, 2), (1, 1)).values, [0.5]);
    }

    #[test]
    fn what_is_full_is_not_set_by_the_first_queries() {
        let causal: Vec<f64> = (0..32)
            .flat_map(|query| (0..32).map(move |key| if key <= query { 1.0 / f64::from(query + 1) } else { 0.0 }))
            .collect();
        assert!((0.1..0.5).contains(&full_at(&causal)), "{}", full_at(&causal));
        assert_eq!(full_at(&[0.03; 1_024]), 0.03);
        let mut lone = vec![0.0; 1_024];
        lone[5] = 0.7;
        assert_eq!((full_at(&lone), full_at(&[])), (0.7, 0.0));
    }

    #[test]
    fn sizes_keep_the_shape_where_they_can() {
        assert_eq!(size((32, 32), (40, 200)), (32, 32));
        assert_eq!(size((32, 32), (70, 70)), (64, 64));
        assert_eq!(size((32, 32), (20, 78)), (20, 32), "too low: all columns, fewer rows");
        assert_eq!(size((24, 24), (50, 60)), (48, 48));
    }
}
