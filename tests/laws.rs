//! Laws of tokens and targets over random inputs: corruption inverts, weights cover targets only, shares of trained
//! positions, every window once per pass; and the literal rows that the documentation of `objective::batch` shows.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken test stops")]

use std::collections::BTreeSet;
use std::fmt::Write;

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use trilab::core::rows::batch_shape;
use trilab::core::seed::{Stream, generator};
use trilab::core::{Architecture, Objective, ObjectiveSpec};
use trilab::corpus::{DataOrder, Vocabulary};
use trilab::objective::{Batch, Corrupted, ObjectiveError, Side, UnigramCounts, batch, corrupt};

use Architecture::{CausalDecoder, EncoderDecoder, NonCausalDecoder};
use Objective::{FullLm, PrefixLm, SpanCorruption};

const LEGAL: [(Architecture, Objective); 7] = [
    (CausalDecoder, FullLm),
    (CausalDecoder, PrefixLm),
    (NonCausalDecoder, PrefixLm),
    (EncoderDecoder, PrefixLm),
    (CausalDecoder, SpanCorruption),
    (NonCausalDecoder, SpanCorruption),
    (EncoderDecoder, SpanCorruption),
];

fn spec(objective: Objective) -> ObjectiveSpec {
    ObjectiveSpec { objective, noise_density: 0.15, mean_noise_span_length: 3.0, loss_on_inputs: false }
}

fn draws(seed: u64) -> impl FnMut(usize) -> ChaCha8Rng {
    move |example| generator(seed, Stream::Objective, example as u64)
}

fn windows(count: usize, length: usize) -> Vec<Vec<u32>> {
    (0..count).map(|row| (0..length).map(|at| ((row * 31 + at * 7) % 200) as u32).collect()).collect()
}

fn made(architecture: Architecture, spec: &ObjectiveSpec, windows: &[Vec<u32>], seed: u64) -> Batch {
    batch(spec, architecture, &Vocabulary::new(256), windows, &mut draws(seed)).unwrap()
}

// ---------------------------------------------------------------------------------------------- literal rows

/// Ids 0..26 as letters, specials by their marks.
fn letters(vocabulary: &Vocabulary, tokens: &[u32]) -> String {
    let shown = |id: &u32| match char::from_u32(u32::from(b'a') + id) {
        Some(letter) if vocabulary.is_text(*id) => letter.to_string(),
        _ => vocabulary.mark(*id),
    };
    columns(tokens.iter().map(shown))
}

fn columns(cells: impl Iterator<Item = String>) -> String {
    cells.map(|cell| format!("{cell:<5}")).collect::<String>().trim_end().to_owned()
}

fn side(out: &mut String, vocabulary: &Vocabulary, name: &str, side: &Side, row: usize) {
    let range = row * side.length..(row + 1) * side.length;
    writeln!(out, "{:<18} {}", format!("{name} tokens"), letters(vocabulary, &side.tokens[range.clone()])).unwrap();
    let numbers = |values: &[u32]| columns(values.iter().map(u32::to_string));
    writeln!(out, "{:<18} {}", "  positions", numbers(&side.positions[range.clone()])).unwrap();
    writeln!(out, "{:<18} {}", "  segments", numbers(&side.segments[range])).unwrap();
}

fn written(title: &str, vocabulary: &Vocabulary, batch: &Batch) -> String {
    let mut out = format!("{title}\n");
    for row in 0..batch.rows {
        if let Some(encoder) = &batch.encoder {
            side(&mut out, vocabulary, "encoder", encoder, row);
        }
        side(&mut out, vocabulary, "decoder", &batch.decoder, row);
        let range = row * batch.decoder.length..(row + 1) * batch.decoder.length;
        writeln!(out, "{:<18} {}", "targets", letters(vocabulary, &batch.targets[range.clone()])).unwrap();
        let weights = columns(batch.loss_weights[range].iter().map(f32::to_string));
        writeln!(out, "{:<18} {weights}", "loss weights").unwrap();
        writeln!(out, "{:<18} {}", "prefix length", batch.prefix_lengths[row]).unwrap();
    }
    out
}

