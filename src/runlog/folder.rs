//! One run's directory: the spec, the wish, the lock, the attempts and the checkpoints, by name.
//! Promises: the content that an id stands for is written once as `spec.json`, never changes, and is read only if it is what was
//! written; whoever holds [`RunLock`] is the only worker of the run, and the lock is gone with the process that held it, however
//! that ended.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use crate::core::sealed::{self, Seal, sealed};
use crate::core::spec::SPEC_FORMAT;
use crate::core::{Control, DataSpec, RunId, RunSpec};

use super::batch::Batch;
use super::control::{self, ControlFile};
use super::error::RunLogError;
use super::layout::{Home, create_within, names_in, private};

/// The directory of a run; a cheap value that touches nothing until it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
    id: RunId,
}

/// Proof that this process is the only worker of a run; dropped, or the process gone, the run is free.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

/// Bytes of the lock file. They are written when it is made, so that a worker on a full disk has room to say what it waits for.
const LOCK_BYTES: usize = 512;

impl RunLock {
    /// Say what this worker waits for, or nothing. What cannot be written is not said.
    pub fn say(&self, waits_for: &str) {
        let mut text = waits_for.as_bytes().to_vec();
        text.resize(LOCK_BYTES, b' ');
        _ = self.file.write_all_at(&text, 0);
    }
}

/// One try to train a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// Its folder.
    pub path: PathBuf,
}

impl Attempt {
    /// The event log; the worker makes it, exclusively.
    #[must_use]
    pub fn events_path(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// What the worker printed; the launcher makes it.
    #[must_use]
    pub fn output_path(&self) -> PathBuf {
        self.path.join("output.log")
    }
}

impl RunFolder {
    pub(super) const fn at(path: PathBuf, id: RunId) -> Self {
        Self { path, id }
    }

    /// The run in `path`, whose last part is the run's id: how a worker finds its run.
    ///
    /// # Errors
    /// The folder is not called like a run.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, RunLogError> {
        let path = path.into();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match name.parse() {
            Ok(id) => Ok(Self { path, id }),
            Err(error) => Err(RunLogError::Content { reason: format!("{error}"), path }),
        }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run.
    #[must_use]
    pub const fn id(&self) -> &RunId {
        &self.id
    }

    /// Where the spec lies.
    #[must_use]
    pub fn spec_path(&self) -> PathBuf {
        self.path.join("spec.json")
    }

    /// Write the spec, complete and once. `false` if the run was there already: its first spec stays. One that is damaged is set
    /// aside as `spec.damaged.json`, and this one, which has the same id, takes its place.
    ///
    /// # Errors
    /// The folder is for another run, a later version wrote its spec, or it cannot be written.
    pub fn create(&self, spec: &RunSpec) -> Result<bool, RunLogError> {
        let mut batch = Batch::default();
        let is_new = self.put_new(&mut batch, spec)?;
        batch.commit()?;
        Ok(is_new)
    }

    /// As [`RunFolder::create`], with other files: it is there when the batch is.
    ///
    /// # Errors
    /// As [`RunFolder::create`].
    pub fn put_new(&self, batch: &mut Batch, spec: &RunSpec) -> Result<bool, RunLogError> {
        self.belongs(spec)?;
        let path = self.spec_path();
        if path.exists() {
            match self.spec() {
                Ok(_) => return Ok(false),
                Err(RunLogError::Spec { .. }) => self.set_spec_aside()?,
                Err(error) => return Err(error),
            }
        }
        self.make(&self.path)?;
        batch.put(&path, self.json(spec)?).map(|()| true)
    }

    /// Replace the spec of a run that has no worker by one that asks for the same result in another way, with other files.
    ///
    /// # Errors
    /// The folder is for another run, or cannot be written.
    pub fn put_amended(&self, batch: &mut Batch, spec: &RunSpec) -> Result<(), RunLogError> {
        self.belongs(spec)?;
        batch.put(&self.spec_path(), self.json(spec)?)
    }

    /// Keep a damaged spec as `spec.damaged.json`, so that there is room for one that is whole.
    pub(super) fn set_spec_aside(&self) -> Result<(), RunLogError> {
        let path = self.spec_path();
        fs::rename(&path, path.with_file_name("spec.damaged.json")).map_err(RunLogError::io("set aside", &path))
    }

    pub(super) fn json(&self, spec: &RunSpec) -> Result<Vec<u8>, RunLogError> {
        sealed(spec).map_err(|source| RunLogError::Json { path: self.spec_path(), source })
    }

    /// Whether `spec` has the content that the id of this folder stands for.
    fn belongs(&self, spec: &RunSpec) -> Result<(), RunLogError> {
        let content = spec.content_id().map_err(|source| RunLogError::Json { path: self.spec_path(), source })?;
        match [&spec.id, &content].into_iter().find(|id| **id != self.id) {
            Some(found) => Err(RunLogError::Differs { path: self.path.clone(), found: found.to_string() }),
            None => Ok(()),
        }
    }

