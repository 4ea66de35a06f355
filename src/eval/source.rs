//! Where tasks come from: files, folders of them, and the tasks inside the program (`shipped:NAME`).
//! Promises: a file that is named must be usable, one that is found in a folder may be left out with a word; the same
//! sources with the same content have the same fingerprint. Must not know: models, runs.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::EvalError;
use super::document::ReadText;
use super::prompted::is_prompted;
use super::suite::Suite;
use crate::config::files;
use crate::config::paths::matching;
use crate::core::encoding::text_of;

static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/data/tasks");

/// The folder that paths of shipped files begin with.
const SHIPPED_FOLDER: &str = "shipped:tasks";

/// What a source that is shipped begins with, as `shipped:world`.
const SHIPPED_PREFIX: &str = "shipped:";

/// Bytes that a task file may have.
const LARGEST_TASK: u64 = 1 << 20;

/// Bytes that a file of task data may have: it is read whole.
const LARGEST_DATA: u64 = 1 << 30;

/// Tasks, and what was left out of the folders, in words.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gathered {
    /// The tasks.
    pub suite: Suite,
    /// Files of folders that could not be used.
    pub notices: Vec<String>,
}

/// Whether a file is inside the program.
pub(super) fn is_shipped(path: &Path) -> bool {
    path.starts_with(SHIPPED_FOLDER)
}

/// The text of a file, on disk or inside the program, without the byte order mark.
///
/// # Errors
/// It is no regular file, cannot be read, is too large, or is no UTF-8.
pub fn read(path: &Path) -> io::Result<String> {
    match path.strip_prefix(SHIPPED_FOLDER) {
        Ok(name) => {
            let text = SHIPPED.get_file(name).and_then(include_dir::File::contents_utf8);
            text.map(ToOwned::to_owned).ok_or_else(|| io::ErrorKind::NotFound.into())
        }
        Err(_) => {
            let bytes = files::read(path, if is_task_file(path) { LARGEST_TASK } else { LARGEST_DATA })?;
            text_of(&bytes).map(str::to_owned).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        }
    }
}

/// The tasks of `sources`: `shipped:NAME` for a group, tag or task inside the program, else a file or a folder.
///
/// # Errors
/// A named file or shipped name cannot be used, or there is no task at all.
pub fn gather(sources: &[String]) -> Result<Gathered, EvalError> {
    gather_by(sources, &read)
}

fn gather_by(sources: &[String], read: ReadText<'_>) -> Result<Gathered, EvalError> {
    let mut gathered = Gathered::default();
    let mut found = false;
    for source in sources {
        if let Some(name) = source.strip_prefix(SHIPPED_PREFIX) {
            add_shipped(name, &mut gathered.suite, read)?;
            continue;
        }
        let named = matching(source).map_err(|error| EvalError::Io { path: source.into(), source: error })?;
        if named.is_empty() {
            let reason = "no file fits the pattern".to_owned();
            return Err(EvalError::Source { source_name: source.clone(), reason });
        }
        for path in named {
            found |= path.is_dir();
            add_named(&path, &mut gathered, read)?;
        }
    }
    gathered.suite.tag_prompted();
    match gathered.suite.check() {
        Err(error) if found => gathered.notices.push(format!("could not {error}; the group is left out")),
        checked => checked?,
    }
    if gathered.suite.tasks().is_empty() {
        let reason =
            "there is no task in it; give shipped:world, a .yaml file, a .jsonl file of prompts, or a folder of them"
                .to_owned();
        return Err(EvalError::Source { source_name: sources.join(", "), reason });
    }
    Ok(gathered)
}

/// Adds the file at `path`, or the files of the folder there; of a folder, what cannot be used is left out with a word.
fn add_named(path: &Path, gathered: &mut Gathered, read: ReadText<'_>) -> Result<(), EvalError> {
    if !path.is_dir() {
        return gathered.suite.add(path, read);
    }
    for file in task_files(path)? {
        if let Err(error) = gathered.suite.add(&file, read) {
            gathered.notices.push(format!("could not {error}; it is left out"));
        }
    }
    Ok(())
}

/// A fingerprint of everything that `sources` and the data of their tasks say; `None` without sources.
///
/// # Errors
/// As [`gather`], or the data of a task cannot be read.
pub fn fingerprint(sources: &[String]) -> Result<Option<String>, EvalError> {
    if sources.is_empty() {
        return Ok(None);
    }
    let hasher = RefCell::new(blake3::Hasher::new());
    let hashed = |path: &Path| {
        let text = read(path)?;
        let mut hasher = hasher.borrow_mut();
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
        Ok(text)
    };
    let gathered = gather_by(sources, &hashed)?;
    let files = gathered.suite.tasks().iter().flat_map(|task| &task.dataset.files).flat_map(|(_, files)| files);
    for path in files {
        hashed(path).map_err(|source| EvalError::Io { path: path.clone(), source })?;
    }
    Ok(Some(hasher.into_inner().finalize().to_hex().to_string()))
}

