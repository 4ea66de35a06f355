//! Text to ids and back: bytes, characters or subwords, behind one closed enum.
//! Promises: special ids are written visibly and never produced from text; what is saved loads as the same tokenizer.
//! Must not know: shards, splits.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::CORPUS_FORMAT;
use super::characters::Characters;
use super::coverage::EncodedText;
use super::error::CorpusError;
use super::subword::Subwords;
use super::vocabulary::Vocabulary;

/// Its file in the corpus folder.
pub(super) const FILE: &str = "tokenizer.json";

/// Largest piece that is encoded at once, in bytes, where a text may be cut.
const PIECE: usize = 1 << 18;

/// How text becomes tokens.
#[derive(Clone, Debug)]
pub enum Tokenizer {
    /// One token per UTF-8 byte.
    Bytes,
    /// One token per character of the training text.
    Chars(Characters),
    /// Subwords of the tokenizers crate.
    Subwords(Box<Subwords>),
}

/// What `tokenizer.json` holds.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    #[serde(flatten)]
    kind: StoredKind,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum StoredKind {
    Bytes,
    Chars { characters: String },
    Trained { text_size: u32, hugging_face: serde_json::Value },
    File { hugging_face: serde_json::Value },
}

impl Tokenizer {
    /// The ids it gives and the specials above them.
    #[must_use]
    pub fn vocabulary(&self) -> Vocabulary {
        Vocabulary::new(match self {
            Self::Bytes => 256,
            Self::Chars(characters) => characters.text_size(),
            Self::Subwords(subwords) => subwords.text_size(),
        })
    }

