//! Planning, queue, adoption and launching as tables of input and output.
#![expect(clippy::unwrap_used, reason = "a broken test stops")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use proptest::prelude::*;
use trilab::core::cell::LineageName;
use trilab::core::cost::{step_flops, step_tokens};
use trilab::core::grid::count;
use trilab::core::spec::ProbeSpec;
use trilab::core::stage::Budget;
use trilab::core::stage::{StageCorpus, StageSettings};
use trilab::core::study::{
    Axis, ExecutionSettings, GridSettings, HeadDim, ModelSettings, ObjectiveSettings, StudySpec, TrainingSettings,
};
use trilab::core::texts::{CorpusSettings, TokenizerSpec};
use trilab::core::{
    Architecture, AttentionDirection, Control, Device, LearningRateSchedule, MixturePart, ModelPreset, Objective,
    Position, Precision, RunId, RunStatus, Task,
};
use trilab::runlog::Home;
use trilab::schedule::{
    Action, CorpusFacts, Found, Launcher, LocalLauncher, Machine, Parent, PartFacts, Plan, Queue, StageFacts,
    StudyFacts, Workload, admission, launches, plan, report, standing,
};
use trilab::store::{AttemptFacts, Ending};

fn study() -> StudySpec {
    StudySpec {
        name: "grid".parse().unwrap(),
        description: String::new(),
        grid: GridSettings {
            architecture: Axis(Architecture::ALL.into_iter().take(3).collect()),
            objective: Axis(Objective::ALL.into_iter().take(3).collect()),
            seed: Axis(vec![1, 2]),
            exclude: Vec::new(),
            lineages: Vec::new(),
            then: Vec::new(),
        },
        corpus: CorpusSettings {
            paths: vec!["shipped:world".to_owned()],
            field: "text".to_owned(),
            validation: Vec::new(),
            validation_fraction: 0.1,
            tokenizer: TokenizerSpec::Bytes,
        },
        model: ModelSettings {
            d_model: 64.into(),
            num_layers: 2.into(),
            num_heads: 4.into(),
            head_dim: HeadDim::STANDARD.into(),
            d_ff: None,
            match_parameters: false,
            preset: ModelPreset::Llama.into(),
            position: None,
            mlp: None,
            norm: None,
            tied_embeddings: None,
            direction: AttentionDirection::Both.into(),
            rope_theta: 10_000.0,
            norm_epsilon: 1e-6,
        },
        objective: ObjectiveSettings {
            noise_density: 0.15,
            mean_noise_span_length: 3.0,
            loss_on_inputs: false.into(),
            mixture: Vec::new(),
        },
        training: TrainingSettings {
            seq_len: 128.into(),
            batch_size: 16,
            micro_batch_size: None,
            learning_rate: 1e-3.into(),
            schedule: LearningRateSchedule::Cosine,
            warmup_steps: 10,
            final_fraction: 0.1,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            weight_decay: 0.1,
            grad_clip_norm: 1.0,
            divergence_factor: 3.0,
            z_loss: 0.0,
            precision: Precision::F32,
            dropout: 0.0,
        },
        budget: Budget::Steps(100),
        probes: ProbeSpec {
            log_every: 1,
            validation_every: 50,
            validation_examples: 8,
            rank_every: 0,
            zero_shot: Vec::new(),
            zero_shot_every: 0,
            zero_shot_items: 0,
            zero_shot_share: 0.0,
            sample_every: 0,
            sample_tokens: 0,
            checkpoint_every: 50,
            keep_checkpoints: 2,
            keep_steps: Vec::new(),
        },
        execution: ExecutionSettings { device: Device::Cpu, threads: 1 },
        stages: BTreeMap::new(),
    }
}

fn corpus() -> CorpusFacts {
    CorpusFacts {
        name: "world".to_owned(),
        fingerprint: "f00d".to_owned(),
        vocab_size: 300,
        vocabulary: "bytes".to_owned(),
        directory: PathBuf::from("corpora/f00d"),
        train: PartFacts { bytes: 100_000, documents: 1, tokens: Some(100_000) },
        validation: PartFacts { bytes: 5_000, documents: 1, tokens: Some(5_000) },
        ready: true,
        notices: Vec::new(),
        uncovered: None,
    }
}

/// The tasks of the stage `mtf` have a fingerprint.
fn facts() -> StudyFacts {
    let mtf = StageFacts { tasks: Some("p".to_owned()), corpus: None };
    StudyFacts {
        corpus: corpus(),
        zero_shot: None,
        stages: BTreeMap::from([("mtf".to_owned(), mtf)]),
        notices: Vec::new(),
    }
}

fn planned(change: impl FnOnce(&mut StudySpec)) -> Plan {
    let mut study = study();
    change(&mut study);
    plan(&study, &facts(), "0.1.0").unwrap()
}

fn refused(change: impl FnOnce(&mut StudySpec)) -> String {
    let mut study = study();
    change(&mut study);
    plan(&study, &facts(), "0.1.0").unwrap_err().to_string()
}

fn id(number: u8) -> RunId {
    format!("{number:012x}").parse().unwrap()
}

#[test]
fn the_grid_is_seven_cells_with_first_seeds_first() {
    let plan = planned(|_| {});
    let told: Vec<(u64, String)> = plan.runs.iter().map(|run| (run.seed, run.cell())).collect();
    let cells = ["CD:FLM", "CD:PLM", "CD:MLM", "ND:PLM", "ND:MLM", "ED:PLM", "ED:MLM"];
    let expected: Vec<(u64, String)> =
        [1, 2].into_iter().flat_map(|seed| cells.map(|cell| (seed, cell.to_owned()))).collect();
    assert_eq!(told, expected);
    let refusals: Vec<&str> = plan.refusals.iter().map(|refusal| refusal.cell.as_str()).collect();
    assert_eq!(refusals, ["ND:FLM", "ED:FLM"], "once each, whatever the seeds");
    assert!(plan.refusals[0].reason.contains("nearest legal cell: ND:PLM"));
    let run = &plan.runs[0];
    assert_eq!((run.model.head_dim, run.model.d_ff, run.training.micro_batch_size), (16, 256, 16));
    assert_eq!(run.id, run.content_id().unwrap());
    assert_eq!(run.execution.program_version, "0.1.0");
}

