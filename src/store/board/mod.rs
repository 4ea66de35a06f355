//! The leaderboard: runs folded into lineages, every column that their evidence fills, places with ties. Pure.
//! Promises: where a seed of a lineage has finished, only finished seeds count, so that a young run does not spoil a mean;
//! losses over different targets never share a column. Must not know: the index, the clock.

mod evidence;
mod places;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use crate::core::board::{BoardCell, BoardColumn, ColumnKind, EqualBudget, Footing, Leaderboard, LeaderboardRow};
use crate::core::task::{ScoringForm, TaskMetric};
use crate::core::{Ancestor, Architecture, Metric, Objective, RunId, RunStatus, StudyId};
use crate::stats::estimate;

pub use evidence::RunEvidence;
use evidence::cut;
use places::place;
use values::{SeedValue, Value, value};

/// What a column is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// A metric that means the same for every objective.
    Metric(Metric),
    /// The validation loss over one kind of targets, [`crate::core::RunSpec::target`].
    OwnLoss(Objective, String),
    /// Mean accuracy over the families that every scored lineage has.
    ZeroShot(ScoringForm),
    /// The same above chance.
    AboveChance(ScoringForm),
    /// The headline score of a family.
    Family(ScoringForm, String),
}

/// The metrics of the table, in order; the others are in every row's `metrics`.
const METRICS: [Metric; 8] = [
    Metric::ContinuationLoss,
    Metric::ContinuationBitsPerByte,
    Metric::ContinuationLossSentinel,
    Metric::ContinuationBitsPerByteSentinel,
    Metric::EffectiveRankShare,
    Metric::TokensPerSecond,
    Metric::PrefillTokensPerSecond,
    Metric::DecodeTokensPerSecond,
];

/// How many of them are speeds, which stand last.
const SPEEDS: usize = 3;

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
        let column = column(source, &sources, &found);
        let contests: Vec<&str> = rows.iter().map(|row| row.contest.as_str()).collect();
        let places = place(&found, &contests, column.direction);
        for ((row, value), place) in rows.iter_mut().zip(&found).zip(places) {
            if let Some(cell) = value.as_ref().zip(place).and_then(|(value, place)| cell(value, place)) {
                row.cells.insert(column.key.clone(), cell);
            }
        }
        columns.push(column);
    }
    let mut board = Leaderboard { study, budget, budget_at, columns, rows };
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
        estimate(&values).map(|estimate| (metric, estimate))
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

/// The families that every lineage with scores has, of each form: a mean over different families would compare nothing.
fn shared_families(lineages: &[Lineage<'_>]) -> BTreeSet<(ScoringForm, String)> {
    let mut shared: BTreeMap<ScoringForm, BTreeSet<String>> = BTreeMap::new();
    for run in lineages.iter().flat_map(|lineage| &lineage.counted) {
        for form in [ScoringForm::Plain, ScoringForm::Sentinel] {
            let own: BTreeSet<String> = run.choice_families(form).map(|family| family.family.clone()).collect();
            if !own.is_empty() {
                shared.entry(form).and_modify(|known| known.retain(|name| own.contains(name))).or_insert(own);
            }
        }
    }
    let pairs = shared.into_iter().flat_map(|(form, names)| names.into_iter().map(move |name| (form, name)));
    pairs.collect()
}

/// The columns that could hold something, in order.
fn sources(lineages: &[Lineage<'_>]) -> Vec<Source> {
    let families: BTreeSet<(ScoringForm, String)> = lineages
        .iter()
        .flat_map(|lineage| &lineage.counted)
        .flat_map(|run| &run.families)
        .map(|family| (family.form, family.family.clone()))
        .collect();
    let mut sources = METRICS.map(Source::Metric).to_vec();
    let speeds = sources.split_off(METRICS.len() - SPEEDS);
    for form in [ScoringForm::Plain, ScoringForm::Sentinel] {
        sources.extend([Source::ZeroShot(form), Source::AboveChance(form)]);
    }
    sources.extend(families.into_iter().map(|(form, family)| Source::Family(form, family)));
    let targets: BTreeSet<(Objective, String)> = lineages
        .iter()
        .flat_map(|lineage| &lineage.counted)
        .map(|run| (run.spec.objective.objective, run.spec.target()))
        .collect();
    sources.extend(targets.into_iter().map(|(objective, target)| Source::OwnLoss(objective, target)));
    sources.extend(speeds);
    sources
}

fn column(source: &Source, all: &[Source], found: &[Option<Value>]) -> BoardColumn {
    let definition = match source {
        Source::Metric(metric) => metric.definition(),
        Source::OwnLoss(..) => Metric::ValidationLoss.definition(),
        Source::ZeroShot(_) | Source::Family(..) => Metric::ZeroShotAcc.definition(),
        Source::AboveChance(_) => Metric::ZeroShotAboveChance.definition(),
    };
    let score = found.iter().flatten().find_map(|value| value.metric);
    let marked = |name: &str, form: ScoringForm, mark: &str| match form {
        ScoringForm::Plain => name.to_owned(),
        ScoringForm::Sentinel => format!("{name}{mark}"),
    };
    let (key, heading, kind) = match source {
        Source::Metric(metric) => (metric.name().to_owned(), definition.heading.to_owned(), ColumnKind::Metric),
        Source::OwnLoss(objective, target) => {
            let alike = |other: &&Source| matches!(other, Source::OwnLoss(theirs, _) if theirs == objective);
            let name = if all.iter().filter(alike).count() > 1 { target } else { objective.label() };
            let heading = format!("{} {name}", definition.heading);
            (format!("{}:{target}", Metric::ValidationLoss), heading, ColumnKind::OwnLoss)
        }
        Source::ZeroShot(form) => {
            (marked("zero_shot", *form, ":sentinel"), marked("zero-shot", *form, " <X0>"), ColumnKind::ZeroShot)
        }
        Source::AboveChance(form) => {
            (marked("above_chance", *form, ":sentinel"), marked("above chance", *form, " <X0>"), ColumnKind::ZeroShot)
        }
        Source::Family(form, family) => {
            // Scores of other kinds say theirs, since their scales differ.
            let name = score.filter(|metric| *metric != TaskMetric::Acc).map_or_else(String::new, |m| format!(" {m}"));
            (marked(family, *form, ":sentinel"), marked(family, *form, " <X0>") + &name, ColumnKind::Family)
        }
    };
    BoardColumn {
        key,
        heading,
        unit: score.map_or(definition.unit, TaskMetric::name).to_owned(),
        direction: score.map_or(definition.direction, TaskMetric::direction),
        decimals: definition.decimals,
        chance: found.iter().flatten().find_map(|value| value.chance),
        kind,
    }
}

/// The number of a row.
#[expect(clippy::cast_precision_loss, reason = "counts of seeds")]
fn cell(value: &Value, (place, footing): (usize, Footing)) -> Option<BoardCell> {
    let values: Vec<f64> = value.seeds.iter().map(|seed: &SeedValue| seed.value).collect();
    let estimate = estimate(&values)?;
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
