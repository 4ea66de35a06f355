//! The review before a study is queued: how many runs, how large, how long, and what was refused.
//! Promises: a refusal is shown in full, behind the runs where there is no room for all above them. Must not know: keys, how
//! plans are made.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::core::summary::{PlanReport, PlannedRun};
use crate::tui::app::App;
use crate::tui::composer::{Review, Waiting};
use crate::tui::format;
use crate::tui::table::{self, Cell, Column, Row};

use super::board_words::WIDE;
use super::frame::{lines, pane};
use super::sizes::{own_words, shared_words};

/// Draws the page.
pub fn draw(app: &App, review: &Review, area: Rect, buf: &mut Buffer) {
    let palette = &app.palette;
    let width = usize::from(area.width.saturating_sub(4));
    let mut text: Vec<Line> = Vec::new();
    match review.waiting {
        Some(Waiting::Plan) => text.push(Line::styled("asking the server what this study would do…", palette.warn)),
        Some(Waiting::Submit) => text.push(Line::styled("queueing…", palette.warn)),
        None => {}
    }
    if let Some(error) = &review.error {
        let wrapped = format::wrap(&format!("✗ {error}"), width);
        text.extend(wrapped.into_iter().map(|line| Line::styled(line, palette.bad)));
    }
    if let Some(plan) = &review.plan {
        text.extend(totals(app, plan, width));
    } else {
        let about = format::wrap(&review.study.description, width);
        text.extend(about.into_iter().map(|line| Line::styled(line, palette.dim)));
    }
    let rows = review.plan.as_ref().map_or(0, |plan| plan.runs.len() as u16);
    let most = if rows == 0 { area.height } else { area.height.saturating_sub(LEAST_BELOW) };
    if let Some(plan) = &review.plan {
        let refused = refusals(app, plan, 0, width);
        let fits = rows == 0 || text.len() + refused.len() + 2 <= usize::from(most);
        let told = || {
            let count = plan.refusals.len();
            Line::styled(format!("✗ {count} cells are refused: the reasons stand behind the runs (G)"), palette.warn)
        };
        text.extend(if fits { refused } else { vec![told()] });
    }
    let most = most.min(if rows == 0 { most } else { text.len() as u16 + 2 });
    let upper = Rect { height: most, ..area };
    let inside = pane(app, &format!("Review: {}", review.study.name), false, upper, buf);
    let inside = Rect { x: inside.x + 1, width: inside.width.saturating_sub(1), ..inside };
    lines(&text, 0, inside, buf);
    if let Some(plan) = review.plan.as_ref().filter(|_| rows > 0) {
        let lower = Rect { y: upper.bottom(), height: area.height - upper.height, ..area };
        match review.scroll.checked_sub(plan.runs.len()) {
            None => draw_runs(app, plan, review.scroll, lower, buf),
            Some(first) => {
                let title = format!("Refused {} of {}", first + 1, plan.refusals.len());
                let inside = pane(app, &title, true, lower, buf);
                let inside = Rect { x: inside.x + 1, width: inside.width.saturating_sub(1), ..inside };
                let all = refusals(app, plan, 0, width);
                let before = all.len() - refusals(app, plan, first, width).len();
                lines(&all, before, inside, buf);
            }
        }
    }
}

/// Lines that runs have at least, with their frame and heading.
const LEAST_BELOW: u16 = 6;

/// The refusals from one on, each with its reason.
fn refusals(app: &App, plan: &PlanReport, from: usize, width: usize) -> Vec<Line<'static>> {
    let wrapped = plan
        .refusals
        .iter()
        .skip(from)
        .flat_map(|refusal| format::wrap(&format!("✗ {}: {}", refusal.cell, refusal.reason), width));
    wrapped.map(|line| Line::styled(line, app.palette.warn)).collect()
}

