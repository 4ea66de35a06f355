//! The product of a study's axes: every cell, and the stages that follow it. Pure.
//! Must not know: what a cell is made of.

use crate::core::cell::CellName;
use crate::core::grid::NO_STAGE;
use crate::core::study::{Axis, HeadDim, StudySpec};
use crate::core::{Architecture, AttentionDirection, Mlp, ModelPreset, NormKind, Objective, Position};

/// One combination of the axes.
#[derive(Clone, Copy)]
pub(super) struct Cell {
    pub(super) seed: u64,
    pub(super) architecture: Architecture,
    pub(super) objective: Objective,
    pub(super) d_model: usize,
    pub(super) num_layers: usize,
    pub(super) num_heads: usize,
    pub(super) head_dim: HeadDim,
    pub(super) d_ff: Option<usize>,
    pub(super) preset: ModelPreset,
    pub(super) position: Option<Position>,
    pub(super) mlp: Option<Mlp>,
    pub(super) norm: Option<NormKind>,
    pub(super) tied_embeddings: Option<bool>,
    pub(super) direction: AttentionDirection,
    pub(super) loss_on_inputs: bool,
    pub(super) seq_len: usize,
    pub(super) learning_rate: f64,
}

/// A cell and the stages that follow it.
#[derive(Clone)]
pub(super) struct Chain<'s> {
    pub(super) cell: Cell,
    /// Names of the study's stages.
    pub(super) stages: Vec<&'s str>,
}

/// The product of the axes, seeds outermost, and of what may follow. For a study that was counted.
pub(super) fn chains<'s>(study: &'s StudySpec) -> Vec<Chain<'s>> {
    fn optional<T: Copy>(axis: Option<&Axis<T>>) -> Vec<Option<T>> {
        axis.map_or_else(|| vec![None], |axis| axis.iter().copied().map(Some).collect())
    }
    fn product<T: Copy>(cells: Vec<Cell>, values: &[T], set: impl Fn(&mut Cell, T)) -> Vec<Cell> {
        let with = |cell: Cell, value: T| {
            let mut cell = cell;
            set(&mut cell, value);
            cell
        };
        cells
            .into_iter()
            .flat_map(|cell| values.iter().map(move |value| (cell, *value)))
            .map(|(c, v)| with(c, v))
            .collect()
    }
    let start = Cell {
        seed: 0,
        architecture: Architecture::CausalDecoder,
        objective: Objective::FullLm,
        d_model: 0,
        num_layers: 0,
        num_heads: 0,
        head_dim: HeadDim::STANDARD,
        d_ff: None,
        preset: ModelPreset::Llama,
        position: None,
        mlp: None,
        norm: None,
        tied_embeddings: None,
        direction: AttentionDirection::Both,
        loss_on_inputs: false,
        seq_len: 0,
        learning_rate: 0.0,
    };
    let (model, training) = (&study.model, &study.training);
    let cells = product(vec![start], &study.grid.seed.0, |cell, value| cell.seed = value);
    let cells = product(cells, &model.d_model.0, |cell, value| cell.d_model = value);
    let cells = product(cells, &model.num_layers.0, |cell, value| cell.num_layers = value);
    let cells = product(cells, &model.num_heads.0, |cell, value| cell.num_heads = value);
    let cells = product(cells, &model.head_dim.0, |cell, value| cell.head_dim = value);
    let cells = product(cells, &optional(model.d_ff.as_ref()), |cell, value| cell.d_ff = value);
    let cells = product(cells, &model.preset.0, |cell, value| cell.preset = value);
    let cells = product(cells, &optional(model.position.as_ref()), |cell, value| cell.position = value);
    let cells = product(cells, &optional(model.mlp.as_ref()), |cell, value| cell.mlp = value);
    let cells = product(cells, &optional(model.norm.as_ref()), |cell, value| cell.norm = value);
    let cells = product(cells, &optional(model.tied_embeddings.as_ref()), |cell, value| cell.tied_embeddings = value);
    let cells = product(cells, &model.direction.0, |cell, value| cell.direction = value);
    let cells = product(cells, &study.objective.loss_on_inputs.0, |cell, value| cell.loss_on_inputs = value);
    let cells = product(cells, &training.seq_len.0, |cell, value| cell.seq_len = value);
    let cells = product(cells, &training.learning_rate.0, |cell, value| cell.learning_rate = value);
    let lineages = lineages(study);
    let mut chains = Vec::with_capacity(cells.len().saturating_mul(lineages.len()));
    for cell in cells {
        for (CellName { architecture, objective }, stages) in &lineages {
            let cell = Cell { architecture: *architecture, objective: *objective, ..cell };
            chains.push(Chain { cell, stages: stages.clone() });
        }
    }
    chains
}

/// What every combination of the other axes begins with, and the stages that follow it. For a study that was counted.
pub(super) fn lineages(study: &StudySpec) -> Vec<(CellName, Vec<&str>)> {
    let grid = &study.grid;
    let mut lineages: Vec<(CellName, Vec<&str>)> = if grid.lineages.is_empty() {
        let all = grid.architecture.iter().flat_map(|a| grid.objective.iter().map(move |o| (*a, *o)));
        let named = all.map(|(architecture, objective)| CellName { architecture, objective });
        named.filter(|cell| !grid.exclude.contains(cell)).map(|cell| (cell, Vec::new())).collect()
    } else {
        let listed = grid.lineages.iter();
        listed.map(|lineage| (lineage.cell, lineage.stages.iter().map(String::as_str).collect())).collect()
    };
    for axis in &grid.then {
        lineages = lineages
            .iter()
            .flat_map(|(cell, stages)| {
                axis.iter().map(move |stage| {
                    let mut stages = stages.clone();
                    stages.extend((stage != NO_STAGE).then_some(stage.as_str()));
                    (*cell, stages)
                })
            })
            .collect();
    }
    lineages
}
