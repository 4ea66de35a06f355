//! The leaderboard before it is drawn: which column is looked at, the order of rows, which columns there is room for, and
//! the matrix of architecture × objective. Pure.
//! Promises: contests stay apart; a row without a value is last. Must not know: how a place or a tie is found (the
//! server says so), colours.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::core::board::{BoardColumn, ColumnKind, EqualBudget, Leaderboard, LeaderboardRow};
use crate::core::{Architecture, Direction, Objective, RunId};

use super::filter::Filter;

/// What rows are sorted by; the places shown are those of the column in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By the column, best first.
    #[default]
    Column,
    /// By `ED:MLM`.
    Cell,
    /// Most parameters first.
    Parameters,
    /// Furthest first.
    Progress,
}

/// What the cursor is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowKey {
    /// A lineage.
    Lineage(RunId),
    /// A run of an opened lineage.
    Run(RunId),
}

/// A cell of the matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Among which lineages.
    pub contest: String,
    /// Row.
    pub architecture: Architecture,
    /// Column.
    pub objective: Objective,
}

/// The Leaderboard screen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoardView {
    /// Under the cursor.
    pub cursor: Option<RowKey>,
    /// Lineages that show their runs.
    pub opened: BTreeSet<RunId>,
    /// Key of the column that is looked at; the first one if absent or not there.
    pub column: Option<String>,
    /// Order.
    pub order: Order,
    /// Whether it is turned round.
    pub reversed: bool,
    /// The first column shown of those that scroll.
    pub first: usize,
    /// What is made equal.
    pub budget: EqualBudget,
    /// Whether the matrix is shown instead of the table.
    pub matrix: bool,
    /// The cursor of the matrix.
    pub spot: Option<Spot>,
}

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Entry<'a> {
    /// A lineage.
    Lineage(&'a LeaderboardRow),
    /// One of its runs.
    Run(&'a LeaderboardRow, &'a RunId),
}

impl<'a> Entry<'a> {
    /// What a cursor on it is.
    #[must_use]
    pub fn key(&self) -> RowKey {
        match self {
            Self::Lineage(row) => RowKey::Lineage(row.lineage.clone()),
            Self::Run(_, run) => RowKey::Run((*run).clone()),
        }
    }

    /// Its runs.
    #[must_use]
    pub fn runs(&self) -> Vec<RunId> {
        match self {
            Self::Lineage(row) => row.runs.clone(),
            Self::Run(_, run) => vec![(*run).clone()],
        }
    }

    /// The lineage it is, or belongs to.
    #[must_use]
    pub const fn lineage(&self) -> &'a LeaderboardRow {
        match self {
            Self::Lineage(row) | Self::Run(row, _) => row,
        }
    }
}

/// A column that scrolls: those of the value, and what is known of the lineage besides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scrolled<'a> {
    /// Numbers with places.
    Value(&'a BoardColumn),
    /// Parameters.
    Parameters,
    /// Share of the steps that is made.
    Done,
    /// Peak learning rate.
    LearningRate,
    /// Corpus.
    Corpus,
}

/// The key of the column of sizes, which does not scroll but can be hidden.
pub const SIZE: &str = "size";

impl Scrolled<'_> {
    /// The name it is remembered by.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Value(column) => &column.key,
            Self::Parameters => "params",
            Self::Done => "done",
            Self::LearningRate => "lr",
            Self::Corpus => "corpus",
        }
    }

    /// What stands over it; `prefix` is what all families begin with.
    #[must_use]
    pub fn heading(&self, prefix: &str) -> String {
        match self {
            Self::Value(column) if matches!(column.kind, ColumnKind::Family | ColumnKind::Later) => {
                column.heading.strip_prefix(prefix).unwrap_or(&column.heading).to_owned()
            }
            Self::Value(column) => column.heading.clone(),
            Self::Parameters | Self::Done | Self::LearningRate | Self::Corpus => self.key().to_owned(),
        }
    }
}

/// The columns that scroll, without the hidden ones.
#[must_use]
pub fn scrolled<'a>(board: &'a Leaderboard, hidden: &BTreeSet<String>) -> Vec<Scrolled<'a>> {
    let rest = [Scrolled::Parameters, Scrolled::Done, Scrolled::LearningRate, Scrolled::Corpus];
    let all = board.columns.iter().map(Scrolled::Value).chain(rest);
    all.filter(|column| !hidden.contains(column.key())).collect()
}

