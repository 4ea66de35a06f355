//! Places with ties: in each contest the best value leads, and those that a paired test cannot tell from the leader share
//! its place. Must not know: what was measured.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::core::Direction;
use crate::core::board::Footing;
use crate::stats::{Difference, crossed, paired};

use super::values::Value;

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
        group.sort_by(|(_, a), (_, b)| better(mean(a), mean(b), direction));
        for (at, place) in within(&group) {
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

fn better(a: f64, b: f64, direction: Direction) -> Ordering {
    match direction {
        Direction::Lower | Direction::Neutral => a.total_cmp(&b),
        Direction::Higher => b.total_cmp(&a),
    }
}

/// Places of a contest in order. The first that differs from the leader leads the next place.
fn within(group: &[(usize, &Value)]) -> Vec<(usize, (usize, Footing))> {
    let mut placed: Vec<(usize, (usize, Footing))> = Vec::new();
    let mut leader: Option<(usize, &Value)> = None;
    for (order, (at, value)) in group.iter().enumerate() {
        let (place, footing) = match leader.map(|(place, best)| (place, difference(best, value))) {
            Some((place, Some(difference))) if !difference.is_clear() => (place, Footing::Tied),
            Some((_, None)) => (order + 1, Footing::Untested),
            Some((_, Some(_))) | None => (order + 1, Footing::Clear),
        };
        if place == order + 1 {
            leader = Some((place, value));
        }
        placed.push((*at, (place, footing)));
    }
    // Whoever is tied with, or was not tested against, someone of its own place or the next says so too.
    let rest: Vec<(usize, Footing)> = placed.iter().map(|(_, place)| *place).collect();
    for (order, (_, (place, footing))) in placed.iter_mut().enumerate() {
        let next = rest.get(order + 1);
        if rest.iter().any(|(other, how)| other == place && *how == Footing::Tied) {
            *footing = Footing::Tied;
        } else if *footing == Footing::Clear && next.is_some_and(|(_, how)| *how == Footing::Untested) {
            *footing = Footing::Untested;
        }
    }
    placed
}

/// The paired difference over the seeds that both have, and over their items where both have answered the same.
fn difference(one: &Value, other: &Value) -> Option<Difference> {
    let pairs: Vec<_> = one
        .seeds
        .iter()
        .filter_map(|own| Some((own, other.seeds.iter().find(|their| their.seed == own.seed)?)))
        .collect();
    let values: Vec<f64> = pairs.iter().map(|(own, their)| own.value - their.value).collect();
    let by_item: Option<Vec<Vec<f64>>> = pairs
        .iter()
        .map(|(own, their)| {
            let alike = own.items.keys().eq(their.items.keys())
                && own.items.values().zip(their.items.values()).all(|(a, b)| a.len() == b.len());
            let differences = own.items.values().flatten().zip(their.items.values().flatten()).map(|(a, b)| a - b);
            (alike && !own.items.is_empty()).then(|| differences.collect())
        })
        .collect();
    by_item.and_then(|rows| crossed(&rows)).or_else(|| paired(&values))
}

#[cfg(test)]
mod tests {
    use super::super::values::SeedValue;
    use super::*;

    fn value(seeds: &[f64]) -> Option<Value> {
        let seed = |(seed, value): (u64, &f64)| SeedValue { seed, value: *value, stderr: None, items: BTreeMap::new() };
        Some(Value { seeds: (1..).zip(seeds).map(seed).collect(), chance: None, metric: None })
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
        // The second is worse on every seed by nearly the same, though the seeds differ far more; the third is not.
        let values = [value(&[1.0, 2.0, 3.0]), value(&[1.1, 2.11, 3.1]), value(&[1.3, 1.9, 3.2]), None];
        let one = ["a"; 4];
        assert_eq!(
            texts(&values, &one, Direction::Lower),
            ["1=", "2=", "1=", "-"].map(String::from).map(|s| s).to_vec()
        );
    }

    #[test]
    fn contests_are_apart_and_single_seeds_untested() {
        let values = [value(&[1.0]), value(&[2.0]), value(&[5.0, 5.1]), value(&[4.0, 4.1])];
        let contests = ["a", "a", "b", "b"];
        assert_eq!(texts(&values, &contests, Direction::Lower), ["1?", "2?", "2", "1"]);
        assert_eq!(texts(&values, &contests, Direction::Higher), ["2?", "1?", "1", "2"]);
    }
}
