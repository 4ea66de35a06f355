//! The leaderboard: seeds fold, losses over different targets stay apart, ties are paired, budgets are equal.

use std::collections::BTreeMap;

use trilab::core::board::{BoardColumn, ColumnKind, EqualBudget, Footing, Leaderboard, LeaderboardRow};
use trilab::core::spec::{Ancestor, ParentSpec};
use trilab::core::summary::{Point, RunSummary};
use trilab::core::task::{ItemMarks, ScoringForm, TaskMetric, TaskRecord, TaskScore, TaskScores};
use trilab::core::{Architecture, Metric, Metrics, Objective, RunSpec, RunStatus};
use trilab::store::{RunEvidence, leaderboard};

use crate::fixture::spec;

fn cell(architecture: Architecture, objective: Objective, rate: f64, seed: u64) -> RunSpec {
    let mut spec = spec(seed);
    spec.model.architecture = architecture;
    spec.objective.objective = objective;
    spec.optimizer.learning_rate = rate;
    spec.id = spec.content_id().unwrap();
    spec
}

fn summary(spec: &RunSpec, status: RunStatus, step: u64, latest: Metrics) -> RunSummary {
    RunSummary {
        id: spec.id.clone(),
        studies: Vec::new(),
        architecture: spec.model.architecture,
        objective: spec.objective.objective,
        ancestors: Vec::new(),
        task: None,
        seed: spec.seed,
        size: spec.size_label(),
        corpus: spec.data.name.clone(),
        status,
        queue_position: None,
        priority: 0,
        attempt: 1,
        step,
        steps: spec.training.steps,
        tokens: 10 * step,
        step_tokens: 10,
        step_flops: 100.0,
        parameters: 99,
        latest,
        elapsed_s: 0.5 * f64::from(u32::try_from(step).unwrap()),
        eta_s: None,
        sparkline: Vec::new(),
        checkpoint_step: None,
        last_event_ms: 0,
        queued_ms: 0,
        lost_lines: 0,
    }
}

fn losses(validation: f64, continuation: f64) -> Metrics {
    Metrics::from([(Metric::ValidationLoss, validation), (Metric::ContinuationLoss, continuation)])
}

fn finished(spec: RunSpec, latest: Metrics, records: Vec<TaskRecord>) -> RunEvidence {
    let summary = summary(&spec, RunStatus::Finished, 200, latest);
    RunEvidence::new(spec, summary, records, Vec::new())
}

fn board(runs: Vec<RunEvidence>) -> Leaderboard {
    leaderboard(None, EqualBudget::AsTrained, runs).unwrap()
}

fn value(row: &LeaderboardRow, key: &str) -> Option<f64> {
    row.cells.get(key).map(|cell| cell.estimate.mean)
}

#[test]
fn seeds_fold_into_lineages() {
    let full = |rate, seed| cell(Architecture::CausalDecoder, Objective::FullLm, rate, seed);
    let prefix = |rate| cell(Architecture::CausalDecoder, Objective::PrefixLm, rate, 1);
    let other = |spec: RunSpec, status, step, loss: Option<f64>| {
        let latest = loss.map(|loss| losses(loss, loss + 1.0)).unwrap_or_default();
        let summary = summary(&spec, status, step, latest);
        RunEvidence::new(spec, summary, Vec::new(), Vec::new())
    };
    let mut runs = vec![
        other(prefix(0.1), RunStatus::Queued, 0, None),
        other(prefix(0.2), RunStatus::Running { since_ms: 1 }, 50, Some(3.0)),
    ];
    for (seed, loss) in [(3, 2.0), (1, 1.0), (2, 3.0)] {
        runs.push(other(full(0.1, seed), RunStatus::Finished, 200, Some(loss)));
    }
    runs.push(other(full(0.1, 4), RunStatus::Running { since_ms: 1 }, 100, Some(9.0)));
    runs.push(other(full(0.2, 1), RunStatus::Finished, 200, Some(1.5)));
    let board = board(runs);
    let told: Vec<(String, f64, Option<f64>)> =
        board.rows.iter().map(|row| (row.cell(), row.learning_rate, value(row, "continuation_loss"))).collect();
    assert_eq!(
        told,
        [
            ("CD:FLM".to_owned(), 0.2, Some(2.5)),
            ("CD:FLM".to_owned(), 0.1, Some(3.0)),
            ("CD:PLM".to_owned(), 0.2, Some(4.0)),
            ("CD:PLM".to_owned(), 0.1, None),
        ]
    );
    let seeds = &board.rows[1];
    assert_eq!(seeds.metrics[&Metric::ValidationLoss].n, 3, "the young run does not count");
    assert_eq!(seeds.runs, [1, 2, 3, 4].map(|seed| full(0.1, seed).id));
    assert_eq!((seeds.counts["finished"], seeds.counts["running"]), (3, 1));
    assert!((seeds.progress - 0.875).abs() < 1e-12);
    let single = &board.rows[0].cells["continuation_loss"];
    assert_eq!((single.estimate.half_width, single.footing), (None, Footing::Untested));
}

