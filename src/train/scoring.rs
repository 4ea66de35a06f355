//! A trained model as a [`Scorer`]: texts become tokens by the conventions of the field's harness, tokens become rows
//! of equal work. Promises: results in request order, the same for every batch size up to rounding. Must not know:
//! tasks, prompts.
//!
//! A decoder reads the start mark before a context, as in training, and as the harness does for a tokenizer that adds one; an
//! encoder reads the end mark where there is no context.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::trainer::TokenScore;
use super::writer::Writer;
use super::{TrainError, Trainer};
use crate::core::rows::prompt_lengths;
use crate::core::task::ScoringForm;
use crate::core::{Layout, ObjectiveSpec};
use crate::corpus::Tokenizer;
use crate::eval::{Answered, ScoreRequest, Scored, Scorer, ScorerError, WriteRequest, Written};
use crate::kernel::threads::map;
use crate::objective::{Asking, ScoringRow, rolling_windows, room, scoring_batch, scoring_rows};

/// Positions of one forward pass, padding included; a single longer row goes alone.
const BATCH_POSITIONS: usize = 4096;

/// The forms in which a model of `objective` can be scored.
#[must_use]
pub fn forms(objective: &ObjectiveSpec) -> Vec<ScoringForm> {
    Asking::all(objective).into_iter().map(|(form, _)| form).collect()
}

/// A model that scores texts.
#[derive(Debug)]
pub struct ModelScorer<'a> {
    trainer: &'a Trainer,
    tokenizer: &'a Tokenizer,
    asking: Asking,
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
        let Some((_, asking)) = Asking::all(&spec.objective).into_iter().find(|(known, _)| *known == form) else {
            let (cell, form) = (spec.cell(), form.label());
            return Err(TrainError::Spec(format!("{cell} was never trained in {form} form; score it in another")));
        };
        let (found, needed) = (tokenizer.vocabulary().size() as usize, spec.model.vocab_size);
        if found != needed {
            return Err(TrainError::Spec(format!("vocab_size is {needed}, the tokenizer has {found} tokens")));
        }
        Ok(Self { trainer, tokenizer, asking, batch_positions: BATCH_POSITIONS })
    }

    /// How the model is asked.
    #[must_use]
    pub const fn asking(&self) -> Asking {
        self.asking
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
        let given = self.tokenizer.encode(request.context.trim_end_matches(is_space))?;
        self.tokens_after(given, request)
    }

    /// The same, where the tokens of the context are known.
    fn tokens_after(&self, given: Vec<u32>, request: &ScoreRequest) -> Result<TokenPair, TrainError> {
        let context = request.context.trim_end_matches(is_space);
        let blanks = request.context.get(context.len()..).unwrap_or_default();
        let continuation = format!("{blanks}{}", request.continuation);
        let scored = match self.trainer.spec().model.architecture.layout() {
            Layout::EncoderDecoder => self.tokenizer.encode(&continuation)?,
            Layout::Decoder { .. } | Layout::Encoder => {
                let whole = self.tokenizer.encode(&format!("{context}{continuation}"))?;
                whole.get(given.len()..).unwrap_or_default().to_vec()
            }
        };
        Ok((given, scored))
    }

    fn rows(&self, context: &[u32], continuation: &[u32]) -> Answered<Vec<ScoringRow>> {
        let spec = self.trainer.spec();
        let (architecture, limit) = (spec.model.architecture, spec.training.seq_len);
        scoring_rows(architecture, self.asking, &self.tokenizer.vocabulary(), context, continuation, limit)
            .map_err(|error| error.to_string())
    }

    /// The scores of token pairs, in order. A continuation that is empty or too long has none.
    ///
    /// # Errors
    /// The device fails.
    pub fn score_tokens(&self, pairs: &[TokenPair]) -> Result<Vec<Answered<Scored>>, ScorerError> {
        let (mut rows, mut counts) = (Vec::new(), Vec::with_capacity(pairs.len()));
        for (context, continuation) in pairs {
            counts.push(self.rows(context, continuation).map(|own| {
                let count = own.len();
                rows.extend(own);
                count
            }));
        }
        let scored = self.score_rows(&rows).map_err(|error| ScorerError(error.to_string()))?;
        let mut scored = scored.into_iter();
        Ok(counts.into_iter().map(|count| count.map(|count| joined(scored.by_ref().take(count)))).collect())
    }

    fn score_rows(&self, rows: &[ScoringRow]) -> Result<Vec<Scored>, TrainError> {
        let passes = passes(rows);
        let threads = self.trainer.threads();
        let portions = self.portions(&passes);
        // Dealt like cards: neighbours are of about the same length.
        let hands = (0..threads).map(|hand| portions.iter().skip(hand).step_by(threads)).collect();
        let scored = map(hands, |hand| {
            let mut found = Vec::new();
            for portion in hand {
                self.score_portion(portion, &mut found)?;
            }
            Ok::<_, TrainError>(found)
        })?;
        let mut found = scored.concat();
        found.sort_by_key(|(place, _)| *place);
        Ok(found.into_iter().map(|(_, scored)| scored).collect())
    }

    /// Adds the scores of all rows of `portion`, each with its place, from one forward pass.
    fn score_portion(&self, portion: &[Pass<'_>], found: &mut Vec<(usize, Scored)>) -> Result<(), TrainError> {
        let first: Vec<&ScoringRow> = portion.iter().map(|pass| pass.row).collect();
        let (mut targets, mut others) = (0, Vec::new());
        for pass in portion {
            targets += pass.row.scored() as u32;
            others.extend(pass.others.iter().map(|(_, _, token)| (targets - 1, *token)));
        }
        let scores = self.trainer.token_scores(&scoring_batch(&first, &self.tokenizer.vocabulary()), &others)?;
        let (mut rest, others) = scores.split_at_checked(targets as usize).unwrap_or((&scores, &[]));
        let mut others = others.iter();
        for pass in portion {
            let (own, tail) = rest.split_at_checked(pass.row.scored()).unwrap_or((rest, &[]));
            rest = tail;
            found.push((pass.place, summed(own, pass.row.cut())));
            let before = own.split_last().map_or(own, |(_, before)| before);
            for ((place, cut, _), last) in pass.others.iter().zip(others.by_ref()) {
                found.push((*place, summed(&[before, &[*last]].concat(), *cut)));
            }
        }
        Ok(())
    }

    /// The passes that go together: of similar length, longest first, so that padding is small and a batch that is too
    /// large fails at once.
    fn portions<'p, 'r>(&self, passes: &'p [Pass<'r>]) -> Vec<&'p [Pass<'r>]> {
        let mut portions = Vec::new();
        let mut rest = passes;
        while let Some(longest) = rest.first() {
            let fitting = (self.batch_positions / longest.row.positions()).clamp(1, rest.len());
            let (portion, tail) = rest.split_at(fitting);
            portions.push(portion);
            rest = tail;
        }
        portions
    }
}

