//! Mean ± interval over seeds, and whether two estimates can be told apart.
//! Promises: no interval is invented where there is one value only.
//! Must not know: where the values come from.

use crate::core::summary::Estimate;

/// 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom.
const T_975: [f64; 30] = [
    12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582, 2.446_912, 2.364_624, 2.306_004, 2.262_157, 2.228_139,
    2.200_985, 2.178_813, 2.160_369, 2.144_787, 2.131_450, 2.119_905, 2.109_816, 2.100_922, 2.093_024, 2.085_963,
    2.079_614, 2.073_873, 2.068_658, 2.063_899, 2.059_539, 2.055_529, 2.051_831, 2.048_407, 2.045_230, 2.042_272,
];

/// The 97.5 % quantile of the normal distribution.
const Z_975: f64 = 1.959_963_984_540_054;

/// The 97.5 % quantile of Student's t: a table for few degrees of freedom, then three terms of the Cornish–Fisher
/// expansion around the normal quantile (Abramowitz & Stegun 26.7.5), exact to 10⁻⁵ there. `None` for 0.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "degrees of freedom are few")]
pub fn t_quantile_975(degrees_of_freedom: usize) -> Option<f64> {
    let place = degrees_of_freedom.checked_sub(1)?;
    if let Some(value) = T_975.get(place) {
        return Some(*value);
    }
    let n = degrees_of_freedom as f64;
    let z = Z_975;
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    Some(z + first / n + second / n.powi(2) + third / n.powi(3))
}

/// Mean and half width of its 95 % interval. `None` without values or if one is not finite; no half width for a
/// single value.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of seeds are small")]
pub fn estimate(values: &[f64]) -> Option<Estimate> {
    if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n as f64;
    let half_width = t_quantile_975(n - 1).map(|quantile| {
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
        quantile * (variance / n as f64).sqrt()
    });
    Some(Estimate { mean, half_width, n })
}

/// Whether two estimates cannot be told apart: their intervals meet. Without an interval nothing is known about the
/// noise, so a single seed is tied with everything.
#[must_use]
pub fn tied(one: &Estimate, other: &Estimate) -> bool {
    match (one.half_width, other.half_width) {
        (Some(a), Some(b)) => (one.mean - other.mean).abs() <= a + b,
        (None, _) | (_, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_books() {
        let close = |degrees, book: f64| {
            let value = t_quantile_975(degrees).unwrap();
            assert!((value - book).abs() < 1e-5, "{degrees}: {value} is not {book}");
        };
        for (degrees, book) in [(1, 12.706_205), (2, 4.302_653), (4, 2.776_445), (10, 2.228_139), (30, 2.042_272)] {
            close(degrees, book);
        }
        for (degrees, book) in [(31, 2.039_513), (40, 2.021_075), (60, 2.000_298), (120, 1.979_930), (1000, 1.962_339)]
        {
            close(degrees, book);
        }
        assert_eq!(t_quantile_975(0), None);
        for degrees in 1..200 {
            assert!(t_quantile_975(degrees) > t_quantile_975(degrees + 1), "falls everywhere, also at the seam");
        }
    }

    #[test]
    fn an_interval_by_hand() {
        // mean 2, standard deviation 1, n 3: 4.302653 / √3
        let three = estimate(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((three.mean, three.n), (2.0, 3));
        assert!((three.half_width.unwrap() - 2.484_138).abs() < 1e-5);
        assert_eq!(estimate(&[4.0]).unwrap(), Estimate { mean: 4.0, half_width: None, n: 1 });
        assert_eq!(estimate(&[4.0, 4.0]).unwrap().half_width, Some(0.0));
        assert!(estimate(&[]).is_none());
        assert!(estimate(&[1.0, f64::NAN]).is_none());
    }

    #[test]
    fn ties() {
        let about = |mean, half_width| Estimate { mean, half_width, n: 3 };
        assert!(tied(&about(1.0, Some(0.2)), &about(1.3, Some(0.2))));
        assert!(!tied(&about(1.0, Some(0.1)), &about(1.3, Some(0.1))));
        assert!(tied(&about(1.0, None), &about(9.0, Some(0.1))), "one seed proves nothing");
    }
}
