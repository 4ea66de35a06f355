//! The coverage map of the Lab: architecture × objective, with how many runs of each cell are done, run, wait or failed.
//! Promises: no count is ever cut: a cell says less where it has less room; what there is no room for at all is named on the
//! frame. Must not know: where on the screen it stands.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::core::summary::LabSummary;
use crate::core::text_width::columns_of;
use crate::core::{Architecture, Objective, RunStatus, legal};
use crate::tui::app::App;
use crate::tui::cells::{self, Cells};

use super::frame::pane;

/// Room for `EDS `.
const LABEL: u16 = 4;
/// Least width of a column: `BERT ` and `1/12 `.
const NARROWEST: u16 = 5;
/// Width that a column is given where there is plenty.
const AMPLE: u16 = 10;
/// Frame and heading.
const AROUND: u16 = 3;

/// Done, running, waiting, failed.
type Counts = [usize; 4];

fn counted(lab: &LabSummary) -> BTreeMap<(Architecture, Objective), Counts> {
    let mut counts: BTreeMap<(Architecture, Objective), Counts> = BTreeMap::new();
    for run in &lab.runs {
        let [done, running, queued, failed] = counts.entry((run.architecture, run.objective)).or_default();
        match run.status {
            RunStatus::Finished => *done += 1,
            RunStatus::Running { .. } => *running += 1,
            RunStatus::Preparing
            | RunStatus::Waiting { .. }
            | RunStatus::Blocked { .. }
            | RunStatus::Queued
            | RunStatus::Paused => *queued += 1,
            RunStatus::Diverged { .. } | RunStatus::Failed { .. } | RunStatus::Stopped => *failed += 1,
        }
    }
    counts
}

/// Width and height that the map would have for all of its cells, where the screen is `width` wide; it does with less.
#[must_use]
pub fn wanted(app: &App, width: u16) -> (u16, u16) {
    let cells = cells::shown(app.runs().iter().map(|run| (run.architecture, run.objective)));
    let column = if width >= 160 { AMPLE } else { NARROWEST };
    (2 + LABEL + column * cells.objectives.len() as u16, AROUND + cells.architectures.len() as u16)
}

/// Draws the map.
pub fn draw(app: &App, lab: &LabSummary, area: Rect, buf: &mut Buffer) {
    let title = if area.width >= 50 { "Coverage  ✓ done ● running ○ queued ✗ failed" } else { "Coverage" };
    let inside = pane(app, title, false, area, buf);
    let counts = counted(lab);
    let cells = cells::shown(counts.keys().copied());
    let room = inside.width.saturating_sub(LABEL);
    let columns = cells.objectives.len().min(usize::from(room / NARROWEST));
    let rows = cells.architectures.len().min(usize::from(inside.height.saturating_sub(1)));
    let width = room / (columns as u16).max(1);
    let x_of = |at: usize| inside.x + LABEL + at as u16 * width;
    for (at, objective) in cells.objectives.iter().enumerate().take(columns) {
        buf.set_string(x_of(at), inside.y, objective.label(), app.palette.dim);
    }
    for (y, architecture) in (inside.y + 1..).zip(cells.architectures.iter().take(rows)) {
        buf.set_string(inside.x, y, architecture.label(), app.palette.dim);
        for (at, objective) in cells.objectives.iter().enumerate().take(columns) {
            let cell = (*architecture, *objective);
            let line = said(app, cell, counts.get(&cell), usize::from(width.saturating_sub(1)));
            buf.set_line(x_of(at), y, &line, width);
        }
    }
    if let Some(text) = left_out(&cells, rows, columns) {
        let width = usize::from(area.width.saturating_sub(4));
        buf.set_stringn(area.x + 2, area.bottom().saturating_sub(1), text, width, app.palette.warn);
    }
}

/// ` +3 more: EDM EO MIX `.
fn left_out(cells: &Cells, rows: usize, columns: usize) -> Option<String> {
    let architectures = cells.architectures.iter().skip(rows).map(|architecture| architecture.label());
    let labels: Vec<&str> =
        architectures.chain(cells.objectives.iter().skip(columns).map(|objective| objective.label())).collect();
    (!labels.is_empty()).then(|| format!(" +{} more: {} ", labels.len(), labels.join(" ")))
}

/// Counts of a cell, in the longest form that fits into `width`; a blank at its end may stand beyond.
fn said(
    app: &App,
    (architecture, objective): (Architecture, Objective),
    counts: Option<&Counts>,
    width: usize,
) -> Line<'static> {
    let palette = &app.palette;
    let Some(counts) = counts else {
        let illegal = legal::usual(architecture, objective).is_err();
        return Line::styled(if illegal { "—" } else { "·" }, palette.dim);
    };
    let marks = [("✓", palette.good), ("●", palette.live), ("○", palette.text), ("✗", palette.bad)];
    let shown = counts.iter().zip(marks).filter(|(count, _)| **count > 0);
    let spans: Vec<Span> = shown.map(|(count, (mark, style))| Span::styled(format!("{mark}{count} "), style)).collect();
    let full = Line::from(spans);
    if full.width() <= width + 1 {
        return full;
    }
    let [done, _, _, failed] = *counts;
    let total: usize = counts.iter().sum();
    let style = if failed > 0 { palette.bad } else { palette.text };
    let share = format!("{done}/{total}");
    let percent = format!("{}%", done * 100 / total.max(1));
    let with_failed = format!("{share}✗{failed}");
    let fits = |text: &String| columns_of(text) <= width;
    let forms = [with_failed, share, percent];
    let text = forms.into_iter().skip(usize::from(failed == 0)).find(fits);
    Line::styled(text.unwrap_or_else(|| "…".to_owned()), style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_named() {
        let all = Architecture::ALL.into_iter().flat_map(|a| Objective::ALL.map(|o| (a, o)));
        let cells = cells::shown(all);
        assert_eq!(left_out(&cells, 8, 11), None);
        assert_eq!(left_out(&cells, 6, 8).unwrap(), " +5 more: EDM EO MIX MTF FT ");
    }
}
