//! Laws of tokens and targets over random inputs: corruption inverts, weights cover targets only, shares of trained
//! positions, every window once per pass; and the literal rows that the documentation of `objective::batch` shows.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken test stops")]

use std::collections::BTreeSet;
use std::fmt::Write;

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use trilab::core::rows::{batch_shape, iid_bounds, span_lengths, task_lengths};
use trilab::core::seed::{Stream, generator};
use trilab::core::{Architecture, MixturePart, Mode, Objective, ObjectiveSpec, Task, legal};
use trilab::corpus::{DataOrder, Mark, Vocabulary};
use trilab::objective::{
    Batch, Corrupted, Example, ObjectiveError, Side, UnigramCounts, Words, batch, corrupt, drop_tokens, example,
};

use Architecture::{CausalDecoder, EncoderDecoder, EncoderOnly, NonCausalDecoder};
use Objective::{BlankInfilling, FullLm, IidDenoising, MaskedLm, PrefixLm, SpanCorruption};

/// Every cell that trains on texts; of a mixture of one's own nothing is known.
fn legal_cells() -> Vec<(Architecture, Objective)> {
    let all = Architecture::ALL.into_iter().flat_map(|a| Objective::ALL.into_iter().map(move |o| (a, o)));
    let on_texts = all.filter(|(_, o)| *o != Objective::Mixture && !o.is_prompted());
    on_texts.filter(|(a, o)| legal::usual(*a, *o).is_ok()).collect()
}

fn spec(objective: Objective) -> ObjectiveSpec {
    ObjectiveSpec::new(objective, (0.15, 3.0), false, &[])
}

/// Every ninth token ends a sentence.
fn words(vocabulary: &Vocabulary) -> Words<'_> {
    Words { vocabulary, ends_sentence: &|id| id % 9 == 8 }
}

fn draws(seed: u64) -> impl FnMut(usize) -> ChaCha8Rng {
    move |example| generator(seed, Stream::Objective, example as u64)
}

fn windows(count: usize, length: usize) -> Vec<Vec<u32>> {
    (0..count).map(|row| (0..length).map(|at| ((row * 31 + at * 7) % 200) as u32).collect()).collect()
}

fn made(
    (architecture, spec): (Architecture, &ObjectiveSpec),
    seq_len: usize,
    windows: &[Vec<u32>],
    seed: u64,
) -> Result<Batch, ObjectiveError> {
    batch(spec, architecture, seq_len, words(&Vocabulary::new(256)), windows, &mut draws(seed))
}

/// A batch of `count` examples in rows of `seq_len`.
fn filled(cell: (Architecture, &ObjectiveSpec), seq_len: usize, count: usize, seed: u64) -> Batch {
    let window = batch_shape(cell.0, cell.1, count, seq_len).unwrap().window;
    made(cell, seq_len, &windows(count, window), seed).unwrap()
}

// ---------------------------------------------------------------------------------------------- literal rows

/// Ids 0..26 as letters, specials by their marks.
fn letters(vocabulary: &Vocabulary, tokens: &[u32]) -> String {
    let marks = [Mark::Mask, Mark::SentenceMask, Mark::DocumentMask, Mark::StartOfPiece, Mark::EndOfPiece];
    let modes = [Mark::Regular, Mark::Sequential, Mark::Extreme];
    let mark = |id| marks.into_iter().chain(modes).find(|mark| vocabulary.of(*mark) == id);
    let shown = |id: &u32| match (char::from_u32(u32::from(b'a') + id), mark(*id)) {
        (Some(letter), _) if vocabulary.is_text(*id) => letter.to_string(),
        (_, Some(mark)) => mark.written().to_owned(),
        (_, None) => vocabulary.mark(*id),
    };
    columns(tokens.iter().map(shown))
}

fn columns(cells: impl Iterator<Item = String>) -> String {
    cells.map(|cell| format!("{cell:<7}")).collect::<String>().trim_end().to_owned()
}

