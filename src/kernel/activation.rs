//! The gate of the MLP.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::host::{all_hosted, given, values, with_values};
use super::vector::{exp, widest};

/// SwiGLU: silu(gate) ⊙ up (Shazeer 2020, arXiv 2002.05202, eq. 6). Both `[.., F]`.
///
/// # Errors
/// Shapes differ, or the device fails.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if all_hosted(&[gate, up]) && gate.dims() == up.dims() {
        gate.contiguous()?.apply_op2(&up.contiguous()?, Swiglu)
    } else {
        plain(gate, up)
    }
}

/// The reference.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn plain(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.silu()? * up
}

struct Swiglu;

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

impl CustomOp2 for Swiglu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(&self, gate: &CpuStorage, lg: &Layout, up: &CpuStorage, lu: &Layout) -> Result<(CpuStorage, Shape)> {
        let pairs = values((gate, lg))?.iter().zip(values((up, lu))?);
        let gated = widest(|| pairs.map(|(gate, up)| gate * sigmoid(*gate) * up).collect());
        Ok(given(gated, lg.shape().clone()))
    }

    /// With s = sigmoid(gate): dgate = g·up·(s + gate·s·(1 − s)), dup = g·gate·s.
    fn bwd(&self, gate: &Tensor, up: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (grad, shape, device) = (grad.contiguous()?, gate.shape(), gate.device());
        let (dgate, dup) = with_values(gate, |gate| {
            with_values(up, |up| {
                with_values(&grad, |grad| {
                    let rows = || gate.iter().zip(up).zip(grad);
                    let dgate = widest(|| {
                        rows()
                            .map(|((gate, up), g)| {
                                let s = sigmoid(*gate);
                                g * up * (s + gate * s * (1.0 - s))
                            })
                            .collect::<Vec<f32>>()
                    });
                    let dup = widest(|| rows().map(|((gate, _), g)| g * gate * sigmoid(*gate)).collect::<Vec<f32>>());
                    Ok((dgate, dup))
                })
            })
        })?;
        Ok((Some(Tensor::from_vec(dgate, shape, device)?), Some(Tensor::from_vec(dup, shape, device)?)))
    }
}
