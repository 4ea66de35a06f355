//! From the fields of the composer's form to the study that they ask for.
//! Promises: what cannot be read is told at its field; what has no field is as in the study that the form was filled from.
//! Must not know: keys, how fields are drawn.

use std::collections::BTreeSet;

use crate::core::cell::LineageName;
use crate::core::grid;
use crate::core::stage::Budget;
use crate::core::study::{Axis, StudySpec};
use crate::core::{Architecture, Objective};

use super::form::{BudgetKind, Field, Form};
use super::form_text::{head_dims, numbers, positive, single};
use super::text_field::TextField;

impl Form {
    /// The study the fields ask for.
    ///
    /// # Errors
    /// The field that cannot be read, and why.
    pub fn study(&self) -> Result<StudySpec, (Field, String)> {
        let mut study = self.base.clone();
        let at = |field: Field| move |reason: String| (field, reason);
        let text = |field| self.text(field).map(TextField::text).unwrap_or_default().trim().to_owned();
        study.name = text(Field::Name).parse().map_err(|error| (Field::Name, format!("{error}")))?;
        let lineages = self.lineages().into_iter().map(LineageName::try_from).collect::<Result<Vec<_>, _>>();
        study.grid.lineages = lineages.map_err(at(Field::Lineages))?;
        if study.grid.lineages.is_empty() {
            self.choose_cells(&mut study)?;
        }
        let named: BTreeSet<String> = study
            .grid
            .lineages
            .iter()
            .flat_map(|lineage| &lineage.stages)
            .chain(study.grid.then.iter().flatten())
            .cloned()
            .collect();
        study.stages.retain(|name, _| named.contains(name));
        study.grid.seed = Axis(numbers(&text(Field::Seeds), "1,2").map_err(at(Field::Seeds))?);
        let sizes = |field: Field, example| positive(&text(field), example).map_err(at(field));
        study.model.d_model = sizes(Field::DModel, "64,128")?;
        study.model.num_layers = sizes(Field::NumLayers, "2,4")?;
        study.model.num_heads = sizes(Field::NumHeads, "4")?;
        study.model.head_dim = head_dims(&text(Field::HeadDim)).map_err(at(Field::HeadDim))?;
        study.model.preset = self.family.clone();
        study.model.position.clone_from(&self.positions);
        study.model.direction = self.looks.clone();
        study.training.seq_len = sizes(Field::SeqLen, "128")?;
        study.training.batch_size = single(&text(Field::BatchSize), "16").map_err(at(Field::BatchSize))?;
        let rates: Vec<f64> = numbers(&text(Field::LearningRate), "1e-3,3e-4").map_err(at(Field::LearningRate))?;
        if let Some(rate) = rates.iter().find(|rate| !rate.is_finite() || **rate <= 0.0) {
            return Err((Field::LearningRate, format!("`{rate}` is not above 0")));
        }
        study.training.learning_rate = Axis(rates);
        study.budget = self.budget_of(&text(Field::BudgetAmount)).map_err(at(Field::BudgetAmount))?;
        study.corpus.paths = self.corpus_paths().map_err(at(Field::CorpusPath))?;
        study.corpus.tokenizer = text(Field::Tokenizer).parse().map_err(at(Field::Tokenizer))?;
        grid::count(&study).map_err(|error| (Field::Seeds, error.to_string()))?;
        Ok(study)
    }

    /// Lets `study` compare what is ticked.
    fn choose_cells(&self, study: &mut StudySpec) -> Result<(), (Field, String)> {
        if self.architectures.is_empty() {
            let field = Field::Architecture(Architecture::CausalDecoder);
            return Err((field, "choose at least one architecture with Space".to_owned()));
        }
        let objective_field = Field::Objective(Objective::FullLm);
        if self.objectives.is_empty() {
            return Err((objective_field, "choose at least one objective with Space".to_owned()));
        }
        if let Some(error) = self.unlisted() {
            return Err(error);
        }
        if self.legal_cells() == 0 {
            let reason = self.illegal().first().map(ToString::to_string).unwrap_or_default();
            return Err((objective_field, format!("no legal cell is chosen: {reason}")));
        }
        study.grid.architecture = Axis(self.architectures.iter().copied().collect());
        study.grid.objective = Axis(self.objectives.iter().copied().collect());
        Ok(())
    }

    fn budget_of(&self, text: &str) -> Result<Budget, String> {
        let amount: f64 = text.replace('_', "").parse().map_err(|_| format!("`{text}` is not a number like 2000"))?;
        if !amount.is_finite() || amount < 1.0 {
            return Err(format!("`{text}` is below 1"));
        }
        Ok(match self.budget {
            BudgetKind::Steps => Budget::Steps(amount.round() as u64),
            BudgetKind::Tokens => Budget::Tokens(amount.round() as u64),
            BudgetKind::Flops => Budget::Flops(amount),
        })
    }
}