#[test]
fn texts_that_are_too_short_are_refused_before_they_are_prepared_and_the_part_is_named() {
    let short = |part: &str, tokens: Option<u64>, bytes: u64| {
        let mut known = facts();
        let facts = PartFacts { bytes, documents: 1, tokens };
        match part {
            "training" => known.corpus.train = facts,
            _ => known.corpus.validation = facts,
        }
        let mut study = study();
        study.grid.architecture = Architecture::CausalDecoder.into();
        study.grid.objective = Objective::FullLm.into();
        study.training.seq_len = Axis(vec![128]);
        let plan = plan(&study, &known, "0.1.0").unwrap();
        plan.refusals.first().map_or_else(String::new, |refusal| refusal.reason.clone())
    };
    assert_eq!(short("training", Some(128), 500), "", "a window and no more");
    assert_eq!(short("validation", None, 127), "", "a byte a token and an end mark might do");
    assert_eq!(
        short("training", Some(127), 500),
        "one example takes 128 tokens, but the training text of world has only 127; lower training.seq_len, or add text"
    );
    assert_eq!(
        short("validation", Some(20), 500),
        "one example takes 128 tokens, but the validation text of world has only 20; lower training.seq_len, or raise \
         corpus.validation_fraction, or add validation text"
    );
    let bound = short("validation", None, 126);
    assert!(bound.contains("the validation text of world has at most 127"), "{bound}");
}

#[test]
fn what_should_be_known_of_texts_and_tasks_is_in_the_report_once_and_in_the_runs() {
    let mut known = facts();
    known.corpus.notices = vec!["4 files are not read".to_owned()];
    known.corpus.uncovered = Some("3 % is unknown".to_owned());
    known.notices = vec!["2 labels name no choice".to_owned(), "4 files are not read".to_owned()];
    let study = study();
    let plan = plan(&study, &known, "0.1.0").unwrap();
    let report = report(&study, &plan, &known, &Workload::default(), &|_| None);
    assert_eq!(report.notices, ["4 files are not read", "3 % is unknown", "2 labels name no choice"]);
    assert_eq!(plan.runs[0].data.notices, known.corpus.notices);
    let mut other = plan.runs[0].clone();
    other.data.notices.clear();
    assert_eq!(other.content_id().unwrap(), plan.runs[0].id, "recorded, not hashed");
}

#[test]
fn every_axis_multiplies_and_duplicates_vanish() {
    let plan = planned(|study| {
        study.grid.architecture = Architecture::CausalDecoder.into();
        study.grid.objective = Objective::FullLm.into();
        study.grid.seed = Axis(vec![1, 1]);
        study.model.d_model = Axis(vec![64, 128]);
        study.model.num_layers = Axis(vec![1, 2, 3]);
        study.model.num_heads = Axis(vec![2, 4]);
        study.model.head_dim = Axis(vec![HeadDim::Fixed(16), HeadDim::Fixed(32)]);
        study.model.d_ff = Some(Axis(vec![100, 200]));
        study.training.seq_len = Axis(vec![32, 64]);
        study.training.learning_rate = Axis(vec![1e-3, 2e-3, 1e-3]);
    });
    assert_eq!(plan.runs.len(), 2 * 3 * 2 * 2 * 2 * 2 * 2);
    let ids: BTreeSet<&RunId> = plan.runs.iter().map(|run| &run.id).collect();
    assert_eq!(ids.len(), plan.runs.len());
}

#[test]
fn full_lm_has_one_id_with_and_without_loss_on_inputs() {
    let ids = |on: bool| {
        let plan = planned(|study| {
            study.objective.loss_on_inputs = on.into();
            study.grid.architecture = Architecture::CausalDecoder.into();
        });
        plan.runs.iter().filter(|run| run.seed == 1).map(|run| run.id.clone()).collect::<Vec<_>>()
    };
    let (without, with) = (ids(false), ids(true));
    assert_eq!(without[0], with[0], "full LM");
    assert_ne!(without[1], with[1], "prefix LM");
}

#[test]
fn cells_that_cannot_be_are_refused_in_words() {
    type Change = fn(&mut StudySpec);
    let table: &[(&str, &str, Change)] = &[
        ("ED:PLM", "must be even", |study| study.training.batch_size = 7),
        ("ED:PLM", "must be even", |study| study.training.micro_batch_size = Some(1)),
        ("CD:MLM", "too short", |study| study.training.seq_len = 5.into()),
        ("CD:FLM", "no multiple of model.num_heads 3", |study| study.model.num_heads = 3.into()),
        ("CD:FLM", "heads of 1, and rotary", |study| study.model.num_heads = 64.into()),
        ("CD:FLM", "heads of 15, and rotary", |study| study.model.head_dim = HeadDim::Fixed(15).into()),
        ("CD:FLM", "has only 100000", |study| study.training.seq_len = 200_000.into()),
        ("CD:FLM", "`budget.tokens` is below one optimizer step, which takes 2048 tokens", |study| {
            study.budget = Budget::Tokens(2047);
            study.training.warmup_steps = 0;
        }),
        ("CD:FLM", "`budget.flops` is below one optimizer step", |study| {
            study.budget = Budget::Flops(1e3);
            study.training.warmup_steps = 0;
        }),
        ("CD:FLM", "fits no machine", |study| {
            study.model.d_model = (1 << 20).into();
            study.model.d_ff = Some((1 << 20).into());
            study.model.num_layers = (1 << 20).into();
        }),
        ("ED:MLM with loss on inputs", "loss_on_inputs = false", |study| study.objective.loss_on_inputs = true.into()),
    ];
    for (cell, words, change) in table {
        let refusals = planned(change).refusals;
        let found = refusals.iter().any(|refusal| &refusal.cell == cell && refusal.reason.contains(words));
        assert!(found, "{cell}: {words}: {refusals:?}");
    }
    let odd = planned(|study| study.training.batch_size = 7);
    assert!(odd.runs.iter().any(|run| run.cell() == "ED:MLM"), "only packed rows need an even batch");
}

/// A study whose cells may go on as `adapt` and as `mtf`.
fn staged(change: impl FnOnce(&mut StudySpec)) -> impl FnOnce(&mut StudySpec) {
    move |study| {
        let adapt = StageSettings {
            architecture: Some(Architecture::NonCausalDecoder),
            objective: Some(Objective::SpanCorruption),
            budget: Some(Budget::Steps(30)),
            ..StageSettings::default()
        };
        let mtf = StageSettings {
            objective: Some(Objective::Multitask),
            budget: Some(Budget::Steps(20)),
            dropout: Some(0.1),
            tasks: vec!["shipped:world".to_owned()],
            ..StageSettings::default()
        };
        study.stages = BTreeMap::from([("adapt".to_owned(), adapt), ("mtf".to_owned(), mtf)]);
        study.grid.lineages = ["CD:FLM", "CD:FLM > adapt > mtf", "CD:FLM > mtf"].map(lineage).into();
        change(study);
    }
}

