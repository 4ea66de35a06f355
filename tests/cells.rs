//! Models of every architecture and every part: equal to an independent PyTorch implementation in logits, loss, gradients and
//! optimizer steps, and to the field's own classes for Llama and T5; and the laws of who sees whom, over random shapes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken test stops")]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use serde::Deserialize;
use trilab::core::rows::batch_shape;
use trilab::core::seed::{Stream, generator};
use trilab::core::{
    Architecture, AttentionDirection, Layout, LearningRateSchedule, Mlp, ModelSpec, NormKind, Objective, ObjectiveSpec,
    OptimizerSpec, Position, Precision, cost, legal,
};
use trilab::corpus::Vocabulary;
use trilab::kernel::{Tape, Value, Weight, cross_entropy};
use trilab::model::{LanguageModel, ModelInput, Numbers, Parameters, Pass};
use trilab::objective::{Batch, Side, Words, batch};
use trilab::optim::{AdamW, clip, norm};

const CPU: Device = Device::Cpu;

fn made(spec: &ModelSpec, length: usize) -> (LanguageModel, Parameters) {
    let numbers = Numbers { format: DType::F32, precision: Precision::F32, device: CPU };
    LanguageModel::new(spec, length, &numbers).unwrap()
}

/// Σ weight · (nll + z_loss · ln²Z) / Σ weight, recorded on `tape`.
fn mean_loss((spec, model): (&ModelSpec, &LanguageModel), batch: &Batch, z_loss: f64, tape: Option<&Tape>) -> Value {
    let input = ModelInput::new(batch, spec, &CPU).unwrap();
    let states = model.states(&input, Pass { tape, dropping: None }).unwrap();
    let flat = states.reshape(&[batch.targets.len(), spec.d_model]).unwrap();
    let total = batch.weight() as f32;
    let pairs = (0..).zip(batch.targets.iter().zip(&batch.loss_weights)).filter(|(_, (_, weight))| **weight != 0.0);
    let target = |(row, (token, weight)): (u32, (&u32, &f32))| cross_entropy::Target {
        row,
        token: *token,
        weight: weight / total,
    };
    model.loss(&flat, &pairs.map(target).collect::<Vec<_>>(), z_loss).unwrap().total
}

fn number(value: &Value) -> f64 {
    f64::from(value.tensor().to_scalar::<f32>().unwrap())
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

// ---------------------------------------------------------------------------------------------- parity

/// `tests/reference/cells.json`.
#[derive(Deserialize)]
struct Cells {
    z_loss: f64,
    learning_rate: f64,
    betas: (f64, f64),
    epsilon: f64,
    weight_decay: f64,
    clip: f64,
    batches: BTreeMap<String, StoredBatch>,
    cells: Vec<Cell>,
}

#[derive(Deserialize)]
struct Cell {
    name: String,
    model: ModelSpec,
    batch: String,
    losses: Vec<f64>,
}

#[derive(Deserialize)]
struct StoredBatch {
    rows: usize,
    decoder: StoredSide,
    encoder: Option<StoredSide>,
    targets: Vec<u32>,
    loss_weights: Vec<f32>,
    prefix_lengths: Vec<u32>,
}

#[derive(Deserialize)]
struct StoredSide {
    length: usize,
    tokens: Vec<u32>,
    positions: Vec<u32>,
    #[serde(default)]
    block_positions: Vec<u32>,
    segments: Vec<u32>,
}

fn batch_of(stored: &StoredBatch) -> Batch {
    let side = |side: &StoredSide| Side {
        length: side.length,
        tokens: side.tokens.clone(),
        positions: side.positions.clone(),
        block_positions: side.block_positions.clone(),
        segments: side.segments.clone(),
    };
    Batch {
        rows: stored.rows,
        decoder: side(&stored.decoder),
        encoder: stored.encoder.as_ref().map(side),
        targets: stored.targets.clone(),
        loss_weights: stored.loss_weights.clone(),
        prefix_lengths: stored.prefix_lengths.clone(),
    }
}

/// The weights of the reference scripts.
fn set_by_formula(parameters: &Parameters) {
    for (name, weight) in parameters.iter() {
        let shift: f64 = name.bytes().map(f64::from).sum();
        let vector = weight.tensor().rank() == 1;
        let value = |k: u32| {
            let k = f64::from(k);
            let wave = (0.7 * k + 0.013 * k * k + shift).sin();
            (match (vector, name.ends_with(".bias")) {
                (false, _) => 0.3 * wave,
                (true, true) => 0.2 * wave,
                (true, false) => 1.0 + 0.2 * wave,
            }) as f32
        };
        let values: Vec<f32> = (0..weight.tensor().elem_count() as u32).map(value).collect();
        weight.set(&Tensor::from_vec(values, weight.tensor().shape(), &CPU).unwrap()).unwrap();
    }
}

/// The reference gives the size of the table of positions even where there is none.
fn with_table(model: &ModelSpec) -> ModelSpec {
    let max_positions = if model.position == Position::Learned { model.max_positions } else { 0 };
    ModelSpec { max_positions, ..model.clone() }
}

/// ‖a − b‖ / ‖b‖.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    let norm = |of: &mut dyn Iterator<Item = f64>| of.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    difference / norm(&mut b.iter().map(|b| f64::from(*b))).max(1e-12)
}

