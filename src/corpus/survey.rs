//! What a corpus is before it is prepared: fingerprint, name, vocabulary and sizes. The planner asks this to name runs.
//! Promises: the fingerprint covers contents, split, tokenizer and format, and neither paths nor times.
//! Must not know: shards.

use blake3::Hasher;
use serde::{Deserialize, Serialize};

use super::characters::{CharacterCounts, CharacterSet};
use super::error::CorpusError;
use super::piece::Piece;
use super::sample::Sample;
use super::source::title;
use super::split::{Part, Texts};
use super::tokenizer::Tokenizer;
use super::training::{sampled, train_bpe};
use super::vocabulary::Vocabulary;
use crate::config::files;
use crate::core::encoding::without_mark;
use crate::core::texts::{CorpusSettings, TokenizerSpec};

/// Hexadecimal digits of a fingerprint.
const FINGERPRINT_LENGTH: usize = 24;

/// Bytes that a person's tokenizer may have; the largest that are in use have about 35 MB.
const LARGEST_TOKENIZER: u64 = 128 << 20;

/// Size of one part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSize {
    /// Documents.
    pub documents: u64,
    /// UTF-8 bytes of text.
    pub bytes: u64,
}

/// A corpus in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// Content address of texts, split and tokenizer.
    pub fingerprint: String,
    /// What people call it: `tinyshakespeare/bytes`.
    pub name: String,
    /// Token ids, specials and sentinels included.
    pub vocab_size: usize,
    /// What the vocabulary is known by: equal where the same ids mean the same. That of a tokenizer that is still to be
    /// trained is like no other.
    pub vocabulary: String,
    /// Training text.
    pub train: TextSize,
    /// Validation text.
    pub validation: TextSize,
    /// Tokens of both, if they are known before the text is prepared.
    pub tokens: Option<PartTokens>,
    /// What a person should know of the texts and the tokenizer's settings, a sentence each.
    pub notices: Vec<String>,
    /// A sentence about what the tokenizer does not cover, if that is known before the text is prepared.
    pub uncovered: Option<String>,
}

/// Tokens of the two parts, end marks included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartTokens {
    /// Of the training text.
    pub train: u64,
    /// Of the validation text.
    pub validation: u64,
}

impl PartTokens {
    pub(super) const fn of(&mut self, part: Part) -> &mut u64 {
        match part {
            Part::Train => &mut self.train,
            Part::Validation => &mut self.validation,
        }
    }

    const fn and(self, other: Self) -> Self {
        Self { train: self.train + other.train, validation: self.validation + other.validation }
    }
}

/// What a survey learns on the way and the preparation needs.
pub(super) struct Studied {
    pub(super) survey: Survey,
    pub(super) texts: Texts,
    pub(super) tokenizer: Learned,
}

/// A tokenizer that is known, or the size of one that is still to be trained.
pub(super) enum Learned {
    Known(Tokenizer),
    Untrained(u32),
}

impl Learned {
    /// What was switched off of the settings of a person's file, or of how much of `trained_on` bytes a tokenizer is trained, a
    /// sentence each.
    pub(super) fn changes(&self, spec: &TokenizerSpec, trained_on: u64) -> Vec<String> {
        match self {
            Self::Known(tokenizer) => {
                let said = |change| format!("of the settings of the tokenizer {spec}, {change}");
                tokenizer.changed().iter().map(said).collect()
            }
            Self::Untrained(_) => sampled(spec, trained_on).into_iter().collect(),
        }
    }
}

/// A tokenizer as far as it is known before the texts are read.
enum Asked {
    Bytes,
    Chars(CharacterSet),
    Bpe(u32),
    File(Tokenizer),
}

/// Reads the texts and says what the corpus is.
///
/// # Errors
/// A text is missing, broken or empty, or the tokenizer's file cannot be read; file, line and cure are named.
pub fn survey(settings: &CorpusSettings) -> Result<Survey, CorpusError> {
    Ok(study(settings, &mut |_, _| {})?.survey)
}

/// A tokenizer that gives as many tokens as the one that is asked for, whatever the texts are; none if that is still to be trained
/// on them.
///
/// # Errors
/// The tokenizer's file cannot be read.
pub fn as_long(spec: &TokenizerSpec) -> Result<Option<Tokenizer>, CorpusError> {
    Ok(match asked(spec)?.2 {
        Asked::Bytes => Some(Tokenizer::Bytes),
        // A token for each character, known or not.
        Asked::Chars(none) => Some(Tokenizer::Chars(none.into_characters())),
        Asked::File(tokenizer) => Some(tokenizer),
        Asked::Bpe(_) => None,
    })
}

