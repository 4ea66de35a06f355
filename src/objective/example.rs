//! What a task makes of a text, before it is laid out for an architecture.
//! Must not know: how it is made, rows, batches, architectures.

use crate::corpus::Vocabulary;

/// A text and what is known of its tokens.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    /// Special ids.
    pub vocabulary: &'a Vocabulary,
    /// Whether a token ends a sentence.
    pub ends_sentence: &'a dyn Fn(u32) -> bool,
}

/// What is read and what is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Example {
    /// First the inputs are read, then the targets written.
    Pair {
        /// Read.
        inputs: Vec<u32>,
        /// Written.
        targets: Vec<u32>,
    },
    /// Some tokens are restored in their places.
    InPlace {
        /// What stands there.
        tokens: Vec<u32>,
        /// Places and the tokens that belong there.
        masked: Vec<(usize, u32)>,
    },
    /// Blanks of a text are filled, one after the other.
    Blanks {
        /// The text, with a mark for each blank.
        text: Vec<u32>,
        /// Where its mark stands, and what belongs there, in the order in which they are filled.
        blanks: Vec<(usize, Vec<u32>)>,
    },
}
