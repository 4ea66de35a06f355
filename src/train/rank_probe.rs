//! The rank probe: a few held-out texts at the run's full length, read by the model as it stands, and the ranks of what
//! it looks through while it reads. The texts are the same at every step, for every seed and objective of a corpus.
//! Promises: nothing of training is touched; no random draw is made; one example is in memory at a time.

use candle_core::Tensor;

use super::{TrainError, Trainer};
use crate::core::picture::{MOST_CELLS, Picture};
use crate::core::rank::{AttentionKind, HeadRank, RankMeasures, RankReport, ResidualRank, StackKind};
use crate::core::{Layout, RunSpec};
use crate::corpus::{Corpus, Vocabulary, validation_start};
use crate::model::{Capture, Matrices};
use crate::objective::{Batch, Side};
use crate::rank::spectrum::thinned;
use crate::rank::{measures, pooled, rank_one_residual, spectrum};

/// Probe examples: enough to see whether a head depends on the text, few enough to be cheap.
const EXAMPLES: u64 = 2;

/// Singular values kept per head.
const SPECTRUM: usize = 64;

/// The probe examples of a run.
#[derive(Clone, Debug)]
pub struct RankProbe {
    examples: Vec<Batch>,
    layout: Layout,
    seq_len: usize,
    prefix_length: usize,
}

/// Called between singular value decompositions, so that a long probe still shows life.
pub type Beat<'a> = &'a mut dyn FnMut() -> Result<(), TrainError>;

impl RankProbe {
    /// Two texts of the validation stream. A decoder reads `seq_len` tokens behind the start mark, a non-causal one half
    /// of them as its prefix; an encoder reads `seq_len` tokens and its decoder the `seq_len` that follow them. All stacks
    /// are so probed at the same length, whatever their objective.
    ///
    /// # Errors
    /// The validation text is too short, or the corpus cannot be read.
    pub fn new(spec: &RunSpec, corpus: &Corpus) -> Result<Self, TrainError> {
        let (architecture, seq_len) = (spec.model.architecture, spec.training.seq_len);
        let (window, prefix_length) = match architecture.layout() {
            Layout::Decoder { prefix } => (seq_len, if prefix { seq_len / 2 } else { 0 }),
            Layout::EncoderDecoder => (2 * seq_len, 0),
            Layout::Encoder => (seq_len, 0),
        };
        let stream = corpus.validation();
        let example = |number: u64| {
            let start = validation_start(stream.len(), window, number, EXAMPLES)?;
            let text = stream.window(start, window)?;
            Ok(reading(&corpus.vocabulary(), &text, seq_len, prefix_length))
        };
        let examples = (0..EXAMPLES).map(example).collect::<Result<Vec<_>, TrainError>>()?;
        Ok(Self { examples, layout: architecture.layout(), seq_len, prefix_length })
    }

    /// The ranks of the model as it stands, means over the examples.
    ///
    /// # Errors
    /// The device fails, `beat` fails, or [`TrainError::Rank`] if the model computes values that are not finite.
    #[expect(clippy::cast_precision_loss, reason = "a few examples")]
    pub fn measure(&self, trainer: &Trainer, beat: Beat<'_>) -> Result<RankReport, TrainError> {
        let of = |example| self.one(trainer, example, &mut *beat);
        let mut seen = self.examples.iter().map(of).collect::<Result<Vec<_>, _>>()?.into_iter();
        let first = seen.next().ok_or_else(|| TrainError::Spec("the rank probe has no examples".to_owned()))?;
        let Seen { mut report, pictures } = first;
        let others: Vec<Seen> = seen.collect();
        average(&mut report, &others.iter().map(|seen| &seen.report).collect::<Vec<_>>());
        for (place, (head, mut sum)) in report.heads.iter_mut().zip(pictures).enumerate() {
            for picture in others.iter().filter_map(|seen| seen.pictures.get(place)) {
                sum.iter_mut().zip(picture).for_each(|(sum, mass)| *sum += mass);
            }
            let share = 1.0 / self.examples.len() as f64;
            head.picture = Picture::packed(&sum.iter().map(|sum| sum * share).collect::<Vec<_>>());
        }
        Ok(report)
    }

    fn one(&self, trainer: &Trainer, example: &Batch, beat: Beat<'_>) -> Result<Seen, TrainError> {
        let Capture { encoder, decoder } = trainer.observe(example)?;
        let (mut heads, mut pictures) = (Vec::new(), Vec::new());
        let (last_kind, last_stack) = match self.layout {
            Layout::Encoder => (AttentionKind::EncoderSelf, StackKind::Encoder),
            Layout::Decoder { .. } | Layout::EncoderDecoder => (AttentionKind::DecoderSelf, StackKind::Decoder),
        };
        for (kind, layers) in [
            (AttentionKind::EncoderSelf, &encoder.attention),
            (last_kind, &decoder.attention),
            (AttentionKind::Cross, &decoder.cross),
        ] {
            for (layer, matrices) in layers.iter().enumerate() {
                heads_of(kind, layer, matrices, (&mut heads, &mut pictures), beat)?;
            }
        }
        let mut residual = Vec::new();
        for (stack, depths) in [(StackKind::Encoder, &encoder.residual), (last_stack, &decoder.residual)] {
            for (depth, states) in depths.iter().enumerate() {
                beat()?;
                let (values, rows, columns) = matrix(&states.get(0)?)?; // [T, D]
                residual.push(ResidualRank {
                    stack,
                    depth,
                    measures: measures(&spectrum(&values, rows, columns)?, rows, columns),
                    rank_one_residual: rank_one_residual(&values, rows, columns)?,
                });
            }
        }
        let (seq_len, prefix_length, examples) = (self.seq_len, self.prefix_length, self.examples.len());
        Ok(Seen { report: RankReport { seq_len, prefix_length, examples, heads, residual }, pictures })
    }
}

