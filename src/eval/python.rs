//! Values as Python writes and reads them: templates of task files are written for Python, print its `str()` and are
//! read back by its `literal_eval`. Must not know: templates.

use serde_json::{Map, Number, Value};

/// `str(value)`.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => repr(value),
    }
}

/// `repr(value)`.
pub(super) fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => float_repr(float),
            _ => number.to_string(),
        },
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(repr).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| format!("{}: {}", quoted(key), repr(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The shortest digits that read back, with an exponent below 10⁻⁴ and from 10¹⁶ on.
pub(super) fn float_repr(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = value.to_string();
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c => match c as u32 {
                code @ 0..0x100 => out.push_str(&format!("\\x{code:02x}")),
                code @ 0x100..0x1_0000 => out.push_str(&format!("\\u{code:04x}")),
                code => out.push_str(&format!("\\U{code:08x}")),
            },
        }
    }
    out.push(quote);
    out
}

/// Characters that `repr` leaves as they are: no controls, no white space but the blank, no invisible marks.
fn is_printable(c: char) -> bool {
    let invisible = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{e000}'..='\u{f8ff}' | '\u{feff}');
    c == ' ' || !(c.is_control() || c.is_whitespace() || invisible)
}

/// What Python's `\s` and `str.strip` take for white space.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Pieces of `re.split(r"\s+", text)`, empty ones at the ends included.
pub(super) fn pieces(text: &str) -> usize {
    let mut before = false;
    let runs = text.chars().filter(|c| {
        let starts = is_space(*c) && !before;
        before = is_space(*c);
        starts
    });
    1 + runs.count()
}

/// `ast.literal_eval(text)` for numbers, strings, booleans, `None`, lists, tuples (as lists) and dicts with text keys.
pub(super) fn literal(text: &str) -> Result<Value, String> {
    let mut reader = Reader { rest: text.trim() };
    let value = reader.value(0)?;
    if reader.rest.is_empty() { Ok(value) } else { Err(format!("`{}` follows a Python value", reader.shown())) }
}

/// Deepest nesting that is read.
const DEPTH: usize = 64;

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn shown(&self) -> String {
        self.rest.chars().take(20).collect()
    }

    fn take(&mut self, word: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEPTH {
            return Err("a Python value is nested too deeply".to_owned());
        }
        self.rest = self.rest.trim_start();
        match self.rest.chars().next() {
            Some('[') => {
                self.take("[");
                self.items("]", depth).map(|(items, _)| Value::Array(items))
            }
            Some('(') => {
                self.take("(");
                let (mut items, comma) = self.items(")", depth)?;
                // (1) is a number in brackets, (1,) a tuple.
                Ok(if items.len() == 1 && !comma { items.remove(0) } else { Value::Array(items) })
            }
            Some('{') => self.dict(depth),
            Some(quote @ ('\'' | '"')) => {
                let mut whole = self.string(quote)?;
                // Neighbouring strings are one string.
                while let Some(quote @ ('\'' | '"')) = self.rest.trim_start().chars().next() {
                    self.rest = self.rest.trim_start();
                    whole.push_str(&self.string(quote)?);
                }
                Ok(Value::String(whole))
            }
            _ => self.word(),
        }
    }

    fn items(&mut self, close: &str, depth: usize) -> Result<(Vec<Value>, bool), String> {
        let (mut items, mut comma) = (Vec::new(), false);
        loop {
            if self.take(close) {
                return Ok((items, comma));
            }
            if !items.is_empty() && !comma {
                return Err(format!("a comma or `{close}` is missing before `{}`", self.shown()));
            }
            items.push(self.value(depth + 1)?);
            comma = self.take(",");
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Value, String> {
        self.take("{");
        let (mut map, mut comma) = (Map::new(), true);
        loop {
            if self.take("}") {
                return Ok(Value::Object(map));
            }
            if !comma {
                return Err(format!("a comma or `}}` is missing before `{}`", self.shown()));
            }
            let key = self.value(depth + 1)?;
            if !self.take(":") {
                return Err(format!("a colon is missing before `{}`", self.shown()));
            }
            map.insert(text(&key), self.value(depth + 1)?);
            comma = self.take(",");
        }
    }

    fn string(&mut self, quote: char) -> Result<String, String> {
        let mut out = String::new();
        let mut chars = self.rest.chars();
        chars.next();
        while let Some(c) = chars.next() {
            match c {
                c if c == quote => {
                    self.rest = chars.as_str();
                    return Ok(out);
                }
                '\n' => break,
                '\\' => escape(&mut chars, &mut out)?,
                c => out.push(c),
            }
        }
        Err(format!("a string is not closed: `{}`", self.shown()))
    }

    fn word(&mut self) -> Result<Value, String> {
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || "+-._".contains(c))).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        let value = match word {
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            "None" => Value::Null,
            _ => number(word).ok_or_else(|| format!("`{}` is not a Python value", self.shown()))?,
        };
        self.rest = rest;
        Ok(value)
    }
}

