//! The thread in which a store lives: opened there, asked there, flushed when the questions pause.
//! Promises: whatever the database does, panic or hang, happens in this thread and to no one else; what was written is flushed as
//! soon as the questions pause and the disk has room.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread;
use std::time::Duration;

use super::error::StoreError;
use super::open::{Opened, Store};

/// A pause of the questions that is long enough to flush in.
const PAUSE: Duration = Duration::from_millis(200);

/// Questions after which it is flushed even if they never pause.
const QUESTIONS_PER_FLUSH: u32 = 256;

/// How long opening may take: a large index takes its time, a damaged one may take for ever. So long at least, and another second
/// for so many bytes.
const OPENING: Duration = Duration::from_secs(10);
const BYTES_PER_SECOND: u64 = 4 << 20;

/// A question. `false` if the database panicked over it.
pub(super) type Job = Box<dyn FnOnce(&mut Store) -> bool + Send>;

/// What the thread is told.
pub(super) enum Message {
    Ask(Job),
    /// Flush, let go of the files, and say so.
    Close(SyncSender<()>),
    /// Another store has taken its place: write nothing any more.
    Abandon,
}

/// Open the index in `folder` in a thread of its own. The text says what happened to a bad one.
pub(super) fn start(folder: PathBuf) -> Result<(Sender<Message>, Option<String>), StoreError> {
    let opening = OPENING + Duration::from_secs(size(&folder) / BYTES_PER_SECOND);
    let (messages, incoming) = mpsc::channel();
    let (opened, is_open) = mpsc::sync_channel(1);
    thread::Builder::new().name("store".to_owned()).spawn(move || match Store::open_in(folder) {
        Ok(Opened { store, notice }) => {
            if opened.send(Ok(notice)).is_ok() {
                serve(store, &incoming);
            }
        }
        // Whoever waited has given up.
        Err(error) => drop(opened.send(Err(error))),
    })?;
    match is_open.recv_timeout(opening) {
        Ok(notice) => Ok((messages, notice?)),
        Err(RecvTimeoutError::Timeout) => Err(StoreError::Hangs("opening it")),
        Err(RecvTimeoutError::Disconnected) => Err(StoreError::Panicked("opening it")),
    }
}

/// Bytes of all files below a folder.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => size(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

/// A question whose panic is an error of the store.
pub(super) fn job<T: Send + 'static>(
    what: &'static str,
    question: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    answer: SyncSender<Result<T, StoreError>>,
) -> Job {
    Box::new(move |store| {
        let result = catch_unwind(AssertUnwindSafe(|| question(store)));
        let whole = result.is_ok();
        // A caller that gave up has dropped its end; nobody is left to tell.
        drop(answer.send(result.unwrap_or(Err(StoreError::Panicked(what)))));
        whole
    })
}

fn serve(mut store: Store, messages: &Receiver<Message>) {
    let mut unflushed: u32 = 0;
    loop {
        let message = if unflushed == 0 {
            messages.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            messages.recv_timeout(PAUSE)
        };
        let whole = match message {
            Ok(Message::Ask(question)) => {
                unflushed += 1;
                question(&mut store)
            }
            Ok(Message::Close(answer)) => {
                close(store);
                let _ = answer.send(());
                return;
            }
            Ok(Message::Abandon) => false,
            Err(RecvTimeoutError::Timeout) => {
                unflushed = QUESTIONS_PER_FLUSH;
                true
            }
            Err(RecvTimeoutError::Disconnected) => return close(store),
        };
        let flushed = || store.flush().is_ok();
        if !whole || (unflushed >= QUESTIONS_PER_FLUSH && store.has_room() && !flushed()) {
            // Dropping it would flush, which never returns after a failed write. Everyone who asks from now on hears that the
            // store has ended.
            std::mem::forget(store);
            return;
        }
        if unflushed >= QUESTIONS_PER_FLUSH && store.has_room() {
            unflushed = 0;
        }
    }
}

/// Dropping a store flushes it; on a disk without room that never ends, and the logs bring everything back.
fn close(store: Store) {
    if store.has_room() {
        drop(store);
    } else {
        std::mem::forget(store);
    }
}