fn lineage(text: &str) -> LineageName {
    LineageName::try_from(text.to_owned()).unwrap()
}

#[test]
fn common_ancestors_are_trained_once_and_come_first() {
    let plan = planned(staged(|_| {}));
    let labels: Vec<String> =
        plan.runs.iter().filter(|run| run.seed == 1).map(trilab::core::RunSpec::lineage).collect();
    assert_eq!(labels, ["CD:FLM", "CD:FLM→ND:MLM", "CD:FLM→ND:MLM→MTF", "CD:FLM→MTF"]);
    assert_eq!(plan.runs.len(), 8, "two seeds");
    let [first, adapted, last, direct] = [0, 1, 2, 3].map(|place| &plan.runs[place]);
    let parent = adapted.parent.as_ref().unwrap();
    assert_eq!((&parent.run, parent.step, &parent.lineage), (&first.id, 100, &first.lineage_id().unwrap()));
    assert_eq!((direct.parent.as_ref().unwrap().run.clone(), last.ancestors.len()), (first.id.clone(), 2));
    assert_eq!((last.training.dropout, last.training.steps, first.training.dropout), (0.1, 20, 0.0));
    assert_eq!(last.ancestors[1].tokens, 30 * step_tokens(adapted));
    assert!(
        (last.ancestors[0].flops / 100.0 / step_flops(&first.model, &first.objective, &first.training).unwrap() - 1.0)
            .abs()
            < 1e-9
    );
    // Seeds of a lineage fold although their parents differ; other lineages do not.
    let other_seed = plan.runs.iter().find(|run| run.seed == 2 && run.lineage() == last.lineage()).unwrap();
    assert_ne!(last.id, other_seed.id);
    assert_eq!(last.lineage_id().unwrap(), other_seed.lineage_id().unwrap());
    assert_ne!(last.lineage_id().unwrap(), direct.lineage_id().unwrap());
    // Another set of tasks is another training.
    let held = planned(staged(|study| study.stages.get_mut("mtf").unwrap().held_out.push("world_order".to_owned())));
    assert_ne!(held.runs[3].id, direct.id);
    assert_eq!(held.runs[0].id, first.id);
}

#[test]
fn stages_multiply_as_axes_and_parents_keep_where_children_begin() {
    let plan = planned(staged(|study| {
        study.grid.lineages.clear();
        study.grid.architecture = Architecture::CausalDecoder.into();
        study.grid.objective = Objective::FullLm.into();
        study.grid.then = [["-", "adapt"], ["-", "mtf"]].map(|axis| axis.map(str::to_owned).into()).into();
        study.stages.get_mut("adapt").unwrap().from_step = Some(40);
    }));
    let labels: Vec<String> =
        plan.runs.iter().filter(|run| run.seed == 1).map(trilab::core::RunSpec::lineage).collect();
    assert_eq!(labels, ["CD:FLM", "CD:FLM→MTF", "CD:FLM@40→ND:MLM", "CD:FLM@40→ND:MLM→MTF"]);
    assert_eq!(plan.runs[0].probes.keep_steps, [40], "the last step is kept anyway");
    assert_eq!(plan.runs[2].parent.as_ref().unwrap().step, 40);
    let without = planned(|study| {
        study.grid.architecture = Architecture::CausalDecoder.into();
        study.grid.objective = Objective::FullLm.into();
    });
    assert_eq!(without.runs[0].id, plan.runs[0].id, "a child does not change its parent");
}

#[test]
fn stages_that_cannot_be_are_refused_in_words() {
    type Change = fn(&mut StudySpec);
    fn stage<'s>(study: &'s mut StudySpec, name: &str) -> &'s mut StageSettings {
        study.stages.get_mut(name).unwrap()
    }
    let table: &[(&str, &str, Change)] = &[
        ("CD:FLM → ED:MLM", "other weights than CD; a stage after CD can be one of CD, ND, EO", |study| {
            stage(study, "adapt").architecture = Some(Architecture::EncoderDecoder);
        }),
        ("CD:FLM → ND:MLM", "buckets of T5's bias", |study| study.model.position = Some(Position::T5Bias.into())),
        ("CD:FLM → ND:GLM", "blanks must be there from the first stage", |study| {
            stage(study, "adapt").objective = Some(Objective::BlankInfilling);
        }),
        ("CD:FLM → ND:MLM", "from_step is 101, and the stage before it has steps 1 to 100", |study| {
            stage(study, "adapt").from_step = Some(101);
        }),
        ("CD:FLM → CD:MTF", "stages.mtf.tasks", |study| stage(study, "mtf").tasks.clear()),
        ("CD:FLM → ND:MLM", "trains on texts, not on tasks", |study| {
            stage(study, "adapt").tasks.push("shipped:world".to_owned());
        }),
        ("ND:FLM", "nearest legal cell: ND:PLM", |study| stage(study, "adapt").objective = None),
        ("CD:MTF", "list it in [stages]", |study| {
            study.grid.lineages = vec![lineage("CD:MTF")];
            study.stages.clear();
        }),
        ("CD:FLM → ND:MLM", "leave stages.adapt.held_out out", |study| {
            stage(study, "adapt").held_out.push("world_order".to_owned());
        }),
        ("CD:FLM → CD:MTF", "tasks, not on texts; leave stages.mtf.corpus out", |study| {
            stage(study, "mtf").corpus = Some(StageCorpus::default());
        }),
    ];
    for (cell, words, change) in table {
        let refusals = planned(staged(*change)).refusals;
        let found = refusals.iter().any(|refusal| &refusal.cell == cell && refusal.reason.contains(words));
        assert!(found, "{cell}: {words}: {refusals:?}");
    }
    let said = |change: Change| refused(staged(change));
    assert!(said(|study| stage(study, "adapt").batch_size = Some(0)).contains("stages.adapt.batch_size"));
    assert!(said(|study| stage(study, "adapt").noise_density = Some(15.0)).contains("stages.adapt.noise_density"));
    assert!(said(|study| stage(study, "adapt").final_fraction = Some(2.0)).contains("stages.adapt.final_fraction"));
    assert!(said(|study| stage(study, "adapt").objective = Some(Objective::Mixture)).contains("stages.adapt.mixture"));
    let words = said(|study| {
        let part = MixturePart { task: Task::Prompted, ..Objective::Ul2R.mixture(0.15)[0].clone() };
        stage(study, "adapt").mixture = Some(vec![part]);
    });
    assert!(words.contains("`stages.adapt.mixture.task` is prompted, but it must be a task on texts"), "{words}");
    let unused = said(|study| study.grid.lineages = vec![lineage("CD:FLM > mtf")]);
    assert!(unused.contains("no lineage has the stage `adapt`"), "{unused}");
    let mix = said(|study| study.grid.lineages = vec![lineage("CD:MIX")]);
    assert!(mix.contains("`objective.mixture` is empty"), "{mix}");
    assert!(said(|study| stage(study, "adapt").dropout = Some(1.0)).contains("stages.adapt.dropout"));
    assert!(said(|study| study.grid.lineages = vec![lineage("CD:FLM > adapt > mtf > adapt")]).contains("comes back"));
    assert!(said(|study| study.grid.lineages = vec![lineage("CD:FLM > adopt")]).contains("the stage `adopt`"));
}

