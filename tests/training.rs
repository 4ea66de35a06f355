//! The heart: gradients reach every parameter and are right, models see what they may see, and training is the same
//! bit for bit whether it was interrupted or not.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken test stops")]

use std::collections::BTreeSet;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use trilab::core::seed::{Stream, generator};
use trilab::core::spec::{Ancestor, DataSpec, SPEC_FORMAT};
use trilab::core::texts::{CorpusSettings, TokenizerSpec};
use trilab::core::{
    Architecture, Control, ControlSource, ExecutionSpec, LearningRateSchedule, Metric, ModelSpec, Objective,
    ObjectiveSpec, OptimizerSpec, ParentSpec, Precision, ProbeSpec, RunEvent, RunSpec, TrainingSpec, cost, legal,
};
use trilab::corpus::{Corpus, Vocabulary};
use trilab::kernel::activation::{self, Activation};
use trilab::kernel::dropout::{Dropout, dropout};
use trilab::kernel::embedding::embed;
use trilab::kernel::mask::{Mask, Run, Seen};
use trilab::kernel::norm::{Kind, Norm};
use trilab::kernel::position_bias::PositionBias;
use trilab::kernel::{Tape, Value, Weight, attention, cross_entropy, join, linear, rope};
use trilab::model::{LanguageModel, ModelInput, Numbers, Parameters, Pass};
use trilab::objective::{Batch, Side, Words, batch};
use trilab::train::{Outcome, Surroundings, TrainError, Trainer, checkpoint, train};

mod damage;

const SEQ_LEN: usize = 24;

fn legal_cells() -> Vec<(Architecture, Objective)> {
    let all = Architecture::ALL.iter().flat_map(|a| Objective::ALL.iter().map(move |o| (*a, *o)));
    let on_texts = all.filter(|(_, o)| *o != Objective::Mixture && !o.is_prompted());
    on_texts.filter(|(a, o)| legal::usual(*a, *o).is_ok()).collect()
}

/// Every architecture with its first objective, and every objective with its first architecture.
fn some_cells() -> Vec<(Architecture, Objective)> {
    let (mut architectures, mut objectives) = (BTreeSet::new(), BTreeSet::new());
    legal_cells().into_iter().filter(|(a, o)| architectures.insert(*a) | objectives.insert(*o)).collect()
}

fn run_spec(architecture: Architecture, objective: Objective, vocab_size: u32, directory: &Path) -> RunSpec {
    let blanks = if objective == Objective::BlankInfilling { SEQ_LEN } else { 0 };
    let model = ModelSpec::of_size(architecture, vocab_size as usize, [16, 24, 2, 3, 4]);
    let mut spec = RunSpec {
        format: SPEC_FORMAT,
        id: "0123456789ab".parse().unwrap(),
        study: "test".parse().unwrap(),
        seed: 7,
        model: ModelSpec { block_positions: blanks, ..model },
        objective: ObjectiveSpec::new(objective, (0.15, 3.0), false, &[]),
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
            z_loss: 0.0,
            precision: Precision::F32,
            dropout: 0.0,
        },
        data: DataSpec {
            fingerprint: "f".to_owned(),
            name: "test".to_owned(),
            directory: directory.to_owned(),
            notices: Vec::new(),
        },
        prompts: None,
        parent: None,
        ancestors: Vec::new(),
        stage: None,
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
            keep_steps: Vec::new(),
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
    let words = Words { vocabulary, ends_sentence: &|id| id % 9 == 0 };
    batch(&spec.objective, spec.model.architecture, spec.training.seq_len, words, &windows, &mut draw).unwrap()
}

/// Σ weight · negative log-likelihood of a batch, recorded on `tape`, if there is one.
fn summed_loss((spec, model): (&ModelSpec, &LanguageModel), batch: &Batch, tape: Option<&Tape>) -> Value {
    let pass = Pass { tape, dropping: None };
    let states = model.states(&ModelInput::new(batch, spec, &Device::Cpu).unwrap(), pass).unwrap();
    let flat = states.reshape(&[batch.targets.len(), *states.dims().last().unwrap()]).unwrap();
    let pairs = (0..).zip(batch.targets.iter().zip(&batch.loss_weights));
    let targets: Vec<_> =
        pairs.map(|(row, (token, weight))| cross_entropy::Target { row, token: *token, weight: *weight }).collect();
    model.loss(&flat, &targets, 0.0).unwrap().total
}

fn drawn(spec: &RunSpec) -> (LanguageModel, Parameters) {
    let numbers = Numbers { format: DType::F32, precision: Precision::F32, device: Device::Cpu };
    let (model, parameters) = LanguageModel::new(&spec.model, SEQ_LEN, &numbers).unwrap();
    parameters.draw(7, 2).unwrap();
    (model, parameters)
}

/// The gradients of a batch, in the parameters' order.
fn gradients(model: (&ModelSpec, &LanguageModel), parameters: &Parameters, batch: &Batch) -> Vec<Tensor> {
    let tape = Tape::alone();
    parameters.weights().for_each(Weight::forget_gradient);
    let loss = summed_loss(model, batch, Some(&tape));
    tape.backward(&loss, parameters.weights()).unwrap();
    parameters.weights().map(|weight| weight.gradient_tensor().unwrap().unwrap()).collect()
}

