//! What a zero-shot task measures: names, directions and chance levels, once. The names are those of the field's
//! evaluation harness, so that a table of ours can be laid beside a table of theirs.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::metric::Direction;

/// A score of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskMetric {
    /// Share of items whose likeliest choice is right, or whose continuation is the arg-max at every place.
    Acc,
    /// The same after dividing by the characters of the choice.
    AccNorm,
    /// The same after dividing by the UTF-8 bytes of the choice.
    AccBytes,
    /// The same after subtracting the log-likelihood without context.
    AccMutualInfo,
    /// Harmonic mean of precision and recall of class 1.
    F1,
    /// exp(−mean log-likelihood of a continuation): per item, not per token.
    Perplexity,
    /// exp(−log-likelihood per word of the text).
    WordPerplexity,
    /// exp(−log-likelihood per UTF-8 byte of the text).
    BytePerplexity,
    /// −log₂-likelihood per UTF-8 byte of the text.
    BitsPerByte,
    /// Corpus BLEU of what is written, 0 to 100.
    Bleu,
    /// ROUGE-2 F of what is written, 0 to 1.
    Rouge2,
    /// Share of what is written that is an answer, character by character, but for what the task file says to ignore.
    ExactMatch,
    /// The same after `SQuAD`'s normalisation: without case, ASCII punctuation, articles and extra blanks.
    SquadExactMatch,
    /// `SQuAD`'s F1 over the words of what is written and of the answer.
    TokenF1,
}

impl TaskMetric {
    /// All, in the order of tables.
    pub const ALL: [Self; 14] = [
        Self::Acc,
        Self::AccNorm,
        Self::AccBytes,
        Self::AccMutualInfo,
        Self::F1,
        Self::Perplexity,
        Self::WordPerplexity,
        Self::BytePerplexity,
        Self::BitsPerByte,
        Self::Bleu,
        Self::Rouge2,
        Self::ExactMatch,
        Self::SquadExactMatch,
        Self::TokenF1,
    ];

    /// The field's word, as stored and as task files write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acc => "acc",
            Self::AccNorm => "acc_norm",
            Self::AccBytes => "acc_bytes",
            Self::AccMutualInfo => "acc_mutual_info",
            Self::F1 => "f1",
            Self::Perplexity => "perplexity",
            Self::WordPerplexity => "word_perplexity",
            Self::BytePerplexity => "byte_perplexity",
            Self::BitsPerByte => "bits_per_byte",
            Self::Bleu => "bleu",
            Self::Rouge2 => "rouge2",
            Self::ExactMatch => "exact_match",
            Self::SquadExactMatch => "squad_exact_match",
            Self::TokenF1 => "token_f1",
        }
    }

    /// Which way is better.
    #[must_use]
    pub const fn direction(self) -> Direction {
        match self {
            Self::Acc
            | Self::AccNorm
            | Self::AccBytes
            | Self::AccMutualInfo
            | Self::F1
            | Self::Bleu
            | Self::Rouge2
            | Self::ExactMatch
            | Self::SquadExactMatch
            | Self::TokenF1 => Direction::Higher,
            Self::Perplexity | Self::WordPerplexity | Self::BytePerplexity | Self::BitsPerByte => Direction::Lower,
        }
    }

    /// Between what it lies, where both ends are known.
    #[must_use]
    pub const fn bounds(self) -> Option<(f64, f64)> {
        match self {
            Self::Acc
            | Self::AccNorm
            | Self::AccBytes
            | Self::AccMutualInfo
            | Self::F1
            | Self::Rouge2
            | Self::ExactMatch
            | Self::SquadExactMatch
            | Self::TokenF1 => Some((0.0, 1.0)),
            Self::Bleu => Some((0.0, 100.0)),
            Self::Perplexity | Self::WordPerplexity | Self::BytePerplexity | Self::BitsPerByte => None,
        }
    }

    /// Whether it is a mean over items, each of which gives 0 to 1: then so many items scatter no more than so many coins.
    #[must_use]
    pub const fn is_share_of_items(self) -> bool {
        match self {
            Self::Acc
            | Self::AccNorm
            | Self::AccBytes
            | Self::AccMutualInfo
            | Self::Rouge2
            | Self::ExactMatch
            | Self::SquadExactMatch
            | Self::TokenF1 => true,
            Self::F1
            | Self::Bleu
            | Self::Perplexity
            | Self::WordPerplexity
            | Self::BytePerplexity
            | Self::BitsPerByte => false,
        }
    }

    /// The metric of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }
}

