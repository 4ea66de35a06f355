//! Places with ties: in each contest, one more than the number of rows that a paired test finds clearly better, and never
//! above a row with a better mean. What is tested is what is shown: the difference of the means over seeds of the column's own
//! statistic. Must not know: what was measured.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::core::Direction;
use crate::core::board::Footing;
use crate::stats::{Difference, crossed, paired};

use super::values::{SeedValue, Value};

/// The place of every value within its contest, and how sure it is; `None` where there is no value.
pub(super) fn place(
    values: &[Option<Value>],
    contests: &[&str],
    direction: Direction,
) -> Vec<Option<(usize, Footing)>> {
    let mut places = vec![None; values.len()];
    let mut groups: BTreeMap<&str, Vec<(usize, &Value)>> = BTreeMap::new();
    for (at, (value, contest)) in values.iter().zip(contests).enumerate() {
        if let Some(value) = value {
            groups.entry(contest).or_default().push((at, value));
        }
    }
    for mut group in groups.into_values() {
        group.sort_by(|(_, a), (_, b)| ordered(mean(a), mean(b), direction));
        for (at, place) in within(&group, direction) {
            if let Some(slot) = places.get_mut(at) {
                *slot = Some(place);
            }
        }
    }
    places
}

#[expect(clippy::cast_precision_loss, reason = "counts of seeds")]
fn mean(value: &Value) -> f64 {
    value.seeds.iter().map(|seed| seed.value).sum::<f64>() / value.seeds.len().max(1) as f64
}

fn ordered(a: f64, b: f64, direction: Direction) -> Ordering {
    match direction {
        Direction::Lower | Direction::Neutral => a.total_cmp(&b),
        Direction::Higher => b.total_cmp(&a),
    }
}

/// A row's place is one more than the number of rows that are clearly better, so a tie is not handed on from neighbour to
/// neighbour; but a row whose seeds are so far apart that nothing can be told of it does not rise above one with a better
/// mean. Beyond so many in a row that are clearly better, those above them are taken to be.
const ENOUGH: usize = 8;

/// Places of a contest that is in order.
fn within(group: &[(usize, &Value)], direction: Direction) -> Vec<(usize, (usize, Footing))> {
    let mut places: Vec<(usize, bool)> = Vec::new();
    for (order, (_, value)) in group.iter().enumerate() {
        let (mut better, mut tested, mut clear_in_a_row) = (0, true, 0);
        for (above, (_, best)) in group.iter().enumerate().take(order).rev() {
            match difference(best, value) {
                // Seeds that both have may order otherwise than all seeds do: then nothing is clear.
                Some(difference) if difference.is_clear() && ordered(difference.mean, 0.0, direction).is_lt() => {
                    (better, clear_in_a_row) = (better + 1, clear_in_a_row + 1)
                }
                Some(_) => clear_in_a_row = 0,
                // The means are all there is.
                None => (better, tested) = (better + 1, false),
            }
            if clear_in_a_row >= ENOUGH {
                better += above;
                break;
            }
        }
        let above = places.last().map_or(1, |(place, _)| *place);
        places.push(((better + 1).max(above), tested));
    }
    let footing = |order: usize, (place, tested): (usize, bool)| {
        let shared = places.iter().enumerate().any(|(other, (theirs, _))| other != order && *theirs == place);
        // The best was compared with nobody above it, so it is as sure as the one below.
        let tested = tested && places.get(order + 1).is_none_or(|(_, below)| *below || order > 0);
        match (shared, tested) {
            (true, _) => Footing::Tied,
            (false, true) => Footing::Clear,
            (false, false) => Footing::Untested,
        }
    };
    let texts: Vec<(usize, Footing)> =
        places.iter().enumerate().map(|(order, place)| (place.0, footing(order, *place))).collect();
    group.iter().map(|(at, _)| *at).zip(texts).collect()
}

/// The paired difference of what is shown, over the seeds that both have, and over their items where both have answered the
/// same.
fn difference(one: &Value, other: &Value) -> Option<Difference> {
    let pairs: Vec<_> = one
        .seeds
        .iter()
        .filter_map(|own| Some((own, other.seeds.iter().find(|their| their.seed == own.seed)?)))
        .collect();
    let values: Vec<f64> = pairs.iter().map(|(own, their)| own.value - their.value).collect();
    let strata = pairs.first().and_then(|(own, _)| {
        let of = |name: &String| pairs.iter().map(|pair| by_item(*pair, name)).collect::<Option<Vec<_>>>();
        let named = |(own, their): &(&SeedValue, &SeedValue)| [own, their].map(|seed| seed.items.len());
        let alike = pairs.iter().flat_map(named).all(|count| count == own.items.len());
        own.items.keys().map(of).collect::<Option<Vec<_>>>().filter(|_| alike)
    });
    strata.and_then(|strata| crossed(&values, &strata)).or_else(|| paired(&values))
}