fn number(scalar: &Value) -> f64 {
    f64::from(scalar.tensor().to_scalar::<f32>().unwrap())
}

#[test]
fn every_parameter_of_every_cell_has_a_finite_gradient_that_is_not_zero() {
    let vocabulary = Vocabulary::new(40);
    for (architecture, objective) in legal_cells() {
        let spec = run_spec(architecture, objective, vocabulary.size(), Path::new("none"));
        let (model, parameters) = drawn(&spec);
        assert_eq!(
            parameters.count(),
            cost::parameters(&spec.model),
            "{architecture}:{objective}: counted and computed"
        );
        let gradients = gradients((&spec.model, &model), &parameters, &made_up_batch(&spec, &vocabulary));
        for ((name, _), gradient) in parameters.iter().zip(gradients) {
            let values = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(values.iter().all(|v| v.is_finite()), "{architecture}:{objective} {name}");
            assert!(values.iter().any(|v| *v != 0.0), "{architecture}:{objective} {name}: the gradient is zero");
        }
    }
}

#[test]
fn a_weight_that_the_loss_does_not_reach_is_named() {
    let vocabulary = Vocabulary::new(40);
    let spec = run_spec(Architecture::CausalDecoder, Objective::FullLm, vocabulary.size(), Path::new("none"));
    let (model, parameters) = drawn(&spec);
    gradients((&spec.model, &model), &parameters, &made_up_batch(&spec, &vocabulary));
    let norm = |threads: usize| trilab::optim::norm(parameters.iter(), threads).unwrap().read().unwrap();
    assert_eq!(norm(1), norm(2));
    let (name, weight) = parameters.iter().nth(4).unwrap();
    weight.forget_gradient();
    let error = trilab::optim::norm(parameters.iter(), 2).unwrap_err().to_string();
    assert!(error.contains(name), "{error}");
}

#[test]
fn gradients_of_a_whole_model_equal_finite_differences() {
    let vocabulary = Vocabulary::new(40);
    for (architecture, objective) in legal_cells() {
        let spec = run_spec(architecture, objective, vocabulary.size(), Path::new("none"));
        let (model, parameters) = drawn(&spec);
        let batch = made_up_batch(&spec, &vocabulary);
        let gradients = gradients((&spec.model, &model), &parameters, &batch);
        for ((name, weight), gradient) in parameters.iter().zip(gradients) {
            // Along the gradient itself the slope is its norm. The losses differ by 0.1 nats: small enough to be
            // straight, large enough for f32, which resolves the sum of a few hundred nats to 3e-5.
            let norm = gradient.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
            let start = weight.tensor().detach().copy().unwrap();
            let reach = 0.05 / f64::from(norm);
            let direction = (gradient * f64::from(1.0 / norm)).unwrap();
            let at = |distance: f64| {
                weight.set(&(&start + (&direction * distance).unwrap()).unwrap()).unwrap();
                number(&summed_loss((&spec.model, &model), &batch, None))
            };
            let slope = (at(reach) - at(-reach)) / (2.0 * reach);
            weight.set(&start).unwrap();
            let error = (slope / f64::from(norm) - 1.0).abs();
            assert!(error < 0.03, "{architecture}:{objective} {name}: slope {slope}, gradient norm {norm}");
        }
    }
}