/// What one example shows: pictures of the heads in the order of the report, kept exact until they are averaged.
struct Seen {
    report: RankReport,
    pictures: Vec<Vec<f64>>,
}

/// One row: the last `length` tokens of `text` shifted right for the decoder, what stands before them for an encoder.
/// It carries no loss.
fn reading(vocabulary: &Vocabulary, text: &[u32], length: usize, prefix_length: usize) -> Batch {
    let (before, own) = text.split_at(text.len().saturating_sub(length));
    let shifted: Vec<u32> = std::iter::once(vocabulary.start()).chain(own.iter().copied()).take(own.len()).collect();
    Batch {
        rows: 1,
        decoder: Side::alone(&shifted),
        encoder: (!before.is_empty()).then(|| Side::alone(before)),
        targets: vec![0; own.len()],
        loss_weights: vec![0.0; own.len()],
        prefix_lengths: vec![u32::try_from(prefix_length).unwrap_or(u32::MAX)],
    }
}

fn heads_of(
    attention: AttentionKind,
    layer: usize,
    matrices: &Matrices,
    (heads, pictures): (&mut Vec<HeadRank>, &mut Vec<Vec<f64>>),
    beat: Beat<'_>,
) -> Result<(), TrainError> {
    let (_, count, queries, keys) = matrices.probabilities.dims4()?;
    for head in 0..count {
        beat()?;
        let (probabilities, rows, columns) = matrix(&matrices.probabilities.get(0)?.get(head)?)?; // [T, S]
        let values = spectrum(&probabilities, rows, columns)?;
        pictures.push(pooled(&probabilities, rows, columns, MOST_CELLS)?);
        let one_way = one_way(&probabilities, rows, columns);
        beat()?;
        let (logits, rows, columns) = matrix(&matrices.logits.get(0)?.get(head)?)?; // [T, S]
        heads.push(HeadRank {
            attention,
            layer,
            head,
            queries,
            keys,
            one_way,
            of_probabilities: measures(&values, rows, columns),
            of_logits: measures(&spectrum(&logits, rows, columns)?, rows, columns),
            spectrum: thinned(&values, SPECTRUM),
            picture: Picture::default(),
        });
    }
    Ok(())
}

/// Whether a square P is zero on one side of its diagonal.
fn one_way(probabilities: &[f32], rows: usize, columns: usize) -> bool {
    let zero = |seen: fn(usize, usize) -> bool| {
        let mut entries = probabilities.iter().enumerate();
        entries.all(|(place, value)| seen(place / columns, place % columns) || *value == 0.0)
    };
    rows == columns && (zero(|query, key| key <= query) || zero(|query, key| key >= query))
}

fn matrix(tensor: &Tensor) -> Result<(Vec<f32>, usize, usize), TrainError> {
    let (rows, columns) = tensor.dims2()?;
    Ok((tensor.flatten_all()?.to_vec1::<f32>()?, rows, columns))
}

/// Turns the first report into the mean of all; they list the same heads and depths in the same order.
#[expect(clippy::cast_precision_loss, reason = "a few examples")]
fn average(report: &mut RankReport, others: &[&RankReport]) {
    for (place, head) in report.heads.iter_mut().enumerate() {
        let same: Vec<&HeadRank> = others.iter().filter_map(|other| other.heads.get(place)).collect();
        let of = |own: RankMeasures, measure: fn(&HeadRank) -> RankMeasures| {
            RankMeasures::mean(&std::iter::once(own).chain(same.iter().map(|head| measure(head))).collect::<Vec<_>>())
        };
        head.of_probabilities = of(head.of_probabilities, |head| head.of_probabilities);
        head.of_logits = of(head.of_logits, |head| head.of_logits);
        for (index, value) in head.spectrum.iter_mut().enumerate() {
            let sum: f32 = same.iter().filter_map(|head| head.spectrum.get(index)).sum();
            *value = (*value + sum) / (same.len() + 1) as f32;
        }
    }
    for (place, depth) in report.residual.iter_mut().enumerate() {
        let same: Vec<&ResidualRank> = others.iter().filter_map(|other| other.residual.get(place)).collect();
        let all: Vec<RankMeasures> = std::iter::once(depth.measures).chain(same.iter().map(|d| d.measures)).collect();
        depth.measures = RankMeasures::mean(&all);
        let sum: f64 = same.iter().map(|depth| depth.rank_one_residual).sum();
        depth.rank_one_residual = (depth.rank_one_residual + sum) / (same.len() + 1) as f64;
    }
}
