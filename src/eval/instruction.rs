//! Tasks as training data: what is read and what is written, by prompt template, for multitask prompted finetuning (Sanh et al.
//! 2021, arXiv 2110.08207, §3 and its code) and for finetuning on one task.
//! Promises: nothing that a template's own test asks is among its training data, under no wording of the world; whole families
//! are held out by name. Must not know: tokens, models.

use super::asked::{all_examples, contexts, examples, squeezed};
use super::dataset::DatasetKind;
use super::document::{Document, ReadText};
use super::documents::documents;
use super::prompted::{ALL, INPUTS, TARGETS};
use super::requests::{Question, Questions, questions};
use super::task_file::Task;
use super::{EvalError, source};
use crate::core::PromptSpec;

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
    /// The family of wordings that the task declares, or its own name.
    pub family: String,
    /// Whether its prompts came written out: then its name tells its data set.
    pub written_out: bool,
    /// Its data.
    pub pairs: Vec<Pair>,
    /// What a person should know of them: what is left out, and the cure.
    pub notices: Vec<String>,
}

/// The templates that `spec` trains on, in the order of its sources.
///
/// # Errors
/// A source cannot be used, a task has no training data, a family that is held out does not exist, or nothing is left.
pub fn templates(spec: &PromptSpec) -> Result<Vec<Template>, EvalError> {
    let of_task = |task: Task| {
        let (pairs, notices) = pairs(&task, spec.examples, &source::read)?;
        let family = task.wording_of.as_ref().unwrap_or(&task.name).clone();
        Ok(Template {
            family,
            name: task.name,
            written_out: task.dataset.kind == DatasetKind::Prompted,
            pairs,
            notices,
        })
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

/// The pairs of one task: `examples` of a generated one, else all of its training split, without what its test asks. What of
/// them is left out, in words.
fn pairs(task: &Task, count: usize, read: ReadText<'_>) -> Result<(Vec<Pair>, Vec<String>), EvalError> {
    let failed = |reason: String| EvalError::Data { task: task.name.clone(), reason };
    let own = match &task.dataset.kind {
        DatasetKind::Prompted => {
            let text = |row: &Document, column| {
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
            return Ok(((0..).zip(&rows).map(pair).collect(), Vec::new()));
        }
        DatasetKind::World(own) => {
            let mut training = task.clone();
            let seed = own.seed.wrapping_add(SEED_DISTANCE);
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
    let (asked, asked_examples) = (contexts(task, read)?, all_examples(task, read)?);
    let numbers = examples(&own, read)?;
    let (mut found, Questions { items, notices, .. }) = (Vec::new(), questions(&own, read, None)?);
    for item in items {
        let (inputs, targets) = pair(item.question).map_err(failed)?;
        let example = numbers.get(item.document).copied().unwrap_or(item.document as u64);
        if !asked.contains_key(&squeezed(&inputs)) && !asked_examples.contains(&example) {
            found.push(Pair { inputs, targets, example });
        }
    }
    Ok((found, notices))
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::eval::can_be_asked;

    /// What an evaluation asks of the data of `trained`.
    fn leak(trained: &PromptSpec, evaluated: &[String]) -> Result<Option<String>, EvalError> {
        crate::eval::leak(&templates(trained)?, evaluated)
    }

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
