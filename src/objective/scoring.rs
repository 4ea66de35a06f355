//! Rows that score a given continuation after a given context, in plain form or as span corruption trains it.
//! Promises: a continuation is scored whole or refused; only contexts are cut, on the left; padding changes nothing.
//! Must not know: text, tensors.

use std::hash::Hash;

use super::batch::{Batch, Side};
use crate::core::Architecture;
use crate::core::task::ScoringForm;
use crate::corpus::Vocabulary;

/// One context with its continuation, laid out for an architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoringRow {
    encoder: Option<Vec<u32>>,
    decoder: Vec<u32>,
    /// What the last positions of the decoder predict.
    continuation: Vec<u32>,
    prefix_length: usize,
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
        (&self.encoder, &self.decoder, self.prefix_length, self.continuation.len())
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
pub const fn room(architecture: Architecture, form: ScoringForm, limit: usize) -> usize {
    match (form, architecture) {
        (ScoringForm::Plain, _) => limit,
        // A context as long as this, a sentinel and the end mark fill the encoder.
        (ScoringForm::Sentinel, Architecture::EncoderDecoder) => limit.saturating_sub(2),
        // Start, one token, sentinel, end and sentinel are read before the first prediction of the continuation.
        (ScoringForm::Sentinel, Architecture::CausalDecoder | Architecture::NonCausalDecoder) => {
            limit.saturating_sub(4)
        }
    }
}

