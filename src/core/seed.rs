//! The only source of randomness: named streams, addressed by (seed, name, index), so that any step's draws can be
//! made again without replaying the steps before it. Exact resume rests on this.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// A stream of one purpose. The name is part of the address: two purposes never share draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Initial weights; the index is a hash of the parameter's name.
    Init,
    /// The order of training chunks; the index is the pass over the data.
    DataOrder,
    /// Prefix splits and noise spans; the index is the position of the example in the order.
    Objective,
    /// Validation examples, the same for every seed of a run; the index is the example.
    Validation,
    /// Text samples; the index is the step.
    Sample,
    /// Documents of the shipped world; the index is the document.
    World,
    /// Evaluation items of the shipped world; the index is a hash of what is asked for.
    Items,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::DataOrder => "data order",
            Self::Objective => "objective",
            Self::Validation => "validation",
            Self::Sample => "sample",
            Self::World => "world",
            Self::Items => "items",
        }
    }
}

/// The generator of `stream` at `index` under `seed`.
#[must_use]
pub fn generator(seed: u64, stream: Stream, index: u64) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new_derive_key("trilab 2026 random stream");
    hasher.update(&seed.to_le_bytes()).update(&index.to_le_bytes()).update(stream.name().as_bytes());
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

/// A 64-bit index for a name, for streams whose places are named and not numbered.
#[must_use]
pub fn index_of(name: &str) -> u64 {
    blake3::hash(name.as_bytes()).as_bytes().iter().take(8).fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, stream, index| generator(seed, stream, index).next_u64();
        assert_eq!(draw(1, Stream::Init, 7), draw(1, Stream::Init, 7));
        assert_ne!(draw(1, Stream::Init, 7), draw(2, Stream::Init, 7));
        assert_ne!(draw(1, Stream::Init, 7), draw(1, Stream::Init, 8));
        assert_ne!(draw(1, Stream::Init, 7), draw(1, Stream::Sample, 7));
        assert_ne!(index_of("a"), index_of("b"));
    }
}
