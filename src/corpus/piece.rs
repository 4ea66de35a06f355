//! Documents that come in pieces, because a file may be larger than memory.
//! Promises: where a document was cut on its way changes nothing of what is made of it. Must not know: files, tokens.

use std::mem::take;

use super::error::CorpusError;

/// A part of a document, between characters. Pieces come in order, document after document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'t> {
    /// It may be empty where the document ends.
    pub(super) text: &'t str,
    /// Whether it is the document's last.
    pub(super) ends: bool,
}

impl<'t> Piece<'t> {
    /// A whole document.
    pub(super) const fn whole(text: &'t str) -> Self {
        Self { text, ends: true }
    }
}

/// Cuts documents anew, each from its beginning, into pieces of at most a number of bytes.
pub(super) struct Cutter {
    size: usize,
    rest: String,
}

impl Cutter {
    /// For pieces of `size` bytes; a last character that does not fit is left to the next one.
    pub(super) const fn new(size: usize) -> Self {
        Self { size, rest: String::new() }
    }

    /// Takes the next piece, and gives on what is complete.
    pub(super) fn take(
        &mut self,
        piece: Piece<'_>,
        sink: &mut dyn FnMut(&str) -> Result<(), CorpusError>,
    ) -> Result<(), CorpusError> {
        let mut held = take(&mut self.rest);
        let mut text = if held.is_empty() {
            piece.text
        } else {
            held.push_str(piece.text);
            held.as_str()
        };
        while text.len() >= self.size || (piece.ends && !text.is_empty()) {
            let (cut, tail) = text.split_at_checked(text.floor_char_boundary(self.size)).unwrap_or((text, ""));
            sink(cut)?;
            text = tail;
        }
        self.rest = text.to_owned();
        Ok(())
    }
}

/// Divides a document, of which the length is known before, into a head and a tail.
pub(super) struct Division {
    /// Bytes of the head, or a few less so that no character is divided.
    head: u64,
    seen: u64,
    divided: bool,
}

/// What [`Division`] gives.
pub(super) enum Half<'t> {
    Head(Piece<'t>),
    Tail(Piece<'t>),
}

impl Division {
    /// The last `fraction` of `length` bytes, one at least, is the tail.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "text lengths are far below 2^52"
    )]
    pub(super) fn new(length: u64, fraction: f64) -> Self {
        let tail = ((length as f64 * fraction).round() as u64).max(1);
        Self { head: length.saturating_sub(tail), seen: 0, divided: false }
    }

    /// Takes the next piece of the document.
    ///
    /// # Errors
    /// The document is too short to be divided, or not as long as was said.
    pub(super) fn take(
        &mut self,
        piece: Piece<'_>,
        sink: &mut dyn FnMut(Half<'_>) -> Result<(), CorpusError>,
    ) -> Result<(), CorpusError> {
        if self.divided {
            return sink(Half::Tail(piece));
        }
        let left = usize::try_from(self.head - self.seen).unwrap_or(usize::MAX);
        if left > piece.text.len() || (left == piece.text.len() && !piece.ends) {
            self.seen += piece.text.len() as u64;
            return if piece.ends { Err(CorpusError::Changed) } else { sink(Half::Head(piece)) };
        }
        let (head, tail) =
            piece.text.split_at_checked(piece.text.floor_char_boundary(left)).unwrap_or((piece.text, ""));
        if self.seen + head.len() as u64 == 0 || tail.is_empty() {
            let paths = "the only document".to_owned();
            return Err(CorpusError::Empty { part: "training and validation together", paths });
        }
        self.divided = true;
        sink(Half::Head(Piece::whole(head)))?;
        sink(Half::Tail(Piece { text: tail, ends: piece.ends }))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `text` in pieces of about `size` bytes, the last perhaps empty.
    pub(in crate::corpus) fn pieces(text: &str, size: usize) -> Vec<Piece<'_>> {
        let (mut found, mut rest) = (Vec::new(), text);
        while let Some((piece, tail)) =
            rest.split_at_checked(rest.ceil_char_boundary(size)).filter(|cut| !cut.0.is_empty())
        {
            found.push(Piece { text: piece, ends: false });
            rest = tail;
        }
        found.push(Piece { text: rest, ends: true });
        found
    }

    const TEXT: &str = "a – bc, «Hé!» 🚢🚢 and the ferry's 2nd whistle";

    #[test]
    fn pieces_are_cut_anew_whatever_they_were() {
        let cut = |of: usize, size: usize| {
            let (mut cutter, mut found) = (Cutter::new(size), Vec::new());
            for piece in pieces(TEXT, of).into_iter().chain([Piece::whole("next"), Piece::whole("")]) {
                cutter
                    .take(piece, &mut |text| {
                        found.push(text.to_owned());
                        Ok(())
                    })
                    .unwrap();
            }
            found
        };
        for size in [4, 5, 7, 100] {
            let whole = cut(1000, size);
            assert_eq!(whole.concat(), format!("{TEXT}next"));
            assert!(whole.iter().all(|text| !text.is_empty() && text.len() <= size));
            for of in 1..20 {
                assert_eq!(cut(of, size), whole, "pieces of {of} cut to {size}");
            }
        }
    }

    fn halves(text: &str, of: usize, fraction: f64) -> Result<(String, String), CorpusError> {
        let (mut division, mut head, mut tail) =
            (Division::new(text.len() as u64, fraction), (String::new(), 0), (String::new(), 0));
        for piece in pieces(text, of) {
            division.take(piece, &mut |half| {
                let ((into, ends), piece) = match half {
                    Half::Head(piece) => (&mut head, piece),
                    Half::Tail(piece) => (&mut tail, piece),
                };
                into.push_str(piece.text);
                *ends += usize::from(piece.ends);
                Ok(())
            })?;
        }
        assert_eq!((head.1, tail.1), (1, 1), "each half ends once");
        Ok((head.0, tail.0))
    }

    #[test]
    fn the_tail_is_cut_between_characters() {
        for of in 1..14 {
            let owned = |head: &str, tail: &str| (head.to_owned(), tail.to_owned());
            assert_eq!(halves("0123456789", of, 0.2).unwrap(), owned("01234567", "89"));
            assert_eq!(halves("aé", of, 0.1).unwrap(), owned("a", "é"), "in pieces of {of}");
            assert_eq!(halves(TEXT, of, 0.5).unwrap(), halves(TEXT, 1000, 0.5).unwrap());
            assert!(halves("a", of, 0.5).is_err());
            assert!(halves("é", of, 0.5).is_err());
        }
        let mut shorter = Division::new(10, 0.2);
        assert!(matches!(shorter.take(Piece::whole("0123"), &mut |_| Ok(())), Err(CorpusError::Changed)));
    }
}
