//! Writes a corpus folder: tokenizer, shards, manifest, beside its place, then renamed into it.
//! Promises: a folder under its fingerprint is whole or absent whatever is killed when; of two preparations at once, one
//! works and both end well. Must not know: who waits for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::check::{seal_file, verify_with};
use super::coverage::{Coverage, EncodedText};
use super::error::CorpusError;
use super::lock::Lock;
use super::piece::Piece;
use super::reader::{MANIFEST_FORMAT, Manifest, byte_counts_path, shard_path};
use super::shard::{ShardWriter, width_for};
use super::split::{Part, Texts};
use super::survey::{Learned, Studied, study};
use super::tokenizer::{self, Tokenizer};
use super::training::train_bpe;
use crate::core::file_seal::{BLOCK, FileSeal};
use crate::core::texts::CorpusSettings;

/// Text that is encoded at once, in bytes: enough to keep all cores busy, little enough to hold.
const BATCH: usize = 4 << 20;

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
    /// How it came to be there.
    pub made: Made,
}

/// How a corpus came to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// It was prepared.
    Now,
    /// It was there, and all of it is what was written.
    Before,
    /// It was there and damaged: what was found, a sentence each, and it was prepared again.
    Again(Vec<String>),
}

/// Prepares the corpus below `corpora_dir`, in a folder named by its fingerprint. If it is there already, it is read whole, and
/// prepared again only if it is damaged.
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
    let (manifest, made) = whole_or_made(settings, studied, corpora_dir, progress)?;
    notices.extend(manifest.coverage.sentence("the text"));
    Ok(Prepared { manifest, notices, made })
}

/// What stands in the place of a corpus.
enum Standing {
    /// Nothing, or what an earlier version prepared.
    Nothing,
    Whole(Box<Manifest>),
    /// With what was found, a sentence each.
    Damaged(Vec<String>),
}

/// Reads all that is there.
fn standing(folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Standing, CorpusError> {
    if !folder.exists() {
        return Ok(Standing::Nothing);
    }
    let found = verify_with(folder, &mut |done, total| progress(Progress { phase: "checking", done, total }))?;
    if !found.is_whole() {
        return Ok(Standing::Damaged(found.damaged));
    }
    let sealed = Manifest::find(folder)?.filter(Manifest::is_sealed);
    Ok(sealed.map_or(Standing::Nothing, |manifest| Standing::Whole(Box::new(manifest))))
}

fn whole_or_made(
    settings: &CorpusSettings,
    studied: Studied,
    corpora_dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Manifest, Made), CorpusError> {
    let folder = corpora_dir.join(&studied.survey.fingerprint);
    if let Standing::Whole(manifest) = standing(&folder, progress)? {
        return Ok((*manifest, Made::Before));
    }
    fs::create_dir_all(corpora_dir).map_err(CorpusError::io("create", corpora_dir))?;
    let lock = Lock::take(corpora_dir, &studied.survey.fingerprint, progress)?;
    let made = match standing(&folder, progress)? {
        Standing::Whole(manifest) => return Ok((*manifest, Made::Before)),
        Standing::Damaged(found) => Made::Again(found),
        Standing::Nothing => Made::Now,
    };
    let partial = lock.partial_folder()?;
    let written = write_all(settings, studied, &partial, progress).and_then(|manifest| {
        install(&partial, &folder, lock.is_held())?;
        Ok(manifest)
    });
    if written.is_err() {
        // The error that matters is the one in hand; a leftover is removed by the next preparation.
        _ = fs::remove_dir_all(&partial);
    }
    Ok((written?, made))
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
        format: MANIFEST_FORMAT,
        fingerprint: survey.fingerprint,
        name: survey.name,
        vocab_size: survey.vocab_size,
        train: survey.train,
        validation: survey.validation,
        train_tokens,
        validation_tokens,
        settings: settings.clone(),
        coverage,
        files: seals(folder)?,
    };
    manifest.write(folder)?;
    Ok(manifest)
}

