//! What clients are kept informed about: changes are gathered for a moment, each touched topic is computed once for
//! all who show it, and told only to those whose last value differs.
//! Promises: nothing changed, nothing sent; a lab too large for ten values a second sends fewer of them.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::engine::{Engine, Happened};
use super::requests::read::{RANK_REPORTS, RunQuestion};
use super::session::{Encoded, SessionId, Shown};
use super::summary::BoardQuestion;
use crate::core::summary::LabSummary;
use crate::core::{Metric, RunId};
use crate::store::{StoreError, StoreHandle};
use crate::wire::{ServerFrame, Topic, Update, encode};

/// How long changes are gathered.
const GATHER: Duration = Duration::from_millis(100);

/// The longest pause between two values of a busy lab.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Telling may take this share of one core: one part in so many.
const SHARE: u32 = 50;

/// What has changed since the last telling.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) lab: bool,
    runs: BTreeSet<RunId>,
    /// A client shows something new and has seen nothing of it yet.
    pub(super) screens: bool,
}

impl Changes {
    /// Something about a run.
    pub(super) fn run(&mut self, run: RunId) {
        self.runs.insert(run);
    }

    fn touch(&self, topic: &Topic) -> bool {
        match topic {
            Topic::Lab => self.lab || !self.runs.is_empty(),
            Topic::Leaderboard { .. } => !self.runs.is_empty(),
            Topic::Curves { runs, .. } => runs.iter().any(|run| self.runs.contains(run)),
            Topic::Run { run } | Topic::Rank { run } => self.runs.contains(run),
        }
    }

    fn is_empty(&self) -> bool {
        !self.lab && !self.screens && self.runs.is_empty()
    }
}

/// When the next telling may begin.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    running: bool,
    not_before: Option<Instant>,
}

impl Publishing {
    /// When to publish; `None` while nothing changed or the last values are still being made.
    pub(super) fn due(&mut self, changes: &Changes) -> Option<Instant> {
        if self.running || changes.is_empty() {
            return None;
        }
        if changes.screens {
            return Some(Instant::now());
        }
        Some(*self.not_before.get_or_insert_with(|| Instant::now() + GATHER))
    }

    /// The values that are being made will never be there.
    pub(super) const fn give_up(&mut self) {
        self.running = false;
    }
}

/// A topic with all that is needed to compute it beside the loop.
enum Draft {
    Ready(Update),
    Curves(Vec<RunId>, Metric, usize),
    Board(BoardQuestion),
    Run(Box<RunQuestion>),
    Rank(RunId),
}

/// Who shows a topic: client, and place among its topics.
type Viewer = (SessionId, usize);

/// A computed topic.
pub(super) struct Value {
    topic: Topic,
    viewers: Vec<Viewer>,
    fingerprint: u64,
    bytes: Encoded,
}

/// Computed topics.
pub(super) struct Published {
    values: Vec<Value>,
    cost: Duration,
}

impl Engine {
    /// A client's screen has changed.
    pub(super) fn subscribe(&mut self, session: SessionId, topics: Vec<Topic>) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.outbox.forget_updates();
            session.topics = topics.into_iter().map(|topic| Shown { topic, told: None, stale: true }).collect();
            self.changes.screens = true;
        }
    }

    /// Compute what is shown and stale, beside the loop.
    pub(super) fn publish(&mut self) {
        let changes = std::mem::take(&mut self.changes);
        self.publishing.not_before = None;
        let mut wanted: Vec<(Topic, Vec<Viewer>)> = Vec::new();
        for (id, session) in &mut self.sessions {
            for (place, shown) in session.topics.iter_mut().enumerate() {
                if !std::mem::take(&mut shown.stale) && !changes.touch(&shown.topic) {
                    continue;
                }
                match wanted.iter_mut().find(|(topic, _)| topic == &shown.topic) {
                    Some((_, viewers)) => viewers.push((*id, place)),
                    None => wanted.push((shown.topic.clone(), vec![(*id, place)])),
                }
            }
        }
        let drafts: Vec<_> = wanted
            .into_iter()
            .filter_map(|(topic, viewers)| self.draft(&topic).map(|draft| (topic, viewers, draft)))
            .collect();
        if drafts.is_empty() {
            return;
        }
        self.publishing.running = true;
        let (store, news) = (self.store.clone(), self.news.clone());
        tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let values =
                drafts.into_iter().map(|(topic, viewers, draft)| value(&store, topic, viewers, draft)).collect();
            _ = news.blocking_send(match values {
                Ok(values) => Happened::Published(Published { values, cost: begun.elapsed() }),
                Err(error) => Happened::StoreLost(error),
            });
        });
    }

    /// `None` if there is nothing to show, as for a run that does not exist.
    fn draft(&self, topic: &Topic) -> Option<Draft> {
        match topic {
            Topic::Lab => Some(Draft::Ready(Update::Lab(Box::new(self.lab())))),
            Topic::Leaderboard { study, budget } => Some(Draft::Board(self.board_question(study.as_ref(), *budget))),
            Topic::Curves { runs, metric, width } => Some(Draft::Curves(runs.clone(), *metric, *width)),
            Topic::Run { run } => self.run_question(run).map(|question| Draft::Run(Box::new(question))),
            Topic::Rank { run } => self.runs.contains_key(run).then(|| Draft::Rank(run.clone())),
        }
    }

    /// Hand the values to the clients that still show them and were told something else.
    pub(super) fn published(&mut self, published: Published) {
        self.publishing.running = false;
        self.publishing.not_before = Some(Instant::now() + (published.cost * SHARE).clamp(GATHER, LONGEST_PAUSE));
        for value in published.values {
            for (session, place) in value.viewers {
                let Some(session) = self.sessions.get_mut(&session) else { continue };
                let Some(shown) = session.topics.get_mut(place) else { continue };
                if shown.topic == value.topic && shown.told != Some(value.fingerprint) {
                    shown.told = Some(value.fingerprint);
                    session.outbox.update(place, Arc::clone(&value.bytes));
                }
            }
        }
    }
}