impl fmt::Display for TaskMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A value with what is needed to judge it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskScore {
    /// Value.
    pub value: f64,
    /// Standard error over items; absent where it is not known (one item, perplexities, F1).
    pub stderr: Option<f64>,
    /// What guessing reaches: the mean of 1 / choices; absent where nothing is chosen.
    pub chance: Option<f64>,
}

impl TaskScore {
    /// (value − chance) / (1 − chance): 0 is guessing, 1 is perfect (Wang et al. 2022, §3.3).
    #[must_use]
    pub fn above_chance(&self) -> Option<f64> {
        self.chance.filter(|chance| *chance < 1.0).map(|chance| (self.value - chance) / (1.0 - chance))
    }
}

/// The scores of a task.
pub type TaskScores = BTreeMap<TaskMetric, TaskScore>;

/// How a context and its continuation are laid before a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoringForm {
    /// The context, then its continuation; to an encoder–decoder the context in the encoder.
    Plain,
    /// As span corruption trains it: the context with its continuation removed, then the first sentinel and the
    /// continuation. Only for models trained so.
    Sentinel,
}

impl ScoringForm {
    /// The word of tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Sentinel => "sentinel",
        }
    }
}

impl fmt::Display for ScoringForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// Which items of a task were answered rightly, in the order of its documents: what paired tests need, four items a
/// hexadecimal digit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ItemMarks(String);

impl ItemMarks {
    /// Packs the marks, the first item in the highest bit of the first digit.
    #[must_use]
    pub fn new(right: &[bool]) -> Self {
        let digit = |four: &[bool]| {
            let value = four.iter().zip([8, 4, 2, 1]).filter(|(right, _)| **right).map(|(_, bit)| bit).sum();
            char::from_digit(value, 16).unwrap_or('0')
        };
        Self(right.chunks(4).map(digit).collect())
    }

    /// The marks of the first `items` items; fewer if fewer were stored.
    pub fn first(&self, items: usize) -> impl Iterator<Item = bool> {
        let digits = self.0.chars().map(|digit| digit.to_digit(16).unwrap_or(0));
        digits.flat_map(|digit| [8, 4, 2, 1].map(|bit| digit & bit != 0)).take(items)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The scores of one task at one step: what a log keeps of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Optimizer steps made.
    pub step: u64,
    /// Name of the task.
    pub task: String,
    /// The family of prompt wordings that its file declares it to be of. Records of programs in which a tag declared that
    /// hold `tags`: the first of them counts, so that what was stored keeps the families that it was scored by.
    #[serde(default, alias = "tags", deserialize_with = "declared", skip_serializing_if = "Option::is_none")]
    pub wording_of: Option<String>,
    /// How contexts and continuations were laid before the model.
    pub form: ScoringForm,
    /// Scores.
    pub scores: TaskScores,
    /// Documents asked.
    pub items: u64,
    /// Which of them were answered rightly, where `acc` says so.
    #[serde(default, skip_serializing_if = "ItemMarks::is_empty")]
    pub right: ItemMarks,
    /// Cost in seconds.
    pub seconds: f64,
    /// Whether it was asked after the run, by `trilab eval`, and not by the run itself. Where a record lies says so, and
    /// whoever reads it there sets this.
    #[serde(default, skip_serializing_if = "is_false")]
    pub later: bool,
}

impl TaskRecord {
    /// What it counts under: its family of wordings, or itself.
    #[must_use]
    pub fn family(&self) -> &str {
        self.wording_of.as_ref().unwrap_or(&self.task)
    }

