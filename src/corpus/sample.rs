//! What a tokenizer makes of a text, tried on all of a short one or on pieces spread evenly over a long one, before it is
//! prepared. Must not know: files.

use super::coverage::Coverage;
use super::error::CorpusError;
use super::piece::{Cutter, Piece};
use super::split::Part;
use super::survey::PartTokens;
use super::tokenizer::Tokenizer;

/// Text that is tried at most, in bytes.
const MOST: u64 = 256 << 10;

/// What is taken of a document at once, in bytes.
const PIECE: usize = 4 << 10;

/// Pieces of a text.
pub(super) struct Sample {
    total: u64,
    seen: u64,
    taken: u64,
    pieces: Vec<(Part, String)>,
    documents: PartTokens,
    cutter: Cutter,
}

impl Sample {
    /// Of a text of `total` bytes.
    pub(super) const fn of(total: u64) -> Self {
        let documents = PartTokens { train: 0, validation: 0 };
        // All of a short text is one piece.
        let cutter = Cutter::new(if total <= MOST { MOST as usize } else { PIECE });
        Self { total, seen: 0, taken: 0, pieces: Vec::new(), documents, cutter }
    }

    /// Whether it is all of the text.
    pub(super) const fn is_whole(&self) -> bool {
        self.total <= MOST
    }

    /// Takes what it needs of a piece of a document.
    pub(super) fn piece(&mut self, part: Part, piece: Piece<'_>) -> Result<(), CorpusError> {
        *self.documents.of(part) += u64::from(piece.ends);
        let whole = self.is_whole();
        let Self { total, seen, taken, pieces, cutter, .. } = self;
        cutter.take(piece, &mut |cut| {
            if whole || u128::from(*taken) * u128::from(*total) <= u128::from(*seen) * u128::from(MOST) {
                pieces.push((part, cut.to_owned()));
                *taken += cut.len() as u64;
            }
            *seen += cut.len() as u64;
            Ok(())
        })
    }

    /// What `tokenizer` makes of it: the tokens of both parts with their end marks, if it is all of the text, and what they tell.
    ///
    /// # Errors
    /// The tokenizer refuses a text, or tells nothing of any.
    pub(super) fn tried(
        &self,
        tokenizer: &Tokenizer,
        name: &str,
    ) -> Result<(Option<PartTokens>, Coverage), CorpusError> {
        let texts: Vec<&str> = self.pieces.iter().map(|(_, piece)| piece.as_str()).collect();
        let (mut tokens, mut coverage) = (self.documents, Coverage::default());
        for ((part, _), encoded) in self.pieces.iter().zip(tokenizer.measure_all(&texts)?) {
            *tokens.of(*part) += encoded.ids.len() as u64;
            coverage.add(&encoded.coverage);
        }
        if coverage.tells_nothing() {
            let message = "it knows nothing of the text: every byte is the unknown token or has none; use another tokenizer, such \
                           as bytes or bpe:SIZE";
            return Err(CorpusError::tokenizer(name, message));
        }
        Ok((self.is_whole().then_some(tokens), coverage))
    }
}
