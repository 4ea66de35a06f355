//! Rows that score a given continuation after a given context, in plain form or as span corruption trains it.
//! Promises: a continuation is scored whole or refused; only contexts are cut, on the left; padding changes nothing.
//! Must not know: text, tensors.

use std::hash::Hash;

use super::batch::Batch;
use super::inference::Asking;
use crate::core::{Architecture, Layout};
use crate::corpus::{Mark, Vocabulary};

/// One context with its continuation, or one token of it, laid out for an architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoringRow {
    encoder: Option<Vec<u32>>,
    decoder: Vec<u32>,
    /// What is predicted, one token a place, from the place `first` of the decoder on.
    continuation: Vec<u32>,
    first: usize,
    prefix_length: usize,
    /// Where a blank begins, which stands in the place before.
    blank: Option<usize>,
    cut: usize,
}

impl ScoringRow {
    /// Positions, encoder and decoder.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.decoder.len() + self.encoder.as_ref().map_or(0, Vec::len)
    }

    /// Tokens that are scored.
    #[must_use]
    pub const fn scored(&self) -> usize {
        self.continuation.len()
    }

    /// All that the model reads; rows that read the same differ in their last scored token only.
    #[must_use]
    pub fn reads(&self) -> impl Eq + Hash + '_ {
        (&self.encoder, &self.decoder, self.prefix_length, self.first, self.continuation.len())
    }

    /// The last scored token, which is not read.
    #[must_use]
    pub fn last(&self) -> Option<u32> {
        self.continuation.last().copied()
    }

    /// Tokens of the context that were cut off on the left.
    #[must_use]
    pub const fn cut(&self) -> usize {
        self.cut
    }
}

/// Why a continuation has no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScoringRowError {
    /// There is nothing to score.
    #[error("nothing is left to score: the continuation has no tokens of its own")]
    Empty,
    /// The continuation does not fit, and it is never cut.
    #[error(
        "the continuation has {tokens} tokens and the model reads {room}; train with a longer `training.seq_len` or \
         a coarser tokenizer, or leave this task out"
    )]
    TooLong {
        /// Its tokens.
        tokens: usize,
        /// What fits.
        room: usize,
    },
}

/// Continuation tokens that fit behind a context of one token, when each stack reads `limit` positions.
#[must_use]
pub const fn room(architecture: Architecture, asking: Asking, limit: usize) -> usize {
    match (asking, architecture.layout()) {
        (Asking::Plain(None), Layout::Decoder { .. } | Layout::Encoder) => limit.saturating_sub(1),
        // A context as long as this and its marks fill the encoder.
        (_, Layout::EncoderDecoder) => limit.saturating_sub(asking.marks()),
        // All of it is read, behind the start mark and the context.
        (Asking::Masked, _) => limit.saturating_sub(2),
        // Start, one token and the marks are read, and what opens the continuation.
        (Asking::Plain(Some(_)), Layout::Decoder { .. } | Layout::Encoder) => limit.saturating_sub(2),
        (Asking::Blank, _) => limit.saturating_sub(3),
        (Asking::Sentinel(_), Layout::Decoder { .. } | Layout::Encoder) => limit.saturating_sub(2 + asking.marks()),
    }
}

