//! One client: a task that reads its requests, a task that writes to it, and the box between the engine and that writer.
//! Promises: the engine never waits for a client. Replies are kept until they are written, and a client may have only
//! so many open; of each topic only the newest value is kept, so a slow client loses hints and never facts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::engine::Happened;
use crate::wire::frame::MAX_FRAME;
use crate::wire::{ClientFrame, FrameReader, FrameWriter, Reply, ServerFrame, Topic, encode};

/// Requests of one client without a written reply; its further ones stay in the socket.
const OPEN_REQUESTS: usize = 32;

/// Rows of a reply that are made ready to be sent in no time.
const FEW_ROWS: usize = 500;

/// A byte stream to a client.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Which client.
pub(super) type SessionId = u64;

/// A value in the form in which it is sent, made once for all clients.
pub(super) type Encoded = Arc<Vec<u8>>;

#[derive(Default)]
struct Waiting {
    replies: VecDeque<ServerFrame>,
    updates: BTreeMap<usize, Encoded>,
    closed: bool,
}

/// What waits to be written to one client.
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    news: Notify,
    open: Arc<Semaphore>,
}

enum Out {
    Reply(ServerFrame),
    Update(Encoded),
}

impl Outbox {
    fn new() -> Self {
        Self {
            waiting: Mutex::new(Waiting::default()),
            news: Notify::new(),
            open: Arc::new(Semaphore::new(OPEN_REQUESTS)),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        // A writer that panicked between two fields left both usable.
        change(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.news.notify_one();
    }

    /// Answer a request.
    pub(super) fn reply(&self, id: u64, reply: Reply) {
        self.change(|waiting| waiting.replies.push_back(ServerFrame::Reply { id, reply }));
    }

    /// Tell the newest value of the client's topic at `place`.
    pub(super) fn update(&self, place: usize, value: Encoded) {
        self.change(|waiting| {
            waiting.updates.insert(place, value);
        });
    }

    /// Forget values of topics that the client no longer shows.
    pub(super) fn forget_updates(&self) {
        self.change(|waiting| waiting.updates.clear());
    }

    /// Write what waits and hang up.
    pub(super) fn close(&self) {
        self.change(|waiting| waiting.closed = true);
    }

    /// The next thing to write: replies first. The outer `None` says that nothing waits, the inner that nothing will.
    fn take(&self) -> Option<Option<Out>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reply) = waiting.replies.pop_front() {
            return Some(Some(Out::Reply(reply)));
        }
        if waiting.closed {
            return Some(None);
        }
        waiting.updates.pop_first().map(|(_, value)| Some(Out::Update(value)))
    }
}

/// A topic on a client's screen.
pub(super) struct Shown {
    pub(super) topic: Topic,
    /// Fingerprint of the value it was told last.
    pub(super) told: Option<u64>,
    /// Something changed since.
    pub(super) stale: bool,
}

