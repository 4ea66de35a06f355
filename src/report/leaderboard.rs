//! The leaderboard as a table.

use super::figures::{count, estimate};
use super::table::{Align, Table};
use crate::core::Metric;
use crate::core::summary::Leaderboard;

/// The metrics of the table, in order.
pub const COLUMNS: [Metric; 6] = [
    Metric::ValidationLoss,
    Metric::TargetEntropy,
    Metric::Perplexity,
    Metric::BitsPerByte,
    Metric::EffectiveRankShare,
    Metric::TokensPerSecond,
];

/// One row per lineage. Losses of different objectives average different tokens: compare within an objective, or
/// against the unigram entropy of the same targets.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "parameter counts are shown with three digits")]
pub fn table(leaderboard: &Leaderboard) -> Table {
    let mut headings =
        vec![("cell", Align::Left), ("size", Align::Left), ("corpus", Align::Left), ("seeds", Align::Right)];
    headings.extend(COLUMNS.map(|metric| (metric.definition().heading, Align::Right)));
    headings.extend([("params", Align::Right), ("done", Align::Right)]);
    let mut table = Table::new(&headings);
    for row in &leaderboard.rows {
        let finished = row.counts.get("finished").copied().unwrap_or(0);
        let seeds = format!("{finished}/{}", row.runs.len());
        let mut cells = vec![row.cell(), row.size.clone(), row.corpus.clone(), seeds];
        cells.extend(COLUMNS.map(|metric| estimate(row.metrics.get(&metric), metric)));
        cells.extend([count(row.parameters as f64), format!("{:.0}%", row.progress * 100.0)]);
        table.push(cells);
    }
    table
}
