//! What planning must know beside a study: the texts and tasks that it names, as they are now. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::core::study::StudySpec;

/// What planning must know of the corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorpusFacts {
    /// What people call it.
    pub name: String,
    /// Fingerprint of texts, split and tokenizer.
    pub fingerprint: String,
    /// Token ids, specials and sentinels included.
    pub vocab_size: usize,
    /// What the vocabulary is known by: equal where the same ids mean the same.
    pub vocabulary: String,
    /// Folder of the shards. Not written down: a path need not be text, and who reads it knows the folder above.
    #[serde(skip)]
    pub directory: PathBuf,
    /// The training text.
    pub train: PartFacts,
    /// The validation text.
    pub validation: PartFacts,
    /// Whether it is prepared.
    pub ready: bool,
    /// What a person should know of the texts and the tokenizer's settings, a sentence each.
    pub notices: Vec<String>,
    /// A sentence about what the tokenizer does not cover; a run says it from the prepared corpus.
    pub uncovered: Option<String>,
}

/// What planning must know of a part of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFacts {
    /// UTF-8 bytes.
    pub bytes: u64,
    /// Documents; each is closed by an end mark.
    pub documents: u64,
    /// Tokens, end marks included; absent while nobody has counted them.
    pub tokens: Option<u64>,
}

/// What planning must know of a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageFacts {
    /// Fingerprint of all that the sources of its tasks say, if it trains on tasks.
    pub tasks: Option<String>,
    /// Its texts, if they are not the study's.
    pub corpus: Option<CorpusFacts>,
}

/// What planning must know beside a study: the texts and tasks that it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudyFacts {
    /// The texts.
    pub corpus: CorpusFacts,
    /// Fingerprint of all that the sources of the zero-shot tasks say, if there are any.
    pub zero_shot: Option<String>,
    /// By the stage's name.
    pub stages: BTreeMap<String, StageFacts>,
    /// What a person should know of the tasks, a sentence each.
    pub notices: Vec<String>,
}

impl StudyFacts {
    /// Says where the folders of the shards lie: below `corpora`.
    pub fn locate(&mut self, corpora: &Path) {
        let stages = self.stages.values_mut().filter_map(|stage| stage.corpus.as_mut());
        for corpus in stages.chain([&mut self.corpus]) {
            corpus.directory = corpora.join(&corpus.fingerprint);
        }
    }

    /// All texts.
    pub fn corpora(&self) -> impl Iterator<Item = &CorpusFacts> {
        std::iter::once(&self.corpus).chain(self.stages.values().filter_map(|stage| stage.corpus.as_ref()))
    }

    /// What a person should know of the texts and tasks, each sentence once.
    #[must_use]
    pub fn all_notices(&self) -> Vec<String> {
        let mut notices: Vec<String> = Vec::new();
        let of_texts = self.corpora().flat_map(|corpus| corpus.notices.iter().chain(&corpus.uncovered));
        for notice in of_texts.chain(&self.notices) {
            if !notices.contains(notice) {
                notices.push(notice.clone());
            }
        }
        notices
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
