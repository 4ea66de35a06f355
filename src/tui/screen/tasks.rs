//! The zero-shot scores of a run: a row a task, families apart, with what guessing reaches.
//! Promises: an error is written where its value is; no number is cut. Must not know: keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::core::summary::RunDetail;
use crate::core::task::{ScoringForm, TaskMetric, TaskRecord};
use crate::tui::answers::{beats_chance, headline, task_place, tasks};
use crate::tui::app::{App, DetailView};
use crate::tui::format;
use crate::tui::table::{self, Cell, Column, Row};

use super::leaderboard::rule;

const COLUMNS: [Column; 8] = [
    Column::new("task", 20).free_text(),
    Column::new("score", 19).right(),
    Column::new("", 18),
    Column::new("chance", 17).right(),
    Column::new("items", 10).right(),
    Column::new("above chance", 9).right(),
    Column::new("step", 8).right(),
    Column::new("other scores", 5).free_text(),
];

/// A line of the list.
#[derive(Clone, Copy)]
enum Line<'a> {
    /// A family of several wordings begins.
    Family(&'a str, ScoringForm),
    /// A task by its place.
    Task(usize),
}

fn lines<'a>(tasks: &[&'a TaskRecord]) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    let mut last = None;
    for (at, task) in tasks.iter().enumerate() {
        let own = (task.form, task.family());
        if last != Some(own) && task.family() != task.task {
            lines.push(Line::Family(task.family(), task.form));
        }
        last = Some(own);
        lines.push(Line::Task(at));
    }
    lines
}

fn visible<'a>(view: &DetailView, tasks: &[&'a TaskRecord], inside: Rect) -> (Vec<Line<'a>>, std::ops::Range<usize>) {
    let lines = lines(tasks);
    let place = task_place(view, tasks);
    let selected = lines.iter().position(|line| matches!(line, Line::Task(at) if Some(*at) == place));
    let shown = table::visible(lines.len(), selected, usize::from(inside.height.saturating_sub(1)));
    (lines, shown)
}

/// What stands over the list.
#[must_use]
pub fn title(detail: &RunDetail) -> String {
    let steps: Vec<u64> = detail.tasks.iter().map(|task| task.step).collect();
    let at = match (steps.iter().min(), steps.iter().max()) {
        (Some(first), Some(last)) if first == last => format!(" at step {last}"),
        (Some(first), Some(last)) => format!(" at steps {first} to {last}"),
        (None, _) | (_, None) => String::new(),
    };
    format!("Tasks {}{at}, ± standard error", detail.tasks.len())
}

/// Draws the list; `focused` shows the cursor.
pub fn draw(app: &App, view: &DetailView, detail: &RunDetail, focused: bool, inside: Rect, buf: &mut Buffer) {
    let tasks = tasks(detail);
    if tasks.is_empty() {
        let every = detail.spec.probes.zero_shot_every;
        let text = if every > 0 {
            format!("not asked yet: tasks are asked every {every} steps and at the end")
        } else {
            "not asked yet".to_owned()
        };
        for (y, line) in (inside.y..inside.bottom()).zip(format::wrap(&text, usize::from(inside.width))) {
            buf.set_stringn(inside.x, y, line, usize::from(inside.width), app.palette.dim);
        }
        return;
    }
    let place = task_place(view, &tasks).filter(|_| focused);
    let (lines, shown) = visible(view, &tasks, inside);
    let mut drawn = Vec::new();
    let mut rules = Vec::new();
    for (line, y) in lines.get(shown).unwrap_or(&[]).iter().zip(inside.y + 1..) {
        let (cells, selected) = match line {
            Line::Family(name, form) => {
                let how = match form {
                    ScoringForm::Plain => "",
                    ScoringForm::Sentinel => " <X0>: asked behind a sentinel",
                };
                rules.push((y, format!("{name}{how}")));
                (Vec::new(), false)
            }
            Line::Task(at) => match tasks.get(*at) {
                Some(task) => (cells(app, task), place == Some(*at)),
                None => (Vec::new(), false),
            },
        };
        drawn.push(Row { cells, selected });
    }
    // Most tasks have one score.
    let others = tasks.iter().any(|task| task.scores.len() > 1);
    let columns = if others { &COLUMNS[..] } else { COLUMNS.get(..COLUMNS.len() - 1).unwrap_or(&COLUMNS) };
    table::draw(columns, &drawn, inside, buf, &app.palette);
    for (y, name) in rules {
        rule(app, &name, y, inside, buf);
    }
}

fn score(value: f64) -> String {
    if value.abs() >= 1e4 { format!("{value:.2e}") } else { format!("{value:.3}") }
}

fn cells(app: &App, task: &TaskRecord) -> Vec<Cell> {
    let palette = &app.palette;
    let plain = |text: String| Cell::new(text, palette.text);
    let name = match task.form {
        ScoringForm::Plain => task.task.clone(),
        ScoringForm::Sentinel => format!("{} <X0>", task.task),
    };
    let name = if task.later { format!("{name} later") } else { name };
    let Some((metric, best)) = headline(task) else {
        return vec![plain(name), Cell::new("no score", palette.dim)];
    };
    let error = best.stderr.map(|stderr| format!(" ±{}", score(stderr))).unwrap_or_default();
    let star = if beats_chance(&best) { "*" } else { " " };
    let others = task.scores.iter().filter(|(other, _)| **other != metric);
    let others: Vec<String> = others.map(|(other, value)| format!("{other} {}", score(value.value))).collect();
    vec![
        plain(name),
        plain(format!("{}{error}{star}", score(best.value))),
        Cell::new(if metric == TaskMetric::Acc { String::new() } else { metric.to_string() }, palette.dim),
        Cell::new(best.chance.map(score).unwrap_or_default(), palette.dim),
        plain(task.items.to_string()),
        plain(best.above_chance().map(|above| format!("{:.0} %", above * 100.0)).unwrap_or_default()),
        Cell::new(task.step.to_string(), palette.dim),
        Cell::new(others.join(", "), palette.dim),
    ]
}

/// The task in a line of the list.
#[must_use]
pub fn task_at(view: &DetailView, inside: Rect, row: u16) -> Option<(ScoringForm, String)> {
    let tasks = tasks(view.detail.as_ref()?);
    let (lines, shown) = visible(view, &tasks, inside);
    let at = shown.start + usize::from(row.checked_sub(inside.y + 1)?);
    match lines.get(at).filter(|_| shown.contains(&at))? {
        Line::Task(at) => tasks.get(*at).map(|task| (task.form, task.task.clone())),
        Line::Family(..) => None,
    }
}
