//! What lies over a page: help, palette, questions, the filter line, long messages, the column chooser.
//! Promises: values only. Must not know: how any of it is drawn.

use crate::wire::Request;

use super::keymap::Place;
use super::msg::Tab;
use super::text_field::TextField;

/// What lies over the page.
#[derive(Clone, Debug, PartialEq)]
pub enum Overlay {
    /// Keys of a place; what is typed narrows them.
    Help {
        /// Whose keys.
        place: Place,
        /// What was typed.
        query: TextField,
        /// First row shown.
        scroll: usize,
    },
    /// Actions of a place; what is typed narrows them.
    Palette {
        /// Whose actions.
        place: Place,
        /// What was typed.
        query: TextField,
        /// Row under the cursor.
        cursor: usize,
    },
    /// A question with two answers; No is marked first.
    Confirm {
        /// The question.
        question: String,
        /// What it is about.
        lines: Vec<String>,
        /// Whether Yes is marked.
        yes: bool,
        /// What Yes sends.
        request: Box<Request>,
    },
    /// The filter line has the focus.
    Filter,
    /// A message too long for one line.
    Report {
        /// What it is.
        title: String,
        /// All of it.
        text: String,
        /// First line shown.
        scroll: usize,
    },
    /// Which columns a table shows.
    Columns {
        /// Of which screen.
        tab: Tab,
        /// Row under the cursor.
        cursor: usize,
    },
}
