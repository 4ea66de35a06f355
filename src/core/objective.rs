//! What a model is trained to predict. An objective is a name for a mixture of tasks, each of which turns a piece of text
//! into inputs and targets; most are mixtures of one. Must not know: architectures, tokens.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the model is trained to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Objective {
    /// FLM: every next token.
    #[serde(rename = "FLM", alias = "flm", alias = "full_lm")]
    FullLm,
    /// PLM: every next token after a uniformly drawn split.
    #[serde(rename = "PLM", alias = "plm", alias = "prefix_lm")]
    PrefixLm,
    /// MLM: the spans that sentinels replaced (T5's span corruption).
    #[serde(rename = "MLM", alias = "mlm", alias = "span_corruption")]
    SpanCorruption,
    /// IID: the tokens that were dropped one by one (T5's Table 2, arXiv 1910.10683, §3.1.4).
    #[serde(rename = "IID", alias = "iid", alias = "iid_denoising")]
    IidDenoising,
    /// BERT: the tokens that were masked, in their places (arXiv 1810.04805, §3.1).
    #[serde(rename = "BERT", alias = "bert", alias = "masked_lm")]
    MaskedLm,
    /// GLM: blanks, filled one after the other in random order, with 2-D positions (arXiv 2103.10360, §2.1).
    #[serde(rename = "GLM", alias = "glm", alias = "blank_infilling")]
    BlankInfilling,
    /// UL2: the mixture of R-, S- and X-denoisers with mode tokens (arXiv 2205.05131, §3.1).
    #[serde(rename = "UL2", alias = "ul2")]
    Ul2,
    /// UL2R: the mixture that continues a causal model (arXiv 2210.11399, §3).
    #[serde(rename = "UL2R", alias = "ul2r")]
    Ul2R,
    /// MIX: the mixture that `objective.mixture` lists.
    #[serde(rename = "MIX", alias = "mix", alias = "mixture")]
    Mixture,
    /// MTF: the targets of many prompted tasks (T0, arXiv 2110.08207); a later stage.
    #[serde(rename = "MTF", alias = "mtf", alias = "multitask_finetuning")]
    Multitask,
    /// FT: the targets of one task (T5, arXiv 1910.10683, §3.1.2); a later stage.
    #[serde(rename = "FT", alias = "ft", alias = "finetuning")]
    Finetuning,
}

/// One way to make inputs and targets of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Nothing is read, all is predicted.
    FullLm,
    /// What follows a uniformly drawn split.
    PrefixLm,
    /// The last `noise_density` of the text: UL2's S-denoiser.
    Suffix,
    /// Spans of a mean length, behind their sentinels.
    SpanCorruption,
    /// Tokens drawn one by one, neighbours under one sentinel.
    IidDenoising,
    /// Tokens in their places.
    MaskedLm,
    /// GLM's short blanks, of Poisson lengths.
    BlankTokens,
    /// GLM's blanks of whole sentences.
    BlankSentences,
    /// GLM's one long blank at the end, at least `noise_density` of the text.
    BlankDocument,
    /// A prompt is read and its target written; texts play no part.
    Prompted,
}

/// What kind of denoising is asked for: a token before the inputs says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// Regular denoising.
    R,
    /// Sequential denoising: a prefix LM.
    S,
    /// Extreme denoising.
    X,
}

/// A task with its share of a mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixturePart {
    /// Which.
    pub task: Task,
    /// Its share, beside the sum of all.
    pub weight: f64,
    /// Share of the tokens that are removed, where the task removes some.
    #[serde(default = "usual_density")]
    pub noise_density: f64,
    /// Mean length of a removed span in tokens, where the task removes spans.
    #[serde(default = "usual_length")]
    pub mean_noise_span_length: f64,
    /// The token before the inputs, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Whether removed spans are rolled around the text by a random offset, so that they lie anywhere; without it a text begins
    /// with a kept token and ends in a removed one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolled: bool,
}

impl MixturePart {
    /// `0.5*span_corruption(0.15,3,R)`, with what is usual left out.
    fn words(&self) -> String {
        let removes = !matches!(self.task, Task::FullLm | Task::PrefixLm | Task::Prompted);
        let numbers = removes
            && (differ(self.noise_density, usual_density()) || differ(self.mean_noise_span_length, usual_length()));
        let details = [
            numbers.then(|| format!("{},{}", self.noise_density, self.mean_noise_span_length)),
            self.mode.map(|mode| format!("{mode:?}")),
            self.rolled.then(|| "rolled".to_owned()),
        ];
        let details = details.into_iter().flatten().collect::<Vec<_>>().join(",");
        let details = if details.is_empty() { details } else { format!("({details})") };
        format!("{}*{}{details}", self.weight, self.task.word())
    }
}

