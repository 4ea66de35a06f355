//! A checkpoint is a folder `step-00002000` with weights, moments and state. It is written beside its place and renamed,
//! so it exists whole or not at all; files are synced before the rename, so a crash of the machine keeps that promise.
//! Promises: nothing is trained on or scored that is not what was written; what is found damaged is set aside as
//! `damaged-step-00002000`, so that nobody takes it again, and can be made again, since runs are deterministic.

mod state;
mod tensors;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

pub use state::State;
use state::{STATE, Seals};

use super::{TrainError, Trainer};
use crate::core::file_seal::Findings;
use crate::core::{ParentSpec, RunSpec, Shortage};
use crate::model::{LanguageModel, Numbers};
use crate::optim::AdamW;

const WEIGHTS: &str = "weights.safetensors";
const MOMENTS: &str = "moments.safetensors";
const PREFIX: &str = "step-";
const UNFINISHED: &str = ".writing-";
const SET_ASIDE: &str = "damaged-";

/// Tensors by name.
type Tensors = HashMap<String, Tensor>;

fn failure(path: &Path) -> impl Fn(&dyn std::fmt::Display) -> TrainError {
    let path = path.to_owned();
    move |reason| TrainError::Checkpoint { path: path.clone(), reason: reason.to_string(), short: None }
}

/// As [`failure`], where the system refuses: it may be short of something.
fn refused(path: &Path) -> impl Fn(io::Error) -> TrainError {
    let path = path.to_owned();
    move |error| {
        let short = Shortage::of(&error);
        let cure = short.map_or_else(String::new, |short| format!("; {}", short.cure()));
        TrainError::Checkpoint { path: path.clone(), reason: format!("{error}{cure}"), short }
    }
}

/// `path` is a file of a checkpoint.
fn damaged(path: &Path, reason: String) -> TrainError {
    TrainError::Damaged { path: path.to_owned(), reason }
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
    let place = folder.join(name(state.step));
    let fail = refused(&place);
    fs::create_dir_all(folder).map_err(&fail)?;
    let beside = folder.join(format!("{UNFINISHED}{:08}", state.step));
    let written = write(&beside, state, trainer);
    if written.is_err() {
        // A half-written folder only takes space on a full disk; the error that matters is the first.
        let _ = fs::remove_dir_all(&beside);
    }
    let bytes = written?;
    remove(&place)?;
    fs::rename(&beside, &place).map_err(&fail)?;
    sync(folder).map_err(&fail)?;
    // Whoever was to make it again has done so.
    remove(&folder.join(format!("{SET_ASIDE}{}", name(state.step))))?;
    prune(folder, state.step, (keep, keep_steps))?;
    Ok(bytes)
}

/// Of the checkpoints up to `step`, keeps the newest `keep` and those of `keep_steps`. Those beyond it were made before something
/// was made again, and the run leaps to them.
///
/// # Errors
/// The folder is not writable.
pub fn prune(folder: &Path, step: u64, (keep, keep_steps): (usize, &[u64])) -> Result<(), TrainError> {
    let mut saved: Vec<_> = list(folder)?.into_iter().filter(|(known, _)| *known <= step).collect();
    saved.truncate(saved.len().saturating_sub(keep.max(1)));
    let mut old = saved.into_iter().filter(|(known, _)| !keep_steps.contains(known));
    old.try_for_each(|(_, path)| remove(&path))
}

