//! The second half of the gated MLP: the gate and the projection back.

use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor, bail};

use super::host::{all_hosted, ending_in, given, gradient_of, values, with_values};
use super::linear::linear;
use super::matrix::{Projection, Put};
use super::vector::{exp, widest};

/// `(silu(gate) ⊙ up) · downᵀ` for `gate` and `up [.., F]`, `down [D, F]` (SwiGLU, Shazeer 2020, arXiv 2002.05202, eq. 6).
/// Gives `[.., D]`. On a processor the gated values live for a few rows at a time and are made again for the gradient.
///
/// # Errors
/// Shapes differ, or the device fails.
pub fn swiglu_linear(gate: &Tensor, up: &Tensor, down: &Tensor) -> Result<Tensor> {
    if all_hosted(&[gate, up, down]) && gate.dims() == up.dims() {
        gate.contiguous()?.apply_op3(&up.contiguous()?, &down.contiguous()?, SwigluLinear)
    } else {
        plain(gate, up, down)
    }
}

/// The reference.
///
/// # Errors
/// As for [`swiglu_linear`].
pub fn plain(gate: &Tensor, up: &Tensor, down: &Tensor) -> Result<Tensor> {
    linear(&(gate.silu()? * up)?, down)
}

/// Rows that are gated together.
const ROWS: usize = 1024;

struct SwigluLinear;

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The numbers of rows `number · ROWS` and following, at most [`ROWS`] of them.
fn block(all: &[f32], number: usize, width: usize) -> &[f32] {
    let from = number * ROWS * width;
    all.get(from..all.len().min(from + ROWS * width)).unwrap_or_default()
}

impl CustomOp3 for SwigluLinear {
    fn name(&self) -> &'static str {
        "swiglu-linear"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        lg: &Layout,
        up: &CpuStorage,
        lu: &Layout,
        down: &CpuStorage,
        ld: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (out, hidden) = ld.shape().dims2()?;
        let (gate, up, down) = (values((gate, lg))?, values((up, lu))?, values((down, ld))?);
        if hidden == 0 || lg.dims().last() != Some(&hidden) {
            bail!("a projection {:?} does not fit gates {:?}", ld.shape(), lg.shape());
        }
        let mut projected = vec![0.0; gate.len() / hidden * out];
        let mut gated = Vec::with_capacity(ROWS.min(gate.len() / hidden) * hidden);
        for (number, target) in projected.chunks_mut(ROWS * out).enumerate() {
            gated.clear();
            let pairs = block(gate, number, hidden).iter().zip(block(up, number, hidden));
            widest(|| gated.extend(pairs.map(|(gate, up)| gate * sigmoid(*gate) * up)));
            let projection = Projection { rows: target.len() / out, input: hidden, out };
            projection.product(target, Put::Replace, &gated, down);
        }
        Ok(given(projected, ending_in(lg.dims(), out)))
    }

    /// With s = sigmoid(gate), a = gate·s and h = g · down: dgate = h·up·(s + a·(1 − s)), dup = h·a,
    /// ddown = gᵀ · (a·up).
    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        down: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let ((out, hidden), grad) = (down.dims2()?, grad.contiguous()?);
        let count = gate.elem_count();
        let (mut dgate, mut dup, mut ddown) = (vec![0.0; count], vec![0.0; count], vec![0.0; out * hidden]);
        let size = ROWS.min(count / gate.dim(D::Minus1)?) * hidden;
        let (mut gated, mut slopes) = (vec![0.0; size], vec![0.0; size]);
        with_values([gate, up, down, &grad], |[gate, up, down, grad]| {
            let targets = dgate.chunks_mut(ROWS * hidden).zip(dup.chunks_mut(ROWS * hidden));
            for (number, (dgate, dup)) in targets.enumerate() {
                let projection = Projection { rows: dgate.len() / hidden, input: hidden, out };
                let grad = block(grad, number, out);
                projection.to_input(&mut slopes, grad, down);
                let read = block(gate, number, hidden).iter().zip(block(up, number, hidden)).zip(&slopes);
                let write = dgate.iter_mut().zip(dup).zip(&mut gated);
                widest(|| {
                    for (((gate, up), slope), ((dgate, dup), gated)) in read.zip(write) {
                        let s = sigmoid(*gate);
                        let a = gate * s;
                        *dgate = slope * up * (s + a * (1.0 - s));
                        *dup = slope * a;
                        *gated = a * up;
                    }
                });
                projection.to_weight(&mut ddown, grad, &gated);
            }
            Ok(())
        })?;
        Ok((gradient_of(gate, dgate)?, gradient_of(up, dup)?, gradient_of(down, ddown)?))
    }
}