#[test]
fn rows_are_those_of_the_documentation() {
    let vocabulary = Vocabulary::new(26);
    let language = [vec![0, 1, 2, 3, 4, 5], vec![20, 21, 22, 23, 24, 25]];
    let corruption = [(0..10).collect::<Vec<u32>>()];
    let mut text = String::from("```text\n");
    for (architecture, objective) in LEGAL {
        let spec = ObjectiveSpec { noise_density: 0.3, mean_noise_span_length: 1.5, ..spec(objective) };
        let windows: &[Vec<u32>] = match (architecture, objective) {
            (_, SpanCorruption) => &corruption,
            (EncoderDecoder, FullLm | PrefixLm) => &language,
            (CausalDecoder | NonCausalDecoder, FullLm | PrefixLm) => &language[..1],
        };
        let batch = batch(&spec, architecture, &vocabulary, windows, &mut draws(7)).unwrap();
        let shown: Vec<String> = windows.iter().map(|w| letters(&vocabulary, w).split_whitespace().collect()).collect();
        let title = format!("{architecture}:{objective} of {}", shown.join(" and "));
        text.push_str(&written(&title, &vocabulary, &batch));
        text.push('\n');
    }
    let text = format!("{}\n```\n", text.trim_end());
    assert_eq!(text, include_str!("../src/objective/rows.md"), "the rows are now\n{text}");
}

// ---------------------------------------------------------------------------------------------- span corruption

/// The window that inputs and targets came from.
fn rebuilt(vocabulary: &Vocabulary, corrupted: &Corrupted) -> Vec<u32> {
    let spans: Vec<&[u32]> = corrupted.targets[..corrupted.targets.len() - 1]
        .chunk_by(|_, next| vocabulary.sentinel_index(*next).is_none())
        .collect();
    let mut window = Vec::new();
    for token in &corrupted.inputs[..corrupted.inputs.len() - 1] {
        match vocabulary.sentinel_index(*token) {
            Some(span) => {
                assert_eq!(spans[span as usize][0], *token, "spans are in the order of their sentinels");
                window.extend_from_slice(&spans[span as usize][1..]);
            }
            None => window.push(*token),
        }
    }
    window
}

proptest! {
    #[test]
    fn span_corruption_inverts(
        window in prop::collection::vec(0u32..257, 2..400),
        noise_density in 0.01f64..0.6,
        mean_noise_span_length in 1.5f64..9.0,
        seed: u64,
    ) {
        let vocabulary = Vocabulary::new(256);
        let spec = ObjectiveSpec { noise_density, mean_noise_span_length, ..spec(SpanCorruption) };
        match corrupt(&spec, &vocabulary, &window, &mut draws(seed)(0)) {
            Ok(corrupted) => {
                prop_assert_eq!(rebuilt(&vocabulary, &corrupted), window);
                prop_assert!(vocabulary.sentinel_index(corrupted.inputs[0]).is_none(), "starts clean");
                let last = corrupted.inputs.len() - 2;
                prop_assert!(vocabulary.sentinel_index(corrupted.inputs[last]).is_some(), "ends in noise");
                prop_assert_eq!(corrupted.inputs.last(), Some(&vocabulary.end()));
                prop_assert_eq!(corrupted.targets.last(), Some(&vocabulary.end()));
            }
            Err(ObjectiveError::Spans(spans)) => prop_assert!(spans > 128),
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        }
    }

    #[test]
    fn shapes_are_those_of_core(seq_len in 6usize..200, rows in 1usize..4, seed: u64) {
        for (architecture, objective) in LEGAL {
            let spec = spec(objective);
            let shape = batch_shape(architecture, &spec, 2 * rows, seq_len).unwrap();
            let made = made(architecture, &spec, &windows(2 * rows, shape.window), seed);
            prop_assert_eq!(made.rows, shape.rows);
            prop_assert_eq!(made.decoder.length, shape.decoder_len);
            prop_assert_eq!(made.encoder.as_ref().map_or(0, |side| side.length), shape.encoder_len);
            for side in std::iter::once(&made.decoder).chain(&made.encoder) {
                prop_assert_eq!(side.tokens.len(), made.rows * side.length);
                prop_assert_eq!(side.positions.len(), side.tokens.len());
                prop_assert_eq!(side.segments.len(), side.tokens.len());
            }
            prop_assert_eq!(made.targets.len(), made.decoder.tokens.len());
            prop_assert_eq!(made.loss_weights.len(), made.targets.len());
            prop_assert_eq!(made.prefix_lengths.len(), made.rows);
        }
    }

    #[test]
    fn no_position_reads_what_it_must_predict(seq_len in 6usize..120, seed: u64) {
        for (architecture, objective) in LEGAL {
            let spec = spec(objective);
            let window = batch_shape(architecture, &spec, 2, seq_len).unwrap().window;
            let made = made(architecture, &spec, &windows(2, window), seed);
            let length = made.decoder.length;
            for (row, prefix) in made.prefix_lengths.iter().enumerate() {
                let at = |place: usize| row * length + place;
                for place in 0..length {
                    let trained = made.loss_weights[at(place)] > 0.0;
                    // Inside a prefix only its last position may be trained: its target is the first token after it.
                    prop_assert!(!trained || place + 1 >= *prefix as usize);
                    let continues = place > 0 && made.decoder.segments[at(place)] == made.decoder.segments[at(place) - 1];
                    let before = if continues { made.targets[at(place) - 1] } else { Vocabulary::new(256).start() };
                    prop_assert_eq!(made.decoder.tokens[at(place)], before);
                }
            }
        }
    }

    #[test]
    fn every_window_comes_once_per_pass(stream_len in 20u64..4000, window in 1usize..20, seed: u64, pass in 0u64..50) {
        let order = DataOrder::new(seed, stream_len, window).unwrap();
        let n = order.windows_per_pass();
        let starts: BTreeSet<u64> = (pass * n..(pass + 1) * n).map(|example| order.start_of(example)).collect();
        prop_assert_eq!(starts.len() as u64, n);
        let offsets: BTreeSet<u64> = starts.iter().map(|start| start % window as u64).collect();
        prop_assert_eq!(offsets.len(), 1, "one grid per pass");
        prop_assert!(starts.iter().all(|start| start + window as u64 <= stream_len));
        let unread = stream_len - n * window as u64;
        prop_assert!(unread < 2 * window as u64, "{} of {} tokens unread", unread, stream_len);
    }
}