#[test]
fn a_stage_may_read_other_texts_in_the_same_vocabulary() {
    let mut study = study();
    staged(|study| {
        let corpus = StageCorpus { paths: Some(vec!["other.txt".to_owned()]), ..StageCorpus::default() };
        study.stages.get_mut("adapt").unwrap().corpus = Some(corpus);
    })(&mut study);
    let other = |vocabulary: &str| CorpusFacts {
        name: "other/bpe:500".to_owned(),
        fingerprint: "0dd".to_owned(),
        vocabulary: vocabulary.to_owned(),
        ..corpus()
    };
    let with = |vocabulary: &str| {
        let mut facts = facts();
        let adapt = StageFacts { tasks: None, corpus: Some(other(vocabulary)) };
        facts.stages.insert("adapt".to_owned(), adapt);
        plan(&study, &facts, "0").unwrap()
    };
    let plan = with(&corpus().vocabulary);
    let read: BTreeMap<String, &str> =
        plan.runs.iter().map(|run| (run.lineage(), run.data.fingerprint.as_str())).collect();
    let wanted = [("CD:FLM", "f00d"), ("CD:FLM→ND:MLM", "0dd"), ("CD:FLM→ND:MLM→MTF", "f00d"), ("CD:FLM→MTF", "f00d")];
    assert_eq!(read, wanted.map(|(cell, texts)| (cell.to_owned(), texts)).into());
    // Ids that mean other words are none that the weights know.
    let plan = with("trained on other text");
    assert!(plan.runs.iter().all(|run| run.lineage() != "CD:FLM→ND:MLM"));
    let refusal = plan.refusals.iter().find(|refusal| refusal.cell == "CD:FLM → ND:MLM").unwrap();
    let words = "other/bpe:500 has another vocabulary than world";
    assert!(refusal.reason.starts_with(words) && refusal.reason.contains("corpora/f00d/tokenizer.json"), "{refusal:?}");
}

#[test]
fn parts_that_do_not_go_together_are_refused_in_words() {
    type Change = fn(&mut StudySpec);
    let table: &[(&str, &str, Change)] = &[
        ("ED:PLM", "ALiBi is not defined for cross-attention", |study| {
            study.model.position = Some(Position::Alibi.into());
        }),
        ("EDM:PLM", "in one softmax", |study| study.model.position = Some(Position::T5Bias.into())),
        ("CD:FLM", "would see the targets of CD", |study| {
            study.model.direction = AttentionDirection::MixedHeads.into();
        }),
        ("EO:BERT", "cannot be halved between two directions", |study| {
            study.model.num_heads = 1.into();
            study.model.direction = AttentionDirection::MixedHeads.into();
        }),
        ("EDH:PLM", "one layer cannot alternate between two directions", |study| {
            study.model.num_layers = 2.into();
            study.model.direction = AttentionDirection::AlternatingLayers.into();
        }),
        ("EDH:PLM", "model.num_layers 3 cannot be halved", |study| study.model.num_layers = 3.into()),
        ("ND:GLM", "would tell their order", |study| study.model.position = Some(Position::Alibi.into())),
        ("CD:UL2", "the vocabulary has 120 sentinels", |study| study.training.seq_len = 2_000.into()),
        ("CD:IID", "the vocabulary has 128 sentinels", |study| study.training.seq_len = 4_000.into()),
        ("EO:PLM", "can only restore what is masked", |_| {}),
    ];
    for (cell, words, change) in table {
        let all = |study: &mut StudySpec| {
            study.grid.architecture = Axis(Architecture::ALL.to_vec());
            study.grid.objective = Axis(Objective::ALL.into_iter().filter(|o| *o != Objective::Mixture).collect());
            change(study);
        };
        let refusals = planned(all).refusals;
        let found = refusals.iter().any(|refusal| &refusal.cell == cell && refusal.reason.contains(words));
        assert!(found, "{cell}: {words}: {refusals:?}");
    }
}

#[test]
fn heads_are_compared_at_equal_parameters() {
    let plan = planned(|study| {
        study.grid.architecture = Architecture::CausalDecoder.into();
        study.grid.objective = Objective::FullLm.into();
        study.grid.seed = 1.into();
        study.model.num_heads = Axis(vec![1, 2, 4, 8, 16]);
        study.model.head_dim = Axis(vec![HeadDim::STANDARD, HeadDim::Fixed(16)]);
        study.model.match_parameters = true;
    });
    assert_eq!(plan.runs.len(), 9, "four heads of 16 are the standard of 64");
    for heads in [1, 2, 8, 16] {
        let own: Vec<_> = plan.runs.iter().filter(|run| run.model.num_heads == heads).collect();
        let counts: Vec<u64> = own.iter().map(|run| trilab::core::cost::parameters(&run.model)).collect();
        let unit = trilab::core::cost::parameters_per_unit(&own[0].model);
        assert!(counts[0].abs_diff(counts[1]) <= unit / 2, "{heads}: {counts:?}");
        let widths: Vec<usize> = own.iter().map(|run| run.model.d_ff).collect();
        assert_eq!(widths.iter().min(), Some(&256), "{widths:?}");
    }
}

/// The stage `mtf` of a study that has it.
fn mtf(study: &mut StudySpec) -> &mut StageSettings {
    staged(|_| {})(study);
    study.stages.get_mut("mtf").unwrap()
}

