//! From documents to requests: few-shot examples, delimiters, gold answers.
//! Promises: the same examples as the harness draws, document by document in file order. Must not know: models.

use serde_json::Value;

use super::EvalError;
use super::document::{Document, ReadText};
use super::documents::documents;
use super::mersenne::PythonRandom;
use super::prompt::{Asked, Prompts, index};
use super::python;
use super::scorer::{ScoreRequest, WriteRequest};
use super::task_file::{OutputType, Task};
use crate::core::task::TaskMetric;

/// The seed with which the harness draws solved examples.
const FEWSHOT_SEED: u32 = 1234;

/// A document as it is asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    /// Its place in the split, from 0.
    pub(super) document: usize,
    pub(super) question: Question,
}

/// What is asked of a document.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Question {
    /// One request a choice, then one a choice without context if `unconditional`.
    Choice { requests: Vec<ScoreRequest>, choices: Vec<String>, gold: Vec<usize>, unconditional: bool },
    /// One request.
    Likelihood(ScoreRequest),
    /// A whole text.
    Rolling(String),
    /// An answer that is written, and those that are right.
    Writing { request: WriteRequest, golds: Vec<String> },
}

/// The first `limit` documents of `task` as questions.
///
/// # Errors
/// Data or templates are wrong; the document is named.
pub(super) fn items(task: &Task, read: ReadText<'_>, limit: Option<usize>) -> Result<Vec<Item>, EvalError> {
    let failed = |document: usize, reason: String| EvalError::Prompt { task: task.name.clone(), document, reason };
    let prompts = Prompts::new(task).map_err(|reason| failed(0, reason))?;
    let asked = documents(task, &task.split, read)?;
    let pool = if task.num_fewshot > 0 { documents(task, &task.fewshot_split, read)? } else { Vec::new() };
    let first = asked.first().map(|document| prompts.text(document)).transpose().map_err(|e| failed(0, e))?;
    let many_contexts = task.output == OutputType::MultipleChoice && matches!(first, Some(Asked::Index(_)));
    let mut builder = Builder { task, prompts, pool, many_contexts, random: PythonRandom::new(FEWSHOT_SEED) };
    let taken = asked.iter().enumerate().take(limit.unwrap_or(usize::MAX));
    taken
        .map(|(place, document)| {
            let question = builder.question(document).map_err(|reason| failed(place, reason))?;
            Ok(Item { document: place, question })
        })
        .collect()
}

struct Builder<'t> {
    task: &'t Task,
    prompts: Prompts<'t>,
    pool: Vec<Document>,
    /// Whether the contexts differ and the continuation is one.
    many_contexts: bool,
    random: PythonRandom,
}

