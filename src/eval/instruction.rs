//! Tasks as training data: what is read and what is written, by prompt template, for multitask prompted finetuning (Sanh et al.
//! 2021, arXiv 2110.08207, §3 and its code) and for finetuning on one task.
//! Promises: nothing that a template's own test asks is among its training data, under no wording of the world; whole families
//! are held out by name; an item that an evaluation asks is found. Must not know: tokens, models.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::document::{Document, ReadText};
use super::documents::documents;
use super::prompted::{ALL, INPUTS, TARGETS, data_set};
use super::requests::{Question, items};
use super::task_file::{DatasetKind, Task};
use super::{EvalError, source};
use crate::core::PromptSpec;
use crate::core::seed::index_of;
use crate::corpus::world;

/// A training seed lies this far from that of the items that are asked.
const SEED_DISTANCE: u64 = 1 << 32;

/// One example in so many of every data set validates.
const HELD_OUT: u64 = 10;

/// An input with its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Read.
    pub inputs: String,
    /// Written, with the blank before it.
    pub targets: String,
    /// Pairs of one data set with the same number are one example under several prompts.
    pub example: u64,
}

impl Pair {
    /// Whether its example validates, under every prompt.
    #[must_use]
    pub const fn validates(&self) -> bool {
        self.example % HELD_OUT == HELD_OUT - 1
    }
}

/// The training data of one prompt template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The task that it is of.
    pub name: String,
    /// The family of that task: its tag, or its own name.
    pub family: String,
    /// Its data.
    pub pairs: Vec<Pair>,
}

/// The templates that `spec` trains on, in the order of its sources.
///
/// # Errors
/// A source cannot be used, a task has no training data, a family that is held out does not exist, or nothing is left.
pub fn templates(spec: &PromptSpec) -> Result<Vec<Template>, EvalError> {
    let of_task = |task: Task| {
        let pairs = pairs(&task, spec.examples, &source::read)?;
        Ok(Template { family: family(&task).to_owned(), name: task.name, pairs })
    };
    let found: Vec<Template> = trained(spec)?.into_iter().map(of_task).collect::<Result<_, EvalError>>()?;
    if !found.iter().flat_map(|template| &template.pairs).any(Pair::validates) {
        let count: usize = found.iter().map(|template| template.pairs.len()).sum();
        let reason = format!(
            "they hold {count} prompts in {} templates, and one example in {HELD_OUT} is kept for validation; list tasks \
             with more data",
            found.len()
        );
        return Err(EvalError::Source { source_name: spec.sources.join(", "), reason });
    }
    Ok(found)
}

fn family(task: &Task) -> &str {
    task.tags.first().unwrap_or(&task.name)
}

/// The tasks that `spec` trains on.
fn trained(spec: &PromptSpec) -> Result<Vec<Task>, EvalError> {
    let gathered = source::gather(&spec.sources)?;
    let (mut unused, mut found) = (spec.held_out.clone(), Vec::new());
    for task in gathered.suite.tasks() {
        let names = |held: &String| task.name.starts_with(held.as_str()) || task.tags.contains(held);
        if spec.held_out.iter().any(names) {
            unused.retain(|held| !names(held));
        } else {
            found.push(task.clone());
        }
    }
    let failed = |reason: String| EvalError::Source { source_name: spec.sources.join(", "), reason };
    match unused.first() {
        Some(held) => Err(failed(format!("no task or family of it begins with `{held}`, which is held out"))),
        None if found.is_empty() => Err(failed("every task of it is held out; nothing is left to train on".to_owned())),
        None => Ok(found),
    }
}