/// The rows that score `continuation` after `context`, when each stack reads `limit` positions: one, or one for each token
/// where tokens are masked one at a time (pseudo-log-likelihood: Salazar et al. 2020, arXiv 1910.14659, §2).
///
/// Plain: a decoder reads the context and then the continuation, an encoder–decoder has the context in its encoder; the
/// context of a non-causal decoder sees itself both ways. Sentinel: the context, the first sentinel and the end mark
/// are read, then the same sentinel and the continuation; all of the first part is the prefix. Blank: the context and the
/// mark of a document blank are read both ways, then the continuation fills it. A decoder reads the start mark first, and an
/// encoder the end mark where there is no context: what stands before a text in training.
///
/// # Errors
/// The continuation is empty or too long.
pub fn scoring_rows(
    architecture: Architecture,
    asking: Asking,
    vocabulary: &Vocabulary,
    context: &[u32],
    continuation: &[u32],
    limit: usize,
) -> Result<Vec<ScoringRow>, ScoringRowError> {
    if continuation.is_empty() {
        return Err(ScoringRowError::Empty);
    }
    let (tokens, layout) = (continuation.len(), architecture.layout());
    let start = vocabulary.start();
    let before = || continuation.iter().copied().take(tokens - 1);
    let row = |encoder: Option<Vec<u32>>, read: Vec<u32>, prefix_length, kept: &[u32]| {
        let first = read.len() - 1;
        let decoder = read.into_iter().chain(before()).collect();
        let (continuation, cut) = (continuation.to_vec(), context.len() - kept.len());
        ScoringRow { encoder, decoder, continuation, first, prefix_length, blank: None, cut }
    };
    let too_long = |room: usize| ScoringRowError::TooLong { tokens, room };
    let beside =
        |marks: usize, own: usize| limit.checked_sub(marks + own).ok_or_else(|| too_long(limit.saturating_sub(marks)));
    match (layout, asking) {
        (Layout::EncoderDecoder, _) => {
            let opens = usize::from(matches!(asking, Asking::Sentinel(_)));
            beside(opens, tokens)?;
            let kept = tail(context, limit.saturating_sub(asking.marks()));
            let (inputs, opening) = asking.frame(vocabulary, kept);
            let encoder = if inputs.is_empty() { vec![vocabulary.end()] } else { inputs };
            Ok(vec![row(Some(encoder), std::iter::once(start).chain(opening).collect(), 0, kept)])
        }
        (Layout::Encoder, _) => {
            let kept = tail(context, beside(1, tokens)?);
            let text = [&[start], kept, continuation].concat();
            let masked = |(number, token): (usize, &u32)| {
                let place = 1 + kept.len() + number;
                let mut decoder = text.clone();
                decoder.iter_mut().skip(place).take(1).for_each(|token| *token = vocabulary.of(Mark::Mask));
                ScoringRow {
                    encoder: None,
                    prefix_length: decoder.len(),
                    decoder,
                    continuation: vec![*token],
                    first: place,
                    blank: None,
                    cut: context.len() - kept.len(),
                }
            };
            Ok(continuation.iter().enumerate().map(masked).collect())
        }
        (Layout::Decoder { .. }, Asking::Blank) => {
            let kept = tail(context, beside(2, tokens)?);
            let (inputs, _) = asking.frame(vocabulary, kept);
            let read = [&[start], inputs.as_slice(), &[vocabulary.of(Mark::StartOfPiece)]].concat();
            let blank = Some(read.len() - 1);
            Ok(vec![ScoringRow { blank, ..row(None, read, inputs.len() + 1, kept) }])
        }
        (Layout::Decoder { prefix }, Asking::Plain(_) | Asking::Sentinel(_) | Asking::Masked) => {
            let opens = usize::from(matches!(asking, Asking::Sentinel(_)));
            let kept = tail(context, beside(asking.marks() + opens, tokens)?);
            let (inputs, opening) = asking.frame(vocabulary, kept);
            let prefix_length = if prefix { inputs.len() + 1 } else { 0 };
            let read = std::iter::once(start).chain(inputs).chain(opening).collect();
            Ok(vec![row(None, read, prefix_length, kept)])
        }
    }
}

/// The last `count` tokens.
fn tail(context: &[u32], count: usize) -> &[u32] {
    context.get(context.len().saturating_sub(count)..).unwrap_or(context)
}

/// The windows in which a whole text is scored: contexts with continuations of at most `room` tokens. The first has no
/// context, the others the one token before them; the last has as many before it as fit. No token is scored twice.
#[must_use]
pub fn rolling_windows(tokens: &[u32], room: usize) -> Vec<(Vec<u32>, Vec<u32>)> {
    let room = room.max(1);
    let part = |from: usize, to: usize| tokens.get(from..to).unwrap_or_default().to_vec();
    let mut windows = Vec::new();
    let mut done = 0;
    while done < tokens.len() {
        let end = (done + room).min(tokens.len());
        let context = if done == 0 { Vec::new() } else { part(end.saturating_sub(room + 1), done) };
        windows.push((context, part(done, end)));
        done = end;
    }
    windows
}