impl Builder<'_> {
    fn question(&mut self, document: &Document) -> Result<Question, String> {
        let before = self.before(document)?;
        match self.task.output {
            OutputType::LoglikelihoodRolling => Ok(Question::Rolling(self.target_text(document)?)),
            OutputType::Loglikelihood => {
                let context = before + &self.plain_text(document)?;
                Ok(Question::Likelihood(ScoreRequest { context, continuation: self.target_text(document)? }))
            }
            OutputType::MultipleChoice => self.choice(before, document),
            OutputType::GenerateUntil => {
                let (until, max_tokens) = self.task.writing.clone();
                let context = before + &self.plain_text(document)?;
                let golds = match self.prompts.target(document)? {
                    Value::Array(items) => items.iter().map(python::text).collect(),
                    other => vec![python::text(&other)],
                };
                Ok(Question::Writing { request: WriteRequest { context, until, max_tokens }, golds })
            }
        }
    }

    fn choice(&self, before: String, document: &Document) -> Result<Question, String> {
        let choices = self.prompts.choices(document)?.unwrap_or_default();
        let delimiter = &self.task.target_delimiter;
        let (mut requests, gold) = if self.many_contexts {
            let continuation = format!("{delimiter}{}", self.target_text(document)?);
            let request = |choice: &String| ScoreRequest {
                context: format!("{before}{choice}"),
                continuation: continuation.clone(),
            };
            let gold = match self.prompts.text(document)? {
                Asked::Index(index) => vec![index],
                Asked::Text(text) => {
                    return Err(format!("`doc_to_text` gave `{text}`, not an index as in the first document"));
                }
            };
            (choices.iter().map(request).collect::<Vec<_>>(), gold)
        } else {
            let context = before + &self.plain_text(document)?;
            let request = |choice: &String| ScoreRequest {
                context: context.clone(),
                continuation: format!("{delimiter}{choice}"),
            };
            (choices.iter().map(request).collect(), gold(&self.prompts.target(document)?, &choices)?)
        };
        let unconditional = self.task.metrics.contains(&TaskMetric::AccMutualInfo);
        if unconditional {
            let alone =
                |choice: &String| ScoreRequest { context: String::new(), continuation: format!("{delimiter}{choice}") };
            requests.extend(choices.iter().map(alone));
        }
        let gold = gold.into_iter().filter(|index| *index < choices.len()).collect();
        Ok(Question::Choice { requests, choices, gold, unconditional })
    }

    fn plain_text(&self, document: &Document) -> Result<String, String> {
        match self.prompts.text(document)? {
            Asked::Text(text) => Ok(text),
            Asked::Index(index) => {
                Err(format!("`doc_to_text` gave the index {index}, not a text as in the first document"))
            }
        }
    }

    fn target_text(&self, document: &Document) -> Result<String, String> {
        match self.prompts.target(document)? {
            Value::String(text) => Ok(text),
            other => Err(format!("`doc_to_target` gave {}, not a text", python::repr(&other))),
        }
    }

    /// Description and solved examples.
    fn before(&mut self, document: &Document) -> Result<String, String> {
        let mut text = self.prompts.description(document)?;
        let count = self.task.num_fewshot;
        if count == 0 {
            return Ok(text);
        }
        let drawn = count + usize::from(self.task.drop_self);
        let places = self.random.sample(self.pool.len(), drawn).ok_or_else(|| {
            format!(
                "{drawn} examples cannot be drawn from the {} documents of `{}`",
                self.pool.len(),
                self.task.fewshot_split
            )
        })?;
        let examples = places.into_iter().filter_map(|place| self.pool.get(place));
        let others = examples.filter(|example| !self.task.drop_self || *example != document);
        for example in others.take(count) {
            text.push_str(&self.example(example)?);
        }
        Ok(text)
    }

    /// A solved example; an empty answer drops both delimiters.
    fn example(&self, document: &Document) -> Result<String, String> {
        let choices = self.prompts.choices(document)?;
        let chosen = |index: usize| {
            let choice = choices.as_ref().and_then(|choices| choices.get(index));
            choice
                .cloned()
                .ok_or_else(|| format!("an example's answer is the index {index}, and there is no such choice"))
        };
        let question = match self.prompts.text(document)? {
            Asked::Text(text) => text,
            Asked::Index(index) => chosen(index)?,
        };
        let answer = match self.prompts.target(document)? {
            Value::String(text) => text,
            Value::Array(items) => items.first().map(python::text).unwrap_or_default(),
            other => match index(&other) {
                Some(index) if !self.many_contexts && choices.is_some() => chosen(index)?,
                _ => python::text(&other),
            },
        };
        if answer.is_empty() {
            return Ok(question);
        }
        Ok(format!("{question}{}{answer}{}", self.task.target_delimiter, self.task.fewshot_delimiter))
    }
}

/// The right choices; a text that is no choice is none of them, and the item counts as wrong.
fn gold(target: &Value, choices: &[String]) -> Result<Vec<usize>, String> {
    match target {
        Value::String(text) => Ok(choices.iter().position(|choice| choice == text).into_iter().collect()),
        Value::Array(items) => {
            let all: Option<Vec<usize>> = items.iter().map(index).collect();
            all.ok_or_else(|| format!("`doc_to_target` gave {}, not indices", python::repr(target)))
        }
        other => index(other).map(|index| vec![index]).ok_or_else(|| {
            format!("`doc_to_target` gave {}, neither an index nor one of the choices", python::repr(other))
        }),
    }
}
