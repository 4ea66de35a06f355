//! What all screens share: header, message line, footer, panes and boxes, and which screen is drawn between them.
//! Promises: the header drops whole parts that do not fit; the footer shows only keys that work now.
//! Must not know: what the screens show.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Widget};

use crate::core::text_width::columns_of;
use crate::tui::act::available;
use crate::tui::app::{App, Link, Overlay, Page};
use crate::tui::complete;
use crate::tui::composer::Stage;
use crate::tui::format;
use crate::tui::keymap::Move::{Bottom, Down, Left, PageDown, PageUp, PreviousPane, Right, Top, Up};
use crate::tui::keymap::{self, Action};
use crate::tui::msg::Tab;
use crate::tui::table::shorten;

use super::{answers, composer, curves, detail, form, help, lab, leaderboard, rank, review};

/// Smallest terminal that shows everything.
const LEAST: (u16, u16) = (60, 16);

const TABS: [(Tab, &str); 4] =
    [(Tab::Lab, "1 Lab"), (Tab::Curves, "2 Curves"), (Tab::Rank, "3 Rank"), (Tab::Leaderboard, "4 Leaderboard")];
const NAME: &str = " trilab ";

/// The room between header and footer.
#[must_use]
pub const fn body(area: Rect) -> Rect {
    Rect { y: area.y + 1, height: area.height.saturating_sub(2), ..area }
}

/// The screen whose name is at `column` of the header.
#[must_use]
pub fn tab_at(column: u16) -> Option<Tab> {
    let mut start = NAME.len();
    for (tab, name) in TABS {
        if (start..start + name.len() + 2).contains(&usize::from(column)) {
            return Some(tab);
        }
        start += name.len() + 2;
    }
    None
}

/// Draws all of the screen.
pub fn draw(app: &App, area: Rect, buf: &mut Buffer) {
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("trilab needs {}×{}; this is {}×{}", LEAST.0, LEAST.1, area.width, area.height);
        buf.set_stringn(area.x, area.y, text, usize::from(area.width), app.palette.warn);
        return;
    }
    header(app, Rect { height: 1, ..area }, buf);
    let inside = body(area);
    match &app.page {
        Page::Tab => match app.tab {
            Tab::Lab => lab::draw(app, inside, buf),
            Tab::Curves => curves::draw(app, inside, buf),
            Tab::Rank => rank::draw(app, inside, buf),
            Tab::Leaderboard => leaderboard::draw(app, inside, buf),
        },
        Page::Detail(view) => match &view.answers {
            Some(shown) => answers::draw(app, view, shown, inside, buf),
            None => detail::draw(app, view, inside, buf),
        },
        Page::Composer(page) => match (page.stage, &page.review) {
            (Stage::Choose, _) => composer::draw_chooser(app, page, inside, buf),
            (Stage::Review, Some(shown)) => review::draw(app, shown, inside, buf),
            (Stage::Form, _) | (Stage::Review, None) => form::draw(app, &page.form, inside, buf),
        },
    }
    overlay(app, inside, buf);
    footer(app, Rect { y: area.bottom() - 1, height: 1, ..area }, buf);
}

fn header(app: &App, area: Rect, buf: &mut Buffer) {
    let palette = &app.palette;
    let mut spans = vec![Span::styled(NAME, palette.title)];
    for (tab, name) in TABS {
        let here = tab == app.tab && matches!(app.page, Page::Tab);
        let style = if here { palette.selected } else { palette.text };
        spans.push(Span::styled(format!(" {name} "), style));
    }
    let left = Line::from(spans);
    let used = left.width() as u16;
    buf.set_line(area.x, area.y, &left, area.width);
    // From the most to the least wanted; what does not fit is left out whole.
    let mut right: Vec<Span> = Vec::new();
    let mut room = usize::from(area.width.saturating_sub(used + 1));
    for span in header_facts(app) {
        if span.width() + 2 <= room {
            room -= span.width() + 2;
            right.push(span);
        }
    }
    let spans: Vec<Span> = right.into_iter().flat_map(|span| [Span::raw("  "), span]).collect();
    let line = Line::from(spans);
    let start = area.right().saturating_sub(line.width() as u16 + 1);
    buf.set_line(start, area.y, &line, area.width);
}

