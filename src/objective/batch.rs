//! The shape of a batch, and the feature converter: which example meets which architecture.
//! Promises: illegal cells are refused by `core::legal`; every row is filled to its length.
//! Must not know: how a task makes its examples.

use std::ops::Range;

use rand::Rng;

use super::draw::{chosen, example};
use super::error::ObjectiveError;
use super::example::{Example, Words};
use super::prefix_lm;
use crate::core::legal;
use crate::core::rows::{BatchShape, batch_shape, packs_pairs, prompt_lengths};
use crate::core::{Architecture, Layout, ObjectiveSpec};
use crate::corpus::{Mark, Vocabulary};

/// Tokens of one stack, row by row: three matrices of rows × `length`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Positions per row.
    pub length: usize,
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Place of each token in its own segment, from 0; a token that fills a blank has the place of the blank.
    pub positions: Vec<u32>,
    /// Place of each token inside its blank, from 1, and 0 outside: GLM's second positions; empty where no row has blanks.
    pub block_positions: Vec<u32>,
    /// Which example of the row a token belongs to, from 1; 0 is padding. Tokens see their own segment only.
    pub segments: Vec<u32>,
}

impl Side {
    /// One row of one example.
    #[must_use]
    pub fn alone(tokens: &[u32]) -> Self {
        let mut side = Self::with_length(tokens.len());
        side.push(1, tokens);
        side
    }

    pub(super) fn with_length(length: usize) -> Self {
        Self { length, ..Self::default() }
    }

    /// Its tokens from `from` on, at most up to `to`; of a side of one row.
    #[must_use]
    pub fn part(&self, from: usize, to: usize) -> Self {
        let part = |all: &[u32]| all.get(from.min(all.len())..to.min(all.len())).unwrap_or_default().to_vec();
        let tokens = part(&self.tokens);
        Self {
            length: tokens.len(),
            positions: part(&self.positions),
            block_positions: part(&self.block_positions),
            segments: part(&self.segments),
            tokens,
        }
    }

    fn rows(&self, rows: &Range<usize>) -> Self {
        let part = |all: &[u32]| part(all, self.length, rows);
        Self {
            length: self.length,
            tokens: part(&self.tokens),
            positions: part(&self.positions),
            block_positions: part(&self.block_positions),
            segments: part(&self.segments),
        }
    }

    /// Appends `tokens` as segment `segment`, with positions from 0.
    pub(super) fn push(&mut self, segment: u32, tokens: &[u32]) {
        self.tokens.extend_from_slice(tokens);
        self.positions.extend((0..).take(tokens.len()));
        self.segments.extend(std::iter::repeat_n(segment, tokens.len()));
    }

    /// Appends the tokens of a blank at `place` of the row's only segment.
    pub(super) fn push_blank(&mut self, place: u32, tokens: &[u32]) {
        // What came before stands outside of blanks.
        self.block_positions.resize(self.tokens.len(), 0);
        self.block_positions.extend((1..).take(tokens.len()));
        self.tokens.extend_from_slice(tokens);
        self.positions.extend(std::iter::repeat_n(place, tokens.len()));
        self.segments.extend(std::iter::repeat_n(1, tokens.len()));
    }

    /// Fills `rows` rows with padding.
    pub(super) fn pad(&mut self, rows: usize, vocabulary: &Vocabulary) {
        let size = rows * self.length;
        self.tokens.resize(size, vocabulary.pad());
        self.positions.resize(size, 0);
        self.segments.resize(size, 0);
        if !self.block_positions.is_empty() {
            self.block_positions.resize(size, 0);
        }
    }
}

/// What one forward pass reads and predicts. All matrices are row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Rows.
    pub rows: usize,
    /// What the decoder reads.
    pub decoder: Side,
    /// What the encoder reads; only for encoder–decoders.
    pub encoder: Option<Side>,
    /// What each decoder position predicts: rows × decoder length; the pad mark where nothing is asked.
    pub targets: Vec<u32>,
    /// How much each prediction counts: rows × decoder length.
    pub loss_weights: Vec<f32>,
    /// Leading decoder positions that see each other both ways, per row; 0 is purely causal.
    pub prefix_lengths: Vec<u32>,
}

impl Batch {
    pub(super) fn empty(decoder_len: usize, encoder_len: Option<usize>) -> Self {
        Self {
            rows: 0,
            decoder: Side::with_length(decoder_len),
            encoder: encoder_len.map(Side::with_length),
            targets: Vec::new(),
            loss_weights: Vec::new(),
            prefix_lengths: Vec::new(),
        }
    }

