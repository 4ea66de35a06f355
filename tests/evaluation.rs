//! Zero-shot evaluation from task files to numbers: the literal prompts, the metrics of a scorer with known answers, and
//! the log-likelihoods of real models against a forward pass token by token.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a broken test stops")]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use trilab::core::task::{ScoringForm, TaskMetric};
use trilab::eval::{
    Answered, EvalError, OutputType, PreparedTask, ScoreRequest, Scored, Scorer, ScorerError, Suite, TaskReport,
    WriteRequest, Written, evaluate, families, gather, group_reports, zero_shot_metrics,
};

/// Answers by a rule and remembers what it was asked.
struct Known {
    rule: fn(&str, &str) -> f64,
    asked: Vec<ScoreRequest>,
    /// Requests without a score.
    refused: Vec<usize>,
}

impl Known {
    fn new(rule: fn(&str, &str) -> f64) -> Self {
        Self { rule, asked: Vec::new(), refused: Vec::new() }
    }
}

impl Scorer for Known {
    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Answered<Scored>>, ScorerError> {
        self.asked.extend_from_slice(requests);
        let answer = |(index, request): (usize, &ScoreRequest)| {
            if self.refused.contains(&index) {
                return Err("too long".to_owned());
            }
            let log_likelihood = (self.rule)(&request.context, &request.continuation);
            Ok(Scored { log_likelihood, greedy: log_likelihood > -1.5, tokens: 1, cut: 0 })
        };
        Ok(requests.iter().enumerate().map(answer).collect())
    }

    fn score_rolling(&mut self, texts: &[String]) -> Result<Vec<Answered<Scored>>, ScorerError> {
        let alone = |text: &String| ScoreRequest { context: String::new(), continuation: text.clone() };
        self.score(&texts.iter().map(alone).collect::<Vec<_>>())
    }

    /// The end of the context, from its last colon on.
    fn write(&mut self, requests: &[WriteRequest]) -> Result<Vec<Answered<Written>>, ScorerError> {
        let end = |(index, request): (usize, &WriteRequest)| {
            if self.refused.contains(&index) {
                return Err("no such letters".to_owned());
            }
            let text = request.context.rsplit(": ").next().unwrap_or_default().to_owned();
            Ok(Written { text, cut: usize::from(request.context.len() > 1000) })
        };
        Ok(requests.iter().enumerate().map(end).collect())
    }
}

/// Files in memory, as shipped tasks will be.
struct Files(BTreeMap<PathBuf, String>);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(name, text)| (PathBuf::from(name), (*text).to_owned())).collect())
    }

    fn suite(&self) -> Suite {
        let paths: Vec<PathBuf> = self.0.keys().filter(|path| path.extension().unwrap() == "yaml").cloned().collect();
        Suite::load(&paths, &|path| self.read(path)).unwrap_or_else(|error| panic!("could not {error}"))
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        self.0.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn evaluate(&self, task: &str, scorer: &mut Known, limit: Option<usize>) -> Result<TaskReport, EvalError> {
        let suite = self.suite();
        let task = suite.tasks().iter().find(|known| known.name == task).unwrap();
        evaluate(task, &|path| self.read(path), scorer, limit)
    }
}

const HEAD: &str =
    "dataset_path: json\ntest_split: test\ndataset_kwargs: {data_files: {test: d.jsonl, train: p.jsonl}}\n";

fn asked(scorer: &Known) -> Vec<(&str, &str)> {
    scorer.asked.iter().map(|request| (request.context.as_str(), request.continuation.as_str())).collect()
}

#[test]
fn solved_examples_are_those_that_the_harness_draws() {
    let pool: String = (0..10).map(|n| format!("{{\"q\": \"Q{n}\", \"label\": {}}}\n", n % 2)).collect();
    let task = format!(
        "{HEAD}task: t\nfewshot_split: train\nnum_fewshot: 3\noutput_type: multiple_choice\n\
         description: \"Say.\\n\"\nfewshot_delimiter: \"|\"\ntarget_delimiter: \"=\"\n\
         doc_to_text: q\ndoc_to_choice: [no, 'yes']\ndoc_to_target: label\n"
    )
    .replace("[no,", "['no',");
    let files = Files::new(&[
        ("t.yaml", &task),
        ("d.jsonl", "{\"q\":\"A\",\"label\":0}\n{\"q\":\"B\",\"label\":1}"),
        ("p.jsonl", &pool),
    ]);
    let mut scorer = Known::new(|_, continuation| if continuation == "=no" { -1.0 } else { -2.0 });
    let report = files.evaluate("t", &mut scorer, None).unwrap();
    // Python's Random(1234).sample(range(10), 3) gives [7, 1, 0] and then [1, 0, 9].
    let first = "Say.\nQ7=yes|Q1=yes|Q0=no|A";
    let second = "Say.\nQ1=yes|Q0=no|Q9=yes|B";
    assert_eq!(asked(&scorer), [(first, "=no"), (first, "=yes"), (second, "=no"), (second, "=yes")]);
    assert_eq!((report.items.len(), report.requests), (2, 4));
    let acc = report.scores[&TaskMetric::Acc];
    assert_eq!((acc.value, acc.chance), (0.5, Some(0.5)));
    assert!((acc.stderr.unwrap() - 0.5).abs() < 1e-12);
    assert_eq!(report.items[1].predicted, Some(0));
    assert_eq!(report.items[1].gold, Some(vec![1]));
}

