//! From log-likelihoods to scores: what counts as right, means and their standard errors, perplexities.
//! Promises: a tie goes to the first choice, as an arg-max does. Must not know: documents, models.

use super::exact::ExactRule;
use super::mersenne::PythonRandom;
use super::overlap::{BleuStatistics, rouge2, squad_exact_match, token_f1};
use super::python;
use super::scorer::Scored;
use crate::core::task::{TaskMetric, TaskScore, TaskScores};

/// What one item contributes to each metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Contribution {
    /// 1 or 0 for accuracies, a log-likelihood for perplexities.
    pub(super) values: Vec<(TaskMetric, f64)>,
    /// (gold is class 1, prediction is class 1), for F1.
    pub(super) class_one: Option<(bool, bool)>,
    /// What corpus BLEU is made of.
    pub(super) bleu: Option<BleuStatistics>,
    /// Words and bytes of a whole text.
    pub(super) length: Option<(usize, usize)>,
    /// 1 / choices.
    pub(super) chance: Option<f64>,
}

/// The place of the largest value, the first of equals; `None` without values.
pub(super) fn arg_max(values: &[f64]) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (place, value) in values.iter().enumerate() {
        if best.is_none_or(|(_, known)| *value > known) {
            best = Some((place, *value));
        }
    }
    best.map(|(place, _)| place)
}

/// What a multiple-choice item contributes: `scored` has one score a choice and, for mutual information, one more a
/// choice without context. Lengths are those of `choices`, without delimiter.
#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]
pub(super) fn choice(scored: &[Scored], choices: &[String], gold: &[usize]) -> (Contribution, Option<usize>) {
    let all: Vec<f64> = scored.iter().map(|scored| scored.log_likelihood).collect();
    let (own, alone) = all.split_at_checked(choices.len()).unwrap_or((&all, &[]));
    let per = |length: fn(&String) -> usize| -> Vec<f64> {
        own.iter().zip(choices).map(|(value, choice)| value / length(choice) as f64).collect()
    };
    let mutual: Vec<f64> = own.iter().zip(alone).map(|(with, without)| with - without).collect();
    let right = |values: &[f64]| f64::from(u8::from(arg_max(values).is_some_and(|place| gold.contains(&place))));
    let predicted = arg_max(own);
    let mut values = vec![
        (TaskMetric::Acc, right(own)),
        (TaskMetric::AccNorm, right(&per(|choice| choice.chars().count()))),
        (TaskMetric::AccBytes, right(&per(String::len))),
    ];
    if !mutual.is_empty() {
        values.push((TaskMetric::AccMutualInfo, right(&mutual)));
    }
    let class_one = Some((gold.first() == Some(&1), predicted == Some(1)));
    // Several right answers are as many chances.
    let chance = Some(gold.len().max(1) as f64 / choices.len() as f64);
    (Contribution { values, class_one, chance, ..Contribution::default() }, predicted)
}

/// What a single continuation contributes.
pub(super) fn likelihood(scored: &Scored) -> Contribution {
    let values =
        vec![(TaskMetric::Perplexity, scored.log_likelihood), (TaskMetric::Acc, f64::from(u8::from(scored.greedy)))];
    Contribution { values, ..Contribution::default() }
}

/// What an answer that was written contributes; exact match is by `rule`.
///
/// # Errors
/// A pattern of `rule` takes too long.
pub(super) fn written(text: &str, golds: &[String], rule: &ExactRule) -> Result<Contribution, String> {
    let exact = f64::from(u8::from(rule.matches(text, golds)?));
    let best = golds.iter().map(|gold| rouge2(text, gold)).fold(0.0, f64::max);
    let values = vec![
        (TaskMetric::Rouge2, best),
        (TaskMetric::ExactMatch, exact),
        (TaskMetric::SquadExactMatch, squad_exact_match(text, golds)),
        (TaskMetric::TokenF1, token_f1(text, golds)),
    ];
    Ok(Contribution { values, bleu: Some(BleuStatistics::of(text, golds)), ..Contribution::default() })
}

/// What a whole text contributes.
pub(super) fn rolling(text: &str, scored: &Scored) -> Contribution {
    let value = scored.log_likelihood;
    let values = [TaskMetric::WordPerplexity, TaskMetric::BytePerplexity, TaskMetric::BitsPerByte];
    Contribution {
        values: values.map(|metric| (metric, value)).into(),
        length: Some((python::pieces(text), text.len())),
        ..Contribution::default()
    }
}

