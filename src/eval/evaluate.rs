//! One task from its file to its scores.
//! Promises: every number can be traced to item rows; a request that cannot be scored is named. Must not know: models.

use serde::{Deserialize, Serialize};

use super::EvalError;
use super::document::ReadText;
use super::python;
use super::requests::{Item, Question, Questions, questions};
use super::scorer::{Answered, ScoreRequest, Scored, Scorer, ScorerError, WriteRequest, Written};
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
    /// One row a document that has a score.
    pub items: Vec<ItemRow>,
    /// Documents that have none: their data or this model do not allow it.
    pub left_out: Vec<usize>,
    /// Requests made.
    pub requests: usize,
    /// Requests whose context did not fit and was cut off on the left.
    pub cut: usize,
    /// What a person should know of this model's answers: items that it cannot score, scores that are not finite.
    pub notices: Vec<String>,
}

/// A task whose prompts are made: asked again and again while a model learns.
#[derive(Clone, Debug)]
pub struct PreparedTask {
    task: Task,
    items: Vec<Item>,
    left_out: Vec<usize>,
    notices: Vec<String>,
}

/// An item as a person reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemText {
    /// What every choice follows, or is put before; empty for whole texts.
    pub context: String,
    /// What is scored: the choices, the continuation, or the text.
    pub choices: Vec<String>,
}

impl PreparedTask {
    /// Makes the prompts of the first `limit` documents of `task` that can be asked.
    ///
    /// # Errors
    /// Data or templates are wrong; the document is named. Or no document can be asked.
    pub fn new(task: &Task, read: ReadText<'_>, limit: Option<usize>) -> Result<Self, EvalError> {
        let Questions { items, left_out, notices } = questions(task, read, limit)?;
        Ok(Self { task: task.clone(), items, left_out, notices })
    }

    /// The task's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.task.name
    }

    /// What a person should know of its data: what of them is left out, and the cure.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// How many documents are asked.
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

    /// Asks `scorer` the first `limit` documents and scores the answers. An item that the model cannot score is left out.
    ///
    /// # Errors
    /// The scorer fails, or no item can be scored.
    pub fn ask(&self, scorer: &mut dyn Scorer, limit: Option<usize>) -> Result<TaskReport, EvalError> {
        let task = &self.task;
        let items = self.items.get(..limit.unwrap_or(usize::MAX).min(self.items.len())).unwrap_or(&[]);
        let failed = |reason: String| EvalError::Score { place: format!("task {}", task.name), reason };
        let mut written = answers_written(task, items, scorer)?.into_iter();
        let scored = answers(task, items, scorer)?;
        let requests = scored.len() + written.len();
        let mut scored = scored.into_iter();
        let (mut contributions, mut rows) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        let (mut left_out, mut refused, mut cut) = (Vec::new(), None, 0);
        for item in items {
            let own: Vec<Answered<Scored>> = scored.by_ref().take(count(item)).collect();
            let answer = match &item.question {
                Question::Writing { .. } => written.next().map(|answer| answer.map(Some)),
                Question::Choice { .. } | Question::Likelihood(_) | Question::Rolling(_) => Some(Ok(None)),
            };
            let (own, answer) = match (whole(own), answer) {
                (Ok(own), Some(Ok(answer))) => (own, answer),
                (Err((request, reason)), _) => {
                    refused.get_or_insert_with(|| format!("document {}, request {request}: {reason}", item.document));
                    left_out.push(item.document);
                    continue;
                }
                (Ok(_), Some(Err(reason))) => {
                    refused.get_or_insert_with(|| format!("document {}: {reason}", item.document));
                    left_out.push(item.document);
                    continue;
                }
                (Ok(_), None) => return Err(failed("an answer that was to be written is missing".to_owned())),
            };
            cut += own
                .iter()
                .map(|scored| scored.cut)
                .chain(answer.iter().map(|answer| answer.cut))
                .filter(|cut| *cut > 0)
                .count();
            let (contribution, row) = judged(task, item, &own, answer.map(|answer| answer.text)).map_err(failed)?;
            contributions.push(contribution);
            rows.push(row);
        }
        let (mut notices, refused_any) = (Vec::new(), refused.is_some());
        if let Some(refused) = refused {
            let (lost, all) = (left_out.len(), items.len());
            if lost == all {
                return Err(failed(format!("none of its {all} items can be scored by this model: {refused}")));
            }
            notices
                .push(format!("{lost} of {all} items are left out, because this model cannot score them: {refused}"));
        }
        notices.extend(blanks(task, items, &rows));
        let (scores, not_finite) = aggregate(&task.metrics, &contributions);
        notices.extend(not_finite);
        // Those before the first item that is not asked.
        let end = self.items.get(items.len()).map_or(usize::MAX, |item| item.document);
        left_out.extend(self.left_out.iter().filter(|document| **document < end));
        left_out.sort_unstable();
        let (name, wording_of) = (task.name.clone(), task.wording_of.clone());
        // Marks are paired with those of other models by their order, and another model may score all the items.
        let right = if refused_any { ItemMarks::default() } else { right(task, &contributions) };
        Ok(TaskReport { task: name, wording_of, scores, right, items: rows, left_out, requests, cut, notices })
    }
}

