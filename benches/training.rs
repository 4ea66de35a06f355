//! `cargo bench`: how fast this machine trains. Each operation on one thread, forward and with its gradients, beside the speed
//! of a large matrix product here; then each preset, beside what it would be if only its products took time.
//! `cargo bench -- NAME` does those whose name contains NAME.
#![expect(clippy::indexing_slicing, clippy::print_stdout, reason = "a broken bench stops; the others print")]

use std::hint::black_box;
use std::time::Instant;

use candle_core::{Device, Result, Tensor, Var};
use trilab::core::{Architecture, Precision};
use trilab::kernel::activation::{Activation, add_activated};
use trilab::kernel::attention::{Sight, attend};
use trilab::kernel::cross_entropy::{Target, projected_loss};
use trilab::kernel::linear::{add_linear, linear, project};
use trilab::kernel::mask::{Mask, Seen};
use trilab::kernel::memory::{Recycler, keep_large_blocks};
use trilab::kernel::norm::{Kind, Norm};
use trilab::kernel::rope::RotaryTables;
use trilab::kernel::{Tape, Value, Weight};
use trilab::train::TrainError;
use trilab::train::bench::{Meter, Preset, Settings, bench};

#[global_allocator]
static ALLOCATOR: Recycler = Recycler;

/// Seconds that each measurement takes at least.
const LEAST: f64 = 0.1;

/// Median seconds of `work`.
fn median(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    work()?;
    let (began, mut times) = (Instant::now(), Vec::new());
    while times.len() < 5 || began.elapsed().as_secs_f64() < LEAST {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times.get(times.len() / 2).copied().unwrap_or(f64::NAN))
}

fn tensor(shape: &[usize]) -> Result<Tensor> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i| (i as f32 * 0.7311).sin()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

fn weight(shape: &[usize], precision: Precision) -> Result<Weight> {
    Weight::new(Var::from_tensor(&tensor(shape)?)?, precision)
}

/// Billions of floating-point operations per second of large products on one thread: of the best of three shapes.
fn product_speed(precision: Precision) -> Result<f64> {
    let speeds = [[1024, 1024, 1024], [1024, 512, 512], [1024, 256, 1024]].map(|[rows, input, out]| {
        let (x, w) = (Value::constant(&tensor(&[rows, input])?), weight(&[out, input], precision)?);
        let seconds = median(|| linear(black_box(&x), &w).map(|y| drop(black_box(y))))?;
        Ok(2.0 * (rows * input * out) as f64 / seconds / 1e9)
    });
    speeds.into_iter().try_fold(0.0_f64, |best, speed: Result<f64>| speed.map(|speed| best.max(speed)))
}

/// An operation: what it makes of values that it puts on a tape, and its floating-point operations forward.
struct Case<'a> {
    name: &'a str,
    flops: f64,
    inputs: Vec<Tensor>,
    run: &'a dyn Fn(&[Value]) -> Result<Vec<Value>>,
}

impl Case<'_> {
    /// Prints how fast it is, beside products at `bound` billions per second.
    fn measure(&self, bound: f64) -> Result<()> {
        let constants: Vec<Value> = self.inputs.iter().map(Value::constant).collect();
        let forward = median(|| (self.run)(black_box(&constants)).map(|y| drop(black_box(y))))?;
        let both = median(|| {
            let tape = Tape::alone();
            let values: Vec<Value> = self.inputs.iter().map(|input| tape.value(input)).collect();
            let outputs = (self.run)(&values)?;
            tape.backward_all(&outputs).map(|slopes| drop(black_box(slopes)))
        })?;
        let row = |label: &str, seconds: f64, flops: f64| {
            let speed = flops / seconds / 1e9;
            println!(
                "{:28} {label:9} {:9.3} ms {speed:7.1} GFLOP/s {:4.0} %",
                self.name,
                seconds * 1e3,
                100.0 * speed / bound
            );
        };
        row("forward", forward, self.flops);
        row("with back", both, 3.0 * self.flops);
        Ok(())
    }
}

