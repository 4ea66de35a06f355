//! A trained model as a [`Scorer`]: texts become tokens by the conventions of the field's harness, tokens become rows
//! of equal work. Promises: results in request order, the same for every batch size up to rounding. Must not know:
//! tasks, prompts.
//!
//! No mark is put before a context that has tokens, as the harness puts none for a tokenizer that adds none; an empty
//! context is the start mark (to an encoder: the end mark).

use super::trainer::TokenScore;
use super::{TrainError, Trainer};
use crate::core::task::ScoringForm;
use crate::core::{Architecture, Objective};
use crate::corpus::Tokenizer;
use crate::eval::{ScoreRequest, Scored, Scorer, ScorerError};
use crate::objective::{ScoringRow, rolling_windows, room, scoring_batch, scoring_row};

/// Positions of one forward pass, padding included; a single longer row goes alone.
const BATCH_POSITIONS: usize = 4096;

/// The forms in which a model of `objective` can be scored.
#[must_use]
pub const fn forms(objective: Objective) -> &'static [ScoringForm] {
    match objective {
        Objective::FullLm | Objective::PrefixLm => &[ScoringForm::Plain],
        Objective::SpanCorruption => &[ScoringForm::Plain, ScoringForm::Sentinel],
    }
}

/// A model that scores texts.
#[derive(Debug)]
pub struct ModelScorer<'a> {
    trainer: &'a Trainer,
    tokenizer: &'a Tokenizer,
    form: ScoringForm,
    batch_positions: usize,
}

/// Tokens of a context and of its continuation.
pub type TokenPair = (Vec<u32>, Vec<u32>);

impl<'a> ModelScorer<'a> {
    /// Scores with the weights that `trainer` has now.
    ///
    /// # Errors
    /// The model was not trained in this form, or the tokenizer is not that of its vocabulary.
    pub fn new(trainer: &'a Trainer, tokenizer: &'a Tokenizer, form: ScoringForm) -> Result<Self, TrainError> {
        let spec = trainer.spec();
        if !forms(spec.objective.objective).contains(&form) {
            let cell = spec.cell();
            return Err(TrainError::Spec(format!("{cell} never saw a sentinel; score it in plain form")));
        }
        let (found, needed) = (tokenizer.vocabulary().size() as usize, spec.model.vocab_size);
        if found != needed {
            return Err(TrainError::Spec(format!("vocab_size is {needed}, the tokenizer has {found} tokens")));
        }
        Ok(Self { trainer, tokenizer, form, batch_positions: BATCH_POSITIONS })
    }

    /// The same with another size of forward passes.
    #[must_use]
    pub const fn with_batch_positions(self, batch_positions: usize) -> Self {
        Self { batch_positions, ..self }
    }