// ---------------------------------------------------------------------------------------------- weights and shares

#[test]
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn shares_of_trained_positions() {
    let share = |architecture, objective| {
        let spec = spec(objective);
        let window = batch_shape(architecture, &spec, 400, 626).unwrap().window;
        let made = made(architecture, &spec, &windows(400, window), 5);
        made.weight() / made.targets.len() as f64
    };
    let exactly = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    exactly(share(CausalDecoder, FullLm), 1.0);
    exactly(share(EncoderDecoder, PrefixLm), 1.0);
    exactly(share(EncoderDecoder, SpanCorruption), 1.0);
    exactly(share(CausalDecoder, SpanCorruption), 114.0 / 626.0);
    exactly(share(NonCausalDecoder, SpanCorruption), 114.0 / 626.0);
    for architecture in [CausalDecoder, NonCausalDecoder] {
        // The mean of 400 uniform draws strays by 0.0144 (one standard deviation).
        let found = share(architecture, PrefixLm);
        assert!((found - 0.5).abs() < 0.06, "{found}");
    }
}

#[test]
fn weights_cover_targets_only_unless_asked() {
    for (architecture, objective) in LEGAL {
        let spec = spec(objective);
        let window = batch_shape(architecture, &spec, 2, 64).unwrap().window;
        let plain = made(architecture, &spec, &windows(2, window), 3);
        let length = plain.decoder.length;
        for row in plain.loss_weights.chunks(length) {
            let first = row.iter().position(|weight| *weight > 0.0).unwrap();
            assert!(row[first..].iter().all(|weight| (*weight - 1.0).abs() < 1e-9));
        }
        let asked = ObjectiveSpec { loss_on_inputs: true, ..spec };
        let answer = batch(&asked, architecture, &Vocabulary::new(256), &windows(2, window), &mut draws(3));
        match answer {
            Ok(all) => {
                assert!((all.weight() - all.targets.len() as f64).abs() < 1e-9);
                assert_eq!((all.decoder, all.prefix_lengths), (plain.decoder, plain.prefix_lengths));
            }
            Err(error) => {
                assert_eq!(architecture, EncoderDecoder);
                assert!(error.to_string().contains("loss_on_inputs = false"), "{error}");
            }
        }
    }
}

