//! Tasks as examples: prompts with their targets, mixed over templates in proportion to their data sets, up to a cap (T0: Sanh et
//! al. 2021, arXiv 2110.08207, §4 and its code).
//! Promises: the n-th example is a pure function of (seed, n); targets are never cut, inputs on the left; what validates is in
//! training under no prompt. Must not know: task files.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::TrainError;
use crate::core::rows::prompt_lengths;
use crate::core::{PromptSpec, RunSpec};
use crate::corpus::Corpus;
use crate::eval::{Template, fingerprint, templates};
use crate::objective::Batch;

/// Tokens of inputs and of targets, the end mark included.
type Pair = (Vec<u32>, Vec<u32>);

/// The tasks of a run, in tokens.
#[derive(Debug)]
pub(super) struct Prompted {
    templates: Vec<Share>,
    /// Pairs whose targets are too long.
    skipped: usize,
    /// What a person should know of the tasks' data.
    notices: Vec<String>,
}

/// A template with its share of the mixture.
#[derive(Debug)]
struct Share {
    weight: f64,
    train: Vec<Pair>,
    validation: Vec<HeldOut>,
}

/// A pair that validates.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldOut {
    pub(super) pair: Pair,
    /// UTF-8 bytes of text that its inputs, as far as they are kept, and its targets cover.
    pub(super) bytes: (u64, u64),
}

impl Prompted {
    /// The pairs of `prompts` in the tokens of `corpus`.
    ///
    /// # Errors
    /// A source cannot be used or changed since the run was queued, or no pair fits into a row.
    pub(super) fn new(spec: &RunSpec, prompts: &PromptSpec, corpus: &Corpus) -> Result<Self, TrainError> {
        let words = |error: crate::eval::EvalError| TrainError::Spec(format!("could not {error}"));
        if fingerprint(&prompts.sources).map_err(words)?.as_deref() != Some(prompts.fingerprint.as_str()) {
            let text = "the tasks it trains on or their data changed since the run was queued; submit the study again \
                        under another name";
            return Err(TrainError::Spec(text.to_owned()));
        }
        let all = templates(prompts).map_err(words)?;
        let (most_inputs, most_targets) = prompt_lengths(spec.training.seq_len);
        let end = corpus.vocabulary().end();
        let (mut skipped, mut shares) = (0, Vec::new());
        for template in &all {
            let (mut train, mut validation) = (Vec::new(), Vec::new());
            for pair in &template.pairs {
                let (inputs, input_bytes) = corpus.tokenizer().measure(&pair.inputs)?;
                let (mut targets, target_bytes) = corpus.tokenizer().measure(&pair.targets)?;
                targets.push(end);
                let cut = inputs.len().saturating_sub(most_inputs);
                let kept = inputs.get(cut..).unwrap_or(&inputs).to_vec();
                let sum = |counts: &[u32]| counts.iter().map(|count| u64::from(*count)).sum();
                match (targets.len() > most_targets, pair.validates()) {
                    (true, _) => skipped += 1,
                    (false, true) => {
                        let bytes = (sum(input_bytes.get(cut..).unwrap_or_default()), sum(&target_bytes));
                        validation.push(HeldOut { pair: (kept, targets), bytes });
                    }
                    (false, false) => train.push((kept, targets)),
                }
            }
            shares.push(Share { weight: weight(template, &all, prompts.cap), train, validation });
        }
        shares.retain(|share| !share.train.is_empty());
        if shares.iter().all(|share| share.validation.is_empty()) {
            let seq_len = spec.training.seq_len;
            let text = format!(
                "of {skipped} prompts none has a target of at most {most_targets} tokens, a quarter of seq_len {seq_len}; \
                 raise training.seq_len, or list tasks with more data"
            );
            return Err(TrainError::Spec(text));
        }
        let told = |template: &Template| {
            let name = template.name.clone();
            template.notices.clone().into_iter().map(move |notice| format!("{name}: {notice}"))
        };
        Ok(Self { templates: shares, skipped, notices: all.iter().flat_map(told).collect() })
    }

    /// What a person should know of the tasks' data.
    #[must_use]
    pub(super) fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Pairs that were left out because their targets are too long.
    #[must_use]
    pub(super) const fn skipped(&self) -> usize {
        self.skipped
    }

    /// A training pair.
    pub(super) fn drawn(&self, draws: &mut ChaCha8Rng) -> Pair {
        let mut left = draws.random::<f64>() * self.templates.iter().map(|share| share.weight).sum::<f64>();
        let chosen = self.templates.iter().find(|share| {
            left -= share.weight;
            left < 0.0
        });
        let pairs = chosen.or(self.templates.last()).map_or(&[][..], |share| &share.train);
        let place = draws.random_range(0..pairs.len().max(1));
        pairs.get(place).cloned().unwrap_or_default()
    }

    /// The validation pair of a number: templates take turns.
    pub(super) fn held_out(&self, number: usize) -> HeldOut {
        let with: Vec<&Share> = self.templates.iter().filter(|share| !share.validation.is_empty()).collect();
        let turn = with.len().max(1);
        let own = with.get(number % turn).map_or(&[][..], |share| &share.validation);
        own.get((number / turn) % own.len().max(1)).cloned().unwrap_or_default()
    }
}

/// The share of a template: the size of its data set; beyond the cap, the cap shared among the set's templates.
#[expect(clippy::cast_precision_loss, reason = "counts of examples")]
fn weight(template: &Template, all: &[Template], cap: u64) -> f64 {
    let size = template.pairs.len() as u64;
    if size <= cap {
        return size as f64;
    }
    let siblings = all.iter().filter(|other| other.family == template.family).count();
    cap as f64 / siblings.max(1) as f64
}

/// Adds `pairs` to an empty batch of the run's shape.
pub(super) fn batch(spec: &RunSpec, corpus: &Corpus, pairs: &[Pair]) -> Result<Batch, TrainError> {
    let architecture = spec.model.architecture;
    let on_inputs = spec.objective.loss_on_inputs;
    Ok(Batch::of_pairs(architecture, spec.training.seq_len, &corpus.vocabulary(), pairs, on_inputs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::Pair as Text;

    #[test]
    fn a_template_weighs_as_its_data_set_up_to_the_cap() {
        let pair = Text { inputs: String::new(), targets: String::new(), example: 0 };
        let template = |family: &str, size: usize| Template {
            name: family.to_owned(),
            family: family.to_owned(),
            written_out: false,
            pairs: vec![pair.clone(); size],
            notices: Vec::new(),
        };
        let all = [template("small", 30), template("large", 200), template("large", 200)];
        let weights: Vec<f64> = all.iter().map(|one| weight(one, &all, 100)).collect();
        assert_eq!(weights, [30.0, 50.0, 50.0]);
    }
}
