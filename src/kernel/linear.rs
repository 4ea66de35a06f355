//! Matrix products with weights stored as `[out, in]`, the way checkpoints of the field store them.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, D, Layout, Result, Shape, Tensor, bail};

use super::host::{all_hosted, ending_in, given, gradient_of, values, with_values};
use super::matrix::{Projection, Put};

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
    let input = x.dim(D::Minus1)?;
    let product = x.reshape((x.elem_count() / input, input))?.matmul(&weight.t()?)?;
    product.reshape(ending_in(x.dims(), weight.dim(0)?))
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

fn projection(x: &[usize], w: &[usize]) -> Result<Projection> {
    match (x, w) {
        ([before @ .., input], [out, width]) if input == width => {
            Ok(Projection { rows: before.iter().product(), input: *input, out: *out })
        }
        _ => bail!("a weight {w:?} does not fit {x:?}"),
    }
}

/// The gradients of `x` and `w` for the gradient of their product.
fn gradients(x: &Tensor, w: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let projection = projection(x.dims(), w.dims())?;
    let (mut dx, mut dw) = (vec![0.0; x.elem_count()], vec![0.0; w.elem_count()]);
    with_values([x, w, &grad.contiguous()?], |[x, w, grad]| {
        projection.to_input(&mut dx, grad, w);
        projection.to_weight(&mut dw, grad, x);
        Ok(())
    })?;
    Ok((gradient_of(x, dx)?, gradient_of(w, dw)?))
}

struct Linear;

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let projection = projection(lx.dims(), lw.dims())?;
        let mut product = vec![0.0; projection.rows * projection.out];
        projection.product(&mut product, Put::Replace, values((x, lx))?, values((w, lw))?);
        Ok(given(product, ending_in(lx.dims(), projection.out)))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        gradients(x, w, grad)
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
        let projection = projection(lx.dims(), lw.dims())?;
        let mut sum = values((stream, ls))?.to_vec();
        if sum.len() != projection.rows * projection.out {
            bail!("{:?} · {:?} does not fit the stream {:?}", lx.shape(), lw.shape(), ls.shape());
        }
        projection.product(&mut sum, Put::Add, values((x, lx))?, values((w, lw))?);
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
        gradients(x, w, grad).map(|(dx, dw)| (Some(grad.clone()), dx, dw))
    }
}
