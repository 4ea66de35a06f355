//! Scores of zero-shot tasks as a table: every score beside what guessing reaches.

use super::table::{Align, Table};
use crate::core::task::{ScoringForm, TaskScores};

/// The scores of one task, group or family.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// What was scored.
    pub name: String,
    /// In which form.
    pub form: ScoringForm,
    /// Documents asked; absent for groups and families.
    pub items: Option<usize>,
    /// Scores.
    pub scores: &'a TaskScores,
}

/// One line per score.
#[must_use]
pub fn table(rows: &[Row<'_>]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("task", Left),
        ("form", Left),
        ("items", Right),
        ("metric", Left),
        ("value", Right),
        ("stderr", Right),
        ("chance", Right),
        ("above chance", Right),
    ]);
    let or_dash = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    for row in rows {
        for (metric, score) in row.scores {
            table.push(vec![
                row.name.clone(),
                row.form.to_string(),
                row.items.map_or_else(|| "-".to_owned(), |items| items.to_string()),
                metric.to_string(),
                format!("{:.4}", score.value),
                or_dash(score.stderr),
                or_dash(score.chance),
                or_dash(score.above_chance()),
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::task::{TaskMetric, TaskScore};

    #[test]
    fn a_score_stands_beside_its_chance() {
        let scores = TaskScores::from([
            (TaskMetric::Acc, TaskScore { value: 0.625, stderr: Some(0.05), chance: Some(0.25) }),
            (TaskMetric::F1, TaskScore { value: 0.5, stderr: None, chance: None }),
        ]);
        let row = Row { name: "copa".to_owned(), form: ScoringForm::Plain, items: Some(8), scores: &scores };
        let text = table(&[row]).text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "task  form   items  metric   value  stderr  chance  above chance");
        assert_eq!(lines[1], "copa  plain      8  acc     0.6250  0.0500  0.2500        0.5000");
        assert_eq!(lines[2], "copa  plain      8  f1      0.5000       -       -             -");
    }
}
