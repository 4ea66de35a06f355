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
pub(super) fn draw_normal(values: &mut [f32], seed: u64, name: &str, deviation: f64) {
    let mut source = generator(seed, Stream::Init, index_of(name));
    let mut uniform = || ((source.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64; // in (0, 1)
    for pair in values.chunks_mut(2) {
        let radius = deviation * (-2.0 * uniform().ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * uniform()).sin_cos();
        pair.iter_mut().zip([radius * cos, radius * sin]).for_each(|(value, drawn)| *value = drawn as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_normal_and_belong_to_their_name() {
        let normal_values = |seed, name, count, deviation| {
            let mut values = vec![0.0; count];
            draw_normal(&mut values, seed, name, deviation);
            values
        };
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
