//! What brings values together: sums, and one text behind another.

use candle_core::{Result, Tensor, bail};

use super::crew::Part;
use super::host::with_values;
use super::tape::{Numbers, Value, single};

/// `a + b`, of one shape.
///
/// # Errors
/// Shapes differ, or the device fails.
pub fn sum(a: &Value, b: &Value) -> Result<Value> {
    let added = (a.tensor() + b.tensor())?;
    if !a.is_hosted() {
        return Ok(single(Value::elsewhere(&[a, b], [added])));
    }
    let places = [a.place(), b.place()];
    let back = move |numbers: &mut Numbers, [slope]: [Vec<f32>; 1], _: &Part| {
        let [to_a, to_b] = places;
        numbers.give(to_a, slope.clone());
        numbers.give(to_b, slope);
        Ok(())
    };
    Ok(single(Value::record(&[a, b], [added.detach()], back)))
}

/// `first [B, S, D]` and behind it `second [B, T, D]`: `[B, S + T, D]`.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn behind(first: &Value, second: &Value) -> Result<Value> {
    if !first.is_hosted() {
        let joined = Tensor::cat(&[first.tensor(), second.tensor()], 1)?;
        return Ok(single(Value::elsewhere(&[first, second], [joined])));
    }
    let ([rows, source, width], [other_rows, target, other_width]) = (first.dims(), second.dims()) else {
        bail!("texts have three dimensions, not {:?} and {:?}", first.dims(), second.dims())
    };
    let (rows, source, target) = (*rows, *source * width, *target * width);
    if [rows, *width] != [*other_rows, *other_width] || source * target == 0 {
        bail!("{:?} does not fit behind {:?}", second.dims(), first.dims());
    }
    let values = with_values([first.tensor(), second.tensor()], |[first, second]| {
        let rows = first.chunks_exact(source).zip(second.chunks_exact(target));
        Ok(rows.flat_map(|(first, second)| [first, second].concat()).collect::<Vec<f32>>())
    })?;
    let joined = Tensor::from_vec(values, (rows, (source + target) / width, *width), first.tensor().device())?;
    let (to_first, to_second) = (first.place(), second.place());
    let back = move |numbers: &mut Numbers, [slope]: [Vec<f32>; 1], _: &Part| {
        let part = |from: usize, length: usize| {
            let rows = slope.chunks_exact(source + target);
            rows.flat_map(|row| row.iter().skip(from).take(length).copied()).collect::<Vec<f32>>()
        };
        numbers.give(to_first, part(0, source));
        numbers.give(to_second, part(source, target));
        Ok(())
    };
    Ok(single(Value::record(&[first, second], [joined], back)))
}
