//! A norm with its weights.

use candle_core::Result;

use super::parameters::Parameters;
use crate::core::{ModelSpec, NormKind};
use crate::kernel::Weight;
use crate::kernel::norm::{Kind, Norm};

/// A norm of the kind that the model has.
#[derive(Clone, Debug)]
pub struct OwnNorm {
    gain: Weight,         // [D]
    bias: Option<Weight>, // [D], in LayerNorm
    epsilon: f64,
}

impl OwnNorm {
    /// Ones, and zeros for the bias, under `name`.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(spec: &ModelSpec, parameters: &mut Parameters, name: &str) -> Result<Self> {
        let gain = parameters.ones(&format!("{name}.weight"), &[spec.d_model])?;
        let bias = match spec.norm {
            NormKind::RmsNorm => None,
            NormKind::LayerNorm => Some(parameters.zeros(&format!("{name}.bias"), &[spec.d_model])?),
        };
        Ok(Self { gain, bias, epsilon: spec.norm_epsilon })
    }

    /// As the operations take it.
    #[must_use]
    pub fn as_norm(&self) -> Norm<'_> {
        let kind = self.bias.as_ref().map_or(Kind::RootMeanSquare, |bias| Kind::Layer(Some(bias)));
        Norm { kind, gain: &self.gain, epsilon: self.epsilon }
    }
}