fn value(store: &StoreHandle, topic: Topic, viewers: Vec<Viewer>, draft: Draft) -> Result<Value, StoreError> {
    let mut update = match draft {
        Draft::Ready(update) => update,
        Draft::Curves(runs, metric, width) => Update::Curves(
            store
                .call("curves", move |store| runs.iter().map(|run| store.curve(run, metric, Some(width))).collect())?,
        ),
        Draft::Board(question) => Update::Leaderboard(question.answer(store)?),
        Draft::Run(question) => Update::Run(Box::new(question.answer(store)?)),
        Draft::Rank(run) => Update::Rank(store.call("rank", move |store| store.ranks(&run, RANK_REPORTS))?),
    };
    let unfit = |error: &dyn std::fmt::Display| StoreError::Row(format!("a value cannot be sent: {error}"));
    let fingerprint = fingerprint(&mut update).map_err(|error| unfit(&error))?;
    let bytes = encode(&ServerFrame::Update(update)).map_err(|error| unfit(&error))?;
    Ok(Value { topic, viewers, fingerprint, bytes: Arc::new(bytes) })
}

/// What tells one value from the next. The clock of the Lab does not count, or an idle lab would tick.
fn fingerprint(update: &mut Update) -> serde_json::Result<u64> {
    let clock = |lab: &mut LabSummary, now_ms| std::mem::replace(&mut lab.now_ms, now_ms);
    let now_ms = if let Update::Lab(lab) = update { clock(lab, 0) } else { 0 };
    let mut hash = Hash(DefaultHasher::new());
    serde_json::to_writer(&mut hash, update)?;
    if let Update::Lab(lab) = update {
        clock(lab, now_ms);
    }
    Ok(hash.0.finish())
}

struct Hash(DefaultHasher);

impl io::Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::board::EqualBudget;

    #[test]
    fn time_alone_is_no_news() {
        let lab = |now_ms, queue_paused| {
            let mut update = Update::Lab(Box::new(LabSummary { now_ms, queue_paused, ..LabSummary::default() }));
            let print = fingerprint(&mut update).unwrap();
            match update {
                Update::Lab(lab) => assert_eq!(lab.now_ms, now_ms, "the value itself keeps its time"),
                other => panic!("{other:?}"),
            }
            print
        };
        assert_eq!(lab(1, false), lab(2, false));
        assert_ne!(lab(1, false), lab(1, true));
    }

    #[test]
    fn a_change_touches_only_what_shows_it() {
        let run = |n: u8| format!("{n:012x}").parse::<RunId>().unwrap();
        let mut changes = Changes::default();
        assert!(changes.is_empty());
        changes.run(run(1));
        let curves = |n| Topic::Curves { runs: vec![run(n)], metric: Metric::Loss, width: 10 };
        assert!(changes.touch(&Topic::Lab) && changes.touch(&curves(1)) && changes.touch(&Topic::Run { run: run(1) }));
        assert!(!changes.touch(&curves(2)) && !changes.touch(&Topic::Run { run: run(2) }));
        let rank = |n| Topic::Rank { run: run(n) };
        assert!(changes.touch(&rank(1)) && !changes.touch(&rank(2)));
        let lab_only = Changes { lab: true, ..Changes::default() };
        assert!(
            lab_only.touch(&Topic::Lab)
                && !lab_only.touch(&Topic::Leaderboard { study: None, budget: EqualBudget::AsTrained })
        );
    }
}
