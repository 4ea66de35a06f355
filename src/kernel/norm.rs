//! Normalisation of rows: by their root mean square, or by mean and standard deviation.

use std::sync::OnceLock;

use candle_core::{D, Result, Tensor, bail};

use super::crew::Part;
use super::host::with_values;
use super::tape::{Numbers, Place, Value, single};
use super::vector::{add, dot, made, sum, widest};
use super::weight::Weight;

/// What a row is brought to.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// RMSNorm (Zhang & Sennrich 2019, arXiv 1910.07467, eq. 4): `x / √(mean(x²) + ε) ⊙ gain`.
    RootMeanSquare,
    /// LayerNorm (Ba et al. 2016, arXiv 1607.06450, eq. 4): `(x − mean(x)) / √(var(x) + ε) ⊙ gain + bias`, with the bias, if any.
    Layer(Option<&'a Weight>),
}

/// A norm with its gain `[D]`.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// Which.
    pub kind: Kind<'a>,
    /// What the normed values are multiplied by, `[D]`.
    pub gain: &'a Weight,
    /// Added to the mean square.
    pub epsilon: f64,
}

impl Norm<'_> {
    /// The norm of `x [.., D]`, in its shape.
    ///
    /// # Errors
    /// Shapes differ, or the device fails.
    pub fn apply(&self, x: &Value) -> Result<Value> {
        if !x.is_hosted() {
            let bias = if let Kind::Layer(bias) = self.kind { bias.map(|bias| x.seen(bias)) } else { None };
            let centred = matches!(self.kind, Kind::Layer(_));
            let normed = plain(x.tensor(), centred, &x.seen(self.gain), bias.as_ref(), self.epsilon)?;
            return Ok(single(Value::elsewhere(&[x], [normed])));
        }
        let norm = Normed::new(*self);
        let normed = with_values([x.tensor()], |[x]| norm.forward(x))?;
        let normed = Tensor::from_vec(normed, x.tensor().shape(), x.tensor().device())?;
        let (kept, place) = (x.tensor().clone(), x.place());
        let back = move |numbers: &mut Numbers, [slope]: [Vec<f32>; 1], part: &Part| {
            with_values([&kept], |[x]| norm.backward(x, slope, numbers, place, part))
        };
        Ok(single(Value::record(&[x], [normed], back)))
    }
}

/// The reference: `centred` for LayerNorm, else RMSNorm.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn plain(x: &Tensor, centred: bool, gain: &Tensor, bias: Option<&Tensor>, epsilon: f64) -> Result<Tensor> {
    let x = if centred { x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)? } else { x.clone() };
    let mean_square = x.sqr()?.mean_keepdim(D::Minus1)?; // [.., 1]
    let normed = x.broadcast_div(&(mean_square + epsilon)?.sqrt()?)?.broadcast_mul(gain)?;
    bias.map_or(Ok(normed.clone()), |bias| normed.broadcast_add(bias))
}

/// A norm at work: what it subtracted from each row and what it multiplied it by.
pub(super) struct Normed {
    centred: bool,
    gain: Weight,
    bias: Option<Weight>,
    epsilon: f64,
    /// Mean and scale of every row.
    rows: OnceLock<Vec<(f32, f32)>>,
}

impl Normed {
    pub(super) fn new(norm: Norm<'_>) -> Self {
        let (centred, bias) = match norm.kind {
            Kind::RootMeanSquare => (false, None),
            Kind::Layer(bias) => (true, bias.cloned()),
        };
        Self { centred, gain: norm.gain.clone(), bias, epsilon: norm.epsilon, rows: OnceLock::new() }
    }

