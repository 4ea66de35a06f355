//! Curves as Braille dots (or plain dots, for fonts without Braille) with axes, bands and a reading line.
//! Promises: every curve carries its mark besides its colour; nothing is drawn outside the area.
//! Must not know: runs or metrics.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::axis::Axis;
use super::theme::Palette;
use crate::core::text_width::columns_of;

/// A curve to draw.
#[derive(Clone, Debug)]
pub struct Line {
    /// Points by x.
    pub points: Vec<(f64, f64)>,
    /// Colour.
    pub style: Style,
    /// Drawn on the curve, so that colour is not needed; `None` for none.
    pub mark: Option<char>,
    /// Points only, not joined.
    pub scatter: bool,
}

/// The room between two curves.
#[derive(Clone, Debug)]
pub struct Band {
    /// (x, low, high) by x.
    pub points: Vec<(f64, f64, f64)>,
    /// Colour.
    pub style: Style,
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Written under the x axis.
    pub x_title: String,
    /// Written over the y axis.
    pub y_title: String,
    /// Drawn first.
    pub bands: Vec<Band>,
    /// Drawn over them; the last lies on top.
    pub lines: Vec<Line>,
    /// x of the reading line.
    pub cursor: Option<f64>,
    /// Braille, or plain dots.
    pub braille: bool,
}

/// Cells with dots in them.
struct Canvas {
    width: usize,
    height: usize,
    across: usize,
    down: usize,
    cells: Vec<(u8, Style, Layer)>,
}

/// What lies over what: a cell has one colour, so the dots of a lower layer leave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    /// Bands and single values.
    Ground,
    /// Curves.
    Curve,
}

impl Canvas {
    fn new(width: usize, height: usize, braille: bool) -> Self {
        let (across, down) = if braille { (2, 4) } else { (1, 1) };
        Self { width, height, across, down, cells: vec![(0, Style::new(), Layer::Ground); width * height] }
    }

    /// Width and height in dots.
    const fn dots(&self) -> (usize, usize) {
        (self.width * self.across, self.height * self.down)
    }

    fn set(&mut self, x: usize, y: usize, style: Style, layer: Layer) {
        const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
        let (column, row) = (x / self.across, y / self.down);
        if column >= self.width || row >= self.height {
            return;
        }
        let bit = BITS.get(x % self.across).and_then(|bits| bits.get(y % self.down)).copied().unwrap_or(1);
        if let Some(cell) = self.cells.get_mut(row * self.width + column) {
            let under = if cell.2 < layer { 0 } else { cell.0 };
            *cell = (under | bit, style, layer);
        }
    }

    fn join(&mut self, from: (i64, i64), to: (i64, i64), style: Style, layer: Layer) {
        let (wide, high) = (to.0 - from.0, to.1 - from.1);
        let steps = wide.abs().max(high.abs()).max(1);
        for step in 0..=steps {
            let x = from.0 + (wide * step * 2 + steps * wide.signum()) / (2 * steps);
            let y = from.1 + (high * step * 2 + steps * high.signum()) / (2 * steps);
            if let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) {
                self.set(x, y, style, layer);
            }
        }
    }

    fn symbol(&self, bits: u8) -> char {
        if self.down == 1 { '·' } else { char::from_u32(0x2800 + u32::from(bits)).unwrap_or('·') }
    }
}

/// The rows and columns that are left for curves in `area`, given the widest y label.
fn plot_area(area: Rect, gutter: u16) -> Option<Rect> {
    let inner = Rect {
        x: area.x + gutter,
        y: area.y + 1,
        width: area.width.checked_sub(gutter)?,
        height: area.height.checked_sub(3)?,
    };
    (inner.width >= 8 && inner.height >= 2).then_some(inner)
}

fn y_ticks(chart: &Chart, area: Rect) -> Vec<(f64, String)> {
    chart.y.ticks(usize::from(area.height / 3).clamp(2, 8))
}

/// Where the curves are if the chart is drawn in `area`; `None` if there is no room for them.
#[must_use]
pub fn plot(chart: &Chart, area: Rect) -> Option<Rect> {
    let widest = y_ticks(chart, area).iter().map(|(_, text)| columns_of(text)).max().unwrap_or(1);
    plot_area(area, widest as u16 + 1)
}