#[test]
fn nonsense_is_an_error_that_names_its_key() {
    type Change = fn(&mut StudySpec);
    let table: &[(&str, Change)] = &[
        ("model.d_model", |study| study.model.d_model = 0.into()),
        ("model.num_layers", |study| study.model.num_layers = Axis(vec![2, 0])),
        ("model.num_heads", |study| study.model.num_heads = 0.into()),
        ("model.head_dim", |study| study.model.head_dim = HeadDim::Fixed(0).into()),
        ("model.d_ff", |study| study.model.d_ff = Some(0.into())),
        ("model.rope_theta", |study| study.model.rope_theta = f64::NAN),
        ("model.norm_epsilon", |study| study.model.norm_epsilon = 0.0),
        ("objective.noise_density", |study| study.objective.noise_density = 1.0),
        ("objective.mean_noise_span_length", |study| study.objective.mean_noise_span_length = 0.5),
        ("training.seq_len", |study| study.training.seq_len = 1.into()),
        ("training.seq_len", |study| study.training.seq_len = usize::MAX.into()),
        ("training.batch_size", |study| study.training.batch_size = 0),
        ("training.micro_batch_size", |study| study.training.micro_batch_size = Some(5)),
        ("training.micro_batch_size", |study| study.training.micro_batch_size = Some(0)),
        ("training.learning_rate", |study| study.training.learning_rate = Axis(vec![1e-3, -1.0])),
        ("training.final_fraction", |study| study.training.final_fraction = 1.5),
        ("training.beta1", |study| study.training.beta1 = 1.0),
        ("training.beta2", |study| study.training.beta2 = -0.1),
        ("training.epsilon", |study| study.training.epsilon = 0.0),
        ("training.weight_decay", |study| study.training.weight_decay = f64::INFINITY),
        ("training.grad_clip_norm", |study| study.training.grad_clip_norm = -1.0),
        ("training.divergence_factor", |study| study.training.divergence_factor = -1.0),
        ("budget.steps", |study| study.budget = Budget::Steps(0)),
        ("budget.tokens", |study| study.budget = Budget::Tokens(0)),
        ("budget.flops", |study| study.budget = Budget::Flops(f64::NAN)),
        ("probes.log_every", |study| study.probes.log_every = 0),
        ("probes.validation_every", |study| study.probes.validation_every = 0),
        ("probes.validation_examples", |study| study.probes.validation_examples = 0),
        ("probes.checkpoint_every", |study| study.probes.checkpoint_every = 0),
        ("probes.keep_checkpoints", |study| study.probes.keep_checkpoints = 0),
        ("probes.sample_tokens", |study| study.probes.sample_every = 5),
        ("execution.threads", |study| study.execution.threads = 0),
        ("execution.threads", |study| study.execution.threads = 1_000_000_000),
        ("model.norm_epsilon", |study| study.model.norm_epsilon = 1e9),
        ("model.rope_theta", |study| study.model.rope_theta = 1e300),
        ("objective.mean_noise_span_length", |study| study.objective.mean_noise_span_length = 1e9),
        ("training.learning_rate", |study| study.training.learning_rate = 1e300.into()),
        ("training.warmup_steps", |study| study.training.warmup_steps = u64::MAX),
        ("training.weight_decay", |study| study.training.weight_decay = 1e300),
        ("training.z_loss", |study| study.training.z_loss = 1e300),
        ("training.batch_size", |study| study.training.batch_size = 1 << 30),
        ("budget.steps", |study| study.budget = Budget::Steps(u64::MAX)),
        ("budget.tokens", |study| study.budget = Budget::Tokens(u64::MAX)),
        ("budget.flops", |study| study.budget = Budget::Flops(1e300)),
        ("probes.log_every", |study| study.probes.log_every = u64::MAX),
        ("probes.checkpoint_every", |study| study.probes.checkpoint_every = u64::MAX),
        ("probes.rank_every", |study| study.probes.rank_every = u64::MAX),
        ("probes.sample_every", |study| study.probes.sample_every = u64::MAX),
        ("probes.validation_examples", |study| study.probes.validation_examples = 1_000_000_000_000),
        ("probes.keep_checkpoints", |study| study.probes.keep_checkpoints = usize::MAX),
        ("probes.keep_steps", |study| study.probes.keep_steps = vec![u64::MAX]),
        ("probes.zero_shot_items", |study| study.probes.zero_shot_items = usize::MAX),
        ("probes.zero_shot_share", |study| study.probes.zero_shot_share = -1.0),
        ("probes.sample_tokens", |study| study.probes.sample_tokens = usize::MAX),
        ("stages.mtf.examples", |study| mtf(study).examples = Some(usize::MAX)),
        ("stages.mtf.cap", |study| mtf(study).cap = Some(u64::MAX)),
        ("stages.mtf.warmup_steps", |study| mtf(study).warmup_steps = Some(u64::MAX)),
        ("stages.mtf.budget.steps", |study| mtf(study).budget = Some(Budget::Steps(u64::MAX))),
        ("grid.seed", |study| study.grid.seed = Axis(Vec::new())),
    ];
    for (key, change) in table {
        let error = refused(change);
        assert!(error.starts_with("plan the study: ") && error.contains(&format!("`{key}`")), "{key}: {error}");
    }
    let error = refused(|study| study.training.warmup_steps = 101);
    assert!(error.contains("`training.warmup_steps` is 101") && error.contains("`budget.steps`"), "{error}");
    for schedule in [LearningRateSchedule::Constant, LearningRateSchedule::Rsqrt] {
        let plan = planned(|study| {
            study.training.warmup_steps = 101;
            study.training.schedule = schedule;
        });
        assert!(!plan.runs.is_empty());
    }
}

proptest! {
    #[test]
    fn budgets_buy_what_they_can_and_not_more(tokens in 1_u64..2_000_000, batch in 1_usize..9, length in 6_usize..96) {
        let mut study = study();
        study.training.batch_size = 2 * batch;
        study.training.seq_len = length.into();
        study.training.warmup_steps = 0;
        study.budget = Budget::Tokens(tokens);
        for run in plan(&study, &facts(), "0").unwrap().runs {
            let one = step_tokens(&run);
            prop_assert!(run.training.steps * one <= tokens);
            prop_assert!((run.training.steps + 1) * one > tokens);
            study.budget = Budget::Flops(tokens as f64 * 1e6);
            let one = step_flops(&run.model, &run.objective, &run.training).unwrap();
            let bought = plan(&study, &facts(), "0").unwrap();
            if let Some(same) = bought.runs.iter().find(|other| other.cell() == run.cell()) {
                prop_assert!(same.training.steps as f64 * one <= tokens as f64 * 1e6 * (1.0 + 1e-12));
            }
            study.budget = Budget::Tokens(tokens);
        }
    }

    #[test]
    fn plans_are_complete_legal_and_repeatable(
        widths in proptest::collection::vec(1_usize..40, 1..4),
        heads in proptest::collection::vec(1_usize..9, 1..4),
        length in 2_usize..64,
        batch in 1_usize..6,
    ) {
        let mut study = study();
        study.model.d_model = Axis(widths.iter().map(|width| 4 * width).collect());
        study.model.num_heads = Axis(heads);
        study.training.seq_len = length.into();
        study.training.batch_size = batch;
        let first = plan(&study, &facts(), "0").unwrap();
        prop_assert_eq!(&first, &plan(&study, &facts(), "0").unwrap());
        let ids: BTreeSet<&RunId> = first.runs.iter().map(|run| &run.id).collect();
        prop_assert_eq!(ids.len(), first.runs.len());
        let seeds: Vec<u64> = first.runs.iter().map(|run| run.seed).collect();
        prop_assert!(seeds.is_sorted(), "first seeds first");
        for run in &first.runs {
            prop_assert!(step_tokens(run) > 0);
            prop_assert_eq!(run.model.head_dim % 2, 0);
            prop_assert_eq!(&run.id, &run.content_id().unwrap());
        }
    }
}

