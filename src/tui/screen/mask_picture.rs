//! A picture of who sees whom in each architecture: rows look at columns, two rows a line in half blocks.
//! Promises: a picture of its own for every architecture, in at most four lines. Must not know: styles, where it stands.

use crate::core::study::Axis;
use crate::core::{Architecture, AttentionDirection};

/// Positions of the one stack of a decoder or encoder, of which half are the prefix.
const ONE: usize = 6;
/// Positions of each of two stacks.
const EACH: usize = 4;

/// The lines of the picture where stacks that see both ways look as `looks` says.
#[must_use]
pub fn lines(architecture: Architecture, looks: &Axis<AttentionDirection>) -> Vec<String> {
    let mixed = if architecture.has_bidirectional_stack() { mixed(looks) } else { "" };
    let noted = |note: &'static str| if mixed.is_empty() { note } else { mixed };
    match architecture {
        Architecture::CausalDecoder => halves(ONE, ONE, causal),
        Architecture::NonCausalDecoder => halves(ONE, ONE, |row, column| causal(row, column) || column < ONE / 2),
        Architecture::EncoderDecoder => two_stacks(all, noted("")),
        Architecture::SharedEncoderDecoder => two_stacks(all, noted("with the same blocks")),
        Architecture::HalfEncoderDecoder => two_stacks(all, noted("with half the blocks")),
        Architecture::CausalEncoderDecoder => two_stacks(causal, noted("and no look ahead")),
        Architecture::MergedEncoderDecoder => {
            let merged = halves(EACH, 2 * EACH, |row, column| column < EACH || causal(row, column - EACH));
            let parts = [(9, halves(EACH, EACH, all)), (0, merged)];
            with_note(beside("encoder  cross+decoder", &parts), noted("in one softmax"))
        }
        Architecture::EncoderOnly => with_note(halves(ONE, ONE, all), noted("")),
    }
}

/// What the full mask of a stack does not say.
fn mixed(looks: &Axis<AttentionDirection>) -> &'static str {
    match looks.0.as_slice() {
        [only] => match only {
            AttentionDirection::Both => "",
            AttentionDirection::MixedHeads => "half the heads each way",
            AttentionDirection::AlternatingLayers => "layers look in turn",
        },
        _ => "see looks",
    }
}

const fn all(_: usize, _: usize) -> bool {
    true
}

const fn causal(row: usize, column: usize) -> bool {
    column <= row
}

fn two_stacks(encoder: impl Fn(usize, usize) -> bool, note: &str) -> Vec<String> {
    let parts = [(9, halves(EACH, EACH, encoder)), (7, halves(EACH, EACH, all)), (0, halves(EACH, EACH, causal))];
    with_note(beside("encoder  cross  decoder", &parts), note)
}

fn with_note(mut lines: Vec<String>, note: &str) -> Vec<String> {
    lines.extend((!note.is_empty()).then(|| note.to_owned()));
    lines
}

/// Masks next to each other, each padded to a width, below their names.
fn beside(names: &str, parts: &[(usize, Vec<String>)]) -> Vec<String> {
    let line = |at: usize| {
        let padded = parts.iter().map(|(width, mask)| format!("{:width$}", mask.get(at).map_or("", String::as_str)));
        padded.collect::<String>()
    };
    std::iter::once(names.to_owned()).chain((0..EACH / 2).map(line)).collect()
}

/// A mask of `rows` × `columns`, two rows a line.
fn halves(rows: usize, columns: usize, sees: impl Fn(usize, usize) -> bool) -> Vec<String> {
    let mark = |upper: bool, lower: bool| match (upper, lower) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => '·',
    };
    let line = |row: usize| (0..columns).map(|column| mark(sees(row, column), sees(row + 1, column))).collect();
    (0..rows).step_by(2).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::text_width::columns_of;
    use std::collections::BTreeSet;

    fn usual(architecture: Architecture) -> Vec<String> {
        lines(architecture, &AttentionDirection::Both.into())
    }

    #[test]
    fn masks_are_what_the_architectures_say() {
        assert_eq!(usual(Architecture::CausalDecoder), ["█▄····", "███▄··", "█████▄"]);
        assert_eq!(usual(Architecture::NonCausalDecoder), ["███···", "███▄··", "█████▄"]);
        assert_eq!(
            usual(Architecture::CausalEncoderDecoder)[..3],
            ["encoder  cross  decoder", "█▄··     ████   █▄··", "███▄     ████   ███▄"]
        );
        assert_eq!(usual(Architecture::MergedEncoderDecoder)[1..3], ["████     █████▄··", "████     ███████▄"]);
    }

    #[test]
    fn every_architecture_has_its_own_and_says_where_a_stack_looks() {
        let pictures: BTreeSet<Vec<String>> = Architecture::ALL.into_iter().map(usual).collect();
        assert_eq!(pictures.len(), Architecture::ALL.len());
        for architecture in Architecture::ALL {
            for looks in AttentionDirection::ALL {
                let picture = lines(architecture, &(*looks).into());
                assert!(picture.len() <= 4 && picture.iter().all(|line| columns_of(line) <= 23));
                let told = architecture.has_bidirectional_stack() && !looks.is_usual();
                assert_eq!(picture != usual(architecture), told, "{architecture}");
            }
        }
    }
}
