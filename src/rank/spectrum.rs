//! Singular values in f64 of matrices that a model computed in f32.

use faer::MatRef;

use super::RankError;

/// The min(rows, columns) singular values of a row-major matrix, largest first.
///
/// # Errors
/// The values do not fill the shape or are not finite, or the iteration does not converge.
pub fn spectrum(matrix: &[f32], rows: usize, columns: usize) -> Result<Vec<f64>, RankError> {
    if rows.checked_mul(columns) != Some(matrix.len()) {
        return Err(RankError::Shape { found: matrix.len(), rows, columns });
    }
    if matrix.iter().any(|value| !value.is_finite()) {
        return Err(RankError::NotFinite { rows, columns });
    }
    let values: Vec<f64> = matrix.iter().map(|value| f64::from(*value)).collect();
    let found = MatRef::from_row_major_slice(&values, rows, columns).singular_values();
    found.map_err(|_| RankError::NoConvergence { rows, columns })
}

/// At most `most` values of a spectrum at equal steps of their place, the first and the last among them.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "a thinned spectrum is drawn, not computed with")]
pub fn thinned(spectrum: &[f64], most: usize) -> Vec<f32> {
    let kept = spectrum.len().min(most);
    let place = |index: usize| if kept < 2 { 0 } else { index * (spectrum.len() - 1) / (kept - 1) };
    (0..kept).filter_map(|index| spectrum.get(place(index))).map(|value| *value as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_spectra() {
        let close = |matrix: &[f32], rows, columns, wanted: &[f64]| {
            let found = spectrum(matrix, rows, columns).unwrap();
            assert_eq!(found.len(), wanted.len());
            assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        };
        close(&[0.0, 2.0, -3.0, 0.0], 2, 2, &[3.0, 2.0]);
        // Row-major: a matrix of 2 x 3 and its transpose have the same values, a mixed-up one has not.
        close(&[1.0, 1.0, 1.0, 0.0, 0.0, 0.0], 2, 3, &[3.0_f64.sqrt(), 0.0]);
        close(&[1.0, 0.0, 1.0, 0.0, 1.0, 0.0], 3, 2, &[3.0_f64.sqrt(), 0.0]);
        close(&[3.0, 4.0], 1, 2, &[5.0]);
        close(&[0.0; 4], 2, 2, &[0.0, 0.0]);
    }

    #[test]
    fn what_has_no_spectrum_says_why() {
        assert_eq!(spectrum(&[1.0; 5], 2, 3), Err(RankError::Shape { found: 5, rows: 2, columns: 3 }));
        assert_eq!(spectrum(&[1.0, f32::NAN], 1, 2), Err(RankError::NotFinite { rows: 1, columns: 2 }));
    }

    #[test]
    fn thinned_spectra_keep_both_ends() {
        let all: Vec<f64> = (0..200).map(|place| 200.0 - f64::from(place)).collect();
        let kept = thinned(&all, 64);
        assert_eq!((kept.len(), kept[0], kept[63]), (64, 200.0, 1.0));
        assert!(kept.windows(2).all(|pair| pair[0] > pair[1]));
        assert_eq!(thinned(&all[..3], 64), [200.0, 199.0, 198.0]);
        assert_eq!(thinned(&all, 1), [200.0]);
        assert!(thinned(&[], 64).is_empty());
    }
}
