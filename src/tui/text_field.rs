//! One line of text under edit. Promises: the cursor is always between two characters, as a person counts them.
//! Must not know: what the text means.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::core::text_width::{beginning, characters, columns_of, ending};
use crate::core::visible::commands;

/// A text and a cursor in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextField {
    text: String,
    /// Bytes before the cursor.
    cursor: usize,
}

impl TextField {
    /// A field that holds `text`, with the cursor at its end.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { cursor: text.len(), text: text.to_owned() }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> String {
        self.text.clone()
    }

    /// True if there is no text.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text before and after the cursor.
    #[must_use]
    pub fn halves(&self) -> (&str, &str) {
        self.text.split_at_checked(self.cursor).unwrap_or((&self.text, ""))
    }

    /// As much of the text before and after the cursor as fits into `room` columns with a column for the cursor. The end
    /// of what is before the cursor is where the eyes are.
    #[must_use]
    pub fn window(&self, room: usize) -> (&str, &str) {
        let (before, after) = self.halves();
        let before = ending(before, room.saturating_sub(2));
        (before, beginning(after, room.saturating_sub(columns_of(before) + 1)))
    }

    /// Put `text` at the cursor; line breaks and other characters that command a terminal become spaces.
    pub fn insert(&mut self, text: &str) {
        let shown: String = text.chars().map(|c| if commands(c) { ' ' } else { c }).collect();
        let (before, after) = self.halves();
        let end = before.len() + shown.len();
        self.text = [before, &shown, after].concat();
        // What was put in may be one character now with what is behind it.
        let settled = self.stops().find(|stop| *stop >= end);
        self.cursor = settled.unwrap_or(self.text.len());
    }

    /// Put `text` in place of the end of what is before the cursor, `typed`.
    pub fn replace_before(&mut self, typed: &str, text: &str) {
        if self.halves().0.ends_with(typed) {
            self.remove(self.cursor - typed.len(), self.cursor);
            self.insert(text);
        }
    }

    /// Where the cursor can be.
    fn stops(&self) -> impl DoubleEndedIterator<Item = usize> {
        let starts = characters(&self.text).map(|character| character.as_ptr().addr() - self.text.as_ptr().addr());
        starts.chain([self.text.len()])
    }

    fn before(&self) -> usize {
        self.stops().rev().find(|stop| *stop < self.cursor).unwrap_or(0)
    }

    fn after(&self) -> usize {
        self.stops().find(|stop| *stop > self.cursor).unwrap_or(self.text.len())
    }

    /// Remove the bytes from `start` to `end`; the cursor is where they were.
    fn remove(&mut self, start: usize, end: usize) {
        let (before, after) = (self.text.get(..start).unwrap_or_default(), self.text.get(end..).unwrap_or_default());
        self.text = [before, after].concat();
        self.cursor = start;
    }

    /// Edit by `key`; false if the key means nothing here.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('u') if control => self.remove(0, self.cursor),
            KeyCode::Char('w') if control => self.remove(self.word_start(), self.cursor),
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.text.len(),
            KeyCode::Char(c) if !control && !key.modifiers.contains(KeyModifiers::ALT) => {
                self.insert(c.encode_utf8(&mut [0; 4]));
            }
            KeyCode::Backspace => self.remove(self.before(), self.cursor),
            KeyCode::Delete => self.remove(self.cursor, self.after()),
            KeyCode::Left => self.cursor = self.before(),
            KeyCode::Right => self.cursor = self.after(),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            _ => return false,
        }
        true
    }

    /// Where the word before the cursor begins.
    fn word_start(&self) -> usize {
        let word = self.halves().0.trim_end();
        word.char_indices().rev().find(|(_, c)| c.is_whitespace()).map_or(0, |(at, c)| at + c.len_utf8())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(field: &mut TextField, code: KeyCode, modifiers: KeyModifiers) {
        assert!(field.key(KeyEvent::new(code, modifiers)));
    }

    #[test]
    fn editing_moves_and_removes() {
        let mut field = TextField::new("ab");
        press(&mut field, KeyCode::Left, KeyModifiers::NONE);
        press(&mut field, KeyCode::Char('ü'), KeyModifiers::NONE);
        assert_eq!(field.halves(), ("aü", "b"));
        press(&mut field, KeyCode::Backspace, KeyModifiers::NONE);
        press(&mut field, KeyCode::Delete, KeyModifiers::NONE);
        press(&mut field, KeyCode::Delete, KeyModifiers::NONE);
        assert_eq!(field.text(), "a");
        field.insert(" long\nword");
        press(&mut field, KeyCode::Char('w'), KeyModifiers::CONTROL);
        assert_eq!(field.text(), "a long ");
        press(&mut field, KeyCode::Char('u'), KeyModifiers::CONTROL);
        assert!(field.is_empty());
        assert!(!field.key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE)));
        let mut field = TextField::new("arch:ed loss");
        (0..5).for_each(|_| press(&mut field, KeyCode::Left, KeyModifiers::NONE));
        field.replace_before("ed", "EDS");
        assert_eq!(field.halves(), ("arch:EDS", " loss"));
    }

    #[test]
    fn the_cursor_steps_over_whole_characters_and_the_window_holds_whole_ones() {
        let text = "e\u{301}👩\u{200d}🚀夜";
        let mut field = TextField::new(text);
        for (before, after) in [("e\u{301}👩\u{200d}🚀", "夜"), ("e\u{301}", "👩\u{200d}🚀夜"), ("", text)] {
            press(&mut field, KeyCode::Left, KeyModifiers::NONE);
            assert_eq!(field.halves(), (before, after));
        }
        press(&mut field, KeyCode::Delete, KeyModifiers::NONE);
        assert_eq!(field.text(), "👩\u{200d}🚀夜");
        press(&mut field, KeyCode::End, KeyModifiers::NONE);
        press(&mut field, KeyCode::Backspace, KeyModifiers::NONE);
        press(&mut field, KeyCode::Backspace, KeyModifiers::NONE);
        assert!(field.is_empty());
        field.insert("a\u{202e}b\tc");
        assert_eq!(field.text(), "a b c");
        let field = TextField::new("夜の港に船が");
        assert_eq!(field.window(8), ("に船が", ""));
        assert_eq!(field.window(7), ("船が", ""), "half of a character is none");
        for room in 0..20 {
            let (before, after) = field.window(room);
            assert!(columns_of(before) + columns_of(after) < room.max(1), "{room}");
        }
    }
}
