//! All about one run: status, spec, curves, events, samples, output, and the commands that reproduce it.
//! Promises: what does not fit can be scrolled or zoomed to. Must not know: keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::core::shell::quoted;
use crate::core::summary::{RunDetail, RunSummary};
use crate::core::task::TaskRecord;
use crate::core::{Metric, RunEvent, RunStatus};
use crate::tui::answers::panes;
use crate::tui::app::{App, DetailPane, DetailView};
use crate::tui::axis::{Axis, Writing};
use crate::tui::chart::{self, Chart};
use crate::tui::format;
use crate::tui::series;
use crate::tui::table;
use crate::tui::theme::{mark, status_mark};

use super::frame::{lines, pane};
use super::tasks;

/// Draws the page.
pub fn draw(app: &App, view: &DetailView, area: Rect, buf: &mut Buffer) {
    let Some(run) = view.detail.as_ref().map(|detail| &detail.summary).or_else(|| app.run(&view.run)) else {
        let text = format!("run {} is not known to the server (any more); Esc goes back", view.run);
        buf.set_stringn(area.x + 1, area.y + 1, text, usize::from(area.width.saturating_sub(1)), app.palette.warn);
        return;
    };
    headline(app, run, Rect { height: 1, ..area }, buf);
    for (which, place) in layout(view, area) {
        draw_pane(app, view, which, place, buf);
    }
    if let Some(place) = curves_place(view, area) {
        draw_curves(app, view, place, buf);
    }
}

/// Lines that a pane needs to be worth showing beside others.
const LEAST_PANE: u16 = 6;
/// Below this height one pane has all the room.
const LEAST_STACK: u16 = 3 * LEAST_PANE;

fn below(area: Rect) -> Rect {
    Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }
}

/// The left column for what was asked, and what is right of it.
fn halves(area: Rect) -> (Rect, Rect) {
    let below = below(area);
    let left = Rect { width: if area.width >= 110 { 52 } else { 37 }, ..below };
    (left, Rect { x: left.right(), width: below.width - left.width, ..below })
}

fn curves_place(view: &DetailView, area: Rect) -> Option<Rect> {
    let (_, right) = halves(area);
    (!view.zoomed).then_some(Rect { height: right.height * 2 / 5, ..right })
}

/// Where the panes are: what was asked at the left, as many others under the curves as there is room for, the one with the
/// focus among them.
#[must_use]
pub fn layout(view: &DetailView, area: Rect) -> Vec<(DetailPane, Rect)> {
    let Some(curves) = curves_place(view, area) else { return vec![(view.pane, below(area))] };
    let (left, right) = halves(area);
    let rest = Rect { y: curves.bottom(), height: right.height - curves.height, ..right };
    let others: Vec<DetailPane> = panes(view).into_iter().filter(|pane| *pane != DetailPane::Spec).collect();
    let focus = others.iter().position(|pane| *pane == view.pane);
    let count = if rest.height < LEAST_STACK { 1 } else { usize::from(rest.height / LEAST_PANE).min(others.len()) };
    let shown: Vec<DetailPane> =
        table::visible(others.len(), focus, count).filter_map(|at| others.get(at).copied()).collect();
    // Tasks are many.
    let weight = |pane: DetailPane| if pane == DetailPane::Tasks { 2 } else { 1 };
    let all: u16 = shown.iter().map(|pane| weight(*pane)).sum();
    let mut places = vec![(DetailPane::Spec, left)];
    let mut y = rest.y;
    for (at, which) in shown.iter().copied().enumerate() {
        let last = at + 1 == shown.len();
        let height = if last { rest.bottom() - y } else { rest.height * weight(which) / all.max(1) };
        places.push((which, Rect { y, height, ..rest }));
        y += height;
    }
    places
}

fn headline(app: &App, run: &RunSummary, area: Rect, buf: &mut Buffer) {
    let palette = &app.palette;
    let value = |metric: Metric, word: &str| {
        run.latest.get(&metric).map(|value| format!("{word} {}", format::metric(metric, *value)))
    };
    let state =
        Span::styled(format!("{} {}", status_mark(&run.status), run.status.word()), palette.status(&run.status));
    let facts = [
        Some(format!("{}/{} steps", run.step, run.steps)),
        value(Metric::ValidationLoss, "val loss"),
        run.eta_s.map(|seconds| format!("ETA {}", format::duration(seconds))),
        value(Metric::Loss, "loss"),
        value(Metric::TokensPerSecond, "tok/s"),
        Some(run.size.clone()),
    ];
    let mut spans = vec![
        Span::raw(" "),
        Span::styled(format!("{} seed {}", run.cell(), run.seed), palette.title),
        Span::raw("  "),
        state,
    ];
    let mut room = usize::from(area.width).saturating_sub(spans.iter().map(Span::width).sum());
    for fact in facts.into_iter().flatten() {
        let fact = Span::raw(format!("  {fact}"));
        if fact.width() <= room {
            room -= fact.width();
            spans.push(fact);
        }
    }
    buf.set_line(area.x, area.y, &Line::from(spans), area.width);
}

