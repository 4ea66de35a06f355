//! What a task asks, so that it is known again elsewhere: its contexts, and its examples whatever their wording.
//! Promises: the same document has the same number under every prompt. Must not know: what is trained on.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::dataset::DatasetKind;
use super::document::{Document, ReadText};
use super::documents::documents;
use super::requests::{Question, questions};
use super::task_file::Task;
use super::{EvalError, source};
use crate::core::seed::index_of;

/// Contexts that a task asks, without solved examples before them, with their documents; white space does not tell texts
/// apart.
pub(super) fn contexts(task: &Task, read: ReadText<'_>) -> Result<HashMap<String, usize>, EvalError> {
    let bare = Task { num_fewshot: 0, ..task.clone() };
    let of = |question: Question| match question {
        Question::Choice { requests, .. } => requests.into_iter().map(|request| request.context).collect(),
        Question::Likelihood(request) => vec![request.context],
        Question::Writing { request, .. } => vec![request.context],
        Question::Rolling(_) => Vec::new(),
    };
    let mut found = HashMap::new();
    for item in questions(&bare, read, None)?.items {
        for context in of(item.question) {
            found.entry(squeezed(&context)).or_insert(item.document);
        }
    }
    Ok(found)
}

/// `text` with single blanks.
pub(super) fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A number for each document of what a task asks, which tells documents apart but not prompts.
pub(super) fn examples(task: &Task, read: ReadText<'_>) -> Result<Vec<u64>, EvalError> {
    if let DatasetKind::World(items) = &task.dataset.kind {
        let items = items.items().map_err(|reason| EvalError::Data { task: task.name.clone(), reason })?;
        return Ok(items.iter().map(|item| item.example).collect());
    }
    let content = |row: Document| index_of(&format!("{:?}", row.into_iter().collect::<BTreeMap<_, _>>()));
    Ok(documents(task, &task.split, read)?.into_iter().map(content).collect())
}

/// The same of a task and, in the world, of all that differ from it by their wording alone.
pub(super) fn all_examples(task: &Task, read: ReadText<'_>) -> Result<HashSet<u64>, EvalError> {
    match &task.dataset.kind {
        DatasetKind::World(items) => {
            let failed = |reason| EvalError::Data { task: task.name.clone(), reason };
            items.examples_of_all_wordings().map_err(failed)
        }
        DatasetKind::Json { .. } | DatasetKind::Prompted | DatasetKind::Text(_) => {
            Ok(examples(task, read)?.into_iter().collect())
        }
    }
}

/// Whether the tasks of a person's own sources can be asked: their data is read and their prompts are made. What of them is left
/// out, in words.
///
/// # Errors
/// One cannot; the task and what is wrong are named.
pub fn can_be_asked(sources: &[String]) -> Result<Vec<String>, EvalError> {
    if sources.is_empty() {
        return Ok(Vec::new());
    }
    let gathered = source::gather(sources)?;
    let mut notices = gathered.notices;
    for task in gathered.suite.tasks().iter().filter(|task| !source::is_shipped(&task.path)) {
        notices.extend(
            questions(task, &source::read, None)?.notices.into_iter().map(|told| format!("{}: {told}", task.name)),
        );
    }
    Ok(notices)
}