#[test]
fn the_review_page_adds_up() {
    let study = StudySpec {
        grid: GridSettings {
            architecture: Architecture::CausalDecoder.into(),
            objective: Objective::FullLm.into(),
            seed: Axis(vec![1, 2, 3]),
            exclude: Vec::new(),
            lineages: Vec::new(),
            then: Vec::new(),
        },
        ..study()
    };
    let plan = plan(&study, &facts(), "0").unwrap();
    let first = plan.runs[0].id.clone();
    let second = plan.runs[1].id.clone();
    let existing = |run: &RunId| match run {
        run if *run == first => Some(RunStatus::Finished),
        run if *run == second => Some(RunStatus::Queued),
        _ => None,
    };
    let page = report(&study, &plan, &facts(), &Workload::default(), &existing);
    let one = page.runs[0].flops;
    assert_eq!(page.flops, 2.0 * one, "a finished run costs nothing");
    assert_eq!((page.seconds, page.queue_done_s), (None, None), "nothing has run yet");
    assert_eq!(page.memory_bytes, page.runs[0].memory_bytes, "one slot");
    assert_eq!(page.runs[0].tokens, 100 * 16 * 128);
    let workload = Workload { slots: 2, flops_per_second: Some(one), queued_flops: 4.0 * one };
    let page = report(&study, &plan, &facts(), &workload, &existing);
    assert_eq!(page.seconds, Some(1.0));
    assert_eq!(page.queue_done_s, Some(2.5), "the queued run is not counted twice");
    assert_eq!(page.memory_bytes, 2 * page.runs[0].memory_bytes);
    let workload = Workload { slots: 16, ..workload };
    assert_eq!(report(&study, &plan, &facts(), &workload, &existing).seconds, Some(1.0), "a run is not shared");
}

/// A study of one cell with so many seeds.
fn seeds(count: u64) -> StudySpec {
    let mut study = study();
    study.grid.architecture = Architecture::CausalDecoder.into();
    study.grid.objective = Objective::FullLm.into();
    study.grid.seed = Axis((0..count).collect());
    study
}

#[test]
fn a_grid_is_counted_before_it_is_expanded() {
    let error = |study: &StudySpec| plan(study, &facts(), "0").unwrap_err().to_string();
    let mut large = seeds(1000);
    large.model.d_model = Axis((1..=1000).collect());
    large.training.learning_rate = Axis((1..=1000).map(f64::from).collect());
    assert_eq!(
        error(&large),
        "plan the study: the grid has 1,000,000,000 runs (grid.seed 1,000 × model.d_model 1,000 × training.learning_rate \
         1,000); a study may have 20,000: list fewer values, or make several studies of it"
    );
    // Twenty-five choices of a stage or none.
    let mut chains = seeds(1);
    chains.stages = (0..25).map(|stage| (format!("s{stage}"), StageSettings::default())).collect();
    chains.grid.then = chains.stages.keys().map(|stage| vec!["-".to_owned(), stage.clone()]).collect();
    assert!(
        error(&chains).starts_with("plan the study: the grid has 33,554,432 runs (grid.then 33,554,432); a study"),
        "{}",
        error(&chains)
    );
    assert_eq!(count(&seeds(20_000)).unwrap(), 20_000);
    assert_eq!(count(&seeds(20_001)).unwrap_err().runs, 20_001);
    // A chain of stages is as many runs more, and what chains have in common is one run.
    let mut long = seeds(2_000);
    long.stages = (0..9).map(|stage| (format!("s{stage}"), StageSettings::default())).collect();
    long.grid.then = long.stages.keys().map(|stage| vec![stage.clone()]).collect();
    assert_eq!(count(&long).unwrap(), 20_000);
    long.grid.seed = Axis((0..2_001).collect());
    assert_eq!(count(&long).unwrap_err().runs, 20_010);
    let mut endless = seeds(1);
    endless.grid.then = vec![vec!["s".to_owned()]; 1_000_000];
    endless.stages = BTreeMap::from([("s".to_owned(), StageSettings::default())]);
    assert!(error(&endless).contains("`grid.then` is a list of 1000000 stages"), "{}", error(&endless));
    // Where every cell can be trained, the count is the plan.
    let stages: fn(&mut StudySpec) = |study| staged(|_| {})(study);
    for change in [stages, |study| *study = seeds(3)] {
        let mut study = study();
        change(&mut study);
        assert_eq!(count(&study).unwrap(), plan(&study, &facts(), "0").unwrap().runs.len() as u128);
    }
}

#[test]
fn many_refusals_are_told_in_part_and_counted() {
    let mut study = seeds(1);
    study.model.num_heads = Axis((0..300).map(|number| 101 + 2 * number).collect());
    let plan = plan(&study, &facts(), "0").unwrap();
    assert_eq!((plan.runs.len(), plan.refusals.len()), (0, 300));
    let page = report(&study, &plan, &facts(), &Workload::default(), &|_| None);
    assert_eq!(page.refusals, plan.refusals[..100]);
    assert_eq!(page.notices, ["100 refused cells are listed, and 200 more are refused"]);
}

