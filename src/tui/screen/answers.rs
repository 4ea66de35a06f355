//! The answers of a run to a task: a list of items, and the one under the cursor in full.
//! Promises: every number is there even where texts are missing, and why they are missing is said. Must not know: keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::core::summary::Answer;
use crate::core::text_width::columns_of;
use crate::tui::answers::{self, AnswersView, choice, margin, marks};
use crate::tui::app::{App, DetailPane, DetailView, Page};
use crate::tui::format;
use crate::tui::table::{self, Cell, Column, Row};

use super::frame::{body, lines, pane};
use super::{detail, tasks};

const COLUMNS: [Column; 6] = [
    Column::new("item", 20).right(),
    Column::new("", 19),
    Column::new("margin", 18).right(),
    Column::new("log-lik", 7).right(),
    Column::new("predicted", 9).free_text(),
    Column::new("right one", 8).free_text(),
];

/// Where the list and the item are.
fn layout(area: Rect) -> (Rect, Rect) {
    let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if area.width >= 110 {
        let list = Rect { width: (area.width / 2).min(90), ..below };
        (list, Rect { x: list.right(), width: below.width - list.width, ..below })
    } else {
        let list = Rect { height: below.height * 2 / 5, ..below };
        (list, Rect { y: list.bottom(), height: below.height - list.height, ..below })
    }
}

fn inner(area: Rect) -> Rect {
    Rect { x: area.x + 1, y: area.y + 1, width: area.width.saturating_sub(2), height: area.height.saturating_sub(2) }
}

/// Draws the page.
pub fn draw(app: &App, view: &DetailView, shown: &AnswersView, area: Rect, buf: &mut Buffer) {
    headline(app, view, shown, area, buf);
    let (list, item) = layout(area);
    let Some(told) = &shown.told else {
        let (text, style) = match &shown.problem {
            Some(problem) => (problem.as_str(), app.palette.warn),
            None => ("asking the server for the answers…", app.palette.dim),
        };
        let inside =
            pane(app, "Answers", true, Rect { height: area.height.saturating_sub(1), y: area.y + 1, ..area }, buf);
        let width = usize::from(inside.width.saturating_sub(2));
        for (y, line) in (inside.y + 1..inside.bottom()).zip(format::wrap(text, width)) {
            buf.set_stringn(inside.x + 1, y, line, width, style);
        }
        return;
    };
    let items = shown.shown();
    let place = shown.place(&items);
    let (right, judged) = shown.right();
    let title = match (shown.only_wrong, judged) {
        (_, 0) => format!("Answers {}", told.answers.len()),
        (true, _) => format!("Wrong {} of {judged}", items.len()),
        (false, _) => format!("Answers {judged}, {right} right"),
    };
    let inside = pane(app, &title, !shown.reading, list, buf);
    if items.is_empty() {
        let text = if shown.only_wrong { "no wrong answer" } else { "the task has no items" };
        buf.set_stringn(inside.x + 1, inside.y, text, usize::from(inside.width.saturating_sub(1)), app.palette.dim);
    }
    let visible = table::visible(items.len(), place, usize::from(inside.height.saturating_sub(1)));
    let rows: Vec<Row> =
        visible.filter_map(|at| Some(Row { cells: cells(app, items.get(at)?), selected: place == Some(at) })).collect();
    table::draw(&columns(&told.answers), &rows, inside, buf, &app.palette);
    draw_item(app, shown, place.and_then(|at| items.get(at).copied()), item, buf);
}

/// The columns that say something of `answers`: nothing is predicted where nothing is chosen or written, and what is
/// written has no likelihood.
fn columns(answers: &[Answer]) -> Vec<Column<'static>> {
    let answered = answers.iter().any(|answer| answers::answered(answer).is_some());
    let scored = answers.iter().any(|answer| !answer.log_likelihoods.is_empty());
    let silent = [("margin", scored), ("log-lik", scored), ("predicted", answered), ("right one", answered)];
    let hidden = silent.into_iter().filter(|(_, says)| !says).map(|(heading, _)| heading.to_owned()).collect();
    COLUMNS.map(|column| column.unless_in(&hidden)).to_vec()
}

fn headline(app: &App, view: &DetailView, shown: &AnswersView, area: Rect, buf: &mut Buffer) {
    let palette = &app.palette;
    let (form, task) = &shown.task;
    let run = view.detail.as_ref().map(|detail| &detail.summary).or_else(|| app.run(&view.run));
    let whose = run.map_or_else(|| view.run.to_string(), |run| format!("{} seed {}", run.cell(), run.seed));
    let step = shown.told.as_ref().map(|told| format!("  step {}", told.step)).unwrap_or_default();
    let line = Line::from(vec![
        Span::raw(" "),
        Span::styled(task.clone(), palette.title),
        Span::raw(format!("  {form} form  {whose}{step}")),
    ]);
    buf.set_line(area.x, area.y, &line, area.width);
}

fn verdict(app: &App, answer: &Answer) -> (&'static str, Style) {
    match answer.right {
        Some(true) => ("✓", app.palette.good),
        Some(false) => ("✗", app.palette.bad),
        None => ("·", app.palette.dim),
    }
}

