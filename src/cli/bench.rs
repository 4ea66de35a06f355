//! `trilab bench`: what this machine trains per second.

use std::time::Instant;

use anyhow::{Result, bail};

use super::arguments::{BenchCommand, Layout, PresetName};
use super::output::{print, print_json};
use crate::core::Architecture;
use crate::kernel::memory::retain_heap;
use crate::train::bench::{Meter, Preset, bench};
use crate::worker::without_pools;

pub(super) fn run(command: &BenchCommand) -> Result<()> {
    let BenchCommand::Train { arch, preset, threads, seconds, seed, json } = *command;
    if threads == 0 || !seconds.is_finite() || seconds < 0.0 {
        bail!("--threads must be at least 1 and --seconds a length of time");
    }
    without_pools()?;
    retain_heap();
    let architecture = match arch {
        Layout::Cd => Architecture::CausalDecoder,
        Layout::Nd => Architecture::NonCausalDecoder,
        Layout::Ed => Architecture::EncoderDecoder,
    };
    let preset = match preset {
        PresetName::Tiny => Preset::Tiny,
        PresetName::Small => Preset::Small,
        PresetName::Medium => Preset::Medium,
    };
    let origin = Instant::now();
    let meter = Meter {
        clock: &|| origin.elapsed().as_secs_f64(),
        cpu: &processor_seconds,
        age: &process_age,
        peak_memory: &peak_megabytes,
    };
    let report = bench(architecture, preset, threads, seconds, seed, &meter)?;
    if json { print(&(serde_json::to_string(&report)? + "\n")) } else { print_json(&report) }
}

/// Clock ticks per second in /proc, fixed in the Linux interface.
const TICKS: f64 = 100.0;

/// The fields of /proc/self/stat behind the process name.
fn stat_fields() -> Option<Vec<f64>> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(|field| field.parse().unwrap_or(f64::NAN)).collect())
}

fn processor_seconds() -> Option<f64> {
    let fields = stat_fields()?;
    Some((fields.get(11)? + fields.get(12)?) / TICKS)
}

fn process_age() -> Option<f64> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let now: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Some(now - stat_fields()?.get(19)? / TICKS)
}

fn peak_megabytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}
