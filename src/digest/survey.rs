//! The texts and tasks of a study as they are now: what planning must know of them, and what cannot be trained or asked.
//! Must not know: which process this is.

use std::collections::BTreeMap;
use std::path::Path;

use crate::core::rows::prompt_lengths;
use crate::core::study::StudySpec;
use crate::core::texts::CorpusSettings;
use crate::core::{Objective, PromptSpec};
use crate::corpus::{Corpus, CorpusError, PartTokens, TextSize, as_long, survey};
use crate::eval::{
    EvalError, ItemText, PreparedTask, Template, can_be_asked, fingerprint, gather, leak, read, templates,
};
use crate::schedule::{CorpusFacts, PartFacts, StageFacts, StudyFacts};

/// Texts and tasks of a study; its corpora are below `corpora`. Blocking. An error completes "could not …".
pub(super) fn read_all(study: &StudySpec, corpora: &Path) -> Result<StudyFacts, String> {
    let texts = |settings: &CorpusSettings| facts(settings, corpora).map_err(|error| error.to_string());
    let asked = |error: EvalError| format!("use the tasks of probes.zero_shot: could not {error}");
    let zero_shot = fingerprint(&study.probes.zero_shot).map_err(asked)?;
    let notices = can_be_asked(&study.probes.zero_shot).map_err(asked)?;
    let mut known = StudyFacts { corpus: texts(&study.corpus)?, zero_shot, stages: BTreeMap::new(), notices };
    for (name, stage) in &study.stages {
        let trained = |error: EvalError| format!("use stages.{name}.tasks: could not {error}");
        let corpus = stage.corpus.as_ref().map(|own| texts(&own.over(&study.corpus))).transpose()?;
        let tasks = fingerprint(&stage.tasks).map_err(trained)?;
        if let Some(fingerprint) = &tasks {
            let prompts = PromptSpec {
                sources: stage.tasks.clone(),
                held_out: stage.held_out.clone(),
                examples: stage.examples(),
                cap: stage.cap(),
                fingerprint: fingerprint.clone(),
            };
            let templates = templates(&prompts).map_err(trained)?;
            for template in &templates {
                known.notices.extend(template.notices.iter().map(|notice| format!("{}: {notice}", template.name)));
            }
            if stage.objective == Some(Objective::Finetuning) && templates.len() > 1 {
                let count = templates.len();
                return Err(format!(
                    "use stages.{name}.tasks: FT trains on one task, and these are {count}; use MTF for a mixture"
                ));
            }
            if let Some(reason) = too_long(study, &known.corpus, &templates).map_err(|error| error.to_string())? {
                return Err(format!("train the stage {name}: {reason}"));
            }
            if let Some(leak) = leak(&templates, &study.probes.zero_shot).map_err(asked)? {
                return Err(format!("train the stage {name}: {leak}"));
            }
        }
        known.stages.insert(name.clone(), StageFacts { tasks, corpus });
    }
    Ok(known)
}

/// What the task called `task` asks in `documents`, each by its place in the split; none where it asks nothing.
pub(super) fn texts(sources: &[String], task: &str, documents: &[usize]) -> Result<Vec<Option<ItemText>>, String> {
    let gathered = gather(sources).map_err(|error| format!("could not {error}"))?;
    let found = gathered.suite.tasks().iter().find(|known| known.name == task);
    let found = found.ok_or_else(|| format!("there is no task {task} in {} any more", sources.join(", ")))?;
    let limit = documents.iter().map(|document| document + 1).max();
    let prepared = PreparedTask::new(found, &read, limit).map_err(|error| format!("could not {error}"))?;
    Ok(documents.iter().map(|document| prepared.text(*document)).collect())
}

/// Why no prompt can be trained on, if its targets are all too long. Nobody knows before the texts are prepared how many tokens a
/// BPE of them gives.
fn too_long(study: &StudySpec, corpus: &CorpusFacts, all: &[Template]) -> Result<Option<String>, CorpusError> {
    let tokenizer = if corpus.ready {
        Some(Corpus::open(&corpus.directory)?.tokenizer().clone())
    } else {
        as_long(&study.corpus.tokenizer)?
    };
    let Some((seq_len, tokenizer)) = study.training.seq_len.iter().max().zip(tokenizer) else { return Ok(None) };
    let most = prompt_lengths(*seq_len).1;
    let pairs = || all.iter().flat_map(|template| &template.pairs);
    for pair in pairs() {
        // The end mark stands behind a target.
        if tokenizer.encode(&pair.targets)?.len() < most {
            return Ok(None);
        }
    }
    Ok(Some(format!(
        "none of its {} prompts has a target of at most {most} tokens, a quarter of seq_len {seq_len}; raise training.seq_len",
        pairs().count()
    )))
}

fn facts(settings: &CorpusSettings, corpora: &Path) -> Result<CorpusFacts, CorpusError> {
    let survey = survey(settings)?;
    let directory = corpora.join(&survey.fingerprint);
    // Once it is prepared, a tokenizer that was trained on the texts is known.
    let prepared = Corpus::open(&directory).ok().filter(|corpus| corpus.byte_counts().is_some());
    let trained = prepared.as_ref().map(|corpus| corpus.tokenizer().identity()).transpose()?;
    let tokens = match &prepared {
        Some(corpus) => {
            let manifest = corpus.manifest();
            Some(PartTokens { train: manifest.train_tokens, validation: manifest.validation_tokens })
        }
        None => survey.tokens,
    };
    let part = |size: TextSize, tokens| PartFacts { bytes: size.bytes, documents: size.documents, tokens };
    let train = part(survey.train, tokens.map(|tokens| tokens.train));
    let validation = part(survey.validation, tokens.map(|tokens| tokens.validation));
    Ok(CorpusFacts {
        name: survey.name,
        fingerprint: survey.fingerprint,
        vocab_size: survey.vocab_size,
        vocabulary: trained.unwrap_or(survey.vocabulary),
        directory,
        train,
        validation,
        ready: prepared.is_some(),
        notices: survey.notices,
        uncovered: survey.uncovered,
    })
}
