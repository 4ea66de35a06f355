//! Writes a corpus folder: tokenizer, shards, manifest, beside its place, then renamed into it.
//! Promises: a folder under its fingerprint is whole or absent whatever is killed when; of two preparations at once, one
//! works and both end well. Must not know: who waits for it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::CORPUS_FORMAT;
use super::coverage::{Coverage, EncodedText};
use super::error::CorpusError;
use super::piece::Piece;
use super::reader::{MANIFEST, Manifest, byte_counts_path, shard_path};
use super::shard::{ShardWriter, width_for};
use super::split::{Part, Texts};
use super::survey::{Learned, Studied, study};
use super::tokenizer::Tokenizer;
use super::training::train_bpe;
use crate::config::files;
use crate::core::texts::CorpusSettings;

/// Text that is encoded at once, in bytes: enough to keep all cores busy, little enough to hold.
const BATCH: usize = 4 << 20;

/// Between two looks whether another preparation of the same corpus has ended.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// How far a preparation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: &'static str,
    /// Bytes of text done in this phase.
    pub done: u64,
    /// Bytes of text of this phase; 0 while unknown.
    pub total: u64,
}

/// A corpus that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// What its folder holds.
    pub manifest: Manifest,
    /// What a person should know of the texts as they are now and of the tokenizer, a sentence each.
    pub notices: Vec<String>,
}

