//! Corpora that runs wait for: prepared one fingerprint at a time beside the loop, with progress for the screens.
//! Promises: a run whose corpus cannot be prepared fails with the reason and can be retried; a corpus that a run found damaged
//! is prepared again, and the run goes on then; a text that changed since the study was submitted is never trained on under
//! the old name.

use std::collections::BTreeSet;

use super::engine::{Engine, Happened};
use crate::core::study::StudySpec;
use crate::core::texts::CorpusSettings;
use crate::core::{RunId, StudyId};
use crate::corpus::{Corpus, CorpusError, Made, has_manifest, prepare, survey};

/// A corpus that is being prepared, or could not be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Preparation {
    /// What people call it.
    pub(super) corpus: String,
    pub(super) phase: String,
    /// 0 to 1.
    pub(super) fraction: f64,
    /// Why it ended without a corpus.
    pub(super) failed: Option<String>,
}

/// What a preparation says.
pub(super) struct PreparationNews {
    pub(super) fingerprint: String,
    pub(super) news: News,
}

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

pub(super) enum News {
    At {
        phase: &'static str,
        fraction: f64,
    },
    /// With what was damaged before, or why there is no corpus.
    Ended(Result<Vec<String>, String>),
}

impl Engine {
    /// Whether runs can train on it: also on what an earlier version prepared, which does not say what its tokens cover.
    pub(super) fn corpus_is_whole(&self, fingerprint: &str) -> bool {
        Corpus::open(&self.home.corpora_dir().join(fingerprint)).is_ok()
    }

    /// Start every preparation that a waiting run needs and that is neither running nor known to fail.
    pub(super) fn prepare_what_is_missing(&mut self) {
        if self.read_only {
            return;
        }
        let mut missing: Vec<(String, String, Option<StudyId>)> = Vec::new();
        for entry in self.ledger.queue.order() {
            let Some(record) = self.runs.get(&entry.run) else { continue };
            let data = &record.spec.data;
            let known = self.ready.contains(&data.fingerprint) || self.preparations.contains_key(&data.fingerprint);
            if !known && !missing.iter().any(|(print, ..)| print == &data.fingerprint) {
                let study = record.studies.iter().chain([&record.spec.study]).find(|s| self.studies.contains_key(*s));
                missing.push((data.fingerprint.clone(), data.name.clone(), study.cloned()));
            }
        }
        for (fingerprint, name, study) in missing {
            match study.and_then(|study| self.studies.get(&study)).map(|study| study.spec.clone()) {
                Some(study) => self.prepare(fingerprint, name, study),
                None => {
                    let reason = format!(
                        "the corpus {name} is not prepared and no study says how; submit a study with these runs again"
                    );
                    let failed = Preparation { corpus: name, failed: Some(reason), ..Preparation::default() };
                    self.preparations.insert(fingerprint.clone(), failed);
                    self.restate_runs_of(&fingerprint);
                }
            }
        }
    }

    /// Corpora that waiting runs need and whose manifest a run has set aside, because it found them damaged, or that were removed:
    /// they are prepared again.
    pub(super) fn forget_lost_corpora(&mut self) {
        let waiting = self.ledger.queue.order().iter().filter_map(|entry| self.runs.get(&entry.run));
        let needed: BTreeSet<&String> = waiting.map(|record| &record.spec.data.fingerprint).collect();
        let corpora = self.home.corpora_dir();
        let lost = |print: &&String| self.ready.contains(*print) && !has_manifest(&corpora.join(print));
        let lost: Vec<String> = needed.into_iter().filter(lost).cloned().collect();
        for fingerprint in &lost {
            self.ready.remove(fingerprint);
            self.restate_runs_of(fingerprint);
        }
        if !lost.is_empty() {
            self.prepare_what_is_missing();
        }
    }

    fn prepare(&mut self, fingerprint: String, name: String, study: StudySpec) {
        let (folder, news) = (self.home.corpora_dir(), self.news.clone());
        let preparation = Preparation { corpus: name, phase: "waiting".to_owned(), ..Preparation::default() };
        self.preparations.insert(fingerprint.clone(), preparation);
        let print = fingerprint.clone();
        // A thread of its own: nobody waits for it when the server leaves, and half a corpus is never left behind.
        let started = std::thread::Builder::new().name("prepare".to_owned()).spawn(move || {
            let mut told = (String::new(), -1.0);
            let settings = wanted(&study, &print);
            let result = settings.and_then(|settings| {
                prepare(&settings, &folder, &mut |progress| {
                    let fraction = share(progress.done, progress.total);
                    if told.0 != progress.phase || (fraction - told.1).abs() >= 0.01 {
                        told = (progress.phase.to_owned(), fraction);
                        let news_item = News::At { phase: progress.phase, fraction };
                        // Progress is a hint; a busy loop misses some.
                        _ = news.try_send(Happened::Preparation(PreparationNews {
                            fingerprint: print.clone(),
                            news: news_item,
                        }));
                    }
                })
            });
            let result = match result {
                Ok(prepared) if prepared.manifest.fingerprint == print => Ok(match prepared.made {
                    Made::Again(found) => found,
                    Made::Now | Made::Before => Vec::new(),
                }),
                Ok(_) => Err("its text or tokenizer changed since the study was submitted; submit it again under \
                              another name"
                    .to_owned()),
                Err(error) => Err(format!("could not {error}")),
            };
            _ = news.blocking_send(Happened::Preparation(PreparationNews {
                fingerprint: print,
                news: News::Ended(result),
            }));
        });
        if let Err(error) = started
            && let Some(preparation) = self.preparations.get_mut(&fingerprint)
        {
            preparation.failed =
                Some(format!("could not start a thread: {error}; retry when the machine is less busy"));
            self.restate_runs_of(&fingerprint);
        }
        self.changes.lab = true;
    }

    pub(super) fn preparation(&mut self, news: PreparationNews) -> anyhow::Result<()> {
        self.changes.lab = true;
        let Some(preparation) = self.preparations.get_mut(&news.fingerprint) else { return Ok(()) };
        match news.news {
            News::At { phase, fraction } => {
                phase.clone_into(&mut preparation.phase);
                preparation.fraction = fraction;
                return Ok(());
            }
            News::Ended(Ok(damaged)) => {
                let name = preparation.corpus.clone();
                self.preparations.remove(&news.fingerprint);
                if !damaged.is_empty() {
                    self.notice(format!("the corpus {name} was damaged and is repaired: {}", damaged.join("; ")));
                }
                self.ready.insert(news.fingerprint.clone());
            }
            News::Ended(Err(reason)) => {
                let text = format!("the corpus {} was not prepared: {reason}", preparation.corpus);
                preparation.failed = Some(reason);
                self.notice(text);
            }
        }
        self.restate_runs_of(&news.fingerprint);
        self.schedule()
    }

    pub(super) fn restate_runs_of(&mut self, fingerprint: &str) {
        let of = |(run, record): (&RunId, &super::engine::RunRecord)| {
            (record.spec.data.fingerprint == fingerprint).then(|| run.clone())
        };
        let runs: Vec<RunId> = self.runs.iter().filter_map(of).collect();
        for run in runs {
            self.restate(&run);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for the eye")]
fn share(done: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { (done as f64 / total as f64).min(1.0) }
}