    /// Appends a row: `targets` behind `inputs`, shifted right behind the start mark, or in the decoder with the inputs in the
    /// encoder. Loss is on the targets, and on the inputs of a decoder if `on_inputs`.
    pub(super) fn push_pair(
        &mut self,
        layout: Layout,
        vocabulary: &Vocabulary,
        (inputs, targets): (&[u32], &[u32]),
        on_inputs: bool,
    ) {
        if let Some(encoder) = &mut self.encoder {
            encoder.push(1, inputs);
            self.push_targets(1, vocabulary, targets);
        } else {
            let stream = [inputs, targets].concat();
            self.decoder.push(1, &shifted(vocabulary.start(), &stream));
            let weight_from = if on_inputs { 0 } else { inputs.len() };
            self.loss_weights.extend((0..stream.len()).map(|place| f32::from(u8::from(place >= weight_from))));
            self.targets.extend(stream);
        }
        // Behind the start mark, the last token of the inputs is read at place `inputs.len()`.
        let prefix = if layout == (Layout::Decoder { prefix: true }) { inputs.len() + 1 } else { 0 };
        self.close(prefix, vocabulary);
    }

    /// Appends what the decoder of an encoder–decoder writes in `segment`.
    fn push_targets(&mut self, segment: u32, vocabulary: &Vocabulary, targets: &[u32]) {
        self.decoder.push(segment, &shifted(vocabulary.start(), targets));
        self.targets.extend_from_slice(targets);
        self.loss_weights.extend(targets.iter().map(|_| 1.0));
    }

    /// Appends a row of two examples, one behind the other in both stacks.
    fn push_two(&mut self, vocabulary: &Vocabulary, examples: &[Example; 2]) {
        for (example, segment) in examples.iter().zip(1..) {
            if let (Example::Pair { inputs, targets }, Some(encoder)) = (example, &mut self.encoder) {
                encoder.push(segment, inputs);
                self.push_targets(segment, vocabulary, targets);
            }
        }
        self.close(0, vocabulary);
    }

    /// Appends a row that sees itself both ways, behind the start mark; loss is on the masked places.
    fn push_in_place(&mut self, vocabulary: &Vocabulary, tokens: &[u32], masked: &[(usize, u32)]) {
        let first = self.targets.len() + 1;
        self.decoder.push(1, &[&[vocabulary.start()], tokens].concat());
        self.targets.resize(self.decoder.tokens.len(), vocabulary.pad());
        self.loss_weights.resize(self.decoder.tokens.len(), 0.0);
        for (place, token) in masked {
            if let (Some(target), Some(weight)) =
                (self.targets.get_mut(first + place), self.loss_weights.get_mut(first + place))
            {
                (*target, *weight) = (*token, 1.0);
            }
        }
        self.close(self.decoder.length, vocabulary);
    }

    /// Appends a row of a text behind the start mark, and its blanks, each behind its own; loss is on the blanks.
    pub(super) fn push_blanks(&mut self, vocabulary: &Vocabulary, text: &[u32], blanks: &[(usize, Vec<u32>)]) {
        self.decoder.push(1, &[&[vocabulary.start()], text].concat());
        for (place, blank) in blanks {
            let target = [blank.as_slice(), &[vocabulary.of(Mark::EndOfPiece)]].concat();
            self.decoder.push_blank(*place as u32 + 1, &shifted(vocabulary.of(Mark::StartOfPiece), &target));
            self.targets.resize(self.decoder.tokens.len() - target.len(), vocabulary.pad());
            self.loss_weights.resize(self.targets.len(), 0.0);
            self.loss_weights.extend(target.iter().map(|_| 1.0));
            self.targets.extend(target);
        }
        self.close(text.len() + 1, vocabulary);
    }

    /// A row is complete: what is left of it is padding.
    pub(super) fn close(&mut self, prefix_length: usize, vocabulary: &Vocabulary) {
        self.rows += 1;
        self.prefix_lengths.push(prefix_length as u32);
        self.decoder.pad(self.rows, vocabulary);
        if let Some(encoder) = &mut self.encoder {
            encoder.pad(self.rows, vocabulary);
        }
        self.targets.resize(self.rows * self.decoder.length, vocabulary.pad());
        self.loss_weights.resize(self.rows * self.decoder.length, 0.0);
    }

