//! The paths that a person types into the form: relative to the folder where the dashboard was started, completed by Tab.
//! Promises: no relative path leaves the form, because the server works in another folder. Must not know: how folders are
//! listed.

use std::path::Path;

use crate::config::paths;
use crate::core::study::StudySpec;
use crate::core::texts::TokenizerSpec;

use super::complete_path::split;
use super::form::{Field, Form};
use super::text_field::TextField;

impl Form {
    /// The study that the fields ask for, with the paths that are typed seen from the folder `here`.
    ///
    /// # Errors
    /// The field that cannot be read, and why.
    pub fn study_from(&self, here: &Path) -> Result<StudySpec, (Field, String)> {
        let mut study = self.study()?;
        let whole = |field: Field, path: &str| {
            let path = paths::absolute_text(path, here);
            let lost = !Path::new(&path).is_absolute() && !path.starts_with("shipped:");
            let reason =
                || format!("`{path}` starts at the working directory, which is gone: type the path from `/` or `~`");
            if lost { Err((field, reason())) } else { Ok(path) }
        };
        if self.corpus_name().is_none() {
            let typed = study.corpus.paths.iter().map(|path| whole(Field::CorpusPath, path));
            study.corpus.paths = typed.collect::<Result<_, _>>()?;
        }
        if let TokenizerSpec::File(path) = &study.corpus.tokenizer {
            let path = whole(Field::Tokenizer, &path.to_string_lossy())?;
            study.corpus.tokenizer = TokenizerSpec::File(path.into());
        }
        Ok(study)
    }

    /// The texts that are typed, or the chosen corpus.
    pub(super) fn corpus_paths(&self) -> Result<Vec<String>, String> {
        if let Some(name) = self.corpus_name() {
            return Ok(vec![name.to_owned()]);
        }
        let typed = self.text(Field::CorpusPath).map(TextField::text).unwrap_or_default();
        match split(&typed) {
            paths if paths.is_empty() => Err("type the path of a text, or choose a corpus".to_owned()),
            paths => Ok(paths),
        }
    }

    /// What stands before the cursor of a field with the focus that holds a path.
    pub(super) fn path_before(&self) -> Option<&str> {
        let text = self.text(self.focus)?;
        let is_path = match self.focus {
            Field::CorpusPath => true,
            // A word of its own is no path.
            Field::Tokenizer => !matches!(
                text.text().trim().parse(),
                Ok(TokenizerSpec::Bytes | TokenizerSpec::Chars | TokenizerSpec::Bpe(_))
            ),
            Field::Name
            | Field::Architecture(_)
            | Field::Objective(_)
            | Field::Lineages
            | Field::Seeds
            | Field::Preset
            | Field::DModel
            | Field::NumLayers
            | Field::NumHeads
            | Field::HeadDim
            | Field::Family
            | Field::Positions
            | Field::Looks
            | Field::SeqLen
            | Field::BatchSize
            | Field::LearningRate
            | Field::BudgetKind
            | Field::BudgetAmount
            | Field::Corpus => false,
        };
        is_path.then(|| text.halves().0)
    }

    /// Put `text` in place of `typed` before the cursor.
    pub(super) fn complete(&mut self, typed: &str, text: &str) {
        self.edit(|field| field.replace_before(typed, text));
    }

    /// Show what the path can become.
    pub(super) fn offer(&mut self, choices: Vec<String>) {
        self.offered = choices;
    }

    /// Show why the path cannot become anything.
    pub(super) fn tell(&mut self, reason: String) {
        self.error = Some((self.focus, reason));
    }

    /// Whether all that can be said of the path stands there already.
    pub(super) fn has_told(&self) -> bool {
        !self.offered.is_empty() || self.error.as_ref().is_some_and(|(field, _)| *field == self.focus)
    }
}