#[test]
fn a_document_is_never_its_own_example() {
    let rows: String = (0..10).map(|n| format!("{{\"q\": \"Q{n}\", \"a\": \"A{n}\"}}\n")).collect();
    let task = format!("{HEAD}task: t\nnum_fewshot: 2\noutput_type: loglikelihood\ndoc_to_text: q\ndoc_to_target: a\n")
        .replace("test_split", "fewshot_split: test\ntest_split");
    let files = Files::new(&[("t.yaml", &task), ("d.jsonl", &rows)]);
    let mut scorer = Known::new(|_, _| -1.0);
    files.evaluate("t", &mut scorer, Some(2)).unwrap();
    // Three are drawn: [7, 1, 0] without document 0 is [7, 1]; [1, 0, 9] without document 1 is [0, 9].
    assert_eq!(asked(&scorer), [("Q7 A7\n\nQ1 A1\n\nQ0", "A0"), ("Q0 A0\n\nQ9 A9\n\nQ1", "A1")]);
}

#[test]
fn several_contexts_share_a_continuation() {
    let task = format!(
        "{HEAD}task: t\noutput_type: multiple_choice\ndoc_to_text: label\ndoc_to_choice: \"{{{{[a + ' so', b + ' so']}}}}\"\n\
         doc_to_target: \"{{{{p|lower}}}}\"\nmetric_list: [{{metric: acc}}, {{metric: acc_norm}}, {{metric: acc_mutual_info}}]\n"
    );
    let files = Files::new(&[
        ("t.yaml", &task),
        ("d.jsonl", "{\"a\": \"It's\", \"b\": \"Sun\", \"p\": \"WET\", \"label\": 1}"),
    ]);
    let mut scorer = Known::new(|context, _| if context.starts_with("Sun") { -7.0 } else { -8.0 });
    let report = files.evaluate("t", &mut scorer, None).unwrap();
    assert_eq!(asked(&scorer), [("It's so", " wet"), ("Sun so", " wet"), ("", " It's so"), ("", " Sun so")]);
    assert_eq!(report.scores[&TaskMetric::Acc].value, 1.0);
    // Lengths are those of the contexts: −8/7 beats −7/6.
    assert_eq!(report.scores[&TaskMetric::AccNorm].value, 0.0);
    assert_eq!(report.scores[&TaskMetric::Acc].stderr, None, "one item has no error");
}

#[test]
fn single_continuations_and_whole_texts() {
    let last = format!(
        "{HEAD}task: last\noutput_type: loglikelihood\ndoc_to_text: \"{{{{t.split(' ')[:-1]|join(' ')}}}}\"\n\
         doc_to_target: \"{{{{' ' + t.split(' ')[-1]}}}}\"\n"
    );
    let whole = "task: whole\ndataset_path: text\ntest_split: test\ndataset_kwargs: {data_files: {test: x.txt}, sample_by: paragraph}\n\
                 output_type: loglikelihood_rolling\ndoc_to_text: ''\ndoc_to_target: '{{text}}'\n";
    let files = Files::new(&[
        ("last.yaml", &last),
        ("whole.yaml", whole),
        ("d.jsonl", "{\"t\": \"a b c\"}\n{\"t\": \"d e\"}\n"),
        ("x.txt", "one two\n\n\n\nthree é\n"),
    ]);
    let mut scorer = Known::new(|context, _| if context == "d" { -1.0 } else { -3.0 });
    let report = files.evaluate("last", &mut scorer, None).unwrap();
    assert_eq!(asked(&scorer), [("a b", " c"), ("d", " e")]);
    assert!((report.scores[&TaskMetric::Perplexity].value - 2f64.exp()).abs() < 1e-12);
    assert_eq!(report.scores[&TaskMetric::Acc].value, 0.5);
    assert_eq!(report.scores[&TaskMetric::Acc].chance, None);
    let mut scorer = Known::new(|_, _| -8.0);
    let report = files.evaluate("whole", &mut scorer, None).unwrap();
    assert_eq!(asked(&scorer), [("", "one two"), ("", "three é\n")]);
    // 16 nats; words 2 and 3 (the empty piece at the end counts), bytes 7 and 9.
    assert!((report.scores[&TaskMetric::WordPerplexity].value - (16.0_f64 / 5.0).exp()).abs() < 1e-12);
    assert!((report.scores[&TaskMetric::BytePerplexity].value - 1f64.exp()).abs() < 1e-12);
    assert!((report.scores[&TaskMetric::BitsPerByte].value - std::f64::consts::LOG2_E).abs() < 1e-12);
}

#[test]
fn groups_and_families_span_tasks() {
    let task = |name: &str, target: &str| {
        format!(
            "{HEAD}task: {name}\ntag: asked\nmetadata: {{wording_of: wordings}}\noutput_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: [x, z]\ndoc_to_target: {target}\n"
        )
    };
    let group = "group: g\ntask: [asked]\naggregate_metric_list: [{metric: acc, weight_by_size: true}]\n";
    let files = Files::new(&[
        ("a.yaml", &task("a", "0")),
        ("b.yaml", &task("b", "0")),
        ("c.yaml", &task("c", "1")),
        ("g.yaml", group),
        ("d.jsonl", "{\"q\": \"1\"}\n{\"q\": \"2\"}\n"),
    ]);
    let suite = files.suite();
    let mut scorer = Known::new(|_, continuation| if continuation == " x" { -1.0 } else { -2.0 });
    let reports: Vec<TaskReport> =
        suite.tasks().iter().map(|task| evaluate(task, &|path| files.read(path), &mut scorer, None).unwrap()).collect();
    let groups = group_reports(&suite, &reports);
    assert_eq!(groups[0].tasks, ["a", "b", "c"]);
    assert!((groups[0].scores[&TaskMetric::Acc].value - 2.0 / 3.0).abs() < 1e-12);
    let records: Vec<_> = reports.iter().map(|report| report.record(1, ScoringForm::Plain, 0.0)).collect();
    assert_eq!(families(&records)[0].medians[&TaskMetric::Acc].value, 1.0, "the middle wording");
    assert!(group_reports(&suite, &reports[..2]).is_empty(), "a group without one of its tasks has no score");
}

