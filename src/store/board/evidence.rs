//! What the lab knows of one run when it makes the table, and the same cut at a common budget.
//! Must not know: columns, places.

use crate::core::board::EqualBudget;
use crate::core::summary::{Point, RunSummary};
use crate::core::task::{FamilyScore, ScoringForm, TaskMetric, TaskRecord};
use crate::core::{Metric, RunSpec};
use crate::eval::families;

use super::Lineage;

/// A run with its scores and, where values at a budget are wanted, its curves.
#[derive(Clone, Debug)]
pub struct RunEvidence {
    /// What was asked.
    pub spec: RunSpec,
    /// Where it is; `latest` holds its newest metrics.
    pub summary: RunSummary,
    /// What it asked itself while it trained and at its end, because its spec says so: what means are taken over.
    pub own: Asked,
    /// What it was asked later: in columns of its own.
    pub later: Asked,
    /// Metrics over training; may be empty where nothing is cut.
    pub curves: Vec<(Metric, Vec<Point>)>,
    /// Training seconds of all earlier stages that the lab has.
    pub(super) before_s: f64,
}

/// Scores of zero-shot tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// In order of time; the newest of a task counts.
    pub records: Vec<TaskRecord>,
    /// The same by family.
    pub families: Vec<FamilyScore>,
}

impl Asked {
    fn new(records: Vec<TaskRecord>) -> Self {
        Self { families: families(&records), records }
    }
}

impl RunEvidence {
    /// A run with its scores, its own and later ones; a later one that only says again what the run itself found is left out.
    #[must_use]
    pub fn new(
        spec: RunSpec,
        summary: RunSummary,
        records: Vec<TaskRecord>,
        curves: Vec<(Metric, Vec<Point>)>,
    ) -> Self {
        let (mut later, own): (Vec<TaskRecord>, Vec<TaskRecord>) = records.into_iter().partition(|record| record.later);
        later.retain(|record| !own.iter().any(|known| known.covers(record)));
        Self { spec, summary, own: Asked::new(own), later: Asked::new(later), curves, before_s: 0.0 }
    }

    /// The families of `form` that it asked itself, in which something is chosen and guessing is known.
    pub(super) fn choice_families(&self, form: ScoringForm) -> impl Iterator<Item = &FamilyScore> {
        let chosen =
            |family: &&FamilyScore| family.medians.get(&TaskMetric::Acc).is_some_and(|acc| acc.chance.is_some());
        self.own.families.iter().filter(move |family| family.form == form).filter(chosen)
    }

    /// What tells one prepared corpus from another on the screen.
    pub(super) fn corpus_label(&self) -> String {
        let fingerprint: String = self.spec.data.fingerprint.chars().take(6).collect();
        format!("{} {fingerprint}", self.summary.corpus)
    }

    /// What all earlier stages took, in the units of `budget`.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn inherited(&self, budget: EqualBudget) -> f64 {
        let (tokens, flops) = self.summary.inherited();
        match budget {
            EqualBudget::AsTrained | EqualBudget::Parameters => 0.0,
            EqualBudget::WallClock => self.before_s,
            EqualBudget::Flops => flops,
            EqualBudget::Tokens => tokens as f64,
        }
    }

    /// How far it has come, earlier stages included, in the units of `budget`.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn reach(&self, budget: EqualBudget) -> Option<f64> {
        let summary = &self.summary;
        match budget {
            EqualBudget::AsTrained | EqualBudget::Parameters => None,
            EqualBudget::Flops => Some(self.inherited(budget) + summary.step as f64 * summary.step_flops),
            EqualBudget::Tokens => Some(self.inherited(budget) + summary.tokens as f64),
            EqualBudget::WallClock => Some(self.before_s + summary.elapsed_s),
        }
    }
}

/// The largest budget that every lineage has reached, with all its seeds that count; lineages that have not begun are
/// left out, and unfinished ones too where any has finished. `None` if nothing is to be cut.
pub(super) fn common(lineages: &[Lineage<'_>], budget: EqualBudget) -> Option<f64> {
    let begun = |run: &&&RunEvidence| run.summary.step > 0;
    let done = |lineage: &&Lineage<'_>| {
        !lineage.counted.is_empty() && lineage.counted.iter().all(|run| run.summary.step >= run.summary.steps)
    };
    let any_done = lineages.iter().any(|lineage| done(&lineage));
    let counted = lineages.iter().filter(|lineage| !any_done || done(lineage)).flat_map(|lineage| &lineage.counted);
    let reaches = counted.filter(begun).filter_map(|run| run.reach(budget));
    reaches.fold(None, |least, reach| Some(least.map_or(reach, |least: f64| least.min(reach))))
}

/// Forget what was measured beyond `at`. A score belongs to a step, and the budget of a step is taken to grow evenly over
/// the run.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) fn cut(run: &mut RunEvidence, budget: EqualBudget, at: f64) {
    let (step, step_flops) = (run.summary.step.max(1) as f64, run.summary.step_flops);
    let before = run.inherited(budget);
    let per_step = (run.reach(budget).unwrap_or(0.0) - before) / step;
    // What was measured at the budget itself counts.
    let within = |spent: f64| spent <= at * (1.0 + 1e-9);
    let spent = |point: &Point| match budget {
        EqualBudget::AsTrained | EqualBudget::Parameters => 0.0,
        EqualBudget::Flops => before + point.step as f64 * step_flops,
        EqualBudget::Tokens => before + point.tokens as f64,
        EqualBudget::WallClock => before + point.elapsed_s,
    };
    let last = |points: &Vec<Point>| points.iter().rfind(|point| within(spent(point))).map(|point| point.value);
    run.summary.latest = run.curves.iter().filter_map(|(metric, points)| Some((*metric, last(points)?))).collect();
    for asked in [&mut run.own, &mut run.later] {
        asked.records.retain(|record| within(before + record.step as f64 * per_step));
        asked.families = families(&asked.records);
    }
}
