//! `evals/0001.jsonl` in the run directory: the answers of a run's last probe, or the answers and scores of an evaluation
//! after it; one file each. Promises: each file is made exclusively by the process that writes it, begins with a header
//! line, and holds one row a line. Must not know: how scores are made.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::RunLogError;
use super::folder::RunFolder;
use super::layout::names_in;
use super::line_file::LineFile;
use super::read::whole_lines;
use crate::core::task::{FamilyScore, ScoringForm};
use crate::core::{RunId, StampedEvent};
use crate::eval::{GroupReport, ItemRow};

/// Version of the file. From 2 on every line has its number and a checksum.
pub const EVAL_FORMAT: u32 = 2;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvalHeader {
    /// [`EVAL_FORMAT`].
    pub format: u32,
    /// The run.
    pub run: RunId,
    /// Step of the checkpoint that was scored.
    pub step: u64,
    /// Version of the program that scored.
    pub program_version: String,
    /// Documents asked of each task at most; absent for all.
    pub limit: Option<u64>,
    /// Where the tasks came from: `shipped:NAME`, files, folders.
    #[serde(default)]
    pub sources: Vec<String>,
}

impl EvalHeader {
    /// The header of an evaluation by this program.
    #[must_use]
    pub fn new(run: RunId, step: u64, limit: Option<u64>, sources: Vec<String>) -> Self {
        let program_version = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: EVAL_FORMAT, run, step, program_version, limit, sources }
    }
}

/// A line after the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "row", rename_all = "snake_case")]
pub enum EvalRow {
    /// One document of a task.
    Item {
        /// Task.
        task: String,
        /// Form.
        form: ScoringForm,
        /// Its answer.
        #[serde(flatten)]
        item: ItemRow,
    },
    /// A task, after its items: a `TaskScored` event.
    Task(StampedEvent),
    /// A group.
    Group {
        /// Form.
        form: ScoringForm,
        /// Its scores.
        #[serde(flatten)]
        report: GroupReport,
    },
    /// A family of wordings.
    Family {
        /// Its medians.
        #[serde(flatten)]
        score: FamilyScore,
    },
}

/// A file that is being written.
#[derive(Debug)]
pub struct EvalLog {
    lines: LineFile,
}

