//! A made-up lab: fourteen runs over several cells and states, with curves, a table, a detail and a plan. No clock, no
//! chance: the same values every time.

pub(crate) mod keys;

use trilab::config::{ScreenConfig, Theme};
use trilab::core::board::{BoardCell, BoardColumn, ColumnKind, Estimate, Footing, Leaderboard, LeaderboardRow};
use trilab::core::metric::Direction::Higher as HIGHER;
use trilab::core::spec::{DataSpec, SPEC_FORMAT};
use trilab::core::stage::Budget;
use trilab::core::study::{
    Axis, ExecutionSettings, GridSettings, HeadDim, ModelSettings, ObjectiveSettings, StudySpec, TrainingSettings,
};
use trilab::core::summary::{
    Answer, Curve, LabSummary, PlanReport, PlannedRun, Point, Refusal, RunDetail, RunSummary, Sample, SlotSummary,
    StudySummary, TaskAnswers,
};
use trilab::core::task::{ItemMarks, ScoringForm, TaskMetric, TaskRecord, TaskScore};
use trilab::core::texts::{CorpusSettings, TokenizerSpec};
use trilab::core::{
    Architecture, AttentionDirection, Device, ExecutionSpec, LearningRateSchedule, Metric, ModelPreset, ModelSpec,
    Objective, ObjectiveSpec, OptimizerSpec, Precision, ProbeSpec, RunEvent, RunId, RunSpec, RunStatus, StampedEvent,
    TrainingSpec,
};
use trilab::tui::theme::Depth;
use trilab::tui::{App, ComposerDefaults, Msg, Remembered, StudyChoice, update};
use trilab::wire::{ServerFrame, ServerInfo, Update};

use Architecture::{CausalDecoder as CD, EncoderDecoder as ED, NonCausalDecoder as ND};
use Objective::{FullLm as FLM, PrefixLm as PLM, SpanCorruption as MLM};

const NOW: u64 = 1_700_000_000_000;
const STEPS: u64 = 2_000;

pub(crate) fn id(number: u64) -> RunId {
    format!("{:012x}", number * 0x0123_4567_89ab + 7).parse().unwrap()
}

fn loss_at(number: u64, step: u64) -> f64 {
    let x = step as f64 / STEPS as f64;
    let wobble = (step as f64 * 0.7 + number as f64).sin() * 0.06;
    2.2 + 0.15 * number as f64 / 5.0 + 3.6 * (-7.0 * x).exp() + wobble
}

fn run(
    number: u64,
    architecture: Architecture,
    objective: Objective,
    seed: u64,
    status: RunStatus,
    step: u64,
) -> RunSummary {
    let latest = if step == 0 {
        [].into()
    } else {
        let loss = loss_at(number, step);
        [
            (Metric::Loss, loss),
            (Metric::ValidationLoss, loss + 0.08),
            (Metric::Perplexity, (loss + 0.08).exp()),
            (Metric::BitsPerByte, (loss + 0.08) / 2.9),
            (Metric::TargetEntropy, 5.1234),
            (Metric::GradNorm, 0.51),
            (Metric::LearningRate, 6e-4),
            (Metric::TokensPerSecond, 18_400.0 + 731.0 * number as f64),
        ]
        .into()
    };
    let running = matches!(status, RunStatus::Running { .. });
    let waits = matches!(status, RunStatus::Queued | RunStatus::Preparing);
    RunSummary {
        id: id(number),
        studies: vec![if number < 9 { "three-by-three" } else { "night-shift" }.parse().unwrap()],
        architecture,
        objective,
        ancestors: Vec::new(),
        task: None,
        seed,
        size: "d128 L4 h4x32 n128".to_owned(),
        corpus: "shipped:tales".to_owned(),
        queue_position: waits.then(|| number as usize - 9),
        priority: if number == 9 { 2 } else { 0 },
        attempt: u32::from(step > 0),
        step,
        steps: STEPS,
        tokens: step * 2_048,
        step_tokens: 2_048,
        step_flops: 1.4e10,
        parameters: 1_183_872 + 262_144 * number,
        latest,
        elapsed_s: step as f64 * 0.11,
        eta_s: running.then(|| (STEPS - step) as f64 * 0.11),
        sparkline: if step == 0 {
            Vec::new()
        } else {
            (0..24).map(|at| loss_at(number, step * (at + 1) / 24)).collect()
        },
        checkpoint_step: (step >= 500).then_some(step / 500 * 500),
        last_event_ms: if step == 0 { 0 } else { NOW - 90_000 * number },
        queued_ms: NOW - 9_000_000 + 1_000 * number,
        lost_lines: 0,
        status,
    }
}

