//! The heart: gradients reach every parameter and are right, models see what they may see, and training is the same
//! bit for bit whether it was interrupted or not.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken test stops")]

use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use trilab::core::seed::{Stream, generator};
use trilab::core::spec::{DataSpec, SPEC_FORMAT};
use trilab::core::study::{CorpusSettings, TokenizerSpec};
use trilab::core::{
    Architecture, Control, ControlSource, ExecutionSpec, LearningRateSchedule, Metric, ModelSpec, Objective,
    ObjectiveSpec, OptimizerSpec, ProbeSpec, RunEvent, RunSpec, TrainingSpec, cost, legal,
};
use trilab::corpus::{Corpus, Vocabulary};
use trilab::kernel::mask::{Mask, Run};
use trilab::kernel::{activation, attention, cross_entropy, linear, norm, rope};
use trilab::model::{LanguageModel, ModelInput};
use trilab::objective::{Batch, Side, batch};
use trilab::optim::Gradients;
use trilab::train::{Outcome, Surroundings, Trainer, train};

const SEQ_LEN: usize = 24;

fn legal_cells() -> Vec<(Architecture, Objective)> {
    let all = Architecture::ALL.iter().flat_map(|a| Objective::ALL.iter().map(move |o| (*a, *o)));
    all.filter(|(a, o)| legal::check(*a, *o, false).is_ok()).collect()
}

fn run_spec(architecture: Architecture, objective: Objective, vocab_size: u32, directory: &Path) -> RunSpec {
    let mut spec = RunSpec {
        format: SPEC_FORMAT,
        id: "0123456789ab".parse().unwrap(),
        study: "test".parse().unwrap(),
        seed: 7,
        model: ModelSpec {
            architecture,
            vocab_size: vocab_size as usize,
            d_model: 16,
            d_ff: 24,
            num_layers: 2,
            num_heads: 3,
            head_dim: 4,
            rope_theta: 10_000.0,
            norm_epsilon: 1e-6,
        },
        objective: ObjectiveSpec { objective, noise_density: 0.15, mean_noise_span_length: 3.0, loss_on_inputs: false },
        optimizer: OptimizerSpec {
            learning_rate: 5e-3,
            schedule: LearningRateSchedule::Cosine,
            warmup_steps: 3,
            final_fraction: 0.1,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            grad_clip_norm: 1.0,
        },
        training: TrainingSpec {
            batch_size: 4,
            micro_batch_size: 2,
            seq_len: SEQ_LEN,
            steps: 12,
            divergence_factor: 3.0,
        },
        data: DataSpec { fingerprint: "f".to_owned(), name: "test".to_owned(), directory: directory.to_owned() },
        parent: None,
        probes: ProbeSpec {
            log_every: 1,
            validation_every: 4,
            validation_examples: 4,
            rank_every: 5,
            zero_shot: Vec::new(),
            zero_shot_every: 0,
            zero_shot_items: 0,
            zero_shot_share: 0.0,
            sample_every: 6,
            sample_tokens: 4,
            checkpoint_every: 5,
            keep_checkpoints: 2,
        },
        tasks_fingerprint: None,
        execution: ExecutionSpec { device: trilab::core::Device::Cpu, threads: 1, program_version: "test".to_owned() },
    };
    spec.id = spec.content_id().unwrap();
    spec
}

/// A batch of one cell over made-up tokens.
fn made_up_batch(spec: &RunSpec, vocabulary: &Vocabulary) -> Batch {
    let shape = trilab::train::examples::shape(spec, 4).unwrap();
    let windows: Vec<Vec<u32>> =
        (0..4_u32).map(|row| (0..shape.window as u32).map(|i| (i * 7 + row * 5) % 40).collect()).collect();
    let mut draw = |example: usize| generator(1, Stream::Objective, example as u64);
    batch(&spec.objective, spec.model.architecture, vocabulary, &windows, &mut draw).unwrap()
}

