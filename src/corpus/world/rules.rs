//! The world file: words and templates, typed and checked. Promises: what loads has every family, every list it needs, no
//! word twice, and only slots that its family fills. Must not know: how scenes are drawn.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::family::Family;

/// Difficulty levels, from 1.
pub const LEVELS: usize = 3;

/// Facts are told apart by groups: training joins words of different groups, items words of the same.
pub(super) const GROUPS: usize = 4;

const SHIPPED: &str = include_str!("../../../data/worlds/harbour.toml");

/// A world file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    pub(super) women: Vec<String>,
    pub(super) men: Vec<String>,
    pub(super) things: Vec<[String; 2]>,
    pub(super) places: Vec<[String; 2]>,
    pub(super) adjectives: Vec<String>,
    pub(super) numbers: Vec<String>,
    pub(super) verbs: Vec<[String; 2]>,
    pub(super) comparisons: Vec<Comparison>,
    pub(super) openers: Vec<String>,
    pub(super) fillers: Vec<String>,
    pub(super) families: BTreeMap<Family, Skill>,
}

/// The words of one dimension.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Comparison {
    pub(super) more: String,
    pub(super) most: String,
}

/// How a family is told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Skill {
    /// Weight among the families of the training text.
    pub(super) share: u32,
    /// Difficulty by level.
    pub(super) size: [usize; LEVELS],
    pub(super) relations: Vec<Relation>,
}

/// What a person is joined with in `reading`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Value {
    Thing,
    Place,
}

/// Templates that belong together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Relation {
    pub(super) value: Option<Value>,
    #[serde(default)]
    pub(super) statements: Vec<String>,
    #[serde(default)]
    pub(super) acts: Vec<String>,
    #[serde(default)]
    pub(super) refusals: Vec<String>,
    #[serde(default)]
    pub(super) phrases: Vec<String>,
    #[serde(default)]
    pub(super) held_phrases: Vec<String>,
    pub(super) closings: Vec<String>,
    pub(super) wordings: Vec<String>,
}

/// The slot that a wording ends with.
pub(super) const ANSWER: &str = "answer";
/// The slot of closings that any of the openers fills.
pub(super) const OPENER: &str = "opener";

/// Slots of one kind of template in one family; `None` if the family has no such templates.
type Slots<'s> = Option<&'s [&'static str]>;

/// What a family fills: statements, acts, refusals, phrases, and closings with wordings.
struct Shape {
    statements: Slots<'static>,
    acts: Slots<'static>,
    refusals: Slots<'static>,
    phrases: Slots<'static>,
    asks: &'static [&'static str],
}

const fn shape(family: Family) -> Shape {
    let none = Shape { statements: None, acts: None, refusals: None, phrases: None, asks: &[] };
    match family {
        Family::Reading => Shape { statements: Some(&["a", "b"]), asks: &["a", "he", ANSWER], ..none },
        Family::TwoHop => {
            Shape { statements: Some(&["a", "b"]), acts: Some(&["a", "place"]), asks: &["b", ANSWER], ..none }
        }
        Family::Copying => Shape { statements: Some(&["list"]), asks: &["list", "p", ANSWER], ..none },
        Family::Counting => Shape { statements: Some(&["list"]), asks: &[ANSWER], ..none },
        Family::Negation => {
            Shape { acts: Some(&["a", "b"]), refusals: Some(&["a", "b"]), asks: &["a", "he", ANSWER], ..none }
        }
        Family::Coreference => {
            Shape { statements: Some(&["a", "c"]), acts: Some(&["he", "b"]), asks: &["b", ANSWER], ..none }
        }
        Family::Order => Shape { statements: Some(&["a", "b", "more"]), asks: &["most", "he", ANSWER], ..none },
        Family::Agreement => Shape { phrases: Some(&["place"]), asks: &["head", "near", "adjective", ANSWER], ..none },
    }
}

impl Rules {
    /// The world in the binary.
    pub(super) fn shipped() -> Result<Self, String> {
        Self::read(SHIPPED)
    }

