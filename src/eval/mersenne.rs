//! Python's `random.Random`, bit for bit, as far as few-shot sampling and bootstraps need it: the harness draws solved
//! examples with it, and another generator would ask other questions. The seed is the harness's constant; our own randomness comes
//! from `core::seed`. Source: MT19937 of Matsumoto & Nishimura 1998; CPython's `random.py` and `_randommodule.c`.

const SIZE: usize = 624;
const SHIFT: usize = 397;

/// The Mersenne Twister in the state that Python's seeding gives it.
#[derive(Clone, Debug)]
pub(super) struct PythonRandom {
    state: Vec<u32>,
    place: usize,
}

impl PythonRandom {
    /// `random.Random(seed)`.
    pub(super) fn new(seed: u32) -> Self {
        // init_genrand(19650218), then init_by_array with the key [seed].
        let mut state = vec![19_650_218u32];
        for place in 1..SIZE as u32 {
            let before = state.last().copied().unwrap_or_default();
            state.push(1_812_433_253u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(place));
        }
        let mut place = 1;
        for round in 0..2 * SIZE - 1 {
            let before = at(&state, place - 1);
            let before = before ^ (before >> 30);
            let value = if round < SIZE {
                (at(&state, place) ^ before.wrapping_mul(1_664_525)).wrapping_add(seed)
            } else {
                (at(&state, place) ^ before.wrapping_mul(1_566_083_941)).wrapping_sub(place as u32)
            };
            put(&mut state, place, value);
            place += 1;
            if place == SIZE {
                let last = at(&state, SIZE - 1);
                put(&mut state, 0, last);
                place = 1;
            }
        }
        put(&mut state, 0, 0x8000_0000);
        Self { state, place: SIZE }
    }

    fn next_u32(&mut self) -> u32 {
        if self.place == SIZE {
            for place in 0..SIZE {
                let mixed =
                    (at(&self.state, place) & 0x8000_0000) | (at(&self.state, (place + 1) % SIZE) & 0x7fff_ffff);
                let twist = if mixed & 1 == 0 { 0 } else { 0x9908_b0df };
                let value = at(&self.state, (place + SHIFT) % SIZE) ^ (mixed >> 1) ^ twist;
                put(&mut self.state, place, value);
            }
            self.place = 0;
        }
        let mut value = at(&self.state, self.place);
        self.place += 1;
        value ^= value >> 11;
        value ^= (value << 7) & 0x9d2c_5680;
        value ^= (value << 15) & 0xefc6_0000;
        value ^ (value >> 18)
    }

    /// A whole number below `bound`: `_randbelow_with_getrandbits`. `bound` is at least 1 and has at most 32 bits.
    fn below(&mut self, bound: usize) -> usize {
        let bits = (usize::BITS - bound.leading_zeros()).clamp(1, 32);
        loop {
            let value = (self.next_u32() >> (32 - bits)) as usize;
            if value < bound {
                return value;
            }
        }
    }

    /// `random()`: 53 bits in [0, 1).
    fn unit(&mut self) -> f64 {
        let (high, low) = (f64::from(self.next_u32() >> 5), f64::from(self.next_u32() >> 6));
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    /// What `choices(range(n), k=1)` gives.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "n is small"
    )]
    pub(super) fn choice(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }

    /// The places that `sample(range(n), k)` gives; `None` if `k > n`.
    pub(super) fn sample(&mut self, n: usize, k: usize) -> Option<Vec<usize>> {
        if k > n {
            return None;
        }
        let mut chosen = Vec::with_capacity(k);
        if n <= pool_limit(k) {
            let mut pool: Vec<usize> = (0..n).collect();
            while chosen.len() < k {
                // The hole is filled with the last element, as Python does: `swap_remove`.
                let place = self.below(pool.len());
                chosen.push(pool.swap_remove(place));
            }
        } else {
            while chosen.len() < k {
                let place = self.below(n);
                if !chosen.contains(&place) {
                    chosen.push(place);
                }
            }
        }
        Some(chosen)
    }
}

/// Largest population that Python samples from a list rather than with a set: 21, or 21 + 4^⌈log₄ 3k⌉.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "k is small")]
fn pool_limit(k: usize) -> usize {
    if k > 5 { 21 + 4usize.saturating_pow(((3 * k) as f64).log(4.0).ceil() as u32) } else { 21 }
}

fn at(state: &[u32], place: usize) -> u32 {
    state.get(place).copied().unwrap_or_default()
}

fn put(state: &mut [u32], place: usize, value: u32) {
    if let Some(slot) = state.get_mut(place) {
        *slot = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // All constants were printed by Python 3.11.7: `r = random.Random(1234)`, then what the test's name says.

    #[test]
    fn raw_words_are_pythons() {
        let mut random = PythonRandom::new(1234);
        let words: Vec<u32> = (0..5).map(|_| random.next_u32()).collect();
        assert_eq!(words, [4_150_886_329, 3_342_196_574, 1_892_932_127, 501_869_158, 32_175_636]);
        let mut random = PythonRandom::new(1234);
        for _ in 0..700 {
            random.next_u32();
        }
        assert_eq!(random.next_u32(), 566_242_753, "after the state was renewed");
    }

    #[test]
    fn samples_are_pythons() {
        let draws = |n, k, times| -> Vec<Vec<usize>> {
            let mut random = PythonRandom::new(1234);
            (0..times).map(|_| random.sample(n, k).unwrap()).collect()
        };
        assert_eq!(draws(10, 3, 3), [[7, 1, 0], [1, 0, 9], [1, 5, 3]]);
        assert_eq!(draws(2500, 4, 3), [[1805, 478, 30, 371], [2384, 143, 343, 403], [1452, 969, 71, 126]]);
        assert_eq!(draws(60, 6, 2), [[49, 28, 7, 0, 5, 51], [37, 2, 42, 44, 5, 6]]);
        assert_eq!(draws(84, 7, 2), [[56, 14, 0, 11, 74, 4, 10], [12, 45, 30, 2, 3, 80, 44]]);
        assert_eq!(draws(85, 7, 2), [[56, 14, 0, 11, 74, 4, 10], [12, 45, 30, 2, 3, 81, 44]]);
    }

    #[test]
    fn one_generator_goes_on_from_draw_to_draw() {
        let mut random = PythonRandom::new(1234);
        assert_eq!(random.sample(22, 5).unwrap(), [14, 3, 0, 2, 18]);
        assert_eq!(random.sample(22, 5).unwrap(), [1, 21, 2, 3, 11]);
        assert_eq!(random.sample(1, 1).unwrap(), [0]);
        assert_eq!(random.sample(700, 700).unwrap()[..4], [17, 31, 16, 354]);
        assert_eq!(random.sample(2, 3), None);
        assert_eq!(random.sample(0, 0).unwrap(), Vec::<usize>::new());
    }
}
