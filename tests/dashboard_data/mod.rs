//! A made-up lab: fourteen runs over several cells and states, with curves, a table, a detail and a plan. No clock, no
//! chance: the same values every time.

use trilab::config::{ScreenConfig, Theme};
use trilab::core::board::{Estimate, Leaderboard, LeaderboardRow};
use trilab::core::spec::{DataSpec, SPEC_FORMAT};
use trilab::core::study::{
    Axis, Budget, CorpusSettings, ExecutionSettings, GridSettings, ModelSettings, ObjectiveSettings, StudySpec,
    TokenizerSpec, TrainingSettings,
};
use trilab::core::summary::{
    Curve, LabSummary, PlanReport, PlannedRun, Point, Refusal, RunDetail, RunSummary, Sample, SlotSummary, StudySummary,
};
use trilab::core::{
    Architecture, Device, ExecutionSpec, LearningRateSchedule, Metric, ModelSpec, Objective, ObjectiveSpec,
    OptimizerSpec, ProbeSpec, RunEvent, RunId, RunSpec, RunStatus, StampedEvent, TrainingSpec,
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

pub(crate) fn lab() -> LabSummary {
    let all = runs();
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

pub(crate) fn leaderboard() -> Leaderboard {
    let all = runs();
    let cells = [(CD, FLM), (CD, PLM), (CD, MLM), (ND, PLM), (ND, MLM), (ED, PLM), (ED, MLM)];
    let rows = cells.into_iter().enumerate().map(|(at, (architecture, objective))| {
        let own: Vec<&RunSummary> =
            all.iter().filter(|run| run.architecture == architecture && run.objective == objective).collect();
        let metrics = Metric::ALL.into_iter().filter_map(|metric| {
            let values: Vec<f64> = own.iter().filter_map(|run| run.latest.get(&metric).copied()).collect();
            let n = values.len();
            let mean = values.iter().sum::<f64>() / n.max(1) as f64;
            (n > 0).then_some((metric, Estimate { mean, half_width: (n > 1).then_some(mean * 0.09), n }))
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
            size: own[0].size.clone(),
            corpus: own[0].corpus.clone(),
            learning_rate: 1e-3,
            steps: STEPS,
            parameters: own[0].parameters,
            progress: done as f64 / (own.len() as u64 * STEPS) as f64,
            counts,
            metrics: metrics.collect(),
            runs: own.iter().map(|run| run.id.clone()).collect(),
        }
    });
    Leaderboard { study: None, rows: rows.collect() }
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
            head_dim: None,
            d_ff: None,
            rope_theta: 10_000.0,
            norm_epsilon: 1e-6,
        },
        objective: ObjectiveSettings { noise_density: 0.15, mean_noise_span_length: 3.0, loss_on_inputs: false },
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
        },
        budget: Budget::Steps(STEPS),
        probes: probes(),
        execution: ExecutionSettings { device: Device::Cpu, threads: 1 },
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
    }
}

pub(crate) fn detail(number: u64) -> RunDetail {
    let summary = runs().into_iter().find(|run| run.id == id(number)).unwrap();
    let spec = RunSpec {
        format: SPEC_FORMAT,
        id: summary.id.clone(),
        study: summary.studies[0].clone(),
        seed: summary.seed,
        model: ModelSpec {
            architecture: summary.architecture,
            vocab_size: 1_128,
            d_model: 128,
            d_ff: 512,
            num_layers: 4,
            num_heads: 4,
            head_dim: 32,
            rope_theta: 10_000.0,
            norm_epsilon: 1e-6,
        },
        objective: ObjectiveSpec {
            objective: summary.objective,
            noise_density: 0.15,
            mean_noise_span_length: 3.0,
            loss_on_inputs: false,
        },
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
        },
        data: DataSpec {
            fingerprint: "5f0c2a9be1d7".to_owned(),
            name: "shipped:tales".to_owned(),
            directory: "corpora/5f0c2a9be1d7".into(),
        },
        parent: None,
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
    ServerInfo { version: "0.1.0".to_owned(), protocol: 1, pid: 1, home: "~/lab".to_owned(), started_ms: NOW }
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
