//! `dataset_path: world`: items of the shipped world instead of a file, an extension of the lm-evaluation-harness
//! vocabulary. Promises: the same options give the same items on every machine. Must not know: prompts, scores.

use serde_json::Value;

use super::EvalError;
use super::document::Document;
use super::settings::Setting;
use super::yaml::Yaml;
use std::collections::HashSet;

use crate::corpus::world::{Family, Item, World, items};

/// The only split of a generated data set.
pub(super) const SPLIT: &str = "test";

/// Which items of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorldItems {
    /// Skill.
    pub family: Family,
    /// Prompt wording, from 0.
    pub wording: usize,
    /// Difficulty, from 1.
    pub level: usize,
    /// Seed.
    pub seed: u64,
    /// How many.
    pub count: usize,
}

impl WorldItems {
    /// Reads `dataset_kwargs`.
    pub(super) fn read(options: &Setting) -> Result<Self, EvalError> {
        let (mut family, mut numbers) = (None, [None; 4]);
        for option in options.pairs()? {
            let place = match option.key.as_str() {
                "family" => {
                    family = Some(option.text()?.parse().map_err(|reason: String| option.error(reason))?);
                    continue;
                }
                "wording" => 0,
                "level" => 1,
                "seed" => 2,
                "count" => 3,
                other => return Err(option.error(format!("`{other}` of `dataset_kwargs` is not supported"))),
            };
            let Yaml::Integer(number) = option.node.value else { return Err(option.wrong("a whole number")) };
            let number = u64::try_from(number).map_err(|_| option.error(format!("`{}` is negative", option.key)))?;
            if let Some(slot) = numbers.get_mut(place) {
                *slot = Some(number);
            }
        }
        let (Some(family), [Some(wording), Some(level), Some(seed), Some(count)]) = (family, numbers) else {
            return Err(options.error("`dataset_kwargs` of the world needs family, wording, level, seed and count"));
        };
        let size = |number: u64| usize::try_from(number).map_err(|_| options.error(format!("{number} is too large")));
        Ok(Self { family, wording: size(wording)?, level: size(level)?, seed, count: size(count)? })
    }

    /// The items.
    pub(super) fn items(&self) -> Result<Vec<Item>, String> {
        items(self.family, self.wording, self.level, self.seed, self.count).map_err(|e| e.to_string())
    }

    /// [`Item::example`] of all items that these options ask under any wording; a wording that cannot tell so many is never
    /// asked for them.
    pub(super) fn examples_of_all_wordings(&self) -> Result<HashSet<u64>, String> {
        let world = World::shipped().map_err(|e| e.to_string())?;
        let of = |wording| world.items(self.family, wording, self.level, self.seed, self.count).unwrap_or_default();
        Ok((0..world.wordings(self.family)).flat_map(of).map(|item| item.example).collect())
    }

    /// The items as rows, with the columns of [`crate::corpus::world::Item`] and its story without the question.
    pub(super) fn documents(&self) -> Result<Vec<Document>, String> {
        let made = self.items()?;
        let row = |item: &Item| match serde_json::to_value(item) {
            Ok(Value::Object(mut row)) => {
                row.insert("story".to_owned(), Value::from(item.story()));
                Ok(row)
            }
            Ok(other) => Err(format!("an item of the world is no row: {other}")),
            Err(error) => Err(error.to_string()),
        };
        made.iter().map(row).collect()
    }
}
