//! From a corpus to the batches of a step: which window, which draws. The n-th training example of a run is a pure
//! function of (seed, n), so a data cursor is a count.

use super::TrainError;
use super::prompted::{self, Prompted};
use crate::core::rows::{BatchShape, batch_shape};
use crate::core::seed::{Stream, generator};
use crate::core::{Metric, Metrics, RunSpec};
use crate::corpus::{Corpus, DataOrder, TokenStream, validation_start};
use crate::objective::{Batch, UnigramCounts, Words, batch, target_places};

/// Seed of validation draws: the same examples for every run.
const VALIDATION_SEED: u64 = 0;

/// Batches of one run.
#[derive(Debug)]
pub struct Examples<'a> {
    spec: &'a RunSpec,
    corpus: &'a Corpus,
    micro_batch: usize,
    source: Source,
}

/// Where examples come from.
#[derive(Debug)]
enum Source {
    /// Windows of the corpus.
    Text {
        order: DataOrder,
        window: usize,
        /// Which text ids end a sentence.
        ends: Vec<bool>,
    },
    /// Prompts with their targets.
    Tasks(Prompted),
}

/// The validation examples.
#[derive(Clone, Debug)]
pub struct ValidationSet {
    /// Fixed examples with fixed draws.
    pub batches: Vec<Batch>,
    /// UTF-8 bytes of text that their weighted targets cover; sentinels and end marks cover none. Absent if the corpus does not
    /// say what its tokens cover.
    pub bytes: Option<u64>,
}

/// Totals over the validation examples.
#[derive(Clone, Copy, Debug)]
pub struct ValidationTotals {
    /// Weighted targets.
    pub weight: f64,
    /// As in [`ValidationSet`].
    pub bytes: Option<u64>,
    /// Entropy of the targets' unigram distribution, nats.
    pub entropy: f64,
}

impl<'a> Examples<'a> {
    /// The examples of `spec` in `corpus`.
    ///
    /// # Errors
    /// An example does not fit the sequence length or the corpus, or the corpus has another vocabulary than the spec.
    pub fn new(spec: &'a RunSpec, corpus: &'a Corpus) -> Result<Self, TrainError> {
        let (found, needed) = (corpus.vocabulary().size() as usize, spec.model.vocab_size);
        if found != needed {
            return Err(TrainError::Spec(format!("vocab_size is {needed}, the corpus has {found} tokens")));
        }
        let shape = shape(spec, spec.training.micro_batch_size)?;
        let source = if let Some(prompts) = &spec.prompts {
            Source::Tasks(Prompted::new(spec, prompts, corpus)?)
        } else {
            let text = 0..corpus.vocabulary().text_size();
            Source::Text {
                order: DataOrder::new(spec.seed, corpus.train().len(), shape.window)?,
                window: shape.window,
                ends: text.map(|id| corpus.tokenizer().ends_sentence(id)).collect(),
            }
        };
        Ok(Self { spec, corpus, micro_batch: spec.training.micro_batch_size, source })
    }

