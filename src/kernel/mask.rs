//! What a query may see: a run of keys, from one to before another. Every mask of the three layouts is of this kind, because
//! packed examples lie one after the other.

use std::sync::{Arc, OnceLock};

use candle_core::{Device, Result, Tensor, bail};

/// The keys from the first to before the second.
pub type Run = (u32, u32);

/// The runs of all queries of a batch.
#[derive(Clone, Debug)]
pub struct Mask {
    runs: Arc<[Run]>, // [B or 1, T]
    queries: usize,
    keys: usize,
    device: Device,
    additive: Arc<OnceLock<Tensor>>,
}

impl Mask {
    /// `runs [B or 1, T]`, row by row, over `keys` keys.
    ///
    /// # Errors
    /// The runs are not whole rows, or one is empty or reaches beyond the keys.
    pub fn new(runs: Vec<Run>, queries: usize, keys: usize, device: &Device) -> Result<Self> {
        if queries == 0 || !runs.len().is_multiple_of(queries) {
            bail!("{} runs of keys do not fit {queries} queries", runs.len());
        }
        if let Some((from, to)) = runs.iter().find(|(from, to)| from >= to || *to as usize > keys) {
            bail!("a query sees keys {from} to {to} of {keys}");
        }
        Ok(Self { runs: runs.into(), queries, keys, device: device.clone(), additive: Arc::default() })
    }

    /// The runs of one row of the batch.
    #[must_use]
    pub fn row(&self, row: usize) -> &[Run] {
        let from = if self.runs.len() == self.queries { 0 } else { row * self.queries };
        self.runs.get(from..from + self.queries).unwrap_or_default()
    }

    /// Rows, 1 if all rows of the batch are alike; queries; keys.
    #[must_use]
    pub fn dims(&self) -> (usize, usize, usize) {
        (self.runs.len() / self.queries, self.queries, self.keys)
    }

    /// 0 where a query may see a key and −∞ where it may not: `[B or 1, 1, T, S]`, f32, made when it is first asked for.
    ///
    /// # Errors
    /// The device fails.
    pub fn additive(&self) -> Result<Tensor> {
        if let Some(made) = self.additive.get() {
            return Ok(made.clone());
        }
        let mut values = vec![f32::NEG_INFINITY; self.runs.len() * self.keys];
        for (row, (from, to)) in values.chunks_exact_mut(self.keys).zip(self.runs.iter()) {
            row.iter_mut().take(*to as usize).skip(*from as usize).for_each(|value| *value = 0.0);
        }
        let (rows, queries, keys) = self.dims();
        let made = Tensor::from_vec(values, (rows, 1, queries, keys), &self.device)?;
        Ok(self.additive.get_or_init(|| made).clone())
    }
}
