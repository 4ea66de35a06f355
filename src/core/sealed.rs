//! A checksum inside a JSON object: its last member `checksum`, over every byte before it. One bit of a file that changes on its way
//! through years, disks and copies is then known, and never read as another number.
//! Promises: what is sealed opens to the same bytes; an object without a checksum, as earlier versions wrote it, says so.
//! Must not know: files.

use serde::Serialize;
use serde_json::Value;

/// Hexadecimal digits of a checksum: 64 bits of BLAKE3.
const DIGITS: usize = 16;

/// What the checksum of an object says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// The bytes are those that were written.
    Whole,
    /// There is no checksum: an earlier version wrote it.
    Absent,
    /// The bytes are not those that were written.
    Broken,
}

/// A line of a log that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedLine {
    /// The object without number and checksum.
    pub object: Vec<u8>,
    /// Place of the line in its file, from 0.
    pub number: u64,
}

/// The checksum of `bytes`, in hexadecimal digits.
#[must_use]
pub fn checksum(bytes: &[u8]) -> String {
    let mut digits = blake3::hash(bytes).to_hex().to_string();
    digits.truncate(DIGITS);
    digits
}

/// Puts a checksum at the end of a JSON object; what is no object stays as it is.
pub fn seal(object: &mut Vec<u8>) {
    let Some(inside) = object.trim_ascii_end().strip_suffix(b"}") else { return };
    let pretty = inside.ends_with(b"\n");
    let length = inside.trim_ascii_end().len();
    object.truncate(length);
    let sum = checksum(object);
    let first = object.ends_with(b"{");
    let member = match (pretty, first) {
        (true, false) => format!(",\n  \"checksum\": \"{sum}\"\n}}"),
        (_, false) => format!(",\"checksum\":\"{sum}\"}}"),
        (_, true) => format!("\"checksum\":\"{sum}\"}}"),
    };
    object.extend_from_slice(member.as_bytes());
}

/// Puts the number of a line and a checksum at the end of a JSON object.
pub fn seal_line(object: &mut Vec<u8>, number: u64) {
    if object.pop_if(|byte| *byte == b'}').is_some() {
        object.extend_from_slice(format!(",\"line\":{number}}}").as_bytes());
        seal(object);
    }
}

/// `value`, which is written as an object, as indented JSON with a checksum.
///
/// # Errors
/// It holds what JSON cannot.
pub fn sealed<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    seal(&mut bytes);
    bytes.push(b'\n');
    Ok(bytes)
}

/// Whether the bytes of an object are those that were written.
#[must_use]
pub fn check(text: &[u8]) -> Seal {
    match split(text) {
        None => Seal::Absent,
        Some((before, sum)) if checksum(before).as_bytes() == sum => Seal::Whole,
        Some(_) => Seal::Broken,
    }
}

/// The object that [`sealed`] wrote, without its checksum, and what that says.
///
/// # Errors
/// The bytes are no JSON.
pub fn read(text: &[u8]) -> Result<(Seal, Value), serde_json::Error> {
    let (seal, mut value): (Seal, Value) = (check(text), serde_json::from_slice(text)?);
    if let Some(fields) = value.as_object_mut() {
        fields.remove("checksum");
    }
    Ok((seal, value))
}

/// Opens what [`seal_line`] made; `None` if the bytes are not those that were written or carry no checksum.
#[must_use]
pub fn open_line(text: &[u8]) -> Option<SealedLine> {
    let (before, sum) = split(text)?;
    if checksum(before).as_bytes() != sum {
        return None;
    }
    let mut object = before.to_vec();
    object.push(b'}');
    let (place, number) = number(&object)?;
    object.truncate(place);
    object.push(b'}');
    Some(SealedLine { object, number })
}

/// Whether a line carries a checksum, right or wrong.
#[must_use]
pub fn is_sealed(text: &[u8]) -> bool {
    split(text).is_some()
}

/// The last line of a text with a checksum; a comment in TOML.
const LAST_LINE: &str = "# checksum ";

/// `text` with a checksum as its last line.
#[must_use]
pub fn close_text(text: &str) -> String {
    let text = text.trim_end();
    format!("{text}\n{LAST_LINE}{}\n", checksum(text.as_bytes()))
}