fn summed_loss(model: &LanguageModel, batch: &Batch) -> Tensor {
    let logits = model.logits(&ModelInput::new(batch, &Device::Cpu).unwrap()).unwrap();
    let (rows, length, vocab) = logits.dims3().unwrap();
    let count = rows * length;
    let targets = Tensor::from_vec(batch.targets.clone(), count, &Device::Cpu).unwrap();
    let weights = Tensor::from_vec(batch.loss_weights.clone(), count, &Device::Cpu).unwrap();
    let nll = cross_entropy::negative_log_likelihood(&logits.reshape((count, vocab)).unwrap(), &targets).unwrap();
    (nll * weights).unwrap().sum_all().unwrap()
}

#[test]
fn every_parameter_of_every_cell_has_a_finite_gradient_that_is_not_zero() {
    let vocabulary = Vocabulary::new(40);
    for (architecture, objective) in legal_cells() {
        let spec = run_spec(architecture, objective, vocabulary.size(), Path::new("none"));
        let (model, parameters) = LanguageModel::new(&spec.model, SEQ_LEN, 7, &Device::Cpu).unwrap();
        assert_eq!(
            parameters.count(),
            cost::parameters(&spec.model),
            "{architecture}:{objective}: counted and computed"
        );
        let loss = summed_loss(&model, &made_up_batch(&spec, &vocabulary));
        let gradients = Gradients::collect(&mut loss.backward().unwrap(), parameters.iter()).unwrap();
        for ((name, _), gradient) in parameters.iter().zip(gradients.tensors()) {
            let values = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(values.iter().all(|v| v.is_finite()), "{architecture}:{objective} {name}");
            assert!(values.iter().any(|v| *v != 0.0), "{architecture}:{objective} {name}: the gradient is zero");
        }
    }
}

#[test]
fn gradients_of_a_whole_model_equal_finite_differences() {
    let vocabulary = Vocabulary::new(40);
    for (architecture, objective) in legal_cells() {
        let spec = run_spec(architecture, objective, vocabulary.size(), Path::new("none"));
        let (model, parameters) = LanguageModel::new(&spec.model, SEQ_LEN, 7, &Device::Cpu).unwrap();
        let batch = made_up_batch(&spec, &vocabulary);
        let gradients =
            Gradients::collect(&mut summed_loss(&model, &batch).backward().unwrap(), parameters.iter()).unwrap();
        for ((name, variable), gradient) in parameters.iter().zip(gradients.tensors()) {
            // Along the gradient itself the slope is its norm. The losses differ by 0.1 nats: small enough to be
            // straight, large enough for f32, which resolves the sum of a few hundred nats to 3e-5.
            let norm = gradient.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
            let start = variable.as_tensor().detach().copy().unwrap();
            let reach = 0.05 / f64::from(norm);
            let direction = (gradient.detach() * f64::from(1.0 / norm)).unwrap();
            let at = |distance: f64| {
                variable.set(&(&start + (&direction * distance).unwrap()).unwrap()).unwrap();
                f64::from(summed_loss(&model.detach(), &batch).to_scalar::<f32>().unwrap())
            };
            let slope = (at(reach) - at(-reach)) / (2.0 * reach);
            variable.set(&start).unwrap();
            let error = (slope / f64::from(norm) - 1.0).abs();
            assert!(error < 0.03, "{architecture}:{objective} {name}: slope {slope}, gradient norm {norm}");
        }
    }
}

