//! Submitted studies on disk: the study as a complete TOML file, and beside it the ids of its runs.
//! Promises: the ids of a study's runs never change, and are there before its file; the file changes only in what ids do not
//! cover.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::config::{load_study, save_study};
use crate::core::study::StudySpec;
use crate::core::{RunId, StudyId};
use crate::runlog::{Home, write_atomic};

/// Version of `runs.json`.
const RUNS_FORMAT: u32 = 1;

/// A study that was submitted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StudyRecord {
    pub(super) spec: StudySpec,
    /// In planning order.
    pub(super) runs: Vec<RunId>,
    pub(super) submitted_ms: u64,
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
        let mut json = serde_json::to_vec_pretty(&runs)?;
        json.push(b'\n');
        home.create_study_dir(name)?;
        write_atomic(&runs_file(home, name), &json)?;
        let toml = save_study(&self.spec).with_context(|| format!("write the study {name}"))?;
        Ok(write_atomic(&home.study_file(name), toml.as_bytes())?)
    }

    /// Read it back.
    pub(super) fn load(home: &Home, study: &StudyId) -> anyhow::Result<Self> {
        let path = home.study_file(study);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let spec = load_study(None, &path.display().to_string(), &text, folder, &[])?;
        let path = runs_file(home, study);
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let runs: RunsFile = serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))?;
        anyhow::ensure!(
            runs.format == RUNS_FORMAT,
            "read {}: it has format {}, this program knows {RUNS_FORMAT}; use the version that wrote it",
            path.display(),
            runs.format
        );
        Ok(Self { spec, runs: runs.runs, submitted_ms: runs.submitted_ms })
    }
}
