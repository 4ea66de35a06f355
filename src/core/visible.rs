//! Text as a terminal may be given it: characters that would command the terminal, or turn the order of what is read,
//! are written out as `\x1b` and `\u{202e}`.
//! Promises: pure; what comes out moves no cursor, changes no colour, title or clipboard, and reads in the order in which
//! it is stored. Must not know: who prints.

use std::borrow::Cow;
use std::fmt::Write;

use super::text_width::columns_of;

/// Columns between two stops of a tab.
const TAB: usize = 8;

/// Whether a terminal does something else with `c` than to show it: control characters, ends of lines, and the
/// characters that turn the direction of what follows.
#[must_use]
pub fn commands(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn push(out: &mut String, c: char) {
    // Writing to a String cannot fail.
    let _ = match c {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '\0'..='\x7f' => write!(out, "\\x{:02x}", u32::from(c)),
        _ => write!(out, "\\u{{{:x}}}", u32::from(c)),
    };
}

/// `text` on one line: a name, a path, a cell of a table.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if commands(c) { push(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// `text` of several lines: ends of lines stay, written in either way, and tabs become the spaces that they look like.
#[must_use]
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| c != '\n' && commands(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut line = 0;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' => {
                out.push(c);
                line = out.len();
            }
            '\t' => {
                let column = columns_of(out.get(line..).unwrap_or_default());
                out.extend(std::iter::repeat_n(' ', TAB - column % TAB));
            }
            c if commands(c) => push(&mut out, c),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// JSON text that means the same and holds no such character: inside of strings they are escaped as JSON does it.
#[must_use]
pub fn visible_json(json: &str) -> Cow<'_, str> {
    // Outside of strings JSON has no character of the kind but ends of lines, and inside there are none.
    if !json.contains(|c| c != '\n' && commands(c)) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if c != '\n' && commands(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_commands_a_terminal_is_left() {
        let nasty = "\x1b[31mred\x1b]0;t\x07\u{9b}2J\x7f\x08\0\u{202e}gnp\u{2066}\u{2028}";
        let told = visible(nasty);
        assert_eq!(
            told, "\\x1b[31mred\\x1b]0;t\\x07\\u{9b}2J\\x7f\\x08\\x00\\u{202e}gnp\\u{2066}\\u{2028}",
            "each is written out"
        );
        assert_eq!(visible_lines(nasty), told);
        assert_eq!(visible("a\tb\r\nc"), "a\\tb\\r\\nc", "a name keeps to its line");
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            assert!(!visible(&c.to_string()).contains(commands), "{c:?}");
            assert!(!visible_lines(&c.to_string()).contains(|c| c != '\n' && commands(c)), "{c:?}");
        }
    }

    #[test]
    fn plain_text_is_left_alone() {
        for text in ["", "a b", "über 夜の港 👩‍🚀 e\u{301}", "back\\slash", "\u{200d}\u{feff}\u{200f}"] {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text));
            assert!(matches!(visible_lines(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn lines_stay_lines_and_tabs_are_as_wide_as_they_look() {
        assert_eq!(visible_lines("a\tb\r\n夜\tc\n\td\re\n"), "a       b\n夜      c\n        d\\re\n");
    }

    #[test]
    fn json_means_the_same() {
        let value = serde_json::json!({ "a\u{9b}": "x\x1b\x7f\u{202e}\n\"\\" });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let told = visible_json(&text);
        assert!(!told.contains(|c| c != '\n' && commands(c)), "{told}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&told).unwrap(), value);
    }
}