/// Rows of any lengths as one batch, padded on the right; only what is scored carries weight.
#[must_use]
pub fn scoring_batch(rows: &[&ScoringRow], vocabulary: &Vocabulary) -> Batch {
    let decoder_len = rows.iter().map(|row| row.decoder.len()).max().unwrap_or(0);
    let encoder_len = rows.iter().filter_map(|row| row.encoder.as_ref()).map(Vec::len).max();
    let mut batch = Batch::empty(decoder_len, encoder_len);
    for row in rows {
        let (text, blank) = row.decoder.split_at_checked(row.blank.unwrap_or(row.decoder.len())).unwrap_or_default();
        batch.decoder.push(1, text);
        if !blank.is_empty() {
            batch.decoder.push_blank(text.len() as u32 - 1, blank);
        }
        if let (Some(side), Some(tokens)) = (&mut batch.encoder, &row.encoder) {
            side.push(1, tokens);
        }
        let from = batch.rows * decoder_len + row.first;
        batch.targets.resize(from, vocabulary.pad());
        batch.targets.extend(&row.continuation);
        batch.loss_weights.resize(from, 0.0);
        batch.loss_weights.extend(std::iter::repeat_n(1.0, row.continuation.len()));
        batch.close(row.prefix_length, vocabulary);
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use Architecture::{CausalDecoder as CD, EncoderDecoder as ED, EncoderOnly as EO, NonCausalDecoder as ND};

    const PLAIN: Asking = Asking::Plain(None);
    const SENTINEL: Asking = Asking::Sentinel(None);

    const START: u32 = 11;
    const END: u32 = 10;
    const PAD: u32 = 12;
    const X0: u32 = 140;

    fn vocabulary() -> Vocabulary {
        Vocabulary::new(10)
    }

    /// Encoder, decoder, prefix length and cut.
    fn row(a: Architecture, form: Asking, context: &[u32], limit: usize) -> (Vec<u32>, Vec<u32>, usize, usize) {
        let row = scoring_rows(a, form, &vocabulary(), context, &[7, 8, 9], limit).unwrap().remove(0);
        assert_eq!(row.scored(), 3);
        (row.encoder.unwrap_or_default(), row.decoder, row.prefix_length, row.cut)
    }

    #[test]
    fn literal_rows() {
        assert_eq!(row(CD, PLAIN, &[1, 2], 9), (vec![], vec![START, 1, 2, 7, 8], 0, 0));
        assert_eq!(row(ND, PLAIN, &[1, 2], 9), (vec![], vec![START, 1, 2, 7, 8], 3, 0));
        assert_eq!(row(ED, PLAIN, &[1, 2], 9), (vec![1, 2], vec![START, 7, 8], 0, 0));
        assert_eq!(row(CD, PLAIN, &[], 9), (vec![], vec![START, 7, 8], 0, 0));
        assert_eq!(row(ND, PLAIN, &[], 9), (vec![], vec![START, 7, 8], 1, 0));
        assert_eq!(row(ED, PLAIN, &[], 9), (vec![END], vec![START, 7, 8], 0, 0));
        assert_eq!(row(CD, SENTINEL, &[1, 2], 9), (vec![], vec![START, 1, 2, X0, END, X0, 7, 8], 0, 0));
        assert_eq!(row(ND, SENTINEL, &[1, 2], 9), (vec![], vec![START, 1, 2, X0, END, X0, 7, 8], 5, 0));
        assert_eq!(row(ED, SENTINEL, &[1, 2], 9), (vec![1, 2, X0, END], vec![START, X0, 7, 8], 0, 0));
        assert_eq!(row(ED, SENTINEL, &[], 9), (vec![X0, END], vec![START, X0, 7, 8], 0, 0));
    }

    #[test]
    fn rows_of_other_objectives() {
        const S: u32 = 19;
        const GMASK: u32 = 15;
        const SOP: u32 = 16;
        const MASK: u32 = 13;
        let mode = Asking::Plain(Some(crate::core::Mode::S));
        assert_eq!(row(CD, mode, &[1, 2], 9), (vec![], vec![START, S, 1, 2, 7, 8], 0, 0));
        assert_eq!(row(ND, mode, &[1, 2], 5), (vec![], vec![START, S, 2, 7, 8], 3, 1));
        assert_eq!(row(ED, mode, &[1, 2], 9), (vec![S, 1, 2], vec![START, 7, 8], 0, 0));
        assert_eq!(row(ND, Asking::Blank, &[1, 2], 9), (vec![], vec![START, 1, 2, GMASK, SOP, 7, 8], 4, 0));
        assert_eq!(row(ND, Asking::Blank, &[1, 2], 6), (vec![], vec![START, 2, GMASK, SOP, 7, 8], 3, 1));
        let rows = scoring_rows(EO, Asking::Masked, &vocabulary(), &[1, 2], &[7, 8], 4).unwrap();
        let read: Vec<_> = rows.iter().map(|row| (row.decoder.clone(), row.first, row.last(), row.cut())).collect();
        assert_eq!(read, [(vec![START, 2, MASK, 8], 2, Some(7), 1), (vec![START, 2, 7, MASK], 3, Some(8), 1)]);
        let batch = scoring_batch(&rows.iter().collect::<Vec<_>>(), &vocabulary());
        assert_eq!((batch.targets, batch.prefix_lengths), (vec![PAD, PAD, 7, PAD, PAD, PAD, PAD, 8], vec![4, 4]));
        assert_eq!(batch.loss_weights, [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn contexts_are_cut_on_the_left_and_continuations_never() {
        let context = [1, 2, 3, 4, 5];
        // As many ids as fit behind the start mark; the last one is not read.
        assert_eq!(row(CD, PLAIN, &context, 5), (vec![], vec![START, 4, 5, 7, 8], 0, 3));
        assert_eq!(row(ND, PLAIN, &context, 4), (vec![], vec![START, 5, 7, 8], 2, 4));
        assert_eq!(row(ED, PLAIN, &context, 3), (vec![3, 4, 5], vec![START, 7, 8], 0, 2));
        assert_eq!(row(ND, SENTINEL, &context, 7), (vec![], vec![START, 5, X0, END, X0, 7, 8], 4, 4));
        assert_eq!(row(CD, SENTINEL, &context, 6), (vec![], vec![START, X0, END, X0, 7, 8], 0, 5));
        assert_eq!(row(ED, SENTINEL, &context, 4), (vec![4, 5, X0, END], vec![START, X0, 7, 8], 0, 3));
        let refused = |a, form, limit| scoring_rows(a, form, &vocabulary(), &context, &[7, 8, 9], limit).unwrap_err();
        assert_eq!(refused(CD, PLAIN, 2), ScoringRowError::TooLong { tokens: 3, room: 2 });
        assert_eq!(refused(ED, PLAIN, 2), ScoringRowError::TooLong { tokens: 3, room: 2 });
        assert_eq!(refused(ND, SENTINEL, 5), ScoringRowError::TooLong { tokens: 3, room: 2 });
        assert_eq!(refused(ED, SENTINEL, 3), ScoringRowError::TooLong { tokens: 3, room: 2 });
        assert_eq!(scoring_rows(CD, PLAIN, &vocabulary(), &context, &[], 9), Err(ScoringRowError::Empty));
    }

    #[test]
    fn rolling_windows_score_each_token_once() {
        let tokens: Vec<u32> = (0..10).collect();
        let windows = rolling_windows(&tokens, 4);
        let shown: Vec<(&[u32], &[u32])> = windows.iter().map(|(c, t)| (c.as_slice(), t.as_slice())).collect();
        assert_eq!(
            shown,
            [
                (&[][..], &[0, 1, 2, 3][..]),
                (&[3], &[4, 5, 6, 7]),
                (&[5, 6, 7], &[8, 9]), // four inputs in all: 5, 6, 7, 8
            ]
        );
        assert!(rolling_windows(&[], 4).is_empty());
        for length in 1..40 {
            for (architecture, form) in [(CD, PLAIN), (ED, PLAIN), (ND, SENTINEL), (ED, SENTINEL)] {
                let tokens: Vec<u32> = (0..length).map(|n| n % 10).collect();
                let windows = rolling_windows(&tokens, room(architecture, form, 8));
                assert_eq!(windows.iter().flat_map(|(_, scored)| scored.clone()).collect::<Vec<_>>(), tokens);
                for (context, scored) in &windows {
                    let row = scoring_rows(architecture, form, &vocabulary(), context, scored, 8).unwrap().remove(0);
                    assert_eq!(row.cut(), 0, "no window is cut again");
                    assert!(row.decoder.len() <= 8);
                }
            }
        }
    }

    #[test]
    fn a_batch_is_padded_on_the_right() {
        let one = scoring_rows(ED, PLAIN, &vocabulary(), &[1], &[7, 8, 9], 9).unwrap().remove(0);
        let other = scoring_rows(ED, PLAIN, &vocabulary(), &[1, 2], &[3], 9).unwrap().remove(0);
        let batch = scoring_batch(&[&one, &other], &vocabulary());
        assert_eq!(batch.decoder.tokens, [START, 7, 8, START, PAD, PAD]);
        assert_eq!(batch.decoder.positions, [0, 1, 2, 0, 0, 0]);
        assert_eq!(batch.decoder.segments, [1, 1, 1, 1, 0, 0]);
        assert_eq!(batch.targets, [7, 8, 9, 3, PAD, PAD]);
        assert_eq!(batch.loss_weights, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
        let encoder = batch.encoder.unwrap();
        assert_eq!((encoder.tokens, encoder.segments), (vec![1, PAD, 1, 2], vec![1, 0, 1, 1]));
    }
}
