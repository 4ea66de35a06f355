//! Screen 2: how are the losses going? Curves of the marked runs, a legend that is also the read-out.
//! Promises: every curve has a mark besides its colour; an empty screen says what to do. Must not know: keys.

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::style::{Modifier, Style};

use crate::core::metric::Notation;
use crate::core::{Metric, RunId};
use crate::tui::app::App;
use crate::tui::axis::{Axis, Writing};
use crate::tui::chart::{self, Band, Chart, Line};
use crate::tui::format;
use crate::tui::msg::XAxis;
use crate::tui::navigate::{legend_place, shown_window};
use crate::tui::series::{Series, value_at, window};
use crate::tui::table::{self, Cell, Column, Row};
use crate::tui::theme::mark;

use super::frame::{body, pane};

/// What an x axis is called.
#[must_use]
pub const fn axis_title(axis: XAxis) -> &'static str {
    match axis {
        XAxis::Step => "step",
        XAxis::Tokens => "tokens",
        XAxis::Flops => "FLOPs",
        XAxis::WallClock => "training time",
    }
}

const fn axis_writing(axis: XAxis) -> Writing {
    match axis {
        XAxis::Step | XAxis::Tokens => Writing::Count,
        XAxis::Flops => Writing::Flops,
        XAxis::WallClock => Writing::Duration,
    }
}

/// How the values of a metric are written on an axis.
#[must_use]
pub const fn metric_writing(metric: Metric) -> Writing {
    match metric.definition().notation {
        Notation::Count => Writing::Count,
        Notation::Fixed | Notation::Scientific => Writing::Plain,
    }
}

fn settings(app: &App, series: &[Series]) -> String {
    let view = &app.curves_view;
    let mut parts = vec![view.metric.definition().heading.to_owned(), format!("by {}", axis_title(view.x_axis))];
    if let Some(window) = series.iter().map(|series| series.window).max().filter(|window| *window > 0) {
        parts.push(format!("smoothed {window}"));
    }
    for (on, word) in
        [(view.log_x, "log x"), (view.log_y, "log y"), (view.fold, "seeds folded"), (view.window.is_some(), "zoomed")]
    {
        if on {
            parts.push(word.to_owned());
        }
    }
    let whose = match (&app.study, app.marks.len()) {
        (_, marked) if marked > 0 => format!("{} marked", format::runs(marked)),
        (Some(study), _) => format!("study {study}"),
        (None, _) => "newest runs".to_owned(),
    };
    parts.push(whose);
    parts.join(" · ")
}

/// Draws the screen.
pub fn draw(app: &App, area: Rect, buf: &mut Buffer) {
    let series = app.series();
    let (upper, lower) = parts(area, series.len());
    let inside = pane(app, &format!("Curves  {}", settings(app, &series)), false, upper, buf);
    match chart_of(app, &series) {
        Some(chart) if series.iter().any(|series| series.line.len() > 1) => {
            chart::draw(&chart, inside, buf, &app.palette);
        }
        Some(_) | None => empty(app, &series, inside, buf),
    }
    legend(app, &series, lower, buf);
}

/// Where the chart and the legend are.
fn parts(area: Rect, series: usize) -> (Rect, Rect) {
    let wide = area.width >= 110;
    let rows = (series as u16 + 1).min((area.height / 3).max(3));
    if wide {
        let legend = if area.width >= 150 { 64 } else { 52 };
        let left = Rect { width: area.width - legend, ..area };
        (left, Rect { x: left.right(), width: legend, ..area })
    } else {
        let above = Rect { height: area.height - rows - 2, ..area };
        (above, Rect { y: above.bottom(), height: rows + 2, ..area })
    }
}

fn whole(app: &App) -> Rect {
    body(Rect::new(0, 0, app.size.0, app.size.1))
}

/// Whether a place of the screen is in the frame of the chart.
#[must_use]
pub fn over_chart(app: &App, column: u16, row: u16) -> bool {
    parts(whole(app), app.series().len()).0.contains((column, row).into())
}

/// Where the curves themselves are.
#[must_use]
pub fn plot(app: &App) -> Option<Rect> {
    let series = app.series();
    let inside = parts(whole(app), series.len()).0.inner(Margin::new(1, 1));
    chart::plot(&chart_of(app, &series)?, inside)
}

/// The first run of the legend's row at a place of the screen.
#[must_use]
pub fn legend_at(app: &App, column: u16, row: u16) -> Option<RunId> {
    let series = app.series();
    let (_, legend) = parts(whole(app), series.len());
    if !legend.contains((column, row).into()) {
        return None;
    }
    let line = usize::from(row.checked_sub(legend.y + 2)?);
    let height = usize::from(legend.height.saturating_sub(3));
    let shown = table::visible(series.len(), legend_place(app, &series), height);
    let at = shown.start + line;
    if at < shown.end { series.get(at)?.runs.first().cloned() } else { None }
}

