//! The ranks of a run: layer × head by the headline measure, every measure of every head, the residual stream by depth.

use std::fmt::Write;

use super::table::{Align, Table};
use crate::core::rank::{AttentionKind, RankAtStep, RankHistory, RankMeasures, RankReport};

/// The newest report with its course over training; `None` if rank was never measured.
#[must_use]
pub fn text(history: &RankHistory) -> Option<String> {
    let RankAtStep { step, seconds, report } = history.reports.last()?;
    let mut text = format!("run {}, step {step}, seq_len {}", history.run, report.seq_len);
    if report.prefix_length > 0 {
        let _ = write!(text, ", prefix {}", report.prefix_length);
    }
    let _ = writeln!(text, ", mean of {} held-out texts, measured in {seconds:.2}s", report.examples);
    for attention in AttentionKind::ALL {
        if let Some(mean) = report.effective_rank_share(attention) {
            let title = report.title(attention);
            let _ = writeln!(text, "\n{title}: effective rank of P as a share of the largest possible, mean {mean:.4}");
            text.push_str(&heads(report, attention).text());
        }
    }
    text.push_str("\nevery measure: P after mask and softmax, L logits before the mask\n");
    text.push_str(&measures(report).text());
    text.push_str("\nresidual stream by depth\n");
    text.push_str(&residual(report).text());
    if history.reports.len() > 1 {
        text.push_str("\nover training: effective rank of P as a share, means over heads\n");
        text.push_str(&course(history).text());
    }
    Some(text)
}

/// Effective rank as a share: one row per layer, one column per head.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a few heads")]
pub fn heads(report: &RankReport, attention: AttentionKind) -> Table {
    let head_count = report.of(attention).map(|head| head.head + 1).max().unwrap_or(0);
    let layer_count = report.of(attention).map(|head| head.layer + 1).max().unwrap_or(0);
    let names: Vec<String> = (0..head_count).map(|head| format!("head {head}")).collect();
    let mut headings = vec![("layer", Align::Right)];
    headings.extend(names.iter().map(|name| (name.as_str(), Align::Right)));
    headings.push(("mean", Align::Right));
    let mut table = Table::new(&headings);
    for layer in 0..layer_count {
        let shares: Vec<f64> =
            report.of(attention).filter(|head| head.layer == layer).map(|head| head.effective_rank_share()).collect();
        let mean = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
        let mut row = vec![layer.to_string()];
        row.extend(shares.iter().chain([&mean]).map(|share| format!("{share:.4}")));
        table.push(row);
    }
    table
}

fn figures(of: &RankMeasures) -> [String; 4] {
    [
        format!("{:.2}", of.effective),
        format!("{:.1}", of.numerical),
        format!("{:.2}", of.stable),
        format!("{:.1}", of.k90),
    ]
}

/// Every measure of every head.
#[must_use]
pub fn measures(report: &RankReport) -> Table {
    let mut headings = vec![("attention", Align::Left)];
    headings.extend(
        ["layer", "head", "full", "P eff", "P num", "P stable", "P k90", "L eff", "L num", "L stable", "L k90"]
            .map(|name| (name, Align::Right)),
    );
    let mut table = Table::new(&headings);
    for head in &report.heads {
        let mut row = vec![head.attention.label().to_owned()];
        row.extend([head.layer, head.head, head.full_rank()].map(|number| number.to_string()));
        row.extend(figures(&head.of_probabilities));
        row.extend(figures(&head.of_logits));
        table.push(row);
    }
    table
}

/// The residual stream, one row per stack and depth.
#[must_use]
pub fn residual(report: &RankReport) -> Table {
    let mut headings = vec![("stack", Align::Left)];
    headings.extend(["depth", "eff", "num", "stable", "k90", "|X-1x|/|X|"].map(|name| (name, Align::Right)));
    let mut table = Table::new(&headings);
    for depth in &report.residual {
        let mut row = vec![depth.stack.label().to_owned(), depth.depth.to_string()];
        row.extend(figures(&depth.measures));
        row.push(format!("{:.4}", depth.rank_one_residual));
        table.push(row);
    }
    table
}

/// The headline of each attention, one row per measured step.
#[must_use]
pub fn course(history: &RankHistory) -> Table {
    let shown: Vec<AttentionKind> = AttentionKind::ALL
        .into_iter()
        .filter(|kind| history.reports.iter().any(|at| at.report.of(*kind).next().is_some()))
        .collect();
    let mut headings = vec![("step", Align::Right)];
    headings.extend(shown.iter().map(|kind| (kind.label(), Align::Right)));
    headings.push(("seconds", Align::Right));
    let mut table = Table::new(&headings);
    for at in &history.reports {
        let mut row = vec![at.step.to_string()];
        let share = |kind: &AttentionKind| at.report.effective_rank_share(*kind);
        row.extend(shown.iter().map(|kind| share(kind).map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))));
        row.push(format!("{:.2}", at.seconds));
        table.push(row);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rank::{HeadRank, ResidualRank, StackKind};

    #[test]
    fn every_number_is_on_the_page() {
        let of = |effective| RankMeasures { numerical: 8.0, effective, stable: 1.25, k90: 3.0 };
        let head = |layer, head, effective| HeadRank {
            attention: AttentionKind::DecoderSelf,
            layer,
            head,
            queries: 8,
            keys: 8,
            one_way: false,
            of_probabilities: of(effective),
            of_logits: of(1.5),
            spectrum: Vec::new(),
            picture: crate::core::picture::Picture::default(),
        };
        let report = RankReport {
            seq_len: 8,
            prefix_length: 4,
            examples: 2,
            heads: vec![head(0, 0, 2.0), head(0, 1, 4.0), head(1, 0, 6.0), head(1, 1, 8.0)],
            residual: vec![ResidualRank {
                stack: StackKind::Decoder,
                depth: 0,
                measures: of(5.0),
                rank_one_residual: 0.75,
            }],
        };
        let at = |step| RankAtStep { step, seconds: 0.25, report: report.clone() };
        let run = "0123456789ab".parse().unwrap();
        let shown = text(&RankHistory { run, reports: vec![at(5), at(10)] }).unwrap();
        let expected = "\
run 0123456789ab, step 10, seq_len 8, prefix 4, mean of 2 held-out texts, measured in 0.25s

decoder self-attention: effective rank of P as a share of the largest possible, mean 0.6250
layer  head 0  head 1    mean
    0  0.2500  0.5000  0.3750
    1  0.7500  1.0000  0.8750

every measure: P after mask and softmax, L logits before the mask
attention  layer  head  full  P eff  P num  P stable  P k90  L eff  L num  L stable  L k90
decoder        0     0     8   2.00    8.0      1.25    3.0   1.50    8.0      1.25    3.0
decoder        0     1     8   4.00    8.0      1.25    3.0   1.50    8.0      1.25    3.0
decoder        1     0     8   6.00    8.0      1.25    3.0   1.50    8.0      1.25    3.0
decoder        1     1     8   8.00    8.0      1.25    3.0   1.50    8.0      1.25    3.0

residual stream by depth
stack    depth   eff  num  stable  k90  |X-1x|/|X|
decoder      0  5.00  8.0    1.25  3.0      0.7500

over training: effective rank of P as a share, means over heads
step  decoder  seconds
   5   0.6250     0.25
  10   0.6250     0.25
";
        assert_eq!(shown, expected);
        let run = "0123456789ab".parse().unwrap();
        assert_eq!(text(&RankHistory { run, reports: Vec::new() }), None);
    }
}
