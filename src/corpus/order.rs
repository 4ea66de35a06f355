//! The order of training examples: any example's window is found without drawing those before it, so the cursor of a
//! run is the number of examples drawn. Promises: each window exactly once per pass; passes differ in order and offset.
//! Must not know: tokens.

use rand::{Rng, RngExt};

use crate::core::seed::{Stream, generator};

/// Rounds of the Feistel network; four make a permutation look random, eight also on a handful of windows.
const ROUNDS: usize = 8;

/// The text is too short for one example.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cut windows of {window} tokens: the text has {stream_len}; lower `training.seq_len` or add text")]
pub struct OrderError {
    /// Tokens of one window.
    pub window: u64,
    /// Tokens of the stream.
    pub stream_len: u64,
}

/// Where the window of each training example starts.
///
/// One pass shifts the grid of windows by a random offset below their length, then visits them in a random order. The
/// number of windows is the same for every offset, so that example → (pass, place) is a division; up to a window's
/// length of tokens at both ends together stays unread in one pass and is read in another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataOrder {
    seed: u64,
    window: u64,
    windows: u64,
    offsets: u64,
}

impl DataOrder {
    /// The order of windows of `window` tokens in a stream of `stream_len`.
    ///
    /// # Errors
    /// The stream is shorter than one window.
    pub fn new(seed: u64, stream_len: u64, window: usize) -> Result<Self, OrderError> {
        let window = window as u64;
        if window == 0 || stream_len < window {
            return Err(OrderError { window, stream_len });
        }
        let windows = ((stream_len - (window - 1)) / window).max(1);
        let offsets = (stream_len - windows * window).min(window - 1) + 1;
        Ok(Self { seed, window, windows, offsets })
    }

    /// Windows of one pass.
    #[must_use]
    pub const fn windows_per_pass(&self) -> u64 {
        self.windows
    }

    /// The first token of training example `example`, counted from 0 over the whole run.
    #[must_use]
    pub fn start_of(&self, example: u64) -> u64 {
        let (pass, place) = (example / self.windows, example % self.windows);
        let mut draws = generator(self.seed, Stream::DataOrder, pass);
        let offset = draws.random_range(0..self.offsets);
        let keys: [u64; ROUNDS] = std::array::from_fn(|_| draws.next_u64());
        offset + permuted(place, self.windows, &keys) * self.window
    }
}

/// The first token of validation example `example` of `count`: spread evenly over the stream, the same for every seed,
/// without overlap as long as the stream holds `count` windows.
///
/// # Errors
/// The stream is shorter than one window.
pub fn validation_start(stream_len: u64, window: usize, example: u64, count: u64) -> Result<u64, OrderError> {
    let window = window as u64;
    if window == 0 || stream_len < window {
        return Err(OrderError { window, stream_len });
    }
    let room = u128::from(stream_len - window);
    let steps = u128::from(count.saturating_sub(1).max(1));
    let start = room * u128::from(example.min(count.saturating_sub(1))) / steps;
    Ok(u64::try_from(start).unwrap_or(stream_len - window))
}

/// A permutation of 0..`size`: a Feistel network on the next even power of two, walked until it lands inside.
fn permuted(place: u64, size: u64, keys: &[u64; ROUNDS]) -> u64 {
    let half = (u64::BITS - (size - 1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1u64 << half) - 1;
    let mut value = place;
    loop {
        let (mut left, mut right) = (value >> half, value & mask);
        for key in keys {
            (left, right) = (right, left ^ (mixed(right ^ key) & mask));
        }
        value = (left << half) | right;
        if value < size {
            return value;
        }
    }
}

/// The finaliser of SplitMix64 (Steele et al. 2014): every input bit reaches every output bit.
const fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_short_stream_is_refused_with_the_cure() {
        let said = DataOrder::new(1, 63, 64).unwrap_err().to_string();
        assert!(said.contains("seq_len") && said.contains("63"), "{said}");
        assert!(validation_start(63, 64, 0, 1).is_err());
        assert_eq!(DataOrder::new(1, 64, 64).unwrap().start_of(5), 0);
    }

    #[test]
    fn passes_differ_and_seeds_differ() {
        let starts = |seed, pass: u64| -> Vec<u64> {
            let order = DataOrder::new(seed, 10_000, 64).unwrap();
            let n = order.windows_per_pass();
            (pass * n..(pass + 1) * n).map(|example| order.start_of(example)).collect()
        };
        assert_eq!(starts(1, 0), starts(1, 0));
        assert_ne!(starts(1, 0), starts(1, 1));
        assert_ne!(starts(1, 0), starts(2, 0));
        let offsets: BTreeSet<u64> = (0..8).map(|pass| starts(1, pass)[0] % 64).collect();
        assert!(offsets.len() > 3, "{offsets:?}");
    }

    #[test]
    fn permutations_of_a_few_windows_are_all_reached() {
        let reached: BTreeSet<Vec<u64>> = (0..600)
            .map(|pass| {
                let keys = std::array::from_fn(|_| 0).map({
                    let mut draws = generator(3, Stream::DataOrder, pass);
                    move |_: u64| draws.next_u64()
                });
                (0..4).map(|place| permuted(place, 4, &keys)).collect()
            })
            .collect();
        // A Feistel network makes even permutations on small domains at worst; half of the 24 must appear.
        assert!(reached.len() >= 12, "{} of 24 orders", reached.len());
    }

    #[test]
    fn validation_windows_are_spread_without_overlap() {
        let starts: Vec<u64> = (0..10).map(|e| validation_start(1000, 100, e, 10).unwrap()).collect();
        assert_eq!(starts, [0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
        assert_eq!(validation_start(1000, 100, 0, 1).unwrap(), 0);
        assert_eq!(validation_start(1000, 100, 3, 4).unwrap(), 900);
    }
}
