//! Requests that only ask. What needs the store or files is answered by a task beside the loop, straight to the client.

use super::super::engine::{Engine, Happened};
use super::super::session::Outbox;
use super::super::submit::Asker;
use super::queue::unknown;
use crate::core::board::EqualBudget;
use crate::core::summary::{Answer, RunDetail, RunSummary, TaskAnswers};
use crate::core::task::ScoringForm;
use crate::core::{Metric, RunId, RunSpec, StudyId};
use crate::digest::{Digester, Failure};
use crate::eval::ItemRow;
use crate::runlog::evals::newest_answers;
use crate::runlog::{RunFolder, RunLogError, Witness, read_from};
use crate::store::{StoreError, StoreHandle};
use crate::wire::Reply;

/// Bytes of a worker's output in a run's detail.
const OUTPUT_TAIL: u64 = 8 << 10;

/// Samples in a run's detail.
const SAMPLES: usize = 20;

/// Events in a run's detail.
const EVENTS: usize = 200;

/// Rank reports of a history: as many as a curve on a screen has use for.
pub(in crate::server) const RANK_REPORTS: usize = 64;

/// All about a run, but for what the store and its folder must add.
pub(in crate::server) struct RunQuestion {
    summary: RunSummary,
    spec: RunSpec,
    folder: RunFolder,
}

impl RunQuestion {
    /// Ask store and folder. Blocking.
    pub(in crate::server) fn answer(self, store: &StoreHandle) -> Result<RunDetail, StoreError> {
        let run = self.spec.id.clone();
        let (samples, events, tasks) = store.call("run", move |store| {
            Ok((store.samples(&run, SAMPLES)?, store.events(&run, EVENTS)?, store.newest_scores(&run)?))
        })?;
        let output_tail = self
            .folder
            .output_tail(self.summary.attempt, OUTPUT_TAIL)
            .unwrap_or_else(|error| format!("(could not {error})"));
        let directory = self.folder.path().display().to_string();
        Ok(RunDetail { summary: self.summary, spec: self.spec, tasks, samples, events, output_tail, directory })
    }
}

impl Engine {
    pub(in crate::server) fn run_question(&self, run: &RunId) -> Option<RunQuestion> {
        let record = self.runs.get(run)?;
        Some(RunQuestion { summary: self.summary(record), spec: record.spec.clone(), folder: self.home.run(run) })
    }

    /// Answer beside the loop.
    fn beside(&self, asker: Asker, question: impl FnOnce(&StoreHandle) -> Result<Reply, StoreError> + Send + 'static) {
        let Some(outbox) = self.sessions.get(&asker.session).map(|session| session.outbox.clone()) else { return };
        let (store, news) = (self.store.clone(), self.news.clone());
        tokio::task::spawn_blocking(move || {
            let outbox: &Outbox = &outbox;
            match question(&store) {
                Ok(reply) => outbox.reply(asker.id, reply),
                Err(error) => {
                    outbox.reply(asker.id, Reply::Refused { message: error.to_string() });
                    match error {
                        StoreError::Files(_) => {}
                        StoreError::InUse(_)
                        | StoreError::Database(_)
                        | StoreError::Row(_)
                        | StoreError::Hangs(_)
                        | StoreError::Panicked(_)
                        | StoreError::Ended => _ = news.blocking_send(Happened::StoreLost(error)),
                    }
                }
            }
        });
    }

    pub(super) fn list_runs(&self, asker: Asker, study: Option<StudyId>) {
        match &study {
            Some(study) if !self.studies.contains_key(study) => self.refuse(asker, no_study(study)),
            study => self.reply(asker, Reply::Runs(self.summaries(study.as_ref()))),
        }
    }

    pub(super) fn show_study(&self, asker: Asker, study: &StudyId) {
        match (self.study_summary(study), self.studies.get(study)) {
            (Some(summary), Some(record)) => {
                self.reply(asker, Reply::Study(Box::new((summary, record.spec.clone()))));
            }
            _ => self.refuse(asker, no_study(study)),
        }
    }

    pub(super) fn show_run(&self, asker: Asker, run: &RunId) {
        match self.run_question(run) {
            Some(question) => {
                self.beside(asker, move |store| Ok(Reply::Run(Box::new(question.answer(store)?))));
            }
            None => self.refuse(asker, unknown(run)),
        }
    }

    pub(super) fn get_curve(&self, asker: Asker, run: RunId, metric: Metric, width: Option<usize>) {
        if !self.runs.contains_key(&run) {
            return self.refuse(asker, unknown(&run));
        }
        self.beside(asker, move |store| {
            Ok(Reply::Curve(store.call("curve", move |store| store.curve(&run, metric, width))?))
        });
    }

