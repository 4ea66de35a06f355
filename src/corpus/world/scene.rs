//! One little story per family, with everything that can be asked of it. Training and evaluation share this code, so an
//! item tests what the text teaches. Promises: the counter `turn` alone decides what must be balanced over items: which
//! fact is asked, its place, its polarity. Must not know: how questions are worded.

use rand::Rng;

use super::cast::{Cast, Noun, Person, SHE, Side};
use super::family::Family;
use super::rules::{ANSWER, Relation, Rules, Value};

/// Values for the slots of a template.
pub(super) type Slots = Vec<(&'static str, String)>;

/// A question: what fills its template, the answer included, and the wrong choices in random order.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) slots: Slots,
    pub(super) answer: String,
    pub(super) others: Vec<String>,
}

/// A story and its questions; the first is the one that `turn` chose.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) story: Vec<String>,
    pub(super) asks: Vec<Ask>,
}

/// Agreement sentences of one training scene.
const SENTENCES: usize = 3;

/// How often a listed thing has an adjective.
const ADJECTIVE_SHARE: f64 = 0.3;

/// Draws scenes of one relation.
pub(super) struct Stage<'w, R> {
    pub(super) rules: &'w Rules,
    pub(super) relation: &'w Relation,
    pub(super) cast: Cast<'w, R>,
}

/// A bit of a counter, after `turn` went through `before` cases.
fn bit(turn: usize, before: usize) -> bool {
    (turn / before) % 2 == 1
}

