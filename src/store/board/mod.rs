//! The leaderboard: runs folded into lineages, every column that their evidence fills, places with ties. Pure.
//! Promises: where a seed of a lineage has finished, only finished seeds count, so that a young run does not spoil a mean;
//! losses over different targets never share a column. Must not know: the index, the clock.

mod columns;
mod evidence;
mod places;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use crate::core::board::{BoardCell, EqualBudget, Footing, Leaderboard, LeaderboardRow};
use crate::core::{Ancestor, Architecture, Metric, Objective, RunId, RunStatus, StudyId};
use crate::stats::{bounded, estimate};

use columns::{column, shared_families, sources, unshared};
use evidence::cut;
pub use evidence::{Asked, RunEvidence};
use places::place;
use values::{SeedValue, Value, value};

/// A lineage with the seeds that count.
pub(super) struct Lineage<'a> {
    id: RunId,
    all: Vec<&'a RunEvidence>,
    counted: Vec<&'a RunEvidence>,
}

/// Folds runs into the table, after cutting them at a common budget if one is asked for.
///
/// # Errors
/// A spec holds a number that JSON cannot.
pub fn leaderboard(
    study: Option<StudyId>,
    budget: EqualBudget,
    mut runs: Vec<RunEvidence>,
) -> Result<Leaderboard, serde_json::Error> {
    remember_times(&mut runs);
    let budget_at = {
        let lineages = lineages(&runs)?;
        evidence::common(&lineages, budget)
    };
    let as_trained: BTreeMap<RunId, crate::core::Metrics> =
        runs.iter().map(|run| (run.spec.id.clone(), run.summary.latest.clone())).collect();
    if let Some(at) = budget_at {
        runs.iter_mut().for_each(|run| cut(run, budget, at));
    }
    let lineages = lineages(&runs)?;
    let shared = shared_families(&lineages);
    let mut columns = Vec::new();
    let mut rows: Vec<LeaderboardRow> =
        lineages.iter().map(|lineage| row(lineage, contest(lineage, &lineages, budget), &as_trained)).collect();
    name_stages(&mut rows);
    let sources = sources(&lineages);
    for source in &sources {
        let found: Vec<Option<Value>> = lineages.iter().map(|lineage| value(lineage, source, &shared)).collect();
        if found.iter().all(Option::is_none) {
            continue;
        }
        let column = column(source, (&sources, &columns), &found, &shared);
        let contests: Vec<&str> = rows.iter().map(|row| row.contest.as_str()).collect();
        let places = place(&found, &contests, column.direction);
        for ((row, value), place) in rows.iter_mut().zip(&found).zip(places) {
            if let Some(cell) = value.as_ref().zip(place).and_then(|(value, place)| cell(value, place)) {
                row.cells.insert(column.key.clone(), cell);
            }
        }
        columns.push(column);
    }
    let notices = unshared(&lineages, &shared);
    let mut board = Leaderboard { study, budget, budget_at, columns, notices, rows };
    match board.columns.first().cloned() {
        Some(first) => board.sort_by(&first),
        None => board
            .rows
            .sort_by(|a, b| (a.architecture, a.objective, &a.lineage).cmp(&(b.architecture, b.objective, &b.lineage))),
    }
    Ok(board)
}

/// Tells every run how long the stages before it took, as far as they went.
#[expect(clippy::cast_precision_loss, reason = "counts of steps")]
fn remember_times(runs: &mut [RunEvidence]) {
    let per_step: BTreeMap<RunId, f64> =
        runs.iter().map(|run| (run.spec.id.clone(), run.summary.elapsed_s / run.summary.step.max(1) as f64)).collect();
    for run in runs {
        let time = |stage: &Ancestor| per_step.get(&stage.run).map_or(0.0, |step| step * stage.steps as f64);
        run.before_s = run.spec.ancestors.iter().map(time).sum();
    }
}

fn lineages(runs: &[RunEvidence]) -> Result<Vec<Lineage<'_>>, serde_json::Error> {
    let mut found: BTreeMap<RunId, Vec<&RunEvidence>> = BTreeMap::new();
    for run in runs {
        found.entry(run.spec.lineage_id()?).or_default().push(run);
    }
    let sorted = found.into_iter().map(|(id, mut all)| {
        all.sort_by_key(|run| run.spec.seed);
        Lineage { id, counted: counted(&all), all }
    });
    Ok(sorted.collect())
}

/// The seeds that count.
fn counted<'a>(all: &[&'a RunEvidence]) -> Vec<&'a RunEvidence> {
    let finished = |run: &&&RunEvidence| run.summary.status == RunStatus::Finished;
    let any_finished = all.iter().any(|run| finished(&run));
    all.iter().filter(|run| !any_finished || finished(run)).copied().collect()
}