fn side(out: &mut String, vocabulary: &Vocabulary, name: &str, side: &Side, row: usize) {
    let range = row * side.length..(row + 1) * side.length;
    writeln!(out, "{:<18} {}", format!("{name} tokens"), letters(vocabulary, &side.tokens[range.clone()])).unwrap();
    let numbers = |values: &[u32]| columns(values.iter().map(u32::to_string));
    writeln!(out, "{:<18} {}", "  positions", numbers(&side.positions[range.clone()])).unwrap();
    if !side.block_positions.is_empty() {
        writeln!(out, "{:<18} {}", "  in the blank", numbers(&side.block_positions[range.clone()])).unwrap();
    }
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

/// A row of `architecture` that learns `spec`, in `seq_len` positions, from as much of `texts` as it takes.
fn shown(
    out: &mut String,
    title: &str,
    (architecture, spec): (Architecture, &ObjectiveSpec),
    seq_len: usize,
    (texts, seed): (&[Vec<u32>], u64),
) {
    let vocabulary = Vocabulary::new(26);
    let window = batch_shape(architecture, spec, texts.len(), seq_len).unwrap().window;
    let windows: Vec<Vec<u32>> = texts.iter().map(|text| text[..window].to_vec()).collect();
    let words = Words { vocabulary: &vocabulary, ends_sentence: &|id| id % 4 == 3 };
    let batch = batch(spec, architecture, seq_len, words, &windows, &mut draws(seed)).unwrap();
    let of: Vec<String> = windows.iter().map(|w| letters(&vocabulary, w).split_whitespace().collect()).collect();
    out.push_str(&written(&format!("{architecture}:{title} of {}", of.join(" and ")), &vocabulary, &batch));
    out.push('\n');
}

#[test]
fn rows_are_those_of_the_documentation() {
    let (first, second): (Vec<u32>, Vec<u32>) = ((0..26).collect(), (20..26).collect());
    let (alone, both) = (std::slice::from_ref(&first), [first.clone(), second]);
    let mut text = String::from("```text\n");
    for (architecture, objective) in legal_cells() {
        let cell = (architecture, &ObjectiveSpec::new(objective, (0.3, 1.5), false, &[]));
        // The other encoder–decoders have the rows of ED.
        let same = architecture.has_encoder() && architecture != EncoderDecoder;
        match objective {
            _ if same => {}
            FullLm | PrefixLm => {
                let texts = if architecture == EncoderDecoder { &both[..] } else { alone };
                shown(&mut text, objective.label(), cell, 6, (texts, 7));
            }
            SpanCorruption => shown(&mut text, "MLM", cell, 16, (alone, 7)),
            IidDenoising => {
                shown(&mut text, "IID", cell, 24, (alone, 1));
                // A text that begins with a dropped token has its first sentinel first on both sides.
                let begins = |seed: &u64| {
                    let vocabulary = Vocabulary::new(26);
                    let dropped = drop_tokens(0.3, &vocabulary, &first[..10], &mut draws(*seed)(0)).unwrap();
                    dropped.inputs[0] == vocabulary.first_sentinel()
                };
                let seed = (0..).find(begins).unwrap();
                shown(&mut text, "IID (the first token is dropped)", cell, 24, (alone, seed));
            }
            MaskedLm => shown(&mut text, "BERT", cell, 13, (alone, 7)),
            BlankInfilling | Objective::Ul2 => {
                let part = |task, mean, mode| MixturePart {
                    task,
                    weight: 1.0,
                    noise_density: if task == Task::BlankDocument { 0.5 } else { 0.3 },
                    mean_noise_span_length: mean,
                    mode,
                    rolled: false,
                };
                let parts = if objective == BlankInfilling {
                    vec![
                        ("GLM (tokens)", part(Task::BlankTokens, 3.0, None)),
                        ("GLM (sentences)", part(Task::BlankSentences, 3.0, None)),
                        ("GLM (document)", part(Task::BlankDocument, 3.0, None)),
                    ]
                } else {
                    vec![
                        ("UL2 (regular)", part(Task::SpanCorruption, 1.5, Some(Mode::R))),
                        ("UL2 (extreme)", part(Task::SpanCorruption, 8.0, Some(Mode::X))),
                        (
                            "UL2R (rolled)",
                            MixturePart { rolled: true, ..part(Task::SpanCorruption, 1.5, Some(Mode::R)) },
                        ),
                        ("UL2 (sequential)", part(Task::Suffix, 1.0, Some(Mode::S))),
                    ]
                };
                for (title, part) in parts {
                    let mix = ObjectiveSpec::new(Objective::Mixture, (0.3, 1.5), false, &[part]);
                    shown(&mut text, title, (architecture, &mix), 17, (alone, 7));
                }
            }
            // UL2R mixes them in other shares.
            Objective::Ul2R | Objective::Mixture | Objective::Multitask | Objective::Finetuning => {}
        }
    }
    for (architecture, objective, seq_len) in
        [(NonCausalDecoder, PrefixLm, 6), (CausalDecoder, SpanCorruption, 16), (NonCausalDecoder, SpanCorruption, 16)]
    {
        let title = format!("{objective} with loss on inputs");
        let spec = ObjectiveSpec::new(objective, (0.3, 1.5), true, &[]);
        shown(&mut text, &title, (architecture, &spec), seq_len, (alone, 7));
    }
    // Two examples of a mixture, of one task each.
    let part = |task| MixturePart {
        task,
        weight: 1.0,
        noise_density: 0.3,
        mean_noise_span_length: 1.5,
        mode: None,
        rolled: false,
    };
    for architecture in [CausalDecoder, NonCausalDecoder, EncoderDecoder] {
        let mix = [Task::PrefixLm, Task::SpanCorruption].map(part);
        let spec = ObjectiveSpec::new(Objective::Mixture, (0.3, 1.5), false, &mix);
        let texts = [first.clone(), first.iter().rev().copied().collect()];
        shown(&mut text, "MIX (prefix_lm, span_corruption)", (architecture, &spec), 12, (&texts, 2));
    }
    for architecture in [CausalDecoder, NonCausalDecoder, EncoderDecoder] {
        let vocabulary = Vocabulary::new(26);
        let pair = (first[..5].to_vec(), vec![23, 24, vocabulary.end()]);
        let batch = Batch::of_pairs(architecture, 16, &vocabulary, &[pair], false);
        text.push_str(&written(&format!("{architecture}:MTF of abcde with xy"), &vocabulary, &batch));
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
        rolled: bool,
        seed: u64,
    ) {
        let vocabulary = Vocabulary::new(256);
        match corrupt((noise_density, mean_noise_span_length, rolled), &vocabulary, &window, &mut draws(seed)(0)) {
            Ok(corrupted) => {
                prop_assert_eq!(rebuilt(&vocabulary, &corrupted), &window[..]);
                let lengths = span_lengths(window.len(), noise_density, mean_noise_span_length).unwrap();
                let more = corrupted.inputs.len() - lengths.inputs;
                prop_assert_eq!(corrupted.targets.len() - lengths.targets, more);
                let removed = |at: usize| vocabulary.sentinel_index(corrupted.inputs[at]).is_some();
                let (first, last) = (removed(0), removed(corrupted.inputs.len() - 2));
                if rolled {
                    prop_assert!(more == 0 || (more == 1 && first && last), "a span is cut in two at the ends alone");
                } else {
                    prop_assert!(more == 0 && !first && last, "starts clean, ends in noise");
                }
                prop_assert_eq!(corrupted.inputs.last(), Some(&vocabulary.end()));
                prop_assert_eq!(corrupted.targets.last(), Some(&vocabulary.end()));
            }
            Err(ObjectiveError::Spans(spans)) => prop_assert!(spans > 128),
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        }
    }

    #[test]
    fn dropping_tokens_inverts(
        window in prop::collection::vec(0u32..257, 2..200),
        noise_density in 0.01f64..0.6,
        seed: u64,
    ) {
        let vocabulary = Vocabulary::new(256);
        match drop_tokens(noise_density, &vocabulary, &window, &mut draws(seed)(0)) {
            Ok(corrupted) => {
                let (most, most_runs) = iid_bounds(window.len(), noise_density);
                let runs = corrupted.inputs.iter().filter(|id| vocabulary.sentinel_index(**id).is_some()).count();
                let dropped = corrupted.targets.len() - runs - 1;
                prop_assert!((1..=most).contains(&dropped) && (1..=most_runs).contains(&runs));
                let numbered = |side: &[u32]| side.iter().filter_map(|id| vocabulary.sentinel_index(*id)).collect::<Vec<_>>();
                prop_assert_eq!(numbered(&corrupted.inputs), numbered(&corrupted.targets), "one number on both sides");
                prop_assert_eq!(rebuilt(&vocabulary, &corrupted), window);
            }
            Err(ObjectiveError::Spans(spans)) => prop_assert!(spans > 128),
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        }
    }

    #[test]
    fn blanks_hold_the_whole_text_and_never_touch(seq_len in 16usize..300, kind in 0usize..3, seed: u64) {
        let vocabulary = Vocabulary::new(256);
        let part = &Objective::BlankInfilling.mixture(0.15)[kind];
        let length = task_lengths(part, seq_len).unwrap().window;
        let window: Vec<u32> = (0..length as u32).map(|i| i * 7 % 200).collect();
        let made = example(part, words(&vocabulary), &window, seq_len, &mut draws(seed)(0));
        let Ok(Example::Blanks { text, blanks }) = made else { panic!("{made:?}") };
        let mut rebuilt = Vec::new();
        for (place, token) in text.iter().enumerate() {
            match blanks.iter().find(|(at, _)| *at == place) {
                Some((_, blank)) => {
                    prop_assert!(vocabulary.is_mark(*token) && !blank.is_empty());
                    rebuilt.extend(blank);
                }
                None => rebuilt.push(*token),
            }
        }
        prop_assert_eq!(rebuilt, window);
        let mut places: Vec<usize> = blanks.iter().map(|(place, _)| *place).collect();
        places.sort_unstable();
        prop_assert!(places.windows(2).all(|pair| pair[1] > pair[0] + 1), "{:?}", places);
    }

    #[test]
    fn shapes_are_those_of_core(seq_len in 16usize..200, rows in 1usize..4, seed: u64) {
        for (architecture, objective) in legal_cells() {
            let spec = spec(objective);
            let shape = batch_shape(architecture, &spec, 2 * rows, seq_len).unwrap();
            let made = filled((architecture, &spec), seq_len, 2 * rows, seed);
            prop_assert!(shape.decoder_len <= seq_len && shape.encoder_len <= seq_len);
            prop_assert_eq!(made.rows, shape.rows);
            prop_assert_eq!(made.decoder.length, shape.decoder_len);
            prop_assert_eq!(made.encoder.as_ref().map_or(0, |side| side.length), shape.encoder_len);
            for side in std::iter::once(&made.decoder).chain(&made.encoder) {
                prop_assert_eq!(side.tokens.len(), made.rows * side.length);
                prop_assert_eq!(side.positions.len(), side.tokens.len());
                prop_assert_eq!(side.segments.len(), side.tokens.len());
                let blanks = objective == BlankInfilling;
                prop_assert_eq!(side.block_positions.len(), if blanks { side.tokens.len() } else { 0 });
                // Padding closes a row and is nothing else.
                let padding = |at: usize| side.tokens[at] == Vocabulary::new(256).pad();
                prop_assert!((0..side.tokens.len()).all(|at| padding(at) == (side.segments[at] == 0)));
            }
            prop_assert_eq!(made.targets.len(), made.decoder.tokens.len());
            prop_assert_eq!(made.loss_weights.len(), made.targets.len());
            prop_assert_eq!(made.prefix_lengths.len(), made.rows);
        }
    }

    #[test]
    fn no_position_reads_what_it_must_predict(seq_len in 16usize..120, seed: u64) {
        let vocabulary = Vocabulary::new(256);
        let opens = [vocabulary.start(), vocabulary.of(Mark::StartOfPiece)];
        for (architecture, objective) in legal_cells() {
            let made = filled((architecture, &spec(objective)), seq_len, 2, seed);
            let length = made.decoder.length;
            for (row, prefix) in made.prefix_lengths.iter().enumerate() {
                for place in 0..length {
                    let at = row * length + place;
                    if made.loss_weights[at] == 0.0 {
                        continue;
                    }
                    let read = made.decoder.tokens[at];
                    if architecture == EncoderOnly {
                        // Of masked tokens some are left as they are: that is the objective.
                        prop_assert!(read == vocabulary.of(Mark::Mask) || vocabulary.is_text(read));
                        continue;
                    }
                    // Inside a prefix only its last position may be trained: its target is the first token after it.
                    prop_assert!(place + 1 >= *prefix as usize);
                    // What is read is what the position before had to predict, or the mark of a beginning.
                    let continues = place > 0 && made.decoder.segments[at] == made.decoder.segments[at - 1];
                    let before = continues.then(|| made.targets[at - 1]);
                    let is_first = place == *prefix as usize || place + 1 == *prefix as usize || !continues;
                    prop_assert!(before == Some(read) || opens.contains(&read) || is_first, "{architecture}:{objective}");
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
    // Of all positions, those of encoders too.
    let share = |architecture, objective| {
        let made = filled((architecture, &spec(objective)), 626, 400, 5);
        let read = made.encoder.as_ref().map_or(0, |side| side.tokens.len());
        made.weight() / (made.targets.len() + read) as f64
    };
    let exactly = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    exactly(share(CausalDecoder, FullLm), 1.0);
    exactly(share(CausalDecoder, SpanCorruption), 114.0 / 626.0);
    exactly(share(NonCausalDecoder, SpanCorruption), 114.0 / 626.0);
    for architecture in [CausalDecoder, NonCausalDecoder] {
        // The mean of 400 uniform draws strays by 0.0144 (one standard deviation).
        let found = share(architecture, PrefixLm);
        assert!((found - 0.5).abs() < 0.06, "{found}");
    }
    // 94 of 625 tokens are masked, in rows with a start mark.
    exactly(share(EncoderOnly, MaskedLm), 94.0 / 626.0);
    for architecture in Architecture::ALL.into_iter().filter(|architecture| architecture.has_encoder()) {
        exactly(share(architecture, PrefixLm), 0.5);
        exactly(share(architecture, SpanCorruption), 114.0 / 626.0);
    }
    // Dropped one by one, tokens form runs: n p of them are written, behind p + (n - 1) p (1 - p) sentinels and an end mark.
    let part = &spec(IidDenoising).parts()[0];
    let (n, p) = (task_lengths(part, 626).unwrap().window as f64, 0.15);
    let expected = (n * p + p + (n - 1.0) * p * (1.0 - p) + 1.0) / 626.0;
    for architecture in [CausalDecoder, NonCausalDecoder] {
        let found = share(architecture, IidDenoising);
        assert!((found / expected - 1.0).abs() < 0.02, "{architecture}: {found}, {expected}");
        assert!((0.19..0.23).contains(&found), "{found}");
    }
}

#[test]
fn weights_cover_targets_only_unless_asked() {
    for (architecture, objective) in legal_cells() {
        let spec = spec(objective);
        let plain = filled((architecture, &spec), 64, 2, 3);
        let length = plain.decoder.length;
        let used = |batch: &Batch, at: usize| batch.decoder.segments[at] > 0;
        if architecture != EncoderOnly && objective != BlankInfilling {
            for (row, weights) in plain.loss_weights.chunks(length).enumerate() {
                let first = weights.iter().position(|weight| *weight > 0.0).unwrap();
                let ones = (first..length).filter(|place| used(&plain, row * length + place));
                assert!(ones.clone().count() > 0 && ones.clone().all(|place| (weights[place] - 1.0).abs() < 1e-9));
            }
        }
        let asked = ObjectiveSpec { loss_on_inputs: true, ..spec };
        let window = batch_shape(architecture, &asked, 2, 64).unwrap().window;
        match made((architecture, &asked), 64, &windows(2, window), 3) {
            Ok(all) => {
                let weighed = (0..all.targets.len()).all(|at| (all.loss_weights[at] > 0.0) == used(&all, at));
                assert!(weighed, "{architecture}:{objective}");
                assert_eq!((all.decoder, all.prefix_lengths), (plain.decoder, plain.prefix_lengths));
            }
            Err(error) => {
                let full = architecture == CausalDecoder && objective == PrefixLm;
                assert!(
                    full || architecture.has_encoder() || architecture == EncoderOnly || objective == BlankInfilling
                );
                let cure = if full { "nearest legal cell: CD:FLM" } else { "loss_on_inputs = false" };
                assert!(error.to_string().contains(cure), "{error}");
            }
        }
    }
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn mixtures_have_their_shares() {
    let vocabulary = Vocabulary::new(256);
    for objective in [Objective::Ul2, Objective::Ul2R] {
        let made = filled((CausalDecoder, &spec(objective)), 64, 4000, 5);
        let parts = spec(objective).parts();
        let total: f64 = parts.iter().map(|part| part.weight).sum();
        for (mode, mark) in [(Mode::R, Mark::Regular), (Mode::S, Mark::Sequential), (Mode::X, Mark::Extreme)] {
            let rows = made.decoder.tokens.chunks(64).filter(|row| row[1] == vocabulary.of(mark)).count();
            let own = parts.iter().filter(|part| part.mode == Some(mode));
            let share = own.map(|part| part.weight).sum::<f64>() / total;
            // Four standard deviations of a count among 4,000.
            let allowed = 4.0 * (4000.0 * share * (1.0 - share)).sqrt();
            assert!((rows as f64 - 4000.0 * share).abs() < allowed, "{objective} {mode:?}: {rows}, share {share}");
        }
    }
    let made = filled((NonCausalDecoder, &spec(BlankInfilling)), 128, 4000, 6);
    let marks = [(Mark::Mask, 0.5), (Mark::SentenceMask, 0.3), (Mark::DocumentMask, 0.2)];
    for (mark, share) in marks {
        let rows = made.decoder.tokens.chunks(128).filter(|row| row.contains(&vocabulary.of(mark))).count();
        assert!((rows as f64 / 4000.0 - share).abs() < 0.03, "{mark:?}: {rows}");
    }
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn masked_tokens_are_masked_replaced_or_left_in_their_shares() {
    let vocabulary = Vocabulary::new(256);
    let made = filled((EncoderOnly, &spec(MaskedLm)), 128, 2000, 4);
    let chosen: Vec<usize> = (0..made.targets.len()).filter(|at| made.loss_weights[*at] > 0.0).collect();
    let share = |of: &dyn Fn(usize) -> bool| chosen.iter().filter(|at| of(**at)).count() as f64 / chosen.len() as f64;
    let masked = share(&|at| made.decoder.tokens[at] == vocabulary.of(Mark::Mask));
    let left = share(&|at| made.decoder.tokens[at] == made.targets[at]);
    // 38,000 choices: 0.8 within 0.008 and 0.1 within 0.006 (four standard deviations), and 1 in 256 of the replaced by itself.
    assert!((masked - 0.8).abs() < 0.01 && (left - 0.1).abs() < 0.01, "{masked} {left}");
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
    let made = made((NonCausalDecoder, &spec(PrefixLm)), 17, &windows, 11).unwrap();
    let mut counts = [0u64; 16];
    for prefix in made.prefix_lengths {
        counts[prefix as usize - 2] += 1; // split 1..=16 gives prefix length 2..=17
    }
    // 15 degrees of freedom: 37.7 is passed once in a thousand.
    assert!(chi_square(&counts) < 37.7, "{counts:?}");
    let made = self::made((EncoderDecoder, &spec(PrefixLm)), 17, &windows, 12).unwrap();
    let mut counts = [0u64; 16];
    for row in made.encoder.unwrap().segments.chunks(17) {
        counts[row.iter().filter(|segment| **segment == 1).count() - 1] += 1;
    }
    assert!(chi_square(&counts) < 37.7, "{counts:?}");
}

#[test]
fn span_lengths_are_uniform_compositions() {
    // 12 tokens, half removed in 3 spans: 6 = a + b + c has 10 solutions in positive numbers, all equally likely.
    let vocabulary = Vocabulary::new(256);
    let window: Vec<u32> = (0..12).collect();
    let mut found = std::collections::BTreeMap::<Vec<usize>, u64>::new();
    for example in 0..10_000 {
        let targets = corrupt((0.5, 2.0, false), &vocabulary, &window, &mut draws(2)(example)).unwrap().targets;
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
    for (architecture, objective) in legal_cells() {
        let make = |seed| filled((architecture, &spec(objective)), 64, 8, seed);
        assert_eq!(make(1), make(1));
        assert_eq!(make(1) != make(2), objective != FullLm);
    }
}

// ---------------------------------------------------------------------------------------------- refusals

#[test]
fn refusals_name_the_cure() {
    let said = |architecture, objective, seq_len, windows: &[Vec<u32>]| {
        made((architecture, &spec(objective)), seq_len, windows, 1).unwrap_err().to_string()
    };
    assert!(said(NonCausalDecoder, FullLm, 8, &windows(2, 8)).contains("nearest legal cell: ND:PLM"));
    assert!(said(EncoderDecoder, FullLm, 8, &windows(2, 8)).contains("nearest legal cell: ED:PLM"));
    assert!(said(EncoderOnly, PrefixLm, 8, &windows(2, 8)).contains("nearest legal cell: EO:BERT"));
    assert!(said(EncoderDecoder, PrefixLm, 8, &windows(3, 8)).contains("micro_batch_size"));
    assert!(said(CausalDecoder, FullLm, 8, &[]).contains("must have 8"));
    assert!(said(CausalDecoder, FullLm, 1, &windows(1, 1)).contains("seq_len"));
    assert!(said(CausalDecoder, FullLm, 3, &[vec![1, 2], vec![1, 2, 3]]).contains("[2, 3]"));
    let window = batch_shape(EncoderDecoder, &spec(SpanCorruption), 1, 4000).unwrap().window;
    assert!(said(EncoderDecoder, SpanCorruption, 4000, &windows(1, window)).contains("mean_noise_span_length"));
    let window = batch_shape(EncoderDecoder, &spec(Objective::Ul2), 40, 4000).unwrap().window;
    assert!(said(EncoderDecoder, Objective::Ul2, 4000, &windows(40, window)).contains("sentinels"));
}

#[test]
fn the_unigram_yardstick_counts_what_is_trained() {
    let made = filled((CausalDecoder, &spec(SpanCorruption)), 626, 4, 9);
    let mut counts = UnigramCounts::default();
    counts.add(&made);
    assert!((counts.weight() - made.weight()).abs() < 1e-9);
    // 4 rows × 28 distinct sentinels and 4 end marks out of 4 × 114 targets: far from one certain token, below uniform.
    assert!(counts.entropy() > 28f64.ln() / 2.0 && counts.entropy() < 387f64.ln());
}
