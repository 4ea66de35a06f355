//! The client's end: handshake, one request at a time for commands, or two independent halves for the dashboard.
//! Promises: protocols are compared before anything else; a refusal is an error with the server's words.
//! Must not know: how a server is started, what a screen shows.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::PROTOCOL;
use super::error::WireError;
use super::frame::{FrameReader, FrameWriter};
use super::message::{ClientFrame, Reply, Request, ServerFrame, ServerInfo};

/// Requests of a dashboard that may wait to be written; a full channel makes the sender wait.
const WAITING_REQUESTS: usize = 64;

type Reading = FrameReader<Box<dyn AsyncRead + Send + Unpin>>;
type Writing = FrameWriter<Box<dyn AsyncWrite + Send + Unpin>>;

/// A greeted connection to a server.
pub struct Connection {
    reader: Reading,
    writer: Writing,
    server: ServerInfo,
    last_id: u64,
}

/// The incoming half of a connection.
pub struct Frames {
    reader: Reading,
}

impl Frames {
    /// The next frame of the server. Cancel safe.
    ///
    /// # Errors
    /// The connection is gone, or the frame is not of this vocabulary.
    pub async fn next(&mut self) -> Result<ServerFrame, WireError> {
        self.reader.next().await?.ok_or(WireError::Closed)
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Connection {
    /// Greets the server behind `stream` and compares protocols.
    ///
    /// # Errors
    /// The server speaks another protocol, says nothing for five seconds, or is gone.
    pub async fn connect<S>(stream: S) -> Result<Self, WireError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (connection, protocol) = Self::greet(stream).await?;
        let connection = connection.map_err(WireError::Content)?;
        if protocol == u64::from(PROTOCOL) {
            Ok(connection)
        } else {
            let version = connection.server.version;
            Err(WireError::Version { version, theirs: protocol, ours: PROTOCOL })
        }
    }

    /// Greets a server of any version; only [`Request::Shutdown`] is sure to be understood afterwards.
    async fn greet<S>(stream: S) -> Result<(Result<Self, serde_json::Error>, u64), WireError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (read, write) = tokio::io::split(stream);
        let mut reader: Reading = FrameReader::new(Box::new(read));
        let mut writer: Writing = FrameWriter::new(Box::new(write));
        writer.send(&ClientFrame { id: 0, request: Request::Hello { protocol: PROTOCOL } }).await?;
        // Read as a bare value first: a server of another version may describe itself with other fields.
        let greeting: serde_json::Value = reader.next().await?.ok_or(WireError::Closed)?;
        if let Some(message) = greeting.pointer("/reply/reply/value/message").and_then(serde_json::Value::as_str) {
            return Err(WireError::Refused(message.to_owned()));
        }
        let word = |key: &str| greeting.pointer(&format!("/reply/reply/value/{key}"));
        let protocol = word("protocol").and_then(serde_json::Value::as_u64).unwrap_or(0);
        let server = if protocol == u64::from(PROTOCOL) {
            match serde_json::from_value(greeting.pointer("/reply/reply/value").cloned().unwrap_or_default()) {
                Ok(server) => server,
                Err(error) => return Ok((Err(error), protocol)),
            }
        } else {
            let text = |key: &str| word(key).and_then(serde_json::Value::as_str).unwrap_or("of an unknown version");
            let number = |key: &str| word(key).and_then(serde_json::Value::as_u64).unwrap_or(0);
            ServerInfo {
                version: text("version").to_owned(),
                protocol: u32::try_from(protocol).unwrap_or(u32::MAX),
                pid: u32::try_from(number("pid")).unwrap_or(0),
                home: text("home").to_owned(),
                lab: word("lab").cloned().and_then(|lab| serde_json::from_value(lab).ok()),
                started_ms: number("started_ms"),
                held: None,
            }
        };
        Ok((Ok(Self { reader, writer, server, last_id: 0 }), protocol))
    }

