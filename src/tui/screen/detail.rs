//! All about one run: status, spec, curves, events, samples, output, and the commands that reproduce it.
//! Promises: what does not fit can be scrolled or zoomed to. Must not know: keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::core::summary::{RunDetail, RunSummary};
use crate::core::task::TaskRecord;
use crate::core::{Metric, RunEvent, RunStatus};
use crate::tui::app::{App, DetailPane, DetailView};
use crate::tui::axis::{Axis, Writing};
use crate::tui::chart::{self, Chart};
use crate::tui::format;
use crate::tui::series;
use crate::tui::theme::{mark, status_mark};

use super::frame::{lines, pane};

/// Draws the page.
pub fn draw(app: &App, view: &DetailView, area: Rect, buf: &mut Buffer) {
    let Some(run) = view.detail.as_ref().map(|detail| &detail.summary).or_else(|| app.run(&view.run)) else {
        let text = format!("run {} is not known to the server (any more); Esc goes back", view.run);
        buf.set_stringn(area.x + 1, area.y + 1, text, usize::from(area.width.saturating_sub(1)), app.palette.warn);
        return;
    };
    headline(app, run, Rect { height: 1, ..area }, buf);
    let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if view.zoomed {
        draw_pane(app, view, view.pane, below, buf);
        return;
    }
    let left = Rect { width: if area.width >= 110 { 52 } else { 37 }, ..below };
    let right = Rect { x: left.right(), width: below.width - left.width, ..below };
    draw_pane(app, view, DetailPane::Spec, left, buf);
    let chart_height = right.height * 2 / 5;
    let top = Rect { height: chart_height, ..right };
    draw_curves(app, view, top, buf);
    let rest = Rect { y: top.bottom(), height: right.height - chart_height, ..right };
    if rest.height >= 18 {
        let third = rest.height / 3;
        let mut y = rest.y;
        for (at, which) in [DetailPane::Events, DetailPane::Samples, DetailPane::Output].into_iter().enumerate() {
            let height = if at == 2 { rest.bottom() - y } else { third };
            draw_pane(app, view, which, Rect { y, height, ..rest }, buf);
            y += height;
        }
    } else {
        let which = if view.pane == DetailPane::Spec { DetailPane::Events } else { view.pane };
        draw_pane(app, view, which, rest, buf);
    }
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
        DetailPane::Events => (1, "Events"),
        DetailPane::Samples => (2, "Samples"),
        DetailPane::Output => (3, "Output"),
    };
    let room = usize::from(area.height.saturating_sub(2));
    let width = usize::from(area.width.saturating_sub(2));
    let content = match &view.detail {
        None => vec![Line::styled("asking the server…", app.palette.dim)],
        Some(detail) => match which {
            DetailPane::Spec => spec_lines(app, detail, width),
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
    rows.extend([
        ("made by", format!("trilab {}", spec.execution.program_version)),
        ("data", spec.data.fingerprint.clone()),
        ("folder", detail.directory.clone()),
        ("reproduce", format!("trilab run show {} --json", run.id)),
        ("", format!("trilab worker {}", detail.directory)),
    ]);
    rows.iter().flat_map(|(word, value)| entry(app, word, value, width)).collect()
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
    let clean: String = detail.output_tail.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    format::wrap(&clean, width).into_iter().map(Line::raw).collect()
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
