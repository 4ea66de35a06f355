//! How a trained model is asked to go on with a text, in the forms it knows from training.
//! Must not know: sampling, models.

use super::batch::Batch;
use super::draw::mode_token;
use crate::core::task::ScoringForm;
use crate::core::{Architecture, Layout, Mode, ObjectiveSpec, Task};
use crate::corpus::{Mark, Vocabulary};

/// A form in which a model can be asked for a continuation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// The text is read and the continuation written, behind a mode token, if any.
    Plain(Option<Mode>),
    /// The text is read with its continuation removed, which the first sentinel stands for; then that sentinel and the
    /// continuation are written.
    Sentinel(Option<Mode>),
    /// The continuation is a blank at the end of the document.
    Blank,
    /// Each token of the continuation is masked in its place, one at a time.
    Masked,
}

impl Asking {
    /// All forms that `spec` trains, plain ones first, by the name under which their scores are kept. A mixture has at most one
    /// of a name: the first that it lists.
    #[must_use]
    pub fn all(spec: &ObjectiveSpec) -> Vec<(ScoringForm, Self)> {
        let mut found: Vec<(ScoringForm, Self)> = Vec::new();
        for part in spec.parts() {
            let mut add = |form, asking| {
                if !found.iter().any(|(known, _)| *known == form) {
                    found.push((form, asking));
                }
            };
            match part.task {
                Task::FullLm | Task::PrefixLm | Task::Suffix | Task::Prompted => {
                    add(ScoringForm::Plain, Self::Plain(part.mode))
                }
                Task::SpanCorruption | Task::IidDenoising => add(ScoringForm::Sentinel, Self::Sentinel(part.mode)),
                Task::MaskedLm => add(ScoringForm::Plain, Self::Masked),
                Task::BlankTokens | Task::BlankSentences | Task::BlankDocument => {
                    add(ScoringForm::Plain, Self::Blank);
                }
            }
        }
        // A model that only restores is asked to go on all the same: that it cannot is a finding.
        if let [(ScoringForm::Sentinel, _)] = found.as_slice() {
            found.push((ScoringForm::Plain, Self::Plain(None)));
        }
        found.sort_by_key(|(form, _)| *form != ScoringForm::Plain);
        found
    }

    /// What is read before a continuation, and what is written before its first token besides the start mark, for a text
    /// `context`.
    pub(super) fn frame(self, vocabulary: &Vocabulary, context: &[u32]) -> (Vec<u32>, Option<u32>) {
        let sentinel = vocabulary.first_sentinel();
        let mode = |mode: Option<Mode>| mode.map(|mode| mode_token(vocabulary, mode));
        match self {
            Self::Plain(None) | Self::Masked => (context.to_vec(), None),
            Self::Plain(named) => (mode(named).into_iter().chain(context.iter().copied()).collect(), None),
            Self::Sentinel(named) => {
                let closed = [context, &[sentinel, vocabulary.end()]].concat();
                (mode(named).into_iter().chain(closed).collect(), Some(sentinel))
            }
            Self::Blank => ([context, &[vocabulary.of(Mark::DocumentMask)]].concat(), None),
        }
    }

    /// Tokens that [`Asking::frame`] adds to a context.
    pub(super) const fn marks(self) -> usize {
        match self {
            Self::Plain(None) | Self::Masked => 0,
            Self::Plain(Some(_)) | Self::Blank => 1,
            Self::Sentinel(mode) => 2 + mode.is_some() as usize,
        }
    }
}