/// Prepares the corpus below `corpora_dir`, in a folder named by its fingerprint; does nothing if it is there already.
///
/// # Errors
/// A text, the tokenizer or the disk refuses; path and cure are named. Nothing half-made is left under the fingerprint.
pub fn prepare(
    settings: &CorpusSettings,
    corpora_dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Prepared, CorpusError> {
    let studied = study(settings, &mut |done, total| progress(Progress { phase: "reading", done, total }))?;
    let mut notices = studied.texts.remarks.lines();
    notices.extend(studied.tokenizer.changes(&settings.tokenizer, studied.survey.train.bytes));
    let manifest = whole_or_made(settings, studied, corpora_dir, progress)?;
    notices.extend(manifest.coverage.sentence("the text"));
    Ok(Prepared { manifest, notices })
}

fn whole_or_made(
    settings: &CorpusSettings,
    studied: Studied,
    corpora_dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Manifest, CorpusError> {
    let folder = corpora_dir.join(&studied.survey.fingerprint);
    if let Some(manifest) = whole(&folder) {
        return Ok(manifest);
    }
    fs::create_dir_all(corpora_dir).map_err(CorpusError::io("create", corpora_dir))?;
    let lock = Lock::take(corpora_dir, &studied.survey.fingerprint, progress)?;
    if let Some(manifest) = whole(&folder) {
        return Ok(manifest);
    }
    let partial = lock.partial_folder()?;
    let written = write_all(settings, studied, &partial, progress).and_then(|manifest| {
        install(&partial, &folder)?;
        Ok(manifest)
    });
    if written.is_err() {
        // The error that matters is the one in hand; a leftover is removed by the next preparation.
        _ = fs::remove_dir_all(&partial);
    }
    written
}

/// The manifest of a folder that has all that this program writes; what an earlier version prepared is prepared again.
fn whole(folder: &Path) -> Option<Manifest> {
    Manifest::find(folder).ok().flatten().filter(|_| byte_counts_path(folder).exists())
}

fn write_all(
    settings: &CorpusSettings,
    studied: Studied,
    folder: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Manifest, CorpusError> {
    let Studied { survey, texts, tokenizer } = studied;
    let tokenizer = match tokenizer {
        Learned::Known(tokenizer) => tokenizer,
        Learned::Untrained(text_size) => train_bpe(&texts, text_size, survey.train.bytes, &mut |done, total| {
            progress(Progress { phase: "training the tokenizer", done, total });
        })?,
    };
    tokenizer.save(folder)?;
    let total = survey.train.bytes + survey.validation.bytes;
    let mut encoder = Encoder::new(&tokenizer, folder, total, progress)?;
    texts.visit(&mut |part, piece| encoder.piece(part, piece))?;
    let Encoded { train_tokens, validation_tokens, bytes: done, coverage } = encoder.finish()?;
    let again = Texts::scan(settings, &mut |_, _| {})?;
    if done != total || again.content != texts.content {
        return Err(CorpusError::Changed);
    }
    let manifest = Manifest {
        format: CORPUS_FORMAT,
        fingerprint: survey.fingerprint,
        name: survey.name,
        vocab_size: survey.vocab_size,
        train: survey.train,
        validation: survey.validation,
        train_tokens,
        validation_tokens,
        settings: settings.clone(),
        coverage,
    };
    let path = folder.join(MANIFEST);
    let text = serde_json::to_string_pretty(&manifest).map_err(|e| CorpusError::damaged(&path, e.to_string()))?;
    fs::write(&path, text).map_err(CorpusError::io("write", &path))?;
    File::open(&path).and_then(|file| file.sync_all()).map_err(CorpusError::io("write", &path))?;
    Ok(manifest)
}

/// What encoding gave.
struct Encoded {
    train_tokens: u64,
    validation_tokens: u64,
    /// UTF-8 bytes of text.
    bytes: u64,
    coverage: Coverage,
}

/// Encodes documents in batches and writes their tokens.
struct Encoder<'e> {
    tokenizer: &'e Tokenizer,
    train: ShardWriter,
    validation: ShardWriter,
    /// What each validation token covers.
    byte_counts: ShardWriter,
    coverage: Coverage,
    /// Bytes of the document at hand that no token of it could be charged with.
    owed: u32,
    /// The end of the document at hand, which cannot be cut yet, and how much of it was looked at.
    held: String,
    looked: usize,
    pending: Vec<Pending>,
    pending_bytes: usize,
    done: u64,
    total: u64,
    progress: &'e mut dyn FnMut(Progress),
}

/// A piece of a document that waits to be encoded.
struct Pending {
    part: Part,
    text: String,
    closes: bool,
}

impl<'e> Encoder<'e> {
    fn new(
        tokenizer: &'e Tokenizer,
        folder: &Path,
        total: u64,
        progress: &'e mut dyn FnMut(Progress),
    ) -> Result<Self, CorpusError> {
        let width = width_for(tokenizer.vocabulary().size());
        Ok(Self {
            tokenizer,
            train: ShardWriter::create(shard_path(folder, Part::Train), width)?,
            validation: ShardWriter::create(shard_path(folder, Part::Validation), width)?,
            byte_counts: ShardWriter::create(byte_counts_path(folder), 4)?,
            coverage: Coverage::default(),
            owed: 0,
            held: String::new(),
            looked: 0,
            pending: Vec::new(),
            pending_bytes: 0,
            done: 0,
            total,
            progress,
        })
    }

    fn piece(&mut self, part: Part, piece: Piece<'_>) -> Result<(), CorpusError> {
        self.held.push_str(piece.text);
        while let Some(at) = self.tokenizer.cut(&self.held, self.looked) {
            let rest = self.held.split_off(at);
            let text = std::mem::replace(&mut self.held, rest);
            self.looked = 0;
            self.wait(Pending { part, text, closes: false })?;
        }
        self.looked = self.held.len();
        if piece.ends {
            self.looked = 0;
            let text = std::mem::take(&mut self.held);
            self.wait(Pending { part, text, closes: true })?;
        }
        Ok(())
    }

    fn wait(&mut self, pending: Pending) -> Result<(), CorpusError> {
        self.pending_bytes += pending.text.len();
        self.pending.push(pending);
        if self.pending_bytes >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), CorpusError> {
        let texts: Vec<&str> = self.pending.iter().map(|pending| pending.text.as_str()).collect();
        let encoded = self.tokenizer.measure_all(&texts)?;
        let end = self.tokenizer.vocabulary().end();
        for (pending, encoded) in self.pending.iter().zip(encoded) {
            let EncodedText { mut ids, mut bytes, coverage } = encoded;
            self.coverage.add(&coverage);
            match bytes.first_mut() {
                Some(first) => *first += std::mem::take(&mut self.owed),
                None => self.owed += pending.text.len() as u32,
            }
            if pending.closes {
                ids.push(end);
                bytes.push(std::mem::take(&mut self.owed));
            }
            match pending.part {
                Part::Train => self.train.push(&ids)?,
                Part::Validation => {
                    self.validation.push(&ids)?;
                    self.byte_counts.push(&bytes)?;
                }
            }
        }
        self.done += self.pending_bytes as u64;
        self.pending.clear();
        self.pending_bytes = 0;
        (self.progress)(Progress { phase: "encoding", done: self.done, total: self.total });
        Ok(())
    }

    fn finish(mut self) -> Result<Encoded, CorpusError> {
        self.flush()?;
        self.byte_counts.finish()?;
        Ok(Encoded {
            train_tokens: self.train.finish()?,
            validation_tokens: self.validation.finish()?,
            bytes: self.done,
            coverage: self.coverage,
        })
    }
}

/// The right to prepare one corpus. The operating system returns it when the process ends, however it ends.
struct Lock {
    corpora_dir: PathBuf,
    fingerprint: String,
    held: Option<File>,
}

impl Lock {
    /// Waits for the lock. A file system without locks gives none: then the rename decides between two preparations.
    fn take(corpora_dir: &Path, fingerprint: &str, progress: &mut dyn FnMut(Progress)) -> Result<Self, CorpusError> {
        let path = corpora_dir.join(format!(".{fingerprint}.lock"));
        let file = File::create(&path).map_err(CorpusError::io("create", &path))?;
        let held = match file.try_lock() {
            Ok(()) => Some(file),
            Err(TryLockError::WouldBlock) => {
                progress(Progress { phase: "waiting for another preparation", done: 0, total: 0 });
                // Not with a call that waits: who watches hears that this goes on.
                loop {
                    std::thread::sleep(LOCK_PAUSE);
                    files::goes_on();
                    match file.try_lock() {
                        Ok(()) => break Some(file),
                        Err(TryLockError::WouldBlock) => {}
                        Err(TryLockError::Error(error)) => return Err(CorpusError::io("lock", &path)(error)),
                    }
                }
            }
            Err(TryLockError::Error(_)) => None,
        };
        Ok(Self { corpora_dir: corpora_dir.to_path_buf(), fingerprint: fingerprint.to_owned(), held })
    }

    /// A fresh folder to write in; what killed preparations left is removed if the lock says that nobody writes there.
    fn partial_folder(&self) -> Result<PathBuf, CorpusError> {
        let mut number = 0u32;
        loop {
            let path = self.corpora_dir.join(format!(".{}.partial-{number}", self.fingerprint));
            if self.held.is_some() && path.exists() {
                fs::remove_dir_all(&path).map_err(CorpusError::io("remove", &path))?;
            }
            match fs::create_dir(&path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(CorpusError::io("create", &path)(error)),
            }
        }
    }
}

/// Puts the finished folder into its place. What stands there without a valid manifest is damaged and makes room; with
/// one, another preparation was faster and made the same.
fn install(partial: &Path, folder: &Path) -> Result<(), CorpusError> {
    if folder.exists() {
        if whole(folder).is_some() {
            return fs::remove_dir_all(partial).map_err(CorpusError::io("remove", partial));
        }
        fs::remove_dir_all(folder).map_err(CorpusError::io("remove", folder))?;
    }
    match fs::rename(partial, folder) {
        Err(_) if whole(folder).is_some() => fs::remove_dir_all(partial).map_err(CorpusError::io("remove", partial)),
        moved => moved.map_err(CorpusError::io("create", folder)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::reader::Corpus;
    use super::*;
    use crate::core::texts::TokenizerSpec;

    fn settings(path: &Path, tokenizer: TokenizerSpec) -> CorpusSettings {
        CorpusSettings {
            paths: vec![path.display().to_string()],
            field: "text".to_owned(),
            validation: Vec::new(),
            validation_fraction: 0.34,
            tokenizer,
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn documents_are_closed_by_end_and_split_whole() {
        let home = tempfile::tempdir().unwrap();
        let texts = home.path().join("t.jsonl");
        fs::write(&texts, "{\"text\":\"one\"}\n{\"text\":\"two\"}\n{\"text\":\"three\"}\n").unwrap();
        let corpora = home.path().join("corpora");
        let mut phases = Vec::new();
        let manifest =
            prepare(&settings(&texts, TokenizerSpec::Bytes), &corpora, &mut |p| phases.push(p)).unwrap().manifest;
        assert_eq!((manifest.train.documents, manifest.validation.documents), (2, 1));
        assert_eq!(manifest.train_tokens + manifest.validation_tokens, 11 + 3);
        let last = phases.last().unwrap();
        assert_eq!((last.phase, last.done, last.total), ("encoding", 11, 11));
        let corpus = Corpus::open(&corpora.join(&manifest.fingerprint)).unwrap();
        assert_eq!(corpus.manifest(), &manifest);
        let text = |stream: &super::super::TokenStream| {
            corpus.tokenizer().decode(&stream.window(0, stream.len() as usize).unwrap())
        };
        let mut all: Vec<String> = format!("{}{}", text(corpus.train()), text(corpus.validation()))
            .split_terminator("</s>")
            .map(str::to_owned)
            .collect();
        all.sort();
        assert_eq!(all, ["one", "three", "two"]);
    }

    #[test]
    fn every_tokenizer_prepares_the_shipped_text_and_gives_it_back() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("foreign.json");
        for tokenizer in
            [TokenizerSpec::Bytes, TokenizerSpec::Chars, TokenizerSpec::Bpe(512), TokenizerSpec::File(file.clone())]
        {
            let settings = settings(Path::new("shipped:harbour"), tokenizer.clone());
            let Prepared { manifest, notices } = prepare(&settings, home.path(), &mut |_| {}).unwrap();
            let corpus = Corpus::open(&home.path().join(&manifest.fingerprint)).unwrap();
            assert_eq!(corpus.vocabulary().size() as usize, manifest.vocab_size);
            let ids = |stream: &super::super::TokenStream| stream.window(0, stream.len() as usize).unwrap();
            let (train, validation) = (ids(corpus.train()), ids(corpus.validation()));
            let counts = ids(corpus.byte_counts().unwrap());
            assert_eq!(counts.len(), validation.len());
            assert_eq!(counts.iter().map(|count| u64::from(*count)).sum::<u64>(), manifest.validation.bytes);
            assert_eq!((manifest.coverage.told(), notices), ("100 %".to_owned(), Vec::new()));
            let text = corpus.tokenizer().decode(&[train, validation].concat()).replace("</s>", "");
            assert_eq!(text, include_str!("../../data/corpora/harbour.txt"));
            if let (Tokenizer::Subwords(subwords), TokenizerSpec::Bpe(_)) = (corpus.tokenizer(), tokenizer) {
                fs::write(&file, subwords.to_json().unwrap()).unwrap();
            }
        }
    }

    #[test]
    fn a_second_preparation_does_nothing_and_a_damaged_folder_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let settings = settings(Path::new("shipped:harbour"), TokenizerSpec::Bytes);
        let first = prepare(&settings, home.path(), &mut |_| {}).unwrap();
        let mut encoded = false;
        assert_eq!(prepare(&settings, home.path(), &mut |p| encoded |= p.phase == "encoding").unwrap(), first);
        assert!(!encoded);
        let folder = home.path().join(&first.manifest.fingerprint);
        fs::write(folder.join(MANIFEST), "{\"format\":1,").unwrap();
        assert!(Corpus::open(&folder).unwrap_err().to_string().contains("trilab corpus prepare"));
        assert_eq!(prepare(&settings, home.path(), &mut |_| {}).unwrap(), first);
        Corpus::open(&folder).unwrap();
    }

    #[test]
    fn what_a_killed_preparation_left_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let settings = settings(Path::new("shipped:harbour"), TokenizerSpec::Bytes);
        let fingerprint = super::super::survey(&settings).unwrap().fingerprint;
        let left = home.path().join(format!(".{fingerprint}.partial-0"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("train.tokens"), "half").unwrap();
        prepare(&settings, home.path(), &mut |_| {}).unwrap();
        assert_eq!(names(home.path()), [format!(".{fingerprint}.lock"), fingerprint]);
    }

    #[test]
    fn preparations_at_once_all_end_well() {
        let home = tempfile::tempdir().unwrap();
        let settings = settings(Path::new("shipped:harbour"), TokenizerSpec::Bpe(300));
        let manifests: Vec<Prepared> = std::thread::scope(|scope| {
            let started: Vec<_> =
                (0..4).map(|_| scope.spawn(|| prepare(&settings, home.path(), &mut |_| {}).unwrap())).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(manifests.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(names(home.path()).len(), 2);
        Corpus::open(&home.path().join(&manifests[0].manifest.fingerprint)).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("corpora");
        fs::write(&file, "in the way").unwrap();
        let settings = settings(Path::new("shipped:harbour"), TokenizerSpec::Bytes);
        let said = prepare(&settings, &file, &mut |_| {}).unwrap_err().to_string();
        assert!(said.starts_with("create") && said.contains("corpora"), "{said}");
        let full = CorpusError::io("write", &file)(io::ErrorKind::StorageFull.into()).to_string();
        assert!(full.contains("corpora") && full.contains("free some space"), "{full}");
    }
}