/// A row with all others that read the same: choices that differ in their last token need one forward pass, not one each.
struct Pass<'r> {
    row: &'r ScoringRow,
    place: usize,
    /// Place, tokens cut off, last token.
    others: Vec<(usize, usize, u32)>,
}

/// The passes over `rows`, longest first.
fn passes(rows: &[ScoringRow]) -> Vec<Pass<'_>> {
    let mut passes: Vec<Pass<'_>> = Vec::new();
    let mut known = HashMap::new();
    for (place, row) in rows.iter().enumerate() {
        let at = *known.entry(row.reads()).or_insert(passes.len());
        match (passes.get_mut(at), row.last()) {
            (Some(pass), Some(token)) => pass.others.push((place, row.cut(), token)),
            _ => passes.push(Pass { row, place, others: Vec::new() }),
        }
    }
    passes.sort_by_key(|pass| (Reverse(pass.row.positions()), pass.place));
    passes
}

fn summed(scores: &[TokenScore], cut: usize) -> Scored {
    Scored {
        log_likelihood: scores.iter().map(|score| score.log_likelihood).sum(),
        greedy: scores.iter().all(|score| score.greedy),
        tokens: scores.len(),
        cut,
    }
}

impl ModelScorer<'_> {
    /// What is written behind one context, which is cut on the left where it is too long.
    fn written(&self, request: &WriteRequest) -> Result<Answered<Written>, TrainError> {
        let spec = self.trainer.spec();
        let asked = request.context.trim_end_matches(is_space);
        // A model learned to write the blank behind a context, not to read it: it is written and does not count.
        let blanks = request.context.get(asked.len()..).unwrap_or_default();
        let context = match self.tokenizer.encode(asked) {
            Ok(context) => context,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let layout = spec.model.architecture.layout();
        let (room, most) = rooms(layout, spec.training.seq_len, context.len(), request.max_tokens);
        let cut = context.len() - room;
        let kept = context.get(cut..).unwrap_or(&context);
        let mut writer = Writer::new(self.trainer, self.asking, self.tokenizer.vocabulary(), kept, most)?;
        let text = |writer: &Writer<'_>| {
            let whole = self.tokenizer.decode(writer.written());
            whole.strip_prefix(blanks).map(str::to_owned).unwrap_or(whole)
        };
        while writer.written().len() < most {
            let next = writer.likeliest();
            if writer.ends(next) {
                break;
            }
            writer.write(next)?;
            let so_far = text(&writer);
            let ends = request.until.iter().filter_map(|until| so_far.find(until.as_str()));
            if let Some(end) = ends.min() {
                return Ok(Ok(Written { text: so_far.get(..end).unwrap_or_default().to_owned(), cut }));
            }
        }
        Ok(Ok(Written { text: text(&writer), cut }))
    }
}

/// Positions that marks take at most beside a context and what is written.
const WRITING_MARKS: usize = 6;

