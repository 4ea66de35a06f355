//! The documents of a split: rows of columns, from JSON lines, JSON or plain text.
//! Promises: every document has every column of its file, as the data-set library of the field gives them. Must not
//! know: where files are (a function reads them), prompts.

use std::path::Path;

use serde_json::{Map, Value};

use super::EvalError;
use super::document::{Document, ReadText};
use super::prompted;
use super::task_file::{DatasetKind, Paragraphs, Task};

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
    let mut rows = match &task.dataset.kind {
        DatasetKind::World(items) => items.documents().map_err(failed)?,
        DatasetKind::Text(_) | DatasetKind::Json { .. } | DatasetKind::Prompted => Vec::new(),
    };
    for path in files {
        let text = read(path).map_err(|source| EvalError::Io { path: path.clone(), source })?;
        match &task.dataset.kind {
            DatasetKind::World(_) => {}
            DatasetKind::Prompted => {
                let own = json(&text, None, path).map_err(failed)?;
                rows.extend(prompted::rows(own, split).map_err(failed)?);
            }
            DatasetKind::Text(paragraphs) => rows.extend(plain(&text, *paragraphs)),
            DatasetKind::Json { field } => rows.extend(json(&text, field.as_deref(), path).map_err(failed)?),
        }
    }
    if rows.is_empty() {
        return Err(failed(format!("the split `{split}` has no documents")));
    }
    fill(&mut rows);
    Ok(rows)
}

/// A column that a row lacks is null in it.
fn fill(rows: &mut [Document]) {
    let mut columns: Vec<String> = Vec::new();
    for row in rows.iter() {
        let new: Vec<String> = row.keys().filter(|key| !columns.contains(key)).cloned().collect();
        columns.extend(new);
    }
    for row in rows {
        for column in &columns {
            if !row.contains_key(column) {
                row.insert(column.clone(), Value::Null);
            }
        }
    }
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

fn json(text: &str, field: Option<&str>, path: &Path) -> Result<Vec<Document>, String> {
    let shown = path.display();
    let whole = |text: &str| serde_json::from_str::<Value>(text).map_err(|e| format!("{shown} is not JSON: {e}"));
    let listed = match field {
        Some(field) => match whole(text)? {
            Value::Object(mut map) => map.remove(field).ok_or_else(|| format!("{shown} has no field `{field}`"))?,
            _ => return Err(format!("{shown} is no object with a field `{field}`")),
        },
        None if text.trim_start().starts_with('[') => whole(text)?,
        None => return json_lines(text, path),
    };
    let Value::Array(items) = listed else { return Err(format!("{shown} holds no list of documents")) };
    let row = |(place, item)| match item {
        Value::Object(row) => Ok(row),
        _ => Err(format!("document {place} of {shown} is no object")),
    };
    items.into_iter().enumerate().map(row).collect()
}

fn json_lines(text: &str, path: &Path) -> Result<Vec<Document>, String> {
    let lines = text.split('\n').zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines
        .map(|(line, number): (&str, usize)| {
            serde_json::from_str(line).map_err(|e| format!("{}:{number} is no JSON object: {e}", path.display()))
        })
        .collect()
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
        let lines = json("{\"a\": 1}\n\n{\"b\": \"x\"}\n", None, path).unwrap();
        assert_eq!(lines, json("[{\"a\": 1},\n{\"b\": \"x\"}]", None, path).unwrap());
        assert_eq!(lines, json("{\"v\": 2, \"rows\": [{\"a\": 1}, {\"b\": \"x\"}]}", Some("rows"), path).unwrap());
        let mut filled = lines;
        fill(&mut filled);
        assert_eq!(Value::from(filled), json!([{"a": 1, "b": null}, {"a": null, "b": "x"}]));
        assert!(json("{\"a\": 1}\nx\n", None, path).unwrap_err().starts_with("d.json:2 is no JSON object"));
        assert!(json("{}", Some("rows"), path).unwrap_err().contains("no field `rows`"));
        assert!(json("[1]", None, path).unwrap_err().contains("document 0"));
    }
}
