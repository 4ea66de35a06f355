//! What is on the screen as CSV, with every digit: rows in the order shown, after filter, sorting and choice of runs.
//! Promises: pure; numbers are written so that they read back as the same value. Must not know: files.

use crate::core::summary::RunSummary;
use crate::core::{Metric, RunId};

use super::app::{App, Page, Section};
use super::board_export;
use super::msg::{Tab, XAxis};
use super::series::{self, Series};

/// A table to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Part of the file's name.
    pub screen: &'static str,
    /// All of it.
    pub text: String,
    /// What is in it.
    pub note: String,
}

/// Whether there is something to write; cheap, because the footer asks with every frame.
#[must_use]
pub fn possible(app: &App) -> bool {
    match (&app.page, app.tab) {
        (Page::Composer(_), _) => false,
        (Page::Detail(view), _) => match &view.answers {
            Some(shown) => !shown.shown().is_empty(),
            None => app.curves.keys().any(|(run, _)| *run == view.run),
        },
        (Page::Tab, Tab::Lab) => app.runs().iter().any(|run| app.filter.keeps_run(run)),
        (Page::Tab, Tab::Curves) => app.x_range().is_some(),
        (Page::Tab, Tab::Rank) => app.rank_view.newest().is_some(),
        (Page::Tab, Tab::Leaderboard) => app.leaderboard.as_ref().is_some_and(|board| !board.rows.is_empty()),
    }
}

/// The table of the screen; `None` if there is nothing on it.
#[must_use]
pub fn of_screen(app: &App) -> Option<Export> {
    match (&app.page, app.tab) {
        (Page::Composer(_), _) => None,
        (Page::Detail(view), _) => match &view.answers {
            Some(shown) => board_export::answers(shown),
            None => run(app, &view.run),
        },
        (Page::Tab, Tab::Lab) => lab(app),
        (Page::Tab, Tab::Curves) if app.curves_view.fold => folded(app),
        (Page::Tab, Tab::Curves) => {
            let shown: Vec<RunId> = app.shown_curves().iter().map(|run| run.id.clone()).collect();
            curves(app, "curves", &shown, &[app.curves_view.metric])
        }
        (Page::Tab, Tab::Rank) => super::rank_export::of_pane(app),
        (Page::Tab, Tab::Leaderboard) if app.board.matrix => board_export::matrix(app),
        (Page::Tab, Tab::Leaderboard) => board_export::table(app),
    }
}

fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

pub(super) fn table(screen: &'static str, what: &str, headings: &[String], rows: &[Vec<String>]) -> Option<Export> {
    let line = |cells: &[String]| cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(",") + "\n";
    let text = std::iter::once(line(headings)).chain(rows.iter().map(|row| line(row))).collect();
    let note = format!("{} {what}{}", rows.len(), if rows.len() == 1 { "" } else { "s" });
    (!rows.is_empty()).then_some(Export { screen, text, note })
}

pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

pub(super) fn number<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn lab(app: &App) -> Option<Export> {
    let mut headings = words(&[
        "list",
        "run",
        "cell",
        "seed",
        "size",
        "corpus",
        "studies",
        "status",
        "reason",
        "place",
        "priority",
        "step",
        "steps",
        "tokens",
        "parameters",
        "elapsed_s",
        "eta_s",
    ]);
    headings.extend(Metric::ALL.map(|metric| metric.name().to_owned()));
    let row = |(list, run): (&str, &RunSummary)| {
        let studies: Vec<&str> = run.studies.iter().map(crate::core::StudyId::as_str).collect();
        let mut cells = vec![
            list.to_owned(),
            run.id.to_string(),
            run.cell(),
            run.seed.to_string(),
            run.size.clone(),
            run.corpus.clone(),
            studies.join(" "),
            run.status.word().to_owned(),
            run.status.reason(),
            number(run.queue_position.map(|place| place + 1)),
            run.priority.to_string(),
            run.step.to_string(),
            run.steps.to_string(),
            run.tokens.to_string(),
            run.parameters.to_string(),
            run.elapsed_s.to_string(),
            number(run.eta_s),
        ];
        cells.extend(Metric::ALL.map(|metric| number(run.latest.get(&metric))));
        cells
    };
    let lists = [(Section::Running, "running"), (Section::Queue, "queue"), (Section::Recent, "ended")];
    let runs =
        lists.into_iter().flat_map(|(section, list)| app.section(section).into_iter().map(move |run| (list, run)));
    let rows: Vec<Vec<String>> = runs.map(row).collect();
    table("lab", "run", &headings, &rows)
}

