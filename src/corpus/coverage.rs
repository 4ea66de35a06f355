//! How much of a text its tokens stand for: the bytes that each token covers, and what no token tells.
//! Promises: the bytes of all tokens of a document, its end mark included, are the bytes of its text.
//! Must not know: tokenizers.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Characters that are kept as examples.
const EXAMPLES: usize = 5;

/// What of a text cannot be told from its tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// UTF-8 bytes of text.
    pub bytes: u64,
    /// Bytes that are the unknown token.
    pub unknown: u64,
    /// Bytes that no token stands for, white space apart.
    pub lost: u64,
    /// Bytes of white space that no token stands for, as is usual where words are tokens.
    pub blank: u64,
    /// Some of the characters that are unknown or lost.
    pub characters: BTreeSet<char>,
}

/// The tokens of a text with the bytes of it that each covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EncodedText {
    pub(super) ids: Vec<u32>,
    /// UTF-8 bytes, as many numbers as ids. Their sum is the length of the text unless there are no tokens at all.
    pub(super) bytes: Vec<u32>,
    pub(super) coverage: Coverage,
}

impl EncodedText {
    /// The tokens `ids` of `text`, each with its range of bytes there: in order, perhaps with gaps, perhaps overlapping. `unknown` is
    /// the token that stands for anything. What lies in `dropped` is lost although tokens may reach over it.
    pub(super) fn new(
        text: &str,
        ids: Vec<u32>,
        ranges: &[(usize, usize)],
        unknown: Option<u32>,
        dropped: &[(usize, usize)],
    ) -> Self {
        let mut coverage = Coverage { bytes: text.len() as u64, ..Coverage::default() };
        let mut covered = 0;
        for (id, (from, to)) in ids.iter().zip(ranges) {
            if dropped.is_empty() {
                coverage.lose(text.get(covered..*from).unwrap_or(""));
            }
            if Some(*id) == unknown {
                let new = text.get(covered.max(*from)..*to).unwrap_or("");
                coverage.unknown += new.len() as u64;
                coverage.keep_examples(new);
            }
            covered = covered.max(*to);
        }
        coverage.lose(text.get(covered..).filter(|_| dropped.is_empty()).unwrap_or(""));
        dropped.iter().for_each(|(from, to)| coverage.lose(text.get(*from..*to).unwrap_or("")));
        Self { bytes: byte_counts(ranges, text.len()), ids, coverage }
    }

    /// A text of which every token covers what it says.
    pub(super) fn exact(ids: Vec<u32>, bytes: Vec<u32>) -> Self {
        let coverage = Coverage { bytes: bytes.iter().map(|count| u64::from(*count)).sum(), ..Coverage::default() };
        Self { ids, bytes, coverage }
    }
}

/// The bytes that each token is charged with: those up to its end that no token before it covers, so that a gap counts for the
/// token behind it; tokens with the same end, such as the bytes of one character, share them evenly. What stands behind the last
/// token counts for that one.
fn byte_counts(ranges: &[(usize, usize)], length: usize) -> Vec<u32> {
    let mut counts = Vec::with_capacity(ranges.len());
    let mut covered = 0;
    for sharing in ranges.chunk_by(|one, next| next.1 <= one.1) {
        let last = counts.len() + sharing.len() == ranges.len();
        let end = if last { length } else { sharing.first().map_or(covered, |range| range.1).max(covered) };
        let (all, parts) = (end - covered, sharing.len());
        counts.extend((0..parts).map(|part| (all / parts + usize::from(part < all % parts)) as u32));
        covered = end;
    }
    counts
}

impl Coverage {
    fn lose(&mut self, gap: &str) {
        let lost = gap.chars().filter(|c| !c.is_whitespace()).map(char::len_utf8).sum::<usize>();
        self.lost += lost as u64;
        self.blank += (gap.len() - lost) as u64;
        if lost > 0 {
            self.keep_examples(gap);
        }
    }

    /// Keeps characters of `text` as examples, up to a few.
    pub(super) fn keep_examples(&mut self, text: &str) {
        for c in text.chars().filter(|c| !c.is_whitespace()) {
            if self.characters.len() >= EXAMPLES {
                return;
            }
            self.characters.insert(c);
        }
    }

