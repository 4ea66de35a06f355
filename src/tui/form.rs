//! The composer's form: its fields, how keys change them, and how they become a study.
//! Promises: a value that cannot be read is an error that names its field; settings without a field keep the value of
//! the study the form was filled from. Must not know: how fields are drawn.

use std::collections::{BTreeMap, BTreeSet};

use crossterm::event::KeyEvent;

use crate::core::stage::Budget;
use crate::core::study::{Axis, StudySpec};
use crate::core::{Architecture, AttentionDirection, ModelPreset, Objective, Position};

use super::form_field::{about_direction, about_family, about_position};
use super::form_text::{head_dims, list, numbers, positive, single};
use super::format;
use super::text_field::TextField;

pub use super::form_field::Field;

/// Sizes by name: `d_model`, `num_layers`, `num_heads`.
pub const PRESETS: [(&str, [usize; 3]); 3] = [("nano", [64, 2, 2]), ("tiny", [128, 4, 4]), ("small", [256, 6, 8])];

/// Most choices of a kind that a suggested name tells one by one; a name is short.
const MOST_NAMED: usize = 5;

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the units of core::study::Budget")]
pub enum BudgetKind {
    Steps,
    Tokens,
    Flops,
}

impl BudgetKind {
    /// As it is written.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Tokens => "tokens",
            Self::Flops => "FLOPs",
        }
    }

    const fn turned(self, forward: bool) -> Self {
        match (self, forward) {
            (Self::Steps, true) | (Self::Flops, false) => Self::Tokens,
            (Self::Tokens, true) | (Self::Steps, false) => Self::Flops,
            (Self::Flops, true) | (Self::Tokens, false) => Self::Steps,
        }
    }
}

/// The form.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    pub(super) base: StudySpec,
    taken: Vec<String>,
    name_typed: bool,
    /// The field with the focus.
    pub focus: Field,
    /// Chosen.
    pub architectures: BTreeSet<Architecture>,
    /// Chosen.
    pub objectives: BTreeSet<Objective>,
    /// What blocks are made of: an axis of the study until it is turned.
    pub family: Axis<ModelPreset>,
    /// How places are known; `None` leaves it to the family.
    pub positions: Option<Axis<Position>>,
    /// Where bidirectional stacks look.
    pub looks: Axis<AttentionDirection>,
    /// What the budget counts.
    pub budget: BudgetKind,
    /// Corpora by name.
    pub corpora: Vec<String>,
    /// The chosen one; one past the end means the path.
    pub corpus: usize,
    texts: BTreeMap<Field, TextField>,
    /// What is wrong, and where.
    pub error: Option<(Field, String)>,
}

/// The choice after or before `now`; the first one after something that is no choice.
fn turned<T: Copy + PartialEq>(choices: &[T], now: Option<T>, forward: bool) -> Option<T> {
    let count = choices.len();
    let at = now.and_then(|now| choices.iter().position(|choice| *choice == now));
    let to = at.map_or(0, |at| if forward { at + 1 } else { at + count - 1 });
    choices.get(to % count.max(1)).copied()
}

/// The only value of an axis.
fn only<T: Copy>(axis: &Axis<T>) -> Option<T> {
    match axis.0.as_slice() {
        [value] => Some(*value),
        _ => None,
    }
}

