//! Which place of its text each target is taken from: what a target covers is known of the place, not of the token.
//! Promises: the same draws give the places of the same targets. Must not know: how a task chooses.

use rand::Rng;

use super::batch::{Batch, batch};
use super::error::ObjectiveError;
use super::example::Words;
use crate::core::{Architecture, ObjectiveSpec};
use crate::corpus::Vocabulary;

/// For each target of [`batch`] with the same arguments, rows × decoder length, where it stands in `windows`, counted over all of
/// them one after the other; nothing for marks, sentinels and padding.
///
/// Tasks look at what tokens are only through `words`, so windows of numbered places become targets in the same way.
///
/// # Errors
/// As for [`batch`].
pub fn target_places<R: Rng>(
    spec: &ObjectiveSpec,
    architecture: Architecture,
    seq_len: usize,
    words: Words<'_>,
    windows: &[Vec<u32>],
    draw: &mut dyn FnMut(usize) -> R,
) -> Result<Vec<Option<usize>>, ObjectiveError> {
    let tokens = windows.concat();
    let vocabulary = Vocabulary::new(tokens.len() as u32);
    let ends_sentence = |place: u32| tokens.get(place as usize).is_some_and(|token| (words.ends_sentence)(*token));
    let mut places = 0..;
    let numbered: Vec<Vec<u32>> = windows.iter().map(|window| places.by_ref().take(window.len()).collect()).collect();
    let words = Words { vocabulary: &vocabulary, ends_sentence: &ends_sentence };
    let Batch { targets, .. } = batch(spec, architecture, seq_len, words, &numbered, draw)?;
    Ok(targets.into_iter().map(|place| vocabulary.is_text(place).then_some(place as usize)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::legal;
    use crate::core::rows::batch_shape;
    use crate::core::seed::{Stream, generator};
    use crate::core::{MixturePart, Objective, Task};

    #[test]
    fn every_target_of_every_cell_comes_from_its_place() {
        let vocabulary = Vocabulary::new(50);
        let ends_sentence = |id: u32| id % 7 == 0;
        let words = Words { vocabulary: &vocabulary, ends_sentence: &ends_sentence };
        let mixed = [Task::PrefixLm, Task::SpanCorruption].map(|task| MixturePart {
            task,
            weight: 1.0,
            noise_density: 0.3,
            mean_noise_span_length: 2.0,
            mode: None,
            rolled: false,
        });
        let mut cells = 0;
        for architecture in Architecture::ALL {
            for (objective, on_inputs) in Objective::ALL.into_iter().flat_map(|one| [(one, false), (one, true)]) {
                let spec = ObjectiveSpec::new(objective, (0.15, 3.0), on_inputs, &mixed);
                if objective.is_prompted() || legal::check(architecture, &spec).is_err() {
                    continue;
                }
                let Some(shape) = batch_shape(architecture, &spec, 4, 48) else { panic!("{architecture}:{objective}") };
                let window = |row: u32| (0..shape.window as u32).map(|place| (place * 13 + row * 29) % 51).collect();
                let windows: Vec<Vec<u32>> = (0..4).map(window).collect();
                let draw = |example: usize| generator(9, Stream::Validation, example as u64);
                let made = batch(&spec, architecture, 48, words, &windows, &mut { draw }).unwrap();
                let places = target_places(&spec, architecture, 48, words, &windows, &mut { draw }).unwrap();
                let tokens = windows.concat();
                assert_eq!(places.len(), made.targets.len());
                let mut found = 0;
                for ((target, weight), place) in made.targets.iter().zip(&made.loss_weights).zip(&places) {
                    match place {
                        Some(place) => assert_eq!(tokens[*place], *target, "{architecture}:{objective}"),
                        // An end mark inside of a window is a place; one that closes a row is not.
                        None => assert!(*weight == 0.0 || !vocabulary.is_text(*target), "{architecture}:{objective}"),
                    }
                    found += usize::from(place.is_some() && *weight != 0.0);
                }
                assert!(found > 0, "{architecture}:{objective}");
                cells += 1;
            }
        }
        assert!(cells > 40, "{cells}");
    }
}