#[test]
fn a_tag_makes_no_wordings() {
    // Five tasks of a harness's tag, of two to six choices: the first choice is right in two of them.
    let task = |number: usize| {
        let choices = ["x", "y", "z", "u", "v", "w"][..number + 2].join(", ");
        format!(
            "{HEAD}task: babi_{number}\ntag: babi\noutput_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: [{choices}]\n\
             doc_to_target: {}\nmetadata: {{version: 1.0}}\n",
            usize::from(number > 1)
        )
    };
    let texts: Vec<(String, String)> = (0..5).map(|number| (format!("{number}.yaml"), task(number))).collect();
    let mut all: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    all.push(("g.yaml", "group: g\ntask: [babi]\naggregate_metric_list: [{metric: acc, weight_by_size: false}]\n"));
    all.push(("d.jsonl", "{\"q\": \"1\"}\n{\"q\": \"2\"}\n"));
    let files = Files::new(&all);
    let suite = files.suite();
    let mut scorer = Known::new(|_, continuation| if continuation == " x" { -1.0 } else { -2.0 });
    let reports: Vec<TaskReport> =
        suite.tasks().iter().map(|task| evaluate(task, &|path| files.read(path), &mut scorer, None).unwrap()).collect();
    let records: Vec<_> = reports.iter().map(|report| report.record(1, ScoringForm::Plain, 0.0)).collect();
    let found = families(&records);
    assert_eq!(found.len(), 5, "each counts by itself");
    assert_eq!(found[0].family, "babi_0");
    let chance = (1.0 / 2.0 + 1.0 / 3.0 + 1.0 / 4.0 + 1.0 / 5.0 + 1.0 / 6.0) / 5.0;
    let group = group_reports(&suite, &reports)[0].scores[&TaskMetric::Acc];
    assert!((group.value - 0.4).abs() < 1e-12 && (group.chance.unwrap() - chance).abs() < 1e-12, "{group:?}");
    assert!((zero_shot_metrics(&found)[&trilab::core::Metric::ZeroShotAcc] - 0.4).abs() < 1e-12, "a mean, no median");
}

#[test]
fn wordings_are_declared_by_their_files() {
    let task = |name: &str, metadata: &str| {
        format!(
            "{HEAD}task: {name}\noutput_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: [x, z]\ndoc_to_target: 0\n\
             metadata: {metadata}\n"
        )
    };
    let suite = |first: &str, second: &str| {
        let (a, b) = (task("a", first), task("copa", second));
        let files = Files::new(&[("a.yaml", &a), ("b.yaml", &b), ("d.jsonl", "{\"q\": \"1\"}\n")]);
        Suite::load(&[PathBuf::from("a.yaml"), PathBuf::from("b.yaml")], &|path| files.read(path))
    };
    let declared: Vec<Option<String>> = suite("{version: 2, wording_of: copa}", "{wording_of: copa}")
        .unwrap()
        .tasks()
        .iter()
        .map(|task| task.wording_of.clone())
        .collect();
    assert_eq!(declared, [Some("copa".to_owned()), Some("copa".to_owned())]);
    let said = |first: &str, second: &str| suite(first, second).unwrap_err().to_string();
    let two = said("{wording_of: copa}", "{version: 1}");
    assert!(two.contains("`copa`") && two.contains("b.yaml"), "{two}");
    let wrong = said("{wording_of: [copa]}", "{version: 1}");
    assert!(wrong.contains("`wording_of` must be text"), "{wrong}");
    let group = Files::new(&[("g.yaml", "group: g\ntask: [a]\nmetadata: {wording_of: x}\n")]);
    let said = Suite::load(&[PathBuf::from("g.yaml")], &|path| group.read(path)).unwrap_err().to_string();
    assert!(said.contains("a group is a mean"), "{said}");
}

#[test]
fn what_cannot_be_scored_is_left_out_and_named() {
    let task =
        format!("{HEAD}task: t\noutput_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: c\ndoc_to_target: 0\n");
    let rows = "{\"q\": \"1\", \"c\": [\"a\", \"b\", \"e\"]}\n{\"q\": \"2\", \"c\": [\"a\", \"b\"]}\n\
                {\"q\": \"3\", \"c\": [\"a\", \"b\"]}\n";
    let files = Files::new(&[("t.yaml", &task), ("d.jsonl", rows)]);
    let mut scorer = Known { refused: vec![4], ..Known::new(|context, _| if context == "3" { -1.0 } else { -2.0 }) };
    let report = files.evaluate("t", &mut scorer, None).unwrap();
    let seen: Vec<usize> = report.items.iter().map(|item| item.document).collect();
    assert_eq!((seen, report.left_out.clone()), (vec![0, 2], vec![1]));
    assert_eq!(report.items[1].log_likelihoods, [-1.0, -1.0], "each item has the answers to its own requests");
    let record = report.record(1, ScoringForm::Plain, 0.0);
    assert_eq!(record.items, 2, "what was scored");
    assert!(record.right.is_empty(), "its items cannot be paired in order with those of a model that scores all");
    assert_eq!(
        report.notices,
        ["1 of 3 items are left out, because this model cannot score them: document 1, request 1: too long"]
    );
    let mut scorer = Known { refused: vec![0, 4, 6], ..Known::new(|_, _| 0.0) };
    let said = files.evaluate("t", &mut scorer, None).unwrap_err().to_string();
    assert_eq!(said, "score task t: none of its 3 items can be scored by this model: document 0, request 0: too long");
    let broken =
        Files::new(&[("t.yaml", &task.replace("doc_to_text: q", "doc_to_text: '{{nope}}'")), ("d.jsonl", rows)]);
    let said = broken.evaluate("t", &mut scorer, None).unwrap_err().to_string();
    assert!(said.starts_with("ask document 0 of task t: the template `doc_to_text`"), "{said}");
    let lost = Files::new(&[("t.yaml", &task.replace("test_split: test", "test_split: other")), ("d.jsonl", rows)]);
    let said = lost.evaluate("t", &mut scorer, None).unwrap_err().to_string();
    assert_eq!(said, "use the data of task t: `data_files` has no split `other`, only test, train");
}

