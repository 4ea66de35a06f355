//! Which architectures and objectives a screen of cells shows: the three of each that the comparison began with, and every
//! other one that occurs among what is shown, in the order of tables. Pure.
//! Promises: whatever occurs has a row and a column; a lab of the classical cells looks as if there were no others.
//! Must not know: what is shown in a cell, how much room there is.

use std::collections::BTreeSet;

use crate::core::{Architecture, Objective};

/// Always shown.
const CLASSICAL_ARCHITECTURES: [Architecture; 3] =
    [Architecture::CausalDecoder, Architecture::NonCausalDecoder, Architecture::EncoderDecoder];
/// Always shown.
const CLASSICAL_OBJECTIVES: [Objective; 3] = [Objective::FullLm, Objective::PrefixLm, Objective::SpanCorruption];

/// Rows and columns of a screen of cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cells {
    /// Rows, in order.
    pub architectures: Vec<Architecture>,
    /// Columns, in order.
    pub objectives: Vec<Objective>,
}

/// What is shown where `occurring` are the cells of runs or rows.
#[must_use]
pub fn shown(occurring: impl IntoIterator<Item = (Architecture, Objective)>) -> Cells {
    let mut architectures = BTreeSet::from(CLASSICAL_ARCHITECTURES);
    let mut objectives = BTreeSet::from(CLASSICAL_OBJECTIVES);
    for (architecture, objective) in occurring {
        architectures.insert(architecture);
        objectives.insert(objective);
    }
    Cells {
        architectures: Architecture::ALL.into_iter().filter(|known| architectures.contains(known)).collect(),
        objectives: Objective::ALL.into_iter().filter(|known| objectives.contains(known)).collect(),
    }
}

impl Cells {
    /// The row of an architecture.
    #[must_use]
    pub fn row(&self, architecture: Architecture) -> Option<usize> {
        self.architectures.iter().position(|shown| *shown == architecture)
    }

    /// The column of an objective.
    #[must_use]
    pub fn column(&self, objective: Objective) -> Option<usize> {
        self.objectives.iter().position(|shown| *shown == objective)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(cells: &Cells) -> String {
        let architectures = cells.architectures.iter().map(|architecture| architecture.label());
        architectures.chain(cells.objectives.iter().map(|objective| objective.label())).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_classical_cells_are_there_and_others_once_they_occur() {
        assert_eq!(labels(&shown([])), "CD ND ED FLM PLM MLM");
        let occurring = [
            (Architecture::EncoderOnly, Objective::MaskedLm),
            (Architecture::CausalDecoder, Objective::Ul2),
            (Architecture::SharedEncoderDecoder, Objective::PrefixLm),
            (Architecture::NonCausalDecoder, Objective::BlankInfilling),
        ];
        let cells = shown(occurring);
        assert_eq!(labels(&cells), "CD ND ED EDS EO FLM PLM MLM BERT GLM UL2");
        assert_eq!((cells.row(Architecture::EncoderOnly), cells.column(Objective::Ul2)), (Some(4), Some(5)));
        assert_eq!((cells.row(Architecture::HalfEncoderDecoder), cells.column(Objective::Mixture)), (None, None));
        let all = Architecture::ALL.into_iter().flat_map(|a| Objective::ALL.map(|o| (a, o)));
        assert_eq!(shown(all).architectures, Architecture::ALL);
    }
}
