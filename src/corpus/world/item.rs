//! Evaluation items: a story of facts that no training text tells, closed by a wording that no training text has.
//! Promises: answers are balanced over the places of the choices and of the story; items of one call differ.
//! Must not know: models, scores.

use std::collections::BTreeSet;

use rand::RngExt;
use serde::Serialize;

use super::cast::{Cast, Side};
use super::family::Family;
use super::rules::{ANSWER, GROUPS};
use super::scene::{Ask, Scene, Stage, fill};
use super::{World, refused, size};
use crate::core::seed::{Stream, generator, index_of};
use crate::corpus::error::CorpusError;

/// Choices of an item at most.
const CHOICES: usize = 4;

/// Items in which the answer takes every place equally often, for two, three and four choices; then a scene's turn ends.
const ROUND: usize = 12;

/// Draws for one item before the world counts as exhausted.
const ATTEMPTS: usize = 200;

/// One multiple-choice question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Skill.
    pub family: Family,
    /// Which prompt wording, from 0.
    pub wording: usize,
    /// Difficulty, from 1.
    pub level: usize,
    /// All that is read before the choice: story, blank, question.
    pub context: String,
    /// Its end: what is asked of the story.
    pub question: String,
    /// What may follow, each after a blank.
    pub choices: Vec<String>,
    /// Which of them is right, from 0.
    pub answer: usize,
    /// A number of what is told and asked, whatever the wording: items that share it are one item under several prompts.
    #[serde(skip)]
    pub example: u64,
}

impl Item {
    /// Its context without the question.
    #[must_use]
    pub fn story(&self) -> &str {
        self.context.strip_suffix(&self.question).unwrap_or(&self.context).trim_end()
    }
}

/// `count` different items of the shipped world.
///
/// # Errors
/// The wording or the level does not exist, or the world cannot tell that many different items.
pub fn items(family: Family, wording: usize, level: usize, seed: u64, count: usize) -> Result<Vec<Item>, CorpusError> {
    World::shipped()?.items(family, wording, level, seed, count)
}

impl World {
    /// `count` different items.
    ///
    /// # Errors
    /// The wording or the level does not exist, or the world cannot tell that many different items.
    pub fn items(
        &self,
        family: Family,
        wording: usize,
        level: usize,
        seed: u64,
        count: usize,
    ) -> Result<Vec<Item>, CorpusError> {
        let skill = self.skill(family)?;
        let size = size(skill, level)?;
        let (relation, template) = self.wording(family, wording)?;
        let mut told = BTreeSet::new();
        let mut items = Vec::with_capacity(count);
        for number in 0..count {
            let mut attempts = 0..ATTEMPTS;
            let fresh = attempts.find_map(|attempt| {
                let index = index_of(&format!("{family} {wording} {level} {number} {attempt}"));
                let mut rng = generator(seed, Stream::Items, index);
                let side = Side::Evaluation(rng.random_range(0..GROUPS));
                let cast = Cast { lexicon: &self.lexicon, side, rng: &mut rng };
                let mut stage = Stage { rules: &self.rules, relation, cast };
                let scene = stage.scene(family, size, number / ROUND)?;
                let (context, question, ask) = worded(&scene, template)?;
                let choices = 1 + ask.others.len().min(CHOICES - 1);
                let mut others = ask.others.iter().take(CHOICES - 1).cloned();
                let answer = number % choices;
                let choices = (0..choices)
                    .map(|place| if place == answer { Some(ask.answer.clone()) } else { others.next() })
                    .collect::<Option<Vec<_>>>()?;
                told.insert(context.clone()).then_some(Item {
                    family,
                    wording,
                    level,
                    context,
                    question,
                    choices,
                    answer,
                    example: example(&scene.story, ask),
                })
            });
            let scarce = || refused(family, format!("wording {wording} at level {level} has only {number} items"));
            items.push(fresh.ok_or_else(scarce)?);
        }
        Ok(items)
    }
}

/// The number of a story as it was before a wording added to it, of what fills the wording, and of all that could be chosen.
fn example(story: &[String], ask: &Ask) -> u64 {
    let filled = ask.slots.iter().map(|(name, value)| format!("{name}: {value}"));
    let told = story.iter().cloned().chain(filled).collect::<Vec<_>>().join("\n");
    let choices: BTreeSet<&str> = ask.others.iter().chain([&ask.answer]).map(String::as_str).collect();
    let choices = choices.into_iter().collect::<Vec<_>>().join("\n");
    index_of(&[told.as_str(), &ask.answer, &choices].join("\n\n"))
}

/// Story with question, the question, and what was asked.
fn worded<'s>(scene: &'s Scene, template: &str) -> Option<(String, String, &'s Ask)> {
    let ask = scene.asks.first()?;
    let (before, question) = template.split_once(" | ").unwrap_or(("", template));
    let mut story = scene.story.clone();
    if !before.is_empty() {
        story.push(fill(before, &ask.slots)?);
    }
    let prompt = question.strip_suffix(&format!("{{{ANSWER}}}"))?.trim_end();
    let filled = fill(prompt, &ask.slots)?;
    // A question that goes on with the story's last sentence begins small.
    let question = if before.is_empty() { filled } else { lower_first(&filled) };
    Some((format!("{} {question}", story.join(" ")), question, ask))
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