fn operations(chosen: &dyn Fn(&str) -> bool, precision: Precision) -> Result<()> {
    let bound = product_speed(precision)?;
    println!("\n{}: large products make {bound:.0} GFLOP/s on one thread", precision.label());
    for (size, rows, length, d_model, num_heads, d_ff, vocabulary) in [
        ("tiny", 8, 128, 128, 4, 512, 256),
        ("small", 8, 256, 256, 8, 1024, 4096),
        ("medium", 4, 256, 512, 8, 2048, 8192),
    ] {
        let positions = rows * length;
        let (gain, square) = (weight(&[d_model], precision)?, weight(&[d_model, d_model], precision)?);
        let (wide, narrow) = (weight(&[d_ff, d_model], precision)?, weight(&[d_model, d_ff], precision)?);
        let head = weight(&[vocabulary, d_model], precision)?;
        let norm = Norm { kind: Kind::RootMeanSquare, gain: &gain, epsilon: 1e-6 };
        let mask = Mask::new(
            (0..length as u32).map(|query| Seen::all((0, query + 1))).collect(),
            length,
            length,
            &Device::Cpu,
        )?;
        let places = Tensor::arange(0_u32, length as u32, &Device::Cpu)?.repeat((rows, 1))?;
        let rotation = RotaryTables::new(length, d_model / num_heads, 10_000.0, &Device::Cpu)?.at(&places)?;
        let sight = Sight { num_heads, mask: &mask, rotations: [Some(&rotation); 2], bias: None };
        let targets: Vec<Target> =
            (0..positions as u32).map(|row| Target { row, token: row % vocabulary as u32, weight: 1.0 }).collect();
        let product = |out: usize, input: usize| 2.0 * (positions * out * input) as f64;
        let stream = || tensor(&[rows, length, d_model]);
        let hidden = || tensor(&[rows, length, d_ff]);
        let cases = [
            Case {
                name: "norm + q, k, v",
                flops: 3.0 * product(d_model, d_model),
                inputs: vec![stream()?],
                run: &|x| project(&x[0], Some(norm), [&square, &square, &square]).map(Vec::from),
            },
            // Causal: half of the scores.
            Case {
                name: "attention",
                flops: 2.0 * product(length, d_model) / 2.0,
                inputs: vec![stream()?, stream()?, stream()?],
                run: &|x| attend(&x[0], &x[1], &x[2], sight).map(|y| vec![y]),
            },
            Case {
                name: "projection + stream",
                flops: product(d_model, d_model),
                inputs: vec![stream()?, stream()?],
                run: &|x| add_linear(&x[0], &x[1], &square).map(|y| vec![y]),
            },
            Case {
                name: "norm + gate, up",
                flops: 2.0 * product(d_ff, d_model),
                inputs: vec![stream()?],
                run: &|x| project(&x[0], Some(norm), [&wide, &wide]).map(Vec::from),
            },
            Case {
                name: "SwiGLU + down + stream",
                flops: product(d_model, d_ff),
                inputs: vec![stream()?, hidden()?, hidden()?],
                run: &|x| add_activated(&x[0], Activation::Silu, &x[1], Some(&x[2]), &narrow).map(|y| vec![y]),
            },
            Case {
                name: "head + cross-entropy",
                flops: product(vocabulary, d_model),
                inputs: vec![tensor(&[positions, d_model])?],
                run: &|x| projected_loss(&x[0], &head, &targets, 0.0).map(|y| vec![y.total]),
            },
        ];
        for case in cases {
            let name = format!("{size} {}", case.name);
            if chosen(&name) {
                Case { name: &name, ..case }.measure(bound)?;
            }
        }
    }
    Ok(())
}

fn presets(chosen: &dyn Fn(&str) -> bool, precision: Precision, threads: usize) -> std::result::Result<(), TrainError> {
    let bound = product_speed(precision)? * threads as f64;
    println!("\n{} training on {threads} threads, beside products alone at {bound:.0} GFLOP/s", precision.label());
    for architecture in Architecture::ALL.iter().copied() {
        for preset in [Preset::Tiny, Preset::Small, Preset::Medium] {
            let name = format!("{} {}", preset.name(), architecture.label());
            if !chosen(&name) {
                continue;
            }
            let origin = Instant::now();
            let clock = || origin.elapsed().as_secs_f64();
            let meter = Meter { clock: &clock, cpu: &|| None, age: &|| None, peak_memory: &|| None };
            let sizes = preset.sizes();
            let settings = Settings { architecture, preset, sizes, precision, threads, seconds: 0.5, seed: 0 };
            let report = bench(&settings, &meter)?;
            let speed = report.step_flops / (report.step_ms / 1e3) / 1e9;
            println!(
                "{name:28} {:8.0} tokens/s {speed:7.1} GFLOP/s {:4.0} %",
                report.train_tok_s,
                100.0 * speed / bound
            );
        }
    }
    Ok(())
}

fn main() -> std::result::Result<(), TrainError> {
    keep_large_blocks();
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let chosen = |name: &str| wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str()));
    for precision in [Precision::F32, Precision::Bf16] {
        operations(&chosen, precision)?;
        for threads in [1, std::thread::available_parallelism().map_or(1, usize::from)] {
            presets(&chosen, precision, threads)?;
        }
    }
    Ok(())
}
