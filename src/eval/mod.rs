//! Zero-shot evaluation: task files → documents → prompts → requests → scores, by the conventions of the field's
//! evaluation harness. Promises: what is not supported is refused by name with file and line; the same files and the
//! same log-likelihoods give the same scores. Must not know: models, tokens; it asks a [`Scorer`].

mod documents;
mod error;
mod evaluate;
mod group;
mod mersenne;
mod prompt;
mod python;
mod requests;
mod scorer;
mod scores;
mod settings;
mod suite;
mod task_file;
mod world;
mod yaml;

pub use documents::ReadText;
pub use error::EvalError;
pub use evaluate::{ItemRow, TaskReport, evaluate};
pub use group::{FamilyReport, GroupReport, families, group_reports};
pub use scorer::{ScoreRequest, Scored, Scorer, ScorerError};
pub use suite::Suite;
pub use task_file::{Dataset, DatasetKind, Group, GroupMetric, OutputType, Paragraphs, Task};
pub use world::WorldItems;