fn totals(app: &App, plan: &PlanReport, width: usize) -> Vec<Line<'static>> {
    let palette = &app.palette;
    let existing = plan.runs.iter().filter(|run| run.existing.is_some()).count();
    let fresh = plan.runs.len() - existing;
    let tokens: u64 = plan.runs.iter().filter(|run| run.existing.is_none()).map(|run| run.tokens).sum();
    let sizes = plan.runs.iter().map(|run| run.parameters);
    let parameters = match (sizes.clone().min(), sizes.max()) {
        (Some(least), Some(most)) if least == most => format::count(least as f64),
        (Some(least), Some(most)) => format!("{} to {}", format::count(least as f64), format::count(most as f64)),
        (Some(_), None) | (None, Some(_)) | (None, None) => "-".to_owned(),
    };
    let known = if existing > 0 { format!(", {existing} known (not trained twice)") } else { String::new() };
    let seconds = plan.seconds.map_or_else(|| "unknown until a run has finished here".to_owned(), format::duration);
    let queue = plan
        .queue_done_s
        .map_or_else(|| "end unknown yet".to_owned(), |seconds| format!("empty in {}", format::duration(seconds)));
    let corpus = format!(
        "{}, {}, {}",
        plan.corpus,
        format::bytes(plan.corpus_bytes),
        if plan.corpus_ready { "prepared" } else { "will be prepared first" }
    );
    let facts = [
        ("runs", format!("{fresh} to train{known}")),
        ("parameters", parameters),
        ("tokens", format!("{} in all", format::count(tokens as f64))),
        ("FLOPs", format::flops(plan.flops)),
        ("memory", format!("{} at most, all slots busy", format::bytes(plan.memory_bytes))),
        ("time", seconds),
        ("queue", queue),
        ("corpus", corpus),
    ];
    let mut text: Vec<Line> =
        format::wrap(&plan.description, width).into_iter().map(|line| Line::styled(line, palette.dim)).collect();
    let entry = |(word, value): &(&str, String)| {
        vec![Span::styled(format!("{word:11}"), palette.dim), Span::raw(value.clone())]
    };
    if width >= 100 {
        // Two columns where there is room, so that more runs are in view.
        for pair in facts.chunks(2) {
            let mut spans = pair.first().map(entry).unwrap_or_default();
            let used: usize = spans.iter().map(Span::width).sum();
            spans.push(Span::raw(" ".repeat((width / 2).saturating_sub(used).max(2))));
            spans.extend(pair.get(1).map(entry).unwrap_or_default());
            text.push(Line::from(spans));
        }
    } else {
        text.extend(facts.iter().map(|fact| Line::from(entry(fact))));
    }
    let notices = plan.notices.iter().flat_map(|notice| format::wrap(&format!("! {notice}"), width));
    text.extend(notices.map(|line| Line::styled(line, palette.warn)));
    if plan.runs.is_empty() {
        text.push(Line::styled("no run is left to queue; Esc goes back", palette.bad));
    } else {
        text.push(Line::styled("Enter queues it · Esc goes back · nothing is queued yet", palette.key));
    }
    text
}

const COLUMNS: [Column; 9] = [
    Column::new("cell", 20),
    Column::new("seed", 18).right(),
    Column::new("size", 16).free_text(),
    Column::new("steps", 17).right(),
    Column::new("params", 15).right(),
    Column::new("tokens", 10).right(),
    Column::new("FLOPs", 14).right(),
    Column::new("memory", 12).right(),
    Column::new("state", 19),
];

fn draw_runs(app: &App, plan: &PlanReport, scroll: usize, area: Rect, buf: &mut Buffer) {
    let sizes = plan.runs.iter().map(|run| run.size.as_str()).collect();
    let shared = if app.size.0 < WIDE { shared_words(&sizes) } else { Vec::new() };
    // One size for all needs no words of its own.
    let shared = if sizes.len() > 1 { shared } else { Vec::new() };
    let common = if shared.is_empty() { String::new() } else { format!(" · all {}", shared.join(" ")) };
    let inside = pane(app, &format!("Runs {}{common}", plan.runs.len()), true, area, buf);
    let shown = table::visible(plan.runs.len(), Some(scroll), usize::from(inside.height.saturating_sub(1)));
    let rows: Vec<Row> = shown
        .filter_map(|at| Some(Row { cells: cells(app, plan.runs.get(at)?, &shared), selected: at == scroll }))
        .collect();
    table::draw(&COLUMNS, &rows, inside, buf, &app.palette);
}

fn cells(app: &App, run: &PlannedRun, shared: &[&str]) -> Vec<Cell> {
    let palette = &app.palette;
    let plain = |text: String| Cell::new(text, palette.text);
    let size = own_words(&run.size, shared);
    let state = run.existing.as_ref().map_or_else(
        || Cell::new("new", palette.text),
        |status| Cell::new(format!("known: {}", status.word()), palette.status(status)),
    );
    vec![
        plain(run.cell.clone()),
        plain(run.seed.to_string()),
        plain(if size.is_empty() { "-".to_owned() } else { size }),
        plain(run.steps.to_string()),
        plain(format::count(run.parameters as f64)),
        plain(format::count(run.tokens as f64)),
        plain(format::flops(run.flops)),
        plain(format::bytes(run.memory_bytes)),
        state,
    ]
}
