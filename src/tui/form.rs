//! The composer's form: its fields, how keys change them, and how they become a study.
//! Promises: a value that cannot be read is an error that names its field; settings without a field keep the value of
//! the study the form was filled from. Must not know: how fields are drawn.

use std::collections::{BTreeMap, BTreeSet};

use crossterm::event::KeyEvent;

use crate::core::study::{Axis, Budget, HeadDim, StudySpec};
use crate::core::{Architecture, Objective, ObjectiveSpec, legal};

use super::format;
use super::text_field::TextField;

/// A place in the form that can have the focus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each field is described by its label and its hint")]
pub enum Field {
    Name,
    Architecture(Architecture),
    Objective(Objective),
    Seeds,
    Preset,
    DModel,
    NumLayers,
    NumHeads,
    HeadDim,
    SeqLen,
    BatchSize,
    LearningRate,
    BudgetKind,
    BudgetAmount,
    Corpus,
    CorpusPath,
    Tokenizer,
}

impl Field {
    /// All, in the order of Tab.
    pub const ALL: [Self; 21] = [
        Self::Name,
        Self::Architecture(Architecture::CausalDecoder),
        Self::Architecture(Architecture::NonCausalDecoder),
        Self::Architecture(Architecture::EncoderDecoder),
        Self::Objective(Objective::FullLm),
        Self::Objective(Objective::PrefixLm),
        Self::Objective(Objective::SpanCorruption),
        Self::Seeds,
        Self::Preset,
        Self::DModel,
        Self::NumLayers,
        Self::NumHeads,
        Self::HeadDim,
        Self::SeqLen,
        Self::BatchSize,
        Self::LearningRate,
        Self::BudgetKind,
        Self::BudgetAmount,
        Self::Corpus,
        Self::CorpusPath,
        Self::Tokenizer,
    ];

    /// The word before the value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Name => "study name",
            Self::Architecture(architecture) => architecture.label(),
            Self::Objective(objective) => objective.label(),
            Self::Seeds => "seeds",
            Self::Preset => "size",
            Self::DModel => "d_model",
            Self::NumLayers => "num_layers",
            Self::NumHeads => "num_heads",
            Self::HeadDim => "head_dim",
            Self::SeqLen => "seq_len",
            Self::BatchSize => "batch_size",
            Self::LearningRate => "learning_rate",
            Self::BudgetKind => "budget in",
            Self::BudgetAmount => "budget",
            Self::Corpus => "corpus",
            Self::CorpusPath => "path",
            Self::Tokenizer => "tokenizer",
        }
    }

    /// What may be put there.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Name => "a-z, 0-9, `-`, `_` and `.`; also the name of its folder",
            Self::Architecture(architecture) => architecture.description(),
            Self::Objective(objective) => objective.description(),
            Self::Seeds => "one run per seed, as in 1,2,3; more seeds make narrower intervals",
            Self::Preset => "nano, tiny or small fill the three fields below; ← → or Space to change",
            Self::DModel => "width of the residual stream; a list like 64,128 makes an axis of the grid",
            Self::NumLayers => "blocks of a stack; a list makes an axis",
            Self::NumHeads => "attention heads; a list makes an axis",
            Self::HeadDim => {
                "size of a head; standard means d_model / num_heads; a list like standard,16 makes an axis"
            }
            Self::SeqLen => "positions of one example, inputs and targets together; a list makes an axis",
            Self::BatchSize => "examples per optimizer step",
            Self::LearningRate => "peak of AdamW, as in 1e-3; a list makes an axis",
            Self::BudgetKind => "how long a run is: optimizer steps, training positions or FLOPs; ← → to change",
            Self::BudgetAmount => "how many, as in 2000, 1e6 or 2.5e12",
            Self::Corpus => "texts to learn from; ← → or Space to change",
            Self::CorpusPath => "a .txt or .jsonl file or a folder of them; several with commas",
            Self::Tokenizer => "bytes, chars, bpe:SIZE or the path of a tokenizer.json",
        }
    }
}