/// Pearson's statistic of `counts` against equal shares.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn chi_square(counts: &[u64]) -> f64 {
    let expected = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    counts.iter().map(|count| (*count as f64 - expected).powi(2) / expected).sum()
}

#[test]
fn splits_are_uniform() {
    let windows = windows(20_000, 17);
    let made = made(NonCausalDecoder, &spec(PrefixLm), &windows, 11);
    let mut counts = [0u64; 16];
    for prefix in made.prefix_lengths {
        counts[prefix as usize - 2] += 1; // split 1..=16 gives prefix length 2..=17
    }
    // 15 degrees of freedom: 37.7 is passed once in a thousand.
    assert!(chi_square(&counts) < 37.7, "{counts:?}");
    let made = self::made(EncoderDecoder, &spec(PrefixLm), &windows, 12);
    let mut counts = [0u64; 16];
    for row in made.encoder.unwrap().segments.chunks(17) {
        counts[row.iter().filter(|segment| **segment == 1).count() - 1] += 1;
    }
    assert!(chi_square(&counts) < 37.7, "{counts:?}");
}

#[test]
fn span_lengths_are_uniform_compositions() {
    // 12 tokens, half removed in 3 spans: 6 = a + b + c has 10 solutions in positive numbers, all equally likely.
    let spec = ObjectiveSpec { noise_density: 0.5, mean_noise_span_length: 2.0, ..spec(SpanCorruption) };
    let vocabulary = Vocabulary::new(256);
    let window: Vec<u32> = (0..12).collect();
    let mut found = std::collections::BTreeMap::<Vec<usize>, u64>::new();
    for example in 0..10_000 {
        let targets = corrupt(&spec, &vocabulary, &window, &mut draws(2)(example)).unwrap().targets;
        let spans = targets[..targets.len() - 1].chunk_by(|_, next| vocabulary.is_text(*next));
        *found.entry(spans.map(|span| span.len() - 1).collect()).or_default() += 1;
    }
    let counts: Vec<u64> = found.into_values().collect();
    assert_eq!(counts.len(), 10);
    // 9 degrees of freedom: 27.9 is passed once in a thousand.
    assert!(chi_square(&counts) < 27.9, "{counts:?}");
}

#[test]
fn the_same_draws_give_the_same_batch() {
    for (architecture, objective) in LEGAL {
        let spec = spec(objective);
        let window = batch_shape(architecture, &spec, 8, 64).unwrap().window;
        let make = |seed| made(architecture, &spec, &windows(8, window), seed);
        assert_eq!(make(1), make(1));
        assert_eq!(make(1) != make(2), objective != FullLm);
    }
}

// ---------------------------------------------------------------------------------------------- refusals

#[test]
fn refusals_name_the_cure() {
    let vocabulary = Vocabulary::new(256);
    let said = |architecture, objective, windows: &[Vec<u32>]| {
        batch(&spec(objective), architecture, &vocabulary, windows, &mut draws(1)).unwrap_err().to_string()
    };
    assert!(said(NonCausalDecoder, FullLm, &windows(2, 8)).contains("nearest legal cell: ND:PLM"));
    assert!(said(EncoderDecoder, FullLm, &windows(2, 8)).contains("nearest legal cell: ED:PLM"));
    assert!(said(EncoderDecoder, PrefixLm, &windows(3, 8)).contains("micro_batch_size"));
    assert!(said(CausalDecoder, FullLm, &[]).contains("at least 2"));
    assert!(said(CausalDecoder, FullLm, &windows(1, 1)).contains("seq_len"));
    assert!(said(CausalDecoder, FullLm, &[vec![1, 2], vec![1, 2, 3]]).contains("[2, 3]"));
    assert!(said(EncoderDecoder, SpanCorruption, &windows(1, 4000)).contains("mean_noise_span_length"));
}

#[test]
fn the_unigram_yardstick_counts_what_is_trained() {
    let made = made(CausalDecoder, &spec(SpanCorruption), &windows(4, 568), 9);
    let mut counts = UnigramCounts::default();
    counts.add(&made);
    assert!((counts.weight() - made.weight()).abs() < 1e-9);
    // 4 rows × 28 distinct sentinels and 4 end marks out of 4 × 114 targets: far from one certain token, below uniform.
    assert!(counts.entropy() > 28f64.ln() / 2.0 && counts.entropy() < 387f64.ln());
}
