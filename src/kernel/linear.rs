//! Matrix products with weights stored as `[out, in]`, the way checkpoints of the field store them, alone, behind a norm, and
//! back into the residual stream.

use candle_core::{D, DType, Device, Result, Tensor, bail};

use super::crew::Part;
use super::host::{ending_in, with_values};
use super::matrix::{Factor, Projection};
use super::norm::{Norm, Normed};
use super::shape::Put;
use super::tape::{Numbers, Value, single};
use super::weight::Weight;
use crate::core::Precision;

/// `x · wᵀ` for `x [.., in]` and `w [out, in]`; gives `[.., out]`. The leading dimensions are flattened into one product.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn linear(x: &Value, weight: &Weight) -> Result<Value> {
    project(x, None, [weight]).map(|[y]| y)
}

/// `norm(x) · wᵀ`, or `x · wᵀ` without a norm, for each of `weights [out, in]`, for `x [.., in]`. On a processor the normed
/// values live only as long as the products are made, and are made again for the gradient.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn project<const N: usize>(x: &Value, norm: Option<Norm<'_>>, weights: [&Weight; N]) -> Result<[Value; N]> {
    if !x.is_hosted() {
        let normed = norm.map_or_else(|| Ok(x.clone()), |norm| norm.apply(x))?;
        let products = weights.map(|weight| plain(normed.tensor(), &normed.seen(weight), weight.precision()));
        return Ok(Value::elsewhere(&[x], each(products)?));
    }
    let projections = each(weights.map(|weight| projection(x.dims(), weight)))?;
    let (normed, precision) = (norm.map(Normed::new), precision(&weights));
    let outputs = with_values([x.tensor()], |[own]| {
        let made = normed.as_ref().map(|norm| norm.forward(own)).transpose()?;
        let factor = Factor::of(made.as_deref().unwrap_or(own), precision);
        let pairs = std::array::from_fn(|at| Some((projections.get(at)?, weights.get(at)?)));
        each(pairs.map(|pair| {
            let Some((projection, weight)) = pair else { bail!("a weight without a projection") };
            let mut product = vec![0.0; projection.rows * projection.out];
            weight.with_factor(|w| {
                projection.product(&mut product, Put::Replace, &factor, w);
                Ok(())
            })?;
            Tensor::from_vec(product, ending_in(x.dims(), projection.out), x.tensor().device())
        }))
    })?;
    let (kept, place, weights) = (x.tensor().clone(), x.place(), weights.map(Weight::clone));
    let back = move |numbers: &mut Numbers, slopes: [Vec<f32>; N], part: &Part| {
        with_values([&kept], |[x]| {
            let made = normed.as_ref().map(|norm| norm.again(x)).transpose()?;
            let factor = Factor::of(made.as_deref().unwrap_or(x), precision);
            let mut lean = vec![0.0; x.len()];
            for (number, ((projection, weight), slope)) in projections.iter().zip(&weights).zip(slopes).enumerate() {
                let slope = Factor::of(&slope, precision);
                weight.add(part, |target, how| {
                    projection.to_weight(target, how, &slope, &factor);
                    Ok(())
                })?;
                let how = if number == 0 { Put::Replace } else { Put::Add };
                weight.with_factor(|w| {
                    projection.to_input(&mut lean, how, &slope, w);
                    Ok(())
                })?;
            }
            match &normed {
                Some(norm) => norm.backward(x, lean, numbers, place, part),
                None => {
                    numbers.give(place, lean);
                    Ok(())
                }
            }
        })
    };
    Ok(Value::record(&[x], outputs, back))
}

