//! From stored curves to what is drawn: the x axis of choice, smoothing, seeds folded into a band, the visible window.
//! Promises: pure; seeds are folded only where every one of them has values, and only within one lineage.
//! Must not know: colours, terminals.

use std::collections::BTreeMap;

use crate::core::summary::{Curve, Point, RunSummary};
use crate::core::{Metric, RunId};

use super::msg::XAxis;

/// Factors of the exponential moving average, by smoothing step.
pub const SMOOTHING: [f64; 7] = [0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99];

/// What to make of the curves.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Which.
    pub metric: Metric,
    /// Against what.
    pub x_axis: XAxis,
    /// Factor of the moving average, 0 for none.
    pub smoothing: f64,
    /// Whether seeds are folded.
    pub fold: bool,
}

/// A curve of the chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its runs; more than one if seeds are folded.
    pub runs: Vec<RunId>,
    /// The line.
    pub line: Vec<(f64, f64)>,
    /// The values before smoothing; empty without smoothing.
    pub raw: Vec<(f64, f64)>,
    /// (x, least, most) over the seeds; empty unless folded.
    pub band: Vec<(f64, f64, f64)>,
    /// Newest value before smoothing; of folded seeds the last mean that is drawn.
    pub last: Option<f64>,
}

/// The series of `runs`, in that order; a lineage takes the place of its first run.
#[must_use]
pub fn collect(
    runs: &[&RunSummary],
    curves: &BTreeMap<(RunId, Metric), Curve>,
    lineages: &BTreeMap<RunId, RunId>,
    recipe: &Recipe,
) -> Vec<Series> {
    let mut groups: Vec<(RunId, Vec<&RunSummary>)> = Vec::new();
    for run in runs {
        let key = if recipe.fold { lineages.get(&run.id).unwrap_or(&run.id) } else { &run.id };
        match groups.iter_mut().find(|(other, _)| other == key) {
            Some((_, members)) => members.push(run),
            None => groups.push((key.clone(), vec![run])),
        }
    }
    groups.into_iter().map(|(_, members)| fold(&members, curves, recipe)).collect()
}

fn fold(members: &[&RunSummary], curves: &BTreeMap<(RunId, Metric), Curve>, recipe: &Recipe) -> Series {
    let raw: Vec<Vec<(f64, f64)>> = members
        .iter()
        .filter_map(|run| Some((run, curves.get(&(run.id.clone(), recipe.metric))?)))
        .filter(|(_, curve)| !curve.points.is_empty())
        .map(|(run, curve)| curve.points.iter().map(|point| (x_of(point, run, recipe.x_axis), point.value)).collect())
        .collect();
    let smooth: Vec<Vec<(f64, f64)>> = raw.iter().map(|points| smoothed(points, recipe.smoothing)).collect();
    let runs = members.iter().map(|run| run.id.clone()).collect();
    if let ([line], [own]) = (smooth.as_slice(), raw.as_slice()) {
        let last = own.last().map(|(_, value)| *value);
        let raw = if recipe.smoothing > 0.0 { raw.concat() } else { Vec::new() };
        return Series { runs, line: line.clone(), raw, band: Vec::new(), last };
    }
    let band = over_seeds(&smooth);
    let line: Vec<(f64, f64)> = band.iter().map(|(x, mean, _, _)| (*x, *mean)).collect();
    // The mean over the seeds at the last x that all of them have reached: never a mean over different steps.
    let last = line.last().map(|(_, mean)| *mean);
    let band = band.into_iter().map(|(x, _, low, high)| (x, low, high)).collect();
    Series { runs, line, raw: Vec::new(), band, last }
}

/// The place of a point on the axis.
#[must_use]
pub fn x_of(point: &Point, run: &RunSummary, axis: XAxis) -> f64 {
    match axis {
        XAxis::Step => point.step as f64,
        XAxis::Tokens => point.tokens as f64,
        XAxis::Flops => point.step as f64 * run.step_flops,
        XAxis::WallClock => point.elapsed_s,
    }
}

