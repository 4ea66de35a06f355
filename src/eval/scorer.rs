//! What an evaluation asks of a model; one of the three inversions of the house, so that scores can be tested with
//! known numbers.

use serde::{Deserialize, Serialize};

/// A text and what may follow it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ScoreRequest {
    /// What is given; may be empty.
    pub context: String,
    /// What is scored.
    pub continuation: String,
}

/// A text that is to be continued.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WriteRequest {
    /// What is given.
    pub context: String,
    /// Texts that end what is written; they are not part of it.
    pub until: Vec<String>,
    /// Tokens that are written at most.
    pub max_tokens: usize,
}

/// How likely a text is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Sum of the log-probabilities of the scored tokens, nats.
    pub log_likelihood: f64,
    /// Whether every scored token is the likeliest at its place.
    pub greedy: bool,
    /// Scored tokens.
    pub tokens: usize,
    /// Tokens of the context that did not fit and were cut off on the left.
    pub cut: usize,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// It.
    pub text: String,
    /// Tokens of the context that did not fit and were cut off on the left.
    pub cut: usize,
}

/// The model or its device failed: nothing has a score.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScorerError(pub String);

/// What came of one request: its answer, or why it cannot have one and the cure.
pub type Answered<T> = Result<T, String>;

/// Something that knows how likely texts are.
pub trait Scorer {
    /// The score of each continuation after its context, in the order of the requests.
    ///
    /// # Errors
    /// The model fails.
    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Answered<Scored>>, ScorerError>;

    /// The score of each whole text, window by window, every token once; in the order of the texts. An empty text has
    /// log-likelihood 0.
    ///
    /// # Errors
    /// The model fails.
    fn score_rolling(&mut self, texts: &[String]) -> Result<Vec<Answered<Scored>>, ScorerError>;

    /// What is written behind each context, the likeliest token every time, as it is written: blanks at its ends belong to it,
    /// but for those that the context ended in. In the order of the requests.
    ///
    /// # Errors
    /// The model fails.
    fn write(&mut self, requests: &[WriteRequest]) -> Result<Vec<Answered<Written>>, ScorerError>;
}