pub(crate) fn runs() -> Vec<RunSummary> {
    let since = RunStatus::Running { since_ms: NOW - 60_000 };
    let failed =
        RunStatus::Failed { reason: "out of memory while allocating the logits; lower micro_batch_size".to_owned() };
    vec![
        run(9, ED, PLM, 2, RunStatus::Queued, 0),
        run(10, ED, MLM, 1, RunStatus::Queued, 500),
        run(11, ED, MLM, 2, RunStatus::Preparing, 0),
        run(12, ND, MLM, 2, RunStatus::Paused, 750),
        run(7, CD, MLM, 1, since.clone(), 1_240),
        run(8, ND, PLM, 2, since, 310),
        run(1, CD, FLM, 1, RunStatus::Finished, STEPS),
        run(2, CD, FLM, 2, RunStatus::Finished, STEPS),
        run(3, CD, PLM, 1, RunStatus::Finished, STEPS),
        run(4, CD, PLM, 2, RunStatus::Finished, STEPS),
        run(5, ND, PLM, 1, RunStatus::Finished, STEPS),
        run(6, ND, MLM, 1, RunStatus::Diverged { step: 412 }, 412),
        run(13, ED, PLM, 1, failed, 120),
        run(14, CD, MLM, 2, RunStatus::Stopped, 900),
    ]
}

/// Cells beyond the classical ones.
pub(crate) const OTHERS: [(Architecture, Objective); 4] = [
    (Architecture::SharedEncoderDecoder, PLM),
    (Architecture::EncoderOnly, Objective::MaskedLm),
    (ND, Objective::BlankInfilling),
    (CD, Objective::Ul2),
];

/// Every cell that can be trained.
pub(crate) fn every_cell() -> Vec<(Architecture, Objective)> {
    let all = Architecture::ALL.into_iter().flat_map(|a| Objective::ALL.map(|o| (a, o)));
    all.filter(|(a, o)| trilab::core::legal::usual(*a, *o).is_ok()).collect()
}

pub(crate) fn lab() -> LabSummary {
    lab_of(runs())
}

/// The same, with three more runs in each of `cells`.
pub(crate) fn lab_with(cells: &[(Architecture, Objective)]) -> LabSummary {
    let mut all = runs();
    let lived = [RunStatus::Finished, RunStatus::Finished, RunStatus::Diverged { step: 412 }];
    for (at, (architecture, objective)) in cells.iter().enumerate() {
        for (seed, status) in lived.iter().enumerate() {
            let number = 20 + 3 * at + seed;
            all.push(run(number as u64, *architecture, *objective, seed as u64 + 3, status.clone(), STEPS / 2));
        }
    }
    lab_of(all)
}

fn lab_of(all: Vec<RunSummary>) -> LabSummary {
    let study = |name: &str, description: &str| StudySummary {
        id: name.parse().unwrap(),
        description: description.to_owned(),
        runs: all.iter().filter(|run| run.studies[0].as_str() == name).map(|run| run.id.clone()).collect(),
        counts: [("finished".to_owned(), if name == "three-by-three" { 5 } else { 0 })].into(),
        submitted_ms: NOW - 9_000_000,
    };
    LabSummary {
        studies: vec![
            study("night-shift", "Do more seeds separate the encoder-decoder from the rest?"),
            study("three-by-three", "Which architecture learns which objective best at one size?"),
        ],
        slots: vec![SlotSummary { run: Some(id(7)) }, SlotSummary { run: Some(id(8)) }],
        queue_paused: false,
        held: None,
        preparing: Vec::new(),
        machine_load: Some(0.97),
        memory_used: Some(0.41),
        queue_eta_s: Some(1_912.0),
        notices: Vec::new(),
        now_ms: NOW,
        runs: all,
    }
}

