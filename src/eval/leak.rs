//! Whether an evaluation asks what was trained on.
//! Promises: an item is found under every wording; prompts of one data set are no other data. Must not know: tokens, models.

use std::collections::HashMap;

use super::asked::{contexts, examples, squeezed};
use super::dataset::DatasetKind;
use super::instruction::Template;
use super::prompted::data_set;
use super::{EvalError, source};

/// The first item of the tasks of `evaluated` that is among the data of `trained`, in words, or the first data set that both have
/// under other prompts.
///
/// # Errors
/// A source of `evaluated` cannot be used.
pub fn leak(trained: &[Template], evaluated: &[String]) -> Result<Option<String>, EvalError> {
    if evaluated.is_empty() {
        return Ok(None);
    }
    let (mut inputs, mut told) = (HashMap::new(), HashMap::new());
    for template in trained {
        for pair in &template.pairs {
            inputs.insert(squeezed(&pair.inputs), template.name.as_str());
            if !template.written_out {
                told.insert(pair.example, template.name.as_str());
            }
        }
    }
    let files = trained.iter().filter(|template| template.written_out).map(|template| template.name.as_str());
    let files: Vec<&str> = files.collect();
    for task in source::gather(evaluated)?.suite.tasks() {
        let set =
            if files.contains(&task.name.as_str()) { Some(task.name.clone()) } else { data_set(&task.name, &files) };
        if let Some(set) = set.filter(|_| task.dataset.kind == DatasetKind::Prompted) {
            let file = files.iter().find(|name| name.starts_with(&set)).unwrap_or(&"");
            return Ok(Some(format!(
                "the evaluated task {} and {file}, which is trained on, are prompts of one data set, {set}: they hold the same \
                 examples; hold it out, or evaluate on other data (or rename a file whose name begins so by chance)",
                task.name
            )));
        }
        let found = |document: usize, template: &str| {
            format!(
                "document {document} of the evaluated task {} is among the training prompts of {template}; hold that family \
                 out, or evaluate on other data",
                task.name
            )
        };
        // A task that cannot be asked is told where it is asked.
        let (Ok(asked), Ok(examples)) = (contexts(task, &source::read), examples(task, &source::read)) else {
            continue;
        };
        let mut examples = examples.iter().enumerate();
        if let Some((document, template)) = examples.find_map(|(at, own)| Some((at, told.get(own)?))) {
            return Ok(Some(found(document, template)));
        }
        let shared = asked.iter().filter_map(|(text, document)| Some((*document, inputs.get(text)?)));
        if let Some((document, template)) = shared.min() {
            return Ok(Some(found(document, template)));
        }
    }
    Ok(None)
}
