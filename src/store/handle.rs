//! The store in its own thread, and the only way by which the server reaches it: a question, an answer, a deadline.
//! Promises: a caller is never stuck longer than the deadline; a store that hangs once is believed to hang for good,
//! so that the server can replace itself; what was written is flushed as soon as the questions pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread;
use std::time::Duration;

use crate::runlog::{Home, RunFolder};

use super::error::StoreError;
use super::ingest::{EVENTS_PER_FLUSH, Ingested, Synced, next_lines, next_scores};
use super::open::{Opened, Store};

/// A pause of the questions that is long enough to flush in.
const PAUSE: Duration = Duration::from_millis(200);

/// Questions after which it is flushed even if they never pause.
const QUESTIONS_PER_FLUSH: u32 = 256;

type Job = Box<dyn FnOnce(&mut Store) + Send>;

enum Message {
    Ask(Job),
    /// Flush, let go of the files, and say so.
    Close(SyncSender<()>),
}

/// A way to the store; clones reach the same one. It ends when the last clone is gone.
#[derive(Clone)]
pub struct StoreHandle {
    messages: Sender<Message>,
    deadline: Duration,
    hangs: Arc<AtomicBool>,
}

impl StoreHandle {
    /// Open the index of a lab in a new thread. The text says what happened to a bad one; then every run must be read
    /// again. Opening is not under the deadline, since a large index takes its time.
    ///
    /// # Errors
    /// The index cannot be opened, or no thread can be started.
    pub fn start(home: &Home, deadline: Duration) -> Result<(Self, Option<String>), StoreError> {
        let Opened { store, notice } = Store::open(home)?;
        let (messages, incoming) = mpsc::channel();
        thread::Builder::new().name("store".to_owned()).spawn(move || serve(store, &incoming))?;
        Ok((Self { messages, deadline, hangs: Arc::new(AtomicBool::new(false)) }, notice))
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
        if self.hangs() {
            return Err(StoreError::Hangs(what));
        }
        let (answer, answered) = mpsc::sync_channel(1);
        let job: Job = Box::new(move |store| {
            // A caller that gave up has dropped its end; nobody is left to tell.
            drop(answer.send(question(store)));
        });
        self.messages.send(Message::Ask(job)).map_err(|_| StoreError::Ended)?;
        match answered.recv_timeout(self.deadline) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => {
                self.hangs.store(true, Ordering::Relaxed);
                Err(StoreError::Hangs(what))
            }
            Err(RecvTimeoutError::Disconnected) => Err(StoreError::Ended),
        }
    }

    /// Whether a question was ever left without an answer.
    #[must_use]
    pub fn hangs(&self) -> bool {
        self.hangs.load(Ordering::Relaxed)
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
        if self.hangs() {
            return Err(StoreError::Hangs("close"));
        }
        let (answer, answered) = mpsc::sync_channel(1);
        self.messages.send(Message::Close(answer)).map_err(|_| StoreError::Ended)?;
        answered.recv_timeout(self.deadline).map_err(|error| match error {
            RecvTimeoutError::Timeout => StoreError::Hangs("close"),
            RecvTimeoutError::Disconnected => StoreError::Ended,
        })
    }
}

fn serve(mut store: Store, messages: &Receiver<Message>) {
    let mut unflushed: u32 = 0;
    loop {
        let message = if unflushed == 0 {
            messages.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            messages.recv_timeout(PAUSE)
        };
        match message {
            Ok(Message::Ask(job)) => {
                job(&mut store);
                unflushed += 1;
            }
            Ok(Message::Close(answer)) => {
                drop(store);
                let _ = answer.send(());
                return;
            }
            Err(RecvTimeoutError::Timeout) => unflushed = QUESTIONS_PER_FLUSH,
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if unflushed >= QUESTIONS_PER_FLUSH {
            unflushed = 0;
            if store.flush().is_err() {
                // Dropping it would flush again, which never returns after a failed write. Everyone who asks from now
                // on hears that the store has ended.
                std::mem::forget(store);
                return;
            }
        }
    }
}
