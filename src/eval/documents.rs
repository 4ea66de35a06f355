//! The documents of a split: rows of columns, from JSON lines, JSON or plain text.
//! Promises: every document has every column of its file, as the data-set library of the field gives them; what cannot be read
//! in a column that no prompt uses is no obstacle. Must not know: where files are (a function reads them), models.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::EvalError;
use super::dataset::{DatasetKind, Paragraphs};
use super::document::{Document, ReadText};
use super::prompt::used_columns;
use super::prompted;
use super::task_file::{OutputType, Task};
use crate::config::files;
use crate::core::json::{Columns, columns, elements, member};

/// The field of a label that is a column as it is.
const LABEL: &str = "doc_to_target";

/// The documents of `split`, in the order of the files.
///
/// # Errors
/// The task has no such split, or a file cannot be read or parsed.
pub(super) fn documents(task: &Task, split: &str, read: ReadText<'_>) -> Result<Vec<Document>, EvalError> {
    let failed = |reason: String| EvalError::Data { task: task.name.clone(), reason };
    let listed = task.dataset.files.iter().find(|(name, _)| name == split);
    let (_, files) = listed.ok_or_else(|| {
        let known: Vec<&str> = task.dataset.files.iter().map(|(name, _)| name.as_str()).collect();
        failed(format!("`data_files` has no split `{split}`, only {}", known.join(", ")))
    })?;
    let spares_labels = match task.output {
        OutputType::MultipleChoice | OutputType::GenerateUntil => true,
        OutputType::Loglikelihood | OutputType::LoglikelihoodRolling => false,
    };
    let used = Used { columns: used_columns(task).map_err(failed)?, spares_labels };
    let mut rows = match &task.dataset.kind {
        DatasetKind::World(items) => items.documents().map_err(failed)?,
        DatasetKind::Text(_) | DatasetKind::Json { .. } | DatasetKind::Prompted => Vec::new(),
    };
    for path in files {
        let text = read(path).map_err(|source| EvalError::Io { path: path.clone(), source })?;
        match &task.dataset.kind {
            DatasetKind::World(_) => {}
            DatasetKind::Prompted => {
                let own = json(&text, None, path, &used).map_err(failed)?;
                rows.extend(prompted::rows(own, split).map_err(failed)?);
            }
            DatasetKind::Text(paragraphs) => rows.extend(plain(&text, *paragraphs)),
            DatasetKind::Json { field } => rows.extend(json(&text, field.as_deref(), path, &used).map_err(failed)?),
        }
    }
    if rows.is_empty() {
        return Err(failed(format!("the split `{split}` has no documents")));
    }
    fill(&mut rows).map_err(failed)?;
    Ok(rows)
}

/// Rows times columns of a data set at most: a column that one row has is in all of them.
const MOST_CELLS: usize = 100_000_000;

/// A column that a row lacks is null in it.
fn fill(rows: &mut [Document]) -> Result<(), String> {
    let mut columns: BTreeSet<String> = BTreeSet::new();
    for row in rows.iter() {
        for key in row.keys() {
            if !columns.contains(key) {
                columns.insert(key.clone());
            }
        }
        if columns.len().saturating_mul(rows.len()) > MOST_CELLS {
            return Err(format!(
                "its {} documents have {} columns together, and at most {MOST_CELLS} values are held; give every document \
                 the same columns",
                rows.len(),
                columns.len()
            ));
        }
    }
    for row in rows {
        for column in &columns {
            if !row.contains_key(column) {
                row.insert(column.clone(), Value::Null);
            }
        }
    }
    Ok(())
}

fn plain(text: &str, paragraphs: Paragraphs) -> Vec<Document> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let pieces: Vec<&str> = match paragraphs {
        Paragraphs::Document => vec![&text],
        Paragraphs::Paragraph => text.split("\n\n").filter(|piece| !piece.is_empty()).collect(),
        Paragraphs::Line => text.strip_suffix('\n').unwrap_or(&text).split('\n').collect(),
    };
    pieces.into_iter().map(|piece| Map::from_iter([("text".to_owned(), Value::from(piece))])).collect()
}

