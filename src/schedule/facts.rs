//! What planning must know beside a study: the texts and tasks that it names, as they are now. Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::core::study::StudySpec;

/// What planning must know of the corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorpusFacts {
    /// What people call it.
    pub name: String,
    /// Fingerprint of texts, split and tokenizer.
    pub fingerprint: String,
    /// Token ids, specials and sentinels included.
    pub vocab_size: usize,
    /// What the vocabulary is known by: equal where the same ids mean the same.
    pub vocabulary: String,
    /// Folder of the shards.
    pub directory: PathBuf,
    /// Tokens of the training text; absent while nobody has counted them.
    pub train_tokens: Option<u64>,
    /// UTF-8 bytes of the training text.
    pub train_bytes: u64,
    /// Whether it is prepared.
    pub ready: bool,
}

/// What planning must know of a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageFacts {
    /// Fingerprint of all that the sources of its tasks say, if it trains on tasks.
    pub tasks: Option<String>,
    /// Its texts, if they are not the study's.
    pub corpus: Option<CorpusFacts>,
}

/// What planning must know beside a study: the texts and tasks that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StudyFacts {
    /// The texts.
    pub corpus: CorpusFacts,
    /// Fingerprint of all that the sources of the zero-shot tasks say, if there are any.
    pub zero_shot: Option<String>,
    /// By the stage's name.
    pub stages: BTreeMap<String, StageFacts>,
}

impl StudyFacts {
    /// All texts.
    pub fn corpora(&self) -> impl Iterator<Item = &CorpusFacts> {
        std::iter::once(&self.corpus).chain(self.stages.values().filter_map(|stage| stage.corpus.as_ref()))
    }

    /// The texts of a stage.
    pub(super) fn corpus_of(&self, stage: &str) -> &CorpusFacts {
        self.stages.get(stage).and_then(|stage| stage.corpus.as_ref()).unwrap_or(&self.corpus)
    }
}

/// All that planning must know.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) study: &'a StudySpec,
    pub(super) known: &'a StudyFacts,
    pub(super) program_version: &'a str,
}
