//! From stored curves to what is drawn: the x axis of choice, smoothing, seeds folded into a band, the visible window.
//! Promises: pure; seeds are folded only where every one of them has values, and only within one lineage.
//! Must not know: colours, terminals.

use std::collections::BTreeMap;

use crate::core::summary::{Curve, Point, RunSummary};
use crate::core::{Metric, RunId};

use super::msg::XAxis;

/// Windows of the moving average in optimizer steps, 0 for none.
pub const SMOOTHING: [u64; 7] = [0, 10, 30, 100, 300, 1_000, 3_000];
/// The place in [`SMOOTHING`] of somebody who has not chosen.
pub const DEFAULT_SMOOTHING: usize = 1;

/// Most curves whose values before smoothing are drawn too: with more, their noise hides the curves.
const MOST_RAW: usize = 3;

/// What to make of the curves.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Which.
    pub metric: Metric,
    /// Against what.
    pub x_axis: XAxis,
    /// Window of the moving average in steps, 0 for none.
    pub smoothing: u64,
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
    /// The values before smoothing; empty without smoothing and where many curves are shown.
    pub raw: Vec<(f64, f64)>,
    /// (x, least, most) over the seeds; empty unless folded.
    pub band: Vec<(f64, f64, f64)>,
    /// Newest value before smoothing; of folded seeds the last mean that is drawn.
    pub last: Option<f64>,
    /// The steps that each value of the line is an average of; 0 for none.
    pub window: u64,
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
    let with_raw = recipe.smoothing > 0 && groups.len() <= MOST_RAW;
    groups.into_iter().map(|(_, members)| fold(&members, curves, recipe, with_raw)).collect()
}

fn fold(members: &[&RunSummary], curves: &BTreeMap<(RunId, Metric), Curve>, recipe: &Recipe, with_raw: bool) -> Series {
    let told: Vec<(&RunSummary, &[Point])> = members
        .iter()
        .filter_map(|run| Some((*run, curves.get(&(run.id.clone(), recipe.metric))?.points.as_slice())))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let window = told.iter().map(|(_, points)| honest_window(points, recipe.smoothing)).max().unwrap_or(0);
    let x = |run: &RunSummary, point: &Point| x_of(point, run, recipe.x_axis);
    let line = |(run, points): &(&RunSummary, &[Point])| -> Vec<(f64, f64)> {
        points.iter().zip(smoothed(points, window)).map(|(point, value)| (x(run, point), value)).collect()
    };
    let smooth: Vec<Vec<(f64, f64)>> = told.iter().map(line).collect();
    let runs = members.iter().map(|run| run.id.clone()).collect();
    if let ([line], [(run, points)]) = (smooth.as_slice(), told.as_slice()) {
        let last = points.last().map(|point| point.value);
        let raw = if with_raw { points.iter().map(|point| (x(run, point), point.value)).collect() } else { Vec::new() };
        return Series { runs, line: line.clone(), raw, band: Vec::new(), last, window };
    }
    let band = over_seeds(&smooth);
    let line: Vec<(f64, f64)> = band.iter().map(|(x, mean, _, _)| (*x, *mean)).collect();
    // The mean over the seeds at the last x that all of them have reached: never a mean over different steps.
    let last = line.last().map(|(_, mean)| *mean);
    let band = band.into_iter().map(|(x, _, low, high)| (x, low, high)).collect();
    Series { runs, line, raw: Vec::new(), band, last, window }
}

/// The window that a curve really is averaged over: the one asked for, or a wider one if the points were thinned so far
/// that it would hold hardly any.
#[must_use]
pub fn honest_window(points: &[Point], wanted: u64) -> u64 {
    const FEWEST: u64 = 8;
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return wanted };
    let spacing = last.step.saturating_sub(first.step) / (points.len() as u64).max(2).saturating_sub(1);
    // A metric that is measured rarely has few points because there are no more, and is drawn as it is.
    let thinned = points.len() >= THINNED;
    if wanted > 0 && thinned { wanted.max(spacing * FEWEST) } else { wanted }
}

/// So many points can only be the rest of more.
const THINNED: usize = 1_500;

