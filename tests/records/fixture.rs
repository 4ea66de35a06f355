//! Runs with logs, written as a worker writes them.

use std::path::PathBuf;

use trilab::core::picture::Picture;
use trilab::core::rank::{AttentionKind, HeadRank, RankMeasures, RankReport, ResidualRank, StackKind};
use trilab::core::spec::{DataSpec, SPEC_FORMAT};
use trilab::core::{
    Architecture, Device, EventSink, ExecutionSpec, LearningRateSchedule, Metric, Metrics, ModelSpec, Objective,
    ObjectiveSpec, OptimizerSpec, Precision, ProbeSpec, RunEvent, RunSpec, TrainingSpec,
};
use trilab::runlog::{EventLog, Home, RunFolder};

pub(crate) fn spec(seed: u64) -> RunSpec {
    let mut spec = RunSpec {
        format: SPEC_FORMAT,
        id: "000000000000".parse().unwrap(),
        study: "records".parse().unwrap(),
        seed,
        model: ModelSpec::of_size(Architecture::CausalDecoder, 256, [32, 128, 2, 2, 16]),
        objective: ObjectiveSpec::new(Objective::FullLm, (0.15, 3.0), false, &[]),
        optimizer: OptimizerSpec {
            learning_rate: 1e-3,
            schedule: LearningRateSchedule::Constant,
            warmup_steps: 0,
            final_fraction: 0.1,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            weight_decay: 0.1,
            grad_clip_norm: 1.0,
        },
        training: TrainingSpec {
            batch_size: 4,
            micro_batch_size: 4,
            seq_len: 32,
            steps: 200,
            divergence_factor: 3.0,
            z_loss: 0.0,
            precision: Precision::F32,
            dropout: 0.0,
        },
        data: DataSpec {
            fingerprint: "f00d".to_owned(),
            name: "world".to_owned(),
            directory: PathBuf::from("c"),
            notices: Vec::new(),
        },
        prompts: None,
        parent: None,
        ancestors: Vec::new(),
        stage: None,
        probes: ProbeSpec {
            log_every: 1,
            validation_every: 10,
            validation_examples: 8,
            rank_every: 0,
            zero_shot: Vec::new(),
            zero_shot_every: 0,
            zero_shot_items: 0,
            zero_shot_share: 0.0,
            sample_every: 0,
            sample_tokens: 8,
            checkpoint_every: 50,
            keep_checkpoints: 2,
            keep_steps: Vec::new(),
        },
        tasks_fingerprint: None,
        execution: ExecutionSpec { device: Device::Cpu, threads: 1, program_version: "0.1.0".to_owned() },
    };
    spec.id = spec.content_id().unwrap();
    spec
}

pub(crate) fn new_run(home: &Home, seed: u64) -> RunFolder {
    let spec = spec(seed);
    let run = home.run(&spec.id);
    assert!(run.create(&spec).unwrap());
    run
}

pub(crate) fn step(step: u64, loss: f64) -> RunEvent {
    RunEvent::StepLogged {
        step,
        tokens: step * 128,
        elapsed_s: 0.1 * f64::from(u32::try_from(step).unwrap()),
        metrics: Metrics::from([(Metric::Loss, loss), (Metric::LearningRate, 1e-3)]),
    }
}

/// Write an attempt with a clock that ticks once per event.
pub(crate) fn write_attempt(run: &RunFolder, events: &[RunEvent]) -> PathBuf {
    let attempt = run.new_attempt().unwrap();
    let mut now = u64::from(attempt.number) * 1_000_000;
    let mut log = EventLog::create(&attempt.events_path(), run.id(), attempt.number, move || {
        now += 1;
        now
    })
    .unwrap();
    for event in events {
        log.record(event.clone()).unwrap();
    }
    attempt.events_path()
}

/// A report of one head that uses `share` of its freedom.
pub(crate) fn ranks(share: f64) -> RankReport {
    let of_probabilities = RankMeasures { numerical: 8.0, effective: 8.0 * share, stable: 1.5, k90: 2.0 };
    let of_logits = RankMeasures { numerical: 4.0, ..of_probabilities };
    let (attention, spectrum) = (AttentionKind::DecoderSelf, vec![1.0, 0.1, 1e-7]);
    let picture = Picture::packed(&[share; 64]);
    let head = HeadRank {
        attention,
        layer: 0,
        head: 0,
        queries: 8,
        keys: 8,
        one_way: true,
        of_probabilities,
        of_logits,
        spectrum,
        picture,
    };
    let measures = of_probabilities;
    let residual = ResidualRank { stack: StackKind::Decoder, depth: 0, measures, rank_one_residual: 0.9 };
    RankReport { seq_len: 8, prefix_length: 0, examples: 2, heads: vec![head], residual: vec![residual] }
}

/// Two attempts with everything in them; the second logs steps of the first again.
pub(crate) fn eventful(run: &RunFolder) {
    let started = |attempt| RunEvent::Started {
        attempt,
        program_version: "0.1.0".to_owned(),
        device: "cpu".to_owned(),
        threads: 1,
        host: "here".to_owned(),
        pid: 7,
        parameters: 1234,
        steps: 200,
    };
    let validated = |step, loss| RunEvent::Validated {
        step,
        metrics: Metrics::from([(Metric::ValidationLoss, loss), (Metric::BitsPerByte, loss / 2.0)]),
        targets: 100,
        seconds: 0.5,
    };
    let sample = |step, prompt: &str| RunEvent::SampleGenerated {
        step,
        prompt: prompt.to_owned(),
        text: format!("{prompt} at {step}"),
    };
    let mut events = vec![started(1), validated(0, 6.0)];
    events.extend((1..=15).map(|at| step(at, 6.0 - 0.1 * f64::from(u32::try_from(at).unwrap()))));
    events.insert(12, RunEvent::CheckpointSaved { step: 10, bytes: 10, seconds: 0.1 });
    events.insert(12, validated(10, 5.1));
    events.extend([sample(10, "once"), sample(10, "the"), RunEvent::Heartbeat { step: 15 }]);
    write_attempt(run, &events);
    let mut events = vec![started(2), RunEvent::Resumed { step: 10 }, RunEvent::Warned { message: "slow".to_owned() }];
    events.extend((11..=20).map(|at| step(at, 6.0 - 0.1 * f64::from(u32::try_from(at).unwrap()))));
    events.extend([validated(20, 4.2), sample(20, "once"), RunEvent::Finished { step: 20 }]);
    write_attempt(run, &events);
}
