//! Training speed of a preset on random tokens, through the very step that studies train with.
//! The presets and the meaning of the fields are those of the common PyTorch baseline of the field's small models:
//! decoder tokens per second, median over steps.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{TrainError, Trainer};
use crate::core::cost::{forward_flops, parameters};
use crate::core::rows::BatchShape;
use crate::core::seed::{Stream, generator};
use crate::core::spec::{DataSpec, SPEC_FORMAT};
use crate::core::{
    Architecture, Device, ExecutionSpec, Layout, LearningRateSchedule, ModelSpec, Objective, ObjectiveSpec,
    OptimizerSpec, Precision, ProbeSpec, RunSpec, TrainingSpec,
};
use crate::objective::{Batch, Side};

/// A model and batch that others have measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// 4 layers of 128, 256 tokens, 16 × 128 positions.
    Tiny,
    /// 6 layers of 256, 4,096 tokens, 16 × 256 positions.
    Small,
    /// 8 layers of 512, 8,192 tokens, 8 × 256 positions.
    Medium,
}

/// A model and a batch.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Blocks, on each side.
    pub num_layers: usize,
    /// Width of the stream.
    pub d_model: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Size of one.
    pub head_dim: usize,
    /// Hidden width of the MLP.
    pub d_ff: usize,
    /// Tokens.
    pub vocab_size: usize,
    /// Positions of a row.
    pub length: usize,
    /// Rows of a batch.
    pub rows: usize,
}

/// What is measured, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Layout.
    pub architecture: Architecture,
    /// What the sizes began from.
    pub preset: Preset,
    /// Of model and batch.
    pub sizes: Sizes,
    /// Number format of products.
    pub precision: Precision,
    /// Threads that share a batch.
    pub threads: usize,
    /// Of training, after the warm-up; scoring takes a third of it.
    pub seconds: f64,
    /// Of weights and tokens.
    pub seed: u64,
}

impl Preset {
    /// Its model and batch.
    #[must_use]
    pub const fn sizes(self) -> Sizes {
        let (num_layers, d_model, num_heads, d_ff, vocab_size, length, rows) = match self {
            Self::Tiny => (4, 128, 4, 512, 256, 128, 16),
            Self::Small => (6, 256, 8, 1024, 4096, 256, 16),
            Self::Medium => (8, 512, 8, 2048, 8192, 256, 8),
        };
        Sizes { num_layers, d_model, num_heads, head_dim: d_model / num_heads, d_ff, vocab_size, length, rows }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Medium => "medium",
        }
    }
}

/// What the machine says about this process.
pub struct Meter<'a> {
    /// Seconds on a clock that never goes back.
    pub clock: &'a dyn Fn() -> f64,
    /// Processor seconds used so far, if known.
    pub cpu: &'a dyn Fn() -> Option<f64>,
    /// Seconds since the process began, if known.
    pub age: &'a dyn Fn() -> Option<f64>,
    /// Peak resident megabytes, if known.
    pub peak_memory: &'a dyn Fn() -> Option<f64>,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchReport {
    /// `trilab`.
    pub lib: &'static str,
    /// `cd`, `nd`, `ed`.
    pub arch: String,
    /// Preset.
    pub config: &'static str,
    /// `f32`, `bf16`.
    pub precision: &'static str,
    /// Threads.
    pub threads: usize,
    /// Parameters.
    pub params: u64,
    /// Parameters that take part in a matrix product: all but the input embedding.
    pub gemm_params: u64,
    /// Floating-point operations of a step: two per multiply-add of every product, attention scores counted unmasked.
    pub step_flops: f64,
    /// Median milliseconds of a step.
    pub step_ms: f64,
    /// Decoder tokens per second of the median step.
    pub train_tok_s: f64,
    /// Of the fastest step.
    pub best_tok_s: f64,
    /// Decoder tokens per processor second.
    pub tok_per_cpu_s: Option<f64>,
    /// Decoder tokens per second when only scoring.
    pub eval_tok_s: f64,
    /// Peak resident memory of training, MB.
    pub rss_mb: Option<f64>,
    /// Process start to the end of the first step.
    pub first_step_s: Option<f64>,
    /// Loss of the first step.
    pub loss0: f64,
    /// Loss of the last step.
    pub loss: f64,
    /// Timed steps.
    pub steps: usize,
}

fn spec(settings: &Settings) -> Result<RunSpec, TrainError> {
    let Settings { architecture, ref sizes, precision, threads, seed, .. } = *settings;
    let objective = match architecture.layout() {
        Layout::Decoder { prefix: false } => Objective::FullLm,
        Layout::Decoder { prefix: true } | Layout::EncoderDecoder => Objective::PrefixLm,
        Layout::Encoder => Objective::MaskedLm,
    };
    let bad = |error: &dyn std::fmt::Display| TrainError::Spec(error.to_string());
    Ok(RunSpec {
        format: SPEC_FORMAT,
        id: "000000000000".parse().map_err(|e| bad(&e))?,
        study: "bench".parse().map_err(|e| bad(&e))?,
        seed,
        model: ModelSpec::of_size(
            architecture,
            sizes.vocab_size,
            [sizes.d_model, sizes.d_ff, sizes.num_layers, sizes.num_heads, sizes.head_dim],
        ),
        objective: ObjectiveSpec::new(objective, (0.15, 3.0), false, &[]),
        optimizer: OptimizerSpec {
            learning_rate: 3e-4,
            schedule: LearningRateSchedule::Constant,
            warmup_steps: 0,
            final_fraction: 1.0,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            grad_clip_norm: 1.0,
        },
        training: TrainingSpec {
            batch_size: sizes.rows,
            micro_batch_size: sizes.rows,
            seq_len: sizes.length,
            steps: u64::MAX,
            divergence_factor: 0.0,
            z_loss: 0.0,
            precision,
            dropout: 0.0,
        },
        data: DataSpec {
            fingerprint: "random".to_owned(),
            name: "random".to_owned(),
            directory: "random".into(),
            notices: Vec::new(),
        },
        prompts: None,
        parent: None,
        ancestors: Vec::new(),
        stage: None,
        probes: ProbeSpec {
            log_every: 1,
            validation_every: 0,
            validation_examples: 0,
            rank_every: 0,
            zero_shot: Vec::new(),
            zero_shot_every: 0,
            zero_shot_items: 0,
            zero_shot_share: 0.0,
            sample_every: 0,
            sample_tokens: 0,
            checkpoint_every: 0,
            keep_checkpoints: 1,
            keep_steps: Vec::new(),
        },
        tasks_fingerprint: None,
        execution: ExecutionSpec {
            device: Device::Cpu,
            threads,
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
        },
    })
}