    /// Adds what another text has.
    pub(super) fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.unknown += other.unknown;
        self.lost += other.lost;
        self.blank += other.blank;
        self.keep_examples(&other.characters.iter().collect::<String>());
    }

    /// Whether tokens tell anything of it.
    pub(super) const fn tells_nothing(&self) -> bool {
        self.bytes > 0 && self.unknown + self.lost + self.blank >= self.bytes
    }

    /// A sentence about what cannot be told of the text called `what`; nothing where tokens tell all of it.
    #[must_use]
    pub fn sentence(&self, what: &str) -> Option<String> {
        if self.unknown + self.lost == 0 {
            return None;
        }
        let part = |bytes: u64, words: &str| (bytes > 0).then(|| format!("{} {words}", self.share(bytes)));
        let parts = [part(self.unknown, "is the unknown token"), part(self.lost, "has no token and is dropped")];
        let examples: Vec<String> = self.characters.iter().map(|c| format!("`{}`", c.escape_debug())).collect();
        let examples = if examples.is_empty() { String::new() } else { format!(" (such as {})", examples.join(" ")) };
        Some(format!(
            "the tokenizer does not cover all of {what}: {}{examples}; another tokenizer, such as bytes or bpe:SIZE, covers it",
            parts.into_iter().flatten().collect::<Vec<_>>().join(", "),
        ))
    }

    /// The share of the text that tokens tell, for people.
    #[must_use]
    pub fn told(&self) -> String {
        self.share(self.bytes.saturating_sub(self.unknown + self.lost))
    }

    /// `12.3 %`; what is not all is never shown as all, nor what is something as nothing.
    #[expect(clippy::cast_precision_loss, reason = "a share for the eye")]
    fn share(&self, bytes: u64) -> String {
        let percent = 100.0 * bytes as f64 / self.bytes.max(1) as f64;
        match bytes {
            _ if bytes == self.bytes => "100 %".to_owned(),
            0 => "0 %".to_owned(),
            _ => format!("{:.*} %", if (1.0..99.0).contains(&percent) { 1 } else { 4 }, percent.clamp(0.0001, 99.9999)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts_for_one_token() {
        assert_eq!(byte_counts(&[(0, 2), (2, 5)], 5), [2, 3]);
        assert_eq!(
            byte_counts(&[(0, 2), (3, 5)], 6),
            [2, 4],
            "a gap counts for the token behind it, the rest for the last"
        );
        assert_eq!(
            byte_counts(&[(0, 1), (1, 4), (1, 4), (1, 4), (4, 5)], 5),
            [1, 1, 1, 1, 1],
            "three bytes of a character"
        );
        assert_eq!(byte_counts(&[(0, 3), (0, 3)], 3), [2, 1]);
        assert_eq!(byte_counts(&[(0, 0), (0, 1)], 1), [0, 1], "a mark of the tokenizer's own");
        assert_eq!(byte_counts(&[(0, 3), (1, 4)], 4), [3, 1]);
        assert_eq!(byte_counts(&[], 4), [0; 0]);
    }

    #[test]
    fn what_no_token_tells_is_counted() {
        let found = EncodedText::new("a – b\n", vec![0, 7, 1], &[(0, 1), (2, 5), (6, 7)], Some(7), &[]);
        assert_eq!(found.bytes, [1, 4, 3]);
        assert_eq!((found.coverage.unknown, found.coverage.lost), (3, 0), "white space is not lost");
        let found = EncodedText::new("a – b", vec![0, 1], &[(0, 1), (6, 7)], None, &[]);
        assert_eq!((found.coverage.unknown, found.coverage.lost, found.coverage.told()), (0, 3, "57.1 %".to_owned()));
        let said = found.coverage.sentence("the text").unwrap();
        assert!(said.contains("42.9 % has no token and is dropped (such as `–`)"), "{said}");
        assert_eq!(EncodedText::exact(vec![1], vec![1]).coverage.sentence("it"), None);
        let nearly = Coverage { bytes: 100_000_000, unknown: 1, ..Coverage::default() };
        assert_eq!((nearly.told(), nearly.share(1)), ("99.9999 %".to_owned(), "0.0001 %".to_owned()));
    }
}
