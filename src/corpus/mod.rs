//! Text → tokens → windows: sources, split, tokenizers, token shards on disk and the seeded order of examples.
//! Promises: the same texts, split and tokenizer have the same fingerprint and the same tokens on every machine; a
//! prepared corpus is complete or absent. Must not know: objectives, models, tensors.

mod bpe;
mod characters;
mod check;
mod coverage;
mod error;
mod foreign;
mod lock;
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

pub use check::{has_manifest, set_aside, verify};
pub use coverage::Coverage;
pub use error::CorpusError;
pub use order::{DataOrder, OrderError, validation_start};
pub use prepare::{Made, Prepared, Progress, prepare};
pub use reader::{Corpus, Manifest};
pub use shard::TokenStream;
pub use source::shipped_names;
pub use survey::{PartTokens, Survey, TextSize, as_long, survey};
pub use tokenizer::Tokenizer;
pub use vocabulary::{Mark, SENTINELS, SENTINELS_BESIDE_MARKS, Vocabulary};

/// Version of shards and tokenizer. Part of the fingerprint, as it was when it was also that of the manifest.
pub const CORPUS_FORMAT: u32 = 1;
