//! Loops over rows of numbers, written so that the compiler makes vector instructions of them: no calls, no branches, sums
//! in independent lanes. `widest` runs them with the widest instructions the processor has.

use half::bf16;
use pulp::Arch;

/// Sums run in this many lanes: two AVX-512 registers.
const LANES: usize = 32;

/// Does something compiled for the widest vector instructions that this processor has. Only what is inlined there is, so the
/// closure is marked: one that is called is compiled for any processor.
macro_rules! widest {
    ($work:expr $(,)?) => {
        $crate::kernel::vector::dispatch(
            #[inline(always)]
            || $work,
        )
    };
}
pub(super) use widest;

/// Runs `work` as `widest!` says. The macro goes through this function because a closure that it gives to `Arch` itself is not
/// inlined there, whatever its mark says: a step of tiny then takes 6 to 10 % longer.
pub(super) fn dispatch<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

/// `count` numbers that `write` writes, compiled for the widest vectors. (Extending a vector is a call, and so is not.)
pub(super) fn made<T: Copy + Default>(count: usize, write: impl FnOnce(&mut [T])) -> Vec<T> {
    let mut numbers = vec![T::default(); count];
    widest!(write(&mut numbers));
    numbers
}

/// Adds `numbers` to `sums`.
pub(super) fn add(sums: &mut [f32], numbers: &[f32]) {
    widest!(sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number));
}

/// `x` to the nearest bf16, ties to even; NaN stays NaN.
#[inline(always)]
pub(super) fn round(x: f32) -> bf16 {
    let bits = x.to_bits();
    let nearest = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
    bf16::from_bits(if x.is_nan() { 0x7fc0 } else { nearest })
}

/// Σ f(aᵢ, bᵢ), in an order that depends on the length alone.
#[inline(always)]
pub(super) fn sum_of(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (whole_a, whole_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = whole_a.remainder().iter().zip(whole_b.remainder()).map(|(a, b)| f(*a, *b)).sum();
    for (a, b) in whole_a.zip(whole_b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += f(*a, *b);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Σ aᵢ·bᵢ.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum_of(a, b, |a, b| a * b)
}

/// Σ aᵢ.
#[inline(always)]
pub(super) fn sum(a: &[f32]) -> f32 {
    sum_of(a, a, |a, _| a)
}

/// The largest number; −∞ of none.
#[inline(always)]
pub(super) fn largest(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let whole = row.chunks_exact(LANES);
    let rest = whole.remainder().iter().fold(f32::NEG_INFINITY, |most, x| if *x > most { *x } else { most });
    for chunk in whole {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    lanes.iter().fold(rest, |most, x| if *x > most { *x } else { most })
}

/// eˣ within 2 units in the last place for −87.3 ≤ x ≤ 88.7; numbers outside count as those ends, NaN stays NaN.
/// Cody and Waite's reduction x = n·ln 2 + r and a polynomial of e^r of degree 6 (its coefficients are those of the series,
/// whose error on |r| ≤ ln 2 / 2 is below one unit).
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "the two parts of ln 2 must be exact")]
pub(super) fn exp(x: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0; // 1.5 · 2²³: adding it rounds to a whole number in the low bits
    const LN2_HIGH: f32 = 0.693_359_375;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x < -87.3 { -87.3 } else { x };
    let x = if x > 88.7 { 88.7 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let tail = 1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0));
    let p = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * tail))));
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// Makes `factor` · softmax of `row`. Gives the logarithm of the denominator.
#[inline(always)]
pub(super) fn softmax(row: &mut [f32], factor: f32) -> f32 {
    let peak = largest(row);
    row.iter_mut().for_each(|x| *x = exp(*x - peak));
    let total = sum(row);
    let share = factor / total;
    row.iter_mut().for_each(|x| *x *= share);
    peak + total.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_everywhere() {
        for i in -87_299..88_700 {
            let x = i as f32 / 1000.0;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours / exact - 1.0).abs() < 2.5e-7, "e^{x} = {exact}, not {ours}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 1.3e-38 && exp(f32::NAN).is_nan());
    }

    #[test]
    fn lanes_leave_nothing_out() {
        for length in [0, 1, 31, 32, 33, 100] {
            let row: Vec<f32> = (0..length).map(|i| i as f32).collect();
            assert_eq!(dot(&row, &row), row.iter().map(|x| x * x).sum::<f32>());
            assert_eq!(largest(&row), row.last().copied().unwrap_or(f32::NEG_INFINITY));
        }
    }
}
