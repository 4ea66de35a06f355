//! What a person should know of texts that were read: what was passed over, and what was not as it should be. Counted while they
//! are read, told in a few lines. Must not know: where the lines are shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Counts, by what they are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Remarks {
    /// Files of a folder that are no texts, by their endings.
    passed_over: BTreeMap<PathBuf, BTreeMap<String, u64>>,
    /// Lines with half of a surrogate pair, and the first of them.
    halved: u64,
    first_halved: Option<(PathBuf, u64)>,
}

/// Endings of compressed files, which say nothing of what is inside; the one before does.
const COMPRESSED: [&str; 6] = ["gz", "zst", "bz2", "xz", "zip", "lz4"];

/// Endings that are named; further ones are counted.
const NAMED: usize = 6;

impl Remarks {
    /// A file below the folder `top` is no text.
    pub(super) fn passed_over(&mut self, top: &Path, file: &Path, regular: bool) {
        let ending = if regular { ending(file) } else { "not a regular file".to_owned() };
        *self.passed_over.entry(top.to_path_buf()).or_default().entry(ending).or_default() += 1;
    }

    /// A line held half of a surrogate pair.
    pub(super) fn halved(&mut self, file: &Path, line: u64) {
        self.halved += 1;
        self.first_halved.get_or_insert_with(|| (file.to_path_buf(), line));
    }

    /// Takes over what `other` counted.
    pub(super) fn add(&mut self, other: Self) {
        for (top, endings) in other.passed_over {
            let own = self.passed_over.entry(top).or_default();
            for (ending, count) in endings {
                *own.entry(ending).or_default() += count;
            }
        }
        self.halved += other.halved;
        self.first_halved = self.first_halved.take().or(other.first_halved);
    }

    /// What was passed over in all folders: `4 .jsonl.gz, 1 .md`; empty if nothing was.
    pub(super) fn others(&self) -> String {
        self.passed_over.values().map(listed).collect::<Vec<_>>().join(", ")
    }

    /// All of it, a sentence a line.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (top, endings) in &self.passed_over {
            let count: u64 = endings.values().sum();
            let files = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
            let compressed = |ending: &String| COMPRESSED.iter().any(|known| ending.ends_with(&format!(".{known}")));
            let cure = if endings.keys().any(compressed) { "; decompress what should be read" } else { "" };
            lines.push(format!(
                "{files} in `{}` {} not read, because only .txt and .jsonl are: {}{cure}",
                top.display(),
                if count == 1 { "is" } else { "are" },
                listed(endings)
            ));
        }
        if let Some((file, line)) = &self.first_halved {
            lines.push(format!(
                "{} held half of a character (a lone surrogate such as \\ud83d), read as U+FFFD; the first is line {line} of \
                 `{}`",
                if self.halved == 1 { "1 line".to_owned() } else { format!("{} lines", self.halved) },
                file.display()
            ));
        }
        lines
    }
}

fn listed(endings: &BTreeMap<String, u64>) -> String {
    let mut sorted: Vec<(&String, &u64)> = endings.iter().collect();
    sorted.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
    let rest: u64 = sorted.iter().skip(NAMED).map(|(_, count)| **count).sum();
    let mut parts: Vec<String> = sorted.iter().take(NAMED).map(|(ending, count)| format!("{count} {ending}")).collect();
    if rest > 0 {
        parts.push(format!("{rest} others"));
    }
    parts.join(", ")
}

/// `.md`, `.jsonl.gz`, or words for a name without an ending.
fn ending(file: &Path) -> String {
    let last = |path: &Path| path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match last(file) {
        None => "without an ending".to_owned(),
        Some(end) if COMPRESSED.contains(&end.as_str()) => {
            let inner = file.file_stem().and_then(|stem| last(Path::new(stem)));
            inner.map_or_else(|| format!(".{end}"), |inner| format!(".{inner}.{end}"))
        }
        Some(end) => format!(".{end}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_counted_the_most_frequent_first() {
        let mut remarks = Remarks::default();
        for name in ["b.jsonl.gz", "c.jsonl.GZ", "README", "d.md", "archive.zip"] {
            remarks.passed_over(Path::new("d"), &Path::new("d/x").join(name), true);
        }
        remarks.passed_over(Path::new("e"), Path::new("e/x.txt"), false);
        assert_eq!(
            remarks.lines(),
            [
                "5 files in `d` are not read, because only .txt and .jsonl are: 2 .jsonl.gz, 1 .md, 1 .zip, 1 without an \
                 ending; decompress what should be read",
                "1 file in `e` is not read, because only .txt and .jsonl are: 1 not a regular file"
            ]
        );
    }

    #[test]
    fn halves_are_counted_by_line() {
        let mut remarks = Remarks::default();
        remarks.halved(Path::new("a.jsonl"), 9);
        let mut others = Remarks::default();
        others.halved(Path::new("b.jsonl"), 2);
        remarks.add(others);
        let said = remarks.lines().concat();
        assert!(said.starts_with("2 lines held half of a character (a lone surrogate such as \\ud83d)"), "{said}");
        assert!(said.ends_with("line 9 of `a.jsonl`"), "{said}");
    }
}
