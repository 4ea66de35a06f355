//! A number that an operation gave: known at once on the processor, still on its way on a device, which is only waited for
//! when somebody reads it.

use candle_core::{DType, Result, Tensor};

use super::host::all_hosted;

/// A scalar.
#[derive(Clone, Debug)]
pub enum Reading {
    /// It is here.
    Known(f64),
    /// It is a scalar tensor elsewhere.
    Elsewhere(Tensor),
}

impl Reading {
    /// The number of a tensor with one element.
    ///
    /// # Errors
    /// It has more, or the device fails.
    pub fn of(scalar: &Tensor) -> Result<Self> {
        let scalar = scalar.detach().flatten_all()?.squeeze(0)?;
        if all_hosted(&[&scalar]) {
            scalar.to_scalar::<f32>().map(|number| Self::Known(number.into()))
        } else {
            Ok(Self::Elsewhere(scalar))
        }
    }

    /// Waits for it.
    ///
    /// # Errors
    /// The device fails.
    pub fn read(&self) -> Result<f64> {
        match self {
            Self::Known(number) => Ok(*number),
            Self::Elsewhere(scalar) => scalar.to_dtype(DType::F32)?.to_scalar::<f32>().map(f64::from),
        }
    }

    /// The sum of some; 0 of none.
    ///
    /// # Errors
    /// They are on different devices, or one fails.
    pub fn sum(readings: impl IntoIterator<Item = Self>) -> Result<Self> {
        readings.into_iter().try_fold(Self::Known(0.0), |sum, next| match (sum, next) {
            (Self::Known(a), Self::Known(b)) => Ok(Self::Known(a + b)),
            (Self::Known(known), Self::Elsewhere(scalar)) | (Self::Elsewhere(scalar), Self::Known(known)) => {
                Ok(Self::Elsewhere((scalar + known)?))
            }
            (Self::Elsewhere(a), Self::Elsewhere(b)) => Ok(Self::Elsewhere((a + b)?)),
        })
    }
}
