//! A checkpoint is a folder `step-00002000` with weights, moments and state. It is written beside its place and renamed,
//! so it exists whole or not at all; files are synced before the rename, so a crash of the machine keeps that promise.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{TrainError, Trainer};
use crate::core::{RunId, RunSpec};

/// Version of `state.json`.
const FORMAT: u32 = 1;
const WEIGHTS: &str = "weights.safetensors";
const MOMENTS: &str = "moments.safetensors";
const STATE: &str = "state.json";
const PREFIX: &str = "step-";
const UNFINISHED: &str = ".writing-";

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

impl State {
    /// The position of a run that has not begun. The examples of a later stage are numbered behind those of the stages before it,
    /// so that it does not read again what they have read; where its examples have another length, it goes through the texts in
    /// another order, and what was read may come again.
    #[must_use]
    pub fn start(spec: &RunSpec) -> Self {
        let cursor = spec.ancestors.iter().map(|stage| stage.examples).sum();
        Self { format: FORMAT, run: spec.id.clone(), step: 0, cursor, seed: spec.seed, tokens: 0, elapsed_s: 0.0 }
    }
}

fn failure(path: &Path) -> impl Fn(&dyn std::fmt::Display) -> TrainError {
    let path = path.to_owned();
    move |reason| TrainError::Checkpoint { path: path.clone(), reason: reason.to_string() }
}

/// Writes the checkpoint of `state.step` into `folder`, keeps the newest `keep` and those of `keep_steps`, and gives its size in
/// bytes.
///
/// # Errors
/// The disk is full or not writable; older checkpoints are untouched then.
pub fn save(
    folder: &Path,
    state: &State,
    trainer: &Trainer,
    (keep, keep_steps): (usize, &[u64]),
) -> Result<u64, TrainError> {
    let place = folder.join(format!("{PREFIX}{:08}", state.step));
    let fail = failure(&place);
    fs::create_dir_all(folder).map_err(|e| fail(&e))?;
    let beside = folder.join(format!("{UNFINISHED}{:08}", state.step));
    let written = write(&beside, state, trainer);
    if written.is_err() {
        // A half-written folder only takes space on a full disk; the error that matters is the first.
        let _ = fs::remove_dir_all(&beside);
    }
    let bytes = written?;
    if place.exists() {
        fs::remove_dir_all(&place).map_err(|e| fail(&e))?;
    }
    fs::rename(&beside, &place).map_err(|e| fail(&e))?;
    sync(folder).map_err(|e| fail(&e))?;
    let mut saved = list(folder)?;
    saved.truncate(saved.len().saturating_sub(keep.max(1)));
    for (_, old) in saved.into_iter().filter(|(step, _)| !keep_steps.contains(step)) {
        fs::remove_dir_all(&old).map_err(|e| failure(&old)(&e))?;
    }
    Ok(bytes)
}

fn write(beside: &Path, state: &State, trainer: &Trainer) -> Result<u64, TrainError> {
    let fail = failure(beside);
    if beside.exists() {
        fs::remove_dir_all(beside).map_err(|e| fail(&e))?;
    }
    fs::create_dir(beside).map_err(|e| fail(&e))?;
    let (weights, moments, text) = (beside.join(WEIGHTS), beside.join(MOMENTS), beside.join(STATE));
    candle_core::safetensors::save(&trainer.parameters().tensors(), &weights).map_err(|e| fail(&e))?;
    candle_core::safetensors::save(&trainer.optimizer().tensors(), &moments).map_err(|e| fail(&e))?;
    fs::write(&text, serde_json::to_vec_pretty(state).map_err(|e| fail(&e))?).map_err(|e| fail(&e))?;
    let mut bytes = 0;
    for file in [&weights, &moments, &text] {
        sync(file).map_err(|e| fail(&e))?;
        bytes += fs::metadata(file).map_err(|e| fail(&e))?.len();
    }
    sync(beside).map_err(|e| fail(&e))?;
    Ok(bytes)
}

