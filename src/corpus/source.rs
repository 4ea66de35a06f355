//! Where texts come from: files and folders (.txt is one document, each .jsonl line is one), and texts in the binary.
//! Promises: the order is that of the settings, folders sorted by path; errors name file, line and byte; what is passed over is
//! counted. Must not know: tokens.

use std::collections::HashSet;
use std::fs::{self, FileType};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::error::CorpusError;
use super::piece::Piece;
use super::remarks::Remarks;
use super::world::WorldText;
use crate::config::files;
use crate::config::paths::matching;
use crate::core::encoding::{NotText, text_of, without_mark};
use crate::core::json::{Column, column};

/// Texts embedded in the program.
const SHIPPED: &[(&str, &str)] = &[("harbour", include_str!("../../data/corpora/harbour.txt"))];

const SHIPPED_PREFIX: &str = "shipped:";

/// One file or embedded text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Shipped(&'static str),
    World(WorldText),
    File(TextFile),
}

/// A file of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextFile {
    path: PathBuf,
    /// Where it lies, the same for every way to write its path.
    place: PathBuf,
    kind: Kind,
}

/// How a file falls into documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It is one.
    Whole,
    /// Each line is a JSON object with one.
    Lines,
}

/// Receives documents, piece by piece.
pub(super) type Sink<'s> = dyn FnMut(Piece<'_>) -> Result<(), CorpusError> + 's;

/// Bytes of a file that are held at once, but for lines that are longer.
const CHUNK: usize = 1 << 20;

/// Names that may follow `shipped:`. The last is generated and takes settings: see [`WorldText`].
#[must_use]
pub fn shipped_names() -> Vec<&'static str> {
    SHIPPED.iter().map(|(name, _)| *name).chain(["world"]).collect()
}

/// File stems that say nothing of their text; the folder's name does.
const EMPTY_STEMS: [&str; 5] = ["input", "train", "data", "text", "corpus"];

/// A short name for people: shipped name, file stem or folder name of the first path, and how many follow.
pub(super) fn title(paths: &[String]) -> String {
    let Some(first) = paths.first() else { return "empty".to_owned() };
    let name = match first.strip_prefix(SHIPPED_PREFIX) {
        Some(name) => name.parse().map_or_else(|_| name.to_owned(), |text: WorldText| text.to_string()),
        None => {
            let path = Path::new(first);
            let whole = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
            let stem = if whole.is_dir() { whole.file_name() } else { whole.file_stem() };
            let empty = stem.and_then(|stem| stem.to_str()).is_some_and(|stem| EMPTY_STEMS.contains(&stem));
            let folder = whole.parent().and_then(Path::file_name).filter(|_| empty && !whole.is_dir());
            let name = folder.or(stem);
            name.map_or_else(|| first.clone(), |name| name.to_string_lossy().into_owned())
        }
    };
    if paths.len() > 1 { format!("{name}+{}", paths.len() - 1) } else { name }
}

/// The sources that `paths` name; each file once, where it comes first. What is passed over in folders is remarked.
pub(super) fn sources(paths: &[String], remarks: &mut Remarks) -> Result<Vec<Source>, CorpusError> {
    let mut found = Vec::new();
    for path in paths {
        match path.strip_prefix(SHIPPED_PREFIX) {
            Some(name) => found.push(shipped(name)?),
            None => {
                let named = matching(path).map_err(CorpusError::io("read", Path::new(path)))?;
                if named.is_empty() {
                    return Err(CorpusError::NothingFits(path.clone()));
                }
                for path in named {
                    add(&path, &mut found, remarks)?;
                }
            }
        }
    }
    let mut seen = HashSet::new();
    found.retain(|source| seen.insert(source.place()));
    Ok(found)
}

fn shipped(name: &str) -> Result<Source, CorpusError> {
    if WorldText::is_named(name) {
        return Ok(Source::World(name.parse()?));
    }
    let known = || shipped_names().join(", ");
    let text = SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
    text.map(Source::Shipped).ok_or_else(|| CorpusError::UnknownShipped { name: name.to_owned(), known: known() })
}