fn run(app: &App, run: &RunId) -> Option<Export> {
    curves(app, "run", std::slice::from_ref(run), &[Metric::Loss, Metric::ValidationLoss])
}

/// Every point that the server told, beside the value that is drawn for it.
fn curves(app: &App, screen: &'static str, runs: &[RunId], metrics: &[Metric]) -> Option<Export> {
    let smoothing = if screen == "curves" { app.recipe().smoothing } else { 0 };
    let headings = words(&[
        "run",
        "cell",
        "seed",
        "metric",
        "step",
        "tokens",
        "flops",
        "elapsed_s",
        "value",
        "smoothed",
        "window",
    ]);
    let mut rows = Vec::new();
    let (mut told, mut stored) = (0, 0);
    for run in runs.iter().filter_map(|run| app.run(run)) {
        for metric in metrics {
            let Some(curve) = app.curves.get(&(run.id.clone(), *metric)) else { continue };
            told += curve.points.len();
            stored += curve.stored;
            let window = series::honest_window(&curve.points, smoothing);
            for (point, smoothed) in curve.points.iter().zip(series::smoothed(&curve.points, window)) {
                rows.push(vec![
                    run.id.to_string(),
                    run.cell(),
                    run.seed.to_string(),
                    metric.name().to_owned(),
                    point.step.to_string(),
                    point.tokens.to_string(),
                    series::x_of(point, run, XAxis::Flops).to_string(),
                    point.elapsed_s.to_string(),
                    point.value.to_string(),
                    smoothed.to_string(),
                    window.to_string(),
                ]);
            }
        }
    }
    let mut export = table(screen, "point", &headings, &rows)?;
    if told < stored {
        export.note += &format!(" of {stored}; `trilab export metrics` has all");
    }
    Some(export)
}

/// Folded seeds as they are drawn: mean, least and most.
fn folded(app: &App) -> Option<Export> {
    let recipe = app.recipe();
    let axis = match recipe.x_axis {
        XAxis::Step => "step",
        XAxis::Tokens => "tokens",
        XAxis::Flops => "flops",
        XAxis::WallClock => "elapsed_s",
    };
    let headings = words(&["runs", "cell", "seeds", "metric", axis, "mean", "least", "most"]);
    let drawn = app.series();
    let rows: Vec<Vec<String>> = drawn.iter().flat_map(|series| folded_rows(app, series, recipe.metric)).collect();
    table("curves", "point", &headings, &rows)
}

fn folded_rows(app: &App, series: &Series, metric: Metric) -> Vec<Vec<String>> {
    let runs: Vec<&RunSummary> = series.runs.iter().filter_map(|run| app.run(run)).collect();
    let join = |texts: Vec<String>| texts.join(" ");
    let name = runs.first().map(|run| run.cell()).unwrap_or_default();
    let ids = join(runs.iter().map(|run| run.id.to_string()).collect());
    let seeds = join(runs.iter().map(|run| run.seed.to_string()).collect());
    let row = |(at, (x, mean)): (usize, &(f64, f64))| {
        // A lineage with one seed has no band: its line is all there is.
        let (least, most) = series.band.get(at).map_or((*mean, *mean), |(_, least, most)| (*least, *most));
        let mut cells = vec![ids.clone(), name.clone(), seeds.clone(), metric.name().to_owned()];
        cells.extend([*x, *mean, least, most].map(|value| value.to_string()));
        cells
    };
    series.line.iter().enumerate().map(row).collect()
}