/// What of the columns matters.
struct Used {
    /// Columns that the fields of a task use, each with the field.
    columns: Vec<(String, &'static str)>,
    /// Whether a document without a label is left out by itself.
    spares_labels: bool,
}

fn json(text: &str, field: Option<&str>, path: &Path, used: &Used) -> Result<Vec<Document>, String> {
    let shown = path.display();
    let broken = |e| format!("{shown} cannot be read: {e}");
    let listed = match field {
        Some(field) => {
            let found = member(text, field).map_err(broken)?;
            let found = found.ok_or_else(|| format!("{shown} has no field `{field}`"))?;
            elements(&found).map_err(broken)?.ok_or_else(|| format!("`{field}` of {shown} is no list of documents"))?
        }
        None => match elements(text).map_err(broken)? {
            Some(listed) => listed,
            None => {
                let lines = text.split('\n').zip(1..).filter(|(line, _)| !line.trim().is_empty());
                let row = |(line, number): (&str, usize)| {
                    columns(line)
                        .map_err(|e| e.to_string())
                        .and_then(|found| document(found, used))
                        .map_err(|e| format!("{shown}:{number}: {e}"))
                };
                return lines.map(row).collect();
            }
        },
    };
    let row = |(place, item): (usize, &String)| {
        let found = columns(item).map_err(|e| e.to_string()).and_then(|found| document(found, used));
        found.map_err(|e| format!("document {place} of {shown}: {e}"))
    };
    listed.iter().enumerate().map(row).collect()
}

/// The row of `found`. A label that cannot be read is none; any other column that is used must be readable.
fn document(found: Columns, used: &Used) -> Result<Document, String> {
    files::goes_on();
    let mut row = found.readable;
    for (column, reason) in found.unreadable {
        let fields: Vec<&str> =
            used.columns.iter().filter(|(name, _)| *name == column).map(|(_, field)| *field).collect();
        match fields.first() {
            None => {}
            Some(_) if used.spares_labels && fields.iter().all(|field| *field == LABEL) => {
                row.insert(column, Value::Null);
            }
            Some(field) => return Err(format!("`{field}` uses the column `{column}`, which cannot be read: {reason}")),
        }
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(text: &str, by: Paragraphs) -> Vec<String> {
        plain(text, by).iter().map(|row| row["text"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn plain_text_falls_into_documents_as_the_field_splits_it() {
        let text = "a\r\nb\n\n\n\nc\rd\n";
        assert_eq!(texts(text, Paragraphs::Line), ["a", "b", "", "", "", "c", "d"]);
        assert_eq!(texts(text, Paragraphs::Paragraph), ["a\nb", "c\nd\n"]);
        assert_eq!(texts(text, Paragraphs::Document), ["a\nb\n\n\n\nc\nd\n"]);
    }

    #[test]
    fn json_in_its_three_shapes_gives_the_same_rows() {
        let path = Path::new("d.json");
        let json =
            |text: &str, field| super::json(text, field, path, &Used { columns: Vec::new(), spares_labels: true });
        let lines = json("{\"a\": 1}\n\n{\"b\": \"x\"}\n", None).unwrap();
        assert_eq!(lines, json("[{\"a\": 1},\n{\"b\": \"x\"}]", None).unwrap());
        assert_eq!(lines, json("{\"v\": 2, \"rows\": [{\"a\": 1}, {\"b\": \"x\"}]}", Some("rows")).unwrap());
        let mut filled = lines;
        fill(&mut filled).unwrap();
        assert_eq!(Value::from(filled), json!([{"a": 1, "b": null}, {"a": null, "b": "x"}]));
        assert!(json("{\"a\": 1}\nx\n", None).unwrap_err().starts_with("d.json:2: broken JSON at column 1"));
        assert!(json("{}", Some("rows")).unwrap_err().contains("no field `rows`"));
        assert!(json("[1]", None).unwrap_err().contains("document 0"));
    }

    #[test]
    fn columns_that_every_row_has_alone_are_too_many() {
        let mut rows: Vec<Document> =
            (0..20_000).map(|n| Document::from_iter([(format!("c{n}"), Value::Null)])).collect();
        let said = fill(&mut rows).unwrap_err();
        assert!(said.starts_with("its 20000 documents have 5001 columns together"), "{said}");
    }

    /// Rows of a task that uses the columns `q`, `c` and, as its label, `a`.
    fn read(lines: &str) -> Result<Vec<Document>, String> {
        let task = super::super::task_file::tests::task(
            "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: d.jsonl}}\ntest_split: test\n\
             output_type: multiple_choice\ndoc_to_text: \"{{q}}?\"\ndoc_to_choice: c\ndoc_to_target: a\n",
        );
        documents(&task, "test", &|_: &Path| Ok(lines.to_owned())).map_err(|error| error.to_string())
    }

    #[test]
    fn only_columns_that_are_used_must_be_readable() {
        let deep = format!("{}1{}", "[".repeat(3000), "]".repeat(3000));
        for odd in ["NaN", "-Infinity", "1e999", "{\"x\": [Infinity]}", &deep] {
            let rows =
                read(&format!("{{\"odd\": {odd}, \"q\": \"cut \\ud83d\", \"c\": [\"x\"], \"a\": 0}}\n")).unwrap();
            assert_eq!((&rows[0]["q"], &rows[0]["a"]), (&json!("cut \u{fffd}"), &json!(0)), "{odd}");
            let said = read(&format!("\n{{\"q\": {odd}, \"c\": [\"x\"], \"a\": 0}}\n")).unwrap_err();
            let wanted =
                "use the data of task t: t/d.jsonl:2: `doc_to_text` uses the column `q`, which cannot be read: it ";
            assert!(said.starts_with(wanted), "{said}");
            assert_eq!(
                read(&format!("[{{\"q\": \"Q\", \"c\": [\"x\"], \"a\": {odd}}}]")).unwrap()[0]["a"],
                Value::Null
            );
        }
    }
}
