//! The ids of a vocabulary: text first, then end, start and pad, then the sentinels of span corruption at the very top,
//! numbered downwards as in T5 (arXiv 1910.10683, §3.1.4). The marks of other objectives borrow the last of the sentinels,
//! which only texts of several thousand tokens reach, so that all models on a text have one vocabulary.
//! Must not know: what a text id stands for.

use serde::{Deserialize, Serialize};

/// Sentinels of every vocabulary: spans that one example can lose.
pub const SENTINELS: u32 = 128;

/// End, start and pad.
const MARKS: u32 = 3;

/// What other objectives mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A masked token, or a short blank: BERT's and GLM's \[MASK\].
    Mask,
    /// A blank of whole sentences: GLM's \[sMASK\].
    SentenceMask,
    /// A blank to the end of the document: GLM's \[gMASK\].
    DocumentMask,
    /// A blank's tokens begin.
    StartOfPiece,
    /// They end.
    EndOfPiece,
    /// UL2's mode token of regular denoising.
    Regular,
    /// Of sequential denoising.
    Sequential,
    /// Of extreme denoising.
    Extreme,
}

impl Mark {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Mask, "[MASK]"),
        (Self::SentenceMask, "[sMASK]"),
        (Self::DocumentMask, "[gMASK]"),
        (Self::StartOfPiece, "[sop]"),
        (Self::EndOfPiece, "[eop]"),
        (Self::Regular, "[R]"),
        (Self::Sequential, "[S]"),
        (Self::Extreme, "[X]"),
    ];

    /// How it is written.
    #[must_use]
    pub fn written(self) -> &'static str {
        Self::ALL.iter().find(|(mark, _)| *mark == self).map_or("", |(_, written)| written)
    }
}

/// Sentinels that are left where marks are used.
pub const SENTINELS_BESIDE_MARKS: u32 = SENTINELS - Mark::ALL.len() as u32;

/// Where the special ids of a vocabulary lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    text_size: u32,
}

impl Vocabulary {
    /// The vocabulary with `text_size` text ids.
    #[must_use]
    pub const fn new(text_size: u32) -> Self {
        Self { text_size }
    }

    /// Ids below this are text.
    #[must_use]
    pub const fn text_size(&self) -> u32 {
        self.text_size
    }

    /// All ids, specials and sentinels included.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.text_size + MARKS + SENTINELS
    }

    /// Closes documents, inputs and targets.
    #[must_use]
    pub const fn end(&self) -> u32 {
        self.text_size
    }

    /// The first thing a decoder reads.
    #[must_use]
    pub const fn start(&self) -> u32 {
        self.text_size + 1
    }

    /// Fills positions that hold nothing.
    #[must_use]
    pub const fn pad(&self) -> u32 {
        self.text_size + 2
    }

    /// The mark of removed span `index`: the top id for 0, then downwards; `None` past the last.
    #[must_use]
    pub const fn sentinel(&self, index: u32) -> Option<u32> {
        if index < SENTINELS { Some(self.size() - 1 - index) } else { None }
    }

    /// A mark of another objective: one of the last sentinels.
    #[must_use]
    pub const fn of(&self, mark: Mark) -> u32 {
        self.size() - SENTINELS + mark as u32
    }

    /// Whether `id` is one of those that marks borrow.
    #[must_use]
    pub const fn is_mark(&self, id: u32) -> bool {
        matches!(self.sentinel_index(id), Some(index) if index >= SENTINELS_BESIDE_MARKS)
    }

    /// The mark of the first removed span.
    #[must_use]
    pub const fn first_sentinel(&self) -> u32 {
        self.size() - 1
    }

    /// Which removed span `id` marks, if it is a sentinel.
    #[must_use]
    pub const fn sentinel_index(&self, id: u32) -> Option<u32> {
        if id < self.size() && id >= self.size() - SENTINELS { Some(self.size() - 1 - id) } else { None }
    }

    /// Whether `id` is text.
    #[must_use]
    pub const fn is_text(&self, id: u32) -> bool {
        id < self.text_size
    }

    /// How an id that is not text is shown: `</s>`, `<s>`, `<pad>`, `<X0>`; `<?600>` for an id outside.
    #[must_use]
    pub fn mark(&self, id: u32) -> String {
        match self.sentinel_index(id) {
            Some(index) => format!("<X{index}>"),
            None if id == self.end() => "</s>".to_owned(),
            None if id == self.start() => "<s>".to_owned(),
            None if id == self.pad() => "<pad>".to_owned(),
            None => format!("<?{id}>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_disjoint_and_sentinels_descend_from_the_top() {
        let v = Vocabulary::new(256);
        assert_eq!((v.end(), v.start(), v.pad(), v.size()), (256, 257, 258, 387));
        assert_eq!(v.sentinel(0), Some(386));
        assert_eq!(v.sentinel(1), Some(385));
        assert_eq!(v.sentinel(127), Some(259));
        assert_eq!(v.sentinel(128), None);
        assert_eq!(v.sentinel_index(258), None);
        assert_eq!(v.sentinel_index(387), None);
        let shown: Vec<_> = [256, 257, 258, 386, 259, 387].map(|id| v.mark(id)).into();
        assert_eq!(shown, ["</s>", "<s>", "<pad>", "<X0>", "<X127>", "<?387>"]);
        let marks: Vec<_> = Mark::ALL.iter().map(|(mark, _)| v.sentinel_index(v.of(*mark))).collect();
        assert_eq!(marks, (SENTINELS_BESIDE_MARKS..SENTINELS).rev().map(Some).collect::<Vec<_>>());
        assert_eq!(Mark::EndOfPiece.written(), "[eop]");
    }
}
