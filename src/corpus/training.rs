//! A BPE trained on the training text of a corpus, or on pieces spread evenly over it where it is long.
//! Must not know: the corpus folder.

use super::bpe::BpeTrainer;
use super::error::CorpusError;
use super::piece::Cutter;
use super::split::{Part, Texts};
use super::subword::Subwords;
use super::tokenizer::Tokenizer;
use crate::config::files::size;
use crate::core::texts::TokenizerSpec;

/// Text that a BPE is trained on at most, in bytes; from longer texts pieces are taken evenly.
const BPE_SAMPLE: u64 = 64 << 20;

/// Pieces in which text is offered to the BPE sample.
const SAMPLE_PIECE: usize = 1 << 16;

/// How much of `total` bytes of training text the tokenizer `spec` is trained on, if not on all.
pub(super) fn sampled(spec: &TokenizerSpec, total: u64) -> Option<String> {
    (total > BPE_SAMPLE).then(|| {
        format!(
            "the tokenizer {spec} is trained on {} of the {total} bytes of training text, in pieces of {} that are spread \
             evenly over it",
            size(BPE_SAMPLE),
            size(SAMPLE_PIECE as u64)
        )
    })
}

/// Trains on all of the training text, or on pieces spread evenly over it if it is longer than [`BPE_SAMPLE`].
/// `progress` receives the bytes of text read, and all.
///
/// # Errors
/// A text cannot be read any more.
pub(super) fn train_bpe(
    texts: &Texts,
    text_size: u32,
    total: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Tokenizer, CorpusError> {
    let mut trainer = BpeTrainer::default();
    let (mut seen, mut taken, mut cutter) = (0u64, 0u64, Cutter::new(SAMPLE_PIECE));
    texts.visit(&mut |part, piece| {
        if part == Part::Validation {
            return Ok(());
        }
        cutter.take(piece, &mut |cut| {
            if u128::from(taken) * u128::from(total) <= u128::from(seen) * u128::from(BPE_SAMPLE) || total <= BPE_SAMPLE
            {
                trainer.feed(cut)?;
                taken += cut.len() as u64;
            }
            seen += cut.len() as u64;
            progress(seen, total);
            Ok(())
        })
    })?;
    let inner = trainer.train(text_size as usize)?;
    Ok(Tokenizer::Subwords(Box::new(Subwords::trained(inner, text_size)?)))
}
