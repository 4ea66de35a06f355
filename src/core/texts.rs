//! Which texts are read, and how text becomes tokens, as a person asks for it.
//! Must not know: files, tokenizers.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How text becomes tokens: `bytes`, `chars`, `bpe:4096` or the path of a `tokenizer.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TokenizerSpec {
    /// One token per UTF-8 byte.
    Bytes,
    /// One token per character of the training text; others become an unknown mark.
    Chars,
    /// Byte-level BPE trained on the training text, with that many entries.
    Bpe(usize),
    /// An existing Hugging Face tokenizer.
    File(PathBuf),
}

impl FromStr for TokenizerSpec {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            _ if text == "bytes" => Ok(Self::Bytes),
            _ if text == "chars" => Ok(Self::Chars),
            Some(("bpe", size)) => match size.parse::<usize>() {
                Ok(size) if (257..=1_000_000).contains(&size) => Ok(Self::Bpe(size)),
                _ => Err(format!("`{text}`: a byte-level BPE needs between 257 and 1000000 entries, as in `bpe:1024`")),
            },
            _ if text.ends_with(".json") => Ok(Self::File(PathBuf::from(text))),
            _ => Err(format!("unknown tokenizer `{text}`; use `bytes`, `chars`, `bpe:SIZE` or a path ending in .json")),
        }
    }
}

impl TryFrom<String> for TokenizerSpec {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<TokenizerSpec> for String {
    fn from(spec: TokenizerSpec) -> Self {
        spec.to_string()
    }
}

impl fmt::Display for TokenizerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes => f.write_str("bytes"),
            Self::Chars => f.write_str("chars"),
            Self::Bpe(size) => write!(f, "bpe:{size}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Texts, split and tokenizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusSettings {
    /// Files or folders (`.txt`, `.jsonl`), or `shipped:NAME`.
    pub paths: Vec<String>,
    /// The field of a `.jsonl` line that holds the text.
    pub field: String,
    /// Explicit validation files or folders; empty means: split the texts.
    pub validation: Vec<String>,
    /// Share held out when there are no validation files.
    pub validation_fraction: f64,
    /// Tokenizer.
    pub tokenizer: TokenizerSpec,
}