fn differ(a: f64, b: f64) -> bool {
    (a - b).abs() > f64::EPSILON
}

const fn usual_density() -> f64 {
    0.15
}

const fn usual_length() -> f64 {
    3.0
}

/// The objective and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveSpec {
    /// Which.
    pub objective: Objective,
    /// Share of tokens that denoising removes.
    pub noise_density: f64,
    /// Mean length of a removed span, in tokens.
    pub mean_noise_span_length: f64,
    /// Whether a decoder also learns from its inputs (prefix or corrupted text).
    pub loss_on_inputs: bool,
    /// The tasks of a mixture; empty for objectives of one task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mixture: Vec<MixturePart>,
}

impl ObjectiveSpec {
    /// `objective` with its tasks. `listed` are those that MIX has.
    #[must_use]
    pub fn new(
        objective: Objective,
        (noise_density, mean_noise_span_length): (f64, f64),
        loss_on_inputs: bool,
        listed: &[MixturePart],
    ) -> Self {
        let mixture = match objective {
            Objective::Mixture => listed.to_vec(),
            Objective::BlankInfilling | Objective::Ul2 | Objective::Ul2R => objective.mixture(noise_density),
            Objective::FullLm
            | Objective::PrefixLm
            | Objective::SpanCorruption
            | Objective::IidDenoising
            | Objective::MaskedLm
            | Objective::Multitask
            | Objective::Finetuning => Vec::new(),
        };
        // Full LM learns from every position anyway; one training must not have two ids.
        let loss_on_inputs = loss_on_inputs && objective != Objective::FullLm;
        Self { objective, noise_density, mean_noise_span_length, loss_on_inputs, mixture }
    }

    /// What is not usual about it, in words: `noise0.5 span8 loss_on_inputs`, and what MIX mixes.
    #[must_use]
    pub fn variant(&self) -> String {
        let has = |objectives: &[Objective]| objectives.contains(&self.objective);
        let noisy =
            has(&[Objective::SpanCorruption, Objective::IidDenoising, Objective::MaskedLm, Objective::BlankInfilling]);
        let noise = noisy && differ(self.noise_density, usual_density());
        let span = has(&[Objective::SpanCorruption]) && differ(self.mean_noise_span_length, usual_length());
        let mixed = || self.mixture.iter().map(MixturePart::words).collect::<Vec<_>>().join("+");
        let words = [
            noise.then(|| format!("noise{}", self.noise_density)),
            span.then(|| format!("span{}", self.mean_noise_span_length)),
            has(&[Objective::Mixture]).then(mixed),
            self.loss_on_inputs.then(|| "loss_on_inputs".to_owned()),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// The tasks, each with its share.
    #[must_use]
    pub fn parts(&self) -> Vec<MixturePart> {
        let one = |task| {
            let Self { noise_density, mean_noise_span_length, .. } = *self;
            vec![MixturePart { task, weight: 1.0, noise_density, mean_noise_span_length, mode: None, rolled: false }]
        };
        match self.objective {
            Objective::FullLm => one(Task::FullLm),
            Objective::PrefixLm => one(Task::PrefixLm),
            Objective::SpanCorruption => one(Task::SpanCorruption),
            Objective::IidDenoising => one(Task::IidDenoising),
            Objective::MaskedLm => one(Task::MaskedLm),
            Objective::Multitask | Objective::Finetuning => one(Task::Prompted),
            Objective::BlankInfilling | Objective::Ul2 | Objective::Ul2R | Objective::Mixture => self.mixture.clone(),
        }
    }
}

impl Objective {
    /// Whether it trains on tasks instead of texts, and so is a later stage.
    #[must_use]
    pub const fn is_prompted(self) -> bool {
        matches!(self, Self::Multitask | Self::Finetuning)
    }

    /// All, in the order of tables.
    pub const ALL: [Self; 11] = [
        Self::FullLm,
        Self::PrefixLm,
        Self::SpanCorruption,
        Self::IidDenoising,
        Self::MaskedLm,
        Self::BlankInfilling,
        Self::Ul2,
        Self::Ul2R,
        Self::Mixture,
        Self::Multitask,
        Self::Finetuning,
    ];

    /// Three or four letters for tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::FullLm => "FLM",
            Self::PrefixLm => "PLM",
            Self::SpanCorruption => "MLM",
            Self::IidDenoising => "IID",
            Self::MaskedLm => "BERT",
            Self::BlankInfilling => "GLM",
            Self::Ul2 => "UL2",
            Self::Ul2R => "UL2R",
            Self::Mixture => "MIX",
            Self::Multitask => "MTF",
            Self::Finetuning => "FT",
        }
    }

