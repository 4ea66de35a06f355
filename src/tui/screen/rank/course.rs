//! The charts of the Rank screen: the measure over training, and the spectrum of the head under the cursor.
//! Promises: every line has a mark or a label besides its colour. Must not know: keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line as Text, Span};

use crate::core::rank::RankReport;
use crate::core::text_width::columns_of;
use crate::tui::app::App;
use crate::tui::axis::{Axis, Writing};
use crate::tui::chart::{self, Chart, Line};
use crate::tui::format;
use crate::tui::rank_view::{kinds, mean, shown_head_dim};
use crate::tui::theme::mark;

use super::words;

/// A line with its name.
struct Named {
    name: String,
    points: Vec<(f64, f64)>,
    mark: char,
    style: Style,
}

/// Means over heads of each attention, then the head under the cursor.
fn named(app: &App) -> Vec<Named> {
    let view = &app.rank_view;
    let (Some(history), Some(at)) = (&view.history, view.newest()) else { return Vec::new() };
    let points = |value: &dyn Fn(&RankReport) -> Option<f64>| -> Vec<(f64, f64)> {
        history.reports.iter().filter_map(|at| Some((at.step as f64, value(&at.report)?))).collect()
    };
    let mut all: Vec<Named> = Vec::new();
    for (place, kind) in kinds(&at.report).into_iter().enumerate() {
        let points = points(&|report| mean(report, kind, None, view.measure));
        let name = format!("{} mean", kind.label());
        all.push(Named { name, points, mark: mark(place), style: app.palette.series(place) });
    }
    let points = points(&|report| view.in_report(report).map(|head| view.measure.of(head)));
    let name = format!("L{} H{}", view.layer, view.head);
    all.push(Named { name, points, mark: mark(3), style: app.palette.series(3) });
    all
}

/// Draws the measure over training.
pub(super) fn draw(app: &App, area: Rect, buf: &mut Buffer) {
    let (view, named) = (&app.rank_view, named(app));
    let Some(at) = view.newest() else { return };
    let references = view.measure.references(at.report.seq_len, shown_head_dim(app));
    let ys = named.iter().flat_map(|line| line.points.iter().map(|(_, y)| *y));
    let xs = named.iter().flat_map(|line| line.points.iter().map(|(x, _)| *x));
    let y = Axis::over(ys.chain(references.iter().map(|(value, _)| *value)), false, Writing::Plain);
    let x = Axis::over(xs, false, Writing::Count);
    if let (Some(x), Some(y)) = (x, y.map(|axis| axis.with_margin(0.05)))
        && named.iter().any(|line| line.points.len() > 1)
    {
        let mut lines: Vec<Line> = references
            .iter()
            .map(|(value, _)| Line {
                points: vec![(x.low, *value), (x.high, *value)],
                style: app.palette.border,
                mark: None,
                scatter: false,
            })
            .collect();
        lines.extend(named.iter().map(|line| Line {
            points: line.points.clone(),
            style: line.style,
            mark: Some(line.mark),
            scatter: false,
        }));
        let (x_title, y_title) = ("step".to_owned(), String::new());
        let (bands, cursor, braille) = (Vec::new(), None, app.braille);
        let chart = Chart { x, y, x_title, y_title, bands, lines, cursor, braille };
        match chart::draw(&chart, area, buf, &app.palette) {
            Some(plot) => label(app, &chart, &references, plot, buf),
            None => words(app, "no room for a chart: z gives this pane the whole screen", area, buf),
        }
    } else {
        words(app, "one report so far: a course needs two", area, buf);
    }
    legend(app, &named, Rect { height: 1, ..area }, buf);
}