mod models {
    use super::*;
    use candle_core::Tensor;
    use trilab::core::spec::{DataSpec, SPEC_FORMAT};
    use trilab::core::texts::{CorpusSettings, TokenizerSpec};
    use trilab::core::{
        Architecture, Device, ExecutionSpec, Layout, LearningRateSchedule, Metric, ModelSpec, Objective, ObjectiveSpec,
        OptimizerSpec, Precision, ProbeSpec, RunSpec, TrainingSpec, legal,
    };
    use trilab::corpus::{Corpus, Mark, Vocabulary, prepare};
    use trilab::objective::{Asking, Batch, Side, prompt_batch};
    use trilab::train::{ModelScorer, Trainer, Yardstick};

    const SEQ_LEN: usize = 20;

    fn corpus(folder: &Path) -> Corpus {
        let words = ["the fog", "a harbour", "ferries", "three bells", "morning", "and then", "the whistle"];
        let text: String = (0..600).map(|n| format!("{} {}. ", words[n * 5 % 7], words[n * n % 7])).collect();
        let file = folder.join("text.txt");
        std::fs::write(&file, text).unwrap();
        let settings = CorpusSettings {
            paths: vec![file.to_str().unwrap().to_owned()],
            field: "text".to_owned(),
            validation: vec![],
            validation_fraction: 0.2,
            tokenizer: TokenizerSpec::Bpe(280),
        };
        let manifest = prepare(&settings, folder, &mut |_| {}).unwrap().manifest;
        Corpus::open(&folder.join(manifest.fingerprint)).unwrap()
    }

    fn spec(architecture: Architecture, objective: Objective, corpus: &Corpus, seed: u64) -> RunSpec {
        let blanks = if objective == Objective::BlankInfilling { SEQ_LEN } else { 0 };
        let model = ModelSpec::of_size(architecture, corpus.vocabulary().size() as usize, [16, 24, 2, 2, 8]);
        RunSpec {
            format: SPEC_FORMAT,
            id: "0123456789ab".parse().unwrap(),
            study: "test".parse().unwrap(),
            seed,
            model: ModelSpec { block_positions: blanks, ..model },
            objective: ObjectiveSpec::new(objective, (0.15, 3.0), false, &[]),
            optimizer: OptimizerSpec {
                learning_rate: 1e-3,
                schedule: LearningRateSchedule::Constant,
                warmup_steps: 1,
                final_fraction: 0.1,
                beta1: 0.9,
                beta2: 0.95,
                epsilon: 1e-8,
                weight_decay: 0.0,
                grad_clip_norm: 1.0,
            },
            training: TrainingSpec {
                batch_size: 2,
                micro_batch_size: 2,
                seq_len: SEQ_LEN,
                steps: 1,
                divergence_factor: 3.0,
                z_loss: 0.0,
                precision: Precision::F32,
                dropout: 0.0,
            },
            data: DataSpec {
                fingerprint: "f".to_owned(),
                name: "test".to_owned(),
                directory: PathBuf::new(),
                notices: Vec::new(),
            },
            prompts: None,
            parent: None,
            ancestors: Vec::new(),
            stage: None,
            probes: ProbeSpec {
                log_every: 1,
                rank_every: 0,
                validation_every: 1,
                validation_examples: 2,
                zero_shot: Vec::new(),
                zero_shot_every: 0,
                zero_shot_items: 0,
                zero_shot_share: 0.0,
                sample_every: 0,
                sample_tokens: 0,
                checkpoint_every: 1,
                keep_checkpoints: 1,
                keep_steps: Vec::new(),
            },
            tasks_fingerprint: None,
            execution: ExecutionSpec { device: Device::Cpu, threads: 1, program_version: "test".to_owned() },
        }
    }

    /// The scores of requests that all have one.
    fn all(answers: Vec<Answered<Scored>>) -> Vec<Scored> {
        answers.into_iter().map(Result::unwrap).collect()
    }

    fn scored(scorer: &ModelScorer<'_>, pairs: &[(Vec<u32>, Vec<u32>)]) -> Vec<Scored> {
        all(scorer.score_tokens(pairs).unwrap())
    }

    fn trainer(spec: &RunSpec) -> Trainer {
        Trainer::new(spec).unwrap()
    }

    fn cells() -> impl Iterator<Item = (Architecture, Objective, ScoringForm, Asking)> {
        let pairs = Architecture::ALL.into_iter().flat_map(|a| Objective::ALL.into_iter().map(move |o| (a, o)));
        let legal = pairs.filter(|(a, o)| *o != Objective::Mixture && legal::usual(*a, *o).is_ok());
        legal.flat_map(|(a, o)| {
            let asked = Asking::all(&ObjectiveSpec::new(o, (0.15, 3.0), false, &[]));
            asked.into_iter().map(move |(form, asking)| (a, o, form, asking))
        })
    }

    /// The log-likelihood of `continuation`, one forward pass a token over a row without padding.
    fn stepwise(
        trainer: &Trainer,
        encoder: Option<&[u32]>,
        read: &[u32],
        prefix: usize,
        continuation: &[u32],
    ) -> (f64, bool) {
        let (mut sum, mut greedy, mut tokens) = (0.0, true, read.to_vec());
        for target in continuation {
            let batch = Batch {
                rows: 1,
                targets: vec![0; tokens.len()],
                loss_weights: vec![0.0; tokens.len()],
                prefix_lengths: vec![prefix as u32],
                decoder: Side::alone(&tokens),
                encoder: encoder.map(Side::alone),
            };
            let (nats, likeliest) = rated(&trainer.last_logits(&batch).unwrap(), *target);
            sum += nats;
            greedy &= likeliest;
            tokens.push(*target);
        }
        (sum, greedy)
    }

