//! What a spectrum sums up to, and how far a set of vectors is from being all alike.

use super::RankError;
use crate::core::rank::RankMeasures;

/// Share of Σσ² that `k90` must reach.
const MOST: f64 = 0.9;

/// Ranks of a matrix of `rows` × `columns` by its singular values, largest first. A matrix of zeros has rank 0 by every
/// measure.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "ranks are far below 2^52")]
pub fn measures(spectrum: &[f64], rows: usize, columns: usize) -> RankMeasures {
    let largest = spectrum.first().copied().unwrap_or(0.0);
    if largest <= 0.0 {
        return RankMeasures::default();
    }
    let tolerance = rows.max(columns) as f64 * largest * f64::from(f32::EPSILON);
    let numerical = spectrum.iter().filter(|value| **value > tolerance).count();
    let sum: f64 = spectrum.iter().sum();
    let shares = spectrum.iter().map(|value| value / sum).filter(|share| *share > 0.0);
    let entropy: f64 = -shares.map(|share| share * share.ln()).sum::<f64>();
    let energy: f64 = spectrum.iter().map(|value| value * value).sum();
    // Equal values must not miss the mark by the last bit of their sum.
    let mark = MOST * energy * (1.0 - 1e-12);
    let mut reached = 0.0;
    let before = spectrum.iter().take_while(|value| {
        let open = reached < mark;
        reached += *value * *value;
        open
    });
    let k90 = before.count();
    RankMeasures {
        numerical: numerical as f64,
        effective: entropy.exp(),
        stable: energy / (largest * largest),
        k90: k90 as f64,
    }
}

