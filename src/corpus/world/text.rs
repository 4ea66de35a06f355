//! Training documents: stories with closings, in training wordings, of facts that no evaluation item tells.
//! Promises: document i depends on the seed, the level and i alone. Must not know: tokens, the split.

use std::fmt;
use std::str::FromStr;

use rand::{Rng, RngExt};

use super::cast::{Cast, Side};
use super::family::Family;
use super::rules::{LEVELS, OPENER};
use super::scene::{Stage, fill};
use super::{World, refused, size};
use crate::core::seed::{Stream, generator};
use crate::corpus::error::CorpusError;

/// Share of documents that tell a second scene.
const SECOND_SCENE: f64 = 0.3;
/// Share of scenes that open with a sentence without a fact.
const FILLER: f64 = 0.1;
/// Closings of one scene, at least and at most: what can be asked is asked once, or twice in different words.
const CLOSINGS: (usize, usize) = (2, 3);

/// Which text: what may follow `shipped:world`, as in `world?seed=1&documents=20000&level=2`. Keys left out have the
/// values of [`WorldText::default`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorldText {
    /// Other seeds tell other documents of the same world.
    pub seed: u64,
    /// How many.
    pub documents: u64,
    /// The hardest level told; the levels below it are told as often.
    pub level: usize,
}

impl Default for WorldText {
    fn default() -> Self {
        Self { seed: 1, documents: 20_000, level: 2 }
    }
}

/// The name before the question mark.
const NAME: &str = "world";

impl FromStr for WorldText {
    type Err = CorpusError;

    fn from_str(text: &str) -> Result<Self, CorpusError> {
        if !Self::is_named(text) {
            return Err(refused(text, format!("the only world is `{NAME}`")));
        }
        let mut asked = Self::default();
        let (_, settings) = text.split_once('?').unwrap_or((text, ""));
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            let number: u64 = value.parse().map_err(|_| {
                refused(
                    text,
                    format!("`{setting}` is no setting; write it like `{NAME}?seed=1&documents=20000&level=2`"),
                )
            })?;
            match key {
                "seed" => asked.seed = number,
                "documents" => asked.documents = number,
                "level" => asked.level = usize::try_from(number).unwrap_or(usize::MAX),
                unknown => {
                    return Err(refused(text, format!("unknown key `{unknown}`; known are seed, documents, level")));
                }
            }
        }
        if !(1..=LEVELS).contains(&asked.level) {
            return Err(refused(text, format!("levels are 1 to {LEVELS}")));
        }
        if asked.documents == 0 {
            return Err(refused(text, "a text needs at least one document"));
        }
        Ok(asked)
    }
}

impl fmt::Display for WorldText {
    /// `world`, with the settings that are not the default ones.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Self::default();
        let level = (self.level as u64, usual.level as u64);
        let keys =
            [("seed", (self.seed, usual.seed)), ("documents", (self.documents, usual.documents)), ("level", level)];
        let other: Vec<String> = keys
            .iter()
            .filter(|(_, (own, usual))| own != usual)
            .map(|(key, (own, _))| format!("{key}={own}"))
            .collect();
        if other.is_empty() { f.write_str(NAME) } else { write!(f, "{NAME}?{}", other.join("&")) }
    }
}

impl WorldText {
    /// Whether `name`, what follows `shipped:`, asks for a text of the world.
    #[must_use]
    pub fn is_named(name: &str) -> bool {
        name.strip_prefix(NAME).is_some_and(|rest| rest.is_empty() || rest.starts_with('?'))
    }

    /// Gives every document to `sink`, in order.
    ///
    /// # Errors
    /// `sink` refuses a document, or the world's file has too few words.
    pub fn read(&self, sink: &mut dyn FnMut(&str) -> Result<(), CorpusError>) -> Result<(), CorpusError> {
        let world = World::shipped()?;
        (0..self.documents).try_for_each(|index| sink(&world.document(self, index)?))
    }

    /// Bytes of all documents.
    ///
    /// # Errors
    /// As for reading.
    pub fn size(&self) -> Result<u64, CorpusError> {
        let mut size = 0;
        self.read(&mut |document| {
            size += document.len() as u64;
            Ok(())
        })?;
        Ok(size)
    }
}

/// The first `count` documents of `text`, to look at.
///
/// # Errors
/// The world's file has too few words.
pub fn preview(text: &WorldText, count: u64) -> Result<Vec<String>, CorpusError> {
    let world = World::shipped()?;
    (0..count.min(text.documents)).map(|index| world.document(text, index)).collect()
}

impl World {
    fn document(&self, text: &WorldText, index: u64) -> Result<String, CorpusError> {
        let mut rng = generator(text.seed, Stream::World, index);
        let mut document = self.paragraph(&mut rng, text.level)?;
        if rng.random_bool(SECOND_SCENE) {
            document.push('\n');
            document.push_str(&self.paragraph(&mut rng, text.level)?);
        }
        Ok(document)
    }

    fn paragraph<R: Rng>(&self, rng: &mut R, level: usize) -> Result<String, CorpusError> {
        let family = self.family(rng)?;
        let skill = self.skill(family)?;
        let size = size(skill, rng.random_range(1..=level))?;
        let scarce = || refused(family, "its lists in the world file are too short");
        let mut sentences = Vec::new();
        let relation = skill.relations.get(rng.random_range(0..skill.relations.len())).ok_or_else(scarce)?;
        let turn = rng.random_range(0..1 << 16);
        let cast = Cast { lexicon: &self.lexicon, side: Side::Training, rng };
        let mut stage = Stage { rules: &self.rules, relation, cast };
        if stage.cast.toss(FILLER) {
            sentences.extend(stage.cast.pick(&self.rules.fillers).cloned());
        }
        let mut scene = stage.scene(family, size, turn).ok_or_else(scarce)?;
        sentences.append(&mut scene.story);
        stage.cast.shuffle(&mut scene.asks);
        let mut closings: Vec<&String> = relation.closings.iter().collect();
        stage.cast.shuffle(&mut closings);
        let count = scene.asks.len().clamp(CLOSINGS.0, CLOSINGS.1);
        for (ask, template) in scene.asks.iter().cycle().zip(closings.into_iter().cycle()).take(count) {
            let opener = stage.cast.pick(&self.rules.openers).cloned().ok_or_else(scarce)?;
            let slots = [ask.slots.as_slice(), &[(OPENER, opener)]].concat();
            sentences.push(fill(template, &slots).ok_or_else(scarce)?);
        }
        // An agreement sentence without a noun between leaves two blanks.
        Ok(sentences.join(" ").replace("  ", " "))
    }

    /// A family, as often as its share says.
    fn family<R: Rng>(&self, rng: &mut R) -> Result<Family, CorpusError> {
        let total: u32 = self.rules.families.values().map(|skill| skill.share).sum();
        let mut left = rng.random_range(0..total.max(1));
        for (family, skill) in &self.rules.families {
            if left < skill.share {
                return Ok(*family);
            }
            left -= skill.share;
        }
        Err(refused("the world", "every share is 0"))
    }
}
