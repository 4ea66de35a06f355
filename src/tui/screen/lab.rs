//! Screen 1: what runs, what is next, when is it done. Coverage map, machine, and three lists that share one cursor.
//! Promises: fits 80×24 without a cut number; wide screens gain columns and panes. Must not know: keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::core::summary::{LabSummary, RunSummary};
use crate::core::{Metric, RunId};
use crate::tui::app::{App, Section};
use crate::tui::format;
use crate::tui::msg::Tab;
use crate::tui::table::{self, Cell, Column, Row};
use crate::tui::theme::status_mark;

use super::coverage;
use super::frame::{body, pane};

/// Where the parts of the screen are.
struct Layout {
    coverage: Rect,
    machine: Rect,
    studies: Option<Rect>,
    lists: Vec<(Section, Rect)>,
}

/// Least height of the panes at the top.
const TOP: u16 = 6;
/// Least width of the pane of the machine.
const MACHINE: u16 = 34;

fn layout(app: &App, area: Rect) -> Layout {
    let (wide, high) = coverage::wanted(app, area.width);
    let width = if area.width >= 120 { wide.clamp(50, area.width / 2) } else { area.width * 11 / 20 };
    // Each list keeps its frame and a row.
    let most = area.height.saturating_sub(LEAST_LIST * Section::ALL.len() as u16).max(TOP);
    let top = high.clamp(TOP, most);
    let coverage = Rect { width, height: top, ..area };
    let rest = area.width - coverage.width;
    let machine = Rect { x: coverage.right(), width: if rest >= 66 { MACHINE } else { rest }, ..coverage };
    let left = rest - machine.width;
    let studies = (left > 0).then_some(Rect { x: machine.right(), width: left, ..coverage });
    let below = Rect { y: area.y + top, height: area.height.saturating_sub(top), ..area };
    if app.lab_view.zoomed {
        let section = focus(app);
        return Layout { coverage, machine, studies, lists: vec![(section, area)] };
    }
    let counted = |section: Section| (section, app.section(section).len() as u16);
    let lists = if area.width >= 160 {
        let (_, running) = counted(Section::Running);
        let most = (below.height / 2).max(LEAST_LIST);
        let top = Rect { height: (running + LIST_FRAME).clamp(LEAST_LIST, most), ..below };
        let low = Rect { y: top.bottom(), height: below.height - top.height, ..below };
        let half = Rect { width: low.width / 2, ..low };
        let other = Rect { x: half.right(), width: low.width - half.width, ..low };
        vec![(Section::Running, top), (Section::Queue, half), (Section::Recent, other)]
    } else {
        stacked(Section::ALL.map(counted), focus(app), below)
    };
    Layout { coverage, machine, studies, lists }
}

/// Lines of a list that are not rows: frame and heading.
const LIST_FRAME: u16 = 3;
const LEAST_LIST: u16 = LIST_FRAME + 1;

/// The lists one under the other. What is left after one row each goes line by line to the shortest list that lacks
/// some; where not even one row each fits, lists without the cursor are left out, the last first.
fn stacked(lists: [(Section, u16); 3], focus: Section, area: Rect) -> Vec<(Section, Rect)> {
    let mut shown: Vec<(Section, u16, u16)> =
        lists.into_iter().map(|(section, count)| (section, count + LIST_FRAME, LEAST_LIST)).collect();
    while shown.len() as u16 * LEAST_LIST > area.height && shown.len() > 1 {
        if let Some(last) = shown.iter().rposition(|(section, _, _)| *section != focus) {
            shown.remove(last);
        }
    }
    for _ in shown.len() as u16 * LEAST_LIST..area.height {
        let lacking = shown.iter_mut().filter(|(_, wanted, have)| have < wanted).min_by_key(|(_, _, have)| *have);
        match lacking {
            Some((_, _, have)) => *have += 1,
            None => {
                if let Some((_, _, have)) = shown.last_mut() {
                    *have += 1;
                }
            }
        }
    }
    let mut y = area.y;
    let place = |(section, _, height): (Section, u16, u16)| {
        y += height;
        (section, Rect { y: y - height, height, ..area })
    };
    shown.into_iter().map(place).collect()
}

fn focus(app: &App) -> Section {
    let run = app.lab_view.cursor.as_ref().and_then(|run| app.run(run));
    run.map_or(Section::Running, |run| Section::of(&run.status))
}

/// The run at a place of the screen.
#[must_use]
pub fn run_at(app: &App, column: u16, row: u16) -> Option<RunId> {
    let area = body(Rect::new(0, 0, app.size.0, app.size.1));
    let places = layout(app, area).lists;
    let (section, list) = places.into_iter().find(|(_, list)| list.contains((column, row).into()))?;
    let runs = app.section(section);
    let line = usize::from(row.checked_sub(list.y + 2)?);
    let shown = table::visible(runs.len(), selected(app, &runs), usize::from(list.height.saturating_sub(3)));
    let at = shown.start + line;
    (at < shown.end).then(|| runs.get(at).map(|run| run.id.clone())).flatten()
}

