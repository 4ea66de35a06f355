//! One token per character: the characters of the training text by code point, then one id for every other character.
//! Promises: ids depend on the set of characters only. Must not know: files.

use std::collections::BTreeMap;

use super::coverage::{Coverage, EncodedText};
use super::error::CorpusError;

/// Code points, surrogates included.
const CODE_POINTS: usize = 0x11_0000;

/// Which characters a text holds.
pub(super) struct CharacterSet(Vec<bool>);

impl CharacterSet {
    pub(super) fn new() -> Self {
        Self(vec![false; CODE_POINTS])
    }

    pub(super) fn add(&mut self, text: &str) {
        for c in text.chars() {
            if let Some(seen) = self.0.get_mut(c as usize) {
                *seen = true;
            }
        }
    }

    pub(super) fn into_characters(self) -> Characters {
        let seen = (0u32..).zip(self.0).filter_map(|(point, seen)| seen.then_some(point));
        Characters { sorted: seen.filter_map(char::from_u32).collect() }
    }
}

/// How often a text holds which characters.
#[derive(Default)]
pub(super) struct CharacterCounts(BTreeMap<char, u64>);

impl CharacterCounts {
    pub(super) fn add(&mut self, text: &str) {
        for c in text.chars() {
            *self.0.entry(c).or_default() += 1;
        }
    }

    /// What of the text a table does not know.
    pub(super) fn missing_from(&self, table: &Characters) -> Coverage {
        let mut coverage = Coverage::default();
        for (c, count) in &self.0 {
            let bytes = count * c.len_utf8() as u64;
            coverage.bytes += bytes;
            if table.sorted.binary_search(c).is_err() {
                coverage.unknown += bytes;
                coverage.keep_examples(c.encode_utf8(&mut [0; 4]));
            }
        }
        coverage
    }
}

/// The table of a character tokenizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Characters {
    sorted: Vec<char>,
}

impl Characters {
    /// The table that [`Characters::listed`] came from.
    pub(super) fn from_listed(listed: &str) -> Result<Self, CorpusError> {
        let sorted: Vec<char> = listed.chars().collect();
        if sorted.is_sorted_by(|a, b| a < b) {
            Ok(Self { sorted })
        } else {
            Err(CorpusError::tokenizer("chars", "its characters are not in order"))
        }
    }

    /// All characters in the order of their ids.
    pub(super) fn listed(&self) -> String {
        self.sorted.iter().collect()
    }

    /// Text ids: the characters and the mark of unknown ones.
    pub(super) fn text_size(&self) -> u32 {
        self.unknown() + 1
    }

    /// The id of every character the training text does not hold.
    pub(super) fn unknown(&self) -> u32 {
        u32::try_from(self.sorted.len()).unwrap_or(u32::MAX - 1)
    }

    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let id = |c| self.sorted.binary_search(&c).ok().and_then(|at| u32::try_from(at).ok());
        text.chars().map(|c| id(c).unwrap_or_else(|| self.unknown())).collect()
    }

    pub(super) fn decode(&self, ids: &[u32]) -> String {
        ids.iter().map(|id| self.character(*id).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    }

    /// The tokens of `text` with the bytes of the character that each stands for.
    pub(super) fn measure(&self, text: &str) -> EncodedText {
        let ids = self.encode(text);
        let mut encoded = EncodedText::exact(ids, text.chars().map(|c| c.len_utf8() as u32).collect());
        for (_, c) in encoded.ids.iter().zip(text.chars()).filter(|(id, _)| **id == self.unknown()) {
            encoded.coverage.unknown += c.len_utf8() as u64;
            encoded.coverage.keep_examples(c.encode_utf8(&mut [0; 4]));
        }
        encoded
    }

    fn character(&self, id: u32) -> Option<char> {
        self.sorted.get(id as usize).copied()
    }
}