/// The pairs of one task: `examples` of a generated one, else all of its training split, without what its test asks.
fn pairs(task: &Task, examples: usize, read: ReadText<'_>) -> Result<Vec<Pair>, EvalError> {
    let failed = |reason: String| EvalError::Data { task: task.name.clone(), reason };
    let own = match &task.dataset.kind {
        DatasetKind::Prompted => {
            let text = |row: &super::document::Document, column| {
                row.get(column).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
            };
            let rows = documents(task, ALL, read)?;
            // Whoever wrote the prompts out says with the evaluation what must not be trained on.
            // Files of one data set hold its examples in one order.
            let pair = |(example, row)| Pair {
                inputs: text(row, INPUTS),
                targets: format!(" {}", text(row, TARGETS)),
                example,
            };
            return Ok((0..).zip(&rows).map(pair).collect());
        }
        DatasetKind::World(own) => {
            let mut training = task.clone();
            let (seed, count) = (own.seed.wrapping_add(SEED_DISTANCE), examples);
            training.dataset.kind = DatasetKind::World(super::WorldItems { seed, count, ..*own });
            training
        }
        DatasetKind::Json { .. } | DatasetKind::Text(_) if task.fewshot_split == task.split => {
            return Err(failed("it has no `training_split`, and what is asked must not be trained on".to_owned()));
        }
        DatasetKind::Json { .. } | DatasetKind::Text(_) => {
            Task { split: task.fewshot_split.clone(), num_fewshot: 0, ..task.clone() }
        }
    };
    let asked = questions(task, read)?;
    let asked_examples: HashSet<u64> = match &task.dataset.kind {
        DatasetKind::World(asked) => asked.examples_of_all_wordings().map_err(failed)?.into_iter().collect(),
        DatasetKind::Json { .. } | DatasetKind::Prompted | DatasetKind::Text(_) => {
            example_numbers(task, read)?.into_iter().collect()
        }
    };
    let examples = example_numbers(&own, read)?;
    let mut found = Vec::new();
    for item in items(&own, read, None)? {
        let (inputs, targets) = pair(item.question).map_err(failed)?;
        let example = examples.get(item.document).copied().unwrap_or(item.document as u64);
        if !asked.contains_key(&squeezed(&inputs)) && !asked_examples.contains(&example) {
            found.push(Pair { inputs, targets, example });
        }
    }
    Ok(found)
}

/// A number for each document of what a task asks, which tells documents apart but not prompts.
fn example_numbers(task: &Task, read: ReadText<'_>) -> Result<Vec<u64>, EvalError> {
    if let DatasetKind::World(items) = &task.dataset.kind {
        let items = items.items().map_err(|reason| EvalError::Data { task: task.name.clone(), reason })?;
        return Ok(items.iter().map(world::Item::example).collect());
    }
    let content = |row: Document| index_of(&format!("{:?}", row.into_iter().collect::<BTreeMap<_, _>>()));
    Ok(documents(task, &task.split, read)?.into_iter().map(content).collect())
}

/// The context and its right continuation.
fn pair(question: Question) -> Result<(String, String), String> {
    let request = match question {
        Question::Choice { requests, gold, .. } => {
            let right = gold.first().and_then(|right| requests.into_iter().nth(*right));
            right.ok_or("an item has no right choice")?
        }
        Question::Likelihood(request) => request,
        Question::Rolling(_) => return Err("a whole text has no input and no target".to_owned()),
        Question::Writing { request, golds } => {
            let gold = golds.into_iter().next().ok_or("an item has no answer")?;
            return Ok((request.context, format!(" {gold}")));
        }
    };
    Ok((request.context, request.continuation))
}