fn cells(app: &App, answer: &Answer) -> Vec<Cell> {
    let palette = &app.palette;
    let (mark, style) = verdict(app, answer);
    let best = answer.log_likelihoods.iter().copied().max_by(f64::total_cmp);
    vec![
        Cell::new((answer.document + 1).to_string(), palette.text),
        Cell::new(mark, style),
        Cell::new(margin(answer).map(|margin| format!("{margin:+.3}")).unwrap_or_default(), palette.text),
        Cell::new(best.map(|best| format!("{best:.3}")).unwrap_or_default(), palette.dim),
        Cell::new(answers::answered(answer).unwrap_or_default(), style),
        Cell::new(answers::right_ones(answer), palette.text),
    ]
}

fn draw_item(app: &App, shown: &AnswersView, answer: Option<&Answer>, area: Rect, buf: &mut Buffer) {
    let width = usize::from(area.width.saturating_sub(2));
    let content = answer.map_or_else(Vec::new, |answer| item_lines(app, shown, answer, width));
    let room = usize::from(area.height.saturating_sub(2));
    let scroll = shown.scroll.min(content.len().saturating_sub(room));
    let more = content.len().saturating_sub(scroll + room);
    let name = answer.map_or_else(|| "Item".to_owned(), |answer| format!("Item {}", answer.document + 1));
    let legend = if answer.is_some_and(|answer| answer.predicted.is_some()) { "  ▸ predicted ✓ right" } else { "" };
    let above = if scroll > 0 { format!("  ↑{scroll}") } else { String::new() };
    let below = if more > 0 { format!("  ↓{more} Tab scrolls") } else { String::new() };
    let inside = pane(app, &format!("{name}{legend}{above}{below}"), shown.reading, area, buf);
    lines(&content, scroll, inside, buf);
}

/// The item in full: context, then each choice with its log-likelihood in nats.
fn item_lines(app: &App, shown: &AnswersView, answer: &Answer, width: usize) -> Vec<Line<'static>> {
    let palette = &app.palette;
    let mut all = Vec::new();
    let wrapped = |text: &str, width: usize| format::wrap(text, width);
    match &answer.context {
        Some(context) if context.trim().is_empty() => all.push(Line::styled("(no context)", palette.dim)),
        Some(context) => all.extend(wrapped(context, width).into_iter().map(Line::raw)),
        None => {
            let notice = shown.told.as_ref().and_then(|told| told.notice.clone());
            let why = notice.unwrap_or_else(|| "the task's file cannot be read any more".to_owned());
            all.extend(
                wrapped(&format!("texts are missing: {why}"), width)
                    .into_iter()
                    .map(|text| Line::styled(text, palette.warn)),
            );
        }
    }
    all.push(Line::default());
    if let Some(text) = &answer.written {
        let (mark, style) = verdict(app, answer);
        let mut told = |lead: String, text: &str, style: Style| {
            for (line, text) in wrapped(text.trim(), width.saturating_sub(12).max(8)).into_iter().enumerate() {
                let lead = if line == 0 { lead.clone() } else { String::new() };
                all.push(Line::styled(format!("{lead:<11} {text}"), style));
            }
        };
        told(format!("{mark} written"), if text.trim().is_empty() { "(nothing)" } else { text }, style);
        answer.choices.iter().for_each(|right| told("  right".to_owned(), right, palette.text));
        return all;
    }
    let scores: Vec<String> = answer.log_likelihoods.iter().map(|value| format!("{value:.3}")).collect();
    let widest = scores.iter().map(String::len).max().unwrap_or(0);
    for (at, score) in scores.iter().enumerate() {
        let [predicted, right] = marks(answer, at);
        let style = match (predicted == "▸", right == "✓") {
            (true, true) => palette.good,
            (true, false) => palette.bad,
            (false, true) => palette.title,
            (false, false) => palette.text,
        };
        let lead = format!("{predicted}{right} {score:>widest$}  ");
        let indent = columns_of(&lead);
        let text = answer.choices.get(at).cloned().unwrap_or_else(|| choice(answer, at));
        for (line, text) in wrapped(text.trim_end(), width.saturating_sub(indent).max(8)).into_iter().enumerate() {
            let lead = if line == 0 { lead.clone() } else { " ".repeat(indent) };
            all.push(Line::from(vec![Span::styled(lead, style), Span::styled(text, style)]));
        }
    }
    let margin =
        margin(answer).map(|margin| format!("margin {margin:+.3} nats of the right choice over the best other"));
    all.push(Line::default());
    all.extend(margin.into_iter().flat_map(|text| wrapped(&text, width)).map(|text| Line::styled(text, palette.dim)));
    all
}

/// Put a cursor of the page of a run, or of its answers, on what is at a place of the screen.
pub fn click(app: &mut App, column: u16, row: u16) {
    let area = body(Rect::new(0, 0, app.size.0, app.size.1));
    let Page::Detail(view) = &mut app.page else { return };
    let Some(shown) = &mut view.answers else {
        let places = detail::layout(view, area);
        let Some((which, place)) = places.into_iter().find(|(_, place)| place.contains((column, row).into())) else {
            return;
        };
        view.pane = which;
        if which == DetailPane::Tasks
            && let Some(task) = tasks::task_at(view, inner(place), row)
        {
            view.task = Some(task);
        }
        return;
    };
    let (list, item) = layout(area);
    if item.contains((column, row).into()) {
        shown.reading = true;
        return;
    }
    let inside = inner(list);
    let items = shown.shown();
    let visible = table::visible(items.len(), shown.place(&items), usize::from(inside.height.saturating_sub(1)));
    let line = row.checked_sub(inside.y + 1).map(|line| visible.start + usize::from(line));
    if let Some(at) = line.filter(|at| visible.contains(at) && inside.contains((column, row).into())) {
        answers::select(shown, at);
    }
}