/// Compares the gradient of a weighted sum of `f`'s output with central differences in f64, for every element.
fn check_kernel(name: &str, shapes: &[&[usize]], f: &dyn Fn(&[Tensor]) -> Tensor) {
    let value = |k: usize, i: usize| ((i * 37 + k * 101) as f64 * 0.7311).sin();
    let tensor = |k: usize, shift: Option<(usize, f64)>| {
        let count: usize = shapes[k].iter().product();
        let values: Vec<f64> =
            (0..count).map(|i| value(k, i) + shift.filter(|s| s.0 == i).map_or(0.0, |s| s.1)).collect();
        Tensor::from_vec(values, shapes[k], &Device::Cpu).unwrap()
    };
    let weighted = |inputs: &[Tensor]| {
        let y = f(inputs).flatten_all().unwrap();
        let count = y.elem_count();
        let weights: Vec<f64> = (0..count).map(|i| ((i as f64) * 1.37).cos()).collect();
        (y * Tensor::from_vec(weights, count, &Device::Cpu).unwrap()).unwrap().sum_all().unwrap()
    };
    let variables: Vec<Var> = (0..shapes.len()).map(|k| Var::from_tensor(&tensor(k, None)).unwrap()).collect();
    let inputs: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
    let store = weighted(&inputs).backward().unwrap();
    for (k, variable) in variables.iter().enumerate() {
        let gradient = store.get(variable).unwrap_or_else(|| unreachable!("{name}: input {k} has no gradient"));
        let gradient = gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for (i, ours) in gradient.iter().enumerate() {
            let at = |shift: f64| {
                let moved: Vec<Tensor> = (0..shapes.len()).map(|j| tensor(j, (j == k).then_some((i, shift)))).collect();
                weighted(&moved).to_scalar::<f64>().unwrap()
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!(
                (slope - ours).abs() < 1e-7 * (1.0 + slope.abs()),
                "{name}: input {k}, element {i}: {ours} against {slope}"
            );
        }
    }
}

#[test]
fn kernels_have_the_gradients_of_their_values() {
    check_kernel("linear", &[&[2, 3, 4], &[5, 4]], &|x| linear::linear(&x[0], &x[1]).unwrap());
    check_kernel("swiglu", &[&[3, 4], &[3, 4], &[2, 4]], &|x| activation::plain(&x[0], &x[1], &x[2]).unwrap());
    check_kernel("add_linear", &[&[2, 5], &[2, 4], &[5, 4]], &|x| linear::add_linear(&x[0], &x[1], &x[2]).unwrap());
    check_kernel("rms_norm", &[&[2, 3, 4], &[4]], &|x| norm::rms_norm(&x[0], &x[1], 1e-6).unwrap());
    check_kernel("softmax", &[&[3, 5]], &|x| attention::softmax(&x[0]).unwrap());
    let mask = Mask::new(vec![(0, 1), (0, 2), (1, 3)], 3, 3, &Device::Cpu).unwrap();
    let shape: &[usize] = &[2, 3, 8];
    let sight = attention::Sight { num_heads: 2, mask: &mask, rotation: None };
    let attend = |x: &[Tensor]| attention::attend(&x[0], &x[1], &x[2], sight).unwrap();
    check_kernel("attend", &[shape, shape, shape], &attend);
    let all = [(2, 1.0), (0, 0.5), (4, 2.0)].map(|(token, weight)| cross_entropy::Target { token, weight });
    let loss = |x: &[Tensor]| cross_entropy::projected_loss(&x[0], &x[1], all.to_vec()).unwrap();
    check_kernel("projected loss", &[&[3, 4], &[5, 4]], &loss);
    let targets = Tensor::new(&[2_u32, 0, 4], &Device::Cpu).unwrap();
    check_kernel("cross-entropy", &[&[3, 5]], &|x| cross_entropy::negative_log_likelihood(&x[0], &targets).unwrap());
}

/// Compares the values and gradients of two functions of the same f32 inputs.
fn check_fused(
    name: &str,
    shapes: &[&[usize]],
    fused: &dyn Fn(&[Tensor]) -> Tensor,
    plain: &dyn Fn(&[Tensor]) -> Tensor,
) {
    let value = |k: usize, i: usize| ((i * 37 + k * 101 + 1) as f32 * 0.7311).sin();
    let variables: Vec<Var> = shapes
        .iter()
        .enumerate()
        .map(|(k, shape)| {
            let values = (0..shape.iter().product()).map(|i| value(k, i)).collect::<Vec<f32>>();
            Var::from_tensor(&Tensor::from_vec(values, *shape, &Device::Cpu).unwrap()).unwrap()
        })
        .collect();
    let inputs: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
    let run = |f: &dyn Fn(&[Tensor]) -> Tensor| {
        let y = f(&inputs).flatten_all().unwrap();
        let weights = (0..y.elem_count()).map(|i| (i as f32 * 1.37).cos()).collect::<Vec<f32>>();
        let weights = Tensor::from_vec(weights, y.elem_count(), &Device::Cpu).unwrap();
        let store = (&y * weights).unwrap().sum_all().unwrap().backward().unwrap();
        let gradients = variables.iter().map(|v| store.get(v).unwrap().clone());
        std::iter::once(y.clone()).chain(gradients).collect::<Vec<Tensor>>()
    };
    for (place, (ours, theirs)) in run(fused).iter().zip(run(plain)).enumerate() {
        let norm = |t: &Tensor| t.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
        let apart = norm(&(ours - &theirs).unwrap()) / norm(&theirs);
        assert!(apart < 5e-6, "{name} {shapes:?}: output 0 or gradient {place} is {apart} apart");
    }
}

#[test]
fn fused_kernels_equal_their_plain_references() {
    for (rows, width) in [(1, 2), (3, 33), (300, 64)] {
        let shape: &[usize] = &[rows, width];
        check_fused("linear", &[shape, &[5, width]], &|x| linear::linear(&x[0], &x[1]).unwrap(), &|x| {
            linear::plain(&x[0], &x[1]).unwrap()
        });
        check_fused(
            "add_linear",
            &[&[rows, 5], shape, &[5, width]],
            &|x| linear::add_linear(&x[0], &x[1], &x[2]).unwrap(),
            &|x| (&x[0] + linear::plain(&x[1], &x[2]).unwrap()).unwrap(),
        );
        check_fused(
            "swiglu_linear",
            &[shape, shape, &[3, width]],
            &|x| activation::swiglu_linear(&x[0], &x[1], &x[2]).unwrap(),
            &|x| activation::plain(&x[0], &x[1], &x[2]).unwrap(),
        );
        check_fused("rms_norm", &[shape, &[width]], &|x| norm::rms_norm(&x[0], &x[1], 1e-6).unwrap(), &|x| {
            norm::plain(&x[0], &x[1], 1e-6).unwrap()
        });
    }
    for (rows, vocabulary) in [(1, 2), (300, 37)] {
        let target =
            |row: usize| cross_entropy::Target { token: (row * 7 % vocabulary) as u32, weight: 0.5 + (row % 3) as f32 };
        let targets: Vec<_> = (0..rows).map(target).collect();
        let shapes: [&[usize]; 2] = [&[rows, 8], &[vocabulary, 8]];
        check_fused(
            "projected loss",
            &shapes,
            &|x| cross_entropy::projected_loss(&x[0], &x[1], targets.clone()).unwrap(),
            &|x| cross_entropy::plain(&x[0], &x[1], &targets).unwrap(),
        );
    }
    let tensor = |rows: usize| {
        let values = (0..rows * 8).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<f32>>();
        Tensor::from_vec(values, (rows, 8), &Device::Cpu).unwrap()
    };
    let asked: Vec<(u32, u32)> = (0..400).map(|i| (i * 7 % 300, i * 11 % 37)).collect();
    let ours = cross_entropy::likelihoods(&tensor(300), &tensor(37), &asked).unwrap();
    let theirs = cross_entropy::plain_likelihoods(&tensor(300), &tensor(37), &asked).unwrap();
    assert!(ours.iter().zip(&theirs).all(|(a, b)| (a.nll - b.nll).abs() < 1e-5 && a.greedy == b.greedy));
    assert!(ours.iter().any(|found| found.greedy) && ours.iter().any(|found| !found.greedy));
    assert!(cross_entropy::likelihoods(&tensor(3), &tensor(37), &[(3, 0)]).is_err());
    // Causal, with a prefix, two packed segments with different prefixes by row, and across to fewer keys; blocks of
    // queries end inside and at the end.
    let causal: Vec<Run> = (0..150).map(|query| (0, query + 1)).collect();
    let prefix: Vec<Run> = (0..64).map(|query| (0, (query + 1).max(40))).collect();
    let packed = (0..2).flat_map(|row| (0..70).map(move |q| if q < 30 + row { (0, q + 1) } else { (30 + row, q + 1) }));
    let across: Vec<Run> = (0..65).map(|query| if query < 9 { (0, 4) } else { (4, 7) }).collect();
    let cases = [(causal, 150, 150), (prefix, 64, 64), (packed.collect(), 70, 70), (across, 65, 7)];
    for (runs, queries, keys) in cases {
        let mask = Mask::new(runs, queries, keys, &Device::Cpu).unwrap();
        let tables = rope::RotaryTables::new(queries, 6, 10_000.0, &Device::Cpu).unwrap();
        let positions: Vec<u32> = (0..2).flat_map(|row| (0..queries as u32).map(move |p| p / (row + 1))).collect();
        let rotation = tables.at(&Tensor::from_vec(positions, (2, queries), &Device::Cpu).unwrap()).unwrap();
        let rotation = (queries == keys).then_some(&rotation);
        let sight = attention::Sight { num_heads: 3, mask: &mask, rotation };
        let shapes: [&[usize]; 3] = [&[2, queries, 18], &[2, keys, 18], &[2, keys, 18]];
        check_fused("attend", &shapes, &|x| attention::attend(&x[0], &x[1], &x[2], sight).unwrap(), &|x| {
            attention::plain(&x[0], &x[1], &x[2], sight).unwrap()
        });
    }
}

#[test]
fn rotation_keeps_lengths_and_depends_on_distance_only() {
    let tables = rope::RotaryTables::new(32, 8, 10_000.0, &Device::Cpu).unwrap();
    let vector = |phase: f32| {
        Tensor::from_vec((0..8).map(|i| (i as f32 + phase).sin()).collect(), (1, 1, 1, 8), &Device::Cpu).unwrap()
    };
    let at = |x: &Tensor, position: u32| {
        tables.at(&Tensor::new(&[[position]], &Device::Cpu).unwrap()).unwrap().apply(x).unwrap()
    };
    let dot = |a: &Tensor, b: &Tensor| (a * b).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
    let (q, k) = (vector(0.3), vector(1.9));
    assert!((dot(&at(&q, 9), &at(&q, 9)) - dot(&q, &q)).abs() < 1e-5);
    assert!((dot(&at(&q, 3), &at(&k, 1)) - dot(&at(&q, 20), &at(&k, 18))).abs() < 1e-5);
    assert!((dot(&at(&q, 3), &at(&k, 1)) - dot(&at(&q, 3), &at(&k, 2))).abs() > 1e-3);
    assert_eq!(
        at(&q, 0).flatten_all().unwrap().to_vec1::<f32>().unwrap(),
        q.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    );
}

fn side(tokens: &[u32]) -> Side {
    let length = tokens.len();
    Side { length, tokens: tokens.to_vec(), positions: (0..length as u32).collect(), segments: vec![1; length] }
}

fn one_row(decoder: &[u32], encoder: Option<&[u32]>, prefix: u32) -> Batch {
    let length = decoder.len();
    Batch {
        rows: 1,
        decoder: side(decoder),
        encoder: encoder.map(side),
        targets: vec![0; length],
        loss_weights: vec![1.0; length],
        prefix_lengths: vec![prefix],
    }
}

fn row_logits(architecture: Architecture, batch: &Batch) -> Vec<Vec<f32>> {
    let spec = run_spec(architecture, Objective::PrefixLm, 60, Path::new("none"));
    let (model, _) = LanguageModel::new(&spec.model, SEQ_LEN, 7, &Device::Cpu).unwrap();
    model.logits(&ModelInput::new(batch, &Device::Cpu).unwrap()).unwrap().get(0).unwrap().to_vec2::<f32>().unwrap()
}

/// Which positions change when token `changed` of the side does.
fn affected(architecture: Architecture, prefix: u32, changed: usize, in_encoder: bool) -> Vec<bool> {
    let (mut decoder, mut encoder): (Vec<u32>, Vec<u32>) = ((0..8).collect(), (10..16).collect());
    let batch = |decoder: &[u32], encoder: &[u32]| {
        one_row(decoder, (architecture == Architecture::EncoderDecoder).then_some(encoder), prefix)
    };
    let before = row_logits(architecture, &batch(&decoder, &encoder));
    if in_encoder {
        encoder[changed] = 50;
    } else {
        decoder[changed] = 50;
    }
    let after = row_logits(architecture, &batch(&decoder, &encoder));
    before.iter().zip(&after).map(|(a, b)| a != b).collect()
}

#[test]
fn models_see_what_they_may_see() {
    for changed in 0..8 {
        let after_it: Vec<bool> = (0..8).map(|place| place >= changed).collect();
        assert_eq!(affected(Architecture::CausalDecoder, 0, changed, false), after_it, "CD, token {changed}");
        assert_eq!(affected(Architecture::EncoderDecoder, 0, changed, false), after_it, "ED decoder, token {changed}");
        let with_prefix: Vec<bool> = (0..8).map(|place| place >= changed || changed < 5).collect();
        assert_eq!(affected(Architecture::NonCausalDecoder, 5, changed, false), with_prefix, "ND, token {changed}");
    }
    for changed in 0..6 {
        assert_eq!(
            affected(Architecture::EncoderDecoder, 0, changed, true),
            vec![true; 8],
            "ED encoder, token {changed}"
        );
    }
}

#[test]
fn padding_and_packed_neighbours_change_nothing() {
    for (architecture, prefix) in
        [(Architecture::CausalDecoder, 0), (Architecture::NonCausalDecoder, 3), (Architecture::EncoderDecoder, 0)]
    {
        let source: &[u32] = &[11, 12, 13, 14];
        let encoder = (architecture == Architecture::EncoderDecoder).then_some(source);
        let plain = row_logits(architecture, &one_row(&[1, 2, 3, 4, 5], encoder, prefix));
        let mut longer = one_row(&[1, 2, 3, 4, 5, 9, 9, 9], encoder, prefix);
        longer.decoder.segments = vec![1, 1, 1, 1, 1, 0, 0, 2];
        if let Some(encoder) = &mut longer.encoder {
            encoder.tokens.extend([40, 41]);
            encoder.positions.extend([0, 1]);
            encoder.segments.extend([2, 0]);
            encoder.length += 2;
        }
        let padded = row_logits(architecture, &longer);
        for (place, (a, b)) in plain.iter().zip(&padded).enumerate() {
            let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-5, "{architecture} position {place}: {worst}");
        }
        assert!(padded.iter().flatten().all(|v| v.is_finite()), "{architecture}: padding stays finite");
    }
}