    /// The tokens of `text`; no special ids.
    ///
    /// # Errors
    /// The tokenizer refuses the text; byte and character tokenizers never do.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, CorpusError> {
        Ok(self.encode_all(&[text])?.pop().unwrap_or_default())
    }

    /// The tokens of each of `texts`, in order.
    pub(super) fn encode_all(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, CorpusError> {
        match self {
            Self::Bytes => Ok(texts.iter().map(|text| text.bytes().map(u32::from).collect()).collect()),
            Self::Chars(characters) => Ok(texts.iter().map(|text| characters.encode(text)).collect()),
            Self::Subwords(subwords) => subwords.encode_all(texts),
        }
    }

    /// The text of `ids`; special ids are shown as `</s>`, `<s>`, `<pad>`, `<X0>`, and bytes that are not UTF-8 as the
    /// replacement character.
    #[must_use]
    pub fn decode(&self, ids: &[u32]) -> String {
        let vocabulary = self.vocabulary();
        ids.chunk_by(|a, b| vocabulary.is_text(*a) == vocabulary.is_text(*b))
            .map(|run| match run.first() {
                Some(id) if vocabulary.is_text(*id) => self.decode_text(run),
                _ => run.iter().map(|id| vocabulary.mark(*id)).collect(),
            })
            .collect()
    }

    fn decode_text(&self, ids: &[u32]) -> String {
        match self {
            Self::Bytes => {
                let bytes: Vec<u8> = ids.iter().filter_map(|id| u8::try_from(*id).ok()).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Self::Chars(characters) => characters.decode(ids),
            Self::Subwords(subwords) => subwords.decode(ids),
        }
    }

    /// Whether a text id is the last of a sentence: what it stands for ends in a full stop, a question or an exclamation mark, or
    /// a line end.
    #[must_use]
    pub fn ends_sentence(&self, id: u32) -> bool {
        self.vocabulary().is_text(id) && self.decode(&[id]).ends_with(['.', '?', '!', '\n'])
    }

    /// The tokens of each of `texts` with the bytes of the text that each covers: its offsets in the text, whatever its written
    /// entry looks like. White space and what else has no token counts for the token behind it.
    pub(super) fn measure_all(&self, texts: &[&str]) -> Result<Vec<EncodedText>, CorpusError> {
        let bytes = |text: &&str| EncodedText::exact(text.bytes().map(u32::from).collect(), vec![1; text.len()]);
        match self {
            Self::Bytes => Ok(texts.iter().map(bytes).collect()),
            Self::Chars(characters) => Ok(texts.iter().map(|text| characters.measure(text)).collect()),
            Self::Subwords(subwords) => subwords.measure_all(texts),
        }
    }

    /// The tokens of `text` and the UTF-8 bytes of it that each covers.
    ///
    /// # Errors
    /// As for [`Tokenizer::encode`].
    pub fn measure(&self, text: &str) -> Result<(Vec<u32>, Vec<u32>), CorpusError> {
        let measured = self.measure_all(&[text])?.pop().unwrap_or_default();
        Ok((measured.ids, measured.bytes))
    }

    /// Settings of a person's file that were switched off, in words.
    pub(super) fn changed(&self) -> &[String] {
        match self {
            Self::Bytes | Self::Chars(_) => &[],
            Self::Subwords(subwords) => subwords.changed(),
        }
    }

    /// Where the beginning of a document, `text`, may be cut so that the tokens of the two parts, one after the other, are the
    /// tokens of the whole; none if it is short, or if no such place can be seen yet. `from` is how much of it was looked at in
    /// vain. A text for a foreign tokenizer stays in one piece, because nothing is known of where it may be cut.
    pub(super) fn cut(&self, text: &str, from: usize) -> Option<usize> {
        if text.len() <= PIECE {
            return None;
        }
        match self {
            Self::Bytes | Self::Chars(_) => Some(text.floor_char_boundary(PIECE)),
            Self::Subwords(subwords) if subwords.splits_at_spaces() => cut_before_space(text, from),
            Self::Subwords(_) => None,
        }
    }

    /// What `tokenizer.json` holds of it: two tokenizers of which it is the same give the same ids.
    fn stored(&self) -> Result<String, CorpusError> {
        let inside = |subwords: &Subwords| {
            serde_json::from_str(&subwords.to_json()?).map_err(|e| CorpusError::tokenizer("subwords", e))
        };
        let kind = match self {
            Self::Bytes => StoredKind::Bytes,
            Self::Chars(characters) => StoredKind::Chars { characters: characters.listed() },
            Self::Subwords(subwords) if subwords.splits_at_spaces() => {
                StoredKind::Trained { text_size: subwords.text_size(), hugging_face: inside(subwords)? }
            }
            Self::Subwords(subwords) => StoredKind::File { hugging_face: inside(subwords)? },
        };
        serde_json::to_string(&Stored { format: CORPUS_FORMAT, kind }).map_err(|e| CorpusError::tokenizer(FILE, e))
    }

    /// What its vocabulary is known by: two tokenizers of which it is the same give the same ids.
    ///
    /// # Errors
    /// The tokenizer cannot be written down.
    pub fn identity(&self) -> Result<String, CorpusError> {
        Ok(blake3::hash(self.stored()?.as_bytes()).to_hex().to_string())
    }

    /// Writes `tokenizer.json` into `folder`.
    pub(super) fn save(&self, folder: &Path) -> Result<(), CorpusError> {
        let path = folder.join(FILE);
        fs::write(&path, self.stored()?).map_err(CorpusError::io("write", &path))
    }

    /// Reads the `tokenizer.json` of a corpus folder.
    pub(super) fn load(folder: &Path) -> Result<Self, CorpusError> {
        let path = folder.join(FILE);
        let text = fs::read(&path).map_err(CorpusError::io("read", &path))?;
        Self::read(&text, &path)
    }

    /// The tokenizer in a person's file: one of Hugging Face's, or that of a corpus folder.
    pub(super) fn of_file(json: &[u8], path: &Path) -> Result<Self, CorpusError> {
        if serde_json::from_slice::<Stored>(json).is_ok() {
            return Self::read(json, path);
        }
        Ok(Self::Subwords(Box::new(Subwords::from_json(json, &path.display().to_string())?)))
    }

    fn read(text: &[u8], path: &Path) -> Result<Self, CorpusError> {
        let stored: Stored =
            serde_json::from_slice(text).map_err(|e| CorpusError::damaged(path, format!("not a tokenizer: {e}")))?;
        if stored.format != CORPUS_FORMAT {
            let reason = format!("it has format {}, this program reads format {CORPUS_FORMAT}", stored.format);
            return Err(CorpusError::damaged(path, reason));
        }
        let name = path.display().to_string();
        match stored.kind {
            StoredKind::Bytes => Ok(Self::Bytes),
            StoredKind::Chars { characters } => Ok(Self::Chars(Characters::from_listed(&characters)?)),
            StoredKind::Trained { text_size, hugging_face } => {
                Ok(Self::Subwords(Box::new(Subwords::written(&hugging_face, text_size, &name)?)))
            }
            StoredKind::File { hugging_face } => {
                Ok(Self::Subwords(Box::new(Subwords::from_json(hugging_face.to_string().as_bytes(), &name)?)))
            }
        }
    }
}

/// The first place after [`PIECE`] bytes where a space follows something else; there is none in the first `looked` bytes.
fn cut_before_space(text: &str, looked: usize) -> Option<usize> {
    // The last character that was looked at had nothing behind it yet.
    let from = text.floor_char_boundary(PIECE.max(looked.saturating_sub(4)));
    let tail = text.get(from..)?;
    let starts = tail.char_indices().zip(tail.chars().skip(1));
    starts
        .filter(|((_, here), next)| !here.is_whitespace() && next.is_whitespace())
        .map(|((at, here), _)| from + at + here.len_utf8())
        .next()
}

#[cfg(test)]
mod tests {
    use super::super::bpe::BpeTrainer;
    use super::super::characters::CharacterSet;
    use super::*;

    const TEXT: &str = include_str!("../../data/corpora/harbour.txt");

    fn chars(text: &str) -> Tokenizer {
        let mut set = CharacterSet::new();
        set.add(text);
        Tokenizer::Chars(set.into_characters())
    }

    fn bpe(text: &str, size: u32) -> Tokenizer {
        let mut trainer = BpeTrainer::default();
        trainer.feed(text).unwrap();
        Tokenizer::Subwords(Box::new(Subwords::trained(trainer.train(size as usize).unwrap(), size).unwrap()))
    }

    #[test]
    fn every_tokenizer_gives_the_text_back_and_counts_its_bytes() {
        let text = "Fog — and the ferry's 2nd whistle.\n\n  «Hé!» 🚢";
        for tokenizer in [Tokenizer::Bytes, chars(text), bpe(TEXT, 400)] {
            let ids = tokenizer.encode(text).unwrap();
            assert_eq!(tokenizer.decode(&ids), text);
            let measured = tokenizer.measure_all(&[text]).unwrap().remove(0);
            assert_eq!((measured.ids, measured.bytes.iter().sum::<u32>() as usize), (ids.clone(), text.len()));
            let folder = tempfile::tempdir().unwrap();
            tokenizer.save(folder.path()).unwrap();
            let loaded = Tokenizer::load(folder.path()).unwrap();
            assert_eq!(loaded.encode(text).unwrap(), ids);
            assert_eq!(loaded.vocabulary(), tokenizer.vocabulary());
        }
    }

    #[test]
    fn specials_are_visible() {
        let v = Tokenizer::Bytes.vocabulary();
        let ids = [v.start(), u32::from(b'a'), v.first_sentinel(), u32::from(b'b'), 0xC3, v.end(), v.pad()];
        assert_eq!(Tokenizer::Bytes.decode(&ids), "<s>a<X0>b\u{fffd}</s><pad>");
    }

    #[test]
    fn characters_are_sorted_and_others_are_unknown() {
        let tokenizer = chars("cab");
        assert_eq!(tokenizer.encode("abcz").unwrap(), [0, 1, 2, 3]);
        assert_eq!(tokenizer.vocabulary().text_size(), 4);
        assert_eq!(tokenizer.decode(&[2, 3]), "c\u{fffd}");
    }

    #[test]
    fn a_text_in_pieces_has_the_tokens_of_the_whole() {
        let long = TEXT.repeat(1 + 3 * PIECE / TEXT.len());
        let tokenizer = bpe(TEXT, 600);
        let (mut pieces, mut rest) = (Vec::new(), long.as_str());
        while let Some((piece, tail)) = tokenizer.cut(rest, 0).and_then(|at| rest.split_at_checked(at)) {
            pieces.push(piece);
            rest = tail;
        }
        pieces.push(rest);
        assert!(pieces.len() > 2);
        let parts: Vec<u32> = tokenizer.encode_all(&pieces).unwrap().concat();
        assert_eq!(parts, tokenizer.encode(&long).unwrap());
        assert_eq!(pieces.concat(), long);
    }

    #[test]
    fn a_small_text_leaves_entries_that_are_shown_as_unused() {
        let tokenizer = bpe("ab", 300);
        assert_eq!(tokenizer.vocabulary().text_size(), 300);
        assert_eq!(tokenizer.decode(&[299]), "<?299>");
    }

    #[test]
    fn a_foreign_tokenizer_reads_special_words_as_text() {
        let mut inner = {
            let mut trainer = BpeTrainer::default();
            trainer.feed(TEXT).unwrap();
            trainer.train(300).unwrap()
        };
        inner.add_special_tokens([tokenizers::AddedToken::from("<|end|>", true)]).unwrap();
        let json = inner.to_string(false).unwrap();
        let tokenizer = Tokenizer::Subwords(Box::new(Subwords::from_json(json.as_bytes(), "x.json").unwrap()));
        assert_eq!(tokenizer.vocabulary().text_size(), 300);
        let ids = tokenizer.encode("a<|end|>b").unwrap();
        assert!(ids.iter().all(|id| *id < 300));
        assert_eq!(tokenizer.decode(&ids), "a<|end|>b");
        let error = Subwords::from_json(b"{}", "x.json").unwrap_err().to_string();
        assert!(error.starts_with("use the tokenizer x.json: not a Hugging Face"), "{error}");
    }
}