/// The differences of the items of that name; `None` where they are not the same.
fn by_item((own, their): (&SeedValue, &SeedValue), name: &str) -> Option<Vec<f64>> {
    let (own, their) = (own.items.get(name)?, their.items.get(name)?);
    (own.len() == their.len()).then(|| own.iter().zip(their).map(|(a, b)| a - b).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(seeds: &[f64]) -> Option<Value> {
        Some(Value { seeds: (1..).zip(seeds).map(|(at, value)| seed(at, *value, &[])).collect(), ..Value::default() })
    }

    fn seed(seed: u64, value: f64, items: &[f64]) -> SeedValue {
        let items = if items.is_empty() { BTreeMap::new() } else { [("task".to_owned(), items.to_vec())].into() };
        SeedValue { seed, value, stderr: None, answers: None, items }
    }

    fn texts(values: &[Option<Value>], contests: &[&str], direction: Direction) -> Vec<String> {
        let mark = |footing| match footing {
            Footing::Clear => "",
            Footing::Tied => "=",
            Footing::Untested => "?",
        };
        let text = |place: Option<(usize, Footing)>| place.map_or("-".into(), |(n, how)| format!("{n}{}", mark(how)));
        place(values, contests, direction).into_iter().map(text).collect()
    }

    #[test]
    fn pairs_decide_and_not_overlaps() {
        // The second is worse on every seed by nearly the same, though the seeds differ far more; the third cannot be told from
        // either, and its mean is worse than the second's.
        let values = [value(&[1.0, 2.0, 3.0]), value(&[1.1, 2.11, 3.1]), value(&[1.3, 1.9, 3.2]), None];
        let one = ["a"; 4];
        assert_eq!(texts(&values, &one, Direction::Lower), ["1", "2=", "2=", "-"]);
    }

    #[test]
    fn a_test_that_speaks_against_the_order_ties() {
        // The first is shown to be better, but on the seeds that both have it is worse.
        let values = [value(&[0.2, 0.21, 0.22, 0.99, 0.99, 0.99]), value(&[0.5, 0.52, 0.51])];
        assert_eq!(texts(&values, &["a"; 2], Direction::Higher), ["1=", "1="]);
    }

    #[test]
    fn what_is_shown_is_what_is_tested() {
        let of = |values: [f64; 2], items: [f64; 4]| {
            let seeds = vec![seed(1, values[0], &items), seed(2, values[1], &items)];
            Some(Value { seeds, ..Value::default() })
        };
        let shown = difference(
            of([0.6, 0.7], [0.9, 1.0, 0.0, 0.7]).as_ref().unwrap(),
            of([0.5, 0.56], [0.1; 4]).as_ref().unwrap(),
        );
        assert!((shown.unwrap().mean - 0.12).abs() < 1e-12, "{shown:?}");
        // Both seeds say the same, but items do not: it is a tie, and clear once they agree.
        let (better, worse) = (of([0.6; 2], [1.0, 1.0, 0.0, 0.4]), of([0.5; 2], [0.0, 0.0, 1.0, 1.0]));
        assert_eq!(texts(&[better, worse], &["a"; 2], Direction::Higher), ["1=", "1="]);
        let (better, worse) = (of([0.6; 2], [0.6, 0.6, 0.7, 0.5]), of([0.5; 2], [0.5, 0.5, 0.6, 0.4]));
        assert_eq!(texts(&[better, worse], &["a"; 2], Direction::Higher), ["1", "2"]);
        assert_eq!(texts(&[value(&[1.0, 2.0, 3.0])], &["a"], Direction::Higher), ["1"]);
    }

    #[test]
    fn contests_are_apart_and_single_seeds_untested() {
        let values = [value(&[1.0]), value(&[2.0]), value(&[5.0, 5.1]), value(&[4.0, 4.1])];
        let contests = ["a", "a", "b", "b"];
        assert_eq!(texts(&values, &contests, Direction::Lower), ["1?", "2?", "2", "1"]);
        assert_eq!(texts(&values, &contests, Direction::Higher), ["2?", "1?", "1", "2"]);
    }
}
