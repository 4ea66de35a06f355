//! The filter line: `arch:CD obj:PLM status:failed loss<3.2 -seed:1 head | size:d128`. Space is AND, `|` is OR and binds
//! weaker, `-` is NOT; a word without a key is looked for in everything that names a run, but the label of an architecture
//! or objective, and a cell like `ED:MLM`, mean just that.
//! Promises: pure; a key it does not know is an error that lists the known ones. Must not know: screens.

use std::str::FromStr;

use crate::core::board::LeaderboardRow;
use crate::core::summary::RunSummary;
use crate::core::{Architecture, Metric, Objective};

/// A parsed filter: one of these groups must hold, and of a group every term.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter(Vec<Vec<Term>>);

#[derive(Clone, Debug, PartialEq)]
struct Term {
    negated: bool,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Anywhere(String),
    Word(WordKey, String),
    /// `ED:MLM`, or its beginning `ED:M`.
    Cell(Architecture, String),
    Number(NumberKey, Compare, f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum WordKey {
    Architecture,
    Objective,
    Status,
    Corpus,
    Study,
    Id,
    Size,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum NumberKey {
    Metric(Metric),
    Seed,
    Step,
    Steps,
    Parameters,
    Priority,
    /// A number in the size label, by its letter.
    Size(char),
    HeadDim,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    Equal,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

impl Compare {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Equal => (left - right).abs() <= f64::EPSILON * right.abs(),
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::More => left > right,
            Self::MoreOrEqual => left >= right,
        }
    }
}

impl WordKey {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "arch" | "architecture" => Self::Architecture,
            "obj" | "objective" => Self::Objective,
            "status" => Self::Status,
            "corpus" => Self::Corpus,
            "study" => Self::Study,
            "id" => Self::Id,
            "size" => Self::Size,
            _ => return None,
        })
    }
}

impl NumberKey {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "seed" => Self::Seed,
            "step" => Self::Step,
            "steps" => Self::Steps,
            "params" | "parameters" => Self::Parameters,
            "priority" => Self::Priority,
            "d_model" => Self::Size('d'),
            "num_layers" => Self::Size('L'),
            "num_heads" => Self::Size('h'),
            "seq_len" => Self::Size('n'),
            "head_dim" => Self::HeadDim,
            "val_loss" => Self::Metric(Metric::ValidationLoss),
            other => Self::Metric(Metric::from_name(other)?),
        })
    }
}

/// What is compared with `:` alone.
pub(super) const WORDS: [&str; 7] = ["arch", "obj", "status", "corpus", "study", "id", "size"];
/// What is a number, besides the metrics.
pub(super) const NUMBERS: [&str; 10] =
    ["seed", "step", "steps", "params", "priority", "d_model", "num_layers", "num_heads", "head_dim", "seq_len"];

const KNOWN: &str = "arch, obj, status, corpus, study, id, size, seed, step, steps, params, priority, d_model, \
                     num_layers, num_heads, head_dim, seq_len or a metric such as loss and val_loss";

impl FromStr for Filter {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let groups = text.split('|').map(|group| group.split_whitespace().map(term).collect::<Result<Vec<_>, _>>());
        let groups = groups.collect::<Result<Vec<_>, _>>()?;
        Ok(Self(groups.into_iter().filter(|group| !group.is_empty()).collect()))
    }
}

/// The architecture of a label.
fn architecture(label: &str) -> Option<Architecture> {
    Architecture::ALL.into_iter().find(|known| known.label().eq_ignore_ascii_case(label))
}

/// The objective of a label.
fn objective(label: &str) -> Option<Objective> {
    Objective::ALL.into_iter().find(|known| known.label().eq_ignore_ascii_case(label))
}

fn term(word: &str) -> Result<Term, String> {
    let (negated, word) = match word.strip_prefix('-') {
        Some(rest) if !rest.is_empty() => (true, rest),
        Some(_) | None => (false, word),
    };
    let Some(at) = word.find([':', '<', '>', '=']) else {
        // The label of a cell means the cell, and not also a study that has it in its name.
        let label = word.to_lowercase();
        let test = match (architecture(word), objective(word)) {
            (Some(_), _) => Test::Word(WordKey::Architecture, label),
            (None, Some(_)) => Test::Word(WordKey::Objective, label),
            (None, None) => Test::Anywhere(label),
        };
        return Ok(Term { negated, test });
    };
    let (key, rest) = word.split_at(at);
    let (compare, value) = match rest.as_bytes() {
        [b'<', b'=', ..] => (Compare::LessOrEqual, rest.get(2..)),
        [b'>', b'=', ..] => (Compare::MoreOrEqual, rest.get(2..)),
        [b'<', ..] => (Compare::Less, rest.get(1..)),
        [b'>', ..] => (Compare::More, rest.get(1..)),
        _ => (Compare::Equal, rest.get(1..)),
    };
    let value = value.unwrap_or("");
    // `ED:MLM` is how a run reads, so it is how people type it.
    if let (Some(architecture), Compare::Equal) = (architecture(key), compare) {
        return Ok(Term { negated, test: Test::Cell(architecture, value.to_owned()) });
    }
    if let Some(key) = WordKey::named(key) {
        return if compare == Compare::Equal {
            Ok(Term { negated, test: Test::Word(key, value.to_lowercase()) })
        } else {
            Err(format!("`{word}`: a word can only be compared with `:`"))
        };
    }
    let key = NumberKey::named(key).ok_or_else(|| format!("unknown key `{key}`; use {KNOWN}"))?;
    let number = value.parse::<f64>().map_err(|_| format!("`{word}`: `{value}` is not a number"))?;
    Ok(Term { negated, test: Test::Number(key, compare, number) })
}