/// What may be compared with what: a corpus, and a size where parameters must be equal. Sizes are gathered from the
/// smallest up; one that is more than 10 % larger than the smallest of its group begins the next.
#[expect(clippy::cast_precision_loss, reason = "a ratio of parameter counts")]
fn contest(lineage: &Lineage<'_>, all: &[Lineage<'_>], budget: EqualBudget) -> String {
    let corpus = |lineage: &Lineage<'_>| lineage.all.first().map(|run| run.corpus_label()).unwrap_or_default();
    let size = |lineage: &Lineage<'_>| lineage.all.first().map_or(0, |run| run.summary.parameters);
    let own = corpus(lineage);
    if budget != EqualBudget::Parameters {
        return own;
    }
    let sizes: BTreeSet<u64> = all.iter().filter(|other| corpus(other) == own).map(size).collect();
    let mut smallest = 0;
    for candidate in sizes {
        if candidate as f64 > 1.1 * smallest as f64 {
            smallest = candidate;
        }
        if candidate == size(lineage) {
            break;
        }
    }
    // Ordered as numbers are.
    format!("{own}, from {smallest:>12} parameters")
}

#[expect(clippy::cast_precision_loss, reason = "a share of steps")]
fn row(lineage: &Lineage<'_>, contest: String, as_trained: &BTreeMap<RunId, crate::core::Metrics>) -> LeaderboardRow {
    let first = lineage.all.first().copied();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for run in &lineage.all {
        *counts.entry(run.summary.status.word().to_owned()).or_default() += 1;
    }
    let done: u64 = lineage.all.iter().map(|run| run.summary.step.min(run.summary.steps)).sum();
    let asked: u64 = lineage.all.iter().map(|run| run.summary.steps).sum();
    let metric = |metric: Metric| {
        let latest = lineage.counted.iter().filter_map(|run| as_trained.get(&run.spec.id));
        let values: Vec<f64> = latest.filter_map(|latest| latest.get(&metric).copied()).collect();
        let estimate = match metric.bounds() {
            Some(bounds) => bounded(&values, bounds, None),
            None => estimate(&values),
        };
        estimate.map(|estimate| (metric, estimate))
    };
    LeaderboardRow {
        lineage: lineage.id.clone(),
        architecture: first.map_or(Architecture::CausalDecoder, |run| run.spec.model.architecture),
        objective: first.map_or(Objective::FullLm, |run| run.spec.objective.objective),
        earlier: first
            .map_or_else(Vec::new, |run| run.spec.ancestors.iter().map(|ancestor| ancestor.cell.clone()).collect()),
        task: first.and_then(|run| run.spec.task()),
        stage: first.and_then(|run| run.spec.stage.clone()),
        size: first.map(|run| run.spec.size_label()).unwrap_or_default(),
        corpus: first.map(|run| run.summary.corpus.clone()).unwrap_or_default(),
        contest,
        learning_rate: first.map_or(0.0, |run| run.spec.optimizer.learning_rate),
        steps: first.map_or(0, |run| run.spec.training.steps),
        parameters: first.map_or(0, |run| run.summary.parameters),
        progress: if asked == 0 { 0.0 } else { done as f64 / asked as f64 },
        counts,
        metrics: Metric::ALL.into_iter().filter_map(metric).collect(),
        cells: BTreeMap::new(),
        runs: lineage.all.iter().map(|run| run.spec.id.clone()).collect(),
        studies: lineage.all.iter().flat_map(|run| run.summary.studies.iter().cloned()).collect(),
    }
}

/// Leaves the name of its stage to a row only where another row reads the same without it.
fn name_stages(rows: &mut [LeaderboardRow]) {
    let mut stages: BTreeMap<_, BTreeSet<Option<String>>> = BTreeMap::new();
    let mut told = Vec::new();
    for row in rows.iter_mut() {
        let stage = row.stage.take();
        let key = (row.cell(), row.size.clone(), row.contest.clone());
        stages.entry(key.clone()).or_default().insert(stage.clone());
        told.push((key, stage));
    }
    for (row, (key, stage)) in rows.iter_mut().zip(told) {
        row.stage = stage.filter(|_| stages.get(&key).is_some_and(|stages| stages.len() > 1));
    }
}

/// The number of a row.
#[expect(clippy::cast_precision_loss, reason = "counts of seeds")]
fn cell(value: &Value, (place, footing): (usize, Footing)) -> Option<BoardCell> {
    let values: Vec<f64> = value.seeds.iter().map(|seed| seed.value).collect();
    let answers: Option<f64> = value.seeds.iter().map(|seed: &SeedValue| seed.answers).sum();
    let estimate = match value.bounds {
        Some(bounds) => bounded(&values, bounds, answers),
        None => estimate(&values),
    }?;
    let n = values.len() as f64;
    let over_seeds = values.iter().map(|value| (value - estimate.mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0) / n;
    // Seeds answer the same items, so their errors over items do not cancel.
    let errors: Option<Vec<f64>> = value.seeds.iter().map(|seed| seed.stderr).collect();
    let over_items = errors.map(|errors| errors.iter().map(|error| error.powi(2)).sum::<f64>() / n);
    let above = |chance: f64| (estimate.mean - chance) / (1.0 - chance);
    Some(BoardCell {
        stderr: over_items.map(|items| (items + over_seeds).sqrt()),
        above_chance: value.chance.filter(|chance| *chance < 1.0).map(above),
        estimate,
        place,
        footing,
    })
}
