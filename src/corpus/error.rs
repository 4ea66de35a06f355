//! What can go wrong between a text and its tokens. Each message completes "could not …" and names the cure.
//! Must not know: who asks.

use std::io;
use std::path::{Path, PathBuf};

use crate::core::encoding::NotText;

/// Why a corpus cannot be surveyed, prepared or read.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A path of the settings leads nowhere.
    #[error("find the text `{}`: no such file or folder; correct `corpus.paths` or `corpus.validation`", .0.display())]
    Missing(PathBuf),
    /// A shipped name that does not exist.
    #[error("find the shipped text `{name}`; known are: {known}")]
    UnknownShipped {
        /// The name asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// A text or a question that the shipped world does not have.
    #[error("tell the world's `{name}`: {message}")]
    World {
        /// What was asked for.
        name: String,
        /// Why not, and the cure.
        message: String,
    },
    /// A file of another kind.
    #[error("read `{}`: a text must end in .txt or .jsonl; rename or convert it", .0.display())]
    UnknownKind(PathBuf),
    /// A pattern that nothing fits.
    #[error("find the text `{0}`: no file fits the pattern; correct `corpus.paths` or `corpus.validation`")]
    NothingFits(String),
    /// A pipe, a device or a socket.
    #[error("read `{}`: it is not a regular file, and texts are read more than once; save its text in a file", .0.display())]
    NoFile(PathBuf),
    /// A folder without texts.
    #[error("find texts in the folder `{}`: it holds no .txt or .jsonl file{}", .path.display(), only(.others))]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
        /// What it holds instead; empty if nothing.
        others: String,
    },
    /// No text at all, or none for one part of the split.
    #[error("find any text for {part} in {paths}; add text or change the split")]
    Empty {
        /// `training`, `validation` or both.
        part: &'static str,
        /// The paths that were read.
        paths: String,
    },
    /// Bytes that are not UTF-8.
    #[error("read `{}`{}: {reason}", .path.display(), line_note(*.line))]
    NotText {
        /// The file.
        path: PathBuf,
        /// Its line, for .jsonl files.
        line: Option<u64>,
        /// What they are, and the cure.
        reason: NotText,
    },
    /// A line that is not a JSON object.
    #[error("read `{}` line {line}: {message}; each line must be one JSON object", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// What the parser says.
        message: String,
    },
    /// A line without the text field.
    #[error("read `{}` line {line}: no text in field `{field}`; {found}; set `corpus.field`", .path.display())]
    MissingField {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// The field asked for.
        field: String,
        /// What the line holds instead.
        found: String,
    },
    /// A text listed for training and for validation.
    #[error("split the texts: `{}` is listed for training and for validation; remove it from one of them", .0.display())]
    InBothParts(PathBuf),
    /// A share that holds out nothing or everything.
    #[error(
        "split the texts: `corpus.validation_fraction` is {0}; give a share above 0 and below 1, or list `corpus.validation` files"
    )]
    Fraction(f64),
    /// A tokenizer that cannot be read, trained or used.
    #[error("use the tokenizer {name}: {message}")]
    Tokenizer {
        /// Its file or its name in the settings.
        name: String,
        /// Why, and the cure.
        message: String,
    },
    /// A text that changed between two readings.
    #[error("prepare the corpus: a text changed while it was read; run `trilab corpus prepare` again")]
    Changed,
    /// A corpus folder that is not whole.
    #[error("read the corpus file `{}`: {reason}; run `trilab corpus prepare` again", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A window outside the stream.
    #[error("read tokens {start} to {end} of `{}`: it holds {len}", .path.display())]
    Window {
        /// The shard.
        path: PathBuf,
        /// First token asked for.
        start: u64,
        /// One past the last.
        end: u64,
        /// Tokens that exist.
        len: u64,
    },
    /// The operating system refused.
    #[error("{action} `{}`: {source}{}", .path.display(), io_cure(.source))]
    Io {
        /// `read`, `write`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl CorpusError {
    /// Wraps an I/O error with what was tried on which path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_path_buf(), source }
    }

    pub(super) fn not_text(path: &Path, line: Option<u64>, reason: NotText) -> Self {
        Self::NotText { path: path.to_path_buf(), line, reason }
    }

    pub(super) fn tokenizer(name: impl Into<String>, message: impl ToString) -> Self {
        Self::Tokenizer { name: name.into(), message: message.to_string() }
    }

    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_path_buf(), reason: reason.into() }
    }
}

fn only(others: &str) -> String {
    if others.is_empty() { String::new() } else { format!(", only {others}") }
}

fn line_note(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(" line {line}"))
}

fn io_cure(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space on that disk and try again",
        io::ErrorKind::PermissionDenied => "; check who may read and write there",
        _ => "",
    }
}
