//! Made-up ranks: reports of a causal decoder and of an encoder-decoder whose heads lose rank with depth and training.
//! No clock, no chance.

use trilab::core::picture::Picture;
use trilab::core::rank::{
    AttentionKind, HeadRank, RankAtStep, RankHistory, RankMeasures, RankReport, ResidualRank, StackKind,
};
use trilab::core::{Architecture, Metric};
use trilab::tui::App;
use trilab::wire::Update;

use crate::data;

const N: usize = 128;
const CELLS: usize = 32;

/// A picture of attention that decays with distance, the faster the larger `pull`, under the mask of its kind.
fn picture(attention: AttentionKind, pull: f64) -> Picture {
    let mut masses = Vec::new();
    for query in 0..CELLS {
        let weight = |key: usize| {
            let seen = attention != AttentionKind::DecoderSelf || key <= query;
            let far = query.abs_diff(key) as f64 / CELLS as f64;
            if seen { (-pull * far).exp() } else { 0.0 }
        };
        let sum: f64 = (0..CELLS).map(weight).sum();
        masses.extend((0..CELLS).map(|key| weight(key) / sum));
    }
    Picture::packed(&masses)
}

fn head(attention: AttentionKind, layer: usize, number: usize, step: u64) -> HeadRank {
    let age = step as f64 / 2_000.0;
    let full = if attention == AttentionKind::DecoderSelf { 0.25 } else { 0.02 };
    let share = full + 0.5 * age * (number + 1) as f64 / (layer + 2) as f64;
    let effective = share * N as f64;
    HeadRank {
        attention,
        layer,
        head: number,
        queries: N,
        keys: N,
        one_way: attention == AttentionKind::DecoderSelf,
        of_probabilities: RankMeasures {
            numerical: 100.0 + 6.5 * number as f64,
            effective,
            stable: 1.0 + layer as f64 / 2.0,
            k90: effective / 4.0,
        },
        of_logits: RankMeasures { numerical: 32.0, effective: 20.25 - layer as f64, stable: 3.5, k90: 9.0 },
        spectrum: (0..64).map(|at| (3.0 * (-0.05 * (number + 2) as f64 * f64::from(at)).exp()) as f32).collect(),
        picture: picture(attention, 1.0 + 4.0 * (number * layer) as f64),
    }
}

/// The report of a model of `layers` × `heads` at `step`.
pub(crate) fn report(architecture: Architecture, (layers, heads): (usize, usize), step: u64) -> RankReport {
    let both = architecture == Architecture::EncoderDecoder;
    let prefix_length = if architecture == Architecture::NonCausalDecoder { N / 2 } else { 0 };
    let shown = |kind: &AttentionKind| both || *kind == AttentionKind::DecoderSelf;
    let kinds = AttentionKind::ALL.into_iter().filter(shown);
    let places = kinds.flat_map(|kind| (0..layers).flat_map(move |l| (0..heads).map(move |h| (kind, l, h))));
    let stacks = if both { vec![StackKind::Encoder, StackKind::Decoder] } else { vec![StackKind::Decoder] };
    let depths = stacks.into_iter().flat_map(|stack| (0..=layers).map(move |depth| (stack, depth)));
    let residual = depths.map(|(stack, depth)| {
        let effective = 90.0 / (1.0 + depth as f64 / 3.0);
        let measures = RankMeasures { numerical: 128.0, effective, stable: 4.0, k90: 30.0 };
        ResidualRank { stack, depth, measures, rank_one_residual: 0.95 - 0.08 * depth as f64 }
    });
    RankReport {
        seq_len: N,
        prefix_length,
        examples: 2,
        heads: places.map(|(kind, layer, number)| head(kind, layer, number, step)).collect(),
        residual: residual.collect(),
    }
}

/// Reports of run `number` every 100 steps up to `step`; only the newest has spectra and pictures.
pub(crate) fn history(number: u64, shape: (usize, usize), step: u64) -> RankHistory {
    let run = data::runs().into_iter().find(|run| run.id == data::id(number)).unwrap();
    let at = |step| RankAtStep { step, seconds: 0.5, report: report(run.architecture, shape, step) };
    let mut reports: Vec<RankAtStep> = (1..=step / 100).map(|every| at(every * 100)).collect();
    let newest = reports.len().saturating_sub(1);
    for (place, at) in reports.iter_mut().enumerate() {
        if place < newest {
            at.report = at.report.clone().without_spectra();
        }
    }
    RankHistory { run: run.id, reports }
}

/// A dashboard whose finished runs, run 7 and run 13 have told ranks.
pub(crate) fn app(columns: u16, rows: u16) -> App {
    let mut app = data::app(columns, rows);
    let mut lab = data::lab();
    for run in lab.runs.iter_mut().filter(|run| run.step >= 100 && run.id != data::id(8)) {
        run.latest.insert(Metric::EffectiveRankShare, 0.31);
    }
    data::tell(&mut app, Update::Lab(Box::new(lab)));
    app
}
