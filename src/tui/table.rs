//! Tables that never cut a number: a column that does not fit is left out, the least needed first; only columns of
//! free text may be shortened, and then end in `…`. Draws the rows it is given; the caller formats visible rows only.
//! Must not know: what the rows are.

use std::collections::BTreeSet;
use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::core::text_width::{self, columns_of};
use crate::core::visible::visible as written_out;

use super::theme::Palette;

/// A column: its heading and how needed it is.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    heading: &'a str,
    right: bool,
    need: u8,
    free_text: bool,
    hidden: bool,
    lit: bool,
}

impl<'a> Column<'a> {
    /// A column aligned left; those with the smallest `need` are left out first.
    #[must_use]
    pub const fn new(heading: &'a str, need: u8) -> Self {
        Self { heading, right: false, need, free_text: false, hidden: false, lit: false }
    }

    /// Aligned right, for numbers.
    #[must_use]
    pub const fn right(mut self) -> Self {
        self.right = true;
        self
    }

    /// Its heading stands out.
    #[must_use]
    pub const fn lit(mut self) -> Self {
        self.lit = true;
        self
    }

    /// What stands over it.
    #[must_use]
    pub const fn heading(&self) -> &'a str {
        self.heading
    }

    /// Left out if its heading is in `hidden`.
    #[must_use]
    pub fn unless_in(mut self, hidden: &BTreeSet<String>) -> Self {
        self.hidden = hidden.contains(self.heading);
        self
    }

    /// Free text: takes the room that is left, may be shortened, and takes none where no row has any.
    #[must_use]
    pub const fn free_text(mut self) -> Self {
        self.free_text = true;
        self
    }
}

/// A text in a style.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What.
    pub text: String,
    /// How.
    pub style: Style,
}

impl Cell {
    /// A text in a style.
    #[must_use]
    pub fn new(text: impl Into<String>, style: Style) -> Self {
        Self { text: written_out(&text.into()).into_owned(), style }
    }

    fn width(&self) -> usize {
        columns_of(&self.text)
    }
}

/// A row.
#[derive(Clone, Debug)]
pub struct Row {
    /// One cell per column.
    pub cells: Vec<Cell>,
    /// Under the cursor.
    pub selected: bool,
}

/// The rows that are visible when `selected` of `count` must be, in `height` lines.
#[must_use]
pub fn visible(count: usize, selected: Option<usize>, height: usize) -> Range<usize> {
    let middle = selected.unwrap_or(0).saturating_sub(height / 2);
    let start = middle.min(count.saturating_sub(height));
    start..count.min(start + height)
}

const GAP: usize = 1;
/// Room that a column of free text must have to be worth showing.
const SHORTEST_TEXT: usize = 18;

/// Which columns fit into `room`, and how wide each is.
fn fit(columns: &[Column], rows: &[Row], room: usize) -> Vec<(usize, usize)> {
    let mut kept: Vec<(usize, usize, Column)> = columns
        .iter()
        .enumerate()
        .filter(|(_, column)| !column.hidden)
        .filter_map(|(at, column)| {
            let widest = rows.iter().filter_map(|row| row.cells.get(at)).map(Cell::width).max().unwrap_or(0);
            let silent = column.free_text && widest == 0 && !rows.is_empty();
            (!silent).then(|| (at, widest.max(columns_of(column.heading)), *column))
        })
        .collect();
    loop {
        let least = |width: usize, column: &Column| if column.free_text { width.min(SHORTEST_TEXT) } else { width };
        let total: usize = kept.iter().map(|(_, width, column)| least(*width, column) + GAP).sum();
        if total <= room + GAP || kept.len() <= 1 {
            break;
        }
        let weakest = kept.iter().enumerate().min_by_key(|(_, (_, _, column))| column.need).map(|(place, _)| place);
        if let Some(place) = weakest {
            kept.remove(place);
        }
    }
    let fixed: usize = kept.iter().filter(|(_, _, c)| !c.free_text).map(|(_, width, _)| width + GAP).sum();
    let mut texts: Vec<(usize, usize)> =
        kept.iter().filter(|(_, _, c)| c.free_text).map(|(at, w, _)| (*at, *w)).collect();
    // The short ones take what they need and leave the rest to the long ones.
    texts.sort_by_key(|(_, width)| *width);
    let mut left = (room + GAP).saturating_sub(fixed);
    let mut given: Vec<(usize, usize)> = Vec::new();
    for (turn, (at, width)) in texts.iter().enumerate() {
        let share = (left / (texts.len() - turn)).saturating_sub(GAP);
        let width = (*width).min(share);
        left -= (width + GAP).min(left);
        given.push((*at, width));
    }
    let width_of = |at: usize, width: usize| given.iter().find(|(other, _)| *other == at).map_or(width, |(_, w)| *w);
    kept.into_iter().map(|(at, width, _)| (at, width_of(at, width))).collect()
}

/// `text` in at most `width` columns, ending in `…` if something is left out. What commands a terminal is written out.
#[must_use]
pub fn shorten(text: &str, width: usize) -> String {
    text_width::shorten(&written_out(text), width)
}

