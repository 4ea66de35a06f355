//! The values of one column: of every lineage, one a seed, with the answers behind them where there are some.
//! Must not know: places.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::task::{FamilyScore, ScoringForm, TaskMetric, TaskRecord};
use crate::core::{Metric, Metrics};
use crate::eval::in_the_middle;

use super::Lineage;
use super::columns::Source;
use super::evidence::{Asked, RunEvidence};

/// The value of one seed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SeedValue {
    pub(super) seed: u64,
    pub(super) value: f64,
    /// Standard error over items.
    pub(super) stderr: Option<f64>,
    /// As many independent answers as would scatter no less, where answers are counted.
    pub(super) answers: Option<f64>,
    /// What each item adds, by family: the means over their items add up to the value, but for a constant.
    pub(super) items: BTreeMap<String, Vec<f64>>,
}

/// The values of a lineage in a column.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Value {
    pub(super) seeds: Vec<SeedValue>,
    pub(super) chance: Option<f64>,
    /// What a family is scored by.
    pub(super) metric: Option<TaskMetric>,
    /// Between what all values lie, where that is known.
    pub(super) bounds: Option<(f64, f64)>,
}

/// The value of `lineage`; `None` if no seed has one. `shared` are the families that means are taken over.
pub(super) fn value(lineage: &Lineage<'_>, source: &Source, shared: &BTreeSet<(ScoringForm, String)>) -> Option<Value> {
    let mut found = Value::default();
    for run in &lineage.counted {
        let bare =
            |value: f64| SeedValue { seed: run.spec.seed, value, stderr: None, answers: None, items: BTreeMap::new() };
        let latest: &Metrics = &run.summary.latest;
        let seed = match source {
            Source::Metric(metric) => latest.get(metric).copied().map(bare),
            Source::OwnLoss(_, target) => {
                let own = run.spec.target() == *target;
                latest.get(&Metric::ValidationLoss).copied().filter(|_| own).map(bare)
            }
            Source::ZeroShot(form) => over_families(run, *form, shared, false, &mut found),
            Source::AboveChance(form) => over_families(run, *form, shared, true, &mut found),
            Source::Family(form, name) => of_family(&run.own, (*form, name), &mut found),
            Source::Later(form, name) => of_family(&run.later, (*form, name), &mut found),
        };
        let seed = seed.map(|value| SeedValue { seed: run.spec.seed, ..value });
        found.seeds.extend(seed);
    }
    (!found.seeds.is_empty()).then_some(found)
}

/// The headline score of a family; `found` learns what it is.
fn of_family(asked: &Asked, (form, name): (ScoringForm, &str), found: &mut Value) -> Option<SeedValue> {
    let family = asked.families.iter().find(|family| family.form == form && family.family == name)?;
    let (metric, score) = family.headline()?;
    found.metric = Some(metric);
    found.chance = score.chance;
    found.bounds = metric.bounds();
    let (items, answers) = (items(asked, family, metric, 1.0), answers(asked, family, metric));
    Some(SeedValue { seed: 0, value: score.value, stderr: score.stderr, answers, items })
}

