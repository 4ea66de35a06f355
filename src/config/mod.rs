//! `config.toml`: the shipped default and the manual in one, embedded in the binary; a file in the working directory
//! or `--config` lies over it, and a study file over its sections from `[grid]` on.
//! Promises: unknown keys and wrong types are refused with file, line and the nearest known key.
//! Must not know: what the settings do.

pub mod files;
mod layers;
mod load;
mod neighbour;
pub mod paths;
mod shipped;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::core::stage::Budget;
use crate::core::study::{
    ExecutionSettings, GridSettings, ModelSettings, ObjectiveSettings, ProbeSettings, TrainingSettings,
};
use crate::core::texts::CorpusSettings;

pub use layers::{ConfigError, Layer};
pub use load::{Override, SHIPPED_CONFIG, load_config, load_study, parse_override, read_study, save_study};
pub use neighbour::{UnusableNeighbour, load_neighbour};
pub use shipped::{ShippedStudy, shipped_studies};

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

/// Everything in `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How the lab runs.
    pub lab: LabConfig,
    /// How the dashboard looks.
    pub screen: ScreenConfig,
    /// Defaults of studies.
    pub grid: GridSettings,
    /// Defaults of studies.
    pub corpus: CorpusSettings,
    /// Defaults of studies.
    pub model: ModelSettings,
    /// Defaults of studies.
    pub objective: ObjectiveSettings,
    /// Defaults of studies.
    pub training: TrainingSettings,
    /// Defaults of studies.
    pub budget: Budget,
    /// Defaults of studies.
    pub probes: ProbeSettings,
    /// Defaults of studies.
    pub execution: ExecutionSettings,
}
