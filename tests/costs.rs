//! What a model costs, computed and counted: FLOPs against the shapes of its weights, memory against what the program holds. In
//! a process of its own, because the counts are those of the whole program.
#![expect(clippy::unwrap_used, reason = "a broken test stops")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device};
use trilab::core::cost::{activations, forward_flops, parameters};
use trilab::core::rows::BatchShape;
use trilab::core::{Architecture, Mlp, ModelSpec, NormKind, Position, Precision};
use trilab::kernel::{Tape, cross_entropy};
use trilab::model::{LanguageModel, ModelInput, Numbers, Pass};
use trilab::objective::{Batch, Side};

/// Counts the bytes in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator that counts and leaves the work to the system's")]
// SAFETY: every call is handed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = IN_USE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(used, Ordering::Relaxed);
        // SAFETY: as for this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as for this function.
        unsafe { System.dealloc(block, layout) }
    }
}

const SHAPE: BatchShape = BatchShape { rows: 4, encoder_len: 80, decoder_len: 112, window: 112, examples_per_row: 1 };

fn models() -> impl Iterator<Item = (ModelSpec, BatchShape)> {
    let kinds = [
        (Position::Rope, Mlp::SwiGlu, NormKind::RmsNorm, false),
        (Position::Learned, Mlp::Relu, NormKind::RmsNorm, true),
        (Position::None, Mlp::GeGlu, NormKind::LayerNorm, true),
    ];
    Architecture::ALL.into_iter().flat_map(move |architecture| {
        kinds.into_iter().map(move |(position, mlp, norm, tied_embeddings)| {
            let spec = ModelSpec {
                position,
                mlp,
                norm,
                tied_embeddings,
                max_positions: if position == Position::Learned { 128 } else { 0 },
                ..ModelSpec::of_size(architecture, 300, [96, 160, 4, 5, 16])
            };
            let encoder_len = if architecture.has_encoder() { SHAPE.encoder_len } else { 0 };
            (spec, BatchShape { encoder_len, ..SHAPE })
        })
    })
}

fn side(rows: usize, length: usize) -> Side {
    let mut side = Side::alone(&(0..length as u32).map(|at| at % 290).collect::<Vec<_>>());
    side.tokens = side.tokens.repeat(rows);
    side.positions = side.positions.repeat(rows);
    side.segments = side.segments.repeat(rows);
    side
}

/// Two operations for every weight of a product and every position that goes through it, and for every pair of a query and a
/// key and every dimension of a head, twice. The weights say by their names where they stand.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn counted_flops(spec: &ModelSpec, shape: &BatchShape, weights: &[(String, Vec<usize>)]) -> f64 {
    let (source, target) = (shape.encoder_len, shape.decoder_len);
    let shared = spec.architecture == Architecture::SharedEncoderDecoder;
    let merged = spec.architecture == Architecture::MergedEncoderDecoder;
    let mut multiply_adds = 0;
    for (name, dims) in weights {
        let [out, input] = dims.as_slice() else { continue };
        let size = out * input;
        let is = |part: &str| name.contains(part);
        let positions = match name.as_str() {
            "head.weight" => target,
            "embedding.weight" => {
                if spec.tied_embeddings {
                    target
                } else {
                    0
                }
            }
            "position_embedding.weight" => 0,
            _ if is("encoder.") => source,
            _ if is("cross_attention.k_proj") || is("cross_attention.v_proj") => source,
            _ if is("cross_attention.") => target,
            // The decoder's own, which an encoder may share, or use for what the encoder read.
            _ if shared => source + target,
            _ if merged && (is(".k_proj") || is(".v_proj")) => source + target,
            _ => target,
        };
        multiply_adds += size * positions;
    }
    let (encoder, decoder) = spec.depths();
    let inner = spec.num_heads * spec.head_dim;
    let pairs = encoder * source * source + decoder * target * (target + source);
    2.0 * (shape.rows * (multiply_adds + 2 * pairs * inner)) as f64
}

/// Bytes that a forward pass leaves for the backward pass, and the most that both needed above that.
fn held(spec: &ModelSpec, shape: &BatchShape) -> (usize, usize) {
    let numbers = Numbers { format: DType::F32, precision: Precision::F32, device: Device::Cpu };
    let (model, weights) = LanguageModel::new(spec, 128, &numbers).unwrap();
    weights.draw(1, 1).unwrap();
    let count = shape.rows * shape.decoder_len;
    let batch = Batch {
        rows: shape.rows,
        decoder: side(shape.rows, shape.decoder_len),
        encoder: (shape.encoder_len > 0).then(|| side(shape.rows, shape.encoder_len)),
        targets: vec![1; count],
        loss_weights: vec![1.0; count],
        prefix_lengths: vec![0; shape.rows],
    };
    let step = |measure: bool| {
        let input = ModelInput::new(&batch, spec, &Device::Cpu).unwrap();
        let before = IN_USE.load(Ordering::Relaxed);
        let tape = Tape::alone();
        let states = model.states(&input, Pass { tape: Some(&tape), dropping: None }).unwrap();
        let flat = states.reshape(&[count, spec.d_model]).unwrap();
        let kept = IN_USE.load(Ordering::Relaxed) - before;
        let targets: Vec<_> =
            (0..count as u32).map(|row| cross_entropy::Target { row, token: 1, weight: 1.0 / count as f32 }).collect();
        let loss = model.loss(&flat, &targets, 0.0).unwrap().total;
        drop((states, flat));
        MOST.store(IN_USE.load(Ordering::Relaxed), Ordering::Relaxed);
        tape.backward(&loss, weights.weights()).unwrap();
        if measure { (kept, MOST.load(Ordering::Relaxed) - before) } else { (0, 0) }
    };
    // The first step makes room for gradients, which stays.
    step(false);
    step(true)
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn costs_are_what_is_counted() {
    for (spec, shape) in models() {
        let what = format!("{} {}", spec.architecture, spec.variant());
        let numbers = Numbers { format: DType::F32, precision: Precision::F32, device: Device::Cpu };
        let (_, weights) = LanguageModel::new(&spec, 128, &numbers).unwrap();
        assert_eq!(weights.count(), parameters(&spec), "{what}: parameters");
        let named: Vec<_> =
            weights.iter().map(|(name, weight)| (name.to_owned(), weight.tensor().dims().to_vec())).collect();
        let (computed, counted) = (forward_flops(&spec, &shape), counted_flops(&spec, &shape, &named));
        assert!((computed / counted - 1.0).abs() < 1e-12, "{what}: {computed} FLOPs computed, {counted} counted");
        let (kept, most) = held(&spec, &shape);
        let computed = 4.0 * activations(&spec, &shape) as f64;
        // Besides: the embeddings, the final norm, denominators of attention, and what tokens and masks take.
        let ratio = kept as f64 / computed;
        println!("{what}: kept {kept}, computed {computed:.0}, ratio {ratio:.3}, most {most}");
        assert!((1.0..1.25).contains(&ratio), "{what}: {kept} bytes are kept, {computed} computed");
        let (encoder, decoder) = spec.depths();
        let estimated = computed * (1.0 + 1.0 / (encoder + decoder) as f64);
        let ratio = most as f64 / estimated;
        assert!((0.75..1.6).contains(&ratio), "{what}: at most {most} bytes in use, {estimated} estimated");
    }
}
