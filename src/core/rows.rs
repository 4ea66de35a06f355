//! How many positions an example takes, for each architecture × objective: arithmetic shared by planner and batcher.
//! Source: Wang et al. 2022 (arXiv 2204.05832) and the random-span helper of T5 (arXiv 1910.10683, §3.1.4).

use super::architecture::{Architecture, Layout};
use super::objective::{MixturePart, Objective, ObjectiveSpec, Task};

/// Tokens of a held-out text that is continued, half of them its prefix: wherever the model can read that many and the marks
/// around them.
const CONTINUATION: usize = 64;

/// Positions that the longest form of a continuation needs besides its tokens.
const CONTINUATION_MARKS: usize = 4; // one more with a mode token, which then costs a token of the prefix

/// Tokens of the texts by which all cells are compared, prefix and continuation, for models that read `seq_len` positions: the
/// largest power of two that fits, at most 64; below 2 there is nothing to continue.
#[must_use]
pub const fn continuation_window(seq_len: usize) -> usize {
    match seq_len.saturating_sub(CONTINUATION_MARKS).checked_ilog2() {
        Some(power) if 1 << power < CONTINUATION => 1 << power,
        Some(_) => CONTINUATION,
        None => 0,
    }
}

/// Lengths of one span-corrupted example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanLengths {
    /// Tokens of raw text.
    pub raw: usize,
    /// Tokens removed.
    pub noise: usize,
    /// Spans they form; each becomes one sentinel.
    pub spans: usize,
    /// Kept tokens, sentinels and end mark.
    pub inputs: usize,
    /// Removed tokens, sentinels and end mark.
    pub targets: usize,
}

/// The lengths that `raw` tokens give; `None` if there is no room for one kept and one removed token.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "lengths are far below 2^52"
)]
pub fn span_lengths(raw: usize, noise_density: f64, mean_noise_span_length: f64) -> Option<SpanLengths> {
    if raw < 2 {
        return None;
    }
    let noise = ((raw as f64 * noise_density).round_ties_even() as usize).clamp(1, raw - 1);
    let spans = ((noise as f64 / mean_noise_span_length).round_ties_even() as usize).clamp(1, noise.min(raw - noise));
    Some(SpanLengths { raw, noise, spans, inputs: raw - noise + spans + 1, targets: noise + spans + 1 })
}

/// The longest raw window whose inputs and targets fit into `budget` positions together.
///
/// With 626 positions, density 0.15 and mean 3 this is T5's 568 → 512 + 114.
#[must_use]
pub fn span_window(budget: usize, noise_density: f64, mean_noise_span_length: f64) -> Option<SpanLengths> {
    (2..budget)
        .rev()
        .filter_map(|raw| span_lengths(raw, noise_density, mean_noise_span_length))
        .find(|lengths| lengths.inputs + lengths.targets <= budget)
}

/// The most that examples of a task take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskLengths {
    /// Raw tokens of text.
    pub window: usize,
    /// Inputs: what an encoder reads.
    pub inputs: usize,
    /// Targets: what a decoder behind an encoder writes.
    pub targets: usize,
    /// Both in one row.
    pub row: usize,
}

/// Standard deviations above the mean that a random number of removed tokens or spans may lie: rows have room for as many, and
/// in the few examples that would have more the last ones are kept.
const SPREAD: f64 = 2.0;

/// The most tokens that i.i.d. denoising removes from `raw`, and the most spans they form: mean and [`SPREAD`] deviations.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "lengths are far below 2^52"
)]
pub fn iid_bounds(raw: usize, noise_density: f64) -> (usize, usize) {
    let (n, p) = (raw as f64, noise_density);
    let spread = SPREAD * (n * p * (1.0 - p)).sqrt();
    let noise = ((n * p + spread).ceil() as usize).clamp(1, raw);
    (noise, ((n * p * (1.0 - p) + p + spread).ceil() as usize).clamp(1, noise))
}

/// Tokens of `raw` that blanks hide at least, and the most blanks: as many as blanks of the mean length give, and
/// [`SPREAD`] deviations of a Poisson number more.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "lengths are far below 2^52"
)]
pub fn blank_bounds(raw: usize, noise_density: f64, mean_length: f64) -> (usize, usize) {
    let noise = ((raw as f64 * noise_density).ceil() as usize).clamp(1, raw.max(1));
    let blanks = noise as f64 / mean_length.max(1.0);
    (noise, ((blanks + SPREAD * blanks.sqrt()).ceil() as usize).clamp(1, noise))
}

