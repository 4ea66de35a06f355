//! AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101, algorithm 2). Its moments are ordinary tensors with names, so
//! that a checkpoint holds them and a resumed run continues bit for bit.

use std::collections::HashMap;

use candle_core::{Result, Tensor};

use crate::core::OptimizerSpec;
use crate::kernel::threads::{each, map};
use crate::kernel::update::AdamWStep;
use crate::kernel::{Reading, Weight};

/// The optimizer and its state.
#[derive(Debug)]
pub struct AdamW {
    spec: OptimizerSpec,
    step: u64,
    moments: Vec<Moments>,
}

#[derive(Debug)]
struct Moments {
    name: String,
    first: Tensor,
    second: Tensor,
}

/// The saved moments do not fit the parameters.
#[derive(Debug, thiserror::Error)]
#[error("optimizer state `{0}` is missing or has another shape")]
pub struct StateError(String);

impl AdamW {
    /// Zero moments for `parameters`, made on as many threads as asked for.
    ///
    /// # Errors
    /// The device fails.
    pub fn new<'a>(
        spec: OptimizerSpec,
        parameters: impl Iterator<Item = (&'a str, &'a Weight)>,
        threads: usize,
    ) -> Result<Self> {
        let all: Vec<_> = parameters.collect();
        let zero = |(name, weight): &(&str, &Weight)| {
            Ok(Moments { name: (*name).to_owned(), first: weight.no_moment()?, second: weight.no_moment()? })
        };
        let shares = all.chunks(all.len().div_ceil(threads.max(1)).max(1)).collect();
        let made = map(shares, |share: &[_]| share.iter().map(zero).collect::<Result<Vec<_>>>())?;
        Ok(Self { spec, step: 0, moments: made.into_iter().flatten().collect() })
    }

    /// Steps made.
    #[must_use]
    pub const fn step(&self) -> u64 {
        self.step
    }

    /// One update in place, on as many threads as asked for, along the gradients that the parameters have gathered, times
    /// `clip`. Matrices decay, vectors (norm gains) do not.
    ///
    /// # Errors
    /// The device fails.
    pub fn update<'a>(
        &mut self,
        parameters: impl Iterator<Item = (&'a str, &'a Weight)>,
        clip: &Reading,
        learning_rate: f64,
        threads: usize,
    ) -> Result<()> {
        self.step += 1;
        let power = i32::try_from(self.step).unwrap_or(i32::MAX);
        let OptimizerSpec { beta1, beta2, epsilon, weight_decay, .. } = self.spec;
        let rate = learning_rate / (1.0 - beta1.powi(power));
        let second_correction = 1.0 / (1.0 - beta2.powi(power));
        let jobs = self.moments.iter_mut().zip(parameters).collect();
        let size = |(_, (_, weight)): &(_, (_, &Weight))| weight.tensor().elem_count();
        each(jobs, threads, size, |(moments, (_, weight)): (&mut Moments, (&str, &Weight))| {
            let decay = if weight.tensor().rank() >= 2 { learning_rate * weight_decay } else { 0.0 };
            let step = AdamWStep { beta1, beta2, rate, second_correction, epsilon, keep: 1.0 - decay };
            weight.update(&mut moments.first, &mut moments.second, clip, step)
        })
    }

    /// The moments by name (`NAME.first`, `NAME.second`), for a checkpoint.
    #[must_use]
    pub fn tensors(&self) -> HashMap<String, Tensor> {
        let pairs = |m: &Moments| {
            [(format!("{}.first", m.name), m.first.clone()), (format!("{}.second", m.name), m.second.clone())]
        };
        self.moments.iter().flat_map(pairs).collect()
    }

    /// Goes on from saved moments after `step` updates.
    ///
    /// # Errors
    /// A moment is missing or has another shape; nothing is replaced then.
    pub fn load(&mut self, stored: &HashMap<String, Tensor>, step: u64) -> std::result::Result<(), StateError> {
        let find = |name: String, like: &Tensor| match stored.get(&name) {
            Some(value) if value.dims() == like.dims() => Ok(value.clone()),
            _ => Err(StateError(name)),
        };
        let loaded = self.moments.iter().map(|m| {
            let first = find(format!("{}.first", m.name), &m.first)?;
            let second = find(format!("{}.second", m.name), &m.second)?;
            Ok(Moments { name: m.name.clone(), first, second })
        });
        self.moments = loaded.collect::<std::result::Result<_, StateError>>()?;
        self.step = step;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{LearningRateSchedule, Precision};
    use crate::kernel::{Tape, linear::linear};
    use candle_core::{DType, Device, Var};

    /// Three steps along given gradients, clipped to half, followed by hand in f64.
    #[test]
    fn three_steps_equal_the_algorithm() {
        // In place, and by the plain reference.
        three_steps(DType::F32);
        three_steps(DType::F64);
    }

    fn three_steps(format: DType) {
        let spec = OptimizerSpec {
            learning_rate: 0.1,
            schedule: LearningRateSchedule::Constant,
            warmup_steps: 0,
            final_fraction: 1.0,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            grad_clip_norm: 0.0,
        };
        let tensor = |pair: [f64; 2]| Tensor::new(&[pair], &Device::Cpu).unwrap().to_dtype(format).unwrap();
        let weight = Weight::new(Var::from_tensor(&tensor([0.5, -1.5])).unwrap(), Precision::F32).unwrap();
        let parameters = || std::iter::once(("w", &weight));
        let mut optimizer = AdamW::new(spec, parameters(), 1).unwrap();
        let (mut w, mut m, mut v) = ([0.5_f64, -1.5], [0.0_f64; 2], [0.0_f64; 2]);
        for step in 1..=3 {
            let slope = [0.5 * f64::from(step), -1.0];
            let tape = Tape::alone();
            let loss = linear(&tape.value(&tensor(slope)), &weight).unwrap();
            weight.forget_gradient();
            tape.backward(&loss, std::iter::once(&weight)).unwrap();
            optimizer.update(parameters(), &Reading::Known(0.5), 0.1, 1).unwrap();
            for i in 0..2 {
                let g = 0.5 * slope[i];
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.95 * v[i] + 0.05 * g * g;
                let (mh, vh) = (m[i] / (1.0 - 0.9_f64.powi(step)), v[i] / (1.0 - 0.95_f64.powi(step)));
                w[i] -= 0.1 * (mh / (vh.sqrt() + 1e-8) + 0.1 * w[i]);
            }
            let ours = weight.tensor().to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
            for i in 0..2 {
                assert!((f64::from(ours[0][i]) - w[i]).abs() < 1e-6, "step {step}: {ours:?} against {w:?}");
            }
        }
    }
}
