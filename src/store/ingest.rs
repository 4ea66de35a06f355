//! From logs into the index. Reading files and applying lines are apart, so that slow files never hold the store.
//! Promises: events and the new offset are applied in one batch; lines that were applied already change nothing.

use std::io;

use crate::core::rank::RankAtStep;
use crate::core::summary::Sample;
use crate::core::task::TaskRecord;
use crate::core::{Metrics, RunEvent, RunId, StampedEvent};
use crate::runlog::evals::{EvalRow, eval_numbers, eval_path, read_evals};
use crate::runlog::{Home, RunFolder, RunLogError, Witness, read_from};

use super::error::StoreError;
use super::facts::{AttemptFacts, LogFacts, fold};
use super::open::Store;
use super::tables::{self, Kind, Row};

/// Lines of one attempt that the index does not have yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewLines {
    /// Of which attempt.
    pub attempt: u32,
    /// Where they begin.
    pub offset_before: u64,
    /// What they say.
    pub events: Vec<StampedEvent>,
    /// Where they end.
    pub offset_after: u64,
    /// Damaged lines among them, in words.
    pub notices: Vec<String>,
    /// Lines that were written and are damaged or gone.
    pub lost: u64,
    /// Number of the line that comes next, where lines are numbered.
    pub next_line: Option<u64>,
    /// Why nothing more of this log can be read, if so.
    pub unreadable: Option<String>,
}

/// What became of some lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingested {
    /// They are in the index now.
    Applied,
    /// Nothing was done, because the index has read up to another place.
    Elsewhere {
        /// Up to here.
        offset: u64,
    },
}

/// What a look at a run's logs brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Synced {
    /// New events that were applied, in order.
    pub events: Vec<StampedEvent>,
    /// Whether scores of later evaluations were among them.
    pub scored: bool,
    /// Damaged lines, in words.
    pub notices: Vec<String>,
}

impl Synced {
    pub(super) fn add(&mut self, lines: NewLines) {
        self.events.extend(lines.events);
        self.notices.extend(lines.notices);
    }
}

/// Events after which rebuilding flushes: what is not on disk cannot leave memory.
pub(super) const EVENTS_PER_FLUSH: usize = 100_000;

