//! What can go wrong between a client and its server. Every message completes "could not …" and ends with the cure.

use std::io;
use std::path::PathBuf;

/// A request could not be made or was not granted.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Nobody listens for this home.
    #[error("reach a server for {}: none is running; `trilab server start` or the dashboard starts one", home.display())]
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
        "talk to the server: it is trilab {version} and speaks protocol {theirs}, this program speaks protocol {ours}; {}",
        version_cure(*theirs, *ours)
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
    #[error("hear from the server within {seconds} s: {cure}; its log is {}", log.display())]
    Silent {
        /// How long it had.
        seconds: u64,
        /// Where it says what it does.
        log: PathBuf,
        /// What wakes or ends it.
        cure: String,
    },
    /// A process holds the lock of the server and does not listen, or does not leave.
    #[error("{what} within {seconds} s: {cure}; its log is {}", log.display())]
    Stuck {
        /// What was tried.
        what: &'static str,
        /// How long it had.
        seconds: u64,
        /// Where it says what it does.
        log: PathBuf,
        /// What wakes or ends it.
        cure: String,
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
    /// No server can run in the home, because it must write there.
    #[error(
        "write {}, without which no server can run there: {reason}; `trilab run list`, `run show`, `leaderboard`, `rank` and \
         `export` look at the lab without one, and --home DIR names another", path.display()
    )]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// The system's word.
        reason: io::Error,
    },
    /// The program of the server does not start.
    #[error("start a server: {0}")]
    Program(io::Error),
    /// The server that answers is that of another lab.
    #[error(
        "use the server behind {}: process {pid} serves {theirs}, which is another lab; if the home is a copy made of hard \
         links, remove {}", home.display(), lock.display()
    )]
    OtherLab {
        /// The lab that was asked for.
        home: PathBuf,
        /// Its lock.
        lock: PathBuf,
        /// The process that answers.
        pid: u32,
        /// The lab it serves.
        theirs: String,
    },
    /// The lab that a client has been talking to is not in its place any more.
    #[error("find the lab in {}: it was moved, deleted or replaced; quit, and give its new place with --home", home.display())]
    Moved {
        /// Where it was.
        home: PathBuf,
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

/// The newer of two programs is right: whoever is older must go.
fn version_cure(theirs: u64, ours: u32) -> &'static str {
    if theirs > u64::from(ours) {
        "the server is the newer one: leave and start trilab again, or, if both versions are installed, run `trilab server \
         stop` (runs go on) and start again"
    } else {
        "run `trilab server stop` (runs go on) and start again"
    }
}
