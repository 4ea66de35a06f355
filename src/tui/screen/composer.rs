//! Adding a study: the list of shipped ones. Must not know: keys.

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::text::{Line, Span};

use crate::tui::app::App;
use crate::tui::composer::Composer;
use crate::tui::format;

use super::frame::{body, lines, pane};

/// Draws the list of shipped studies.
pub fn draw_chooser(app: &App, composer: &Composer, area: Rect, buf: &mut Buffer) {
    let inside = pane(app, "Add a study: choose one that ships with trilab, or compose your own", true, area, buf);
    let (text, scroll) = choices(app, composer, inside);
    let text: Vec<Line> = text.into_iter().map(|(_, line)| line).collect();
    lines(&text, scroll, inside, buf);
}

/// The lines of the list, each with the place of its study, and the first that is shown.
fn choices<'a>(app: &'a App, composer: &Composer, inside: Rect) -> (Vec<(usize, Line<'a>)>, usize) {
    let palette = &app.palette;
    let width = usize::from(inside.width.saturating_sub(2));
    let own = ("compose your own", "choose architectures, objectives, seeds, sizes, budget and corpus");
    let shipped = app.defaults.studies.iter().map(|study| (study.name.as_str(), study.description.as_str()));
    let mut text: Vec<(usize, Line)> = Vec::new();
    let mut cursor_line = 0;
    for (at, (name, description)) in shipped.chain([own]).enumerate() {
        let chosen = at == composer.cursor;
        if chosen {
            cursor_line = text.len();
        }
        let style = if chosen { palette.selected } else { palette.title };
        let title = format!(" {} {name} ", if chosen { "▸" } else { " " });
        text.push((at, Line::from(Span::styled(title, style))));
        let about = format::wrap(description, width.saturating_sub(4));
        text.extend(about.into_iter().map(|line| (at, Line::styled(format!("     {line}"), palette.text))));
    }
    let height = usize::from(inside.height);
    let scroll = (cursor_line + 4).saturating_sub(height).min(text.len().saturating_sub(height));
    (text, scroll)
}

/// The study at a place of the screen.
#[must_use]
pub fn choice_at(app: &App, composer: &Composer, column: u16, row: u16) -> Option<usize> {
    let area = body(Rect::new(0, 0, app.size.0, app.size.1));
    let inside = area.inner(Margin::new(1, 1));
    if !inside.contains((column, row).into()) {
        return None;
    }
    let (text, scroll) = choices(app, composer, inside);
    text.get(scroll + usize::from(row - inside.y)).map(|(at, _)| *at)
}
