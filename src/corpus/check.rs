//! Whether the files of a corpus folder are what was written, and what is done where they are not.
//! Promises: a changed bit is found by [`verify`], in whichever file it is; nothing is changed but the name of a manifest.
//! Must not know: how a corpus is made, who asks.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::error::CorpusError;
use super::reader::{Corpus, MANIFEST, Manifest, byte_counts_path};
use super::shard::TokenStream;
use crate::core::file_seal::{BlockHasher, FileSeal, Findings};

/// What a manifest is called that was set aside.
const SET_ASIDE: &str = "manifest.damaged.json";

/// Blocks of a file that the start of a run reads at most: 1 GiB.
const BLOCKS_AT_START: usize = 16;

/// Bytes that are read at once.
const BUFFER: usize = 1 << 20;

/// Which blocks of a file are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// Every how manieth; 0 for none.
    every: usize,
    /// The first that is read.
    first: usize,
}

impl Share {
    pub(super) const ALL: Self = Self { every: 1, first: 0 };
    pub(super) const NONE: Self = Self { every: 0, first: 0 };

    /// What the start number `turn` of a run reads.
    pub(super) fn at_start(seal: &FileSeal, turn: u64) -> Self {
        let every = seal.blake3.len().div_ceil(BLOCKS_AT_START).max(1);
        Self { every, first: usize::try_from(turn % every as u64).unwrap_or(0) }
    }

    const fn holds(self, block: usize) -> bool {
        self.every > 0 && block % self.every == self.first
    }
}

/// Checks the length of a file, and a share of what it holds. `read` is told of bytes that were read.
pub(super) fn check_file(
    path: &Path,
    seal: &FileSeal,
    share: Share,
    read: &mut dyn FnMut(u64),
) -> Result<(), CorpusError> {
    let damaged = |reason: String| CorpusError::damaged(path, reason);
    let mut file = File::open(path).map_err(|error| unreadable(path, error))?;
    let length = file.metadata().map_err(|error| unreadable(path, error))?.len();
    seal.check_length(length).map_err(damaged)?;
    let mut buffer = vec![0; BUFFER];
    for number in (0..seal.blake3.len()).filter(|number| share.holds(*number)) {
        let from = seal.block.saturating_mul(number as u64);
        let found = hash(&mut file, from, seal.block, &mut buffer, read).map_err(|error| unreadable(path, error))?;
        seal.check_block(number, &found).map_err(damaged)?;
    }
    Ok(())
}

/// The seal of `length` bytes of a file from `from` on, or of as many as there are.
fn hash(file: &mut File, from: u64, length: u64, buffer: &mut [u8], read: &mut dyn FnMut(u64)) -> io::Result<FileSeal> {
    file.seek(SeekFrom::Start(from))?;
    let mut rest = file.take(length);
    let mut hasher = BlockHasher::new(length);
    loop {
        let count = match rest.read(buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(buffer.get(..count).unwrap_or_default());
        read(count as u64);
    }
}

/// The seal of a file that was just written, in blocks of `block` bytes.
pub(super) fn seal_file(path: &Path, block: u64) -> Result<FileSeal, CorpusError> {
    let open = || -> io::Result<FileSeal> {
        let mut hasher = BlockHasher::new(block);
        let mut file = File::open(path)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hasher.finish()),
                count => hasher.update(buffer.get(..count).unwrap_or_default()),
            }
        }
    };
    open().map_err(CorpusError::io("read", path))
}

/// A file that is missing, or that the disk gives back no more, is damage; one that the system keeps back is not.
pub(super) fn unreadable(path: &Path, error: io::Error) -> CorpusError {
    /// EIO: Linux and macOS, <https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/errno.h.html>.
    const INPUT_OUTPUT: i32 = 5;
    match error.kind() {
        io::ErrorKind::NotFound => CorpusError::damaged(path, "it is missing"),
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => CorpusError::damaged(path, "it is no file"),
        _ if error.raw_os_error() == Some(INPUT_OUTPUT) => CorpusError::damaged(path, error.to_string()),
        _ => CorpusError::io("read", path)(error),
    }
}

/// Reads all of the corpus in `folder` and changes nothing: every file must be what was written. What an earlier version prepared
/// without checksums must have tokens of its vocabulary. Each finding begins with the path of a file.
///
/// # Errors
/// The system does not let a file be read.
pub fn verify(folder: &Path) -> Result<Findings, CorpusError> {
    verify_with(folder, &mut |_, _| {})
}