#[test]
fn losses_over_different_targets_share_no_column() {
    let of =
        |objective, loss| finished(cell(Architecture::CausalDecoder, objective, 0.1, 1), losses(loss, loss), vec![]);
    let board = board(Objective::ALL.map(|objective| of(objective, 2.0)).into());
    let own: Vec<&str> = board
        .columns
        .iter()
        .filter(|column| column.kind == ColumnKind::OwnLoss)
        .map(|column| column.key.as_str())
        .collect();
    assert_eq!(own.len(), Objective::ALL.len());
    assert_eq!(own[..3], ["validation_loss:FLM", "validation_loss:PLM", "validation_loss:MLM"]);
    for key in own {
        let filled = board.rows.iter().filter(|row| row.cells.contains_key(key));
        assert!(filled.clone().all(|row| key.ends_with(row.objective.label())));
        assert_eq!(filled.count(), 1);
    }
    assert!(board.column("loss").is_err() && board.column("validation_loss").is_err());
    // Nor do other targets of one objective: what is read, how much is removed, which tasks are mixed.
    let mut variants = vec![cell(Architecture::CausalDecoder, Objective::SpanCorruption, 0.1, 1); 4];
    variants[1].objective.loss_on_inputs = true;
    variants[2].objective.noise_density = 0.5;
    variants[3].objective.mean_noise_span_length = 8.0;
    for variant in &mut variants {
        variant.id = variant.content_id().unwrap();
    }
    let board = self::board(variants.into_iter().map(|spec| finished(spec, losses(1.0, 1.0), vec![])).collect());
    let headings: Vec<&str> =
        board.columns.iter().filter(|c| c.kind == ColumnKind::OwnLoss).map(|c| c.heading.as_str()).collect();
    let words = ["", " loss_on_inputs", " noise0.5", " span8"];
    assert_eq!(headings, words.map(|word| format!("val loss MLM{word}")));
    assert!(
        board.rows.iter().all(|row| row.cells.keys().filter(|key| key.starts_with("validation_loss")).count() == 1)
    );
    let sizes: std::collections::BTreeSet<&str> = board.rows.iter().map(|row| row.size.as_str()).collect();
    assert_eq!(sizes.len(), 4, "{sizes:?}");
}

/// Item i is answered rightly where `right(i)` says so.
fn record(step: u64, task: &str, family: &str, chance: f64, right: impl Fn(usize) -> bool) -> TaskRecord {
    let marks: Vec<bool> = (0..100).map(right).collect();
    let value = f64::from(u32::try_from(marks.iter().filter(|mark| **mark).count()).unwrap()) / 100.0;
    TaskRecord {
        step,
        task: task.to_owned(),
        wording_of: Some(family.to_owned()),
        form: ScoringForm::Plain,
        scores: TaskScores::from([(
            TaskMetric::Acc,
            TaskScore { value, stderr: Some((value * (1.0 - value) / 99.0).sqrt()), chance: Some(chance) },
        )]),
        items: 100,
        right: ItemMarks::new(&marks),
        seconds: 0.1,
        later: false,
    }
}