    /// Greets a server of whatever version and asks it to leave; runs go on. Returns when it has closed the connection.
    /// `check` is told who answers before anything is asked.
    ///
    /// # Errors
    /// The server fails the check, refuses, or cannot be understood at all.
    pub async fn shut_down<S>(
        stream: S,
        check: impl FnOnce(&ServerInfo) -> Result<(), WireError>,
    ) -> Result<(), WireError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut connection = Self::greet(stream).await?.0.map_err(WireError::Content)?;
        check(&connection.server)?;
        connection.writer.send(&ClientFrame { id: 1, request: Request::Shutdown }).await?;
        loop {
            match connection.reader.next::<serde_json::Value>().await {
                Ok(Some(frame)) => {
                    if let Some(message) = frame.pointer("/reply/reply/value/message").and_then(|text| text.as_str()) {
                        return Err(WireError::Refused(message.to_owned()));
                    }
                }
                Ok(None) | Err(WireError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Who answers.
    #[must_use]
    pub const fn server(&self) -> &ServerInfo {
        &self.server
    }

    /// Ask and wait for the answer; updates that come in between are dropped.
    ///
    /// # Errors
    /// The server refuses ([`WireError::Refused`] holds its words), or the connection is gone.
    pub async fn request(&mut self, request: Request) -> Result<Reply, WireError> {
        self.last_id += 1;
        let asked = self.last_id;
        self.writer.send(&ClientFrame { id: asked, request }).await?;
        loop {
            match self.reader.next().await?.ok_or(WireError::Closed)? {
                ServerFrame::Reply { reply: Reply::Refused { message }, id } if id == asked => {
                    return Err(WireError::Refused(message));
                }
                ServerFrame::Reply { id, reply } if id == asked => return Ok(reply),
                ServerFrame::Reply { .. } | ServerFrame::Update(_) => {}
            }
        }
    }

    /// Two halves that do not wait for each other: requests with ids of the caller's choice (above 0), and all frames.
    /// When the sender is dropped, or the server is gone, the other half ends with [`WireError::Closed`].
    #[must_use]
    pub fn split(self) -> (mpsc::Sender<ClientFrame>, Frames) {
        let Self { reader, mut writer, .. } = self;
        let (sender, mut waiting) = mpsc::channel::<ClientFrame>(WAITING_REQUESTS);
        tokio::spawn(async move {
            while let Some(frame) = waiting.recv().await {
                // The reading half tells the caller that the server is gone.
                if writer.send(&frame).await.is_err() {
                    break;
                }
            }
        });
        (sender, Frames { reader })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A server that greets with `greeting` and then answers each request with the next of `answers`.
    fn scripted(greeting: serde_json::Value, answers: Vec<serde_json::Value>) -> tokio::io::DuplexStream {
        let (near, far) = tokio::io::duplex(4096);
        tokio::spawn(async move {
            let (read, write) = tokio::io::split(far);
            let (mut reader, mut writer) = (FrameReader::new(read), FrameWriter::new(write));
            let hello: ClientFrame = reader.next().await.unwrap().unwrap();
            assert_eq!(hello.request, Request::Hello { protocol: PROTOCOL });
            writer.send(&greeting).await.unwrap();
            for answer in answers {
                if reader.next::<serde_json::Value>().await.unwrap().is_none() {
                    break;
                }
                writer.send(&answer).await.unwrap();
            }
        });
        near
    }

    fn greeting(protocol: u32) -> serde_json::Value {
        let info = ServerInfo {
            version: "9.9.9".into(),
            protocol,
            pid: 7,
            home: "lab".into(),
            lab: None,
            started_ms: 1,
            held: None,
        };
        serde_json::to_value(ServerFrame::Reply { id: 0, reply: Reply::Welcome(info) }).unwrap()
    }

    #[tokio::test]
    async fn replies_find_their_requests_and_refusals_are_errors() {
        let update = json!({"update": {"update": "curves", "value": []}});
        let refused = serde_json::to_value(ServerFrame::Reply {
            id: 2,
            reply: Reply::Refused { message: "pause the run: it is finished".into() },
        });
        let done = serde_json::to_value(ServerFrame::Reply { id: 1, reply: Reply::Done }).unwrap();
        let stream = scripted(greeting(PROTOCOL), vec![done, refused.unwrap(), update]);
        let mut connection = Connection::connect(stream).await.unwrap();
        assert_eq!(connection.server().pid, 7);
        assert_eq!(connection.request(Request::PauseQueue).await.unwrap(), Reply::Done);
        let error = connection.request(Request::PauseQueue).await.unwrap_err();
        assert_eq!(error.to_string(), "pause the run: it is finished");
        assert!(matches!(connection.request(Request::PauseQueue).await, Err(WireError::Closed)), "update, then gone");
    }

    #[tokio::test]
    async fn another_protocol_is_told_with_the_cure_even_if_the_greeting_has_other_fields() {
        let error = Connection::connect(scripted(greeting(PROTOCOL + 1), vec![])).await.unwrap_err().to_string();
        assert!(error.contains("9.9.9") && error.contains("trilab server stop"), "{error}");
        let strange =
            json!({"reply": {"id": 0, "reply": {"reply": "welcome", "value": {"protocol": 77, "build": []}}}});
        let error = Connection::connect(scripted(strange, vec![])).await.unwrap_err();
        assert!(matches!(error, WireError::Version { theirs: 77, .. }), "{error}");
    }

    #[tokio::test]
    async fn a_server_of_another_protocol_can_be_stopped() {
        let done = serde_json::to_value(ServerFrame::Reply { id: 1, reply: Reply::Done }).unwrap();
        Connection::shut_down(scripted(greeting(PROTOCOL + 1), vec![done]), |server| {
            assert_eq!((server.pid, server.home.as_str()), (7, "lab"));
            Ok(())
        })
        .await
        .unwrap();
        let other = || Err(WireError::Moved { home: "lab".into() });
        let refused = Connection::shut_down(scripted(greeting(PROTOCOL), vec![]), |_| other()).await;
        assert!(matches!(refused, Err(WireError::Moved { .. })), "nothing is asked of another lab's server");
    }

    #[tokio::test]
    async fn the_halves_end_when_the_server_goes() {
        let done = serde_json::to_value(ServerFrame::Reply { id: 5, reply: Reply::Done }).unwrap();
        let connection = Connection::connect(scripted(greeting(PROTOCOL), vec![done])).await.unwrap();
        let (requests, mut frames) = connection.split();
        requests.send(ClientFrame { id: 5, request: Request::GetLab }).await.unwrap();
        assert_eq!(frames.next().await.unwrap(), ServerFrame::Reply { id: 5, reply: Reply::Done });
        assert!(matches!(frames.next().await, Err(WireError::Closed)));
    }
}
