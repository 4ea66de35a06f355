//! A task file, typed: the YAML subset of the field's harness that this program evaluates.
//! Promises: an unknown key, an unsupported value and a wrong type are refused with file and line; nothing is ignored
//! but what is documented as without effect on scores. Must not know: documents, templates.

use std::path::{Path, PathBuf};

use super::EvalError;
use super::document::ReadText;
use super::settings::{Setting, Settings, sibling};
use super::world::{SPLIT, WorldItems};
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

/// How a text file falls into documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paragraphs {
    /// One a line.
    Line,
    /// One a paragraph: split at empty lines, empty pieces dropped.
    Paragraph,
    /// The whole file.
    Document,
}

/// The kind of the data files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatasetKind {
    /// One JSON object a line, or a list of them, possibly under a field of one object.
    Json {
        /// That field.
        field: Option<String>,
    },
    /// Plain text; the only column is `text`.
    Text(Paragraphs),
    /// Items of the shipped world; there are no files.
    World(WorldItems),
    /// JSON lines of written-out prompts.
    Prompted,
}

/// Where the documents are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Kind.
    pub kind: DatasetKind,
    /// Files of each split, relative to the task file's folder.
    pub files: Vec<(String, Vec<PathBuf>)>,
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
    /// What is asked.
    pub output: OutputType,
    pub(super) text: Field,
    pub(super) target: Field,
    pub(super) choice: Option<Field>,
    /// How an answer that is written ends: texts, and tokens at most.
    pub(super) writing: (Vec<String>, usize),
    pub(super) description: String,
    pub(super) target_delimiter: String,
    pub(super) fewshot_delimiter: String,
    /// What is reported, in the order of the file.
    pub metrics: Vec<TaskMetric>,
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
        Some(group) => group_of(&group, settings).map(TaskFile::Group),
        None => task_of(settings).map(|task| TaskFile::Task(Box::new(task))),
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

fn metric_of(setting: &Setting) -> Result<TaskMetric, EvalError> {
    setting.one_of(&TaskMetric::ALL.map(|metric| (metric.name(), metric)))
}

fn task_of(mut settings: Settings) -> Result<Task, EvalError> {
    let name = settings.need("task")?.text()?;
    let output = settings.need("output_type")?.one_of(&[
        ("multiple_choice", OutputType::MultipleChoice),
        ("loglikelihood", OutputType::Loglikelihood),
        ("loglikelihood_rolling", OutputType::LoglikelihoodRolling),
        ("generate_until", OutputType::GenerateUntil),
    ])?;
    let writing = writing_of(&mut settings, output)?;
    let tags = settings.take("tag").map_or(Ok(Vec::new()), |tag| tag.texts())?;
    let wording_of = wording_of(&mut settings)?.map(|declared| declared.text()).transpose()?;
    let dataset = dataset_of(&mut settings)?;
    let [training, validation, test, fewshot] =
        ["training_split", "validation_split", "test_split", "fewshot_split"].map(|key| settings.text(key));
    let (training, validation, test, fewshot) = (training?, validation?, test?, fewshot?);
    let split = test.clone().or_else(|| validation.clone()).ok_or_else(|| settings.missing("test_split"))?;
    // Equal names mean that a document could be its own example; both absent counts as equal, as in the harness.
    let drop_self = fewshot == test;
    let fewshot_split = fewshot.or(training).or(validation).unwrap_or_else(|| split.clone());
    let num_fewshot = match settings.take("num_fewshot") {
        None => 0,
        Some(setting) => match setting.node.value {
            Yaml::Integer(count) => usize::try_from(count).map_err(|_| setting.wrong("0 or more"))?,
            _ => return Err(setting.wrong("a number")),
        },
    };
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
    let metrics = metrics_of(&mut settings, output)?;
    let delimiter = |settings: &mut Settings, key, default: &str| {
        settings.text(key).map(|text| text.unwrap_or_else(|| default.to_owned()))
    };
    let description = delimiter(&mut settings, "description", "")?;
    let target_delimiter = delimiter(&mut settings, "target_delimiter", " ")?;
    let fewshot_delimiter = delimiter(&mut settings, "fewshot_delimiter", "\n\n")?;
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
        output,
        text,
        target,
        choice,
        writing,
        description,
        target_delimiter,
        fewshot_delimiter,
        metrics,
    })
}

/// Tokens that are written at most, if a task does not say: as in the harness.
const MAX_GEN_TOKS: usize = 256;

