//! The columns of the leaderboard: what could fill one, in order, and how each is called.
//! Promises: a mean over tasks is taken over what every lineage asked itself; two columns never share a key. Must not know:
//! places.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::board::{BoardColumn, ColumnKind};
use crate::core::task::{ScoringForm, TaskMetric};
use crate::core::{Metric, Objective};

use super::Lineage;
use super::evidence::{Asked, RunEvidence};
use super::values::Value;

/// What a column is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// A metric that means the same for every objective.
    Metric(Metric),
    /// The validation loss over one kind of targets, [`crate::core::RunSpec::target`].
    OwnLoss(Objective, String),
    /// Mean accuracy over the families that every scored lineage asked itself.
    ZeroShot(ScoringForm),
    /// The same above chance.
    AboveChance(ScoringForm),
    /// The headline score of a family that runs asked themselves.
    Family(ScoringForm, String),
    /// The same of one that they were asked later.
    Later(ScoringForm, String),
}

/// The metrics of the table, in order; the others are in every row's `metrics`.
const METRICS: [Metric; 8] = [
    Metric::ContinuationLoss,
    Metric::ContinuationBitsPerByte,
    Metric::ContinuationLossSentinel,
    Metric::ContinuationBitsPerByteSentinel,
    Metric::EffectiveRankShare,
    Metric::TokensPerSecond,
    Metric::PrefillTokensPerSecond,
    Metric::DecodeTokensPerSecond,
];

/// How many of them are speeds, which stand last.
const SPEEDS: usize = 3;