    /// What a cell reads in a form: encoder, decoder before the continuation, prefix length; nothing of blanks and masks.
    fn reading(
        architecture: Architecture,
        asking: Asking,
        v: &Vocabulary,
        context: &[u32],
    ) -> Option<(Option<Vec<u32>>, Vec<u32>, usize)> {
        let (x0, s, r) = (v.first_sentinel(), v.of(Mark::Sequential), v.of(Mark::Regular));
        let (inputs, opens) = match asking {
            Asking::Plain(None) => (context.to_vec(), vec![]),
            Asking::Plain(Some(_)) => ([&[s], context].concat(), vec![]),
            Asking::Sentinel(None) => ([context, &[x0, v.end()]].concat(), vec![x0]),
            Asking::Sentinel(Some(_)) => ([&[r], context, &[x0, v.end()]].concat(), vec![x0]),
            Asking::Blank | Asking::Masked => return None,
        };
        let whole = [&[v.start()], inputs.as_slice(), &opens].concat();
        Some(match architecture.layout() {
            Layout::Decoder { prefix } => (None, whole, if prefix { 1 + inputs.len() } else { 0 }),
            Layout::EncoderDecoder => (Some(inputs), [&[v.start()], opens.as_slice()].concat(), 0),
            Layout::Encoder => return None,
        })
    }

    /// The log-likelihood of `continuation` behind `context`, and whether it is the likeliest, by as many forward passes over
    /// rows without padding as it has tokens.
    fn expected(
        trainer: &Trainer,
        (architecture, asking): (Architecture, Asking),
        v: &Vocabulary,
        (context, continuation): (&[u32], &[u32]),
    ) -> (f64, bool) {
        if let Some((encoder, read, prefix)) = reading(architecture, asking, v, context) {
            return stepwise(trainer, encoder.as_deref(), &read, prefix, continuation);
        }
        let (mut sum, mut greedy) = (0.0, true);
        for (at, target) in continuation.iter().enumerate() {
            let (nats, likeliest) = if asking == Asking::Blank {
                let batch = prompt_batch(architecture, asking, v, context, &continuation[..at]);
                rated(&trainer.last_logits(&batch).unwrap(), *target)
            } else {
                // Turned so that the masked token stands last: an encoder without positions does not mind.
                let mut tokens = [&[v.start()], context, continuation].concat();
                let place = 1 + context.len() + at;
                tokens[place] = v.of(Mark::Mask);
                let mut side = Side::alone(&tokens);
                let last = tokens.len() - 1;
                side.tokens.swap(place, last);
                side.positions.swap(place, last);
                let (length, rows) = (tokens.len(), 1);
                let (targets, loss_weights) = (vec![0; length], vec![0.0; length]);
                let prefix_lengths = vec![length as u32];
                let batch = Batch { rows, targets, loss_weights, prefix_lengths, decoder: side, encoder: None };
                rated(&trainer.last_logits(&batch).unwrap(), *target)
            };
            sum += nats;
            greedy &= likeliest;
        }
        (sum, greedy)
    }

    fn rated(logits: &[f32], target: u32) -> (f64, bool) {
        let logits: Vec<f64> = logits.iter().copied().map(f64::from).collect();
        let peak = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logits.iter().map(|logit| (logit - peak).exp()).sum();
        (logits[target as usize] - peak - total.ln(), logits[target as usize] == peak)
    }

    fn request(context: &str, continuation: &str) -> ScoreRequest {
        ScoreRequest { context: context.to_owned(), continuation: continuation.to_owned() }
    }