/// Draws the chart and gives back the area of the curves.
pub fn draw(chart: &Chart, area: Rect, buf: &mut Buffer, palette: &Palette) -> Option<Rect> {
    let plot = plot(chart, area)?;
    let ticks = y_ticks(chart, area);
    buf.set_stringn(area.x, area.y, &chart.y_title, usize::from(area.width), palette.dim);
    draw_axes(chart, &ticks, plot, area, buf, palette);
    let mut canvas = Canvas::new(usize::from(plot.width), usize::from(plot.height), chart.braille);
    for band in &chart.bands {
        fill(&mut canvas, chart, band);
    }
    for line in &chart.lines {
        trace(&mut canvas, chart, line);
    }
    for (at, (bits, style, _)) in canvas.cells.iter().enumerate().filter(|(_, (bits, _, _))| *bits != 0) {
        let (x, y) = ((at % canvas.width) as u16, (at / canvas.width) as u16);
        if let Some(cell) = buf.cell_mut((plot.x + x, plot.y + y)) {
            cell.set_char(canvas.symbol(*bits)).set_style(*style);
        }
    }
    draw_cursor(chart, plot, buf, palette);
    for (order, line) in chart.lines.iter().enumerate() {
        draw_marks(chart, line, order, plot, buf);
    }
    Some(plot)
}

fn draw_axes(chart: &Chart, ticks: &[(f64, String)], plot: Rect, area: Rect, buf: &mut Buffer, palette: &Palette) {
    let bottom = plot.bottom();
    for y in plot.y..bottom {
        buf.set_string(plot.x - 1, y, "│", palette.border);
    }
    buf.set_string(plot.x - 1, bottom, "└", palette.border);
    buf.set_string(plot.x, bottom, "─".repeat(usize::from(plot.width)), palette.border);
    for (value, text) in ticks {
        let Some(share) = chart.y.place(*value) else { continue };
        let row = ((1.0 - share) * f64::from(plot.height - 1)).round() as u16;
        let width = columns_of(text) as u16;
        buf.set_string((plot.x - 1).saturating_sub(width), plot.y + row, text, palette.dim);
        buf.set_string(plot.x - 1, plot.y + row, "┤", palette.border);
    }
    let title_width = columns_of(&chart.x_title) as u16;
    let title_at = area.right().saturating_sub(title_width);
    let mut free_from = area.x;
    for (value, text) in chart.x.ticks(usize::from(plot.width / 12).clamp(2, 10)) {
        let Some(share) = chart.x.place(value) else { continue };
        let column = plot.x + (share * f64::from(plot.width - 1)).round() as u16;
        buf.set_string(column, bottom, "┴", palette.border);
        let width = columns_of(&text) as u16;
        let start = column.saturating_sub(width / 2).max(area.x);
        if start >= free_from && start + width < title_at {
            buf.set_string(start, bottom + 1, &text, palette.dim);
            free_from = start + width + 1;
        }
    }
    buf.set_stringn(title_at, bottom + 1, &chart.x_title, usize::from(area.width), palette.dim);
}

fn dot(canvas: &Canvas, chart: &Chart, x: f64, y: f64) -> Option<(i64, i64)> {
    let (wide, high) = canvas.dots();
    let column = chart.x.place(x)? * (wide as f64 - 1.0);
    let row = (1.0 - chart.y.place(y)?) * (high as f64 - 1.0);
    // Far outside is still drawn towards, but not walked to.
    let near = |value: f64, size: usize| value.round().clamp(-(size as f64), 2.0 * size as f64) as i64;
    Some((near(column, wide), near(row, high)))
}

fn trace(canvas: &mut Canvas, chart: &Chart, line: &Line) {
    let mut last: Option<(i64, i64)> = None;
    for (x, y) in &line.points {
        let here = dot(canvas, chart, *x, *y);
        if let Some(here) = here {
            let from = if line.scatter { here } else { last.unwrap_or(here) };
            canvas.join(from, here, line.style, if line.scatter { Layer::Ground } else { Layer::Curve });
        }
        last = here;
    }
}

fn fill(canvas: &mut Canvas, chart: &Chart, band: &Band) {
    for pair in band.points.windows(2) {
        let [left, right] = pair else { continue };
        let (Some(start), Some(end)) = (dot(canvas, chart, left.0, left.1), dot(canvas, chart, right.0, right.1))
        else {
            continue;
        };
        for column in start.0..=end.0 {
            let share = if end.0 == start.0 { 0.0 } else { (column - start.0) as f64 / (end.0 - start.0) as f64 };
            let blend = |a: f64, b: f64| a + share * (b - a);
            let low = dot(canvas, chart, left.0, blend(left.1, right.1));
            let high = dot(canvas, chart, left.0, blend(left.2, right.2));
            let (Some((_, bottom)), Some((_, top))) = (low, high) else { continue };
            // A sparse pattern, so that the mean stays visible in one colour.
            for row in top..=bottom {
                let shown = canvas.down == 1 || (row == top || row == bottom || (row + column) % 3 == 0);
                if let (true, Ok(x), Ok(y)) = (shown, usize::try_from(column), usize::try_from(row)) {
                    canvas.set(x, y, band.style, Layer::Ground);
                }
            }
        }
    }
}