/// Adds the file or the folder at `path`, which somebody named.
fn add(path: &Path, found: &mut Vec<Source>, remarks: &mut Remarks) -> Result<(), CorpusError> {
    let missing = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => CorpusError::Missing(path.to_path_buf()),
        _ => CorpusError::Io { action: "read", path: path.to_path_buf(), source },
    };
    let place = path.canonicalize().map_err(missing)?;
    let file_type = fs::metadata(&place).map_err(missing)?.file_type();
    if file_type.is_dir() {
        let (before, mut inside) = (found.len(), Remarks::default());
        Walk { visited: HashSet::new(), found, remarks: &mut inside, top: path }.folder(path, place)?;
        if found.len() == before {
            return Err(CorpusError::EmptyFolder { path: path.to_path_buf(), others: inside.others() });
        }
        remarks.add(inside);
        return Ok(());
    }
    let kind = kind(path).ok_or_else(|| CorpusError::UnknownKind(path.to_path_buf()))?;
    if !file_type.is_file() {
        return Err(CorpusError::NoFile(path.to_path_buf()));
    }
    found.push(Source::File(TextFile { path: path.to_path_buf(), place, kind }));
    Ok(())
}

fn kind(path: &Path) -> Option<Kind> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "txt" => Some(Kind::Whole),
        "jsonl" => Some(Kind::Lines),
        _ => None,
    }
}

/// A walk through a folder that somebody named.
struct Walk<'w> {
    /// Folders that were walked or are being walked: links may go round in a circle.
    visited: HashSet<PathBuf>,
    found: &'w mut Vec<Source>,
    remarks: &'w mut Remarks,
    top: &'w Path,
}

impl Walk<'_> {
    /// Collects the texts below `folder`, which lies at `place`; hidden entries are none.
    fn folder(&mut self, folder: &Path, place: PathBuf) -> Result<(), CorpusError> {
        if !self.visited.insert(place.clone()) {
            return Ok(());
        }
        let read = || CorpusError::io("read", folder);
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(read())? {
            let entry = entry.map_err(read())?;
            entries.push((entry.file_name(), entry.file_type().map_err(read())?));
        }
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (name, file_type) in entries {
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            self.entry(&folder.join(&name), place.join(&name), file_type)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, mut place: PathBuf, mut file_type: FileType) -> Result<(), CorpusError> {
        let kind = kind(path);
        if file_type.is_symlink() {
            // Only a link can lead to a folder for the second time, or out of the one that was named.
            let target = path.canonicalize().and_then(|target| Ok((fs::metadata(&target)?.file_type(), target)));
            match target {
                Ok(found) => (file_type, place) = found,
                // What is no text is nobody's loss.
                Err(_) if kind.is_none() => return Ok(()),
                Err(error) => return Err(CorpusError::io("read", path)(error)),
            }
        }
        if file_type.is_dir() {
            return self.folder(path, place);
        }
        match kind {
            Some(kind) if file_type.is_file() => {
                self.found.push(Source::File(TextFile { path: path.to_path_buf(), place, kind }));
            }
            // A pipe has no end and a device no size, whatever they are called.
            Some(_) | None => self.remarks.passed_over(self.top, path, file_type.is_file()),
        }
        Ok(())
    }
}

impl Source {
    /// Where it lies, the same for every way to write its path.
    pub(super) fn place(&self) -> PathBuf {
        match self {
            Self::Shipped(text) => {
                let name = SHIPPED.iter().find(|(_, known)| known == text).map_or("", |(name, _)| *name);
                PathBuf::from(format!("{SHIPPED_PREFIX}{name}"))
            }
            Self::World(text) => PathBuf::from(format!("{SHIPPED_PREFIX}{text}")),
            Self::File(file) => file.place.clone(),
        }
    }

    /// Bytes to read, for progress.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Shipped(text) => text.len() as u64,
            // What cannot be told has no size; reading it says why.
            Self::World(text) => text.size().unwrap_or(0),
            Self::File(file) => fs::metadata(&file.path).map_or(0, |found| found.len()),
        }
    }

    /// Gives every document to `sink`, in order; texts without a character are no documents.
    pub(super) fn read(&self, field: &str, remarks: &mut Remarks, sink: &mut Sink) -> Result<(), CorpusError> {
        match self {
            Self::Shipped(text) => sink(Piece::whole(text)),
            Self::World(text) => text.read(&mut |document| {
                files::goes_on();
                sink(Piece::whole(document))
            }),
            Self::File(TextFile { path, kind: Kind::Whole, .. }) => read_whole(path, sink),
            Self::File(TextFile { path, kind: Kind::Lines, .. }) => read_lines(path, field, remarks, sink),
        }
    }
}