pub(crate) fn curve(run: &RunSummary, metric: Metric) -> Curve {
    let shift = if metric == Metric::ValidationLoss { 0.08 } else { 0.0 };
    let number = runs().iter().position(|other| other.id == run.id).unwrap() as u64;
    let every = if metric == Metric::ValidationLoss { 100 } else { 10 };
    let points = (1..=run.step / every)
        .map(|at| at * every)
        .map(|step| Point {
            step,
            tokens: step * run.step_tokens,
            elapsed_s: step as f64 * 0.11,
            value: loss_at(number, step) + shift,
        })
        .collect();
    Curve { run: run.id.clone(), metric, points, stored: run.step as usize }
}

const FAMILIES: [(&str, f64); 4] =
    [("world_agreement", 0.5), ("world_copying", 0.25), ("world_reading", 0.25), ("world_two_hop", 0.5)];

/// The columns of a lab that asks the shipped world and trains on `objectives`.
fn columns(objectives: &[Objective]) -> Vec<BoardColumn> {
    let column = |key: &str, heading: &str, unit: &str, direction, decimals, chance, kind| BoardColumn {
        key: key.to_owned(),
        heading: heading.to_owned(),
        unit: unit.to_owned(),
        direction,
        decimals,
        chance,
        kind,
        over: Vec::new(),
    };
    let metric = |metric: Metric, kind| {
        let definition = metric.definition();
        column(
            definition.name,
            definition.heading,
            definition.unit,
            definition.direction,
            definition.decimals,
            None,
            kind,
        )
    };
    let scored = |key: &str, heading: &str, chance, kind| column(key, heading, "acc", HIGHER, 3, Some(chance), kind);
    let mut columns = vec![
        metric(Metric::ContinuationLoss, ColumnKind::Metric),
        metric(Metric::ContinuationBitsPerByte, ColumnKind::Metric),
        metric(Metric::EffectiveRankShare, ColumnKind::Metric),
        scored("zero_shot", "zero-shot", 0.375, ColumnKind::ZeroShot),
        scored("above_chance", "above chance", 0.0, ColumnKind::ZeroShot),
        scored("zero_shot:sentinel", "zero-shot <X0>", 0.375, ColumnKind::ZeroShot),
    ];
    columns.extend(FAMILIES.map(|(name, chance)| scored(name, name, chance, ColumnKind::Family)));
    let sentinel = FAMILIES
        .map(|(name, chance)| scored(&format!("{name}:sentinel"), &format!("{name} <X0>"), chance, ColumnKind::Family));
    columns.extend(sentinel);
    columns.extend(objectives.iter().map(|objective| {
        let own = metric(Metric::ValidationLoss, ColumnKind::OwnLoss);
        BoardColumn { key: format!("validation_loss:{objective}"), heading: format!("val loss {objective}"), ..own }
    }));
    columns.push(metric(Metric::TokensPerSecond, ColumnKind::Metric));
    columns
}

/// What lineage `at` scores in a column over its seeds; `None` where it was never asked.
fn value(column: &BoardColumn, at: usize, row: &LeaderboardRow) -> Option<f64> {
    let skill = 0.9 - 0.1 * at as f64;
    let sentinel = column.key.ends_with(":sentinel");
    match column.kind {
        ColumnKind::OwnLoss if !column.key.ends_with(row.objective.label()) => None,
        ColumnKind::OwnLoss => row.metrics.get(&Metric::ValidationLoss).map(|estimate| estimate.mean),
        ColumnKind::Metric => match column.key.as_str() {
            "continuation_loss" => Some(3.1234 + 0.0321 * at as f64),
            "continuation_bits_per_byte" => Some(1.4567 + 0.0123 * at as f64),
            "effective_rank_share" => Some(0.1875 - 0.0111 * at as f64),
            _ => row.metrics.get(&Metric::TokensPerSecond).map(|estimate| estimate.mean),
        },
        ColumnKind::ZeroShot | ColumnKind::Family if sentinel && row.objective != MLM => None,
        ColumnKind::ZeroShot | ColumnKind::Family | ColumnKind::Later => {
            let chance = column.chance.unwrap_or(0.0);
            Some(chance + (1.0 - chance) * skill * if sentinel { 0.3 } else { 0.4 })
        }
    }
}

