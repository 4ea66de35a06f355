//! Token shards: a header of 24 bytes (magic, format, width, count), then tokens as little-endian u16 or u32, mapped
//! into memory when read. Promises: a shard that is cut off or of another format is refused when it is opened.
//! Must not know: tokenizers.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::CORPUS_FORMAT;
use super::error::CorpusError;

const MAGIC: &[u8; 8] = b"trilabTK";
const HEADER: usize = 24;

/// Bytes of one token, the least that `vocab_size` ids need.
pub(super) const fn width_for(vocab_size: u32) -> u32 {
    if vocab_size <= 1 << 16 { 2 } else { 4 }
}

/// Writes a shard; it is valid after [`ShardWriter::finish`].
pub(super) struct ShardWriter {
    path: PathBuf,
    file: BufWriter<File>,
    width: u32,
    count: u64,
}

impl ShardWriter {
    pub(super) fn create(path: PathBuf, width: u32) -> Result<Self, CorpusError> {
        let file = File::create_new(&path).map_err(CorpusError::io("create", &path))?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(&[0; HEADER]).map_err(CorpusError::io("write", &path))?;
        Ok(Self { path, file, width, count: 0 })
    }

    pub(super) fn push(&mut self, tokens: &[u32]) -> Result<(), CorpusError> {
        for token in tokens {
            let bytes = token.to_le_bytes();
            let kept = if self.width == 2 { bytes.get(..2).unwrap_or(&bytes) } else { &bytes };
            self.file.write_all(kept).map_err(CorpusError::io("write", &self.path))?;
        }
        self.count += tokens.len() as u64;
        Ok(())
    }

    /// Completes the header and brings everything to the disk; the number of tokens.
    pub(super) fn finish(mut self) -> Result<u64, CorpusError> {
        let said = || CorpusError::io("write", &self.path);
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&CORPUS_FORMAT.to_le_bytes());
        header.extend_from_slice(&self.width.to_le_bytes());
        header.extend_from_slice(&self.count.to_le_bytes());
        self.file.seek(SeekFrom::Start(0)).map_err(said())?;
        self.file.write_all(&header).map_err(said())?;
        self.file.flush().map_err(said())?;
        self.file.get_ref().sync_all().map_err(said())?;
        Ok(self.count)
    }
}

/// The tokens of one part of a corpus.
#[derive(Debug)]
pub struct TokenStream {
    path: PathBuf,
    bytes: Mmap,
    width: usize,
    count: u64,
    /// Every token is below this.
    limit: Option<u32>,
}