/// A client, as the engine sees it.
pub(super) struct Session {
    pub(super) outbox: Arc<Outbox>,
    /// The client's protocol, once it has greeted.
    pub(super) protocol: Option<u32>,
    pub(super) topics: Vec<Shown>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl Session {
    /// Start the tasks of a new client.
    pub(super) fn start(id: SessionId, stream: Box<dyn Stream>, engine: mpsc::Sender<Happened>) -> Self {
        let (read, write) = tokio::io::split(stream);
        let outbox = Arc::new(Outbox::new());
        let writer = tokio::spawn(write_all(FrameWriter::new(write), Arc::clone(&outbox), id, engine.clone()));
        let reader = tokio::spawn(read_all(FrameReader::new(read), Arc::clone(&outbox), id, engine));
        Self { outbox, protocol: None, topics: Vec::new(), reader, writer }
    }

    /// Hang up after the last reply; the handle ends when that is written.
    pub(super) fn hang_up(self) -> JoinHandle<()> {
        self.reader.abort();
        self.outbox.close();
        self.writer
    }
}

async fn read_all<R: AsyncRead + Unpin>(
    mut reader: FrameReader<R>,
    outbox: Arc<Outbox>,
    session: SessionId,
    engine: mpsc::Sender<Happened>,
) {
    loop {
        // The permit is given back by the writer, with the reply.
        match outbox.open.acquire().await {
            Ok(permit) => permit.forget(),
            Err(_) => break,
        }
        let Ok(Some(value)) = reader.next::<serde_json::Value>().await else { break };
        let id = value.get("id").and_then(serde_json::Value::as_u64).unwrap_or(0);
        match serde_json::from_value::<ClientFrame>(value) {
            Ok(frame) => {
                if engine.send(Happened::Asked(session, frame)).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                let message = format!("understand the request: {error}; use the same version of trilab on both sides");
                outbox.reply(id, Reply::Refused { message });
            }
        }
    }
    // The engine may be leaving; then nobody needs to know.
    _ = engine.send(Happened::Left(session)).await;
}

async fn write_all<W: AsyncWrite + Unpin>(
    mut writer: FrameWriter<W>,
    outbox: Arc<Outbox>,
    session: SessionId,
    engine: mpsc::Sender<Happened>,
) {
    loop {
        let written = match outbox.take() {
            None => {
                outbox.news.notified().await;
                continue;
            }
            Some(None) => return,
            Some(Some(Out::Reply(reply))) => {
                outbox.open.add_permits(1);
                let bytes = if rows(&reply) > FEW_ROWS {
                    // Beside the loop, which shares its thread with this task.
                    tokio::task::spawn_blocking(move || encoded_reply(reply)).await.unwrap_or_default()
                } else {
                    encoded_reply(reply)
                };
                writer.send_encoded(bytes).await
            }
            Some(Some(Out::Update(value))) if value.len() > MAX_FRAME => Ok(()),
            Some(Some(Out::Update(value))) => writer.send_encoded(value.to_vec()).await,
        };
        if written.is_err() {
            _ = engine.send(Happened::Left(session)).await;
            return;
        }
    }
}

/// Rows of a table in a reply, as many as make it large.
const fn rows(frame: &ServerFrame) -> usize {
    match frame {
        ServerFrame::Reply { reply: Reply::Plan(report) | Reply::Submitted(report), .. } => report.runs.len(),
        ServerFrame::Reply { reply: Reply::Runs(runs), .. } => runs.len(),
        ServerFrame::Reply { reply: Reply::Lab(lab), .. } => lab.runs.len(),
        ServerFrame::Reply { reply: Reply::Events { events, .. }, .. } => events.len(),
        ServerFrame::Reply { .. } | ServerFrame::Update(_) => 0,
    }
}

/// The JSON of a reply; of one that is too large, a refusal that says so.
fn encoded_reply(frame: ServerFrame) -> Vec<u8> {
    let id = match &frame {
        ServerFrame::Reply { id, .. } => *id,
        ServerFrame::Update(_) => 0,
    };
    let refusal =
        |message: String| encode(&ServerFrame::Reply { id, reply: Reply::Refused { message } }).unwrap_or_default();
    match encode(&frame) {
        Ok(bytes) if bytes.len() <= MAX_FRAME => bytes,
        Ok(bytes) => refusal(format!(
            "send the answer: it has {} bytes and a message may have {MAX_FRAME}; ask for less at once",
            bytes.len()
        )),
        Err(error) => refusal(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(outbox: &Outbox, place: usize, text: &str) {
        outbox.update(place, Arc::new(text.as_bytes().to_vec()));
    }

    fn text(out: Option<Option<Out>>) -> String {
        match out {
            Some(Some(Out::Update(value))) => String::from_utf8(value.to_vec()).unwrap(),
            Some(Some(Out::Reply(ServerFrame::Reply { id, .. }))) => format!("reply {id}"),
            Some(Some(Out::Reply(ServerFrame::Update(_)))) => "an update among replies".to_owned(),
            Some(None) => "closed".to_owned(),
            None => "nothing".to_owned(),
        }
    }

    #[test]
    fn hints_are_replaced_and_facts_are_kept_in_order() {
        let outbox = Outbox::new();
        for n in 0..100 {
            update(&outbox, 1, &format!("curve {n}"));
            update(&outbox, 0, &format!("lab {n}"));
        }
        outbox.reply(7, Reply::Done);
        outbox.reply(8, Reply::Done);
        let said: Vec<String> = (0..5).map(|_| text(outbox.take())).collect();
        assert_eq!(said, ["reply 7", "reply 8", "lab 99", "curve 99", "nothing"]);
        update(&outbox, 0, "old screen");
        outbox.forget_updates();
        outbox.reply(9, Reply::Done);
        outbox.close();
        assert_eq!([text(outbox.take()), text(outbox.take())], ["reply 9", "closed"]);
    }

    #[test]
    fn an_answer_that_is_too_large_becomes_a_refusal() {
        let text = "x".repeat(MAX_FRAME);
        let frame = ServerFrame::Reply { id: 3, reply: Reply::Refused { message: text } };
        let sent: ServerFrame = serde_json::from_slice(&encoded_reply(frame)).unwrap();
        match sent {
            ServerFrame::Reply { id: 3, reply: Reply::Refused { message } } => {
                assert!(message.starts_with("send the answer"))
            }
            other => panic!("{other:?}"),
        }
    }
}
