//! A task file, typed: the YAML subset of the field's harness that this program evaluates.
//! Promises: an unknown key, an unsupported value and a wrong type are refused with file and line; nothing is ignored
//! but what is documented as without effect on scores. Must not know: documents, templates.

use std::path::{Path, PathBuf};

use super::EvalError;
use super::dataset::{Dataset, dataset_of};
use super::document::ReadText;
use super::exact::ExactRule;
use super::metric_list::{metric_of, metrics_of};
use super::settings::{Setting, Settings};
use super::writing::{Writing, writing_of};
use super::yaml::{Node, Yaml};
use crate::core::task::TaskMetric;

/// Keys without effect on scores.
const WITHOUT_EFFECT: [&str; 3] = ["should_decontaminate", "doc_to_decontamination_query", "task_alias"];

/// The key of `metadata` by which a task says of which family it is a prompt wording; the field's harness takes no notice of it.
const WORDING_OF: &str = "wording_of";

/// What a model is asked for each document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputType {
    /// The likeliest of several continuations (or of several contexts).
    MultipleChoice,
    /// How likely one continuation is.
    Loglikelihood,
    /// How likely a whole text is.
    LoglikelihoodRolling,
    /// An answer is written.
    GenerateUntil,
}

/// `doc_to_text`, `doc_to_target` or `doc_to_choice` as written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field {
    /// An index.
    Integer(i64),
    /// A column's name or a template.
    Text(String),
    /// Values, taken as they are.
    List(Vec<serde_json::Value>),
}

/// One task.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Name.
    pub name: String,
    /// Tags: names by which several tasks are asked for together. They say nothing of what is scored.
    pub tags: Vec<String>,
    /// The family of which it is one prompt wording: the same items, asked otherwise.
    pub wording_of: Option<String>,
    /// Its file.
    pub path: PathBuf,
    /// Data.
    pub dataset: Dataset,
    /// The split that is asked.
    pub split: String,
    /// The split of solved examples.
    pub fewshot_split: String,
    /// Whether examples come from the split that is asked, so that a document must not be its own example.
    pub(super) drop_self: bool,
    /// Solved examples before each question.
    pub num_fewshot: usize,
    /// Whether these are the first ones, and not drawn.
    pub(super) first_examples: bool,
    /// What is asked.
    pub output: OutputType,
    pub(super) text: Field,
    pub(super) target: Field,
    pub(super) choice: Option<Field>,
    /// How an answer is written.
    pub(super) writing: Writing,
    pub(super) description: String,
    pub(super) target_delimiter: String,
    pub(super) fewshot_delimiter: String,
    /// What is reported, in the order of the file.
    pub metrics: Vec<TaskMetric>,
    /// What `exact_match` ignores.
    pub(super) exact: ExactRule,
}

/// One number of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupMetric {
    /// Of which scores.
    pub metric: TaskMetric,
    /// Whether a task counts by its number of items.
    pub weight_by_size: bool,
}

/// Several tasks with a common score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Names of tasks, tags or other groups.
    pub members: Vec<String>,
    /// What is reported.
    pub metrics: Vec<GroupMetric>,
}

/// What one file describes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TaskFile {
    Task(Box<Task>),
    Group(Group),
}

/// Reads the task or group in the file at `path`.
///
/// # Errors
/// The file or one it includes cannot be read, is not YAML, or says something that is not supported.
pub(super) fn load(path: &Path, read: ReadText<'_>) -> Result<TaskFile, EvalError> {
    let mut settings = Settings::load(path, read)?;
    match settings.take("group") {
        // In older files a task's `group` is what its `tag` is now.
        Some(group) if !settings.holds("output_type") => group_of(&group, settings).map(TaskFile::Group),
        tag => task_of(settings, tag.as_ref()).map(|task| TaskFile::Task(Box::new(task))),
    }
}

