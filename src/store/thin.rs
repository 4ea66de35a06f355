//! Curves as wide as a screen: the smallest and the largest value of each stretch, so that no spike is lost.

use crate::core::summary::Point;

/// At most `width` points (two at least): the first, the last, and in between the smallest and largest value of equal
/// stretches, in order of steps.
#[must_use]
pub fn thin(points: Vec<Point>, width: usize) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first().copied(), points.last().copied()) else { return points };
    if points.len() <= width.max(2) {
        return points;
    }
    let inner = points.get(1..points.len() - 1).unwrap_or_default();
    let stretches = width.saturating_sub(2) / 2;
    let mut kept = vec![first];
    for stretch in 0..stretches {
        let bound = |place: usize| place * inner.len() / stretches;
        let part = inner.get(bound(stretch)..bound(stretch + 1)).unwrap_or_default();
        let places = || part.iter().enumerate();
        let low = places().min_by(|a, b| a.1.value.total_cmp(&b.1.value));
        let high = places().max_by(|a, b| a.1.value.total_cmp(&b.1.value));
        if let (Some((low_at, low)), Some((high_at, high))) = (low, high) {
            match low_at.cmp(&high_at) {
                std::cmp::Ordering::Less => kept.extend([*low, *high]),
                std::cmp::Ordering::Equal => kept.push(*low),
                std::cmp::Ordering::Greater => kept.extend([*high, *low]),
            }
        }
    }
    kept.push(last);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn curve(values: &[f64]) -> Vec<Point> {
        let point =
            |(step, value): (usize, &f64)| Point { step: step as u64, tokens: 0, elapsed_s: 0.0, value: *value };
        values.iter().enumerate().map(point).collect()
    }

    #[test]
    fn a_spike_survives() {
        let mut values = vec![1.0; 10_000];
        values[5_431] = 99.0;
        values[7_002] = -99.0;
        let kept = thin(curve(&values), 32);
        assert!(kept.len() <= 32);
        assert!(kept.iter().any(|point| point.step == 5_431) && kept.iter().any(|point| point.step == 7_002));
    }

    proptest! {
        #[test]
        fn first_last_smallest_and_largest_are_kept(
            values in proptest::collection::vec(-1e3..1e3_f64, 1..400), width in 4_usize..100
        ) {
            let points = curve(&values);
            let kept = thin(points.clone(), width);
            prop_assert!(kept.len() <= width);
            prop_assert_eq!(kept.first(), points.first());
            prop_assert_eq!(kept.last(), points.last());
            prop_assert!(kept.windows(2).all(|pair| pair[0].step < pair[1].step));
            let extremes = |points: &[Point]| points.iter().fold((f64::MAX, f64::MIN), |(low, high), point| {
                (low.min(point.value), high.max(point.value))
            });
            prop_assert_eq!(extremes(&kept), extremes(&points));
        }
    }

    #[test]
    fn tiny_widths() {
        let points = curve(&[3.0, 2.0, 1.0]);
        assert_eq!(thin(points.clone(), 3), points);
        assert_eq!(thin(points.clone(), 0).len(), 2);
        assert!(thin(Vec::new(), 5).is_empty());
    }
}