/// The row that scores `continuation` after `context`, when each stack reads `limit` positions.
///
/// Plain: a decoder reads the context and then the continuation, an encoder–decoder has the context in its encoder; the
/// context of a non-causal decoder sees itself both ways. Sentinel: the context, the first sentinel and the end mark
/// are read, then the same sentinel and the continuation; all of the first part is the prefix. An empty context is the
/// start mark to a decoder and the end mark to an encoder: what stands before a text in training.
///
/// # Errors
/// The continuation is empty or too long.
pub fn scoring_row(
    architecture: Architecture,
    form: ScoringForm,
    vocabulary: &Vocabulary,
    context: &[u32],
    continuation: &[u32],
    limit: usize,
) -> Result<ScoringRow, ScoringRowError> {
    if continuation.is_empty() {
        return Err(ScoringRowError::Empty);
    }
    let tokens = continuation.len();
    let fits = |room: usize| if tokens > room { Err(ScoringRowError::TooLong { tokens, room }) } else { Ok(()) };
    let sentinel = vocabulary.first_sentinel();
    let kept = |room: usize| context.get(context.len().saturating_sub(room)..).unwrap_or(context);
    let row = |encoder, read: Vec<u32>, prefix_length, kept: &[u32]| {
        let before = continuation.iter().copied().take(tokens - 1);
        let decoder = read.into_iter().chain(before).collect();
        let cut = context.len() - kept.len();
        ScoringRow { encoder, decoder, continuation: continuation.to_vec(), prefix_length, cut }
    };
    match (architecture, form) {
        (Architecture::CausalDecoder | Architecture::NonCausalDecoder, form) => {
            let (read, kept) = match form {
                ScoringForm::Plain => {
                    fits(limit)?;
                    let kept = kept(limit + 1 - tokens);
                    (if context.is_empty() { vec![vocabulary.start()] } else { kept.to_vec() }, kept)
                }
                ScoringForm::Sentinel => {
                    let room = limit.saturating_sub(3);
                    fits(room)?;
                    let kept = kept(room - tokens);
                    ([&[vocabulary.start()], kept, &[sentinel, vocabulary.end(), sentinel]].concat(), kept)
                }
            };
            let opening = usize::from(form == ScoringForm::Sentinel);
            let bidirectional = architecture == Architecture::NonCausalDecoder;
            let prefix_length = if bidirectional { read.len() - opening } else { 0 };
            Ok(row(None, read, prefix_length, kept))
        }
        (Architecture::EncoderDecoder, ScoringForm::Plain) => {
            fits(limit)?;
            let kept = kept(limit);
            let encoder = if context.is_empty() { vec![vocabulary.end()] } else { kept.to_vec() };
            Ok(row(Some(encoder), vec![vocabulary.start()], 0, kept))
        }
        (Architecture::EncoderDecoder, ScoringForm::Sentinel) => {
            fits(limit.saturating_sub(1))?;
            let kept = kept(limit.saturating_sub(2));
            let encoder = [kept, &[sentinel, vocabulary.end()]].concat();
            Ok(row(Some(encoder), vec![vocabulary.start(), sentinel], 0, kept))
        }
    }
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

/// Rows of any lengths as one batch, padded on the right; only continuations carry weight.
#[must_use]
pub fn scoring_batch(rows: &[&ScoringRow], vocabulary: &Vocabulary) -> Batch {
    let decoder_len = rows.iter().map(|row| row.decoder.len()).max().unwrap_or(0);
    let encoder_len = rows.iter().filter_map(|row| row.encoder.as_ref()).map(Vec::len).max();
    let mut batch = Batch::empty(decoder_len, encoder_len);
    batch.rows = rows.len();
    for row in rows {
        push_padded(&mut batch.decoder, &row.decoder, vocabulary);
        if let (Some(side), Some(tokens)) = (&mut batch.encoder, &row.encoder) {
            push_padded(side, tokens, vocabulary);
        }
        let before = row.decoder.len() - row.continuation.len();
        let after = decoder_len - row.decoder.len();
        batch.targets.extend(std::iter::repeat_n(0, before));
        batch.targets.extend(&row.continuation);
        batch.targets.extend(std::iter::repeat_n(0, after));
        batch.loss_weights.extend(std::iter::repeat_n(0.0, before));
        batch.loss_weights.extend(std::iter::repeat_n(1.0, row.continuation.len()));
        batch.loss_weights.extend(std::iter::repeat_n(0.0, after));
        batch.prefix_lengths.push(row.prefix_length as u32);
    }
    batch
}

fn push_padded(side: &mut Side, tokens: &[u32], vocabulary: &Vocabulary) {
    side.push(1, tokens);
    let padding = side.length - tokens.len();
    side.tokens.extend(std::iter::repeat_n(vocabulary.pad(), padding));
    side.positions.extend(std::iter::repeat_n(0, padding));
    side.segments.extend(std::iter::repeat_n(0, padding));
}

#[cfg(test)]
mod tests {
    use super::*;
    use Architecture::{CausalDecoder as CD, EncoderDecoder as ED, NonCausalDecoder as ND};
    use ScoringForm::{Plain, Sentinel};

    const START: u32 = 11;
    const END: u32 = 10;
    const PAD: u32 = 12;
    const X0: u32 = 140;

    fn vocabulary() -> Vocabulary {
        Vocabulary::new(10)
    }

    /// Encoder, decoder, prefix length and cut.
    fn row(a: Architecture, form: ScoringForm, context: &[u32], limit: usize) -> (Vec<u32>, Vec<u32>, usize, usize) {
        let row = scoring_row(a, form, &vocabulary(), context, &[7, 8, 9], limit).unwrap();
        assert_eq!(row.scored(), 3);
        (row.encoder.unwrap_or_default(), row.decoder, row.prefix_length, row.cut)
    }

    #[test]
    fn literal_rows() {
        assert_eq!(row(CD, Plain, &[1, 2], 9), (vec![], vec![1, 2, 7, 8], 0, 0));
        assert_eq!(row(ND, Plain, &[1, 2], 9), (vec![], vec![1, 2, 7, 8], 2, 0));
        assert_eq!(row(ED, Plain, &[1, 2], 9), (vec![1, 2], vec![START, 7, 8], 0, 0));
        assert_eq!(row(CD, Plain, &[], 9), (vec![], vec![START, 7, 8], 0, 0));
        assert_eq!(row(ND, Plain, &[], 9), (vec![], vec![START, 7, 8], 1, 0));
        assert_eq!(row(ED, Plain, &[], 9), (vec![END], vec![START, 7, 8], 0, 0));
        assert_eq!(row(CD, Sentinel, &[1, 2], 9), (vec![], vec![START, 1, 2, X0, END, X0, 7, 8], 0, 0));
        assert_eq!(row(ND, Sentinel, &[1, 2], 9), (vec![], vec![START, 1, 2, X0, END, X0, 7, 8], 5, 0));
        assert_eq!(row(ED, Sentinel, &[1, 2], 9), (vec![1, 2, X0, END], vec![START, X0, 7, 8], 0, 0));
        assert_eq!(row(ED, Sentinel, &[], 9), (vec![X0, END], vec![START, X0, 7, 8], 0, 0));
    }

    #[test]
    fn contexts_are_cut_on_the_left_and_continuations_never() {
        let context = [1, 2, 3, 4, 5];
        // The last limit + 1 ids of context and continuation, less the last one.
        assert_eq!(row(CD, Plain, &context, 4), (vec![], vec![4, 5, 7, 8], 0, 3));
        assert_eq!(row(ND, Plain, &context, 3), (vec![], vec![5, 7, 8], 1, 4));
        assert_eq!(row(ED, Plain, &context, 3), (vec![3, 4, 5], vec![START, 7, 8], 0, 2));
        assert_eq!(row(ND, Sentinel, &context, 7), (vec![], vec![START, 5, X0, END, X0, 7, 8], 4, 4));
        assert_eq!(row(CD, Sentinel, &context, 6), (vec![], vec![START, X0, END, X0, 7, 8], 0, 5));
        assert_eq!(row(ED, Sentinel, &context, 4), (vec![4, 5, X0, END], vec![START, X0, 7, 8], 0, 3));
        let refused = |a, form, limit| scoring_row(a, form, &vocabulary(), &context, &[7, 8, 9], limit).unwrap_err();
        assert_eq!(refused(CD, Plain, 2), ScoringRowError::TooLong { tokens: 3, room: 2 });
        assert_eq!(refused(ED, Plain, 2), ScoringRowError::TooLong { tokens: 3, room: 2 });
        assert_eq!(refused(ND, Sentinel, 5), ScoringRowError::TooLong { tokens: 3, room: 2 });
        assert_eq!(refused(ED, Sentinel, 3), ScoringRowError::TooLong { tokens: 3, room: 2 });
        assert_eq!(scoring_row(CD, Plain, &vocabulary(), &context, &[], 9), Err(ScoringRowError::Empty));
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
            for (architecture, form) in [(CD, Plain), (ED, Plain), (ND, Sentinel), (ED, Sentinel)] {
                let tokens: Vec<u32> = (0..length).map(|n| n % 10).collect();
                let windows = rolling_windows(&tokens, room(architecture, form, 8));
                assert_eq!(windows.iter().flat_map(|(_, scored)| scored.clone()).collect::<Vec<_>>(), tokens);
                for (context, scored) in &windows {
                    let row = scoring_row(architecture, form, &vocabulary(), context, scored, 8).unwrap();
                    assert_eq!(row.cut(), 0, "no window is cut again");
                    assert!(row.decoder.len() <= 8);
                }
            }
        }
    }

    #[test]
    fn a_batch_is_padded_on_the_right() {
        let one = scoring_row(ED, Plain, &vocabulary(), &[1], &[7, 8, 9], 9).unwrap();
        let other = scoring_row(ED, Plain, &vocabulary(), &[1, 2], &[3], 9).unwrap();
        let batch = scoring_batch(&[&one, &other], &vocabulary());
        assert_eq!(batch.decoder.tokens, [START, 7, 8, START, PAD, PAD]);
        assert_eq!(batch.decoder.positions, [0, 1, 2, 0, 0, 0]);
        assert_eq!(batch.decoder.segments, [1, 1, 1, 1, 0, 0]);
        assert_eq!(batch.targets, [7, 8, 9, 3, 0, 0]);
        assert_eq!(batch.loss_weights, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
        let encoder = batch.encoder.unwrap();
        assert_eq!((encoder.tokens, encoder.segments), (vec![1, PAD, 1, 2], vec![1, 0, 1, 1]));
    }
}
