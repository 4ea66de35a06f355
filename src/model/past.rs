//! What a decoder remembers while it writes: keys and values of all that it has read (a key–value cache), so that one more token
//! costs one more row. Must not know: weights.

use candle_core::{Result, Tensor, bail};

use crate::kernel::Value;
use crate::kernel::mask::{Mask, Seen};

/// Keys and values of one attention.
#[derive(Debug)]
pub struct Past {
    keys: Tensor,   // [1, room, H·K]
    values: Tensor, // [1, room, H·K]
    filled: usize,
}

/// What one block remembers.
pub struct BlockPast {
    /// Of its own stack; in merged attention behind what the encoder gave.
    pub(super) own: Past,
    /// Of the encoder, where cross-attention looks.
    pub(super) far: Option<(Value, Value)>,
}

impl Past {
    /// Room for `room` keys of the width of `none [1, 0, H·K]`.
    fn new(none: &Tensor, room: usize) -> Result<Self> {
        let zeros = || Tensor::zeros((1, room, none.dim(2)?), none.dtype(), none.device());
        Ok(Self { keys: zeros()?, values: zeros()?, filled: 0 })
    }

    fn write(&mut self, keys: &Tensor, values: &Tensor) -> Result<()> {
        let (room, count) = (self.keys.dim(1)?, keys.dim(1)?);
        if self.filled + count > room {
            bail!("there is room for {room} keys, and {} are remembered already", self.filled);
        }
        self.keys.slice_set(keys, 1, self.filled)?;
        self.values.slice_set(values, 1, self.filled)?;
        self.filled += count;
        Ok(())
    }

    /// Remembers `keys` and `values [1, T, H·K]`. Gives what each of their positions sees of all: what came before it, or with
    /// `both` all of them.
    ///
    /// # Errors
    /// There is no room for more, or the device fails.
    #[expect(clippy::cast_possible_truncation, reason = "sequences are shorter than 2^32")]
    pub(super) fn push(&mut self, keys: &Tensor, values: &Tensor, both: bool) -> Result<Mask> {
        let (before, count) = (self.filled, keys.dim(1)?);
        self.write(&keys.contiguous()?, &values.contiguous()?)?;
        let seen = (1..=count).map(|place| Seen::all((0, (before + if both { count } else { place }) as u32)));
        Mask::new(seen.collect(), count, self.keys.dim(1)?, self.keys.device())
    }

    /// All keys and values, and zeros where nothing is remembered yet.
    pub(super) fn all(&self) -> (Value, Value) {
        (Value::constant(&self.keys), Value::constant(&self.values))
    }
}

impl BlockPast {
    /// Room for `room` keys of the width of `none [1, 0, H·K]`, behind `merged` ones; `far` are those of cross-attention.
    ///
    /// # Errors
    /// The device fails.
    pub(super) fn new(
        none: Tensor,
        room: usize,
        merged: Option<&(Value, Value)>,
        far: Option<(Value, Value)>,
    ) -> Result<Self> {
        let before = merged.map_or(Ok(0), |(keys, _)| keys.tensor().dim(1))?;
        let mut own = Past::new(&none, before + room)?;
        if let Some((keys, values)) = merged {
            own.write(keys.tensor(), values.tensor())?;
        }
        Ok(Self { own, far })
    }

    /// Keys that are remembered, and keys that there is room for.
    pub(super) fn room(&self) -> (usize, usize) {
        (self.own.filled, self.own.keys.dims().get(1).copied().unwrap_or(0))
    }
}
