//! The fields of the composer's form: their order, where they stand beside each other, what each means.
//! Promises: every architecture and every objective of a first stage is a field. Must not know: values, how fields are drawn.

use crate::core::{Architecture, AttentionDirection, ModelPreset, Objective, Position};

/// A place in the form that can have the focus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each field is described by its label and its hint")]
pub enum Field {
    Name,
    Architecture(Architecture),
    Objective(Objective),
    Lineages,
    Seeds,
    Preset,
    DModel,
    NumLayers,
    NumHeads,
    HeadDim,
    Family,
    Positions,
    Looks,
    SeqLen,
    BatchSize,
    LearningRate,
    BudgetKind,
    BudgetAmount,
    Corpus,
    CorpusPath,
    Tokenizer,
}

/// How it is trained, in the order of Tab.
pub const TRAINING: [Field; 16] = [
    Field::Preset,
    Field::DModel,
    Field::NumLayers,
    Field::NumHeads,
    Field::HeadDim,
    Field::Family,
    Field::Positions,
    Field::Looks,
    Field::SeqLen,
    Field::BatchSize,
    Field::LearningRate,
    Field::BudgetKind,
    Field::BudgetAmount,
    Field::Corpus,
    Field::CorpusPath,
    Field::Tokenizer,
];

/// The lines of a grid of two columns, of which the first is filled first: Tab goes down one column, then the other.
#[must_use]
pub fn grid(fields: &[Field]) -> Vec<Vec<Field>> {
    let height = fields.len().div_ceil(2);
    let line = |at: usize| [at, at + height].into_iter().filter_map(|at| fields.get(at).copied()).collect();
    (0..height).map(line).collect()
}

impl Field {
    /// All architectures.
    #[must_use]
    pub fn architectures() -> Vec<Self> {
        Architecture::ALL.map(Self::Architecture).to_vec()
    }

    /// All objectives that a first stage can have.
    #[must_use]
    pub fn objectives() -> Vec<Self> {
        let first = Objective::ALL.into_iter().filter(|objective| !objective.is_prompted());
        first.map(Self::Objective).collect()
    }

    /// All, in the order of Tab.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let compared = [vec![Self::Name], Self::architectures(), Self::objectives(), vec![Self::Lineages, Self::Seeds]];
        compared.into_iter().flatten().chain(TRAINING).collect()
    }

    /// The field in the other column of a grid, or itself where there is none; `None` for a field outside of grids.
    #[must_use]
    pub fn beside(self, right: bool) -> Option<Self> {
        let grids = [Self::architectures(), Self::objectives()];
        grids.into_iter().map(|fields| grid(&fields)).find_map(|lines| {
            let at = lines.iter().position(|line| line.contains(&self))?;
            // The second column may end a line above the first.
            lines.get(..=at)?.iter().rev().find_map(|line| line.get(usize::from(right))).copied()
        })
    }

    /// The word before the value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Name => "study name",
            Self::Architecture(architecture) => architecture.label(),
            Self::Objective(objective) => objective.label(),
            Self::Lineages => "lineages",
            Self::Seeds => "seeds",
            Self::Preset => "size",
            Self::DModel => "d_model",
            Self::NumLayers => "num_layers",
            Self::NumHeads => "num_heads",
            Self::HeadDim => "head_dim",
            Self::Family => "family",
            Self::Positions => "positions",
            Self::Looks => "looks",
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
            Self::Lineages => {
                "stages one after the other, instead of the choices above, as in CD:FLM, CD:FLM > mtf; [stages] of a study file \
                 says what mtf is"
            }
            Self::Seeds => "one run per seed, as in 1,2,3; more seeds make narrower intervals",
            Self::Preset => "nano, tiny or small fill the three fields below; ← → or Space to change",
            Self::DModel => "width of the residual stream; a list like 64,128 makes an axis of the grid",
            Self::NumLayers => "blocks of a stack; a list makes an axis",
            Self::NumHeads => "attention heads; a list makes an axis",
            Self::HeadDim => {
                "size of a head; standard means d_model / num_heads; a list like standard,16 makes an axis"
            }
            Self::Family => "what blocks are made of; ← → or Space to change",
            Self::Positions => "how a model knows where a token stands; ← → or Space to change",
            Self::Looks => "where a stack that sees both ways looks: EO and the encoders but EDC's; ← → to change",
            Self::SeqLen => "positions of one example, inputs and targets together; a list makes an axis",
            Self::BatchSize => "examples per optimizer step",
            Self::LearningRate => "peak of AdamW, as in 1e-3; a list makes an axis",
            Self::BudgetKind => "how long a run is: optimizer steps, training positions or FLOPs; ← → to change",
            Self::BudgetAmount => "how many, as in 2000, 1e6 or 2.5e12",
            Self::Corpus => "texts to learn from; ← → or Space to change",
            Self::CorpusPath => {
                "a .txt or .jsonl file, a folder of them or a pattern like data/*.txt; several with commas; Tab completes"
            }
            Self::Tokenizer => "bytes, chars, bpe:SIZE or the path of a tokenizer.json, which Tab completes",
        }
    }

    /// The title of a choice, and a word or two for where it does not fit; `None` for other fields.
    #[must_use]
    pub const fn titles(self) -> Option<[&'static str; 2]> {
        match self {
            Self::Architecture(architecture) => Some([architecture.title(), short_architecture(architecture)]),
            Self::Objective(objective) => Some([objective.title(), short_objective(objective)]),
            Self::Name
            | Self::Lineages
            | Self::Seeds
            | Self::Preset
            | Self::DModel
            | Self::NumLayers
            | Self::NumHeads
            | Self::HeadDim
            | Self::Family
            | Self::Positions
            | Self::Looks
            | Self::SeqLen
            | Self::BatchSize
            | Self::LearningRate
            | Self::BudgetKind
            | Self::BudgetAmount
            | Self::Corpus
            | Self::CorpusPath
            | Self::Tokenizer => None,
        }
    }
}