/// The first two of every column are tied, the third stands alone, what has one seed was not tested.
fn cell(column: &BoardColumn, mean: f64, order: usize, n: usize) -> BoardCell {
    let scored = matches!(column.kind, ColumnKind::ZeroShot | ColumnKind::Family | ColumnKind::Later);
    let chance = column.chance.unwrap_or(0.0);
    let (place, footing) = match (order, n) {
        (_, 1) => (order + 1, Footing::Untested),
        (0 | 1, _) => (1, Footing::Tied),
        _ => (order + 1, Footing::Clear),
    };
    let many = |value: f64| (n > 1).then_some(value);
    let estimate = if scored {
        // Of two seeds little is known, and no share is below its bounds or above them.
        let low = if column.key.starts_with("above_chance") { -0.5 } else { 0.0 };
        Estimate { mean, half_width: None, low: many(0.4 * mean + 0.6 * low), high: many(0.4 * mean + 0.6), n }
    } else {
        let half = mean * 0.012;
        Estimate { mean, half_width: many(half), low: many(mean - half), high: many(mean + half), n }
    };
    BoardCell {
        estimate,
        stderr: scored.then_some(0.04),
        above_chance: scored.then_some((mean - chance) / (1.0 - chance)),
        place,
        footing,
    }
}

/// Seven lineages of one corpus and one of another, with families asked in both forms.
pub(crate) fn leaderboard() -> Leaderboard {
    let all = runs();
    let cells = [(CD, FLM), (CD, PLM), (CD, MLM), (ND, PLM), (ND, MLM), (ED, PLM), (ED, MLM)];
    let mut rows: Vec<LeaderboardRow> = cells
        .into_iter()
        .enumerate()
        .map(|(at, (architecture, objective))| {
            let own: Vec<&RunSummary> =
                all.iter().filter(|run| run.architecture == architecture && run.objective == objective).collect();
            let metrics = Metric::ALL.into_iter().filter_map(|metric| {
                let values: Vec<f64> = own.iter().filter_map(|run| run.latest.get(&metric).copied()).collect();
                let n = values.len();
                let mean = values.iter().sum::<f64>() / n.max(1) as f64;
                (n > 0).then_some((
                    metric,
                    Estimate { mean, half_width: (n > 1).then_some(mean * 0.09), n, ..Estimate::default() },
                ))
            });
            let mut counts = std::collections::BTreeMap::new();
            for run in &own {
                *counts.entry(run.status.word().to_owned()).or_insert(0) += 1;
            }
            let done: u64 = own.iter().map(|run| run.step).sum();
            LeaderboardRow {
                lineage: id(100 + at as u64),
                architecture,
                objective,
                earlier: Vec::new(),
                task: None,
                stage: None,
                size: own[0].size.clone(),
                corpus: own[0].corpus.clone(),
                contest: "shipped:tales 5f0c2a".to_owned(),
                learning_rate: 1e-3,
                steps: STEPS,
                parameters: own[0].parameters,
                progress: done as f64 / (own.len() as u64 * STEPS) as f64,
                counts,
                metrics: metrics.collect(),
                cells: [].into(),
                studies: std::collections::BTreeSet::new(),
                runs: own.iter().map(|run| run.id.clone()).collect(),
            }
        })
        .collect();
    let columns = columns(&[FLM, PLM, MLM]);
    for column in &columns {
        let values: Vec<(usize, f64)> = (0..5).filter_map(|at| Some((at, value(column, at, &rows[at])?))).collect();
        for (order, (at, mean)) in values.into_iter().enumerate() {
            let n = if at == 4 { 1 } else { 2 };
            rows[at].cells.insert(column.key.clone(), cell(column, mean, order, n));
        }
    }
    Leaderboard { columns, rows, ..Leaderboard::default() }
}