/// What a filter can ask about, of a run or of a lineage.
struct Subject<'a> {
    lineage: String,
    architecture: &'a str,
    objective: &'a str,
    status: Vec<&'a str>,
    corpus: &'a str,
    studies: Vec<&'a str>,
    ids: Vec<&'a str>,
    size: &'a str,
    numbers: &'a dyn Fn(NumberKey) -> Option<f64>,
}

impl Filter {
    /// True if everything passes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `run` passes.
    #[must_use]
    pub fn keeps_run(&self, run: &RunSummary) -> bool {
        let numbers = |key| match key {
            NumberKey::Metric(metric) => run.latest.get(&metric).copied(),
            NumberKey::Seed => Some(run.seed as f64),
            NumberKey::Step => Some(run.step as f64),
            NumberKey::Steps => Some(run.steps as f64),
            NumberKey::Parameters => Some(run.parameters as f64),
            NumberKey::Priority => Some(f64::from(run.priority)),
            NumberKey::Size(letter) => size_number(&run.size, letter, false),
            NumberKey::HeadDim => size_number(&run.size, 'h', true),
        };
        self.keeps(&Subject {
            lineage: run.cell(),
            architecture: run.architecture.label(),
            objective: run.objective.label(),
            status: vec![run.status.word()],
            corpus: &run.corpus,
            studies: run.studies.iter().map(crate::core::StudyId::as_str).collect(),
            ids: vec![run.id.as_str()],
            size: &run.size,
            numbers: &numbers,
        })
    }

    /// Whether `row` passes; a question about one run holds if it holds for any run of the row.
    #[must_use]
    pub fn keeps_row(&self, row: &LeaderboardRow) -> bool {
        let numbers = |key| match key {
            NumberKey::Metric(metric) => row.metrics.get(&metric).map(|estimate| estimate.mean),
            NumberKey::Seed | NumberKey::Priority | NumberKey::Step => None,
            NumberKey::Steps => Some(row.steps as f64),
            NumberKey::Parameters => Some(row.parameters as f64),
            NumberKey::Size(letter) => size_number(&row.size, letter, false),
            NumberKey::HeadDim => size_number(&row.size, 'h', true),
        };
        self.keeps(&Subject {
            lineage: row.cell(),
            architecture: row.architecture.label(),
            objective: row.objective.label(),
            status: row.counts.iter().filter(|(_, count)| **count > 0).map(|(word, _)| word.as_str()).collect(),
            corpus: &row.corpus,
            studies: row.studies.iter().map(crate::core::StudyId::as_str).collect(),
            ids: std::iter::once(&row.lineage).chain(&row.runs).map(crate::core::RunId::as_str).collect(),
            size: &row.size,
            numbers: &numbers,
        })
    }

    fn keeps(&self, subject: &Subject) -> bool {
        self.0.is_empty() || self.0.iter().any(|group| group.iter().all(|term| term.holds(subject)))
    }
}

impl Term {
    fn holds(&self, subject: &Subject) -> bool {
        let has = |text: &str, part: &str| text.to_lowercase().contains(part);
        let found = match &self.test {
            Test::Anywhere(part) => {
                let cell = format!("{}:{}", subject.architecture, subject.objective);
                let named = subject.status.iter().chain(&subject.studies).chain(&subject.ids);
                has(&cell, part)
                    || has(&subject.lineage, part)
                    || has(subject.size, part)
                    || has(subject.corpus, part)
                    || named.into_iter().any(|text| has(text, part))
            }
            Test::Cell(architecture, value) => {
                let begins = |label: &str| label.to_lowercase().starts_with(&value.to_lowercase());
                let is_it = match objective(value) {
                    Some(whole) => subject.objective == whole.label(),
                    None => begins(subject.objective),
                };
                subject.architecture == architecture.label() && is_it
            }
            Test::Word(key, value) => match key {
                WordKey::Architecture => subject.architecture.eq_ignore_ascii_case(value),
                WordKey::Objective => subject.objective.eq_ignore_ascii_case(value),
                WordKey::Status => subject.status.iter().any(|word| word.starts_with(value.as_str())),
                WordKey::Corpus => has(subject.corpus, value),
                WordKey::Study => subject.studies.iter().any(|study| has(study, value)),
                WordKey::Id => subject.ids.iter().any(|id| id.starts_with(value.as_str())),
                WordKey::Size => has(subject.size, value),
            },
            Test::Number(key, compare, value) => {
                (subject.numbers)(*key).is_some_and(|number| compare.holds(number, *value))
            }
        };
        found != self.negated
    }
}