/// The next unread lines of a run, some megabytes at most, given what the index knows of it; `None` if there are none.
/// An attempt is read to its end before the next one begins; a log that cannot be read is told once and left behind.
///
/// # Errors
/// The system refuses to read a log, and no later one brings anything.
pub fn next_lines(run: &RunFolder, facts: Option<&LogFacts>) -> Result<Option<NewLines>, RunLogError> {
    let newest = facts.map_or(0, |facts| facts.attempt);
    let mut refused = None;
    for attempt in run.attempts()?.into_iter().filter(|attempt| *attempt >= newest) {
        let known = facts.and_then(|facts| facts.of_attempt(attempt));
        match next_of_attempt(run, attempt, known) {
            Ok(Some(lines)) => return Ok(Some(lines)),
            Ok(None) => {}
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    refused.map_or(Ok(None), Err)
}

/// The next unread lines of one attempt, given what the index knows of it.
fn next_of_attempt(
    run: &RunFolder,
    attempt: u32,
    known: Option<&AttemptFacts>,
) -> Result<Option<NewLines>, RunLogError> {
    let path = run.attempt(attempt).events_path();
    let offset = known.map_or(0, |known| known.offset);
    let nothing = NewLines { attempt, offset_before: offset, offset_after: offset, ..NewLines::default() };
    // Before the log: a worker writes it behind the last line, so that line is in the log if the log is whole.
    let ended = known.is_some_and(|known| known.ending.is_some());
    let witness = if ended { None } else { Witness::of(&path) };
    let mut unreadable = None;
    if known.is_none_or(|known| known.unreadable.is_none()) {
        match read_from(&path, offset) {
            Ok(chunk) => match &chunk.header {
                Some(header) if (&header.run, header.attempt) != (run.id(), attempt) => {
                    let (run, attempt) = (&header.run, header.attempt);
                    unreadable =
                        Some(format!("read {}: it is the log of attempt {attempt} of run {run}", path.display()));
                }
                Some(_) | None if chunk.next_offset > offset => {
                    return Ok(Some(NewLines {
                        offset_after: chunk.next_offset,
                        events: chunk.events,
                        notices: chunk.notices,
                        lost: chunk.lost,
                        next_line: chunk.next_line,
                        ..nothing
                    }));
                }
                Some(_) | None => {}
            },
            Err(RunLogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error @ RunLogError::Io { .. }) if witness.is_none() || error.shortage().is_some() => {
                return Err(error);
            }
            Err(error) => unreadable = Some(error.to_string()),
        }
    }
    let Some(witness) = witness else {
        let told = |reason: String| {
            let notices = vec![format!("could not {reason}")];
            NewLines { notices, unreadable: Some(reason), ..nothing }
        };
        return Ok(unreadable.map(told));
    };
    // The log has lost its end, but not what the end was.
    let read = known.and_then(|known| known.lines).unwrap_or(0);
    let lost = witness.lines.saturating_sub(read);
    let notice = format!("{lost} of the last lines of {} are gone; how the attempt ended is known", path.display());
    let reason = unreadable.unwrap_or_else(|| "its last lines are gone".to_owned());
    Ok(Some(NewLines {
        events: vec![witness.ending],
        notices: vec![notice],
        lost,
        unreadable: Some(reason),
        ..nothing
    }))
}

/// Scores of a later evaluation that the index does not have yet.
#[derive(Clone, Debug, PartialEq)]
pub struct NewScores {
    /// Number of the file.
    pub number: u32,
    /// Where its unread lines begin.
    pub offset_before: u64,
    /// The scores among them.
    pub records: Vec<TaskRecord>,
    /// Where they end.
    pub offset_after: u64,
    /// Damaged lines, in words.
    pub notices: Vec<String>,
    /// Lines that were written and are damaged or gone.
    pub lost: u64,
}

/// The next unread lines of a run's later evaluations; `None` if there are none. A worker's file has answers only: its
/// scores are in its log.
///
/// # Errors
/// A file cannot be read.
pub fn next_scores(run: &RunFolder, facts: Option<&LogFacts>) -> Result<Option<NewScores>, RunLogError> {
    for number in eval_numbers(run)? {
        let offset_before = facts.and_then(|facts| facts.evals.get(&number).copied()).unwrap_or(0);
        let is_score = |line: &[u8]| line.starts_with(br#"{"row":"task""#);
        let chunk = read_evals(&eval_path(run, number), offset_before, &is_score)?;
        if chunk.next_offset > offset_before {
            let record = |row| match row {
                EvalRow::Task(StampedEvent { event: RunEvent::TaskScored(record), .. }) => {
                    Some(TaskRecord { later: true, ..record })
                }
                EvalRow::Task(_) | EvalRow::Item { .. } | EvalRow::Group { .. } | EvalRow::Family { .. } => None,
            };
            let records = chunk.rows.into_iter().filter_map(record).collect();
            let (offset_after, notices, lost) = (chunk.next_offset, chunk.notices, chunk.lost);
            return Ok(Some(NewScores { number, offset_before, records, offset_after, notices, lost }));
        }
    }
    Ok(None)
}

/// Read whatever is new in a run's logs into the index.
///
/// # Errors
/// A log cannot be read or the index cannot be written.
pub fn sync(store: &Store, run: &RunFolder) -> Result<Synced, StoreError> {
    let mut synced = Synced::default();
    while let Some(lines) = next_lines(run, store.facts(run.id())?.as_ref())? {
        if store.ingest(run.id(), &lines)? == Ingested::Applied {
            synced.add(lines);
        }
    }
    while let Some(scores) = next_scores(run, store.facts(run.id())?.as_ref())? {
        store.ingest_scores(run.id(), &scores)?;
        synced.notices.extend(scores.notices);
        synced.scored = true;
    }
    Ok(synced)
}

/// Forget the index and read every log of the lab again. A log that cannot be read is a notice; the others go on.
///
/// # Errors
/// The runs cannot be listed or the index cannot be written.
pub fn reindex(store: &mut Store, home: &Home) -> Result<Vec<String>, StoreError> {
    store.reset()?;
    let (mut notices, mut unflushed) = (Vec::new(), 0);
    for run in home.list_runs()? {
        match sync(store, &home.run(&run)) {
            Ok(synced) => {
                unflushed += synced.events.len();
                notices.extend(synced.notices);
            }
            Err(StoreError::Files(error)) => notices.push(format!("could not {error}")),
            Err(error) => return Err(error),
        }
        if unflushed > EVENTS_PER_FLUSH {
            store.flush()?;
            unflushed = 0;
        }
    }
    store.flush()?;
    Ok(notices)
}

impl Store {
    /// Apply lines and their offset in one batch, if the index has read exactly up to where they begin.
    ///
    /// # Errors
    /// The index cannot be read or written.
    pub fn ingest(&self, run: &RunId, lines: &NewLines) -> Result<Ingested, StoreError> {
        let mut facts = self.facts(run)?.unwrap_or_default();
        let offset = facts.offset(lines.attempt);
        if offset != lines.offset_before {
            return Ok(Ingested::Elsewhere { offset });
        }
        let mut batch = sled::Batch::default();
        for event in &lines.events {
            fold(&mut facts, lines.attempt, event);
            let place = facts.entry(lines.attempt).events;
            for (key, value) in rows(run, &facts, lines.attempt, place, event)? {
                batch.insert(key, value);
            }
        }
        let attempt = facts.entry(lines.attempt);
        attempt.offset = lines.offset_after;
        attempt.lost += lines.lost;
        attempt.lines = lines.next_line.or(attempt.lines);
        attempt.unreadable = lines.unreadable.clone().or(attempt.unreadable.take());
        batch.insert(tables::prefix(Kind::Facts, run), json(&facts)?);
        self.records()?.apply_batch(batch)?;
        Ok(Ingested::Applied)
    }
}

impl Store {
    /// Apply scores and their offset in one batch, if the index has read exactly up to where they begin.
    ///
    /// # Errors
    /// The index cannot be read or written.
    pub fn ingest_scores(&self, run: &RunId, scores: &NewScores) -> Result<Ingested, StoreError> {
        let mut facts = self.facts(run)?.unwrap_or_default();
        let offset = facts.evals.get(&scores.number).copied().unwrap_or(0);
        if offset != scores.offset_before {
            return Ok(Ingested::Elsewhere { offset });
        }
        let mut batch = sled::Batch::default();
        for record in &scores.records {
            let key = tables::score_key(run, record);
            // A glance at a few items does not replace what all of them gave.
            let known = self.records()?.get(&key)?.and_then(|value| serde_json::from_slice::<TaskRecord>(&value).ok());
            if known.is_none_or(|known| known.items <= record.items) {
                batch.insert(key, json(record)?);
            }
        }
        facts.evals.insert(scores.number, scores.offset_after);
        facts.lost_scores += scores.lost;
        batch.insert(tables::prefix(Kind::Facts, run), json(&facts)?);
        self.records()?.apply_batch(batch)?;
        Ok(Ingested::Applied)
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Row(error.to_string()))
}

/// The value of a point that was not measured by a training step.
fn between_steps(facts: &LogFacts, step: u64, metrics: &Metrics) -> Vec<u8> {
    tables::encode_point(step.saturating_mul(facts.step_tokens), facts.elapsed_s, metrics)
}

/// The rows of an event beside the facts. `facts` are those after the event.
fn rows(run: &RunId, facts: &LogFacts, attempt: u32, place: u64, event: &StampedEvent) -> Result<Vec<Row>, StoreError> {
    let row = match &event.event {
        RunEvent::StepLogged { step, tokens, elapsed_s, metrics } => {
            (tables::point_key(Kind::Training, run, *step), tables::encode_point(*tokens, *elapsed_s, metrics))
        }
        RunEvent::Validated { step, metrics, .. } => {
            (tables::point_key(Kind::Validation, run, *step), between_steps(facts, *step, metrics))
        }
        RunEvent::RankMeasured { step, report, metrics, seconds } => {
            let report = RankAtStep { step: *step, seconds: *seconds, report: report.clone() };
            let point = (tables::point_key(Kind::Probe, run, *step), between_steps(facts, *step, metrics));
            return Ok(vec![(tables::point_key(Kind::Rank, run, *step), json(&report)?), point]);
        }
        RunEvent::TaskScored(record) => (tables::score_key(run, record), json(record)?),
        RunEvent::ZeroShotMeasured { step, metrics, .. } => {
            (tables::point_key(Kind::ZeroShot, run, *step), between_steps(facts, *step, metrics))
        }
        RunEvent::InferenceMeasured { step, metrics, .. } => {
            (tables::point_key(Kind::Inference, run, *step), between_steps(facts, *step, metrics))
        }
        RunEvent::SampleGenerated { step, prompt, text } => {
            let sample = Sample { step: *step, prompt: prompt.clone(), text: text.clone() };
            (tables::sample_key(run, *step, prompt), json(&sample)?)
        }
        RunEvent::Heartbeat { .. } => return Ok(Vec::new()),
        RunEvent::Started { .. }
        | RunEvent::Resumed { .. }
        | RunEvent::CheckpointSaved { .. }
        | RunEvent::Paused { .. }
        | RunEvent::Diverged { .. }
        | RunEvent::Warned { .. }
        | RunEvent::Stopped { .. }
        | RunEvent::Finished { .. }
        | RunEvent::Failed { .. } => (tables::event_key(run, attempt, place), json(event)?),
    };
    Ok(vec![row])
}