fn corpus_in(folder: &Path) -> Corpus {
    let settings = CorpusSettings {
        paths: vec!["shipped:harbour".to_owned()],
        field: "text".to_owned(),
        validation: Vec::new(),
        validation_fraction: 0.05,
        tokenizer: TokenizerSpec::Bytes,
    };
    let manifest = trilab::corpus::prepare(&settings, folder, &mut |_| {}).unwrap();
    Corpus::open(&folder.join(manifest.fingerprint)).unwrap()
}

/// Leaves at a given step, in a given way.
struct LeaveAt {
    asked: u64,
    at: u64,
    how: Control,
}

impl ControlSource for LeaveAt {
    fn control(&mut self) -> Control {
        self.asked += 1;
        if self.asked > self.at { self.how } else { Control::Run }
    }
}

fn trained(
    spec: &RunSpec,
    corpus: &Corpus,
    checkpoints: &Path,
    leave: Option<(u64, Control)>,
) -> (Outcome, Vec<RunEvent>) {
    let mut events = Vec::new();
    let (at, how) = leave.unwrap_or((u64::MAX, Control::Run));
    let mut control = LeaveAt { asked: 0, at, how };
    let outside =
        Surroundings { sink: &mut events, control: &mut control, answers: &mut |_, _, _| Ok(()), clock: &|| 0.0 };
    let outcome = train(spec, corpus, checkpoints, outside).unwrap();
    (outcome, events)
}

