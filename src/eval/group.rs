//! Scores over several tasks: the groups that task files describe, and families of prompt wordings.
//! A family is declared by the files of its wordings. Its score is the median over them, so that one lucky wording does not
//! decide (Wang et al. 2022, §3.3). Different tasks are never wordings of one: a group of them is a mean, and a tag that they
//! share is a name to ask for them by. Must not know: items.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::evaluate::TaskReport;
use super::scores::mean;
use super::suite::Suite;
use super::task_file::GroupMetric;
use crate::core::task::{FamilyScore, ScoringForm, TaskMetric, TaskRecord, TaskScore, TaskScores};
use crate::core::{Metric, Metrics};

/// What a group gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupReport {
    /// Name.
    pub group: String,
    /// Its tasks.
    pub tasks: Vec<String>,
    /// Means over tasks.
    pub scores: TaskScores,
}

/// The groups of `suite` whose tasks all have a report.
#[must_use]
pub fn group_reports(suite: &Suite, reports: &[TaskReport]) -> Vec<GroupReport> {
    let all = suite.groups().iter().filter_map(|group| {
        let tasks = suite.leaves(group)?;
        let own: Option<Vec<&TaskReport>> =
            tasks.iter().map(|name| reports.iter().find(|report| report.task == *name)).collect();
        let own = own?;
        let score = |metric: &GroupMetric| grouped(*metric, &own).map(|score| (metric.metric, score));
        Some(GroupReport { group: group.name.clone(), scores: group.metrics.iter().filter_map(score).collect(), tasks })
    });
    all.collect()
}

/// The mean of one metric over tasks, by size or plain, with the standard error that goes with it.
#[expect(clippy::cast_precision_loss, reason = "counts of items")]
fn grouped(metric: GroupMetric, reports: &[&TaskReport]) -> Option<TaskScore> {
    let scores: Option<Vec<(f64, TaskScore)>> = reports
        .iter()
        .map(|report| report.scores.get(&metric.metric).map(|score| (report.items.len() as f64, *score)))
        .collect();
    let scores = scores.filter(|scores| !scores.is_empty())?;
    let (total, tasks) = (scores.iter().map(|(size, _)| size).sum::<f64>(), scores.len() as f64);
    let over = |value: &dyn Fn(&TaskScore) -> Option<f64>| -> Option<f64> {
        let parts: Option<Vec<f64>> = scores
            .iter()
            .map(|(size, score)| {
                value(score).map(|value| if metric.weight_by_size { value * size / total } else { value / tasks })
            })
            .collect();
        parts.map(|parts| parts.iter().sum())
    };
    let errors: Option<Vec<(f64, f64)>> =
        scores.iter().map(|(size, score)| score.stderr.map(|stderr| (*size, stderr.powi(2)))).collect();
    let stderr = errors.map(|errors| {
        if metric.weight_by_size {
            let pooled: f64 = errors.iter().map(|(size, square)| (size - 1.0) * size * square).sum();
            (pooled / (total - tasks) / total).sqrt()
        } else {
            errors.iter().map(|(_, square)| square).sum::<f64>().sqrt() / tasks
        }
    });
    Some(TaskScore { value: over(&|score| Some(score.value))?, stderr, chance: over(&|score| score.chance) })
}

/// The families of `records`, by form and name: the wordings of what several tasks declare, and every other task by itself.
/// Of a task that was scored more than once in a form, the newest record counts; the order of `records` is that of time.
#[must_use]
pub fn families<'r>(records: impl IntoIterator<Item = &'r TaskRecord>) -> Vec<FamilyScore> {
    let family = |members: &Vec<&TaskRecord>| {
        let first = members.first()?;
        Some(FamilyScore {
            family: if members.len() > 1 { first.family() } else { &first.task }.to_owned(),
            form: first.form,
            tasks: members.iter().map(|record| record.task.clone()).collect(),
            items: members.iter().map(|record| record.items).sum(),
            medians: TaskMetric::ALL.into_iter().filter_map(|metric| middle(metric, members)).collect(),
        })
    };
    let mut found: Vec<FamilyScore> = wordings(records).iter().filter_map(family).collect();
    found.sort_by(|a, b| (a.form, &a.family).cmp(&(b.form, &b.family)));
    found
}

/// The newest record of every task, those of one family together, by form, family and name.
#[must_use]
pub fn wordings<'r>(records: impl IntoIterator<Item = &'r TaskRecord>) -> Vec<Vec<&'r TaskRecord>> {
    let newest: BTreeMap<(ScoringForm, &str), &TaskRecord> =
        records.into_iter().map(|record| ((record.form, record.task.as_str()), record)).collect();
    let mut found: BTreeMap<(ScoringForm, &str), Vec<&TaskRecord>> = BTreeMap::new();
    for record in newest.into_values() {
        found.entry((record.form, record.family())).or_default().push(record);
    }
    found.into_values().collect()
}

/// The wordings whose scores are in the middle: one, or two. Their mean is the median. `None` if one has no such score.
#[must_use]
pub fn in_the_middle<'r>(metric: TaskMetric, members: &[&'r TaskRecord]) -> Option<Vec<(&'r TaskRecord, TaskScore)>> {
    let scores: Option<Vec<_>> = members.iter().map(|record| Some((*record, *record.scores.get(&metric)?))).collect();
    let mut scores = scores?;
    scores.sort_by(|(_, a), (_, b)| a.value.total_cmp(&b.value));
    let (lower, upper) = (scores.len().checked_sub(1)? / 2, scores.len() / 2);
    scores.get(lower..=upper).map(<[_]>::to_vec)
}

