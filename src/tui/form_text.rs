//! Axes as they are typed into the form: `64,128`, `standard,16`.
//! Promises: what cannot be read is told with an example of what can. Must not know: fields.

use crate::core::study::{Axis, HeadDim};

/// An axis as it is typed.
pub(super) fn list<T: ToString>(axis: &Axis<T>) -> String {
    axis.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Numbers with commas between them.
pub(super) fn numbers<T: std::str::FromStr>(text: &str, example: &str) -> Result<Vec<T>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let parse = |part: &str| part.parse().map_err(|_| format!("`{part}` is not a number; write it like {example}"));
    let values = parts.map(parse).collect::<Result<Vec<T>, String>>()?;
    if values.is_empty() { Err(format!("is empty; write it like {example}")) } else { Ok(values) }
}

/// Sizes with commas between them.
pub(super) fn positive(text: &str, example: &str) -> Result<Axis<usize>, String> {
    let values: Vec<usize> = numbers(text, example)?;
    if values.contains(&0) { Err("must be at least 1".to_owned()) } else { Ok(Axis(values)) }
}

/// Sizes of heads, of which one may be the word `standard`; empty means that word.
pub(super) fn head_dims(text: &str) -> Result<Axis<HeadDim>, String> {
    let size = |word: &str| match word {
        "standard" => Ok(HeadDim::STANDARD),
        word => match word.parse() {
            Ok(size) if size > 0 => Ok(HeadDim::Fixed(size)),
            _ => Err(format!("`{word}` is no size; write it like 16 or standard,32")),
        },
    };
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let sizes = words.map(size).collect::<Result<Vec<_>, _>>()?;
    Ok(if sizes.is_empty() { Axis::from(HeadDim::STANDARD) } else { Axis(sizes) })
}

/// One size.
pub(super) fn single(text: &str, example: &str) -> Result<usize, String> {
    match positive(text, example)?.0.as_slice() {
        [value] => Ok(*value),
        _ => Err(format!("takes one number like {example}")),
    }
}
