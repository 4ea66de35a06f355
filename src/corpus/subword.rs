//! Subword tokenizers of the tokenizers crate: trained in place, or an existing `tokenizer.json`.
//! Promises: text is only text (the words of special tokens are split like any other words), nothing is added, padded
//! or cut off. Must not know: the corpus folder.

use tokenizers::{DecoderWrapper, Tokenizer};

use super::error::CorpusError;

/// A subword tokenizer and the size of its entries in bytes.
#[derive(Clone, Debug)]
pub struct Subwords {
    inner: Tokenizer,
    text_size: u32,
    byte_lengths: Vec<u32>,
    splits_at_spaces: bool,
}

impl Subwords {
    /// The tokenizer in the text of a `tokenizer.json`; `name` is for errors.
    pub(super) fn from_json(json: &[u8], name: &str) -> Result<Self, CorpusError> {
        let inner = Tokenizer::from_bytes(json)
            .map_err(|e| CorpusError::tokenizer(name, format!("not a Hugging Face tokenizer.json: {e}")))?;
        let special = inner.get_added_tokens_decoder();
        let is_text = |id: &u32| special.get(id).is_none_or(|token| !token.special);
        let top = inner.get_vocab(true).into_values().filter(is_text).max();
        let top = top.ok_or_else(|| CorpusError::tokenizer(name, "it has no text entries"))?;
        Self::new(inner, top + 1, false, name)
    }

    /// A tokenizer trained in place, with room for `text_size` entries even if the text gave fewer.
    pub(super) fn trained(inner: Tokenizer, text_size: u32) -> Result<Self, CorpusError> {
        Self::new(inner, text_size, true, "bpe")
    }

    fn new(mut inner: Tokenizer, text_size: u32, splits_at_spaces: bool, name: &str) -> Result<Self, CorpusError> {
        inner.set_encode_special_tokens(true);
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| CorpusError::tokenizer(name, e))?;
        let byte_lengths = (0..text_size).map(|id| byte_length(&inner, id)).collect();
        Ok(Self { inner, text_size, byte_lengths, splits_at_spaces })
    }

    pub(super) fn to_json(&self) -> Result<String, CorpusError> {
        self.inner.to_string(false).map_err(|e| CorpusError::tokenizer("subwords", e))
    }

    pub(super) const fn text_size(&self) -> u32 {
        self.text_size
    }

    /// Whether a text may be cut between a word and a space without changing its tokens: true of GPT-2's splitting,
    /// whose words never run from a non-space into a space; unknown of other people's tokenizers.
    pub(super) const fn splits_at_spaces(&self) -> bool {
        self.splits_at_spaces
    }

    /// The tokens of each text; several texts are shared among the processor's cores.
    pub(super) fn encode_all(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, CorpusError> {
        let encodings =
            self.inner.encode_batch_fast(texts.to_vec(), false).map_err(|e| CorpusError::tokenizer("subwords", e))?;
        let ids: Vec<Vec<u32>> = encodings.iter().map(|encoding| encoding.get_ids().to_vec()).collect();
        match ids.iter().flatten().find(|id| **id >= self.text_size) {
            None => Ok(ids),
            Some(id) => {
                Err(CorpusError::tokenizer("subwords", format!("it gave the special token {id} for ordinary text")))
            }
        }
    }

    pub(super) fn decode(&self, ids: &[u32]) -> String {
        ids.chunk_by(|a, b| self.exists(*a) == self.exists(*b))
            .map(|run| match run.first() {
                Some(id) if self.exists(*id) => self.inner.decode(run, false).unwrap_or_else(|_| shown(run)),
                _ => shown(run),
            })
            .collect()
    }

    /// UTF-8 bytes of an entry: exact for byte-level tokenizers, the length of the written entry for others.
    pub(super) fn byte_length(&self, id: u32) -> u32 {
        self.byte_lengths.get(id as usize).copied().unwrap_or(0)
    }

    fn exists(&self, id: u32) -> bool {
        self.inner.id_to_token(id).is_some()
    }
}

/// Entries that no training text filled.
fn shown(ids: &[u32]) -> String {
    ids.iter().map(|id| format!("<?{id}>")).collect()
}

fn byte_length(tokenizer: &Tokenizer, id: u32) -> u32 {
    let Some(token) = tokenizer.id_to_token(id) else { return 0 };
    let added = tokenizer.get_added_vocabulary().simple_id_to_token(id).is_some();
    let bytes = if added {
        token.len()
    } else if matches!(tokenizer.get_decoder(), Some(DecoderWrapper::ByteLevel(_))) {
        token.chars().count() // each character of the entry stands for one byte
    } else if token.len() == 6 && token.starts_with("<0x") && token.ends_with('>') {
        1 // byte fallback
    } else {
        token.strip_prefix("##").unwrap_or(&token).replace('▁', " ").len()
    };
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