fn draw_pane(app: &App, view: &DetailView, which: DetailPane, area: Rect, buf: &mut Buffer) {
    let (at, title) = match which {
        DetailPane::Spec => (0, "Run"),
        DetailPane::Tasks => {
            let title = view.detail.as_ref().map_or_else(|| "Tasks".to_owned(), |detail| tasks::title(detail));
            let focused = which == view.pane;
            let inside = pane(app, &title, focused, area, buf);
            if let Some(detail) = &view.detail {
                tasks::draw(app, view, detail, focused, inside, buf);
            }
            return;
        }
        DetailPane::Events => (2, "Events"),
        DetailPane::Samples => (3, "Samples"),
        DetailPane::Output => (4, "Output"),
    };
    let room = usize::from(area.height.saturating_sub(2));
    let width = usize::from(area.width.saturating_sub(2));
    let content = match &view.detail {
        None => vec![Line::styled("asking the server…", app.palette.dim)],
        Some(detail) => match which {
            DetailPane::Spec => spec_lines(app, detail, width),
            DetailPane::Tasks => Vec::new(),
            DetailPane::Events => event_lines(app, detail, width),
            DetailPane::Samples => sample_lines(app, detail, width),
            DetailPane::Output => output_lines(app, detail, width),
        },
    };
    let scroll = view.scroll.get(at).copied().unwrap_or(0).min(content.len().saturating_sub(room));
    let more = content.len().saturating_sub(scroll + room);
    let title = match (scroll, more) {
        (0, 0) => title.to_owned(),
        (_, 0) => format!("{title}  ↑{scroll}"),
        (0, _) => format!("{title}  ↓{more}"),
        (_, _) => format!("{title}  ↑{scroll} ↓{more}"),
    };
    let inside = pane(app, &title, which == view.pane, area, buf);
    lines(&content, scroll, inside, buf);
}

/// `word` and `value`, the value wrapped under itself if it is long.
fn entry(app: &App, word: &str, value: &str, width: usize) -> Vec<Line<'static>> {
    const WORD: usize = 11;
    let wrapped = format::wrap(value, width.saturating_sub(WORD).max(8));
    let style = app.palette.dim;
    wrapped
        .into_iter()
        .enumerate()
        .map(|(at, text)| {
            let word = if at == 0 { format!("{word:WORD$}") } else { " ".repeat(WORD) };
            Line::from(vec![Span::styled(word, style), Span::raw(text)])
        })
        .collect()
}

fn spec_lines(app: &App, detail: &RunDetail, width: usize) -> Vec<Line<'static>> {
    let (run, spec) = (&detail.summary, &detail.spec);
    let studies: Vec<&str> = run.studies.iter().map(crate::core::StudyId::as_str).collect();
    let lineage = spec.lineage_id().map(|id| id.to_string()).unwrap_or_default();
    let parent = spec.parent.as_ref().map(|parent| format!("{} at step {}", parent.run, parent.step));
    let (model, optimizer, training) = (&spec.model, &spec.optimizer, &spec.training);
    let mut rows: Vec<(&str, String)> = Vec::new();
    match &run.status {
        RunStatus::Failed { reason } => rows.push(("failed", reason.clone())),
        RunStatus::Diverged { step } => rows.push(("diverged", format!("at step {step}"))),
        RunStatus::Blocked { reason } => rows.push(("blocked", reason.clone())),
        RunStatus::Waiting { parent } => rows.push(("waits for", parent.to_string())),
        RunStatus::Preparing
        | RunStatus::Queued
        | RunStatus::Running { .. }
        | RunStatus::Paused
        | RunStatus::Stopped
        | RunStatus::Finished => {}
    }
    let checkpoint = run.checkpoint_step.map_or_else(|| "none yet".to_owned(), |step| format!("step {step}"));
    rows.extend([
        ("id", run.id.to_string()),
        ("model", spec.model.architecture.title().to_owned()),
        ("objective", spec.objective.objective.title().to_owned()),
        ("size", format!("{}, {} parameters", spec.size_label(), format::count(run.parameters as f64))),
        ("d_ff", format!("{}, vocab_size {}", model.d_ff, model.vocab_size)),
        ("corpus", spec.data.name.clone()),
        ("seed", spec.seed.to_string()),
        ("steps", format!("{} of {}", run.step, training.steps)),
        ("batch", format!("{}, micro {}", training.batch_size, training.micro_batch_size)),
        (
            "tokens",
            format!("{} of {}", format::count(run.tokens as f64), format::count((run.step_tokens * run.steps) as f64)),
        ),
        ("FLOPs", format::flops(run.step_flops * run.steps as f64)),
        (
            "lr",
            format!(
                "{} after {} warm-up steps",
                format::learning_rate(optimizer.learning_rate),
                optimizer.warmup_steps
            ),
        ),
        ("AdamW", format!("β {} {}, decay {}", optimizer.beta1, optimizer.beta2, optimizer.weight_decay)),
        ("clip", format!("{}", optimizer.grad_clip_norm)),
        ("spent", format!("{}, attempt {}", format::duration(run.elapsed_s), run.attempt)),
        ("checkpoint", checkpoint),
        ("priority", run.priority.to_string()),
        ("studies", studies.join(" ")),
        ("lineage", lineage),
    ]);
    rows.extend(parent.map(|parent| ("parent", parent)));
    rows.extend((run.lost_lines > 0).then(|| ("damage", format!("{} lines of its files are lost", run.lost_lines))));
    rows.extend(stage_rows(detail));
    rows.extend([
        ("made by", format!("trilab {}", spec.execution.program_version)),
        ("data", spec.data.fingerprint.clone()),
        ("folder", detail.directory.clone()),
        ("reproduce", format!("trilab run show {} --json", run.id)),
        ("", format!("trilab worker {}", quoted(detail.directory.as_ref()))),
    ]);
    rows.iter().flat_map(|(word, value)| entry(app, word, value, width)).collect()
}