    /// Make a folder of this run, in a lab that is there.
    pub(super) fn make(&self, folder: &Path) -> Result<(), RunLogError> {
        // From within, the run's own folder is what is there.
        let home = self.path.parent().and_then(Path::parent).filter(|home| !home.as_os_str().is_empty());
        create_within(home.unwrap_or(Path::new(".")), folder)
    }

    /// What the run was asked to be.
    ///
    /// # Errors
    /// The file is missing, is not what was written, or is of another format.
    pub fn spec(&self) -> Result<RunSpec, RunLogError> {
        self.spec_at(self.spec_path())
    }

    /// The spec of this run that lies at `path`.
    pub(super) fn spec_at(&self, path: PathBuf) -> Result<RunSpec, RunLogError> {
        let bytes = fs::read(&path).map_err(RunLogError::io("read", &path))?;
        let damaged = |reason: String| RunLogError::Spec { path: path.clone(), reason };
        let (seal, value) = sealed::read(&bytes).map_err(|error| damaged(error.to_string()))?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format == u64::from(SPEC_FORMAT) => {}
            Some(found) if seal != Seal::Broken => return Err(RunLogError::Format { path, found, known: SPEC_FORMAT }),
            Some(_) | None => return Err(damaged("it names no format that fits its checksum".to_owned())),
        }
        let spec: RunSpec = serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
        let content = spec.content_id().map_err(|error| damaged(error.to_string()))?;
        if spec.id != self.id {
            return Err(damaged(format!("it is the spec of run {}", spec.id)));
        }
        if content != self.id {
            let what = "of model, objective, optimizer, training, data, parent, prompts or seed something was changed";
            return Err(damaged(format!("its content is that of run {content}: {what}")));
        }
        if seal == Seal::Broken {
            let what = "something was changed that its id does not cover, such as probes or execution";
            return Err(damaged(format!("its checksum differs: {what}")));
        }
        Ok(spec)
    }

    /// Where the wish lies.
    #[must_use]
    pub fn control_path(&self) -> PathBuf {
        self.path.join("control.json")
    }

