//! The table of lineages: seeds folded into mean ± interval, the best validation loss of each objective first. Pure.

use std::collections::BTreeMap;

use crate::core::summary::{Leaderboard, LeaderboardRow, RunSummary};
use crate::core::{Metric, RunId, RunSpec, RunStatus, StudyId};
use crate::stats::estimate;

/// Fold runs into lineages. Where a seed of a lineage has finished, only finished seeds count, so that a young run
/// does not spoil the mean; else the newest values of all seeds stand in.
///
/// # Errors
/// A spec holds a number that JSON cannot.
#[expect(clippy::cast_precision_loss, reason = "a share of steps")]
pub fn leaderboard(study: Option<StudyId>, runs: &[(&RunSpec, &RunSummary)]) -> Result<Leaderboard, serde_json::Error> {
    let mut lineages: BTreeMap<RunId, Vec<(&RunSpec, &RunSummary)>> = BTreeMap::new();
    for run in runs {
        lineages.entry(run.0.lineage_id()?).or_default().push(*run);
    }
    let mut rows = Vec::new();
    for (lineage, mut seeds) in lineages {
        seeds.sort_by_key(|(spec, _)| spec.seed);
        let Some((spec, summary)) = seeds.first().copied() else { continue };
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (_, summary) in &seeds {
            *counts.entry(summary.status.word().to_owned()).or_default() += 1;
        }
        let done: u64 = seeds.iter().map(|(_, summary)| summary.step.min(summary.steps)).sum();
        let asked: u64 = seeds.iter().map(|(_, summary)| summary.steps).sum();
        rows.push(LeaderboardRow {
            lineage,
            architecture: spec.model.architecture,
            objective: spec.objective.objective,
            size: spec.size_label(),
            corpus: summary.corpus.clone(),
            learning_rate: spec.optimizer.learning_rate,
            steps: spec.training.steps,
            parameters: summary.parameters,
            progress: if asked == 0 { 0.0 } else { done as f64 / asked as f64 },
            counts,
            metrics: folded(&seeds),
            runs: seeds.iter().map(|(spec, _)| spec.id.clone()).collect(),
        });
    }
    let rank = |row: &LeaderboardRow| row.metrics.get(&Metric::ValidationLoss).map_or(f64::INFINITY, |e| e.mean);
    rows.sort_by(|a, b| {
        a.objective.cmp(&b.objective).then(rank(a).total_cmp(&rank(b))).then_with(|| a.lineage.cmp(&b.lineage))
    });
    Ok(Leaderboard { study, rows })
}

fn folded(seeds: &[(&RunSpec, &RunSummary)]) -> BTreeMap<Metric, crate::core::summary::Estimate> {
    let finished = |summary: &RunSummary| summary.status == RunStatus::Finished;
    let any_finished = seeds.iter().any(|(_, summary)| finished(summary));
    let counted: Vec<&RunSummary> =
        seeds.iter().map(|(_, summary)| *summary).filter(|summary| !any_finished || finished(summary)).collect();
    let of = |metric: Metric| {
        let values: Vec<f64> = counted.iter().filter_map(|summary| summary.latest.get(&metric).copied()).collect();
        estimate(&values).map(|estimate| (metric, estimate))
    };
    Metric::ALL.into_iter().filter_map(of).collect()
}
