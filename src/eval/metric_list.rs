//! What a task reports: `metric_list` of a task file.
//! Promises: a metric of the field's name means what it means there; an option that would change a number is used or refused.
//! Must not know: how metrics are computed.

use super::EvalError;
use super::exact::ExactRule;
use super::settings::{Setting, Settings};
use super::task_file::OutputType;
use super::yaml::Yaml;
use crate::core::task::TaskMetric;

/// The metrics that a kind of task can report, each with the name of its aggregation; the first are those of a file
/// without `metric_list`.
const fn known_metrics(output: OutputType) -> (&'static [(TaskMetric, &'static str)], usize) {
    use TaskMetric as M;
    match output {
        OutputType::MultipleChoice => (
            &[(M::Acc, "mean"), (M::AccNorm, "mean"), (M::AccBytes, "mean"), (M::AccMutualInfo, "mean"), (M::F1, "f1")],
            2,
        ),
        OutputType::Loglikelihood => (&[(M::Perplexity, "perplexity"), (M::Acc, "mean")], 2),
        OutputType::GenerateUntil => {
            const WRITTEN: &[(M, &str)] = &[
                (M::ExactMatch, "mean"),
                (M::SquadExactMatch, "mean"),
                (M::TokenF1, "mean"),
                (M::Bleu, "bleu"),
                (M::Rouge2, "mean"),
            ];
            (WRITTEN, 1)
        }
        OutputType::LoglikelihoodRolling => (
            &[
                (M::WordPerplexity, "weighted_perplexity"),
                (M::BytePerplexity, "weighted_perplexity"),
                (M::BitsPerByte, "bits_per_byte"),
            ],
            3,
        ),
    }
}

/// What a task reports, in the order of the file, and what its `exact_match` ignores.
///
/// # Errors
/// A metric or an option is not supported.
pub(super) fn metrics_of(
    settings: &mut Settings,
    output: OutputType,
) -> Result<(Vec<TaskMetric>, ExactRule), EvalError> {
    let (known, defaults) = known_metrics(output);
    let mut exact = ExactRule::default();
    let Some(listed) = settings.take("metric_list") else {
        return Ok((known.iter().take(defaults).map(|(metric, _)| *metric).collect(), exact));
    };
    let mut metrics = Vec::new();
    for item in listed.items() {
        let options = item.pairs()?;
        let named = options.iter().find(|option| option.key == "metric");
        let metric = metric_of(named.ok_or_else(|| item.error("a metric has no `metric`"))?)?;
        let Some((_, aggregation)) = known.iter().find(|(known, _)| *known == metric) else {
            let names: Vec<&str> = known.iter().map(|(known, _)| known.name()).collect();
            return Err(
                item.error(format!("`{metric}` is not a metric of this output type; known are {}", names.join(", ")))
            );
        };
        if metrics.contains(&metric) {
            return Err(item.error(format!("`{metric}` is listed twice")));
        }
        for option in &options {
            let is_known = match option.key.as_str() {
                // The direction is known; a file cannot change it.
                "metric" | "higher_is_better" => true,
                _ if option.node.value == Yaml::Null => true,
                "aggregation" => option.one_of(&[(*aggregation, ())]).map(|()| true)?,
                _ if metric == TaskMetric::ExactMatch => exact.set(option)?,
                // The harness passes these to no metric of choices or likelihoods: hundreds of its files have them there.
                _ if output != OutputType::GenerateUntil => ExactRule::default().set(option)?,
                _ => false,
            };
            if !is_known {
                let other = &option.key;
                return Err(option.error(format!("the option `{other}` of `{metric}` is not supported")));
            }
        }
        metrics.push(metric);
    }
    Ok((metrics, exact))
}

/// The metric that `setting` names.
pub(super) fn metric_of(setting: &Setting) -> Result<TaskMetric, EvalError> {
    setting.one_of(&TaskMetric::ALL.map(|metric| (metric.name(), metric)))
}
