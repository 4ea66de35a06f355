//! Scores over several tasks: the groups that task files describe, and families of prompt wordings.
//! A family is a tag: its score is the median over its tasks, so that one lucky wording does not decide (Wang et al.
//! 2022, §3.3). Must not know: items.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::evaluate::TaskReport;
use super::scores::{mean, median};
use super::suite::Suite;
use super::task_file::GroupMetric;
use crate::core::task::{TaskMetric, TaskScore, TaskScores};

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

/// What a family of wordings gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FamilyReport {
    /// The tag.
    pub family: String,
    /// Its tasks.
    pub tasks: Vec<String>,
    /// Median over tasks of each metric that all of them have; chance levels are medians too.
    pub medians: TaskScores,
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

/// The tags of `reports` with the median over their tasks, by name; a tag of a single task is no family.
#[must_use]
pub fn families(reports: &[TaskReport]) -> Vec<FamilyReport> {
    let mut tagged: BTreeMap<&str, Vec<&TaskReport>> = BTreeMap::new();
    for report in reports {
        for tag in &report.tags {
            tagged.entry(tag).or_default().push(report);
        }
    }
    let several = tagged.into_iter().filter(|(_, members)| members.len() > 1);
    several
        .map(|(family, members)| FamilyReport {
            family: family.to_owned(),
            tasks: members.iter().map(|report| report.task.clone()).collect(),
            medians: TaskMetric::ALL.into_iter().filter_map(|metric| middle(metric, &members)).collect(),
        })
        .collect()
}

fn middle(metric: TaskMetric, members: &[&TaskReport]) -> Option<(TaskMetric, TaskScore)> {
    let scores: Option<Vec<&TaskScore>> = members.iter().map(|report| report.scores.get(&metric)).collect();
    let scores = scores?;
    let chances: Option<Vec<f64>> = scores.iter().map(|score| score.chance).collect();
    let value = median(&scores.iter().map(|score| score.value).collect::<Vec<_>>())?;
    // A median of chances is a chance level only if the tasks are alike; the mean is right where they differ little.
    let chance = chances.and_then(|chances| mean(&chances));
    Some((metric, TaskScore { value, stderr: None, chance }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::ItemRow;

    fn report(task: &str, tag: &str, items: usize, value: f64, stderr: f64) -> TaskReport {
        let row = ItemRow {
            document: 0,
            log_likelihoods: vec![],
            tokens: vec![],
            greedy: vec![],
            predicted: None,
            gold: None,
        };
        TaskReport {
            task: task.to_owned(),
            tags: vec![tag.to_owned()],
            scores: TaskScores::from([(TaskMetric::Acc, TaskScore { value, stderr: Some(stderr), chance: Some(0.5) })]),
            items: vec![row; items],
            requests: items,
            cut: 0,
            notices: vec![],
        }
    }

    #[test]
    fn groups_are_means_by_size_or_plain() {
        let (a, b) = (report("a", "x", 11, 0.2, 0.1), report("b", "x", 31, 0.8, 0.05));
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
        let reports = [
            report("a", "copa", 5, 0.9, 0.1),
            report("b", "copa", 5, 0.5, 0.1),
            report("c", "copa", 5, 0.6, 0.1),
            report("d", "alone", 5, 0.1, 0.1),
        ];
        let found = families(&reports);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].family.as_str(), found[0].tasks.len()), ("copa", 3));
        assert_eq!(found[0].medians[&TaskMetric::Acc], TaskScore { value: 0.6, stderr: None, chance: Some(0.5) });
    }
}
