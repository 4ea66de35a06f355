//! Mean and interval over seeds, and whether two lineages can be told apart.
//! Promises: no interval is invented where there is one value only; none leaves the bounds of what was measured.
//! Must not know: where the values come from.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::core::board::Estimate;

mod bounded;
mod paired;

pub use bounded::bounded;
pub use paired::{Difference, crossed, paired};

/// The 97.5 % quantile of Student's t; `None` without degrees of freedom.
#[must_use]
pub fn t_quantile(degrees_of_freedom: f64) -> Option<f64> {
    let student = StudentsT::new(0.0, 1.0, degrees_of_freedom).ok()?;
    let quantile = student.inverse_cdf(0.975);
    quantile.is_finite().then_some(quantile)
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
    let half_width = (n > 1).then(|| t_quantile((n - 1) as f64)).flatten().map(|quantile| {
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
        quantile * (variance / n as f64).sqrt()
    });
    let (low, high) = (half_width.map(|half| mean - half), half_width.map(|half| mean + half));
    Some(Estimate { mean, half_width, low, high, n })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_books() {
        let close = |degrees, book: f64| {
            let value = t_quantile(f64::from(degrees)).unwrap();
            assert!((value - book).abs() < 1e-5, "{degrees}: {value} is not {book}");
        };
        for (degrees, book) in [(1, 12.706_205), (2, 4.302_653), (4, 2.776_445), (10, 2.228_139), (30, 2.042_272)] {
            close(degrees, book);
        }
        for (degrees, book) in [(31, 2.039_513), (40, 2.021_075), (60, 2.000_298), (120, 1.979_930), (1000, 1.962_339)]
        {
            close(degrees, book);
        }
        assert_eq!(t_quantile(0.0), None);
    }

    #[test]
    fn an_interval_by_hand() {
        // mean 2, standard deviation 1, n 3: 4.302653 / √3
        let three = estimate(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((three.mean, three.n), (2.0, 3));
        assert!((three.half_width.unwrap() - 2.484_138).abs() < 1e-5);
        assert!((three.low.unwrap() + 0.484_138).abs() < 1e-5 && (three.high.unwrap() - 4.484_138).abs() < 1e-5);
        assert_eq!(estimate(&[4.0]).unwrap(), Estimate { mean: 4.0, n: 1, ..Estimate::default() });
        assert_eq!(estimate(&[4.0, 4.0]).unwrap().half_width, Some(0.0));
        assert!(estimate(&[]).is_none());
        assert!(estimate(&[1.0, f64::NAN]).is_none());
    }
}