/// ‖X − 1x̄ᵀ‖ / ‖X‖ in the Frobenius norm, for X of `rows` × `columns` with the mean row x̄: 0 when all rows are alike,
/// about 1 when they have nothing in common (Dong et al. 2021, arXiv 2103.03404, §2). 0 for a matrix of zeros.
///
/// # Errors
/// The values do not fill the shape or are not finite.
#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]
pub fn rank_one_residual(matrix: &[f32], rows: usize, columns: usize) -> Result<f64, RankError> {
    if rows.checked_mul(columns) != Some(matrix.len()) || columns == 0 {
        return Err(RankError::Shape { found: matrix.len(), rows, columns });
    }
    let mut mean = vec![0.0; columns];
    for row in matrix.chunks_exact(columns) {
        for (sum, value) in mean.iter_mut().zip(row) {
            *sum += f64::from(*value) / rows as f64;
        }
    }
    let (mut whole, mut apart) = (0.0, 0.0);
    for row in matrix.chunks_exact(columns) {
        for (mean, value) in mean.iter().zip(row) {
            whole += f64::from(*value).powi(2);
            apart += (f64::from(*value) - mean).powi(2);
        }
    }
    let share = if whole > 0.0 { (apart / whole).sqrt() } else { 0.0 };
    if share.is_finite() { Ok(share) } else { Err(RankError::NotFinite { rows, columns }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::seed::{Stream, generator};
    use crate::rank::spectrum;
    use rand::Rng;

    fn matrix(rows: usize, columns: usize, value: impl Fn(usize, usize) -> f64) -> Vec<f32> {
        (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))).map(|(i, j)| value(i, j) as f32).collect()
    }

    fn of(values: &[f32], rows: usize, columns: usize) -> RankMeasures {
        measures(&spectrum(values, rows, columns).unwrap(), rows, columns)
    }

    fn close(found: RankMeasures, numerical: f64, effective: f64, stable: f64, k90: f64) {
        assert_eq!((found.numerical, found.k90), (numerical, k90), "{found:?}");
        assert!((found.effective - effective).abs() < 1e-6 * effective.max(1.0), "{found:?}");
        assert!((found.stable - stable).abs() < 1e-6 * stable.max(1.0), "{found:?}");
    }

    #[test]
    fn identity_and_rank_one() {
        for n in [1, 7, 10, 20, 128] {
            let n_f = n as f64;
            let identity = matrix(n, n, |i, j| f64::from(u8::from(i == j)));
            close(of(&identity, n, n), n_f, n_f, n_f, (9 * n).div_ceil(10) as f64);
            close(of(&matrix(n, 5, |i, j| (i + 1) as f64 * (j as f64 - 7.5)), n, 5), 1.0, 1.0, 1.0, 1.0);
            close(of(&matrix(n, n, |_, _| 1.0 / n_f), n, n), 1.0, 1.0, 1.0, 1.0);
        }
        assert_eq!(of(&[0.0; 6], 2, 3), RankMeasures::default());
    }

    #[test]
    fn uniform_causal_attention_has_a_quarter_of_the_effective_rank() {
        let n = 128;
        let uniform = matrix(n, n, |i, j| if j <= i { 1.0 / (i + 1) as f64 } else { 0.0 });
        let found = of(&uniform, n, n);
        assert!((found.effective - 32.0).abs() < 0.05, "{found:?}");
        assert!((found.stable - 2.0).abs() < 0.005, "{found:?}");
        assert_eq!((found.numerical, found.k90), (128.0, 5.0), "{found:?}");
        let smallest = spectrum(&uniform, n, n).unwrap()[n - 1];
        assert!((smallest - 4.1e-3).abs() < 0.05e-3, "{smallest}");
    }

    /// Box and Muller's normal numbers.
    fn normal(seed: u64, count: usize) -> Vec<f64> {
        let mut source = generator(seed, Stream::Objective, 0);
        let mut uniform = || (source.next_u32() as f64 + 0.5) / 4_294_967_296.0;
        (0..count).map(|_| (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()).collect()
    }

    /// Attention of random queries and keys of `size` dimensions, with logits of deviation `deviation`.
    fn random_attention(seed: u64, n: usize, size: usize, deviation: f64, causal: bool) -> Vec<f32> {
        let draws = normal(seed, 2 * n * size);
        let (queries, keys) = draws.split_at(n * size);
        let mut values = Vec::with_capacity(n * n);
        for (i, query) in queries.chunks(size).enumerate() {
            let logit = |key: &[f64]| {
                let product: f64 = query.iter().zip(key).map(|(q, k)| q * k).sum();
                deviation * product / (size as f64).sqrt()
            };
            let seen = |j: usize| !causal || j <= i;
            let row: Vec<f64> =
                keys.chunks(size).enumerate().map(|(j, key)| if seen(j) { logit(key).exp() } else { 0.0 }).collect();
            let sum: f64 = row.iter().sum();
            values.extend(row.iter().map(|value| (value / sum) as f32));
        }
        values
    }

    /// The table of means over six draws: head size, deviation of the logits, then effective and numerical rank without
    /// and with the causal mask. Our six draws are others: each mean must lie within the spread from draw to
    /// draw, two standard deviations of one draw, and that spread must be narrow.
    #[test]
    fn random_logits_give_the_known_ranks() {
        let table = [
            (4, 1.0, [21.6, 107.0], [43.7, 124.0]),
            (16, 1.0, [62.5, 128.0], [56.6, 121.0]),
            (64, 1.0, [81.5, 128.0], [61.1, 120.0]),
            (64, 4.0, [86.4, 128.0], [66.8, 110.0]),
        ];
        // The table is rounded to one digit and to whole ranks.
        let tolerances = [(0.05, 1.5), (0.5, 3.0)];
        for (size, deviation, full, causal) in table {
            for (masked, wanted) in [(false, full), (true, causal)] {
                let ranks: Vec<RankMeasures> =
                    (0..6).map(|seed| of(&random_attention(seed, 128, size, deviation, masked), 128, 128)).collect();
                let measured =
                    [ranks.iter().map(|one| one.effective).collect(), ranks.iter().map(|one| one.numerical).collect()];
                for (draws, ((rounding, widest), wanted)) in
                    measured.into_iter().zip(tolerances.into_iter().zip(wanted))
                {
                    let draws: Vec<f64> = draws;
                    let mean = draws.iter().sum::<f64>() / 6.0;
                    let sd = (draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / 5.0).sqrt();
                    let said =
                        format!("size {size}, sd {deviation}, causal {masked}: {wanted} of {mean:.2} {draws:.2?}");
                    println!("{said}");
                    assert!((mean - wanted).abs() <= 2.0 * sd + rounding, "{said}");
                    assert!(sd < widest, "a wide spread would let anything pass: {said}");
                }
            }
        }
        // The row of uniform attention has no draws: it is what algebra says.
        let n = 128;
        close(of(&matrix(n, n, |_, _| 1.0 / 128.0), n, n), 1.0, 1.0, 1.0, 1.0);
        let causal = of(&matrix(n, n, |i, j| if j <= i { 1.0 / (i + 1) as f64 } else { 0.0 }), n, n);
        assert!((causal.effective - 32.0).abs() < 0.05 && causal.numerical == 128.0, "{causal:?}");
    }

    #[test]
    fn rows_that_are_alike_leave_no_residual() {
        assert!(rank_one_residual(&matrix(5, 3, |_, j| j as f64 + 0.1), 5, 3).unwrap() < 1e-7);
        let opposite = rank_one_residual(&[1.0, 2.0, -1.0, -2.0], 2, 2).unwrap();
        assert!((opposite - 1.0).abs() < 1e-12, "{opposite}");
        let half = rank_one_residual(&[1.0, 1.0, 1.0, -1.0], 2, 2).unwrap();
        assert!((half - 0.5_f64.sqrt()).abs() < 1e-12, "{half}");
        assert_eq!(rank_one_residual(&[0.0; 4], 2, 2), Ok(0.0));
        assert!(rank_one_residual(&[0.0; 3], 2, 2).is_err());
        assert!(rank_one_residual(&[f32::INFINITY; 4], 2, 2).is_err());
    }
}
