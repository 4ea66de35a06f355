//! The values of one column: of every lineage, one a seed, with the answers behind them where there are some.
//! Must not know: places.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::task::{FamilyScore, ScoringForm, TaskMetric, TaskRecord};
use crate::core::{Metric, Metrics};

use super::evidence::RunEvidence;
use super::{Lineage, Source};

/// The value of one seed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SeedValue {
    pub(super) seed: u64,
    pub(super) value: f64,
    /// Standard error over items.
    pub(super) stderr: Option<f64>,
    /// What each item adds to the mean: 1 or 0, weighed as its family is. Named by task, so that only equal items pair.
    pub(super) items: BTreeMap<String, Vec<f64>>,
}

/// The values of a lineage in a column.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Value {
    pub(super) seeds: Vec<SeedValue>,
    pub(super) chance: Option<f64>,
    /// What a family is scored by.
    pub(super) metric: Option<TaskMetric>,
}

/// The value of `lineage`; `None` if no seed has one. `shared` are the families that means are taken over.
pub(super) fn value(lineage: &Lineage<'_>, source: &Source, shared: &BTreeSet<(ScoringForm, String)>) -> Option<Value> {
    let mut found = Value::default();
    for run in &lineage.counted {
        let bare = |value: f64| SeedValue { seed: run.spec.seed, value, stderr: None, items: BTreeMap::new() };
        let latest: &Metrics = &run.summary.latest;
        let seed = match source {
            Source::Metric(metric) => latest.get(metric).copied().map(bare),
            Source::OwnLoss(_, target) => {
                let own = run.spec.target() == *target;
                latest.get(&Metric::ValidationLoss).copied().filter(|_| own).map(bare)
            }
            Source::ZeroShot(form) => over_families(run, *form, shared, false, &mut found.chance),
            Source::AboveChance(form) => {
                let value = over_families(run, *form, shared, true, &mut found.chance);
                found.chance = value.as_ref().map(|_| 0.0);
                value
            }
            Source::Family(form, name) => {
                let mut known = run.families.iter();
                known.find(|family| family.form == *form && family.family == *name).and_then(|family| {
                    let (metric, score) = family.headline()?;
                    found.metric = Some(metric);
                    found.chance = score.chance;
                    let items = if metric == TaskMetric::Acc { items(run, family, 1.0) } else { BTreeMap::new() };
                    Some(SeedValue { stderr: score.stderr, items, ..bare(score.value) })
                })
            }
        };
        found.seeds.extend(seed);
    }
    (!found.seeds.is_empty()).then_some(found)
}

/// The mean over the shared families, `normalised` or not; `chance` learns the mean of their chance levels.
#[expect(clippy::cast_precision_loss, reason = "counts of families")]
fn over_families(
    run: &RunEvidence,
    form: ScoringForm,
    shared: &BTreeSet<(ScoringForm, String)>,
    normalised: bool,
    chance: &mut Option<f64>,
) -> Option<SeedValue> {
    let counted = run.choice_families(form).filter(|family| shared.contains(&(form, family.family.clone())));
    let families: Vec<&FamilyScore> = counted.collect();
    let n = families.len() as f64;
    let (mut value, mut square, mut guessing) = (0.0, Some(0.0), 0.0);
    let mut all = BTreeMap::new();
    for family in &families {
        let score = family.medians.get(&TaskMetric::Acc)?;
        let level = score.chance?;
        let scale = if normalised { 1.0 / (1.0 - level).max(f64::EPSILON) } else { 1.0 };
        value += scale * (score.value - if normalised { level } else { 0.0 }) / n;
        square = square.zip(score.stderr).map(|(sum, stderr)| sum + (scale * stderr / n).powi(2));
        guessing += level / n;
        all.extend(items(run, family, scale / n));
    }
    if families.is_empty() {
        return None;
    }
    *chance = Some(guessing);
    // Each item weighs so that the mean over all items is the mean over families.
    let count: usize = all.values().map(Vec::len).sum();
    for weights in all.values_mut().flatten() {
        *weights *= count as f64;
    }
    Some(SeedValue { seed: run.spec.seed, value, stderr: square.map(f64::sqrt), items: all })
}

/// What each item of a family adds, `weight` over its items in all; the newest record of each task counts.
#[expect(clippy::cast_precision_loss, reason = "counts of items")]
fn items(run: &RunEvidence, family: &FamilyScore, weight: f64) -> BTreeMap<String, Vec<f64>> {
    let own = |record: &&TaskRecord| record.form == family.form && family.tasks.contains(&record.task);
    let newest: BTreeMap<&str, &TaskRecord> =
        run.records.iter().filter(own).map(|record| (record.task.as_str(), record)).collect();
    let share = weight / family.items.max(1) as f64;
    let marks = |record: &TaskRecord| {
        let asked = usize::try_from(record.items).unwrap_or(usize::MAX);
        record.right.first(asked).map(|right| if right { share } else { 0.0 }).collect::<Vec<f64>>()
    };
    newest.into_iter().map(|(task, record)| (task.to_owned(), marks(record))).collect()
}
