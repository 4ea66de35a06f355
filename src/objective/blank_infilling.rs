//! GLM: blanks of a text are filled one after the other, in random order (Du et al. 2022, arXiv 2103.10360, §2.1, and its code).
//! Short blanks have Poisson(3) lengths from 1 to 39 until a share of the text is gone; sentence blanks are whole sentences; a
//! document blank is the end of the text, its length uniform from a share of it to all.
//! Promises: blanks never touch; the whole text is there, in text and blanks. Must not know: rows, positions.
//!
//! Of the released 10 B model's settings one is left out: it reads a noise token for 10 % of what it fills in.

use rand::seq::SliceRandom;
use rand::seq::index;
use rand::{Rng, RngExt};

use super::example::{Example, Words};
use crate::core::rows::{blank_bounds, most_blanks};
use crate::core::{MixturePart, Task};
use crate::corpus::Mark;

/// Mean and largest length of a short blank.
const MEAN: f64 = 3.0;
const LONGEST: usize = 39;

/// A blank: its first token and how many it has.
type Span = (usize, usize);

pub(super) fn blank<R: Rng>(part: &MixturePart, words: Words<'_>, window: &[u32], draws: &mut R) -> Example {
    let most = most_blanks(part, window.len());
    let (least, _) = blank_bounds(window.len(), part.noise_density, MEAN);
    let (mark, mut spans) = match part.task {
        Task::BlankSentences => (Mark::SentenceMask, sentences(words, window, (least, most), draws)),
        Task::BlankDocument => (Mark::DocumentMask, vec![ending(window.len(), least, draws)]),
        Task::BlankTokens
        | Task::FullLm
        | Task::PrefixLm
        | Task::Suffix
        | Task::SpanCorruption
        | Task::IidDenoising
        | Task::MaskedLm
        | Task::Prompted => (Mark::Mask, short(window.len(), (least, most), draws)),
    };
    spans.sort_unstable();
    let (mut text, mut blanks, mut done) = (Vec::new(), Vec::new(), 0);
    for (from, count) in spans {
        text.extend(window.get(done..from).unwrap_or_default());
        blanks.push((text.len(), window.get(from..from + count).unwrap_or_default().to_vec()));
        text.push(words.vocabulary.of(mark));
        done = from + count;
    }
    text.extend(window.get(done..).unwrap_or_default());
    blanks.shuffle(draws);
    Example::Blanks { text, blanks }
}

/// A Poisson number by Knuth's product of uniforms (The Art of Computer Programming, vol. 2, §3.4.1).
fn poisson<R: Rng>(mean: f64, draws: &mut R) -> usize {
    let (limit, mut product, mut count) = ((-mean).exp(), draws.random::<f64>(), 0);
    while product > limit {
        product *= draws.random::<f64>();
        count += 1;
    }
    count
}

/// Blanks of Poisson lengths, at least `least` tokens in all unless there would be more than `most` blanks.
fn short<R: Rng>(length: usize, (least, most): (usize, usize), draws: &mut R) -> Vec<Span> {
    let (mut lengths, mut hidden) = (Vec::new(), 0);
    while hidden < least && lengths.len() < most {
        let count = poisson(MEAN, draws);
        // One token must be left on one side of every blank.
        let room = length.saturating_sub(hidden + lengths.len() + 1);
        if (1..=LONGEST).contains(&count) && room > 0 {
            lengths.push(count.min(room));
            hidden += count.min(room);
        } else if room == 0 {
            break;
        }
    }
    // Each blank takes one of the gaps around the tokens that are left; no gap is taken twice, so blanks never touch.
    let mut gaps = index::sample(draws, length - hidden + 1, lengths.len()).into_vec();
    gaps.sort_unstable();
    let mut before = 0;
    let place = |(gap, count): (usize, usize)| {
        let span = (gap + before, count);
        before += count;
        span
    };
    gaps.into_iter().zip(lengths).map(place).collect()
}