pub(super) fn study(settings: &CorpusSettings, progress: &mut dyn FnMut(u64, u64)) -> Result<Studied, CorpusError> {
    let (label, seed_bytes, mut asked) = asked(&settings.tokenizer)?;
    let texts = Texts::scan(settings, progress)?;
    let mut seen = Seen::of(texts.bytes);
    texts.visit(&mut |part, piece| seen.piece(&mut asked, part, piece))?;
    let (train, validation) = (seen.train, seen.validation);
    let (tokenizer, tokens, uncovered) = seen.learned(asked, &texts, &label)?;
    let mut notices = texts.remarks.lines();
    notices.extend(tokenizer.changes(&settings.tokenizer, train.bytes));
    let vocabulary = match &tokenizer {
        Learned::Known(tokenizer) => tokenizer.vocabulary(),
        Learned::Untrained(text_size) => Vocabulary::new(*text_size),
    };
    let mut hasher = Hasher::new_derive_key("trilab 2026 corpus fingerprint");
    hasher.update(texts.content.as_bytes()).update(&seed_bytes);
    let fingerprint: String = hasher.finalize().to_hex().chars().take(FINGERPRINT_LENGTH).collect();
    let survey = Survey {
        vocabulary: match &tokenizer {
            Learned::Known(tokenizer) => tokenizer.identity()?,
            Learned::Untrained(_) => format!("of {fingerprint}"),
        },
        fingerprint,
        name: format!("{}/{label}", title(&settings.paths)),
        vocab_size: vocabulary.size() as usize,
        train,
        validation,
        tokens,
        notices,
        uncovered,
    };
    Ok(Studied { survey, texts, tokenizer })
}

/// What the second reading of the texts counts.
struct Seen {
    train: TextSize,
    validation: TextSize,
    characters: PartTokens,
    /// The characters of the validation text, for a table of those of the training text.
    held_out: CharacterCounts,
    sample: Sample,
}

impl Seen {
    /// Of a text of `bytes`.
    fn of(bytes: u64) -> Self {
        Self {
            train: TextSize::default(),
            validation: TextSize::default(),
            characters: PartTokens::default(),
            held_out: CharacterCounts::default(),
            sample: Sample::of(bytes),
        }
    }

    fn piece(&mut self, asked: &mut Asked, part: Part, piece: Piece<'_>) -> Result<(), CorpusError> {
        let size = match part {
            Part::Train => &mut self.train,
            Part::Validation => &mut self.validation,
        };
        size.documents += u64::from(piece.ends);
        size.bytes += piece.text.len() as u64;
        match asked {
            Asked::Bytes => Ok(()),
            Asked::Chars(set) => {
                *self.characters.of(part) += piece.text.chars().count() as u64;
                match part {
                    Part::Train => set.add(piece.text),
                    Part::Validation => self.held_out.add(piece.text),
                }
                Ok(())
            }
            Asked::File(_) | Asked::Bpe(_) => self.sample.piece(part, piece),
        }
    }

    /// The tokenizer, the tokens of both parts as far as they are known, and a sentence about what the tokenizer does not cover.
    fn learned(
        self,
        asked: Asked,
        texts: &Texts,
        label: &str,
    ) -> Result<(Learned, Option<PartTokens>, Option<String>), CorpusError> {
        let (train, validation) = (self.train, self.validation);
        let ends = PartTokens { train: train.documents, validation: validation.documents };
        let bytes = PartTokens { train: train.bytes, validation: validation.bytes };
        Ok(match asked {
            Asked::Bytes => (Learned::Known(Tokenizer::Bytes), Some(bytes.and(ends)), None),
            Asked::Chars(set) => {
                let table = set.into_characters();
                let covered = self.held_out.missing_from(&table).sentence("the validation text");
                (Learned::Known(Tokenizer::Chars(table)), Some(self.characters.and(ends)), covered)
            }
            Asked::Bpe(text_size) if self.sample.is_whole() => {
                let trained = train_bpe(texts, text_size, train.bytes, &mut |_, _| {})?;
                let (tokens, _) = self.sample.tried(&trained, label)?;
                (Learned::Known(trained), tokens, None)
            }
            Asked::Bpe(text_size) => (Learned::Untrained(text_size), None, None),
            Asked::File(tokenizer) => {
                let (tokens, coverage) = self.sample.tried(&tokenizer, label)?;
                let whole = self.sample.is_whole();
                let covered = coverage.sentence(if whole { "the text" } else { "a sample of the text" });
                (Learned::Known(tokenizer), tokens, covered)
            }
        })
    }
}

