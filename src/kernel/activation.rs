//! The second half of an MLP: its activation, gated or not, and the projection back into the residual stream.

use candle_core::{Result, Tensor, bail};

use super::crew::Part;
use super::host::with_values;
use super::linear::projection;
use super::matrix::{Factor, Projection};
use super::shape::Put;
use super::tape::{Numbers, Value, single};
use super::vector::{exp, widest};
use super::weight::Weight;

/// What bends the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x · sigmoid(x) (Ramachandran et al. 2017, arXiv 1710.05941, with β = 1).
    Silu,
    /// GELU by its tanh approximation (Hendrycks & Gimpel 2016, arXiv 1606.08415, §2).
    Gelu,
    /// max(x, 0).
    Relu,
}

/// `stream + (f(gate) ⊙ up) · downᵀ` for `stream [.., D]`, `gate` and `up [.., F]`, `down [D, F]`; without `up`,
/// `stream + f(gate) · downᵀ`. Gated, SiLU makes it SwiGLU and GELU makes it GEGLU (Shazeer 2020, arXiv 2002.05202, eq. 6). On
/// a processor the activated values live for a few rows at a time and are made again for the gradient.
///
/// # Errors
/// Shapes differ, or the device fails.
pub fn add_activated(
    stream: &Value,
    activation: Activation,
    gate: &Value,
    up: Option<&Value>,
    down: &Weight,
) -> Result<Value> {
    if up.is_some_and(|up| up.dims() != gate.dims()) {
        bail!("gates and gated values differ in shape");
    }
    let inputs = [stream, gate, up.unwrap_or(gate)];
    if !gate.is_hosted() {
        let added = plain(gate.tensor(), up.map(Value::tensor), activation, &gate.seen(down), down.precision())?;
        return Ok(single(Value::elsewhere(&inputs, [(stream.tensor() + added)?])));
    }
    let rows = Rows { projection: projection(gate.dims(), down)?, activation, down: down.clone() };
    // Without `up` its slices are empty.
    let nothing = Tensor::zeros(0, candle_core::DType::F32, gate.tensor().device())?;
    let other = up.map_or(&nothing, Value::tensor);
    let sum =
        with_values([stream.tensor(), gate.tensor(), other], |[stream, gate, up]| rows.forward(stream, gate, up))?;
    let sum = Tensor::from_vec(sum, stream.tensor().shape(), stream.tensor().device())?;
    let (kept, kept_up, to_stream, to_gate) = (gate.tensor().clone(), other.clone(), stream.place(), gate.place());
    let to_up = up.map(Value::place);
    let back = move |numbers: &mut Numbers, [slope]: [Vec<f32>; 1], part: &Part| {
        let [dgate, dup] = with_values([&kept, &kept_up], |[gate, up]| rows.backward(gate, up, &slope, part))?;
        numbers.give(to_gate, dgate);
        if let Some(to_up) = to_up {
            numbers.give(to_up, dup);
        }
        numbers.give(to_stream, slope);
        Ok(())
    };
    Ok(single(Value::record(&inputs, [sum], back)))
}

/// The reference, without the stream.
///
/// # Errors
/// As for [`add_activated`].
pub fn plain(
    gate: &Tensor,
    up: Option<&Tensor>,
    activation: Activation,
    down: &Tensor,
    precision: crate::core::Precision,
) -> Result<Tensor> {
    let activated = match activation {
        Activation::Silu => gate.silu()?,
        // Candle's own has a backward pass with rounded constants.
        Activation::Gelu => {
            let twice = 2.0 * std::f64::consts::FRAC_2_PI.sqrt();
            let inner = ((gate + (gate.powf(3.0)? * 0.044_715)?)? * twice)?;
            (gate / (inner.neg()?.exp()? + 1.0)?)?
        }
        Activation::Relu => gate.relu()?,
    };
    let activated = up.map_or(Ok(activated.clone()), |up| activated * up)?;
    super::linear::plain(&activated, down, precision)
}

/// Rows that are activated together.
const ROWS: usize = 256;

