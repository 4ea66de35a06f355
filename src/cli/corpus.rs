//! `trilab corpus`: texts into shards, ahead of the first study that needs them.

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::arguments::CorpusCommand;
use super::lab::Lab;
use super::output::{print, print_json};
use crate::config::{ConfigError, paths};
use crate::core::texts::{CorpusSettings, TokenizerSpec};
use crate::corpus::{Manifest, Prepared, Progress, prepare};

/// What `--json` prints.
#[derive(Serialize)]
struct Output<'a> {
    #[serde(flatten)]
    manifest: &'a Manifest,
    notices: &'a [String],
}

pub(super) fn run(lab: &Lab, command: CorpusCommand) -> Result<()> {
    let CorpusCommand::Prepare { paths: texts, tokenizer, field, validation, validation_fraction, json } = command;
    let defaults = lab.config.corpus.clone();
    let here = std::env::current_dir().context("could not find the working directory")?;
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
    let bar = ProgressBar::new(0).with_style(style()?);
    let mut phase = "";
    let prepared = prepare(&settings, &lab.home.corpora_dir(), &mut |progress: Progress| {
        if phase != progress.phase {
            phase = progress.phase;
            bar.set_message(phase);
        }
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    });
    bar.finish_and_clear();
    let Prepared { manifest, notices } = prepared?;
    if json {
        return print_json(&Output { manifest: &manifest, notices: &notices });
    }
    notices.iter().for_each(|notice| eprintln!("trilab: note: {notice}"));
    print(&text(lab, &manifest))
}

fn text(lab: &Lab, manifest: &Manifest) -> String {
    let folder = lab.home.corpora_dir().join(&manifest.fingerprint);
    let part = |name, size: &crate::corpus::TextSize, tokens| {
        format!("{name:<12} {} documents, {} bytes, {tokens} tokens\n", size.documents, size.bytes)
    };
    let train = part("train", &manifest.train, manifest.train_tokens);
    let validation = part("validation", &manifest.validation, manifest.validation_tokens);
    let (name, vocabulary) = (&manifest.name, manifest.vocab_size);
    let covered = format!("covered      {} of the text by tokens that tell it\n", manifest.coverage.told());
    format!(
        "corpus       {name}\nvocabulary   {vocabulary}\n{train}{validation}{covered}folder       {}\n",
        folder.display()
    )
}

fn style() -> Result<ProgressStyle> {
    let template = "{msg:>10} {wide_bar} {bytes}/{total_bytes} {eta}";
    ProgressStyle::with_template(template).context("could not draw a progress bar")
}