fn header_facts(app: &App) -> Vec<Span<'static>> {
    let palette = &app.palette;
    let link = match &app.link {
        Link::Connecting => return vec![Span::styled("connecting…", palette.warn)],
        Link::Gone { .. } => Some(Span::styled("no server", palette.bad)),
        Link::Up(_) => None,
    };
    let mut facts: Vec<Span> = link.into_iter().collect();
    let Some(lab) = &app.lab else { return facts };
    if lab.held.is_some() {
        facts.push(Span::styled("‖ waits for the machine", palette.bad));
    }
    let count = |words: &[&str]| lab.runs.iter().filter(|run| words.contains(&run.status.word())).count();
    let counts = [
        (count(&["running"]), "●", "running", palette.live),
        (count(&["queued", "preparing", "waiting", "blocked", "paused"]), "○", "queued", palette.text),
        (count(&["finished"]), "✓", "done", palette.good),
        (count(&["failed", "diverged"]), "✗", "failed", palette.bad),
    ];
    let words = app.size.0 >= 110;
    for (number, mark, word, style) in counts {
        let text = if words { format!("{mark} {number} {word}") } else { format!("{mark}{number}") };
        facts.push(Span::styled(text, if number == 0 { palette.dim } else { style }));
    }
    if let Some(load) = lab.machine_load {
        facts.push(Span::styled(format!("load {}", format::percent(load)), palette.text));
    }
    if let Link::Up(server) = &app.link {
        let colon = if app.host.is_empty() { "" } else { ":" };
        facts.push(Span::styled(format!("{}{colon}{}", app.host, server.home), palette.dim));
    }
    facts
}

/// The line for the person if there is one, else the keys that work now.
fn footer(app: &App, area: Rect, buf: &mut Buffer) {
    let palette = &app.palette;
    let width = usize::from(area.width);
    if matches!(app.overlay, Some(Overlay::Filter)) {
        let (before, after) = app.filter_text.window(width.saturating_sub(3));
        let mut spans = vec![Span::styled(" / ", palette.key), Span::raw(before), Span::styled("▏", palette.key)];
        spans.push(Span::raw(after));
        let line = Line::from(spans);
        let used = line.width();
        buf.set_line(area.x, area.y, &line, area.width);
        let choices = complete::of_line(app).choices;
        let offer = (!choices.is_empty()).then(|| format!("Tab: {}", choices.join(" ")));
        let usual = || offer.unwrap_or_else(|| "Enter keeps it, Esc clears it".to_owned());
        let hint = app.filter_error.clone().unwrap_or_else(usual);
        let style = if app.filter_error.is_some() { palette.bad } else { palette.dim };
        let room = width.saturating_sub(used + 2);
        let hint = shorten(&hint, room);
        let start = area.right().saturating_sub(columns_of(&hint) as u16 + 1);
        buf.set_stringn(start, area.y, hint, room, style);
        return;
    }
    if let Link::Gone { reason } = &app.link {
        let text = format!(" server gone ({reason}); reconnecting, these are its last values");
        buf.set_stringn(area.x, area.y, shorten(&text, width), width, palette.bad);
        return;
    }
    if let Some(notice) = &app.notice {
        let style = if notice.bad { palette.bad } else { palette.good };
        buf.set_stringn(area.x, area.y, shorten(&format!(" {}", notice.text), width), width, style);
        return;
    }
    if let Some(reason) = app.lab.as_ref().and_then(|lab| lab.held.as_ref()) {
        buf.set_stringn(area.x, area.y, shorten(&format!(" {reason}"), width), width, palette.bad);
        return;
    }
    keys(app, area, buf);
}

fn keys(app: &App, area: Rect, buf: &mut Buffer) {
    let place = app.place();
    let silent = |action: Action| {
        matches!(
            action,
            Action::Move(Up | Down | Left | Right | Top | Bottom | PageUp | PageDown | PreviousPane)
                | Action::PreviousMetric
                | Action::PreviousMeasure
                | Action::PreviousRun
                | Action::PreviousStudy
                | Action::PreviousMatch
                | Action::ReverseSort
                | Action::PreviousColumn
                | Action::SmoothLess
                | Action::ZoomOut
                | Action::PanLeft
                | Action::PanRight
                | Action::ShowLab
                | Action::ShowCurves
                | Action::ShowRank
                | Action::ShowLeaderboard
                | Action::Redraw
                | Action::Suspend
                | Action::Leave
        )
    };
    let shown = keymap::rows(place).filter(|row| !silent(row.action) && available(app, row.action));
    // Help and the way out are always there; the others as far as there is room.
    let (last, first): (Vec<&'static keymap::Binding>, Vec<&'static keymap::Binding>) =
        shown.partition(|row| matches!(row.action, Action::Help | Action::Detach | Action::Back));
    let text = |row: &'static keymap::Binding| (row.keys.first().map(|key| key.name()).unwrap_or_default(), row.label);
    let width = |(key, label): &(String, &str)| columns_of(key) + columns_of(label) + 3;
    let reserved: usize = last.iter().map(|row| width(&text(row))).sum();
    let mut room = usize::from(area.width).saturating_sub(reserved);
    let mut line = Line::default();
    for row in first {
        let entry = text(row);
        if width(&entry) > room {
            continue;
        }
        room -= width(&entry);
        push_key(&mut line, app, &entry);
    }
    for row in last {
        push_key(&mut line, app, &text(row));
    }
    buf.set_line(area.x, area.y, &line, area.width);
}

