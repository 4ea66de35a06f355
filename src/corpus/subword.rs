//! Subword tokenizers of the tokenizers crate: trained in place, or an existing `tokenizer.json`.
//! Promises: text is only text (the words of special tokens are split like any other words); nothing is added, padded, cut off
//! or left to chance; what a token covers is measured in the text, not guessed from its written entry.
//! Must not know: the corpus folder.

use std::panic::catch_unwind;

use serde_json::{Map, Value};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{Encoding, Tokenizer};

use super::coverage::EncodedText;
use super::error::CorpusError;
use super::foreign::check;

/// The entry that marks what a tokenizer without an unknown token drops.
const DROPPED: &str = "<dropped>";

/// A subword tokenizer.
#[derive(Clone, Debug)]
pub struct Subwords {
    inner: Tokenizer,
    text_size: u32,
    /// The token that stands for what the vocabulary lacks.
    unknown: Option<u32>,
    /// The same tokenizer with a token for what it drops, if it may drop anything.
    marking: Option<Box<Marking>>,
    splits_at_spaces: bool,
    /// Settings that were switched off, in words.
    changed: Vec<String>,
}

/// The most entries that can be asked of a BPE that is trained in place.
const MOST_TRAINED: u32 = 1_000_000;

/// The tokenizer that `json` describes. The reader of the crate panics at merges that contradict the rest of the file.
fn read(json: &str) -> Result<Tokenizer, String> {
    match catch_unwind(|| Tokenizer::from_bytes(json)) {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err("its merges contradict its vocabulary or its prefix of subwords".to_owned()),
    }
}

/// Bytes of a text, from and to.
type Ranges = Vec<(usize, usize)>;

/// A tokenizer that says where another drops text.
#[derive(Clone, Debug)]
struct Marking {
    inner: Tokenizer,
    dropped: u32,
}

impl Subwords {
    /// The tokenizer in the text of a `tokenizer.json`; `name` is for errors.
    pub(super) fn from_json(json: &[u8], name: &str) -> Result<Self, CorpusError> {
        let bad = |e: &dyn ToString| {
            CorpusError::tokenizer(name, format!("not a Hugging Face tokenizer.json: {}", e.to_string()))
        };
        let mut settings: Map<String, Value> = serde_json::from_slice(json).map_err(|e| bad(&e))?;
        check(&settings).map_err(|reason| CorpusError::tokenizer(name, reason))?;
        let changed = fix(&mut settings);
        let model = settings.get("model").and_then(Value::as_object);
        let marked = model.and_then(|model| marking(&settings, model));
        let unknown_name = model.and_then(|model| model.get("unk_token")).and_then(Value::as_str).map(str::to_owned);
        let unknown_id = model.and_then(|model| model.get("unk_id")).and_then(Value::as_u64);
        let read = |settings: Map<String, Value>| read(&Value::Object(settings).to_string()).map_err(|e| bad(&e));
        let marking = marked.map(|(settings, dropped)| Ok(Box::new(Marking { inner: read(settings)?, dropped })));
        let inner = read(settings)?;
        let unknown = unknown_id.and_then(|id| u32::try_from(id).ok());
        let unknown = unknown.or_else(|| unknown_name.and_then(|token| inner.token_to_id(&token)));
        let special = inner.get_added_tokens_decoder();
        // The unknown token stands for text, whatever else it is.
        let is_text = |id: &u32| Some(*id) == unknown || special.get(id).is_none_or(|token| !token.special);
        let top = inner.get_vocab(true).into_values().filter(is_text).max();
        let top = top.ok_or_else(|| CorpusError::tokenizer(name, "it has no text entries"))?;
        let marking = marking.transpose()?;
        Ok(Self { changed, unknown, marking, ..Self::new(inner, top + 1, false, name)? })
    }

    /// A tokenizer that was trained in place and written down, with room for `text_size` entries; `name` is for errors.
    pub(super) fn written(json: &Value, text_size: u32, name: &str) -> Result<Self, CorpusError> {
        let bad = |reason: String| CorpusError::tokenizer(name, reason);
        json.as_object().map_or(Ok(()), check).map_err(bad)?;
        let inner = read(&json.to_string()).map_err(bad)?;
        let entries = inner.get_vocab_size(true);
        if (text_size as usize) < entries || text_size > MOST_TRAINED {
            return Err(bad(format!(
                "it says that it has {text_size} entries, and it has {entries}; at most {MOST_TRAINED} are trained"
            )));
        }
        Self::trained(inner, text_size)
    }