/// Headings in the first line of `area`, rows below; `area` must have a line for each.
pub fn draw(columns: &[Column], rows: &[Row], area: Rect, buf: &mut Buffer, palette: &Palette) {
    let area = area.intersection(buf.area);
    let fitted = fit(columns, rows, usize::from(area.width));
    let mut line = |y: u16, cells: &[(String, Style)], base: Option<Style>| {
        if y >= area.bottom() {
            return;
        }
        if let Some(style) = base {
            buf.set_style(Rect { y, height: 1, ..area }, style);
        }
        let mut x = area.x;
        for ((at, width), (text, style)) in fitted.iter().zip(cells) {
            let text = shorten(text, *width);
            let pad = width.saturating_sub(columns_of(&text));
            let right = columns.get(*at).is_some_and(|column| column.right);
            let shift = if right { pad as u16 } else { 0 };
            let room = usize::from(area.right().saturating_sub(x + shift));
            // The row under the cursor is one bar: a cell with a colour of its own would be a hole in it.
            let style = base.unwrap_or(*style);
            buf.set_stringn(x + shift, y, text, room, style);
            x = x.saturating_add((width + GAP) as u16);
            if x >= area.right() {
                break;
            }
        }
    };
    let pick = |texts: &dyn Fn(usize) -> (String, Style)| fitted.iter().map(|(at, _)| texts(*at)).collect::<Vec<_>>();
    let headings = pick(&|at| {
        let style = if columns.get(at).is_some_and(|column| column.lit) { palette.title } else { palette.dim };
        (columns.get(at).map_or("", |column| column.heading).to_owned(), style)
    });
    line(area.y, &headings, None);
    for (y, row) in (area.y.saturating_add(1)..).zip(rows) {
        let cells = pick(&|at| row.cells.get(at).map_or_else(Default::default, |cell| (cell.text.clone(), cell.style)));
        line(y, &cells, row.selected.then_some(palette.selected));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Theme;
    use crate::tui::theme::Depth;

    const COLUMNS: [Column; 3] =
        [Column::new("cell", 9), Column::new("loss", 5).right(), Column::new("why", 3).free_text()];

    fn drawn(width: u16) -> Vec<String> {
        let palette = Palette::new(Theme::Mono, Depth::Mono);
        let cell = |text: &str| Cell::new(text, Style::new());
        let rows = [Row {
            cells: vec![cell("CD:FLM"), cell("3.1234"), cell("ran out of memory and of patience")],
            selected: true,
        }];
        let area = Rect::new(0, 0, width, 2);
        let mut buf = Buffer::empty(area);
        draw(&COLUMNS, &rows, area, &mut buf, &palette);
        let text = |y| (0..width).map(|x| buf[(x, y)].symbol().to_owned()).collect::<String>();
        vec![text(0), text(1)]
    }

    #[test]
    fn text_is_shortened_and_numbers_are_dropped_whole() {
        assert_eq!(drawn(50)[1].trim_end(), "CD:FLM 3.1234 ran out of memory and of patience");
        assert_eq!(drawn(40)[1].trim_end(), "CD:FLM 3.1234 ran out of memory and of …");
        assert_eq!(drawn(18)[1].trim_end(), "CD:FLM 3.1234");
        assert_eq!(drawn(10)[1].trim_end(), "CD:FLM");
    }

    #[test]
    fn the_row_under_the_cursor_is_one_bar_in_every_theme() {
        for (theme, depth) in [(Theme::Dark, Depth::True), (Theme::Light, Depth::Ansi), (Theme::Mono, Depth::Mono)] {
            let palette = Palette::new(theme, depth);
            let cells =
                vec![Cell::new("CD:FLM", palette.text), Cell::new("3.1", palette.bad), Cell::new("why", palette.dim)];
            let area = Rect::new(0, 0, 30, 2);
            let mut buf = Buffer::empty(area);
            draw(&COLUMNS, &[Row { cells, selected: true }], area, &mut buf, &palette);
            let first = buf[(0, 1)].style();
            assert!((0..30).all(|x| buf[(x, 1)].style() == first), "{theme:?}");
            assert_ne!(first, buf[(0, 0)].style(), "{theme:?}: the bar differs from the heading");
        }
    }

    #[test]
    fn wide_characters_shift_no_column_and_are_not_cut_in_half() {
        let palette = Palette::new(Theme::Mono, Depth::Mono);
        let cell = |text: &str| Cell::new(text, Style::new());
        let row = |why: &str| Row { cells: vec![cell("夜ｶ\u{ff9e}"), cell("3.1234"), cell(why)], selected: false };
        let rows = [row("夜の港に船が静かに入ってきた"), row("tab\tand\nmore"), row("👩\u{200d}🚀 flies")];
        let area = Rect::new(0, 0, 32, 4);
        let mut buf = Buffer::empty(area);
        draw(&COLUMNS, &rows, area, &mut buf, &palette);
        let symbols = |y: u16, from: u16| (from..32).map(|x| buf[(x, y)].symbol().to_owned()).collect::<String>();
        assert_eq!(symbols(1, 12).trim_end(), "夜 の 港 に 船 が 静 か に …", "two cells each");
        assert_eq!(symbols(2, 12).trim_end(), "tab\\tand\\nmore");
        assert_eq!(symbols(3, 12).trim_end(), "👩\u{200d}🚀  flies");
        for y in 1..4 {
            assert_eq!(symbols(y, 5).get(..6), Some("3.1234"), "line {y}");
        }
    }

    #[test]
    fn hidden_columns_leave_their_room_to_others() {
        let hidden = ["loss".to_owned()].into();
        let columns = COLUMNS.map(|column| column.unless_in(&hidden));
        let kept: Vec<usize> = fit(&columns, &[], 40).into_iter().map(|(at, _)| at).collect();
        assert_eq!(kept, [0, 2]);
    }

    #[test]
    fn the_cursor_is_always_visible() {
        for selected in 0..100 {
            assert!(visible(100, Some(selected), 7).contains(&selected));
        }
        assert_eq!(visible(3, Some(2), 7), 0..3);
        assert_eq!(visible(100, Some(99), 7), 93..100);
        assert_eq!(visible(0, None, 7), 0..0);
    }
}
