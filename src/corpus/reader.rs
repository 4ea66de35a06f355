//! A prepared corpus: manifest, tokenizer and the two token streams, ready for random access.
//! Promises: what opens is whole. Must not know: how it was made.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::CORPUS_FORMAT;
use super::coverage::Coverage;
use super::error::CorpusError;
use super::shard::TokenStream;
use super::split::Part;
use super::survey::TextSize;
use super::tokenizer::Tokenizer;
use super::vocabulary::Vocabulary;
use crate::core::texts::CorpusSettings;

/// Its file in the corpus folder; written last.
pub(super) const MANIFEST: &str = "manifest.json";

/// What a corpus folder holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`CORPUS_FORMAT`].
    pub format: u32,
    /// Content address; also the folder's name.
    pub fingerprint: String,
    /// What people call it.
    pub name: String,
    /// Token ids, specials and sentinels included.
    pub vocab_size: usize,
    /// Training text.
    pub train: TextSize,
    /// Validation text.
    pub validation: TextSize,
    /// Training tokens, end marks included.
    pub train_tokens: u64,
    /// Validation tokens, end marks included.
    pub validation_tokens: u64,
    /// The settings it was first prepared with.
    pub settings: CorpusSettings,
    /// What of the text its tokens tell; of both parts.
    #[serde(default)]
    pub coverage: Coverage,
}

impl Manifest {
    /// The manifest of a corpus folder; `None` if the folder or the manifest does not exist.
    pub(super) fn find(folder: &Path) -> Result<Option<Self>, CorpusError> {
        let path = folder.join(MANIFEST);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CorpusError::io("read", &path)(error)),
        };
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|e| CorpusError::damaged(&path, format!("not a manifest: {e}")))?;
        if manifest.format == CORPUS_FORMAT {
            return Ok(Some(manifest));
        }
        let reason = format!("it has format {}, this program reads format {CORPUS_FORMAT}", manifest.format);
        Err(CorpusError::damaged(&path, reason))
    }
}

/// The file of one part.
pub(super) fn shard_path(folder: &Path, part: Part) -> PathBuf {
    folder.join(format!("{}.tokens", part.name()))
}

/// The file of what the validation tokens cover.
pub(super) fn byte_counts_path(folder: &Path) -> PathBuf {
    folder.join("validation.bytes")
}

/// A prepared corpus.
#[derive(Debug)]
pub struct Corpus {
    manifest: Manifest,
    tokenizer: Tokenizer,
    train: TokenStream,
    validation: TokenStream,
    byte_counts: Option<TokenStream>,
}

impl Corpus {
    /// Opens the corpus in `folder`.
    ///
    /// # Errors
    /// A file is missing, cut off or of another format; the cure is to prepare the corpus again.
    pub fn open(folder: &Path) -> Result<Self, CorpusError> {
        let manifest =
            Manifest::find(folder)?.ok_or_else(|| CorpusError::damaged(&folder.join(MANIFEST), "it is missing"))?;
        let tokenizer = Tokenizer::load(folder)?;
        let train = TokenStream::open(&shard_path(folder, Part::Train))?;
        let validation = TokenStream::open(&shard_path(folder, Part::Validation))?;
        let counts = byte_counts_path(folder);
        let byte_counts = counts.exists().then(|| TokenStream::open(&counts)).transpose()?;
        if byte_counts.as_ref().is_some_and(|counts| counts.len() != validation.len()) {
            return Err(CorpusError::damaged(&counts, "it does not have a number for each validation token"));
        }
        for (stream, part, tokens) in
            [(&train, Part::Train, manifest.train_tokens), (&validation, Part::Validation, manifest.validation_tokens)]
        {
            if stream.len() != tokens {
                let reason = format!("it holds {} tokens, the manifest says {tokens}", stream.len());
                return Err(CorpusError::damaged(&shard_path(folder, part), reason));
            }
        }
        if tokenizer.vocabulary().size() as usize != manifest.vocab_size {
            return Err(CorpusError::damaged(&folder.join(MANIFEST), "its vocabulary is not that of tokenizer.json"));
        }
        Ok(Self { manifest, tokenizer, train, validation, byte_counts })
    }

    /// What the folder says of itself.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Text to ids and back.
    #[must_use]
    pub const fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Where the special ids lie.
    #[must_use]
    pub fn vocabulary(&self) -> Vocabulary {
        self.tokenizer.vocabulary()
    }

    /// Training tokens: documents one after the other, each closed by the end mark.
    #[must_use]
    pub const fn train(&self) -> &TokenStream {
        &self.train
    }

    /// Validation tokens, in the same form.
    #[must_use]
    pub const fn validation(&self) -> &TokenStream {
        &self.validation
    }

    /// UTF-8 bytes of the validation text that each validation token covers, in the same places; an end mark covers none, unless
    /// its document has no other token. Absent from what a version before 0.2 prepared.
    #[must_use]
    pub const fn byte_counts(&self) -> Option<&TokenStream> {
        self.byte_counts.as_ref()
    }
}
