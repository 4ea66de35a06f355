//! FLM: predict every next token; all positions carry loss. Causal decoders only.
//! Promises: targets are the window itself. Must not know: splits, sentinels.

use super::batch::Batch;
use crate::corpus::Vocabulary;

pub(super) fn batch(vocabulary: &Vocabulary, windows: &[Vec<u32>], length: usize) -> Batch {
    let mut batch = Batch::empty(length, None);
    for window in windows {
        batch.push_shifted(vocabulary.start(), window, 0, 0);
    }
    batch
}
