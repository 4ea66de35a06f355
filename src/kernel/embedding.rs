//! Rows taken out of a table: the embeddings of tokens.

use candle_core::{Result, Tensor};

use super::crew::Part;
use super::host::all_hosted;
use super::tape::{Numbers, Tape, Value, single};
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
        table.gather(part, |sums| scatter(sums, &ids, &slope, width))
    })))
}

/// Adds each row of `slope` to the row of `target` that it came from.
fn scatter(target: &mut [f32], ids: &[u32], slope: &[f32], width: usize) {
    for (id, slope) in ids.iter().zip(slope.chunks_exact(width)) {
        let from = *id as usize * width;
        let row = target.get_mut(from..from + width).unwrap_or_default();
        row.iter_mut().zip(slope).for_each(|(target, slope)| *target += slope);
    }
}