/// The same, with one lineage more in each of `cells`.
pub(crate) fn leaderboard_with(cells: &[(Architecture, Objective)]) -> Leaderboard {
    let mut board = leaderboard();
    for (at, (architecture, objective)) in cells.iter().enumerate() {
        let mut row = board.rows[0].clone();
        row.lineage = id(160 + at as u64);
        row.architecture = *architecture;
        row.objective = *objective;
        row.runs = (0..3).map(|seed| id(20 + 3 * at as u64 + seed)).collect();
        for cell in row.cells.values_mut() {
            cell.estimate.mean *= 1.0 + 0.001 * (at + 1) as f64;
            cell.place = 6 + at;
            cell.footing = Footing::Clear;
        }
        board.rows.push(row);
    }
    board
}

/// The same, with one lineage on another corpus and one of another size.
pub(crate) fn two_contests() -> Leaderboard {
    let mut board = leaderboard();
    board.rows[1].contest = "shipped:world 77aa01".to_owned();
    board.rows[1].corpus = "shipped:world".to_owned();
    let mut larger = board.rows[0].clone();
    larger.lineage = id(120);
    larger.size = "d256 L8 h8x32 n128".to_owned();
    larger.parameters = 9_437_184;
    larger.runs = vec![id(200), id(201)];
    for cell in larger.cells.values_mut() {
        cell.estimate.mean *= 1.01;
        cell.place = 3;
        cell.footing = Footing::Clear;
    }
    board.rows.push(larger);
    board
}

fn task(name: &str, form: ScoringForm, value: f64, chance: f64) -> TaskRecord {
    let family = name.rsplit_once('_').map(|(family, _)| family.to_owned());
    TaskRecord {
        step: 1_000,
        task: name.to_owned(),
        wording_of: family,
        form,
        scores: [(TaskMetric::Acc, TaskScore { value, stderr: Some(0.031), chance: Some(chance) })].into(),
        items: 200,
        right: ItemMarks::default(),
        seconds: 0.4,
        later: false,
    }
}

fn tasks() -> Vec<TaskRecord> {
    let mut all = Vec::new();
    for (at, (family, chance)) in FAMILIES.into_iter().enumerate() {
        for wording in 0..3 {
            let value = chance + 0.05 * at as f64 + 0.02 * f64::from(wording);
            all.push(task(&format!("{family}_{wording}"), ScoringForm::Plain, value, chance));
        }
        all.push(task(&format!("{family}_0"), ScoringForm::Sentinel, chance + 0.01, chance));
    }
    all
}

/// Answers of the run of `detail` to the first task of its list.
pub(crate) fn answers() -> TaskAnswers {
    let contexts = [
        "The keeper of the old boats is in the harbour. The nets",
        "Ada gave Ben the red lamp. Ben put the lamp on the long table in the room behind the kitchen, where the windows \
         are small and the light is always the same, and then he went down to the boats. Later Ada looked for the lamp. \
         She found it in",
        "",
    ];
    let item = |document: usize| {
        let right = document % 3 != 1;
        let gold = document % 2;
        let [low, high] = [-4.25 - 0.5 * document as f64, -2.125];
        let predicted = if right { gold } else { 1 - gold };
        Answer {
            document,
            context: Some(contexts[document % 3].to_owned()),
            choices: vec![" are drying on the wall beside the gate".to_owned(), " is".to_owned()],
            log_likelihoods: if predicted == 0 { vec![high, low] } else { vec![low, high] },
            predicted: Some(predicted),
            gold: vec![gold],
            written: None,
            right: Some(right),
        }
    };
    TaskAnswers {
        run: id(7),
        task: "world_agreement_0".to_owned(),
        form: ScoringForm::Plain,
        step: 1_000,
        answers: (0..40).map(item).collect(),
        notice: None,
    }
}