/// What a later stage trains on, and what all of its lineage costs.
fn stage_rows(detail: &RunDetail) -> Vec<(&'static str, String)> {
    let (run, spec) = (&detail.summary, &detail.spec);
    let mut rows: Vec<(&str, String)> = spec.stage.iter().map(|stage| ("stage", stage.clone())).collect();
    if let Some(prompts) = &spec.prompts {
        rows.push(("trained on", prompts.sources.join(" ")));
        if !prompts.held_out.is_empty() {
            rows.push(("held out", prompts.held_out.join(" ")));
        }
    }
    if !run.ancestors.is_empty() {
        let (tokens, flops) = run.inherited();
        let own = (run.step_tokens * run.steps) as f64;
        let flops = format::flops(flops + run.step_flops * run.steps as f64);
        rows.push(("in all", format!("{} tokens, {flops} FLOPs", format::count(tokens as f64 + own))));
    }
    rows
}

fn event_text(event: &RunEvent) -> String {
    match event {
        RunEvent::Started { attempt, device, threads, host, program_version, .. } => {
            format!("attempt {attempt} started on {host}, {device}, threads {threads}, trilab {program_version}")
        }
        RunEvent::Resumed { step } => format!("went on from the checkpoint of step {step}"),
        RunEvent::StepLogged { step, .. } => format!("step {step}"),
        RunEvent::Validated { step, metrics, seconds, .. } => {
            let loss = metrics.get(&Metric::ValidationLoss).map(|value| format::metric(Metric::ValidationLoss, *value));
            format!("validated at step {step}: {} in {}", loss.unwrap_or_default(), format::duration(*seconds))
        }
        RunEvent::RankMeasured { step, seconds, .. } => {
            format!("measured attention rank at step {step} in {}", format::duration(*seconds))
        }
        RunEvent::ZeroShotMeasured { step, metrics, items, seconds } => {
            let mean = metrics.get(&Metric::ZeroShotAcc).map(|value| format::metric(Metric::ZeroShotAcc, *value));
            let mean = mean.map(|mean| format!(": mean accuracy {mean}")).unwrap_or_default();
            format!("asked {items} zero-shot items at step {step} in {}{mean}", format::duration(*seconds))
        }
        RunEvent::InferenceMeasured { step, seconds, .. } => {
            format!("timed reading and writing at step {step} in {}", format::duration(*seconds))
        }
        RunEvent::TaskScored(TaskRecord { step, task, scores, .. }) => {
            let first = scores.iter().next().map(|(metric, score)| format!(": {metric} {:.4}", score.value));
            format!("scored {task} at step {step}{}", first.unwrap_or_default())
        }
        RunEvent::SampleGenerated { step, .. } => format!("wrote a sample at step {step}"),
        RunEvent::CheckpointSaved { step, bytes, seconds } => {
            format!("checkpoint of step {step}: {} in {}", format::bytes(*bytes), format::duration(*seconds))
        }
        RunEvent::Paused { step } => format!("paused at step {step}"),
        RunEvent::Heartbeat { step } => format!("alive at step {step}"),
        RunEvent::Diverged { step, reason } => format!("diverged at step {step}: {reason}"),
        RunEvent::Warned { message } => format!("warning: {message}"),
        RunEvent::Stopped { step } => format!("stopped at step {step}"),
        RunEvent::Finished { step } => format!("finished at step {step}"),
        RunEvent::Failed { message } => format!("failed: {message}"),
    }
}