#[test]
fn families_are_medians_and_means_are_over_what_all_have() {
    let scores = |shift: usize| {
        let at = move |share: usize| move |item: usize| item < share + shift;
        vec![
            record(200, "a0", "a", 0.5, at(60)),
            record(200, "a1", "a", 0.5, at(90)),
            record(200, "a2", "a", 0.5, at(70)),
            record(200, "b0", "b", 0.25, at(40)),
            record(200, "b1", "b", 0.25, at(40)),
        ]
    };
    let with = |architecture, shift: usize, extra: bool| {
        let mut records = scores(shift);
        if extra {
            records.push(record(200, "own", "own", 0.5, |_| true));
        }
        finished(cell(architecture, Objective::PrefixLm, 0.1, 1), losses(2.0, 2.0), records)
    };
    let board = board(vec![with(Architecture::CausalDecoder, 0, true), with(Architecture::NonCausalDecoder, 4, false)]);
    let row = board.rows.iter().find(|row| row.architecture == Architecture::CausalDecoder).unwrap();
    assert_eq!((value(row, "a"), value(row, "b"), value(row, "own")), (Some(0.7), Some(0.4), Some(1.0)));
    assert!((value(row, "zero_shot").unwrap() - 0.55).abs() < 1e-12, "`own` is not in the mean: the other lacks it");
    assert!((value(row, "above_chance").unwrap() - (0.4 + 0.2) / 2.0).abs() < 1e-12);
    let chance = |key: &str| board.column(key).unwrap().chance;
    assert_eq!(
        (chance("a"), chance("b"), chance("zero_shot"), chance("above_chance")),
        (Some(0.5), Some(0.25), Some(0.375), Some(0.0))
    );
    assert_eq!(row.cells["a"].beats(0.5), Some(true));
    assert!((row.cells["a"].stderr.unwrap() - (0.7_f64 * 0.3 / 99.0).sqrt()).abs() < 1e-12, "one seed: items alone");
    let mut sorted = board.clone();
    sorted.sort_by(board.column("a").unwrap());
    assert_eq!(sorted.rows[0].architecture, Architecture::NonCausalDecoder);
}

#[test]
fn what_is_asked_later_moves_no_mean() {
    let at = |share: usize| move |item: usize| item < share;
    let own =
        |shift: usize| vec![record(200, "a0", "a", 0.5, at(60 + shift)), record(200, "b0", "b", 0.25, at(40 + shift))];
    let later = |record: TaskRecord| TaskRecord { later: true, ..record };
    let with = |more: Vec<TaskRecord>| {
        let run = |architecture, seed, shift| {
            let records = own(shift).into_iter().chain(more.clone()).collect();
            finished(cell(architecture, Objective::PrefixLm, 0.1, seed), losses(2.0, 2.0), records)
        };
        let [cd, nd] = [Architecture::CausalDecoder, Architecture::NonCausalDecoder];
        board((1..4).flat_map(|seed| [run(cd, seed, 20), run(nd, seed, 0)]).collect())
    };
    let keys = |board: &Leaderboard| -> Vec<String> {
        let asked = |column: &&BoardColumn| {
            matches!(column.kind, ColumnKind::ZeroShot | ColumnKind::Family | ColumnKind::Later)
        };
        board.columns.iter().filter(asked).map(|column| column.key.clone()).collect()
    };
    let before = with(vec![]);
    assert_eq!(keys(&before), ["zero_shot", "above_chance", "a0", "b0"]);
    assert_eq!(before.column("zero_shot").unwrap().over, ["a0", "b0"]);
    assert_eq!(before.rows[0].cells["zero_shot"].place_text(), "1");
    let same = |after: &Leaderboard| {
        for (was, is) in before.rows.iter().zip(&after.rows) {
            for key in keys(&before) {
                assert_eq!(was.cells[&key], is.cells[&key], "{key}");
                assert_eq!(before.column(&key).unwrap(), after.column(&key).unwrap());
            }
        }
    };
    // Another task, whose chance level is another.
    let after = with(vec![later(record(200, "own", "x", 0.1, at(5)))]);
    same(&after);
    assert_eq!(keys(&after), ["zero_shot", "above_chance", "a0", "b0", "own"]);
    let column = after.column("own").unwrap();
    assert_eq!((column.kind, column.heading.as_str(), column.chance), (ColumnKind::Later, "own later", Some(0.1)));
    assert!((value(&after.rows[0], "own").unwrap() - 0.05).abs() < 1e-12);
    // The same task of another checkpoint, and in a form that the run did not ask.
    let behind = TaskRecord { form: ScoringForm::Sentinel, ..record(200, "a0", "a", 0.5, at(100)) };
    let after = with(vec![later(record(100, "a0", "a", 0.5, at(9))), later(behind)]);
    same(&after);
    assert_eq!(keys(&after), ["zero_shot", "above_chance", "a0", "b0", "a0:later", "a0:sentinel"]);
    assert!((value(&after.rows[0], "a0:later").unwrap() - 0.09).abs() < 1e-12);
    // The same question, or a glance at it, says nothing new to the run that asked it: 60 of 100 are those of ND.
    let mut glance = record(200, "a0", "a", 0.5, at(60));
    glance.items = 8;
    let after = with(vec![later(glance)]);
    same(&after);
    assert_eq!(keys(&after), keys(&before));
    // What no study asks has no mean.
    let only = finished(
        cell(Architecture::CausalDecoder, Objective::PrefixLm, 0.1, 1),
        losses(2.0, 2.0),
        own(0).into_iter().map(later).collect(),
    );
    assert_eq!(keys(&board(vec![only])), ["a0", "b0"]);
}

