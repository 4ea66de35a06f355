//! What a stack knows of places: rotations of queries and keys, or biases by distance.
//! Must not know: what is done with them.

use std::f64::consts::LN_2;

use candle_core::{Device, Result, Tensor};

use super::initial::Deviations;
use super::parameters::Parameters;
use crate::core::cost::T5_BUCKETS;
use crate::core::{ModelSpec, Position};
use crate::kernel::Weight;
use crate::kernel::position_bias::PositionBias;
use crate::kernel::rope::{RotaryTables, Rotation};

/// Distances from here on share a bucket (T5, arXiv 1910.10683, §2.1).
const T5_MAX_DISTANCE: u32 = 128;

/// The places of one stack.
#[derive(Clone, Debug)]
pub enum Places {
    /// Queries and keys turn.
    Rotary(RotaryTables),
    /// A learnt bias per head and bucket, `[H, 32]`, of both directions or of the past alone.
    Buckets {
        /// The biases.
        table: Weight,
        /// Whether what follows has buckets of its own.
        both: bool,
    },
    /// −slope · distance, per head.
    Slopes {
        /// One per head.
        slopes: Vec<f32>,
        /// Where the biases go.
        device: Device,
    },
    /// None: learned ones are part of the embedding.
    Nowhere,
}

/// The places of one batch.
#[derive(Clone, Debug, Default)]
pub struct Here {
    /// Of queries and keys of self-attention.
    pub rotation: Option<Rotation>,
    /// Added to the logits of self-attention.
    pub bias: Option<PositionBias>,
}

impl Places {
    /// What the stack `name` of `spec`, which sees both ways or not, knows of positions `0..length`.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(
        spec: &ModelSpec,
        parameters: &mut Parameters,
        name: &str,
        both: bool,
        tables: Option<&RotaryTables>,
    ) -> Result<Self> {
        Ok(match (spec.position, tables) {
            (Position::Rope, Some(tables)) => Self::Rotary(tables.clone()),
            (Position::T5Bias, _) => {
                let deviation = Deviations::of_size(1, spec.d_model).weight;
                let shape = [spec.num_heads, T5_BUCKETS];
                let table = parameters.normal(&format!("{name}.position_bias.weight"), &shape, deviation)?;
                Self::Buckets { table, both }
            }
            (Position::Alibi, _) => {
                Self::Slopes { slopes: slopes(spec.num_heads), device: parameters.device().clone() }
            }
            (Position::Rope, None) | (Position::Learned | Position::None, _) => Self::Nowhere,
        })
    }

    /// The places of `positions [B, T]`, which all see each other.
    ///
    /// # Errors
    /// A position is out of range, or the device fails.
    pub fn at(&self, positions: &Tensor) -> Result<Here> {
        let (_, length) = positions.dims2()?;
        self.among(positions, 0, length)
    }

    /// The places of `positions [B, T]` as queries that stand behind the first `before` of `keys` keys.
    ///
    /// # Errors
    /// A position is out of range, or the device fails.
    pub fn among(&self, positions: &Tensor, before: usize, keys: usize) -> Result<Here> {
        let ((_, length), shift) = (positions.dims2()?, before as i64);
        Ok(match self {
            Self::Rotary(tables) => Here { rotation: Some(tables.at(positions)?), bias: None },
            Self::Buckets { table, both } => {
                let bias = PositionBias::learnt(table, length, keys, |distance| bucket(distance - shift, *both))?;
                Here { rotation: None, bias: Some(bias) }
            }
            Self::Slopes { slopes, device } => {
                Here { rotation: None, bias: Some(PositionBias::linear(slopes, (length, before), keys, device)?) }
            }
            Self::Nowhere => Here::default(),
        })
    }
}

/// The bucket of the distance key − query: half of the buckets of a direction are single distances, the others grow with the
/// logarithm up to [`T5_MAX_DISTANCE`]. With `both` directions, what follows has the second half of all buckets; without, it
/// is in the bucket of distance 0, and no mask shows it. (T5, arXiv 1910.10683, §2.1 and its code.)
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bucket is a small positive number")]
fn bucket(distance: i64, both: bool) -> u32 {
    let all = T5_BUCKETS as u32;
    let (count, first) = match (both, distance > 0) {
        (true, true) => (all / 2, all / 2),
        (true, false) => (all / 2, 0),
        (false, _) => (all, 0),
    };
    let far = if both { distance.unsigned_abs() } else { distance.min(0).unsigned_abs() } as u32;
    let exact = count / 2;
    if far < exact {
        return first + far;
    }
    let ratio = (f64::from(far) / f64::from(exact)).ln() / (f64::from(T5_MAX_DISTANCE) / f64::from(exact)).ln();
    let further = (ratio * f64::from(count - exact)) as u32;
    first + (exact + further).min(count - 1)
}

/// ALiBi's slopes: 2^(−8/H), 2^(−16/H), … for a power of two H of heads; else those of the power of two below, and every other
/// one of the power above (Press et al. 2021, arXiv 2108.12409, §3 and its code).
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "head counts are small; f32 is meant")]
fn slopes(heads: usize) -> Vec<f32> {
    let of = |count: usize, number: usize| (-8.0 * LN_2 * (number + 1) as f64 / count as f64).exp() as f32;
    let below = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let own = (0..below).map(|number| of(below, number));
    let between = (0..heads - below).map(|number| of(2 * below, 2 * number));
    own.chain(between).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_t5() {
        let past = |distance: i64| bucket(-distance, false);
        assert_eq!([0, 1, 15, 16, 17, 19, 20, 127, 128, 5000].map(past), [0, 1, 15, 16, 16, 17, 17, 31, 31, 31]);
        assert_eq!(bucket(5, false), 0, "what follows is never seen");
        let both = |distance: i64| bucket(distance, true);
        assert_eq!([-1, -7, -8, -128, -1000].map(both), [1, 7, 8, 15, 15]);
        assert_eq!([0, 1, 7, 8, 128, 1000].map(both), [0, 17, 23, 24, 31, 31]);
    }

    #[test]
    fn slopes_are_those_of_alibi() {
        assert_eq!(slopes(4), [0.25, 0.0625, 0.015_625, 0.003_906_25]);
        let three = slopes(3); // two heads' slopes, then the first of four heads'
        assert!((three[0] - 0.0625).abs() < 1e-9 && (three[1] - 0.003_906_25).abs() < 1e-9, "{three:?}");
        assert!((three[2] - 0.25).abs() < 1e-9, "{three:?}");
    }
}