/// Shapes of what an operation reads and of the weights it has.
type Shapes<'a> = (&'a [&'a [usize]], &'a [&'a [usize]]);

/// An operation on values and weights.
type Operation<'a> = &'a dyn Fn(&[Value], &[Weight]) -> Value;

/// Numbers between -1 and 1 that have nothing to do with each other, so that sums of their products do not cancel.
fn noise(k: usize, i: usize) -> f64 {
    let bits = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (k as u64 + 1).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    let mixed = (bits ^ (bits >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// Inputs of some shapes in `format`, and weights of others, one of their numbers shifted.
fn inputs(shapes: Shapes<'_>, format: DType, shift: Option<(usize, usize, f64)>) -> Vec<Tensor> {
    let all = shapes.0.iter().chain(shapes.1).enumerate();
    let tensor = |(k, shape): (usize, &&[usize])| {
        let by = |i: usize| shift.filter(|at| (at.0, at.1) == (k, i)).map_or(0.0, |at| at.2);
        let value = |i: usize| noise(k, i) + by(i);
        let values: Vec<f64> = (0..shape.iter().product()).map(value).collect();
        Tensor::from_vec(values, *shape, &Device::Cpu).unwrap().to_dtype(format).unwrap()
    };
    all.map(tensor).collect()
}

/// A weighted sum of all elements.
fn weighted(y: &Value) -> Value {
    let count = y.tensor().elem_count();
    let factors: Vec<f64> = (0..count).map(|i| noise(99, i)).collect();
    let factors = Tensor::from_vec(factors, (1, count), &Device::Cpu).unwrap().to_dtype(y.tensor().dtype()).unwrap();
    let factors = Weight::new(Var::from_tensor(&factors).unwrap(), Precision::F32).unwrap();
    linear::linear(&y.reshape(&[1, count]).unwrap(), &factors).unwrap()
}

/// What `f` gives, and the gradient of its weighted sum by every input and weight.
fn derived(shapes: Shapes<'_>, format: DType, precision: Precision, f: Operation<'_>) -> (Tensor, Vec<Tensor>) {
    let tape = Tape::alone();
    let all = inputs(shapes, format, None);
    let (read, learnt) = all.split_at(shapes.0.len());
    let values: Vec<Value> = read.iter().map(|x| tape.value(&Var::from_tensor(x).unwrap())).collect();
    let weights: Vec<Weight> =
        learnt.iter().map(|x| Weight::new(Var::from_tensor(x).unwrap(), precision).unwrap()).collect();
    let y = f(&values, &weights);
    let slopes = tape.backward(&weighted(&y), weights.iter()).unwrap();
    let of_values = values.iter().map(|value| slopes.of(value).unwrap().unwrap());
    let gradients = of_values.chain(weights.iter().map(|weight| weight.gradient_tensor().unwrap().unwrap())).collect();
    (y.tensor().clone(), gradients)
}

/// Compares the gradient of a weighted sum of `f`'s output with central differences in f64, for every element.
fn check_kernel(name: &str, shapes: Shapes<'_>, f: Operation<'_>) {
    let (_, gradients) = derived(shapes, DType::F64, Precision::F32, f);
    for (k, gradient) in gradients.iter().enumerate() {
        let gradient = gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for (i, ours) in gradient.iter().enumerate() {
            let at = |shift: f64| {
                let all = inputs(shapes, DType::F64, Some((k, i, shift)));
                let (read, learnt) = all.split_at(shapes.0.len());
                let values: Vec<Value> = read.iter().map(Value::constant).collect();
                let weight = |x: &Tensor| Weight::new(Var::from_tensor(x).unwrap(), Precision::F32).unwrap();
                let y = f(&values, &learnt.iter().map(weight).collect::<Vec<_>>());
                weighted(&y).tensor().flatten_all().unwrap().to_vec1::<f64>().unwrap()[0]
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!(
                (slope - ours).abs() < 1e-7 * (1.0 + slope.abs()),
                "{name}: input {k}, element {i}: {ours} against {slope}"
            );
        }
    }
}

/// Compares what an operation gives, and its gradients, fused in f32 with its plain reference in f64, where both are given the
/// numbers of f32. The reference was compared with finite differences. In bf16 it rounds the same factors forward, but not the
/// slopes on the way back.
fn check_fused(name: &str, shapes: Shapes<'_>, f: Operation<'_>) {
    for (precision, [forward, back]) in [(Precision::F32, [5e-6; 2]), (Precision::Bf16, [2e-3, 3e-2])] {
        let (ours, of_ours) = derived(shapes, DType::F32, precision, f);
        let (theirs, of_theirs) = derived(shapes, DType::F64, precision, f);
        let pairs = std::iter::once((&ours, &theirs)).chain(of_ours.iter().zip(&of_theirs));
        for (place, (ours, theirs)) in pairs.enumerate() {
            let norm = |t: &Tensor| t.sqr().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap().sqrt();
            let apart = norm(&(ours.to_dtype(DType::F64).unwrap() - theirs).unwrap()) / norm(theirs);
            let most = if place == 0 { forward } else { back };
            assert!(apart < most, "{name} {shapes:?} {precision:?}: output 0 or gradient {place} is {apart} apart");
        }
    }
}

/// Every operation with weights, on `rows` rows of `width`.
fn with_weights(rows: usize, width: usize, check: &dyn Fn(&str, Shapes<'_>, Operation<'_>)) {
    let x: &[usize] = &[rows, width];
    check("linear", (&[x], &[&[5, width]]), &|x, w| linear::linear(&x[0], &w[0]).unwrap());
    check("add_linear", (&[&[rows, 5], x], &[&[5, width]]), &|x, w| linear::add_linear(&x[0], &x[1], &w[0]).unwrap());
    // Three projections of one normed input, used by one another.
    let square: &[usize] = &[width, width];
    for centred in [false, true] {
        let weights: [&[usize]; 5] = [&[width], &[width], square, square, square];
        check("project", (&[x], if centred { &weights } else { &weights[1..] }), &|x, w| {
            let (kind, w) = if centred { (Kind::Layer(Some(&w[0])), &w[1..]) } else { (Kind::RootMeanSquare, w) };
            let norm = Norm { kind, gain: &w[0], epsilon: 1e-6 };
            let [a, b, c] = linear::project(&x[0], Some(norm), [&w[1], &w[2], &w[3]]).unwrap();
            linear::add_linear(&linear::add_linear(&a, &b, &w[1]).unwrap(), &c, &w[1]).unwrap()
        });
    }
    for activation in [Activation::Silu, Activation::Gelu, Activation::Relu] {
        check("gated", (&[&[rows, 3], x, x], &[&[3, width]]), &|x, w| {
            activation::add_activated(&x[0], activation, &x[1], Some(&x[2]), &w[0]).unwrap()
        });
        check("activated", (&[&[rows, 3], x], &[&[3, width]]), &|x, w| {
            activation::add_activated(&x[0], activation, &x[1], None, &w[0]).unwrap()
        });
    }
    check("sum", (&[x, x], &[]), &|x, _| join::sum(&x[0], &x[1]).unwrap());
    check("scaled", (&[x], &[]), &|x, _| linear::scaled(&x[0], 0.25).unwrap());
    let (first, second): (&[usize], &[usize]) = (&[2, rows, width], &[2, 3, width]);
    check("behind", (&[first, second], &[&[5, width]]), &|x, w| {
        linear::linear(&join::behind(&x[0], &x[1]).unwrap(), &w[0]).unwrap()
    });
    for kind in [Kind::RootMeanSquare, Kind::Layer(None)] {
        check("norm", (&[x], &[&[width]]), &|x, w| Norm { kind, gain: &w[0], epsilon: 1e-6 }.apply(&x[0]).unwrap());
    }
    let target = |row: usize| {
        let (token, weight) = ((row * 7 % 37) as u32, 0.5 + (row % 3) as f32);
        cross_entropy::Target { row: row as u32, token, weight }
    };
    // All rows in order, and some in no order.
    let (all, some) =
        ((0..rows).map(target).collect::<Vec<_>>(), (0..rows).rev().step_by(2).map(target).collect::<Vec<_>>());
    for (z_loss, targets) in [(0.0, &all), (0.1, &all), (0.1, &some)] {
        check("projected loss", (&[x], &[&[37, width]]), &|x, w| {
            let loss = cross_entropy::projected_loss(&x[0], &w[0], targets, z_loss).unwrap();
            // The likelihood is what it is without the penalty.
            let bare = cross_entropy::projected_loss(&x[0], &w[0], targets, 0.0).unwrap();
            let same = |a: &Tensor, b: &Tensor| (a.sub(b).unwrap().to_scalar::<f32>().unwrap()) == 0.0;
            if loss.nll.dtype() == DType::F32 {
                assert!(
                    same(&loss.nll, bare.total.tensor()) && (z_loss == 0.0) == same(&loss.nll, loss.total.tensor())
                );
            }
            loss.total
        });
    }
}

fn runs(runs: impl IntoIterator<Item = Run>) -> Vec<Seen> {
    runs.into_iter().map(Seen::all).collect()
}

#[test]
fn kernels_have_the_gradients_of_their_values() {
    with_weights(3, 4, &check_kernel);
    let mask = Mask::new(runs([(0, 1), (0, 2), (1, 3)]), 3, 3, &Device::Cpu).unwrap();
    let shape: &[usize] = &[2, 3, 8];
    let sight = attention::Sight { num_heads: 2, mask: &mask, rotations: [None, None], bias: None };
    check_kernel("biased", (&[shape, shape, shape], &[&[2, 3]]), &|x, w| {
        let bucket = |distance: i64| (distance + 2).clamp(0, 2) as u32;
        let bias = PositionBias::learnt(&w[0], 3, 3, bucket).unwrap();
        attention::attend(&x[0], &x[1], &x[2], attention::Sight { bias: Some(&bias), ..sight }).unwrap()
    });
    check_kernel("attend", (&[shape, shape, shape], &[]), &|x, _| {
        attention::attend(&x[0], &x[1], &x[2], sight).unwrap()
    });
}

#[test]
fn fused_kernels_equal_their_plain_references() {
    for (rows, width) in [(1, 3), (3, 33), (300, 64)] {
        with_weights(rows, width, &check_fused);
    }
    let tensor = |rows: usize| {
        let values = (0..rows * 8).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<f32>>();
        Tensor::from_vec(values, (rows, 8), &Device::Cpu).unwrap()
    };
    let head = Weight::new(Var::from_tensor(&tensor(37)).unwrap(), Precision::F32).unwrap();
    let asked: Vec<(u32, u32)> = (0..400).map(|i| (i * 7 % 300, i * 11 % 37)).collect();
    let ours = cross_entropy::likelihoods(&tensor(300), &head, &asked).unwrap();
    let theirs = cross_entropy::plain_likelihoods(&tensor(300), &tensor(37), Precision::F32, &asked).unwrap();
    assert!(ours.iter().zip(&theirs).all(|(a, b)| (a.nll - b.nll).abs() < 1e-5 && a.greedy == b.greedy));
    assert!(ours.iter().any(|found| found.greedy) && ours.iter().any(|found| !found.greedy));
    assert!(cross_entropy::likelihoods(&tensor(3), &head, &[(3, 0)]).is_err());
    // Causal, with a prefix, two packed segments with different prefixes by row, and across to fewer keys; blocks of
    // queries end inside and at the end.
    let causal: Vec<Run> = (0..150).map(|query| (0, query + 1)).collect();
    let prefix: Vec<Run> = (0..64).map(|query| (0, (query + 1).max(40))).collect();
    let packed = (0..2).flat_map(|row| (0..70).map(move |q| if q < 30 + row { (0, q + 1) } else { (30 + row, q + 1) }));
    let across: Vec<Run> = (0..65).map(|query| if query < 9 { (0, 4) } else { (4, 7) }).collect();
    let cases = [(causal, 150, 150), (prefix, 64, 64), (packed.collect(), 70, 70), (across, 65, 7)];
    for (runs, queries, keys) in cases {
        let mask = Mask::new(self::runs(runs), queries, keys, &Device::Cpu).unwrap();
        let tables = rope::RotaryTables::new(queries, 6, 10_000.0, &Device::Cpu).unwrap();
        let positions: Vec<u32> = (0..2).flat_map(|row| (0..queries as u32).map(move |p| p / (row + 1))).collect();
        let rotation = tables.at(&Tensor::from_vec(positions, (2, queries), &Device::Cpu).unwrap()).unwrap();
        let rotation = (queries == keys).then_some(&rotation);
        let sight = attention::Sight { num_heads: 3, mask: &mask, rotations: [rotation, rotation], bias: None };
        let shapes: [&[usize]; 3] = [&[2, queries, 18], &[2, keys, 18], &[2, keys, 18]];
        check_fused("attend", (&shapes, &[]), &|x, _| attention::attend(&x[0], &x[1], &x[2], sight).unwrap());
        // Learnt biases for 16 buckets of distances, or a fixed one that falls with the distance.
        check_fused("biased", (&shapes, &[&[3, 16]]), &|x, w| {
            let bucket = |distance: i64| (distance.unsigned_abs() / 5).min(7) as u32 + if distance > 0 { 8 } else { 0 };
            let bias = PositionBias::learnt(&w[0], queries, keys, bucket).unwrap();
            attention::attend(&x[0], &x[1], &x[2], attention::Sight { bias: Some(&bias), ..sight }).unwrap()
        });
        let slopes = PositionBias::linear(&[0.5, 0.25, 0.125], (queries, 0), keys, &Device::Cpu).unwrap();
        let falling = attention::Sight { bias: Some(&slopes), ..sight };
        check_fused("falling", (&shapes, &[]), &|x, _| attention::attend(&x[0], &x[1], &x[2], falling).unwrap());
    }
    masks_with_groups_and_gaps(&check_fused);
    let drop = Dropout { rate: 0.3, key: Dropout::key(1, 2, 3), first: 5 };
    check_fused("dropout", (&[&[30, 7]], &[]), &|x, _| dropout(&x[0], drop).unwrap());
}

/// Attention whose heads look in different directions, and merged attention: a gap among the keys, and keys that turn unlike
/// their queries.
fn masks_with_groups_and_gaps(check: &dyn Fn(&str, Shapes<'_>, Operation<'_>)) {
    let length = 70;
    let mask =
        |run: &dyn Fn(u32) -> Run| Mask::new(runs((0..length as u32).map(run)), length, length, &Device::Cpu).unwrap();
    let heads = Mask::by_head(&[mask(&|query| (0, query + 1)), mask(&|query| (query, length as u32))]).unwrap();
    let shape: &[usize] = &[2, length, 24];
    let sight = attention::Sight { num_heads: 4, mask: &heads, rotations: [None, None], bias: None };
    check("directions", (&[shape, shape, shape], &[&[4, 16]]), &|x, w| {
        let bucket = |distance: i64| (distance.unsigned_abs() / 9).min(7) as u32 + if distance > 0 { 8 } else { 0 };
        let bias = PositionBias::learnt(&w[0], length, length, bucket).unwrap();
        attention::attend(&x[0], &x[1], &x[2], attention::Sight { bias: Some(&bias), ..sight }).unwrap()
    });
    // 30 keys of a memory, of which each row sees its part, then its own.
    let (memory, keys) = (30_u32, 30 + length);
    let seen = (0..2_u32).flat_map(|row| {
        (0..length as u32).map(move |query| Seen { run: (row, memory + query + 1), hidden: (10 + row, memory) })
    });
    let merged = Mask::new(seen.collect(), length, keys, &Device::Cpu).unwrap();
    let tables = rope::RotaryTables::new(length, 6, 10_000.0, &Device::Cpu).unwrap();
    let places = Tensor::arange(0_u32, length as u32, &Device::Cpu).unwrap().repeat((2, 1)).unwrap();
    let rotation = tables.at(&places).unwrap();
    let of_keys = rotation.behind(memory as usize).unwrap();
    let rotations = [Some(&rotation), Some(&of_keys)];
    let sight = attention::Sight { num_heads: 4, mask: &merged, rotations, bias: None };
    let wide: &[usize] = &[2, keys, 24];
    check("merged", (&[shape, wide, wide], &[]), &|x, _| attention::attend(&x[0], &x[1], &x[2], sight).unwrap());
}

#[test]
fn rows_of_a_table_take_the_gradients_of_all_who_read_them() {
    let ids = Tensor::new(&[2_u32, 0, 2], &Device::Cpu).unwrap();
    for format in [DType::F32, DType::F64] {
        let table = Tensor::arange(0_f64, 8.0, &Device::Cpu).unwrap().reshape((4, 2)).unwrap();
        let table = Weight::new(Var::from_tensor(&table.to_dtype(format).unwrap()).unwrap(), Precision::F32).unwrap();
        for twice in [false, true] {
            let tape = Tape::alone();
            table.forget_gradient();
            let rows = embed(Some(&tape), &table, &ids).unwrap();
            assert_eq!(rows.tensor().to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap()[0], [4.0, 5.0]);
            let rows = if twice {
                let square = Tensor::new(&[[1.0, 0.0], [0.0, 1.0]], &Device::Cpu).unwrap().to_dtype(format).unwrap();
                let square = Weight::new(Var::from_tensor(&square).unwrap(), Precision::F32).unwrap();
                linear::add_linear(&rows, &embed(Some(&tape), &table, &ids).unwrap(), &square).unwrap()
            } else {
                rows
            };
            tape.backward(&weighted(&rows), std::iter::once(&table)).unwrap();
            let gradient = table.gradient_tensor().unwrap().unwrap().to_dtype(DType::F64).unwrap();
            let factor = |i: usize| noise(99, i) * if twice { 2.0 } else { 1.0 };
            let expected = [[factor(2), factor(3)], [0.0; 2], [factor(0) + factor(4), factor(1) + factor(5)], [0.0; 2]];
            for (ours, expected) in gradient.to_vec2::<f64>().unwrap().iter().zip(expected) {
                assert!(ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{ours:?} and {expected:?}");
            }
        }
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

fn one_row(decoder: &[u32], encoder: Option<&[u32]>, prefix: u32) -> Batch {
    let length = decoder.len();
    Batch {
        rows: 1,
        decoder: Side::alone(decoder),
        encoder: encoder.map(Side::alone),
        targets: vec![0; length],
        loss_weights: vec![1.0; length],
        prefix_lengths: vec![prefix],
    }
}

fn row_logits(architecture: Architecture, batch: &Batch) -> Vec<Vec<f32>> {
    let spec = run_spec(architecture, Objective::PrefixLm, 60, Path::new("none"));
    let (model, _) = drawn(&spec);
    model
        .logits(&ModelInput::new(batch, &spec.model, &Device::Cpu).unwrap())
        .unwrap()
        .get(0)
        .unwrap()
        .to_vec2::<f32>()
        .unwrap()
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
    let manifest = trilab::corpus::prepare(&settings, folder, &mut |_| {}).unwrap().manifest;
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
    trained_from(None, spec, corpus, checkpoints, leave)
}

/// The same, going on from the checkpoints in `parent`.
fn trained_from(
    parent: Option<&Path>,
    spec: &RunSpec,
    corpus: &Corpus,
    checkpoints: &Path,
    leave: Option<(u64, Control)>,
) -> (Outcome, Vec<RunEvent>) {
    let mut events = Vec::new();
    let (at, how) = leave.unwrap_or((u64::MAX, Control::Run));
    let mut control = LeaveAt { asked: 0, at, how };
    let answers = &mut |_, _: &_, _| Ok(());
    let outside = Surroundings { sink: &mut events, control: &mut control, answers, parent, clock: &|| 0.0 };
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

/// A child of `parent` at its step 6, on other objectives.
fn child_of(parent: &RunSpec, architecture: Architecture, objective: Objective) -> RunSpec {
    let mut child = parent.clone();
    child.model.architecture = architecture;
    child.objective = ObjectiveSpec::new(objective, (0.15, 3.0), false, &[]);
    child.parent = Some(ParentSpec { run: parent.id.clone(), step: 6, lineage: parent.lineage_id().unwrap() });
    child.training.dropout = 0.1;
    let examples = 6 * parent.training.batch_size as u64;
    let ancestor = Ancestor { run: parent.id.clone(), cell: parent.cell(), steps: 6, examples, tokens: 0, flops: 0.0 };
    child.ancestors = vec![ancestor];
    child.id = child.content_id().unwrap();
    child
}

#[test]
fn a_child_begins_with_its_parents_weights_and_can_be_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus_in(folder.path());
    let (at_parent, place) = (folder.path().join("parent"), |name: &str| folder.path().join(name));
    let mut parent =
        run_spec(Architecture::CausalDecoder, Objective::FullLm, corpus.vocabulary().size(), folder.path());
    parent.probes.keep_steps = vec![6];
    trained(&parent, &corpus, &at_parent, None);
    let kept: Vec<u64> = checkpoint::list(&at_parent).unwrap().into_iter().map(|(step, _)| step).collect();
    assert!(kept.contains(&6) && kept.len() > 1, "{kept:?}");
    let child = child_of(&parent, Architecture::NonCausalDecoder, Objective::SpanCorruption);
    let mut fresh = Trainer::new(&child).unwrap();
    checkpoint::inherit(&at_parent, child.parent.as_ref().unwrap(), &fresh).unwrap();
    let mut old = Trainer::new(&parent).unwrap();
    checkpoint::load(&at_parent, Some(6), &mut old).unwrap();
    for ((name, ours), (_, theirs)) in fresh.parameters().iter().zip(old.parameters().iter()) {
        let values = |weight: &Weight| weight.tensor().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(ours), values(theirs), "{name}");
    }
    assert_eq!(fresh.step_count(), 0, "its optimizer begins anew");
    fresh.step(&[made_up_batch(&child, &corpus.vocabulary())]).unwrap();
    assert_eq!(checkpoint::State::start(&child).cursor, 6 * parent.training.batch_size as u64, "it reads on");
    let whole = trained_from(Some(&at_parent), &child, &corpus, &place("whole"), None).1;
    let (outcome, mut halves) =
        trained_from(Some(&at_parent), &child, &corpus, &place("half"), Some((5, Control::Pause)));
    assert_eq!(outcome, Outcome::Paused);
    // Its own checkpoint is enough to go on.
    halves.extend(trained_from(None, &child, &corpus, &place("half"), None).1);
    assert_eq!(measured(&whole), measured(&halves), "dropout too is a function of seed and step");
    let lost = child_of(&parent, Architecture::EncoderDecoder, Objective::SpanCorruption);
    let begun = checkpoint::inherit(&at_parent, lost.parent.as_ref().unwrap(), &Trainer::new(&lost).unwrap());
    let Err(TrainError::Checkpoint { reason: said, .. }) = begun else { panic!("{begun:?}") };
    assert!(said.contains("is missing") || said.contains("no tensor of this model"), "{said}");
}

#[test]
fn dropout_knows_rows_and_not_threads() {
    let vocabulary = Vocabulary::new(40);
    for architecture in [Architecture::CausalDecoder, Architecture::EncoderDecoder, Architecture::MergedEncoderDecoder]
    {
        let mut spec = run_spec(architecture, Objective::PrefixLm, vocabulary.size(), Path::new("none"));
        spec.training.dropout = 0.2;
        let batch = made_up_batch(&spec, &vocabulary);
        let losses = |threads: usize, micro: usize| {
            let mut spec = spec.clone();
            spec.execution.threads = threads;
            let mut trainer = Trainer::new(&spec).unwrap();
            let parts: Vec<Batch> = batch.split(micro).into_iter().map(|(_, part)| part).collect();
            (0..3).map(|_| trainer.step(&parts).unwrap().loss).collect::<Vec<f64>>()
        };
        let alone = losses(1, 1);
        for (threads, micro) in [(2, 1), (3, 1), (1, 2)] {
            let near = losses(threads, micro).iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-4);
            assert!(near, "{architecture}: {threads} threads, {micro} micro-batches");
        }
        spec.training.dropout = 0.0;
        let mut without = Trainer::new(&spec).unwrap();
        let loss = without.step(std::slice::from_ref(&batch)).unwrap().loss;
        assert!((loss - alone[0]).abs() > 1e-3, "{architecture}: nothing is dropped");
    }
}

#[test]
fn an_interrupted_run_equals_an_uninterrupted_one_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus_in(folder.path());
    for (architecture, objective) in some_cells() {
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

/// The shape of `tests/reference/training.py`.
fn reference_spec(architecture: Architecture, precision: Precision) -> RunSpec {
    let mut spec = run_spec(architecture, Objective::PrefixLm, 61, Path::new("none"));
    spec.model = ModelSpec { d_model: 32, d_ff: 48, num_heads: 3, head_dim: 8, ..spec.model };
    spec.optimizer.learning_rate = 2e-3;
    spec.optimizer.schedule = LearningRateSchedule::Constant;
    spec.optimizer.warmup_steps = 0;
    spec.training.precision = precision;
    spec
}

/// The batch of one of its steps.
fn reference_batch(architecture: Architecture, step: usize) -> Batch {
    let (rows, length) = (4, SEQ_LEN);
    let token = |row: usize, t: usize| ((31 * row + 17 * step + t * (1 + (row + step) % 5)) % 61) as u32;
    let tokens = |from: usize| (0..rows).flat_map(|row| (from..from + length).map(move |t| token(row, t))).collect();
    let side = |from: usize| Side {
        length,
        tokens: tokens(from),
        positions: (0..rows).flat_map(|_| 0..length as u32).collect(),
        block_positions: Vec::new(),
        segments: vec![1; rows * length],
    };
    let first = if architecture == Architecture::EncoderDecoder { length } else { 0 };
    let prefix = |row: usize| if architecture == Architecture::NonCausalDecoder { 6 + row } else { 0 };
    let weight = |row: usize| (0..length).map(move |place| if place + 1 < prefix(row) { 0.0 } else { 1.0 });
    Batch {
        rows,
        decoder: side(first),
        encoder: (architecture == Architecture::EncoderDecoder).then(|| side(0)),
        targets: tokens(first + 1),
        loss_weights: (0..rows).flat_map(weight).collect(),
        prefix_lengths: (0..rows).map(|row| prefix(row) as u32).collect(),
    }
}

/// Losses of 200 steps from its weights.
fn reference_losses(architecture: Architecture, precision: Precision) -> Vec<f64> {
    let mut trainer = Trainer::new(&reference_spec(architecture, precision)).unwrap();
    by_formula(&trainer);
    (0..200).map(|step| trainer.step(&[reference_batch(architecture, step)]).unwrap().loss).collect()
}

fn by_formula(trainer: &Trainer) {
    for (name, weight) in trainer.parameters().iter() {
        let shift: f64 = name.bytes().map(f64::from).sum();
        let wave = |k: f64| (0.7 * k + 0.013 * k * k + shift).sin();
        let gain = weight.tensor().rank() == 1;
        let value = |k: u32| (if gain { 1.0 + 0.2 * wave(k.into()) } else { 0.3 * wave(k.into()) }) as f32;
        let values: Vec<f32> = (0..weight.tensor().elem_count() as u32).map(value).collect();
        weight.set(&Tensor::from_vec(values, weight.tensor().shape(), weight.tensor().device()).unwrap()).unwrap();
    }
}

/// The way that devices take, without looking at every step: the same losses, and the same scores.
#[test]
fn the_plain_references_train_as_the_fused_operations_do() {
    let expected: std::collections::BTreeMap<Architecture, Vec<f64>> =
        serde_json::from_str(include_str!("reference/losses.json")).unwrap();
    for (architecture, expected) in expected {
        let spec = reference_spec(architecture, Precision::F32);
        let (mut plain, mut fused) = (Trainer::reference(&spec).unwrap(), Trainer::new(&spec).unwrap());
        for trainer in [&plain, &fused] {
            by_formula(trainer);
        }
        let batch = |step: usize| [reference_batch(architecture, step)];
        let made: Vec<_> = (0..30).map(|step| plain.advance(&batch(step)).unwrap()).collect();
        for (step, (made, expected)) in made.iter().zip(expected).enumerate() {
            let (seen, theirs) = (plain.look(made).unwrap(), fused.step(&batch(step)).unwrap());
            assert!(
                (seen.loss / expected - 1.0).abs() < 1e-5,
                "{architecture}, step {step}: {}, {expected}",
                seen.loss
            );
            assert!((seen.grad_norm / theirs.grad_norm - 1.0).abs() < 1e-4, "{architecture}, step {step}: {seen:?}");
        }
        let [ours, theirs] = [&plain, &fused].map(|trainer| trainer.token_scores(&batch(40)[0], &[(2, 5)]).unwrap());
        assert!(ours.len() > 60 && ours.len() == theirs.len(), "{}", ours.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!((ours.log_likelihood - theirs.log_likelihood).abs() < 1e-4 && ours.greedy == theirs.greedy);
        }
        let scores = [&plain, &fused].map(|trainer| trainer.score(&batch(41)[0]).unwrap());
        assert!((scores[0] / scores[1] - 1.0).abs() < 1e-5, "{scores:?}");
    }
}

/// `tests/reference/training.py` made the reference with PyTorch.
#[test]
fn two_hundred_steps_have_the_losses_of_an_independent_program() {
    let expected: std::collections::BTreeMap<Architecture, Vec<f64>> =
        serde_json::from_str(include_str!("reference/losses.json")).unwrap();
    assert_eq!(expected.len(), 3);
    for (architecture, expected) in expected {
        let ours = reference_losses(architecture, Precision::F32);
        assert!(expected[0] > 4.0 && expected[199] < 1.0 && ours.len() == 200, "{architecture}: something is learnt");
        for (step, (ours, expected)) in ours.iter().zip(expected).enumerate() {
            let apart = (ours / expected - 1.0).abs();
            assert!(apart < 1e-3, "{architecture}, step {step}: {ours} and not {expected}");
        }
    }
}

/// The band: over any 20 steps the mean loss in bf16 is within 2 % or 0.02 nats of that in f32, and no single step is further
/// away than 15 % or 0.1 nats. In the end it has learnt as much.
#[test]
fn losses_in_bf16_follow_those_in_f32() {
    // The three whose losses the reference has.
    for architecture in Architecture::ALL.into_iter().take(3) {
        let (halves, singles) =
            (reference_losses(architecture, Precision::Bf16), reference_losses(architecture, Precision::F32));
        assert_ne!(halves, singles, "{architecture}: nothing was rounded");
        for (step, (half, single)) in halves.iter().zip(&singles).enumerate() {
            assert!((half - single).abs() < (0.15 * single).max(0.1), "{architecture}, step {step}: {half}, {single}");
        }
        for (window, (halves, singles)) in halves.chunks(20).zip(singles.chunks(20)).enumerate() {
            let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
            let (half, single) = (mean(halves), mean(singles));
            let apart = (half - single).abs();
            assert!(apart < (0.02 * single).max(0.02), "{architecture}, steps from {}: {half}, {single}", 20 * window);
        }
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