    /// The tokens of a request: trailing white space of the context goes to the continuation; a decoder's continuation
    /// is what the whole text has beyond the tokens of the context, by count; an encoder–decoder's is encoded alone.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn tokens(&self, request: &ScoreRequest) -> Result<TokenPair, TrainError> {
        let context = request.context.trim_end_matches(is_space);
        let blanks = request.context.get(context.len()..).unwrap_or_default();
        let continuation = format!("{blanks}{}", request.continuation);
        let given = self.tokenizer.encode(context)?;
        let scored = match self.trainer.spec().model.architecture {
            Architecture::EncoderDecoder => self.tokenizer.encode(&continuation)?,
            Architecture::CausalDecoder | Architecture::NonCausalDecoder => {
                let whole = self.tokenizer.encode(&format!("{context}{continuation}"))?;
                whole.get(given.len()..).unwrap_or_default().to_vec()
            }
        };
        Ok((given, scored))
    }

    fn row(&self, index: usize, context: &[u32], continuation: &[u32]) -> Result<ScoringRow, ScorerError> {
        let spec = self.trainer.spec();
        let (architecture, limit) = (spec.model.architecture, spec.training.seq_len);
        scoring_row(architecture, self.form, &self.tokenizer.vocabulary(), context, continuation, limit)
            .map_err(|error| ScorerError::Request { index, reason: error.to_string() })
    }

    /// The scores of token pairs, in order.
    ///
    /// # Errors
    /// A continuation is empty or too long (its place is named), or the device fails.
    pub fn score_tokens(&self, pairs: &[TokenPair]) -> Result<Vec<Scored>, ScorerError> {
        let row = |(index, (context, continuation)): (usize, &TokenPair)| self.row(index, context, continuation);
        let rows = pairs.iter().enumerate().map(row).collect::<Result<Vec<_>, _>>()?;
        self.score_rows(&rows).map_err(|error| ScorerError::Model(error.to_string()))
    }

    fn score_rows(&self, rows: &[ScoringRow]) -> Result<Vec<Scored>, TrainError> {
        let vocabulary = self.tokenizer.vocabulary();
        let mut found: Vec<(usize, Scored)> = Vec::with_capacity(rows.len());
        for places in self.portions(rows) {
            let chosen: Vec<&ScoringRow> = places.iter().filter_map(|place| rows.get(*place)).collect();
            let scores = self.trainer.token_scores(&scoring_batch(&chosen, &vocabulary))?;
            let mut rest = scores.as_slice();
            for (place, row) in places.iter().zip(chosen) {
                let (own, tail) = rest.split_at_checked(row.scored()).unwrap_or((rest, &[]));
                rest = tail;
                found.push((*place, summed(own, row.cut())));
            }
        }
        found.sort_by_key(|(place, _)| *place);
        Ok(found.into_iter().map(|(_, scored)| scored).collect())
    }

    /// The places of rows that go together: of similar length, longest first, so that padding is small and a batch that
    /// is too large fails at once.
    fn portions(&self, rows: &[ScoringRow]) -> Vec<Vec<usize>> {
        let mut order: Vec<(usize, usize)> = rows.iter().map(ScoringRow::positions).zip(0..).collect();
        order.sort_by_key(|(positions, place)| (std::cmp::Reverse(*positions), *place));
        let mut portions: Vec<Vec<usize>> = Vec::new();
        let mut longest = 0;
        for (positions, place) in order {
            match portions.last_mut() {
                Some(portion) if (portion.len() + 1) * longest <= self.batch_positions => portion.push(place),
                _ => {
                    longest = positions;
                    portions.push(vec![place]);
                }
            }
        }
        portions
    }
}

fn summed(scores: &[TokenScore], cut: usize) -> Scored {
    Scored {
        log_likelihood: scores.iter().map(|score| score.log_likelihood).sum(),
        greedy: scores.iter().all(|score| score.greedy),
        tokens: scores.len(),
        cut,
    }
}

/// What Python's `str.rstrip` takes off.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

impl Scorer for ModelScorer<'_> {
    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Scored>, ScorerError> {
        let tokens = |(index, request): (usize, &ScoreRequest)| {
            self.tokens(request).map_err(|error| ScorerError::Request { index, reason: error.to_string() })
        };
        self.score_tokens(&requests.iter().enumerate().map(tokens).collect::<Result<Vec<_>, _>>()?)
    }

    fn score_rolling(&mut self, texts: &[String]) -> Result<Vec<Scored>, ScorerError> {
        let spec = self.trainer.spec();
        let room = room(spec.model.architecture, self.form, spec.training.seq_len);
        let (mut pairs, mut owners) = (Vec::new(), Vec::new());
        for (index, text) in texts.iter().enumerate() {
            let failed = |error: crate::corpus::CorpusError| ScorerError::Request { index, reason: error.to_string() };
            let windows = rolling_windows(&self.tokenizer.encode(text).map_err(failed)?, room);
            owners.extend(std::iter::repeat_n(index, windows.len()));
            pairs.extend(windows);
        }
        let empty = Scored { log_likelihood: 0.0, greedy: true, tokens: 0, cut: 0 };
        let mut totals = vec![empty; texts.len()];
        for (owner, scored) in owners.into_iter().zip(self.score_tokens(&pairs)?) {
            if let Some(total) = totals.get_mut(owner) {
                total.log_likelihood += scored.log_likelihood;
                total.greedy &= scored.greedy;
                total.tokens += scored.tokens;
            }
        }
        Ok(totals)
    }
}
