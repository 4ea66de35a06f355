//! Corpora that runs wait for: prepared in processes of their own beside the loop, with progress for the screens.
//! Promises: a run whose corpus cannot be prepared fails with the reason and can be retried; texts that a process was lost over
//! are not read again before somebody asks, by no later server either; a corpus that a run found damaged is prepared again, and
//! the run goes on then.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use super::engine::{Engine, Happened};
use crate::core::study::StudySpec;
use crate::core::{RunId, StudyId};
use crate::corpus::{Corpus, has_manifest};
use crate::digest::Failure;
use crate::runlog::layout::write_atomic;

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

pub(super) enum News {
    At {
        phase: String,
        fraction: f64,
    },
    /// With what was damaged before, or why there is no corpus.
    Ended(Result<Vec<String>, String>),
    /// The machine was short of something.
    Short(String),
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
        let waiting = self.ledger.queue.order().filter_map(|entry| self.runs.get(&entry.run));
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
        let (digester, news, mark) = (self.digester(), self.news.clone(), self.failed_mark(&fingerprint));
        let preparation = Preparation { corpus: name, phase: "waiting".to_owned(), ..Preparation::default() };
        self.preparations.insert(fingerprint.clone(), preparation);
        // Whatever made it fail before, somebody wants it tried again.
        _ = fs::remove_file(&mark);
        let (print, progress) = (fingerprint.clone(), news.clone());
        let told = move |phase: &str, fraction| {
            let at = News::At { phase: phase.to_owned(), fraction };
            // Progress is a hint; a busy loop misses some.
            _ = progress.try_send(Happened::Preparation(PreparationNews { fingerprint: print.clone(), news: at }));
        };
        self.digests.spawn(async move {
            let ended = match digester.prepare(study, fingerprint.clone(), Box::new(told)).await {
                Ok(damaged) => News::Ended(Ok(damaged)),
                Err(Failure::Refused(reason)) => News::Ended(Err(reason)),
                Err(Failure::Short(reason)) => News::Short(reason),
                Err(Failure::Lost(reason)) => {
                    let reason = format!("could not read its texts: {reason}; leave that out or mend it, then retry");
                    // Whoever serves this lab next would lose a process too. Unwritten, that is all that happens.
                    _ = tokio::task::spawn_blocking({
                        let reason = reason.clone();
                        move || write_atomic(&mark, reason.as_bytes())
                    })
                    .await;
                    News::Ended(Err(reason))
                }
            };
            let news_item = PreparationNews { fingerprint, news: ended };
            _ = news.send(Happened::Preparation(news_item)).await;
        });
        self.changes.lab = true;
    }

    /// Where it is kept that the process that prepared a corpus was lost, and why.
    fn failed_mark(&self, fingerprint: &str) -> PathBuf {
        self.home.corpora_dir().join(format!(".failed-{fingerprint}"))
    }

    /// Preparations of an earlier server whose processes were lost: they are not tried again until somebody asks.
    pub(super) fn recall_failed_preparations(&mut self) {
        let wanted: BTreeMap<String, String> = self
            .runs
            .values()
            .map(|record| &record.spec.data)
            .filter(|data| !self.ready.contains(&data.fingerprint))
            .map(|data| (data.fingerprint.clone(), data.name.clone()))
            .collect();
        for (fingerprint, corpus) in wanted {
            if let Ok(reason) = fs::read_to_string(self.failed_mark(&fingerprint)) {
                let failed = Preparation { corpus, failed: Some(reason), ..Preparation::default() };
                self.preparations.insert(fingerprint, failed);
            }
        }
    }

    pub(super) fn preparation(&mut self, news: PreparationNews) {
        self.changes.lab = true;
        let Some(preparation) = self.preparations.get_mut(&news.fingerprint) else { return };
        match news.news {
            News::At { phase, fraction } => {
                preparation.phase = phase;
                preparation.fraction = fraction;
                return;
            }
            News::Ended(Ok(damaged)) => {
                let name = preparation.corpus.clone();
                self.preparations.remove(&news.fingerprint);
                if !damaged.is_empty() {
                    self.notice(format!("the corpus {name} was damaged and is repaired: {}", damaged.join("; ")));
                }
                self.ready.insert(news.fingerprint.clone());
            }
            News::Short(reason) => {
                // Begun again when the machine has room.
                self.preparations.remove(&news.fingerprint);
                self.give_up_for_now(reason);
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
