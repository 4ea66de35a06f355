//! Screen 3: is attention losing rank? Layer × head of a measure, its course, the spectrum and the matrix of the head
//! under the cursor, the residual stream by depth.
//! Promises: at 80×24 the heat map and one more pane, on wide terminals all; no number is cut. Must not know: keys.

mod course;
mod heat;
mod matrix;
mod residual;

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};

use crate::core::RunStatus;
use crate::core::picture::cells;
use crate::core::rank::RankAtStep;
use crate::core::summary::RunSummary;
use crate::core::text_width::columns_of;
use crate::tui::app::App;
use crate::tui::format;
use crate::tui::rank_view::{HeadPlace, RankPane, others};
use crate::tui::theme::status_mark;

use super::frame::{body, pane};

/// Columns from which panes stand side by side.
const WIDE: u16 = 110;
/// Rows from which more than one pane stands below the heat map.
const TALL: u16 = 32;
/// Columns of the residual stream's pane.
const RESIDUAL: u16 = 40;
/// Least rows of a pane with a chart: frame, title, two rows of curve, axis, labels, legend.
const LEAST_BELOW: u16 = 9;

/// Draws the screen.
pub fn draw(app: &App, area: Rect, buf: &mut Buffer) {
    let Some(at) = app.rank_view.newest() else {
        let inside = pane(app, &title(app, "Rank", area.width), true, area, buf);
        words(app, &missing(app), inside, buf);
        return;
    };
    for (which, area) in layout(app, at, area) {
        let focused = which == app.rank_view.pane;
        let mut heading = match which {
            RankPane::Heat => title(app, "Rank", area.width),
            RankPane::Course => format!("Course  {}", app.rank_view.measure.title()),
            RankPane::Spectrum => format!("Spectrum of P  {}", head_name(app)),
            RankPane::Matrix => format!("Attention P  {}", head_name(app)),
            RankPane::Residual => "Residual stream by depth".to_owned(),
        };
        if app.rank_view.zoomed && which != RankPane::Heat {
            heading = title(app, &heading, area.width);
        }
        let inside = pane(app, &heading, focused, area, buf);
        match which {
            RankPane::Heat => heat::draw(app, at, inside, buf),
            RankPane::Course => course::draw(app, inside, buf),
            RankPane::Spectrum => course::draw_spectrum(app, inside, buf),
            RankPane::Matrix => matrix::draw(app, at, inside, buf),
            RankPane::Residual => residual::draw(app, &at.report, inside, buf),
        }
    }
}

/// `Rank  ED:MLM seed 1 · 0123456789ab · step 1240 of 2000 · ● running` behind `first`, as far as whole parts fit into
/// `width`.
fn title(app: &App, first: &str, width: u16) -> String {
    let Some(run) = app.rank_view.run.as_ref() else { return first.to_owned() };
    let Some(summary) = app.run(run) else { return format!("{first}  {run}") };
    let step = match app.rank_view.newest() {
        Some(at) => format!("step {} of {}", at.step, summary.steps),
        None => format!("{} steps", summary.steps),
    };
    let state = format!("{} {}", status_mark(&summary.status), summary.status.word());
    let mut text = format!("{first}  {} seed {}", summary.cell(), summary.seed);
    // The frame's corners and the spaces around a title.
    let room = usize::from(width.saturating_sub(4));
    for part in [run.to_string(), step, state] {
        if columns_of(&text) + 3 + columns_of(&part) > room {
            break;
        }
        text = format!("{text} · {part}");
    }
    text
}

/// `decoder L0 H3`.
fn head_name(app: &App) -> String {
    let view = &app.rank_view;
    format!("{} L{} H{}", view.attention.label(), view.layer, view.head)
}

/// Words where numbers are missing, wrapped.
fn words(app: &App, text: &str, area: Rect, buf: &mut Buffer) {
    let lines = format::wrap(text, usize::from(area.width.saturating_sub(4)));
    for (y, line) in (area.y + 1..area.bottom()).zip(lines) {
        buf.set_stringn(area.x + 2, y, line, usize::from(area.width.saturating_sub(2)), app.palette.dim);
    }
}

/// Why there is no rank, and what to do.
fn missing(app: &App) -> String {
    if app.lab.is_none() {
        return "waiting for the lab's server".to_owned();
    }
    if app.runs().is_empty() {
        return "no runs yet: a adds a study".to_owned();
    }
    let Some(run) = app.rank_view.run.as_ref().and_then(|run| app.run(run)) else {
        return "no run is chosen: put the cursor on one in the Lab (1) and press 3".to_owned();
    };
    if app.rank_view.history.is_none() {
        return format!("waiting for the ranks of {}", run.id);
    }
    let more = if others(app) { " n goes to a run that has some." } else { "" };
    format!("{}{more}", why_not(run))
}