fn sync(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

/// Complete checkpoints by step, oldest first.
///
/// # Errors
/// The folder cannot be read; a folder that does not exist has none.
pub fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, TrainError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| failure(folder)(&e))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| failure(folder)(&e))?;
        let name = entry.file_name();
        if let Some(step) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|step| step.parse().ok())
        {
            found.push((step, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// Removes what a killed attempt left half-written.
///
/// # Errors
/// The folder is not writable.
pub fn sweep(folder: &Path) -> Result<(), TrainError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED)) {
            fs::remove_dir_all(entry.path()).map_err(|e| failure(&entry.path())(&e))?;
        }
    }
    Ok(())
}

/// Restores the newest checkpoint that can be read into `trainer`; `None` if there is none. `warn` is told of damaged ones.
///
/// # Errors
/// The folder cannot be read, or checkpoints exist and none of them can be read.
pub fn restore(
    folder: &Path,
    trainer: &mut Trainer,
    warn: &mut dyn FnMut(String),
) -> Result<Option<State>, TrainError> {
    let mut last = None;
    for (_, path) in list(folder)?.into_iter().rev() {
        match read(&path, trainer) {
            Ok(state) => return Ok(Some(state)),
            Err(error) => {
                warn(format!("{error}; the one before it is used"));
                last = Some(error);
            }
        }
    }
    last.map_or(Ok(None), Err)
}

/// Loads the checkpoint of `step` into `trainer`, or the newest that can be read; changes nothing on the disk, so a run
/// may be training beside it. `warn` is told of damaged ones.
///
/// # Errors
/// There is no such checkpoint, or it cannot be read.
pub fn load(
    folder: &Path,
    step: Option<u64>,
    trainer: &mut Trainer,
    warn: &mut dyn FnMut(String),
) -> Result<State, TrainError> {
    let none = |cure: &str| failure(folder)(&cure);
    let Some(step) = step else {
        return restore(folder, trainer, warn)?.ok_or_else(|| none("there is none yet; let the run make one first"));
    };
    let saved = list(folder)?;
    match saved.iter().find(|(known, _)| *known == step) {
        Some((_, path)) => read(path, trainer),
        None => {
            let known: Vec<String> = saved.iter().map(|(step, _)| step.to_string()).collect();
            Err(none(&format!("there is none of step {step}, only of {}", known.join(", "))))
        }
    }
}

/// Gives `trainer` the weights of another run's checkpoint of `step` in `folder`; its optimizer begins anew.
///
/// # Errors
/// There is no such checkpoint, it cannot be read, or its weights are of another shape.
pub fn inherit(folder: &Path, step: u64, trainer: &Trainer) -> Result<(), TrainError> {
    let path = folder.join(format!("{PREFIX}{step:08}"));
    let fail = failure(&path);
    let stored =
        candle_core::safetensors::load(path.join(WEIGHTS), &candle_core::Device::Cpu).map_err(|error| fail(&error))?;
    trainer.parameters().load(&stored).map_err(|error| fail(&error))
}

fn read(path: &Path, trainer: &mut Trainer) -> Result<State, TrainError> {
    let fail = failure(path);
    let text = fs::read_to_string(path.join(STATE)).map_err(|e| fail(&e))?;
    let state: State = serde_json::from_str(&text).map_err(|e| fail(&e))?;
    let spec = trainer.spec();
    if state.format != FORMAT {
        return Err(fail(&format!("format {} is not {FORMAT}; use the version that wrote it", state.format)));
    }
    if state.run != spec.id || state.seed != spec.seed {
        return Err(fail(&format!("it belongs to run {} with seed {}", state.run, state.seed)));
    }
    let load =
        |name: &str| candle_core::safetensors::load(path.join(name), &candle_core::Device::Cpu).map_err(|e| fail(&e));
    let (weights, mut moments) = (load(WEIGHTS)?, load(MOMENTS)?);
    let (parameters, optimizer) = trainer.state_mut();
    for tensor in moments.values_mut() {
        *tensor = tensor.to_device(parameters.device())?;
    }
    optimizer.load(&moments, state.step).map_err(|e| fail(&e))?;
    parameters.load(&weights).map_err(|e| fail(&e))?;
    Ok(state)
}
