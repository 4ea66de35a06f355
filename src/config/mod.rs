//! `config.toml`: the shipped default and the manual in one, embedded in the binary; a file in the working directory
//! or `--config` lies over it.
//! Promises: unknown keys and wrong types are refused with file, line and the nearest known key.
//! Must not know: what the settings do.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How the lab runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabConfig {
    /// Folder of all runs; absent means the user's data directory.
    pub home: Option<PathBuf>,
    /// Workers at the same time; absent means one per core.
    pub slots: Option<usize>,
    /// Niceness of workers, 0 to 19.
    pub nice: i32,
}

/// Colours of the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// Light text on a dark ground.
    Dark,
    /// Dark text on a light ground.
    Light,
    /// No colours.
    Mono,
}

/// How the dashboard looks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreenConfig {
    /// Colours.
    pub theme: Theme,
    /// Whether clicks and the wheel are captured at the start.
    pub mouse: bool,
    /// Braille charts; off means dots that every font has.
    pub braille: bool,
    /// Most redraws per second, 1 to 30.
    pub frames_per_second: u32,
}