/// Random tokens; ND has a prefix in [T/4, 3T/4) and loss on the rest, ED as many source as target tokens.
fn random_batch(architecture: Architecture, sizes: &Sizes, source: &mut ChaCha8Rng) -> Batch {
    let (rows, length) = (sizes.rows, sizes.length);
    let vocab = u32::try_from(sizes.vocab_size).unwrap_or(u32::MAX);
    let mut tokens = || -> Vec<u32> { (0..rows * length).map(|_| source.random_range(0..vocab)).collect() };
    let (own, targets, read) = (tokens(), tokens(), tokens());
    let last = u32::try_from(length).unwrap_or(u32::MAX);
    let side = |tokens| Side {
        length,
        tokens,
        positions: (0..rows).flat_map(|_| 0..last).collect(),
        block_positions: Vec::new(),
        segments: vec![1; rows * length],
    };
    let prefix_lengths: Vec<u32> = match architecture.layout() {
        Layout::Decoder { prefix: true } => (0..rows).map(|_| source.random_range(last / 4..3 * last / 4)).collect(),
        Layout::Decoder { prefix: false } | Layout::EncoderDecoder | Layout::Encoder => vec![0; rows],
    };
    let weight = |prefix: u32| (0..last).map(move |place| if place + 1 >= prefix { 1.0 } else { 0.0 });
    let loss_weights = prefix_lengths.iter().flat_map(|prefix| weight(*prefix)).collect();
    let encoder = architecture.has_encoder().then(|| side(read));
    Batch { rows, decoder: side(own), encoder, targets, loss_weights, prefix_lengths }
}

/// Trains for the seconds asked for after three warm-up steps, then scores for a third of that.
///
/// # Errors
/// The device fails, or a parameter has no gradient.
#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
pub fn bench(settings: &Settings, meter: &Meter<'_>) -> Result<BenchReport, TrainError> {
    let Settings { architecture, preset, sizes, precision, threads, seconds, seed } = *settings;
    let spec = spec(settings)?;
    let mut trainer = Trainer::new(&spec)?;
    let mut source = generator(seed, Stream::Objective, 0);
    let mut step = |trainer: &mut Trainer| {
        let batch = random_batch(architecture, &sizes, &mut source);
        trainer.step(std::slice::from_ref(&batch)).map(|report| report.loss)
    };
    let loss0 = step(&mut trainer)?;
    let first_step_s = (meter.age)();
    for _ in 0..2 {
        step(&mut trainer)?;
    }
    let (cpu, began) = ((meter.cpu)(), (meter.clock)());
    let mut times = Vec::new();
    let mut loss = loss0;
    while (meter.clock)() - began < seconds || times.len() < 3 {
        let start = (meter.clock)();
        loss = step(&mut trainer)?;
        times.push((meter.clock)() - start);
    }
    let used = cpu.zip((meter.cpu)()).map(|(before, after)| (after - before) / times.len() as f64);
    let rss_mb = (meter.peak_memory)();
    let mut scoring = Vec::new();
    let began = (meter.clock)();
    while (meter.clock)() - began < seconds / 3.0 || scoring.len() < 3 {
        let batch = random_batch(architecture, &sizes, &mut source);
        let start = (meter.clock)();
        trainer.score(&batch)?;
        scoring.push((meter.clock)() - start);
    }
    let tokens = (sizes.rows * sizes.length) as f64;
    let params = parameters(&spec.model);
    let encoder_len = if architecture.has_encoder() { sizes.length } else { 0 };
    let (rows, decoder_len, window) = (sizes.rows, sizes.length, sizes.length);
    let shape = BatchShape { rows, encoder_len, decoder_len, window, examples_per_row: 1 };
    Ok(BenchReport {
        lib: "trilab",
        arch: architecture.label().to_lowercase(),
        config: preset.name(),
        precision: precision.label(),
        threads,
        params,
        gemm_params: params - (sizes.vocab_size * sizes.d_model) as u64,
        step_flops: 3.0 * forward_flops(&spec.model, &shape),
        step_ms: median(&mut times) * 1e3,
        train_tok_s: tokens / median(&mut times),
        best_tok_s: tokens / times.first().copied().unwrap_or(f64::NAN),
        tok_per_cpu_s: used.filter(|used| *used > 0.0).map(|used| tokens / used),
        eval_tok_s: tokens / median(&mut scoring),
        rss_mb,
        first_step_s,
        loss0,
        loss,
        steps: times.len(),
    })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
