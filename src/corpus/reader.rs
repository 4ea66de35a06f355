//! A prepared corpus: manifest, tokenizer and the two token streams, ready for random access.
//! Promises: what opens has its manifest, its tokenizer and the length of every file; what opens checked is what was written.
//! Must not know: how it was made.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::check::{Share, check_file, unreadable};
use super::coverage::Coverage;
use super::error::CorpusError;
use super::shard::TokenStream;
use super::split::Part;
use super::survey::TextSize;
use super::tokenizer::{self, Tokenizer};
use super::vocabulary::Vocabulary;
use crate::core::file_seal::FileSeal;
use crate::core::sealed::{self, Seal, sealed};
use crate::core::texts::CorpusSettings;

/// Version of the manifest.
pub(super) const MANIFEST_FORMAT: u32 = 2;

/// The version before there were seals.
const UNSEALED: u32 = 1;

/// Its file in the corpus folder; written last.
pub(super) const MANIFEST: &str = "manifest.json";

/// What a corpus folder holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this file.
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
    /// What the other files of the folder held when they were written, by name; none of what an earlier version prepared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, FileSeal>,
}

impl Manifest {
    /// The manifest of a corpus folder; `None` if the folder or the manifest does not exist.
    pub(super) fn find(folder: &Path) -> Result<Option<Self>, CorpusError> {
        let path = folder.join(MANIFEST);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(&path, error)),
        };
        let broken = |error: serde_json::Error| CorpusError::damaged(&path, format!("not a manifest: {error}"));
        let (seal, value) = sealed::read(&text).map_err(broken)?;
        let format = value.get("format").and_then(serde_json::Value::as_u64);
        match (format.and_then(|format| u32::try_from(format).ok()), seal) {
            (_, Seal::Broken) => {
                let reason = "its content is not what was written: the checksum differs";
                return Err(CorpusError::damaged(&path, reason));
            }
            (Some(MANIFEST_FORMAT), Seal::Whole) | (Some(UNSEALED), Seal::Absent) => {}
            (format, _) => {
                let format = format.map_or_else(|| "none".to_owned(), |format| format.to_string());
                let reason = format!("it has format {format}, this program reads format {MANIFEST_FORMAT}");
                return Err(CorpusError::damaged(&path, reason));
            }
        }
        let manifest: Self = serde_json::from_value(value).map_err(broken)?;
        let shards = [Part::Train, Part::Validation].map(shard_name);
        let names = [tokenizer::FILE, BYTE_COUNTS].into_iter().chain(shards.iter().map(String::as_str));
        if manifest.files.is_empty() != (seal == Seal::Absent) {
            return Err(CorpusError::damaged(&path, "its files do not fit its format"));
        }
        match names.into_iter().find(|name| manifest.is_sealed() && !manifest.files.contains_key(*name)) {
            Some(name) => Err(CorpusError::damaged(&path, format!("it does not say what {name} holds"))),
            None => Ok(Some(manifest)),
        }
    }

    /// Writes it into `folder`, as the last of its files.
    pub(super) fn write(&self, folder: &Path) -> Result<(), CorpusError> {
        let path = folder.join(MANIFEST);
        let bytes = sealed(self).map_err(|e| CorpusError::damaged(&path, e.to_string()))?;
        fs::write(&path, bytes).map_err(CorpusError::io("write", &path))?;
        File::open(&path).and_then(|file| file.sync_all()).map_err(CorpusError::io("write", &path))
    }

    /// Whether it says what its files hold; one of an earlier version does not.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        !self.files.is_empty()
    }
}

/// The file of one part.
pub(super) fn shard_path(folder: &Path, part: Part) -> PathBuf {
    folder.join(shard_name(part))
}

fn shard_name(part: Part) -> String {
    format!("{}.tokens", part.name())
}

const BYTE_COUNTS: &str = "validation.bytes";

/// The file of what the validation tokens cover.
pub(super) fn byte_counts_path(folder: &Path) -> PathBuf {
    folder.join(BYTE_COUNTS)
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
    /// Opens the corpus in `folder` to train on it, after reading what is to be read: of each file all, or of one beyond 1 GiB
    /// as much, in blocks spread over it. Starts of another `turn` read other blocks, so that a few starts have read all.
    ///
    /// # Errors
    /// As for [`Corpus::open`], or a file is not what was written.
    pub fn open_checked(folder: &Path, turn: u64) -> Result<Self, CorpusError> {
        let corpus = Self::open(folder)?;
        for (name, seal) in &corpus.manifest.files {
            check_file(&folder.join(name), seal, Share::at_start(seal, turn), &mut |_| {})?;
        }
        Ok(corpus)
    }

    /// Opens the corpus in `folder`: its manifest and tokenizer are what was written, its token shards have the length that they
    /// had. What the shards hold is not read yet.
    ///
    /// # Errors
    /// A file is missing, cut off or of another format; the cure is to prepare the corpus again.
    pub fn open(folder: &Path) -> Result<Self, CorpusError> {
        let manifest =
            Manifest::find(folder)?.ok_or_else(|| CorpusError::damaged(&folder.join(MANIFEST), "it is missing"))?;
        for (name, seal) in &manifest.files {
            let share = if name == tokenizer::FILE { Share::ALL } else { Share::NONE };
            check_file(&folder.join(name), seal, share, &mut |_| {})?;
        }
        let tokenizer = Tokenizer::load(folder)?;
        let size = Some(tokenizer.vocabulary().size());
        let train = TokenStream::open(&shard_path(folder, Part::Train), size)?;
        let validation = TokenStream::open(&shard_path(folder, Part::Validation), size)?;
        let counts = byte_counts_path(folder);
        let byte_counts = counts.exists().then(|| TokenStream::open(&counts, None)).transpose()?;
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
