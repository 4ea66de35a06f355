//! A trained model writing behind a prompt, token by token. What it has read is remembered; an encoder-only model, which has
//! nothing to remember, reads all of it again for each token.
//! Promises: the distributions of a pass over the whole row. Must not know: which token is chosen, and why.

use super::{TrainError, Trainer};
use crate::corpus::{Mark, Vocabulary};
use crate::model::Decoding;
use crate::objective::{Asking, Side, prompt_batch};

/// A text that a model continues.
pub struct Writer<'t> {
    trainer: &'t Trainer,
    asking: Asking,
    vocabulary: Vocabulary,
    prompt: Vec<u32>,
    written: Vec<u32>,
    /// What was read, and place and place inside a blank of the last token; none if nothing can be remembered.
    memory: Option<(Decoding<'t>, Place)>,
    logits: Vec<f32>,
}

/// Where a token stands.
#[derive(Clone, Copy)]
struct Place {
    position: u32,
    in_blank: Option<u32>,
}

impl Place {
    /// The place of the token after it.
    const fn next(self) -> Self {
        match self.in_blank {
            Some(place) => Self { in_blank: Some(place + 1), ..self },
            None => Self { position: self.position + 1, in_blank: None },
        }
    }
}

impl<'t> Writer<'t> {
    /// Reads `prompt` in a form that the model knows, to write at most `room` tokens behind it. Prompt, marks and room must fit
    /// into the positions that the model can read.
    ///
    /// # Errors
    /// They do not, or the device fails.
    pub fn new(
        trainer: &'t Trainer,
        asking: Asking,
        vocabulary: Vocabulary,
        prompt: &[u32],
        room: usize,
    ) -> Result<Self, TrainError> {
        let architecture = trainer.spec().model.architecture;
        let batch = prompt_batch(architecture, asking, &vocabulary, prompt, &[]);
        let (prompt, written) = (prompt.to_vec(), Vec::new());
        if asking == Asking::Masked {
            let logits = trainer.last_logits(&batch)?;
            return Ok(Self { trainer, asking, vocabulary, prompt, written, memory: None, logits });
        }
        let mut decoding = trainer.begin(batch.encoder.as_ref(), batch.decoder.length + room)?;
        let prefix = batch.prefix_lengths.first().map_or(0, |length| *length as usize);
        let mut logits = Vec::new();
        for (part, both) in [(batch.decoder.part(0, prefix), true), (batch.decoder.part(prefix, usize::MAX), false)] {
            if part.length > 0 {
                logits = trainer.last_of(&decoding.read(&part, both)?)?;
            }
        }
        let place = Place {
            position: batch.decoder.positions.last().copied().unwrap_or(0),
            in_blank: batch.decoder.block_positions.last().copied(),
        };
        Ok(Self { trainer, asking, vocabulary, prompt, written, memory: Some((decoding, place)), logits })
    }

    /// Logits of the next token, `[V]`.
    #[must_use]
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// The likeliest next token; the first of equals.
    #[must_use]
    pub fn likeliest(&self) -> u32 {
        let all = (0..).zip(&self.logits);
        all.fold((0, f32::NEG_INFINITY), |best, (id, logit)| if *logit > best.1 { (id, *logit) } else { best }).0
    }

    /// Whether `token` ends what is written.
    #[must_use]
    pub fn ends(&self, token: u32) -> bool {
        token == self.vocabulary.end()
            || (self.asking == Asking::Blank && token == self.vocabulary.of(Mark::EndOfPiece))
    }

    /// Writes `token`.
    ///
    /// # Errors
    /// There is no more room, or the device fails.
    pub fn write(&mut self, token: u32) -> Result<(), TrainError> {
        self.written.push(token);
        self.logits = match &mut self.memory {
            None => {
                let architecture = self.trainer.spec().model.architecture;
                let batch = prompt_batch(architecture, self.asking, &self.vocabulary, &self.prompt, &self.written);
                self.trainer.last_logits(&batch)?
            }
            Some((decoding, place)) => {
                *place = place.next();
                let mut side = Side::alone(&[token]);
                side.positions = vec![place.position];
                side.block_positions = place.in_blank.into_iter().collect();
                self.trainer.last_of(&decoding.read(&side, false)?)?
            }
        };
        Ok(())
    }

    /// All that was written.
    #[must_use]
    pub fn written(&self) -> &[u32] {
        &self.written
    }
}
