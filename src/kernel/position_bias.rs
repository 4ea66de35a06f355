//! What is added to attention logits for the distance of key and query: learnt per head and bucket of distances (T5), or a
//! fixed number (ALiBi).

use std::sync::Arc;

use candle_core::{Device, Result, Tensor, Var, bail};

use super::crew::Part;
use super::host::with_values;
use super::tape::Value;
use super::weight::Weight;
use crate::core::Precision;

/// A number for every head and distance.
#[derive(Clone, Debug)]
pub struct PositionBias {
    table: Weight, // [H, buckets]
    /// The bucket of each distance key − query, from the last query's first key on.
    buckets: Arc<[u32]>,
    learnt: bool,
}

impl PositionBias {
    /// The biases `table [H, buckets]`, learnt, for `queries` queries and `keys` keys whose distance key − query `bucket` sorts
    /// (Raffel et al. 2019, arXiv 1910.10683, §2.1).
    ///
    /// # Errors
    /// A bucket lies outside the table.
    pub fn learnt(table: &Weight, queries: usize, keys: usize, bucket: impl Fn(i64) -> u32) -> Result<Self> {
        Self::new(table.clone(), queries, keys, bucket, true)
    }

    /// −`slopes[h]` · |key − query| for queries, the first of them behind so many keys, and `keys` keys (Press et al. 2021, arXiv 2108.12409, §3).
    ///
    /// # Errors
    /// The device fails.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "distances are small")]
    pub fn linear(slopes: &[f32], (queries, before): (usize, usize), keys: usize, device: &Device) -> Result<Self> {
        let (count, shift) = ((before + queries).max(keys), before as i64);
        let of_head = |slope: &f32| (0..count).map(|distance| -slope * distance as f32).collect::<Vec<f32>>();
        let values = slopes.iter().flat_map(of_head).collect();
        let table = Var::from_vec(values, (slopes.len(), count), device)?;
        let table = Weight::new(table, Precision::F32)?;
        Self::new(table, queries, keys, |distance| (distance - shift).unsigned_abs() as u32, false)
    }

    fn new(table: Weight, queries: usize, keys: usize, bucket: impl Fn(i64) -> u32, learnt: bool) -> Result<Self> {
        let (_, count) = table.tensor().dims2()?;
        let first = 1 - i64::try_from(queries).unwrap_or(i64::MAX);
        let buckets: Arc<[u32]> = (first..).take((queries + keys).saturating_sub(1)).map(bucket).collect();
        if let Some(lost) = buckets.iter().find(|bucket| **bucket as usize >= count) {
            bail!("bucket {lost} of a table of {count}");
        }
        Ok(Self { table, buckets, learnt })
    }

    /// Whether it is for so many heads, queries and keys.
    pub(super) fn fits(&self, heads: usize, queries: usize, keys: usize) -> bool {
        self.table.tensor().dims().first() == Some(&heads) && self.buckets.len() + 1 == queries + keys
    }

    /// Biases of each head by distance: `[H, T + S − 1]`.
    pub(super) fn by_distance(&self) -> Result<Vec<f32>> {
        let (heads, count) = self.table.tensor().dims2()?;
        with_values([self.table.tensor()], |[table]| {
            let rows = table.chunks_exact(count).take(heads);
            let pick = |row: &[f32]| -> Vec<f32> {
                self.buckets.iter().map(|bucket| row.get(*bucket as usize).copied().unwrap_or(0.0)).collect()
            };
            Ok(rows.flat_map(pick).collect())
        })
    }

    /// Adds the slopes of what [`PositionBias::by_distance`] gave to the gradient of the table, if it learns.
    pub(super) fn add_slopes(&self, part: &Part, slopes: &[f32]) -> Result<()> {
        if !self.learnt {
            return Ok(());
        }
        let (_, count) = self.table.tensor().dims2()?;
        self.table.gather(part, |sums| {
            for (sums, slopes) in sums.chunks_exact_mut(count).zip(slopes.chunks_exact(self.buckets.len())) {
                for (bucket, slope) in self.buckets.iter().zip(slopes) {
                    if let Some(sum) = sums.get_mut(*bucket as usize) {
                        *sum += slope;
                    }
                }
            }
        })
    }

    /// The reference: biases `[1, H, T, S]` beside `q`, whose record they join.
    ///
    /// # Errors
    /// The device fails.
    pub fn plain(&self, q: &Value, queries: usize, keys: usize) -> Result<Tensor> {
        let table = if self.learnt { q.seen(&self.table) } else { self.table.tensor().detach() };
        let place = |query: usize| (0..keys).map(move |key| key + queries - 1 - query);
        let buckets: Vec<u32> =
            (0..queries).flat_map(place).filter_map(|distance| self.buckets.get(distance).copied()).collect();
        let buckets = Tensor::from_vec(buckets, queries * keys, table.device())?;
        let picked = table.index_select(&buckets, 1)?.reshape((1, table.dim(0)?, queries, keys))?;
        picked.to_dtype(q.tensor().dtype())
    }
}
