//! How a client and the server speak: requests, replies, topics, updates, and the frames that carry them.
//! Promises: a version check before anything else; a closed connection is an error with a cure, never silence.
//! Must not know: what the server does with a request, how a screen looks.

pub mod message;
pub mod error;
pub mod frame;
pub mod identity;
mod patience;
mod stuck;
pub mod socket;
pub mod client;
pub mod start;

pub use client::{Connection, Frames};
pub use error::WireError;
pub use frame::{FrameReader, FrameWriter, encode};
pub use identity::LabIdentity;
pub use message::{ClientFrame, Reply, Request, RunSelection, ServerFrame, ServerInfo, Topic, Update};
pub use socket::{ServerRecord, Surroundings, check_peer};
pub use start::{attach, attach_again, connect, stop_server};

/// Version of the protocol; a client and a server that differ refuse each other and say how to go on.
pub const PROTOCOL: u32 = 6;
