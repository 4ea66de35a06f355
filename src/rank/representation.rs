//! The representation theorem of Bhojanapalli et al. 2020 (arXiv 2002.07028, Theorem 1) as a test bench: a head at least
//! as wide as its context can form any positive attention matrix over independent tokens, a narrower one cannot.
//! Tokens are columns here, as in the paper: X is d × n, and the softmax runs down each column (one query).

use faer::{Mat, MatRef};

use super::RankError;

/// Query and key projections of one head, both d × d.
#[derive(Clone, Debug)]
pub struct HeadWeights {
    /// W_q.
    pub queries: Mat<f64>,
    /// W_k.
    pub keys: Mat<f64>,
}

/// softmax((W_k X)ᵀ (W_q X) / √d_k) of the tokens `x [d, n]`; n × n, each column sums to one.
///
/// # Errors
/// The projections do not fit each other or the tokens.
#[expect(clippy::cast_precision_loss, reason = "head sizes are small")]
pub fn attention(x: MatRef<'_, f64>, weights: &HeadWeights) -> Result<Mat<f64>, RankError> {
    let (queries, keys) = (&weights.queries, &weights.keys);
    for projection in [queries, keys] {
        if projection.ncols() != x.nrows() || projection.nrows() != keys.nrows() {
            let (rows, columns) = (keys.nrows(), x.nrows());
            return Err(RankError::Shape { found: projection.nrows() * projection.ncols(), rows, columns });
        }
    }
    let logits = (keys * x).transpose() * (queries * x) * faer::Scale(1.0 / (keys.nrows() as f64).sqrt());
    let mut p = logits;
    for query in 0..p.ncols() {
        let column = p.col_mut(query);
        let peak = column.as_ref().iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0;
        for value in column.iter_mut() {
            *value = (*value - peak).exp();
            sum += *value;
        }
        for value in p.col_mut(query).iter_mut() {
            *value /= sum;
        }
    }
    Ok(p)
}

/// Weights of a head of size d that answers exactly `p [n, n]` to the tokens `x [d, n]`, by the construction of the
/// paper's proof: both projections undo X with its pseudo-inverse, which leaves any matrix of logits free; √d_k · ln P
/// is one whose softmax is P.
///
/// # Errors
/// d < n, the tokens depend on each other, or a column of `p` is no distribution without zeros.
#[expect(clippy::cast_precision_loss, reason = "head sizes are small")]
pub fn represent(x: MatRef<'_, f64>, p: MatRef<'_, f64>) -> Result<HeadWeights, RankError> {
    let (size, length) = (x.nrows(), x.ncols());
    if (p.nrows(), p.ncols()) != (length, length) {
        return Err(RankError::Shape { found: p.nrows() * p.ncols(), rows: length, columns: length });
    }
    if size < length {
        return Err(RankError::Narrow { size, length });
    }
    let positive = |column: usize| p.col(column).iter().all(|value| *value > 0.0);
    let whole = |column: usize| (p.col(column).iter().sum::<f64>() - 1.0).abs() < 1e-9;
    if !(0..length).all(|column| positive(column) && whole(column)) {
        return Err(RankError::NotStochastic);
    }
    let svd = x.thin_svd().map_err(|_| RankError::NoConvergence { rows: size, columns: length })?;
    let values: Vec<f64> = svd.S().column_vector().iter().copied().collect();
    let largest = values.first().copied().unwrap_or(0.0);
    if values.iter().any(|value| *value <= size as f64 * largest * f64::EPSILON) {
        return Err(RankError::Dependent);
    }
    let inverse = svd.pseudoinverse(); // [n, d]
    let scale = (size as f64).sqrt();
    let keys = Mat::from_fn(size, length, |i, j| if i == j { 1.0 } else { 0.0 });
    let queries = Mat::from_fn(size, length, |i, j| if i < length { scale * p[(i, j)].ln() } else { 0.0 });
    Ok(HeadWeights { queries: queries * &inverse, keys: keys * &inverse })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::seed::{Stream, generator};
    use rand::{Rng, RngExt};

    fn random(rows: usize, columns: usize, source: &mut impl Rng) -> Mat<f64> {
        Mat::from_fn(rows, columns, |_, _| source.random_range(-1.0..1.0))
    }

    fn distributions(length: usize, source: &mut impl Rng) -> Mat<f64> {
        let mut p = Mat::from_fn(length, length, |_, _| source.random_range(0.01..1.0_f64).powi(3));
        for column in 0..length {
            let sum: f64 = p.col(column).iter().sum();
            p.col_mut(column).iter_mut().for_each(|value| *value /= sum);
        }
        p
    }

    #[test]
    fn a_head_as_wide_as_its_context_forms_any_attention() {
        let mut source = generator(3, Stream::Objective, 0);
        for (size, length) in [(1, 1), (2, 2), (6, 6), (16, 5), (24, 24)] {
            let (x, p) = (random(size, length, &mut source), distributions(length, &mut source));
            let weights = represent(x.as_ref(), p.as_ref()).unwrap();
            assert_eq!((weights.queries.nrows(), weights.queries.ncols()), (size, size));
            let formed = attention(x.as_ref(), &weights).unwrap();
            let worst = (&formed - &p).norm_max();
            assert!(worst < 1e-9, "d {size}, n {length}: {worst}");
        }
    }

    #[test]
    fn a_narrow_head_cannot() {
        // d = 1, n = 2, X = [1, 0]: the second query is 0 whatever the weights, so its column is always (1/2, 1/2).
        let x = Mat::from_fn(1, 2, |_, j| if j == 0 { 1.0 } else { 0.0 });
        let p = Mat::from_fn(2, 2, |i, j| [[0.5, 0.75], [0.5, 0.25]][i][j]);
        assert_eq!(represent(x.as_ref(), p.as_ref()).unwrap_err(), RankError::Narrow { size: 1, length: 2 });
        let mut source = generator(4, Stream::Objective, 0);
        let mut first_columns = Vec::new();
        for _ in 0..50 {
            let weights =
                HeadWeights { queries: random(1, 1, &mut source) * 9.0, keys: random(1, 1, &mut source) * 9.0 };
            let formed = attention(x.as_ref(), &weights).unwrap();
            assert_eq!((formed[(0, 1)], formed[(1, 1)]), (0.5, 0.5));
            first_columns.push(formed[(0, 0)]);
        }
        assert!(first_columns.iter().any(|value| *value > 0.9), "the other column is free");
    }

    #[test]
    fn what_the_theorem_does_not_cover_is_refused() {
        let twice = Mat::from_fn(3, 2, |i, _| i as f64 + 1.0);
        let even = Mat::from_fn(2, 2, |_, _| 0.5);
        assert_eq!(represent(twice.as_ref(), even.as_ref()).unwrap_err(), RankError::Dependent);
        let apart = Mat::from_fn(2, 2, |i, j| if i == j { 1.0 } else { 0.0 });
        let causal = Mat::from_fn(2, 2, |i, j| [[1.0, 0.5], [0.0, 0.5]][i][j]);
        assert_eq!(represent(apart.as_ref(), causal.as_ref()).unwrap_err(), RankError::NotStochastic);
        let rows = Mat::from_fn(2, 2, |i, j| [[0.9, 0.1], [0.9, 0.1]][i][j]);
        assert_eq!(represent(apart.as_ref(), rows.as_ref()).unwrap_err(), RankError::NotStochastic);
    }
}