/// What `part` takes when a row has `seq_len` positions; `None` if nothing fits. Whatever the architecture, a task reads
/// windows of one length.
#[must_use]
pub fn task_lengths(part: &MixturePart, seq_len: usize) -> Option<TaskLengths> {
    let marks = usize::from(part.mode.is_some());
    let room = seq_len.checked_sub(marks).filter(|room| *room >= 2)?;
    let lengths =
        |window, inputs, targets, row| Some(TaskLengths { window, inputs: inputs + marks, targets, row: row + marks });
    let density = part.noise_density;
    match part.task {
        Task::FullLm => lengths(room, 0, room, room),
        Task::PrefixLm => lengths(room, room - 1, room - 1, room),
        Task::Suffix => {
            let suffix = suffix_length(room, density);
            lengths(room, room - suffix, suffix, room)
        }
        Task::SpanCorruption => {
            // A rolled span may lie at both ends, with a sentinel at each.
            let more = usize::from(part.rolled);
            let spans = span_window(room.checked_sub(2 * more)?, density, part.mean_noise_span_length)?;
            let (inputs, targets) = (spans.inputs + more, spans.targets + more);
            lengths(spans.raw, inputs, targets, inputs + targets)
        }
        Task::IidDenoising => (2..room).rev().find_map(|raw| {
            let (noise, spans) = iid_bounds(raw, density);
            let (inputs, targets) = (raw + 1, noise + spans + 1);
            if inputs + targets > room { None } else { lengths(raw, inputs, targets, raw + 2 * spans + 2) }
        }),
        Task::MaskedLm => lengths(room - 1, 0, room, room),
        Task::Prompted => {
            let (inputs, targets) = prompt_lengths(room);
            lengths(0, inputs, targets, room)
        }
        Task::BlankTokens | Task::BlankSentences | Task::BlankDocument => (2..room).rev().find_map(|raw| {
            let row = 1 + raw + 2 * most_blanks(part, raw);
            if row > room { None } else { lengths(raw, 0, row, row) }
        }),
    }
}

/// Positions of a row of `seq_len` that belong to the inputs and to the targets of a prompt: a quarter is for targets, as in
/// T0 (1024 and 256 of 1280 there).
#[must_use]
pub const fn prompt_lengths(seq_len: usize) -> (usize, usize) {
    let targets = if seq_len < 8 { 1 } else { seq_len / 4 };
    (seq_len.saturating_sub(targets), targets)
}

/// The most blanks that a task makes in `raw` tokens.
#[must_use]
pub fn most_blanks(part: &MixturePart, raw: usize) -> usize {
    if part.task == Task::BlankDocument { 1 } else { blank_bounds(raw, part.noise_density, 3.0).1 }
}

/// The last tokens of `raw` that are predicted: a share of them, at least one, and one is kept.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "lengths are far below 2^52"
)]
pub fn suffix_length(raw: usize, noise_density: f64) -> usize {
    ((raw as f64 * noise_density).round_ties_even() as usize).clamp(1, raw.saturating_sub(1).max(1))
}

/// Positions of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchShape {
    /// Rows.
    pub rows: usize,
    /// Encoder positions per row; 0 without an encoder.
    pub encoder_len: usize,
    /// Decoder positions per row.
    pub decoder_len: usize,
    /// Raw tokens that one example takes from the stream.
    pub window: usize,
    /// Examples packed into one row.
    pub examples_per_row: usize,
}

impl BatchShape {
    /// Positions of the whole batch, encoder and decoder.
    #[must_use]
    pub const fn positions(&self) -> usize {
        self.rows * (self.encoder_len + self.decoder_len)
    }
}

/// The shape of `examples` examples of `seq_len` positions; `None` where nothing fits (too short, or an odd number
/// of examples where two share a row). Rows of a mixture have room for the longest of its tasks.
#[must_use]
pub fn batch_shape(
    architecture: Architecture,
    objective: &ObjectiveSpec,
    examples: usize,
    seq_len: usize,
) -> Option<BatchShape> {
    if examples == 0 || seq_len < 2 {
        return None;
    }
    let parts = objective.parts();
    let lengths = parts.iter().map(|part| task_lengths(part, seq_len)).collect::<Option<Vec<_>>>()?;
    let most = |of: fn(&TaskLengths) -> usize| lengths.iter().map(of).max();
    let window = most(|task| task.window)?;
    if packs_pairs(architecture, objective) {
        let rows = examples / 2;
        let shape = BatchShape { rows, encoder_len: seq_len, decoder_len: seq_len, window, examples_per_row: 2 };
        return examples.is_multiple_of(2).then_some(shape);
    }
    let (encoder_len, decoder_len) = match architecture.layout() {
        Layout::EncoderDecoder => (most(|task| task.inputs)?, most(|task| task.targets)?),
        Layout::Decoder { .. } | Layout::Encoder => (0, most(|task| task.row)?),
    };
    Some(BatchShape { rows: examples, encoder_len, decoder_len, window, examples_per_row: 1 })
}

/// Whether two examples share a row, each with what the other leaves free: prefix LM between an encoder and a decoder
/// (Wang et al. 2022, arXiv 2204.05832, its code). A mixture does not: its rows have one example each.
#[must_use]
pub fn packs_pairs(architecture: Architecture, objective: &ObjectiveSpec) -> bool {
    architecture.has_encoder() && objective.objective == Objective::PrefixLm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t5_lengths() {
        let spans = span_window(626, 0.15, 3.0).unwrap();
        assert_eq!(spans, SpanLengths { raw: 568, noise: 85, spans: 28, inputs: 512, targets: 114 });
        assert!(span_window(4, 0.15, 3.0).is_none());
        assert!(span_window(6, 0.15, 3.0).is_some());
    }

    #[test]
    fn windows_never_exceed_the_budget() {
        for budget in 6..700 {
            let spans = span_window(budget, 0.15, 3.0).unwrap();
            assert!(spans.inputs + spans.targets <= budget);
            assert_eq!(spans.inputs + spans.targets, spans.raw + 2 * spans.spans + 2);
        }
    }
}