/// The gradients of a batch by name; a parameter without one stops the test.
fn gradients(
    model: (&ModelSpec, &LanguageModel),
    parameters: &Parameters,
    batch: &Batch,
    z_loss: f64,
) -> (f64, BTreeMap<String, Vec<f32>>) {
    let tape = Tape::alone();
    parameters.weights().for_each(Weight::forget_gradient);
    let loss = mean_loss(model, batch, z_loss, Some(&tape));
    tape.backward(&loss, parameters.weights()).unwrap();
    let own = |(name, weight): (&str, &Weight)| (name.to_owned(), numbers(&weight.gradient_tensor().unwrap().unwrap()));
    (number(&loss), parameters.iter().map(own).collect())
}

#[test]
fn every_cell_is_that_of_an_independent_program() {
    let stored: Cells = serde_json::from_str(include_str!("reference/cells.json")).unwrap();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/cells.safetensors");
    let tensors: HashMap<String, Tensor> = candle_core::safetensors::load(folder, &CPU).unwrap();
    let mut seen = BTreeSet::new();
    let settings = OptimizerSpec {
        learning_rate: stored.learning_rate,
        schedule: LearningRateSchedule::Constant,
        warmup_steps: 0,
        final_fraction: 1.0,
        beta1: stored.betas.0,
        beta2: stored.betas.1,
        epsilon: stored.epsilon,
        weight_decay: stored.weight_decay,
        grad_clip_norm: stored.clip,
    };
    for Cell { name, model, batch, losses } in &stored.cells {
        let spec = &with_table(model);
        legal::model(spec).unwrap();
        let what = format!("{name}: {} {}", spec.architecture, spec.variant());
        seen.insert((spec.architecture, spec.position.word()));
        let batch = batch_of(&stored.batches[batch]);
        let (model, parameters) = made(spec, 16);
        set_by_formula(&parameters);
        assert_eq!(parameters.count(), cost::parameters(spec), "{what}: counted and computed");
        let logits = model.logits(&ModelInput::new(&batch, spec, &CPU).unwrap()).unwrap();
        let theirs = numbers(&tensors[&format!("{name}/logits")]);
        for ((ours, theirs), segment) in
            numbers(&logits).chunks(spec.vocab_size).zip(theirs.chunks(spec.vocab_size)).zip(&batch.decoder.segments)
        {
            let far = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(*segment == 0 || far < 2e-5, "{what}: logits differ by {far}");
        }
        let mut optimizer = AdamW::new(settings.clone(), parameters.iter(), 1).unwrap();
        for (number, expected) in losses.iter().enumerate() {
            let (loss, gradients) = gradients((spec, &model), &parameters, &batch, stored.z_loss);
            assert!((loss - expected).abs() < 1e-5, "{what}: loss {loss} of step {number}, not {expected}");
            if number == 0 {
                let own = tensors.keys().filter(|key| key.starts_with(&format!("{name}/gradient/"))).count();
                assert_eq!(own, gradients.len(), "{what}: parameters");
                for (parameter, gradient) in &gradients {
                    let theirs = numbers(&tensors[&format!("{name}/gradient/{parameter}")]);
                    let far = apart(gradient, &theirs);
                    assert!(far < 1e-4, "{what}: the gradient of {parameter} differs by {far}");
                }
            }
            let factor = clip(&norm(parameters.iter(), 1).unwrap(), settings.grad_clip_norm).unwrap();
            optimizer.update(parameters.iter(), &factor, settings.learning_rate, 1).unwrap();
        }
        for (parameter, weight) in parameters.iter() {
            let theirs = numbers(&tensors[&format!("{name}/after/{parameter}")]);
            let far = apart(&numbers(weight.tensor()), &theirs);
            assert!(far < 1e-4, "{what}: {parameter} differs by {far} after three steps");
        }
    }
    for architecture in Architecture::ALL {
        for position in Position::ALL {
            let spec = ModelSpec { position: *position, ..ModelSpec::of_size(architecture, 29, [16, 20, 2, 4, 6]) };
            assert_eq!(legal::model(&spec).is_ok(), seen.contains(&(architecture, position.word())), "{architecture}");
        }
    }
}