fn empty(app: &App, series: &[Series], area: Rect, buf: &mut Buffer) {
    let text = if app.lab.is_none() {
        "waiting for the lab's server"
    } else if app.runs().is_empty() {
        "no runs yet: a adds a study"
    } else if series.is_empty() {
        "no run has made a step yet; mark runs with Space on the Lab (1), or wait"
    } else if series.iter().all(|series| series.line.is_empty()) {
        "these runs have no values of this metric yet: [ and ] show other metrics"
    } else {
        "one value so far, see the legend: a curve needs two"
    };
    for (y, line) in (area.y + 1..area.bottom()).zip(format::wrap(text, usize::from(area.width.saturating_sub(4)))) {
        buf.set_stringn(area.x + 2, y, line, usize::from(area.width.saturating_sub(2)), app.palette.dim);
    }
}

fn chart_of(app: &App, series: &[Series]) -> Option<Chart> {
    let view = &app.curves_view;
    let (low, high) = shown_window(app)?;
    let cut = |points: &[(f64, f64)]| window(points, low, high);
    let mut raws = Vec::new();
    let mut bands = Vec::new();
    let mut lines = Vec::new();
    for (at, one) in series.iter().enumerate() {
        let style = app.palette.series(at);
        let faint = style.add_modifier(Modifier::DIM);
        if !one.raw.is_empty() {
            raws.push(Line { points: cut(&one.raw), style: faint, mark: None, scatter: true });
        }
        if !one.band.is_empty() {
            let points = one.band.iter().copied().filter(|(x, _, _)| (low..=high).contains(x)).collect();
            bands.push(Band { points, style: faint });
        }
        lines.push(Line { points: cut(&one.line), style, mark: Some(mark(at)), scatter: false });
    }
    // Scale by the curves themselves: the noise around a smoothed one may leave the frame.
    let ys = lines.iter().flat_map(|line| line.points.iter().map(|(_, y)| *y));
    let edges = bands.iter().flat_map(|band| band.points.iter().flat_map(|(_, least, most)| [*least, *most]));
    let y = Axis::over(ys.chain(edges), view.log_y, metric_writing(view.metric))?.with_margin(0.03);
    let xs = lines.iter().flat_map(|line| line.points.iter().map(|(x, _)| *x));
    let x = Axis::over(xs, view.log_x, axis_writing(view.x_axis))?;
    raws.iter_mut()
        .for_each(|raw| raw.points.retain(|(_, value)| y.place(*value).is_some_and(|at| (0.0..=1.0).contains(&at))));
    raws.extend(lines);
    let unit = view.metric.definition().unit;
    let y_title = if unit.is_empty() {
        view.metric.definition().heading.to_owned()
    } else {
        format!("{} ({unit})", view.metric.definition().heading)
    };
    let x_title = axis_title(view.x_axis).to_owned();
    Some(Chart { x, y, x_title, y_title, bands, lines: raws, cursor: view.cursor, braille: app.braille })
}

const LEGEND: [Column; 8] = [
    Column::new("", 20),
    Column::new("cell", 19),
    Column::new("seed", 15).right(),
    Column::new("last", 17).right(),
    Column::new("at line", 18).right(),
    Column::new("size", 12).free_text(),
    Column::new("state", 5),
    Column::new("corpus", 3).free_text(),
];

fn legend(app: &App, series: &[Series], area: Rect, buf: &mut Buffer) {
    let view = &app.curves_view;
    let axis = Axis { low: 0.0, high: 1.0, log: false, writing: axis_writing(view.x_axis) };
    let title = match view.cursor {
        Some(x) => format!("Legend  line at {} {}", axis_title(view.x_axis), axis.write(x.round(), 1.0)),
        None => "Legend  ← → read values".to_owned(),
    };
    let inside = pane(app, &title, !series.is_empty(), area, buf);
    if series.is_empty() {
        return;
    }
    let place = legend_place(app, series);
    let shown = table::visible(series.len(), place, usize::from(inside.height.saturating_sub(1)));
    let rows: Vec<Row> = shown
        .filter_map(|at| Some(Row { cells: legend_cells(app, series.get(at)?, at), selected: place == Some(at) }))
        .collect();
    table::draw(&LEGEND, &rows, inside, buf, &app.palette);
}

fn legend_cells(app: &App, series: &Series, at: usize) -> Vec<Cell> {
    let view = &app.curves_view;
    let text = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format::metric(view.metric, value));
    let plain = |text: String| Cell::new(text, Style::new());
    let run = series.runs.first().and_then(|run| app.run(run));
    let marked = series.runs.iter().any(|run| app.marks.contains(run));
    let mut seeds: Vec<String> =
        series.runs.iter().filter_map(|run| app.run(run)).map(|run| run.seed.to_string()).collect();
    if seeds.len() > 4 {
        seeds = vec![format!("{} seeds", seeds.len())];
    }
    let read = view.cursor.map_or_else(String::new, |x| text(value_at(&series.line, x)));
    let last = text(series.last);
    vec![
        Cell::new(format!("{}{}", if marked { "◆" } else { " " }, mark(at)), app.palette.series(at)),
        plain(run.map(crate::core::summary::RunSummary::cell).unwrap_or_default()),
        plain(seeds.join(",")),
        plain(last),
        Cell::new(read, app.palette.key),
        plain(run.map(|run| run.size.clone()).unwrap_or_default()),
        run.map_or_else(|| plain(String::new()), |run| Cell::new(run.status.word(), app.palette.status(&run.status))),
        plain(run.map(|run| run.corpus.clone()).unwrap_or_default()),
    ]
}
