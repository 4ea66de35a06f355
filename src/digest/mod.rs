//! Texts, tokenizers and tasks of other people are read by a process of this program that may be lost: `trilab digest DIR`
//! takes one request on its input and says on its output what it reads, how far it is, and the answer.
//! Promises: whatever the files hold, who asks learns the answer or why there is none; the process has limits of memory, time
//! and stack, and ends with who asked. Must not know: who waits for the answer.

mod ask;
mod limits;
mod prepare;
mod process;
mod survey;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::core::study::StudySpec;
use crate::eval::ItemText;
use crate::schedule::StudyFacts;

pub use ask::{Digester, Failure, Told};
pub use process::work;

/// What is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Request {
    /// What are the texts and tasks of this study?
    Survey(Box<StudySpec>),
    /// Prepare the corpus of this study, or of one of its stages, that has the fingerprint.
    Prepare { study: Box<StudySpec>, fingerprint: String },
    /// What does the task of that name ask in these documents?
    Texts { sources: Vec<String>, task: String, documents: Vec<usize> },
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Answer {
    Surveyed(Box<StudyFacts>),
    /// With what was damaged before.
    Prepared(Vec<String>),
    Asked(Vec<Option<ItemText>>),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Unable {
    words: String,
    /// The machine is short of something; nothing is wrong with what was asked for.
    short: bool,
}

impl From<String> for Unable {
    fn from(words: String) -> Self {
        Self { words, short: false }
    }
}

/// A line of a digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Said {
    /// It begins to read a file.
    Reads(String),
    /// It goes on.
    GoesOn,
    /// How far a preparation is: the phase, and 0 to 1.
    At(String, f64),
    /// Last words.
    Ends(Result<Answer, Unable>),
    /// Last words after a defect.
    Panicked(String),
}

/// The answer to `request`, with the corpora below `corpora`. Blocking. An error completes "could not …" if a survey was asked
/// for, and is a sentence otherwise.
fn answer(request: &Request, corpora: &Path, told: &mut dyn FnMut(&str, f64)) -> Result<Answer, Unable> {
    match request {
        Request::Survey(study) => Ok(Answer::Surveyed(Box::new(survey::read_all(study, corpora)?))),
        Request::Prepare { study, fingerprint } => {
            prepare::prepare(study, fingerprint, corpora, told).map(Answer::Prepared)
        }
        Request::Texts { sources, task, documents } => Ok(Answer::Asked(survey::texts(sources, task, documents)?)),
    }
}