pub(crate) fn study() -> StudySpec {
    StudySpec {
        name: "base".parse().unwrap(),
        description: "Which architecture learns which objective best at one size?".to_owned(),
        grid: GridSettings {
            architecture: Axis(vec![CD, ND]),
            objective: Axis(vec![PLM]),
            seed: Axis(vec![1, 2]),
            exclude: Vec::new(),
            lineages: Vec::new(),
            then: Vec::new(),
        },
        corpus: CorpusSettings {
            paths: vec!["shipped:tales".to_owned()],
            field: "text".to_owned(),
            validation: Vec::new(),
            validation_fraction: 0.05,
            tokenizer: TokenizerSpec::Bpe(1_024),
        },
        model: ModelSettings {
            d_model: 128.into(),
            num_layers: 4.into(),
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
            warmup_steps: 100,
            final_fraction: 0.1,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            grad_clip_norm: 1.0,
            divergence_factor: 3.0,
            z_loss: 0.0,
            precision: Precision::F32,
            dropout: 0.0,
        },
        budget: Budget::Steps(STEPS),
        probes: probes(),
        execution: ExecutionSettings { device: Device::Cpu, threads: 1 },
        stages: std::collections::BTreeMap::new(),
    }
}

fn probes() -> ProbeSpec {
    ProbeSpec {
        log_every: 10,
        validation_every: 100,
        validation_examples: 64,
        rank_every: 0,
        zero_shot: Vec::new(),
        zero_shot_every: 0,
        zero_shot_items: 0,
        zero_shot_share: 0.0,
        sample_every: 500,
        sample_tokens: 48,
        checkpoint_every: 500,
        keep_checkpoints: 2,
        keep_steps: Vec::new(),
    }
}

pub(crate) fn detail(number: u64) -> RunDetail {
    let summary = runs().into_iter().find(|run| run.id == id(number)).unwrap();
    let spec = RunSpec {
        format: SPEC_FORMAT,
        id: summary.id.clone(),
        study: summary.studies[0].clone(),
        seed: summary.seed,
        model: ModelSpec::of_size(summary.architecture, 1_128, [128, 512, 4, 4, 32]),
        objective: ObjectiveSpec::new(summary.objective, (0.15, 3.0), false, &[]),
        optimizer: OptimizerSpec {
            learning_rate: 1e-3,
            schedule: LearningRateSchedule::Cosine,
            warmup_steps: 100,
            final_fraction: 0.1,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            grad_clip_norm: 1.0,
        },
        training: TrainingSpec {
            batch_size: 16,
            micro_batch_size: 16,
            seq_len: 128,
            steps: STEPS,
            divergence_factor: 3.0,
            z_loss: 0.0,
            precision: Precision::F32,
            dropout: 0.0,
        },
        data: DataSpec {
            fingerprint: "5f0c2a9be1d7".to_owned(),
            name: "shipped:tales".to_owned(),
            directory: "corpora/5f0c2a9be1d7".into(),
            notices: Vec::new(),
        },
        prompts: None,
        parent: None,
        ancestors: Vec::new(),
        stage: None,
        probes: probes(),
        tasks_fingerprint: None,
        execution: ExecutionSpec { device: Device::Cpu, threads: 1, program_version: "0.1.0".to_owned() },
    };
    let at = |seconds: u64, event| StampedEvent { time_ms: 1_699_999_200_000 + seconds * 1_000, event };
    let started = RunEvent::Started {
        attempt: 1,
        program_version: "0.1.0".to_owned(),
        device: "cpu".to_owned(),
        threads: 1,
        host: "node1".to_owned(),
        pid: 4_242,
        parameters: summary.parameters,
        steps: STEPS,
    };
    let validated = |step| RunEvent::Validated {
        step,
        metrics: [(Metric::ValidationLoss, loss_at(7, step) + 0.08)].into(),
        targets: 1_216,
        seconds: 1.2,
    };
    RunDetail {
        spec,
        tasks: tasks(),
        samples: vec![
            Sample {
                step: 1_000,
                prompt: "The fox <extra_id_0> the river because".to_owned(),
                text: "<extra_id_0> crossed quietly <extra_id_1>".to_owned(),
            },
            Sample { step: 500, prompt: "Once there was".to_owned(), text: "the the a mill the".to_owned() },
        ],
        events: vec![
            at(0, started),
            at(11, validated(100)),
            at(55, RunEvent::CheckpointSaved { step: 500, bytes: 14_206_464, seconds: 0.2 }),
            at(
                66,
                RunEvent::Warned {
                    message: "the machine is busy: 3 other processes take more than half a core".to_owned(),
                },
            ),
            at(110, validated(1_000)),
        ],
        output_tail: "trilab worker 0.1.0\nreading corpus 5f0c2a9be1d7\ntraining on cpu, 1 thread\n".to_owned(),
        directory: format!("/home/ada/lab/runs/{}", summary.id),
        summary,
    }
}

