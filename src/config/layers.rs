//! TOML texts laid over one another and read as one value. An error names the text, the line and the key it came from.

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::de::DeTable;
use toml::{Table, Value};

use super::paths::absolute_text;

/// A setting could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    /// File and line, or the option of the command line.
    pub place: String,
    /// What is wrong and the nearest right thing.
    pub message: String,
}

/// One TOML text and where it came from.
#[derive(Debug, Clone)]
pub struct Layer {
    name: String,
    text: String,
    table: Table,
}

/// Tables of which exactly one key holds: a later layer replaces them whole.
const ONE_OF: [&str; 1] = ["budget"];

impl Layer {
    /// Parses `text`, which came from `name`.
    ///
    /// # Errors
    /// It is not TOML; the error names the line.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let table = toml::from_str(text).map_err(|error: toml::de::Error| ConfigError {
            place: place(name, text, error.span().map(|span| span.start)),
            message: error.message().trim().replace('\n', "; "),
        })?;
        Ok(Self { name: name.to_owned(), text: text.to_owned(), table })
    }

    /// Whether it has a top-level key of that name.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Leaves out top-level keys that are meant for someone else.
    pub fn without(mut self, keys: &[&str]) -> Self {
        self.table.retain(|key, _| !keys.contains(&key));
        self
    }

    /// Makes all settings that are paths absolute by the one rule of [`super::paths`]: relative ones start at `folder`, because a
    /// file names its neighbours.
    pub fn anchored(mut self, folder: &Path) -> Self {
        let anchor = |value: &mut Value| {
            if let Value::String(text) = value {
                *text = absolute_text(text, folder);
            }
        };
        let texts = |owner: &mut Table| {
            let Some(corpus) = owner.get_mut("corpus").and_then(Value::as_table_mut) else { return };
            for key in ["paths", "validation"] {
                corpus.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().for_each(anchor);
            }
            let is_file = |value: &&mut Value| value.as_str().is_some_and(|text| text.ends_with(".json"));
            corpus.get_mut("tokenizer").filter(is_file).into_iter().for_each(anchor);
        };
        texts(&mut self.table);
        let stages = self.table.get_mut("stages").and_then(Value::as_table_mut);
        for (_, stage) in stages.into_iter().flatten() {
            stage.get_mut("tasks").and_then(Value::as_array_mut).into_iter().flatten().for_each(anchor);
            stage.as_table_mut().into_iter().for_each(texts);
        }
        let lab = self.table.get_mut("lab").and_then(Value::as_table_mut);
        lab.and_then(|lab| lab.get_mut("home")).into_iter().for_each(anchor);
        let probes = self.table.get_mut("probes").and_then(Value::as_table_mut);
        let tasks = probes.and_then(|probes| probes.get_mut("zero_shot")).and_then(Value::as_array_mut);
        tasks.into_iter().flatten().for_each(anchor);
        self
    }

    /// Byte offset of the key at `path`, if this layer has it.
    fn offset_of(&self, path: &[String]) -> Option<usize> {
        let root = DeTable::parse(&self.text).ok()?;
        let mut table = root.get_ref();
        for (depth, segment) in path.iter().enumerate() {
            let (key, value) = table.iter().find(|(key, _)| key.get_ref() == segment)?;
            match value.get_ref().as_table() {
                Some(inner) if depth + 1 < path.len() => table = inner,
                _ => return Some(key.span().start),
            }
        }
        None
    }
}

fn place(name: &str, text: &str, offset: Option<usize>) -> String {
    if name.starts_with("--") {
        return name.to_owned();
    }
    let before = offset.and_then(|offset| text.get(..offset));
    before.map_or_else(|| name.to_owned(), |before| format!("{name}:{}", before.matches('\n').count() + 1))
}

fn lay_over(base: &mut Table, over: &Table) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(above)) if !ONE_OF.contains(&key.as_str()) => {
                lay_over(below, above)
            }
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Reads the layers, later ones over earlier ones, as one value.
pub(super) fn read<T: DeserializeOwned>(layers: &[Layer]) -> Result<T, ConfigError> {
    let mut merged = Table::new();
    for layer in layers {
        if let Some(path) = not_finite(&layer.table) {
            let place = place(&layer.name, &layer.text, layer.offset_of(&path));
            let message = format!("key `{}`: it must be a finite number, not inf or nan", path.join("."));
            return Err(ConfigError { place, message });
        }
        lay_over(&mut merged, &layer.table);
    }
    serde_path_to_error::deserialize(merged).map_err(|error| {
        let path: Vec<String> = error
            .path()
            .iter()
            .filter_map(|segment| match segment {
                serde_path_to_error::Segment::Map { key } => Some(key.clone()),
                serde_path_to_error::Segment::Enum { variant } => Some(variant.clone()),
                serde_path_to_error::Segment::Seq { .. } | serde_path_to_error::Segment::Unknown => None,
            })
            .collect();
        explain(layers, &path, error.inner().message())
    })
}

/// The key of a number that is none, if there is one.
fn not_finite(table: &Table) -> Option<Vec<String>> {
    fn within(value: &Value) -> Option<Vec<String>> {
        match value {
            Value::Float(number) if !number.is_finite() => Some(Vec::new()),
            Value::Array(values) => values.iter().find_map(within),
            Value::Table(table) => not_finite(table),
            Value::Float(_) | Value::String(_) | Value::Integer(_) | Value::Boolean(_) | Value::Datetime(_) => None,
        }
    }
    table.iter().find_map(|(key, value)| Some([vec![key.clone()], within(value)?].concat()))
}

fn explain(layers: &[Layer], path: &[String], message: &str) -> ConfigError {
    let message = message.trim();
    let named = message.split('`').collect::<Vec<_>>();
    let unknown = message.starts_with("unknown field").then(|| named.get(1).copied()).flatten();
    let mut path = path.to_vec();
    if let Some(field) = unknown
        && path.last().map(String::as_str) != Some(field)
    {
        path.push(field.to_owned());
    }
    let key = path.join(".");
    let found = layers.iter().rev().find_map(|layer| layer.offset_of(&path).map(|offset| (layer, offset)));
    let place = found.map_or_else(
        || layers.last().map_or_else(String::new, |layer| layer.name.clone()),
        |(layer, offset)| place(&layer.name, &layer.text, Some(offset)),
    );
    let nearest = |field: &str| {
        let known = named.iter().skip(3).step_by(2).copied();
        known.max_by(|a, b| strsim::jaro_winkler(a, field).total_cmp(&strsim::jaro_winkler(b, field)))
    };
    let message = match unknown {
        Some(field) => {
            let hint = nearest(field).map_or_else(String::new, |known| format!("; the nearest known key is `{known}`"));
            format!("unknown key `{key}`{hint}")
        }
        None => {
            let wrong = message.starts_with("unknown variant").then(|| named.get(1).copied()).flatten();
            let hint = wrong.and_then(nearest).map_or_else(String::new, |known| format!("; the nearest is `{known}`"));
            format!("key `{key}`: {}{hint}", in_words(message))
        }
    };
    ConfigError { place, message }
}

/// What the reader of TOML says, without the names of Rust's types.
fn in_words(message: &str) -> String {
    if message.starts_with("wanted exactly 1 element") {
        return "it takes one key, and here are several".to_owned();
    }
    let message = message.replace("invalid type: map", "invalid type: table");
    let Some((said, expected)) = message.rsplit_once(", expected ") else { return message };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list in brackets",
        other => other,
    };
    format!("{said}, expected {expected}")
}
