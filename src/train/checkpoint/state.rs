//! `state.json` of a checkpoint: where the run stood, and the seals of the files beside it.
//! Promises: what is read is what was written, and can be true of the run; a checkpoint of an earlier version, which holds no
//! seals, is checked as far as it can be. Must not know: tensors.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::TrainError;
use super::tensors::unreadable;
use super::{damaged, failure, name, refused};
use crate::core::cost::step_tokens;
use crate::core::file_seal::FileSeal;
use crate::core::sealed::{self, Seal, sealed};
use crate::core::{RunId, RunSpec};

/// Version of `state.json`.
const FORMAT: u32 = 2;

/// The version before there were seals.
const UNSEALED: u32 = 1;

pub(super) const STATE: &str = "state.json";

/// All of a run's position besides tensors. Streams are addressed by (seed, index), so the cursor restores them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of this file.
    pub format: u32,
    /// The run it belongs to.
    pub run: RunId,
    /// Optimizer steps made.
    pub step: u64,
    /// Training examples drawn.
    pub cursor: u64,
    /// Seed of all streams.
    pub seed: u64,
    /// Positions seen.
    pub tokens: u64,
    /// Training seconds so far.
    pub elapsed_s: f64,
}

/// The files beside `state.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seals {
    pub(super) weights: FileSeal,
    pub(super) moments: FileSeal,
}

/// What the file holds, but for its own checksum.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    state: &'a State,
    files: &'a Seals,
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Read {
    pub(super) state: State,
    /// Absent of a checkpoint of an earlier version.
    pub(super) seals: Option<Seals>,
}

impl State {
    /// The position of a run that has not begun. The examples of a later stage are numbered behind those of the stages before it,
    /// so that it does not read again what they have read; where its examples have another length, it goes through the texts in
    /// another order, and what was read may come again.
    #[must_use]
    pub fn start(spec: &RunSpec) -> Self {
        let cursor = spec.ancestors.iter().map(|stage| stage.examples).sum();
        Self { format: FORMAT, run: spec.id.clone(), step: 0, cursor, seed: spec.seed, tokens: 0, elapsed_s: 0.0 }
    }

    /// Whether `spec` can have come to this position.
    fn check(&self, spec: &RunSpec) -> Result<(), String> {
        if self.run != spec.id || self.seed != spec.seed {
            return Err(format!("it belongs to run {} with seed {}", self.run, self.seed));
        }
        let steps = spec.training.steps;
        if self.step > steps {
            return Err(format!("it stands at step {}, the run has {steps} steps", self.step));
        }
        let cursor = Self::start(spec).cursor.checked_add(self.step.saturating_mul(spec.training.batch_size as u64));
        let tokens = self.step.checked_mul(step_tokens(spec));
        for (name, found, wanted) in [("cursor", self.cursor, cursor), ("tokens", self.tokens, tokens)] {
            if Some(found) != wanted {
                let wanted = wanted.map_or_else(|| "too many".to_owned(), |wanted| wanted.to_string());
                return Err(format!("{name} is {found}, after {} steps it is {wanted}", self.step));
            }
        }
        if self.elapsed_s.is_finite() && self.elapsed_s >= 0.0 {
            Ok(())
        } else {
            Err(format!("elapsed_s is {}", self.elapsed_s))
        }
    }
}

/// Writes `state.json` into a folder, brings it to the disk and gives its length in bytes.
pub(super) fn write(folder: &Path, state: &State, files: &Seals) -> Result<u64, TrainError> {
    let path = folder.join(STATE);
    let fail = failure(&path);
    let state = State { format: FORMAT, ..state.clone() };
    let bytes = sealed(&Written { state: &state, files }).map_err(|e| fail(&e))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(refused(&path))?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(refused(&path))?;
    Ok(bytes.len() as u64)
}

/// Reads the `state.json` of a checkpoint of `spec`.
///
/// # Errors
/// `Damaged` if it is not what was written or cannot be true; another error if the system does not let it be read, or a later
/// version wrote it.
pub(super) fn read(checkpoint: &Path, spec: &RunSpec) -> Result<Read, TrainError> {
    let path = checkpoint.join(STATE);
    let read = parse(&path)?;
    read.state.check(spec).map_err(|reason| damaged(&path, reason))?;
    in_place(checkpoint, &path, read.state.step)?;
    Ok(read)
}

/// Reads the `state.json` of a checkpoint of another run of the same lab, of which no more is known.
///
/// # Errors
/// As for [`read`].
pub(super) fn read_of(checkpoint: &Path, run: &RunId) -> Result<Read, TrainError> {
    let path = checkpoint.join(STATE);
    let read = parse(&path)?;
    if read.state.run != *run {
        return Err(damaged(&path, format!("it belongs to run {}", read.state.run)));
    }
    in_place(checkpoint, &path, read.state.step)?;
    Ok(read)
}

fn in_place(checkpoint: &Path, path: &Path, step: u64) -> Result<(), TrainError> {
    if checkpoint.file_name().is_some_and(|found| *found == *name(step)) {
        Ok(())
    } else {
        Err(damaged(path, format!("it stands at step {step}, the folder is called otherwise")))
    }
}

fn parse(path: &Path) -> Result<Read, TrainError> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    let broken = |error: serde_json::Error| damaged(path, format!("it is no state of a run: {error}"));
    let (seal, mut value) = sealed::read(&bytes).map_err(broken)?;
    if seal == Seal::Broken {
        return Err(damaged(path, "its content is not what was written: the checksum differs".to_owned()));
    }
    let format = value.get("format").and_then(Value::as_u64);
    match (format.and_then(|format| u32::try_from(format).ok()), seal) {
        (Some(FORMAT), Seal::Whole) | (Some(UNSEALED), Seal::Absent) => {}
        (Some(format), Seal::Whole) => {
            return Err(failure(path)(&format!("format {format} is not {FORMAT}; use the version that wrote it")));
        }
        _ => return Err(damaged(path, "it names no format that fits its fields".to_owned())),
    }
    let files = value.as_object_mut().and_then(|fields| fields.remove("files"));
    let seals = files.map(serde_json::from_value::<Seals>).transpose().map_err(broken)?;
    if seals.is_some() != (seal == Seal::Whole) {
        return Err(damaged(path, "it does not say what the files beside it hold".to_owned()));
    }
    Ok(Read { state: serde_json::from_value(value).map_err(broken)?, seals })
}
