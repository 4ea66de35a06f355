//! JSON objects as other people's files hold them, read column by column: what Python's `json` writes and reads beyond
//! the standard (NaN, Infinity, half of a surrogate pair) spoils at most the column that it stands in.
//! Promises: a column that nobody asks for is only skipped; what was changed to be readable is counted.
//! Must not know: files, lines.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Why a text is not a JSON object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON.
    #[error("broken JSON at column {column}: {message}")]
    Broken {
        /// Byte of the line, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// It is JSON of another kind.
    #[error("it is JSON but not an object")]
    NotAnObject,
}

/// What an object holds in one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// A text.
    Text(String),
    /// Something else.
    NoText,
    /// There is no such column; these are the object's.
    Missing(Vec<String>),
}

/// All columns of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// Those with a value that JSON can hold.
    pub readable: Map<String, Value>,
    /// The others, each with the reason.
    pub unreadable: Vec<(String, &'static str)>,
    /// Halves of surrogate pairs that became U+FFFD.
    pub halves: usize,
}

/// The text in the column `name` of `object`, and how many halves of surrogate pairs became U+FFFD in the object. Of columns
/// with the same name the last counts, as in Python.
///
/// # Errors
/// `object` is not JSON, or not an object.
pub fn column(object: &str, name: &str) -> Result<(Column, usize), JsonError> {
    read(object, |text| {
        let raw = visit(text, Named(name))?;
        let value =
            raw.filter(|raw| raw.get().starts_with('"')).map(|raw| serde_json::from_str(raw.get())).transpose()?;
        Ok(match (raw, value) {
            (_, Some(value)) => Column::Text(value),
            (Some(_), None) => Column::NoText,
            (None, None) => Column::Missing(visit(text, All)?.into_iter().map(|(name, _)| name).collect()),
        })
    })
}

