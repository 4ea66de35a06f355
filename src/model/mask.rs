//! Who may look at whom: (causal OR inside the prefix) AND same segment (Wang et al. 2022, §3.1 and its code). Padding is segment 0.

use candle_core::{Device, Result, bail};

use crate::kernel::mask::{Mask, Run};

/// Segments of the queries and keys of one batch, row-major `[rows × length]`.
#[derive(Clone, Copy, Debug)]
pub struct Segments<'a> {
    /// Positions per row.
    pub length: usize,
    /// 1, 2, … for packed examples; 0 for padding.
    pub ids: &'a [u32],
}

/// Causal self-attention with a bidirectional prefix per row (0 for none). One row of runs stands for all that are alike.
///
/// # Errors
/// What a query sees is no run of keys, because a segment is torn.
pub fn causal(segments: Segments<'_>, prefix_lengths: &[u32], device: &Device) -> Result<Mask> {
    let rows = segments.ids.chunks_exact(segments.length).zip(prefix_lengths.iter().copied());
    let runs = |(ids, prefix): (&[u32], u32)| {
        let sees = |query: usize, key: usize| {
            let inside = query < prefix as usize && key < prefix as usize;
            (key <= query || inside) && ids.get(key) == ids.get(query)
        };
        (0..ids.len()).map(|query| run(ids.len(), |key| sees(query, key))).collect::<Result<Vec<Run>>>()
    };
    folded(rows, segments.length, segments.length, runs, device)
}

/// Full attention between the positions of equal segments: encoder self-attention (queries = keys) and
/// cross-attention. A query without any key sees all: it is padding, and its output is never used.
/// One row of runs stands for all that are alike.
///
/// # Errors
/// As for [`causal`].
pub fn full(queries: Segments<'_>, keys: Segments<'_>, device: &Device) -> Result<Mask> {
    let rows = queries.ids.chunks_exact(queries.length).zip(keys.ids.chunks_exact(keys.length));
    let runs = |(query_ids, key_ids): (&[u32], &[u32])| {
        let seen = |query: &u32| {
            let lonely = !key_ids.contains(query);
            run(key_ids.len(), |key| lonely || key_ids.get(key) == Some(query))
        };
        query_ids.iter().map(seen).collect::<Result<Vec<Run>>>()
    };
    folded(rows, queries.length, keys.length, runs, device)
}

/// The keys that are seen, which must lie together.
#[expect(clippy::cast_possible_truncation, reason = "sequences are shorter than 2^32")]
fn run(keys: usize, sees: impl Fn(usize) -> bool) -> Result<Run> {
    let from = (0..keys).find(|key| sees(*key)).unwrap_or(0);
    let to = (from..keys).rev().find(|key| sees(*key)).map_or(from, |key| key + 1);
    if (from..to).all(sees) {
        Ok((from as u32, to as u32))
    } else {
        bail!("keys {from} to {to} are of several segments")
    }
}

/// The runs of every row, or of one row if all are alike.
fn folded<R: PartialEq>(
    rows: impl Iterator<Item = R>,
    queries: usize,
    keys: usize,
    runs: impl Fn(R) -> Result<Vec<Run>>,
    device: &Device,
) -> Result<Mask> {
    let mut rows: Vec<R> = rows.collect();
    if rows.windows(2).all(|pair| pair.first() == pair.last()) {
        rows.truncate(1);
    }
    let all = rows.into_iter().map(runs).collect::<Result<Vec<_>>>()?;
    Mask::new(all.concat(), queries, keys, device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(mask: &Mask) -> Vec<String> {
        let mask = mask.additive().unwrap();
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
        assert_eq!(causal(two, &[0, 0], &Device::Cpu).unwrap().dims(), (1, 2, 2));
        assert_eq!(causal(two, &[0, 2], &Device::Cpu).unwrap().dims(), (2, 2, 2));
    }
}
