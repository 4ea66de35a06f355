//! A small picture of an attention matrix: which part of the text looks at which, in at most 32 × 32 cells.
//! Promises: a picture is one short string in a log and gives back every mass to 8 bits on a square-root scale.
//! Must not know: how a matrix is pooled, how it is drawn.

use serde::{Deserialize, Serialize};

/// Most rows and columns of a picture.
pub const MOST_CELLS: usize = 32;

/// Base 64 (RFC 4648, without padding).
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Masses between 0 and 1, row by row, packed: each is round(255·√mass), three of them are four digits of base 64.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Picture(String);

impl Picture {
    /// The picture of `masses`.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what a byte holds")]
    pub fn packed(masses: &[f64]) -> Self {
        let bytes: Vec<u8> = masses.iter().map(|mass| (mass.clamp(0.0, 1.0).sqrt() * 255.0).round() as u8).collect();
        let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
        for group in bytes.chunks(3) {
            let bits =
                group.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
            let digits = (0..=group.len()).map(|place| bits >> (18 - 6 * place) & 63);
            text.extend(digits.filter_map(|digit| DIGITS.get(digit)).map(|digit| char::from(*digit)));
        }
        Self(text)
    }

    /// Whether nothing was kept.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The masses, row by row; none if the text is no picture.
    #[must_use]
    pub fn masses(&self) -> Vec<f64> {
        let digit = |byte: &u8| DIGITS.iter().position(|digit| digit == byte);
        let mut masses = Vec::with_capacity(self.0.len() * 3 / 4);
        for group in self.0.as_bytes().chunks(4) {
            let Some(bits) = group.iter().try_fold(0_usize, |bits, byte| Some(bits << 6 | digit(byte)?)) else {
                return Vec::new();
            };
            let bits = bits << (6 * (4 - group.len()));
            let bytes = (0..group.len().saturating_sub(1)).map(|place| bits >> (16 - 8 * place) & 255);
            masses.extend(bytes.map(|byte| (byte as f64 / 255.0).powi(2)));
        }
        masses
    }
}

/// Rows or columns that a picture of `length` positions has.
#[must_use]
pub fn cells(length: usize) -> usize {
    length.min(MOST_CELLS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_gives_back_its_masses_to_eight_bits() {
        for count in 0..=1_024 {
            let masses: Vec<f64> = (0..count).map(|at| (at as f64 * 0.618).fract().powi(4)).collect();
            let picture = Picture::packed(&masses);
            assert_eq!(picture.is_empty(), count == 0);
            let back = picture.masses();
            assert_eq!(back.len(), count);
            let close = |(a, b): (&f64, &f64)| (a.sqrt() - b.sqrt()).abs() <= 0.5 / 255.0 + 1e-12;
            assert!(masses.iter().zip(&back).all(close), "{count}");
            assert_eq!(Picture::packed(&back), picture, "packing again changes nothing");
        }
        assert_eq!(Picture::packed(&[0.0; 1_024]).0.len(), 1_366);
    }

    #[test]
    fn known_digits_and_what_is_no_picture() {
        // Bytes 77 97 110 are `Man`, whose base 64 is `TWFu`.
        let masses = [77.0_f64, 97.0, 110.0].map(|byte| (byte / 255.0).powi(2));
        assert_eq!(serde_json::to_string(&Picture::packed(&masses)).unwrap(), "\"TWFu\"");
        assert_eq!(Picture::packed(&[2.0, -1.0]).masses(), [1.0, 0.0], "what is out of range is the nearest in it");
        let broken: Picture = serde_json::from_str("\"T~Fu\"").unwrap();
        assert!(broken.masses().is_empty());
    }
}