/// What the names of all families begin with, up to their last common `_`; nothing with fewer than two.
#[must_use]
pub fn family_prefix(columns: &[BoardColumn]) -> &str {
    let names: BTreeSet<&str> = columns
        .iter()
        .filter(|column| column.kind == ColumnKind::Family)
        .map(|column| column.heading.split(' ').next().unwrap_or(""))
        .collect();
    let (Some(first), Some(last), true) = (names.first(), names.last(), names.len() > 1) else { return "" };
    // What the first and the last in order share, all between them share.
    let same = first.chars().zip(last.chars()).take_while(|(a, b)| a == b).map(|(c, _)| c.len_utf8()).sum();
    let end = first.get(..same).and_then(|shared| shared.rfind('_')).map_or(0, |at| at + 1);
    first.get(..end).unwrap_or("")
}

/// The column that is looked at: the chosen one, or the first that is not hidden.
#[must_use]
pub fn looked_at<'a>(board: &'a Leaderboard, view: &BoardView, hidden: &BTreeSet<String>) -> Option<&'a BoardColumn> {
    let mut shown = board.columns.iter().filter(|column| !hidden.contains(&column.key));
    let chosen = shown.clone().find(|column| Some(&column.key) == view.column.as_ref());
    chosen.or_else(|| shown.next())
}

/// The rows that pass the filter, in order.
#[must_use]
pub fn rows<'a>(
    board: &'a Leaderboard,
    view: &BoardView,
    hidden: &BTreeSet<String>,
    filter: &Filter,
) -> Vec<&'a LeaderboardRow> {
    let column = looked_at(board, view, hidden);
    let mut shown: Vec<&LeaderboardRow> = board.rows.iter().filter(|row| filter.keeps_row(row)).collect();
    shown.sort_by(|a, b| {
        let own = a.contest.cmp(&b.contest).then_with(|| compare(a, b, view, column));
        own.then_with(|| (a.architecture, a.objective, &a.lineage).cmp(&(b.architecture, b.objective, &b.lineage)))
    });
    shown
}

/// The lines of the table, in order.
#[must_use]
pub fn entries<'a>(rows: Vec<&'a LeaderboardRow>, view: &BoardView) -> Vec<Entry<'a>> {
    rows.into_iter()
        .flat_map(|row| {
            let runs: &[RunId] = if view.opened.contains(&row.lineage) { &row.runs } else { &[] };
            std::iter::once(Entry::Lineage(row)).chain(runs.iter().map(move |run| Entry::Run(row, run)))
        })
        .collect()
}

fn compare(a: &LeaderboardRow, b: &LeaderboardRow, view: &BoardView, column: Option<&BoardColumn>) -> Ordering {
    let turn = |order: Ordering| if view.reversed { order.reverse() } else { order };
    match (view.order, column) {
        (Order::Column, Some(column)) => {
            let mean = |row: &LeaderboardRow| row.cells.get(&column.key).map(|cell| cell.estimate.mean);
            match (mean(a), mean(b)) {
                (Some(a), Some(b)) => turn(better(a, b, column.direction)),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            }
        }
        (Order::Column, None) => Ordering::Equal,
        (Order::Cell, _) => turn((a.architecture, a.objective).cmp(&(b.architecture, b.objective))),
        (Order::Parameters, _) => turn(b.parameters.cmp(&a.parameters)),
        (Order::Progress, _) => turn(b.progress.total_cmp(&a.progress)),
    }
}

fn better(a: f64, b: f64, direction: Direction) -> Ordering {
    match direction {
        Direction::Lower | Direction::Neutral => a.total_cmp(&b),
        Direction::Higher => b.total_cmp(&a),
    }
}

/// The rows of each contest, contests in order.
#[must_use]
pub fn contests<'a>(rows: &[&'a LeaderboardRow]) -> Vec<(&'a str, Vec<&'a LeaderboardRow>)> {
    let mut found: BTreeMap<&str, Vec<&LeaderboardRow>> = BTreeMap::new();
    for row in rows {
        found.entry(&row.contest).or_default().push(row);
    }
    found.into_iter().collect()
}

/// Whether a row stands in the matrix: a cell that was trained from nothing, or whatever came before prompts. What was adapted
/// is no result of the cell that it ended in.
#[must_use]
pub fn in_matrix(row: &LeaderboardRow) -> bool {
    row.earlier.is_empty() || row.objective.is_prompted()
}

