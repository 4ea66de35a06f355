//! `evals/0001.jsonl` in the run directory: scores made after the run, one file an evaluation.
//! Promises: each file is made exclusively by the process that writes it, begins with a header line, and holds one row
//! a line. Must not know: how scores are made.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::RunLogError;
use super::folder::RunFolder;
use super::layout::{create_private_dir, names_in};
use crate::core::task::ScoringForm;
use crate::core::{RunId, StampedEvent};
use crate::eval::{FamilyReport, GroupReport, ItemRow};

/// Version of the file.
pub const EVAL_FORMAT: u32 = 1;

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
        /// Form.
        form: ScoringForm,
        /// Its medians.
        #[serde(flatten)]
        report: FamilyReport,
    },
}

/// A file that is being written.
#[derive(Debug)]
pub struct EvalLog {
    path: PathBuf,
    file: File,
}

impl EvalLog {
    /// Makes the next free file of `folder` and writes its header.
    ///
    /// # Errors
    /// The folder or the file cannot be made.
    pub fn create(folder: &RunFolder, header: &EvalHeader) -> Result<Self, RunLogError> {
        let evals = folder.evals_dir();
        create_private_dir(&evals)?;
        let mut number = last(&evals)?;
        loop {
            number += 1;
            let path = evals.join(format!("{number:04}.jsonl"));
            match OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => {
                    let mut log = Self { path, file };
                    log.line(header)?;
                    return Ok(log);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(RunLogError::io("create", &path)(error)),
            }
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends rows.
    ///
    /// # Errors
    /// The disk is full or a number is not one of JSON's.
    pub fn append(&mut self, row: &EvalRow) -> Result<(), RunLogError> {
        self.line(row)
    }

    fn line<T: Serialize>(&mut self, value: &T) -> Result<(), RunLogError> {
        let json = |source| RunLogError::Json { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(value).map_err(json)?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(RunLogError::io("append to", &self.path))
    }
}

/// The highest number there is; 0 without files.
fn last(evals: &Path) -> Result<u32, RunLogError> {
    let names = names_in(evals)?;
    Ok(names.iter().filter_map(|name| name.strip_suffix(".jsonl")?.parse().ok()).max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::RunEvent;
    use crate::core::task::{TaskMetric, TaskScore, TaskScores};
    use crate::runlog::Home;

    #[test]
    fn each_evaluation_has_its_own_file_and_reads_back() {
        let home = tempfile::tempdir().unwrap();
        let run: RunId = "0123456789ab".parse().unwrap();
        let folder = Home::new(home.path()).run(&run);
        let header =
            EvalHeader { format: EVAL_FORMAT, run, step: 20, program_version: "test".to_owned(), limit: Some(3) };
        let score = TaskScore { value: 0.5, stderr: Some(0.25), chance: None };
        let item = ItemRow {
            document: 0,
            log_likelihoods: vec![-1.25],
            tokens: vec![2],
            greedy: vec![false],
            predicted: None,
            gold: None,
        };
        let rows = [
            EvalRow::Item { task: "t".to_owned(), form: ScoringForm::Plain, item },
            EvalRow::Task(StampedEvent {
                time_ms: 5,
                event: RunEvent::TaskScored {
                    step: 20,
                    task: "t".to_owned(),
                    form: ScoringForm::Plain,
                    scores: TaskScores::from([(TaskMetric::Acc, score)]),
                    items: 1,
                    seconds: 0.5,
                },
            }),
        ];
        for number in 1..3 {
            let mut log = EvalLog::create(&folder, &header).unwrap();
            assert!(log.path().ends_with(format!("{number:04}.jsonl")));
            rows.iter().for_each(|row| log.append(row).unwrap());
            let text = std::fs::read_to_string(log.path()).unwrap();
            let mut lines = text.lines();
            assert_eq!(serde_json::from_str::<EvalHeader>(lines.next().unwrap()).unwrap(), header);
            let read: Vec<EvalRow> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(read, rows);
        }
    }
}