fn words<T: ToString>(axis: &Axis<T>) -> String {
    axis.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Form {
    /// A form filled from the config's defaults; the name is suggested until one is typed.
    #[must_use]
    pub fn new(base: &StudySpec, corpora: &[String], taken: Vec<String>) -> Self {
        let mut form = Self::filled(base, corpora);
        form.name_typed = false;
        form.taken = taken;
        form.suggest_name();
        form
    }

    /// A form filled from a study.
    #[must_use]
    pub fn filled(base: &StudySpec, corpora: &[String]) -> Self {
        let rates = base.training.learning_rate.iter().map(|rate| format::learning_rate(*rate));
        let (budget, amount) = match base.budget {
            Budget::Steps(steps) => (BudgetKind::Steps, steps.to_string()),
            Budget::Tokens(tokens) => (BudgetKind::Tokens, tokens.to_string()),
            Budget::Flops(flops) => (BudgetKind::Flops, format!("{flops:e}")),
        };
        let chosen = corpora.iter().position(|name| base.corpus.paths.as_slice() == std::slice::from_ref(name));
        let path = if chosen.is_some() { String::new() } else { base.corpus.paths.join(",") };
        let texts = [
            (Field::Name, base.name.to_string()),
            (Field::Seeds, list(&base.grid.seed)),
            (Field::DModel, list(&base.model.d_model)),
            (Field::NumLayers, list(&base.model.num_layers)),
            (Field::NumHeads, list(&base.model.num_heads)),
            (Field::HeadDim, list(&base.model.head_dim)),
            (Field::SeqLen, list(&base.training.seq_len)),
            (Field::BatchSize, base.training.batch_size.to_string()),
            (Field::LearningRate, rates.collect::<Vec<_>>().join(",")),
            (Field::BudgetAmount, amount),
            (Field::CorpusPath, path),
            (Field::Tokenizer, base.corpus.tokenizer.to_string()),
        ];
        Self {
            base: base.clone(),
            taken: Vec::new(),
            name_typed: true,
            focus: Field::Name,
            architectures: base.grid.architecture.iter().copied().collect(),
            objectives: base.grid.objective.iter().copied().collect(),
            family: base.model.preset.clone(),
            positions: base.model.position.clone(),
            looks: base.model.direction.clone(),
            budget,
            corpora: corpora.to_vec(),
            corpus: chosen.unwrap_or(corpora.len()),
            texts: texts.into_iter().map(|(field, text)| (field, TextField::new(&text))).collect(),
            error: None,
        }
    }

    /// The text of a field; `None` for a field of choices.
    #[must_use]
    pub fn text(&self, field: Field) -> Option<&TextField> {
        self.texts.get(&field)
    }

    /// The name of the size in the fields, or `custom`.
    #[must_use]
    pub fn preset(&self) -> &'static str {
        let text = |field| self.text(field).map(TextField::text).unwrap_or_default();
        let now = [Field::DModel, Field::NumLayers, Field::NumHeads].map(text);
        let same = |sizes: &[usize; 3]| sizes.map(|size| size.to_string()) == now;
        PRESETS.iter().find(|(_, sizes)| same(sizes)).map_or("custom", |(name, _)| *name)
    }

    /// The chosen corpus; `None` means the path.
    #[must_use]
    pub fn corpus_name(&self) -> Option<&str> {
        self.corpora.get(self.corpus).map(String::as_str)
    }

    /// Whether a field means anything now.
    #[must_use]
    pub fn is_live(&self, field: Field) -> bool {
        field != Field::CorpusPath || self.corpus_name().is_none()
    }

    /// Move the focus by one field.
    pub fn step(&mut self, forward: bool) {
        let live: Vec<Field> = Field::all().into_iter().filter(|field| self.is_live(*field)).collect();
        let at = live.iter().position(|field| *field == self.focus).unwrap_or(0);
        let to = if forward { at + 1 } else { at + live.len() - 1 } % live.len().max(1);
        self.focus = live.get(to).copied().unwrap_or(Field::Name);
    }

    /// Let the focused text have `key`; false if no text has the focus or it has no use for the key.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let before = self.text(self.focus).cloned();
        let used = self.texts.get_mut(&self.focus).is_some_and(|field| field.key(key));
        self.after_edit(before);
        used
    }

    /// Paste into the focused text.
    pub fn paste(&mut self, text: &str) {
        let before = self.text(self.focus).cloned();
        if let Some(field) = self.texts.get_mut(&self.focus) {
            field.insert(text.trim());
        }
        self.after_edit(before);
    }

    fn after_edit(&mut self, before: Option<TextField>) {
        if before.map(|field| field.text()) != self.text(self.focus).map(TextField::text) {
            self.error = None;
            if self.focus == Field::Name {
                self.name_typed = true;
            }
        }
    }

    /// To the other column of a grid; elsewhere turn the choice under the cursor.
    pub fn sideways(&mut self, forward: bool) {
        match self.focus.beside(forward) {
            Some(field) => self.focus = field,
            None => self.turn(forward),
        }
    }

    /// Switch or turn the choice under the cursor.
    pub fn turn(&mut self, forward: bool) {
        self.error = None;
        match self.focus {
            Field::Architecture(architecture) => toggle(&mut self.architectures, architecture),
            Field::Objective(objective) => {
                toggle(&mut self.objectives, objective);
                self.error = self.unlisted();
            }
            Field::Preset => self.turn_preset(forward),
            Field::Family => {
                self.family = turned(ModelPreset::ALL, only(&self.family), forward).unwrap_or_default().into();
            }
            Field::Positions => {
                let own = Position::ALL.iter().copied().map(Some);
                let choices: Vec<Option<Position>> = std::iter::once(None).chain(own).collect();
                let now = self.positions.as_ref().map_or(Some(None), |axis| only(axis).map(Some));
                self.positions = turned(&choices, now, forward).flatten().map(Axis::from);
            }
            Field::Looks => {
                self.looks = turned(AttentionDirection::ALL, only(&self.looks), forward).unwrap_or_default().into();
            }
            Field::BudgetKind => self.budget = self.budget.turned(forward),
            Field::Corpus => {
                let choices = self.corpora.len() + 1;
                self.corpus = (self.corpus + if forward { 1 } else { choices - 1 }) % choices;
            }
            Field::Name
            | Field::Seeds
            | Field::DModel
            | Field::NumLayers
            | Field::NumHeads
            | Field::HeadDim
            | Field::SeqLen
            | Field::BatchSize
            | Field::LearningRate
            | Field::BudgetAmount
            | Field::CorpusPath
            | Field::Tokenizer => {}
        }
        self.suggest_name();
    }

    fn turn_preset(&mut self, forward: bool) {
        let now = PRESETS.iter().position(|(name, _)| *name == self.preset());
        let to = match (now, forward) {
            (Some(at), true) => (at + 1) % PRESETS.len(),
            (Some(at), false) => (at + PRESETS.len() - 1) % PRESETS.len(),
            (None, _) => 0,
        };
        if let Some((_, sizes)) = PRESETS.get(to) {
            for (field, size) in [Field::DModel, Field::NumLayers, Field::NumHeads].into_iter().zip(sizes) {
                self.texts.insert(field, TextField::new(&size.to_string()));
            }
        }
    }

    fn suggest_name(&mut self) {
        if self.name_typed {
            return;
        }
        let join = |labels: Vec<&str>, kind: &str| {
            let many = labels.len() > MOST_NAMED;
            if many { format!("{}-{kind}", labels.len()) } else { labels.join("-").to_lowercase() }
        };
        let architectures = join(self.architectures.iter().map(|a| a.label()).collect(), "architectures");
        let objectives = join(self.objectives.iter().map(|o| o.label()).collect(), "objectives");
        let stem = [architectures, objectives].join("_").trim_matches('_').to_owned();
        let stem = if stem.is_empty() { "study".to_owned() } else { stem };
        let free = |name: &String| !self.taken.contains(name);
        let numbered = (2..).map(|number| format!("{stem}-{number}"));
        let name = std::iter::once(stem.clone()).chain(numbered).find(free).unwrap_or(stem);
        self.texts.insert(Field::Name, TextField::new(&name));
    }

    /// What stands in a choice that is turned; `None` for other fields.
    #[must_use]
    pub fn choice(&self, field: Field) -> Option<String> {
        match field {
            Field::Preset => Some(self.preset().to_owned()),
            Field::Family => Some(words(&self.family)),
            Field::Positions => Some(match (&self.positions, only(&self.family)) {
                (Some(axis), _) => words(axis),
                (None, Some(family)) => format!("preset's: {}", family.parts().0),
                (None, None) => "preset's".to_owned(),
            }),
            Field::Looks => Some(words(&self.looks)),
            Field::BudgetKind => Some(self.budget.word().to_owned()),
            Field::Corpus => Some(self.corpus_name().unwrap_or("a path").to_owned()),
            Field::Architecture(_)
            | Field::Objective(_)
            | Field::Name
            | Field::Seeds
            | Field::DModel
            | Field::NumLayers
            | Field::NumHeads
            | Field::HeadDim
            | Field::SeqLen
            | Field::BatchSize
            | Field::LearningRate
            | Field::BudgetAmount
            | Field::CorpusPath
            | Field::Tokenizer => None,
        }
    }

    /// What the chosen values of the field with the focus are.
    #[must_use]
    pub fn about(&self) -> Vec<&'static str> {
        let looks = || self.looks.iter().copied().map(about_direction).collect::<Vec<_>>();
        match self.focus {
            Field::Family => self.family.iter().copied().map(about_family).collect(),
            Field::Positions => match &self.positions {
                Some(axis) => axis.iter().copied().map(about_position).collect(),
                None => self.family.iter().map(|family| about_position(family.parts().0)).collect(),
            },
            Field::Looks => looks(),
            Field::Architecture(architecture) if architecture.has_bidirectional_stack() => {
                let usual = self.looks.iter().all(AttentionDirection::is_usual);
                if usual { Vec::new() } else { looks() }
            }
            Field::Architecture(_)
            | Field::Objective(_)
            | Field::Name
            | Field::Seeds
            | Field::Preset
            | Field::DModel
            | Field::NumLayers
            | Field::NumHeads
            | Field::HeadDim
            | Field::SeqLen
            | Field::BatchSize
            | Field::LearningRate
            | Field::BudgetKind
            | Field::BudgetAmount
            | Field::Corpus
            | Field::CorpusPath
            | Field::Tokenizer => Vec::new(),
        }
    }

    /// MIX is chosen where no tasks are listed for it, for which there is no field.
    fn unlisted(&self) -> Option<(Field, String)> {
        let mixes = self.objectives.contains(&Objective::Mixture) && self.base.objective.mixture.is_empty();
        let reason = "has no tasks yet, and no field for them: list them as objective.mixture in a study file and give it \
                      to `trilab study submit FILE`";
        mixes.then(|| (Field::Objective(Objective::Mixture), reason.to_owned()))
    }

    /// The study the fields ask for.
    ///
    /// # Errors
    /// The field that cannot be read, and why.
    pub fn study(&self) -> Result<StudySpec, (Field, String)> {
        let mut study = self.base.clone();
        let at = |field: Field| move |reason: String| (field, reason);
        let text = |field| self.text(field).map(TextField::text).unwrap_or_default().trim().to_owned();
        study.name = text(Field::Name).parse().map_err(|error| (Field::Name, format!("{error}")))?;
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
        study.corpus.paths = self.corpus_paths(&text(Field::CorpusPath)).map_err(at(Field::CorpusPath))?;
        study.corpus.tokenizer = text(Field::Tokenizer).parse().map_err(at(Field::Tokenizer))?;
        Ok(study)
    }

    fn corpus_paths(&self, path: &str) -> Result<Vec<String>, String> {
        if let Some(name) = self.corpus_name() {
            return Ok(vec![name.to_owned()]);
        }
        let paths: Vec<String> = path.split(',').map(|part| part.trim().to_owned()).filter(|p| !p.is_empty()).collect();
        if paths.is_empty() { Err("type the path of a text, or choose a corpus".to_owned()) } else { Ok(paths) }
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

fn toggle<T: Ord>(set: &mut BTreeSet<T>, value: T) {
    if !set.remove(&value) {
        set.insert(value);
    }
}