/// Adds what is called `name` inside the program, with all its tasks.
fn add_shipped(name: &str, suite: &mut Suite, read: ReadText<'_>) -> Result<(), EvalError> {
    let mut paths: Vec<PathBuf> = SHIPPED.files().map(|file| Path::new(SHIPPED_FOLDER).join(file.path())).collect();
    paths.retain(|path| is_task_file(path));
    paths.sort();
    let all = Suite::load(&paths, read)?;
    let wanted = all.paths_of(name).ok_or_else(|| {
        let known: Vec<&str> = all.groups().iter().map(|group| group.name.as_str()).collect();
        let reason = format!("the program has no tasks of that name, but {}", known.join(", "));
        EvalError::Source { source_name: format!("{SHIPPED_PREFIX}{name}"), reason }
    })?;
    wanted.iter().try_for_each(|path| suite.add(path, read))
}

fn is_task_file(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yaml" || end == "yml")
}

/// The task files of a folder, or its files of written-out prompts where there are none, by name.
fn task_files(folder: &Path) -> Result<Vec<PathBuf>, EvalError> {
    let failed = |source| EvalError::Io { path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>().map_err(failed)?;
    // Beside task files, JSON lines are their data.
    let described = files.iter().any(|path| is_task_file(path));
    files.retain(|path| if described { is_task_file(path) } else { is_prompted(path) });
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_names_are_groups_tags_and_tasks() {
        let count = |name: &str| gather(&[format!("shipped:{name}")]).map(|found| found.suite.tasks().len());
        let all = count("world").unwrap();
        assert!(all >= 32, "{all}");
        assert!((4..all).contains(&count("world_agreement").unwrap()));
        assert_eq!(count("world_agreement_0").unwrap(), 1);
        let said = count("wrld").unwrap_err().to_string();
        assert!(said.contains("shipped:wrld") && said.contains("world"), "{said}");
    }

    #[test]
    fn a_folder_leaves_out_what_a_named_file_must_not() {
        let folder = tempfile::tempdir().unwrap();
        let good = "task: good\ndataset_path: text\ndataset_kwargs: {data_files: {test: t.txt}}\ntest_split: test\n\
                    output_type: loglikelihood_rolling\ndoc_to_target: text\n";
        fs::write(folder.path().join("good.yaml"), good).unwrap();
        fs::write(folder.path().join("t.txt"), "a\n").unwrap();
        let bad = folder.path().join("bad.yaml");
        fs::write(&bad, "task: bad\nflavour: sweet\n").unwrap();
        let found = gather(&[folder.path().display().to_string()]).unwrap();
        assert_eq!((found.suite.tasks().len(), found.notices.len()), (1, 1));
        assert!(gather(&[bad.display().to_string()]).is_err());
        let empty = tempfile::tempdir().unwrap();
        let said = gather(&[empty.path().display().to_string()]).unwrap_err().to_string();
        assert!(said.contains("no task"), "{said}");
    }

    #[test]
    fn a_fingerprint_follows_the_data() {
        let folder = tempfile::tempdir().unwrap();
        let task = "task: t\ndataset_path: text\ndataset_kwargs: {data_files: {test: t.txt}}\ntest_split: test\n\
                    output_type: loglikelihood_rolling\ndoc_to_target: text\n";
        let file = folder.path().join("t.yaml");
        fs::write(&file, task).unwrap();
        let print = |text: &str| {
            fs::write(folder.path().join("t.txt"), text).unwrap();
            fingerprint(&[file.display().to_string()]).unwrap().unwrap()
        };
        let first = print("a\n");
        assert_ne!(first, print("b\n"));
        assert_eq!(first, print("a\n"));
        assert_eq!(fingerprint(&[]).unwrap(), None);
    }

    #[test]
    fn a_byte_order_mark_is_no_content() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), format!("\u{feff}{text}")).unwrap();
        write("base", "output_type: loglikelihood_rolling\ndoc_to_target: text\n");
        write(
            "t.yaml",
            "include: base\ntask: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: t.jsonl}}\ntest_split: test\n",
        );
        write("t.jsonl", "{\"text\": \"a\"}\n");
        write("p.jsonl", "{\"inputs\": \"a\", \"targets\": \"b\", \"choices\": [\"b\"], \"label\": 0}\n");
        for name in ["t.yaml", "p.jsonl"] {
            let found = gather(&[folder.path().join(name).display().to_string()]).unwrap();
            let prepared = super::super::PreparedTask::new(&found.suite.tasks()[0], &read, None).unwrap();
            assert!(["a", "b"].contains(&prepared.text(0).unwrap().choices[0].trim()), "{name}");
        }
        let wide = folder.path().join("wide.yaml");
        fs::write(&wide, b"\xff\xfet\0a\0").unwrap();
        let said = gather(&[wide.display().to_string()]).unwrap_err().to_string();
        assert!(said.ends_with("wide.yaml: it is UTF-16 or UTF-32; convert the file to UTF-8"), "{said}");
    }
}
