//! How many runs a study asks for, counted before anything is expanded.
//! Promises: counting takes no longer than reading the study, whatever the product is, and no number overflows; cells that
//! cannot be trained and runs that are alike count as well. Must not know: what a cell is made of, which cells are legal.

use std::collections::{BTreeMap, BTreeSet};

use super::architecture::Architecture;
use super::objective::Objective;
use super::study::StudySpec;

/// Runs of one study at most: a server plans, writes and shows as many without a pause that a person would notice.
pub const MOST_RUNS: usize = 20_000;

/// Stages of a study, of a lineage and axes of stages at most; longer lists are refused before they are expanded.
pub const MOST_STAGES: usize = 64;

/// No stage, in an axis of stages.
pub const NO_STAGE: &str = "-";

/// A study asks for more runs than one study may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the grid has {} runs ({factors}); a study may have {}: list fewer values, or make several studies of it",
    grouped(*runs), grouped(MOST_RUNS as u128)
)]
pub struct TooManyRuns {
    /// What the axes multiply to; beyond 2^128 that number.
    pub runs: u128,
    /// The axes with more than one value, and how many each has.
    factors: String,
}

/// Whether a study is small enough to be expanded, and how many runs it asks for at most.
///
/// # Errors
/// It has more than [`MOST_RUNS`]; the error names the axes.
pub fn count(study: &StudySpec) -> Result<u128, TooManyRuns> {
    let axes = axes(study);
    let product =
        |factors: &[(&str, u128)]| factors.iter().fold(1, |product: u128, (_, values)| product.saturating_mul(*values));
    let refuse = |runs: u128, more: Vec<(&str, u128)>| {
        let factors = axes.iter().cloned().chain(more).filter(|(_, values)| *values > 1);
        let factors: Vec<String> = factors.map(|(key, values)| format!("{key} {}", grouped(values))).collect();
        Err(TooManyRuns { runs, factors: factors.join(" × ") })
    };
    let then = study.grid.then.iter().fold(1, |product: u128, axis| product.saturating_mul(axis.len() as u128));
    // Every chain of stages ends in a run of its own, so that this is never too much.
    let (begun, which) = begun(study);
    let chains = product(&axes).saturating_mul(begun).saturating_mul(then);
    if chains > MOST_RUNS as u128 {
        return refuse(chains, which.into_iter().chain([("grid.then", then)]).collect());
    }
    let runs = product(&axes).saturating_mul(runs_of_a_cell(study, begun));
    if runs > MOST_RUNS as u128 {
        let stages = [("grid.then", then), ("stages", study.stages.len() as u128)];
        return refuse(runs, which.into_iter().chain(stages).collect());
    }
    Ok(runs)
}

/// The axes that multiply whatever a cell is, and how many values each has.
fn axes(study: &StudySpec) -> Vec<(&'static str, u128)> {
    fn optional<T>(axis: Option<&super::study::Axis<T>>) -> usize {
        axis.map_or(1, |axis| axis.0.len())
    }
    let (model, training) = (&study.model, &study.training);
    let axes = [
        ("grid.seed", study.grid.seed.0.len()),
        ("model.d_model", model.d_model.0.len()),
        ("model.num_layers", model.num_layers.0.len()),
        ("model.num_heads", model.num_heads.0.len()),
        ("model.head_dim", model.head_dim.0.len()),
        ("model.d_ff", optional(model.d_ff.as_ref())),
        ("model.preset", model.preset.0.len()),
        ("model.position", optional(model.position.as_ref())),
        ("model.mlp", optional(model.mlp.as_ref())),
        ("model.norm", optional(model.norm.as_ref())),
        ("model.tied_embeddings", optional(model.tied_embeddings.as_ref())),
        ("model.direction", model.direction.0.len()),
        ("objective.loss_on_inputs", study.objective.loss_on_inputs.0.len()),
        ("training.seq_len", training.seq_len.0.len()),
        ("training.learning_rate", training.learning_rate.0.len()),
    ];
    axes.map(|(key, values)| (key, values as u128)).into()
}

/// Cells or lineages that every combination of the axes begins with, and what they are the product of.
fn begun(study: &StudySpec) -> (u128, Vec<(&'static str, u128)>) {
    let grid = &study.grid;
    if !grid.lineages.is_empty() {
        let lineages = grid.lineages.len() as u128;
        return (lineages, vec![("grid.lineages", lineages)]);
    }
    let (architectures, objectives) = (grid.architecture.0.len() as u128, grid.objective.0.len() as u128);
    let all = architectures * objectives;
    let which = vec![("grid.architecture", architectures), ("grid.objective", objectives)];
    // More than there are can only be the same ones over and over; nobody needs to know how many are excluded of them.
    if all > MOST_RUNS as u128 || grid.exclude.is_empty() {
        return (all, which);
    }
    let excluded: BTreeSet<(Architecture, Objective)> =
        grid.exclude.iter().map(|cell| (cell.architecture, cell.objective)).collect();
    let cells = grid.architecture.iter().flat_map(|a| grid.objective.iter().map(move |o| (*a, *o)));
    (cells.filter(|cell| !excluded.contains(cell)).count() as u128, which)
}

/// Runs of all chains that begin with one combination of the axes: what they have in common is one run. For chains that were
/// counted and are few; of those that are too long only the beginning is counted.
fn runs_of_a_cell(study: &StudySpec, begun: u128) -> u128 {
    let grid = &study.grid;
    if study.stages.is_empty() {
        return begun;
    }
    let mut cells: BTreeMap<(Architecture, Objective), BTreeSet<Vec<&str>>> = BTreeMap::new();
    for lineage in &grid.lineages {
        let stages = lineage.stages.iter().take(MOST_STAGES).map(String::as_str).collect();
        cells.entry((lineage.cell.architecture, lineage.cell.objective)).or_default().insert(stages);
    }
    if grid.lineages.is_empty() {
        return begun.saturating_mul(chain_runs(study, BTreeSet::from([Vec::new()])));
    }
    cells.into_values().fold(0, |sum: u128, begun| sum.saturating_add(chain_runs(study, begun)))
}

/// Runs of one cell that goes on through the stages of each of `begun`, and then along `grid.then`.
fn chain_runs<'s>(study: &'s StudySpec, begun: BTreeSet<Vec<&'s str>>) -> u128 {
    let mut known: BTreeSet<Vec<&str>> = BTreeSet::new();
    for stages in &begun {
        known.extend((0..=stages.len()).filter_map(|length| stages.get(..length).map(<[&str]>::to_vec)));
    }
    let mut ends = begun;
    for axis in study.grid.then.iter().take(MOST_STAGES) {
        let with = |chain: &Vec<&'s str>, stage: &'s String| {
            let mut chain = chain.clone();
            chain.extend((stage != NO_STAGE).then_some(stage.as_str()));
            chain
        };
        ends = ends.iter().flat_map(|chain| axis.iter().map(move |stage| with(chain, stage))).collect();
        known.extend(ends.iter().cloned());
    }
    known.len() as u128
}

/// `1,234,567`.
#[must_use]
pub fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_written_in_groups() {
        let told = [0, 999, 1_000, 1_234_567, 33_554_432].map(grouped);
        assert_eq!(told, ["0", "999", "1,000", "1,234,567", "33,554,432"]);
        assert_eq!(grouped(u128::MAX).len(), 51);
    }
}