/// Sizes by name: `d_model`, `num_layers`, `num_heads`.
pub const PRESETS: [(&str, [usize; 3]); 3] = [("nano", [64, 2, 2]), ("tiny", [128, 4, 4]), ("small", [256, 6, 8])];

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
    base: StudySpec,
    taken: Vec<String>,
    name_typed: bool,
    /// The field with the focus.
    pub focus: Field,
    /// Chosen.
    pub architectures: BTreeSet<Architecture>,
    /// Chosen.
    pub objectives: BTreeSet<Objective>,
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

fn list<T: ToString>(axis: &Axis<T>) -> String {
    axis.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
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
        let live: Vec<Field> = Field::ALL.into_iter().filter(|field| self.is_live(*field)).collect();
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

    /// Switch or turn the choice under the cursor.
    pub fn turn(&mut self, forward: bool) {
        self.error = None;
        match self.focus {
            Field::Architecture(architecture) => toggle(&mut self.architectures, architecture),
            Field::Objective(objective) => toggle(&mut self.objectives, objective),
            Field::Preset => self.turn_preset(forward),
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
        let join = |labels: Vec<&str>| labels.join("-").to_lowercase();
        let architectures = join(self.architectures.iter().map(|a| a.label()).collect());
        let objectives = join(self.objectives.iter().map(|o| o.label()).collect());
        let stem = [architectures, objectives].join("_").trim_matches('_').to_owned();
        let stem = if stem.is_empty() { "study".to_owned() } else { stem };
        let free = |name: &String| !self.taken.contains(name);
        let numbered = (2..).map(|number| format!("{stem}-{number}"));
        let name = std::iter::once(stem.clone()).chain(numbered).find(free).unwrap_or(stem);
        self.texts.insert(Field::Name, TextField::new(&name));
    }

    /// Chosen cells that cannot be trained, each with the reason.
    #[must_use]
    pub fn illegal(&self) -> Vec<legal::Illegal> {
        let settings = &self.base.objective;
        let shares = (settings.noise_density, settings.mean_noise_span_length);
        let on_inputs = settings.loss_on_inputs.iter().all(|on_inputs| *on_inputs);
        let spec = |objective| ObjectiveSpec::new(objective, shares, on_inputs, &settings.mixture);
        let cells = self.architectures.iter().flat_map(|a| self.objectives.iter().map(move |o| (*a, *o)));
        cells.filter_map(|(a, o)| legal::check(a, &spec(o)).err()).collect()
    }

    /// Legal cells chosen.
    #[must_use]
    pub fn legal_cells(&self) -> usize {
        self.architectures.len() * self.objectives.len() - self.illegal().len()
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

fn numbers<T: std::str::FromStr>(text: &str, example: &str) -> Result<Vec<T>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let parse = |part: &str| part.parse().map_err(|_| format!("`{part}` is not a number; write it like {example}"));
    let values = parts.map(parse).collect::<Result<Vec<T>, String>>()?;
    if values.is_empty() { Err(format!("is empty; write it like {example}")) } else { Ok(values) }
}

fn positive(text: &str, example: &str) -> Result<Axis<usize>, String> {
    let values: Vec<usize> = numbers(text, example)?;
    if values.contains(&0) { Err("must be at least 1".to_owned()) } else { Ok(Axis(values)) }
}

/// Sizes of heads, of which one may be the word `standard`; empty means that word.
fn head_dims(text: &str) -> Result<Axis<HeadDim>, String> {
    let size = |word: &str| match word {
        "standard" => Ok(HeadDim::STANDARD),
        word => match word.parse() {
            Ok(size) if size > 0 => Ok(HeadDim::Fixed(size)),
            _ => Err(format!("`{word}` is no size; write it like 16 or standard,32")),
        },
    };
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let sizes = words.map(size).collect::<Result<Vec<_>, _>>()?;
    Ok(if sizes.is_empty() { Axis::from(HeadDim::STANDARD) } else { Axis(sizes) })
}

fn single(text: &str, example: &str) -> Result<usize, String> {
    match positive(text, example)?.0.as_slice() {
        [value] => Ok(*value),
        _ => Err(format!("takes one number like {example}")),
    }
}
