//! Bytes of other people's files as text: UTF-8 with or without a byte order mark; other encodings are named.
//! Promises: the mark is never part of the text. Must not know: files.

/// The byte order mark as UTF-8, which programs on Windows write at the beginning of a file.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Why bytes are not text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotText {
    /// They begin with the mark of UTF-16, or of UTF-32.
    #[error("it is UTF-16 or UTF-32; convert the file to UTF-8")]
    Wide,
    /// They are of an encoding that cannot be told.
    #[error("invalid UTF-8 at byte {offset} of the file; convert the file to UTF-8")]
    Invalid {
        /// Offset of the first wrong byte.
        offset: usize,
    },
}

/// `bytes` without the byte order mark, if they begin with one.
#[must_use]
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}

/// The text of a file that holds `bytes`, without the byte order mark.
///
/// # Errors
/// The bytes are not UTF-8; the message completes "could not read FILE: …" and names the cure.
pub fn text_of(bytes: &[u8]) -> Result<&str, NotText> {
    std::str::from_utf8(without_mark(bytes)).map_err(|error| {
        let wide =
            bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || bytes.starts_with(b"\0\0\xfe\xff");
        let skipped = bytes.len() - without_mark(bytes).len();
        if wide { NotText::Wide } else { NotText::Invalid { offset: skipped + error.valid_up_to() } }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_no_text_and_other_encodings_are_named() {
        assert_eq!(text_of(b"\xef\xbb\xbfa").unwrap(), "a");
        assert_eq!(text_of("a\u{feff}".as_bytes()).unwrap(), "a\u{feff}", "only at the beginning");
        assert_eq!(text_of(b"\xef\xbb\xbfab\xff"), Err(NotText::Invalid { offset: 5 }));
        assert_eq!(text_of(b"\xff\xfea\0"), Err(NotText::Wide));
        assert_eq!(without_mark(b"\xef\xbb"), b"\xef\xbb");
    }
}