/// (step, metric, value) of everything measured, without speeds.
fn measured(events: &[RunEvent]) -> Vec<(u64, Metric, u64)> {
    let mut found = Vec::new();
    for event in events {
        if let RunEvent::StepLogged { step, metrics, .. } | RunEvent::Validated { step, metrics, .. } = event {
            let values = metrics.iter().filter(|(metric, _)| **metric != Metric::TokensPerSecond);
            found.extend(values.map(|(metric, value)| (*step, *metric, value.to_bits())));
        }
    }
    found
}

#[test]
fn an_interrupted_run_equals_an_uninterrupted_one_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus_in(folder.path());
    for (architecture, objective) in legal_cells() {
        let spec = run_spec(architecture, objective, corpus.vocabulary().size(), folder.path());
        let place = |name: &str| folder.path().join(format!("{architecture}{objective}-{name}"));
        let (outcome, whole) = trained(&spec, &corpus, &place("whole"), None);
        assert_eq!(outcome, Outcome::Finished);
        let (_, again) = trained(&spec, &corpus, &place("again"), None);
        assert_eq!(measured(&whole), measured(&again), "{architecture}:{objective}: same seed, same losses");
        for left in [1, 5, 7] {
            let checkpoints = place(&format!("left-{left}"));
            let (outcome, first) = trained(&spec, &corpus, &checkpoints, Some((left, Control::Pause)));
            assert_eq!(outcome, Outcome::Paused);
            let (outcome, second) = trained(&spec, &corpus, &checkpoints, None);
            assert_eq!(outcome, Outcome::Finished);
            assert!(second.contains(&RunEvent::Resumed { step: left }));
            let joined: Vec<_> = measured(&first).into_iter().chain(measured(&second)).collect();
            assert_eq!(joined, measured(&whole), "{architecture}:{objective}: left at step {left}");
        }
        let samples = |events: &[RunEvent]| -> Vec<RunEvent> {
            events.iter().filter(|e| matches!(e, RunEvent::SampleGenerated { .. })).cloned().collect()
        };
        assert_eq!(samples(&whole).len(), 2);
        assert_eq!(samples(&whole), samples(&again));
    }
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus_in(folder.path());
    let spec = run_spec(Architecture::CausalDecoder, Objective::FullLm, corpus.vocabulary().size(), folder.path());
    let (_, whole) = trained(&spec, &corpus, &folder.path().join("whole"), None);
    let checkpoints = folder.path().join("damaged");
    trained(&spec, &corpus, &checkpoints, Some((11, Control::Stop)));
    std::fs::write(checkpoints.join("step-00000011/weights.safetensors"), b"torn").unwrap();
    std::fs::create_dir(checkpoints.join(".writing-00000012")).unwrap();
    let (_, resumed) = trained(&spec, &corpus, &checkpoints, None);
    assert!(
        matches!(&resumed[0], RunEvent::Warned { message } if message.contains("step-00000011")),
        "{:?}",
        resumed[0]
    );
    assert_eq!(resumed[1], RunEvent::Resumed { step: 10 });
    let tail: Vec<_> = measured(&whole).into_iter().filter(|(step, _, _)| *step > 10).collect();
    assert_eq!(measured(&resumed), tail);
    assert!(!checkpoints.join(".writing-00000012").exists(), "what a killed attempt left is swept");
}