/// `generation_kwargs`: only the likeliest token is ever written.
fn writing_of(settings: &mut Settings, output: OutputType) -> Result<(Vec<String>, usize), EvalError> {
    let (mut until, mut most) = (vec!["\n\n".to_owned()], MAX_GEN_TOKS);
    if output != OutputType::GenerateUntil {
        return Ok((until, most));
    }
    let given = settings.take("generation_kwargs");
    for option in given.iter().map(Setting::pairs).collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
        match (option.key.as_str(), &option.node.value) {
            ("until", _) => until = option.texts()?,
            ("max_gen_toks", Yaml::Integer(count)) => {
                most = usize::try_from(*count).map_err(|_| option.wrong("0 or more"))?;
            }
            ("do_sample", Yaml::Bool(false)) | ("temperature", Yaml::Integer(0)) => {}
            (other, _) => {
                return Err(option.error(format!("`{other}` of `generation_kwargs` is not supported in this form")));
            }
        }
    }
    Ok((until, most))
}

fn dataset_of(settings: &mut Settings) -> Result<Dataset, EvalError> {
    let kind = settings.need("dataset_path")?;
    let is_json = match kind.one_of(&[("json", Some(true)), ("text", Some(false)), ("world", None)])? {
        Some(is_json) => is_json,
        None => {
            let items = WorldItems::read(&settings.need("dataset_kwargs")?)?;
            return Ok(Dataset { kind: DatasetKind::World(items), files: vec![(SPLIT.to_owned(), Vec::new())] });
        }
    };
    let (mut files, mut field, mut paragraphs) = (Vec::new(), None, Paragraphs::Line);
    for option in settings.need("dataset_kwargs")?.pairs()? {
        match option.key.as_str() {
            "data_files" => {
                for split in option.pairs()? {
                    let paths = split.texts()?.iter().map(|name| sibling(&settings.path, name)).collect();
                    files.push((split.key.clone(), paths));
                }
            }
            "field" if is_json => field = Some(option.text()?),
            "sample_by" if !is_json => {
                paragraphs = option.one_of(&[
                    ("line", Paragraphs::Line),
                    ("paragraph", Paragraphs::Paragraph),
                    ("document", Paragraphs::Document),
                ])?;
            }
            other => return Err(option.error(format!("`{other}` of `dataset_kwargs` is not supported"))),
        }
    }
    if files.is_empty() {
        return Err(kind.error("`dataset_kwargs` names no `data_files`; data sets are read from files only"));
    }
    let kind = if is_json { DatasetKind::Json { field } } else { DatasetKind::Text(paragraphs) };
    Ok(Dataset { kind, files })
}

/// The metrics that a kind of task can report, each with the name of its aggregation; the first are those of a file
/// without `metric_list`.
const fn known_metrics(output: OutputType) -> (&'static [(TaskMetric, &'static str)], usize) {
    use TaskMetric as M;
    match output {
        OutputType::MultipleChoice => (
            &[(M::Acc, "mean"), (M::AccNorm, "mean"), (M::AccBytes, "mean"), (M::AccMutualInfo, "mean"), (M::F1, "f1")],
            2,
        ),
        OutputType::Loglikelihood => (&[(M::Perplexity, "perplexity"), (M::Acc, "mean")], 2),
        OutputType::GenerateUntil => {
            (&[(M::ExactMatch, "mean"), (M::TokenF1, "mean"), (M::Bleu, "bleu"), (M::Rouge2, "mean")], 1)
        }
        OutputType::LoglikelihoodRolling => (
            &[
                (M::WordPerplexity, "weighted_perplexity"),
                (M::BytePerplexity, "weighted_perplexity"),
                (M::BitsPerByte, "bits_per_byte"),
            ],
            3,
        ),
    }
}

fn metrics_of(settings: &mut Settings, output: OutputType) -> Result<Vec<TaskMetric>, EvalError> {
    let (known, defaults) = known_metrics(output);
    let Some(listed) = settings.take("metric_list") else {
        return Ok(known.iter().take(defaults).map(|(metric, _)| *metric).collect());
    };
    let mut metrics = Vec::new();
    for item in listed.items() {
        let options = item.pairs()?;
        let named = options.iter().find(|option| option.key == "metric");
        let metric = metric_of(named.ok_or_else(|| item.error("a metric has no `metric`"))?)?;
        let Some((_, aggregation)) = known.iter().find(|(known, _)| *known == metric) else {
            let names: Vec<&str> = known.iter().map(|(known, _)| known.name()).collect();
            return Err(
                item.error(format!("`{metric}` is not a metric of this output type; known are {}", names.join(", ")))
            );
        };
        for option in &options {
            match option.key.as_str() {
                // The direction is known; a file cannot change it.
                "metric" | "higher_is_better" => {}
                "aggregation" => option.one_of(&[(*aggregation, ())])?,
                other => return Err(option.error(format!("the option `{other}` of `{metric}` is not supported"))),
            }
        }
        metrics.push(metric);
    }
    Ok(metrics)
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
            ("metric_list: [{metric: acc, ignore_case: true}]", "the option `ignore_case` of `acc`"),
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
