//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864, eq. 34), halves rotated against each other as in Llama.

use candle_core::{D, Device, Result, Tensor};

use super::host::with_values;

/// Cosines and sines of every position up to a length.
#[derive(Clone, Debug)]
pub struct RotaryTables {
    cos: Tensor, // [N, K/2]
    sin: Tensor, // [N, K/2]
}

/// The rotation of one batch.
#[derive(Clone, Debug)]
pub struct Rotation {
    cos: Tensor, // [B, 1, T, K/2]
    sin: Tensor, // [B, 1, T, K/2]
}

impl RotaryTables {
    /// Tables for positions `0..length` and heads of `head_dim`.
    ///
    /// # Errors
    /// The device fails.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "positions are small; f32 is the working type"
    )]
    pub fn new(length: usize, head_dim: usize, theta: f64, device: &Device) -> Result<Self> {
        let half = head_dim / 2;
        let angle = |position: usize, pair: usize| position as f64 * theta.powf(-((2 * pair) as f64) / head_dim as f64);
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f32> = (0..length).flat_map(|t| (0..half).map(move |i| f(angle(t, i)) as f32)).collect();
            Tensor::from_vec(values, (length, half), device)
        };
        Ok(Self { cos: table(f64::cos)?, sin: table(f64::sin)? })
    }

    /// The rotation for `positions [B, T]` (u32).
    ///
    /// # Errors
    /// A position lies outside the tables, or the device fails.
    pub fn at(&self, positions: &Tensor) -> Result<Rotation> {
        let (batch, length) = positions.dims2()?;
        let flat = positions.flatten_all()?;
        let pick = |table: &Tensor| table.index_select(&flat, 0)?.reshape((batch, 1, length, table.dim(1)?));
        Ok(Rotation { cos: pick(&self.cos)?, sin: pick(&self.sin)? })
    }
}

impl Rotation {
    /// Rotates `x [B, H, T, K]`.
    ///
    /// # Errors
    /// Shapes do not fit, or the device fails.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let half = x.dim(D::Minus1)? / 2;
        let (a, b) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?); // [B, H, T, K/2] each
        let (cos, sin) = (self.cos.to_dtype(x.dtype())?, self.sin.to_dtype(x.dtype())?);
        let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
        let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
        Tensor::cat(&[first, second], D::Minus1)
    }

    /// Rotates every head of `x [B, T, H·K]`; no gradient.
    ///
    /// # Errors
    /// Shapes do not fit, or the device fails.
    pub fn turned(&self, x: &Tensor, num_heads: usize) -> Result<Tensor> {
        let (batch, length, inner) = x.dims3()?;
        let by_head = x.reshape((batch, length, num_heads, inner / num_heads.max(1)))?.transpose(1, 2)?;
        self.apply(&by_head.contiguous()?)?.transpose(1, 2)?.reshape((batch, length, inner))?.contiguous()
    }

    /// The same behind `count` positions that are not turned.
    ///
    /// # Errors
    /// The device fails.
    pub fn behind(&self, count: usize) -> Result<Self> {
        let (batch, one, _, half) = self.cos.dims4()?;
        let before = (batch, one, count, half);
        let ones = Tensor::ones(before, self.cos.dtype(), self.cos.device())?;
        let (cos, sin) = (Tensor::cat(&[&ones, &self.cos], 2)?, Tensor::cat(&[&ones.zeros_like()?, &self.sin], 2)?);
        Ok(Self { cos, sin })
    }

    /// The angles as slices, for `work`, if there is a rotation; the device is the processor.
    pub(super) fn with_angles<R>(
        rotation: Option<&Self>,
        work: impl FnOnce(Option<AllAngles<'_>>) -> Result<R>,
    ) -> Result<R> {
        let Some(Self { cos, sin }) = rotation else { return work(None) };
        let (batch, _, length, half) = cos.dims4()?;
        let stride = if batch == 1 { 0 } else { length * half };
        with_values([cos, sin], |[cos, sin]| work(Some(AllAngles { cos, sin, stride, half })))
    }
}

/// Cosines and sines of a batch.
#[derive(Clone, Copy)]
pub(super) struct AllAngles<'a> {
    cos: &'a [f32],
    sin: &'a [f32],
    stride: usize,
    half: usize,
}

impl<'a> AllAngles<'a> {
    /// Those of one row of the batch.
    pub(super) fn of(&self, row: usize) -> Angles<'a> {
        let start = row * self.stride;
        let from = |all: &'a [f32]| all.get(start..).unwrap_or_default();
        Angles { cos: from(self.cos), sin: from(self.sin), half: self.half }
    }
}

/// Cosines and sines of one row of a batch.
#[derive(Clone, Copy)]
pub(super) struct Angles<'a> {
    cos: &'a [f32],
    sin: &'a [f32],
    half: usize,
}

impl Angles<'_> {
    /// Turns one vector of a head at `position`.
    #[inline(always)]
    pub(super) fn rotate(&self, vector: &mut [f32], position: usize) {
        self.turn(vector, position, |a, b, cos, sin| (a * cos - b * sin, b * cos + a * sin));
    }

    /// Turns it back.
    #[inline(always)]
    pub(super) fn rotate_back(&self, vector: &mut [f32], position: usize) {
        self.turn(vector, position, |a, b, cos, sin| (a * cos + b * sin, b * cos - a * sin));
    }

    #[inline(always)]
    fn turn(&self, vector: &mut [f32], position: usize, by: impl Fn(f32, f32, f32, f32) -> (f32, f32)) {
        let at = position * self.half;
        let [cos, sin] = [self.cos, self.sin].map(|all| all.get(at..at + self.half).unwrap_or_default());
        let (first, second) = vector.split_at_mut(self.half.min(vector.len()));
        for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
            (*a, *b) = by(*a, *b, *cos, *sin);
        }
    }
}