/// Exponential moving average over the points, corrected for its start, as loss curves are usually smoothed.
fn smoothed(points: &[(f64, f64)], factor: f64) -> Vec<(f64, f64)> {
    let (mut sum, mut weight) = (0.0, 0.0);
    let mut average = |value: f64| {
        sum = factor * sum + (1.0 - factor) * value;
        weight = factor * weight + (1.0 - factor);
        sum / weight
    };
    points.iter().map(|(x, value)| (*x, average(*value))).collect()
}

/// (x, mean, least, most) at every x of any seed that lies within all of them.
fn over_seeds(curves: &[Vec<(f64, f64)>]) -> Vec<(f64, f64, f64, f64)> {
    let first = curves.iter().filter_map(|curve| Some(curve.first()?.0)).fold(f64::NEG_INFINITY, f64::max);
    let last = curves.iter().filter_map(|curve| Some(curve.last()?.0)).fold(f64::INFINITY, f64::min);
    let mut grid: Vec<f64> = curves.iter().flatten().map(|(x, _)| *x).filter(|x| (first..=last).contains(x)).collect();
    grid.sort_by(f64::total_cmp);
    grid.dedup();
    let at = |x: f64| {
        let values: Vec<f64> = curves.iter().filter_map(|curve| value_at(curve, x)).collect();
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (x, mean, low, high)
    };
    grid.into_iter().map(at).collect()
}

/// The value of a curve at `x`, on the straight line between its neighbours; `None` outside.
#[must_use]
pub fn value_at(points: &[(f64, f64)], x: f64) -> Option<f64> {
    let after = points.partition_point(|(other, _)| *other < x);
    let right = points.get(after)?;
    if right.0 == x {
        return Some(right.1);
    }
    let left = points.get(after.checked_sub(1)?)?;
    Some(left.1 + (right.1 - left.1) * (x - left.0) / (right.0 - left.0))
}

/// The part of a curve between `low` and `high`, with the values at both edges.
#[must_use]
pub fn window(points: &[(f64, f64)], low: f64, high: f64) -> Vec<(f64, f64)> {
    let inside = points.iter().copied().filter(|(x, _)| (low..=high).contains(x));
    let edge = |x: f64| value_at(points, x).map(|value| (x, value));
    let mut shown: Vec<(f64, f64)> = edge(low).into_iter().chain(inside).chain(edge(high)).collect();
    shown.dedup_by(|a, b| a.0 == b.0);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_between_points_lie_on_the_line() {
        let points = [(0.0, 4.0), (10.0, 2.0), (20.0, 2.0)];
        assert_eq!(value_at(&points, 5.0), Some(3.0));
        assert_eq!(value_at(&points, 20.0), Some(2.0));
        assert_eq!(value_at(&points, 20.1), None);
        assert_eq!(value_at(&points, -0.1), None);
        assert_eq!(window(&points, 5.0, 10.0), [(5.0, 3.0), (10.0, 2.0)]);
    }

    #[test]
    fn seeds_fold_only_where_all_have_values() {
        let long = vec![(0.0, 4.0), (10.0, 2.0), (20.0, 1.0)];
        let short = vec![(0.0, 6.0), (10.0, 4.0)];
        assert_eq!(over_seeds(&[long, short]), [(0.0, 5.0, 4.0, 6.0), (10.0, 3.0, 2.0, 4.0)]);
    }

    #[test]
    fn smoothing_keeps_a_constant_and_the_first_value() {
        let flat = smoothed(&[(0.0, 3.0), (1.0, 3.0)], 0.9);
        assert!(flat.iter().all(|(_, value)| (value - 3.0).abs() < 1e-12));
        let steps = smoothed(&[(0.0, 4.0), (1.0, 0.0)], 0.5);
        assert_eq!(steps[0].1, 4.0);
        assert!((steps[1].1 - 4.0 / 3.0).abs() < 1e-12);
    }
}
