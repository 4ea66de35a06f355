//! One task from its file to its scores.
//! Promises: every number can be traced to item rows; a request that cannot be scored is named. Must not know: models.

use serde::{Deserialize, Serialize};

use super::EvalError;
use super::document::ReadText;
use super::requests::{Item, Question, items};
use super::scorer::{ScoreRequest, Scored, Scorer, ScorerError, WriteRequest, Written};
use super::scores::{Contribution, aggregate, choice, likelihood, rolling, written};
use super::task_file::{OutputType, Task};
use crate::core::task::{ItemMarks, ScoringForm, TaskMetric, TaskRecord, TaskScores};

/// One document's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemRow {
    /// Its place in the split, from 0.
    pub document: usize,
    /// Log-likelihoods in the order of the requests.
    pub log_likelihoods: Vec<f64>,
    /// Scored tokens of each request.
    pub tokens: Vec<usize>,
    /// Whether each request's continuation is the arg-max at every place.
    pub greedy: Vec<bool>,
    /// The likeliest choice, where there are choices.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub predicted: Option<usize>,
    /// The right choices, where there are choices.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gold: Option<Vec<usize>>,
    /// What was written, where an answer is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub written: Option<String>,
    /// Whether what was written is a right answer, by exact match.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exact: Option<bool>,
}

/// What a task gave.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskReport {
    /// Name.
    pub task: String,
    /// The family of prompt wordings that its file declares it to be of.
    pub wording_of: Option<String>,
    /// Scores.
    pub scores: TaskScores,
    /// Which documents were answered rightly.
    pub right: ItemMarks,
    /// One row a document.
    pub items: Vec<ItemRow>,
    /// Requests made.
    pub requests: usize,
    /// Requests whose context did not fit and was cut off on the left.
    pub cut: usize,
    /// What a person should know: scores that are not finite.
    pub notices: Vec<String>,
}

/// A task whose prompts are made: asked again and again while a model learns.
#[derive(Clone, Debug)]
pub struct PreparedTask {
    task: Task,
    items: Vec<Item>,
}

/// An item as a person reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemText {
    /// What every choice follows, or is put before; empty for whole texts.
    pub context: String,
    /// What is scored: the choices, the continuation, or the text.
    pub choices: Vec<String>,
}

impl PreparedTask {
    /// Makes the prompts of the first `limit` documents of `task`.
    ///
    /// # Errors
    /// Data or templates are wrong; the document is named.
    pub fn new(task: &Task, read: ReadText<'_>, limit: Option<usize>) -> Result<Self, EvalError> {
        Ok(Self { task: task.clone(), items: items(task, read, limit)? })
    }

    /// How many documents there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The text of the item of one document.
    #[must_use]
    pub fn text(&self, document: usize) -> Option<ItemText> {
        let item = self.items.iter().find(|item| item.document == document)?;
        Some(match &item.question {
            Question::Choice { requests, choices, .. } => {
                let own = requests.get(..choices.len()).unwrap_or(requests);
                let first = own.first()?;
                if own.iter().all(|request| request.context == first.context) {
                    let context = first.context.clone();
                    ItemText { context, choices: own.iter().map(|request| request.continuation.clone()).collect() }
                } else {
                    let whole = |request: &ScoreRequest| format!("{}{}", request.context, request.continuation);
                    ItemText { context: String::new(), choices: own.iter().map(whole).collect() }
                }
            }
            Question::Likelihood(request) => {
                ItemText { context: request.context.clone(), choices: vec![request.continuation.clone()] }
            }
            Question::Rolling(text) => ItemText { context: String::new(), choices: vec![text.clone()] },
            Question::Writing { request, golds } => {
                ItemText { context: request.context.clone(), choices: golds.clone() }
            }
        })
    }

    /// Asks `scorer` the first `limit` documents and scores the answers.
    ///
    /// # Errors
    /// The scorer fails; document and request are named.
    pub fn ask(&self, scorer: &mut dyn Scorer, limit: Option<usize>) -> Result<TaskReport, EvalError> {
        let task = &self.task;
        let items = self.items.get(..limit.unwrap_or(usize::MAX).min(self.items.len())).unwrap_or(&[]);
        let written = answers_written(task, items, scorer)?;
        let scored = answers(task, items, scorer)?;
        let mut rest = scored.as_slice();
        let (mut contributions, mut rows) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        for (place, item) in items.iter().enumerate() {
            let (own, tail) = rest.split_at_checked(count(item)).unwrap_or((rest, &[]));
            rest = tail;
            let (contribution, row) = judged(item, own, written.get(place).map(|written| &written.text));
            contributions.push(contribution);
            rows.push(row);
        }
        let (scores, notices) = aggregate(&task.metrics, &contributions);
        let cuts = scored.iter().map(|scored| scored.cut).chain(written.iter().map(|written| written.cut));
        let cut = cuts.filter(|cut| *cut > 0).count();
        let (task, wording_of, right) = (task.name.clone(), task.wording_of.clone(), right(&contributions));
        let requests = scored.len() + written.len();
        Ok(TaskReport { task, wording_of, scores, right, items: rows, requests, cut, notices })
    }
}

/// Asks `scorer` the first `limit` documents of `task` and scores the answers.
///
/// # Errors
/// Data or templates are wrong, or the scorer fails; the document and request are named.
pub fn evaluate(
    task: &Task,
    read: ReadText<'_>,
    scorer: &mut dyn Scorer,
    limit: Option<usize>,
) -> Result<TaskReport, EvalError> {
    PreparedTask::new(task, read, limit)?.ask(scorer, limit)
}

