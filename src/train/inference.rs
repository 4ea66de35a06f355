//! What a model costs when it is used: how fast it reads a prompt and how fast it writes behind it, one text at a time, with
//! keys and values remembered.
//! Promises: every cell reads and writes equally many tokens; the best of several tries counts, as other programs can only slow
//! a measurement down. Must not know: when it is measured.

use super::writer::Writer;
use super::{TrainError, Trainer};
use crate::core::{Layout, Metric, Metrics};
use crate::corpus::Vocabulary;
use crate::kernel::threads::with_threads;
use crate::objective::Asking;

/// Tries, each with a fresh prompt.
const TRIES: usize = 3;

/// Positions that marks take at most.
const MARKS: usize = 6;

/// Prompt tokens read and tokens written per second. A prompt has half of the positions that a run trains on, what is written
/// the other half. Empty for models that do not write.
///
/// # Errors
/// The device fails.
#[expect(clippy::cast_precision_loss, reason = "token counts are small")]
pub fn inference(
    trainer: &Trainer,
    vocabulary: Vocabulary,
    prompt: &[u32],
    clock: &dyn Fn() -> f64,
) -> Result<Metrics, TrainError> {
    let spec = trainer.spec();
    let half = spec.training.seq_len.saturating_sub(MARKS) / 2;
    let asking = Asking::all(&spec.objective).first().map_or(Asking::Plain(None), |(_, asking)| *asking);
    if spec.model.architecture.layout() == Layout::Encoder || half == 0 || prompt.len() < half {
        return Ok(Metrics::new());
    }
    let prompt = prompt.get(..half).unwrap_or(prompt);
    let (mut reading, mut writing) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..TRIES {
        with_threads(trainer.threads(), || {
            let began = clock();
            let mut writer = Writer::new(trainer, asking, vocabulary, prompt, half)?;
            let read = clock();
            for _ in 0..half {
                writer.write(writer.likeliest())?;
            }
            reading = reading.min(read - began);
            writing = writing.min(clock() - read);
            Ok::<_, TrainError>(())
        })?;
    }
    // A clock that stands still measures nothing.
    if reading <= 0.0 || writing <= 0.0 {
        return Ok(Metrics::new());
    }
    Ok(Metrics::from([
        (Metric::PrefillTokensPerSecond, half as f64 / reading),
        (Metric::DecodeTokensPerSecond, half as f64 / writing),
    ]))
}
