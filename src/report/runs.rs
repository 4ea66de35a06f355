//! Runs and studies as tables.

use super::figures::{count, duration, metric};
use super::table::{Align, Table};
use crate::core::Metric;
use crate::core::summary::{RunSummary, StudySummary};

/// One row per run.
#[must_use]
pub fn table(runs: &[RunSummary]) -> Table {
    let mut table = Table::new(&[
        ("run", Align::Left),
        ("cell", Align::Left),
        ("seed", Align::Right),
        ("size", Align::Left),
        ("corpus", Align::Left),
        ("status", Align::Left),
        ("step", Align::Right),
        ("loss", Align::Right),
        ("val loss", Align::Right),
        ("tokens/s", Align::Right),
        ("left", Align::Right),
        ("reason", Align::Left),
    ]);
    for run in runs {
        table.push(vec![
            run.id.to_string(),
            run.cell(),
            run.seed.to_string(),
            run.size.clone(),
            run.corpus.clone(),
            run.status.word().to_owned(),
            format!("{}/{}", run.step, run.steps),
            metric(&run.latest, Metric::Loss),
            metric(&run.latest, Metric::ValidationLoss),
            run.latest.get(&Metric::TokensPerSecond).map_or_else(|| "-".to_owned(), |speed| count(*speed)),
            run.eta_s.map_or_else(|| "-".to_owned(), duration),
            run.status.reason(),
        ]);
    }
    table
}

/// One row per study.
#[must_use]
pub fn studies(studies: &[StudySummary]) -> Table {
    let mut table = Table::new(&[
        ("study", Align::Left),
        ("runs", Align::Right),
        ("state", Align::Left),
        ("description", Align::Left),
    ]);
    for study in studies {
        let state: Vec<String> = study.counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        let first_line = study.description.lines().next().unwrap_or("").to_owned();
        table.push(vec![study.id.to_string(), study.runs.len().to_string(), state.join(", "), first_line]);
    }
    table
}
