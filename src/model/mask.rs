//! Who may look at whom: (causal OR inside the prefix) AND same segment (Wang et al. 2022, §3.1 and its code), or all of the
//! segment, or one direction of it. Padding is segment 0.

use candle_core::{Device, Result, bail};

use crate::core::AttentionDirection;
use crate::kernel::mask::{Mask, Run, Seen};

/// Segments of the queries and keys of one batch, row-major `[rows × length]`.
#[derive(Clone, Copy, Debug)]
pub struct Segments<'a> {
    /// Positions per row.
    pub length: usize,
    /// 1, 2, … for packed examples; 0 for padding.
    pub ids: &'a [u32],
}

impl<'a> Segments<'a> {
    fn rows(self) -> impl Iterator<Item = &'a [u32]> {
        self.ids.chunks_exact(self.length.max(1))
    }
}

/// Causal self-attention with a bidirectional prefix per row (0 for none). One row stands for all that are alike.
///
/// # Errors
/// What a query sees is no run of keys, because a segment is torn.
pub fn causal(segments: Segments<'_>, prefix_lengths: &[u32], device: &Device) -> Result<Mask> {
    let rows = segments.rows().zip(prefix_lengths.iter().copied());
    let seen = |(ids, prefix): (&[u32], u32)| {
        let sees = |query: usize, key: usize| {
            let inside = query < prefix as usize && key < prefix as usize;
            (key <= query || inside) && ids.get(key) == ids.get(query)
        };
        (0..ids.len()).map(|query| run(ids.len(), |key| sees(query, key))).collect::<Result<Vec<Seen>>>()
    };
    folded(rows, segments.length, segments.length, seen, device)
}

/// Self-attention of a bidirectional stack: the masks that its layers use in turn.
///
/// # Errors
/// As for [`causal`].
pub fn bidirectional(segments: Segments<'_>, direction: AttentionDirection, device: &Device) -> Result<Vec<Mask>> {
    let before = || causal(segments, &vec![0; segments.rows().count()], device);
    let after = || {
        let seen = |ids: &[u32]| {
            let sees = |query: usize, key: usize| key >= query && ids.get(key) == ids.get(query);
            (0..ids.len()).map(|query| run(ids.len(), |key| sees(query, key))).collect::<Result<Vec<Seen>>>()
        };
        folded(segments.rows(), segments.length, segments.length, seen, device)
    };
    match direction {
        AttentionDirection::Both => Ok(vec![full(segments, segments, device)?]),
        AttentionDirection::MixedHeads => Ok(vec![Mask::by_head(&[before()?, after()?])?]),
        AttentionDirection::AlternatingLayers => Ok(vec![before()?, after()?]),
    }
}

/// Full attention between the positions of equal segments: encoder self-attention (queries = keys) and
/// cross-attention. A query without any key sees all: it is padding, and its output is never used.
/// One row stands for all that are alike.
///
/// # Errors
/// As for [`causal`].
pub fn full(queries: Segments<'_>, keys: Segments<'_>, device: &Device) -> Result<Mask> {
    let seen = |(query_ids, key_ids): (&[u32], &[u32])| {
        let seen = |query: &u32| {
            let lonely = !key_ids.contains(query);
            run(key_ids.len(), |key| lonely || key_ids.get(key) == Some(query))
        };
        query_ids.iter().map(seen).collect::<Result<Vec<Seen>>>()
    };
    folded(queries.rows().zip(keys.rows()), queries.length, keys.length, seen, device)
}

/// Merged attention: the keys are those of `memory` and behind them those of `own`. A query sees its segment's part of the
/// first, and of the second what came before.
///
/// # Errors
/// As for [`causal`].
pub fn merged(own: Segments<'_>, memory: Segments<'_>, device: &Device) -> Result<Mask> {
    let seen = |(ids, memory): (&[u32], &[u32])| {
        let sees = |query: usize, key: usize| match key.checked_sub(memory.len()) {
            None => memory.get(key) == ids.get(query),
            Some(key) => key <= query && ids.get(key) == ids.get(query),
        };
        let keys = memory.len() + ids.len();
        (0..ids.len()).map(|query| run(keys, |key| sees(query, key))).collect::<Result<Vec<Seen>>>()
    };
    folded(own.rows().zip(memory.rows()), own.length, memory.length + own.length, seen, device)
}

