//! Zero-shot evaluation: task files → documents → prompts → requests → scores, by the conventions of the field's
//! evaluation harness. Promises: what is not supported is refused by name with file and line; the same files and the
//! same log-likelihoods give the same scores. Must not know: models, tokens; it asks a [`Scorer`].

mod dataset;
mod document;
mod documents;
mod error;
mod evaluate;
mod exact;
mod group;
mod asked;
mod instruction;
mod leak;
mod labels;
mod mersenne;
mod metric_list;
mod nesting;
mod overlap;
mod prompt;
mod prompted;
mod python;
mod requests;
mod scorer;
mod scores;
mod settings;
mod source;
mod stemmer;
mod substitution;
mod suite;
mod task_file;
mod world;
mod writing;
mod yaml;

pub use asked::can_be_asked;
pub use dataset::{Dataset, DatasetKind, Paragraphs};
pub use document::ReadText;
pub use error::EvalError;
pub use evaluate::{ItemRow, ItemText, PreparedTask, TaskReport, evaluate};
pub use group::{GroupReport, families, group_reports, in_the_middle, wordings, zero_shot_metrics};
pub use instruction::{Pair, Template, templates};
pub use leak::leak;
pub use scorer::{Answered, ScoreRequest, Scored, Scorer, ScorerError, WriteRequest, Written};
pub use source::{Gathered, fingerprint, gather, read};
pub use suite::Suite;
pub use task_file::{Group, GroupMetric, OutputType, Task};
pub use world::WorldItems;