fn selected(app: &App, runs: &[&RunSummary]) -> Option<usize> {
    let cursor = app.lab_view.cursor.as_ref()?;
    runs.iter().position(|run| run.id == *cursor)
}

/// Draws the screen.
pub fn draw(app: &App, area: Rect, buf: &mut Buffer) {
    let Some(lab) = &app.lab else {
        let text = "waiting for the lab's server; it is started if none answers";
        buf.set_stringn(area.x + 2, area.y + 1, text, usize::from(area.width.saturating_sub(4)), app.palette.dim);
        return;
    };
    let places = layout(app, area);
    if !app.lab_view.zoomed {
        coverage::draw(app, lab, places.coverage, buf);
        draw_machine(app, lab, places.machine, buf);
        if let Some(studies) = places.studies {
            draw_studies(app, lab, studies, buf);
        }
    }
    for (section, list) in places.lists {
        draw_list(app, lab, section, list, buf);
    }
}

fn draw_machine(app: &App, lab: &LabSummary, area: Rect, buf: &mut Buffer) {
    let palette = &app.palette;
    let inside = pane(app, "Machine", false, area, buf);
    let busy = lab.slots.iter().filter(|slot| slot.run.is_some()).count();
    let free = lab.slots.len() - busy;
    let mut slots = format!("{busy} of {} busy", lab.slots.len());
    if lab.slots.len() <= 8 {
        slots = format!("{}{}  {slots}", "●".repeat(busy), "○".repeat(free));
    }
    let share = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), format::percent);
    let queue = match (lab.queue_paused, lab.queue_eta_s) {
        _ if lab.held.is_some() => Span::styled("‖ waits for the machine", palette.bad),
        (true, _) => Span::styled("‖ held: nothing new starts", palette.warn),
        (false, Some(seconds)) => Span::raw(format!("empty in {}", format::duration(seconds))),
        (false, None) if app.section(Section::Queue).is_empty() => Span::styled("empty", palette.dim),
        (false, None) => Span::styled("time unknown yet", palette.dim),
    };
    let word = |text: &'static str| Span::styled(text, palette.dim);
    let mut rows = vec![
        Line::from(vec![word("slots  "), Span::raw(slots)]),
        Line::from(vec![
            word("load   "),
            Span::raw(share(lab.machine_load)),
            word("  memory "),
            Span::raw(share(lab.memory_used)),
        ]),
        Line::from(vec![word("queue  "), queue]),
    ];
    let told = lab.held.as_ref().or(lab.notices.last());
    rows.push(match (lab.preparing.first().filter(|_| lab.held.is_none()), told) {
        (Some(corpus), _) => Line::from(vec![
            word("corpus "),
            Span::raw(format!("{} {} {}", format::percent(corpus.fraction), corpus.phase, corpus.corpus)),
        ]),
        (None, Some(notice)) => Line::styled(table::shorten(notice, usize::from(inside.width)), palette.warn),
        (None, None) => Line::default(),
    });
    super::frame::lines(&rows, 0, inside, buf);
}

fn draw_studies(app: &App, lab: &LabSummary, area: Rect, buf: &mut Buffer) {
    let palette = &app.palette;
    let inside = pane(app, &format!("Studies {}", lab.studies.len()), false, area, buf);
    let columns =
        [Column::new("study", 9).free_text(), Column::new("done", 8).right(), Column::new("asks", 3).free_text()];
    let height = usize::from(inside.height.saturating_sub(1));
    let row = |study: &crate::core::summary::StudySummary| {
        let done = study.counts.get("finished").copied().unwrap_or(0);
        Row {
            cells: vec![
                Cell::new(study.id.as_str(), palette.text),
                Cell::new(format!("{done}/{}", study.runs.len()), palette.good),
                Cell::new(study.description.as_str(), palette.dim),
            ],
            selected: false,
        }
    };
    let rows: Vec<Row> = lab.studies.iter().take(height).map(row).collect();
    table::draw(&columns, &rows, inside, buf, palette);
}

fn draw_list(app: &App, lab: &LabSummary, section: Section, area: Rect, buf: &mut Buffer) {
    let runs = app.section(section);
    let name = match section {
        Section::Running => "Running",
        Section::Queue if lab.queue_paused => "Queue, held",
        Section::Queue => "Queue",
        Section::Recent => "Ended",
    };
    let filtered = if app.filter.is_empty() { "" } else { " (filtered)" };
    let marked = runs.iter().filter(|run| app.marks.contains(&run.id)).count();
    let marked = if marked > 0 { format!(", {marked} marked") } else { String::new() };
    let follow = if app.lab_view.follow && section == Section::Running { ", followed" } else { "" };
    let focused = section == focus(app) && !runs.is_empty();
    let inside = pane(app, &format!("{name} {}{filtered}{marked}{follow}", runs.len()), focused, area, buf);
    if runs.is_empty() {
        let text = match section {
            Section::Running | Section::Queue | Section::Recent if !app.filter.is_empty() => {
                "nothing matches the filter"
            }
            Section::Running => "nothing trains now",
            Section::Queue if lab.runs.is_empty() => "no runs yet: a adds a study",
            Section::Queue => "nothing waits: a adds a study",
            Section::Recent => "nothing has ended yet",
        };
        buf.set_stringn(inside.x, inside.y, text, usize::from(inside.width), app.palette.dim);
        return;
    }
    let place = selected(app, &runs);
    let shown = table::visible(runs.len(), place, usize::from(inside.height.saturating_sub(1)));
    let wide = inside.width >= 110;
    let hidden = crate::tui::columns::hidden(app, Tab::Lab);
    let columns: Vec<Column> = columns(section).into_iter().map(|column| column.unless_in(hidden)).collect();
    let rows: Vec<Row> = shown
        .filter_map(|at| {
            let run = runs.get(at)?;
            Some(Row { cells: cells(app, section, run, wide), selected: place == Some(at) })
        })
        .collect();
    table::draw(&columns, &rows, inside, buf, &app.palette);
}