/// `tests/reference/families.json`.
#[derive(Deserialize)]
struct Family {
    model: ModelSpec,
    batch: StoredBatch,
    logits: serde_json::Value,
    loss: f64,
    gradients: BTreeMap<String, Vec<f64>>,
}

/// All numbers of a nested list.
fn flat(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().map_or_else(|| vec![value.as_f64().unwrap()], |list| list.iter().flat_map(flat).collect())
}

#[test]
fn llama_and_t5_are_those_of_the_fields_own_classes() {
    let families: BTreeMap<String, Family> = serde_json::from_str(include_str!("reference/families.json")).unwrap();
    assert_eq!(families.keys().collect::<Vec<_>>(), ["llama", "t5"]);
    for (name, Family { model, batch, logits, loss, gradients: wanted }) in &families {
        let spec = &with_table(model);
        let (batch, (model, parameters)) = (batch_of(batch), made(spec, 64));
        set_by_formula(&parameters);
        let ours = numbers(&model.logits(&ModelInput::new(&batch, spec, &CPU).unwrap()).unwrap());
        let theirs = flat(logits);
        assert_eq!(ours.len(), theirs.len());
        let far = ours.iter().zip(&theirs).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert!(far < 2e-5, "{name}: logits differ by {far}");
        let (own, gradients) = gradients((spec, &model), &parameters, &batch, 0.0);
        assert!((own - loss).abs() < 1e-5, "{name}: loss {own}, not {loss}");
        assert_eq!(gradients.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
        for (parameter, wanted) in wanted {
            let own = &gradients[parameter];
            assert_eq!(own.len(), wanted.len(), "{name}: {parameter}");
            let far = own.iter().zip(wanted).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt();
            let norm = wanted.iter().map(|g| g.powi(2)).sum::<f64>().sqrt();
            assert!(far / norm < 1e-4, "{name}: gradient of {parameter} is off by {}", far / norm);
        }
    }
}

// ---------------------------------------------------------------------------------------------- laws of sight

/// Ids of text in the vocabulary of these laws.
const TEXT: u32 = 80;

/// A model of random parts that is legal, of one of the architectures.
fn any_model() -> impl Strategy<Value = ModelSpec> {
    let sizes = (1usize..4, 1usize..4, 1usize..4);
    let parts = (0..Position::ALL.len(), 0..Mlp::ALL.len(), 0..NormKind::ALL.len(), 0..AttentionDirection::ALL.len());
    (0..Architecture::ALL.len(), sizes, parts).prop_filter_map(
        "legal",
        |(architecture, (heads, half, layers), parts)| {
            let architecture = Architecture::ALL[architecture];
            let spec = ModelSpec {
                position: Position::ALL[parts.0],
                mlp: Mlp::ALL[parts.1],
                norm: NormKind::ALL[parts.2],
                direction: AttentionDirection::ALL[parts.3],
                max_positions: if Position::ALL[parts.0] == Position::Learned { 48 } else { 0 },
                ..ModelSpec::of_size(
                    architecture,
                    Vocabulary::new(TEXT).size() as usize,
                    [8, 12, layers + 1, heads, 2 * half],
                )
            };
            legal::model(&spec).is_ok().then_some(spec)
        },
    )
}

fn drawn(spec: &ModelSpec, seed: u64) -> (LanguageModel, Parameters) {
    let (model, parameters) = made(spec, 64);
    parameters.draw(seed, 1).unwrap();
    (model, parameters)
}

/// Which positions of decoder and encoder position `place` of the decoder may know of, through any number of layers.
fn knows(spec: &ModelSpec, batch: &Batch, place: usize) -> (Vec<usize>, Vec<usize>) {
    let prefix = batch.prefix_lengths[0] as usize;
    let own = batch.decoder.segments[place];
    let seen = |at: &usize| {
        let before = *at <= place || (at.max(&place) < &prefix && spec.architecture.has_prefix());
        batch.decoder.segments[*at] == own && (before || spec.architecture == Architecture::EncoderOnly)
    };
    let decoder = (0..batch.decoder.length).filter(seen).collect();
    let encoder = batch
        .encoder
        .as_ref()
        .map_or_else(Vec::new, |side| (0..side.length).filter(|at| side.segments[*at] == own).collect());
    (decoder, encoder)
}

/// The objectives that an architecture can be trained with.
fn objectives(architecture: Architecture) -> Vec<Objective> {
    let all =
        Objective::ALL.into_iter().filter(|objective| *objective != Objective::Mixture && !objective.is_prompted());
    all.filter(|objective| legal::usual(architecture, *objective).is_ok()).collect()
}

/// One row of `objective`, whose text tokens are all different, and the model that reads it.
fn one_row(spec: &ModelSpec, objective: Objective, seq_len: usize, seed: u64) -> (ModelSpec, Batch) {
    let blanks = objective == Objective::BlankInfilling;
    let spec = ModelSpec { block_positions: if blanks { 64 } else { 0 }, ..spec.clone() };
    let objective = ObjectiveSpec::new(objective, (0.15, 3.0), false, &[]);
    let pair = 1 + usize::from(trilab::core::rows::packs_pairs(spec.architecture, &objective));
    let window = batch_shape(spec.architecture, &objective, pair, seq_len).unwrap().window;
    let windows: Vec<Vec<u32>> =
        (0..pair).map(|row| (0..window).map(|at| (row * window + at) as u32).collect()).collect();
    let vocabulary = Vocabulary::new(TEXT);
    let words = Words { vocabulary: &vocabulary, ends_sentence: &|id| id % 7 == 6 };
    let mut draw = |example: usize| generator(seed, Stream::Objective, example as u64);
    let batch = batch(&objective, spec.architecture, seq_len, words, &windows, &mut draw).unwrap();
    (spec, batch)
}

/// Ids whose embeddings have a gradient that is not exactly zero when position `place` predicts something.
fn felt(spec: &ModelSpec, batch: &Batch, place: usize, seed: u64) -> BTreeSet<u32> {
    let (model, parameters) = drawn(spec, seed);
    let tape = Tape::alone();
    let input = ModelInput::new(batch, spec, &CPU).unwrap();
    let states = model.states(&input, Pass { tape: Some(&tape), dropping: None }).unwrap();
    let flat = states.reshape(&[batch.targets.len(), spec.d_model]).unwrap();
    let target = cross_entropy::Target { row: place as u32, token: batch.targets[place], weight: 1.0 };
    let loss = model.loss(&flat, &[target], 0.0).unwrap().total;
    tape.backward(&loss, parameters.weights()).unwrap();
    let (_, embedding) = parameters.iter().next().unwrap();
    let gradient = numbers(&embedding.gradient_tensor().unwrap().unwrap());
    let rows = (0..).zip(gradient.chunks(spec.d_model));
    rows.filter(|(_, row)| row.iter().any(|value| *value != 0.0)).map(|(id, _)| id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// No leak: what a position must not see has a gradient of exactly zero; what it may see, another.
    #[test]
    fn a_position_feels_exactly_what_it_may_see(model in any_model(), seq_len in 16usize..40, seed: u64) {
        for objective in objectives(model.architecture) {
            let relative = matches!(model.position, Position::T5Bias | Position::Alibi);
            if objective == Objective::BlankInfilling && relative {
                continue;
            }
            let (spec, batch) = one_row(&model, objective, seq_len, seed);
            let trained: Vec<usize> = (0..batch.targets.len()).filter(|at| batch.loss_weights[*at] > 0.0).collect();
            for place in [trained[0], trained[trained.len() / 2], trained[trained.len() - 1]] {
                let (decoder, encoder) = knows(&spec, &batch, place);
                let ids = |side: &Side, places: &[usize]| places.iter().map(|at| side.tokens[*at]).collect::<BTreeSet<_>>();
                let mut may = ids(&batch.decoder, &decoder);
                if let Some(side) = &batch.encoder {
                    may.extend(ids(side, &encoder));
                }
                let felt = felt(&spec, &batch, place, seed);
                let what = format!("{}:{objective} {} at {place}: {batch:?}", spec.architecture, spec.variant());
                prop_assert!(felt.is_subset(&may), "feels {:?} of {what}", felt.difference(&may));
                // One layer of one direction alone does not reach all of a text; two do.
                prop_assert_eq!(&felt, &may, "does not feel {:?} of {}", may.difference(&felt), what);
                // Every token of the text is another, so none but its own place could show a target.
                let next = batch.targets[place];
                let in_place = spec.architecture == Architecture::EncoderOnly;
                prop_assert!(in_place || next >= TEXT || !felt.contains(&next), "sees its target: {what}");
            }
        }
    }

    /// Padding behind a text and a text packed before it change nothing.
    #[test]
    fn padding_and_packing_change_nothing(model in any_model(), lengths in (3usize..9, 3usize..9, 1usize..5), seed: u64) {
        let (first, second, padding) = lengths;
        let (net, _) = drawn(&model, seed);
        let tokens = |from: u32, count: usize| (from..).take(count).collect::<Vec<u32>>();
        let encoded = model.architecture.has_encoder();
        let prefix = if model.architecture.has_prefix() { 2 } else { 0 };
        let alone = |text: &[u32], read: &[u32]| Batch {
            rows: 1,
            decoder: Side::alone(text),
            encoder: encoded.then(|| Side::alone(read)),
            targets: vec![0; text.len()],
            loss_weights: vec![0.0; text.len()],
            prefix_lengths: vec![prefix],
        };
        let logits = |batch: &Batch| {
            let input = ModelInput::new(batch, &model, &CPU).unwrap();
            numbers(&net.logits(&input).unwrap()).chunks(model.vocab_size).map(<[f32]>::to_vec).collect::<Vec<_>>()
        };
        let same = |a: &[Vec<f32>], b: &[Vec<f32>]| a.iter().zip(b).all(|(a, b)| apart(a, b) < 1e-4);
        let (text, read) = (tokens(0, first), tokens(40, second));
        let expected = logits(&alone(&text, &read));
        let append = |side: &mut Side, segment: u32, own: &[u32]| {
            side.length += own.len();
            side.tokens.extend_from_slice(own);
            side.positions.extend((0..).take(own.len()));
            side.segments.extend(std::iter::repeat_n(segment, own.len()));
        };
        let mut padded = alone(&text, &read);
        append(&mut padded.decoder, 0, &vec![70; padding]);
        if let Some(side) = &mut padded.encoder {
            append(side, 0, &vec![70; padding]);
        }
        padded.targets.resize(padded.decoder.length, 0);
        padded.loss_weights.resize(padded.decoder.length, 0.0);
        prop_assert!(same(&expected, &logits(&padded)[..first]), "padding");
        if prefix == 0 {
            let mut packed = alone(&tokens(20, second), &tokens(60, first));
            append(&mut packed.decoder, 2, &text);
            if let Some(side) = &mut packed.encoder {
                append(side, 2, &read);
            }
            packed.targets.resize(packed.decoder.length, 0);
            packed.loss_weights.resize(packed.decoder.length, 0.0);
            prop_assert!(same(&expected, &logits(&packed)[second..]), "packing");
        }
    }

    /// Written token by token with keys and values remembered, a text has the states of one pass over it.
    #[test]
    fn remembering_changes_nothing(model in any_model(), lengths in (1usize..9, 1usize..9, 1usize..6), seed: u64) {
        let (prompt, read, written) = lengths;
        if model.architecture == Architecture::EncoderOnly {
            return Ok(());
        }
        // What is written may fill a blank: it has the place of the blank, and a second place inside.
        let relative = matches!(model.position, Position::T5Bias | Position::Alibi);
        let blank = model.architecture == Architecture::NonCausalDecoder && !relative && seed % 2 == 0;
        let model = ModelSpec { block_positions: if blank { 8 } else { 0 }, ..model };
        let laid = |tokens: &[u32], first: usize| {
            let mut side = Side::alone(tokens);
            for (at, position) in side.positions.iter_mut().enumerate() {
                *position = if blank && first + at >= prompt { prompt as u32 / 2 } else { (first + at) as u32 };
            }
            if blank {
                side.block_positions = (first..first + tokens.len()).map(|at| (at + 1).saturating_sub(prompt) as u32).collect();
            }
            side
        };
        let (net, _) = drawn(&model, seed);
        let text: Vec<u32> = (0..(prompt + written) as u32).map(|at| at * 7 % 80).collect();
        let encoder: Vec<u32> = (0..read as u32).map(|at| at * 5 % 80).collect();
        let encoder = model.architecture.has_encoder().then(|| Side::alone(&encoder));
        let both = model.architecture.has_prefix();
        let batch = Batch {
            rows: 1,
            decoder: laid(&text, 0),
            encoder: encoder.clone(),
            targets: vec![0; text.len()],
            loss_weights: vec![0.0; text.len()],
            prefix_lengths: vec![if both { prompt as u32 } else { 0 }],
        };
        let whole = numbers(&net.logits(&ModelInput::new(&batch, &model, &CPU).unwrap()).unwrap());
        let mut decoding = net.begin(&model, encoder.as_ref(), text.len(), &CPU).unwrap();
        let mut found = Vec::new();
        for (place, token) in std::iter::once((0, None)).chain((prompt..text.len()).map(|at| (at, Some(text[at])))) {
            let side = laid(&token.map_or_else(|| text[..prompt].to_vec(), |token| vec![token]), place);
            let states = decoding.read(&side, both && token.is_none()).unwrap();
            found.extend(numbers(net.project(&states).unwrap().tensor()));
        }
        prop_assert!(apart(&found, &whole) < 1e-4, "{} {}", model.architecture, model.variant());
        prop_assert!(decoding.read(&Side::alone(&[1]), false).is_err(), "there is no more room");
    }

    /// Every parameter of every cell learns, and is counted.
    #[test]
    fn every_parameter_learns(model in any_model(), seed: u64) {
        for objective in objectives(model.architecture) {
            let relative = matches!(model.position, Position::T5Bias | Position::Alibi);
            if objective == Objective::BlankInfilling && relative {
                continue;
            }
            let (spec, batch) = one_row(&model, objective, 40, seed);
            let (net, parameters) = drawn(&spec, seed);
            prop_assert_eq!(parameters.count(), cost::parameters(&spec));
            let (_, gradients) = gradients((&spec, &net), &parameters, &batch, 1e-3);
            for (name, gradient) in gradients {
                prop_assert!(gradient.iter().all(|g| g.is_finite()), "{}: {name}", spec.variant());
                prop_assert!(gradient.iter().any(|g| *g != 0.0), "{}:{objective} {}: {name}", spec.architecture, spec.variant());
            }
        }
    }
}

#[test]
fn layouts_are_what_architectures_say() {
    for architecture in Architecture::ALL {
        let encoded = architecture.layout() == Layout::EncoderDecoder;
        assert_eq!(architecture.has_encoder(), encoded);
        assert_eq!(ModelSpec::of_size(architecture, 29, [16, 20, 4, 4, 6]).depths().0 > 0, encoded);
    }
}
