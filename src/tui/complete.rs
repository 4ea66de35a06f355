//! What the word before the cursor of the filter line can become: keys, and the values of those that have few.
//! Promises: pure; what is offered is understood by the filter. Must not know: the terminal.

use std::collections::BTreeSet;

use crate::core::summary::RunSummary;
use crate::core::{Architecture, Metric, Objective, StudyId};

use super::app::App;
use super::filter::{NUMBERS, WORDS};

/// The states of runs, in the words of the filter.
const STATES: [&str; 10] =
    ["preparing", "queued", "waiting", "blocked", "running", "paused", "stopped", "finished", "diverged", "failed"];

/// What the word can become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// What is typed of it.
    pub typed: String,
    /// All that begins so, in order.
    pub choices: Vec<String>,
}

impl Completion {
    /// What stands in place of what is typed after Tab: as far as all choices agree, and beyond where there is one.
    #[must_use]
    pub fn agreed(&self) -> Option<String> {
        let (first, rest) = self.choices.split_first()?;
        let same = |text: &str, other: &String| {
            text.chars().zip(other.chars()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).map(|(a, _)| a).collect()
        };
        let agreed = rest.iter().fold(first.clone(), |text, other| same(&text, other));
        // A key waits for its value, a value for the next word.
        Some(if rest.is_empty() && !agreed.ends_with(':') && self.is_value() { agreed + " " } else { agreed })
    }

    fn is_value(&self) -> bool {
        self.choices.iter().all(|choice| !WORDS.contains(&choice.trim_end_matches(':')) && !is_number(choice))
    }
}

fn is_number(word: &str) -> bool {
    NUMBERS.contains(&word) || word == "val_loss" || Metric::from_name(word).is_some()
}

/// What the end of `before` can become in a lab of `runs`. Nothing is offered before a letter is typed.
#[must_use]
pub fn of(before: &str, runs: &[RunSummary]) -> Completion {
    let word = before.rsplit([' ', '|']).next().unwrap_or("");
    let word = word.strip_prefix('-').unwrap_or(word);
    let (typed, all) = match word.split_once(':') {
        Some((key, value)) => (value, values(key, runs)),
        None if word.is_empty() => (word, Vec::new()),
        None => (word, keys()),
    };
    let begins = |choice: &String| choice.to_lowercase().starts_with(&typed.to_lowercase());
    Completion { typed: typed.to_owned(), choices: all.into_iter().filter(begins).collect() }
}

fn keys() -> Vec<String> {
    let numbers = NUMBERS.into_iter().chain(["val_loss"]).chain(Metric::ALL.map(Metric::name));
    WORDS.iter().map(|word| format!("{word}:")).chain(numbers.map(str::to_owned)).collect()
}

fn values(key: &str, runs: &[RunSummary]) -> Vec<String> {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let sorted = |words: BTreeSet<&str>| words.into_iter().map(str::to_owned).collect();
    match key {
        "arch" | "architecture" => owned(&Architecture::ALL.map(Architecture::label)),
        "obj" | "objective" => owned(&Objective::ALL.map(Objective::label)),
        "status" => owned(&STATES),
        "corpus" => sorted(runs.iter().map(|run| run.corpus.as_str()).collect()),
        "study" => sorted(runs.iter().flat_map(|run| &run.studies).map(StudyId::as_str).collect()),
        _ => Vec::new(),
    }
}

/// What the filter line can become where its cursor is.
#[must_use]
pub fn of_line(app: &App) -> Completion {
    of(app.filter_text.halves().0, app.runs())
}

/// Complete the filter line as far as all choices agree.
pub(super) fn perform(app: &mut App) {
    let completion = of_line(app);
    if let Some(text) = completion.agreed() {
        app.filter_text.replace_before(&completion.typed, &text);
        super::act::read_filter(app);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(before: &str) -> (String, Option<String>) {
        let completion = of(before, &[]);
        (completion.choices.join(" "), completion.agreed())
    }

    #[test]
    fn keys_and_values_are_completed_as_far_as_they_agree() {
        let of = |before: &str| {
            let (choices, agreed) = offered(before);
            (choices, agreed.unwrap_or_default())
        };
        let pair = |choices: &str, agreed: &str| (choices.to_owned(), agreed.to_owned());
        assert_eq!(of("ar"), pair("arch:", "arch:"));
        assert_eq!(of("loss<3 -arch:ed"), pair("ED EDS EDH EDC EDM", "ED"));
        assert_eq!(of("seed:1|arch:eds"), pair("EDS", "EDS "));
        assert_eq!(of("obj:g"), pair("GLM", "GLM "));
        assert_eq!(of("obj:ul"), pair("UL2 UL2R", "UL2"));
        assert_eq!(of("head"), pair("head_dim", "head_dim"), "its comparison follows");
        assert_eq!(of("status:q"), pair("queued", "queued "));
        assert_eq!(offered(""), (String::new(), None));
        assert_eq!(offered("arch:X").1, None);
        assert_eq!(offered("flavour:").1, None);
        assert_eq!(offered("loss<").1, None);
    }

    #[test]
    fn what_is_offered_is_understood() {
        for key in ["arch", "obj", "status"] {
            for value in values(key, &[]) {
                assert!(format!("{key}:{value}").parse::<crate::tui::filter::Filter>().is_ok());
            }
        }
        for key in keys() {
            let term = if key.ends_with(':') { key } else { format!("{key}<1") };
            assert!(term.parse::<crate::tui::filter::Filter>().is_ok(), "{term}");
        }
    }
}