/// The mean over the shared families, `normalised` or not; `found` learns what guessing reaches, and the bounds.
#[expect(clippy::cast_precision_loss, reason = "counts of families")]
fn over_families(
    run: &RunEvidence,
    form: ScoringForm,
    shared: &BTreeSet<(ScoringForm, String)>,
    normalised: bool,
    found: &mut Value,
) -> Option<SeedValue> {
    let counted = run.choice_families(form).filter(|family| shared.contains(&(form, family.family.clone())));
    let families: Vec<&FamilyScore> = counted.collect();
    let n = families.len() as f64;
    let (mut value, mut square, mut guessing, mut least) = (0.0, Some(0.0), 0.0, 0.0);
    let (mut all, mut counted, mut weights, mut worth) = (BTreeMap::new(), true, 0.0, Some(0.0));
    for family in &families {
        let score = family.medians.get(&TaskMetric::Acc)?;
        let level = score.chance?;
        let scale = if normalised { 1.0 / (1.0 - level).max(f64::EPSILON) } else { 1.0 };
        value += scale * (score.value - if normalised { level } else { 0.0 }) / n;
        square = square.zip(score.stderr).map(|(sum, stderr)| sum + (scale * stderr / n).powi(2));
        guessing += level / n;
        least -= scale * if normalised { level } else { 0.0 } / n;
        let own = items(&run.own, family, TaskMetric::Acc, scale / n);
        // Items of some families say nothing of how far the mean of all may be off.
        counted &= !own.is_empty();
        all.extend(own);
        weights += scale / n;
        let answers = answers(&run.own, family, TaskMetric::Acc);
        worth = worth.zip(answers).map(|(sum, answers)| sum + (scale / n).powi(2) / answers.max(1.0));
    }
    if families.is_empty() {
        return None;
    }
    found.chance = Some(if normalised { 0.0 } else { guessing });
    found.bounds = Some((least, least + weights));
    // So many answers of one task scatter as those of all do, each weighed as its family is.
    let answers = worth.filter(|worth| *worth > 0.0).map(|worth| weights.powi(2) / worth);
    Some(SeedValue {
        seed: 0,
        value,
        stderr: square.map(f64::sqrt),
        answers,
        items: if counted { all } else { BTreeMap::new() },
    })
}

/// What each item of a family adds to `weight` times its median: those of the wordings in the middle. Wordings of as many items
/// are wordings of the same items, so an item is one, however it is asked; else each wording has items of its own. Named by the
/// tasks, so that only equal items pair. Nothing where right and wrong were not kept.
#[expect(clippy::cast_precision_loss, reason = "counts of items")]
fn items(asked: &Asked, family: &FamilyScore, metric: TaskMetric, weight: f64) -> BTreeMap<String, Vec<f64>> {
    // Marks say which items are right by accuracy, or where there is none by exact match.
    if !matches!(metric, TaskMetric::Acc | TaskMetric::ExactMatch | TaskMetric::SquadExactMatch) {
        return BTreeMap::new();
    }
    let members = newest(asked, family);
    let Some(middle) = in_the_middle(metric, &members) else { return BTreeMap::new() };
    let asked_of = |record: &TaskRecord| usize::try_from(record.items).unwrap_or(usize::MAX);
    let share = weight / middle.len().max(1) as f64;
    let marks = |record: &TaskRecord| -> Vec<f64> {
        record.right.first(asked_of(record)).map(|right| if right { share } else { 0.0 }).collect()
    };
    let known = |record: &&TaskRecord| !record.right.is_empty() && marks(record).len() == asked_of(record);
    if members.is_empty() || !members.iter().all(known) {
        return BTreeMap::new();
    }
    let aligned = members.windows(2).all(|pair| matches!(pair, [one, other] if one.items == other.items));
    if aligned {
        let mut sums = vec![0.0; members.first().map_or(0, |record| asked_of(record))];
        for (record, _) in &middle {
            sums.iter_mut().zip(marks(record)).for_each(|(sum, value)| *sum += value);
        }
        return BTreeMap::from([(family.tasks.join("\n"), sums)]);
    }
    let own = |record: &&TaskRecord| {
        let counts = middle.iter().any(|(other, _)| other.task == record.task);
        let values = if counts { marks(record) } else { vec![0.0; asked_of(record)] };
        (record.task.clone(), values)
    };
    members.iter().map(own).collect()
}

/// The records that a family was made of.
fn newest<'a>(asked: &'a Asked, family: &FamilyScore) -> Vec<&'a TaskRecord> {
    let own = |record: &&TaskRecord| record.form == family.form && family.tasks.contains(&record.task);
    let newest: BTreeMap<&str, &TaskRecord> =
        asked.records.iter().filter(own).map(|record| (record.task.as_str(), record)).collect();
    newest.into_values().collect()
}

/// How many independent answers the median of a family is worth: the items of the wordings in the middle, which are the same.
#[expect(clippy::cast_precision_loss, reason = "counts of items")]
fn answers(asked: &Asked, family: &FamilyScore, metric: TaskMetric) -> Option<f64> {
    let middle = in_the_middle(metric, &newest(asked, family)).filter(|_| metric.is_share_of_items())?;
    let items: u64 = middle.iter().map(|(record, _)| record.items).sum();
    Some(items as f64 / middle.len().max(1) as f64)
}