/// The lineages of a cell of the matrix, the best in `column` first, those without a value last.
#[must_use]
pub fn in_cell<'a>(
    rows: &[&'a LeaderboardRow],
    (architecture, objective): (Architecture, Objective),
    column: Option<&BoardColumn>,
) -> Vec<&'a LeaderboardRow> {
    let of_it =
        |row: &&&LeaderboardRow| row.architecture == architecture && row.objective == objective && in_matrix(row);
    let mut found: Vec<&LeaderboardRow> = rows.iter().filter(of_it).copied().collect();
    let view = BoardView::default();
    found.sort_by(|a, b| compare(a, b, &view, column).then_with(|| a.lineage.cmp(&b.lineage)));
    found
}

/// Room between columns.
pub const GAP: usize = 1;

/// The smallest first column from which the last one is reached; the column at `pinned` takes its room in any case.
#[must_use]
pub fn furthest(widths: &[usize], pinned: Option<usize>, room: usize) -> usize {
    let cost = |at: usize| widths.get(at).map_or(0, |width| width + GAP);
    let fits = |first: &usize| {
        let before = pinned.filter(|at| at < first).map_or(0, cost);
        before + (*first..widths.len()).map(cost).sum::<usize>() <= room + GAP
    };
    (0..widths.len()).find(fits).unwrap_or(widths.len().saturating_sub(1))
}

/// The columns from `first` on that fit into `room`, in order; the one at `pinned` is always among them.
#[must_use]
pub fn window(widths: &[usize], first: usize, pinned: Option<usize>, room: usize) -> Vec<usize> {
    let cost = |at: usize| widths.get(at).map_or(0, |width| width + GAP);
    let mut shown: Vec<usize> = pinned.into_iter().filter(|at| *at < first).collect();
    let mut left = (room + GAP).saturating_sub(shown.iter().map(|at| cost(*at)).sum());
    for at in first..widths.len() {
        if cost(at) > left {
            break;
        }
        left -= cost(at);
        shown.push(at);
    }
    if let Some(pinned) = pinned.filter(|at| *at < widths.len() && !shown.contains(at)) {
        while left < cost(pinned) {
            let Some(last) = shown.pop() else { break };
            left += cost(last);
        }
        shown.push(pinned);
    }
    shown
}

