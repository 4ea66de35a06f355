//! What can go wrong between a client and its server. Every message completes "could not …" and ends with the cure.

use std::io;
use std::path::PathBuf;

/// A request could not be made or was not granted.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Nobody listens for this home.
    #[error("reach a server for {}: none is running; `trilab server` or the dashboard starts one", home.display())]
    NoServer {
        /// The lab.
        home: PathBuf,
    },
    /// The other side went away in the middle.
    #[error("talk to the server: it closed the connection; runs go on, try again and a new server is started")]
    Closed,
    /// The server understood and said no.
    #[error("{0}")]
    Refused(String),
    /// The two programs are of different versions.
    #[error(
        "talk to the server: it is trilab {version} and speaks protocol {theirs}, this program speaks protocol {ours}; \
         run `trilab server stop` (runs go on) and start again"
    )]
    Version {
        /// The server's program version.
        version: String,
        /// The server's protocol.
        theirs: u64,
        /// This program's protocol.
        ours: u32,
    },
    /// A message is larger than both sides allow.
    #[error("send a message of more than {limit} bytes; ask for less at once")]
    TooLarge {
        /// Most bytes of a frame.
        limit: usize,
    },
    /// A message that is not of this vocabulary.
    #[error("understand a message of the other side: {0}; run `trilab server stop` (runs go on) and start again")]
    Content(serde_json::Error),
    /// The operating system refused.
    #[error("talk to the server: {0}")]
    Io(#[from] io::Error),
    /// The server accepted the connection and said nothing.
    #[error("hear from the server within {seconds} s; it may be stuck, look into {} or run `trilab server stop`", log.display())]
    Silent {
        /// How long it had.
        seconds: u64,
        /// Where it says what it does.
        log: PathBuf,
    },
    /// A server was started and does not answer.
    #[error("start the server: it does not answer after {seconds} s; {} says: {said}", log.display())]
    NotStarted {
        /// How long it had.
        seconds: u64,
        /// Where it says why.
        log: PathBuf,
        /// The end of that log.
        said: String,
    },
    /// The folder or the file of the socket cannot be used.
    #[error("use {} for the lab's socket: {reason}", path.display())]
    Place {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong and the cure.
        reason: String,
    },
    /// The process at the other end belongs to someone else.
    #[error(
        "trust the process behind the socket: it belongs to user {theirs}, not to you ({ours}); use your own --home"
    )]
    Stranger {
        /// Its user id.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
}
