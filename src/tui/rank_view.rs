//! The Rank screen's state: which run, measure, attention and head are shown, and how keys move between them.
//! Promises: the run shown is an id, so a new run never moves it; the cursor never leaves the heads there are.
//! Must not know: keys, colours, cells of the terminal.

use crate::core::picture::cells;
use crate::core::rank::{AttentionKind, AttentionMask, HeadRank, RankAtStep, RankHistory, RankReport};
use crate::core::summary::RunSummary;
use crate::core::{Metric, RunId};

use super::app::{App, Section};
use super::rank_measure::Measure;

/// The one after or before `now`; after the last comes the first.
pub(super) fn turned<T: Copy + PartialEq>(all: &[T], now: T, forward: bool) -> T {
    let at = all.iter().position(|one| *one == now).unwrap_or(0);
    let to = if forward { at + 1 } else { at + all.len().saturating_sub(1) } % all.len().max(1);
    all.get(to).copied().unwrap_or(now)
}

/// The panes of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankPane {
    /// Layers × heads.
    Heat,
    /// The measure over training.
    Course,
    /// Singular values of the head under the cursor.
    Spectrum,
    /// Its attention matrix.
    Matrix,
    /// The residual stream by depth.
    Residual,
}

impl RankPane {
    /// All, in the order of Tab.
    pub const ALL: [Self; 5] = [Self::Heat, Self::Course, Self::Spectrum, Self::Matrix, Self::Residual];

    /// The next of those that share a place where there is no room for all.
    #[must_use]
    pub fn next_below(self) -> Self {
        turned(&[Self::Course, Self::Spectrum, Self::Matrix, Self::Residual], self, true)
    }
}

/// A head: its attention, layer and number.
pub type HeadPlace = (AttentionKind, usize, usize);

/// The Rank screen.
#[derive(Clone, Debug, PartialEq)]
pub struct RankView {
    /// Which run.
    pub run: Option<RunId>,
    /// Its ranks as last told; absent before.
    pub history: Option<RankHistory>,
    /// What is shown of a head.
    pub measure: Measure,
    /// The attention under the cursor.
    pub attention: AttentionKind,
    /// The layer under the cursor, from 0.
    pub layer: usize,
    /// The head under the cursor, from 0.
    pub head: usize,
    /// The pane with the focus.
    pub pane: RankPane,
    /// The pane below the heat map where there is room for one only.
    pub below: RankPane,
    /// Whether the pane with the focus has the whole screen.
    pub zoomed: bool,
}

impl RankView {
    /// The screen before anything is known.
    #[must_use]
    pub const fn new(measure: Measure) -> Self {
        Self {
            run: None,
            history: None,
            measure,
            attention: AttentionKind::DecoderSelf,
            layer: 0,
            head: 0,
            pane: RankPane::Heat,
            below: RankPane::Course,
            zoomed: false,
        }
    }

    /// The newest report.
    #[must_use]
    pub fn newest(&self) -> Option<&RankAtStep> {
        self.history.as_ref()?.reports.last()
    }

    /// The head under the cursor, in the newest report.
    #[must_use]
    pub fn under_cursor(&self) -> Option<&HeadRank> {
        self.in_report(&self.newest()?.report)
    }

    /// The head under the cursor in any report.
    #[must_use]
    pub fn in_report<'a>(&self, report: &'a RankReport) -> Option<&'a HeadRank> {
        report.of(self.attention).find(|head| (head.layer, head.head) == (self.layer, self.head))
    }

    /// Give the focus to a pane.
    pub fn focus(&mut self, pane: RankPane) {
        self.pane = pane;
        if pane != RankPane::Heat {
            self.below = pane;
        }
    }

    /// Keep the cursor on a head that exists.
    fn keep_in(&mut self) {
        let Some(at) = self.newest() else { return };
        let kinds = kinds(&at.report);
        let attention = if kinds.contains(&self.attention) {
            self.attention
        } else {
            kinds.first().copied().unwrap_or(self.attention)
        };
        let (layers, heads) = grid(&at.report, attention);
        self.attention = attention;
        self.layer = self.layer.min(layers.saturating_sub(1));
        self.head = self.head.min(heads.saturating_sub(1));
    }
}

