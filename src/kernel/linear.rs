//! Matrix products with weights stored as `[out, in]`, the way checkpoints of the field store them.

use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor};

use super::host::{all_hosted, given, values, with_values};
use super::matrix::{self, Put, multiply};

/// `x · wᵀ` for `x [.., in]` and `w [out, in]`; gives `[.., out]`. The leading dimensions are flattened into one product.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    let input = x.dim(D::Minus1)?;
    let rows = x.elem_count() / input;
    let flat = x.reshape((rows, input))?;
    let product =
        if all_hosted(&[x, weight]) { flat.apply_op2(&weight.contiguous()?, Linear)? } else { plain(&flat, weight)? };
    if let Some(last) = shape.last_mut() {
        *last = weight.dim(0)?;
    }
    product.reshape(shape)
}

/// The reference: `x [N, in]`.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn plain(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.matmul(&weight.t()?)
}

/// `x [N, in] · w [out, in]ᵀ`.
struct Linear;

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let ((rows, input), (out, _)) = (lx.shape().dims2()?, lw.shape().dims2()?);
        let (x, w) = (values((x, lx))?, values((w, lw))?);
        let product = product((rows, out), (x, matrix::Shape::rows(rows, input)), (w, transposed(out, input)));
        Ok(given(product, (rows, out)))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let ((rows, input), out) = (x.dims2()?, w.dim(0)?);
        let whole = matrix::Shape::rows;
        with_values(&grad.contiguous()?, |g| {
            let dx = with_values(w, |w| Ok(product((rows, input), (g, whole(rows, out)), (w, whole(out, input)))))?;
            let dw =
                with_values(x, |x| Ok(product((out, input), (g, transposed(rows, out)), (x, whole(rows, input)))))?;
            let device = x.device();
            Ok((Some(Tensor::from_vec(dx, (rows, input), device)?), Some(Tensor::from_vec(dw, (out, input), device)?)))
        })
    }
}

const fn transposed(rows: usize, columns: usize) -> matrix::Shape {
    matrix::Shape::rows(rows, columns).transposed()
}

fn product((rows, columns): (usize, usize), a: matrix::Read<'_>, b: matrix::Read<'_>) -> Vec<f32> {
    let mut target = vec![0.0; rows * columns];
    multiply((&mut target, matrix::Shape::rows(rows, columns)), Put::Replace, 1.0, a, b);
    target
}
