//! Keys pressed and screens drawn, for every test of the dashboard.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use trilab::tui::{App, Effect, Msg, update};

pub(crate) fn key(app: &mut App, code: KeyCode) -> Vec<Effect> {
    update(app, Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

/// Presses each character of `keys`; `\n` is Enter, `\t` Tab, `\x1b` Esc.
pub(crate) fn press(app: &mut App, keys: &str) -> Vec<Effect> {
    let code = |c| match c {
        '\n' => KeyCode::Enter,
        '\t' => KeyCode::Tab,
        '\x1b' => KeyCode::Esc,
        c => KeyCode::Char(c),
    };
    keys.chars().flat_map(|c| key(app, code(c))).collect()
}