impl TokenStream {
    /// Maps the shard at `path` after checking its header and size; its tokens must be below `limit`, if there is one.
    pub(super) fn open(path: &Path, limit: Option<u32>) -> Result<Self, CorpusError> {
        let file = File::open(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => CorpusError::damaged(path, "it is missing"),
            _ => CorpusError::Io { action: "read", path: path.to_path_buf(), source },
        })?;
        #[expect(unsafe_code, reason = "mapping a file; shards are written once, renamed into place and never changed")]
        let bytes = unsafe { Mmap::map(&file) }.map_err(CorpusError::io("read", path))?;
        let damaged = |reason: String| CorpusError::damaged(path, reason);
        let (header, body) = bytes
            .split_at_checked(HEADER)
            .ok_or_else(|| damaged(format!("it has {} bytes, fewer than its header", bytes.len())))?;
        let number = |from: usize, length: usize| {
            let field = header.iter().skip(from).take(length).rev();
            field.fold(0u64, |value, byte| (value << 8) | u64::from(*byte))
        };
        let (format, width, count) = (number(8, 4), number(12, 4), number(16, 8));
        if !header.starts_with(MAGIC) {
            return Err(damaged("it is not a token shard".to_owned()));
        }
        if format != u64::from(CORPUS_FORMAT) {
            return Err(damaged(format!("it has format {format}, this program reads format {CORPUS_FORMAT}")));
        }
        if width != 2 && width != 4 {
            return Err(damaged(format!("its tokens have {width} bytes instead of 2 or 4")));
        }
        if count.checked_mul(width) != Some(body.len() as u64) {
            return Err(damaged(format!(
                "its header promises {count} tokens of {width} bytes, it holds {} bytes",
                body.len()
            )));
        }
        Ok(Self { path: path.to_path_buf(), width: width as usize, count, limit, bytes })
    }

    /// Tokens.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are no tokens.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// `length` tokens from `start` on.
    ///
    /// # Errors
    /// The stream ends before, or a token is none of the vocabulary.
    pub fn window(&self, start: u64, length: usize) -> Result<Vec<u32>, CorpusError> {
        let end = start.saturating_add(length as u64);
        let outside = || CorpusError::Window { path: self.path.clone(), start, end, len: self.count };
        if end > self.count {
            return Err(outside());
        }
        let place = |token: u64| HEADER + token as usize * self.width;
        let bytes = self.bytes.get(place(start)..place(end)).ok_or_else(outside)?;
        let value = |token: &[u8]| token.iter().rev().fold(0u32, |value, byte| (value << 8) | u32::from(*byte));
        let tokens: Vec<u32> = bytes.chunks_exact(self.width).map(value).collect();
        let limit = self.limit.unwrap_or(u32::MAX);
        let beyond = |token: &u32| *token >= limit && self.limit.is_some();
        match tokens.iter().position(beyond) {
            Some(at) => Err(self.unknown(start + at as u64, tokens.get(at).copied().unwrap_or_default(), limit)),
            None => Ok(tokens),
        }
    }

    fn unknown(&self, place: u64, token: u32, limit: u32) -> CorpusError {
        let byte = HEADER as u64 + place * self.width as u64;
        let reason = format!("the token at byte {byte} is {token}, the vocabulary has {limit}");
        CorpusError::damaged(&self.path, reason)
    }

    /// Reads everything and gives the sum of all numbers.
    pub(super) fn sum(&self) -> Result<u64, CorpusError> {
        const READ_AT_ONCE: u64 = 1 << 16;
        let mut sum = 0;
        let mut start = 0;
        while start < self.count {
            let length = READ_AT_ONCE.min(self.count - start);
            sum += self.window(start, length as usize)?.into_iter().map(u64::from).sum::<u64>();
            start += length;
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn shard(folder: &Path, tokens: &[u32], width: u32) -> PathBuf {
        let path = folder.join(format!("{width}.tokens"));
        let mut writer = ShardWriter::create(path.clone(), width).unwrap();
        writer.push(tokens).unwrap();
        assert_eq!(writer.finish().unwrap(), tokens.len() as u64);
        path
    }

    #[test]
    fn both_widths_come_back() {
        let folder = tempfile::tempdir().unwrap();
        for (width, tokens) in [(2, vec![0, 1, 258, 65535]), (4, vec![0, 65536, u32::MAX, 7])] {
            let stream = TokenStream::open(&shard(folder.path(), &tokens, width), None).unwrap();
            assert_eq!(stream.len(), 4);
            assert_eq!(stream.window(0, 4).unwrap(), tokens);
            assert_eq!(stream.window(1, 2).unwrap(), tokens[1..3]);
            assert!(stream.window(4, 0).unwrap().is_empty());
            assert!(stream.window(3, 2).unwrap_err().to_string().contains("tokens 3 to 5"));
            assert!(stream.window(u64::MAX, 1).is_err());
        }
        assert_eq!((width_for(65_536), width_for(65_537)), (2, 4));
    }

    #[test]
    fn a_token_beyond_the_vocabulary_is_named_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        for width in [2, 4] {
            let path = shard(folder.path(), &[0, 386, 387, 5], width);
            let stream = TokenStream::open(&path, Some(387)).unwrap();
            assert_eq!(stream.window(0, 2).unwrap(), [0, 386]);
            assert_eq!(stream.window(3, 1).unwrap(), [5]);
            for said in [stream.window(1, 3).unwrap_err(), stream.sum().unwrap_err()].map(|error| error.to_string()) {
                let byte = 24 + 2 * width;
                assert!(said.contains(&format!("the token at byte {byte} is 387, the vocabulary has 387")), "{said}");
                assert!(said.contains(path.to_str().unwrap()), "{said}");
            }
            assert_eq!(TokenStream::open(&path, None).unwrap().sum().unwrap(), 778);
        }
    }

    #[test]
    fn a_shard_cut_at_any_byte_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let whole = fs::read(shard(folder.path(), &[1, 2, 3], 2)).unwrap();
        let path = folder.path().join("cut");
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let said = TokenStream::open(&path, None).unwrap_err().to_string();
            assert!(said.contains("trilab corpus prepare"), "{length}: {said}");
        }
        let mut other = whole.clone();
        other[8] = 9;
        fs::write(&path, &other).unwrap();
        assert!(TokenStream::open(&path, None).unwrap_err().to_string().contains("format 9"));
        assert!(TokenStream::open(&folder.path().join("none"), None).unwrap_err().to_string().contains("missing"));
    }
}