/// The number after `letter` in `d128 L4 h4x32 n128`, or the one after its `x`.
fn size_number(size: &str, letter: char, after_x: bool) -> Option<f64> {
    let part = size.split(' ').find_map(|part| part.strip_prefix(letter))?;
    match part.split_once('x') {
        Some((first, second)) => if after_x { second } else { first }.parse().ok(),
        None => part.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Architecture, Objective, RunStatus};

    fn run(architecture: Architecture, seed: u64, status: RunStatus) -> RunSummary {
        RunSummary {
            id: "0123456789ab".parse().unwrap(),
            studies: vec!["night".parse().unwrap()],
            architecture,
            objective: Objective::PrefixLm,
            ancestors: Vec::new(),
            task: None,
            seed,
            size: "d128 L4 h4x32 n128".to_owned(),
            corpus: "world".to_owned(),
            status,
            queue_position: None,
            priority: 0,
            attempt: 1,
            step: 10,
            steps: 20,
            tokens: 0,
            step_tokens: 0,
            step_flops: 0.0,
            parameters: 1_000,
            latest: [(Metric::Loss, 3.1)].into(),
            elapsed_s: 0.0,
            eta_s: None,
            sparkline: Vec::new(),
            checkpoint_step: None,
            last_event_ms: 0,
            queued_ms: 0,
            lost_lines: 0,
        }
    }

    #[test]
    fn the_grammar() {
        let subject = run(Architecture::CausalDecoder, 1, RunStatus::Finished);
        for (text, kept) in [
            ("", true),
            ("arch:CD obj:plm", true),
            ("arch:ND", false),
            ("arch:ND | seed:1", true),
            ("arch:ND|CD:PLM", true),
            ("-seed:1", false),
            ("-arch:ND night", true),
            ("status:fin loss<3.2 head_dim>=32 d_model=128", true),
            ("loss<3.1", false),
            ("val_loss<9", false),
            ("params>1e2 num_heads:4", true),
            ("id:0123 study:nig corpus:wor size:d128", true),
        ] {
            let filter: Filter = text.parse().unwrap();
            assert_eq!(filter.keeps_run(&subject), kept, "{text}");
        }
    }

    #[test]
    fn labels_and_cells_mean_themselves() {
        let other = |architecture, objective| RunSummary { objective, ..run(architecture, 1, RunStatus::Queued) };
        let shared = other(Architecture::SharedEncoderDecoder, Objective::Ul2R);
        let blanks = other(Architecture::NonCausalDecoder, Objective::BlankInfilling);
        for (text, of_shared, of_blanks) in [
            ("arch:EDS", true, false),
            ("arch:ED", false, false),
            ("obj:glm", false, true),
            ("GLM", false, true),
            ("eds", true, false),
            ("UL2", false, false),
            ("EDS:UL2R", true, false),
            ("EDS:UL2", false, false),
            ("eds:u", true, false),
            ("ED:UL2R", false, false),
            ("-ND: EDS:", true, false),
            ("arch:EDS|obj:GLM", true, true),
        ] {
            let filter: Filter = text.parse().unwrap();
            assert_eq!((filter.keeps_run(&shared), filter.keeps_run(&blanks)), (of_shared, of_blanks), "{text}");
        }
    }

    #[test]
    fn every_key_that_is_offered_is_known() {
        assert!(WORDS.iter().all(|word| WordKey::named(word).is_some() && KNOWN.contains(word)));
        assert!(NUMBERS.iter().all(|word| NumberKey::named(word).is_some() && KNOWN.contains(word)));
    }

    #[test]
    fn mistakes_are_explained() {
        assert!("flavour:CD".parse::<Filter>().unwrap_err().contains("unknown key `flavour`; use arch"));
        assert!("loss<low".parse::<Filter>().unwrap_err().contains("`low` is not a number"));
        assert!("arch<CD".parse::<Filter>().unwrap_err().contains("only be compared with `:`"));
    }
}