    /// What a person should know of the data, a sentence each.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let mut notices = self.spec.data.notices.clone();
        // What the corpus was told when it was prepared, perhaps for another study.
        let coverage = self.corpus.manifest().coverage.sentence("the text");
        notices.extend(coverage);
        if self.corpus.byte_counts().is_none() {
            notices.push(
                "bits per byte are not measured, because an earlier version prepared the corpus; prepare it again with `trilab \
                 corpus prepare`"
                    .to_owned(),
            );
        }
        notices.extend(self.skipped());
        if let Source::Tasks(tasks) = &self.source {
            notices.extend(tasks.notices().iter().cloned());
        }
        notices
    }

    fn skipped(&self) -> Option<String> {
        match &self.source {
            Source::Tasks(tasks) if tasks.skipped() > 0 => Some(format!(
                "{} prompts are left out: their targets are longer than a quarter of training.seq_len {}",
                tasks.skipped(),
                self.spec.training.seq_len
            )),
            Source::Tasks(_) | Source::Text { .. } => None,
        }
    }

    /// The micro-batches of the step whose first example is number `cursor`.
    ///
    /// # Errors
    /// The corpus cannot be read.
    pub fn step(&self, cursor: u64) -> Result<Vec<Batch>, TrainError> {
        let examples: Vec<u64> = (cursor..cursor + self.spec.training.batch_size as u64).collect();
        examples.chunks(self.micro_batch).map(|chunk| self.training_batch(chunk)).collect()
    }

    fn training_batch(&self, examples: &[u64]) -> Result<Batch, TrainError> {
        let first = examples.first().copied().unwrap_or(0);
        match &self.source {
            Source::Tasks(tasks) => {
                let pair = |example: &u64| tasks.drawn(&mut generator(self.spec.seed, Stream::Objective, *example));
                prompted::batch(self.spec, self.corpus, &examples.iter().map(pair).collect::<Vec<_>>())
            }
            Source::Text { order, window, ends } => {
                let text = |example: &u64| self.corpus.train().window(order.start_of(*example), *window);
                let windows = examples.iter().map(text).collect::<Result<Vec<_>, _>>()?;
                self.batch(&windows, ends, self.spec.seed, Stream::Objective, first)
            }
        }
    }

    fn batch(
        &self,
        windows: &[Vec<u32>],
        ends: &[bool],
        seed: u64,
        stream: Stream,
        first: u64,
    ) -> Result<Batch, TrainError> {
        let mut draw = |example: usize| generator(seed, stream, first + example as u64);
        let (architecture, seq_len) = (self.spec.model.architecture, self.spec.training.seq_len);
        let (vocabulary, ends_sentence) = (self.corpus.vocabulary(), ends_sentence(ends));
        let words = Words { vocabulary: &vocabulary, ends_sentence: &ends_sentence };
        Ok(batch(&self.spec.objective, architecture, seq_len, words, windows, &mut draw)?)
    }

    /// The validation examples.
    ///
    /// # Errors
    /// The corpus cannot be read or is too short.
    pub fn validation(&self) -> Result<ValidationSet, TrainError> {
        let count = self.spec.probes.validation_examples.next_multiple_of(2) as u64;
        let examples: Vec<u64> = (0..count).collect();
        let mut set = ValidationSet { batches: Vec::new(), bytes: Some(0) };
        for chunk in examples.chunks(self.micro_batch.next_multiple_of(2)) {
            let (batch, bytes) = match &self.source {
                Source::Tasks(tasks) => {
                    let held_out: Vec<_> = chunk.iter().map(|number| tasks.held_out(*number as usize)).collect();
                    let on_inputs = self.spec.objective.loss_on_inputs && !self.spec.model.architecture.has_encoder();
                    let bytes =
                        held_out.iter().map(|one| if on_inputs { one.bytes.0 + one.bytes.1 } else { one.bytes.1 });
                    let bytes = Some(bytes.sum());
                    let pairs: Vec<_> = held_out.into_iter().map(|one| one.pair).collect();
                    (prompted::batch(self.spec, self.corpus, &pairs)?, bytes)
                }
                Source::Text { window, ends, .. } => self.validation_batch(chunk, count, *window, ends)?,
            };
            set.batches.push(batch);
            set.bytes = set.bytes.zip(bytes).map(|(sum, own)| sum + own);
        }
        Ok(set)
    }

    /// The batch of validation examples `chunk` of `count`, and the bytes that its weighted targets cover.
    fn validation_batch(
        &self,
        chunk: &[u64],
        count: u64,
        window: usize,
        ends: &[bool],
    ) -> Result<(Batch, Option<u64>), TrainError> {
        let of = |stream: &TokenStream| {
            let part = |example: &u64| {
                let start = validation_start(stream.len(), window, *example, count)?;
                Ok(stream.window(start, window)?)
            };
            chunk.iter().map(part).collect::<Result<Vec<_>, TrainError>>()
        };
        let (windows, first) = (of(self.corpus.validation())?, chunk.first().copied().unwrap_or(0));
        let batch = self.batch(&windows, ends, VALIDATION_SEED, Stream::Validation, first)?;
        let Some(counts) = self.corpus.byte_counts() else { return Ok((batch, None)) };
        let counts = of(counts)?.concat();
        let mut draw = |example: usize| generator(VALIDATION_SEED, Stream::Validation, first + example as u64);
        let (architecture, seq_len) = (self.spec.model.architecture, self.spec.training.seq_len);
        let (vocabulary, ends_sentence) = (self.corpus.vocabulary(), ends_sentence(ends));
        let words = Words { vocabulary: &vocabulary, ends_sentence: &ends_sentence };
        let places = target_places(&self.spec.objective, architecture, seq_len, words, &windows, &mut draw)?;
        let scored = places.iter().zip(&batch.loss_weights).filter(|(_, weight)| **weight != 0.0);
        let bytes = scored.filter_map(|(place, _)| counts.get((*place)?)).map(|count| u64::from(*count)).sum();
        Ok((batch, Some(bytes)))
    }

    /// Totals over the validation examples.
    #[must_use]
    pub fn totals(set: &ValidationSet) -> ValidationTotals {
        let mut counts = UnigramCounts::default();
        let mut weight = 0.0;
        for batch in &set.batches {
            counts.add(batch);
            weight += batch.weight();
        }
        ValidationTotals { weight, bytes: set.bytes, entropy: counts.entropy() }
    }
}

/// Whether a token ends a sentence, given which do.
fn ends_sentence(ends: &[bool]) -> impl Fn(u32) -> bool {
    |id| ends.get(id as usize).copied().unwrap_or(false)
}

impl ValidationTotals {
    /// The metrics of a summed negative log-likelihood over these targets.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "byte counts are far below 2^52")]
    pub fn metrics(&self, summed: f64) -> Metrics {
        let loss = summed / self.weight;
        let mut metrics = Metrics::from([
            (Metric::ValidationLoss, loss),
            (Metric::Perplexity, loss.exp()),
            (Metric::TargetEntropy, self.entropy),
        ]);
        if let Some(bytes) = self.bytes.filter(|bytes| *bytes > 0) {
            metrics.insert(Metric::BitsPerByte, summed / std::f64::consts::LN_2 / bytes as f64);
        }
        metrics
    }
}

/// The shape of `examples` examples of `spec`.
///
/// # Errors
/// They have none; the text says which key to change.
pub fn shape(spec: &RunSpec, examples: usize) -> Result<BatchShape, TrainError> {
    batch_shape(spec.model.architecture, &spec.objective, examples, spec.training.seq_len).ok_or_else(|| {
        let (cell, seq_len) = (spec.cell(), spec.training.seq_len);
        TrainError::Spec(format!("{cell}: {examples} examples of seq_len {seq_len} have no shape; use a longer seq_len, and even batch sizes for ED:PLM"))
    })
}
