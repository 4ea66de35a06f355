//! Who and what takes part in a scene, drawn so that training and evaluation never share a fact.
//! Promises: in training no drawn pair is of one group; in evaluation every drawn word is of one group.
//! Must not know: templates, families.

use rand::{Rng, RngExt};

use super::rules::{GROUPS, Rules};

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) pronoun: &'static str,
    group: usize,
}

/// A thing or a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Noun {
    pub(super) one: String,
    pub(super) many: String,
    group: usize,
}

/// The words that scenes draw from.
#[derive(Debug)]
pub(super) struct Lexicon {
    pub(super) people: Vec<Person>,
    pub(super) things: Vec<Noun>,
    pub(super) places: Vec<Noun>,
}

impl Lexicon {
    pub(super) fn new(rules: &Rules) -> Self {
        let people = |names: &[String], pronoun| {
            let person = |(at, name): (usize, &String)| Person { name: name.clone(), pronoun, group: at % GROUPS };
            names.iter().enumerate().map(person).collect::<Vec<_>>()
        };
        let nouns = |forms: &[[String; 2]]| {
            let noun = |(at, [one, many]): (usize, &[String; 2])| Noun {
                one: one.clone(),
                many: many.clone(),
                group: at % GROUPS,
            };
            forms.iter().enumerate().map(noun).collect()
        };
        Self {
            people: [people(&rules.women, SHE), people(&rules.men, HE)].concat(),
            things: nouns(&rules.things),
            places: nouns(&rules.places),
        }
    }
}

pub(super) const SHE: &str = "she";
pub(super) const HE: &str = "he";

/// Which facts may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Words of different groups.
    Training,
    /// Words of this one group.
    Evaluation(usize),
}

/// Anything that belongs to a group.
pub(super) trait Grouped: PartialEq {
    fn group(&self) -> usize;
}

impl Grouped for Person {
    fn group(&self) -> usize {
        self.group
    }
}

impl Grouped for Noun {
    fn group(&self) -> usize {
        self.group
    }
}

/// A draw of words for one scene.
pub(super) struct Cast<'w, R> {
    pub(super) lexicon: &'w Lexicon,
    pub(super) side: Side,
    pub(super) rng: &'w mut R,
}

impl<'w, R: Rng> Cast<'w, R> {
    /// A word of `pool` that is not among `taken` and may be told of words of the groups `with`; `None` if there is none.
    pub(super) fn draw<'p, T: Grouped>(&mut self, pool: &'p [T], taken: &[&T], with: &[usize]) -> Option<&'p T> {
        let fits = |word: &T| match self.side {
            Side::Training => !with.contains(&word.group()),
            Side::Evaluation(group) => word.group() == group,
        };
        let free: Vec<&T> = pool.iter().filter(|word| fits(word) && !taken.contains(word)).collect();
        self.pick(&free).copied()
    }

    /// `count` different things of which neighbours may stand together.
    pub(super) fn chain(&mut self, count: usize) -> Option<Vec<&'w Noun>> {
        let lexicon = self.lexicon;
        let mut chain: Vec<&Noun> = Vec::new();
        for _ in 0..count {
            let with: Vec<usize> = chain.last().map(|last| last.group).into_iter().collect();
            chain.push(self.draw(&lexicon.things, &chain, &with)?);
        }
        Some(chain)
    }

    /// One of `from`, each as likely.
    pub(super) fn pick<'p, T>(&mut self, from: &'p [T]) -> Option<&'p T> {
        if from.is_empty() { None } else { from.get(self.rng.random_range(0..from.len())) }
    }

    /// True with the probability `chance`.
    pub(super) fn toss(&mut self, chance: f64) -> bool {
        self.rng.random_bool(chance)
    }

    /// Brings `all` into a random order.
    pub(super) fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.rng.random_range(0..=last));
        }
    }
}
