//! The row that asks a trained model to go on with a text, in the form it knows from training.
//! Promises: the next token is predicted at the last decoder position. Must not know: sampling, models.

use super::batch::{Batch, Side};
use crate::core::{Architecture, Objective};
use crate::corpus::Vocabulary;

/// One row that continues `prompt` after the tokens `written` so far; targets and weights are zeros.
///
/// Language models read start, prompt, written; span corruption reads the prompt with its continuation removed, i.e. the
/// first sentinel and the end mark, and writes that sentinel and the continuation. A non-causal decoder sees the whole
/// prompt both ways, an encoder–decoder has it in the encoder. An empty prompt is an end mark to an encoder: in training,
/// that is what stands before a text.
#[must_use]
pub fn prompt_batch(
    architecture: Architecture,
    objective: Objective,
    vocabulary: &Vocabulary,
    prompt: &[u32],
    written: &[u32],
) -> Batch {
    let sentinel = vocabulary.first_sentinel();
    let (inputs, opening) = match objective {
        Objective::FullLm | Objective::PrefixLm => (prompt.to_vec(), None),
        Objective::SpanCorruption => ([prompt, &[sentinel, vocabulary.end()]].concat(), Some(sentinel)),
    };
    let start = std::iter::once(vocabulary.start());
    let continuation = opening.into_iter().chain(written.iter().copied());
    let (encoder, decoder, prefix): (_, Vec<u32>, _) = match architecture {
        Architecture::CausalDecoder => (None, start.chain(inputs.iter().copied()).chain(continuation).collect(), 0),
        Architecture::NonCausalDecoder => {
            let prefix = inputs.len() + 1;
            (None, start.chain(inputs.iter().copied()).chain(continuation).collect(), prefix)
        }
        Architecture::EncoderDecoder => {
            let inputs = if inputs.is_empty() { vec![vocabulary.end()] } else { inputs };
            (Some(inputs), start.chain(continuation).collect(), 0)
        }
    };
    let side = |tokens: Vec<u32>| {
        let mut side = Side::with_length(tokens.len());
        side.push(1, &tokens);
        side
    };
    Batch {
        rows: 1,
        targets: vec![0; decoder.len()],
        loss_weights: vec![0.0; decoder.len()],
        prefix_lengths: vec![prefix as u32],
        decoder: side(decoder),
        encoder: encoder.map(side),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u32 = 11;
    const END: u32 = 10;
    const X0: u32 = 140;

    fn row(architecture: Architecture, objective: Objective, prompt: &[u32]) -> (Vec<u32>, Vec<u32>, u32) {
        let batch = prompt_batch(architecture, objective, &Vocabulary::new(10), prompt, &[7, 8]);
        assert_eq!(batch.targets.len(), batch.decoder.length);
        assert_eq!(batch.loss_weights.len(), batch.decoder.length);
        let prefix = batch.prefix_lengths[0];
        (batch.encoder.map(|side| side.tokens).unwrap_or_default(), batch.decoder.tokens, prefix)
    }

    #[test]
    fn prompts_look_like_training() {
        use Architecture::{CausalDecoder as CD, EncoderDecoder as ED, NonCausalDecoder as ND};
        use Objective::{FullLm, PrefixLm, SpanCorruption};
        assert_eq!(row(CD, FullLm, &[1, 2]), (vec![], vec![START, 1, 2, 7, 8], 0));
        assert_eq!(row(CD, PrefixLm, &[1, 2]), (vec![], vec![START, 1, 2, 7, 8], 0));
        assert_eq!(row(ND, PrefixLm, &[1, 2]), (vec![], vec![START, 1, 2, 7, 8], 3));
        assert_eq!(row(ED, PrefixLm, &[1, 2]), (vec![1, 2], vec![START, 7, 8], 0));
        assert_eq!(row(ED, PrefixLm, &[]), (vec![END], vec![START, 7, 8], 0));
        assert_eq!(row(CD, SpanCorruption, &[1, 2]), (vec![], vec![START, 1, 2, X0, END, X0, 7, 8], 0));
        assert_eq!(row(ND, SpanCorruption, &[1, 2]), (vec![], vec![START, 1, 2, X0, END, X0, 7, 8], 5));
        assert_eq!(row(ED, SpanCorruption, &[1, 2]), (vec![1, 2, X0, END], vec![START, X0, 7, 8], 0));
    }
}
