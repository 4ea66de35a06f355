//! Checksums by which damage to files is found, block by block: BLAKE3 (O'Connor, Aumasson, Neves & Wilcox-O'Hearn 2020), in
//! hexadecimal digits. JSON objects carry theirs inside: see [`super::sealed`].
//! Promises: a changed bit of what is sealed is noticed, wherever it is. Must not know: where files lie, what they hold.

use serde::{Deserialize, Serialize};

/// Bytes of a file that share a checksum: few enough that a part of a large file can be checked by itself.
pub const BLOCK: u64 = 64 << 20;

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
}
