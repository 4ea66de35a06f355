//! A corpus of a study, prepared under the fingerprint that the study was submitted with.
//! Promises: a text that changed since is never trained on under the old name. Must not know: which process this is.

use std::path::Path;

use super::Unable;
use crate::core::Shortage;
use crate::core::study::StudySpec;
use crate::core::texts::CorpusSettings;
use crate::corpus::{CorpusError, Made, survey};

/// The texts of `study` or of one of its stages that have the fingerprint; the study's if none has, for the reason.
fn wanted(study: &StudySpec, fingerprint: &str) -> Result<CorpusSettings, CorpusError> {
    for own in study.stages.values().filter_map(|stage| stage.corpus.as_ref()) {
        let settings = own.over(&study.corpus);
        if survey(&settings)?.fingerprint == fingerprint {
            return Ok(settings);
        }
    }
    Ok(study.corpus.clone())
}

/// Prepares what has the fingerprint. `told` hears of each phase, and of each hundredth of it.
pub(super) fn prepare(
    study: &StudySpec,
    fingerprint: &str,
    corpora: &Path,
    told: &mut dyn FnMut(&str, f64),
) -> Result<Vec<String>, Unable> {
    let mut last = ("", -1.0);
    let prepared = wanted(study, fingerprint).and_then(|settings| {
        crate::corpus::prepare(&settings, corpora, &mut |progress| {
            let fraction = share(progress.done, progress.total);
            if last.0 != progress.phase || (fraction - last.1).abs() >= 0.01 {
                last = (progress.phase, fraction);
                told(progress.phase, fraction);
            }
        })
    });
    match prepared {
        Ok(prepared) if prepared.manifest.fingerprint == fingerprint => Ok(match prepared.made {
            Made::Again(damaged) => damaged,
            Made::Now | Made::Before => Vec::new(),
        }),
        Ok(_) => Err("its text or tokenizer changed since the study was submitted; submit it again under another name"
            .to_owned()
            .into()),
        Err(error) => {
            let words = format!("could not {error}");
            Err(match Shortage::behind(&error) {
                Some(short) => Unable { words: short.sentence(&error.to_string()), short: true },
                None => words.into(),
            })
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for the eye")]
fn share(done: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { (done as f64 / total as f64).min(1.0) }
}
