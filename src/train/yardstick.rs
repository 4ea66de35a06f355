//! One yardstick for all cells: how well a model continues held-out text, whatever it was trained to predict.
//! Promises: the same (prefix, continuation) pairs for every architecture, objective and seed on a corpus; training
//! losses of different objectives average different tokens, this does not. Must not know: when it is measured.

use super::scoring::{ModelScorer, TokenPair, forms};
use super::{TrainError, Trainer};
use crate::core::rows::continuation_window;
use crate::core::task::ScoringForm;
use crate::core::{Layout, Metric, Metrics, RunSpec};
use crate::corpus::{Corpus, TokenStream, validation_start};

/// Pairs, spread evenly over the validation text.
const PAIRS: u64 = 64;

/// The pairs of a corpus.
#[derive(Clone, Debug, PartialEq)]
pub struct Yardstick {
    pairs: Vec<TokenPair>,
    tokens: usize,
    /// UTF-8 bytes of the text that they cover; absent if the corpus does not say.
    bytes: Option<u64>,
}

impl Yardstick {
    /// The pairs of `corpus`. Every run that reads at least 68 positions has the same; shorter ones have windows of the
    /// largest power of two that fits, and below 6 positions there is nothing to measure.
    ///
    /// # Errors
    /// The validation text is too short, or the corpus cannot be read.
    pub fn new(spec: &RunSpec, corpus: &Corpus) -> Result<Self, TrainError> {
        let window = continuation_window(spec.training.seq_len);
        if window < 2 {
            return Ok(Self { pairs: Vec::new(), tokens: 0, bytes: None });
        }
        let pairs = |stream: &TokenStream| {
            let pair = |place| {
                let start = validation_start(stream.len(), window, place, PAIRS)?;
                let mut prefix = stream.window(start, window)?;
                let continuation = prefix.split_off(window / 2);
                Ok((prefix, continuation))
            };
            (0..PAIRS).map(pair).collect::<Result<Vec<TokenPair>, TrainError>>()
        };
        let counts = corpus.byte_counts().map(&pairs).transpose()?;
        let sum =
            |pairs: Vec<TokenPair>| pairs.iter().flat_map(|(_, scored)| scored).map(|count| u64::from(*count)).sum();
        let (bytes, pairs) = (counts.map(sum), pairs(corpus.validation())?);
        Ok(Self { tokens: pairs.iter().map(|(_, continuation)| continuation.len()).sum(), bytes, pairs })
    }

    /// The pairs: prefix and continuation.
    #[must_use]
    pub fn pairs(&self) -> &[TokenPair] {
        &self.pairs
    }

    /// Loss of the continuations given their prefixes, in every form that `trainer`'s objective has.
    ///
    /// # Errors
    /// The device fails.
    pub fn measure(&self, trainer: &Trainer, corpus: &Corpus) -> Result<Metrics, TrainError> {
        let spec = trainer.spec();
        let mut metrics = Metrics::new();
        // A pseudo-log-likelihood sees what follows each token: it is no likelihood of a continuation.
        if self.pairs.is_empty() || spec.model.architecture.layout() == Layout::Encoder {
            return Ok(metrics);
        }
        for form in &forms(&spec.objective) {
            let scorer = ModelScorer::new(trainer, corpus.tokenizer(), *form)?;
            let scored = scorer.score_tokens(&self.pairs).map_err(|error| TrainError::Spec(error.to_string()))?;
            let scored = scored.into_iter().collect::<Result<Vec<_>, _>>().map_err(TrainError::Spec)?;
            self.insert(&mut metrics, *form, -scored.iter().map(|scored| scored.log_likelihood).sum::<f64>());
        }
        Ok(metrics)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn insert(&self, metrics: &mut Metrics, form: ScoringForm, nats: f64) {
        let (loss, bits) = match form {
            ScoringForm::Plain => (Metric::ContinuationLoss, Metric::ContinuationBitsPerByte),
            ScoringForm::Sentinel => (Metric::ContinuationLossSentinel, Metric::ContinuationBitsPerByteSentinel),
        };
        metrics.insert(loss, nats / self.tokens as f64);
        if let Some(bytes) = self.bytes.filter(|bytes| *bytes > 0) {
            metrics.insert(bits, nats / std::f64::consts::LN_2 / bytes as f64);
        }
    }
}