    /// Whether `other` says nothing that this one does not: as many items of the same task or fewer, asked of the same
    /// checkpoint in the same form, and answered as here.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let asked = usize::try_from(other.items).unwrap_or(usize::MAX);
        let same_answers = !self.right.is_empty() && !other.right.is_empty() && {
            self.right.first(asked).eq(other.right.first(asked))
        };
        (self.step, &self.task, self.form) == (other.step, &other.task, other.form)
            && other.items <= self.items
            && (same_answers || (self.items == other.items && self.scores == other.scores))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// The name of a family, or the first of the tags that older programs wrote.
fn declared<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Declared {
        Name(String),
        Tags(Vec<String>),
    }
    Ok(match Option::<Declared>::deserialize(from)? {
        Some(Declared::Name(name)) => Some(name),
        Some(Declared::Tags(tags)) => tags.into_iter().next(),
        None => None,
    })
}

/// A family of prompt wordings: the tasks whose files declare it, or a task that is a wording of nothing by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FamilyScore {
    /// The declared name, or the task.
    pub family: String,
    /// Form.
    pub form: ScoringForm,
    /// Its tasks, by name.
    pub tasks: Vec<String>,
    /// Items of all of them.
    pub items: u64,
    /// Median over the tasks of each metric that all of them have; chance is the mean of theirs. The standard error is
    /// that of the task in the middle; of two in the middle the mean of theirs, since they are asked the same items.
    pub medians: TaskScores,
}

impl FamilyScore {
    /// What one number says it best: accuracy, or the first metric there is.
    #[must_use]
    pub fn headline(&self) -> Option<(TaskMetric, TaskScore)> {
        TaskMetric::ALL.into_iter().find_map(|metric| self.medians.get(&metric).map(|score| (metric, *score)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_names_are_the_written_names() {
        for metric in TaskMetric::ALL {
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
            assert_eq!(TaskMetric::from_name(metric.name()), Some(metric));
        }
    }

    #[test]
    fn marks_come_back() {
        let right: Vec<bool> = (0..11).map(|item| item % 3 == 0).collect();
        let marks = ItemMarks::new(&right);
        assert_eq!(serde_json::to_value(&marks).unwrap(), "924");
        assert_eq!(marks.first(11).collect::<Vec<_>>(), right);
        assert_eq!(ItemMarks::default().first(5).count(), 0);
    }

    #[test]
    fn records_of_older_programs_keep_their_families() {
        let old = r#"{"step": 1, "task": "copa_0", "tags": ["copa", "x"], "form": "plain", "scores": {}, "items": 8,
                      "right": "0f", "seconds": 0.1}"#;
        let record: TaskRecord = serde_json::from_str(old).unwrap();
        assert_eq!((record.family(), record.later), ("copa", false));
        let written = serde_json::to_value(&record).unwrap();
        assert_eq!((written["wording_of"].as_str(), written.get("tags")), (Some("copa"), None));
        assert_eq!(serde_json::from_value::<TaskRecord>(written).unwrap(), record);
        let alone: TaskRecord = serde_json::from_str(&old.replace("[\"copa\", \"x\"]", "[]")).unwrap();
        assert_eq!(alone.family(), "copa_0");
    }

    #[test]
    fn a_glance_at_what_is_known_says_nothing() {
        let record = |items: usize, right: &[usize], step| TaskRecord {
            step,
            task: "t".to_owned(),
            wording_of: None,
            form: ScoringForm::Plain,
            scores: TaskScores::new(),
            items: items as u64,
            right: ItemMarks::new(&(0..items).map(|item| right.contains(&item)).collect::<Vec<_>>()),
            seconds: 0.0,
            later: true,
        };
        let whole = record(10, &[1, 2, 7], 5);
        assert!(whole.covers(&record(10, &[1, 2, 7], 5)) && whole.covers(&record(6, &[1, 2], 5)));
        assert!(!whole.covers(&record(6, &[1, 3], 5)), "other answers: another file of the same name");
        assert!(!whole.covers(&record(6, &[1, 2], 4)), "another checkpoint");
        assert!(!record(6, &[1, 2], 5).covers(&whole), "more items");
    }

    #[test]
    fn chance_is_zero_and_perfection_one() {
        let score = |value, chance| TaskScore { value, stderr: None, chance }.above_chance();
        assert_eq!(score(0.25, Some(0.25)), Some(0.0));
        assert_eq!(score(1.0, Some(0.25)), Some(1.0));
        assert_eq!(score(0.625, Some(0.25)), Some(0.5));
        assert_eq!(score(0.5, None), None);
        assert_eq!(score(1.0, Some(1.0)), None, "with one choice there is nothing to know");
    }
}
