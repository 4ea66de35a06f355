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
    /// The study's own file once more, so that either is derived from the other.
    #[serde(default)]
    study: String,
}

fn runs_file(home: &Home, study: &StudyId) -> PathBuf {
    home.study_file(study).with_file_name("runs.json")
}

impl StudyRecord {
    /// Write it, the marker last.
    pub(super) fn save(&self, home: &Home) -> anyhow::Result<()> {
        let name = &self.spec.name;
        let toml = save_study(&self.spec).with_context(|| format!("write the study {name}"))?;
        let study = close_text(&toml);
        let (format, submitted_ms, runs) = (RUNS_FORMAT, self.submitted_ms, self.runs.clone());
        home.create_study_dir(name)?;
        write_sealed(&runs_file(home, name), &RunsFile { format, submitted_ms, runs, study: study.clone() })?;
        Ok(write_atomic(&home.study_file(name), study.as_bytes())?)
    }

    /// Read it back. The text says what was damaged and could be derived.
    pub(super) fn load(home: &Home, study: &StudyId) -> anyhow::Result<(Self, Option<String>)> {
        let path = home.study_file(study);
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let (text, restored) = match String::from_utf8(bytes).ok().filter(|text| text_is_whole(text)) {
            Some(text) => (text, None),
            None => {
                let (text, notice) = restore(home, study)?;
                (text, Some(notice))
            }
        };
        let folder = path.parent().unwrap_or(Path::new("."));
        let spec = load_study(None, &path.display().to_string(), &text, folder, &[])?;
        let path = runs_file(home, study);
        match read_sealed::<RunsFile>(&path) {
            Ok(Some(runs)) if runs.format == RUNS_FORMAT => {
                Ok((Self { spec, runs: runs.runs, submitted_ms: runs.submitted_ms, derived: false }, restored))
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

/// Sets a damaged study aside and writes it anew from the copy beside it; gives its text, and what a person should know.
fn restore(home: &Home, study: &StudyId) -> anyhow::Result<(String, String)> {
    let path = home.study_file(study);
    let copy = read_sealed::<RunsFile>(&runs_file(home, study)).ok().flatten().map(|runs| runs.study);
    let copy = copy.filter(|text| !text.is_empty() && text_is_whole(text));
    let aside = set_aside(&path)?;
    let (path, aside) = (path.display(), aside.display());
    let Some(text) = copy else {
        anyhow::bail!("read {path}: it is damaged, and is {aside} now; submit the study again");
    };
    write_atomic(&home.study_file(study), text.as_bytes())?;
    Ok((text, format!("{path} was damaged and is restored; the damaged file is {aside}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::shipped_studies;

    #[test]
    fn a_study_and_the_list_of_its_runs_restore_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let shipped = shipped_studies()[0];
        let spec = load_study(None, shipped.name, shipped.text, Path::new("/"), &[]).unwrap();
        let name = spec.name.clone();
        let runs = vec!["0123456789ab".parse().unwrap()];
        let study = StudyRecord { spec, runs, submitted_ms: 7, derived: false };
        study.save(&home).unwrap();
        assert_eq!(StudyRecord::load(&home, &name).unwrap(), (study.clone(), None));
        let path = home.study_file(&name);
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(41) {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            fs::write(&path, damaged).unwrap();
            let (read, notice) = StudyRecord::load(&home, &name).unwrap();
            assert_eq!(read, study, "byte {at}");
            assert!(notice.unwrap().contains("restored") && fs::read(&path).unwrap() == whole);
        }
        fs::write(runs_file(&home, &name), "{}").unwrap();
        let (read, notice) = StudyRecord::load(&home, &name).unwrap();
        assert!(read.derived && read.runs.is_empty() && notice.unwrap().contains("submit it again"));
        fs::write(&path, "name = 'x'\n# checksum 0123456789abcdef\n").unwrap();
        assert!(StudyRecord::load(&home, &name).unwrap_err().to_string().contains("submit the study again"));
    }
}