fn group_of(name: &Setting, mut settings: Settings) -> Result<Group, EvalError> {
    let members = settings.need("task")?.texts()?;
    let mut metrics = Vec::new();
    let listed = settings.take("aggregate_metric_list");
    for item in listed.iter().flat_map(Setting::items) {
        let (mut metric, mut weight_by_size) = (None, true);
        for option in item.pairs()? {
            match (option.key.as_str(), &option.node.value) {
                ("metric", _) => metric = Some(metric_of(&option)?),
                ("weight_by_size", Yaml::Bool(value)) => weight_by_size = *value,
                ("aggregation", _) => option.one_of(&[("mean", ())])?,
                (other, _) => return Err(option.error(format!("`{other}` of a group's metric is not supported"))),
            }
        }
        let metric = metric.ok_or_else(|| item.error("an aggregated metric has no `metric`"))?;
        metrics.push(GroupMetric { metric, weight_by_size });
    }
    settings.take("group_alias");
    if let Some(declared) = wording_of(&mut settings)? {
        return Err(declared.error(format!("`{WORDING_OF}` belongs into the file of a task; a group is a mean")));
    }
    let path = settings.path.clone();
    settings.end(&WITHOUT_EFFECT)?;
    Ok(Group { name: name.text()?, path, members, metrics })
}

fn field_of(setting: &Setting, mappings: bool) -> Result<Field, EvalError> {
    match &setting.node.value {
        Yaml::Integer(index) => Ok(Field::Integer(*index)),
        Yaml::Text(text) => Ok(Field::Text(text.clone())),
        Yaml::List(items) => Ok(Field::List(items.iter().map(Node::json).collect())),
        Yaml::Map(pairs) if mappings => Ok(Field::List(pairs.iter().map(|(_, node)| node.json()).collect())),
        _ => Err(setting.wrong("a column, a template, a list or an index")),
    }
}

/// What `metadata` says of wordings; whatever else it says has no effect.
fn wording_of(settings: &mut Settings) -> Result<Option<Setting>, EvalError> {
    let Some(metadata) = settings.take("metadata").filter(|setting| matches!(setting.node.value, Yaml::Map(_))) else {
        return Ok(None);
    };
    Ok(metadata.pairs()?.into_iter().find(|option| option.key == WORDING_OF && option.node.value != Yaml::Null))
}

/// Few-shot examples: whether the first are taken and not drawn, and the split that they come from if it is named here.
fn fewshot_of(settings: &mut Settings, count: usize) -> Result<(bool, Option<String>), EvalError> {
    let (mut first, mut split) = (false, None);
    let Some(config) = settings.take("fewshot_config") else { return Ok((first, split)) };
    for option in config.pairs()? {
        match (option.key.as_str(), &option.node.value) {
            (_, Yaml::Null) => {}
            ("sampler", _) => first = option.one_of(&[("default", false), ("first_n", true)])?,
            ("split", _) => split = Some(option.text()?),
            // Says how examples look, and there are none.
            _ if count == 0 => {}
            (other, _) => return Err(option.error(format!("`{other}` of `fewshot_config` is not supported"))),
        }
    }
    Ok((first, split))
}

/// Settings that say nothing at these values: one answer a question, no code that is run.
fn without_effect(settings: &mut Settings) -> Result<(), EvalError> {
    for (key, nothing) in [("repeats", Yaml::Integer(1)), ("unsafe_code", Yaml::Bool(false))] {
        if let Some(setting) = settings.take(key).filter(|setting| setting.node.value != nothing) {
            return Err(setting.error(format!("`{key}` is not supported")));
        }
    }
    Ok(())
}