/// `1–6`, or `2, 5–9`: numbers of columns, from 1, as people count them.
#[must_use]
pub fn ranges(shown: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for at in shown {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *at => *last = *at,
            Some(_) | None => runs.push((*at, *at)),
        }
    }
    let text = |(first, last): &(usize, usize)| {
        if first == last { (first + 1).to_string() } else { format!("{}–{}", first + 1, last + 1) }
    };
    runs.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::board::{BoardCell, Estimate, Footing};

    fn column(key: &str, direction: Direction, kind: ColumnKind) -> BoardColumn {
        BoardColumn {
            key: key.to_owned(),
            heading: key.to_owned(),
            unit: String::new(),
            direction,
            decimals: 3,
            chance: None,
            kind,
            over: Vec::new(),
        }
    }

    fn row(id: char, contest: &str, objective: Objective, values: &[(&str, f64)]) -> LeaderboardRow {
        let cell = |mean: f64| BoardCell {
            estimate: Estimate { mean, n: 1, ..Estimate::default() },
            stderr: None,
            above_chance: None,
            place: 1,
            footing: Footing::Untested,
        };
        LeaderboardRow {
            lineage: id.to_string().repeat(12).parse().unwrap(),
            architecture: Architecture::CausalDecoder,
            objective,
            earlier: Vec::new(),
            task: None,
            stage: None,
            size: String::new(),
            corpus: String::new(),
            contest: contest.to_owned(),
            cells: values.iter().map(|(key, mean)| ((*key).to_owned(), cell(*mean))).collect(),
            learning_rate: 1e-3,
            steps: 10,
            parameters: 1,
            progress: 1.0,
            counts: [].into(),
            metrics: [].into(),
            studies: std::collections::BTreeSet::new(),
            runs: vec!["0123456789ab".parse().unwrap()],
        }
    }

    fn board() -> Leaderboard {
        Leaderboard {
            columns: vec![
                column("loss", Direction::Lower, ColumnKind::Metric),
                column("acc", Direction::Higher, ColumnKind::ZeroShot),
            ],
            rows: vec![
                row('a', "x", Objective::FullLm, &[("loss", 3.0), ("acc", 0.9)]),
                row('b', "x", Objective::PrefixLm, &[("loss", 2.0), ("acc", 0.5)]),
                row('c', "x", Objective::SpanCorruption, &[("acc", 0.7)]),
                row('d', "w", Objective::FullLm, &[("loss", 4.0)]),
            ],
            ..Leaderboard::default()
        }
    }

    fn shown(view: &BoardView, hidden: &[&str]) -> String {
        let (board, hidden) = (board(), hidden.iter().map(|key| (*key).to_owned()).collect());
        let rows = rows(&board, view, &hidden, &Filter::default());
        let text = |entry: &Entry| match entry {
            Entry::Lineage(row) => row.lineage.as_str()[..1].to_owned(),
            Entry::Run(..) => "run".to_owned(),
        };
        entries(rows, view).iter().map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rows_are_sorted_within_contests_and_those_without_a_value_are_last() {
        let mut view = BoardView::default();
        assert_eq!(shown(&view, &[]), "d b a c");
        view.reversed = true;
        assert_eq!(shown(&view, &[]), "d a b c", "turned round, but nothing is still last");
        view.column = Some("acc".to_owned());
        assert_eq!(shown(&view, &[]), "d b c a");
        view.reversed = false;
        assert_eq!(shown(&view, &[]), "d a c b");
        assert_eq!(shown(&view, &["acc"]), "d b a c", "a hidden column is not looked at");
        view.order = Order::Cell;
        assert_eq!(shown(&view, &[]), "d a b c");
        view.opened.insert(board().rows[0].lineage.clone());
        assert_eq!(shown(&view, &[]), "d a run b c");
    }

    #[test]
    fn columns_scroll_and_the_one_looked_at_stays() {
        let widths = [4, 4, 4, 4, 4];
        assert_eq!(window(&widths, 0, Some(0), 14), [0, 1, 2]);
        assert_eq!(window(&widths, 2, Some(0), 14), [0, 2, 3]);
        assert_eq!(window(&widths, 0, Some(4), 14), [0, 1, 4]);
        assert_eq!(window(&widths, 1, Some(2), 14), [1, 2, 3]);
        assert_eq!(window(&widths, 1, None, 100), [1, 2, 3, 4]);
        assert_eq!(window(&widths, 3, Some(1), 2), [1], "it is the last to go");
        assert_eq!((furthest(&widths, Some(0), 14), furthest(&widths, Some(4), 14)), (3, 2));
        assert_eq!(furthest(&widths, Some(0), 24), 0);
        for first in 0..=furthest(&widths, Some(1), 14) {
            assert!(window(&widths, first, Some(1), 14).contains(&1));
        }
        assert_eq!(window(&widths, furthest(&widths, Some(1), 14), Some(1), 14), [1, 3, 4]);
        assert_eq!([ranges(&[0, 1, 2]), ranges(&[0, 3, 4]), ranges(&[6])], ["1–3", "1, 4–5", "7"]);
    }

    #[test]
    fn families_lose_what_they_share() {
        let family = |name: &str| column(name, Direction::Higher, ColumnKind::Family);
        let names = ["world_agreement", "world_two_hop", "world_two_hop <X0>"].map(family);
        assert_eq!(family_prefix(&names), "world_");
        let heading = |at: usize| Scrolled::Value(&names[at]).heading("world_");
        assert_eq!([heading(0), heading(2)], ["agreement", "two_hop <X0>"]);
        assert_eq!(family_prefix(&[family("lambada_openai")]), "");
        assert_eq!(family_prefix(&["arc_easy", "boolq"].map(family)), "");
        assert_eq!(family_prefix(&["arc_e", "arc_ex"].map(family)), "arc_");
    }

    #[test]
    fn the_best_of_a_cell_comes_first() {
        let mut board = board();
        board.rows.push(row('e', "x", Objective::FullLm, &[("loss", 2.5)]));
        board.rows.push(row('f', "x", Objective::FullLm, &[]));
        // What another cell was adapted to is no result of this one.
        let mut adapted = row('9', "x", Objective::FullLm, &[("loss", 0.5)]);
        adapted.earlier.push("CD:MLM".to_owned());
        board.rows.push(adapted);
        let all: Vec<&LeaderboardRow> = board.rows.iter().collect();
        let contests = contests(&all);
        assert_eq!(contests.iter().map(|(name, rows)| (*name, rows.len())).collect::<Vec<_>>(), [("w", 1), ("x", 6)]);
        let cell = (Architecture::CausalDecoder, Objective::FullLm);
        let found = in_cell(&contests[1].1, cell, board.columns.first());
        assert_eq!(found.iter().map(|row| &row.lineage.as_str()[..1]).collect::<String>(), "eaf");
    }
}
