//! Names of cells and of lineages: `CD:PLM`, `CD:FLM > adapt > mtf` as a study lists them, `CD:FLM→ND:MLM→MTF` as a lab shows them.
//! Promises: a name that is written is read as the same. Must not know: what stages are.

use serde::{Deserialize, Serialize};

use super::architecture::Architecture;
use super::objective::Objective;

/// Between the stages of a lineage.
const ARROW: char = '>';

/// An architecture with an objective, written `CD:PLM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CellName {
    /// Wiring.
    pub architecture: Architecture,
    /// Objective.
    pub objective: Objective,
}

impl TryFrom<String> for CellName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let (left, right) = text.split_once(':').unwrap_or((&text, ""));
        let architecture = Architecture::ALL.into_iter().find(|known| known.label() == left);
        let objective = Objective::ALL.into_iter().find(|known| known.label() == right);
        let cell = architecture.zip(objective).map(|(architecture, objective)| Self { architecture, objective });
        cell.ok_or_else(|| {
            let architectures = Architecture::ALL.map(Architecture::label).join(", ");
            let objectives = Objective::ALL.map(Objective::label).join(", ");
            format!("`{text}` is no cell; write it like `CD:PLM`, from {architectures} and {objectives}")
        })
    }
}

impl From<CellName> for String {
    fn from(cell: CellName) -> Self {
        format!("{}:{}", cell.architecture, cell.objective)
    }
}

/// `ED:MLM`, or with a task `ED:FT(write_span)`.
#[must_use]
pub fn cell_label(architecture: Architecture, objective: Objective, task: Option<&str>) -> String {
    let task = task.map_or_else(String::new, |task| format!("({task})"));
    format!("{architecture}:{objective}{task}")
}

/// `CD:FLM→ND:MLM→MTF`: cells one after the other; a wiring that stays is not said again.
#[must_use]
pub fn lineage_label<'c>(cells: impl Iterator<Item = &'c str>) -> String {
    let (mut label, mut wiring) = (String::new(), "");
    for cell in cells {
        let (own, objective) = cell.split_once(':').unwrap_or(("", cell));
        if !label.is_empty() {
            label.push('→');
        }
        label.push_str(if own == wiring { objective } else { cell });
        wiring = own;
    }
    label
}

/// Stages one after the other, written `CD:FLM > adapt > mtf`: a cell, then names of `[stages]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LineageName {
    /// The first stage.
    pub cell: CellName,
    /// The others.
    pub stages: Vec<String>,
}

impl TryFrom<String> for LineageName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let mut names = text.split(ARROW).map(str::trim);
        let cell = CellName::try_from(names.next().unwrap_or_default().to_owned())?;
        let stages: Vec<String> = names.map(str::to_owned).collect();
        if stages.iter().any(String::is_empty) {
            return Err(format!("`{text}` names a stage that has no name; write it like `CD:FLM > adapt > mtf`"));
        }
        Ok(Self { cell, stages })
    }
}

impl From<LineageName> for String {
    fn from(lineage: LineageName) -> Self {
        let cell = Self::from(lineage.cell);
        std::iter::once(cell).chain(lineage.stages).collect::<Vec<_>>().join(&format!(" {ARROW} "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wiring_is_said_once() {
        let label = |cells: &[&'static str]| lineage_label(cells.iter().copied());
        assert_eq!(label(&["CD:FLM"]), "CD:FLM");
        assert_eq!(label(&["CD:FLM", "ND:MLM", "ND:MTF"]), "CD:FLM→ND:MLM→MTF");
    }

    #[test]
    fn lineages_are_read_as_they_are_written() {
        let written = "ND:MLM > adapt > mtf".to_owned();
        let lineage = LineageName::try_from(written.clone()).unwrap();
        assert_eq!((lineage.cell.architecture, lineage.stages.len()), (Architecture::NonCausalDecoder, 2));
        assert_eq!(String::from(lineage), written);
        assert!(LineageName::try_from("CD:FLM > > mtf".to_owned()).unwrap_err().contains("no name"));
        assert!(LineageName::try_from("mtf > CD:FLM".to_owned()).unwrap_err().contains("is no cell"));
    }
}