fn event_lines(app: &App, detail: &RunDetail, width: usize) -> Vec<Line<'static>> {
    if detail.events.is_empty() {
        return vec![Line::styled("nothing has happened yet", app.palette.dim)];
    }
    let line = |stamped: &crate::core::StampedEvent| {
        let bad =
            matches!(stamped.event, RunEvent::Failed { .. } | RunEvent::Diverged { .. } | RunEvent::Warned { .. });
        let style = if bad { app.palette.bad } else { app.palette.text };
        let texts = format::wrap(&event_text(&stamped.event), width.saturating_sub(10).max(8));
        let time = format!("{}Z ", format::clock(stamped.time_ms));
        texts
            .into_iter()
            .enumerate()
            .map(|(at, text)| {
                let time = if at == 0 { time.clone() } else { " ".repeat(time.len()) };
                Line::from(vec![Span::styled(time, app.palette.dim), Span::styled(text, style)])
            })
            .collect::<Vec<_>>()
    };
    detail.events.iter().rev().flat_map(line).collect()
}

fn sample_lines(app: &App, detail: &RunDetail, width: usize) -> Vec<Line<'static>> {
    if detail.samples.is_empty() {
        return vec![Line::styled("no text yet: samples come every sample_every steps", app.palette.dim)];
    }
    let mut shown = Vec::new();
    for sample in &detail.samples {
        shown.push(Line::styled(format!("step {}", sample.step), app.palette.title));
        shown.extend(format::wrap(&sample.prompt, width).into_iter().map(|text| Line::styled(text, app.palette.dim)));
        shown.extend(format::wrap(&sample.text, width).into_iter().map(Line::raw));
        shown.push(Line::default());
    }
    shown
}

fn output_lines(app: &App, detail: &RunDetail, width: usize) -> Vec<Line<'static>> {
    if detail.output_tail.trim().is_empty() {
        return vec![Line::styled("the worker has printed nothing", app.palette.dim)];
    }
    format::wrap(&detail.output_tail, width).into_iter().map(Line::raw).collect()
}

/// Steps that the training loss of the small chart is averaged over.
const SMOOTHING: u64 = 10;

fn draw_curves(app: &App, view: &DetailView, area: Rect, buf: &mut Buffer) {
    let mut widest = 0;
    let both = [Metric::Loss, Metric::ValidationLoss];
    let drawn: Vec<chart::Line> = both
        .into_iter()
        .enumerate()
        .filter_map(|(at, metric)| {
            let curve = app.curves.get(&(view.run.clone(), metric))?;
            // Only the training loss is noisy enough to hide the other.
            let window = if metric == Metric::Loss { series::honest_window(&curve.points, SMOOTHING) } else { 0 };
            widest = widest.max(window);
            let values = series::smoothed(&curve.points, window);
            let points = curve.points.iter().zip(values).map(|(point, value)| (point.step as f64, value)).collect();
            Some(chart::Line { points, style: app.palette.series(at), mark: Some(mark(at)), scatter: false })
        })
        .collect();
    let title = format!("{} loss, smoothed {}  {} val loss", mark(0), widest.max(SMOOTHING), mark(1));
    let inside = pane(app, &title, false, area, buf);
    let xs = drawn.iter().flat_map(|line| line.points.iter().map(|(x, _)| *x));
    let ys = drawn.iter().flat_map(|line| line.points.iter().map(|(_, y)| *y));
    if drawn.iter().all(|line| line.points.len() < 2) {
        let text = if drawn.iter().all(|line| line.points.is_empty()) {
            "no losses yet"
        } else {
            "one value so far: a curve needs two"
        };
        buf.set_stringn(inside.x, inside.y, text, usize::from(inside.width), app.palette.dim);
        return;
    }
    let (Some(x), Some(y)) = (Axis::over(xs, false, Writing::Count), Axis::over(ys, false, Writing::Plain)) else {
        return;
    };
    let chart = Chart {
        x,
        y: y.with_margin(0.03),
        x_title: "step".to_owned(),
        y_title: "nats/token".to_owned(),
        bands: Vec::new(),
        lines: drawn,
        cursor: None,
        braille: app.braille,
    };
    chart::draw(&chart, inside, buf, &app.palette);
}
