//! The settings of a task file, those of the files it includes underneath; each knows where it was written.
//! Promises: every complaint names file and line; what nobody took is unknown. Must not know: what the keys mean.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::EvalError;
use super::document::ReadText;
use super::yaml::{self, Node, Yaml};

/// Keys of the field's harness that this program does not know with a value; with none they say nothing.
const NOTHING: [&str; 7] =
    ["custom_dataset", "doc_to_audio", "doc_to_image", "gen_prefix", "process_docs", "process_results", "use_prompt"];

/// How many files may include one another in a chain.
const CHAIN: usize = 16;

/// How many files a task file may include, those that they include in their turn counted as often as they are.
const INCLUDED: usize = 100;

/// A value, and the file it was written in.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) key: String,
    file: Arc<Path>,
    pub(super) node: Node,
}

impl Setting {
    pub(super) fn error(&self, reason: impl Into<String>) -> EvalError {
        EvalError::File { path: self.file.to_path_buf(), line: self.node.line, reason: reason.into() }
    }

    pub(super) fn wrong(&self, wanted: &str) -> EvalError {
        self.error(format!("`{}` must be {wanted}, it is {}", self.key, self.node.value.kind()))
    }

    pub(super) fn within(&self, node: &Node) -> Self {
        Self { key: self.key.clone(), file: Arc::clone(&self.file), node: node.clone() }
    }

    pub(super) fn text(&self) -> Result<String, EvalError> {
        match &self.node.value {
            Yaml::Text(text) => Ok(text.clone()),
            _ => Err(self.wrong("text")),
        }
    }

    pub(super) fn texts(&self) -> Result<Vec<String>, EvalError> {
        match &self.node.value {
            Yaml::List(items) => items.iter().map(|item| self.within(item).text()).collect(),
            _ => Ok(vec![self.text()?]),
        }
    }

    /// The elements of a list; a value that is none is its only element.
    pub(super) fn items(&self) -> Vec<Self> {
        match &self.node.value {
            Yaml::List(items) => items.iter().map(|item| self.within(item)).collect(),
            _ => vec![self.clone()],
        }
    }

    pub(super) fn pairs(&self) -> Result<Vec<Self>, EvalError> {
        let Yaml::Map(pairs) = &self.node.value else { return Err(self.wrong("a mapping")) };
        let pair =
            |(key, node): &(String, Node)| Self { key: key.clone(), file: Arc::clone(&self.file), node: node.clone() };
        Ok(pairs.iter().map(pair).collect())
    }

    pub(super) fn one_of<T: Copy>(&self, known: &[(&str, T)]) -> Result<T, EvalError> {
        let word = self.text()?;
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        known.iter().find(|(name, _)| *name == word).map(|(_, value)| *value).ok_or_else(|| {
            self.error(format!("`{}: {word}` is not supported; known are {}", self.key, names.join(", ")))
        })
    }
}

/// The settings of a file with those it includes underneath. Settings that say nothing are left out.
fn merged(path: &Path, read: ReadText<'_>, chain: usize, left: &mut usize) -> Result<Vec<Setting>, EvalError> {
    let text = read(path).map_err(|source| EvalError::Io { path: path.to_owned(), source })?;
    let failed = |line, reason| EvalError::File { path: path.to_owned(), line, reason };
    let root = yaml::parse(&text).map_err(|e| failed(e.line, e.reason))?;
    let whole = Setting { key: "file".to_owned(), file: path.into(), node: root };
    let (includes, own): (Vec<_>, Vec<_>) = whole.pairs()?.into_iter().partition(|setting| setting.key == "include");
    let mut all: Vec<Setting> = Vec::new();
    let mut lay = |settings: Vec<Setting>| {
        let above: HashSet<&str> = settings.iter().map(|setting| setting.key.as_str()).collect();
        all.retain(|known| !above.contains(known.key.as_str()));
        all.extend(settings);
    };
    for include in &includes {
        if chain == 0 {
            return Err(include.error(format!("more than {CHAIN} files include one another")));
        }
        for name in include.texts()? {
            let Some(fewer) = left.checked_sub(1) else {
                return Err(include.error(format!("more than {INCLUDED} files are included")));
            };
            *left = fewer;
            lay(merged(&sibling(path, &name), read, chain - 1, left)?);
        }
    }
    lay(own);
    Ok(all)
}

/// A path written in the file at `path`.
pub(super) fn sibling(path: &Path, name: &str) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(name)
}

/// Settings that are taken out one by one; what is left at the end is unknown.
pub(super) struct Settings {
    pub(super) path: PathBuf,
    left: Vec<Setting>,
}

impl Settings {
    /// Reads the file at `path` and what it includes.
    ///
    /// # Errors
    /// A file cannot be read or is no YAML mapping.
    pub(super) fn load(path: &Path, read: ReadText<'_>) -> Result<Self, EvalError> {
        Ok(Self { path: path.to_owned(), left: merged(path, read, CHAIN, &mut { INCLUDED })? })
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Setting> {
        let place = self.left.iter().position(|setting| setting.key == key)?;
        Some(self.left.remove(place)).filter(|setting| setting.node.value != Yaml::Null)
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, EvalError> {
        self.take(key).map(|setting| setting.text()).transpose()
    }

    pub(super) fn need(&mut self, key: &str) -> Result<Setting, EvalError> {
        self.take(key).ok_or_else(|| self.missing(key))
    }

    pub(super) fn missing(&self, key: &str) -> EvalError {
        EvalError::File { path: self.path.clone(), line: 1, reason: format!("`{key}` is missing") }
    }

    /// Whether there is a value for `key`.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.left.iter().any(|setting| setting.key == key && setting.node.value != Yaml::Null)
    }

    /// All is taken but `without_effect`.
    pub(super) fn end(mut self, without_effect: &[&str]) -> Result<(), EvalError> {
        let says_nothing = |setting: &Setting| {
            let key = setting.key.as_str();
            without_effect.contains(&key) || (setting.node.value == Yaml::Null && NOTHING.contains(&key))
        };
        self.left.retain(|setting| !says_nothing(setting));
        match self.left.first() {
            None => Ok(()),
            Some(unknown) => Err(unknown.error(format!("`{}` is not supported", unknown.key))),
        }
    }
}