#[test]
fn means_are_over_what_every_study_asks_and_say_so() {
    let run = |architecture, tasks: &[&str]| {
        let records = tasks.iter().map(|task| record(200, task, task, 0.5, |item| item < 60)).collect();
        finished(cell(architecture, Objective::PrefixLm, 0.1, 1), losses(2.0, 2.0), records)
    };
    let [cd, nd] = [Architecture::CausalDecoder, Architecture::NonCausalDecoder];
    let same = board(vec![run(cd, &["a", "b"]), run(nd, &["a", "b"])]);
    assert_eq!(same.notices, Vec::<String>::new());
    let some = board(vec![run(cd, &["a", "b"]), run(nd, &["a", "c"])]);
    assert_eq!(some.column("zero_shot").unwrap().over, ["a"]);
    assert_eq!(some.notices, ["zero-shot is over the 1 of 3 tasks that every run's study asked"]);
    // Nor have the seeds of one row a mean over different tasks, as where a study shares a run with another that asks others.
    let mut other = run(cd, &["c"]);
    other.spec.seed = 2;
    other.spec.id = other.spec.content_id().unwrap();
    let seeds = board(vec![run(cd, &["b"]), other]);
    assert!(seeds.rows.len() == 1 && seeds.column("zero_shot").is_err());
    let none = board(vec![run(cd, &["b"]), run(nd, &["c"])]);
    assert!(none.column("zero_shot").is_err());
    assert_eq!(none.notices, ["no zero-shot mean: the runs' studies asked different tasks"]);
    // A task may be called as something else is.
    let called = board(vec![run(cd, &["zero_shot", "continuation_loss"])]);
    assert_eq!(value(&called.rows[0], "continuation_loss"), Some(2.0));
    assert_eq!(value(&called.rows[0], "task:zero_shot"), Some(0.6));
}

#[test]
fn a_median_is_shown_and_tested() {
    // By the middle wording the first answers nine items in a hundred more on every seed; the other wordings say the reverse, so
    // that the mean over all items would be against it.
    let runs = |architecture, [low, middle, high]: [usize; 3]| {
        (1..=3).map(move |seed: u64| {
            let seed_of = usize::try_from(seed).unwrap();
            let at = move |share: usize| move |item: usize| (item * 37 + seed_of) % 100 < share;
            let records = vec![
                record(200, "t0", "t", 0.5, at(low)),
                record(200, "t1", "t", 0.5, at(middle)),
                record(200, "t2", "t", 0.5, at(high)),
                record(200, "u", "u", 0.5, at(50)),
            ];
            finished(cell(architecture, Objective::PrefixLm, 0.1, seed), losses(2.0, 2.0), records)
        })
    };
    let [cd, nd] = [Architecture::CausalDecoder, Architecture::NonCausalDecoder];
    let board = board(runs(cd, [20, 69, 70]).chain(runs(nd, [59, 60, 99])).collect());
    let of = |architecture, key: &str| {
        let row = board.rows.iter().find(|row| row.architecture == architecture).unwrap();
        (value(row, key).unwrap(), row.cells[key].place_text())
    };
    assert_eq!((of(cd, "t"), of(nd, "t")), ((0.69, "1".to_owned()), (0.6, "2".to_owned())));
    assert_eq!((of(cd, "zero_shot").1, of(nd, "zero_shot").1), ("1".to_owned(), "2".to_owned()));
    assert_eq!((of(cd, "u").1, of(nd, "u").1), ("1=".to_owned(), "1=".to_owned()));
}