    pub(super) fn get_rank(&self, asker: Asker, run: RunId) {
        if !self.runs.contains_key(&run) {
            return self.refuse(asker, unknown(&run));
        }
        self.beside(asker, move |store| {
            Ok(Reply::Rank(store.call("rank", move |store| store.ranks(&run, RANK_REPORTS))?))
        });
    }

    pub(super) fn get_leaderboard(&self, asker: Asker, study: Option<StudyId>, budget: EqualBudget) {
        if let Some(study) = study.as_ref().filter(|study| !self.studies.contains_key(*study)) {
            return self.refuse(asker, no_study(study));
        }
        let question = self.board_question(study.as_ref(), budget);
        self.beside(asker, move |store| Ok(Reply::Leaderboard(question.answer(store)?)));
    }

    /// From the files of the run; the texts are made again from the task's file.
    pub(super) fn get_answers(&mut self, asker: Asker, run: RunId, task: String, form: ScoringForm) {
        if !self.runs.contains_key(&run) {
            return self.refuse(asker, unknown(&run));
        }
        let Some(outbox) = self.sessions.get(&asker.session).map(|session| session.outbox.clone()) else { return };
        let (digester, folder) = (self.digester(), self.home.run(&run));
        self.digests.spawn(async move {
            let reply = match answers(digester, folder, &task, form).await {
                Ok(Some(found)) => Reply::Answers(Box::new(found)),
                Ok(None) => Reply::Refused {
                    message: format!(
                        "find answers of run {run} to {task} in {form} form; they are kept when a run ends and by \
                         `trilab eval {run}`"
                    ),
                },
                Err(message) => Reply::Refused { message },
            };
            outbox.reply(asker.id, reply);
        });
    }

    /// The run is looked at with the next look.
    pub(super) fn look_at(&mut self, asker: Asker, run: RunId) {
        if !self.runs.contains_key(&run) {
            return self.refuse(asker, unknown(&run));
        }
        self.look_again.insert(run);
        self.look();
        self.reply(asker, Reply::Done);
    }

    /// From the logs themselves, so that nothing is thinned or left out.
    pub(super) fn get_events(&self, asker: Asker, run: RunId) {
        if !self.runs.contains_key(&run) {
            return self.refuse(asker, unknown(&run));
        }
        let folder = self.home.run(&run);
        self.beside(asker, move |_| Ok(all_events(&folder)?));
    }
}

/// From the logs themselves: what the index read before a log was damaged is not in them any more.
fn all_events(folder: &RunFolder) -> Result<Reply, RunLogError> {
    let (mut events, mut lost) = (Vec::new(), 0);
    for attempt in folder.attempts()? {
        let path = folder.attempt(attempt).events_path();
        let (mut offset, mut lines) = (0, 0);
        while path.exists() {
            let chunk = read_from(&path, offset)?;
            events.extend(chunk.events);
            lost += chunk.lost;
            lines = chunk.next_line.unwrap_or(lines);
            if chunk.next_offset == offset {
                break;
            }
            offset = chunk.next_offset;
        }
        lost += Witness::of(&path).map_or(0, |witness| witness.lines.saturating_sub(lines));
    }
    Ok(Reply::Events { events, lost })
}

async fn answers(
    digester: Digester,
    folder: RunFolder,
    task: &str,
    form: ScoringForm,
) -> Result<Option<TaskAnswers>, String> {
    let name = task.to_owned();
    let found = tokio::task::spawn_blocking(move || newest_answers(&folder, &name, form)).await;
    let Some((header, rows)) = found.map_err(|error| error.to_string())?.map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let documents = rows.iter().map(|row| row.document).collect();
    let (texts, notice) = match digester.texts(header.sources, task.to_owned(), documents).await {
        Ok(texts) => (texts, None),
        Err(Failure::Refused(reason) | Failure::Short(reason) | Failure::Lost(reason)) => {
            (Vec::new(), Some(format!("the texts are missing: {reason}")))
        }
    };
    let mut texts = texts.into_iter();
    let answer = |row: ItemRow| {
        let text = texts.next().flatten();
        let (context, choices) = text.map_or((None, Vec::new()), |text| (Some(text.context), text.choices));
        let gold = row.gold.unwrap_or_default();
        let right = row.predicted.map(|predicted| gold.contains(&predicted)).or(row.exact);
        let mut log_likelihoods = row.log_likelihoods;
        if !choices.is_empty() {
            log_likelihoods.truncate(choices.len());
        }
        let (document, predicted, written) = (row.document, row.predicted, row.written);
        Answer { document, context, choices, log_likelihoods, predicted, gold, written, right }
    };
    let (run, task, step) = (header.run, task.to_owned(), header.step);
    Ok(Some(TaskAnswers { run, task, form, step, answers: rows.into_iter().map(answer).collect(), notice }))
}

fn no_study(study: &StudyId) -> String {
    format!("find the study {study}; `trilab study list` shows the names")
}
