//! Rows taken out of a table: embeddings of tokens, and the positions of a text that carry loss.

use candle_core::{Result, Tensor, bail};

use super::crew::Part;
use super::host::{all_hosted, with_values};
use super::linear::single;
use super::matrix::Put;
use super::tape::{Numbers, Tape, Value};
use super::weight::Weight;

/// The rows `ids [N]` (u32) of `table [V, D]`: `[N, D]`, recorded on `tape`, if there is one.
///
/// # Errors
/// An id is outside the table, or the device fails.
pub fn embed(tape: Option<&Tape>, table: &Weight, ids: &Tensor) -> Result<Value> {
    let picked = table.tensor().detach().index_select(ids, 0)?;
    let Some(tape) = tape else { return Ok(Value::constant(&picked)) };
    if !all_hosted(&[&picked]) {
        return Ok(tape.value(&table.tensor().index_select(ids, 0)?));
    }
    let (ids, width, table) = (ids.to_vec1::<u32>()?, picked.dim(1)?, table.clone());
    Ok(single(tape.step([picked], move |_: &mut Numbers, [slope]: [Vec<f32>; 1], part: &Part| {
        table.add(part, |target, how| {
            if how == Put::Replace {
                target.fill(0.0);
            }
            scatter(target, &ids, &slope, width);
            Ok(())
        })
    })))
}

/// The rows `places` of `x [N, D]`.
///
/// # Errors
/// A place is outside, or the device fails.
pub fn pick(x: &Value, places: Vec<u32>) -> Result<Value> {
    let (rows, width) = x.tensor().dims2()?;
    if !x.is_hosted() {
        let ids = Tensor::from_slice(&places, places.len(), x.tensor().device())?;
        return Ok(single(Value::elsewhere(&[x], [x.tensor().index_select(&ids, 0)?])));
    }
    let mut picked = Vec::with_capacity(places.len() * width);
    with_values([x.tensor()], |[x]| {
        for place in &places {
            let from = *place as usize * width;
            let Some(row) = x.get(from..from + width) else { bail!("row {place} of {rows} is asked for") };
            picked.extend_from_slice(row);
        }
        Ok(())
    })?;
    let (picked, place) = (Tensor::from_vec(picked, (places.len(), width), x.tensor().device())?, x.place());
    let back = move |numbers: &mut Numbers, [slope]: [Vec<f32>; 1], _: &Part| {
        let mut whole = vec![0.0; rows * width];
        scatter(&mut whole, &places, &slope, width);
        numbers.give(place, whole);
        Ok(())
    };
    Ok(single(Value::record(&[x], [picked], back)))
}

/// Adds each row of `slope` to the row of `target` that it came from.
fn scatter(target: &mut [f32], ids: &[u32], slope: &[f32], width: usize) {
    for (id, slope) in ids.iter().zip(slope.chunks_exact(width)) {
        let from = *id as usize * width;
        let row = target.get_mut(from..from + width).unwrap_or_default();
        row.iter_mut().zip(slope).for_each(|(target, slope)| *target += slope);
    }
}
