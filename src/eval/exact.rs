//! `exact_match` as the field's harness computes it: two texts are equal, or equal after what a task file says to ignore.
//! Promises: the order of the harness: patterns, case, punctuation, digits. Must not know: tasks, models.

use fancy_regex::Regex;

use super::EvalError;
use super::settings::Setting;
use super::substitution::compiled;
use super::yaml::Yaml;

/// What two texts may differ in.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ExactRule {
    patterns: Vec<Pattern>,
    case: bool,
    punctuation: bool,
    numbers: bool,
}

/// A regular expression, equal to another with the same text.
#[derive(Clone, Debug)]
struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl ExactRule {
    /// Takes up an option of the metric; whether there is such an option.
    ///
    /// # Errors
    /// Its value is of the wrong kind, or a pattern is no regular expression.
    pub(super) fn set(&mut self, option: &Setting) -> Result<bool, EvalError> {
        let flag = || match option.node.value {
            Yaml::Bool(value) => Ok(value),
            Yaml::Null => Ok(false),
            _ => Err(option.wrong("true or false")),
        };
        match option.key.as_str() {
            "ignore_case" => self.case = flag()?,
            "ignore_punctuation" => self.punctuation = flag()?,
            "ignore_numbers" => self.numbers = flag()?,
            "regexes_to_ignore" => {
                self.patterns = match &option.node.value {
                    Yaml::Null => Vec::new(),
                    Yaml::List(_) => {
                        option.texts()?.iter().map(|text| pattern(option, text)).collect::<Result<_, _>>()?
                    }
                    _ => return Err(option.wrong("a list of regular expressions")),
                };
            }
            // The metric of that name in `evaluate` is the same.
            "hf_evaluate" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether `text` is one of `golds`.
    ///
    /// # Errors
    /// A pattern takes too long on a text.
    pub(super) fn matches(&self, text: &str, golds: &[String]) -> Result<bool, String> {
        let text = self.bare(text)?;
        for gold in golds {
            if self.bare(gold)? == text {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What of `text` counts.
    fn bare(&self, text: &str) -> Result<String, String> {
        let mut text = text.to_owned();
        for Pattern(regex) in &self.patterns {
            let replaced = regex.try_replacen(&text, 0, "");
            text = replaced.map_err(|e| format!("the pattern `{}` of exact_match: {e}", regex.as_str()))?.into_owned();
        }
        if self.case {
            text = text.to_lowercase();
        }
        text.retain(|c| !(self.punctuation && c.is_ascii_punctuation() || self.numbers && c.is_ascii_digit()));
        Ok(text)
    }
}

fn pattern(option: &Setting, text: &str) -> Result<Pattern, EvalError> {
    let failed = |e| option.error(format!("`{text}` of `regexes_to_ignore` is no regular expression: {e}"));
    compiled(text).map(Pattern).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::super::task_file::tests::task;

    /// The right sides are `exact_match_hf_evaluate` of lm_eval 0.4.13.
    #[test]
    fn texts_match_as_in_the_harness() {
        let cases = [
            ("the old mill", "The old mill", "", false),
            ("the old mill", "The old mill", "ignore_case: true", true),
            ("old, mill!", "old mill", "", false),
            ("old, mill!", "old mill", "ignore_punctuation: true", true),
            ("Old, mill!", "old mill", "ignore_punctuation: yes, ignore_case: on", true),
            (" four", "four", "", false),
            (" four", "four", "regexes_to_ignore: [' ']", true),
            ("room 12", "room 7", "ignore_numbers: true", true),
            ("room twelve", "room 7", "ignore_numbers: true", false),
            ("the answer: 12.", "12", "regexes_to_ignore: [',', '\\$', '(?s).*: ', '\\.$']", true),
            ("THE answer", "answer", "regexes_to_ignore: ['the '], ignore_case: true", false),
            ("ÉTÉ «x»", "été x", "ignore_case: true, ignore_punctuation: true", false),
            ("été", "ÉTÉ", "ignore_case: true, ignore_numbers: false", true),
            ("“x”", "x", "ignore_punctuation: true", false),
            ("ΟΔΟΣ", "οδος", "ignore_case: true", true),
            ("٣", "", "ignore_numbers: true", false),
            ("", "", "hf_evaluate: true", true),
            ("a\n", "a", "", false),
            ("1.0", "1", "regexes_to_ignore: ['\\.0+$']", true),
        ];
        for (text, gold, options, right) in cases {
            let rule = task(&format!(
                "task: t\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: x.jsonl}}}}\ntest_split: test\n\
                 output_type: generate_until\ndoc_to_text: q\ndoc_to_target: a\n\
                 metric_list: [{{metric: exact_match, aggregation: mean{}{options}}}]\n",
                if options.is_empty() { "" } else { ", " }
            ))
            .exact;
            assert_eq!(rule.matches(text, &["no such".to_owned(), gold.to_owned()]), Ok(right), "{text:?} {options}");
        }
    }
}
