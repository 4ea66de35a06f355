//! The weights of a model, in the order in which the model made them.
//! Each is drawn from its own stream, addressed by the run's seed and its name: neither order nor other layers matter.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor, Var};

use super::initial::draw_normal;
use crate::core::Precision;
use crate::kernel::Weight;
use crate::kernel::threads::each;

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

/// How the numbers of a model are held and multiplied.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// Format of weights and values: f32. In f64 a model runs through the plain references, as it does on other devices.
    pub format: DType,
    /// Format of the factors of products with weights.
    pub precision: Precision,
    /// Where they are.
    pub device: Device,
}

/// Named, ordered weights.
#[derive(Debug)]
pub struct Parameters {
    numbers: Numbers,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    weight: Weight,
    /// Standard deviation of the first values; none for ones.
    deviation: Option<f64>,
}

impl Parameters {
    /// No parameters yet.
    #[must_use]
    pub const fn new(numbers: Numbers) -> Self {
        Self { numbers, entries: Vec::new() }
    }

    /// A parameter that begins with draws from N(0, `deviation`²): zeros until [`Parameters::draw`].
    ///
    /// # Errors
    /// The device fails.
    pub fn normal(&mut self, name: &str, shape: &[usize], deviation: f64) -> Result<Weight> {
        let Numbers { format, precision, device } = &self.numbers;
        self.add(name, Weight::zeros(shape, *format, *precision, device)?, Some(deviation))
    }

    /// A parameter of zeros.
    ///
    /// # Errors
    /// The device fails.
    pub fn zeros(&mut self, name: &str, shape: &[usize]) -> Result<Weight> {
        let Numbers { format, precision, device } = &self.numbers;
        self.add(name, Weight::zeros(shape, *format, *precision, device)?, None)
    }

    /// A parameter of ones.
    ///
    /// # Errors
    /// The device fails.
    pub fn ones(&mut self, name: &str, shape: &[usize]) -> Result<Weight> {
        let Numbers { format, precision, device } = &self.numbers;
        let ones = Var::ones(shape, *format, device)?;
        self.add(name, Weight::new(ones, *precision)?, None)
    }

    fn add(&mut self, name: &str, weight: Weight, deviation: Option<f64>) -> Result<Weight> {
        self.entries.push(Entry { name: name.to_owned(), weight: weight.clone(), deviation });
        Ok(weight)
    }

    /// Draws the first values of all weights that begin with draws, from the streams of `seed`, on `threads` threads. The
    /// values do not depend on their number.
    ///
    /// # Errors
    /// The device fails.
    pub fn draw(&self, seed: u64, threads: usize) -> Result<()> {
        let jobs: Vec<_> = self.entries.iter().filter_map(|entry| Some((entry, entry.deviation?))).collect();
        let size = |(entry, _): &(&Entry, f64)| entry.weight.tensor().elem_count();
        each(jobs, threads, size, |(entry, deviation)| {
            let draw = |values: &mut [f32]| draw_normal(values, seed, &entry.name, deviation);
            let (tensor, Numbers { format, device, .. }) = (entry.weight.tensor(), &self.numbers);
            if matches!((format, device), (DType::F32, Device::Cpu)) {
                return entry.weight.fill(draw);
            }
            let mut values = vec![0.0; tensor.elem_count()];
            draw(&mut values);
            entry.weight.set(&Tensor::from_vec(values, tensor.shape(), device)?)
        })
    }

    /// Names and weights, in the model's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Weight)> {
        self.entries.iter().map(|entry| (entry.name.as_str(), &entry.weight))
    }

    /// The weights, in the model's order.
    pub fn weights(&self) -> impl ExactSizeIterator<Item = &Weight> {
        self.entries.iter().map(|entry| &entry.weight)
    }

    /// Counted elements of all parameters.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.weights().map(|weight| weight.tensor().elem_count() as u64).sum()
    }

    /// Where they live.
    #[must_use]
    pub const fn device(&self) -> &Device {
        &self.numbers.device
    }

    /// All tensors by name, for a checkpoint.
    #[must_use]
    pub fn tensors(&self) -> HashMap<String, Tensor> {
        self.iter().map(|(name, weight)| (name.to_owned(), weight.tensor().clone())).collect()
    }

    /// Replaces every value in place: the model's tensors see the new ones.
    ///
    /// # Errors
    /// A tensor is missing, unknown or of another shape; nothing is half replaced in the first two cases.
    pub fn load(&self, stored: &HashMap<String, Tensor>) -> std::result::Result<(), ParameterError> {
        if let Some(name) = stored.keys().find(|name| !self.entries.iter().any(|entry| entry.name == **name)) {
            return Err(ParameterError::Unknown(name.clone()));
        }
        for (name, weight) in self.iter() {
            let value = stored.get(name).ok_or_else(|| ParameterError::Missing(name.to_owned()))?;
            if value.dims() != weight.tensor().dims() {
                let (found, needed) = (value.dims().to_vec(), weight.tensor().dims().to_vec());
                return Err(ParameterError::Shape { name: name.to_owned(), found, needed });
            }
        }
        for (name, weight) in self.iter() {
            if let Some(value) = stored.get(name) {
                weight.set(&value.to_device(&self.numbers.device)?)?;
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
        let numbers = Numbers { format: DType::F32, precision: Precision::F32, device: Device::Cpu };
        let mut parameters = Parameters::new(numbers);
        let weight = parameters.normal("w", &[2, 3], 1.0).unwrap();
        let tensor = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let load = |name: &str, shape: &[usize]| parameters.load(&HashMap::from([(name.to_owned(), tensor(shape))]));
        assert!(matches!(load("w", &[3, 2]), Err(ParameterError::Shape { .. })));
        assert!(matches!(load("v", &[2, 3]), Err(ParameterError::Unknown(_))));
        assert!(matches!(parameters.load(&HashMap::new()), Err(ParameterError::Missing(_))));
        load("w", &[2, 3]).unwrap();
        assert_eq!(weight.tensor().to_vec2::<f32>().unwrap(), vec![vec![0.0; 3]; 2], "the model sees loaded values");
    }
}
