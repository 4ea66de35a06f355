//! The composer's form: its fields, how keys change them, and how they become a study.
//! Promises: a value that cannot be read is an error that names its field; settings without a field keep the value of
//! the study the form was filled from. Must not know: how fields are drawn.

use std::collections::{BTreeMap, BTreeSet};

use crossterm::event::KeyEvent;

use crate::core::stage::Budget;
use crate::core::study::{Axis, StudySpec};
use crate::core::{Architecture, AttentionDirection, ModelPreset, Objective, Position};

use super::complete_path::written;
use super::form_field::{about_direction, about_family, about_position};
use super::form_text::list;
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
    /// What the path under the cursor can become, once Tab has asked.
    pub offered: Vec<String>,
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
        let path = if chosen.is_some() {
            String::new()
        } else {
            base.corpus.paths.iter().map(|path| written(path)).collect::<Vec<_>>().join(",")
        };
        let texts = [
            (Field::Name, base.name.to_string()),
            (Field::Lineages, base.grid.lineages.iter().cloned().map(String::from).collect::<Vec<_>>().join(", ")),
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
            offered: Vec::new(),
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
        match field {
            Field::Architecture(_) | Field::Objective(_) => self.lineages().is_empty(),
            _ => true,
        }
    }

    /// The lineages that are typed, as they are typed; with any, architectures and objectives are not chosen one by one.
    #[must_use]
    pub fn lineages(&self) -> Vec<String> {
        let text = self.text(Field::Lineages).map(TextField::text).unwrap_or_default();
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// Move the focus by one field.
    pub fn step(&mut self, forward: bool) {
        let live: Vec<Field> = Field::all().into_iter().filter(|field| self.is_live(*field)).collect();
        let at = live.iter().position(|field| *field == self.focus).unwrap_or(0);
        let to = if forward { at + 1 } else { at + live.len() - 1 } % live.len().max(1);
        self.focus = live.get(to).copied().unwrap_or(Field::Name);
        self.offered.clear();
    }

    /// Let the focused text have `key`; false if no text has the focus or it has no use for the key.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let mut used = false;
        self.edit(|field| used = field.key(key));
        used
    }

    /// Paste into the focused text.
    pub fn paste(&mut self, text: &str) {
        self.edit(|field| field.insert(text.trim()));
    }

    /// Change the text with the focus, if there is one. Who types a path wants its texts.
    pub(super) fn edit(&mut self, change: impl FnOnce(&mut TextField)) {
        let Some(field) = self.texts.get_mut(&self.focus) else { return };
        let before = field.text();
        change(field);
        if field.text() == before {
            return;
        }
        let is_typed = !field.is_empty();
        self.error = None;
        self.offered.clear();
        if self.focus == Field::Name {
            self.name_typed = true;
        }
        if self.focus == Field::CorpusPath && is_typed {
            self.corpus = self.corpora.len();
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
        if !self.is_live(self.focus) {
            let reason = "the lineages below say what is compared; empty that field to choose here";
            self.error = Some((self.focus, reason.to_owned()));
            return;
        }
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
            | Field::Lineages
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
            | Field::Lineages
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
            | Field::Lineages
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
    pub(super) fn unlisted(&self) -> Option<(Field, String)> {
        let mixes = self.objectives.contains(&Objective::Mixture) && self.base.objective.mixture.is_empty();
        let reason = "has no tasks yet, and no field for them: list them as objective.mixture in a study file and give it \
                      to `trilab study submit FILE`";
        mixes.then(|| (Field::Objective(Objective::Mixture), reason.to_owned()))
    }
}

fn toggle<T: Ord>(set: &mut BTreeSet<T>, value: T) {
    if !set.remove(&value) {
        set.insert(value);
    }
}