    /// One row of `seq_len` positions for each of `pairs`, prompts with their targets, laid out for `architecture`. Loss is on the
    /// targets, and on the inputs of a decoder if `on_inputs`. What does not fit is no concern of this: see `prompt_lengths`.
    #[must_use]
    pub fn of_pairs(
        architecture: Architecture,
        seq_len: usize,
        vocabulary: &Vocabulary,
        pairs: &[(Vec<u32>, Vec<u32>)],
        on_inputs: bool,
    ) -> Self {
        let (inputs, targets) = prompt_lengths(seq_len);
        let mut batch =
            if architecture.has_encoder() { Self::empty(targets, Some(inputs)) } else { Self::empty(seq_len, None) };
        for (inputs, targets) in pairs {
            batch.push_pair(architecture.layout(), vocabulary, (inputs, targets), on_inputs);
        }
        batch
    }

    /// Its rows in at most `count` batches of consecutive ones, as equal as can be, each with the number of its first row; parts
    /// that carry no loss are left out.
    #[must_use]
    pub fn split(&self, count: usize) -> Vec<(usize, Self)> {
        let count = count.clamp(1, self.rows.max(1));
        let parts = (0..count).map(|place| {
            let rows = self.rows * place / count..self.rows * (place + 1) / count;
            let part = Self {
                rows: rows.len(),
                decoder: self.decoder.rows(&rows),
                encoder: self.encoder.as_ref().map(|side| side.rows(&rows)),
                targets: part(&self.targets, self.decoder.length, &rows),
                loss_weights: part(&self.loss_weights, self.decoder.length, &rows),
                prefix_lengths: part(&self.prefix_lengths, 1, &rows),
            };
            (rows.start, part)
        });
        parts.filter(|(_, part)| part.loss_weights.iter().any(|weight| *weight != 0.0)).collect()
    }

    /// Sum of the loss weights.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.loss_weights.iter().map(|weight| f64::from(*weight)).sum()
    }
}

/// Rows `rows` of a matrix of `length` columns.
fn part<T: Copy>(all: &[T], length: usize, rows: &Range<usize>) -> Vec<T> {
    all.iter().skip(rows.start * length).take(rows.len() * length).copied().collect()
}

/// Right shift: what is read before each token of `stream` is predicted.
pub(super) fn shifted(start: u32, stream: &[u32]) -> Vec<u32> {
    let before = stream.len().saturating_sub(1);
    std::iter::once(start).take(stream.len()).chain(stream.iter().copied().take(before)).collect()
}

/// The batch of `windows`, in rows of `seq_len` positions laid out for `architecture`. `draw` gives the generator of example i
/// of this batch, counted as `windows` are. The rows are specified by example:
///
#[doc = include_str!("rows.md")]
///
/// # Errors
/// The cell is illegal, the windows do not fit, or there are more spans than sentinels.
pub fn batch<R: Rng>(
    spec: &ObjectiveSpec,
    architecture: Architecture,
    seq_len: usize,
    words: Words<'_>,
    windows: &[Vec<u32>],
    draw: &mut dyn FnMut(usize) -> R,
) -> Result<Batch, ObjectiveError> {
    legal::check(architecture, spec)?;
    let (pairs, layout) = (packs_pairs(architecture, spec), architecture.layout());
    let examples = windows.len().max(1);
    let even = if pairs { examples.next_multiple_of(2) } else { examples };
    let shape = batch_shape(architecture, spec, even, seq_len);
    let lengths = || {
        let mut lengths: Vec<usize> = windows.iter().map(Vec::len).collect();
        lengths.sort_unstable();
        lengths.dedup();
        format!("{lengths:?}")
    };
    let fits = |shape: &BatchShape| windows.iter().all(|window| window.len() == shape.window) && !windows.is_empty();
    let Some(BatchShape { encoder_len, decoder_len, .. }) = shape.filter(fits) else {
        return Err(ObjectiveError::Windows { found: lengths(), least: shape.map_or(2, |shape| shape.window) });
    };
    let mut batch = Batch::empty(decoder_len, (encoder_len > 0).then_some(encoder_len));
    let vocabulary = words.vocabulary;
    if pairs {
        for (row, pair) in windows.chunks(2).enumerate() {
            batch.push_two(vocabulary, &prefix_lm::pair(pair, &mut draw(2 * row))?);
        }
        return Ok(batch);
    }
    let parts = spec.parts();
    for (number, window) in windows.iter().enumerate() {
        let mut draws = draw(number);
        let Some(part) = chosen(&parts, &mut draws) else { continue };
        match example(part, words, window, seq_len, &mut draws)? {
            Example::Pair { inputs, targets } => {
                batch.push_pair(layout, vocabulary, (&inputs, &targets), spec.loss_on_inputs);
            }
            Example::InPlace { tokens, masked } => batch.push_in_place(vocabulary, &tokens, &masked),
            Example::Blanks { text, blanks } => batch.push_blanks(vocabulary, &text, &blanks),
        }
    }
    Ok(batch)
}
