//! The order of the leaderboard: sorting, ranks with ties, rows opened into their runs.
//! Promises: pure; rows are ranked within one objective and corpus only, because others average over other tokens.
//! Must not know: columns, colours.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::core::board::{Estimate, LeaderboardRow};
use crate::core::{Direction, Metric, Objective, RunId};

use super::filter::Filter;

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By objective, best validation loss first.
    #[default]
    Objective,
    /// By a metric, best first, over all objectives.
    Metric(Metric),
    /// By `ED:MLM`.
    Cell,
    /// Most parameters first.
    Parameters,
    /// Furthest first.
    Progress,
}

impl Sort {
    /// All, in the order of the key.
    pub const ALL: [Self; 9] = [
        Self::Objective,
        Self::Metric(Metric::ValidationLoss),
        Self::Metric(Metric::Perplexity),
        Self::Metric(Metric::BitsPerByte),
        Self::Metric(Metric::Loss),
        Self::Metric(Metric::TokensPerSecond),
        Self::Cell,
        Self::Parameters,
        Self::Progress,
    ];

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self::ALL.into_iter().cycle().skip_while(|sort| *sort != self).nth(1).unwrap_or_default()
    }

    /// In words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Objective => "objective, then val loss",
            Self::Metric(metric) => metric.definition().heading,
            Self::Cell => "cell",
            Self::Parameters => "parameters",
            Self::Progress => "progress",
        }
    }

    const fn metric(self) -> Metric {
        match self {
            Self::Metric(metric) => metric,
            Self::Objective | Self::Cell | Self::Parameters | Self::Progress => Metric::ValidationLoss,
        }
    }
}

/// What the cursor is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowKey {
    /// A lineage.
    Lineage(RunId),
    /// A run of an opened lineage.
    Run(RunId),
}

/// The Leaderboard screen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoardView {
    /// Under the cursor.
    pub cursor: Option<RowKey>,
    /// Lineages that show their runs.
    pub opened: BTreeSet<RunId>,
    /// Order.
    pub sort: Sort,
    /// Whether it is turned round.
    pub reversed: bool,
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<'a> {
    /// A lineage and its rank, like `1` or `1=`.
    Lineage(&'a LeaderboardRow, String),
    /// One of its runs.
    Run(&'a RunId),
}

impl Entry<'_> {
    /// What a cursor on it is.
    #[must_use]
    pub fn key(&self) -> RowKey {
        match self {
            Self::Lineage(row, _) => RowKey::Lineage(row.lineage.clone()),
            Self::Run(run) => RowKey::Run((*run).clone()),
        }
    }

    /// Its runs.
    #[must_use]
    pub fn runs(&self) -> Vec<RunId> {
        match self {
            Self::Lineage(row, _) => row.runs.clone(),
            Self::Run(run) => vec![(*run).clone()],
        }
    }
}

/// The lines of the table, in order.
#[must_use]
pub fn entries<'a>(rows: &'a [LeaderboardRow], view: &BoardView, filter: &Filter) -> Vec<Entry<'a>> {
    let mut shown: Vec<&LeaderboardRow> = rows.iter().filter(|row| filter.keeps_row(row)).collect();
    shown.sort_by(|a, b| {
        let order = compare(a, b, view.sort);
        if view.reversed { order.reverse() } else { order }.then_with(|| a.lineage.cmp(&b.lineage))
    });
    let ranks = ranks(rows, view.sort.metric());
    let rank_of = |row: &LeaderboardRow| {
        let found = ranks.iter().find(|(lineage, _)| *lineage == &row.lineage);
        found.map_or_else(|| "-".to_owned(), |(_, rank)| rank.clone())
    };
    shown
        .into_iter()
        .flat_map(|row| {
            let runs: &[RunId] = if view.opened.contains(&row.lineage) { &row.runs } else { &[] };
            std::iter::once(Entry::Lineage(row, rank_of(row))).chain(runs.iter().map(Entry::Run))
        })
        .collect()
}

fn mean(row: &LeaderboardRow, metric: Metric) -> Option<f64> {
    row.metrics.get(&metric).map(|estimate| estimate.mean)
}