    #[test]
    fn log_likelihoods_are_those_of_a_forward_pass_token_by_token() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path());
        let v = corpus.vocabulary();
        let encode = |text: &str| corpus.tokenizer().encode(text).unwrap();
        for (architecture, objective, form, asking) in cells() {
            let trainer = trainer(&spec(architecture, objective, &corpus, 3));
            let mut scorer = ModelScorer::new(&trainer, corpus.tokenizer(), form).unwrap();
            let asked = [
                request("the fog", " and then"),
                request("the fog ", "and then"),
                request("three", " ferries"),
                request("a harbour. ", "morning bells"),
            ];
            let scored = all(scorer.score(&asked).unwrap());
            for (request, scored) in asked.iter().zip(&scored) {
                // Blanks at the end of a context belong to the continuation; all four split at a word's beginning.
                let context = encode(request.context.trim_end());
                let blanks = &request.context[request.context.trim_end().len()..];
                let continuation = encode(&format!("{blanks}{}", request.continuation));
                let (expected, greedy) = expected(&trainer, (architecture, asking), &v, (&context, &continuation));
                let found = scored.log_likelihood;
                assert!(
                    (found - expected).abs() < 1e-4,
                    "{architecture}:{objective} {form} {request:?}: {found}, {expected}"
                );
                assert_eq!((scored.tokens, scored.greedy, scored.cut), (continuation.len(), greedy, 0));
            }
            assert_eq!(scored[0], scored[1], "a blank is the same on either side of the border");
        }
    }

    #[derive(serde::Deserialize)]
    struct Case {
        architecture: Architecture,
        form: ScoringForm,
        context: Vec<u32>,
        continuation: Vec<u32>,
        log_likelihood: f64,
    }

    /// The weights of `tests/reference/forward.py`.
    fn by_formula(trainer: &Trainer) {
        for (name, weight) in trainer.parameters().iter() {
            let shift: f64 = name.bytes().map(f64::from).sum();
            let wave = |k: f64| (0.7 * k + 0.013 * k * k + shift).sin();
            let gain = weight.tensor().rank() == 1;
            let value = |k: u32| (if gain { 1.0 + 0.2 * wave(k.into()) } else { 0.5 * wave(k.into()) }) as f32;
            let count = u32::try_from(weight.tensor().elem_count()).unwrap();
            let values: Vec<f32> = (0..count).map(value).collect();
            weight.set(&Tensor::from_vec(values, weight.tensor().shape(), weight.tensor().device()).unwrap()).unwrap();
        }
    }

    #[test]
    fn log_likelihoods_are_those_of_an_independent_program() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path());
        assert_eq!(corpus.vocabulary().text_size(), 280, "the reference has the same vocabulary");
        let cases: Vec<Case> = serde_json::from_str(include_str!("reference/values.json")).unwrap();
        assert_eq!(cases.len(), 18);
        for case in cases {
            // Sentinels are asked of models that were trained with them only.
            let trainer = Trainer::new(&spec(case.architecture, Objective::SpanCorruption, &corpus, 0)).unwrap();
            by_formula(&trainer);
            let scorer = ModelScorer::new(&trainer, corpus.tokenizer(), case.form).unwrap();
            let found = scored(&scorer, &[(case.context.clone(), case.continuation.clone())]);
            let difference = (found[0].log_likelihood - case.log_likelihood).abs();
            let (architecture, form, tokens) = (case.architecture, case.form, case.context.len());
            assert!(difference < 1e-4, "{architecture} {form} after {tokens}: off by {difference}");
        }
    }

    #[test]
    fn empty_contexts_long_contexts_and_whole_texts() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path());
        let v = corpus.vocabulary();
        let trainer = trainer(&spec(Architecture::NonCausalDecoder, Objective::PrefixLm, &corpus, 3));
        let mut scorer = ModelScorer::new(&trainer, corpus.tokenizer(), ScoringForm::Plain).unwrap();
        let long = "the fog and then a harbour. ferries and three bells in the morning. a whistle ".repeat(3);
        let scored =
            all(scorer.score(&[request("", "ferries"), request(" \n", "x"), request(long.trim(), " bells")]).unwrap());
        let tokens = corpus.tokenizer().encode(&long).unwrap();
        let bells = corpus.tokenizer().encode(" bells").unwrap();
        let ferries = corpus.tokenizer().encode("ferries").unwrap();
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-4, "{found}, {expected}");
        close(scored[0].log_likelihood, stepwise(&trainer, None, &[v.start()], 1, &ferries).0);
        let blank = corpus.tokenizer().encode(" \nx").unwrap();
        close(scored[1].log_likelihood, stepwise(&trainer, None, &[v.start()], 1, &blank).0);
        let whole = corpus.tokenizer().encode(&format!("{} bells", long.trim())).unwrap();
        let start = whole.len() - SEQ_LEN;
        let kept = [&[v.start()], &whole[start..whole.len() - bells.len()]].concat();
        close(scored[2].log_likelihood, stepwise(&trainer, None, &kept, kept.len(), &bells).0);
        assert_eq!(scored[2].cut, start);
        // Rolling: windows of 19, the last with as many ids before it as make 20 inputs behind the start mark.
        let room = SEQ_LEN - 1;
        let mut expected = stepwise(&trainer, None, &[v.start()], 1, &tokens[..room]).0;
        let mut done = room;
        while done < tokens.len() {
            let end = (done + room).min(tokens.len());
            let before = [&[v.start()], &tokens[end - room - 1..done]].concat();
            expected += stepwise(&trainer, None, &before, before.len(), &tokens[done..end]).0;
            done = end;
        }
        let rolled = all(scorer.score_rolling(&[long.clone(), String::new()]).unwrap());
        assert!(
            (rolled[0].log_likelihood / expected - 1.0).abs() < 1e-5,
            "{} is not {expected}",
            rolled[0].log_likelihood
        );
        assert_eq!((rolled[0].tokens, rolled[1].tokens, rolled[1].log_likelihood), (tokens.len(), 0, 0.0));
        let mixed = [request("a", " b"), request("a", &long), request("a", ""), request("a", " b")];
        let found = scorer.score(&mixed).unwrap();
        let [first, too_long, empty, last] = found.as_slice() else { panic!("{found:?}") };
        assert!(too_long.as_ref().unwrap_err().contains("seq_len"), "{too_long:?}");
        assert!(empty.as_ref().unwrap_err().contains("nothing is left to score"), "{empty:?}");
        assert_eq!(first.as_ref().unwrap(), last.as_ref().unwrap(), "the others have their scores");
    }

    #[test]
    fn the_size_of_a_batch_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path());
        let words = ["the fog", "a harbour", "ferries and three bells", "morning.", ""];
        let asked: Vec<ScoreRequest> =
            (0..40).map(|n| request(words[n % 5], &format!(" {}", words[n * 3 % 4]))).collect();
        for (architecture, objective, form, _) in cells() {
            let trainer = trainer(&spec(architecture, objective, &corpus, 3));
            let scores = |positions| {
                let scorer = ModelScorer::new(&trainer, corpus.tokenizer(), form).unwrap();
                all(scorer.with_batch_positions(positions).score(&asked).unwrap())
            };
            let alone = scores(1);
            for positions in [50, 4096] {
                for (one, other) in alone.iter().zip(scores(positions)) {
                    let apart = (one.log_likelihood - other.log_likelihood).abs();
                    assert!(
                        apart < 1e-5 * one.log_likelihood.abs().max(1.0),
                        "{architecture}:{objective} {form}: {apart}"
                    );
                    assert_eq!((one.greedy, one.tokens), (other.greedy, other.tokens));
                }
            }
        }
    }

    #[test]
    fn choices_that_share_a_pass_score_as_alone() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path());
        // Equal but for the last token, equal in all, longer by a token, another context: in no useful order.
        let pairs: Vec<(Vec<u32>, Vec<u32>)> = [
            (vec![1, 2, 3], vec![7]),
            (vec![4, 2, 3], vec![7, 8]),
            (vec![1, 2, 3], vec![8]),
            (vec![4, 2, 3], vec![7, 9]),
            (vec![1, 2, 3], vec![7]),
            (vec![1, 2], vec![3, 9]),
            (vec![4, 2, 3], vec![6, 9]),
            (vec![1, 2, 3], vec![9]),
            ((0..40).collect(), vec![5]),
            ((1..40).collect(), vec![6]),
        ]
        .into();
        for (architecture, objective, form, _) in cells() {
            let trainer = trainer(&spec(architecture, objective, &corpus, 3));
            let scorer = ModelScorer::new(&trainer, corpus.tokenizer(), form).unwrap();
            let together = scored(&scorer, &pairs);
            for (pair, shared) in pairs.iter().zip(together) {
                let alone = scored(&scorer, std::slice::from_ref(pair))[0];
                let apart = (alone.log_likelihood - shared.log_likelihood).abs();
                assert!(apart < 1e-5, "{architecture}:{objective} {form} {pair:?}: {apart}");
                assert_eq!((alone.greedy, alone.tokens, alone.cut), (shared.greedy, shared.tokens, shared.cut));
            }
        }
    }

    #[test]
    fn the_yardstick_is_the_same_for_every_cell_and_seed() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path());
        let v = corpus.vocabulary();
        let mut known: Option<Yardstick> = None;
        for (architecture, objective, form, asking) in cells() {
            let spec = spec(architecture, objective, &corpus, architecture as u64 + 10 * objective as u64);
            let yardstick = Yardstick::new(&spec, &corpus).unwrap();
            assert_eq!(known.get_or_insert_with(|| yardstick.clone()), &yardstick);
            let pairs = yardstick.pairs();
            assert!(
                pairs.len() == 64 && pairs.iter().all(|(p, c)| (p.len(), c.len()) == (8, 8)),
                "seq_len 20: windows of 16"
            );
            let trainer = trainer(&spec);
            let metrics = yardstick.measure(&trainer, &corpus).unwrap();
            if architecture == Architecture::EncoderOnly {
                assert!(metrics.is_empty(), "a pseudo-log-likelihood is none of a continuation");
                continue;
            }
            let (loss, bits) = match form {
                ScoringForm::Plain => (Metric::ContinuationLoss, Metric::ContinuationBitsPerByte),
                ScoringForm::Sentinel => (Metric::ContinuationLossSentinel, Metric::ContinuationBitsPerByteSentinel),
            };
            let expected: f64 = pairs
                .iter()
                .map(|(prefix, continuation)| -expected(&trainer, (architecture, asking), &v, (prefix, continuation)).0)
                .sum();
            assert!((metrics[&loss] - expected / 512.0).abs() < 1e-5, "{architecture}:{objective} {form}");
            let text = |c: &Vec<u32>| c.iter().copied().filter(|id| v.is_text(*id)).collect::<Vec<_>>();
            let bytes: usize = pairs.iter().map(|(_, c)| corpus.tokenizer().decode(&text(c)).len()).sum();
            let bytes = f64::from(u32::try_from(bytes).unwrap());
            assert!((metrics[&bits] - expected / bytes / std::f64::consts::LN_2).abs() < 1e-5);
            let asked = Asking::all(&trainer.spec().objective).len();
            assert_eq!(metrics.contains_key(&Metric::ContinuationLossSentinel), asked == 2);
        }
        let short = {
            let mut spec = spec(Architecture::CausalDecoder, Objective::FullLm, &corpus, 0);
            spec.training.seq_len = 5;
            spec
        };
        let yardstick = Yardstick::new(&short, &corpus).unwrap();
        assert!(yardstick.measure(&trainer(&short), &corpus).unwrap().is_empty(), "nothing fits into 5 positions");
    }

    #[test]
    fn a_model_without_sentinels_is_not_asked_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = corpus(folder.path());
        let trainer = trainer(&spec(Architecture::CausalDecoder, Objective::FullLm, &corpus, 0));
        let said = ModelScorer::new(&trainer, corpus.tokenizer(), ScoringForm::Sentinel).unwrap_err().to_string();
        assert!(said.contains("CD:FLM was never trained in sentinel form"), "{said}");
    }
}