/// The same; `progress` receives the bytes that were read, and all.
pub(super) fn verify_with(folder: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Findings, CorpusError> {
    let mut findings = Findings::default();
    let path = folder.join(MANIFEST);
    let manifest = match noted(&mut findings, Manifest::find(folder))? {
        Some(Some(manifest)) => manifest,
        Some(None) => {
            let aside = folder.join(SET_ASIDE).exists();
            let reason =
                if aside { "it was set aside, because a run found the corpus damaged" } else { "it is missing" };
            findings.damaged.push(format!("{}: {reason}", path.display()));
            return Ok(findings);
        }
        None => return Ok(findings),
    };
    let total: u64 = manifest.files.values().map(|seal| seal.bytes).sum();
    let mut done = 0;
    for (name, seal) in &manifest.files {
        let mut read = |bytes: u64| {
            done += bytes;
            progress(done, total);
        };
        noted(&mut findings, check_file(&folder.join(name), seal, Share::ALL, &mut read))?;
    }
    if findings.is_whole()
        && let Some(corpus) = noted(&mut findings, Corpus::open(folder))?
        && !manifest.is_sealed()
    {
        noted(&mut findings, check_numbers(folder, &corpus))?;
        findings.unsealed.push(format!("{}: an earlier version wrote it without checksums", path.display()));
    }
    Ok(findings)
}

/// What was checked, or a finding.
fn noted<T>(findings: &mut Findings, checked: Result<T, CorpusError>) -> Result<Option<T>, CorpusError> {
    match checked {
        Ok(found) => Ok(Some(found)),
        Err(CorpusError::Damaged { path, reason }) => {
            findings.damaged.push(format!("{}: {reason}", path.display()));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What can be seen without checksums: every token is one of the vocabulary, and the validation tokens cover its text.
fn check_numbers(folder: &Path, corpus: &Corpus) -> Result<(), CorpusError> {
    corpus.train().sum()?;
    corpus.validation().sum()?;
    let covered = corpus.byte_counts().map(TokenStream::sum).transpose()?;
    let bytes = corpus.manifest().validation.bytes;
    match covered.filter(|covered| *covered != bytes) {
        Some(covered) => {
            let reason = format!("its tokens cover {covered} bytes, the validation text has {bytes}");
            Err(CorpusError::damaged(&byte_counts_path(folder), reason))
        }
        None => Ok(()),
    }
}

/// Whether `folder` has a manifest: a corpus without one is not there.
#[must_use]
pub fn has_manifest(folder: &Path) -> bool {
    folder.join(MANIFEST).is_file()
}

/// Renames the manifest of a damaged corpus, so that nobody trains on it; preparing the corpus makes it anew.
///
/// # Errors
/// The folder is not writable.
pub fn set_aside(folder: &Path) -> Result<(), CorpusError> {
    let path = folder.join(MANIFEST);
    match fs::rename(&path, folder.join(SET_ASIDE)) {
        // Somebody else did so a moment ago.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved.map_err(CorpusError::io("set aside", &path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_starts_read_all_blocks_and_each_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.tokens");
        let content: Vec<u8> = (0..640_u32).flat_map(u32::to_le_bytes).collect();
        fs::write(&path, &content).unwrap();
        // 40 blocks: three starts read them all.
        let seal = seal_file(&path, 64).unwrap();
        assert_eq!(seal, FileSeal::of(&content, 64));
        let mut read = 0;
        check_file(&path, &seal, Share::ALL, &mut |bytes| read += bytes).unwrap();
        assert_eq!(read, 2560);
        for flipped in [0, 1000, 2559] {
            let mut other = content.clone();
            other[flipped] ^= 4;
            fs::write(&path, &other).unwrap();
            let check = |share| check_file(&path, &seal, share, &mut |_| {});
            let found: Vec<bool> = (0..3).map(|turn| check(Share::at_start(&seal, turn)).is_err()).collect();
            assert_eq!(found.iter().filter(|found| **found).count(), 1, "{found:?}");
            let from = flipped / 64 * 64;
            let said = check(Share::ALL).unwrap_err().to_string();
            assert!(said.contains(&format!("between the bytes {from} and {}", from + 64)), "{said}");
            assert!(said.contains("train.tokens") && said.contains("trilab corpus prepare"), "{said}");
            check(Share::NONE).unwrap();
        }
        fs::write(&path, &content[..100]).unwrap();
        let said = check_file(&path, &seal, Share::NONE, &mut |_| {}).unwrap_err().to_string();
        assert!(said.contains("it has 100 bytes, 2560 were written"), "{said}");
        fs::remove_file(&path).unwrap();
        let said = check_file(&path, &seal, Share::NONE, &mut |_| {}).unwrap_err().to_string();
        assert!(said.contains("it is missing"), "{said}");
    }
}
