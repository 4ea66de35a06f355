//! `trilab corpus`: texts into shards, ahead of the first study that needs them.

use anyhow::Result;
use serde::Serialize;

use super::arguments::CorpusCommand;
use super::lab::{Lab, start_of_paths};
use super::output::{Bar, print, print_json, say};
use crate::config::{ConfigError, paths};
use crate::core::texts::{CorpusSettings, TokenizerSpec};
use crate::core::visible::visible;
use crate::corpus::{Made, Manifest, Prepared, Progress, prepare};

/// What `--json` prints.
#[derive(Serialize)]
struct Output<'a> {
    #[serde(flatten)]
    manifest: &'a Manifest,
    notices: &'a [String],
    /// `prepared`, `whole` or `repaired`.
    state: &'static str,
    /// What was damaged.
    damaged: &'a [String],
}

pub(super) fn run(lab: &Lab, command: CorpusCommand) -> Result<()> {
    let CorpusCommand::Prepare { paths: texts, tokenizer, field, validation, validation_fraction, json } = command;
    let defaults = lab.config.corpus.clone();
    let tokenizer_file = tokenizer.iter().filter(|text| text.ends_with(".json"));
    let here = start_of_paths(texts.iter().chain(&validation).chain(tokenizer_file).map(String::as_str))?;
    let absolute = |written: Vec<String>| written.iter().map(|path| paths::absolute_text(path, &here)).collect();
    let usage = |message: String| ConfigError { place: "--tokenizer".to_owned(), message };
    let settings = CorpusSettings {
        paths: absolute(texts),
        field: field.unwrap_or(defaults.field),
        validation: absolute(validation),
        validation_fraction: validation_fraction.unwrap_or(defaults.validation_fraction),
        tokenizer: match tokenizer.map_or(Ok(defaults.tokenizer), |text| text.parse().map_err(usage))? {
            TokenizerSpec::File(path) => TokenizerSpec::File(paths::absolute(&path, &here)),
            other @ (TokenizerSpec::Bytes | TokenizerSpec::Chars | TokenizerSpec::Bpe(_)) => other,
        },
    };
    let bar = Bar::new("{msg:>10} {wide_bar} {bytes}/{total_bytes} {eta}")?;
    let mut phase = "";
    let prepared = prepare(&settings, &lab.home.corpora_dir(), &mut |progress: Progress| {
        if phase != progress.phase {
            phase = progress.phase;
            bar.name(phase);
        }
        bar.set(progress.done, progress.total);
    });
    bar.clear();
    let Prepared { manifest, notices, made } = prepared?;
    let (state, damaged) = match &made {
        Made::Now => ("prepared", &[][..]),
        Made::Before => ("whole", &[][..]),
        Made::Again(found) => ("repaired", found.as_slice()),
    };
    if json {
        return print_json(&Output { manifest: &manifest, notices: &notices, state, damaged });
    }
    damaged.iter().for_each(|finding| say(&format!("damaged: {finding}")));
    notices.iter().for_each(|notice| say(&format!("note: {notice}")));
    print(&text(lab, &manifest, &made))
}

fn text(lab: &Lab, manifest: &Manifest, made: &Made) -> String {
    let state = match made {
        Made::Now => "is prepared",
        Made::Before => "is whole: all of it was read",
        Made::Again(_) => "was damaged and is repaired",
    };
    let folder = lab.home.corpora_dir().join(&manifest.fingerprint);
    let part = |name, size: &crate::corpus::TextSize, tokens| {
        format!("{name:<12} {} documents, {} bytes, {tokens} tokens\n", size.documents, size.bytes)
    };
    let train = part("train", &manifest.train, manifest.train_tokens);
    let validation = part("validation", &manifest.validation, manifest.validation_tokens);
    let (name, vocabulary) = (visible(&manifest.name), manifest.vocab_size);
    let covered = format!("covered      {} of the text by tokens that tell it\n", manifest.coverage.told());
    format!(
        "corpus       {name}\nvocabulary   {vocabulary}\n{train}{validation}{covered}state        {state}\nfolder       \
         {}\n",
        folder.display()
    )
}
