//! The gradient of all parameters, in their order: collected, accumulated, measured, clipped.

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

use crate::kernel::update::{added, scaled, sum_of_squares};

/// A gradient could not be formed.
#[derive(Debug, thiserror::Error)]
pub enum GradientError {
    /// The backward pass did not reach a parameter.
    #[error("parameter `{0}` received no gradient: an op on its path has no backward pass")]
    Missing(String),
    /// The device failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// One gradient per parameter, in the parameters' order.
#[derive(Clone, Debug)]
pub struct Gradients(Vec<Tensor>);

impl Gradients {
    /// Takes the gradients of `parameters` out of a backward pass.
    ///
    /// # Errors
    /// A parameter has none.
    pub fn collect<'a>(
        store: &mut GradStore,
        parameters: impl Iterator<Item = (&'a str, &'a Var)>,
    ) -> std::result::Result<Self, GradientError> {
        let take = |(name, variable): (&str, &Var)| {
            store.remove(variable.as_tensor()).ok_or_else(|| GradientError::Missing(name.to_owned()))
        };
        Ok(Self(parameters.map(take).collect::<std::result::Result<_, _>>()?))
    }

    /// Adds another micro-batch's gradients.
    ///
    /// # Errors
    /// Shapes differ, or the device fails.
    pub fn accumulate(self, other: &Self) -> Result<Self> {
        Ok(Self(self.0.into_iter().zip(&other.0).map(|(a, b)| added(a, b)).collect::<Result<_>>()?))
    }

    /// Global L2 norm over all parameters.
    ///
    /// # Errors
    /// The device fails.
    pub fn norm(&self) -> Result<f64> {
        let total: f64 = self.0.iter().map(sum_of_squares).sum::<Result<f64>>()?;
        Ok(total.sqrt())
    }

    /// Scales all gradients so that a global `norm` above `limit` becomes `limit`; 0 means no limit
    /// (Pascanu et al. 2013, arXiv 1211.5063, algorithm 1).
    ///
    /// # Errors
    /// The device fails.
    pub fn clip(self, norm: f64, limit: f64) -> Result<Self> {
        if limit <= 0.0 || norm <= limit {
            return Ok(self);
        }
        let scale = limit / (norm + 1e-6);
        Ok(Self(self.0.into_iter().map(|gradient| scaled(gradient, scale)).collect::<Result<_>>()?))
    }

    /// The tensors, in the parameters' order.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        &self.0
    }
}