    /// The world that `text` describes.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let rules: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        rules.check_words()?;
        for family in Family::ALL {
            let skill = rules.families.get(&family).ok_or_else(|| format!("`families.{family}` is missing"))?;
            check_skill(family, skill)?;
        }
        Ok(rules)
    }

    fn check_words(&self) -> Result<(), String> {
        let most = self.families.values().flat_map(|skill| skill.size).max().unwrap_or(0);
        let lists = [
            ("women", self.women.len()),
            ("men", self.men.len()),
            ("things", self.things.len()),
            ("places", self.places.len()),
        ];
        if let Some((name, length)) = lists.iter().find(|(_, length)| length % GROUPS != 0 || *length == 0) {
            return Err(format!("`{name}` has {length} words; give a multiple of {GROUPS}, so that groups are equal"));
        }
        let small = [
            ("verbs", self.verbs.len()),
            ("comparisons", self.comparisons.len()),
            ("adjectives", self.adjectives.len()),
            ("openers", self.openers.len()),
        ];
        if let Some((name, _)) = small.iter().find(|(_, length)| *length == 0) {
            return Err(format!("`{name}` is empty"));
        }
        if self.numbers.len() < most {
            return Err(format!("`numbers` ends at {}; a size of {most} is asked for", self.numbers.len()));
        }
        let nouns = self.things.iter().chain(&self.places).flatten();
        let mut seen = BTreeSet::new();
        match self.women.iter().chain(&self.men).chain(nouns).find(|word| !seen.insert(word.as_str())) {
            Some(twice) => Err(format!("the word `{twice}` is there twice")),
            None => Ok(()),
        }
    }
}

fn check_skill(family: Family, skill: &Skill) -> Result<(), String> {
    let shape = shape(family);
    if skill.size.contains(&0) || skill.relations.is_empty() {
        return Err(format!("`families.{family}` needs sizes above 0 and at least one relation"));
    }
    let closings = [shape.asks, &[OPENER]].concat();
    for relation in &skill.relations {
        if relation.value.is_some() != (family == Family::Reading) {
            return Err(format!("`families.{family}`: `value` belongs to the relations of `reading`, and only there"));
        }
        for (name, templates, slots) in [
            ("statements", &relation.statements, shape.statements),
            ("acts", &relation.acts, shape.acts),
            ("refusals", &relation.refusals, shape.refusals),
            ("phrases", &relation.phrases, shape.phrases),
            ("held_phrases", &relation.held_phrases, shape.phrases),
            ("closings", &relation.closings, Some(closings.as_slice())),
            ("wordings", &relation.wordings, Some(shape.asks)),
        ] {
            check_templates(templates, slots).map_err(|said| format!("`families.{family}.{name}`: {said}"))?;
        }
        let end = format!("{{{ANSWER}}}");
        if let Some(bad) = relation.wordings.iter().find(|text| !text.ends_with(&end) || text.matches(&end).count() > 1)
        {
            return Err(format!("`families.{family}.wordings`: `{bad}` must end with {end} and hold it once"));
        }
    }
    Ok(())
}

fn check_templates(templates: &[String], slots: Slots<'_>) -> Result<(), String> {
    let Some(slots) = slots else {
        return if templates.is_empty() { Ok(()) } else { Err("this family uses none".to_owned()) };
    };
    if templates.is_empty() {
        return Err("at least one is needed".to_owned());
    }
    for template in templates {
        for slot in template.split('{').skip(1) {
            let name =
                slot.split_once('}').map(|(name, _)| name).ok_or_else(|| format!("`{template}`: a brace is open"))?;
            if !slots.contains(&name) {
                return Err(format!("`{template}` has a slot {{{name}}}; known are {}", slots.join(", ")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(from: &str, to: &str) -> String {
        assert!(SHIPPED.contains(from), "{from}");
        Rules::read(&SHIPPED.replacen(from, to, 1)).unwrap_err()
    }

    #[test]
    fn mistakes_in_a_world_file_are_named() {
        assert!(Rules::shipped().is_ok());
        let has = |said: String, part: &str| assert!(said.contains(part), "`{said}` lacks `{part}`");
        has(refused("women =", "ladies ="), "unknown field `ladies`");
        has(refused("share = 3", "weight = 3"), "unknown field `weight`");
        has(refused("\"Ada\", ", ""), "`women` has 11 words");
        has(refused("\"Ada\"", "\"Abel\""), "`Abel` is there twice");
        has(Rules::read(&SHIPPED.replace("families.order", "families.ordre")).unwrap_err(), "ordre");
        has(refused("{a} still has", "{z} still has"), "slot {z}; known are a, he, answer, opener");
        has(refused("In the end {a}", "{opener} {a}"), "slot {opener}; known are a, he, answer");
        has(refused("In the end {a} has the {answer}", "In the end {a}"), "must end with {answer}");
        has(refused("refusals = [", "held_phrases = ["), "refusals`: at least one");
        has(refused(", \"six\"]", "]"), "`numbers` ends at 5; a size of 6");
    }
}