    /// Tell the worker, present or next, what is wished; the server's.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_control(&self, wish: Control) -> Result<(), RunLogError> {
        control::write(&self.control_path(), Some(wish), &[])
    }

    /// As [`RunFolder::write_control`], with other files; a wish that is absent stays. The checkpoints of the steps `keep` are to
    /// be kept besides those that are already, since other runs begin with them.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put_control(&self, batch: &mut Batch, wish: Option<Control>, keep: &[u64]) -> Result<(), RunLogError> {
        control::put(batch, &self.control_path(), wish, keep)
    }

    /// The wish as written; `Run` if there is none.
    ///
    /// # Errors
    /// The file is damaged or of another format.
    pub fn control(&self) -> Result<Control, RunLogError> {
        Ok(control::read(&self.control_path())?.control)
    }

    /// The wish as the training loop looks at it.
    #[must_use]
    pub fn control_source(&self) -> ControlFile {
        ControlFile::new(self.control_path())
    }

    fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Become the worker of this run. Someone who asks [`RunFolder::is_locked`] holds the lock for an instant, so a
    /// worker tries a few times before it believes [`RunLogError::Locked`].
    ///
    /// # Errors
    /// Another worker holds it, or the file cannot be locked.
    pub fn lock(&self) -> Result<RunLock, RunLogError> {
        let path = self.lock_path();
        let open = private().read(true).write(true).create(true).truncate(false).open(&path);
        let file = open.map_err(RunLogError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {
                let lock = RunLock { file };
                lock.say("");
                Ok(lock)
            }
            Err(TryLockError::WouldBlock) => Err(RunLogError::Locked { path }),
            Err(TryLockError::Error(source)) => Err(RunLogError::Io { action: "lock", path, source }),
        }
    }

    /// Whether a worker is alive: the only test of life that survives restarts and never mistakes one process for
    /// another.
    ///
    /// # Errors
    /// The lock cannot be tried.
    pub fn is_locked(&self) -> Result<bool, RunLogError> {
        let path = self.lock_path();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(RunLogError::io("open", &path)(error)),
        };
        match file.try_lock_shared() {
            // Let go by word: a child that is being started at this instant still has the file open.
            Ok(()) => file.unlock().map(|()| false).map_err(RunLogError::io("unlock", &path)),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(RunLogError::Io { action: "lock", path, source }),
        }
    }

    /// What the worker that holds the lock waits for, as the machine is short of something; `None` if it works.
    #[must_use]
    pub fn waits_for(&self) -> Option<String> {
        let mut text = Vec::new();
        File::open(self.lock_path()).ok()?.take(LOCK_BYTES as u64).read_to_end(&mut text).ok()?;
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// The attempt of that number, whether it exists or not.
    #[must_use]
    pub fn attempt(&self, number: u32) -> Attempt {
        Attempt { number, path: self.path.join(format!("attempt-{number:04}")) }
    }

    /// The attempts there are, in order.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn attempts(&self) -> Result<Vec<u32>, RunLogError> {
        let mut numbers: Vec<u32> = names_in(&self.path)?
            .iter()
            .filter_map(|name| name.strip_prefix("attempt-")?.parse().ok())
            .filter(|number| *number > 0)
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Make the folder of the next attempt: the launcher does, so that output has a place before the worker starts,
    /// and so that a worker that dies before its first word leaves a trace.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn reserve_attempt(&self) -> Result<Attempt, RunLogError> {
        self.make(&self.path)?;
        loop {
            let last = self.attempts()?.last().copied().unwrap_or(0);
            let attempt = self.attempt(last.saturating_add(1));
            match DirBuilder::new().mode(0o700).create(&attempt.path) {
                Ok(()) => return Ok(attempt),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && last < u32::MAX => {}
                Err(error) => return Err(RunLogError::io("create the folder", &attempt.path)(error)),
            }
        }
    }

    /// The attempt of a worker that holds the lock: the newest one if it was reserved and has no log yet, else a new one.
    ///
    /// # Errors
    /// The folder cannot be listed or made.
    pub fn new_attempt(&self) -> Result<Attempt, RunLogError> {
        if let Some(number) = self.attempts()?.last() {
            let attempt = self.attempt(*number);
            if !attempt.events_path().exists() {
                return Ok(attempt);
            }
        }
        self.reserve_attempt()
    }

    /// What the worker of an attempt printed.
    #[must_use]
    pub fn output_log(&self, attempt: u32) -> PathBuf {
        self.attempt(attempt).output_path()
    }

    /// At most the last `limit` bytes that the worker of an attempt printed; empty if it printed nothing.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn output_tail(&self, attempt: u32, limit: u64) -> Result<String, RunLogError> {
        let path = self.output_log(attempt);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            Err(error) => return Err(RunLogError::io("read", &path)(error)),
        };
        let mut read = || -> io::Result<Vec<u8>> {
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
            let mut bytes = Vec::new();
            file.by_ref().take(limit).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        Ok(String::from_utf8_lossy(&read().map_err(RunLogError::io("read", &path))?).into_owned())
    }

    /// Where the corpus of the run lies: in the lab that this folder lies in, wherever that is by now and whatever it was
    /// copied from; for a folder that lies in no lab with that corpus, where its spec says.
    #[must_use]
    pub fn corpus_dir(&self, data: &DataSpec) -> PathBuf {
        let home = self.path.parent().and_then(Path::parent);
        let own = home.map(|home| Home::new(home).corpora_dir().join(&data.fingerprint));
        own.filter(|own| own.is_dir()).unwrap_or_else(|| data.directory.clone())
    }

    /// This run by the working directory of this process, which must be its folder: that goes on meaning this run when
    /// the lab is moved, where a path would mean whatever lies in the old place.
    #[must_use]
    pub fn from_within(&self) -> Self {
        Self { path: PathBuf::new(), id: self.id.clone() }
    }

    /// Where scores made after the run lie.
    #[must_use]
    pub fn evals_dir(&self) -> PathBuf {
        self.path.join("evals")
    }

    /// Where checkpoints lie.
    #[must_use]
    pub fn checkpoints_dir(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The checkpoint of a step, whether it exists or not.
    #[must_use]
    pub fn checkpoint_dir(&self, step: u64) -> PathBuf {
        self.checkpoints_dir().join(format!("step-{step:08}"))
    }

    /// Whether there is a complete checkpoint of a step that nobody has found damaged.
    #[must_use]
    pub fn has_checkpoint(&self, step: u64) -> bool {
        self.checkpoint_dir(step).is_dir()
    }

    /// The step of the checkpoint that was found damaged and set aside, if it was not made again since.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn damaged_checkpoint(&self) -> Result<Option<u64>, RunLogError> {
        let names = names_in(&self.checkpoints_dir())?;
        let step = |name: &String| name.strip_prefix("damaged-step-")?.parse().ok();
        Ok(names.iter().filter_map(step).find(|step| !self.has_checkpoint(*step)))
    }

    /// The folder of another run of the same lab.
    #[must_use]
    pub fn sibling(&self, run: &RunId) -> Self {
        Self { path: self.path.with_file_name(run.as_str()), id: run.clone() }
    }

    /// Steps of the complete checkpoints, in order. They are renamed into place, so what is listed is whole.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn checkpoint_steps(&self) -> Result<Vec<u64>, RunLogError> {
        let mut steps: Vec<u64> = names_in(&self.checkpoints_dir())?
            .iter()
            .filter_map(|name| name.strip_prefix("step-"))
            .filter(|digits| digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .filter_map(|digits| digits.parse().ok())
            .collect();
        steps.sort_unstable();
        Ok(steps)
    }
}