/// Names of lines across the plot, on them at their left end; of two on one row the first.
fn label(app: &App, chart: &Chart, lines: &[(f64, String)], plot: Rect, buf: &mut Buffer) {
    let mut taken: Vec<u16> = Vec::new();
    for (value, text) in lines {
        let Some(share) = chart.y.place(*value).filter(|share| (0.0..=1.0).contains(share)) else { continue };
        let dots = if chart.braille { 4 } else { 1 };
        let dot = ((1.0 - share) * f64::from((plot.height * dots).saturating_sub(1))).round() as u16;
        let row = plot.y + dot / dots;
        if taken.contains(&row) || columns_of(text) + 2 > usize::from(plot.width) {
            continue;
        }
        taken.push(row);
        buf.set_string(plot.x + 1, row, format!(" {text} "), app.palette.dim);
    }
}

fn legend(app: &App, named: &[Named], area: Rect, buf: &mut Buffer) {
    let mut line = Text::default();
    for one in named {
        let last = one.points.last().map(|(_, y)| app.rank_view.measure.figure(*y)).unwrap_or_default();
        let text = format!(" {} {last}  ", one.name);
        if line.width() + 1 + columns_of(&text) <= usize::from(area.width) + 2 {
            line.push_span(Span::styled(one.mark.to_string(), one.style));
            line.push_span(Span::raw(text));
        }
    }
    buf.set_line(area.x, area.y, &line, area.width);
}

/// Draws the singular values of P, with the place `head_dim` and the size below which they do not count.
pub(super) fn draw_spectrum(app: &App, area: Rect, buf: &mut Buffer) {
    let Some(head) = app.rank_view.under_cursor() else { return };
    let values: Vec<(f64, f64)> = head.spectrum_places().map(|(place, value)| (place as f64, value)).collect();
    let largest = values.first().map_or(0.0, |(_, value)| *value);
    if values.len() < 2 || largest <= 0.0 {
        return words(app, "this report keeps no spectrum", area, buf);
    }
    let tolerance = head.queries.max(head.keys) as f64 * largest * f64::from(f32::EPSILON);
    // What does not count towards the numerical rank is rounding: its size tells nothing, so it lies on the floor.
    let floor = tolerance / 3.0;
    let points: Vec<(f64, f64)> = values.iter().map(|(x, y)| (*x, y.max(floor))).collect();
    let counted = points.iter().map(|(_, y)| *y);
    let last = points.last().map_or(1.0, |(x, _)| *x);
    let x = Axis { low: 1.0, high: last, log: false, writing: Writing::Count };
    let Some(y) = Axis::over(counted, true, Writing::Plain).map(|axis| axis.with_margin(0.03)) else { return };
    let head_dim = shown_head_dim(app);
    let mut lines = Vec::new();
    if tolerance > y.low {
        let points = vec![(1.0, tolerance), (last, tolerance)];
        lines.push(Line { points, style: app.palette.border, mark: None, scatter: false });
    }
    lines.push(Line { points, style: app.palette.series(3), mark: None, scatter: false });
    let chart = Chart {
        x,
        y,
        x_title: "place".to_owned(),
        y_title: String::new(),
        bands: Vec::new(),
        lines,
        cursor: head_dim.map(|place| place as f64),
        braille: app.braille,
    };
    let Some(plot) = chart::draw(&chart, area, buf, &app.palette) else {
        return words(app, "no room for a chart: z gives this pane the whole screen", area, buf);
    };
    if tolerance > chart.y.low {
        label(app, &chart, &[(tolerance, "below: rounding".to_owned())], plot, buf);
    }
    let mut text = Text::default();
    let mut push = |part: String, style: Style| {
        if text.width() + columns_of(&part) <= usize::from(area.width) {
            text.push_span(Span::styled(part, style));
        }
    };
    if let Some(head_dim) = head_dim {
        push(format!("┊ head_dim {head_dim}  "), app.palette.key);
    }
    push(format!("largest {}  ", format::count(largest)), Style::new());
    push("log scale".to_owned(), app.palette.dim);
    buf.set_line(area.x, area.y, &text, area.width);
}
