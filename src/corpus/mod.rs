//! Text → tokens → windows: sources, split, tokenizers, token shards on disk and the seeded order of examples.
//! Promises: the same texts, split and tokenizer have the same fingerprint and the same tokens on every machine; a
//! prepared corpus is complete or absent. Must not know: objectives, models, tensors.

mod bpe;
mod characters;
mod coverage;
mod error;
mod foreign;
mod order;
mod piece;
mod prepare;
mod reader;
mod remarks;
mod sample;
mod shard;
mod source;
mod split;
mod subword;
mod survey;
mod tokenizer;
mod training;
mod vocabulary;
pub mod world;

pub use coverage::Coverage;
pub use error::CorpusError;
pub use order::{DataOrder, OrderError, validation_start};
pub use prepare::{Prepared, Progress, prepare};
pub use reader::{Corpus, Manifest};
pub use shard::TokenStream;
pub use source::shipped_names;
pub use survey::{PartTokens, Survey, TextSize, as_long, survey};
pub use tokenizer::Tokenizer;
pub use vocabulary::{Mark, SENTINELS, SENTINELS_BESIDE_MARKS, Vocabulary};

/// Version of the corpus folder: shards, tokenizer and manifest. Part of the fingerprint.
pub const CORPUS_FORMAT: u32 = 1;