    /// A tokenizer trained in place, with room for `text_size` entries even if the text gave fewer.
    pub(super) fn trained(inner: Tokenizer, text_size: u32) -> Result<Self, CorpusError> {
        Self::new(inner, text_size, true, "bpe")
    }

    fn new(mut inner: Tokenizer, text_size: u32, splits_at_spaces: bool, name: &str) -> Result<Self, CorpusError> {
        inner.set_encode_special_tokens(true);
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| CorpusError::tokenizer(name, e))?;
        Ok(Self { inner, text_size, unknown: None, marking: None, splits_at_spaces, changed: Vec::new() })
    }

    pub(super) fn to_json(&self) -> Result<String, CorpusError> {
        self.inner.to_string(false).map_err(|e| CorpusError::tokenizer("subwords", e))
    }

    pub(super) const fn text_size(&self) -> u32 {
        self.text_size
    }

    /// Settings of the file that were switched off, in words.
    pub(super) fn changed(&self) -> &[String] {
        &self.changed
    }

    /// Whether a text may be cut between a word and a space without changing its tokens: true of GPT-2's splitting,
    /// whose words never run from a non-space into a space; unknown of other people's tokenizers.
    pub(super) const fn splits_at_spaces(&self) -> bool {
        self.splits_at_spaces
    }

    /// The tokens of each text; several texts are shared among the processor's cores.
    pub(super) fn encode_all(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, CorpusError> {
        let encodings = self.inner.encode_batch_fast(texts.to_vec(), false).map_err(refused)?;
        encodings.iter().map(|encoding| self.text_ids(encoding)).collect()
    }

    /// The tokens of each text with the bytes of it that each covers.
    pub(super) fn measure_all(&self, texts: &[&str]) -> Result<Vec<EncodedText>, CorpusError> {
        let encodings = self.inner.encode_batch(texts.to_vec(), false).map_err(refused)?;
        let one = |(encoding, text): (&Encoding, &&str)| {
            let (ranges, dropped) = match &self.marking {
                Some(marking) if has_gap(encoding.get_offsets(), text.len()) => marking.ranges(encoding, text)?,
                Some(_) | None => (encoding.get_offsets().to_vec(), Vec::new()),
            };
            Ok(EncodedText::new(text, self.text_ids(encoding)?, &ranges, self.unknown, &dropped))
        };
        encodings.iter().zip(texts).map(one).collect()
    }

    fn text_ids(&self, encoding: &Encoding) -> Result<Vec<u32>, CorpusError> {
        let ids = encoding.get_ids();
        match ids.iter().find(|id| **id >= self.text_size) {
            None => Ok(ids.to_vec()),
            Some(id) => {
                let token = self.inner.id_to_token(*id).unwrap_or_default();
                let message = format!(
                    "it gives the special token `{token}` for ordinary text; mark that token as not special in its \
                     `added_tokens`, or use another tokenizer"
                );
                Err(CorpusError::tokenizer("subwords", message))
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

    fn exists(&self, id: u32) -> bool {
        self.inner.id_to_token(id).is_some()
    }
}

impl Marking {
    /// The ranges of the tokens of `encoding` in `text`, and those of what is dropped. A tokenizer that drops characters gives them as if those had never been
    /// there, so what it keeps is laid over what is kept of the text.
    fn ranges(&self, encoding: &Encoding, text: &str) -> Result<(Ranges, Ranges), CorpusError> {
        let marked = self.inner.encode(text, false).map_err(refused)?;
        let all = || marked.get_ids().iter().copied().zip(marked.get_offsets().iter().copied());
        let dropped = all().filter(|(id, _)| *id == self.dropped).map(|(_, range)| range).collect();
        let (ids, kept): (Vec<u32>, Ranges) = all().filter(|(id, _)| *id != self.dropped).unzip();
        if ids == encoding.get_ids() {
            return Ok((kept, dropped));
        }
        // Neighbours of what was dropped were merged: each token takes what is kept in proportion to its written length, which is
        // its own length unless a normalizer changed the text.
        let places: Vec<usize> = kept.into_iter().flat_map(|(from, to)| from..to).collect();
        let lengths: Vec<usize> = encoding.get_tokens().iter().map(String::len).collect();
        let all = lengths.iter().sum::<usize>().max(1);
        let (mut before, mut from) = (0, 0);
        let laid = lengths.into_iter().map(|length| {
            before += length;
            let last = (before * places.len()).div_ceil(all).checked_sub(1).and_then(|last| places.get(last));
            let range = (from, last.map_or(from, |last| last + 1));
            from = range.1;
            range
        });
        Ok((laid.collect(), dropped))
    }
}

/// Whether bytes of a text of `length` lie between tokens or behind the last one.
fn has_gap(ranges: &[(usize, usize)], length: usize) -> bool {
    let mut covered = 0;
    let gaps = ranges.iter().any(|(from, to)| {
        let gap = *from > covered;
        covered = covered.max(*to);
        gap
    });
    gaps || covered < length
}

/// Switches off what makes the tokens of a text other than the text alone would; in words what that was.
fn fix(settings: &mut Map<String, Value>) -> Vec<String> {
    let mut changed = Vec::new();
    for key in ["padding", "truncation"] {
        if settings.insert(key.to_owned(), Value::Null).is_some_and(|set| !set.is_null()) {
            changed.push(format!("its {key} is switched off, because texts are read whole"));
        }
    }
    if let Some(model) = settings.get_mut("model").and_then(Value::as_object_mut)
        && let Some(dropout) = model.get("dropout").and_then(Value::as_f64).filter(|dropout| *dropout != 0.0)
    {
        model.insert("dropout".to_owned(), Value::Null);
        changed.push(format!(
            "its BPE dropout of {dropout} is switched off, because the same text must have the same tokens"
        ));
    }
    changed
}

/// The settings of a BPE that drops what it does not know, with a token for that, and the token.
fn marking(settings: &Map<String, Value>, model: &Map<String, Value>) -> Option<(Map<String, Value>, u32)> {
    let is = |key: &str| model.get(key).is_some_and(|value| *value == Value::Bool(true));
    let bpe = model.get("type").is_none_or(|kind| kind == "BPE") && model.contains_key("merges");
    if !bpe || model.get("unk_token").is_some_and(|token| !token.is_null()) || is("byte_fallback") {
        return None;
    }
    let vocabulary = model.get("vocab")?.as_object()?;
    let at_bytes = ["pre_tokenizer", "normalizer"]
        .iter()
        .any(|key| settings.get(*key).is_some_and(|step| step.to_string().contains("\"ByteLevel\"")));
    if at_bytes && ByteLevel::alphabet().iter().all(|byte| vocabulary.contains_key(&byte.to_string())) {
        return None;
    }
    let added = settings.get("added_tokens").and_then(Value::as_array).into_iter().flatten();
    let added = added.filter_map(|token| token.get("id").and_then(Value::as_u64));
    let dropped = vocabulary.values().filter_map(Value::as_u64).chain(added).max()? + 1;
    let mut model = model.clone();
    let mut vocabulary = vocabulary.clone();
    vocabulary.insert(DROPPED.to_owned(), Value::from(dropped));
    model.insert("vocab".to_owned(), Value::Object(vocabulary));
    model.insert("unk_token".to_owned(), Value::from(DROPPED));
    model.insert("fuse_unk".to_owned(), Value::from(true));
    let mut settings = settings.clone();
    settings.insert("model".to_owned(), Value::Object(model));
    Some((settings, u32::try_from(dropped).ok()?))
}

/// What the tokenizer says of a text that it cannot take, with the cure.
fn refused(error: impl ToString) -> CorpusError {
    let message = error.to_string();
    let lower = message.to_lowercase();
    if lower.contains("unk") {
        let cure = "the text has characters or words that its vocabulary lacks, and it has no token for the unknown; give its \
                    model one, or use another tokenizer, such as bytes or bpe:SIZE";
        return CorpusError::tokenizer("subwords", format!("{cure} ({message})"));
    }
    CorpusError::tokenizer("subwords", message)
}

/// Entries that no training text filled.
fn shown(ids: &[u32]) -> String {
    ids.iter().map(|id| format!("<?{id}>")).collect()
}
