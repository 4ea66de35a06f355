//! Weights: what a model learns, with the gradient that a step gathers for each of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{CpuStorage, DType, Device, Result, Tensor, Var, bail};
use half::bf16;

use super::crew::{Part, Turn};
use super::host::{all_hosted, with_storage, with_values, with_values_mut};
use super::matrix::Factor;
use super::reading::Reading;
use super::shape::Put;
use super::update::{self, AdamWStep};
use super::vector::{add, round, widest};
use crate::core::Precision;

/// A trainable tensor: its values, in bf16 mode also rounded for products, and its gradient.
#[derive(Clone, Debug)]
pub struct Weight(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    variable: Var,
    /// The values that products use, if they are not the values themselves.
    rounded: Option<Tensor>,
    precision: Precision,
    gradient: Mutex<Gradient>,
    turn: Turn,
}

#[derive(Debug, Default)]
struct Gradient {
    /// Whether anything was added since the step began.
    filled: bool,
    hosted: Vec<f32>,
    elsewhere: Option<Tensor>,
}

impl Weight {
    /// `variable`, whose products are made in `precision`.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(variable: Var, precision: Precision) -> Result<Self> {
        let weight = Self::around(variable, precision)?;
        weight.refresh()?;
        Ok(weight)
    }

    /// Zeros that are about to be filled: nothing is written yet.
    ///
    /// # Errors
    /// The device fails.
    pub fn zeros(shape: &[usize], format: DType, precision: Precision, device: &Device) -> Result<Self> {
        Self::around(Var::zeros(shape, format, device)?, precision)
    }

    fn around(variable: Var, precision: Precision) -> Result<Self> {
        let halves = precision == Precision::Bf16 && all_hosted(&[&variable]);
        let rounded = halves.then(|| Tensor::zeros(variable.shape(), DType::BF16, variable.device())).transpose()?;
        Ok(Self(Arc::new(Inner { variable, rounded, precision, gradient: Mutex::default(), turn: Turn::default() })))
    }

    /// The tensor, which candle tracks.
    #[must_use]
    pub fn tensor(&self) -> &Tensor {
        &self.0.variable
    }

    /// How its products are made.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.0.precision
    }

    /// Replaces the values, whatever number format the new ones have.
    ///
    /// # Errors
    /// Shapes differ, or the device fails.
    pub fn set(&self, values: &Tensor) -> Result<()> {
        self.0.variable.set(&values.to_dtype(self.tensor().dtype())?)?;
        self.refresh()
    }

    /// Lets `fill` write the values in place; they lie in the processor's memory.
    ///
    /// # Errors
    /// They do not.
    pub fn fill(&self, fill: impl FnOnce(&mut [f32])) -> Result<()> {
        with_values_mut(&self.0.variable, |values| {
            fill(values);
            Ok(())
        })?;
        self.refresh()
    }

    /// Rounds the values again after they changed.
    fn refresh(&self) -> Result<()> {
        match &self.0.rounded {
            None => Ok(()),
            Some(rounded) => with_values([self.tensor()], |[values]| {
                with_values_mut(rounded, |rounded: &mut [bf16]| {
                    widest!(rounded.iter_mut().zip(values).for_each(|(rounded, value)| *rounded = round(*value)),);
                    Ok(())
                })
            }),
        }
    }

    /// The values that products use, for `read`.
    pub(super) fn with_factor<R>(&self, read: impl FnOnce(&Factor<'_>) -> Result<R>) -> Result<R> {
        match &self.0.rounded {
            None => with_values([self.tensor()], |[values]| read(&Factor::Single(values))),
            Some(rounded) => with_storage(rounded, |storage| match storage {
                CpuStorage::BF16(values) => read(&Factor::Half(values.as_slice().into())),
                _ => bail!("rounded weights are not bf16"),
            }),
        }
    }

    fn gradient(&self) -> MutexGuard<'_, Gradient> {
        self.0.gradient.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `work` put a slope into the gradient, or add it to what is there. If others work on the same step, it puts the slope
    /// elsewhere first, and only the sum waits for the turn of `part`.
    pub(super) fn add(&self, part: &Part, work: impl FnOnce(&mut [f32], Put) -> Result<()>) -> Result<()> {
        let count = self.tensor().elem_count();
        if part.is_alone() {
            let mut gradient = self.gradient();
            let how = if gradient.filled { Put::Add } else { Put::Replace };
            gradient.filled = true;
            gradient.hosted.resize(count, 0.0);
            return work(&mut gradient.hosted, how);
        }
        let mut slope = vec![0.0; count];
        work(&mut slope, Put::Replace)?;
        part.at_turn(&self.0.turn, || {
            let mut gradient = self.gradient();
            if gradient.filled {
                add(&mut gradient.hosted, &slope);
            } else {
                gradient.hosted = slope;
            }
            gradient.filled = true;
        })
    }

    /// Lets `work` add to the gradient here and there, as [`Weight::add`] does.
    pub(super) fn gather(&self, part: &Part, work: impl FnOnce(&mut [f32])) -> Result<()> {
        self.add(part, |sums, how| {
            if how == Put::Replace {
                sums.fill(0.0);
            }
            work(sums);
            Ok(())
        })
    }

    /// Adds a slope that candle found.
    pub(super) fn add_elsewhere(&self, slope: Tensor) -> Result<()> {
        let mut gradient = self.gradient();
        gradient.elsewhere = Some(match gradient.elsewhere.take() {
            None => slope.detach(),
            Some(sum) => (sum + slope)?.detach(),
        });
        gradient.filled = true;
        Ok(())
    }

    /// Begins a step: the gradient is nothing again. Its memory is kept.
    pub fn forget_gradient(&self) {
        self.0.turn.begin();
        let mut gradient = self.gradient();
        gradient.filled = false;
        gradient.elsewhere = None;
    }

    /// The gradient, if anything was added to it since the step began.
    ///
    /// # Errors
    /// The device fails.
    pub fn gradient_tensor(&self) -> Result<Option<Tensor>> {
        let gradient = self.gradient();
        match &gradient.elsewhere {
            _ if !gradient.filled => Ok(None),
            Some(tensor) => Ok(Some(tensor.clone())),
            None => Tensor::from_slice(&gradient.hosted, self.tensor().shape(), self.tensor().device()).map(Some),
        }
    }

    /// Σ g² over the gradient, if anything was added to it since the step began.
    ///
    /// # Errors
    /// The device fails.
    pub fn gradient_squares(&self) -> Result<Option<Reading>> {
        let gradient = self.gradient();
        match &gradient.elsewhere {
            _ if !gradient.filled => Ok(None),
            Some(tensor) => Reading::of(&tensor.sqr()?.sum_all()?).map(Some),
            None => Ok(Some(Reading::Known(update::sum_of_squares(&gradient.hosted)))),
        }
    }

    /// A moment of the weight before the first step: zeros, which on a processor are written here, by the thread that asks, and
    /// not first read and then written by the first step: either touch takes the system a moment for every page.
    ///
    /// # Errors
    /// The device fails.
    pub fn no_moment(&self) -> Result<Tensor> {
        let zeros = self.tensor().zeros_like()?;
        if all_hosted(&[&zeros]) {
            with_values_mut(&zeros, |zeros: &mut [f32]| {
                zeros.fill(0.0);
                Ok(())
            })?;
        }
        Ok(zeros)
    }

    /// One AdamW step along the gradient times `clip`, with its moments.
    ///
    /// # Errors
    /// Shapes differ, or the device fails.
    pub fn update(&self, first: &mut Tensor, second: &mut Tensor, clip: &Reading, step: AdamWStep) -> Result<()> {
        let gradient = self.gradient();
        match (&gradient.elsewhere, clip) {
            (Some(gradient), Reading::Known(clip)) => {
                update::plain(&self.0.variable, first, second, &(gradient * *clip)?, step)
            }
            (Some(gradient), Reading::Elsewhere(clip)) => {
                update::plain(&self.0.variable, first, second, &gradient.broadcast_mul(clip)?, step)
            }
            (None, Reading::Elsewhere(_)) => bail!("a gradient in the processor's memory is clipped elsewhere"),
            (None, Reading::Known(clip)) => {
                with_values_mut(&self.0.variable, |values| {
                    with_values_mut(first, |first| {
                        with_values_mut(second, |second| {
                            update::adamw(values, [first, second], &gradient.hosted, *clip, step)
                        })
                    })
                })?;
                self.refresh()
            }
        }
    }
}