fn number(word: &str) -> Option<Value> {
    let digits = word.trim_start_matches(['+', '-']);
    if digits.bytes().all(|b| b.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0')) {
        return word.trim_start_matches('+').parse::<i64>().ok().map(Value::from);
    }
    let starts_well = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let is_float = starts_well && digits.contains(['.', 'e', 'E']);
    is_float.then(|| word.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number)).flatten()
}

fn escape(chars: &mut std::str::Chars<'_>, out: &mut String) -> Result<(), String> {
    let coded = |chars: &mut std::str::Chars<'_>, digits: usize| {
        let word: String = chars.by_ref().take(digits).collect();
        let code = u32::from_str_radix(&word, 16).ok().filter(|_| word.len() == digits);
        code.and_then(char::from_u32).ok_or_else(|| format!("`{word}` is no character code"))
    };
    let c = match chars.next() {
        Some('n') => '\n',
        Some('t') => '\t',
        Some('r') => '\r',
        Some('a') => '\u{7}',
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('v') => '\u{b}',
        Some('0') => '\0',
        Some('\n') => return Ok(()),
        Some('x') => coded(chars, 2)?,
        Some('u') => coded(chars, 4)?,
        Some('U') => coded(chars, 8)?,
        Some(c @ ('\\' | '\'' | '"')) => c,
        Some(other) => {
            out.push('\\');
            other
        }
        None => return Err("a string ends in a backslash".to_owned()),
    };
    out.push(c);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_written_as_python_does() {
        // Each right side was printed by Python 3.11.7.
        let cases = [
            (json!(["a", "it's", "say \"x\"", "both ' and \""]), r#"['a', "it's", 'say "x"', 'both \' and "']"#),
            (
                json!([1, -2, 1.0, 0.1, 1e16, 1.5e-5, 1e-4, 123456.789]),
                "[1, -2, 1.0, 0.1, 1e+16, 1.5e-05, 0.0001, 123456.789]",
            ),
            (json!([true, false, null]), "[True, False, None]"),
            (json!({"a": [], "b": "x\ny\t\\"}), r"{'a': [], 'b': 'x\ny\t\\'}"),
            (json!("é\u{a0}\u{1}\u{200b}🚢"), r"'é\xa0\x01\u200b🚢'"),
        ];
        for (value, python) in cases {
            assert_eq!(repr(&value), python);
            assert_eq!(literal(python).unwrap(), value, "{python} reads back");
        }
        assert_eq!(text(&json!("plain")), "plain");
        assert_eq!(text(&json!(1e22)), "1e+22");
    }

    #[test]
    fn literals_are_read_as_python_does() {
        assert_eq!(literal(" ('a', 'b',) ").unwrap(), json!(["a", "b"]));
        assert_eq!(literal("('a')").unwrap(), json!("a"));
        assert_eq!(literal("['a' \"b\", 3]").unwrap(), json!(["ab", 3]));
        assert_eq!(literal(r"'\u00e9\x41\d'").unwrap(), json!("éA\\d"));
        for wrong in ["", "[1 2]", "['a", "[1", "choice", "007", "{'a' 1}", "1]", "'\\x4'", "[,]"] {
            assert!(literal(wrong).is_err(), "{wrong}");
        }
        assert!(literal(&"[".repeat(100)).unwrap_err().contains("deep"));
    }

    #[test]
    fn words_are_counted_with_their_empty_ends() {
        // len(re.split(r"\s+", text)) in Python 3.11.7.
        for (text, count) in [("", 1), (" ", 2), ("a b", 2), (" a\n\n b ", 4), ("a\u{a0}b\u{1f}c", 3)] {
            assert_eq!(pieces(text), count, "{text:?}");
        }
    }
}