/// Reads a file that is one document.
fn read_whole(path: &Path, sink: &mut Sink) -> Result<(), CorpusError> {
    let mut file = files::open(path).map_err(CorpusError::io("read", path))?;
    let (mut bytes, mut before, mut any) = (Vec::with_capacity(CHUNK), 0, false);
    loop {
        files::goes_on();
        let held = bytes.len();
        file.by_ref().take((CHUNK - held) as u64).read_to_end(&mut bytes).map_err(CorpusError::io("read", path))?;
        let ends = bytes.len() < CHUNK;
        // A mark stands at the beginning of a file only.
        let skipped = if before == 0 { bytes.len() - without_mark(&bytes).len() } else { 0 };
        let body = bytes.get(skipped..).unwrap_or_default();
        let valid = match std::str::from_utf8(body) {
            Ok(text) => text.len(),
            // The rest of its last character is in the next chunk.
            Err(error) if error.error_len().is_none() && !ends => error.valid_up_to(),
            Err(error) => {
                let wide = before == 0 && text_of(&bytes) == Err(NotText::Wide);
                let offset = before + skipped + error.valid_up_to();
                let reason = if wide { NotText::Wide } else { NotText::Invalid { offset } };
                return Err(CorpusError::not_text(path, None, reason));
            }
        };
        let text = body.get(..valid).and_then(|valid| std::str::from_utf8(valid).ok()).unwrap_or_default();
        any |= !text.is_empty();
        if any {
            sink(Piece { text, ends })?;
        }
        if ends {
            return Ok(());
        }
        bytes.drain(..skipped + valid);
        before += skipped + valid;
    }
}

fn read_lines(path: &Path, field: &str, remarks: &mut Remarks, sink: &mut Sink) -> Result<(), CorpusError> {
    let mut reader = BufReader::with_capacity(CHUNK, files::open(path).map_err(CorpusError::io("read", path))?);
    let (mut bytes, mut before, mut line) = (Vec::new(), 0, 0u64);
    loop {
        files::goes_on();
        bytes.clear();
        let read = reader.read_until(b'\n', &mut bytes).map_err(CorpusError::io("read", path))?;
        if read == 0 {
            return Ok(());
        }
        line += 1;
        // Files that were joined have a mark in front of each.
        let text = text_of(&bytes).map_err(|reason| {
            let reason = match reason {
                NotText::Invalid { offset } => NotText::Invalid { offset: before + offset },
                NotText::Wide if line > 1 => NotText::Invalid { offset: before },
                NotText::Wide => NotText::Wide,
            };
            CorpusError::not_text(path, Some(line), reason)
        })?;
        if !text.trim().is_empty() {
            let (document, halves) = field_of(text, path, line, field)?;
            if halves > 0 {
                remarks.halved(path, line);
            }
            if !document.is_empty() {
                sink(Piece::whole(&document))?;
            }
        }
        before += read;
    }
}

