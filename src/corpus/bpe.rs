//! Byte-level BPE trained in place (Sennrich et al. 2016, arXiv 1508.07909, algorithm 1, on the bytes of GPT-2's words).
//! Promises: the merges depend on the words and their counts only; ties go to the lower pair of ids, never to the order
//! of a hash table, which the trainer of the tokenizers crate cannot promise. Must not know: files.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer};

use super::error::CorpusError;
use crate::config::files;

type Pair = (u32, u32);

/// A merge must be seen this often to be worth an entry.
const LEAST_COUNT: i64 = 2;

/// Counts words, then merges them.
#[derive(Default)]
pub(super) struct BpeTrainer {
    words: HashMap<String, i64>,
}

struct Word {
    ids: Vec<u32>,
    count: i64,
}

/// Pairs of neighbours: how often, and in which words they may be.
#[derive(Default)]
struct Pairs {
    counts: HashMap<Pair, i64>,
    places: HashMap<Pair, BTreeSet<usize>>,
}

impl Pairs {
    fn add(&mut self, pair: Pair, place: usize, count: i64) {
        *self.counts.entry(pair).or_default() += count;
        self.places.entry(pair).or_default().insert(place);
    }

    fn count(&self, pair: Pair) -> i64 {
        self.counts.get(&pair).copied().unwrap_or(0)
    }
}

impl BpeTrainer {
    /// Counts the words of `text`.
    pub(super) fn feed(&mut self, text: &str) -> Result<(), CorpusError> {
        let mut split = PreTokenizedString::from(text);
        ByteLevel::new(false, true, true).pre_tokenize(&mut split).map_err(|e| CorpusError::tokenizer("bpe", e))?;
        for (word, _, _) in split.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            match self.words.get_mut(word) {
                Some(count) => *count += 1,
                None => _ = self.words.insert(word.to_owned(), 1),
            }
        }
        Ok(())
    }

    /// The tokenizer with at most `size` entries; fewer when the text has no more pairs worth merging.
    pub(super) fn train(self, size: usize) -> Result<Tokenizer, CorpusError> {
        let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
        alphabet.sort_unstable();
        let mut entries: Vec<String> = alphabet.iter().map(char::to_string).collect();
        let mut ids: HashMap<String, u32> = entries.iter().cloned().zip(0..).collect();
        let mut sorted: Vec<(String, i64)> = self.words.into_iter().collect();
        sorted.sort_unstable();
        let mut words: Vec<Word> = sorted
            .into_iter()
            .map(|(word, count)| Word {
                ids: word.chars().filter_map(|c| alphabet.binary_search(&c).ok()).map(|at| at as u32).collect(),
                count,
            })
            .collect();
        let mut pairs = Pairs::default();
        for (place, word) in words.iter().enumerate() {
            for pair in neighbours(&word.ids) {
                pairs.add(pair, place, word.count);
            }
        }
        let mut queue: BinaryHeap<(i64, Reverse<Pair>)> = pairs.counts.iter().map(|(p, c)| (*c, Reverse(*p))).collect();
        let mut merges = Vec::new();
        while entries.len() < size {
            files::goes_on();
            let Some((count, Reverse(pair))) = queue.pop() else { break };
            let now = pairs.count(pair);
            if now != count {
                queue.push((now, Reverse(pair)));
                continue;
            }
            if count < LEAST_COUNT {
                break;
            }
            let (Some(left), Some(right)) = (entries.get(pair.0 as usize), entries.get(pair.1 as usize)) else { break };
            merges.push((left.clone(), right.clone()));
            let joined = format!("{left}{right}");
            let fresh = entries.len() as u32;
            let id = *ids.entry(joined.clone()).or_insert(fresh);
            if id == fresh {
                entries.push(joined);
            }
            for changed in merge(pair, id, &mut words, &mut pairs) {
                queue.push((pairs.count(changed), Reverse(changed)));
            }
        }
        assemble(ids, merges)
    }
}

/// Replaces `pair` by `id` in every word; the pairs that became more frequent, in order.
fn merge(pair: Pair, id: u32, words: &mut [Word], pairs: &mut Pairs) -> BTreeSet<Pair> {
    let mut grown = BTreeSet::new();
    for place in pairs.places.remove(&pair).unwrap_or_default() {
        let Some(word) = words.get_mut(place) else { continue };
        for old in neighbours(&word.ids) {
            *pairs.counts.entry(old).or_default() -= word.count;
        }
        word.ids = joined(&word.ids, pair, id);
        for new in neighbours(&word.ids) {
            pairs.add(new, place, word.count);
            if new.0 == id || new.1 == id {
                grown.insert(new);
            }
        }
    }
    grown
}

fn joined(ids: &[u32], pair: Pair, id: u32) -> Vec<u32> {
    let mut merged = Vec::with_capacity(ids.len());
    let mut rest = ids;
    loop {
        rest = match rest {
            [left, right, tail @ ..] if (*left, *right) == pair => {
                merged.push(id);
                tail
            }
            [first, tail @ ..] => {
                merged.push(*first);
                tail
            }
            [] => return merged,
        };
    }
}

fn neighbours(ids: &[u32]) -> impl Iterator<Item = Pair> {
    ids.iter().copied().zip(ids.iter().copied().skip(1))
}

fn assemble(ids: HashMap<String, u32>, merges: Vec<(String, String)>) -> Result<Tokenizer, CorpusError> {
    let said = |e| CorpusError::tokenizer("bpe", e);
    let model = BPE::builder().vocab_and_merges(ids.into_iter().collect::<Vocab>(), merges).build().map_err(said)?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    tokenizer.with_decoder(Some(ByteLevel::new(false, true, true)));
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trained(text: &str, size: usize) -> Tokenizer {
        let mut trainer = BpeTrainer::default();
        trainer.feed(text).unwrap();
        trainer.train(size).unwrap()
    }

    #[test]
    fn the_most_frequent_pair_merges_first_and_ties_go_to_the_lower_ids() {
        // " low" ×2, "low" ×1, " lower" ×1: l-o 4 and o-w 4 tie; l < o, so "lo" comes first, then "low".
        let tokenizer = trained("low low low lower", 259);
        assert_eq!(tokenizer.id_to_token(256).unwrap(), "lo");
        assert_eq!(tokenizer.id_to_token(257).unwrap(), "low");
        assert_eq!(tokenizer.id_to_token(258).unwrap(), "Ġlow");
        assert_eq!(tokenizer.encode(" lower", false).unwrap().get_tokens(), ["Ġlow", "e", "r"]);
    }

    #[test]
    fn training_repeats_byte_for_byte() {
        let text = include_str!("../../data/corpora/harbour.txt");
        let first = trained(text, 1024).to_string(false).unwrap();
        for _ in 0..3 {
            assert_eq!(first, trained(text, 1024).to_string(false).unwrap());
        }
    }

    #[test]
    fn a_poor_text_gives_fewer_entries() {
        assert_eq!(trained("ab", 400).get_vocab_size(false), 256);
    }
}
