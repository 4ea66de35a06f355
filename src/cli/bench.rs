//! `trilab bench`: what this machine trains per second.

use std::time::Instant;

use anyhow::{Result, bail};

use super::arguments::{BenchCommand, Layout, PrecisionName, PresetName, SizeOptions};
use super::output::{print_json, print_json_lines};
use crate::core::{Architecture, Precision};
use crate::kernel::memory::keep_large_blocks;
use crate::train::bench::{Meter, Preset, Settings, Sizes, bench};
use crate::worker::without_pools;

pub(super) fn run(command: &BenchCommand) -> Result<()> {
    let BenchCommand::Train { arch, preset, sizes, precision, threads, seconds, seed, json } = *command;
    if threads == 0 || !seconds.is_finite() || seconds < 0.0 {
        bail!("--threads must be at least 1 and --seconds a length of time");
    }
    without_pools()?;
    keep_large_blocks();
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
    let sizes = changed(preset.sizes(), sizes)?;
    let precision = match precision {
        PrecisionName::F32 => Precision::F32,
        PrecisionName::Bf16 => Precision::Bf16,
    };
    let settings = Settings { architecture, preset, sizes, precision, threads, seconds, seed };
    let origin = Instant::now();
    let meter = Meter {
        clock: &|| origin.elapsed().as_secs_f64(),
        cpu: &processor_seconds,
        age: &process_age,
        peak_memory: &peak_megabytes,
    };
    let report = bench(&settings, &meter)?;
    if json { print_json_lines(&(serde_json::to_string(&report)? + "\n")) } else { print_json(&report) }
}

/// The sizes of a preset with those that were asked for instead.
fn changed(preset: Sizes, options: SizeOptions) -> Result<Sizes> {
    let d_model = options.d_model.unwrap_or(preset.d_model);
    let num_heads = options.num_heads.unwrap_or(preset.num_heads);
    let sizes = Sizes {
        num_layers: options.num_layers.unwrap_or(preset.num_layers),
        d_model,
        num_heads,
        head_dim: options.head_dim.unwrap_or(d_model / num_heads.max(1)),
        d_ff: options.d_ff.unwrap_or(preset.d_ff),
        vocab_size: options.vocab_size.unwrap_or(preset.vocab_size),
        length: options.seq_len.unwrap_or(preset.length),
        rows: options.batch_size.unwrap_or(preset.rows),
    };
    let Sizes { num_layers, d_model, num_heads, head_dim, d_ff, vocab_size, length, rows } = sizes;
    if [num_layers, d_model, num_heads, head_dim, d_ff, vocab_size, length, rows].contains(&0) {
        bail!("every size must be at least 1");
    }
    if !head_dim.is_multiple_of(2) || length < 4 {
        bail!("--head-dim must be even, because rotary positions turn pairs, and --seq-len at least 4");
    }
    Ok(sizes)
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
