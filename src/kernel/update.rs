//! What an optimizer does to whole tensors. In the processor's memory a clipped AdamW step is one pass over the value, its
//! moments and its gradient, in place; elsewhere the plain reference makes new tensors.

use candle_core::{Result, Tensor, Var, bail};

use super::vector::{dot, widest};

/// Numbers whose squares are summed in f32 before they are added up in f64.
const RUN: usize = 4096;

/// Σ x² over all elements.
pub(super) fn sum_of_squares(x: &[f32]) -> f64 {
    widest!(x.chunks(RUN).map(|run| f64::from(dot(run, run))).sum(),)
}

/// The numbers of one AdamW step (Loshchilov & Hutter 2019, arXiv 1711.05101, algorithm 2).
#[derive(Clone, Copy, Debug)]
pub struct AdamWStep {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Learning rate times the correction of the first moment's bias.
    pub rate: f64,
    /// Correction of the second moment's bias.
    pub second_correction: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// What is left of the value after decay.
    pub keep: f64,
}

/// One AdamW step in place, along `gradient` times `clip`.
#[expect(clippy::cast_possible_truncation, reason = "f32 is meant")]
pub(super) fn adamw(
    values: &mut [f32],
    [first, second]: [&mut [f32]; 2],
    gradient: &[f32],
    clip: f64,
    step: AdamWStep,
) -> Result<()> {
    if [first.len(), second.len(), gradient.len()] != [values.len(); 3] {
        bail!("moments or gradient do not fit {} values", values.len());
    }
    let AdamWStep { beta1, beta2, rate, second_correction, epsilon, keep } = step;
    let [clip, beta1, beta2, rate] = [clip, beta1, beta2, rate].map(|x| x as f32);
    let [second_correction, epsilon, keep] = [second_correction, epsilon, keep].map(|x| x as f32);
    widest!({
        let moments = first.iter_mut().zip(second);
        for ((value, (first, second)), gradient) in values.iter_mut().zip(moments).zip(gradient) {
            let gradient = gradient * clip;
            *first = *first * beta1 + gradient * (1.0 - beta1);
            *second = *second * beta2 + gradient * gradient * (1.0 - beta2);
            *value = *value * keep - *first * rate / ((*second * second_correction).sqrt() + epsilon);
        }
    },);
    Ok(())
}

/// The reference.
///
/// # Errors
/// Shapes differ, or the device fails.
pub fn plain(
    variable: &Var,
    first: &mut Tensor,
    second: &mut Tensor,
    gradient: &Tensor,
    step: AdamWStep,
) -> Result<()> {
    *first = ((&*first * step.beta1)? + (gradient * (1.0 - step.beta1))?)?.detach();
    *second = ((&*second * step.beta2)? + (gradient.sqr()? * (1.0 - step.beta2))?)?.detach();
    let root = ((&*second * step.second_correction)?.sqrt()? + step.epsilon)?;
    let change = ((&*first * step.rate)? / root)?;
    variable.set(&((variable.as_tensor().detach() * step.keep)? - change)?)
}
