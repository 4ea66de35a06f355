//! Dropout on the embedding and on what every part of a block adds to the stream (Vaswani et al. 2017, arXiv 1706.03762, §5.4).
//! Promises: what is dropped depends on the seed, the step, the place in the model and the row alone.

use std::cell::Cell;

use candle_core::Result;

use crate::kernel::Value;
use crate::kernel::dropout::{Dropout, dropout};

/// What one forward pass drops.
#[derive(Clone, Debug)]
pub struct Dropping {
    rate: f64,
    seed: u64,
    step: u64,
    /// Number of the first row among all of the step.
    first_row: u64,
    /// Places passed so far.
    sites: Cell<u64>,
}

impl Dropping {
    /// A share `rate` of the numbers in step `step` of the run with `seed`, in rows from `first_row` on.
    #[must_use]
    pub const fn new(rate: f64, seed: u64, step: u64, first_row: u64) -> Self {
        Self { rate, seed, step, first_row, sites: Cell::new(0) }
    }

    /// `x [B, T, D]` with some of its numbers dropped, at the next place.
    ///
    /// # Errors
    /// The device fails.
    pub fn drop(&self, x: &Value) -> Result<Value> {
        let site = self.sites.get();
        self.sites.set(site + 1);
        let row: usize = x.dims().iter().skip(1).product();
        let (key, first) = (Dropout::key(self.seed, self.step, site), self.first_row * row as u64);
        dropout(x, Dropout { rate: self.rate, key, first })
    }
}
