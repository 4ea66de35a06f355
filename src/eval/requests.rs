//! From documents to requests: few-shot examples, delimiters, gold answers.
//! Promises: the same examples as the harness draws, document by document in file order; a document that is left out keeps its
//! place among the draws. Must not know: models.

use serde_json::Value;

use super::EvalError;
use super::document::{Document, ReadText};
use super::documents::documents;
use super::labels::Labels;
use super::mersenne::PythonRandom;
use super::prompt::{Asked, LARGEST_TEXT, Prompts, index};
use super::python;
use super::scorer::{ScoreRequest, WriteRequest};
use super::source::is_shipped;
use super::task_file::{OutputType, Task};
use crate::config::files;
use crate::core::task::TaskMetric;

/// The seed with which the harness draws solved examples.
const FEWSHOT_SEED: u32 = 1234;

/// Bytes of all that a task asks, which is held at once.
const MOST_TEXT: usize = 1 << 30;

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

/// What a task asks, and what of its data cannot be asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Questions {
    /// The items, in the order of the documents.
    pub(super) items: Vec<Item>,
    /// Documents that are left out between them.
    pub(super) left_out: Vec<usize>,
    /// What a person should know of the data.
    pub(super) notices: Vec<String>,
}

/// The first `limit` documents of `task` that can be asked, as questions.
///
/// # Errors
/// Data or templates are wrong; the document is named. Or no item has a label that names one of its choices.
pub(super) fn questions(task: &Task, read: ReadText<'_>, limit: Option<usize>) -> Result<Questions, EvalError> {
    let failed = |document: usize, reason: String| EvalError::Prompt { task: task.name.clone(), document, reason };
    let prompts = Prompts::new(task).map_err(|reason| failed(0, reason))?;
    let asked = documents(task, &task.split, read)?;
    let pool = if task.num_fewshot > 0 { documents(task, &task.fewshot_split, read)? } else { Vec::new() };
    if !is_shipped(&task.path) {
        files::begins(&task.path);
    }
    let first = asked.first().map(|document| prompts.text(document)).transpose().map_err(|e| failed(0, e))?;
    let many_contexts = task.output == OutputType::MultipleChoice && matches!(first, Some(Asked::Index(_)));
    let (key, field) = if many_contexts { ("doc_to_text", &task.text) } else { ("doc_to_target", &task.target) };
    let random = PythonRandom::new(FEWSHOT_SEED);
    let mut builder = Builder { task, prompts, pool, many_contexts, random, labels: Labels::new(task, key, field) };
    let (most, mut found, mut size) = (limit.unwrap_or(usize::MAX), Questions::default(), 0);
    for (place, document) in asked.iter().enumerate() {
        if found.items.len() >= most {
            break;
        }
        files::goes_on();
        match builder.question(place, document).map_err(|reason| failed(place, reason))? {
            Some(question) => {
                size += question.size();
                if size > MOST_TEXT {
                    let reason = format!(
                        "the prompts up to this one have more than {} of text together; ask fewer documents, or with fewer \
                         solved examples",
                        files::size(MOST_TEXT as u64)
                    );
                    return Err(failed(place, reason));
                }
                found.items.push(Item { document: place, question });
            }
            None => found.left_out.push(place),
        }
    }
    let told = builder.labels.told();
    found.notices = told.map_err(|reason| EvalError::Data { task: task.name.clone(), reason })?;
    Ok(found)
}

struct Builder<'t> {
    task: &'t Task,
    prompts: Prompts<'t>,
    pool: Vec<Document>,
    /// Whether the contexts differ and the continuation is one.
    many_contexts: bool,
    random: PythonRandom,
    labels: Labels<'t>,
}

impl Question {
    /// Bytes of its texts.
    fn size(&self) -> usize {
        let of = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
        let of_request = |request: &ScoreRequest| request.context.len() + request.continuation.len();
        match self {
            Self::Choice { requests, choices, .. } => requests.iter().map(of_request).sum::<usize>() + of(choices),
            Self::Likelihood(request) => of_request(request),
            Self::Rolling(text) => text.len(),
            Self::Writing { request, golds } => request.context.len() + of(golds),
        }
    }
}