/// Whole sentences, no two neighbours, until at least `least` tokens are hidden, nothing else fits or there are `most`.
fn sentences<R: Rng>(words: Words<'_>, window: &[u32], (least, most): (usize, usize), draws: &mut R) -> Vec<Span> {
    let mut all: Vec<Span> = Vec::new();
    let mut from = 0;
    for sentence in window.split_inclusive(|token| (words.ends_sentence)(*token)) {
        all.push((from, sentence.len()));
        from += sentence.len();
    }
    if all.len() < 2 {
        return vec![somewhere(window.len(), least, draws)];
    }
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.shuffle(draws);
    let (mut chosen, mut hidden): (Vec<usize>, usize) = (Vec::new(), 0);
    for number in order {
        if hidden < least && chosen.len() < most && chosen.iter().all(|other| other.abs_diff(number) > 1) {
            hidden += all.get(number).map_or(0, |(_, count)| *count);
            chosen.push(number);
        }
    }
    chosen.into_iter().filter_map(|number| all.get(number).copied()).collect()
}

/// `count` tokens anywhere: what is hidden of a text without a whole sentence.
fn somewhere<R: Rng>(length: usize, count: usize, draws: &mut R) -> Span {
    (draws.random_range(0..=length.saturating_sub(count)), count)
}

/// The end of the text, of a length from `least` to all.
fn ending<R: Rng>(length: usize, least: usize, draws: &mut R) -> Span {
    let count = draws.random_range(least..=length.max(least));
    (length - count.min(length), count.min(length))
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "small counts")]
mod tests {
    use super::*;
    use crate::core::seed::{Stream, generator};
    use crate::corpus::Vocabulary;

    fn part(task: Task, noise_density: f64) -> MixturePart {
        MixturePart { task, weight: 1.0, noise_density, mean_noise_span_length: 3.0, mode: None, rolled: false }
    }

    /// Blanks of `times` texts of `length` tokens: place in the text, and length, in the order in which they are filled.
    fn blanks(part: &MixturePart, length: u32, times: u64) -> Vec<Vec<Span>> {
        let (vocabulary, window) = (Vocabulary::new(256), (0..length).map(|id| id % 200).collect::<Vec<_>>());
        let words = Words { vocabulary: &vocabulary, ends_sentence: &|id| id % 20 == 19 };
        let one = |number| match blank(part, words, &window, &mut generator(5, Stream::Objective, number)) {
            Example::Blanks { blanks, .. } => blanks.into_iter().map(|(place, text)| (place, text.len())).collect(),
            other => panic!("{other:?}"),
        };
        (0..times).map(one).collect()
    }

    #[test]
    fn short_blanks_have_poisson_lengths_and_come_in_any_order() {
        let all = blanks(&part(Task::BlankTokens, 0.15), 400, 2000);
        let (mut counts, mut first_is_first) = ([0.0_f64; 60], 0);
        for blanks in &all {
            let hidden: usize = blanks.iter().map(|(_, length)| length).sum();
            assert!((60..60 + LONGEST).contains(&hidden), "at least 15 %, and no blank more: {hidden}");
            blanks.iter().for_each(|(_, length)| counts[*length] += 1.0);
            first_is_first += usize::from(blanks.iter().all(|(place, _)| *place >= blanks[0].0));
        }
        // P(k + 1) / P(k) = 3 / (k + 1); some 4,000 blanks or more of each length.
        for k in 1..5 {
            let ratio = counts[k + 1] / counts[k] * (k + 1) as f64 / 3.0;
            assert!((ratio - 1.0).abs() < 0.08, "{k}: {ratio}");
        }
        // Of about 19 blanks any is as likely to be filled first.
        assert!((50..200).contains(&first_is_first), "{first_is_first}");
    }

    #[test]
    fn a_document_blank_is_an_end_of_uniform_length() {
        let lengths: Vec<usize> = blanks(&part(Task::BlankDocument, 0.25), 100, 4000)
            .iter()
            .map(|blanks| {
                assert_eq!((blanks.len(), blanks[0].0), (1, 100 - blanks[0].1));
                blanks[0].1
            })
            .collect();
        let quarter = |from: usize| lengths.iter().filter(|length| (from..from + 19).contains(*length)).count();
        // 25 to 100 tokens, each as often: four quarters of 19 lengths, 1000 each, sd 27.
        assert_eq!((lengths.iter().min(), lengths.iter().max()), (Some(&25), Some(&100)));
        assert!([25, 44, 63, 82].into_iter().all(|from| quarter(from).abs_diff(1000) < 110));
    }

    #[test]
    fn sentence_blanks_are_whole_sentences() {
        for blanks in blanks(&part(Task::BlankSentences, 0.15), 400, 200) {
            assert!(blanks.iter().all(|(_, length)| *length == 20), "{blanks:?}");
            assert_eq!(blanks.len(), 3, "60 tokens");
        }
    }
}