const fn short_architecture(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::CausalDecoder => "causal",
        Architecture::NonCausalDecoder => "non-causal",
        Architecture::EncoderDecoder => "two stacks",
        Architecture::SharedEncoderDecoder => "shared",
        Architecture::HalfEncoderDecoder => "half depth",
        Architecture::CausalEncoderDecoder => "causal enc",
        Architecture::MergedEncoderDecoder => "merged",
        Architecture::EncoderOnly => "encoder",
    }
}

const fn short_objective(objective: Objective) -> &'static str {
    match objective {
        Objective::FullLm => "full LM",
        Objective::PrefixLm => "prefix LM",
        Objective::SpanCorruption => "spans",
        Objective::IidDenoising => "tokens",
        Objective::MaskedLm => "masked",
        Objective::BlankInfilling => "blanks",
        Objective::Ul2 => "denoisers",
        Objective::Ul2R => "continued",
        Objective::Mixture => "your own",
        Objective::Multitask => "many tasks",
        Objective::Finetuning => "one task",
    }
}

/// What a family stands for.
#[must_use]
pub const fn about_family(family: ModelPreset) -> &'static str {
    match family {
        ModelPreset::Llama => "llama: rotary positions, SwiGLU, RMSNorm, an output matrix of its own",
        ModelPreset::T5 => "t5: a learnt bias by distance, GEGLU, RMSNorm, tied embeddings",
    }
}

/// What a way to know places is.
#[must_use]
pub const fn about_position(position: Position) -> &'static str {
    match position {
        Position::Rope => "rope: queries and keys are turned by their places",
        Position::T5Bias => "t5_bias: a learnt number per head and distance",
        Position::Alibi => "alibi: a fixed penalty by distance",
        Position::Learned => "learned: a learnt vector per place",
        Position::None => "none: the mask alone tells places",
    }
}

/// Where positions look.
#[must_use]
pub const fn about_direction(direction: AttentionDirection) -> &'static str {
    match direction {
        AttentionDirection::Both => "both: every head looks both ways",
        AttentionDirection::MixedHeads => "mixed_heads: half of the heads look back, half ahead",
        AttentionDirection::AlternatingLayers => "alternating_layers: even layers look back, odd ones ahead",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_is_a_field_and_columns_are_crossed_both_ways() {
        let all = Field::all();
        assert_eq!(all.len(), 1 + Architecture::ALL.len() + Field::objectives().len() + 2 + TRAINING.len());
        let architecture = |at: usize| Field::Architecture(Architecture::ALL[at]);
        let objective = |at: usize| Field::Objective(Objective::ALL[at]);
        assert_eq!(architecture(1).beside(true), Some(architecture(5)));
        assert_eq!(architecture(5).beside(true), Some(architecture(5)));
        assert_eq!(architecture(5).beside(false), Some(architecture(1)));
        assert_eq!(objective(4).beside(true), Some(objective(8)), "the second column is shorter");
        assert_eq!(objective(8).beside(false), Some(objective(3)));
        assert_eq!(Field::Looks.beside(true), None);
        assert!(grid(&Field::objectives()).iter().all(|line| !line.is_empty()));
    }

    #[test]
    fn short_titles_fit_into_half_of_half_a_screen_of_80_columns() {
        for field in Field::architectures().into_iter().chain(Field::objectives()) {
            let [_, short] = field.titles().unwrap();
            assert!(field.label().len().max(3) + short.len() <= 13, "{field:?}");
        }
    }
}
