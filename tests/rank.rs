//! Rank through real models: what is captured is what the models compute, uniform attention has the rank that algebra
//! says, and probing leaves training as it was, bit for bit.
#![expect(clippy::unwrap_used, reason = "a broken test stops")]

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use trilab::core::rank::{AttentionKind, AttentionMask, RankReport, StackKind};
use trilab::core::spec::{DataSpec, SPEC_FORMAT};
use trilab::core::texts::{CorpusSettings, TokenizerSpec};
use trilab::core::{
    Architecture, AttentionDirection, Control, ControlSource, ExecutionSpec, LearningRateSchedule, Metric, ModelSpec,
    Objective, ObjectiveSpec, OptimizerSpec, Precision, ProbeSpec, RunEvent, RunSpec, TrainingSpec,
};
use trilab::corpus::Corpus;
use trilab::model::{LanguageModel, Matrices, ModelInput, Numbers};
use trilab::objective::{Batch, Side};
use trilab::rank::{measures, pooled, spectrum};
use trilab::train::rank_probe::RankProbe;
use trilab::train::{Surroundings, Trainer, train};

fn run_spec(architecture: Architecture, objective: Objective, vocab_size: usize, seq_len: usize) -> RunSpec {
    RunSpec {
        format: SPEC_FORMAT,
        id: "0123456789ab".parse().unwrap(),
        study: "test".parse().unwrap(),
        seed: 7,
        model: ModelSpec::of_size(architecture, vocab_size, [16, 24, 2, 3, 4]),
        objective: ObjectiveSpec::new(objective, (0.15, 3.0), false, &[]),
        optimizer: OptimizerSpec {
            learning_rate: 5e-3,
            schedule: LearningRateSchedule::Cosine,
            warmup_steps: 2,
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
            seq_len,
            steps: 7,
            divergence_factor: 3.0,
            z_loss: 0.0,
            precision: Precision::F32,
            dropout: 0.0,
        },
        data: DataSpec {
            fingerprint: "f".to_owned(),
            name: "test".to_owned(),
            directory: "none".into(),
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
            rank_every: 3,
            zero_shot: Vec::new(),
            zero_shot_every: 0,
            zero_shot_items: 0,
            zero_shot_share: 0.0,
            sample_every: 0,
            sample_tokens: 0,
            checkpoint_every: 5,
            keep_checkpoints: 2,
            keep_steps: Vec::new(),
        },
        tasks_fingerprint: None,
        execution: ExecutionSpec { device: trilab::core::Device::Cpu, threads: 1, program_version: "test".to_owned() },
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

const CELLS: [(Architecture, Objective); 5] = [
    (Architecture::CausalDecoder, Objective::FullLm),
    (Architecture::NonCausalDecoder, Objective::PrefixLm),
    (Architecture::NonCausalDecoder, Objective::SpanCorruption),
    (Architecture::EncoderDecoder, Objective::PrefixLm),
    (Architecture::EncoderDecoder, Objective::SpanCorruption),
];

fn side(tokens: std::ops::Range<u32>) -> Side {
    Side::alone(&tokens.collect::<Vec<_>>())
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
}

#[test]
fn a_watched_pass_is_the_pass_itself() {
    for (architecture, encoder) in [
        (Architecture::CausalDecoder, None),
        (Architecture::NonCausalDecoder, None),
        (Architecture::EncoderDecoder, Some(side(20..31))),
    ] {
        let spec = run_spec(architecture, Objective::PrefixLm, 60, 16);
        let numbers = Numbers { format: DType::F32, precision: Precision::F32, device: Device::Cpu };
        let (model, parameters) = LanguageModel::new(&spec.model, 16, &numbers).unwrap();
        parameters.draw(7, 1).unwrap();
        let prefix = if architecture == Architecture::NonCausalDecoder { 4 } else { 0 };
        let batch = Batch {
            rows: 1,
            decoder: side(0..9),
            encoder,
            targets: vec![0; 9],
            loss_weights: vec![1.0; 9],
            prefix_lengths: vec![prefix],
        };
        let input = ModelInput::new(&batch, &spec.model, &Device::Cpu).unwrap();
        let (states, capture) = model.observe(&input).unwrap();
        assert_eq!(
            values(model.project(&states).unwrap().tensor()),
            values(&model.logits(&input).unwrap()),
            "{architecture}: watching changes nothing"
        );
        let (sources, layers) = (batch.encoder.as_ref().map_or(0, |side| side.length), spec.model.num_layers);
        assert_eq!(capture.decoder.residual.len(), layers + 1);
        assert_eq!(capture.encoder.residual.len(), if sources > 0 { layers + 1 } else { 0 });
        let mask = input.decoder.masks[0].additive(3).unwrap();
        let modules: [(&[Matrices], &[usize], &Tensor); 3] = [
            (&capture.decoder.attention, &[1, 3, 9, 9], &mask),
            (&capture.encoder.attention, &[1, 3, sources, sources], &mask),
            (&capture.decoder.cross, &[1, 3, 9, sources], &mask),
        ];
        for (place, (matrices, shape, mask)) in modules.into_iter().enumerate() {
            assert_eq!(matrices.len(), if place == 0 || sources > 0 { layers } else { 0 });
            for module in matrices {
                assert_eq!(module.logits.dims(), shape);
                let rows: Vec<f32> = values(&module.probabilities.sum_keepdim(3).unwrap());
                assert!(rows.iter().all(|sum| (sum - 1.0).abs() < 1e-5), "{architecture}: rows are distributions");
                let hidden = values(&mask.broadcast_as(module.logits.dims()).unwrap_or_else(|_| mask.clone()));
                let seen = values(&module.probabilities);
                if place == 0 {
                    assert!(seen.iter().zip(&hidden).all(|(p, mask)| (*p > 0.0) == (*mask == 0.0)));
                } else {
                    assert!(seen.iter().all(|p| *p > 0.0));
                }
                // The logits are those of the probabilities: within a row both differ by a constant.
                let columns = shape[3];
                for (row, (logits, p)) in values(&module.logits).chunks(columns).zip(seen.chunks(columns)).enumerate() {
                    let gaps: Vec<f32> =
                        logits.iter().zip(p).filter(|(_, p)| **p > 0.0).map(|(logit, p)| logit - p.ln()).collect();
                    let spread = gaps.iter().fold(0.0_f32, |most, gap| most.max((gap - gaps[0]).abs()));
                    assert!(spread < 1e-4, "{architecture}, row {row}: {spread}");
                }
                // q kᵀ has at most head_dim dimensions, whatever the length.
                let head = module.logits.get(0).unwrap().get(0).unwrap();
                let (t, s) = head.dims2().unwrap();
                let found = measures(&spectrum(&values(&head), t, s).unwrap(), t, s);
                assert_eq!(found.numerical, 4.0, "{architecture}: {found:?}");
            }
        }
    }
}

fn probed(trainer: &Trainer, spec: &RunSpec, corpus: &Corpus) -> RankReport {
    let mut beats = 0;
    let mut beat = || {
        beats += 1;
        Ok(())
    };
    let report = RankProbe::new(spec, corpus).unwrap().measure(trainer, &mut beat).unwrap();
    assert!(beats >= 2 * report.heads.len(), "a sign of life per decomposition");
    report
}

#[test]
fn uniform_attention_has_the_rank_that_algebra_says() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus_in(folder.path());
    let n = 128;
    for (architecture, objective) in CELLS {
        let spec = run_spec(architecture, objective, corpus.vocabulary().size() as usize, n);
        let trainer = Trainer::new(&spec).unwrap();
        for (_, weight) in trainer.parameters().iter().filter(|(name, _)| name.ends_with("q_proj.weight")) {
            weight.set(&weight.tensor().zeros_like().unwrap()).unwrap();
        }
        let report = probed(&trainer, &spec, &corpus);
        let prefix = if architecture == Architecture::NonCausalDecoder { n / 2 } else { 0 };
        assert_eq!((report.seq_len, report.prefix_length), (n, prefix));
        let uniform: Vec<f32> = (0..n)
            .flat_map(|i| (0..n).map(move |j| (j, if i < prefix { prefix } else { i + 1 })))
            .map(|(j, seen)| if j < seen { 1.0 / seen as f32 } else { 0.0 })
            .collect();
        let even = vec![1.0 / n as f32; n * n];
        let wanted = measures(&spectrum(&uniform, n, n).unwrap(), n, n);
        let modules = if architecture == Architecture::EncoderDecoder { 3 } else { 1 };
        assert_eq!(report.heads.len(), modules * 2 * 3);
        for head in &report.heads {
            let effective = head.of_probabilities.effective;
            let expected = match head.attention {
                AttentionKind::DecoderSelf => wanted.effective,
                AttentionKind::EncoderSelf | AttentionKind::Cross => 1.0,
            };
            assert!((effective - expected).abs() < 1e-3 * expected, "{architecture} {head:?}");
            assert_eq!((head.queries, head.keys, head.of_logits.effective), (n, n, 0.0));
            assert_eq!(head.spectrum.len(), 64);
            let seen = if head.attention == AttentionKind::DecoderSelf { &uniform } else { &even };
            let wanted = pooled(seen, n, n, 32).unwrap();
            let picture = head.picture.masses();
            assert_eq!(picture.len(), 32 * 32);
            let close = |(a, b): (&f64, &f64)| (a.sqrt() - b.sqrt()).abs() < 0.51 / 255.0;
            assert!(picture.iter().zip(&wanted).all(close), "{architecture} {:?}: {picture:?}", head.attention);
            // What algebra says of it: all sees alike, so a cell of 4 × 4 holds 4/n of a row of an unmasked matrix,
            // and nothing lies above the diagonal of a causal one.
            if head.attention != AttentionKind::DecoderSelf {
                assert!(picture.iter().all(|mass| (mass.sqrt() - (4.0 / n as f64).sqrt()).abs() < 0.51 / 255.0));
            } else if prefix == 0 {
                assert!((0..32).all(|row| (row + 1..32).all(|column| picture[row * 32 + column] == 0.0)));
            }
        }
        let headline = report.metrics()[&Metric::EffectiveRankShare];
        println!("{architecture}:{objective} headline {headline}");
        // All rows of the prefix are alike, so a uniform non-causal decoder has clearly less.
        let expected = if architecture.has_prefix() { 0.0816 } else { 0.25 };
        assert!((headline - expected).abs() < 1e-3, "{headline}");
        for stack in [StackKind::Encoder, StackKind::Decoder] {
            let depths: Vec<usize> = report.residual.iter().filter(|r| r.stack == stack).map(|r| r.depth).collect();
            let there = stack == StackKind::Decoder || architecture == Architecture::EncoderDecoder;
            assert_eq!(depths, if there { vec![0, 1, 2] } else { vec![] });
        }
        assert!(report.residual.iter().all(|depth| depth.rank_one_residual > 0.0 && depth.measures.numerical <= 16.0));
    }
}

/// An attention and who sees whom in it.
type Masked = (AttentionKind, AttentionMask);

#[test]
fn every_head_is_held_against_the_bound_of_its_own_mask() {
    use AttentionDirection::{AlternatingLayers, Both, MixedHeads};
    use AttentionKind::{Cross, DecoderSelf, EncoderSelf};
    use AttentionMask::{Bidirectional, Causal, Merged, Prefix};
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus_in(folder.path());
    let n = 16;
    let cells: [(Architecture, Objective, AttentionDirection, &[Masked]); 8] = [
        (Architecture::CausalDecoder, Objective::FullLm, Both, &[(DecoderSelf, Causal)]),
        (Architecture::NonCausalDecoder, Objective::PrefixLm, Both, &[(DecoderSelf, Prefix(8))]),
        (
            Architecture::SharedEncoderDecoder,
            Objective::PrefixLm,
            Both,
            &[(EncoderSelf, Bidirectional), (DecoderSelf, Causal), (Cross, Bidirectional)],
        ),
        (
            Architecture::CausalEncoderDecoder,
            Objective::PrefixLm,
            Both,
            &[(EncoderSelf, Causal), (DecoderSelf, Causal), (Cross, Bidirectional)],
        ),
        (
            Architecture::MergedEncoderDecoder,
            Objective::PrefixLm,
            AlternatingLayers,
            &[(EncoderSelf, Causal), (DecoderSelf, Merged)],
        ),
        (Architecture::EncoderOnly, Objective::MaskedLm, Both, &[(EncoderSelf, Bidirectional)]),
        (Architecture::EncoderOnly, Objective::MaskedLm, MixedHeads, &[(EncoderSelf, Causal)]),
        (Architecture::EncoderOnly, Objective::MaskedLm, AlternatingLayers, &[(EncoderSelf, Causal)]),
    ];
    for (architecture, objective, direction, wanted) in cells {
        let mut spec = run_spec(architecture, objective, corpus.vocabulary().size() as usize, n);
        spec.model.num_heads = 2;
        spec.model.direction = direction;
        let report = probed(&Trainer::new(&spec).unwrap(), &spec, &corpus);
        assert_eq!(report.heads.len(), wanted.len() * 2 * 2, "{architecture}");
        for head in &report.heads {
            let found = (head.attention, report.mask(head));
            assert!(wanted.contains(&found), "{architecture} {direction:?}: {found:?}");
        }
        let alone = architecture == Architecture::EncoderOnly;
        let own = if alone { StackKind::Encoder } else { StackKind::Decoder };
        assert!(report.residual.iter().any(|depth| depth.stack == own));
        assert_eq!(report.residual.iter().any(|depth| depth.stack == StackKind::Decoder), !alone);
        assert!(report.metrics().contains_key(&Metric::EffectiveRankShare), "{architecture}");
    }
}

struct Never;

impl ControlSource for Never {
    fn control(&mut self) -> Control {
        Control::Run
    }
}

fn trained(spec: &RunSpec, corpus: &Corpus, checkpoints: &Path) -> Vec<RunEvent> {
    let mut events = Vec::new();
    let outside = Surroundings {
        sink: &mut events,
        control: &mut Never,
        answers: &mut |_, _, _| Ok(()),
        parent: None,
        clock: &|| 0.0,
    };
    train(spec, corpus, checkpoints, outside).unwrap();
    events
}

#[test]
fn probing_leaves_training_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus_in(folder.path());
    for (architecture, objective) in CELLS {
        let mut spec = run_spec(architecture, objective, corpus.vocabulary().size() as usize, 24);
        let place = |name: &str| folder.path().join(format!("{architecture}{objective}-{name}"));
        let with = trained(&spec, &corpus, &place("with"));
        spec.probes.rank_every = 0;
        let without = trained(&spec, &corpus, &place("without"));
        let (ranks, rest): (Vec<RunEvent>, Vec<RunEvent>) =
            with.into_iter().partition(|event| matches!(event, RunEvent::RankMeasured { .. }));
        assert_eq!(rest, without, "{architecture}:{objective}: every other event is the same, bit for bit");
        let weights = |name: &str| std::fs::read(place(name).join("step-00000007/weights.safetensors")).unwrap();
        assert!(weights("with") == weights("without"), "{architecture}:{objective}: the weights are the same");
        let mut seen = Vec::new();
        for event in &ranks {
            let RunEvent::RankMeasured { step, report, metrics, .. } = event else { panic!("{event:?}") };
            assert_eq!(metrics, &report.metrics());
            let share = metrics[&Metric::EffectiveRankShare];
            assert!(share > 1.0 / 24.0 && share < 1.0 && report.is_finite());
            let line = serde_json::to_string(event).unwrap();
            assert_eq!(&serde_json::from_str::<RunEvent>(&line).unwrap(), event, "a log gives back the same report");
            seen.push(*step);
        }
        assert_eq!(seen, [3, 6, 7], "every third step, and the last");
        let again = trained(
            &RunSpec { probes: ProbeSpec { rank_every: 3, ..spec.probes.clone() }, ..spec.clone() },
            &corpus,
            &place("again"),
        );
        let again: Vec<RunEvent> =
            again.into_iter().filter(|event| matches!(event, RunEvent::RankMeasured { .. })).collect();
        assert_eq!(again, ranks, "the probe makes no draws");
    }
}

