//! Where weights begin: normal draws from streams addressed by the seed and the parameter's name, and how wide they are.
//! Must not know: the layers.

use rand::Rng;

use crate::core::seed::{Stream, generator, index_of};

/// Standard deviations of initial weights.
#[derive(Clone, Copy, Debug)]
pub struct Deviations {
    /// Of embeddings: 1, the size that the norms give the stream anyway. Wide models get by with 0.02; nano models learned
    /// the shipped world much more slowly with it.
    pub embedding: f64,
    /// Of matrices that read from the stream: 1 / √D keeps their outputs at the size of their inputs.
    pub weight: f64,
    /// Of matrices that write into it: smaller, so that depth does not blow it up (GPT-2, Radford et al. 2019, §2.3).
    pub residual: f64,
}

impl Deviations {
    /// 1, 1 / √D, and 1 / √(2 L D) for a stack of L blocks of width D.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "layer counts and widths are small")]
    pub fn of_size(num_layers: usize, d_model: usize) -> Self {
        let weight = 1.0 / (d_model as f64).sqrt();
        Self { embedding: 1.0, weight, residual: weight / ((2 * num_layers) as f64).sqrt() }
    }
}

/// Normal draws by Box and Muller's method: a fixed recipe, so that a seed means the same weights in every version.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "53 random bits make an f64; weights are f32"
)]
pub(super) fn normal_values(seed: u64, name: &str, count: usize, deviation: f64) -> Vec<f32> {
    let mut source = generator(seed, Stream::Init, index_of(name));
    let mut uniform = || ((source.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64; // in (0, 1)
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let radius = deviation * (-2.0 * uniform().ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * uniform()).sin_cos();
        values.extend([(radius * cos) as f32, (radius * sin) as f32]);
    }
    values.truncate(count);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_normal_and_belong_to_their_name() {
        let values = normal_values(1, "a", 100_001, 0.02);
        assert_eq!(values.len(), 100_001);
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 3e-4, "{mean}");
        assert!((variance.sqrt() - 0.02).abs() < 2e-4, "{variance}");
        assert_eq!(values, normal_values(1, "a", 100_001, 0.02));
        assert_ne!(values, normal_values(1, "b", 100_001, 0.02));
        assert_ne!(values, normal_values(2, "a", 100_001, 0.02));
    }
}
