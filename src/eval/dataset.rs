//! Where the documents of a task are: `dataset_path`, `dataset_name` and `dataset_kwargs` of a task file.
//! Promises: data sets are read from files, or are the shipped world; every other source is refused by name.
//! Must not know: what is in the files.

use std::path::PathBuf;

use super::EvalError;
use super::settings::{Setting, Settings, sibling};
use super::world::{SPLIT, WorldItems};
use super::yaml::Yaml;

/// The split of files that are listed without one.
const UNNAMED: &str = "train";

/// How a text file falls into documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paragraphs {
    /// One a line.
    Line,
    /// One a paragraph: split at empty lines, empty pieces dropped.
    Paragraph,
    /// The whole file.
    Document,
}

/// The kind of the data files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatasetKind {
    /// One JSON object a line, or a list of them, possibly under a field of one object.
    Json {
        /// That field.
        field: Option<String>,
    },
    /// Plain text; the only column is `text`.
    Text(Paragraphs),
    /// Items of the shipped world; there are no files.
    World(WorldItems),
    /// JSON lines of written-out prompts.
    Prompted,
}

/// Where the documents are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Kind.
    pub kind: DatasetKind,
    /// Files of each split, relative to the task file's folder.
    pub files: Vec<(String, Vec<PathBuf>)>,
}

/// Reads what `settings` say of the data set.
///
/// # Errors
/// It is not one that this program reads.
pub(super) fn dataset_of(settings: &mut Settings) -> Result<Dataset, EvalError> {
    let kind = settings.need("dataset_path")?;
    let known = [("json", Some(true)), ("text", Some(false)), ("world", None)];
    let is_json = kind.one_of(&known).map_err(|_| {
        let source = kind.text().unwrap_or_default();
        kind.error(format!(
            "`dataset_path: {source}` is not supported; known are json, text, world. Save the data set as JSON lines and \
             name the files in `dataset_kwargs: {{data_files: …}}`"
        ))
    })?;
    if let Some(name) = settings.take("dataset_name").filter(|name| !matches!(name.text().as_deref(), Ok("default"))) {
        return Err(name.error("`dataset_name` is not supported: files have no configurations; leave it out"));
    }
    let Some(is_json) = is_json else {
        let items = WorldItems::read(&settings.need("dataset_kwargs")?)?;
        return Ok(Dataset { kind: DatasetKind::World(items), files: vec![(SPLIT.to_owned(), Vec::new())] });
    };
    let (mut files, mut field, mut paragraphs) = (Vec::new(), None, Paragraphs::Line);
    for option in settings.need("dataset_kwargs")?.pairs()? {
        match (option.key.as_str(), &option.node.value) {
            // Nothing is run that came with the data.
            (_, Yaml::Null) | ("trust_remote_code", _) => {}
            ("data_files", Yaml::Map(_)) => {
                for split in option.pairs()? {
                    files.push((split.key.clone(), paths(settings, &split)?));
                }
            }
            ("data_files", _) => files.push((UNNAMED.to_owned(), paths(settings, &option)?)),
            ("field", _) if is_json => field = Some(option.text()?),
            ("sample_by", _) if !is_json => {
                paragraphs = option.one_of(&[
                    ("line", Paragraphs::Line),
                    ("paragraph", Paragraphs::Paragraph),
                    ("document", Paragraphs::Document),
                ])?;
            }
            (other, _) => return Err(option.error(format!("`{other}` of `dataset_kwargs` is not supported"))),
        }
    }
    if files.is_empty() {
        return Err(kind.error("`dataset_kwargs` names no `data_files`; data sets are read from files only"));
    }
    let kind = if is_json { DatasetKind::Json { field } } else { DatasetKind::Text(paragraphs) };
    Ok(Dataset { kind, files })
}

/// The files that `named` lists.
fn paths(settings: &Settings, named: &Setting) -> Result<Vec<PathBuf>, EvalError> {
    Ok(named.texts()?.iter().map(|name| sibling(&settings.path, name)).collect())
}