fn ask(slots: &[(&'static str, &str)], answer: &str, others: Vec<String>) -> Ask {
    let mut slots: Slots = slots.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    slots.push((ANSWER, answer.to_owned()));
    Ask { slots, answer: answer.to_owned(), others }
}

/// `template` with its slots filled and its first letter large; `None` if a slot has no value.
pub(super) fn fill(template: &str, slots: &[(&'static str, String)]) -> Option<String> {
    let mut filled = String::with_capacity(2 * template.len());
    let mut rest = template;
    while let Some((before, slot)) = rest.split_once('{') {
        let (name, after) = slot.split_once('}')?;
        filled.push_str(before);
        filled.push_str(&slots.iter().find(|(known, _)| *known == name)?.1);
        rest = after;
    }
    filled.push_str(rest);
    let mut letters = filled.chars();
    let first = letters.next()?;
    Some(first.to_uppercase().chain(letters).collect())
}

impl<'w, R: Rng> Stage<'w, R> {
    /// A scene of `family`, as difficult as `size`.
    pub(super) fn scene(&mut self, family: Family, size: usize, turn: usize) -> Option<Scene> {
        match family {
            Family::Reading => self.reading(size, turn),
            Family::TwoHop => self.two_hop(size, turn),
            Family::Copying => self.copying(size, turn),
            Family::Counting => self.counting(size, turn),
            Family::Negation => self.negation(size, turn),
            Family::Coreference => self.coreference(size, turn),
            Family::Order => self.order(size),
            Family::Agreement => self.agreement(size, turn),
        }
    }

    fn tell(&mut self, templates: &'w [String], slots: &[(&'static str, &str)]) -> Option<String> {
        let slots: Slots = slots.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        fill(self.cast.pick(templates)?, &slots)
    }

    /// All of `words` but `answer`, shuffled.
    fn others(&mut self, words: &[&'w str], answer: &str) -> Vec<String> {
        let mut others: Vec<String> =
            words.iter().filter(|word| **word != answer).map(|word| (*word).to_owned()).collect();
        self.cast.shuffle(&mut others);
        others
    }

    fn reading(&mut self, size: usize, turn: usize) -> Option<Scene> {
        let lexicon = self.cast.lexicon;
        let pool = match self.relation.value? {
            Value::Thing => &lexicon.things,
            Value::Place => &lexicon.places,
        };
        let (mut people, mut values): (Vec<&Person>, Vec<&Noun>) = (Vec::new(), Vec::new());
        let mut story = Vec::new();
        for _ in 0..size {
            let person = self.cast.draw(&lexicon.people, &people, &[])?;
            let value = self.cast.draw(pool, &values, &[group(person)])?;
            story.push(self.tell(&self.relation.statements, &[("a", &person.name), ("b", &value.one)])?);
            people.push(person);
            values.push(value);
        }
        let words: Vec<&str> = values.iter().map(|value| value.one.as_str()).collect();
        let mut asks = Vec::new();
        for (person, value) in people.iter().zip(&words) {
            asks.push(ask(&[("a", &person.name), ("he", person.pronoun)], value, self.others(&words, value)));
        }
        asks.rotate_left(turn % size);
        Some(Scene { story, asks })
    }

    fn two_hop(&mut self, size: usize, turn: usize) -> Option<Scene> {
        let lexicon = self.cast.lexicon;
        let (mut people, mut places, mut things): (Vec<&Person>, Vec<&Noun>, Vec<&Noun>) = Default::default();
        let mut story = Vec::new();
        for _ in 0..size {
            let person = self.cast.draw(&lexicon.people, &people, &[])?;
            let place = self.cast.draw(&lexicon.places, &places, &[group(person)])?;
            let thing = self.cast.draw(&lexicon.things, &things, &[group(person), group(place)])?;
            story.push(self.tell(&self.relation.statements, &[("a", &person.name), ("b", &thing.one)])?);
            story.push(self.tell(&self.relation.acts, &[("a", &person.name), ("place", &place.one)])?);
            people.push(person);
            places.push(place);
            things.push(thing);
        }
        self.cast.shuffle(&mut story);
        let words: Vec<&str> = places.iter().map(|place| place.one.as_str()).collect();
        let mut asks = Vec::new();
        for (thing, place) in things.iter().zip(&words) {
            asks.push(ask(&[("b", &thing.one)], place, self.others(&words, place)));
        }
        asks.rotate_left(turn % size);
        Some(Scene { story, asks })
    }

    fn copying(&mut self, size: usize, turn: usize) -> Option<Scene> {
        let words: Vec<&str> = self.cast.chain(size)?.iter().map(|thing| thing.one.as_str()).collect();
        let list = words.join(", ");
        let story = vec![self.tell(&self.relation.statements, &[("list", &list)])?];
        let mut asks = Vec::new();
        for (before, word) in words.iter().zip(words.iter().skip(1)) {
            let others = self.others(&words, word).into_iter().filter(|other| other != before).collect();
            asks.push(ask(&[("list", &list), ("p", before)], word, others));
        }
        let count = asks.len().max(1);
        asks.rotate_left(turn % count);
        Some(Scene { story, asks })
    }

    fn counting(&mut self, size: usize, turn: usize) -> Option<Scene> {
        let least = size.saturating_sub(3).max(2);
        let count = least + turn % (size + 1 - least);
        let mut listed = Vec::new();
        for thing in self.cast.chain(count)? {
            let adjective = if self.cast.toss(ADJECTIVE_SHARE) { self.cast.pick(&self.rules.adjectives) } else { None };
            listed.push(adjective.map_or_else(|| format!("a {}", thing.one), |word| format!("a {word} {}", thing.one)));
        }
        let last = listed.pop()?;
        let list = format!("{} and {last}", listed.join(", "));
        let story = vec![self.tell(&self.relation.statements, &[("list", &list)])?];
        let rules = self.rules;
        let numbers: Vec<&str> = (least..=size).filter_map(|n| rules.numbers.get(n - 1)).map(String::as_str).collect();
        let answer = rules.numbers.get(count - 1)?;
        Some(Scene { story, asks: vec![ask(&[], answer, self.others(&numbers, answer))] })
    }

    fn negation(&mut self, size: usize, turn: usize) -> Option<Scene> {
        let lexicon = self.cast.lexicon;
        let (mut people, mut things): (Vec<&Person>, Vec<&Noun>) = (Vec::new(), Vec::new());
        let (mut story, mut asks) = (Vec::new(), Vec::new());
        for place in 0..size {
            let asked = place == turn % size;
            // Whoever comes next stands behind the things of those before, as near as to their own.
            let before: Vec<usize> = things.iter().map(|thing| group(*thing)).collect();
            let person = self.cast.draw(&lexicon.people, &people, &before)?;
            let first = self.cast.draw(&lexicon.things, &things, &[group(person)])?;
            things.push(first);
            let second = self.cast.draw(&lexicon.things, &things, &[group(person)])?;
            things.push(second);
            people.push(person);
            let refuses_first = if asked { bit(turn, size) } else { self.cast.toss(0.5) };
            let (taken, left) = if refuses_first { (second, first) } else { (first, second) };
            let mut said = [
                self.tell(&self.relation.acts, &[("a", &person.name), ("b", &taken.one)])?,
                self.tell(&self.relation.refusals, &[("a", &person.name), ("b", &left.one)])?,
            ];
            if refuses_first {
                said.reverse();
            }
            story.extend(said);
            asks.push(ask(&[("a", &person.name), ("he", person.pronoun)], &taken.one, vec![left.one.clone()]));
        }
        asks.rotate_left(turn % size);
        Some(Scene { story, asks })
    }

    fn coreference(&mut self, size: usize, turn: usize) -> Option<Scene> {
        let lexicon = self.cast.lexicon;
        let (women, men): (Vec<Person>, Vec<Person>) =
            lexicon.people.iter().cloned().partition(|person| person.pronoun == SHE);
        let (mut people, mut things): (Vec<Person>, Vec<&Noun>) = (Vec::new(), Vec::new());
        let (mut story, mut asks) = (Vec::new(), Vec::new());
        for place in 0..size {
            let asked = place == turn % size;
            let known: Vec<&Person> = people.iter().collect();
            let woman = self.cast.draw(&women, &known, &[])?;
            let man = self.cast.draw(&men, &known, &[group(woman)])?;
            let thing = self.cast.draw(&lexicon.things, &things, &[group(woman), group(man)])?;
            things.push(thing);
            people.extend([woman.clone(), man.clone()]);
            let of_him = if asked { bit(turn, size) } else { self.cast.toss(0.5) };
            let woman_first = if asked { bit(turn, 2 * size) } else { self.cast.toss(0.5) };
            let (a, c) = if woman_first { (woman, man) } else { (man, woman) };
            story.push(self.tell(&self.relation.statements, &[("a", &a.name), ("c", &c.name)])?);
            let (owner, other) = if of_him { (man, woman) } else { (woman, man) };
            story.push(self.tell(&self.relation.acts, &[("he", owner.pronoun), ("b", &thing.one)])?);
            asks.push(ask(&[("b", &thing.one)], &owner.name, vec![other.name.clone()]));
        }
        asks.rotate_left(turn % size);
        Some(Scene { story, asks })
    }

    fn order(&mut self, size: usize) -> Option<Scene> {
        let lexicon = self.cast.lexicon;
        let comparison = self.cast.pick(&self.rules.comparisons)?;
        let mut people: Vec<&Person> = Vec::new();
        for _ in 0..size {
            let with: Vec<usize> = people.iter().map(|person| group(*person)).collect();
            people.push(self.cast.draw(&lexicon.people, &people, &with)?);
        }
        let mut story = Vec::new();
        for (higher, lower) in people.iter().zip(people.iter().skip(1)) {
            let slots = [("a", higher.name.as_str()), ("more", &comparison.more), ("b", &lower.name)];
            story.push(self.tell(&self.relation.statements, &slots)?);
        }
        self.cast.shuffle(&mut story);
        let (top, bottom) = (people.first()?, people.last()?);
        let slots = [("most", comparison.most.as_str()), ("he", top.pronoun)];
        Some(Scene { story, asks: vec![ask(&slots, &top.name, vec![bottom.name.clone()])] })
    }

    fn agreement(&mut self, size: usize, turn: usize) -> Option<Scene> {
        let asks = match self.cast.side {
            Side::Evaluation(_) => vec![self.sentence(size, bit(turn, 1), bit(turn, 2))?],
            Side::Training => {
                let mut asks = Vec::new();
                for place in 0..SENTENCES {
                    let between = (turn / 4 + place) % (size + 1);
                    let (many, many_between) = (self.cast.toss(0.5), self.cast.toss(0.5));
                    asks.push(self.sentence(between, many, many_between)?);
                }
                asks
            }
        };
        Some(Scene { story: Vec::new(), asks })
    }

    /// A subject, `between` nouns after it, and the verb to choose; `many_last` is the number of the last of these nouns.
    fn sentence(&mut self, between: usize, many: bool, many_last: bool) -> Option<Ask> {
        let lexicon = self.cast.lexicon;
        let head = self.cast.draw(&lexicon.things, &[], &[])?;
        let phrases = match self.cast.side {
            Side::Training => &self.relation.phrases,
            Side::Evaluation(_) => &self.relation.held_phrases,
        };
        let mut places: Vec<&Noun> = Vec::new();
        let mut near = Vec::new();
        for left in (0..between).rev() {
            let place = self.cast.draw(&lexicon.places, &places, &[group(head)])?;
            places.push(place);
            let plural = if left == 0 { many_last } else { self.cast.toss(0.5) };
            let form = if plural { &place.many } else { &place.one };
            near.push(self.cast.pick(phrases)?.replace("{place}", form));
        }
        let [one, plural] = self.cast.pick(&self.rules.verbs)?;
        let (right, wrong) = if many { (plural, one) } else { (one, plural) };
        let subject = if many { &head.many } else { &head.one };
        let adjective = self.cast.pick(&self.rules.adjectives)?;
        let slots = [("head", subject.as_str()), ("near", &near.join(" ")), ("adjective", adjective)];
        Some(ask(&slots, right, vec![wrong.clone()]))
    }
}

fn group<T: super::cast::Grouped>(word: &T) -> usize {
    word.group()
}