#[test]
fn shipped_tasks_ask_the_shipped_world_and_guessing_is_at_chance() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tasks");
    let paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let read = |path: &Path| std::fs::read_to_string(path);
    let suite = Suite::load(&paths, &read).unwrap();
    suite.check().unwrap();
    let world = suite.groups().iter().find(|group| group.name == "world").unwrap();
    let (written, chosen): (Vec<_>, Vec<_>) =
        suite.tasks().iter().partition(|task| task.output == OutputType::GenerateUntil);
    assert_eq!(suite.leaves(world).unwrap().len(), chosen.len());
    assert!(chosen.len() >= 32, "eight families of four wordings");
    assert_eq!(written.len(), 4);
    let mut records = Vec::new();
    for task in chosen {
        let mut scorer = Known::new(|_, _| -1.0);
        let report = evaluate(task, &read, &mut scorer, None).unwrap();
        let acc = report.scores[&TaskMetric::Acc];
        assert!(report.items.len() >= 500, "{}: {} items", task.name, report.items.len());
        let chance = acc.chance.unwrap();
        assert!(
            (acc.value - chance).abs() < 0.02,
            "{}: the first choice is right {} of the time",
            task.name,
            acc.value
        );
        let blank = scorer.asked.iter().find(|request| request.context.trim().is_empty());
        assert!(blank.is_none(), "{}: a context is empty", task.name);
        records.push(report.record(1, ScoringForm::Plain, 0.0));
    }
    let families = families(&records);
    let names: Vec<&str> = families.iter().map(|family| family.family.as_str()).collect();
    let mut tags = world.members.clone();
    tags.sort();
    assert_eq!(names, tags, "the group lists the tags, which the families are called by");
    assert!(families.iter().all(|family| family.tasks.len() >= 4));
}

