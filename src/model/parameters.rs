//! The trainable tensors of a model, in the order in which the model made them.
//! Each is drawn from its own stream, addressed by the run's seed and its name: neither order nor other layers matter.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor, Var};

use super::initial::normal_values;

/// Weights do not fit the model.
#[derive(Debug, thiserror::Error)]
pub enum ParameterError {
    /// A tensor is missing.
    #[error("parameter `{0}` is missing")]
    Missing(String),
    /// A tensor has another shape.
    #[error("parameter `{name}` has shape {found:?}, the model needs {needed:?}")]
    Shape {
        /// Parameter.
        name: String,
        /// Stored shape.
        found: Vec<usize>,
        /// The model's shape.
        needed: Vec<usize>,
    },
    /// A tensor belongs to no parameter.
    #[error("`{0}` is no parameter of this model")]
    Unknown(String),
    /// The device failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// Named, ordered, trainable tensors.
#[derive(Debug)]
pub struct Parameters {
    seed: u64,
    device: Device,
    entries: Vec<(String, Var)>,
}

impl Parameters {
    /// No parameters yet.
    #[must_use]
    pub const fn new(seed: u64, device: Device) -> Self {
        Self { seed, device, entries: Vec::new() }
    }

    /// A parameter drawn from N(0, `deviation`²), f32.
    ///
    /// # Errors
    /// The device fails.
    pub fn normal(&mut self, name: &str, shape: &[usize], deviation: f64) -> Result<Tensor> {
        let values = normal_values(self.seed, name, shape.iter().product(), deviation);
        self.add(name, Tensor::from_vec(values, shape, &self.device)?)
    }

    /// A parameter of ones, f32.
    ///
    /// # Errors
    /// The device fails.
    pub fn ones(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.add(name, Tensor::ones(shape, DType::F32, &self.device)?)
    }

    fn add(&mut self, name: &str, value: Tensor) -> Result<Tensor> {
        let variable = Var::from_tensor(&value)?;
        let tensor = variable.as_tensor().clone();
        self.entries.push((name.to_owned(), variable));
        Ok(tensor)
    }

    /// Names and variables, in the model's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Var)> {
        self.entries.iter().map(|(name, variable)| (name.as_str(), variable))
    }

    /// Counted elements of all parameters.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.entries.iter().map(|(_, variable)| variable.elem_count() as u64).sum()
    }

    /// Where they live.
    #[must_use]
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// All tensors by name, for a checkpoint.
    #[must_use]
    pub fn tensors(&self) -> HashMap<String, Tensor> {
        self.entries.iter().map(|(name, variable)| (name.clone(), variable.as_tensor().clone())).collect()
    }

    /// Replaces every value in place: the model's tensors see the new ones.
    ///
    /// # Errors
    /// A tensor is missing, unknown or of another shape; nothing is half replaced in the first two cases.
    pub fn load(&self, stored: &HashMap<String, Tensor>) -> std::result::Result<(), ParameterError> {
        if let Some(name) = stored.keys().find(|name| !self.entries.iter().any(|(own, _)| own == *name)) {
            return Err(ParameterError::Unknown(name.clone()));
        }
        for (name, variable) in &self.entries {
            let value = stored.get(name).ok_or_else(|| ParameterError::Missing(name.clone()))?;
            if value.dims() != variable.dims() {
                let (found, needed) = (value.dims().to_vec(), variable.dims().to_vec());
                return Err(ParameterError::Shape { name: name.clone(), found, needed });
            }
        }
        for (name, variable) in &self.entries {
            if let Some(value) = stored.get(name) {
                variable.set(&value.to_device(&self.device)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loading_checks_names_and_shapes() {
        let mut parameters = Parameters::new(1, Device::Cpu);
        let weight = parameters.normal("w", &[2, 3], 1.0).unwrap();
        let tensor = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let load = |name: &str, shape: &[usize]| parameters.load(&HashMap::from([(name.to_owned(), tensor(shape))]));
        assert!(matches!(load("w", &[3, 2]), Err(ParameterError::Shape { .. })));
        assert!(matches!(load("v", &[2, 3]), Err(ParameterError::Unknown(_))));
        assert!(matches!(parameters.load(&HashMap::new()), Err(ParameterError::Missing(_))));
        load("w", &[2, 3]).unwrap();
        assert_eq!(weight.to_vec2::<f32>().unwrap(), vec![vec![0.0; 3]; 2], "the model sees loaded values");
    }
}
