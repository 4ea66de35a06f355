//! Where texts come from: files and folders (.txt is one document, each .jsonl line is one), and texts in the binary.
//! Promises: the order is that of the settings, folders sorted by path; errors name file, line and byte.
//! Must not know: tokens.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::CorpusError;
use super::world::WorldText;

/// Texts embedded in the program.
const SHIPPED: &[(&str, &str)] = &[("harbour", include_str!("../../data/corpora/harbour.txt"))];

const SHIPPED_PREFIX: &str = "shipped:";

/// One file or embedded text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Shipped(&'static str),
    World(WorldText),
    Text(PathBuf),
    Lines(PathBuf),
}

/// Receives one document.
pub(super) type Sink<'s> = dyn FnMut(&str) -> Result<(), CorpusError> + 's;

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

/// The sources that `paths` name; each file once, where it comes first.
pub(super) fn sources(paths: &[String]) -> Result<Vec<Source>, CorpusError> {
    let mut found = Vec::new();
    for path in paths {
        match path.strip_prefix(SHIPPED_PREFIX) {
            Some(name) => found.push(shipped(name)?),
            None => {
                let path = Path::new(path);
                let kind = fs::metadata(path).map_err(|source| match source.kind() {
                    std::io::ErrorKind::NotFound => CorpusError::Missing(path.to_path_buf()),
                    _ => CorpusError::Io { action: "read", path: path.to_path_buf(), source },
                })?;
                if kind.is_dir() {
                    let before = found.len();
                    walk(path, &mut BTreeSet::new(), &mut found)?;
                    if found.len() == before {
                        return Err(CorpusError::EmptyFolder(path.to_path_buf()));
                    }
                } else {
                    found.push(file(path).ok_or_else(|| CorpusError::UnknownKind(path.to_path_buf()))?);
                }
            }
        }
    }
    let mut seen = Vec::new();
    found.retain(|source| {
        let fresh = !seen.contains(&source.place());
        seen.push(source.place());
        fresh
    });
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

fn file(path: &Path) -> Option<Source> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "txt" => Some(Source::Text(path.to_path_buf())),
        "jsonl" => Some(Source::Lines(path.to_path_buf())),
        _ => None,
    }
}

/// Collects the texts below `folder`; hidden entries and folders already visited (links in a circle) are passed over.
fn walk(folder: &Path, visited: &mut BTreeSet<PathBuf>, found: &mut Vec<Source>) -> Result<(), CorpusError> {
    let real = folder.canonicalize().map_err(CorpusError::io("read", folder))?;
    if !visited.insert(real) {
        return Ok(());
    }
    let entries = fs::read_dir(folder).map_err(CorpusError::io("read", folder))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<PathBuf>, _>>()
        .map_err(CorpusError::io("read", folder))?;
    paths.sort();
    for path in paths {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_dir() {
            walk(&path, visited, found)?;
        } else if let Some(source) = file(&path) {
            found.push(source);
        }
    }
    Ok(())
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
            Self::Text(path) | Self::Lines(path) => path.canonicalize().unwrap_or_else(|_| path.clone()),
        }
    }

    /// Bytes to read, for progress.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Shipped(text) => text.len() as u64,
            // What cannot be told has no size; reading it says why.
            Self::World(text) => text.size().unwrap_or(0),
            Self::Text(path) | Self::Lines(path) => fs::metadata(path).map_or(0, |kind| kind.len()),
        }
    }

    /// Gives every document to `sink`, in order; texts without a character are no documents.
    pub(super) fn read(&self, field: &str, sink: &mut Sink) -> Result<(), CorpusError> {
        match self {
            Self::Shipped(text) => sink(text),
            Self::World(text) => text.read(sink),
            Self::Text(path) => {
                let bytes = fs::read(path).map_err(CorpusError::io("read", path))?;
                let text = String::from_utf8(bytes).map_err(|e| CorpusError::Utf8 {
                    path: path.clone(),
                    line: None,
                    offset: e.utf8_error().valid_up_to() as u64,
                })?;
                if text.is_empty() { Ok(()) } else { sink(&text) }
            }
            Self::Lines(path) => read_lines(path, field, sink),
        }
    }
}

fn read_lines(path: &Path, field: &str, sink: &mut Sink) -> Result<(), CorpusError> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(CorpusError::io("read", path))?);
    let (mut bytes, mut offset, mut line) = (Vec::new(), 0u64, 0u64);
    loop {
        bytes.clear();
        let read = reader.read_until(b'\n', &mut bytes).map_err(CorpusError::io("read", path))?;
        if read == 0 {
            return Ok(());
        }
        line += 1;
        let text = std::str::from_utf8(&bytes).map_err(|e| CorpusError::Utf8 {
            path: path.to_path_buf(),
            line: Some(line),
            offset: offset + e.valid_up_to() as u64,
        })?;
        if !text.trim().is_empty() {
            let document = field_of(text, path, line, field)?;
            if !document.is_empty() {
                sink(&document)?;
            }
        }
        offset += read as u64;
    }
}

fn field_of(text: &str, path: &Path, line: u64, field: &str) -> Result<String, CorpusError> {
    let said = |message: String| CorpusError::Json { path: path.to_path_buf(), line, message };
    let missing =
        |found: String| CorpusError::MissingField { path: path.to_path_buf(), line, field: field.to_owned(), found };
    match serde_json::from_str(text) {
        Err(error) => Err(said(format!("broken JSON at column {}: {error}", error.column()))),
        Ok(Value::Object(mut object)) => match object.remove(field) {
            Some(Value::String(document)) => Ok(document),
            Some(_) => Err(missing("it holds no string".to_owned())),
            None if object.is_empty() => Err(missing("the line has no fields".to_owned())),
            None => Err(missing(format!("its fields are {}", object.keys().cloned().collect::<Vec<_>>().join(", ")))),
        },
        Ok(_) => Err(said("it is JSON but not an object".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(paths: &[&Path]) -> Result<Vec<String>, CorpusError> {
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let mut all = Vec::new();
        for source in sources(&paths)? {
            source.read("text", &mut |document| {
                all.push(document.to_owned());
                Ok(())
            })?;
        }
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
        has(sources(&["shipped:moon".to_owned()]).unwrap_err().to_string(), &["moon", "known are: harbour, world"]);
    }

    #[test]
    fn the_world_is_told_document_by_document() {
        let asked = ["shipped:world?documents=3".to_owned(), "shipped:world?documents=3&seed=1".to_owned()];
        let found = sources(&asked).unwrap();
        assert_eq!(found.len(), 1, "the same text twice");
        let mut told = Vec::new();
        found[0]
            .read("text", &mut |document| {
                told.push(document.to_owned());
                Ok(())
            })
            .unwrap();
        assert_eq!(told.len(), 3);
        assert_eq!(found[0].size(), told.iter().map(|document| document.len() as u64).sum::<u64>());
        let said = sources(&["shipped:world?sed=3".to_owned()]).unwrap_err().to_string();
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
