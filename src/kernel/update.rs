//! What an optimizer does to whole tensors, in place where they lie in the processor's memory: sums of squares, scaling,
//! adding, and the AdamW step. Elsewhere the plain references make new tensors.

use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, InplaceOp3, Layout, Result, Tensor, Var, bail};

use super::host::{all_hosted, values, values_mut, with_values};
use super::vector::{dot, widest};

/// Numbers whose squares are summed in f32 before they are added up in f64.
const RUN: usize = 4096;

/// Σ x² over all elements.
///
/// # Errors
/// The device fails.
pub fn sum_of_squares(x: &Tensor) -> Result<f64> {
    if all_hosted(&[x]) {
        let runs = |x: &[f32]| widest(|| x.chunks(RUN).map(|run| f64::from(dot(run, run))).sum());
        with_values([&x.contiguous()?], |[x]| Ok(runs(x)))
    } else {
        x.sqr()?.sum_all()?.to_dtype(candle_core::DType::F64)?.to_scalar()
    }
}

/// `x` times `factor`; on a processor in its own memory, which nobody else may be reading.
///
/// # Errors
/// The device fails.
pub fn scaled(x: Tensor, factor: f64) -> Result<Tensor> {
    if all_hosted(&[&x]) {
        x.inplace_op1(&Scale(factor))?;
        Ok(x)
    } else {
        x * factor
    }
}

/// `x + y`; on a processor in the memory of `x`, which nobody else may be reading.
///
/// # Errors
/// Shapes differ, or the device fails.
pub fn added(x: Tensor, y: &Tensor) -> Result<Tensor> {
    if all_hosted(&[&x, y]) {
        x.inplace_op2(&y.contiguous()?, &Combine { keep: 1.0, add: |x| x })?;
        Ok(x)
    } else {
        x + y
    }
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

/// One AdamW step of `variable` and its moments.
///
/// # Errors
/// Shapes differ, or the device fails.
pub fn adamw(
    variable: &Var,
    first: &mut Tensor,
    second: &mut Tensor,
    gradient: &Tensor,
    step: AdamWStep,
) -> Result<()> {
    if all_hosted(&[variable, first, second, gradient]) {
        let gradient = gradient.contiguous()?;
        #[expect(clippy::cast_possible_truncation, reason = "f32 is meant")]
        let (beta1, beta2) = (step.beta1 as f32, step.beta2 as f32);
        first.inplace_op2(&gradient, &Combine { keep: beta1, add: |g| g * (1.0 - beta1) })?;
        second.inplace_op2(&gradient, &Combine { keep: beta2, add: |g| g * g * (1.0 - beta2) })?;
        return variable.inplace_op3(first, second, &Move(step));
    }
    *first = ((&*first * step.beta1)? + (gradient * (1.0 - step.beta1))?)?.detach();
    *second = ((&*second * step.beta2)? + (gradient.sqr()? * (1.0 - step.beta2))?)?.detach();
    let root = ((&*second * step.second_correction)?.sqrt()? + step.epsilon)?;
    let change = ((&*first * step.rate)? / root)?;
    variable.set(&((variable.as_tensor().detach() * step.keep)? - change)?)
}

struct Scale(f64);

impl InplaceOp1 for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    #[expect(clippy::cast_possible_truncation, reason = "f32 is meant")]
    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (x, factor) = (values_mut(storage, layout)?, self.0 as f32);
        widest(|| x.iter_mut().for_each(|x| *x *= factor));
        Ok(())
    }
}

/// `x · keep + add(y)`.
struct Combine<F> {
    keep: f32,
    add: F,
}

impl<F: Fn(f32) -> f32> InplaceOp2 for Combine<F> {
    fn name(&self) -> &'static str {
        "combine"
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, lx: &Layout, y: &CpuStorage, ly: &Layout) -> Result<()> {
        let (x, y) = (values_mut(x, lx)?, values((y, ly))?);
        if x.len() != y.len() {
            bail!("{} numbers and {} do not go together", x.len(), y.len());
        }
        widest(|| x.iter_mut().zip(y).for_each(|(x, y)| *x = *x * self.keep + (self.add)(*y)));
        Ok(())
    }
}

struct Move(AdamWStep);

impl InplaceOp3 for Move {
    fn name(&self) -> &'static str {
        "adamw"
    }

    #[expect(clippy::cast_possible_truncation, reason = "f32 is meant")]
    fn cpu_fwd(
        &self,
        value: &mut CpuStorage,
        lv: &Layout,
        first: &CpuStorage,
        lf: &Layout,
        second: &CpuStorage,
        ls: &Layout,
    ) -> Result<()> {
        let (value, first, second) = (values_mut(value, lv)?, values((first, lf))?, values((second, ls))?);
        let AdamWStep { rate, second_correction, epsilon, keep, .. } = self.0;
        let [rate, second_correction, epsilon, keep] = [rate, second_correction, epsilon, keep].map(|x| x as f32);
        widest(|| {
            for ((value, first), second) in value.iter_mut().zip(first).zip(second) {
                *value = *value * keep - first * rate / ((second * second_correction).sqrt() + epsilon);
            }
        });
        Ok(())
    }
}