fn push_key(line: &mut Line, app: &App, (key, label): &(String, &'static str)) {
    line.push_span(Span::styled(format!(" {key}"), app.palette.key));
    line.push_span(Span::styled(format!(" {label} "), app.palette.dim));
}

/// Draws a frame with a title and gives back the room inside.
pub fn pane(app: &App, title: &str, focused: bool, area: Rect, buf: &mut Buffer) -> Rect {
    let palette = &app.palette;
    let kind = if focused { BorderType::Thick } else { BorderType::Plain };
    let border = if focused { palette.focus } else { palette.border };
    let title = shorten(&format!(" {title} "), usize::from(area.width.saturating_sub(2)));
    let block = Block::bordered()
        .border_type(kind)
        .border_style(border)
        .title(Span::styled(title, if focused { palette.title } else { palette.dim }));
    let inside = block.inner(area);
    block.render(area, buf);
    inside
}

/// Draws lines from the first that is scrolled to; the last page is always full.
pub fn lines(lines: &[Line], scroll: usize, area: Rect, buf: &mut Buffer) {
    let height = usize::from(area.height);
    let start = scroll.min(lines.len().saturating_sub(height));
    for (y, line) in (area.y..area.bottom()).zip(lines.iter().skip(start)) {
        buf.set_line(area.x, y, line, area.width);
    }
}

/// Clears a box in the middle of `area`, draws its frame and gives back the room inside.
pub fn centered(app: &App, title: &str, width: u16, height: u16, area: Rect, buf: &mut Buffer) -> Rect {
    let width = (width + 4).min(area.width);
    let height = (height + 2).min(area.height);
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 2;
    let outer = Rect { x, y, width, height };
    Clear.render(outer, buf);
    let inside = pane(app, title, true, outer, buf);
    Rect { x: inside.x + 1, width: inside.width.saturating_sub(2), ..inside }
}

fn overlay(app: &App, area: Rect, buf: &mut Buffer) {
    match &app.overlay {
        None | Some(Overlay::Filter) => {}
        Some(Overlay::Help { place, query, scroll }) => help::draw_help(app, *place, query, *scroll, area, buf),
        Some(Overlay::Palette { place, query, cursor }) => {
            help::draw_palette(app, *place, query, *cursor, area, buf);
        }
        Some(Overlay::Confirm { question, lines: about, yes, request: _ }) => {
            let width = about.iter().map(|line| columns_of(line)).max().unwrap_or(0).max(30) as u16;
            let inside = centered(app, question, width, about.len() as u16 + 2, area, buf);
            let about: Vec<Line> = about.iter().map(|text| Line::raw(text.as_str())).collect();
            lines(&about, 0, inside, buf);
            let style = |chosen: bool| if chosen { app.palette.selected } else { app.palette.text };
            let answers = Line::from(vec![
                Span::styled(if *yes { "  No  " } else { "[ No ]" }, style(!*yes)),
                Span::raw("   "),
                Span::styled(if *yes { "[ Yes ]" } else { "  Yes  " }, style(*yes)),
            ]);
            buf.set_line(inside.x, inside.bottom() - 1, &answers, inside.width);
        }
        Some(Overlay::Columns { tab, cursor }) => help::draw_columns(app, *tab, *cursor, area, buf),
        Some(Overlay::Report { title, text, scroll }) => {
            let wrapped = format::wrap(text, usize::from(area.width.saturating_sub(12)).min(100));
            let width = wrapped.iter().map(|line| columns_of(line)).max().unwrap_or(0) as u16;
            let inside = centered(app, title, width.max(30), wrapped.len() as u16, area, buf);
            let text: Vec<Line> = wrapped.iter().map(|line| Line::raw(line.as_str())).collect();
            lines(&text, *scroll, inside, buf);
        }
    }
}
