//! Submitted studies on disk: the study as a complete TOML file, and beside it the ids of its runs.
//! Promises: the ids of a study's runs never change, and are there before its file; the file changes only in what ids do not
//! cover.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::config::{load_study, save_study};
use crate::core::sealed::{close_text, text_is_whole};
use crate::core::study::StudySpec;
use crate::core::{RunId, StudyId};
use crate::runlog::sealed_file::{read_sealed, set_aside, write_sealed};
use crate::runlog::{Home, RunLogError, write_atomic};

/// Version of `runs.json`.
const RUNS_FORMAT: u32 = 1;

/// A study that was submitted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StudyRecord {
    pub(super) spec: StudySpec,
    /// In planning order.
    pub(super) runs: Vec<RunId>,
    pub(super) submitted_ms: u64,
    /// Its list of runs was damaged, so some may be missing.
    pub(super) derived: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunsFile {
    format: u32,
    submitted_ms: u64,
    runs: Vec<RunId>,
}

fn runs_file(home: &Home, study: &StudyId) -> PathBuf {
    home.study_file(study).with_file_name("runs.json")
}

impl StudyRecord {
    /// Write it, the marker last.
    pub(super) fn save(&self, home: &Home) -> anyhow::Result<()> {
        let name = &self.spec.name;
        let runs = RunsFile { format: RUNS_FORMAT, submitted_ms: self.submitted_ms, runs: self.runs.clone() };
        home.create_study_dir(name)?;
        write_sealed(&runs_file(home, name), &runs)?;
        let toml = save_study(&self.spec).with_context(|| format!("write the study {name}"))?;
        Ok(write_atomic(&home.study_file(name), close_text(&toml).as_bytes())?)
    }

    /// Read it back. The text says what was damaged and could be derived.
    pub(super) fn load(home: &Home, study: &StudyId) -> anyhow::Result<(Self, Option<String>)> {
        let path = home.study_file(study);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        if !text_is_whole(&text) {
            let aside = set_aside(&path)?;
            anyhow::bail!(
                "read {}: it is damaged, and is {} now; submit the study again",
                path.display(),
                aside.display()
            );
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let spec = load_study(None, &path.display().to_string(), &text, folder, &[])?;
        let path = runs_file(home, study);
        match read_sealed::<RunsFile>(&path) {
            Ok(Some(runs)) if runs.format == RUNS_FORMAT => {
                Ok((Self { spec, runs: runs.runs, submitted_ms: runs.submitted_ms, derived: false }, None))
            }
            Ok(Some(RunsFile { format, .. })) if format > RUNS_FORMAT => anyhow::bail!(
                "read {}: it has format {format}, this program knows {RUNS_FORMAT}; use the version that wrote it",
                path.display()
            ),
            Ok(_) | Err(RunLogError::Content { .. }) => {
                // The runs say whose they are; one that two studies share says so of the first alone.
                let mut runs = home.list_runs()?;
                runs.retain(|run| home.run(run).spec().is_ok_and(|spec| spec.study == *study));
                let notice = format!(
                    "{} is damaged or gone; the runs of the study are those that were queued for it first; submit it again if \
                     some are missing",
                    path.display()
                );
                Ok((Self { spec, runs, submitted_ms: 0, derived: true }, Some(notice)))
            }
            Err(error) => Err(error.into()),
        }
    }
}