/// Whether a text is what [`close_text`] made; one without a checksum, of an earlier version, may be.
#[must_use]
pub fn text_is_whole(text: &str) -> bool {
    let text = text.trim_end();
    match text.rsplit_once(&format!("\n{LAST_LINE}")) {
        Some((before, sum)) => checksum(before.as_bytes()) == sum,
        // Under a marker that was changed itself.
        None => !text.as_bytes().last_chunk::<DIGITS>().is_some_and(|digits| is_checksum(digits)),
    }
}

/// Where the member `line` begins, and its value.
fn number(object: &[u8]) -> Option<(usize, u64)> {
    let inside = object.strip_suffix(b"}")?;
    let digits = inside.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (before, number) = inside.split_at(inside.len().checked_sub(digits)?);
    let place = before.strip_suffix(b",\"line\":")?.len();
    Some((place, std::str::from_utf8(number).ok()?.parse().ok()?))
}

/// What a checksum covers, and the checksum. An object that ends in what looks like a checksum under another name was changed there.
fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = text.trim_ascii_end().strip_suffix(b"}")?.trim_ascii_end().strip_suffix(b"\"")?;
    let (rest, sum) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
    let member = || rest.strip_suffix(b"\"")?.trim_ascii_end().strip_suffix(b"\"checksum\":");
    match member() {
        Some(before) => {
            let before = before.trim_ascii_end();
            Some((before.strip_suffix(b",").unwrap_or(before), sum))
        }
        None => (rest.ends_with(b"\"") && is_checksum(sum)).then_some((text, sum)),
    }
}

fn is_checksum(text: &[u8]) -> bool {
    text.len() == DIGITS && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sealed_objects_open_and_stay_json() {
        for text in [r#"{"a":1}"#, "{\n  \"a\": [1, 2]\n}\n", "{}", r#"{"a":"}\",\"checksum\":\""}"#] {
            let mut sealed = text.as_bytes().to_vec();
            seal(&mut sealed);
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(read(&sealed).unwrap(), (Seal::Whole, value.clone()), "{text}");
            assert_eq!(read(text.as_bytes()).unwrap(), (Seal::Absent, value));
            assert!(serde_json::from_slice::<Value>(&sealed).unwrap().get("checksum").is_some());
        }
        let earlier = br#"{"fingerprint":"0123456789abcdef01234567"}"#;
        assert_eq!(check(earlier), Seal::Absent, "only what is as long as a checksum looks like one");
        let mut none = b"[1]".to_vec();
        seal(&mut none);
        assert_eq!(none, b"[1]");
    }

    #[test]
    fn a_changed_text_is_known() {
        let text = close_text("name = \"first\"\n");
        assert!(text_is_whole(&text) && text_is_whole("name = \"first\"\n"));
        assert!(!text_is_whole(&text.replace("first", "fjrst")));
        assert!(!text_is_whole(&text.replace(LAST_LINE, "# checksum 0")));
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(other) = String::from_utf8(bytes) else { continue };
            assert!(!text_is_whole(&other) || other.trim_end() == text.trim_end(), "bit {bit}: {other}");
        }
    }

    #[test]
    fn lines_know_their_place() {
        let mut line = br#"{"event":{"line":7}}"#.to_vec();
        seal_line(&mut line, 41);
        assert_eq!(open_line(&line), Some(SealedLine { object: br#"{"event":{"line":7}}"#.to_vec(), number: 41 }));
        assert_eq!(open_line(br#"{"event":{"line":7}}"#), None);
    }

    #[test]
    fn a_changed_bit_of_an_object_is_known_or_breaks_it() {
        let mut sealed = b"{\n  \"control\": \"run\"\n}".to_vec();
        seal(&mut sealed);
        let written = read(&sealed).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut other = sealed.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let Ok(found) = read(&other) else { continue };
            assert!(found.0 == Seal::Broken || found == written, "bit {bit}: {found:?}");
        }
    }

    proptest! {
        #[test]
        fn no_changed_bit_is_read_as_another_value(text in "[a-z0-9 \\\\\"]{0,40}", number: u64, at: prop::sample::Index, bit in 0u8..8) {
            let mut line = serde_json::to_vec(&serde_json::json!({ "text": text })).unwrap();
            let written = line.clone();
            seal_line(&mut line, number);
            let mut damaged = line.clone();
            let place = at.index(damaged.len());
            damaged[place] ^= 1 << bit;
            if let Some(read) = open_line(&damaged) {
                // Only a blank outside of what is covered may differ.
                prop_assert_eq!((read.object, read.number), (written, number));
            }
        }
    }
}