#[test]
fn a_text_too_short_to_probe_is_said_and_does_not_end_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("short.txt");
    std::fs::write(&text, "the boats go out and the boats come home again\n".repeat(20)).unwrap();
    let settings = CorpusSettings {
        paths: vec![text.display().to_string()],
        field: "text".to_owned(),
        validation: Vec::new(),
        validation_fraction: 0.05,
        tokenizer: TokenizerSpec::Bytes,
    };
    let manifest = trilab::corpus::prepare(&settings, folder.path(), &mut |_| {}).unwrap().manifest;
    let corpus = Corpus::open(&folder.path().join(manifest.fingerprint)).unwrap();
    // One example fits the validation text; what an encoder and then its decoder read does not.
    let length = usize::try_from(corpus.validation().len()).unwrap() * 2 / 3;
    assert!(length >= 24, "{length}");
    let vocab_size = corpus.vocabulary().size() as usize;
    let spec = |architecture| run_spec(architecture, Objective::PrefixLm, vocab_size, length);
    let events = |architecture| trained(&spec(architecture), &corpus, &folder.path().join(format!("{architecture}")));
    let warned = |events: &[RunEvent]| {
        let warning =
            |event: &&RunEvent| matches!(event, RunEvent::Warned { message } if message.contains("rank_every"));
        events.iter().filter(warning).count()
    };
    let measured = |events: &[RunEvent]| events.iter().any(|event| matches!(event, RunEvent::RankMeasured { .. }));
    let fitting = events(Architecture::NonCausalDecoder);
    assert_eq!((warned(&fitting), measured(&fitting)), (0, true));
    let short = events(Architecture::EncoderDecoder);
    assert_eq!((warned(&short), measured(&short)), (1, false));
    assert_eq!(short.last(), Some(&RunEvent::Finished { step: 7 }));
}

#[test]
fn a_model_that_overflows_has_no_rank() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus_in(folder.path());
    let spec = run_spec(Architecture::CausalDecoder, Objective::FullLm, corpus.vocabulary().size() as usize, 24);
    let trainer = Trainer::new(&spec).unwrap();
    for (_, weight) in trainer.parameters().iter().filter(|(name, _)| name.ends_with("q_proj.weight")) {
        weight.set(&(weight.tensor().ones_like().unwrap() * f64::from(f32::MAX)).unwrap()).unwrap();
    }
    let error = RankProbe::new(&spec, &corpus).unwrap().measure(&trainer, &mut || Ok(())).unwrap_err();
    assert!(error.to_string().contains("not finite"), "{error}");
}