fn write(beside: &Path, state: &State, trainer: &Trainer) -> Result<u64, TrainError> {
    let fail = refused(beside);
    remove(beside)?;
    fs::create_dir(beside).map_err(&fail)?;
    let files = Seals {
        weights: tensors::write(&beside.join(WEIGHTS), &trainer.parameters().tensors())?,
        moments: tensors::write(&beside.join(MOMENTS), &trainer.optimizer().tensors())?,
    };
    let bytes = state::write(beside, state, &files)?;
    sync(beside).map_err(&fail)?;
    Ok(bytes + files.weights.bytes + files.moments.bytes)
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes a folder, or a file in its place, if it is there.
fn remove(path: &Path) -> Result<(), TrainError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(refused(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Complete checkpoints by step, oldest first.
///
/// # Errors
/// The folder cannot be read; a folder that does not exist has none.
pub fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, TrainError> {
    let mut found = Vec::new();
    for (name, path) in entries(folder)? {
        let digits = name.strip_prefix(PREFIX).filter(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(step) = digits.and_then(|digits| digits.parse().ok()) {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, TrainError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| failure(folder)(&e))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| failure(folder)(&e))?;
        found.extend(entry.file_name().into_string().ok().map(|name| (name, entry.path())));
    }
    Ok(found)
}

/// Removes what a killed attempt left half-written.
///
/// # Errors
/// The folder is not writable.
pub fn sweep(folder: &Path) -> Result<(), TrainError> {
    let mut unfinished = entries(folder)?.into_iter().filter(|(name, _)| name.starts_with(UNFINISHED));
    unfinished.try_for_each(|(_, path)| remove(&path))
}

/// What the folder of the checkpoint of a step is called.
#[must_use]
pub fn name(step: u64) -> String {
    format!("{PREFIX}{step:08}")
}

/// As [`set_aside`], the checkpoint of `step` in `folder`: what it is called now, or none if it is not there.
///
/// # Errors
/// The folder is not writable.
pub fn set_aside_of(folder: &Path, step: u64) -> Result<Option<String>, TrainError> {
    let path = folder.join(name(step));
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(set_aside(&path)?.file_name().unwrap_or_default().to_string_lossy().into_owned()))
}

/// Renames a damaged checkpoint so that nobody takes it again, and gives its new path. One is kept for whoever wants to look at
/// it; those that were set aside before are removed.
///
/// # Errors
/// The folder is not writable.
pub fn set_aside(checkpoint: &Path) -> Result<PathBuf, TrainError> {
    let fail = failure(checkpoint);
    let name = checkpoint.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = checkpoint.parent().unwrap_or(Path::new("."));
    for (_, old) in entries(folder)?.into_iter().filter(|(name, _)| name.starts_with(SET_ASIDE)) {
        remove(&old)?;
    }
    let aside = folder.join(format!("{SET_ASIDE}{name}"));
    match fs::rename(checkpoint, &aside) {
        // Somebody else set it aside a moment ago, or it was never there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        moved => moved.and_then(|()| sync(folder)).map_err(|e| fail(&e))?,
    }
    Ok(aside)
}

/// Which checkpoint a run goes on from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Only from one beyond this step.
    pub beyond: Option<u64>,
    /// Steps whose checkpoints others wait for: one that is gone is made again.
    pub kept: &'a [u64],
}

/// Those of the steps `kept` of a run of `steps` steps of which there is no checkpoint in `folder`, in order.
///
/// # Errors
/// The folder cannot be read.
pub fn missing(folder: &Path, kept: &[u64], steps: u64) -> Result<Vec<u64>, TrainError> {
    let saved = list(folder)?;
    let there = |step: &u64| saved.iter().any(|(known, _)| known == step);
    let mut missing: Vec<u64> =
        kept.iter().copied().filter(|step| (1..=steps).contains(step) && !there(step)).collect();
    missing.sort_unstable();
    Ok(missing)
}

/// Restores into `trainer` the newest checkpoint that is whole, before the first one that is wanted and gone; `None` if there is
/// none, and `trainer` is untouched. Damaged ones are set aside, and `warn` is told once of all of them and of where the run goes
/// on.
///
/// # Errors
/// The folder cannot be read or written, or a later version wrote a checkpoint.
pub fn restore(
    folder: &Path,
    trainer: &mut Trainer,
    wanted: Wanted<'_>,
    warn: &mut dyn FnMut(String),
) -> Result<Option<State>, TrainError> {
    let saved = list(folder)?;
    let gone = missing(folder, wanted.kept, trainer.spec().training.steps)?.first().copied();
    let turns_back = gone.filter(|gone| saved.iter().any(|(step, _)| step > gone));
    let fits = |step: u64| gone.is_none_or(|gone| step < gone) && wanted.beyond.is_none_or(|beyond| step > beyond);
    let (mut found, mut lost) = (None, Vec::new());
    for (_, path) in saved.iter().rev().filter(|(step, _)| fits(*step)) {
        match read(path, trainer) {
            Ok(state) => {
                found = Some(state);
                break;
            }
            Err(error @ TrainError::Damaged { .. }) => {
                let aside = set_aside(path)?;
                let name = aside.file_name().unwrap_or_default().to_string_lossy().into_owned();
                lost.push(format!("{error}; it is set aside as {name}"));
            }
            Err(error) => return Err(error),
        }
    }
    let from = match (&found, &wanted.beyond, &trainer.spec().parent) {
        (Some(State { step, .. }), ..) | (None, Some(step), _) => format!("step {step}"),
        (None, None, Some(ParentSpec { run, step, .. })) => format!("the weights of run {run} at step {step}"),
        (None, None, None) => "its start".to_owned(),
    };
    if !lost.is_empty() {
        warn(format!("{}; the run goes on from {from} and comes to the same result", lost.join("; ")));
    } else if let Some(gone) = turns_back.filter(|_| wanted.beyond.is_none()) {
        warn(format!(
            "the checkpoint of step {gone}, which others go on from, is gone; the run goes on from {from} and makes it again"
        ));
    }
    Ok(found)
}

/// Loads the checkpoint of `step` into `trainer`, or the newest; changes nothing on the disk, so a run may be training beside it.
///
/// # Errors
/// There is no such checkpoint, or it cannot be read; `Damaged` if it is not what was written.
pub fn load(folder: &Path, step: Option<u64>, trainer: &mut Trainer) -> Result<State, TrainError> {
    let none = |cure: &str| failure(folder)(&cure);
    let saved = list(folder)?;
    let Some(step) = step.or_else(|| saved.last().map(|(step, _)| *step)) else {
        return Err(none("there is none yet; let the run make one first"));
    };
    match saved.iter().find(|(known, _)| *known == step) {
        Some((_, path)) => read(path, trainer),
        None => {
            let known: Vec<String> = saved.iter().map(|(step, _)| step.to_string()).collect();
            Err(none(&format!("there is none of step {step}, only of {}", known.join(", "))))
        }
    }
}

/// Gives `trainer` the weights of the checkpoint in `folder` that its spec goes on from; its optimizer begins anew.
///
/// # Errors
/// `Damaged` if there is no such checkpoint or it is not what was written; another error if it cannot be read or has weights of
/// another shape.
pub fn inherit(folder: &Path, parent: &ParentSpec, trainer: &Trainer) -> Result<(), TrainError> {
    let path = folder.join(name(parent.step));
    let stored = state::read_of(&path, &parent.run)?;
    let weights = tensors::load(&path.join(WEIGHTS), stored.seals.as_ref().map(|seals| &seals.weights))?;
    let fail = failure(&path);
    // Whole, but of another model: not its fault.
    tensors::fit(&weights, &trainer.parameters().tensors()).map_err(|error| fail(&error))?;
    trainer.parameters().load(&weights).map_err(|error| fail(&error))
}

/// Everything is checked before anything of `trainer` is replaced.
fn read(path: &Path, trainer: &mut Trainer) -> Result<State, TrainError> {
    let fail = failure(path);
    let stored = state::read(path, trainer.spec())?;
    let seals = stored.seals.as_ref();
    let (parameters, optimizer) = trainer.state_mut();
    let weights = tensors::read(&path.join(WEIGHTS), seals.map(|seals| &seals.weights), &parameters.tensors())?;
    let mut moments = tensors::read(&path.join(MOMENTS), seals.map(|seals| &seals.moments), &optimizer.tensors())?;
    for tensor in moments.values_mut() {
        *tensor = tensor.to_device(parameters.device())?;
    }
    optimizer.load(&moments, stored.state.step).map_err(|e| fail(&e))?;
    parameters.load(&weights).map_err(|e| fail(&e))?;
    Ok(stored.state)
}

/// Checks one checkpoint of `spec`, such as `…/checkpoints/step-00002000`, and changes nothing: that every file is what was
/// written, that its tensors have the names, shapes and numbers of the model, and that its state can be true. Each finding begins
/// with the path of a file.
///
/// # Errors
/// The system does not let a file be read, a later version wrote it, or the spec gives no model.
pub fn verify(checkpoint: &Path, spec: &RunSpec) -> Result<Findings, TrainError> {
    let mut findings = Findings::default();
    let mut seen = |checked: Result<(), TrainError>| match checked {
        Err(TrainError::Damaged { path, reason }) => {
            findings.damaged.push(format!("{}: {reason}", path.display()));
            Ok(())
        }
        other => other,
    };
    let mut seals = None;
    let mut sealed = true;
    seen(state::read(checkpoint, spec).map(|stored| {
        sealed = stored.seals.is_some();
        seals = stored.seals;
    }))?;
    let (weights, moments) = shapes(spec)?;
    let (weights_seal, moments_seal) = seals.map_or((None, None), |seals| (Some(seals.weights), Some(seals.moments)));
    for (name, seal, like) in [(WEIGHTS, weights_seal, weights), (MOMENTS, moments_seal, moments)] {
        seen(tensors::read(&checkpoint.join(name), seal.as_ref(), &like).map(drop))?;
    }
    if !sealed {
        let path = checkpoint.join(STATE);
        findings.unsealed.push(format!("{}: an earlier version wrote it without checksums", path.display()));
    }
    Ok(findings)
}

/// Weights and moments of a run as they are laid out, by name; their numbers mean nothing.
fn shapes(spec: &RunSpec) -> Result<(Tensors, Tensors), TrainError> {
    let numbers = Numbers { format: DType::F32, precision: spec.training.precision, device: Device::Cpu };
    let (_, parameters) = LanguageModel::new(&spec.model, spec.training.seq_len, &numbers)?;
    let optimizer = AdamW::new(spec.optimizer.clone(), parameters.iter(), 1)?;
    Ok((parameters.tensors(), optimizer.tensors()))
}
