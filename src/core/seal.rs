//! Checksums by which damage is found: of files, block by block, and of JSON objects, over their own fields. All are BLAKE3
//! (O'Connor, Aumasson, Neves & Wilcox-O'Hearn 2020), written in hexadecimal digits.
//! Promises: a changed bit of what is sealed is noticed, wherever it is. Must not know: where files lie, what they hold.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Bytes of a file that share a checksum: few enough that a part of a large file can be checked by itself.
pub const BLOCK: u64 = 64 << 20;

/// Where a JSON object holds its own checksum.
const FIELD: &str = "checksum";

/// What a file held when it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSeal {
    /// Length of the file.
    pub bytes: u64,
    /// Bytes of each block; the last one may be shorter.
    pub block: u64,
    /// The checksum of each block, in order; an empty file has one empty block.
    pub blake3: Vec<String>,
}

impl FileSeal {
    /// The seal of a file with this content, in blocks of `block` bytes.
    #[must_use]
    pub fn of(content: &[u8], block: u64) -> Self {
        let mut hasher = BlockHasher::new(block);
        hasher.update(content);
        hasher.finish()
    }

    /// Whether a file has this length.
    ///
    /// # Errors
    /// It has not, in words.
    pub fn check_length(&self, found: u64) -> Result<(), String> {
        if found == self.bytes { Ok(()) } else { Err(format!("it has {found} bytes, {} were written", self.bytes)) }
    }

    /// Whether this is what was written.
    ///
    /// # Errors
    /// It is not; the text says where.
    pub fn check(&self, content: &[u8]) -> Result<(), String> {
        self.check_length(content.len() as u64)?;
        let found = Self::of(content, self.block);
        let differs = found.blake3.iter().zip(&self.blake3).position(|(ours, theirs)| ours != theirs);
        match differs {
            Some(number) => Err(self.differs(number)),
            None if found.blake3.len() != self.blake3.len() => Err("its checksums are incomplete".to_owned()),
            None => Ok(()),
        }
    }

    /// Whether block `number` of the file is the one with the seal `found`.
    ///
    /// # Errors
    /// It is not; the text says where it lies.
    pub fn check_block(&self, number: usize, found: &Self) -> Result<(), String> {
        let right = self.blake3.get(number).is_some_and(|known| found.blake3.as_slice() == [known.as_str()]);
        if right { Ok(()) } else { Err(self.differs(number)) }
    }

    fn differs(&self, number: usize) -> String {
        let what = "its content is not what was written: the checksum differs";
        if self.blake3.len() == 1 {
            return what.to_owned();
        }
        let from = self.block.saturating_mul(number as u64);
        format!("{what} between the bytes {from} and {}", from.saturating_add(self.block).min(self.bytes))
    }
}

/// Seals what is written bit by bit.
#[derive(Debug)]
pub struct BlockHasher {
    block: u64,
    bytes: u64,
    /// Bytes of the block at hand.
    filled: u64,
    hasher: blake3::Hasher,
    done: Vec<String>,
}

impl BlockHasher {
    /// Nothing yet, in blocks of `block` bytes.
    #[must_use]
    pub fn new(block: u64) -> Self {
        Self { block: block.max(1), bytes: 0, filled: 0, hasher: blake3::Hasher::new(), done: Vec::new() }
    }

    /// The next bytes of the file.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.filled == self.block {
                self.close();
            }
            let room = usize::try_from(self.block - self.filled).unwrap_or(usize::MAX);
            let (head, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.hasher.update(head);
            self.filled += head.len() as u64;
            self.bytes += head.len() as u64;
            bytes = rest;
        }
    }

    fn close(&mut self) {
        self.done.push(hex(&self.hasher.finalize()));
        self.hasher.reset();
        self.filled = 0;
    }

    /// The seal of all bytes so far.
    #[must_use]
    pub fn finish(mut self) -> FileSeal {
        if self.filled > 0 || self.done.is_empty() {
            self.close();
        }
        FileSeal { bytes: self.bytes, block: self.block, blake3: self.done }
    }
}

fn hex(hash: &blake3::Hash) -> String {
    hash.to_hex().to_string()
}

/// How a JSON object stands to the checksum that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// It holds none: an earlier version wrote it.
    Absent,
    /// It is what was written.
    Whole,
    /// It is not.
    Broken,
}

#[derive(Serialize)]
struct Sealed<'a, T> {
    #[serde(flatten)]
    value: &'a T,
    checksum: String,
}

