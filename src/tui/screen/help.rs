//! Help and palette, both made from the one table of keys. Promises: only what works now is shown, and typing narrows
//! it. Must not know: what actions do.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::core::text_width::columns_of;
use crate::tui::act::available_on_page;
use crate::tui::app::App;
use crate::tui::columns;
use crate::tui::keymap::{self, Action, Binding, Place};
use crate::tui::msg::Tab;
use crate::tui::text_field::TextField;

use super::frame::{centered, lines};
use crate::tui::table::visible;

fn keys(row: &Binding) -> String {
    row.keys.iter().map(|key| key.name()).collect::<Vec<_>>().join(" ")
}

fn matches(row: &Binding, query: &str) -> bool {
    let text = format!("{} {} {}", keys(row), row.label, row.help).to_lowercase();
    query.to_lowercase().split_whitespace().all(|word| text.contains(word))
}

/// The keys of `place` that work now and match what was typed.
#[must_use]
pub fn help_rows(app: &App, place: Place, query: &str) -> Vec<&'static Binding> {
    keymap::rows(place).filter(|row| available_on_page(app, row.action) && matches(row, query)).collect()
}

/// The actions of `place` that can be run by name.
#[must_use]
pub fn palette_rows(app: &App, place: Place, query: &str) -> Vec<&'static Binding> {
    help_rows(app, place, query).into_iter().filter(|row| row.action != Action::Palette).collect()
}

fn query_line<'a>(app: &App, query: &'a TextField, hint: &'a str) -> Line<'a> {
    let (before, after) = query.halves();
    let mut line = Line::from(vec![
        Span::styled("> ", app.palette.key),
        Span::raw(before),
        Span::styled("▏", app.palette.key),
        Span::raw(after),
    ]);
    if query.is_empty() {
        line.push_span(Span::styled(hint, app.palette.dim));
    }
    line
}

fn row_line(app: &App, row: &Binding, width: usize) -> Line<'static> {
    Line::from(vec![Span::styled(format!("{:width$}  ", keys(row)), app.palette.key), Span::raw(row.help)])
}

fn frame(app: &App, title: &str, rows: &[&Binding], area: Rect, buf: &mut Buffer) -> (Rect, usize) {
    let keys_width = rows.iter().map(|row| columns_of(&keys(row))).max().unwrap_or(4);
    let text = rows.iter().map(|row| columns_of(row.help)).max().unwrap_or(30);
    let inside = centered(app, title, (keys_width + 2 + text).max(50) as u16, rows.len() as u16 + 1, area, buf);
    (inside, keys_width)
}

/// Draws the keys of a place.
pub fn draw_help(app: &App, place: Place, query: &TextField, scroll: usize, area: Rect, buf: &mut Buffer) {
    let rows = help_rows(app, place, &query.text());
    let title = format!("Keys that work here: {}", place_name(place));
    let (inside, width) = frame(app, &title, &rows, area, buf);
    buf.set_line(inside.x, inside.y, &query_line(app, query, "type to search; ↑ ↓ scroll; Esc closes"), inside.width);
    let text: Vec<Line> = rows.iter().map(|row| row_line(app, row, width)).collect();
    let below = Rect { y: inside.y + 1, height: inside.height.saturating_sub(1), ..inside };
    lines(&text, scroll, below, buf);
    if text.len() > usize::from(below.height) && scroll + usize::from(below.height) < text.len() {
        let more = format!(" {} more ↓ ", text.len() - scroll - usize::from(below.height));
        let x = below.right().saturating_sub(columns_of(&more) as u16);
        buf.set_string(x, below.bottom(), more, app.palette.key);
    }
}

/// Draws the actions of a place.
pub fn draw_palette(app: &App, place: Place, query: &TextField, cursor: usize, area: Rect, buf: &mut Buffer) {
    let rows = palette_rows(app, place, &query.text());
    let (inside, width) = frame(app, "Do", &rows, area, buf);
    buf.set_line(inside.x, inside.y, &query_line(app, query, "type to search; Enter runs; Esc closes"), inside.width);
    let shown = visible(rows.len(), Some(cursor), usize::from(inside.height.saturating_sub(1)));
    for (y, at) in (inside.y + 1..inside.bottom()).zip(shown) {
        let Some(row) = rows.get(at) else { continue };
        if at == cursor {
            buf.set_style(Rect { y, height: 1, ..inside }, app.palette.selected);
            let text: String = row_line(app, row, width).spans.into_iter().map(|span| span.content).collect();
            buf.set_stringn(inside.x, y, text, usize::from(inside.width), app.palette.selected);
        } else {
            buf.set_line(inside.x, y, &row_line(app, row, width), inside.width);
        }
    }
    if rows.is_empty() {
        buf.set_stringn(inside.x, inside.y + 1, "nothing matches", usize::from(inside.width), app.palette.dim);
    }
}

/// Draws the columns of a screen that can be left out.
pub fn draw_columns(app: &App, tab: Tab, cursor: usize, area: Rect, buf: &mut Buffer) {
    let (choices, hidden) = (columns::choices(app, tab), columns::hidden(app, tab));
    let text = match tab {
        Tab::Leaderboard => "those for which there is no room are reached with ← and →",
        Tab::Lab | Tab::Curves | Tab::Rank => "shown from the most to the least needed, as far as there is room",
    };
    let inside = centered(app, "Columns", text.len() as u16, choices.len() as u16 + 1, area, buf);
    buf.set_stringn(inside.x, inside.y, text, usize::from(inside.width), app.palette.dim);
    let shown = visible(choices.len(), Some(cursor), usize::from(inside.height.saturating_sub(1)));
    for (y, at) in (inside.y + 1..inside.bottom()).zip(shown) {
        let Some(choice) = choices.get(at) else { continue };
        let style = if at == cursor { app.palette.selected } else { app.palette.text };
        let row = format!(" [{}] {}", if hidden.contains(&choice.key) { " " } else { "x" }, choice.heading);
        let width = usize::from(inside.width);
        buf.set_stringn(inside.x, y, format!("{row:width$}"), width, style);
    }
}

const fn place_name(place: Place) -> &'static str {
    match place {
        Place::Lab => "Lab",
        Place::Curves => "Curves",
        Place::Rank => "Rank",
        Place::Leaderboard => "Leaderboard",
        Place::Detail => "run",
        Place::Chooser => "add a study",
        Place::Form => "compose a study",
        Place::Review => "review",
        Place::Answers => "answers",
        Place::Help | Place::Palette | Place::Confirm | Place::Filter | Place::Report | Place::Columns => "dialog",
    }
}