#[test]
fn a_mean_is_tested_over_items_only_where_all_of_them_are_known() {
    let runs = |architecture, shares: [usize; 3]| {
        (1..=3).zip(shares).map(move |(seed, share)| {
            let mut records =
                vec![record(200, "a", "a", 0.5, |_| true), record(200, "b", "b", 0.5, move |item| item < share)];
            records[1].right = ItemMarks::default();
            finished(cell(architecture, Objective::PrefixLm, 0.1, seed), losses(2.0, 2.0), records)
        })
    };
    let [cd, nd] = [Architecture::CausalDecoder, Architecture::NonCausalDecoder];
    // Every seed differs by the same, so over seeds alone it is clear; over the items of `a` alone it would be as well, but for
    // nothing: what `b` adds to the difference is not among them.
    let clear = board(runs(cd, [60, 62, 64]).chain(runs(nd, [50, 52, 54])).collect());
    let apart = board(runs(cd, [60, 90, 64]).chain(runs(nd, [50, 95, 45])).collect());
    let places = |board: &Leaderboard| -> Vec<String> {
        board.rows.iter().map(|row| row.cells["zero_shot"].place_text()).collect()
    };
    assert_eq!(
        (places(&clear), places(&apart)),
        (["1", "2"].map(str::to_owned).into(), ["1=", "1="].map(str::to_owned).into())
    );
}

#[test]
fn shares_stay_between_their_bounds() {
    let run = |seed: u64, right: usize| {
        let records = vec![record(200, "a", "a", 0.5, move |item| item < right), record(200, "b", "b", 0.25, |_| true)];
        finished(cell(Architecture::CausalDecoder, Objective::PrefixLm, 0.1, seed), losses(2.0, 2.0), records)
    };
    let board = board(vec![run(1, 76), run(2, 87)]);
    let ends = |key: &str| {
        let estimate = board.rows[0].cells[key].estimate;
        (estimate.half_width, estimate.low.unwrap(), estimate.mean, estimate.high.unwrap())
    };
    let (half, low, mean, high) = ends("a");
    assert!(half.is_none() && 0.0 < low && low < 0.3 && (mean - 0.815).abs() < 1e-12 && high < 1.0, "{low} {high}");
    let (_, low, mean, high) = ends("b");
    assert!(0.0 < low && low < 0.6 && mean == 1.0 && high == 1.0, "always right on 200 answers: {low}");
    let (_, low, _, high) = ends("above_chance");
    assert!((-2.0 / 3.0..0.0).contains(&low) && high < 1.0, "{low} {high}");
    let (half, low, mean, high) = ends("continuation_loss");
    assert_eq!((half, low, mean, high), (Some(0.0), 2.0, 2.0, 2.0), "losses have Student's");
}

#[test]
fn items_and_seeds_decide_together() {
    let runs = |architecture, right: fn(u64, usize) -> bool| {
        (1..=3).map(move |seed| {
            let records = vec![
                record(200, "t0", "t", 0.5, move |item| right(seed, item)),
                record(200, "t1", "t", 0.5, move |item| right(seed, item + 100)),
            ];
            finished(cell(architecture, Objective::PrefixLm, 0.1, seed), losses(2.0, 2.0), records)
        })
    };
    // Six in ten; the same but for a few items of each seed, some won and some lost; eight in ten on every seed.
    let few = |seed: u64, item: usize| (item % 10 < 6) ^ (item as u64 % 37 == seed);
    let all = runs(Architecture::CausalDecoder, |_, item| item % 10 < 6)
        .chain(runs(Architecture::NonCausalDecoder, few))
        .chain(runs(Architecture::EncoderDecoder, |_, item| item % 10 < 8));
    let board = board(all.collect());
    let places: BTreeMap<String, String> =
        board.rows.iter().map(|row| (row.architecture.to_string(), row.cells["t"].place_text())).collect();
    let expected = [("CD", "2="), ("ED", "1"), ("ND", "2=")];
    assert_eq!(places, expected.map(|(cell, place)| (cell.to_owned(), place.to_owned())).into());
}

