//! What a query may see: a run of keys, from one to before another, perhaps with a hidden run inside it. Every mask of the
//! layouts is of this kind, because packed examples lie one after the other. Groups of heads may have masks of their own.

use std::sync::{Arc, OnceLock};

use candle_core::{Device, Result, Tensor, bail};

/// The keys from the first to before the second.
pub type Run = (u32, u32);

/// What one query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where it looks.
    pub run: Run,
    /// What is hidden within: nothing if it is empty.
    pub hidden: Run,
}

impl Seen {
    /// All of `run`.
    #[must_use]
    pub const fn all(run: Run) -> Self {
        Self { run, hidden: (0, 0) }
    }
}

/// What all queries of a batch see.
#[derive(Clone, Debug)]
pub struct Mask {
    seen: Arc<[Seen]>, // [B or 1, groups of heads, T]
    groups: usize,
    queries: usize,
    keys: usize,
    device: Device,
    additive: Arc<OnceLock<Tensor>>,
}

impl Mask {
    /// `seen [B or 1, T]`, row by row, over `keys` keys.
    ///
    /// # Errors
    /// They are not whole rows, or one is empty or reaches beyond the keys.
    pub fn new(seen: Vec<Seen>, queries: usize, keys: usize, device: &Device) -> Result<Self> {
        if queries == 0 || !seen.len().is_multiple_of(queries) {
            bail!("{} runs of keys do not fit {queries} queries", seen.len());
        }
        let bad = |seen: &&Seen| seen.run.0 >= seen.run.1 || seen.run.1 as usize > keys || seen.hidden == seen.run;
        if let Some(Seen { run: (from, to), .. }) = seen.iter().find(bad) {
            bail!("a query sees keys {from} to {to} of {keys}");
        }
        Ok(Self { seen: seen.into(), groups: 1, queries, keys, device: device.clone(), additive: Arc::default() })
    }

    /// One mask for each of as many equal groups of heads, the first heads first.
    ///
    /// # Errors
    /// The masks differ in size.
    pub fn by_head(masks: &[Self]) -> Result<Self> {
        let Some(first) = masks.first() else { bail!("no head has a mask") };
        if masks.iter().any(|mask| mask.dims() != first.dims() || mask.groups != 1) {
            bail!("the masks of heads differ in size");
        }
        let (rows, queries, keys) = first.dims();
        let row = |row: usize| masks.iter().flat_map(move |mask| mask.row(row, 0, 1).iter().copied());
        let seen = (0..rows).flat_map(row).collect();
        let device = first.device.clone();
        Ok(Self { seen, groups: masks.len(), queries, keys, device, additive: Arc::default() })
    }

    /// What the queries of one row of the batch see in head `head` of `num_heads`.
    #[must_use]
    pub fn row(&self, row: usize, head: usize, num_heads: usize) -> &[Seen] {
        let row = if self.dims().0 == 1 { 0 } else { row };
        let from = (row * self.groups + self.group(head, num_heads)) * self.queries;
        self.seen.get(from..from + self.queries).unwrap_or_default()
    }

    fn group(&self, head: usize, num_heads: usize) -> usize {
        (head * self.groups).checked_div(num_heads).unwrap_or(0)
    }

    /// Rows, 1 if all rows of the batch are alike; queries; keys.
    #[must_use]
    pub fn dims(&self) -> (usize, usize, usize) {
        (self.seen.len() / self.queries / self.groups, self.queries, self.keys)
    }

    /// 0 where a query may see a key and −∞ where it may not: `[B or 1, 1 or H, T, S]`, f32, made when it is first asked for.
    ///
    /// # Errors
    /// The heads cannot be shared out to the groups, or the device fails.
    pub fn additive(&self, num_heads: usize) -> Result<Tensor> {
        let of_groups = match self.additive.get() {
            Some(made) => made.clone(),
            None => self.make()?,
        };
        if self.groups == 1 {
            return Ok(of_groups);
        }
        let groups = (0..num_heads).map(|head| self.group(head, num_heads) as u32).collect::<Vec<_>>();
        of_groups.index_select(&Tensor::from_vec(groups, num_heads, &self.device)?, 1)
    }

    fn make(&self) -> Result<Tensor> {
        let mut values = vec![f32::NEG_INFINITY; self.seen.len() * self.keys];
        for (row, Seen { run: (from, to), hidden }) in values.chunks_exact_mut(self.keys).zip(self.seen.iter()) {
            let is_hidden = |key: u32| (hidden.0..hidden.1).contains(&key);
            let keys = (0..).zip(row).take(*to as usize).skip(*from as usize);
            keys.filter(|(key, _)| !is_hidden(*key)).for_each(|(_, value)| *value = 0.0);
        }
        let (rows, queries, keys) = self.dims();
        let made = Tensor::from_vec(values, (rows, self.groups, queries, keys), &self.device)?;
        Ok(self.additive.get_or_init(|| made).clone())
    }
}