/// The families that every lineage with scores asked itself, of each form: a mean over different families would compare nothing,
/// and what somebody asks later moves none.
pub(super) fn shared_families(lineages: &[Lineage<'_>]) -> BTreeSet<(ScoringForm, String)> {
    let mut shared: BTreeMap<ScoringForm, BTreeSet<String>> = BTreeMap::new();
    for run in lineages.iter().flat_map(|lineage| &lineage.counted) {
        for form in FORMS {
            let own: BTreeSet<String> = run.choice_families(form).map(|family| family.family.clone()).collect();
            if !own.is_empty() {
                shared.entry(form).and_modify(|known| known.retain(|name| own.contains(name))).or_insert(own);
            }
        }
    }
    let pairs = shared.into_iter().flat_map(|(form, names)| names.into_iter().map(move |name| (form, name)));
    pairs.collect()
}

/// Where lineages asked themselves different tasks: what the means are taken over, in words.
pub(super) fn unshared(lineages: &[Lineage<'_>], shared: &BTreeSet<(ScoringForm, String)>) -> Vec<String> {
    let said = |form: ScoringForm| {
        let all: BTreeSet<&str> = lineages
            .iter()
            .flat_map(|lineage| &lineage.counted)
            .flat_map(|run| run.choice_families(form))
            .map(|family| family.family.as_str())
            .collect();
        let mark = marked("", form, " <X0>");
        match (shared.iter().filter(|(of, _)| *of == form).count(), all.len()) {
            (same, all) if same == all => None,
            (0, _) => Some(format!("no zero-shot{mark} mean: the runs' studies asked different tasks")),
            (same, all) => {
                Some(format!("zero-shot{mark} is over the {same} of {all} tasks that every run's study asked"))
            }
        }
    };
    FORMS.into_iter().filter_map(said).collect()
}

const FORMS: [ScoringForm; 2] = [ScoringForm::Plain, ScoringForm::Sentinel];

fn marked(name: &str, form: ScoringForm, mark: &str) -> String {
    match form {
        ScoringForm::Plain => name.to_owned(),
        ScoringForm::Sentinel => format!("{name}{mark}"),
    }
}

/// The columns that could hold something, in order.
pub(super) fn sources(lineages: &[Lineage<'_>]) -> Vec<Source> {
    let families = |asked: fn(&RunEvidence) -> &Asked| -> BTreeSet<(ScoringForm, String)> {
        let runs = lineages.iter().flat_map(|lineage| &lineage.counted);
        let families = runs.flat_map(|run| &asked(run).families);
        families.map(|family| (family.form, family.family.clone())).collect()
    };
    let mut sources = METRICS.map(Source::Metric).to_vec();
    let speeds = sources.split_off(METRICS.len() - SPEEDS);
    for form in FORMS {
        sources.extend([Source::ZeroShot(form), Source::AboveChance(form)]);
    }
    sources.extend(families(|run| &run.own).into_iter().map(|(form, family)| Source::Family(form, family)));
    sources.extend(families(|run| &run.later).into_iter().map(|(form, family)| Source::Later(form, family)));
    let targets: BTreeSet<(Objective, String)> = lineages
        .iter()
        .flat_map(|lineage| &lineage.counted)
        .map(|run| (run.spec.objective.objective, run.spec.target()))
        .collect();
    sources.extend(targets.into_iter().map(|(objective, target)| Source::OwnLoss(objective, target)));
    sources.extend(speeds);
    sources
}

/// The column of `source` among `all`, behind those that are `made`.
pub(super) fn column(
    source: &Source,
    (all, made): (&[Source], &[BoardColumn]),
    found: &[Option<Value>],
    shared: &BTreeSet<(ScoringForm, String)>,
) -> BoardColumn {
    let definition = match source {
        Source::Metric(metric) => metric.definition(),
        Source::OwnLoss(..) => Metric::ValidationLoss.definition(),
        Source::ZeroShot(_) | Source::Family(..) | Source::Later(..) => Metric::ZeroShotAcc.definition(),
        Source::AboveChance(_) => Metric::ZeroShotAboveChance.definition(),
    };
    let score = found.iter().flatten().find_map(|value| value.metric);
    // Scores of other kinds say theirs, since their scales differ.
    let scale = score.filter(|metric| *metric != TaskMetric::Acc).map_or_else(String::new, |m| format!(" {m}"));
    let (key, heading, kind) = match source {
        Source::Metric(metric) => (metric.name().to_owned(), definition.heading.to_owned(), ColumnKind::Metric),
        Source::OwnLoss(objective, target) => {
            let alike = |other: &&Source| matches!(other, Source::OwnLoss(theirs, _) if theirs == objective);
            let name = if all.iter().filter(alike).count() > 1 { target } else { objective.label() };
            let heading = format!("{} {name}", definition.heading);
            (format!("{}:{target}", Metric::ValidationLoss), heading, ColumnKind::OwnLoss)
        }
        Source::ZeroShot(form) => {
            (marked("zero_shot", *form, ":sentinel"), marked("zero-shot", *form, " <X0>"), ColumnKind::ZeroShot)
        }
        Source::AboveChance(form) => {
            (marked("above_chance", *form, ":sentinel"), marked("above chance", *form, " <X0>"), ColumnKind::ZeroShot)
        }
        Source::Family(form, family) => {
            (marked(family, *form, ":sentinel"), marked(family, *form, " <X0>") + &scale, ColumnKind::Family)
        }
        Source::Later(form, family) => {
            let key = marked(family, *form, ":sentinel");
            let asked = made.iter().any(|other| other.kind == ColumnKind::Family && other.key == key);
            let heading = marked(family, *form, " <X0>") + &scale + " later";
            (if asked { key + ":later" } else { key }, heading, ColumnKind::Later)
        }
    };
    // A task may be called as something else that is measured.
    let key = if made.iter().any(|other| other.key == key) { format!("task:{key}") } else { key };
    let over = match source {
        Source::ZeroShot(form) | Source::AboveChance(form) => {
            shared.iter().filter(|(of, _)| of == form).map(|(_, family)| family.clone()).collect()
        }
        Source::Metric(_) | Source::OwnLoss(..) | Source::Family(..) | Source::Later(..) => Vec::new(),
    };
    BoardColumn {
        key,
        heading,
        unit: score.map_or(definition.unit, TaskMetric::name).to_owned(),
        direction: score.map_or(definition.direction, TaskMetric::direction),
        decimals: definition.decimals,
        chance: found.iter().flatten().find_map(|value| value.chance),
        kind,
        over,
    }
}