/// The scores of `metrics` over all items, and a sentence for each that is not finite.
pub(super) fn aggregate(metrics: &[TaskMetric], items: &[Contribution]) -> (TaskScores, Vec<String>) {
    let (mut scores, mut notices) = (TaskScores::new(), Vec::new());
    for metric in metrics {
        match score(*metric, items) {
            Some(score) if score.value.is_finite() => {
                scores.insert(*metric, score);
            }
            Some(score) => notices.push(format!("{metric} is {} and left out", score.value)),
            None => {}
        }
    }
    (scores, notices)
}

fn score(metric: TaskMetric, items: &[Contribution]) -> Option<TaskScore> {
    let of = |item: &Contribution| item.values.iter().find(|(known, _)| *known == metric).map(|(_, value)| *value);
    let values: Vec<f64> = items.iter().filter_map(of).collect();
    let bare = |value| Some(TaskScore { value, stderr: None, chance: None });
    match metric {
        TaskMetric::Acc | TaskMetric::AccNorm | TaskMetric::AccBytes | TaskMetric::AccMutualInfo => {
            let chances: Vec<f64> = items.iter().filter_map(|item| item.chance).collect();
            Some(TaskScore { value: mean(&values)?, stderr: standard_error(&values), chance: mean(&chances) })
        }
        TaskMetric::F1 => {
            let pairs: Vec<(bool, bool)> = items.iter().filter_map(|item| item.class_one).collect();
            Some(TaskScore { value: f1(&pairs), stderr: bootstrap(&pairs, f1), chance: None })
        }
        TaskMetric::Perplexity => {
            let perplexity = |values: &[f64]| (-mean(values).unwrap_or(0.0)).exp();
            let value = (-mean(&values)?).exp();
            Some(TaskScore { value, stderr: bootstrap(&values, perplexity), chance: None })
        }
        TaskMetric::Rouge2 | TaskMetric::ExactMatch | TaskMetric::SquadExactMatch | TaskMetric::TokenF1 => {
            Some(TaskScore { value: mean(&values)?, stderr: standard_error(&values), chance: None })
        }
        TaskMetric::Bleu => {
            let mut all = items.iter().filter_map(|item| item.bleu.as_ref());
            let mut sum = *all.next()?;
            all.for_each(|one| sum.add(one));
            bare(sum.score())
        }
        TaskMetric::WordPerplexity => bare((-per(&values, items, |(words, _)| words)?).exp()),
        TaskMetric::BytePerplexity => bare((-per(&values, items, |(_, bytes)| bytes)?).exp()),
        TaskMetric::BitsPerByte => bare(-per(&values, items, |(_, bytes)| bytes)? / std::f64::consts::LN_2),
    }
}

/// Sum of the values over the sum of a length.
#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]
fn per(values: &[f64], items: &[Contribution], length: fn((usize, usize)) -> usize) -> Option<f64> {
    let total: usize = items.iter().filter_map(|item| item.length).map(length).sum();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / total as f64)
}

/// Harmonic mean of precision and recall of class 1; 0 where it is undefined.
fn f1(pairs: &[(bool, bool)]) -> f64 {
    let count = |wanted: (bool, bool)| pairs.iter().filter(|pair| **pair == wanted).count();
    let hits = 2 * count((true, true));
    let wrong = count((true, false)) + count((false, true));
    #[expect(clippy::cast_precision_loss, reason = "counts of items")]
    if hits == 0 { 0.0 } else { hits as f64 / (hits + wrong) as f64 }
}

/// Samples of a bootstrap, and of one chunk of it: as in the harness.
const BOOTSTRAPS: usize = 100_000;
const CHUNK: usize = 1_000;

/// The standard error of `statistic` over items: the standard deviation over resamples, chunk i drawn by Python's
/// `Random(i).choices`. `None` with fewer than two values, or where it is not finite.
#[expect(clippy::cast_precision_loss, reason = "a constant")]
fn bootstrap<T: Copy>(values: &[T], statistic: impl Fn(&[T]) -> f64) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let mut results = Vec::with_capacity(BOOTSTRAPS);
    let mut drawn = Vec::with_capacity(values.len());
    for chunk in 0..(BOOTSTRAPS / CHUNK) as u32 {
        let mut random = PythonRandom::new(chunk);
        for _ in 0..CHUNK {
            drawn.clear();
            drawn.extend((0..values.len()).filter_map(|_| values.get(random.choice(values.len())).copied()));
            results.push(statistic(&drawn));
        }
    }
    let mean = mean(&results)?;
    let squares: f64 = results.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (BOOTSTRAPS - 1) as f64).sqrt()).filter(|error| error.is_finite())
}