/// The attentions of a report, in the order in which data flows.
#[must_use]
pub fn kinds(report: &RankReport) -> Vec<AttentionKind> {
    AttentionKind::ALL.into_iter().filter(|kind| report.of(*kind).next().is_some()).collect()
}

/// Layers and heads of an attention.
#[must_use]
pub fn grid(report: &RankReport, attention: AttentionKind) -> (usize, usize) {
    report.of(attention).fold((0, 0), |(layers, heads), one| (layers.max(one.layer + 1), heads.max(one.head + 1)))
}

/// The mean of a measure over the heads of an attention, or over those of one layer; `None` if there are none.
#[must_use]
pub fn mean(report: &RankReport, attention: AttentionKind, layer: Option<usize>, measure: Measure) -> Option<f64> {
    let values: Vec<f64> = report
        .of(attention)
        .filter(|head| layer.is_none_or(|layer| head.layer == layer))
        .map(|head| measure.of(head))
        .collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// `head_dim` of a size label such as `d128 L4 h4x32 n128`.
#[must_use]
pub fn head_dim(size: &str) -> Option<usize> {
    let heads = size.split(' ').find_map(|part| part.strip_prefix('h')?.split_once('x'))?;
    heads.1.parse().ok()
}

/// `head_dim` of the run that is shown.
#[must_use]
pub fn shown_head_dim(app: &App) -> Option<usize> {
    head_dim(&app.run(app.rank_view.run.as_ref()?)?.size)
}

/// How `head_dim` stands to the least rank of logits that can form any attention under the mask, in words.
#[must_use]
pub fn bound(head_dim: usize, mask: AttentionMask, length: usize) -> String {
    let (formula, name) = match mask {
        AttentionMask::Bidirectional => ("n−1", "a bidirectional mask".to_owned()),
        AttentionMask::Causal => ("⌊n/2⌋", "a causal mask".to_owned()),
        AttentionMask::Prefix(prefix) => ("max(p−1, ⌊n/2⌋)", format!("a prefix of {prefix}")),
        AttentionMask::Merged => ("n", "merged attention".to_owned()),
    };
    let least = mask.least_logit_rank(length);
    if head_dim < least {
        format!("head_dim {head_dim} < {formula} = {least}: below the bound of {name}")
    } else {
        format!("head_dim {head_dim} ≥ {formula} = {least}: not limited by the bound of {name}")
    }
}

/// Positions of the probe that one cell of a head's picture stands for: queries and keys.
#[must_use]
pub fn positions_per_cell(head: &HeadRank) -> (usize, usize) {
    (head.queries.div_ceil(cells(head.queries).max(1)), head.keys.div_ceil(cells(head.keys).max(1)))
}

/// Whether a run has told a rank.
fn has_rank(app: &App, run: &RunId) -> bool {
    app.run(run).is_some_and(told_rank)
}

fn told_rank(run: &RunSummary) -> bool {
    run.latest.contains_key(&Metric::EffectiveRankShare)
}

/// The runs that Next and Previous go through, in the order of the Lab: those with rank, of them the marked or filtered
/// ones.
#[must_use]
pub fn candidates(app: &App) -> Vec<RunId> {
    let sections = Section::ALL.into_iter().flat_map(|section| app.section(section));
    let all: Vec<&RunSummary> = sections.filter(|run| told_rank(run)).collect();
    let marked = all.iter().any(|run| app.marks.contains(&run.id));
    all.into_iter().filter(|run| !marked || app.marks.contains(&run.id)).map(|run| run.id.clone()).collect()
}

/// Whether another run can be shown; without an order, because the footer asks with every frame.
#[must_use]
pub fn others(app: &App) -> bool {
    let all = || app.runs().iter().filter(|run| told_rank(run) && app.filter.keeps_run(run));
    let marked = all().any(|run| app.marks.contains(&run.id));
    all().any(|run| (!marked || app.marks.contains(&run.id)) && app.rank_view.run.as_ref() != Some(&run.id))
}

/// Show `run`; what was told of another is forgotten.
pub(super) fn show(app: &mut App, run: RunId) {
    if app.rank_view.run.as_ref() != Some(&run) {
        app.rank_view.run = Some(run);
        app.rank_view.history = None;
    }
}

/// The screen is opened from a list with `under_cursor`: the first of them with rank, else the first. Without any the
/// run stays that was shown last.
pub(super) fn open(app: &mut App, under_cursor: &[RunId]) {
    let chosen = under_cursor.iter().find(|run| has_rank(app, run)).or_else(|| under_cursor.first());
    match chosen.cloned() {
        Some(run) => show(app, run),
        None => choose(app),
    }
}

/// If no run is shown or it is gone, show one: the newest that has rank, a running one first; else the Lab's.
pub(super) fn choose(app: &mut App) {
    if app.rank_view.run.as_ref().is_some_and(|run| app.index.contains_key(run)) {
        return;
    }
    let first = candidates(app).into_iter().next().or_else(|| app.lab_view.cursor.clone());
    if let Some(run) = first {
        show(app, run);
    }
}

/// To the next or previous run that has rank; after the last comes the first.
pub(super) fn turn_run(app: &mut App, forward: bool) {
    let runs = candidates(app);
    let at = app.rank_view.run.as_ref().and_then(|run| runs.iter().position(|other| other == run));
    let to = match (at, forward) {
        (None, _) => 0,
        (Some(at), true) => (at + 1) % runs.len().max(1),
        (Some(at), false) => (at + runs.len().saturating_sub(1)) % runs.len().max(1),
    };
    if let Some(run) = runs.get(to) {
        show(app, run.clone());
    }
}

/// To another measure.
pub(super) fn turn_measure(app: &mut App, forward: bool) {
    app.rank_view.measure = app.rank_view.measure.turned(forward);
    app.remembered.rank_measure = app.rank_view.measure;
}

/// To the next attention of the run.
pub(super) fn turn_attention(app: &mut App) {
    let view = &mut app.rank_view;
    if let Some(at) = view.newest() {
        view.attention = turned(&kinds(&at.report), view.attention, true);
        view.keep_in();
    }
}

/// Whether the run has more than one attention.
#[must_use]
pub fn many_attentions(app: &App) -> bool {
    app.rank_view.newest().is_some_and(|at| kinds(&at.report).len() > 1)
}

/// Focus to the next or previous pane.
pub(super) fn turn_pane(app: &mut App, forward: bool) {
    let to = turned(&RankPane::ALL, app.rank_view.pane, forward);
    app.rank_view.focus(to);
}

/// Move the cursor by `layers` and `heads`.
pub(super) fn move_by(app: &mut App, layers: i64, heads: i64) {
    let moved = |at: usize, by: i64| usize::try_from((at as i64).saturating_add(by).clamp(0, 1 << 20)).unwrap_or(0);
    let view = &mut app.rank_view;
    view.layer = moved(view.layer, layers);
    view.head = moved(view.head, heads);
    view.keep_in();
}

/// Put the cursor on a head.
pub(super) fn select(app: &mut App, (attention, layer, head): HeadPlace) {
    let view = &mut app.rank_view;
    view.attention = attention;
    view.layer = layer;
    view.head = head;
    view.focus(RankPane::Heat);
    view.keep_in();
}

/// Take in what the server told.
pub(super) fn take(app: &mut App, history: RankHistory) {
    let view = &mut app.rank_view;
    if view.run.as_ref() == Some(&history.run) {
        view.history = Some(history);
        view.keep_in();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_dim_is_read_from_the_size() {
        assert_eq!(head_dim("d128 L4 h4x32 n128"), Some(32));
        assert_eq!(head_dim("h16x8"), Some(8));
        assert_eq!([head_dim("d128 L4 n128"), head_dim("d128 hx n1"), head_dim("")], [None, None, None]);
    }

    #[test]
    fn the_bound_is_said_plainly() {
        use AttentionMask::{Bidirectional, Causal, Prefix};
        assert_eq!(bound(32, Causal, 128), "head_dim 32 < ⌊n/2⌋ = 64: below the bound of a causal mask");
        assert_eq!(bound(64, Causal, 128), "head_dim 64 ≥ ⌊n/2⌋ = 64: not limited by the bound of a causal mask");
        assert_eq!(bound(32, Bidirectional, 128), "head_dim 32 < n−1 = 127: below the bound of a bidirectional mask");
        assert_eq!(bound(32, Prefix(96), 128), "head_dim 32 < max(p−1, ⌊n/2⌋) = 95: below the bound of a prefix of 96");
    }
}