#[test]
fn a_common_budget_cuts_every_lineage() {
    let run = |architecture, step: u64, flops: f64| {
        let spec = cell(architecture, Objective::PrefixLm, 0.1, 1);
        let mut summary = summary(&spec, RunStatus::Finished, step, losses(1.0, 1.0));
        (summary.step_flops, summary.steps) = (flops, step);
        let point = |step: u64| Point {
            step,
            tokens: 10 * step,
            elapsed_s: 0.5 * f64::from(u32::try_from(step).unwrap()),
            value: 10.0 - 0.01 * f64::from(u32::try_from(step).unwrap()),
        };
        let points = (1..=step / 50).map(|part| point(50 * part)).collect();
        let scores = |at: u64| record(at, "t", "t", 0.5, move |item| item < usize::try_from(at / 4).unwrap());
        let records = (1..=step / 50).map(|part| scores(50 * part)).collect();
        RunEvidence::new(spec, summary, records, vec![(Metric::ContinuationLoss, points)])
    };
    let runs = || vec![run(Architecture::CausalDecoder, 200, 100.0), run(Architecture::EncoderDecoder, 150, 200.0)];
    let at = |budget| {
        let board = leaderboard(None, budget, runs()).unwrap();
        let of = |architecture, key: &str| {
            let row = board.rows.iter().find(|row| row.architecture == architecture).unwrap();
            (row.cells[key].estimate.mean * 1000.0).round() / 1000.0
        };
        let [cd, ed] = [Architecture::CausalDecoder, Architecture::EncoderDecoder];
        let key = "continuation_loss";
        (board.budget_at, of(cd, key), of(ed, key), of(cd, "t"), of(ed, "t"))
    };
    assert_eq!(at(EqualBudget::AsTrained), (None, 1.0, 1.0, 0.5, 0.37));
    assert_eq!(at(EqualBudget::Tokens), (Some(1500.0), 8.5, 8.5, 0.37, 0.37));
    assert_eq!(at(EqualBudget::WallClock), (Some(75.0), 8.5, 8.5, 0.37, 0.37));
    // 20,000 FLOPs are 200 steps of one and 100 of the other.
    assert_eq!(at(EqualBudget::Flops), (Some(20_000.0), 8.0, 9.0, 0.5, 0.25));
}

#[test]
fn later_stages_are_told_apart_and_count_what_came_before_them() {
    let parent = cell(Architecture::CausalDecoder, Objective::FullLm, 0.1, 1);
    let child = |stage: &str, rate: f64| {
        let mut spec = cell(Architecture::CausalDecoder, Objective::SpanCorruption, rate, 1);
        let (run, cell) = (parent.id.clone(), parent.cell());
        spec.ancestors = vec![Ancestor { run: run.clone(), cell, steps: 100, examples: 0, tokens: 1_000, flops: 1e4 }];
        spec.parent = Some(ParentSpec { run, step: 100, lineage: parent.lineage_id().unwrap() });
        spec.stage = Some(stage.to_owned());
        spec.id = spec.content_id().unwrap();
        let mut summary = summary(&spec, RunStatus::Finished, 200, losses(2.0, 2.0));
        summary.ancestors.clone_from(&spec.ancestors);
        RunEvidence::new(spec, summary, Vec::new(), Vec::new())
    };
    let first = || finished(parent.clone(), losses(1.0, 1.0), Vec::new());
    let names = |runs| -> Vec<String> { board(runs).rows.iter().map(LeaderboardRow::cell).collect() };
    assert_eq!(names(vec![first(), child("slow", 0.1)]), ["CD:FLM", "CD:FLM→MLM"]);
    let mut both = names(vec![child("slow", 0.1), child("fast", 0.2)]);
    both.sort();
    assert_eq!(both, ["CD:FLM→MLM [fast]", "CD:FLM→MLM [slow]"]);
    // Half of the 100 seconds of the stage before, and 100 of its own, against 100 without a stage before.
    let at = |budget, runs| leaderboard(None, budget, runs).unwrap().budget_at;
    assert_eq!(at(EqualBudget::WallClock, vec![first(), child("slow", 0.1)]), Some(100.0));
    let mut short = first();
    short.summary.elapsed_s = 400.0;
    assert_eq!(at(EqualBudget::WallClock, vec![short, child("slow", 0.1)]), Some(300.0));
    assert_eq!(at(EqualBudget::Tokens, vec![child("slow", 0.1)]), Some(3_000.0));
}

#[test]
fn equal_parameters_make_contests() {
    let run = |architecture, parameters, loss| {
        let spec = cell(architecture, Objective::PrefixLm, 0.1, 1);
        let mut run = finished(spec, losses(loss, loss), vec![]);
        run.summary.parameters = parameters;
        run
    };
    let runs = || {
        vec![
            run(Architecture::CausalDecoder, 100, 3.0),
            run(Architecture::NonCausalDecoder, 109, 2.0),
            run(Architecture::EncoderDecoder, 200, 1.0),
        ]
    };
    let places = |budget| {
        let board = leaderboard(None, budget, runs()).unwrap();
        let text =
            |row: &LeaderboardRow| format!("{}{}", row.architecture, row.cells["continuation_loss"].place_text());
        board.rows.iter().map(text).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(places(EqualBudget::AsTrained), "ED1? ND2? CD3?");
    assert_eq!(places(EqualBudget::Parameters), "ND1? CD2? ED1");
}