#[test]
fn accumulated_gradients_are_those_of_the_whole_batch() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus_in(folder.path());
    for (architecture, objective) in legal_cells() {
        let losses = |micro_batch_size: usize| -> Vec<f64> {
            let mut spec = run_spec(architecture, objective, corpus.vocabulary().size(), folder.path());
            spec.training.micro_batch_size = micro_batch_size;
            let checkpoints = folder.path().join(format!("{architecture}{objective}{micro_batch_size}"));
            let (_, events) = trained(&spec, &corpus, &checkpoints, None);
            events
                .iter()
                .filter_map(|e| {
                    if let RunEvent::StepLogged { metrics, .. } = e {
                        metrics.get(&Metric::Loss).copied()
                    } else {
                        None
                    }
                })
                .collect()
        };
        for (a, b) in losses(4).iter().zip(losses(2)) {
            // ED:PLM pairs the examples of a micro-batch, and pairs share a split: other pairs would be other data.
            assert!((a - b).abs() < 2e-4 * a.abs(), "{architecture}:{objective}: {a} against {b}");
        }
    }
}

#[test]
fn threads_share_a_batch_and_change_nothing_but_rounding() {
    let vocabulary = Vocabulary::new(40);
    for (architecture, objective) in legal_cells() {
        let reports = |threads: usize| {
            let mut spec = run_spec(architecture, objective, vocabulary.size(), Path::new("none"));
            spec.execution.threads = threads;
            let batch = made_up_batch(&spec, &vocabulary);
            assert!(batch.rows >= 2, "there is something to share");
            let mut trainer = Trainer::new(&spec).unwrap();
            let steps: Vec<_> = (0..3)
                .map(|_| trainer.step(std::slice::from_ref(&batch)).unwrap())
                .map(|r| (r.loss, r.grad_norm))
                .collect();
            (steps, trainer.score(&batch).unwrap(), trainer.token_scores(&batch, &[(0, 3)]).unwrap())
        };
        let (alone, together) = (reports(1), reports(2));
        assert_eq!(together, reports(2), "{architecture}:{objective}: two threads differ from themselves");
        let close = |a: f64, b: f64| (a - b).abs() < 1e-5 * a.abs();
        for ((loss, norm), (other_loss, other_norm)) in alone.0.iter().zip(&together.0) {
            assert!(close(*loss, *other_loss) && close(*norm, *other_norm), "{architecture}:{objective}");
        }
        assert!(close(alone.1, together.1), "{architecture}:{objective}: {} and {}", alone.1, together.1);
    }
}