/// `value`, which is written as an object, as indented JSON with a checksum behind its fields.
///
/// # Errors
/// It holds what JSON cannot.
pub fn sealed<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    // As it will be read back: JSON knows one kind of number only.
    let read: Value = serde_json::from_slice(&serde_json::to_vec(value)?)?;
    let mut bytes = serde_json::to_vec_pretty(&Sealed { value, checksum: checksum(&read)? })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Takes the checksum out of an object that [`sealed`] wrote, and says whether the rest is what was written.
pub fn unseal(value: &mut Value) -> Seal {
    let Some(said) = value.as_object_mut().and_then(|fields| fields.remove(FIELD)) else { return Seal::Absent };
    match checksum(value) {
        Ok(found) if said.as_str() == Some(found.as_str()) => Seal::Whole,
        Ok(_) | Err(_) => Seal::Broken,
    }
}

fn checksum(value: &Value) -> Result<String, serde_json::Error> {
    Ok(hex(&blake3::hash(&serde_json::to_vec(&sorted(value))?)))
}

/// The same with the keys of all objects in order, so that the checksum depends on content only.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<(&String, &Value)> = fields.iter().collect();
            keys.sort_by_key(|(key, _)| *key);
            Value::Object(keys.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect::<Map<_, _>>())
        }
        Value::Array(values) => Value::Array(values.iter().map(sorted).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain.clone(),
    }
}

/// What a check of files found, a sentence each that begins with the path of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What is damaged.
    pub damaged: Vec<String>,
    /// What could be checked in part only, because an earlier version wrote it without checksums.
    pub unsealed: Vec<String>,
}

impl Findings {
    /// Whether nothing is damaged.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.damaged.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_a_file_counts_and_the_block_is_named() {
        let content: Vec<u8> = (0..50).collect();
        let seal = FileSeal::of(&content, 16);
        assert_eq!((seal.bytes, seal.blake3.len()), (50, 4));
        let mut bit_by_bit = BlockHasher::new(16);
        content.chunks(7).for_each(|part| bit_by_bit.update(part));
        assert_eq!(bit_by_bit.finish(), seal);
        assert_eq!(seal.check(&content), Ok(()));
        for bit in 0..content.len() * 8 {
            let mut other = content.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let (block, from) = (bit / 128, bit / 128 * 16);
            let said = seal.check(&other).unwrap_err();
            assert!(said.ends_with(&format!("between the bytes {from} and {}", (from + 16).min(50))), "{said}");
            for (number, part) in other.chunks(16).enumerate() {
                let found = seal.check_block(number, &FileSeal::of(part, 16));
                assert_eq!(found, if number == block { Err(said.clone()) } else { Ok(()) });
            }
        }
        assert_eq!(seal.check(&content[..49]).unwrap_err(), "it has 49 bytes, 50 were written");
        assert!(seal.check_block(4, &FileSeal::of(&[], 16)).is_err(), "there is no such block");
        let (none, one) = (FileSeal::of(&[], 16), FileSeal::of(&content[..16], 16));
        assert_eq!((none.blake3.len(), one.blake3.len()), (1, 1));
        assert_eq!((none.check(&[]), one.check(&content[..16])), (Ok(()), Ok(())));
    }

    #[derive(Serialize)]
    struct Words {
        word: String,
        shares: Vec<f32>,
        inner: std::collections::BTreeMap<String, f64>,
    }

    #[test]
    fn every_bit_of_an_object_counts_and_the_order_of_its_keys_does_not() {
        let inner = [("a".to_owned(), 0.1), ("b".to_owned(), 1e-300)].into();
        let bytes = sealed(&Words { word: "tide".to_owned(), shares: vec![0.1, 1.0 / 3.0], inner }).unwrap();
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes);
        let mut value = read(&bytes).unwrap();
        assert_eq!(unseal(&mut value), Seal::Whole);
        assert_eq!((value["word"].as_str(), value.get("checksum")), (Some("tide"), None));
        assert_eq!(unseal(&mut value), Seal::Absent);
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.starts_with("{\n  \"word\"") && text.ends_with("\"\n}\n"), "{text}");
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let Ok(mut other) = read(&other) else { continue };
            let seal = unseal(&mut other);
            assert!(seal != Seal::Whole || other == value, "bit {bit}: {other}");
        }
        let turned =
            text.replacen("\"word\": \"tide\",", "", 1).replacen("\"inner\"", "\"word\": \"tide\", \"inner\"", 1);
        assert_eq!(unseal(&mut read(turned.as_bytes()).unwrap()), Seal::Whole);
    }
}