impl TaskReport {
    /// What a log keeps of it.
    #[must_use]
    pub fn record(&self, step: u64, form: ScoringForm, seconds: f64) -> TaskRecord {
        TaskRecord {
            step,
            task: self.task.clone(),
            wording_of: self.wording_of.clone(),
            form,
            scores: self.scores.clone(),
            items: self.items.len() as u64,
            right: self.right.clone(),
            seconds,
            later: false,
        }
    }
}

/// Which items count as right by accuracy or exact match; none where neither says anything.
fn right(contributions: &[Contribution]) -> ItemMarks {
    let tells = |item: &Contribution| told(item, TaskMetric::Acc).or_else(|| told(item, TaskMetric::ExactMatch));
    contributions
        .iter()
        .map(tells)
        .collect::<Option<Vec<bool>>>()
        .map_or_else(ItemMarks::default, |right| ItemMarks::new(&right))
}

/// Whether an item is right by `metric`.
fn told(item: &Contribution, metric: TaskMetric) -> Option<bool> {
    item.values.iter().find(|(own, _)| *own == metric).map(|(_, value)| *value > 0.5)
}

fn count(item: &Item) -> usize {
    match &item.question {
        Question::Choice { requests, .. } => requests.len(),
        Question::Likelihood(_) | Question::Rolling(_) => 1,
        Question::Writing { .. } => 0,
    }
}

fn answers(task: &Task, items: &[Item], scorer: &mut dyn Scorer) -> Result<Vec<Scored>, EvalError> {
    let answered = match task.output {
        OutputType::LoglikelihoodRolling => {
            let text = |item: &Item| match &item.question {
                Question::Rolling(text) => Some(text.clone()),
                Question::Choice { .. } | Question::Likelihood(_) | Question::Writing { .. } => None,
            };
            scorer.score_rolling(&items.iter().filter_map(text).collect::<Vec<_>>())
        }
        OutputType::GenerateUntil => return Ok(Vec::new()),
        OutputType::MultipleChoice | OutputType::Loglikelihood => {
            let requests = |item: &Item| match &item.question {
                Question::Choice { requests, .. } => requests.clone(),
                Question::Likelihood(request) => vec![request.clone()],
                Question::Rolling(_) | Question::Writing { .. } => Vec::new(),
            };
            scorer.score(&items.iter().flat_map(requests).collect::<Vec<ScoreRequest>>())
        }
    };
    let wanted: usize = items.iter().map(count).sum();
    match answered {
        Ok(scored) if scored.len() == wanted => Ok(scored),
        Ok(scored) => Err(EvalError::Score {
            place: format!("task {}", task.name),
            reason: format!("{wanted} requests had {} answers", scored.len()),
        }),
        Err(ScorerError::Model(reason)) => Err(EvalError::Score { place: format!("task {}", task.name), reason }),
        Err(ScorerError::Request { index, reason }) => {
            Err(EvalError::Score { place: place(task, items, index), reason })
        }
    }
}

/// What is written behind the contexts of `items`; nothing where nothing is to be.
fn answers_written(task: &Task, items: &[Item], scorer: &mut dyn Scorer) -> Result<Vec<Written>, EvalError> {
    let request = |item: &Item| match &item.question {
        Question::Writing { request, .. } => Some(request.clone()),
        Question::Choice { .. } | Question::Likelihood(_) | Question::Rolling(_) => None,
    };
    let requests: Vec<WriteRequest> = items.iter().filter_map(request).collect();
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |place: String, reason: String| EvalError::Score { place, reason };
    match scorer.write(&requests) {
        Ok(written) if written.len() == requests.len() => Ok(written),
        Ok(written) => Err(failed(
            format!("task {}", task.name),
            format!("{} requests had {} answers", requests.len(), written.len()),
        )),
        Err(ScorerError::Model(reason)) => Err(failed(format!("task {}", task.name), reason)),
        Err(ScorerError::Request { index, reason }) => {
            let document = items.get(index).map_or(index, |item| item.document);
            Err(failed(format!("task {}, document {document}", task.name), reason))
        }
    }
}

/// Which document and request the `index`-th request is.
fn place(task: &Task, items: &[Item], index: usize) -> String {
    let mut before = 0;
    for item in items {
        if index < before + count(item) {
            return format!("task {}, document {}, request {}", task.name, item.document, index - before);
        }
        before += count(item);
    }
    format!("task {}, request {index}", task.name)
}

fn judged(item: &Item, scored: &[Scored], written: Option<&String>) -> (Contribution, ItemRow) {
    let (contribution, predicted, right) = match &item.question {
        Question::Choice { choices, gold, .. } => {
            let (contribution, predicted) = choice(scored, choices, gold);
            (contribution, predicted, Some(gold.clone()))
        }
        Question::Likelihood(_) => (scored.first().map(likelihood).unwrap_or_default(), None, None),
        Question::Rolling(text) => (scored.first().map(|one| rolling(text, one)).unwrap_or_default(), None, None),
        Question::Writing { golds, .. } => {
            (written.map(|text| self::written(text, golds)).unwrap_or_default(), None, None)
        }
    };
    let row = ItemRow {
        document: item.document,
        log_likelihoods: scored.iter().map(|scored| scored.log_likelihood).collect(),
        tokens: scored.iter().map(|scored| scored.tokens).collect(),
        greedy: scored.iter().map(|scored| scored.greedy).collect(),
        predicted,
        gold: right,
        written: written.cloned(),
        exact: written.and_then(|_| told(&contribution, TaskMetric::ExactMatch)),
    };
    (contribution, row)
}
