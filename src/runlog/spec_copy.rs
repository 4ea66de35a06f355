//! The spec of a run once more, beside the log of each attempt: what that attempt trained under, and what a damaged `spec.json` is
//! restored from. Must not know: who finds the damage.

use std::path::PathBuf;

use super::error::RunLogError;
use super::folder::{Attempt, RunFolder};
use super::layout::write_atomic;
use crate::core::RunSpec;

fn copy_of(attempt: &Attempt) -> PathBuf {
    attempt.path.join("spec.json")
}

impl RunFolder {
    /// Write the spec that `attempt` trains under beside its log; the worker does.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn copy_spec(&self, attempt: &Attempt, spec: &RunSpec) -> Result<(), RunLogError> {
        write_atomic(&copy_of(attempt), &self.json(spec)?)
    }

    /// Where the copy of an attempt lies, and what is wrong with it, if it is there and damaged.
    #[must_use]
    pub fn damaged_copy(&self, attempt: &Attempt) -> Option<(PathBuf, String)> {
        let path = copy_of(attempt);
        match self.spec_at(path.clone()) {
            Err(RunLogError::Spec { reason, .. }) => Some((path, reason)),
            Ok(_) | Err(_) => None,
        }
    }

    /// Put the newest copy that is whole in the place of a damaged spec, which is kept as `spec.damaged.json`; `None` if there is no
    /// such copy.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn restore_spec(&self) -> Result<Option<RunSpec>, RunLogError> {
        let numbers = self.attempts()?;
        let mut copies = numbers.into_iter().rev().map(|number| self.spec_at(copy_of(&self.attempt(number))));
        let Some(spec) = copies.find_map(Result::ok) else { return Ok(None) };
        self.set_spec_aside()?;
        write_atomic(&self.spec_path(), &self.json(&spec)?)?;
        Ok(Some(spec))
    }
}