fn why_not(run: &RunSummary) -> String {
    match &run.status {
        RunStatus::Preparing
        | RunStatus::Waiting { .. }
        | RunStatus::Blocked { .. }
        | RunStatus::Queued
        | RunStatus::Paused
            if run.step == 0 =>
        {
            "This run has not begun, so there are no ranks yet. The first report comes after probes.rank_every steps."
                .to_owned()
        }
        RunStatus::Preparing
        | RunStatus::Waiting { .. }
        | RunStatus::Blocked { .. }
        | RunStatus::Queued
        | RunStatus::Paused
        | RunStatus::Running { .. } => format!(
            "No rank report yet at step {}. The first comes after probes.rank_every steps; if that is 0 in the study, \
             rank is not measured: queue another with --set probes.rank_every=50.",
            run.step
        ),
        RunStatus::Stopped | RunStatus::Finished | RunStatus::Diverged { .. } | RunStatus::Failed { .. } => {
            "This run ended without a rank report: probes.rank_every was 0, the run ended before it, or the validation \
             text was too short (see the run's events with Enter). Queue it again with --set probes.rank_every=50."
                .to_owned()
        }
    }
}

/// Where the panes are.
fn layout(app: &App, at: &RankAtStep, area: Rect) -> Vec<(RankPane, Rect)> {
    let view = &app.rank_view;
    if view.zoomed {
        return vec![(view.pane, area)];
    }
    let (wide, tall) = (area.width >= WIDE, area.height >= TALL);
    if wide && tall {
        return all(app, at, area);
    }
    if wide {
        let half = Rect { width: area.width / 2, ..area };
        let other = Rect { x: half.right(), width: area.width - half.width, ..area };
        return vec![(RankPane::Heat, half), (view.below, other)];
    }
    let most = if tall { area.height / 2 } else { area.height.saturating_sub(LEAST_BELOW) };
    let most = most.min(heat_rows(at, area));
    let (top, rest) = split(area, heat::rows(app, at, area.width, most));
    if !tall {
        return vec![(RankPane::Heat, top), (view.below, rest)];
    }
    let (upper, lower) = split(rest, rest.height / 2);
    vec![(RankPane::Heat, top), (view.below, upper), (view.below.next_below(), lower)]
}

/// Rows for the heat map: its cells are drawn higher only where the charts keep the better part.
fn heat_rows(at: &RankAtStep, area: Rect) -> u16 {
    (area.height * 2 / 5).max(heat::least_rows(&at.report))
}

fn split(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    (Rect { height, ..area }, Rect { y: area.y + height, height: area.height - height, ..area })
}

fn all(app: &App, at: &RankAtStep, area: Rect) -> Vec<(RankPane, Rect)> {
    // Beside the heat map stands the residual stream, unless the map needs its place to show every attention.
    let needed = heat::columns(app, &at.report);
    let beside = needed <= area.width - RESIDUAL || needed > area.width;
    let heat_width = if beside { area.width - RESIDUAL } else { area.width };
    let least = if beside { residual::rows(&at.report) } else { 0 };
    let wanted = heat::rows(app, at, heat_width, heat_rows(at, area).min(area.height / 2));
    let (top, rest) = split(area, wanted.max(least).min(area.height / 2));
    let heat = Rect { width: heat_width, ..top };
    // The picture as large as whole cells allow, with room for a few words under or beside it.
    let side = app.rank_view.under_cursor().map_or(1, |head| cells(head.keys).max(cells(head.queries)).max(1)) as u16;
    let times = (rest.height.saturating_sub(2) * 2 / side).clamp(1, 2);
    let picture = (side * times + 2).max(RESIDUAL);
    let left = Rect { width: rest.width - picture, ..rest };
    let matrix = Rect { x: left.right(), width: picture, ..rest };
    let (course, spectrum) = if left.height < 2 * LEAST_BELOW {
        let half = Rect { width: left.width / 2, ..left };
        (half, Rect { x: half.right(), width: left.width - half.width, ..left })
    } else {
        split(left, left.height / 2)
    };
    let (spectrum, residual) = if beside {
        (spectrum, Rect { x: heat.right(), width: RESIDUAL, ..top })
    } else {
        let narrow = Rect { width: spectrum.width.saturating_sub(RESIDUAL), ..spectrum };
        (narrow, Rect { x: narrow.right(), width: spectrum.width - narrow.width, ..spectrum })
    };
    vec![
        (RankPane::Heat, heat),
        (RankPane::Residual, residual),
        (RankPane::Course, course),
        (RankPane::Spectrum, spectrum),
        (RankPane::Matrix, matrix),
    ]
}

/// What a place of the screen belongs to: a pane, and in the heat map a head.
#[must_use]
pub fn hit(app: &App, column: u16, row: u16) -> Option<(RankPane, Option<HeadPlace>)> {
    let at = app.rank_view.newest()?;
    let panes = layout(app, at, body(Rect::new(0, 0, app.size.0, app.size.1)));
    let (which, area) = panes.into_iter().find(|(_, area)| area.contains((column, row).into()))?;
    let head = match which {
        RankPane::Heat => heat::head_at(app, at, area.inner(Margin::new(1, 1)), (column, row)),
        RankPane::Course | RankPane::Spectrum | RankPane::Matrix | RankPane::Residual => None,
    };
    Some((which, head))
}
