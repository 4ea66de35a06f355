//! Data that is written out as prompts already: JSON lines of `inputs` and `targets`, as those of P3 (Bach et al. 2022, arXiv
//! 2202.01279). A file is a task of its own: rows with `choices` and the `label` of the right one are asked.
//! Must not know: training.

use std::path::Path;

use super::dataset::{Dataset, DatasetKind};
use super::document::Document;
use super::exact::ExactRule;
use super::task_file::{Field, OutputType, Task};
use super::writing::Writing;
use crate::core::task::TaskMetric;

/// How a file of prompts ends.
const ENDING: &str = "jsonl";

/// Columns.
pub(super) const INPUTS: &str = "inputs";
pub(super) const TARGETS: &str = "targets";
const CHOICES: &str = "choices";
const LABEL: &str = "label";

/// Rows that can be asked, and all of them.
const ASKED: &str = "test";
pub(super) const ALL: &str = "train";

/// The data set that the file called `name` is of, as far as names tell: the words that it begins with like another of `names`.
/// Files of one data set hold the same examples under other prompts.
pub(super) fn data_set(name: &str, names: &[&str]) -> Option<String> {
    let words = |name: &str| name.split('_').map(str::to_owned).collect::<Vec<_>>();
    let own = words(name);
    let alike = |other: &&str| words(other).iter().zip(&own).take_while(|(a, b)| a == b).count();
    let most = names.iter().filter(|other| **other != name).map(alike).max()?;
    let shared = own.get(..most).filter(|shared| !shared.is_empty())?;
    Some(shared.join("_"))
}

/// Whether `path` is a file of prompts.
pub(super) fn is_prompted(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == ENDING)
}

/// The task of the file at `path`.
pub(super) fn task(path: &Path) -> Task {
    let column = |name: &str| Field::Text(name.to_owned());
    let files = [ASKED, ALL].map(|split| (split.to_owned(), vec![path.to_owned()])).into();
    Task {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        tags: Vec::new(),
        wording_of: None,
        path: path.to_owned(),
        dataset: Dataset { kind: DatasetKind::Prompted, files },
        split: ASKED.to_owned(),
        fewshot_split: ALL.to_owned(),
        drop_self: false,
        num_fewshot: 0,
        first_examples: false,
        output: OutputType::MultipleChoice,
        text: column(INPUTS),
        target: column(LABEL),
        choice: Some(column(CHOICES)),
        writing: Writing::default(),
        description: String::new(),
        target_delimiter: " ".to_owned(),
        fewshot_delimiter: "\n\n".to_owned(),
        metrics: vec![TaskMetric::Acc, TaskMetric::AccNorm],
        exact: ExactRule::default(),
    }
}

/// The rows of a split.
///
/// # Errors
/// A row has no inputs or targets.
pub(super) fn rows(rows: Vec<Document>, split: &str) -> Result<Vec<Document>, String> {
    for (place, row) in rows.iter().enumerate() {
        let number = place + 1;
        for column in [INPUTS, TARGETS] {
            let text = row.get(column).and_then(serde_json::Value::as_str);
            if text.is_none_or(|text| text.trim().is_empty()) {
                return Err(format!("row {number} has no text `{column}`; prompted data has `inputs` and `targets`"));
            }
        }
        let Some((choices, label)) = row.get(CHOICES).zip(row.get(LABEL)) else { continue };
        let choices = choices.as_array().map_or(&[][..], Vec::as_slice);
        let right = label.as_u64().and_then(|label| choices.get(usize::try_from(label).ok()?));
        if right.is_none() || right != row.get(TARGETS) {
            return Err(format!(
                "row {number}: its `targets` are not the choice that `label` {label} names, counted from 0"
            ));
        }
    }
    let asked = |row: &Document| split != ASKED || (row.contains_key(CHOICES) && row.contains_key(LABEL));
    Ok(rows.into_iter().filter(asked).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_begin_alike_are_of_one_data_set() {
        let names =
            ["common_gen_put", "common_gen_type_1", "commonsense_qa_most", "commonsense_qa_question", "cosmos_qa_no"];
        let of = |name: &str| data_set(name, &names);
        assert_eq!(of("common_gen_put").unwrap(), "common_gen");
        assert_eq!(of("commonsense_qa_question").unwrap(), "commonsense_qa");
        assert_eq!(of("cosmos_qa_no"), None);
        assert_eq!(data_set("alone", &["alone"]), None);
    }
}