impl Builder<'_> {
    /// What is asked of `document`; `None` if it is left out.
    fn question(&mut self, place: usize, document: &Document) -> Result<Option<Question>, String> {
        let before = self.before(document)?;
        match self.task.output {
            OutputType::LoglikelihoodRolling => Ok(Some(Question::Rolling(self.target_text(document)?))),
            OutputType::Loglikelihood => {
                let context = before + &self.plain_text(document)?;
                Ok(Some(Question::Likelihood(ScoreRequest { context, continuation: self.target_text(document)? })))
            }
            OutputType::MultipleChoice => self.choice(place, before, document),
            OutputType::GenerateUntil => self.writing(place, before, document),
        }
    }

    fn writing(&mut self, place: usize, before: String, document: &Document) -> Result<Option<Question>, String> {
        let context = before + &self.plain_text(document)?;
        let target = self.prompts.target(document)?;
        let golds = match (self.prompts.choices(document)?, target) {
            // With choices a label says which of them is the answer.
            (Some(choices), label) => {
                let Some(right) = self.labels.right(place, &label, &choices) else { return Ok(None) };
                right.into_iter().filter_map(|index| choices.get(index).cloned()).collect()
            }
            (None, target) => {
                let Some(answers) = self.labels.answers(place, &target) else { return Ok(None) };
                answers
            }
        };
        let (until, max_tokens) = (self.task.writing.until.clone(), self.task.writing.max_tokens);
        Ok(Some(Question::Writing { request: WriteRequest { context, until, max_tokens }, golds }))
    }

    fn choice(&mut self, place: usize, before: String, document: &Document) -> Result<Option<Question>, String> {
        let choices = self.prompts.choices(document)?.unwrap_or_default();
        let delimiter = &self.task.target_delimiter;
        let (mut requests, label) = if self.many_contexts {
            let label = match self.prompts.text(document)? {
                Asked::Index(label) => label,
                Asked::Text(text) => Value::from(text),
            };
            let continuation = format!("{delimiter}{}", self.target_text(document)?);
            let request = |choice: &String| ScoreRequest {
                context: format!("{before}{choice}"),
                continuation: continuation.clone(),
            };
            (choices.iter().map(request).collect::<Vec<_>>(), label)
        } else {
            let context = before + &self.plain_text(document)?;
            let request = |choice: &String| ScoreRequest {
                context: context.clone(),
                continuation: format!("{delimiter}{choice}"),
            };
            (choices.iter().map(request).collect(), self.prompts.target(document)?)
        };
        let Some(gold) = self.labels.right(place, &label, &choices) else { return Ok(None) };
        if let Some(twin) = twin(&choices, &gold) {
            self.labels.twin(place, twin);
        }
        let unconditional = self.task.metrics.contains(&TaskMetric::AccMutualInfo);
        if unconditional {
            let alone =
                |choice: &String| ScoreRequest { context: String::new(), continuation: format!("{delimiter}{choice}") };
            requests.extend(choices.iter().map(alone));
        }
        Ok(Some(Question::Choice { requests, choices, gold, unconditional }))
    }

    fn plain_text(&self, document: &Document) -> Result<String, String> {
        match self.prompts.text(document)? {
            Asked::Text(text) => Ok(text),
            Asked::Index(index) => Err(format!("`doc_to_text` gave {}, not a text", python::repr(&index))),
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
        let short = |drawn: usize, pool: usize| {
            format!("{drawn} examples cannot be drawn from the {pool} documents of `{}`", self.task.fewshot_split)
        };
        let others = |example: &&Document| !self.task.drop_self || *example != document;
        let mut examples: Vec<&Document> = if self.task.first_examples {
            self.pool.iter().filter(others).take(count).collect()
        } else {
            let drawn = count + usize::from(self.task.drop_self);
            let places = self.random.sample(self.pool.len(), drawn);
            let places = places.ok_or_else(|| short(drawn, self.pool.len()))?;
            let examples = places.into_iter().filter_map(|place| self.pool.get(place));
            examples.filter(others).take(count).collect()
        };
        if examples.len() < count {
            // As the harness does where the document is in the pool more than once.
            let pool: Vec<&Document> = self.pool.iter().filter(others).collect();
            let places = if self.task.first_examples { None } else { self.random.sample(pool.len(), count) };
            let places = places.ok_or_else(|| short(count, pool.len()))?;
            examples = places.into_iter().filter_map(|place| pool.get(place).copied()).collect();
        }
        for example in examples {
            text.push_str(&self.example(example)?);
            if text.len() > LARGEST_TEXT {
                return Err(format!(
                    "its {count} solved examples make more than {LARGEST_TEXT} bytes of text; take fewer"
                ));
            }
        }
        Ok(text)
    }

    /// A solved example; an empty answer drops both delimiters.
    fn example(&self, document: &Document) -> Result<String, String> {
        let choices = self.prompts.choices(document)?;
        let chosen = |label: &Value| {
            let choice = index(label).and_then(|place| choices.as_ref()?.get(place));
            choice.cloned().ok_or_else(|| {
                format!("a solved example has the label {}, and there is no such choice", python::repr(label))
            })
        };
        let question = match self.prompts.text(document)? {
            Asked::Text(text) => text,
            Asked::Index(label) => chosen(&label)?,
        };
        let answer = match self.prompts.target(document)? {
            Value::String(text) => text,
            Value::Null => String::new(),
            Value::Array(items) => items.first().map(python::text).unwrap_or_default(),
            label if !self.many_contexts && choices.is_some() => chosen(&label)?,
            other => python::text(&other),
        };
        if answer.is_empty() {
            return Ok(question);
        }
        Ok(format!("{question}{}{answer}{}", self.task.target_delimiter, self.task.fewshot_delimiter))
    }
}

/// The right choice, if an earlier one reads the same and is not right: of equals the first is taken.
fn twin<'c>(choices: &'c [String], gold: &[usize]) -> Option<&'c str> {
    let earlier = |place: &usize| {
        let choice = choices.get(*place)?;
        let first = choices.iter().position(|other| other == choice)?;
        (!gold.contains(&first)).then_some(choice.as_str())
    };
    let found: Vec<&str> = gold.iter().filter_map(earlier).collect();
    if found.len() == gold.len() { found.first().copied() } else { None }
}
