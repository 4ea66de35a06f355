//! Which text trains and which validates: explicit files, whole documents chosen by their content, or the tail of the
//! only document. Promises: no seed and no clock take part; both parts hold text.
//! Must not know: tokens.

use std::collections::HashSet;
use std::path::PathBuf;

use blake3::{Hash, Hasher};

use super::CORPUS_FORMAT;
use super::error::CorpusError;
use super::piece::{Division, Half, Piece};
use super::remarks::Remarks;
use super::source::{Sink, Source, sources};
use crate::core::texts::CorpusSettings;

/// The two parts of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Validation,
}

impl Part {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
        }
    }
}

/// How the texts are divided.
#[derive(Clone, Debug, PartialEq)]
enum Rule {
    /// The settings list the validation texts.
    Explicit,
    /// One flag per document: true is validation.
    Documents(Vec<bool>),
    /// The last share of the only document.
    Tail(f64),
}

/// The texts of a corpus, read once: what they are and how they are divided.
#[derive(Debug)]
pub(super) struct Texts {
    train: Vec<Source>,
    validation: Vec<Source>,
    field: String,
    rule: Rule,
    /// Hash of every document and of the split, not of paths and times.
    pub(super) content: Hash,
    /// UTF-8 bytes of all documents.
    pub(super) bytes: u64,
    /// What was seen on the way.
    pub(super) remarks: Remarks,
}

/// Hash of a document's text and its length, in reading order.
struct Digest {
    order: u64,
    content: [u8; 32],
}

impl Texts {
    /// Reads everything once to know contents and split. `progress` receives the bytes of text read and the bytes of all
    /// files.
    pub(super) fn scan(settings: &CorpusSettings, progress: &mut dyn FnMut(u64, u64)) -> Result<Self, CorpusError> {
        let mut remarks = Remarks::default();
        let train = sources(&settings.paths, &mut remarks)?;
        let validation = sources(&settings.validation, &mut remarks)?;
        let places: HashSet<PathBuf> = train.iter().map(Source::place).collect();
        if let Some(both) = validation.iter().map(Source::place).find(|place| places.contains(place)) {
            return Err(CorpusError::InBothParts(both));
        }
        let total = train.iter().chain(&validation).map(Source::size).sum();
        let mut read = 0;
        let mut hasher = Hasher::new();
        hasher.update(&CORPUS_FORMAT.to_le_bytes());
        let (mut digests, mut own) = (Vec::new(), Hasher::new());
        for source in &train {
            source.read(&settings.field, &mut remarks, &mut |piece| {
                read += piece.text.len() as u64;
                progress(read, total);
                if let Some(content) = hashed(&mut own, piece) {
                    digests.push(Digest { order: digests.len() as u64, content: *content.as_bytes() });
                    hasher.update(content.as_bytes());
                }
                Ok(())
            })?;
        }
        let empty = |part| CorpusError::Empty { part, paths: listed(settings) };
        if digests.is_empty() {
            return Err(empty("training"));
        }
        let rule = if validation.is_empty() {
            hasher.update(b"fraction").update(&settings.validation_fraction.to_le_bytes());
            divide(digests, settings.validation_fraction)?
        } else {
            hasher.update(b"explicit");
            Rule::Explicit
        };
        let mut documents = 0u64;
        for source in &validation {
            source.read(&settings.field, &mut remarks, &mut |piece| {
                read += piece.text.len() as u64;
                progress(read, total);
                if let Some(content) = hashed(&mut own, piece) {
                    documents += 1;
                    hasher.update(content.as_bytes());
                }
                Ok(())
            })?;
        }
        if rule == Rule::Explicit && documents == 0 {
            return Err(empty("validation"));
        }
        let (field, content) = (settings.field.clone(), hasher.finalize());
        Ok(Self { train, validation, field, rule, content, bytes: read, remarks })
    }

    /// Gives every document of both parts to `sink`, piece by piece: training texts in order, validation texts in order.
    pub(super) fn visit(
        &self,
        sink: &mut dyn FnMut(Part, Piece<'_>) -> Result<(), CorpusError>,
    ) -> Result<(), CorpusError> {
        let mut order = 0usize;
        // Only the one document of all texts is divided.
        let mut division = match self.rule {
            Rule::Tail(fraction) => Some(Division::new(self.bytes, fraction)),
            Rule::Explicit | Rule::Documents(_) => None,
        };
        self.each(&self.train, &mut |piece| {
            let place = order;
            order += usize::from(piece.ends);
            if let Some(division) = &mut division {
                return division.take(piece, &mut |half| match half {
                    Half::Head(head) => sink(Part::Train, head),
                    Half::Tail(tail) => sink(Part::Validation, tail),
                });
            }
            match &self.rule {
                Rule::Explicit | Rule::Tail(_) => sink(Part::Train, piece),
                Rule::Documents(held_out) => match held_out.get(place) {
                    Some(true) => sink(Part::Validation, piece),
                    Some(false) => sink(Part::Train, piece),
                    None => Err(CorpusError::Changed),
                },
            }
        })?;
        self.each(&self.validation, &mut |piece| sink(Part::Validation, piece))
    }

    fn each(&self, sources: &[Source], sink: &mut Sink) -> Result<(), CorpusError> {
        // What is to be remarked was counted by the first reading.
        sources.iter().try_for_each(|source| source.read(&self.field, &mut Remarks::default(), sink))
    }
}

/// The hash of the document that `piece` ends, if it does.
fn hashed(hasher: &mut Hasher, piece: Piece<'_>) -> Option<Hash> {
    hasher.update(piece.text.as_bytes());
    piece.ends.then(|| {
        let hash = hasher.finalize();
        hasher.reset();
        hash
    })
}

fn listed(settings: &CorpusSettings) -> String {
    let paths: Vec<String> =
        settings.paths.iter().chain(&settings.validation).map(|path| format!("`{path}`")).collect();
    if paths.is_empty() { "the settings (`corpus.paths` is empty)".to_owned() } else { paths.join(", ") }
}

/// The documents with the lowest hashes validate: which they are depends on their contents, their number on the share.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "document counts are far below 2^52"
)]
fn divide(mut digests: Vec<Digest>, fraction: f64) -> Result<Rule, CorpusError> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(CorpusError::Fraction(fraction));
    }
    if digests.len() == 1 {
        return Ok(Rule::Tail(fraction));
    }
    let count = ((digests.len() as f64 * fraction).round() as usize).clamp(1, digests.len() - 1);
    let mut held_out = vec![false; digests.len()];
    digests.sort_unstable_by_key(|digest| (digest.content, digest.order));
    for digest in digests.iter().take(count) {
        if let Some(flag) = held_out.get_mut(digest.order as usize) {
            *flag = true;
        }
    }
    Ok(Rule::Documents(held_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(count: u64) -> Vec<Digest> {
        (0..count).map(|order| Digest { order, content: *blake3::hash(&order.to_le_bytes()).as_bytes() }).collect()
    }

    #[test]
    fn at_least_one_document_on_each_side() {
        for (count, fraction, expected) in [(2, 0.01, 1), (2, 0.99, 1), (10, 0.1, 1), (100, 0.05, 5), (3, 0.9, 2)] {
            let Rule::Documents(flags) = divide(digests(count), fraction).unwrap() else { panic!("one document") };
            assert_eq!(flags.iter().filter(|held| **held).count(), expected);
        }
        assert_eq!(divide(digests(1), 0.1).unwrap(), Rule::Tail(0.1));
        for bad in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(divide(digests(4), bad).unwrap_err().to_string().contains("corpus.validation_fraction"));
        }
    }
}
