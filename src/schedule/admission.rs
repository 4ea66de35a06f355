//! Whether new runs can be trained on this machine: what certainly cannot is refused with the numbers, what will be slow or short of
//! room is told. Pure: the caller says what the machine has.
//! Promises: runs that the lab has already are never refused, so that a study that was taken once is taken again. Must not know:
//! where the numbers of a machine come from.

use std::cmp::Reverse;

use crate::core::cost::{checkpoint_bytes, parameters, validation_bytes};
use crate::core::grid::grouped;
use crate::core::summary::{PlanReport, PlannedRun};
use crate::core::{Device, RunSpec, RunStatus};

/// What a machine has; what is absent is not known and refuses nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Bytes of memory that processes may have: all of it, or what a container was given.
    pub memory: Option<u64>,
    /// Cores that processes may use.
    pub cores: Option<usize>,
    /// Bytes that are free on the disk of the lab.
    pub disk: Option<u64>,
}

/// Runs that are named in a refusal.
const NAMED: usize = 3;

/// One part in so many of the memory is for everything that is no worker; a run may have the rest.
const SPARE: u64 = 32;

/// Why new runs of the report cannot be trained on `machine`, if so. A card has memory of its own, which is not looked at.
#[must_use]
pub fn refusal(runs: &[RunSpec], report: &PlanReport, machine: &Machine) -> Option<String> {
    let memory = machine.memory?;
    let needed = |(run, planned): (&RunSpec, &PlannedRun)| planned.memory_bytes.saturating_add(validation_bytes(run));
    let new = runs
        .iter()
        .zip(&report.runs)
        .filter(|(run, planned)| planned.existing.is_none() && run.execution.device == Device::Cpu);
    let mut large: Vec<(u64, &RunSpec, &PlannedRun)> = new
        .map(|(run, planned)| (needed((run, planned)), run, planned))
        .filter(|(bytes, ..)| *bytes > memory - memory / SPARE)
        .collect();
    large.sort_by_key(|(bytes, ..)| Reverse(*bytes));
    let (_, first, planned) = large.first()?;
    let told: Vec<String> = large
        .iter()
        .take(NAMED)
        .map(|(bytes, _, planned)| format!("{} {} about {}", planned.cell, planned.size, gibibytes(*bytes)))
        .collect();
    let more = large.len().checked_sub(NAMED).filter(|more| *more > 0);
    let more = more.map_or_else(String::new, |more| format!(", and {} more", grouped(more as u128)));
    let of_validation = validation_bytes(first) > planned.memory_bytes;
    let cure = if of_validation {
        "lower probes.validation_examples or training.seq_len"
    } else {
        "lower model.d_model, model.num_layers, training.seq_len or training.micro_batch_size"
    };
    Some(format!(
        "this machine has {} of memory, too little for {} of {} runs: {}{more}; {cure}, or use `trilab study submit --force` if a \
         larger machine will train them",
        gibibytes(memory),
        grouped(large.len() as u128),
        grouped(report.runs.len() as u128),
        told.join(", "),
    ))
}

/// What a person should know before runs are trained on `machine` by `slots` workers at a time.
#[must_use]
pub fn remarks(runs: &[RunSpec], report: &PlanReport, machine: &Machine, slots: usize) -> Vec<String> {
    let mut remarks = Vec::new();
    let unfinished =
        || runs.iter().zip(&report.runs).filter(|(_, planned)| planned.existing != Some(RunStatus::Finished));
    let at_once = slots.min(unfinished().count());
    if let Some(memory) = machine.memory.filter(|memory| at_once > 1 && report.memory_bytes > *memory) {
        remarks.push(format!(
            "{at_once} runs at once need about {} of memory, and this machine has {}; set lab.slots to less, or lower the sizes",
            gibibytes(report.memory_bytes),
            gibibytes(memory)
        ));
    }
    let threads = unfinished().map(|(run, _)| run.execution.threads).max().unwrap_or(0);
    if let Some(cores) = machine.cores.filter(|cores| threads.saturating_mul(at_once) > *cores) {
        remarks.push(if at_once == 1 {
            format!("execution.threads is {threads} and this machine has {cores} cores, so that threads wait for one another; lower it")
        } else {
            format!(
                "{at_once} runs at once with execution.threads = {threads} share {cores} cores and slow each other down; lower \
                 execution.threads or lab.slots"
            )
        });
    }
    let checkpoints = unfinished().map(|(run, _)| all_checkpoints(run)).fold(0, u64::saturating_add);
    if let Some(disk) = machine.disk.filter(|disk| checkpoints > *disk) {
        remarks.push(format!(
            "the checkpoints of these runs come to about {}, and the disk of the lab has {} free; lower probes.keep_checkpoints or \
             make room",
            gibibytes(checkpoints),
            gibibytes(disk)
        ));
    }
    remarks
}

/// Bytes of all checkpoints of a run that are there at the same time.
fn all_checkpoints(run: &RunSpec) -> u64 {
    let probes = &run.probes;
    let made = run.training.steps.div_ceil(probes.checkpoint_every.max(1));
    let kept = made.min(probes.keep_checkpoints as u64).saturating_add(probes.keep_steps.len() as u64);
    checkpoint_bytes(parameters(&run.model)).saturating_mul(kept)
}

/// `262,170 GiB`, `1.5 GiB`.
#[expect(clippy::cast_precision_loss, reason = "one decimal of a gibibyte")]
fn gibibytes(bytes: u64) -> String {
    let whole = bytes >> 30;
    if whole >= 100 {
        format!("{} GiB", grouped(u128::from(whole)))
    } else {
        format!("{:.1} GiB", bytes as f64 / (1_u64 << 30) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gibibytes_are_written_for_people() {
        assert_eq!([0, 1_610_612_736, 262_170 << 30].map(gibibytes), ["0.0 GiB", "1.5 GiB", "262,170 GiB"]);
    }
}
