//! Dropout whose masks come from a counter: whether a number is dropped depends on a key and its place alone, so that neither
//! threads nor interruptions change a run, and the backward pass makes the mask again instead of keeping it.

use candle_core::{Result, Tensor};

use super::crew::Part;
use super::host::with_values;
use super::tape::{Numbers, Value, single};
use super::vector::made;

/// Which numbers are dropped.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// The share that is dropped, below 1.
    pub rate: f64,
    /// Of the run, its step and the layer, mixed well: see [`Dropout::key`].
    pub key: u64,
    /// Place of the first number among all of the batch.
    pub first: u64,
}

/// SplitMix64's finaliser (Steele et al. 2014, <https://doi.org/10.1145/2660193.2660195>, §4).
const fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// 32 random bits of a place (Widynski 2020, arXiv 2004.06278: squares, four rounds).
#[inline(always)]
fn squares(place: u64, key: u64) -> u32 {
    let y = place.wrapping_mul(key);
    let z = y.wrapping_add(key);
    let x = y.wrapping_mul(y).wrapping_add(y).rotate_right(32);
    let x = x.wrapping_mul(x).wrapping_add(z).rotate_right(32);
    let x = x.wrapping_mul(x).wrapping_add(y).rotate_right(32);
    (x.wrapping_mul(x).wrapping_add(z) >> 32) as u32
}

impl Dropout {
    /// The key of the `site`-th dropout of step `step` of the run with `seed`.
    #[must_use]
    pub const fn key(seed: u64, step: u64, site: u64) -> u64 {
        const STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;
        mixed(mixed(mixed(seed.wrapping_add(STRIDE)) ^ step.wrapping_mul(STRIDE)) ^ site.wrapping_mul(STRIDE)) | 1
    }

    /// 0 where a number is dropped, and 1 / (1 − rate) where it stays, `count` of them.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 2^32; f32 is meant")]
    fn mask(self, count: usize) -> Vec<f32> {
        let (below, kept) = ((self.rate * 4_294_967_296.0) as u32, (1.0 / (1.0 - self.rate)) as f32);
        made(
            count,
            #[inline(always)]
            |mask| {
                let places = (self.first..).zip(mask);
                places.for_each(|(place, mask)| *mask = if squares(place, self.key) < below { 0.0 } else { kept });
            },
        )
    }
}

/// `x` with a share of its numbers dropped and the others enlarged to make up for it (Srivastava et al. 2014, JMLR 15, §10).
///
/// # Errors
/// The device fails.
pub fn dropout(x: &Value, dropout: Dropout) -> Result<Value> {
    if dropout.rate <= 0.0 {
        return Ok(x.clone());
    }
    let count = x.tensor().elem_count();
    if !x.is_hosted() {
        return Ok(single(Value::elsewhere(&[x], [plain(x.tensor(), dropout)?])));
    }
    let times = move |values: &[f32]| {
        let mut mask = dropout.mask(count);
        mask.iter_mut().zip(values).for_each(|(mask, value)| *mask *= value);
        mask
    };
    let kept = with_values([x.tensor()], |[x]| Ok(times(x)))?;
    let kept = Tensor::from_vec(kept, x.tensor().shape(), x.tensor().device())?;
    let place = x.place();
    let back = move |numbers: &mut Numbers, [slope]: [Vec<f32>; 1], _: &Part| {
        numbers.give(place, times(&slope));
        Ok(())
    };
    Ok(single(Value::record(&[x], [kept], back)))
}

/// The reference.
///
/// # Errors
/// The device fails.
pub fn plain(x: &Tensor, dropout: Dropout) -> Result<Tensor> {
    x * Tensor::from_vec(dropout.mask(x.elem_count()), x.shape(), x.device())?.to_dtype(x.dtype())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_have_their_share_and_belong_to_key_and_place() {
        let dropout = |step: u64, first: u64| Dropout { rate: 0.1, key: Dropout::key(7, step, 3), first };
        let mask = dropout(1, 0).mask(100_000);
        let dropped = mask.iter().filter(|kept| **kept == 0.0).count();
        assert!((9_600..10_400).contains(&dropped), "{dropped} of 100,000, give or take 4 standard deviations of 95");
        assert_eq!(mask.get(40..), Some(dropout(1, 40).mask(99_960).as_slice()));
        let both = mask.iter().zip(dropout(2, 0).mask(100_000)).filter(|(a, b)| **a == 0.0 && *b == 0.0).count();
        assert!((870..1_130).contains(&both), "{both} of 100,000 are dropped in two steps");
        let neighbours = mask.windows(2).filter(|pair| pair.iter().all(|kept| *kept == 0.0)).count();
        assert!((870..1_130).contains(&neighbours), "{neighbours} neighbours");
    }
}
