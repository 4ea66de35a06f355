//! How a client and the server speak: requests, replies, topics, updates, and the frames that carry them.
//! Promises: a version check before anything else; a closed connection is an error with a cure, never silence.
//! Must not know: what the server does with a request, how a screen looks.

pub mod message;

pub use message::{ClientFrame, Reply, Request, RunSelection, ServerFrame, ServerInfo, Topic, Update};

/// Version of the protocol; a client and a server that differ refuse each other and say how to go on.
pub const PROTOCOL: u32 = 1;
