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

/// The same where every seed answered the same items. `values` are the differences of the statistic that is shown, one a seed;
/// `strata[stratum][seed][item]` is what an item adds to it, by its derivative: for a mean over families of medians over
/// wordings, the difference of the items of the wordings in the middle, weighed as the family is. A median depends on no other
/// wording as long as the order stands, so this is the infinitesimal jackknife (Jaeckel 1972; Efron 1982, ch. 6) of just that
/// number; where wordings are about equally good it errs to the safe side, as a median then scatters less than one of them.
///
/// Seeds and items are both samples, so the variance is that of a crossed design with one observation a cell: that between
/// seeds, and in each stratum that between items less that of what is left, V = `MS_seeds`/S + Σ (`MS_items` − `MS_rest`)/(SI),
/// never below that of seeds or of items alone; degrees of freedom by Satterthwaite (1946). Strata are not a sample: which
/// families are asked is fixed. `None` with fewer than two seeds, or fewer than two items in a stratum, or ragged rows.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of seeds and items")]
pub fn crossed(values: &[f64], strata: &[Vec<Vec<f64>>]) -> Option<Difference> {
    let seeds = values.len();
    let ragged = |rows: &Vec<Vec<f64>>| {
        let items = rows.first().map_or(0, Vec::len);
        rows.len() != seeds || items < 2 || rows.iter().any(|row| row.len() != items)
    };
    if seeds < 2 || strata.is_empty() || strata.iter().any(ragged) {
        return None;
    }
    let s = seeds as f64;
    let mean = values.iter().sum::<f64>() / s;
    let of_seeds = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (s - 1.0) / s;
    let (mut of_items, mut of_rest, mut spread, mut all) = (0.0, 0.0, of_seeds.powi(2) / (s - 1.0), 0.0);
    for rows in strata {
        let (items, rest, i) = components(rows);
        of_items += items;
        of_rest += rest;
        spread += items.powi(2) / (i - 1.0);
        all += i;
    }
    let variance = (of_seeds + of_items - of_rest).max(of_seeds).max(of_items);
    if !variance.is_finite() {
        return None;
    }
    let freedom = if spread > 0.0 { (variance.powi(2) / spread).clamp(s - 1.0, s * all - 1.0) } else { s - 1.0 };
    Some(Difference { mean, half_width: t_quantile(freedom)? * variance.sqrt() })
}

/// What items, and what is left beside seeds and items, add to the variance of the mean of `rows`; and how many items there are.
#[expect(clippy::cast_precision_loss, reason = "counts of seeds and items")]
fn components(rows: &[Vec<f64>]) -> (f64, f64, f64) {
    let items = rows.first().map_or(0, Vec::len);
    let (s, i) = (rows.len() as f64, items as f64);
    let mut by_item = vec![0.0; items];
    for row in rows {
        for (sum, value) in by_item.iter_mut().zip(row) {
            *sum += value / s;
        }
    }
    let mean = by_item.iter().sum::<f64>() / i;
    let between: f64 = by_item.iter().map(|value| (value - mean).powi(2)).sum();
    let rest: f64 = rows
        .iter()
        .flat_map(|row| {
            let own = row.iter().sum::<f64>() / i;
            row.iter().zip(&by_item).map(move |(value, item)| (value - own - item + mean).powi(2))
        })
        .sum();
    (between / (i - 1.0) / i, rest / ((s - 1.0) * (i - 1.0)) / (s * i), i)
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
        let rows = vec![vec![1.0, 2.0, 3.0], vec![3.0, 4.0, 5.0]];
        let difference = crossed(&[2.0, 4.0], std::slice::from_ref(&rows)).unwrap();
        let variance = 1.0 + 1.0 / 3.0;
        let freedom = f64::powi(variance, 2) / (1.0 + (1.0_f64 / 3.0).powi(2) / 2.0);
        assert_eq!(difference.mean, 3.0);
        assert!((difference.half_width - t_quantile(freedom).unwrap() * variance.sqrt()).abs() < 1e-9);
        // A second family that all answer alike adds to the mean, but neither seeds nor items of it differ.
        let sure = crossed(&[12.0, 14.0], &[rows, vec![vec![10.0; 4]; 2]]).unwrap();
        assert!((sure.half_width - difference.half_width).abs() < 1e-9 && sure.mean == 13.0);
        assert_eq!(crossed(&[1.5], &[vec![vec![1.0, 2.0]]]), None);
        assert_eq!(crossed(&[1.5, 1.0], &[vec![vec![1.0, 2.0], vec![1.0]]]), None);
        assert_eq!(crossed(&[1.5, 1.0], &[]), None);
        let equal = crossed(&[0.0; 2], &[vec![vec![0.0; 5]; 2]]).unwrap();
        assert!(!equal.is_clear(), "equal answers are a tie");
    }

    #[test]
    fn equal_medians_are_called_different_once_in_twenty_times_at_most() {
        // Two lineages of the same ability under four wordings, of which the two in the middle are as good as one another or not.
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(11);
        for apart in [0.0, 0.1] {
            let mut called = 0;
            for _ in 0..300 {
                let items: Vec<f64> = (0..100).map(|_| rng.random_range(0.3..0.7)).collect();
                let mut median = || {
                    let shift: f64 = rng.random_range(-0.05..0.05);
                    let mut wordings: Vec<(f64, Vec<f64>)> = [-1.5, -0.5, 0.5, 1.5]
                        .map(|wording| {
                            let right = |p: &f64| f64::from(u8::from(rng.random_bool(p + shift + apart * wording)));
                            let answers: Vec<f64> = items.iter().map(right).collect();
                            (answers.iter().sum::<f64>() / 100.0, answers)
                        })
                        .into();
                    wordings.sort_by(|(a, _), (b, _)| a.total_cmp(b));
                    let row =
                        wordings[1].1.iter().zip(&wordings[2].1).map(|(a, b)| (a + b) / 2.0).collect::<Vec<f64>>();
                    (f64::midpoint(wordings[1].0, wordings[2].0), row)
                };
                let (mut values, mut rows) = (Vec::new(), Vec::new());
                for _ in 0..3 {
                    let ((a, own), (b, their)) = (median(), median());
                    values.push(a - b);
                    rows.push(own.iter().zip(&their).map(|(a, b)| a - b).collect::<Vec<f64>>());
                }
                called += usize::from(crossed(&values, &[rows]).unwrap().is_clear());
            }
            assert!(called <= 22, "{apart}: {called} of 300 false alarms");
        }
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
            let values: Vec<f64> = rows.iter().map(|row| row.iter().sum::<f64>() / 200.0).collect();
            called += usize::from(crossed(&values, &[rows]).unwrap().is_clear());
        }
        assert!(called <= 28, "{called} of 400 false alarms");
    }
}