fn field_of(text: &str, path: &Path, line: u64, field: &str) -> Result<(String, usize), CorpusError> {
    let missing = |found: String| {
        Err(CorpusError::MissingField { path: path.to_path_buf(), line, field: field.to_owned(), found })
    };
    match column(text, field) {
        Err(error) => Err(CorpusError::Json { path: path.to_path_buf(), line, message: error.to_string() }),
        Ok((Column::Text(document), halves)) => Ok((document, halves)),
        Ok((Column::NoText, _)) => missing("it holds no string".to_owned()),
        Ok((Column::Missing(names), _)) if names.is_empty() => missing("the line has no fields".to_owned()),
        Ok((Column::Missing(names), _)) => missing(format!("its fields are {}", names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(paths: &[&Path]) -> Result<Vec<String>, CorpusError> {
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let (mut all, mut document) = (Vec::new(), String::new());
        for source in sources(&paths, &mut Remarks::default())? {
            source.read("text", &mut Remarks::default(), &mut |piece| {
                document.push_str(piece.text);
                if piece.ends {
                    all.push(std::mem::take(&mut document));
                }
                Ok(())
            })?;
        }
        assert_eq!(document, "", "every document ends");
        Ok(all)
    }

    #[test]
    fn folders_are_read_sorted_and_deep() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("b")).unwrap();
        fs::write(at("b/x.txt"), "two").unwrap();
        fs::write(at("a.jsonl"), "{\"text\":\"zero\"}\n\n{\"text\":\"\"}\n{\"n\":1,\"text\":\"one\"}").unwrap();
        fs::write(at("c.txt"), "three").unwrap();
        fs::write(at("notes.md"), "no").unwrap();
        fs::write(at(".hidden.txt"), "no").unwrap();
        assert_eq!(documents(&[folder.path()]).unwrap(), ["zero", "one", "two", "three"]);
        assert_eq!(documents(&[&at("c.txt"), folder.path()]).unwrap(), ["three", "zero", "one", "two"]);
    }

    #[test]
    fn errors_name_file_line_and_cure() {
        let folder = tempfile::tempdir().unwrap();
        let said = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            documents(&[&path]).unwrap_err().to_string()
        };
        let has = |text: String, parts: &[&str]| {
            for part in parts {
                assert!(text.contains(part), "`{text}` lacks `{part}`");
            }
        };
        has(said("u.txt", b"ab\xffcd"), &["u.txt", "byte 2"]);
        has(said("u.jsonl", b"{\"text\":\"a\"}\n{\"text\":\"\xff\"}\n"), &["u.jsonl", "line 2", "byte 22"]);
        has(said("j.jsonl", b"{\"text\":\"a\"}\n{\"text\":"), &["j.jsonl", "line 2", "broken JSON"]);
        has(
            said("f.jsonl", b"{\"body\":\"a\",\"title\":1}"),
            &["line 1", "field `text`", "body, title", "corpus.field"],
        );
        has(said("n.jsonl", b"{\"text\":1}"), &["line 1", "no string"]);
        has(said("l.jsonl", b"[1]"), &["line 1", "not an object"]);
        has(said("x.md", b"a"), &["x.md", ".txt or .jsonl"]);
        has(documents(&[&folder.path().join("none.txt")]).unwrap_err().to_string(), &["none.txt", "no such file"]);
        has(documents(&[tempfile::tempdir().unwrap().path()]).unwrap_err().to_string(), &["no .txt or .jsonl"]);
        has(
            sources(&["shipped:moon".to_owned()], &mut Remarks::default()).unwrap_err().to_string(),
            &["moon", "known are: harbour, world"],
        );
    }

    #[test]
    fn a_file_that_is_read_in_chunks_is_the_same_document() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.txt");
        // The ship has four bytes, so that some chunk ends within one, wherever they begin.
        for (mark, more) in [("", 0), ("\u{feff}", 0), ("", 1), ("", 2), ("", 3)] {
            let text = format!("{}{}", "x".repeat(more), "🚢".repeat(CHUNK / 4 * 3));
            fs::write(&path, format!("{mark}{text}")).unwrap();
            assert!(documents(&[&path]).unwrap() == [text], "{mark:?} {more}");
        }
        for length in [CHUNK - 1, CHUNK, CHUNK + 1] {
            fs::write(&path, "y".repeat(length)).unwrap();
            assert_eq!(documents(&[&path]).unwrap(), ["y".repeat(length)]);
            fs::write(&path, [&vec![b'y'; length][..], b"\xff"].concat()).unwrap();
            let said = documents(&[&path]).unwrap_err().to_string();
            assert!(said.contains(&format!("invalid UTF-8 at byte {length} ")), "{said}");
        }
        fs::write(&path, [&"y".repeat(CHUNK).into_bytes()[..], "🚢".as_bytes().get(..2).unwrap()].concat()).unwrap();
        let said = documents(&[&path]).unwrap_err().to_string();
        assert!(said.contains(&format!("at byte {CHUNK} ")), "a character is cut off: {said}");
        fs::write(&path, "\u{feff}").unwrap();
        assert_eq!(documents(&[&path]).unwrap(), [""; 0]);
    }

    #[test]
    fn the_world_is_told_document_by_document() {
        let asked = ["shipped:world?documents=3".to_owned(), "shipped:world?documents=3&seed=1".to_owned()];
        let found = sources(&asked, &mut Remarks::default()).unwrap();
        assert_eq!(found.len(), 1, "the same text twice");
        let mut told = Vec::new();
        found[0]
            .read("text", &mut Remarks::default(), &mut |piece| {
                assert!(piece.ends);
                told.push(piece.text.to_owned());
                Ok(())
            })
            .unwrap();
        assert_eq!(told.len(), 3);
        assert_eq!(found[0].size(), told.iter().map(|document| document.len() as u64).sum::<u64>());
        let said = sources(&["shipped:world?sed=3".to_owned()], &mut Remarks::default()).unwrap_err().to_string();
        assert!(said.contains("world?sed=3") && said.contains("unknown key `sed`"), "{said}");
    }

    #[test]
    fn titles_are_short() {
        assert_eq!(title(&["shipped:harbour".to_owned()]), "harbour");
        assert_eq!(title(&["shipped:world?seed=1".to_owned()]), "world");
        assert_eq!(title(&["shipped:world?level=3".to_owned()]), "world?level=3");
        assert_eq!(title(&["/data/tiny.txt".to_owned(), "b.txt".to_owned()]), "tiny+1");
        assert_eq!(title(&["/texts/sonnets/input.txt".to_owned()]), "sonnets");
    }
}
