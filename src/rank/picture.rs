//! Small pictures of attention matrices.

use super::RankError;

/// A row-major matrix of distributions pooled to at most `most` × `most` cells: each holds the mass that falls into its
/// columns, averaged over its rows, so that every row of cells sums to what a row of the matrix sums to.
///
/// # Errors
/// The values do not fill the shape, or the shape is empty.
pub fn pooled(matrix: &[f32], rows: usize, columns: usize, most: usize) -> Result<Vec<f64>, RankError> {
    if rows.checked_mul(columns) != Some(matrix.len()) || matrix.is_empty() || most == 0 {
        return Err(RankError::Shape { found: matrix.len(), rows, columns });
    }
    let (down, across) = (rows.min(most), columns.min(most));
    let mut cells = vec![0.0; down * across];
    let mut heights = vec![0.0_f64; down];
    for (row, values) in matrix.chunks_exact(columns).enumerate() {
        let cell_row = row * down / rows;
        if let Some(height) = heights.get_mut(cell_row) {
            *height += 1.0;
        }
        for (column, value) in values.iter().enumerate() {
            if let Some(cell) = cells.get_mut(cell_row * across + column * across / columns) {
                *cell += f64::from(*value);
            }
        }
    }
    for (cells, height) in cells.chunks_exact_mut(across).zip(&heights) {
        cells.iter_mut().for_each(|cell| *cell /= height);
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_the_mass_of_their_columns_averaged_over_their_rows() {
        let matrix = [
            [1.0, 0.0, 0.0, 0.0], //
            [0.5, 0.5, 0.0, 0.0],
            [0.2, 0.2, 0.6, 0.0],
            [0.1, 0.2, 0.3, 0.4],
        ];
        let flat: Vec<f32> = matrix.concat();
        let close = |found: Vec<f64>, wanted: &[f64]| {
            assert_eq!(found.len(), wanted.len());
            assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-7), "{found:?}");
        };
        close(pooled(&flat, 4, 4, 2).unwrap(), &[1.0, 0.0, 0.35, 0.65]);
        close(pooled(&flat, 4, 4, 1).unwrap(), &[1.0]);
        close(pooled(&flat, 4, 4, 32).unwrap(), &flat.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
        // Lengths that do not divide: three rows in two cells, five columns in two.
        let uneven = [0.2_f32; 15];
        close(pooled(&uneven, 3, 5, 2).unwrap(), &[0.6, 0.4, 0.6, 0.4]);
    }

    #[test]
    fn rows_keep_their_sum_at_every_length() {
        for (rows, columns) in [(1, 1), (31, 33), (128, 128), (100, 7), (7, 100), (33, 31)] {
            let matrix = vec![1.0 / columns as f32; rows * columns];
            let cells = pooled(&matrix, rows, columns, 32).unwrap();
            assert_eq!(cells.len(), rows.min(32) * columns.min(32));
            let across = columns.min(32);
            assert!(cells.chunks(across).all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-5));
        }
    }

    #[test]
    fn what_does_not_fill_its_shape_is_refused() {
        assert!(pooled(&[1.0; 5], 2, 3, 32).is_err());
        assert!(pooled(&[], 0, 3, 32).is_err());
        assert!(pooled(&[1.0], 1, 1, 0).is_err());
    }
}
