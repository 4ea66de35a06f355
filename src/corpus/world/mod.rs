//! The shipped world: a generator of short plain-English documents that rehearse eight skills, and of evaluation items
//! whose facts and wordings are in no training text. Promises: the same text and the same items for the same seed on
//! every machine. Must not know: tokens, models, task files.

mod cast;
mod family;
mod item;
mod rules;
mod scene;
mod text;
#[cfg(test)]
mod tests;

use std::fmt;

use super::error::CorpusError;
use cast::Lexicon;
pub use family::Family;
pub use item::{Item, items};
pub use rules::LEVELS;
use rules::{Relation, Rules, Skill};
pub use text::{WorldText, preview};

/// The world of one file.
#[derive(Debug)]
pub struct World {
    rules: Rules,
    lexicon: Lexicon,
}

impl World {
    /// The world in the binary.
    ///
    /// # Errors
    /// Its file is broken; only a change of the file can cause this.
    pub fn shipped() -> Result<Self, CorpusError> {
        let rules = Rules::shipped().map_err(|said| refused("data/worlds/harbour.toml", said))?;
        Ok(Self { lexicon: Lexicon::new(&rules), rules })
    }

    /// How many prompt wordings `family` has.
    #[must_use]
    pub fn wordings(&self, family: Family) -> usize {
        self.skill(family).map_or(0, |skill| skill.relations.iter().map(|relation| relation.wordings.len()).sum())
    }

    fn skill(&self, family: Family) -> Result<&Skill, CorpusError> {
        self.rules.families.get(&family).ok_or_else(|| refused(family, "the world file does not tell it"))
    }

    /// The templates that wording `index` of `family` belongs to, and the wording.
    fn wording(&self, family: Family, index: usize) -> Result<(&Relation, &str), CorpusError> {
        let known = self.skill(family)?.relations.iter();
        let mut all = known.flat_map(|relation| relation.wordings.iter().map(move |text| (relation, text.as_str())));
        let count = self.wordings(family);
        all.nth(index).ok_or_else(|| refused(family, format!("it has wordings 0 to {}, not {index}", count - 1)))
    }
}

/// The error of something in the world that cannot be.
fn refused(name: impl fmt::Display, message: impl Into<String>) -> CorpusError {
    CorpusError::World { name: name.to_string(), message: message.into() }
}

/// The size of `skill` at `level`.
fn size(skill: &Skill, level: usize) -> Result<usize, CorpusError> {
    let found = level.checked_sub(1).and_then(|place| skill.size.get(place)).copied();
    found.ok_or_else(|| refused(format!("level {level}"), format!("levels are 1 to {LEVELS}")))
}