impl EvalLog {
    /// Makes the next free file of `folder` and writes its header.
    ///
    /// # Errors
    /// The folder or the file cannot be made.
    pub fn create(folder: &RunFolder, header: &EvalHeader) -> Result<Self, RunLogError> {
        let evals = folder.evals_dir();
        folder.make(&evals)?;
        let mut number = eval_numbers(folder)?.last().copied().unwrap_or(0);
        loop {
            number += 1;
            match LineFile::create(&eval_path(folder, number), header) {
                Ok(lines) => return Ok(Self { lines }),
                Err(RunLogError::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.lines.path()
    }

    /// Adds a row.
    ///
    /// # Errors
    /// The disk is full or a number is not one of JSON's; then nothing of the row is there.
    pub fn append(&mut self, row: &EvalRow) -> Result<(), RunLogError> {
        self.lines.append(row)
    }
}

/// The numbers of the files in `folder`, in order.
///
/// # Errors
/// The folder exists and cannot be listed.
pub fn eval_numbers(folder: &RunFolder) -> Result<Vec<u32>, RunLogError> {
    let names = names_in(&folder.evals_dir())?;
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| name.strip_suffix(".jsonl")?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The file of that number.
#[must_use]
pub fn eval_path(folder: &RunFolder, number: u32) -> PathBuf {
    folder.evals_dir().join(format!("{number:04}.jsonl"))
}

/// Some whole lines of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvalChunk {
    /// The header, if the chunk began at the beginning.
    pub header: Option<EvalHeader>,
    /// The rows, in order.
    pub rows: Vec<EvalRow>,
    /// Lines that are damaged or no rows of this version, in words.
    pub notices: Vec<String>,
    /// Lines that were written and are damaged or gone.
    pub lost: u64,
    /// Where to go on; equal to the offset asked for if there is nothing new.
    pub next_offset: u64,
}

/// The whole lines of the file at `path` from `offset` on, some megabytes at most; rows for which `wanted` says no to
/// their line are skipped unread.
///
/// # Errors
/// The file cannot be read or is of another version.
pub fn read_evals(path: &Path, offset: u64, wanted: &dyn Fn(&[u8]) -> bool) -> Result<EvalChunk, RunLogError> {
    let mut file = File::open(path).map_err(RunLogError::io("read", path))?;
    let (bytes, mut lines) = whole_lines(&mut file, path, offset).map_err(RunLogError::io("read", path))?;
    let mut chunk = EvalChunk { next_offset: offset, ..EvalChunk::default() };
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let start = chunk.next_offset;
        chunk.next_offset += line.len() as u64;
        let Some(object) = lines.open(start, line) else { continue };
        if start == 0 {
            match serde_json::from_slice::<EvalHeader>(&object) {
                Ok(header) if (1..=EVAL_FORMAT).contains(&header.format) => chunk.header = Some(header),
                Ok(header) => {
                    let (path, found) = (path.to_owned(), header.format.into());
                    return Err(RunLogError::Format { path, found, known: EVAL_FORMAT });
                }
                Err(error) => lines.damaged(start, &format!("it is no header of an evaluation: {error}")),
            }
        } else if wanted(&object) {
            match serde_json::from_slice(&object) {
                Ok(row) => chunk.rows.push(row),
                Err(error) => lines.damaged(start, &format!("it is not a row of this version: {error}")),
            }
        }
    }
    (chunk.lost, _, chunk.notices) = lines.finish();
    Ok(chunk)
}

/// The newest answers to `task` in `form`, with the header of their file; `None` if there are none.
///
/// # Errors
/// A file cannot be read.
pub fn newest_answers(
    folder: &RunFolder,
    task: &str,
    form: ScoringForm,
) -> Result<Option<(EvalHeader, Vec<ItemRow>)>, RunLogError> {
    // Rows of other tasks are told apart before they are parsed.
    let named = serde_json::to_string(task).unwrap_or_default();
    let wanted = |line: &[u8]| line.windows(named.len()).any(|part| part == named.as_bytes());
    for number in eval_numbers(folder)?.into_iter().rev() {
        let path = eval_path(folder, number);
        let (mut header, mut answers, mut offset) = (None, Vec::new(), 0);
        loop {
            let chunk = read_evals(&path, offset, &wanted)?;
            header = header.or(chunk.header);
            answers.extend(chunk.rows.into_iter().filter_map(|row| match row {
                EvalRow::Item { task: of, form: asked, item } => (of == task && asked == form).then_some(item),
                EvalRow::Task(_) | EvalRow::Group { .. } | EvalRow::Family { .. } => None,
            }));
            if chunk.next_offset == offset {
                break;
            }
            offset = chunk.next_offset;
        }
        if let Some(header) = header
            && !answers.is_empty()
        {
            return Ok(Some((header, answers)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::RunEvent;
    use crate::core::task::{ItemMarks, TaskMetric, TaskRecord, TaskScore, TaskScores};
    use crate::runlog::Home;

    #[test]
    fn each_evaluation_has_its_own_file_and_reads_back() {
        let home = tempfile::tempdir().unwrap();
        let run: RunId = "0123456789ab".parse().unwrap();
        let folder = Home::new(home.path()).run(&run);
        let header = EvalHeader::new(run, 20, Some(3), vec!["shipped:world".to_owned()]);
        let score = TaskScore { value: 0.5, stderr: Some(0.25), chance: None };
        let item = ItemRow {
            document: 0,
            log_likelihoods: vec![-1.25],
            tokens: vec![2],
            greedy: vec![false],
            predicted: None,
            gold: None,
            written: None,
            exact: None,
        };
        let rows = [
            EvalRow::Item { task: "t".to_owned(), form: ScoringForm::Plain, item },
            EvalRow::Task(StampedEvent {
                time_ms: 5,
                event: RunEvent::TaskScored(TaskRecord {
                    step: 20,
                    task: "t".to_owned(),
                    wording_of: None,
                    form: ScoringForm::Plain,
                    scores: TaskScores::from([(TaskMetric::Acc, score)]),
                    items: 1,
                    right: ItemMarks::new(&[true]),
                    seconds: 0.5,
                    later: false,
                }),
            }),
        ];
        for number in 1..3 {
            let mut log = EvalLog::create(&folder, &header).unwrap();
            assert!(log.path().ends_with(format!("{number:04}.jsonl")));
            rows.iter().for_each(|row| log.append(row).unwrap());
            let chunk = read_evals(log.path(), 0, &|_| true).unwrap();
            assert_eq!((chunk.header.as_ref(), chunk.rows.as_slice()), (Some(&header), rows.as_slice()));
            assert_eq!(read_evals(log.path(), chunk.next_offset, &|_| true).unwrap().rows, []);
        }
        assert_eq!(eval_numbers(&folder).unwrap(), [1, 2]);
        let (found, answers) = newest_answers(&folder, "t", ScoringForm::Plain).unwrap().unwrap();
        assert_eq!((found, answers.len()), (header, 1));
        assert_eq!(newest_answers(&folder, "t", ScoringForm::Sentinel).unwrap(), None);
        assert_eq!(newest_answers(&folder, "u", ScoringForm::Plain).unwrap(), None);
    }
}