/// Mean; `None` without values.
#[expect(clippy::cast_precision_loss, reason = "counts of items")]
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Standard error of the mean; `None` with fewer than two values.
#[expect(clippy::cast_precision_loss, reason = "counts of items")]
fn standard_error(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt() / (values.len() as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(log_likelihood: f64) -> Scored {
        Scored { log_likelihood, greedy: false, tokens: 1, cut: 0 }
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn each_way_of_choosing_has_its_own_winner() {
        // Characters 1, 4, 3; bytes 1, 4, 6.
        let choices = ["a", "bbbb", "ééé"].map(str::to_owned);
        let lls = [-2.0, -5.0, -4.2, -1.0, -5.5, -4.0].map(scored);
        let (item, predicted) = choice(&lls, &choices, &[1]);
        assert_eq!(predicted, Some(0));
        // acc: -2 first; per character: -2, -1.25, -1.4; per byte: -2, -1.25, -0.7; less the unconditional: -1, 0.5, -0.2
        let expected = [
            (TaskMetric::Acc, 0.0),
            (TaskMetric::AccNorm, 1.0),
            (TaskMetric::AccBytes, 0.0),
            (TaskMetric::AccMutualInfo, 1.0),
        ];
        assert_eq!(item.values, expected);
        assert_eq!(item.class_one, Some((true, false)));
        close(item.chance.unwrap(), 1.0 / 3.0);
        assert_eq!(choice(&lls, &choices, &[2]).0.values[2].1, 1.0);
        assert_eq!(arg_max(&[-1.0, -1.0]), Some(0), "the first of equals");
        assert_eq!(choice(&lls, &choices, &[]).0.values[0].1, 0.0, "a gold answer that is no choice is wrong");
        assert_eq!(choice(&lls, &choices, &[0, 2]).0.values[0].1, 1.0, "any right answer");
    }

    #[test]
    fn means_have_errors_and_chances() {
        let item = |right: f64, chance| Contribution {
            values: vec![(TaskMetric::Acc, right)],
            chance: Some(chance),
            ..Contribution::default()
        };
        let items = [item(1.0, 0.5), item(0.0, 0.25), item(1.0, 0.25), item(1.0, 0.25)];
        let score = score(TaskMetric::Acc, &items).unwrap();
        close(score.value, 0.75);
        close(score.stderr.unwrap(), 0.25); // variance 0.25, n 4
        close(score.chance.unwrap(), 0.3125);
        let one = super::score(TaskMetric::Acc, &items[..1]).unwrap();
        assert_eq!(one.stderr, None);
    }

    #[test]
    fn f1_is_that_of_class_one() {
        let pairs = [(true, true), (true, false), (false, true), (false, false), (true, true)];
        close(f1(&pairs), 4.0 / 6.0);
        assert_eq!(f1(&pairs[1..4]), 0.0);
    }

    /// The numbers are those of Python: `Random(i).choices` in 100 chunks of 1,000.
    #[test]
    fn bootstrapped_errors_are_those_of_the_harness() {
        let items = [-1.0, -2.5, -0.3, -4.0, -2.2].map(|value| likelihood(&scored(value)));
        let error = score(TaskMetric::Perplexity, &items).unwrap().stderr.unwrap();
        assert!((error - 5.445_149_556_773_564).abs() < 1e-9, "{error}");
        let pairs =
            [(true, true), (true, false), (false, true), (true, true), (false, false), (false, true), (true, true)];
        let error = bootstrap(&pairs, f1).unwrap();
        assert!((error - 0.197_183_540_329_122_94).abs() < 1e-9, "{error}");
        assert_eq!(bootstrap(&pairs[..1], f1), None);
    }

    #[test]
    fn perplexities_by_hand() {
        let items = [likelihood(&scored(-1.0)), likelihood(&scored(-3.0))];
        close(score(TaskMetric::Perplexity, &items).unwrap().value, 2f64.exp());
        let texts = [rolling("one two", &scored(-6.0)), rolling("é", &scored(-3.0))];
        close(score(TaskMetric::WordPerplexity, &texts).unwrap().value, 3f64.exp()); // 9 nats, 3 words
        close(score(TaskMetric::BytePerplexity, &texts).unwrap().value, 1f64.exp()); // 9 bytes
        close(score(TaskMetric::BitsPerByte, &texts).unwrap().value, std::f64::consts::LOG2_E);
        let (scores, notices) = aggregate(&[TaskMetric::Perplexity], &[likelihood(&scored(-1e6))]);
        assert!(scores.is_empty() && notices[0].contains("perplexity is inf"), "{notices:?}");
    }
}
