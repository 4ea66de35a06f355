//! How an answer is written and what becomes of it: `generation_kwargs` and `filter_list` of a task file.
//! Promises: what asks for the likeliest token every time is understood in all its forms; what asks for more is refused.
//! Must not know: models.

use super::EvalError;
use super::python;
use super::settings::{Setting, Settings};
use super::yaml::Yaml;

/// Tokens that are written at most, if a task does not say: as in the harness.
const MAX_GEN_TOKS: usize = 256;

/// The names of that number, the first that is given counts.
const MAX_NAMES: [&str; 4] = ["max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"];

/// How an answer is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Writing {
    /// Texts that end it.
    pub(super) until: Vec<String>,
    /// Tokens at most.
    pub(super) max_tokens: usize,
    /// Whether white space at both ends is taken off before it is judged.
    strips: bool,
}

impl Writing {
    /// What of a written answer is judged.
    pub(super) fn judged<'t>(&self, text: &'t str) -> &'t str {
        if self.strips { text.trim_matches(python::is_space) } else { text }
    }
}

/// Reads how answers are written; `delimiter` stands between solved examples.
///
/// # Errors
/// A setting asks for another token than the likeliest, or for a filter that is not supported.
pub(super) fn writing_of(settings: &mut Settings, delimiter: &str, writes: bool) -> Result<Writing, EvalError> {
    let given = settings.take("generation_kwargs");
    let filters = settings.take("filter_list");
    let strips = filters.map_or(Ok(false), |filters| strips(&filters, writes))?;
    if !writes {
        // As in the harness, which warns: nothing is written.
        return Ok(Writing::default());
    }
    let options = given.map_or_else(|| Ok(Vec::new()), |given| given.pairs())?;
    let option = |name: &str| options.iter().find(|option| option.key == name && option.node.value != Yaml::Null);
    let until = match option("until") {
        // An empty text ends nothing.
        Some(until) => until.texts()?.into_iter().filter(|text| !text.is_empty()).collect(),
        None => vec![delimiter.to_owned()],
    };
    let max_tokens = match MAX_NAMES.iter().find_map(|name| option(name)) {
        Some(most) => whole(most)?,
        None => MAX_GEN_TOKS,
    };
    for option in &options {
        if !is_greedy(option, &options) {
            return Err(option.error(format!(
                "`{}: {}` of `generation_kwargs` is not supported: the likeliest token is written every time (`do_sample: \
                 false`)",
                option.key,
                python::text(&option.node.json())
            )));
        }
    }
    Ok(Writing { until, max_tokens, strips })
}

fn whole(most: &Setting) -> Result<usize, EvalError> {
    match most.node.value {
        Yaml::Integer(count) => usize::try_from(count).map_err(|_| most.wrong("0 or more")),
        _ => Err(most.wrong("a whole number")),
    }
}

/// Whether `option` leaves it at the likeliest token every time, among all `options`.
fn is_greedy(option: &Setting, options: &[Setting]) -> bool {
    let number = |option: &Setting| match option.node.value {
        Yaml::Integer(value) => Some(value as f64),
        Yaml::Float(value) => Some(value),
        Yaml::Null | Yaml::Bool(_) | Yaml::Text(_) | Yaml::List(_) | Yaml::Map(_) => None,
    };
    let given = |name: &str| options.iter().find(|option| option.key == name);
    let samples = given("do_sample").and_then(|option| match option.node.value {
        Yaml::Bool(value) => Some(value),
        Yaml::Null | Yaml::Integer(_) | Yaml::Float(_) | Yaml::Text(_) | Yaml::List(_) | Yaml::Map(_) => None,
    });
    let is_cold = given("temperature").is_none_or(|option| number(option) == Some(0.0));
    // As the harness decides it: sampling wants a temperature.
    let greedy = samples == Some(false) || is_cold;
    match option.key.as_str() {
        _ if option.node.value == Yaml::Null => true,
        "until" | "max_gen_toks" | "max_new_tokens" | "max_tokens" | "max_completion_tokens" | "use_cache" => true,
        "do_sample" => samples.is_some() && greedy && (samples == Some(false) || given("temperature").is_some()),
        "temperature" | "top_p" | "top_k" | "min_p" | "typical_p" => greedy && number(option).is_some(),
        // Without effect at these values.
        "num_beams" | "num_return_sequences" | "repetition_penalty" | "length_penalty" => number(option) == Some(1.0),
        "no_repeat_ngram_size" => number(option) == Some(0.0),
        _ => false,
    }
}

/// Whether the filters take white space off; one chain of those that are known is supported.
fn strips(filters: &Setting, writes: bool) -> Result<bool, EvalError> {
    let refused = |place: &Setting, what: &str| {
        place.error(format!(
            "{what} of `filter_list` is not supported; supported is one chain of `take_first` and `remove_whitespace`"
        ))
    };
    let chains = filters.items();
    let [chain] = chains.as_slice() else {
        return Err(refused(filters, "more than one chain"));
    };
    let mut strips = false;
    for option in chain.pairs()? {
        match option.key.as_str() {
            "name" => {}
            "filter" => {
                for step in option.items() {
                    for part in step.pairs()? {
                        match (part.key.as_str(), part.text().as_deref()) {
                            ("function", Ok("take_first")) => {}
                            ("function", Ok("remove_whitespace")) if writes => strips = true,
                            ("function", Ok(name)) => return Err(refused(&part, &format!("the filter `{name}`"))),
                            (other, _) => return Err(refused(&part, &format!("`{other}`"))),
                        }
                    }
                }
            }
            other => return Err(refused(&option, &format!("`{other}`"))),
        }
    }
    Ok(strips)
}
