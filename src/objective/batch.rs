//! The shape of a batch, and the feature converter: which objective meets which architecture.
//! Promises: illegal cells are refused by `core::legal`; every row is filled to its length.
//! Must not know: how one objective lays out its rows.

use std::ops::Range;

use rand::Rng;

use super::{full_lm, prefix_lm, span_corruption};
use crate::core::legal::{self, Illegal};
use crate::core::{Architecture, Objective, ObjectiveSpec};
use crate::corpus::{SENTINELS, Vocabulary};

/// Tokens of one stack, row by row: three matrices of rows × `length`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Positions per row.
    pub length: usize,
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Place of each token in its own segment, from 0.
    pub positions: Vec<u32>,
    /// Which example of the row a token belongs to, from 1; 0 is padding. Tokens see their own segment only.
    pub segments: Vec<u32>,
}

impl Side {
    pub(super) fn with_length(length: usize) -> Self {
        Self { length, ..Self::default() }
    }

    fn rows(&self, rows: &Range<usize>) -> Self {
        let part = |all: &[u32]| part(all, self.length, rows);
        let (tokens, positions, segments) = (part(&self.tokens), part(&self.positions), part(&self.segments));
        Self { length: self.length, tokens, positions, segments }
    }

    /// Appends `tokens` as segment `segment`, with positions from 0.
    pub(super) fn push(&mut self, segment: u32, tokens: &[u32]) {
        self.tokens.extend_from_slice(tokens);
        self.positions.extend((0..).take(tokens.len()));
        self.segments.extend(std::iter::repeat_n(segment, tokens.len()));
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
    /// What each decoder position predicts: rows × decoder length.
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

    /// Appends a row with one example: `stream` shifted right behind `start`, with `weight_from` the first position that
    /// carries loss.
    pub(super) fn push_shifted(&mut self, start: u32, stream: &[u32], weight_from: usize, prefix_length: usize) {
        self.rows += 1;
        self.decoder.push(1, &shifted(start, stream));
        self.targets.extend_from_slice(stream);
        self.loss_weights.extend((0..stream.len()).map(|place| f32::from(u8::from(place >= weight_from))));
        self.prefix_lengths.push(prefix_length as u32);
    }

    /// Its rows in at most `count` batches of consecutive ones, as equal as can be; parts that carry no loss are left out.
    #[must_use]
    pub fn split(&self, count: usize) -> Vec<Self> {
        let count = count.clamp(1, self.rows.max(1));
        let parts = (0..count).map(|place| {
            let rows = self.rows * place / count..self.rows * (place + 1) / count;
            Self {
                rows: rows.len(),
                decoder: self.decoder.rows(&rows),
                encoder: self.encoder.as_ref().map(|side| side.rows(&rows)),
                targets: part(&self.targets, self.decoder.length, &rows),
                loss_weights: part(&self.loss_weights, self.decoder.length, &rows),
                prefix_lengths: part(&self.prefix_lengths, 1, &rows),
            }
        });
        parts.filter(|part| part.loss_weights.iter().any(|weight| *weight != 0.0)).collect()
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

/// Why windows cannot become a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectiveError {
    /// The cell is not legal.
    #[error("make a batch: {0}")]
    Illegal(#[from] Illegal),
    /// No windows, windows of different lengths, or too short ones.
    #[error(
        "make a batch from windows of {found} tokens: all must have the same length, at least {least}; raise `training.seq_len`"
    )]
    Windows {
        /// Lengths seen.
        found: String,
        /// Least length.
        least: usize,
    },
    /// An odd number of examples where two share a row.
    #[error(
        "make a batch of {0} examples: an encoder-decoder packs two of them into a row; make `training.micro_batch_size` even"
    )]
    Odd(usize),
    /// More spans than sentinels.
    #[error(
        "mark {0} removed spans with {SENTINELS} sentinels; lower `training.seq_len` or `objective.noise_density`, or raise `objective.mean_noise_span_length`"
    )]
    Spans(usize),
}

/// The batch of `windows`, laid out for `architecture`. `draw` gives the generator of example i of this batch, counted as
/// `windows` are. The rows are specified by example:
///
#[doc = include_str!("rows.md")]
///
/// # Errors
/// The cell is illegal, the windows do not fit, or there are more spans than sentinels.
pub fn batch<R: Rng>(
    spec: &ObjectiveSpec,
    architecture: Architecture,
    vocabulary: &Vocabulary,
    windows: &[Vec<u32>],
    draw: &mut dyn FnMut(usize) -> R,
) -> Result<Batch, ObjectiveError> {
    legal::check(architecture, spec.objective, spec.loss_on_inputs)?;
    let length = windows.first().map_or(0, Vec::len);
    if length < 2 || windows.iter().any(|window| window.len() != length) {
        let mut lengths: Vec<usize> = windows.iter().map(Vec::len).collect();
        lengths.sort_unstable();
        lengths.dedup();
        return Err(ObjectiveError::Windows { found: format!("{lengths:?}"), least: 2 });
    }
    match spec.objective {
        Objective::FullLm => Ok(full_lm::batch(vocabulary, windows, length)),
        Objective::PrefixLm => prefix_lm::batch(spec, architecture, vocabulary, windows, length, draw),
        Objective::SpanCorruption => span_corruption::batch(spec, architecture, vocabulary, windows, length, draw),
    }
}