/// `stream + x · wᵀ`, the way back into the residual stream, for `stream [.., out]`, `x [.., in]` and `w [out, in]`.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn add_linear(stream: &Value, x: &Value, weight: &Weight) -> Result<Value> {
    if !x.is_hosted() {
        let sum = (stream.tensor() + plain(x.tensor(), &x.seen(weight), weight.precision())?)?;
        return Ok(single(Value::elsewhere(&[stream, x], [sum])));
    }
    let (projection, precision) = (projection(x.dims(), weight)?, weight.precision());
    let sum = with_values([stream.tensor(), x.tensor()], |[stream, x]| {
        if stream.len() != projection.rows * projection.out {
            bail!("a projection to {} rows of {} does not fit the stream", projection.rows, projection.out);
        }
        let mut sum = stream.to_vec();
        weight.with_factor(|w| {
            projection.product(&mut sum, Put::Add, &Factor::of(x, precision), w);
            Ok(())
        })?;
        Ok(sum)
    })?;
    let sum = Tensor::from_vec(sum, stream.tensor().shape(), stream.tensor().device())?;
    let (kept, to_stream, to_x, weight) = (x.tensor().clone(), stream.place(), x.place(), weight.clone());
    let back = move |numbers: &mut Numbers, [slope]: [Vec<f32>; 1], part: &Part| {
        with_values([&kept], |[x]| {
            let factor = Factor::of(&slope, precision);
            weight.add(part, |target, how| {
                projection.to_weight(target, how, &factor, &Factor::of(x, precision));
                Ok(())
            })?;
            weight.with_factor(|w| {
                numbers.put(to_x, x.len(), |target, how| projection.to_input(target, how, &factor, w));
                Ok(())
            })
        })?;
        numbers.give(to_stream, slope);
        Ok(())
    };
    Ok(single(Value::record(&[stream, x], [sum], back)))
}

/// `factor · x`.
///
/// # Errors
/// The device fails.
pub fn scaled(x: &Value, factor: f64) -> Result<Value> {
    #[expect(clippy::float_cmp, reason = "one is the factor that changes nothing")]
    if factor == 1.0 {
        return Ok(x.clone());
    }
    let product = (x.tensor() * factor)?;
    if !x.is_hosted() {
        return Ok(single(Value::elsewhere(&[x], [product])));
    }
    let place = x.place();
    let back = move |numbers: &mut Numbers, [mut slope]: [Vec<f32>; 1], _: &Part| {
        #[expect(clippy::cast_possible_truncation, reason = "f32 is meant")]
        slope.iter_mut().for_each(|slope| *slope *= factor as f32);
        numbers.give(place, slope);
        Ok(())
    };
    Ok(single(Value::record(&[x], [product.detach()], back)))
}

/// The reference: `x · wᵀ`. In bf16 both factors are rounded; where the device has no such product, they are widened again.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn plain(x: &Tensor, weight: &Tensor, precision: Precision) -> Result<Tensor> {
    let input = x.dim(D::Minus1)?;
    let rows = x.reshape((x.elem_count() / input.max(1), input))?;
    let product = match (precision, x.device()) {
        (Precision::F32, _) => rows.matmul(&weight.t()?)?,
        (Precision::Bf16, Device::Cpu) => {
            let rounded = |tensor: &Tensor| tensor.to_dtype(DType::BF16)?.to_dtype(tensor.dtype());
            rounded(&rows)?.matmul(&rounded(weight)?.t()?)?
        }
        (Precision::Bf16, Device::Cuda(_) | Device::Metal(_)) => {
            let rounded = |tensor: &Tensor| tensor.to_dtype(DType::BF16);
            rounded(&rows)?.matmul(&rounded(weight)?.t()?)?.to_dtype(x.dtype())?
        }
    };
    product.reshape(ending_in(x.dims(), weight.dim(0)?))
}

/// The sizes of `x [.., in]` times `weight [out, in]`.
pub(super) fn projection(x: &[usize], weight: &Weight) -> Result<Projection> {
    match (x, weight.tensor().dims()) {
        ([before @ .., input], [out, width]) if input == width => {
            Ok(Projection { rows: before.iter().product(), input: *input, out: *out })
        }
        (x, w) => bail!("a weight {w:?} does not fit {x:?}"),
    }
}

fn precision(weights: &[&Weight]) -> Precision {
    weights.first().map_or(Precision::F32, |weight| weight.precision())
}

/// All or the first error.
fn each<T, const N: usize>(results: [Result<T>; N]) -> Result<[T; N]> {
    let found = results.into_iter().collect::<Result<Vec<T>>>()?;
    found.try_into().map_err(|_| candle_core::Error::Msg("an operation lost an output".to_owned()))
}