/// The mean of each point's value over the `window` steps up to it. Every value stands for the steps since the value
/// before it, so the mean does not depend on how many points there are, and rare values stay what they are.
#[must_use]
pub fn smoothed(points: &[Point], window: u64) -> Vec<f64> {
    let span = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| points.get(before)).map(|point| point.step);
        points.get(at).map_or((0, 0), |point| (before.unwrap_or_else(|| point.step.saturating_sub(1)), point.step))
    };
    let (mut first, mut sum, mut weight) = (0, 0.0, 0.0);
    let share = |at: usize, start: u64| {
        let ((from, to), value) = (span(at), points.get(at).map_or(0.0, |point| point.value));
        let steps = to.saturating_sub(from.max(start)) as f64;
        (steps * value, steps)
    };
    let mut mean = |at: usize, own: f64| {
        let start = span(at).1.saturating_sub(window);
        let (value, steps) = share(at, 0);
        (sum, weight) = (sum + value, weight + steps);
        while first < at && span(first).1 <= start {
            let (value, steps) = share(first, 0);
            (sum, weight) = (sum - value, weight - steps);
            first += 1;
        }
        // The first value may reach back over the start of the window.
        let ((whole, all), (part, inside)) = (share(first, 0), share(first, start));
        let steps = weight - all + inside;
        if steps > 0.0 { (sum - whole + part) / steps } else { own }
    };
    points.iter().enumerate().map(|(at, point)| if window == 0 { point.value } else { mean(at, point.value) }).collect()
}

/// The place of a point on the axis.
#[must_use]
pub fn x_of(point: &Point, run: &RunSummary, axis: XAxis) -> f64 {
    match axis {
        XAxis::Step => point.step as f64,
        // A later stage begins where the one before it ended.
        XAxis::Tokens => (run.inherited().0 + point.tokens) as f64,
        XAxis::Flops => run.inherited().1 + point.step as f64 * run.step_flops,
        XAxis::WallClock => point.elapsed_s,
    }
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

    fn points(values: impl Iterator<Item = (u64, f64)>) -> Vec<Point> {
        values.map(|(step, value)| Point { step, tokens: 0, elapsed_s: 0.0, value }).collect()
    }

    #[test]
    fn smoothing_is_the_mean_of_the_last_steps() {
        let every = points((1..=30).map(|step| (step, step as f64)));
        let smooth = smoothed(&every, 10);
        assert_eq!(smooth[0], 1.0);
        assert!((smooth[4] - 3.0).abs() < 1e-9, "fewer at the start");
        assert!((smooth[29] - 25.5).abs() < 1e-9, "21 to 30");
        assert_eq!(smoothed(&every, 0), every.iter().map(|point| point.value).collect::<Vec<_>>());
    }

    #[test]
    fn smoothing_does_not_depend_on_thinning() {
        let falling = |step: u64| 6.0 - step as f64 / 100.0;
        let every = points((1..=400).map(|step| (step, falling(step))));
        let thin = points((1..=100).map(|at| 4 * at).map(|step| (step, falling(step))));
        let (all, few) = (smoothed(&every, 100), smoothed(&thin, 100));
        // Before the window is full, the first value weighs differently.
        for at in 25..100 {
            // A value stands for the four steps up to it, whose mean lies one and a half steps back.
            let difference = few[at] - all[4 * at + 3];
            assert!(difference.abs() < 0.0151, "{at}: {difference}");
        }
        let constant = points([3, 9, 10, 40].into_iter().map(|step| (step, 2.0)));
        assert!(smoothed(&constant, 7).iter().all(|value| (value - 2.0).abs() < 1e-12));
    }

    #[test]
    fn rare_values_stay_what_they_are() {
        let validations = points([(50, 4.0), (100, 3.0), (150, 2.5)].into_iter());
        let drawn = smoothed(&validations, 10);
        assert!(drawn.iter().zip([4.0, 3.0, 2.5]).all(|(a, b)| (a - b).abs() < 1e-9), "{drawn:?}");
        assert_eq!(honest_window(&validations, 10), 10);
        let long = points((1..=2_000).map(|at| (at * 20, 1.0)));
        assert_eq!(honest_window(&long, 10), 160, "thinned too far for ten steps: the title says what is drawn");
        assert_eq!(honest_window(&long, 0), 0);
    }
}
