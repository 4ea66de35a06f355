//! What the screen reacts to and what it wants done. Values only, so that tests can make and compare them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crossterm::event::{KeyEvent, MouseEvent};
use serde::{Deserialize, Serialize};

use crate::config::Theme;
use crate::core::study::StudySpec;
use crate::wire::{ClientFrame, ServerFrame, ServerInfo};

use super::complete_path::Entry;
use super::rank_measure::Measure;

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Msg {
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse did something.
    Mouse(MouseEvent),
    /// Text was pasted.
    Paste(String),
    /// The terminal has a new size.
    Resize(u16, u16),
    /// The server answered or told.
    Frame(Box<ServerFrame>),
    /// A server is there.
    Connected(ServerInfo),
    /// The server is gone; the caller tries to reach it again.
    Disconnected {
        /// Why, as a lowercase fragment.
        reason: String,
    },
    /// A frame could not be handed on; it was not sent.
    NotSent(ClientFrame),
    /// A file was written, or could not be.
    Exported {
        /// Its name, or why not.
        told: Result<String, String>,
        /// What is in it.
        note: String,
    },
    /// A folder was listed, or could not be.
    Listed {
        /// Which.
        folder: PathBuf,
        /// What is in it, or why nobody knows.
        told: Result<Vec<Entry>, String>,
    },
    /// Time passed.
    Tick {
        /// Unix milliseconds.
        now_ms: u64,
    },
}

/// Something the loop must do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send this.
    Send(ClientFrame),
    /// Leave.
    Quit,
    /// Put this on the clipboard of the person's terminal.
    Copy(String),
    /// Write this to a new file in the working directory.
    Export {
        /// Part of the file's name.
        screen: &'static str,
        /// All of it.
        text: String,
        /// What is in it, for the message.
        note: String,
    },
    /// Say what is in this folder.
    List(PathBuf),
    /// Capture the mouse or let it go.
    SetMouse(bool),
    /// Give the terminal back and stop until the shell says `fg`.
    Suspend,
    /// Forget what is on the screen and draw all of it.
    Redraw,
}

/// What the socket's side of the dashboard says.
#[derive(Clone, Debug, PartialEq)]
pub enum FromServer {
    /// A server answered the handshake.
    Connected(ServerInfo),
    /// A reply or an update.
    Frame(Box<ServerFrame>),
    /// The connection ended; another attempt follows.
    Closed {
        /// Why, as a lowercase fragment.
        reason: String,
    },
}

/// A screen with a digit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tab {
    /// 1.
    #[default]
    Lab,
    /// 2.
    Curves,
    /// 3.
    Rank,
    /// 4.
    Leaderboard,
}

/// What a chart's x axis counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XAxis {
    /// Optimizer steps.
    #[default]
    Step,
    /// Positions seen.
    Tokens,
    /// Training FLOPs.
    Flops,
    /// Training seconds.
    WallClock,
}

/// What the dashboard remembers from one start to the next; the caller keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    /// Last screen.
    pub screen: Tab,
    /// Theme, if it was changed by key.
    pub theme: Option<Theme>,
    /// Mouse capture, if it was changed by key.
    pub mouse: Option<bool>,
    /// Last x axis.
    pub x_axis: XAxis,
    /// Whether seeds are folded on Curves.
    pub fold_seeds: bool,
    /// Place in the list of smoothing windows, if it was changed by key.
    pub smoothing: Option<usize>,
    /// Measure of the Rank screen.
    pub rank_measure: Measure,
    /// Headings of the columns that the Lab's lists leave out.
    pub hidden_lab: BTreeSet<String>,
    /// Headings of the columns that the Leaderboard leaves out.
    pub hidden_leaderboard: BTreeSet<String>,
}

/// A study that ships with the program.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyChoice {
    /// Name.
    pub name: String,
    /// What it asks.
    pub description: String,
    /// All of it.
    pub spec: StudySpec,
}

/// What the composer starts from.
#[derive(Clone, Debug, PartialEq)]
pub struct ComposerDefaults {
    /// The config's defaults as a study.
    pub base: StudySpec,
    /// Shipped studies.
    pub studies: Vec<StudyChoice>,
    /// Corpora that can be chosen by name.
    pub corpora: Vec<String>,
}
