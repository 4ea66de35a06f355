//! Text measured in the columns that it takes on a terminal, and cut, filled up and broken by them.
//! Promises: a character is what a person takes for one, so that no accent, no emoji of several parts and no half of a wide
//! character is ever cut off; measures as ratatui draws. Must not know: what the text means.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::visible::{commands, visible_lines};

/// The columns of one character. The sound marks of narrow katakana stand in a column of their own.
fn width(character: &str) -> usize {
    if character.contains(commands) {
        return 0;
    }
    character.width() + character.chars().filter(|c| matches!(c, '\u{ff9e}' | '\u{ff9f}')).count()
}

/// The columns that `text` takes in one line.
#[must_use]
pub fn columns_of(text: &str) -> usize {
    characters(text).map(width).sum()
}

/// The characters of `text`, each with all of its parts.
pub fn characters(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.graphemes(true)
}

/// As much of the beginning of `text` as fits into `room` columns.
#[must_use]
pub fn beginning(text: &str, room: usize) -> &str {
    let mut used = 0;
    let mut end = 0;
    for character in characters(text) {
        used += width(character);
        if used > room {
            break;
        }
        end += character.len();
    }
    text.get(..end).unwrap_or_default()
}

/// As much of the end of `text` as fits into `room` columns.
#[must_use]
pub fn ending(text: &str, room: usize) -> &str {
    let mut used = 0;
    let mut start = text.len();
    for character in characters(text).rev() {
        used += width(character);
        if used > room {
            break;
        }
        start -= character.len();
    }
    text.get(start..).unwrap_or_default()
}

/// `text` in at most `room` columns, ending in `…` if something is left out.
#[must_use]
pub fn shorten(text: &str, room: usize) -> String {
    if columns_of(text) <= room {
        return text.to_owned();
    }
    if room == 0 {
        return String::new();
    }
    format!("{}…", beginning(text, room - 1))
}

/// `text` and spaces behind it up to `room` columns.
#[must_use]
pub fn left(text: &str, room: usize) -> String {
    format!("{text}{}", " ".repeat(room.saturating_sub(columns_of(text))))
}

/// `text` and spaces before it up to `room` columns.
#[must_use]
pub fn right(text: &str, room: usize) -> String {
    format!("{}{text}", " ".repeat(room.saturating_sub(columns_of(text))))
}

/// `text` in lines of at most `room` columns, broken at spaces where there are some. What commands a terminal is written out.
#[must_use]
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let room = room.max(1);
    let mut lines = Vec::new();
    for paragraph in visible_lines(text).lines() {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split(' ') {
            let mut rest = word;
            let mut wide = columns_of(rest);
            if used > 0 && used + 1 + wide <= room {
                line.push(' ');
                used += 1;
            } else if used > 0 {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            while wide > room {
                let fits = beginning(rest, room);
                // One character that is wider than all the room has a line of its own.
                let part = if fits.is_empty() { characters(rest).next().unwrap_or(rest) } else { fits };
                lines.push(part.to_owned());
                rest = rest.get(part.len()..).unwrap_or_default();
                wide = columns_of(rest);
            }
            used += wide;
            line.push_str(rest);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A woman with a rocket, of three parts; an e with its accent; two columns each; a narrow `ga`.
    const PARTS: [(&str, usize); 6] =
        [("👩\u{200d}🚀", 2), ("e\u{301}", 1), ("夜", 2), ("ｶ\u{ff9e}", 2), ("🇩🇪", 2), ("a", 1)];

    #[test]
    fn text_is_as_wide_as_a_terminal_shows_it() {
        for (text, wide) in PARTS {
            assert_eq!(columns_of(text), wide, "{text}");
        }
        let all: String = PARTS.map(|(text, _)| text).concat();
        assert_eq!(columns_of(&all), 10);
        assert_eq!(columns_of("a\u{200b}b"), 2, "what has no width takes none");
    }

    #[test]
    fn no_character_is_ever_cut() {
        let all: String = PARTS.map(|(text, _)| text).concat();
        let whole: Vec<&str> = characters(&all).collect();
        for room in 0..12 {
            let (before, after) = (beginning(&all, room), ending(&all, room));
            for part in [before, after, shorten(&all, room).trim_end_matches('…')] {
                assert!(columns_of(part) <= room);
                assert!(characters(part).all(|character| whole.contains(&character)), "{room}: {part}");
            }
            assert!(columns_of(&shorten(&all, room)) <= room);
            let lines = wrap(&all, room);
            assert_eq!(lines.concat(), all);
            assert!(lines.iter().all(|line| columns_of(line) <= room.max(2)), "{room}: {lines:?}");
        }
        assert_eq!(shorten("夜の港", 5), "夜の…");
        assert_eq!(shorten("夜の港", 4), "夜…", "half of a character would stand before the mark");
        assert_eq!((left("夜", 4), right("夜", 4)), ("夜  ".to_owned(), "  夜".to_owned()));
    }

    #[test]
    fn wrapping_never_exceeds_the_room_and_loses_nothing() {
        let lines = wrap("a study needs a corpus, and averyveryverylongpath breaks", 12);
        assert!(lines.iter().all(|line| columns_of(line) <= 12), "{lines:?}");
        assert_eq!(lines.concat().replace(' ', ""), "astudyneedsacorpus,andaveryveryverylongpathbreaks");
        assert_eq!(wrap("one\n\ntwo", 10), ["one", "", "two"]);
        assert_eq!(wrap("夜の港に船が入ってきた", 10), ["夜の港に船", "が入ってき", "た"]);
        assert_eq!(wrap("\x1b[2Jgone\r\nnext", 20), ["\\x1b[2Jgone", "next"]);
    }
}