    /// The name in words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::FullLm => "full language modelling",
            Self::PrefixLm => "prefix language modelling",
            Self::SpanCorruption => "span corruption",
            Self::IidDenoising => "i.i.d. denoising",
            Self::MaskedLm => "masked tokens",
            Self::BlankInfilling => "blank infilling",
            Self::Ul2 => "mixture of denoisers",
            Self::Ul2R => "mixture to continue with",
            Self::Mixture => "a mixture of your own",
            Self::Multitask => "multitask prompted finetuning",
            Self::Finetuning => "finetuning on one task",
        }
    }

    /// In a sentence, for the composer.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::FullLm => "predict every next token; all positions carry loss",
            Self::PrefixLm => "predict what follows a random split; half of the positions carry loss",
            Self::SpanCorruption => "restore removed spans (15 %, mean 3); about 18 % of the positions carry loss",
            Self::IidDenoising => "restore tokens dropped one by one (15 %), T5's Table 2; about 20 % carry loss",
            Self::MaskedLm => "restore masked tokens (15 %) in their places; for EO only",
            Self::BlankInfilling => "fill blanks one after the other, in random order, with 2-D positions; for ND only",
            Self::Ul2 => "seven denoisers: short, long and sparse spans, and a suffix, each told by a mode token",
            Self::Ul2R => "half suffixes, a quarter short spans, a quarter extreme ones: to continue a causal model",
            Self::Mixture => "the tasks of objective.mixture, each with its weight; see config.toml",
            Self::Multitask => "write the targets of many prompted tasks; a later stage, see [stages] in README",
            Self::Finetuning => "write the targets of one task; a later stage, see [stages] in README",
        }
    }

    /// The tasks that the literature gives it, if it is a mixture of the literature.
    ///
    /// GLM: 0.5 tokens, 0.3 sentences, 0.2 document of at least a quarter (GLM-10B's configuration, but for the noise among the
    /// tokens of blanks, which is left out). UL2: six R- and X-denoisers of 0.13 and S of 0.22; the paper's own weights are not
    /// known here, these are those of a public re-implementation. UL2R: S 0.5, R 0.25, X 0.25 in two halves, spans rolled.
    /// Where a text is so short that a denoiser removes one span, that span is its end unless it is rolled.
    #[must_use]
    pub fn mixture(self, noise_density: f64) -> Vec<MixturePart> {
        let part = |task, weight, (noise_density, mean_noise_span_length), mode| MixturePart {
            task,
            weight,
            noise_density,
            mean_noise_span_length,
            mode,
            rolled: false,
        };
        let spans = |mode, weight, mean, density| part(Task::SpanCorruption, weight, (density, mean), Some(mode));
        let rolled = |part| MixturePart { rolled: true, ..part };
        let suffix = |weight| part(Task::Suffix, weight, (0.25, 1.0), Some(Mode::S));
        match self {
            Self::BlankInfilling => vec![
                part(Task::BlankTokens, 0.5, (noise_density, 3.0), None),
                part(Task::BlankSentences, 0.3, (noise_density, 1.0), None),
                part(Task::BlankDocument, 0.2, (0.25, 1.0), None),
            ],
            Self::Ul2 => vec![
                spans(Mode::R, 0.13, 3.0, 0.15),
                spans(Mode::R, 0.13, 8.0, 0.15),
                spans(Mode::X, 0.13, 3.0, 0.5),
                spans(Mode::X, 0.13, 8.0, 0.5),
                spans(Mode::X, 0.13, 64.0, 0.15),
                spans(Mode::X, 0.13, 64.0, 0.5),
                suffix(0.22),
            ],
            Self::Ul2R => vec![
                suffix(0.5),
                rolled(spans(Mode::R, 0.25, 3.0, 0.15)),
                rolled(spans(Mode::X, 0.125, 32.0, 0.15)),
                rolled(spans(Mode::X, 0.125, 3.0, 0.5)),
            ],
            Self::FullLm
            | Self::PrefixLm
            | Self::SpanCorruption
            | Self::IidDenoising
            | Self::MaskedLm
            | Self::Mixture
            | Self::Multitask
            | Self::Finetuning => Vec::new(),
        }
    }
}

impl Task {
    /// Its name in settings.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::FullLm => "full_lm",
            Self::PrefixLm => "prefix_lm",
            Self::Suffix => "suffix",
            Self::SpanCorruption => "span_corruption",
            Self::IidDenoising => "iid_denoising",
            Self::MaskedLm => "masked_lm",
            Self::BlankTokens => "blank_tokens",
            Self::BlankSentences => "blank_sentences",
            Self::BlankDocument => "blank_document",
            Self::Prompted => "prompted",
        }
    }

    /// Whether its rows need GLM's second positions.
    #[must_use]
    pub const fn has_blanks(self) -> bool {
        matches!(self, Self::BlankTokens | Self::BlankSentences | Self::BlankDocument)
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}