struct Rows {
    projection: Projection,
    activation: Activation,
    down: Weight,
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// x · sigmoid(x) and its slope.
#[inline(always)]
fn silu(x: f32) -> (f32, f32) {
    let s = sigmoid(x);
    (x * s, s + x * s * (1.0 - s))
}

/// GELU and its slope: with u = √(2/π)(x + 0.044715 x³), (1 + tanh u)/2 = sigmoid(2u).
#[inline(always)]
fn gelu(x: f32) -> (f32, f32) {
    const TWICE: f32 = 1.595_769; // 2 √(2/π)
    let s = sigmoid(TWICE * (x + 0.044_715 * x * x * x));
    (x * s, s + x * s * (1.0 - s) * TWICE * (1.0 + 0.134_145 * x * x))
}

#[inline(always)]
fn relu(x: f32) -> (f32, f32) {
    if x > 0.0 { (x, 1.0) } else { (0.0, 0.0) }
}

/// The numbers of rows `number · ROWS` and following, at most [`ROWS`] of them.
fn block(all: &[f32], number: usize, width: usize) -> &[f32] {
    let from = number * ROWS * width;
    all.get(from.min(all.len())..all.len().min(from + ROWS * width)).unwrap_or_default()
}

/// What is given on for some rows of gates, and of what they gate.
fn activate(given: &mut [f32], gate: &[f32], up: &[f32], f: impl Fn(f32) -> (f32, f32)) {
    widest!({
        let pairs = given.iter_mut().zip(gate);
        if up.is_empty() {
            pairs.for_each(|(given, gate)| *given = f(*gate).0);
        } else {
            pairs.zip(up).for_each(|((given, gate), up)| *given = f(*gate).0 * up);
        }
    },);
}

/// The slopes of some rows of gates, and of what they gate, from those of what was given on, which then takes their place.
fn lean([dgate, dup]: [&mut [f32]; 2], given: &mut [f32], [gate, up]: [&[f32]; 2], f: impl Fn(f32) -> (f32, f32)) {
    widest!({
        let read = given.iter_mut().zip(gate);
        if up.is_empty() {
            for ((given, gate), dgate) in read.zip(dgate) {
                let (value, slope) = f(*gate);
                *dgate = *given * slope;
                *given = value;
            }
        } else {
            for (((given, gate), up), (dgate, dup)) in read.zip(up).zip(dgate.iter_mut().zip(dup)) {
                let (value, slope) = f(*gate);
                *dgate = *given * up * slope;
                *dup = *given * value;
                *given = value * up;
            }
        }
    },);
}

impl Rows {
    fn block(&self, rows: usize) -> Projection {
        Projection { rows, ..self.projection }
    }

    fn forward(&self, stream: &[f32], gate: &[f32], up: &[f32]) -> Result<Vec<f32>> {
        let Projection { rows, input, out } = self.projection;
        if stream.len() != rows * out || input == 0 {
            bail!("an MLP of {rows} rows to {out} does not fit a stream of {} values", stream.len());
        }
        let mut sum = stream.to_vec();
        let mut given = vec![0.0; ROWS.min(rows) * input];
        self.down.with_factor(|down| {
            for (number, target) in sum.chunks_mut(ROWS * out).enumerate() {
                let (gate, up) = (block(gate, number, input), block(up, number, input));
                let given = given.get_mut(..gate.len()).unwrap_or_default();
                match self.activation {
                    Activation::Silu => activate(given, gate, up, silu),
                    Activation::Gelu => activate(given, gate, up, gelu),
                    Activation::Relu => activate(given, gate, up, relu),
                }
                let factor = Factor::of(given, self.down.precision());
                self.block(target.len() / out).product(target, Put::Add, &factor, down);
            }
            Ok(())
        })?;
        Ok(sum)
    }

    /// With a = f(gate) and h = g · down: dgate = h·up·f'(gate), dup = h·a, ddown = gᵀ · (a·up).
    fn backward(&self, gate: &[f32], up: &[f32], slope: &[f32], part: &Part) -> Result<[Vec<f32>; 2]> {
        let Projection { rows, input, out } = self.projection;
        let precision = self.down.precision();
        let (mut dgate, mut dup) = (vec![0.0; gate.len()], vec![0.0; up.len()]);
        let mut given = vec![0.0; ROWS.min(rows) * input];
        self.down.add(part, |ddown, how| {
            for (number, dgate) in dgate.chunks_mut(ROWS * input).enumerate() {
                let own = self.block(dgate.len() / input);
                let given = given.get_mut(..dgate.len()).unwrap_or_default();
                let slope = Factor::of(block(slope, number, out), precision);
                self.down.with_factor(|down| {
                    own.to_input(given, Put::Replace, &slope, down);
                    Ok(())
                })?;
                let from = (number * ROWS * input).min(up.len());
                let dup = dup.get_mut(from..up.len().min(from + ROWS * input)).unwrap_or_default();
                let (gate, up) = (block(gate, number, input), block(up, number, input));
                match self.activation {
                    Activation::Silu => lean([dgate, dup], given, [gate, up], silu),
                    Activation::Gelu => lean([dgate, dup], given, [gate, up], gelu),
                    Activation::Relu => lean([dgate, dup], given, [gate, up], relu),
                }
                let how = if number == 0 { how } else { Put::Add };
                own.to_weight(ddown, how, &slope, &Factor::of(given, precision));
            }
            Ok(())
        })?;
        Ok([dgate, dup])
    }
}