/// Its name for people, the bytes that identify it, and what is known of it.
fn asked(spec: &TokenizerSpec) -> Result<(String, Vec<u8>, Asked), CorpusError> {
    let label = spec.to_string();
    match spec {
        TokenizerSpec::Bytes => Ok((label.clone(), label.into_bytes(), Asked::Bytes)),
        TokenizerSpec::Chars => Ok((label.clone(), label.into_bytes(), Asked::Chars(CharacterSet::new()))),
        TokenizerSpec::Bpe(size) => {
            let text_size =
                u32::try_from(*size).map_err(|_| CorpusError::tokenizer(label.as_str(), "too many entries"))?;
            Ok((label.clone(), label.into_bytes(), Asked::Bpe(text_size)))
        }
        TokenizerSpec::File(path) => {
            let bytes = files::read(path, LARGEST_TOKENIZER).map_err(CorpusError::io("read", path))?;
            let json = without_mark(&bytes);
            let tokenizer = Tokenizer::of_file(json, path)?;
            let stem = path.file_stem().map_or(label, |stem| stem.to_string_lossy().into_owned());
            let mut identity = b"file".to_vec();
            identity.extend_from_slice(blake3::hash(json).as_bytes());
            // Earlier versions left these settings on: what they prepared under this name has other tokens.
            tokenizer.changed().iter().for_each(|change| identity.extend_from_slice(change.as_bytes()));
            Ok((stem, identity, Asked::File(tokenizer)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn settings(paths: &[String], tokenizer: TokenizerSpec) -> CorpusSettings {
        CorpusSettings {
            paths: paths.to_vec(),
            field: "text".to_owned(),
            validation: Vec::new(),
            validation_fraction: 0.1,
            tokenizer,
        }
    }

    #[test]
    fn the_fingerprint_follows_content_and_settings_but_not_paths() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let [a, b, c] = [write("a.txt", "some text"), write("b.txt", "some text"), write("c.txt", "some texts")];
        let of = |path: &String, spec| survey(&settings(std::slice::from_ref(path), spec)).unwrap();
        let first = of(&a, TokenizerSpec::Bytes);
        assert_eq!(first.fingerprint, of(&b, TokenizerSpec::Bytes).fingerprint);
        assert_ne!(first.fingerprint, of(&c, TokenizerSpec::Bytes).fingerprint);
        assert_ne!(first.fingerprint, of(&a, TokenizerSpec::Chars).fingerprint);
        assert_ne!(of(&a, TokenizerSpec::Bpe(300)).fingerprint, of(&a, TokenizerSpec::Bpe(301)).fingerprint);
        let other_share = CorpusSettings { validation_fraction: 0.2, ..settings(&[a], TokenizerSpec::Bytes) };
        assert_ne!(first.fingerprint, survey(&other_share).unwrap().fingerprint);
        assert!(first.fingerprint.len() >= 16);
    }

    #[test]
    fn sizes_and_names() {
        let shipped = ["shipped:harbour".to_owned()];
        let found = survey(&settings(&shipped, TokenizerSpec::Bytes)).unwrap();
        assert_eq!((found.name.as_str(), found.vocab_size), ("harbour/bytes", 387));
        let total = found.train.bytes + found.validation.bytes;
        assert!((45_000..=70_000).contains(&total), "{total} bytes");
        assert!(found.validation.bytes.abs_diff(total / 10) <= 4);
        let bpe = survey(&settings(&shipped, TokenizerSpec::Bpe(300))).unwrap();
        assert_eq!((bpe.name.as_str(), bpe.vocab_size), ("harbour/bpe:300", 431));
        let nothing = survey(&settings(&[], TokenizerSpec::Bytes)).unwrap_err().to_string();
        assert!(nothing.contains("corpus.paths"), "{nothing}");
    }

    #[test]
    fn a_vocabulary_is_known_by_what_its_ids_mean() {
        let shipped = |name: &str, spec| survey(&settings(&[format!("shipped:{name}")], spec)).unwrap();
        let bytes = shipped("harbour", TokenizerSpec::Bytes);
        assert_eq!(bytes.vocabulary, shipped("world?documents=50", TokenizerSpec::Bytes).vocabulary);
        assert_ne!(bytes.vocabulary, shipped("harbour", TokenizerSpec::Chars).vocabulary);
        let spec = TokenizerSpec::Bpe(300);
        let trained = shipped("harbour", spec.clone());
        assert_ne!(trained.vocabulary, shipped("world?documents=50", spec.clone()).vocabulary);
        // Once it is trained, other texts can be read with it.
        let folder = tempfile::tempdir().unwrap();
        let own = settings(&["shipped:harbour".to_owned()], spec);
        let manifest = crate::corpus::prepare(&own, folder.path(), &mut |_| {}).unwrap().manifest;
        let prepared = folder.path().join(manifest.fingerprint);
        let file = TokenizerSpec::File(prepared.join("tokenizer.json"));
        let other = shipped("world?documents=50", file);
        let known = crate::corpus::Corpus::open(&prepared).unwrap().tokenizer().identity().unwrap();
        assert_eq!((other.vocabulary, other.vocab_size), (known, manifest.vocab_size));
    }

    #[test]
    fn the_world_is_split_by_document_and_its_fingerprint_follows_its_text() {
        let of = |name: &str| survey(&settings(&[name.to_owned()], TokenizerSpec::Bytes)).unwrap();
        let first = of("shipped:world?documents=200");
        assert_eq!((first.train.documents, first.validation.documents), (180, 20));
        assert_eq!(first, of("shipped:world?seed=1&documents=200"));
        assert_ne!(first.fingerprint, of("shipped:world?documents=200&seed=2").fingerprint);
        assert_ne!(first.fingerprint, of("shipped:world?documents=200&level=1").fingerprint);
    }
}