/// All columns of `object`.
///
/// # Errors
/// `object` is not JSON, or not an object.
pub fn columns(object: &str) -> Result<Columns, JsonError> {
    let (mut columns, halves) = read(object, |text| {
        let mut columns = Columns::default();
        for (name, raw) in visit(text, All)? {
            columns.unreadable.retain(|(other, _)| *other != name);
            columns.readable.remove(&name);
            match serde_json::from_str(raw.get()) {
                Ok(value) => _ = columns.readable.insert(name, value),
                Err(error) if error.to_string().starts_with("number out of range") => {
                    columns.unreadable.push((name, "it holds a number that is infinite, not a number, or too large"));
                }
                Err(error) if error.to_string().starts_with("recursion limit") => {
                    columns.unreadable.push((name, "it is nested too deeply"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(columns)
    })?;
    columns.halves = halves;
    Ok(columns)
}

/// The member `name` of `object`, as it is written; `None` if there is none.
///
/// # Errors
/// `object` is not JSON, or not an object.
pub fn member(object: &str, name: &str) -> Result<Option<String>, JsonError> {
    let found = read(object, |text| Ok(visit(text, Named(name))?.map(|raw| raw.get().to_owned())))?;
    Ok(found.0)
}

/// The elements of `list`, as they are written; `None` if it is no list.
///
/// # Errors
/// `list` is not JSON.
pub fn elements(list: &str) -> Result<Option<Vec<String>>, JsonError> {
    if !list.trim_start().starts_with('[') {
        return Ok(None);
    }
    let found = read(list, |text| {
        let raw: Vec<&RawValue> = serde_json::from_str(text)?;
        Ok(raw.into_iter().map(|raw| raw.get().to_owned()).collect())
    })?;
    Ok(Some(found.0))
}

/// Reads `object` as it is or, where that fails, as Python would; the number of halves of surrogate pairs.
fn read<T>(object: &str, parse: impl Fn(&str) -> Result<T, serde_json::Error>) -> Result<(T, usize), JsonError> {
    let error = match parse(object) {
        Ok(value) => return Ok((value, 0)),
        Err(error) => error,
    };
    let (mended, halves) = mended(object);
    parse(&mended).map(|value| (value, halves)).map_err(|_| {
        if error.is_data() {
            return JsonError::NotAnObject;
        }
        let message = error.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        let line = if error.line() > 1 { format!(" (line {} of the text)", error.line()) } else { String::new() };
        JsonError::Broken { column: error.column(), message: format!("{message}{line}") }
    })
}

fn visit<'t, V: Visitor<'t>>(text: &'t str, visitor: V) -> Result<V::Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = deserializer.deserialize_map(visitor)?;
    deserializer.end()?;
    Ok(value)
}

/// One column as it is written.
struct Named<'n>(&'n str);

impl<'t> Visitor<'t> for Named<'_> {
    type Value = Option<&'t RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<String>()? {
            if name == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Every column as it is written, in order.
struct All;

impl<'t> Visitor<'t> for All {
    type Value = Vec<(String, &'t RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(entry) = map.next_entry()? {
            found.push(entry);
        }
        Ok(found)
    }
}

/// `text` as standard JSON: what Python writes for numbers that JSON does not have becomes a number out of range, and half of a
/// surrogate pair becomes U+FFFD. The number of halves.
fn mended(text: &str) -> (String, usize) {
    let (mut out, mut halves, mut within) = (String::with_capacity(text.len()), 0, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (written, taken) = match c {
            '"' => {
                within = !within;
                ("\"", 1)
            }
            '\\' if within => match (surrogate(rest), rest.get(6..).and_then(surrogate)) {
                (Some(Half::Leading), Some(Half::Trailing)) => (rest.get(..12).unwrap_or(rest), 12),
                (Some(Half::Leading | Half::Trailing), _) => {
                    halves += 1;
                    ("\\ufffd", 6)
                }
                (None, _) => {
                    let escaped = rest.chars().nth(1).map_or(0, char::len_utf8);
                    (rest.get(..1 + escaped).unwrap_or(rest), 1 + escaped)
                }
            },
            'N' if !within && rest.starts_with("NaN") => ("1e999", 3),
            'I' if !within && rest.starts_with("Infinity") => ("1e999", 8),
            _ => (rest.get(..c.len_utf8()).unwrap_or(rest), c.len_utf8()),
        };
        out.push_str(written);
        rest = rest.get(taken..).unwrap_or("");
    }
    (out, halves)
}

/// Half of a UTF-16 surrogate pair.
enum Half {
    Leading,
    Trailing,
}

/// The half that the escape at the beginning of `text` stands for.
fn surrogate(text: &str) -> Option<Half> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xd800..=0xdbff => Some(Half::Leading),
        0xdc00..=0xdfff => Some(Half::Trailing),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(object: &str) -> (Column, usize) {
        column(object, "t").unwrap()
    }

    #[test]
    fn other_columns_may_hold_what_python_writes() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        for other in
            ["NaN", "-Infinity", "[1, Infinity]", "1e999", "-1E+400", "\"\\ud83d\"", "{\"\\udea2\": NaN}", &deep]
        {
            let (found, _) = text(&format!("{{\"o\": {other}, \"t\": \"NaN \\\" Infinity\", \"p\": {other}}}"));
            assert_eq!(found, Column::Text("NaN \" Infinity".to_owned()), "{other}");
        }
        assert_eq!(text("{\"t\": \"a\", \"t\": \"b\"}"), (Column::Text("b".to_owned()), 0), "the last, as in Python");
        assert_eq!(text("{\"t\": [\"a\"]}").0, Column::NoText);
        assert_eq!(text("{\"a\": NaN, \"b\": 1}").0, Column::Missing(vec!["a".to_owned(), "b".to_owned()]));
    }

    /// The right sides are what Python 3 prints for `json.loads(…)["t"].encode("utf-8", "replace")`, with U+FFFD for `?`.
    #[test]
    fn half_a_pair_is_one_replacement_character() {
        let cases = [
            ("boat \\ud83d\\udea2 ahoy", "boat 🚢 ahoy", 0),
            ("boat \\ud83d ahoy", "boat \u{fffd} ahoy", 1),
            ("boat \\udea2 ahoy", "boat \u{fffd} ahoy", 1),
            ("cut \\uD83D", "cut \u{fffd}", 1),
            ("\\ud83d\\ud83d\\udea2", "\u{fffd}🚢", 1),
            ("\\ud83dA\\n", "\u{fffd}A\n", 1),
            ("\\\\ud83d", "\\ud83d", 0),
            ("\\\\\\ud83d é", "\\\u{fffd} é", 1),
        ];
        for (written, read, halves) in cases {
            assert_eq!(
                text(&format!("{{\"t\": \"{written}\"}}")),
                (Column::Text(read.to_owned()), halves),
                "{written}"
            );
        }
    }

    #[test]
    fn columns_are_read_one_by_one() {
        let found =
            columns("{\"a\": [1, \"\\ud83d\"], \"b\": NaN, \"c\": {\"d\": 1e999}, \"e\": null, \"b\": Infinity}")
                .unwrap();
        assert_eq!(Value::Object(found.readable), json!({"a": [1, "\u{fffd}"], "e": null}));
        assert_eq!(found.unreadable.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["c", "b"]);
        assert_eq!(found.halves, 1);
        let deep = columns(&format!("{{\"d\": {}{}}}", "[".repeat(500), "]".repeat(500))).unwrap();
        assert_eq!(deep.unreadable, [("d".to_owned(), "it is nested too deeply")]);
    }

    #[test]
    fn lists_and_members_are_read_one_by_one() {
        let rows = elements(" [{\"a\": NaN, \"b\": 1},\n{\"b\": \"\\ud83d\"}, 3]").unwrap().unwrap();
        assert_eq!(rows.len(), 3);
        assert_eq!(columns(&rows[0]).unwrap().unreadable.len(), 1);
        assert_eq!(columns(&rows[1]).unwrap().readable["b"], "\u{fffd}");
        assert_eq!(columns(&rows[2]), Err(JsonError::NotAnObject));
        assert_eq!(elements("{}").unwrap(), None);
        assert_eq!(member("{\"v\": Infinity, \"rows\": [1, 2]}", "rows").unwrap().unwrap(), "[1, 2]");
        assert_eq!(member("{}", "rows").unwrap(), None);
        let said = elements("[1,\n2,\n x]").unwrap_err().to_string();
        assert_eq!(said, "broken JSON at column 2: expected value (line 3 of the text)");
    }

    #[test]
    fn what_is_broken_is_told_with_its_column() {
        let said = |object: &str| column(object, "t").unwrap_err().to_string();
        assert_eq!(said("{\"t\": "), "broken JSON at column 6: EOF while parsing a value");
        assert_eq!(said("{\"t\": Nan}"), "broken JSON at column 7: expected value");
        assert_eq!(said("[1]"), "it is JSON but not an object");
        assert_eq!(said("NaN"), "broken JSON at column 1: expected value");
        assert!(said("{\"t\": \"a\"} x").contains("trailing characters"), "{}", said("{\"t\": \"a\"} x"));
    }
}