#[test]
fn shipped_tasks_that_are_written_ask_for_what_their_texts_say() {
    let gathered = gather(&["shipped:writing".to_owned()]).unwrap();
    let text = |name: &str| {
        let task = gathered.suite.tasks().iter().find(|task| task.name == name).unwrap();
        let prepared = PreparedTask::new(task, &trilab::eval::read, Some(3)).unwrap();
        prepared.text(0).unwrap()
    };
    let list = text("write_transduction");
    let (said, backwards) = (list.context.strip_suffix(". Backwards:").unwrap(), &list.choices[0]);
    let mut words: Vec<&str> = said.split(": ").nth(1).unwrap().split(", ").collect();
    words.reverse();
    assert_eq!(&words.join(", "), backwards);
    let story = text("write_summary");
    assert!(story.choices[0].split(", ").all(|fact| story.context.contains(&format!("{fact}."))), "{story:?}");
    assert!(story.context.ends_with(" In short:") && !story.choices[0].contains("calm"));
    for name in ["write_span", "write_classification"] {
        let item = text(name);
        assert!(item.context.contains(&item.choices[0]), "{item:?}");
    }
}

#[test]
fn written_answers_are_scored_as_the_field_scores_them() {
    let task = "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: d.jsonl}}\ntest_split: test\n\
                output_type: generate_until\ndoc_to_text: q\ndoc_to_target: a\n\
                generation_kwargs: {until: ['.'], max_gen_toks: 4, do_sample: false}\n\
                metric_list: [{metric: exact_match}, {metric: squad_exact_match}, {metric: token_f1}, {metric: bleu}, \
                {metric: rouge2}]\n";
    let rows = "{\"q\": \"Say: the old grey mill\", \"a\": [\"Old grey mill!\", \"x\"]}\n\
                {\"q\": \"Say: a red bell\", \"a\": \"the red drum\"}\n\
                {\"q\": \"Say: a red bell\", \"a\": [\"b\", \"a red bell\"]}\n\
                {\"q\": \"Say: nothing\", \"a\": null}\n";
    let files = Files::new(&[("t.yaml", task), ("d.jsonl", rows)]);
    let report = files.evaluate("t", &mut Known::new(|_, _| 0.0), None).unwrap();
    let score = |metric| report.scores[&metric].value;
    // lm_eval 0.4.13's exact_match gives 0, 0 and 1: one gold of several is enough, case, articles and punctuation count.
    assert!((score(TaskMetric::ExactMatch) - 1.0 / 3.0).abs() < 1e-12);
    assert!((score(TaskMetric::SquadExactMatch) - 2.0 / 3.0).abs() < 1e-12, "as SQuAD compares");
    assert!((score(TaskMetric::TokenF1) - 2.5 / 3.0).abs() < 1e-12, "red of red bell and red drum");
    assert!(score(TaskMetric::Rouge2) > 0.0 && score(TaskMetric::Bleu) > 0.0);
    assert_eq!(report.items[0].written.as_deref(), Some("the old grey mill"));
    assert_eq!(report.right.first(3).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(
        (report.items.len(), report.left_out.as_slice()),
        (3, &[3][..]),
        "nobody can be right without an answer"
    );
    let loose =
        task.replace("{metric: exact_match}", "{metric: exact_match, ignore_case: true, ignore_punctuation: true}");
    let files = Files::new(&[("t.yaml", &loose), ("d.jsonl", &rows.replace("Old grey mill!", "The old, grey mill"))]);
    let report = files.evaluate("t", &mut Known::new(|_, _| 0.0), None).unwrap();
    assert!((report.scores[&TaskMetric::ExactMatch].value - 2.0 / 3.0).abs() < 1e-12);
    let odd = task.replace("do_sample: false", "do_sample: true");
    let said = Suite::load(&["t.yaml".into()], &|_| Ok(odd.clone())).unwrap_err().to_string();
    assert!(said.contains("`do_sample: True` of `generation_kwargs` is not supported"), "{said}");
}

/// The harness keeps the blank that a model writes before its answer, and its `remove_whitespace` takes it off.
#[test]
fn white_space_around_an_answer_counts_unless_a_filter_takes_it_off() {
    let task = "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: d.jsonl}}\ntest_split: test\n\
                output_type: generate_until\ndoc_to_text: q\ndoc_to_target: a\nmetric_list: [{metric: exact_match}]\n";
    let rows = "{\"q\": \"Say:  four\", \"a\": \"four\"}\n{\"q\": \"Say: five\", \"a\": \"six\"}\n";
    let evaluated = |filters: &str| {
        let files = Files::new(&[("t.yaml", &format!("{task}{filters}")), ("d.jsonl", rows)]);
        files.evaluate("t", &mut Known::new(|_, _| 0.0), None).unwrap()
    };
    let bare = evaluated("filter_list: [{name: all, filter: [{function: take_first}]}]\n");
    assert_eq!(bare.scores[&TaskMetric::ExactMatch].value, 0.0);
    assert!(
        bare.notices[0].starts_with("1 of 2 answers are right but for white space around them"),
        "{:?}",
        bare.notices
    );
    let cure = bare.notices[0].split('`').nth(1).unwrap();
    let cured = evaluated(&format!("{cure}\n"));
    assert_eq!(cured.scores[&TaskMetric::ExactMatch].value, 0.5);
    assert!(cured.notices.is_empty());
    assert_eq!(cured.items[0].written.as_deref(), Some(" four"), "as it was written");
}

/// The first fenced block of that language in README.md.
fn readme_block(language: &str) -> String {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_task_of_the_readme_works() {
    let task = readme_block("yaml");
    assert_eq!(task.lines().count(), 10);
    let files = Files::new(&[("capitals.yaml", &task), ("capitals.jsonl", &readme_block("json"))]);
    let knows = |context: &str, continuation: &str| match (context, continuation) {
        ("The capital of France is", " Paris") | ("The capital of Italy is", " Rome") => -1.0,
        _ => -2.0,
    };
    let report = files.evaluate("capitals", &mut Known::new(knows), None).unwrap();
    assert_eq!((report.items.len(), report.scores[&TaskMetric::Acc].value), (2, 1.0));
}