#[test]
fn what_does_not_fit_the_machine_is_refused_with_the_numbers() {
    let mut study = seeds(4);
    study.model.d_model = Axis(vec![64, 65_536]);
    study.probes.keep_checkpoints = 1;
    let plan = plan(&study, &facts(), "0").unwrap();
    let page = |existing: &dyn Fn(&RunId) -> Option<RunStatus>| {
        report(&study, &plan, &facts(), &Workload::default(), existing)
    };
    let machine = Machine { memory: Some(64 << 30), cores: Some(2), disk: Some(1 << 40) };
    let said = admission::refusal(&plan.runs, &page(&|_| None), &machine).unwrap();
    assert!(
        said.starts_with("this machine has 64.0 GiB of memory, too little for 4 of 8 runs: CD:FLM d65536"),
        "{said}"
    );
    assert!(said.contains(" GiB, and 1 more; lower model.d_model") && said.contains("--force"), "{said}");
    assert_eq!(
        admission::refusal(&plan.runs, &page(&|_| Some(RunStatus::Queued)), &machine),
        None,
        "they were taken before"
    );
    assert_eq!(admission::refusal(&plan.runs, &page(&|_| None), &Machine::default()), None, "nothing is known");
    let remarks = |machine: &Machine, slots| admission::remarks(&plan.runs, &page(&|_| None), machine, slots);
    let disk = remarks(&machine, 1);
    assert!(disk[0].starts_with("the checkpoints of these runs come to about ") && disk.len() == 1, "{disk:?}");
    let roomy = Machine { memory: None, disk: None, ..machine };
    assert_eq!(remarks(&roomy, 2), [] as [&str; 0]);
    let busy = remarks(&roomy, 3);
    assert!(busy[0].starts_with("3 runs at once with execution.threads = 1 share 2 cores"), "{busy:?}");
}

#[test]
fn validation_examples_that_fill_the_memory_are_named() {
    let mut study = seeds(1);
    study.training.seq_len = 128.into();
    study.probes.validation_examples = 1 << 20;
    let plan = plan(&study, &facts(), "0").unwrap();
    let page = report(&study, &plan, &facts(), &Workload::default(), &|_| None);
    let said = admission::refusal(&plan.runs, &page, &Machine { memory: Some(1 << 30), ..Machine::default() }).unwrap();
    assert!(said.contains("lower probes.validation_examples"), "{said}");
    assert_eq!(admission::refusal(&plan.runs, &page, &Machine { memory: Some(1 << 34), ..Machine::default() }), None);
}

fn order(queue: &Queue) -> Vec<RunId> {
    queue.order().map(|entry| entry.run.clone()).collect()
}

#[test]
fn the_queue_keeps_its_order_under_every_verb() {
    let mut queue = Queue::default();
    for number in 1..=4 {
        assert!(queue.enqueue(id(number), 0, u64::from(number)));
    }
    assert!(!queue.enqueue(id(1), 5, 9), "once only");
    assert!(queue.move_by(&id(4), -2));
    assert_eq!(order(&queue), [1, 4, 2, 3].map(id));
    assert!(queue.move_by(&id(1), 100), "to the end");
    assert_eq!(order(&queue), [4, 2, 3, 1].map(id));
    assert!(!queue.move_by(&id(1), 1), "it is there already");
    assert!(!queue.move_by(&id(9), 1), "not there");
    assert!(queue.change_priority(&id(3), 2));
    assert_eq!(order(&queue), [3, 4, 2, 1].map(id));
    assert!(!queue.move_by(&id(4), -5), "not past a higher priority");
    assert!(queue.change_priority(&id(3), -2));
    assert_eq!(order(&queue), [3, 4, 2, 1].map(id));
    assert!(queue.enqueue_first(id(5), 0, 5));
    assert_eq!((queue.position(&id(5)), queue.position(&id(9))), (Some(0), None));
    assert_eq!(queue.remove(&id(5)).unwrap().queued_ms, 5);
    assert!(queue.hold(&id(4)) && !queue.hold(&id(4)));
    assert!(queue.get(&id(4)).unwrap().held);
    assert!(queue.pause() && !queue.pause());
    let text = queue.to_json().unwrap();
    assert_eq!(Queue::from_json(&text).unwrap(), queue);
    let text = String::from_utf8(text).unwrap();
    let error = Queue::from_json(text.replace("\"format\": 1", "\"format\": 3").as_bytes()).unwrap_err().to_string();
    assert!(error.contains("format 3"), "{error}");
    assert!(Queue::from_json(b"{").unwrap_err().to_string().contains("queue.json"));
    assert!(queue.release(&id(4)) && queue.resume() && !queue.resume());
}

#[test]
fn launches_fill_the_free_slots() {
    let mut queue = Queue::default();
    for number in 1..=5 {
        queue.enqueue(id(number), 0, 0);
    }
    queue.change_priority(&id(5), 1);
    queue.hold(&id(1));
    let all = |_: &RunId| true;
    assert_eq!(launches(&queue, &all, 0, 2), [5, 2].map(id));
    assert_eq!(launches(&queue, &all, 1, 2), [5].map(id));
    assert!(launches(&queue, &all, 2, 2).is_empty());
    assert!(launches(&queue, &all, 3, 2).is_empty(), "more than slots after they were lowered");
    let ready = |run: &RunId| *run != id(5) && *run != id(2);
    assert_eq!(launches(&queue, &ready, 0, 9), [3, 4].map(id), "what is ready passes what is not");
    queue.pause();
    assert!(launches(&queue, &all, 0, 2).is_empty());
}

fn attempt(step: u64, checkpoint_step: Option<u64>, ending: Option<Ending>) -> AttemptFacts {
    AttemptFacts { attempt: 1, started_ms: 77, step, checkpoint_step, ending, ..AttemptFacts::default() }
}

