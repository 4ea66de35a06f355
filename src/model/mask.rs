//! Who may look at whom. A mask is 0 where a query may see a key and −∞ where it may not:
//! (causal OR inside the prefix) AND same segment (Wang et al. 2022, §3.1 and its code). Padding is segment 0.

use candle_core::{Device, Result, Tensor};

/// Segments of the queries and keys of one batch, row-major `[rows × length]`.
#[derive(Clone, Copy, Debug)]
pub struct Segments<'a> {
    /// Positions per row.
    pub length: usize,
    /// 1, 2, … for packed examples; 0 for padding.
    pub ids: &'a [u32],
}

/// Causal self-attention with a bidirectional prefix per row (0 for none). Gives `[B, 1, T, T]`, or `[1, 1, T, T]` when
/// all rows are alike.
///
/// # Errors
/// The device fails.
pub fn causal(segments: Segments<'_>, prefix_lengths: &[u32], device: &Device) -> Result<Tensor> {
    let rows: Vec<(&[u32], u32)> =
        segments.ids.chunks_exact(segments.length).zip(prefix_lengths.iter().copied()).collect();
    let alike = rows.windows(2).all(|pair| pair.first() == pair.last());
    let shown = if alike { rows.get(..1).unwrap_or(&[]) } else { &rows };
    let mut values = Vec::with_capacity(shown.len() * segments.length * segments.length);
    for (ids, prefix) in shown {
        for (query, query_segment) in ids.iter().enumerate() {
            values.extend(ids.iter().enumerate().map(|(key, key_segment)| {
                let inside = query < *prefix as usize && key < *prefix as usize;
                additive((key <= query || inside) && key_segment == query_segment)
            }));
        }
    }
    Tensor::from_vec(values, (shown.len(), 1, segments.length, segments.length), device)
}

/// Full attention between the positions of equal segments: encoder self-attention (queries = keys) and
/// cross-attention. A query without any key sees all: it is padding, and its output is never used.
/// Gives `[B, 1, T, S]`, or `[1, 1, T, S]` when all rows are alike.
///
/// # Errors
/// The device fails.
pub fn full(queries: Segments<'_>, keys: Segments<'_>, device: &Device) -> Result<Tensor> {
    let rows: Vec<(&[u32], &[u32])> =
        queries.ids.chunks_exact(queries.length).zip(keys.ids.chunks_exact(keys.length)).collect();
    let alike = rows.windows(2).all(|pair| pair.first() == pair.last());
    let shown = if alike { rows.get(..1).unwrap_or(&[]) } else { &rows };
    let mut values = Vec::with_capacity(shown.len() * queries.length * keys.length);
    for (query_ids, key_ids) in shown {
        for query in *query_ids {
            let lonely = !key_ids.contains(query);
            values.extend(key_ids.iter().map(|key| additive(lonely || key == query)));
        }
    }
    Tensor::from_vec(values, (shown.len(), 1, queries.length, keys.length), device)
}

const fn additive(allowed: bool) -> f32 {
    if allowed { 0.0 } else { f32::NEG_INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(mask: &Tensor) -> Vec<String> {
        let rows = mask.dims()[2];
        let values = mask.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values
            .chunks(values.len() / rows / mask.dims()[0])
            .map(|row| row.iter().map(|v| if *v == 0.0 { 'x' } else { '.' }).collect())
            .collect()
    }

    #[test]
    fn masks_look_like_their_pictures() {
        let one = Segments { length: 4, ids: &[1, 1, 1, 1] };
        assert_eq!(picture(&causal(one, &[0], &Device::Cpu).unwrap()), ["x...", "xx..", "xxx.", "xxxx"]);
        assert_eq!(picture(&causal(one, &[3], &Device::Cpu).unwrap()), ["xxx.", "xxx.", "xxx.", "xxxx"]);
        assert_eq!(picture(&full(one, one, &Device::Cpu).unwrap()), ["xxxx"; 4]);
        let packed = Segments { length: 4, ids: &[1, 1, 2, 0] };
        assert_eq!(picture(&causal(packed, &[0], &Device::Cpu).unwrap()), ["x...", "xx..", "..x.", "...x"]);
        let keys = Segments { length: 3, ids: &[1, 2, 2] };
        assert_eq!(picture(&full(packed, keys, &Device::Cpu).unwrap()), ["x..", "x..", ".xx", "xxx"]);
    }

    #[test]
    fn equal_rows_share_one_mask() {
        let two = Segments { length: 2, ids: &[1, 1, 1, 1] };
        assert_eq!(causal(two, &[0, 0], &Device::Cpu).unwrap().dims(), [1, 1, 2, 2]);
        assert_eq!(causal(two, &[0, 2], &Device::Cpu).unwrap().dims(), [2, 1, 2, 2]);
    }
}