fn draw_cursor(chart: &Chart, plot: Rect, buf: &mut Buffer, palette: &Palette) {
    let Some(share) = chart.cursor.and_then(|x| chart.x.place(x)).filter(|share| (0.0..=1.0).contains(share)) else {
        return;
    };
    let column = plot.x + (share * f64::from(plot.width - 1)).round() as u16;
    for y in plot.y..plot.bottom() {
        if let Some(cell) = buf.cell_mut((column, y)).filter(|cell| matches!(cell.symbol(), " " | "\u{2800}")) {
            cell.set_char('┊').set_style(palette.key);
        }
    }
}

/// Marks at the end of the curve and at a few places on the way, shifted so that curves do not hide one another's.
fn draw_marks(chart: &Chart, line: &Line, order: usize, plot: Rect, buf: &mut Buffer) {
    let Some(mark) = line.mark else { return };
    let mut put = |x: f64, y: f64| {
        let (Some(across), Some(up)) = (chart.x.place(x), chart.y.place(y)) else { return };
        if !(0.0..=1.0).contains(&across) || !(0.0..=1.0).contains(&up) {
            return;
        }
        let column = plot.x + (across * f64::from(plot.width - 1)).round() as u16;
        let row = plot.y + ((1.0 - up) * f64::from(plot.height - 1)).round() as u16;
        if let Some(cell) = buf.cell_mut((column, row)) {
            cell.set_char(mark).set_style(line.style);
        }
    };
    if let Some((x, y)) = line.points.last() {
        put(*x, *y);
    }
    for turn in 0..3 {
        let share = (turn as f64 + 0.3 + 0.09 * (order % 8) as f64) / 3.0;
        let wanted = chart.x.value(share.min(1.0));
        if let Some((x, y)) = line.points.iter().find(|(x, _)| *x >= wanted) {
            put(*x, *y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Theme;
    use crate::tui::axis::Writing;
    use crate::tui::theme::Depth;

    fn chart(braille: bool) -> Chart {
        let line = Line {
            points: (0..=20).map(|x| (f64::from(x), f64::from(20 - x))).collect(),
            style: Style::new(),
            mark: Some('●'),
            scatter: false,
        };
        let axis = Axis { low: 0.0, high: 20.0, log: false, writing: Writing::Plain };
        Chart {
            x: axis,
            y: axis,
            x_title: "step".to_owned(),
            y_title: "loss".to_owned(),
            bands: vec![Band { points: vec![(0.0, 5.0, 9.0), (20.0, 5.0, 9.0)], style: Style::new() }],
            lines: vec![line],
            cursor: Some(10.0),
            braille,
        }
    }

    fn drawn(chart: &Chart, width: u16, height: u16) -> Option<Vec<String>> {
        let outer = Rect::new(0, 0, width + 2, height + 2);
        let area = Rect::new(1, 1, width, height);
        let mut buf = Buffer::empty(outer);
        let plot = draw(chart, area, &mut buf, &Palette::new(Theme::Mono, Depth::Mono));
        let inside = |x: u16, y: u16| area.contains((x, y).into());
        for (x, y) in (0..outer.width).flat_map(|x| (0..outer.height).map(move |y| (x, y))) {
            assert!(inside(x, y) || buf[(x, y)].symbol() == " ", "drawn outside at {x},{y}");
        }
        plot.map(|_| (1..=height).map(|y| (1..=width).map(|x| buf[(x, y)].symbol().to_owned()).collect()).collect())
    }

    #[test]
    fn a_falling_line_falls_and_stays_inside() {
        for braille in [true, false] {
            let rows = drawn(&chart(braille), 40, 12).unwrap();
            assert!(rows[0].starts_with("loss") && rows[11].ends_with("step"), "{rows:#?}");
            assert!(rows[9].trim_end().ends_with('●'), "the curve ends low, with its mark: {rows:#?}");
            assert!(rows.iter().any(|row| row.contains('┊')), "{rows:#?}");
            let dotted = |row: &str| row.chars().any(|c| c == '·' || ('\u{2801}'..='\u{28ff}').contains(&c));
            assert!((1..10).all(|y| dotted(&rows[y])), "{rows:#?}");
        }
    }

    #[test]
    fn a_curve_clears_the_noise_out_of_its_cells() {
        let mut canvas = Canvas::new(1, 1, true);
        canvas.set(1, 3, Style::new(), Layer::Ground);
        canvas.set(0, 3, Style::new(), Layer::Ground);
        assert_eq!(canvas.cells[0].0, 0xc0);
        canvas.set(0, 0, Style::new(), Layer::Curve);
        canvas.set(1, 0, Style::new(), Layer::Curve);
        assert_eq!(canvas.cells[0].0, 0x09, "both curves, without the noise");
    }

    #[test]
    fn too_small_is_nothing() {
        assert!(drawn(&chart(true), 8, 3).is_none());
        for (width, height) in [(9, 5), (13, 6), (30, 5)] {
            let _ = drawn(&chart(true), width, height);
        }
    }
}