#[test]
fn every_standing() {
    let dead = |step, checkpoint| attempt(step, checkpoint, None);
    let ended = |ending| vec![attempt(9, None, Some(ending))];
    let found = Found { corpus_ready: true, ..Found::default() };
    let queued = Found { in_queue: true, ..found.clone() };
    let failed = || Ending::Failed { message: "no memory".to_owned() };
    let with = |found: &Found, attempts: Vec<AttemptFacts>| Found { attempts, ..found.clone() };
    let table: Vec<(&str, Found, &str, bool)> = vec![
        ("never started, lost", found.clone(), "queued", true),
        ("never started, lost, corpus missing", Found { corpus_ready: false, ..found.clone() }, "preparing", true),
        ("never started, stopped", Found { control: Control::Stop, ..found.clone() }, "stopped", false),
        ("never started, paused", Found { control: Control::Pause, ..found.clone() }, "paused", false),
        ("waits", queued.clone(), "queued", false),
        ("waits for its corpus", Found { corpus_ready: false, ..queued.clone() }, "preparing", false),
        (
            "waits for its parent",
            Found { parent: Parent::Behind("0123456789ab".parse().unwrap()), ..queued.clone() },
            "waiting",
            false,
        ),
        (
            "its parent is lost",
            Found { parent: Parent::Lost("it failed".to_owned()), ..queued.clone() },
            "blocked",
            false,
        ),
        ("held", Found { held: true, ..queued.clone() }, "paused", false),
        ("about to log", Found { locked: true, ..found.clone() }, "running", false),
        ("runs", Found { locked: true, ..with(&found, vec![dead(3, None)]) }, "running", false),
        ("runs again", Found { locked: true, ..with(&found, vec![dead(3, None), dead(0, None)]) }, "running", false),
        ("finished", with(&found, ended(Ending::Finished { step: 9 })), "finished", false),
        (
            "finished, still leaving",
            Found { locked: true, ..with(&found, ended(Ending::Finished { step: 9 })) },
            "finished",
            false,
        ),
        ("finished, though queued", with(&queued, ended(Ending::Finished { step: 9 })), "finished", false),
        (
            "finished, to make a lost checkpoint again",
            Found { lacks_checkpoint: true, ..with(&queued, ended(Ending::Finished { step: 9 })) },
            "queued",
            false,
        ),
        (
            "finished, though a checkpoint is lost",
            Found { lacks_checkpoint: true, ..with(&found, ended(Ending::Finished { step: 9 })) },
            "finished",
            false,
        ),
        ("paused", with(&found, ended(Ending::Paused { step: 9 })), "paused", false),
        ("paused, resumed", with(&queued, ended(Ending::Paused { step: 9 })), "queued", false),
        ("stopped", with(&found, ended(Ending::Stopped { step: 9 })), "stopped", false),
        ("diverged", with(&found, ended(Ending::Diverged { step: 9, reason: String::new() })), "diverged", false),
        ("failed", with(&found, ended(failed())), "failed", false),
        ("failed, retried", with(&queued, ended(failed())), "queued", false),
        ("died", with(&found, vec![dead(5, None)]), "queued", true),
        ("died, queued already", with(&queued, vec![dead(5, None)]), "queued", false),
        (
            "died while stopping",
            Found { control: Control::Stop, ..with(&found, vec![dead(5, None)]) },
            "stopped",
            false,
        ),
        ("died while pausing", Found { control: Control::Pause, ..with(&found, vec![dead(5, None)]) }, "paused", false),
        ("died twice at once", with(&found, vec![dead(0, None), dead(0, None)]), "queued", true),
        ("progress, then two deaths", with(&found, vec![dead(5, None), dead(5, None), dead(4, None)]), "queued", true),
        ("a storm that hits a worker with steps", with(&found, vec![dead(5, None); 10]), "queued", true),
        (
            "a step between silent deaths",
            with(&found, [0, 0, 5, 0, 0, 3, 0, 0].map(|step| dead(step, None)).to_vec()),
            "queued",
            true,
        ),
        (
            "a checkpoint is progress",
            with(&found, vec![dead(5, None), dead(4, None), dead(4, Some(4)), dead(4, None)]),
            "queued",
            true,
        ),
        (
            "a retry that dies at once",
            with(&found, vec![dead(0, None), attempt(0, None, Some(failed())), dead(0, None)]),
            "queued",
            true,
        ),
    ];
    for (name, found, word, requeue) in table {
        let standing = standing(&found);
        assert_eq!(standing.status.word(), word, "{name}");
        assert_eq!(standing.action, if requeue { Action::Requeue } else { Action::None }, "{name}");
    }
    let running = standing(&Found { locked: true, ..with(&found, vec![dead(3, None)]) });
    assert_eq!(running.status, RunStatus::Running { since_ms: 77 });
}

#[test]
fn a_run_that_only_dies_is_given_up_with_its_last_words() {
    let dead = |step| attempt(step, None, None);
    let found = |attempts: Vec<AttemptFacts>, tail: &str| Found {
        attempts,
        corpus_ready: true,
        output_tail: tail.to_owned(),
        ..Found::default()
    };
    let table = [
        (vec![dead(0); 3], "3 times in a row before its first step"),
        (vec![dead(7), dead(7), dead(0), dead(0), dead(0)], "3 times in a row before its first step"),
        (vec![dead(7); 11], "10 times in a row without getting any further"),
        ([7, 7, 0, 7, 0, 6, 0, 7, 7, 3, 7].map(dead).to_vec(), "10 times in a row without getting any further"),
    ];
    for (attempts, why) in table {
        let standing = standing(&found(attempts, "thread 'main' panicked\nKilled\n"));
        let Action::GiveUp { reason } = standing.action else { unreachable!("not given up") };
        assert!(reason.contains(why) && reason.ends_with("Killed"), "{reason}");
        assert_eq!(standing.status, RunStatus::Failed { reason });
    }
    let silent = standing(&found(vec![dead(0), dead(0), dead(0)], " \n"));
    assert!(matches!(silent.action, Action::GiveUp { reason } if reason.contains("printed nothing")));
    let again = standing(&Found { in_queue: true, ..found(vec![dead(0), dead(0), dead(0)], "") });
    assert_eq!(again.status, RunStatus::Queued, "a person may still retry it");
}

#[test]
fn a_worker_gets_its_own_session_and_output() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    let script = "#!/bin/sh\necho \"args $*\"\necho \"cwd $(pwd)\"\necho \"threads $RAYON_NUM_THREADS\"\n\
                  echo \"nice $(nice)\"\necho \"session $(cut -d' ' -f6 /proc/$$/stat) $$\"\nread line || echo eof\n\
                  echo oops >&2\nexit 3\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let plan = planned(|_| {});
    let home = Home::new(folder.path().canonicalize().unwrap());
    let run = home.run(&plan.runs[0].id);
    run.create(&plan.runs[0]).unwrap();
    let mut launcher = LocalLauncher::new(program, 5);
    // Niceness adds up: whoever runs the tests may be nice already.
    let nice = (rustix::process::nice(0).unwrap() + 5).min(19);
    for number in 1..=2 {
        let launched = launcher.launch(&run).unwrap();
        assert_eq!(launched.attempt, number);
        let mut process = launched.process.unwrap();
        let pid = process.id();
        assert_eq!(process.wait().unwrap().code(), Some(3));
        let output = fs::read_to_string(run.output_log(number)).unwrap();
        let dir = run.path().display();
        let expected =
            format!("args worker {dir}\ncwd {dir}\nthreads 1\nnice {nice}\nsession {pid} {pid}\neof\noops\n");
        assert_eq!(output, expected);
    }
    let mut missing = LocalLauncher::new(folder.path().join("gone"), 0);
    let error = missing.launch(&run).unwrap_err().to_string();
    assert!(error.contains("gone as a worker") && error.contains("still installed"), "{error}");
}
