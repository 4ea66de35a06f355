//! The model of a cell: sizes, parts and, where heads are compared at equal parameters, the MLP that makes them equal. Pure.

use super::assemble::{Refused, refuse};
use super::cells::Cell;
use super::facts::CorpusFacts;
use super::fits::countable;
use crate::core::cost::{parameters, parameters_per_unit};
use crate::core::legal;
use crate::core::study::{HeadDim, StudySpec};
use crate::core::{ModelSpec, ObjectiveSpec, Position};

/// The model of a cell; if heads of several sizes are compared at equal parameters, with the MLP that makes them so.
pub(super) fn model_of(
    study: &StudySpec,
    corpus: &CorpusFacts,
    cell: &Cell,
    objective: &ObjectiveSpec,
    name: &str,
) -> Result<ModelSpec, Refused> {
    let of = |head_dim| sized(study, corpus, &Cell { head_dim, ..*cell }, objective, name);
    let mut model = of(cell.head_dim)?;
    if study.model.match_parameters {
        // Sizes that do not go with this cell are refused where they stand.
        let others = study.model.head_dim.iter().filter_map(|head_dim| of(*head_dim).ok());
        let most = others.map(|other| parameters(&other)).max().unwrap_or(0);
        model.d_ff += matching_units(&model, most);
    }
    legal::model(&model).or_else(|reason| refuse(name, reason))?;
    Ok(model)
}

/// Hidden units that bring `model` as close as they can to `most` parameters (Bhojanapalli et al. 2020, arXiv 2002.07028,
/// §4.1, widens the MLP of the baseline).
#[expect(clippy::cast_possible_truncation, reason = "far below 2^52")]
fn matching_units(model: &ModelSpec, most: u64) -> usize {
    let unit = parameters_per_unit(model).max(1);
    ((most.saturating_sub(parameters(model)) + unit / 2) / unit) as usize
}

fn sized(
    study: &StudySpec,
    corpus: &CorpusFacts,
    cell: &Cell,
    objective: &ObjectiveSpec,
    name: &str,
) -> Result<ModelSpec, Refused> {
    let (d_model, num_heads) = (cell.d_model, cell.num_heads);
    let head_dim = match cell.head_dim {
        HeadDim::Fixed(head_dim) => head_dim,
        HeadDim::Standard(_) if !d_model.is_multiple_of(num_heads) => {
            return refuse(
                name,
                format!("model.d_model {d_model} is no multiple of model.num_heads {num_heads}; set model.head_dim"),
            );
        }
        HeadDim::Standard(_) => d_model / num_heads,
    };
    let (position, mlp, norm, tied) = cell.preset.parts();
    let position = cell.position.unwrap_or(position);
    let has_blanks = objective.parts().iter().any(|part| part.task.has_blanks());
    let table = |wanted: bool| if wanted { cell.seq_len } else { 0 };
    let model = ModelSpec {
        architecture: cell.architecture,
        vocab_size: corpus.vocab_size,
        d_model,
        d_ff: cell.d_ff.unwrap_or(4 * d_model),
        num_layers: cell.num_layers,
        num_heads,
        head_dim,
        rope_theta: study.model.rope_theta,
        norm_epsilon: study.model.norm_epsilon,
        position,
        mlp: cell.mlp.unwrap_or(mlp),
        norm: cell.norm.unwrap_or(norm),
        tied_embeddings: cell.tied_embeddings.unwrap_or(tied),
        direction: cell.direction,
        max_positions: table(position == Position::Learned),
        block_positions: table(has_blanks),
    };
    countable(&model, name)?;
    Ok(model)
}