/// What the files of a folder hold that was just written.
fn seals(folder: &Path) -> Result<BTreeMap<String, FileSeal>, CorpusError> {
    let shards = [Part::Train, Part::Validation].map(|part| shard_path(folder, part));
    let files = shards.into_iter().chain([byte_counts_path(folder), folder.join(tokenizer::FILE)]);
    let seal = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, seal_file(&path, BLOCK)?))
    };
    files.map(seal).collect()
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

/// Puts the finished folder into its place. What stands there is damaged and makes room, if this is the only preparation;
/// otherwise another one may have been faster and made the same.
fn install(partial: &Path, folder: &Path, alone: bool) -> Result<(), CorpusError> {
    let whole = || matches!(standing(folder, &mut |_| {}), Ok(Standing::Whole(_)));
    let drop_it = || fs::remove_dir_all(partial).map_err(CorpusError::io("remove", partial));
    if folder.exists() {
        if !alone && whole() {
            return drop_it();
        }
        fs::remove_dir_all(folder).map_err(CorpusError::io("remove", folder))?;
    }
    match fs::rename(partial, folder) {
        Err(_) if whole() => drop_it(),
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
            let Prepared { manifest, notices, .. } = prepare(&settings, home.path(), &mut |_| {}).unwrap();
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
    fn a_second_preparation_reads_all_and_repairs_what_is_damaged() {
        let home = tempfile::tempdir().unwrap();
        let settings = settings(Path::new("shipped:harbour"), TokenizerSpec::Bytes);
        let first = prepare(&settings, home.path(), &mut |_| {}).unwrap();
        assert_eq!(first.made, Made::Now);
        let again = || {
            let mut phases = Vec::new();
            let prepared = prepare(&settings, home.path(), &mut |p| phases.push(p.phase)).unwrap();
            assert_eq!(prepared.manifest, first.manifest);
            (prepared.made, phases.contains(&"encoding"))
        };
        assert_eq!(again(), (Made::Before, false));
        let folder = home.path().join(&first.manifest.fingerprint);
        for name in names(&folder) {
            let path = folder.join(&name);
            let whole = fs::read(&path).unwrap();
            let mut other = whole.clone();
            let middle = other.len() / 2;
            other[middle] ^= 1;
            fs::write(&path, other).unwrap();
            let said = match Corpus::open_checked(&folder, 0) {
                Err(error) => error.to_string(),
                Ok(_) => panic!("{name} was not checked"),
            };
            assert!(said.contains(&name) && said.contains("run `trilab corpus prepare` again"), "{said}");
            let (Made::Again(found), true) = again() else { panic!("{name} was not repaired") };
            assert!(found.len() == 1 && found[0].contains(&name), "{found:?}");
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
        // A run that found damage has set the manifest aside.
        super::super::set_aside(&folder).unwrap();
        assert!(Corpus::open(&folder).unwrap_err().to_string().contains("it is missing"));
        let (Made::Again(found), true) = again() else { panic!("it was not repaired") };
        assert!(found[0].contains("it was set aside, because a run found the corpus damaged"), "{found:?}");
        assert_eq!(again(), (Made::Before, false));
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
        let manifests: Vec<Manifest> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| prepare(&settings, home.path(), &mut |_| {}).unwrap().manifest))
                .collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(manifests.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(names(home.path()).len(), 2);
        Corpus::open(&home.path().join(&manifests[0].fingerprint)).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("corpora");
        fs::write(&file, "in the way").unwrap();
        let settings = settings(Path::new("shipped:harbour"), TokenizerSpec::Bytes);
        let said = prepare(&settings, &file, &mut |_| {}).unwrap_err().to_string();
        assert!(said.starts_with("create") && said.contains("corpora"), "{said}");
        let full = CorpusError::io("write", &file)(std::io::ErrorKind::StorageFull.into()).to_string();
        assert!(full.contains("corpora") && full.contains("free some space"), "{full}");
    }
}