pub(crate) fn plan() -> PlanReport {
    let planned = |number: u64, cell: &str, seed, existing| PlannedRun {
        id: id(200 + number),
        cell: cell.to_owned(),
        size: "d128 L4 h4x32 n128".to_owned(),
        seed,
        steps: STEPS,
        parameters: 1_337_472,
        flops: 2.8e13,
        tokens: STEPS * 2_048,
        memory_bytes: 412_000_000,
        existing,
    };
    PlanReport {
        study: "cd-nd_plm-mlm".parse().unwrap(),
        description: String::new(),
        runs: vec![
            planned(1, "CD:PLM", 1, Some(RunStatus::Finished)),
            planned(2, "CD:PLM", 2, Some(RunStatus::Finished)),
            planned(3, "CD:MLM", 1, None),
            planned(4, "CD:MLM", 2, None),
            planned(5, "ND:PLM", 1, None),
            planned(6, "ND:PLM", 2, None),
            planned(7, "ND:MLM", 1, None),
            planned(8, "ND:MLM", 2, None),
        ],
        refusals: vec![Refusal {
            cell: "ND:FLM".to_owned(),
            reason:
                "a bidirectional prefix needs a split, and full language modelling has none; nearest legal cell: ND:PLM"
                    .to_owned(),
        }],
        corpus: "shipped:tales".to_owned(),
        fingerprint: "5f0c2a9be1d7".to_owned(),
        corpus_ready: true,
        corpus_bytes: 2_400_000,
        flops: 1.7e14,
        memory_bytes: 824_000_000,
        seconds: Some(1_320.0),
        queue_done_s: Some(3_232.0),
        notices: Vec::new(),
    }
}

pub(crate) fn defaults() -> ComposerDefaults {
    let choice = |name: &str, description: &str| StudyChoice {
        name: name.to_owned(),
        description: description.to_owned(),
        spec: StudySpec { name: name.parse().unwrap(), ..study() },
    };
    ComposerDefaults {
        base: study(),
        studies: vec![
            choice("first-steps", "One causal decoder on the shipped tales: a first curve within a minute."),
            choice("three-by-three", "All seven legal cells of architecture × objective at one size, two seeds each."),
        ],
        corpora: vec!["shipped:tales".to_owned(), "shipped:world".to_owned()],
    }
}

pub(crate) fn info() -> ServerInfo {
    ServerInfo {
        version: "0.1.0".to_owned(),
        protocol: 1,
        pid: 1,
        home: "~/lab".to_owned(),
        lab: None,
        started_ms: NOW,
        held: None,
    }
}

/// A dashboard that has heard nothing yet.
pub(crate) fn fresh(columns: u16, rows: u16) -> App {
    let config = ScreenConfig { theme: Theme::Dark, mouse: true, braille: true, frames_per_second: 30 };
    let mut app = App::new(&config, Remembered::default(), defaults(), Depth::True);
    app.host = "node1".to_owned();
    app.size = (columns, rows);
    app
}

pub(crate) fn tell(app: &mut App, told: Update) {
    update(app, Msg::Frame(Box::new(ServerFrame::Update(told))));
}

/// A dashboard that has been told everything.
pub(crate) fn app(columns: u16, rows: u16) -> App {
    let mut app = fresh(columns, rows);
    update(&mut app, Msg::Connected(info()));
    tell(&mut app, Update::Lab(Box::new(lab())));
    app
}

/// The curves that the screen has asked for.
pub(crate) fn tell_curves(app: &mut App, metric: Metric) {
    let curves = app.runs().iter().map(|run| curve(run, metric)).collect();
    tell(app, Update::Curves(curves));
}
