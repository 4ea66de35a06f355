//! The interval over seeds of what has bounds, like a share of right answers.
//! Promises: it lies within the bounds, holds the mean, and is never a point where answers were counted. Must not know: what
//! was measured.

use super::{estimate, t_quantile};
use crate::core::board::Estimate;

/// Mean and 95 % interval of values that lie between `low` and `high`. Wilson's (1927) score interval, with as many answers as
/// would scatter like the seeds do (the effective sample size of Korn and Graubard 1998) and Student's quantile: near a bound it
/// is longer on the other side, and at the bound it is not empty. `answers` is how many independent answers all values are
/// worth at most; seeds that agree by chance are worth no more, and a mean at a bound is worth that many, or one a seed where
/// nothing was counted. A value beyond the bounds gives the interval of [`estimate`].
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of seeds are small")]
pub fn bounded(values: &[f64], (low, high): (f64, f64), answers: Option<f64>) -> Option<Estimate> {
    let plain = estimate(values)?;
    let n = values.len() as f64;
    let Some(quantile) = t_quantile(n - 1.0) else { return Some(plain) };
    if values.iter().any(|value| !(low..=high).contains(value)) {
        return Some(plain);
    }
    let range = high - low;
    let share = ((plain.mean - low) / range).clamp(0.0, 1.0);
    let spread = share * (1.0 - share);
    let error = values.iter().map(|value| ((value - plain.mean) / range).powi(2)).sum::<f64>() / (n - 1.0) / n;
    let most = match answers {
        Some(answers) => answers.max(1.0),
        None if spread > 0.0 => f64::INFINITY,
        None => n,
    };
    let worth = if error > 0.0 { (spread / error).min(most) } else { most };
    let ratio = quantile.powi(2) / worth;
    let centre = (share + ratio / 2.0) / (1.0 + ratio);
    let half = (ratio * spread + ratio.powi(2) / 4.0).sqrt() / (1.0 + ratio);
    let of = |share: f64| low + range * share;
    Some(Estimate {
        low: Some(of((centre - half).clamp(0.0, share))),
        high: Some(of((centre + half).clamp(share, 1.0))),
        half_width: None,
        ..plain
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    const SHARE: (f64, f64) = (0.0, 1.0);

    fn ends(values: &[f64], bounds: (f64, f64), answers: Option<f64>) -> (f64, f64) {
        let estimate = bounded(values, bounds, answers).unwrap();
        assert_eq!(estimate.half_width, None);
        let (low, high) = (estimate.low.unwrap(), estimate.high.unwrap());
        assert!(bounds.0 <= low && low <= estimate.mean && estimate.mean <= high && high <= bounds.1, "{estimate:?}");
        (low, high)
    }

    #[test]
    fn an_interval_by_hand() {
        // Mean 0.8, error 0.1, so that it is worth 0.16 / 0.01 = 16 answers; t(1) = 12.706205, t² / 16 = 10.09048.
        let (low, high) = ends(&[0.7, 0.9], SHARE, None);
        let ratio = 12.706_205_f64.powi(2) / 16.0;
        let (centre, half) = ((0.8 + ratio / 2.0), (ratio * 0.16 + ratio * ratio / 4.0).sqrt());
        assert!(
            (low - (centre - half) / (1.0 + ratio)).abs() < 1e-6
                && (high - (centre + half) / (1.0 + ratio)).abs() < 1e-6
        );
        assert!(high - 0.8 < 0.8 - low, "near a bound the other side is longer");
        // Little scatter in the middle: that of Student.
        let (near, plain) = (ends(&[0.500, 0.502, 0.504], SHARE, None), estimate(&[0.500, 0.502, 0.504]).unwrap());
        assert!((near.0 - plain.low.unwrap()).abs() < 1e-4 && (near.1 - plain.high.unwrap()).abs() < 1e-4);
    }

    #[test]
    fn what_is_always_right_is_not_certain() {
        let (all, none) = (ends(&[1.0; 3], SHARE, Some(300.0)), ends(&[0.0; 3], SHARE, Some(300.0)));
        assert_eq!(all.1, 1.0);
        assert!((all.0 - 300.0 / (300.0 + 4.302_653_f64.powi(2))).abs() < 1e-6, "{all:?}");
        assert!((none.1 - (1.0 - all.0)).abs() < 1e-12 && none.0 == 0.0);
        assert!(ends(&[1.0; 2], SHARE, Some(4.0)).0 < 0.1, "four answers are few");
        let uncounted = ends(&[1.0; 3], SHARE, None);
        assert!(uncounted.0 < 0.2, "{uncounted:?}");
        // Seeds that agree by chance are worth no more than their answers.
        let same = ends(&[0.75; 2], SHARE, Some(16.0));
        assert!(same.1 - same.0 > 0.5, "{same:?}");
        assert_eq!(ends(&[0.75; 2], SHARE, None), (0.75, 0.75));
    }

    #[test]
    fn bounds_may_be_others() {
        let (share, wide) =
            (ends(&[0.2, 0.3, 0.1], SHARE, Some(90.0)), ends(&[20.0, 30.0, 10.0], (0.0, 100.0), Some(90.0)));
        assert!((100.0 * share.0 - wide.0).abs() < 1e-9 && (100.0 * share.1 - wide.1).abs() < 1e-9);
        assert_eq!(bounded(&[0.2, 1.3], SHARE, None), estimate(&[0.2, 1.3]));
        assert_eq!(bounded(&[0.4], SHARE, None), estimate(&[0.4]));
        assert_eq!(bounded(&[], SHARE, None), None);
    }

    #[test]
    fn nineteen_of_twenty_hold_the_truth() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        for truth in [0.5, 0.8, 0.95] {
            let mut held = 0;
            for _ in 0..1000 {
                // Three seeds whose abilities differ, 100 items each.
                let seed = |_| {
                    let own: f64 = truth + rng.random_range(-0.04..0.04);
                    (0..100).filter(|_| rng.random_bool(own)).count() as f64 / 100.0
                };
                let estimate = bounded(&[0, 1, 2].map(seed), SHARE, Some(300.0)).unwrap();
                held += usize::from(estimate.low.unwrap() <= truth && truth <= estimate.high.unwrap());
            }
            assert!(held >= 935, "{truth}: {held} of 1000");
        }
    }
}
