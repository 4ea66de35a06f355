//! Whether two lineages differ: paired tests over their seeds, and over seeds and items together.
//! Promises: two-sided tests at the 5 % level; `None` where there is too little to test. Must not know: what was
//! measured.

use super::t_quantile;

/// A difference of means and how far it may be off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// First less second.
    pub mean: f64,
    /// Half width of its 95 % interval.
    pub half_width: f64,
}

impl Difference {
    /// Whether the interval leaves zero out.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.mean.abs() > self.half_width
    }
}

/// The paired t-test of differences, one a seed: mean and t-interval. `None` with fewer than two or if one is not finite.
#[must_use]
pub fn paired(differences: &[f64]) -> Option<Difference> {
    let estimate = super::estimate(differences)?;
    Some(Difference { mean: estimate.mean, half_width: estimate.half_width? })
}

/// The same where every seed answered the same items: `differences[seed][item]`. Seeds and items are both samples, so
/// the variance of the mean is that of a crossed design with one observation a cell,
/// V = MS_seeds/(SI) + MS_items/(SI) − MS_rest/(SI) (each estimated by its mean square), never below the larger of the
/// first two; degrees of freedom by Satterthwaite (1946). `None` with fewer than two seeds or items, or ragged rows.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of seeds and items")]
pub fn crossed(differences: &[Vec<f64>]) -> Option<Difference> {
    let seeds = differences.len();
    let items = differences.first()?.len();
    if seeds < 2 || items < 2 || differences.iter().any(|row| row.len() != items) {
        return None;
    }
    let (s, i) = (seeds as f64, items as f64);
    let by_seed: Vec<f64> = differences.iter().map(|row| row.iter().sum::<f64>() / i).collect();
    let mut by_item = vec![0.0; items];
    for row in differences {
        for (sum, value) in by_item.iter_mut().zip(row) {
            *sum += value / s;
        }
    }
    let mean = by_seed.iter().sum::<f64>() / s;
    let squares = |values: &[f64]| values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    let of_seeds = squares(&by_seed) / (s - 1.0) / s;
    let of_items = squares(&by_item) / (i - 1.0) / i;
    let rest: f64 = differences
        .iter()
        .zip(&by_seed)
        .flat_map(|(row, seed)| row.iter().zip(&by_item).map(move |(value, item)| (value - seed - item + mean).powi(2)))
        .sum();
    let of_rest = rest / ((s - 1.0) * (i - 1.0)) / (s * i);
    let variance = (of_seeds + of_items - of_rest).max(of_seeds).max(of_items);
    if !variance.is_finite() {
        return None;
    }
    let spread = of_seeds.powi(2) / (s - 1.0) + of_items.powi(2) / (i - 1.0);
    let freedom = if spread > 0.0 { (variance.powi(2) / spread).clamp(s - 1.0, s * i - 1.0) } else { s - 1.0 };
    Some(Difference { mean, half_width: t_quantile(freedom)? * variance.sqrt() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;
    use rand::SeedableRng;

    #[test]
    fn seeds_are_paired() {
        // Far apart in level, one apart in every pair.
        let difference = paired(&[1.0, 1.1, 0.9]).unwrap();
        assert!(difference.is_clear() && (difference.mean - 1.0).abs() < 1e-12);
        assert!((difference.half_width - 4.302_653 * 0.1 / 3.0_f64.sqrt()).abs() < 1e-5);
        assert!(!paired(&[1.0, -0.9, 0.2]).unwrap().is_clear());
        assert_eq!(paired(&[1.0]), None);
    }

    #[test]
    fn a_crossed_design_by_hand() {
        // Rows 1 2 3 and 3 4 5: seeds differ by 2, items by 1, nothing is left.
        let difference = crossed(&[vec![1.0, 2.0, 3.0], vec![3.0, 4.0, 5.0]]).unwrap();
        let variance = 1.0 + 1.0 / 3.0;
        let freedom = f64::powi(variance, 2) / (1.0 + (1.0_f64 / 3.0).powi(2) / 2.0);
        assert_eq!(difference.mean, 3.0);
        assert!((difference.half_width - t_quantile(freedom).unwrap() * variance.sqrt()).abs() < 1e-9);
        assert_eq!(crossed(&[vec![1.0, 2.0]]), None);
        assert_eq!(crossed(&[vec![1.0, 2.0], vec![1.0]]), None);
        assert!(!crossed(&[vec![0.0; 5], vec![0.0; 5]]).unwrap().is_clear(), "equal answers are a tie");
    }

    #[test]
    fn equals_are_called_different_once_in_twenty_times_at_most() {
        // Two lineages of the same ability: 3 seeds of the same 200 items; items and seeds have effects of their own.
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let mut called = 0;
        for _ in 0..400 {
            let items: Vec<f64> = (0..200).map(|_| rng.random_range(0.2..0.8)).collect();
            let mut answers = || {
                let shift: f64 = rng.random_range(-0.05..0.05);
                items
                    .iter()
                    .map(|p| f64::from(u8::from(rng.random_bool((p + shift).clamp(0.0, 1.0)))))
                    .collect::<Vec<_>>()
            };
            let rows: Vec<Vec<f64>> = (0..3)
                .map(|_| answers().into_iter().zip(answers()).map(|(a, b): (f64, f64)| a - b).collect())
                .collect();
            called += usize::from(crossed(&rows).unwrap().is_clear());
        }
        assert!(called <= 28, "{called} of 400 false alarms");
    }
}