fn task_of(mut settings: Settings, group: Option<&Setting>) -> Result<Task, EvalError> {
    let name = settings.need("task")?.text()?;
    let output = settings.need("output_type")?.one_of(&[
        ("multiple_choice", OutputType::MultipleChoice),
        ("loglikelihood", OutputType::Loglikelihood),
        ("loglikelihood_rolling", OutputType::LoglikelihoodRolling),
        ("generate_until", OutputType::GenerateUntil),
    ])?;
    let tag = settings.take("tag");
    let tags = tag.as_ref().into_iter().chain(group).map(Setting::texts);
    let tags = tags.collect::<Result<Vec<_>, _>>()?.concat();
    let wording_of = wording_of(&mut settings)?.map(|declared| declared.text()).transpose()?;
    let dataset = dataset_of(&mut settings)?;
    let [training, validation, test, fewshot] =
        ["training_split", "validation_split", "test_split", "fewshot_split"].map(|key| settings.text(key));
    let (training, validation, test, fewshot) = (training?, validation?, test?, fewshot?);
    let split = test.clone().or_else(|| validation.clone()).ok_or_else(|| settings.missing("test_split"))?;
    let num_fewshot = match settings.take("num_fewshot") {
        None => 0,
        Some(setting) => match setting.node.value {
            Yaml::Integer(count) => usize::try_from(count).map_err(|_| setting.wrong("0 or more"))?,
            _ => return Err(setting.wrong("a number")),
        },
    };
    let (first_examples, named) = fewshot_of(&mut settings, num_fewshot)?;
    let fewshot = named.or(fewshot);
    // Equal names mean that a document could be its own example; both absent counts as equal, as in the harness.
    let drop_self = fewshot == test;
    let fewshot_split = fewshot.or(training).or(validation).unwrap_or_else(|| split.clone());
    let field = |settings: &mut Settings, key| settings.take(key).map(|setting| field_of(&setting, false)).transpose();
    let text = field(&mut settings, "doc_to_text")?;
    let target = field(&mut settings, "doc_to_target")?.ok_or_else(|| settings.missing("doc_to_target"))?;
    let choice = settings.take("doc_to_choice").map(|setting| field_of(&setting, true)).transpose()?;
    let text = match (text, output) {
        (Some(text), _) => text,
        (None, OutputType::LoglikelihoodRolling) => Field::Text(String::new()),
        (None, OutputType::MultipleChoice | OutputType::Loglikelihood | OutputType::GenerateUntil) => {
            return Err(settings.missing("doc_to_text"));
        }
    };
    if output == OutputType::MultipleChoice && choice.is_none() {
        return Err(settings.missing("doc_to_choice"));
    }
    let (metrics, exact) = metrics_of(&mut settings, output)?;
    let delimiter = |settings: &mut Settings, key, default: &str| {
        settings.text(key).map(|text| text.unwrap_or_else(|| default.to_owned()))
    };
    let description = delimiter(&mut settings, "description", "")?;
    let target_delimiter = delimiter(&mut settings, "target_delimiter", " ")?;
    let fewshot_delimiter = delimiter(&mut settings, "fewshot_delimiter", "\n\n")?;
    let writing = writing_of(&mut settings, &fewshot_delimiter, output == OutputType::GenerateUntil)?;
    without_effect(&mut settings)?;
    let path = settings.path.clone();
    settings.end(&WITHOUT_EFFECT)?;
    Ok(Task {
        name,
        tags,
        wording_of,
        path,
        dataset,
        split,
        fewshot_split,
        drop_self,
        num_fewshot,
        first_examples,
        output,
        text,
        target,
        choice,
        writing,
        description,
        target_delimiter,
        fewshot_delimiter,
        metrics,
        exact,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::io;

    fn loaded(files: &[(&str, &str)]) -> Result<TaskFile, EvalError> {
        let files: BTreeMap<PathBuf, String> =
            files.iter().map(|(name, text)| (name.into(), (*text).to_owned())).collect();
        let read = |path: &Path| files.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
        load(Path::new("t/a.yaml"), &read)
    }

    /// The task that `text` describes.
    pub(in crate::eval) fn task(text: &str) -> Task {
        match loaded(&[("t/a.yaml", text)]).unwrap() {
            TaskFile::Task(task) => *task,
            TaskFile::Group(group) => panic!("{group:?} is a group"),
        }
    }

    const BASE: &str = "dataset_path: json\ntest_split: test\noutput_type: multiple_choice\ndoc_to_text: q\n\
                        doc_to_target: label\ndoc_to_choice: [a, b]\nmetadata: {version: 1.0}\n";

    #[test]
    fn an_included_file_lies_underneath() {
        let own = "include: base_yaml\ntask: mine\ntag: [x, y]\ndoc_to_text: other\ntest_split: null\n\
                   validation_split: val\ndataset_kwargs:\n  data_files:\n    val: ../d/x.jsonl\n";
        let TaskFile::Task(task) = loaded(&[("t/a.yaml", own), ("t/base_yaml", BASE)]).unwrap() else {
            panic!("group")
        };
        assert_eq!((task.name.as_str(), task.split.as_str(), task.fewshot_split.as_str()), ("mine", "val", "val"));
        assert_eq!(task.tags, ["x", "y"]);
        assert_eq!((&task.text, &task.target), (&Field::Text("other".to_owned()), &Field::Text("label".to_owned())));
        assert_eq!(task.dataset.files, [("val".to_owned(), vec![PathBuf::from("t/../d/x.jsonl")])]);
        assert_eq!(task.metrics, [TaskMetric::Acc, TaskMetric::AccNorm], "what the harness reports without a list");
        assert_eq!((task.target_delimiter.as_str(), task.fewshot_delimiter.as_str()), (" ", "\n\n"));
        assert!(task.drop_self, "no few-shot split and no test split count as the same");
    }

    /// Each pair means the same to lm_eval 0.4.13.
    #[test]
    fn forms_that_mean_the_same_are_one_task() {
        let read = |text: &str| task(&format!("task: t\n{text}"));
        let data = "dataset_kwargs: {data_files: {test: x.jsonl}}\n";
        let chosen = read(&format!("{data}{BASE}"));
        for more in [
            "dataset_name: null",
            "dataset_name: ~\nprocess_docs: null\nuse_prompt: null\ngen_prefix:",
            "num_fewshot: null\ndescription: null\nfewshot_config: null\nfilter_list: null",
            "should_decontaminate: true\ndoc_to_decontamination_query: \"{{q}}\"\nrepeats: 1\nunsafe_code: false",
            "metric_list:\n  - metric: acc\n    aggregation: mean\n    higher_is_better: true\n    ignore_case: true\n    \
             regexes_to_ignore: [',', '\\$']\n  - metric: acc_norm\n    hf_evaluate: false",
            "filter_list: [{name: all, filter: [{function: take_first}]}]",
            "fewshot_config: {sampler: default, samples: [{q: x}]}",
            "generation_kwargs: {do_sample: true}",
        ] {
            assert_eq!(read(&format!("{data}{BASE}{more}\n")), chosen, "{more}");
        }
        let trained = data.replace("test:", "train:");
        let files = |data: &str| read(&format!("{data}{}", BASE.replace("test_split: test", "test_split: train")));
        for form in ["data_files: x.jsonl", "data_files: [x.jsonl]", "data_files: x.jsonl, trust_remote_code: true"] {
            assert_eq!(files(&format!("dataset_kwargs: {{{form}}}\n")), files(&trained), "{form}");
        }
        let tagged = read(&format!("{data}{BASE}tag: [a, b]\n")).tags;
        assert_eq!(read(&format!("{data}{BASE}group: [a, b]\n")).tags, tagged, "as older files call it");
        assert_eq!(read(&format!("{data}{BASE}tag: a\ngroup: b\n")).tags, tagged);
        let anchored = "dataset_kwargs: {data_files: {test: &f x.jsonl, more: *f}}\n";
        let plain = "dataset_kwargs: {data_files: {test: x.jsonl, more: x.jsonl}}\n";
        assert_eq!(read(&format!("{anchored}{BASE}")), read(&format!("{plain}{BASE}")));
    }

    #[test]
    fn the_likeliest_token_is_asked_for_in_many_forms() {
        let head = "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: x.jsonl}}\ntest_split: test\n\
                    output_type: generate_until\ndoc_to_text: q\ndoc_to_target: a\n";
        let written = |options: &str| {
            let text = format!("{head}generation_kwargs: {{until: [X], max_gen_toks: 4{options}}}\n");
            match loaded(&[("t/a.yaml", &text)]) {
                Ok(TaskFile::Task(task)) => Ok(task.writing),
                Ok(TaskFile::Group(group)) => panic!("{group:?}"),
                Err(error) => Err(error.to_string()),
            }
        };
        let plain = written("").unwrap();
        for same in [
            ", do_sample: false",
            ", do_sample: False, temperature: 0.0",
            ", do_sample: no, temperature: 0.7, top_p: 0.95, top_k: 50",
            ", temperature: 0",
            ", temperature: 0., top_p: 1.0, num_beams: 1, repetition_penalty: 1.0",
            ", do_sample: true, temperature: 0.0",
            ", top_p: 1",
            ", max_new_tokens: 7, temperature: null",
        ] {
            assert_eq!(written(same).as_ref(), Ok(&plain), "{same}");
        }
        for (other, named) in [
            (", do_sample: true", "`do_sample: True`"),
            (", temperature: 0.8", "`temperature: 0.8`"),
            (", do_sample: true, temperature: 0.5, top_p: 0.9", "`do_sample: True`"),
            (", num_beams: 4", "`num_beams: 4`"),
            (", penalty_alpha: 0.6", "`penalty_alpha: 0.6`"),
        ] {
            let said = written(other).unwrap_err();
            assert!(said.starts_with("use the task file t/a.yaml:8: ") && said.contains(named), "{said}");
        }
        let bare = task(&format!("{head}fewshot_delimiter: \"|\"\n")).writing;
        assert_eq!((bare.until, bare.max_tokens), (vec!["|".to_owned()], 256));
        let renamed = task(&format!("{head}generation_kwargs: {{until: X, max_new_tokens: 4}}\n")).writing;
        assert_eq!(renamed, plain);
        let none = task(&format!("{head}generation_kwargs: {{until: ['', X], max_tokens: 4}}\n")).writing;
        assert_eq!(none, plain, "an empty text ends nothing");
    }

    #[test]
    fn groups_have_metrics() {
        let text = "group: g\ntask: [a, b]\naggregate_metric_list:\n  - metric: acc\n    aggregation: mean\n    weight_by_size: false\n";
        let TaskFile::Group(group) = loaded(&[("t/a.yaml", text)]).unwrap() else { panic!("task") };
        assert_eq!(group.members, ["a", "b"]);
        assert_eq!(group.metrics, [GroupMetric { metric: TaskMetric::Acc, weight_by_size: false }]);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name_with_file_and_line() {
        let data = "task: t\ndataset_kwargs: {data_files: {test: x.jsonl}}\n";
        let said = |more: &str| {
            let base =
                BASE.replace(if more.starts_with("output_type") { "output_type: multiple_choice\n" } else { "\0" }, "");
            loaded(&[("t/a.yaml", &format!("{data}{base}{more}\n"))]).unwrap_err().to_string()
        };
        for (more, words) in [
            ("process_docs: !function utils.f", "t/a.yaml:10: `!function` runs Python"),
            ("process_docs: f", "t/a.yaml:10: `process_docs` is not supported"),
            ("output_type: rank", "t/a.yaml:9: `output_type: rank` is not supported"),
            ("gen_prefix: x", "`gen_prefix`"),
            ("metric_list: [{metric: exact_match}]", "`exact_match` is not a metric of this output type"),
            ("metric_list: [{metric: perplexity}]", "not a metric of this output type"),
            ("metric_list: [{metric: acc, average: macro}]", "the option `average` of `acc`"),
            ("metric_list: [{metric: acc}, {metric: acc}]", "`acc` is listed twice"),
            ("fewshot_config: {samples: [{q: x}]}\nnum_fewshot: 1", "`samples` of `fewshot_config` is not supported"),
            ("repeats: 4", "`repeats` is not supported"),
            ("dataset_name: de", "files have no configurations; leave it out"),
            (
                "filter_list: [{name: x, filter: [{function: regex, regex_pattern: A}]}]",
                "the filter `regex` of `filter_list`",
            ),
            (
                "filter_list: [{filter: [{function: take_first}]}, {filter: [{function: take_first}]}]",
                "more than one chain",
            ),
            ("metric_list: [{metric: acc, aggregation: median}]", "`aggregation: median`"),
            ("num_fewshot: -1", "`num_fewshot` must be 0 or more"),
            ("description: [x]", "`description` must be text, it is a list"),
        ] {
            let found = said(more);
            assert!(found.contains(words), "{more}: {found}");
        }
        let missing = loaded(&[("t/a.yaml", data)]).unwrap_err().to_string();
        assert!(missing.contains("`output_type` is missing"), "{missing}");
        let circle = loaded(&[("t/a.yaml", "include: a.yaml\n")]).unwrap_err().to_string();
        assert!(circle.contains("include one another"), "{circle}");
        let absent = loaded(&[("t/a.yaml", "include: other\n")]).unwrap_err().to_string();
        assert!(absent.starts_with("read t/other:"), "{absent}");
    }
}
