//! The pane of the Rank screen that has the focus, as CSV with every digit.
//! Promises: pure; each row names its run, so that exports can be joined. Must not know: files.

use crate::core::picture::cells;
use crate::core::rank::{HeadRank, RankAtStep, RankMeasures};

use super::app::App;
use super::export::{Export, table, words};
use super::rank_view::{RankPane, RankView, kinds, mean};

/// The table of the focused pane; `None` if nothing is known.
pub(super) fn of_pane(app: &App) -> Option<Export> {
    let view = &app.rank_view;
    let (run, at) = (view.run.as_ref()?.to_string(), view.newest()?);
    match view.pane {
        RankPane::Heat => heads(&run, at),
        RankPane::Course => course(&run, view),
        RankPane::Spectrum => spectrum(&run, at, view.under_cursor()?),
        RankPane::Matrix => matrix(&run, at, view.under_cursor()?),
        RankPane::Residual => residual(&run, at),
    }
}

const MEASURES: [&str; 4] = ["effective", "numerical", "stable", "k90"];

fn figures(of: &RankMeasures) -> [String; 4] {
    [of.effective, of.numerical, of.stable, of.k90].map(|value| value.to_string())
}

fn heads(run: &str, at: &RankAtStep) -> Option<Export> {
    let mut headings = words(&["run", "step", "attention", "layer", "head", "queries", "keys", "effective_rank_share"]);
    headings.extend(["p", "logits"].iter().flat_map(|of| MEASURES.map(|measure| format!("{of}_{measure}"))));
    let row = |head: &HeadRank| {
        let mut cells = vec![run.to_owned(), at.step.to_string(), head.attention.label().to_owned()];
        cells.extend([head.layer, head.head, head.queries, head.keys].map(|number| number.to_string()));
        cells.push(head.effective_rank_share().to_string());
        cells.extend(figures(&head.of_probabilities));
        cells.extend(figures(&head.of_logits));
        cells
    };
    let rows: Vec<Vec<String>> = at.report.heads.iter().map(row).collect();
    table("rank", "head", &headings, &rows)
}

fn course(run: &str, view: &RankView) -> Option<Export> {
    let measure = view.measure.title();
    let headings = words(&["run", "step", "measure", "of", "layer", "head", "value"]);
    let mut rows = Vec::new();
    for at in &view.history.as_ref()?.reports {
        let start = |of: &str| vec![run.to_owned(), at.step.to_string(), measure.to_owned(), of.to_owned()];
        for kind in kinds(&at.report) {
            if let Some(mean) = mean(&at.report, kind, None, view.measure) {
                let mut row = start(&format!("{} mean", kind.label()));
                row.extend([String::new(), String::new(), mean.to_string()]);
                rows.push(row);
            }
        }
        if let Some(head) = view.in_report(&at.report) {
            let mut row = start(head.attention.label());
            row.extend([head.layer.to_string(), head.head.to_string(), view.measure.of(head).to_string()]);
            rows.push(row);
        }
    }
    table("rank-course", "value", &headings, &rows)
}

fn of_head(run: &str, at: &RankAtStep, head: &HeadRank) -> Vec<String> {
    let mut cells = vec![run.to_owned(), at.step.to_string(), head.attention.label().to_owned()];
    cells.extend([head.layer.to_string(), head.head.to_string()]);
    cells
}

fn spectrum(run: &str, at: &RankAtStep, head: &HeadRank) -> Option<Export> {
    let headings = words(&["run", "step", "attention", "layer", "head", "place", "singular_value"]);
    let row = |(place, value): (usize, f64)| {
        let mut cells = of_head(run, at, head);
        cells.extend([place.to_string(), (value as f32).to_string()]);
        cells
    };
    let rows: Vec<Vec<String>> = head.spectrum_places().map(row).collect();
    table("rank-spectrum", "singular value", &headings, &rows)
}

fn matrix(run: &str, at: &RankAtStep, head: &HeadRank) -> Option<Export> {
    let headings = words(&["run", "step", "attention", "layer", "head", "query_cell", "key_cell", "mass"]);
    let across = cells(head.keys).max(1);
    let row = |(place, mass): (usize, f64)| {
        let mut cells = of_head(run, at, head);
        cells.extend([(place / across).to_string(), (place % across).to_string(), mass.to_string()]);
        cells
    };
    let rows: Vec<Vec<String>> = head.picture.masses().into_iter().enumerate().map(row).collect();
    table("rank-matrix", "cell", &headings, &rows)
}

fn residual(run: &str, at: &RankAtStep) -> Option<Export> {
    let mut headings = words(&["run", "step", "stack", "depth"]);
    headings.extend(words(&MEASURES));
    headings.push("rank_one_residual".to_owned());
    let rows: Vec<Vec<String>> = at
        .report
        .residual
        .iter()
        .map(|one| {
            let mut cells = vec![run.to_owned(), at.step.to_string(), one.stack.label().to_owned()];
            cells.push(one.depth.to_string());
            cells.extend(figures(&one.measures));
            cells.push(one.rank_one_residual.to_string());
            cells
        })
        .collect();
    table("rank-residual", "depth", &headings, &rows)
}