/// Contexts that a task asks, without solved examples before them, with their documents; white space does not tell texts
/// apart.
fn questions(task: &Task, read: ReadText<'_>) -> Result<HashMap<String, usize>, EvalError> {
    let bare = Task { num_fewshot: 0, ..task.clone() };
    let contexts = |question: Question| match question {
        Question::Choice { requests, .. } => requests.into_iter().map(|request| request.context).collect(),
        Question::Likelihood(request) => vec![request.context],
        Question::Writing { request, .. } => vec![request.context],
        Question::Rolling(_) => Vec::new(),
    };
    let mut found = HashMap::new();
    for item in items(&bare, read, None)? {
        for context in contexts(item.question) {
            found.entry(squeezed(&context)).or_insert(item.document);
        }
    }
    Ok(found)
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first item of the tasks of `evaluated` that is among the training data of `trained_on`, in words, or the first data set
/// that both have under other prompts.
///
/// # Errors
/// A source cannot be used.
pub fn leak(trained_on: &PromptSpec, evaluated: &[String]) -> Result<Option<String>, EvalError> {
    let templates = templates(trained_on)?;
    if evaluated.is_empty() {
        return Ok(None);
    }
    let inputs: HashMap<String, &str> = templates
        .iter()
        .flat_map(|template| template.pairs.iter().map(|pair| (squeezed(&pair.inputs), template.name.as_str())))
        .collect();
    let written_out = |task: &&Task| task.dataset.kind == DatasetKind::Prompted;
    let tasks = trained(trained_on)?;
    let files: Vec<&str> = tasks.iter().filter(written_out).map(|task| task.name.as_str()).collect();
    let told: HashMap<u64, &str> = tasks
        .iter()
        .zip(&templates)
        .filter(|(task, _)| !written_out(task))
        .flat_map(|(_, template)| template.pairs.iter().map(|pair| (pair.example, template.name.as_str())))
        .collect();
    for task in source::gather(evaluated)?.suite.tasks() {
        let set =
            if files.contains(&task.name.as_str()) { Some(task.name.clone()) } else { data_set(&task.name, &files) };
        if let Some(set) = set.filter(|_| written_out(&task)) {
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
        let (Ok(asked), Ok(examples)) = (questions(task, &source::read), example_numbers(task, &source::read)) else {
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

/// Whether the tasks of a person's own sources can be asked: their data is read and their prompts are made.
///
/// # Errors
/// One cannot; the task and what is wrong are named.
pub fn can_be_asked(sources: &[String]) -> Result<(), EvalError> {
    if sources.is_empty() {
        return Ok(());
    }
    let own = |task: &&Task| !source::is_shipped(&task.path);
    source::gather(sources)?
        .suite
        .tasks()
        .iter()
        .filter(own)
        .try_for_each(|task| items(task, &source::read, None).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(sources: &[&str], held_out: &[&str]) -> PromptSpec {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let fingerprint = String::new();
        PromptSpec { sources: owned(sources), held_out: owned(held_out), examples: 40, cap: 500, fingerprint }
    }

    #[test]
    fn a_world_trains_on_other_items_than_it_asks() {
        let spec = spec(&["shipped:world"], &["world_counting", "world_two_hop"]);
        let all = templates(&spec).unwrap();
        let families: HashSet<&str> = all.iter().map(|template| template.family.as_str()).collect();
        assert_eq!(families.len(), 6);
        assert!(!families.contains("world_counting") && all.iter().all(|template| template.pairs.len() > 1));
        let first = &all[0].pairs[0];
        assert!(first.targets.starts_with(' ') && !first.inputs.is_empty(), "{first:?}");
        assert_eq!(leak(&spec, &["shipped:world".to_owned()]).unwrap(), None);
        // Every template keeps the same examples from training.
        let validating = |one: bool| -> HashSet<u64> {
            let pairs = all.iter().flat_map(|template| &template.pairs);
            pairs.filter(|pair| pair.validates() == one).map(|pair| pair.example).collect()
        };
        assert!(validating(true).is_disjoint(&validating(false)) && validating(true).len() > 10);
        assert_eq!(all, templates(&spec).unwrap(), "the same every time");
    }

    #[test]
    fn an_item_of_the_world_is_the_same_under_every_wording() {
        let folder = tempfile::tempdir().unwrap();
        let shipped = include_str!("../../data/tasks/world_copying_1.yaml");
        let trained = spec(&["shipped:world_copying_0"], &[]);
        assert_eq!(leak(&trained, &["shipped:world_copying_1".to_owned()]).unwrap(), None);
        // What is trained on under wording 0, asked under wording 1.
        let asked = folder.path().join("asked.yaml");
        let told = (0..40).any(|near| {
            let seed = format!("seed: {}\n  count: 40", SEED_DISTANCE + 1 + near);
            std::fs::write(&asked, shipped.replace("seed: 1\n  count: 500", &seed)).unwrap();
            let said = leak(&trained, &[asked.display().to_string()]).unwrap();
            said.is_some_and(|said| {
                said.contains("task world_copying_1 is among the training prompts of world_copying_0")
            })
        });
        assert!(told);
    }

    #[test]
    fn families_that_do_not_exist_cannot_be_held_out() {
        let said = templates(&spec(&["shipped:world"], &["world_flying"])).unwrap_err().to_string();
        assert!(said.contains("begins with `world_flying`"), "{said}");
        let said = templates(&spec(&["shipped:world_order"], &["world"])).unwrap_err().to_string();
        assert!(said.contains("nothing is left"), "{said}");
    }

    #[test]
    fn prompted_data_is_read_and_a_leak_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, rows: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, rows).unwrap();
            path.display().to_string()
        };
        let asked =
            "{\"inputs\": \"Is fog  wet?\", \"targets\": \"yes\", \"choices\": [\"no\", \"yes\"], \"label\": 1}\n";
        let ship = "{\"inputs\": \"Name a ship.\", \"targets\": \"ferry\"}\n";
        let trained = file("trained.jsonl", &format!("{}{asked}", ship.repeat(9)));
        let few = self::spec(&[&file("few.jsonl", asked)], &[]);
        let said = templates(&few).unwrap_err().to_string();
        assert!(said.contains("hold 1 prompts in 1 templates"), "{said}");
        let other = file(
            "other.jsonl",
            "{\"inputs\": \"Is fog wet?\", \"targets\": \"no\", \"choices\": [\"no\"], \"label\": 0}\n",
        );
        let spec = spec(&[&trained], &[]);
        let all = templates(&spec).unwrap();
        let first = Pair { inputs: "Name a ship.".to_owned(), targets: " ferry".to_owned(), example: 0 };
        assert_eq!((&all[0].pairs[0], all[0].pairs.len()), (&first, 10));
        let said = leak(&spec, &[other]).unwrap().unwrap();
        assert!(
            said.contains("document 0 of the evaluated task other is among the training prompts of trained"),
            "{said}"
        );
        // Solved examples before a question do not hide it.
        let data = "{\"q\": \"Is fog wet?\", \"a\": \"yes\", \"c\": [\"no\", \"yes\"]}\n";
        file("shots.jsonl.data", &data.replace("fog", "ice"));
        file("asked.jsonl.data", data);
        let shots = file(
            "shots.yaml",
            "task: shots\ndataset_path: json\ndataset_kwargs: {data_files: {train: shots.jsonl.data, test: asked.jsonl.data}}\n\
             test_split: test\nfewshot_split: train\noutput_type: multiple_choice\ndoc_to_text: \"{{q}}\"\ndoc_to_choice: c\n\
             doc_to_target: a\nnum_fewshot: 1\nmetric_list: [{metric: acc}]\n",
        );
        let said = leak(&spec, &[shots]).unwrap().unwrap();
        assert!(said.contains("document 0 of the evaluated task shots"), "{said}");
        // Nor does another wording.
        let [asks, learns] = [("asks", "test"), ("learns", "train")].map(|(name, split)| {
            let text = format!(
                "task: {name}\ndataset_path: json\ndataset_kwargs: {{data_files: {{train: {split}.rows, test: shots.jsonl.data}}}}\n\
                 test_split: test\ntraining_split: train\noutput_type: multiple_choice\ndoc_to_text: \"{name} {{{{q}}}}\"\n\
                 doc_to_choice: c\ndoc_to_target: a\nmetric_list: [{{metric: acc}}]\n"
            );
            file(&format!("{name}.yaml"), &text)
        });
        file("test.rows", data);
        file("train.rows", &(0..20).map(|n| data.replace("fog", &format!("thing {n}"))).collect::<String>());
        let learned = self::spec(&[&learns], &[]);
        assert_eq!(leak(&learned, std::slice::from_ref(&asks)).unwrap(), None);
        file("shots.jsonl.data", &data.replace("fog", "thing 3"));
        let said = leak(&learned, &[asks]).unwrap();
        assert_eq!(said, None, "what its own test asks is not among its training data");
        let own_test = learns.replace("learns", "own");
        std::fs::write(
            &own_test,
            std::fs::read_to_string(&learns).unwrap().replace("test: shots.jsonl", "test: asked.jsonl"),
        )
        .unwrap();
        let asks = file("asks.yaml", &std::fs::read_to_string(folder.path().join("asks.yaml")).unwrap());
        let said = leak(&self::spec(&[&own_test], &[]), &[asks]).unwrap().unwrap();
        assert!(
            said.contains("document 0 of the evaluated task asks is among the training prompts of learns"),
            "{said}"
        );
        // Other prompts of a data set that is trained on are no other data.
        let sets = ["fog_qa_short", "fog_qa_long"].map(|name| file(&format!("{name}.jsonl"), &asked.repeat(10)));
        let [short, long] = &sets;
        let both = self::spec(&[short, long], &[]);
        assert!(templates(&both).unwrap().iter().all(|template| template.family == "fog_qa"));
        let third = file("fog_qa_polite.jsonl", &asked.replace("Is fog", "Please, is fog"));
        let said = leak(&both, &[third]).unwrap().unwrap();
        assert!(said.contains("are prompts of one data set, fog_qa"), "{said}");
        let said = leak(&self::spec(&[short], &[]), std::slice::from_ref(long)).unwrap().unwrap();
        assert!(said.contains("task fog_qa_long and fog_qa_short, which is trained on, are prompts of one"), "{said}");
        let broken = file("broken.jsonl", "{\"inputs\": \"a\"}\n");
        let said = templates(&PromptSpec { sources: vec![broken], ..spec }).unwrap_err().to_string();
        assert!(said.contains("row 1 has no text `targets`"), "{said}");
        for label in ["0", "5", "-1", "\"1\""] {
            let wrong = file("wrong.jsonl", &asked.replace("\"label\": 1", &format!("\"label\": {label}")));
            let said = can_be_asked(&[wrong]).unwrap_err().to_string();
            assert!(said.contains("row 1: its `targets` are not the choice"), "{said}");
        }
        can_be_asked(&[trained, "shipped:world".to_owned()]).unwrap();
    }
}