#[test]
fn one_batch_overfits_in_every_cell() {
    let vocabulary = Vocabulary::new(40);
    for (architecture, objective) in legal_cells() {
        let mut spec = run_spec(architecture, objective, vocabulary.size(), Path::new("none"));
        spec.model.d_model = 32;
        spec.optimizer.learning_rate = 1e-2;
        spec.optimizer.schedule = LearningRateSchedule::Constant;
        let batch = made_up_batch(&spec, &vocabulary);
        let mut trainer = Trainer::new(&spec).unwrap();
        let first = trainer.step(std::slice::from_ref(&batch)).unwrap().loss;
        let last = (0..150).map(|_| trainer.step(std::slice::from_ref(&batch)).unwrap().loss).last().unwrap();
        assert!(first > 3.0 && last < 0.3, "{architecture}:{objective}: from {first} to {last}");
    }
}

#[test]
fn a_runaway_loss_is_a_divergence_with_its_step() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus_in(folder.path());
    let mut spec = run_spec(Architecture::CausalDecoder, Objective::FullLm, corpus.vocabulary().size(), folder.path());
    spec.optimizer.learning_rate = 1e4;
    spec.optimizer.warmup_steps = 0;
    let (outcome, events) = trained(&spec, &corpus, &folder.path().join("c"), None);
    assert_eq!(outcome, Outcome::Diverged);
    assert!(matches!(events.last(), Some(RunEvent::Diverged { step, .. }) if *step > 1), "{:?}", events.last());
    let finite = |metrics: &trilab::core::Metrics| metrics.values().all(|v| v.is_finite());
    assert!(events.iter().all(|e| if let RunEvent::StepLogged { metrics, .. } = e { finite(metrics) } else { true }));
}

#[test]
fn softmax_of_hidden_keys_is_zero() {
    let logits = Tensor::new(&[[1.0_f32, f32::NEG_INFINITY, 1.0]], &Device::Cpu).unwrap();
    let p = attention::softmax(&logits).unwrap().to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(p, [[0.5, 0.0, 0.5]]);
}