/// All the answers of an item, or the first request without one and why.
fn whole(answers: Vec<Answered<Scored>>) -> Result<Vec<Scored>, (usize, String)> {
    answers.into_iter().enumerate().map(|(request, answer)| answer.map_err(|reason| (request, reason))).collect()
}

/// A word on answers that are right but for the white space around them, where that decides.
fn blanks(task: &Task, items: &[Item], rows: &[ItemRow]) -> Option<String> {
    if !task.metrics.contains(&TaskMetric::ExactMatch) {
        return None;
    }
    let near = rows.iter().filter(|row| {
        let item = items.iter().find(|item| item.document == row.document);
        let golds = item.and_then(|item| match &item.question {
            Question::Writing { golds, .. } => Some(golds),
            Question::Choice { .. } | Question::Likelihood(_) | Question::Rolling(_) => None,
        });
        let (Some(golds), Some(text), Some(false)) = (golds, &row.written, row.exact) else { return false };
        task.exact.matches(text.trim_matches(python::is_space), golds).unwrap_or(false)
    });
    let count = near.count();
    (count > 0).then(|| {
        format!(
            "{count} of {} answers are right but for white space around them, which exact_match counts; to take it off write              `filter_list: [{{name: strip, filter: [{{function: remove_whitespace}}, {{function: take_first}}]}}]`",
            rows.len()
        )
    })
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

/// Which items count as right by accuracy or by what is written; none where neither says anything.
fn right(task: &Task, contributions: &[Contribution]) -> ItemMarks {
    let tells = |item: &Contribution| told(item, TaskMetric::Acc).or_else(|| told(item, exactness(task)));
    contributions
        .iter()
        .map(tells)
        .collect::<Option<Vec<bool>>>()
        .map_or_else(ItemMarks::default, |right| ItemMarks::new(&right))
}

/// By what an answer that is written counts as right: by exact match where the task reports it, else as `SQuAD` compares.
fn exactness(task: &Task) -> TaskMetric {
    if task.metrics.contains(&TaskMetric::ExactMatch) { TaskMetric::ExactMatch } else { TaskMetric::SquadExactMatch }
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

fn answers(task: &Task, items: &[Item], scorer: &mut dyn Scorer) -> Result<Vec<Answered<Scored>>, EvalError> {
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
    all_answered(task, items.iter().map(count).sum(), answered)
}

/// What is written behind the contexts of `items`; nothing where nothing is to be.
fn answers_written(task: &Task, items: &[Item], scorer: &mut dyn Scorer) -> Result<Vec<Answered<Written>>, EvalError> {
    let request = |item: &Item| match &item.question {
        Question::Writing { request, .. } => Some(request.clone()),
        Question::Choice { .. } | Question::Likelihood(_) | Question::Rolling(_) => None,
    };
    let requests: Vec<WriteRequest> = items.iter().filter_map(request).collect();
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let answered = scorer.write(&requests);
    all_answered(task, requests.len(), answered)
}

/// The answers to as many requests.
fn all_answered<T>(task: &Task, wanted: usize, answered: Result<Vec<T>, ScorerError>) -> Result<Vec<T>, EvalError> {
    let failed = |reason: String| EvalError::Score { place: format!("task {}", task.name), reason };
    let answered = answered.map_err(|error| failed(error.to_string()))?;
    let found = answered.len();
    if found == wanted { Ok(answered) } else { Err(failed(format!("{wanted} requests had {found} answers"))) }
}

/// # Errors
/// A pattern of the task takes too long on what was written.
fn judged(
    task: &Task,
    item: &Item,
    scored: &[Scored],
    written: Option<String>,
) -> Result<(Contribution, ItemRow), String> {
    let (contribution, predicted, right) = match &item.question {
        Question::Choice { choices, gold, .. } => {
            let (contribution, predicted) = choice(scored, choices, gold);
            (contribution, predicted, Some(gold.clone()))
        }
        Question::Likelihood(_) => (scored.first().map(likelihood).unwrap_or_default(), None, None),
        Question::Rolling(text) => (scored.first().map(|one| rolling(text, one)).unwrap_or_default(), None, None),
        Question::Writing { golds, .. } => {
            let text = task.writing.judged(written.as_deref().unwrap_or_default());
            (self::written(text, golds, &task.exact)?, None, None)
        }
    };
    let row = ItemRow {
        document: item.document,
        log_likelihoods: scored.iter().map(|scored| scored.log_likelihood).collect(),
        tokens: scored.iter().map(|scored| scored.tokens).collect(),
        greedy: scored.iter().map(|scored| scored.greedy).collect(),
        predicted,
        gold: right,
        exact: written.as_ref().and_then(|_| told(&contribution, exactness(task))),
        written,
    };
    Ok((contribution, row))
}
