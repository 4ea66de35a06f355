//! Python's `re.sub` for templates.
//! Promises: patterns, matches and what is made of them have limits, and are paid for with the steps of the template.
//! Must not know: tasks.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use fancy_regex::{Captures, Regex, RegexBuilder};
use minijinja::value::Kwargs;
use minijinja::{Error, ErrorKind, State};

use super::prompt::LARGEST_TEXT;

/// Bytes of a pattern.
const LARGEST_PATTERN: usize = 4 << 10;

/// Wrong turns that the search for one match may take.
const BACKTRACKS: usize = 1_000_000;

/// Bytes of a compiled pattern.
const COMPILED: usize = 4 << 20;

/// Compiled patterns that are kept: those of a task are the same for each document.
const KEPT: usize = 16;

/// Steps of the template for a compiled pattern, and for a match.
const COMPILATION_FUEL: u64 = 10_000;
const MATCH_FUEL: u64 = 16;

/// The regular expression `pattern`, within the limits; in words why not.
pub(super) fn compiled(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > LARGEST_PATTERN {
        return Err(format!("the pattern has {} bytes, and at most {LARGEST_PATTERN} are read", pattern.len()));
    }
    let mut builder = RegexBuilder::new(pattern);
    builder.backtrack_limit(BACKTRACKS).delegate_size_limit(COMPILED);
    builder.build().map_err(|error| error.to_string())
}

/// Substitutions of the templates of a task.
#[derive(Default)]
pub(super) struct Substitutions {
    kept: Mutex<HashMap<String, Regex>>,
}

impl Substitutions {
    /// `re.sub(pattern, replacement, text, count)` of the three texts text, pattern, replacement; count 0 replaces all.
    pub(super) fn replace(
        &self,
        state: &State<'_, '_>,
        [text, pattern, replacement]: [&str; 3],
        count: Option<usize>,
        options: &Kwargs,
    ) -> Result<String, Error> {
        let failed = |e: String| Error::new(ErrorKind::InvalidOperation, format!("regex_replace: {e}"));
        let count = count.or(options.get("count")?).unwrap_or(0);
        options.assert_all_used()?;
        let regex = self.regex(state, pattern)?;
        let parts = replacement_parts(replacement).map_err(failed)?;
        state.consume_fuel(text.len() as u64 / 16)?;
        let (mut out, mut rest_from) = (String::new(), 0);
        for (place, found) in regex.captures_iter(text).enumerate() {
            if count > 0 && place >= count {
                break;
            }
            let found = found.map_err(|e| failed(e.to_string()))?;
            state.consume_fuel(MATCH_FUEL)?;
            let Some(whole) = found.get(0) else { continue };
            out.push_str(text.get(rest_from..whole.start()).unwrap_or(""));
            parts.iter().for_each(|part| out.push_str(part.of(&found)));
            rest_from = whole.end();
            if out.len() > LARGEST_TEXT {
                return Err(failed(format!("it makes more than {LARGEST_TEXT} bytes of text")));
            }
        }
        out.push_str(text.get(rest_from..).unwrap_or(""));
        Ok(out)
    }

    fn regex(&self, state: &State<'_, '_>, pattern: &str) -> Result<Regex, Error> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(regex) = kept.get(pattern) {
            return Ok(regex.clone());
        }
        state.consume_fuel(COMPILATION_FUEL)?;
        let failed = |e| Error::new(ErrorKind::InvalidOperation, format!("regex_replace: {e}"));
        let regex = compiled(pattern).map_err(failed)?;
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(pattern.to_owned(), regex.clone());
        Ok(regex)
    }
}

/// A piece of a Python replacement.
enum Part {
    Text(String),
    Group(String),
}

impl Part {
    fn of<'t>(&'t self, found: &Captures<'t>) -> &'t str {
        match self {
            Self::Text(text) => text,
            Self::Group(name) => {
                let group = name.parse().map_or_else(|_| found.name(name), |number| found.get(number));
                group.map_or("", |group| group.as_str())
            }
        }
    }
}

/// `\1`, `\g<name>`, `\n` and `\\` as Python reads them.
fn replacement_parts(replacement: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = replacement;
    while let Some((before, after)) = rest.split_once('\\') {
        parts.push(Part::Text(before.to_owned()));
        let digits = after.bytes().take(2).take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            let (number, tail) = after.split_at_checked(digits).unwrap_or((after, ""));
            parts.push(Part::Group(number.to_owned()));
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix("g<").and_then(|after| after.split_once('>')) {
            parts.push(Part::Group(name.to_owned()));
            rest = tail;
        } else {
            let text = match after.chars().next() {
                Some('n') => "\n",
                Some('t') => "\t",
                Some('\\') => "\\",
                other => return Err(format!("`\\{}` in a replacement is not known", other.unwrap_or(' '))),
            };
            parts.push(Part::Text(text.to_owned()));
            rest = after.get(1..).unwrap_or("");
        }
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_a_size_and_a_number_of_wrong_turns() {
        assert!(compiled(&"a".repeat(5000)).unwrap_err().starts_with("the pattern has 5000 bytes"));
        assert!(compiled("(?:(?:a{100}){100}){100}").is_err());
        let exploding = compiled("(?i)(a|b|ab)*(?>c)").unwrap();
        assert!(exploding.is_match(&"ab".repeat(50)).is_err());
        assert!(compiled(&"(".repeat(4000)).is_err());
    }
}
