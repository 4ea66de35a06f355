//! The way by which the server reaches the store: a question, an answer, a deadline; and another store where one is lost.
//! Promises: a caller is never stuck longer than the deadline; a store that hangs once is believed to hang for good; all who hold a
//! handle have the new store as soon as there is one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::Shortage;
use crate::runlog::layout::create_temporary_dir;
use crate::runlog::{Home, RunFolder};

use super::error::StoreError;
use super::ingest::{EVENTS_PER_FLUSH, Ingested, Synced, next_lines, next_scores};
use super::open::{Store, set_aside, set_folder_aside};
use super::thread::{self, Message, job};

/// Places for an index whose own place has no room.
const ELSEWHERE: &str = "/dev/shm";

/// A way to the store; clones reach the same one. It ends when the last clone is gone.
#[derive(Clone)]
pub struct StoreHandle {
    shared: Arc<Shared>,
    deadline: Duration,
}

struct Shared {
    store: Mutex<Current>,
}

/// The store of the moment.
struct Current {
    messages: Sender<Message>,
    /// Counts the stores.
    number: u64,
    /// How it was lost, if it was.
    lost: Option<Loss>,
    /// Its folder, if that is gone with it.
    temporary: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Hangs,
    Ended,
}

impl Shared {
    fn current(&self) -> MutexGuard<'_, Current> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let current = self.store.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = &current.temporary {
            drop(current.messages.send(Message::Abandon));
            // What cannot be removed is the system's to sweep.
            drop(fs::remove_dir_all(folder));
        }
    }
}

/// A store that has just been opened.
struct Started {
    messages: Sender<Message>,
    /// What happened to the one before it.
    notice: Option<String>,
    temporary: Option<PathBuf>,
}

/// An index in `folder`, or where that has no room in a temporary one.
fn start(folder: PathBuf) -> Result<Started, StoreError> {
    match thread::start(folder.clone()) {
        Ok((messages, notice)) => Ok(Started { messages, notice, temporary: None }),
        Err(StoreError::Hangs(what) | StoreError::Panicked(what)) => {
            let notice = set_folder_aside(&folder, &StoreError::Hangs(what).to_string())?;
            Ok(Started { messages: thread::start(folder)?.0, notice: Some(notice), temporary: None })
        }
        Err(error) if Shortage::behind(&error).is_some() => {
            let (messages, place) = start_elsewhere().map_err(|_| error)?;
            let notice = format!(
                "the disk of {} is full, so the index lies in {} until the server is started again",
                folder.display(),
                place.display()
            );
            Ok(Started { messages, notice: Some(notice), temporary: Some(place) })
        }
        Err(error) => Err(error),
    }
}