/// How much of a context is read, and how much is written at most, of `wanted` tokens. In one stack a context has what it needs,
/// but leaves to what is written as much as in finetuning; an encoder shares its row with nothing that is written.
fn rooms(layout: Layout, seq_len: usize, context: usize, wanted: usize) -> (usize, usize) {
    let all = seq_len.saturating_sub(WRITING_MARKS);
    let left = match layout {
        Layout::EncoderDecoder => 0,
        Layout::Decoder { .. } | Layout::Encoder => wanted.min(prompt_lengths(seq_len).1),
    };
    let read = context.min(all.saturating_sub(left));
    let taken = if layout == Layout::EncoderDecoder { 0 } else { read };
    (read, wanted.min(all - taken))
}

/// The score of a continuation whose tokens have rows of their own.
fn joined(rows: impl Iterator<Item = Scored>) -> Scored {
    let nothing = Scored { log_likelihood: 0.0, greedy: true, tokens: 0, cut: 0 };
    rows.fold(nothing, |sum, row| Scored {
        log_likelihood: sum.log_likelihood + row.log_likelihood,
        greedy: sum.greedy && row.greedy,
        tokens: sum.tokens + row.tokens,
        cut: row.cut,
    })
}

/// What Python's `str.rstrip` takes off.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

impl Scorer for ModelScorer<'_> {
    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Answered<Scored>>, ScorerError> {
        let mut pairs: Vec<Answered<TokenPair>> = Vec::with_capacity(requests.len());
        for (index, request) in requests.iter().enumerate() {
            // The choices of one question stand together and share their context.
            let before = index.checked_sub(1).and_then(|before| requests.get(before).zip(pairs.get(before)));
            let pair = match before.filter(|(before, _)| before.context == request.context) {
                Some((_, Ok((given, _)))) => self.tokens_after(given.clone(), request),
                Some((_, Err(_))) | None => self.tokens(request),
            };
            pairs.push(pair.map_err(|error| error.to_string()));
        }
        let readable: Vec<TokenPair> = pairs.iter().filter_map(|pair| pair.as_ref().ok()).cloned().collect();
        let mut scored = self.score_tokens(&readable)?.into_iter();
        let missing = || Err("it has no score".to_owned());
        Ok(pairs.into_iter().map(|pair| pair.and_then(|_| scored.next().unwrap_or_else(missing))).collect())
    }

    fn score_rolling(&mut self, texts: &[String]) -> Result<Vec<Answered<Scored>>, ScorerError> {
        let spec = self.trainer.spec();
        let room = room(spec.model.architecture, self.asking, spec.training.seq_len);
        let (mut pairs, mut owners) = (Vec::new(), Vec::new());
        let empty = Scored { log_likelihood: 0.0, greedy: true, tokens: 0, cut: 0 };
        let mut totals = vec![Ok(empty); texts.len()];
        for ((index, text), total) in texts.iter().enumerate().zip(&mut totals) {
            match self.tokenizer.encode(text) {
                Ok(tokens) => {
                    let windows = rolling_windows(&tokens, room);
                    owners.extend(std::iter::repeat_n(index, windows.len()));
                    pairs.extend(windows);
                }
                Err(error) => *total = Err(error.to_string()),
            }
        }
        for (owner, scored) in owners.into_iter().zip(self.score_tokens(&pairs)?) {
            let Some(total) = totals.get_mut(owner) else { continue };
            match (&mut *total, scored) {
                (Ok(total), Ok(scored)) => {
                    total.log_likelihood += scored.log_likelihood;
                    total.greedy &= scored.greedy;
                    total.tokens += scored.tokens;
                }
                (_, Err(reason)) => *total = Err(reason),
                (Err(_), Ok(_)) => {}
            }
        }
        Ok(totals)
    }

    fn write(&mut self, requests: &[WriteRequest]) -> Result<Vec<Answered<Written>>, ScorerError> {
        if self.trainer.spec().training.seq_len < WRITING_MARKS + 2 {
            return Err(ScorerError("there is no room to write; train with a longer seq_len".to_owned()));
        }
        let threads = self.trainer.threads();
        let hands = (0..threads).map(|hand| (hand, requests.iter().skip(hand).step_by(threads)));
        let written = map(hands.collect(), |(hand, requests)| {
            let one = |(number, request)| Ok((hand + number * threads, self.written(request)?));
            requests.enumerate().map(one).collect::<Result<Vec<_>, TrainError>>()
        });
        let mut written = written.map_err(|error| ScorerError(error.to_string()))?.concat();
        written.sort_by_key(|(place, _)| *place);
        Ok(written.into_iter().map(|(_, written)| written).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_cut_only_where_it_must_be() {
        let one = Layout::Decoder { prefix: false };
        // Of 96 positions 6 are for marks and 24 for targets.
        assert_eq!(rooms(one, 96, 20, 8), (20, 8));
        assert_eq!(rooms(one, 96, 20, 256), (20, 70), "what is left is written");
        assert_eq!(rooms(one, 96, 500, 256), (66, 24));
        assert_eq!(rooms(one, 96, 500, 8), (82, 8));
        assert_eq!(rooms(Layout::EncoderDecoder, 96, 500, 256), (90, 90));
        assert_eq!(rooms(one, 8, 9, 9), (0, 2));
    }
}