/// One row that continues `prompt` after the tokens `written` so far; targets and weights are zeros, and what comes next is
/// predicted at the last decoder position.
///
/// Language models read start, prompt, written; what the other forms read is what [`Asking`] says. A non-causal decoder sees
/// the whole prompt both ways, an encoder–decoder has it in the encoder. An empty prompt is an end mark to an encoder: in
/// training, that is what stands before a text.
#[must_use]
pub fn prompt_batch(
    architecture: Architecture,
    asking: Asking,
    vocabulary: &Vocabulary,
    prompt: &[u32],
    written: &[u32],
) -> Batch {
    let (inputs, opening) = asking.frame(vocabulary, prompt);
    let layout = architecture.layout();
    if asking == Asking::Blank {
        let mut batch = Batch::empty(inputs.len() + written.len() + 2, None);
        batch.decoder.push(1, &[&[vocabulary.start()], inputs.as_slice()].concat());
        let before = [&[vocabulary.of(Mark::StartOfPiece)], written].concat();
        batch.decoder.push_blank(inputs.len() as u32, &before);
        batch.close(inputs.len() + 1, vocabulary);
        return batch;
    }
    let start = std::iter::once(vocabulary.start());
    let continuation = opening.into_iter().chain(written.iter().copied());
    let (encoder, decoder, prefix): (_, Vec<u32>, _) = match layout {
        Layout::Decoder { prefix } => {
            let length = if prefix { inputs.len() + 1 } else { 0 };
            (None, start.chain(inputs).chain(continuation).collect(), length)
        }
        Layout::EncoderDecoder => {
            let inputs = if inputs.is_empty() { vec![vocabulary.end()] } else { inputs };
            (Some(inputs), start.chain(continuation).collect(), 0)
        }
        Layout::Encoder => {
            let mask = vocabulary.of(Mark::Mask);
            let read: Vec<u32> = start.chain(inputs).chain(continuation).chain(std::iter::once(mask)).collect();
            let length = read.len();
            (None, read, length)
        }
    };
    let mut batch = Batch::empty(decoder.len(), encoder.as_ref().map(Vec::len));
    batch.decoder.push(1, &decoder);
    if let (Some(side), Some(tokens)) = (&mut batch.encoder, &encoder) {
        side.push(1, tokens);
    }
    batch.close(prefix, vocabulary);
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Objective;

    const START: u32 = 11;
    const END: u32 = 10;
    const X0: u32 = 140;
    const MASK: u32 = 13;
    const GMASK: u32 = 15;
    const SOP: u32 = 16;
    const S: u32 = 19;
    const R: u32 = 18;

    fn spec(objective: Objective) -> ObjectiveSpec {
        ObjectiveSpec::new(objective, (0.15, 3.0), false, &[])
    }

    fn row(architecture: Architecture, asking: Asking, prompt: &[u32]) -> (Vec<u32>, Vec<u32>, u32) {
        let batch = prompt_batch(architecture, asking, &Vocabulary::new(10), prompt, &[7, 8]);
        assert_eq!(batch.targets.len(), batch.decoder.length);
        assert_eq!(batch.loss_weights.len(), batch.decoder.length);
        let prefix = batch.prefix_lengths[0];
        (batch.encoder.map(|side| side.tokens).unwrap_or_default(), batch.decoder.tokens, prefix)
    }

    #[test]
    fn prompts_look_like_training() {
        use Architecture::{CausalDecoder as CD, EncoderDecoder as ED, EncoderOnly as EO, NonCausalDecoder as ND};
        let (plain, sentinel) = (Asking::Plain(None), Asking::Sentinel(None));
        assert_eq!(row(CD, plain, &[1, 2]), (vec![], vec![START, 1, 2, 7, 8], 0));
        assert_eq!(row(ND, plain, &[1, 2]), (vec![], vec![START, 1, 2, 7, 8], 3));
        assert_eq!(row(ED, plain, &[1, 2]), (vec![1, 2], vec![START, 7, 8], 0));
        assert_eq!(row(ED, plain, &[]), (vec![END], vec![START, 7, 8], 0));
        assert_eq!(row(CD, sentinel, &[1, 2]), (vec![], vec![START, 1, 2, X0, END, X0, 7, 8], 0));
        assert_eq!(row(ND, sentinel, &[1, 2]), (vec![], vec![START, 1, 2, X0, END, X0, 7, 8], 5));
        assert_eq!(row(ED, sentinel, &[1, 2]), (vec![1, 2, X0, END], vec![START, X0, 7, 8], 0));
        assert_eq!(row(CD, Asking::Plain(Some(Mode::S)), &[1, 2]), (vec![], vec![START, S, 1, 2, 7, 8], 0));
        assert_eq!(row(ED, Asking::Sentinel(Some(Mode::R)), &[1]), (vec![R, 1, X0, END], vec![START, X0, 7, 8], 0));
        assert_eq!(row(EO, Asking::Masked, &[1, 2]), (vec![], vec![START, 1, 2, 7, 8, MASK], 6));
        assert_eq!(row(ND, Asking::Blank, &[1, 2]), (vec![], vec![START, 1, 2, GMASK, SOP, 7, 8], 4));
        let blank = prompt_batch(ND, Asking::Blank, &Vocabulary::new(10), &[1, 2], &[7, 8]).decoder;
        assert_eq!((blank.positions, blank.block_positions), (vec![0, 1, 2, 3, 3, 3, 3], vec![0, 0, 0, 0, 1, 2, 3]));
    }

    #[test]
    fn each_objective_is_asked_in_its_forms() {
        use ScoringForm::{Plain, Sentinel};
        let all = |objective| Asking::all(&spec(objective));
        assert_eq!(all(Objective::FullLm), [(Plain, Asking::Plain(None))]);
        let both = [(Plain, Asking::Plain(None)), (Sentinel, Asking::Sentinel(None))];
        assert_eq!(all(Objective::SpanCorruption), both);
        assert_eq!(all(Objective::IidDenoising), both);
        let modes = [(Plain, Asking::Plain(Some(Mode::S))), (Sentinel, Asking::Sentinel(Some(Mode::R)))];
        assert_eq!(all(Objective::Ul2), modes);
        assert_eq!(all(Objective::Ul2R), modes);
        assert_eq!(all(Objective::BlankInfilling), [(Plain, Asking::Blank)]);
        assert_eq!(all(Objective::MaskedLm), [(Plain, Asking::Masked)]);
    }
}