fn start_elsewhere() -> Result<(Sender<Message>, PathBuf), StoreError> {
    let mut refused = None;
    for place in [std::env::temp_dir(), PathBuf::from(ELSEWHERE)] {
        match start_in(&place) {
            Ok(started) => return Ok(started),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or(StoreError::Ended))
}

fn start_in(place: &Path) -> Result<(Sender<Message>, PathBuf), StoreError> {
    let folder = create_temporary_dir(place, "trilab-index")?;
    match thread::start(folder.join("index")) {
        Ok((messages, _)) => Ok((messages, folder)),
        Err(error) => {
            drop(fs::remove_dir_all(&folder));
            Err(error)
        }
    }
}

impl StoreHandle {
    /// Open the index of a lab in a new thread. The text says what happened to a bad one; then every run must be read
    /// again. Opening is not under the deadline, since a large index takes its time.
    ///
    /// # Errors
    /// The index cannot be opened, or no thread can be started.
    pub fn start(home: &Home, deadline: Duration) -> Result<(Self, Option<String>), StoreError> {
        let Started { messages, notice, temporary } = start(home.index_dir())?;
        Ok((Self::new(messages, temporary, deadline), notice))
    }

    /// An empty index in a temporary folder, which is gone with the last clone.
    ///
    /// # Errors
    /// There is no place for it.
    pub fn start_temporary(deadline: Duration) -> Result<Self, StoreError> {
        let (messages, folder) = start_elsewhere()?;
        Ok(Self::new(messages, Some(folder), deadline))
    }

    fn new(messages: Sender<Message>, temporary: Option<PathBuf>, deadline: Duration) -> Self {
        let store = Mutex::new(Current { messages, number: 0, lost: None, temporary });
        Self { shared: Arc::new(Shared { store }), deadline }
    }

    /// Put an empty index in the place of one that was lost for `reason`; gives a sentence for people, after which every run must be
    /// read again. One that was replaced already, and works, stays.
    ///
    /// # Errors
    /// There is no place for another one; the old one stays lost.
    pub fn replace(&self, home: &Home, reason: &str) -> Result<String, StoreError> {
        drop(self.shared.current().messages.send(Message::Abandon));
        let aside = set_aside(home, reason)?;
        let Started { messages, notice, temporary } = start(home.index_dir())?;
        let mut current = self.shared.current();
        let number = current.number + 1;
        let old = std::mem::replace(&mut *current, Current { messages, number, lost: None, temporary });
        drop(current);
        drop(old.temporary.map(fs::remove_dir_all));
        Ok(notice.unwrap_or(aside))
    }

    /// Ask the store; blocks until the answer or the deadline. `what` names the question in errors.
    ///
    /// # Errors
    /// The question's own, or [`StoreError::Hangs`] after the deadline and from then on.
    pub fn call<T: Send + 'static>(
        &self,
        what: &'static str,
        question: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (number, answered) = {
            let current = self.shared.current();
            match current.lost {
                Some(Loss::Hangs) => return Err(StoreError::Hangs(what)),
                Some(Loss::Ended) => return Err(StoreError::Ended),
                None => {}
            }
            let (answer, answered) = mpsc::sync_channel(1);
            let asked = current.messages.send(Message::Ask(job(what, question, answer)));
            (current.number, asked.map(|()| answered))
        };
        let answered = match answered.map(|answered| answered.recv_timeout(self.deadline)) {
            Ok(Ok(result)) => return result,
            Ok(Err(RecvTimeoutError::Timeout)) => Loss::Hangs,
            Ok(Err(RecvTimeoutError::Disconnected)) | Err(_) => Loss::Ended,
        };
        let mut current = self.shared.current();
        if current.number == number {
            current.lost = Some(answered);
        }
        Err(match answered {
            Loss::Hangs => StoreError::Hangs(what),
            Loss::Ended => StoreError::Ended,
        })
    }

    /// Whether a question was left without an answer.
    #[must_use]
    pub fn hangs(&self) -> bool {
        self.shared.current().lost == Some(Loss::Hangs)
    }

    /// Read whatever is new in a run's logs into the index; files are read by the caller, not by the store.
    ///
    /// # Errors
    /// A log cannot be read, or the store cannot be written or hangs.
    pub fn sync(&self, run: &RunFolder) -> Result<Synced, StoreError> {
        let mut synced = Synced::default();
        loop {
            let id = run.id().clone();
            let facts = self.call("facts", move |store| store.facts(&id))?;
            let Some(lines) = next_lines(run, facts.as_ref())? else { break };
            let id = run.id().clone();
            let (ingested, lines) =
                self.call("ingest", move |store| store.ingest(&id, &lines).map(|ingested| (ingested, lines)))?;
            if ingested == Ingested::Applied {
                synced.add(lines);
            }
        }
        loop {
            let id = run.id().clone();
            let facts = self.call("facts", move |store| store.facts(&id))?;
            let Some(scores) = next_scores(run, facts.as_ref())? else { return Ok(synced) };
            let id = run.id().clone();
            synced.notices.extend(scores.notices.iter().cloned());
            synced.scored = true;
            self.call("ingest scores", move |store| store.ingest_scores(&id, &scores))?;
        }
    }

    /// Forget the index and read every log again, in small questions, so that others are answered meanwhile. A log
    /// that cannot be read is a notice.
    ///
    /// # Errors
    /// The runs cannot be listed, or the store cannot be written or hangs.
    pub fn reindex(&self, home: &Home) -> Result<Vec<String>, StoreError> {
        self.call("reset", Store::reset)?;
        let (mut notices, mut unflushed) = (Vec::new(), 0);
        for run in home.list_runs()? {
            match self.sync(&home.run(&run)) {
                Ok(synced) => {
                    unflushed += synced.events.len();
                    notices.extend(synced.notices);
                }
                Err(StoreError::Files(error)) => notices.push(format!("could not {error}")),
                Err(error) => return Err(error),
            }
            if unflushed > EVENTS_PER_FLUSH {
                self.flush()?;
                unflushed = 0;
            }
        }
        self.flush()?;
        Ok(notices)
    }

    /// Make everything asked so far survive a power cut.
    ///
    /// # Errors
    /// The disk refuses or the store hangs.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.call("flush", |store| store.flush())
    }

    /// Flush and close the index; other clones find it ended. A server that leaves without this loses nothing that
    /// its logs do not bring back.
    ///
    /// # Errors
    /// The store hangs or has ended already.
    pub fn close(self) -> Result<(), StoreError> {
        let mut current = self.shared.current();
        if current.lost == Some(Loss::Hangs) {
            return Err(StoreError::Hangs("close"));
        }
        current.lost = Some(Loss::Ended);
        let (answer, answered) = mpsc::sync_channel(1);
        let asked = current.messages.send(Message::Close(answer));
        drop(current);
        asked.map_err(|_| StoreError::Ended)?;
        answered.recv_timeout(self.deadline).map_err(|error| match error {
            RecvTimeoutError::Timeout => StoreError::Hangs("close"),
            RecvTimeoutError::Disconnected => StoreError::Ended,
        })
    }
}
