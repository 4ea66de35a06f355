//! Matrix products with weights stored as `[out, in]`, the way checkpoints of the field store them.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, D, Layout, Result, Shape, Tensor, bail};

use super::host::{all_hosted, given, values, with_values};
use super::matrix::{self, Put, multiply};

/// `x · wᵀ` for `x [.., in]` and `w [out, in]`; gives `[.., out]`. The leading dimensions are flattened into one product.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    if all_hosted(&[x, weight]) { x.contiguous()?.apply_op2(&weight.contiguous()?, Linear) } else { plain(x, weight) }
}

/// The reference.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn plain(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    let input = x.dim(D::Minus1)?;
    if let Some(last) = shape.last_mut() {
        *last = weight.dim(0)?;
    }
    x.reshape((x.elem_count() / input, input))?.matmul(&weight.t()?)?.reshape(shape)
}

/// `stream + x · wᵀ`, the way back into the residual stream, for `stream [.., out]`, `x [.., in]` and `w [out, in]`.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn add_linear(stream: &Tensor, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    if all_hosted(&[stream, x, weight]) {
        stream.contiguous()?.apply_op3(&x.contiguous()?, &weight.contiguous()?, AddLinear)
    } else {
        stream + plain(x, weight)?
    }
}

/// Rows of `x`, in and out of `x [.., in] · w [out, in]ᵀ`.
fn sizes(x: &[usize], w: &[usize]) -> Result<(usize, usize, usize)> {
    match (x, w) {
        ([before @ .., input], [out, width]) if input == width => Ok((before.iter().product(), *input, *out)),
        _ => bail!("a weight {w:?} does not fit {x:?}"),
    }
}

/// Adds `x · wᵀ` to `target`, or replaces it.
fn project(target: &mut [f32], how: Put, (rows, input, out): (usize, usize, usize), x: &[f32], w: &[f32]) {
    let weight = (w, matrix::Shape::rows(out, input).transposed());
    multiply((target, matrix::Shape::rows(rows, out)), how, 1.0, (x, matrix::Shape::rows(rows, input)), weight);
}

/// The gradients of `x` and `w` for the gradient of their product.
fn slopes(x: &Tensor, w: &Tensor, grad: &Tensor) -> Result<(Tensor, Tensor)> {
    let (rows, input, out) = sizes(x.dims(), w.dims())?;
    let (tall, wide, square) =
        (matrix::Shape::rows(rows, out), matrix::Shape::rows(rows, input), matrix::Shape::rows(out, input));
    let (mut dx, mut dw) = (vec![0.0; rows * input], vec![0.0; out * input]);
    with_values(&grad.contiguous()?, |g| {
        with_values(w, |w| {
            multiply((&mut dx, wide), Put::Replace, 1.0, (g, tall), (w, square));
            Ok(())
        })?;
        with_values(x, |x| {
            multiply((&mut dw, square), Put::Replace, 1.0, (g, tall.transposed()), (x, wide));
            Ok(())
        })
    })?;
    let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
    Ok((tensor(dx, x)?, tensor(dw, w)?))
}

struct Linear;

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let sizes = sizes(lx.dims(), lw.dims())?;
        let mut product = vec![0.0; sizes.0 * sizes.2];
        project(&mut product, Put::Replace, sizes, values((x, lx))?, values((w, lw))?);
        let mut shape = lx.dims().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = sizes.2;
        }
        Ok(given(product, shape))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        slopes(x, w, grad).map(|(dx, dw)| (Some(dx), Some(dw)))
    }
}

struct AddLinear;

impl CustomOp3 for AddLinear {
    fn name(&self) -> &'static str {
        "add-linear"
    }

    fn cpu_fwd(
        &self,
        stream: &CpuStorage,
        ls: &Layout,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = sizes(lx.dims(), lw.dims())?;
        let mut sum = values((stream, ls))?.to_vec();
        if sum.len() != sizes.0 * sizes.2 {
            bail!("{:?} · {:?} does not fit the stream {:?}", lx.shape(), lw.shape(), ls.shape());
        }
        project(&mut sum, Put::Add, sizes, values((x, lx))?, values((w, lw))?);
        Ok(given(sum, ls.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        slopes(x, w, grad).map(|(dx, dw)| (Some(grad.clone()), Some(dx), Some(dw)))
    }
}