/// The median score of `members`. Its error is that of the task in the middle; of two it is the mean of theirs, since wordings
/// are asked the same items and their errors need not cancel.
fn middle(metric: TaskMetric, members: &[&TaskRecord]) -> Option<(TaskMetric, TaskScore)> {
    let middle = in_the_middle(metric, members)?;
    let value = mean(&middle.iter().map(|(_, score)| score.value).collect::<Vec<_>>())?;
    let stderr: Option<Vec<f64>> = middle.iter().map(|(_, score)| score.stderr).collect();
    // Wordings of the same items have one chance level, but for items that some of them leave out.
    let chances: Option<Vec<f64>> =
        members.iter().map(|record| record.scores.get(&metric).and_then(|score| score.chance)).collect();
    let (stderr, chance) = (stderr.and_then(|errors| mean(&errors)), chances.and_then(|chances| mean(&chances)));
    Some((metric, TaskScore { value, stderr, chance }))
}

/// The means over families whose items have choices, of accuracy and of accuracy above chance, of each form.
#[must_use]
pub fn zero_shot_metrics(families: &[FamilyScore]) -> Metrics {
    let mut metrics = Metrics::new();
    let forms = [
        (ScoringForm::Plain, Metric::ZeroShotAcc, Metric::ZeroShotAboveChance),
        (ScoringForm::Sentinel, Metric::ZeroShotAccSentinel, Metric::ZeroShotAboveChanceSentinel),
    ];
    for (form, acc, above_chance) in forms {
        let own = families.iter().filter(|family| family.form == form);
        let scores: Vec<(f64, f64)> = own
            .filter_map(|family| family.medians.get(&TaskMetric::Acc))
            .filter_map(|score| Some((score.value, score.above_chance()?)))
            .collect();
        let of = |pick: fn(&(f64, f64)) -> f64| mean(&scores.iter().map(pick).collect::<Vec<_>>());
        metrics.extend(of(|(value, _)| *value).map(|value| (acc, value)));
        metrics.extend(of(|(_, above)| *above).map(|value| (above_chance, value)));
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::task::ItemMarks;
    use crate::eval::ItemRow;

    fn report(task: &str, wording_of: Option<&str>, items: usize, value: f64, stderr: f64) -> TaskReport {
        let row = ItemRow {
            document: 0,
            log_likelihoods: vec![],
            tokens: vec![],
            greedy: vec![],
            predicted: None,
            gold: None,
            written: None,
            exact: None,
        };
        TaskReport {
            task: task.to_owned(),
            wording_of: wording_of.map(str::to_owned),
            scores: TaskScores::from([(TaskMetric::Acc, TaskScore { value, stderr: Some(stderr), chance: Some(0.5) })]),
            right: ItemMarks::default(),
            items: vec![row; items],
            left_out: Vec::new(),
            requests: items,
            cut: 0,
            notices: vec![],
        }
    }

    #[test]
    fn groups_are_means_by_size_or_plain() {
        let (a, b) = (report("a", None, 11, 0.2, 0.1), report("b", None, 31, 0.8, 0.05));
        let by = |weight_by_size| grouped(GroupMetric { metric: TaskMetric::Acc, weight_by_size }, &[&a, &b]).unwrap();
        let weighted = by(true);
        assert!((weighted.value - (11.0 * 0.2 + 31.0 * 0.8) / 42.0).abs() < 1e-12);
        // √((10·11·0.01 + 30·31·0.0025) / 40 / 42)
        assert!((weighted.stderr.unwrap() - (3.425_f64 / 1680.0).sqrt()).abs() < 1e-12);
        let plain = by(false);
        assert!((plain.value - 0.5).abs() < 1e-12 && (plain.chance.unwrap() - 0.5).abs() < 1e-12);
        assert!((plain.stderr.unwrap() - 0.0125_f64.sqrt() / 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_family_is_the_median_of_its_wordings() {
        let record =
            |task, family, value, stderr| report(task, family, 5, value, stderr).record(1, ScoringForm::Plain, 0.0);
        let mut records = vec![
            record("a", Some("copa"), 0.9, 0.1),
            record("b", Some("copa"), 0.5, 0.1),
            record("c", Some("copa"), 0.6, 0.2),
            record("d", Some("alone"), 0.1, 0.1),
        ];
        let found = families(&records);
        let named: Vec<_> = found.iter().map(|family| (family.family.as_str(), family.tasks.len())).collect();
        assert_eq!(named, [("copa", 3), ("d", 1)]);
        let middle = TaskScore { value: 0.6, stderr: Some(0.2), chance: Some(0.5) };
        assert_eq!(found[0].medians[&TaskMetric::Acc], middle);
        records.push(record("c", Some("copa"), 1.0, 0.1));
        records.push(record("e", Some("copa"), 0.7, 0.3));
        let acc = families(&records)[0].medians[&TaskMetric::Acc];
        assert!((acc.value - 0.8).abs() < 1e-12 && (acc.stderr.unwrap() - 0.2).abs() < 1e-12, "{acc:?}");
        let metrics = zero_shot_metrics(&families(&records));
        assert!((metrics[&Metric::ZeroShotAcc] - 0.45).abs() < 1e-12);
        assert!((metrics[&Metric::ZeroShotAboveChance] - (0.6 - 0.8) / 2.0).abs() < 1e-12);
        assert_eq!(metrics.get(&Metric::ZeroShotAccSentinel), None);
    }
}