const LEADING: [Column; 4] = [
    Column::new("", 20),
    Column::new("cell", 19),
    Column::new("seed", 14).right(),
    Column::new("size", 12).free_text(),
];
const TRAILING: [Column; 3] =
    [Column::new("study", 4).free_text(), Column::new("corpus", 3).free_text(), Column::new("id", 2)];

/// What stands over the columns of all lists, in order.
#[must_use]
pub fn headings() -> Vec<&'static str> {
    Section::ALL.into_iter().flat_map(columns).map(|column| column.heading()).collect()
}

fn columns(section: Section) -> Vec<Column<'static>> {
    let own: &[Column] = match section {
        Section::Running => &[
            Column::new("loss", 18).right(),
            Column::new("val loss", 6).right(),
            Column::new("trend", 8),
            Column::new("tok/s", 11).right(),
            Column::new("step", 15).right(),
            Column::new("done", 7).right(),
            Column::new("ETA", 17).right(),
            Column::new("spent", 5).right(),
        ],
        Section::Queue => &[
            Column::new("place", 18).right(),
            Column::new("priority", 16).right(),
            Column::new("state", 17),
            Column::new("step", 15).right(),
            Column::new("params", 7).right(),
            Column::new("reason", 14).free_text(),
        ],
        Section::Recent => &[
            Column::new("state", 18),
            Column::new("loss", 17).right(),
            Column::new("val loss", 16).right(),
            Column::new("step", 10).right(),
            Column::new("ago", 9).right(),
            Column::new("reason", 13).free_text(),
        ],
    };
    LEADING.iter().chain(own).chain(&TRAILING).copied().collect()
}

fn cells(app: &App, section: Section, run: &RunSummary, wide: bool) -> Vec<Cell> {
    let palette = &app.palette;
    let style = palette.status(&run.status);
    let plain = |text: String| Cell::new(text, palette.text);
    let value = |metric: Metric| run.latest.get(&metric).map_or_else(String::new, |v| format::metric(metric, *v));
    let mark = if app.marks.contains(&run.id) { "◆" } else { " " };
    let mut cells = vec![
        Cell::new(format!("{mark}{}", status_mark(&run.status)), style),
        plain(run.cell()),
        plain(run.seed.to_string()),
        plain(run.size.clone()),
    ];
    let step = format!("{}/{}", run.step, run.steps);
    let done = run.step as f64 / run.steps.max(1) as f64;
    let eta = run.eta_s.map_or_else(|| "?".to_owned(), format::duration);
    cells.extend(match section {
        Section::Running => vec![
            plain(value(Metric::Loss)),
            plain(value(Metric::ValidationLoss)),
            Cell::new(format::sparkline(&run.sparkline, if wide { 24 } else { 8 }), style),
            plain(value(Metric::TokensPerSecond)),
            plain(step),
            plain(format::percent(done)),
            plain(eta),
            plain(format::duration(run.elapsed_s)),
        ],
        Section::Queue => vec![
            plain(run.queue_position.map_or_else(String::new, |place| (place + 1).to_string())),
            plain(if run.priority == 0 { "0".to_owned() } else { format!("{:+}", run.priority) }),
            Cell::new(run.status.word(), style),
            plain(step),
            plain(format::count(run.parameters as f64)),
            Cell::new(run.status.reason(), palette.dim),
        ],
        Section::Recent => vec![
            Cell::new(run.status.word(), style),
            plain(value(Metric::Loss)),
            plain(value(Metric::ValidationLoss)),
            plain(step),
            plain(ago(app, run)),
            Cell::new(run.status.reason(), palette.dim),
        ],
    });
    let studies: Vec<&str> = run.studies.iter().map(crate::core::StudyId::as_str).collect();
    cells.extend([
        Cell::new(studies.join(" "), palette.dim),
        Cell::new(run.corpus.as_str(), palette.dim),
        Cell::new(run.id.as_str(), palette.dim),
    ]);
    cells
}

/// Since when it is over, by the server's clock, so that clocks of two machines do not mix.
fn ago(app: &App, run: &RunSummary) -> String {
    let now = app.lab.as_ref().map_or(0, |lab| lab.now_ms);
    if run.last_event_ms == 0 || now < run.last_event_ms {
        return String::new();
    }
    format::duration((now - run.last_event_ms) as f64 / 1000.0)
}