/// The keys that are seen, which must lie together but for one gap.
#[expect(clippy::cast_possible_truncation, reason = "sequences are shorter than 2^32")]
fn run(keys: usize, sees: impl Fn(usize) -> bool) -> Result<Seen> {
    let from = (0..keys).find(|key| sees(*key)).unwrap_or(0);
    let to = (from..keys).rev().find(|key| sees(*key)).map_or(from, |key| key + 1);
    let gap = (from..to).find(|key| !sees(*key)).unwrap_or(to);
    let end = (gap..to).find(|key| sees(*key)).unwrap_or(to);
    if !(end..to).all(sees) {
        bail!("keys {from} to {to} are of several segments")
    }
    let hidden: Run = if gap < end { (gap as u32, end as u32) } else { (0, 0) };
    Ok(Seen { run: (from as u32, to as u32), hidden })
}

/// What every row sees, or one row if all are alike.
fn folded<R: PartialEq>(
    rows: impl Iterator<Item = R>,
    queries: usize,
    keys: usize,
    seen: impl Fn(R) -> Result<Vec<Seen>>,
    device: &Device,
) -> Result<Mask> {
    let mut rows: Vec<R> = rows.collect();
    if rows.windows(2).all(|pair| pair.first() == pair.last()) {
        rows.truncate(1);
    }
    let all = rows.into_iter().map(seen).collect::<Result<Vec<_>>>()?;
    Mask::new(all.concat(), queries, keys, device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(mask: &Mask) -> Vec<String> {
        let mask = mask.additive(2).unwrap();
        let (keys, values) = (mask.dims()[3], mask.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        values.chunks(keys).map(|row| row.iter().map(|v| if *v == 0.0 { 'x' } else { '.' }).collect()).collect()
    }

    const CPU: Device = Device::Cpu;

    #[test]
    fn masks_look_like_their_pictures() {
        let one = Segments { length: 4, ids: &[1, 1, 1, 1] };
        assert_eq!(picture(&causal(one, &[0], &CPU).unwrap()), ["x...", "xx..", "xxx.", "xxxx"]);
        assert_eq!(picture(&causal(one, &[3], &CPU).unwrap()), ["xxx.", "xxx.", "xxx.", "xxxx"]);
        assert_eq!(picture(&full(one, one, &CPU).unwrap()), ["xxxx"; 4]);
        let packed = Segments { length: 4, ids: &[1, 1, 2, 0] };
        assert_eq!(picture(&causal(packed, &[0], &CPU).unwrap()), ["x...", "xx..", "..x.", "...x"]);
        let keys = Segments { length: 3, ids: &[1, 2, 2] };
        assert_eq!(picture(&full(packed, keys, &CPU).unwrap()), ["x..", "x..", ".xx", "xxx"]);
        let merged = picture(&merged(packed, keys, &CPU).unwrap());
        assert_eq!(merged, ["x..x...", "x..xx..", ".xx..x.", "......x"]);
    }

    #[test]
    fn directions_look_like_their_pictures() {
        let packed = Segments { length: 4, ids: &[1, 1, 1, 2] };
        let (before, after) = (["x...", "xx..", "xxx.", "...x"], ["xxx.", ".xx.", "..x.", "...x"]);
        let heads = bidirectional(packed, AttentionDirection::MixedHeads, &CPU).unwrap();
        assert_eq!(picture(&heads[0]), [before, after].concat());
        let layers = bidirectional(packed, AttentionDirection::AlternatingLayers, &CPU).unwrap();
        assert_eq!(layers.iter().map(picture).collect::<Vec<_>>(), [before, after]);
        let both = bidirectional(packed, AttentionDirection::Both, &CPU).unwrap();
        assert_eq!(picture(&both[0]), ["xxx.", "xxx.", "xxx.", "...x"]);
    }

    #[test]
    fn equal_rows_share_one_mask() {
        let two = Segments { length: 2, ids: &[1, 1, 1, 1] };
        assert_eq!(causal(two, &[0, 0], &CPU).unwrap().dims(), (1, 2, 2));
        assert_eq!(causal(two, &[0, 2], &CPU).unwrap().dims(), (2, 2, 2));
    }

    #[test]
    fn a_torn_segment_is_refused() {
        let torn = Segments { length: 5, ids: &[1, 2, 1, 2, 1] };
        assert!(full(torn, torn, &CPU).is_err());
    }
}