/// Best first; rows without the value last.
fn by_metric(a: &LeaderboardRow, b: &LeaderboardRow, metric: Metric) -> Ordering {
    match (mean(a, metric), mean(b, metric)) {
        (Some(a), Some(b)) => match metric.definition().direction {
            Direction::Lower | Direction::Neutral => a.total_cmp(&b),
            Direction::Higher => b.total_cmp(&a),
        },
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

fn compare(a: &LeaderboardRow, b: &LeaderboardRow, sort: Sort) -> Ordering {
    match sort {
        Sort::Objective => contest(a).cmp(&contest(b)).then_with(|| by_metric(a, b, Metric::ValidationLoss)),
        Sort::Metric(metric) => by_metric(a, b, metric),
        Sort::Cell => (a.architecture, a.objective).cmp(&(b.architecture, b.objective)),
        Sort::Parameters => b.parameters.cmp(&a.parameters),
        Sort::Progress => b.progress.total_cmp(&a.progress),
    }
}

/// What two rows must share to be ranked against each other: losses average over the targets of an objective, on a
/// corpus.
const fn contest(row: &LeaderboardRow) -> (Objective, &String) {
    (row.objective, &row.corpus)
}

/// Ranks within each contest; rows whose intervals overlap with the best of their group share its rank.
fn ranks(rows: &[LeaderboardRow], metric: Metric) -> Vec<(&RunId, String)> {
    let mut contests: BTreeMap<(Objective, &String), Vec<&LeaderboardRow>> = BTreeMap::new();
    for row in rows {
        contests.entry(contest(row)).or_default().push(row);
    }
    let mut ranked = Vec::new();
    for mut group in contests.into_values() {
        group.sort_by(|a, b| by_metric(a, b, metric).then_with(|| a.lineage.cmp(&b.lineage)));
        let measured: Vec<(&RunId, &Estimate)> =
            group.iter().filter_map(|row| Some((&row.lineage, row.metrics.get(&metric)?))).collect();
        ranked.extend(rank_group(&measured));
    }
    ranked
}

fn rank_group<'a>(group: &[(&'a RunId, &Estimate)]) -> Vec<(&'a RunId, String)> {
    let mut places: Vec<usize> = Vec::new();
    let mut leader: Option<(usize, &Estimate)> = None;
    for (at, (_, estimate)) in group.iter().enumerate() {
        let place = match leader {
            Some((place, best)) if overlap(best, estimate) => place,
            Some(_) | None => {
                leader = Some((at + 1, estimate));
                at + 1
            }
        };
        places.push(place);
    }
    let tied = |place: &usize| places.iter().filter(|other| *other == place).count() > 1;
    let texts = places.iter().map(|place| format!("{place}{}", if tied(place) { "=" } else { "" }));
    group.iter().map(|(lineage, _)| *lineage).zip(texts).collect()
}

/// Whether the intervals of two means overlap; with one seed there is no interval and nothing can be said.
fn overlap(a: &Estimate, b: &Estimate) -> bool {
    match (a.half_width, b.half_width) {
        (Some(left), Some(right)) => (a.mean - b.mean).abs() <= left + right,
        (Some(_) | None, None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Architecture;

    fn row(id: char, objective: Objective, loss: Option<(f64, Option<f64>)>) -> LeaderboardRow {
        let estimate = loss.map(|(mean, half_width)| (Metric::ValidationLoss, Estimate { mean, half_width, n: 3 }));
        LeaderboardRow {
            lineage: id.to_string().repeat(12).parse().unwrap(),
            architecture: Architecture::CausalDecoder,
            objective,
            size: String::new(),
            corpus: String::new(),
            contest: String::new(),
            cells: [].into(),
            learning_rate: 1e-3,
            steps: 10,
            parameters: 1,
            progress: 1.0,
            counts: [].into(),
            metrics: estimate.into_iter().collect(),
            runs: vec!["0123456789ab".parse().unwrap()],
        }
    }

    fn shown(rows: &[LeaderboardRow], view: &BoardView) -> String {
        let text = |entry: &Entry| match entry {
            Entry::Lineage(row, rank) => format!("{}#{rank}", &row.lineage.as_str()[..1]),
            Entry::Run(_) => "run".to_owned(),
        };
        entries(rows, view, &Filter::default()).iter().map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn objectives_are_ranked_apart_and_overlaps_are_ties() {
        let rows = [
            row('a', Objective::SpanCorruption, Some((1.0, Some(0.1)))),
            row('b', Objective::PrefixLm, Some((3.3, Some(0.1)))),
            row('c', Objective::PrefixLm, Some((3.0, Some(0.1)))),
            row('d', Objective::PrefixLm, Some((3.15, Some(0.1)))),
            row('e', Objective::PrefixLm, None),
            row('f', Objective::FullLm, Some((3.0, None))),
            row('0', Objective::FullLm, Some((3.0, None))),
        ];
        let mut view = BoardView::default();
        assert_eq!(shown(&rows, &view), "0#1 f#2 c#1= d#1= b#3 e#- a#1");
        let mut other = rows.clone();
        other[2].corpus = "elsewhere".to_owned();
        assert_eq!(shown(&other, &view), "0#1 f#2 d#1= b#1= e#- c#1 a#1", "corpora are ranked apart too");
        view.sort = Sort::Metric(Metric::ValidationLoss);
        assert!(shown(&rows, &view).starts_with("a#1 "));
        view.reversed = true;
        assert!(shown(&rows, &view).ends_with("a#1"));
        view.opened.insert(rows[0].lineage.clone());
        assert!(shown(&rows, &view).ends_with("a#1 run"));
    }

    #[test]
    fn the_sort_key_goes_through_all_columns() {
        let mut sort = Sort::default();
        for _ in Sort::ALL {
            sort = sort.next();
        }
        assert_eq!(sort, Sort::default());
    }
}