    /// The normed rows of `x`.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "widths are small; f32 is meant")]
    pub(super) fn forward(&self, x: &[f32]) -> Result<Vec<f32>> {
        let width = self.gain.tensor().elem_count();
        if width == 0 || !x.len().is_multiple_of(width) {
            bail!("a gain of {width} does not fit {} values", x.len());
        }
        let (count, epsilon) = (width as f32, self.epsilon as f32);
        let rows = widest!({
            let row = |row: &[f32]| {
                let mean = if self.centred { sum(row) / count } else { 0.0 };
                let squares = if self.centred { spread(row, mean) } else { dot(row, row) };
                (mean, 1.0 / (squares / count + epsilon).sqrt())
            };
            x.chunks_exact(width).map(row).collect::<Vec<_>>()
        },);
        drop(self.rows.set(rows));
        self.again(x)
    }

    fn rows(&self) -> Result<&[(f32, f32)]> {
        self.rows.get().map(Vec::as_slice).ok_or_else(|| candle_core::Error::Msg("a norm was not made yet".to_owned()))
    }

    /// The normed rows of the same `x` once more.
    pub(super) fn again(&self, x: &[f32]) -> Result<Vec<f32>> {
        let rows = self.rows()?;
        let mut normed = with_values([self.gain.tensor()], |[gain]| {
            Ok(made(
                x.len(),
                #[inline(always)]
                |normed| {
                    let own = normed.chunks_exact_mut(gain.len()).zip(x.chunks_exact(gain.len()));
                    for ((normed, x), (mean, scale)) in own.zip(rows) {
                        let numbers = normed.iter_mut().zip(x).zip(gain);
                        numbers.for_each(|((normed, x), gain)| *normed = (x - mean) * scale * gain);
                    }
                },
            ))
        })?;
        if let Some(bias) = &self.bias {
            with_values([bias.tensor()], |[bias]| {
                let rows = normed.chunks_exact_mut(bias.len());
                rows.for_each(|row| row.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias));
                Ok(())
            })?;
        }
        Ok(normed)
    }

    /// With z = (x − mean)·s, the slopes g of the normed rows and h = g ⊙ gain: dx = s·(h − mean(h) − z·mean(h ⊙ z)), without
    /// the mean of h if x was not centred; dgain = Σ g ⊙ z, dbias = Σ g.
    #[expect(clippy::cast_precision_loss, reason = "widths are small")]
    pub(super) fn backward(
        &self,
        x: &[f32],
        mut slope: Vec<f32>,
        numbers: &mut Numbers,
        place: Place,
        part: &Part,
    ) -> Result<()> {
        let (width, scales) = (self.gain.tensor().elem_count(), self.rows()?);
        let (mut dgain, mut dbias) = (vec![0.0_f32; width], vec![0.0_f32; width]);
        with_values([self.gain.tensor()], |[gain]| {
            widest!({
                let rows = slope.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(scales);
                for ((slope, x), (mean, scale)) in rows {
                    if self.centred {
                        dbias.iter_mut().zip(&*slope).for_each(|(sum, slope)| *sum += slope);
                    }
                    for (((sum, slope), x), gain) in dgain.iter_mut().zip(&mut *slope).zip(x).zip(gain) {
                        *sum += *slope * ((x - mean) * scale);
                        *slope *= gain;
                    }
                    let total = sum(slope);
                    let along = dot(slope, x) - mean * total;
                    let pull = along * scale * scale * scale / width as f32;
                    let shift = if self.centred { total * scale / width as f32 } else { 0.0 };
                    slope.iter_mut().zip(x).for_each(|(h, x)| *h = scale * *h - (x - mean) * pull - shift);
                }
            },);
            Ok(())
        })?;
        self.gain.gather(part, |sums| add(sums, &dgain))?;
        if let Some(bias) = &self.bias {
            bias.gather(part, |sums| add(sums, &dbias))?;
        }
        numbers.give(place, slope);
        Ok(())
    }
}

/// Σ (x − mean)².
#[inline(always)]
fn spread(row: &[f32], mean: f32) -> f32 {
    super::vector::sum_of(row, row, |a, b| (a - mean) * (b - mean))
}
