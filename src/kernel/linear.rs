//! Matrix products with weights stored as `[out, in]`, the way checkpoints of the field store them.

use candle_core::{D, Result, Tensor};

/// `x · wᵀ` for `x [.., in]` and `w [out, in]`; gives `[.., out]`. The leading dimensions are flattened into one product.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    let input = x.dim(D::Minus1)?;
    let rows = x.elem_count() / input;
    let product = x.reshape((rows, input))?.matmul(&weight.t()?)?; // [rows, out]
    if let Some(last) = shape.last_mut() {
        *last = weight.dim(0)?;
    }
    product.reshape(shape)
}
