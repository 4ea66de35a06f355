//! Names of runs and studies. A run's id is a hash of what changes its result, so the same cell is never trained twice.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Characters of a run id: 12 hexadecimal digits, 48 bits of a BLAKE3 hash.
pub const RUN_ID_LENGTH: usize = 12;

/// The content address of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// The name of a study: a slug that is also its folder name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StudyId(String);

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A run id is 12 lower-case hexadecimal digits.
    #[error("run id `{0}` is not {RUN_ID_LENGTH} hexadecimal digits; `trilab run list` shows the ids")]
    Run(String),
    /// A study name is a slug.
    #[error(
        "study name `{0}` may hold only a-z, 0-9, `-`, `_` and `.`, must start with a letter or digit, and have 64 characters at most"
    )]
    Study(String),
}

impl RunId {
    /// The id of the content that was fed to `hasher`.
    #[must_use]
    pub fn from_hash(hash: &blake3::Hash) -> Self {
        Self(hash.to_hex().as_str().chars().take(RUN_ID_LENGTH).collect())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl StudyId {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let valid =
            text.len() == RUN_ID_LENGTH && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if valid { Ok(Self(text.to_owned())) } else { Err(IdError::Run(text.to_owned())) }
    }
}

impl FromStr for StudyId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
        let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if starts_well && text.len() <= 64 && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::Study(text.to_owned()))
        }
    }
}

impl TryFrom<String> for RunId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl TryFrom<String> for StudyId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl From<StudyId> for String {
    fn from(id: StudyId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for StudyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
