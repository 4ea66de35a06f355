//! The one way the model changes: a message in, effects out. Pure: no clock, no socket, no terminal.
//! Promises: what is subscribed is always what is on the screen. Must not know: how anything is drawn, except where a
//! click lands.

use crossterm::event::{KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};

use crate::wire::Request;

use super::app::{App, Link, Notice, Overlay, Page, Pending};
use super::composer::Stage;
use super::keymap::{Action, Key, Move, Place, lookup};
use super::msg::{Effect, Msg, Tab};
use super::text_field::TextField;
use super::{act, complete_path, frames, rank_view, screen};

/// How long a line for the person stays, milliseconds.
const NOTICE_MS: u64 = 8_000;

/// Take `msg` in.
pub fn update(app: &mut App, msg: Msg) -> Vec<Effect> {
    let mut effects = Vec::new();
    let quiet = matches!(msg, Msg::NotSent(_));
    match msg {
        Msg::Key(event) => {
            if event.kind != KeyEventKind::Release {
                app.dirty = true;
                key(app, event, &mut effects);
            }
        }
        Msg::Mouse(event) => mouse(app, event, &mut effects),
        Msg::Paste(text) => {
            app.dirty = true;
            paste(app, &text);
        }
        Msg::Resize(columns, rows) => {
            app.dirty = true;
            app.size = (columns, rows);
        }
        Msg::Frame(frame) => {
            app.dirty = true;
            frames::take(app, *frame);
        }
        Msg::Connected(info) => {
            app.dirty = true;
            app.link = Link::Up(info);
            app.subscribed = None;
        }
        Msg::Disconnected { reason } => {
            app.dirty = true;
            app.link = Link::Gone { reason };
            app.subscribed = None;
            frames::forget_pending(app);
        }
        Msg::NotSent(frame) => {
            app.dirty = true;
            if matches!(frame.request, Request::Subscribe { .. }) {
                app.subscribed = None;
            }
            frames::not_sent(app, frame.id);
        }
        Msg::Exported { told, note } => {
            app.dirty = true;
            match told {
                Ok(name) => say(app, format!("saved {name}: {note}"), false),
                Err(reason) => say(app, format!("could not write the export: {reason}"), true),
            }
        }
        Msg::Listed { folder, told } => {
            app.dirty = true;
            complete_path::perform(app, &folder, told);
        }
        Msg::Tick { now_ms } => tick(app, now_ms),
    }
    // A frame that could not be sent is not sent again at once: the next message tries.
    if !quiet {
        subscribe(app, &mut effects);
    }
    effects
}

fn tick(app: &mut App, now_ms: u64) {
    app.now_ms = now_ms;
    if app.notice.as_ref().is_some_and(|notice| now_ms.saturating_sub(notice.at_ms) > NOTICE_MS) {
        app.notice = None;
        app.dirty = true;
    }
}

fn subscribe(app: &mut App, effects: &mut Vec<Effect>) {
    if !matches!(app.link, Link::Up(_)) {
        return;
    }
    let topics = app.wanted();
    if app.subscribed.as_ref() != Some(&topics) {
        frames::keep_only(app, &topics);
        app.subscribed = Some(topics.clone());
        send(app, Request::Subscribe { topics }, None, effects);
    }
}

/// Send `request` and remember what it is for.
pub(super) fn send(app: &mut App, request: Request, purpose: Option<Pending>, effects: &mut Vec<Effect>) -> u64 {
    let id = app.next_id;
    app.next_id += 1;
    if let Some(purpose) = purpose {
        app.pending.insert(id, purpose);
    }
    effects.push(Effect::Send(crate::wire::ClientFrame { id, request }));
    id
}

/// Tell the person something.
pub(super) fn say(app: &mut App, text: impl Into<String>, bad: bool) {
    app.notice = Some(Notice { text: text.into(), bad, at_ms: app.now_ms });
}

fn key(app: &mut App, event: KeyEvent, effects: &mut Vec<Effect>) {
    let place = app.place();
    if typed(app, place, event) {
        return;
    }
    if let Some(action) = lookup(place, Key::of(event)) {
        act::perform(app, action, effects);
    }
}

/// While a text field has the focus letters are text; true if the key went there.
fn typed(app: &mut App, place: Place, event: KeyEvent) -> bool {
    match (place, &mut app.overlay, &mut app.page) {
        (Place::Filter, _, _) => {
            let used = app.filter_text.key(event);
            if used {
                act::read_filter(app);
            }
            used
        }
        (_, Some(Overlay::Help { query, scroll, .. }), _) => {
            let used = query.key(event);
            *scroll = if used { 0 } else { *scroll };
            used
        }
        (_, Some(Overlay::Palette { query, cursor, .. }), _) => {
            let used = query.key(event);
            *cursor = if used { 0 } else { *cursor };
            used
        }
        (Place::Form, None, Page::Composer(composer)) => composer.form.key(event),
        _ => false,
    }
}

fn paste(app: &mut App, text: &str) {
    let insert = |field: &mut TextField| field.insert(text.trim());
    match (&mut app.overlay, &mut app.page) {
        (Some(Overlay::Filter), _) => {
            insert(&mut app.filter_text);
            act::read_filter(app);
        }
        (Some(Overlay::Help { query, .. } | Overlay::Palette { query, .. }), _) => insert(query),
        (None, Page::Composer(composer)) => composer.form.paste(text),
        (Some(Overlay::Confirm { .. } | Overlay::Report { .. } | Overlay::Columns { .. }) | None, _) => {}
    }
}

fn mouse(app: &mut App, event: MouseEvent, effects: &mut Vec<Effect>) {
    app.dirty |= event.kind != MouseEventKind::Moved;
    let chart = app.place() == Place::Curves && screen::curves::over_chart(app, event.column, event.row);
    match event.kind {
        MouseEventKind::ScrollUp if chart => act::perform(app, Action::ZoomIn, effects),
        MouseEventKind::ScrollDown if chart => act::perform(app, Action::ZoomOut, effects),
        MouseEventKind::ScrollUp => act::perform(app, Action::Move(Move::Up), effects),
        MouseEventKind::ScrollDown => act::perform(app, Action::Move(Move::Down), effects),
        MouseEventKind::Down(MouseButton::Left) => click(app, event.column, event.row),
        MouseEventKind::Drag(MouseButton::Left) => act::drag(app, event.column),
        MouseEventKind::Up(MouseButton::Left) => app.curves_view.drag = None,
        MouseEventKind::Down(_)
        | MouseEventKind::Up(_)
        | MouseEventKind::Drag(_)
        | MouseEventKind::Moved
        | MouseEventKind::ScrollLeft
        | MouseEventKind::ScrollRight => {}
    }
}

fn click(app: &mut App, column: u16, row: u16) {
    if app.overlay.is_some() {
        return;
    }
    if row == 0 {
        if let Some(tab) = screen::tab_at(column) {
            act::show(app, tab);
        }
        return;
    }
    let chosen = match &app.page {
        Page::Composer(composer) if composer.stage == Stage::Choose => {
            screen::composer::choice_at(app, composer, column, row)
        }
        Page::Composer(_) | Page::Detail(_) | Page::Tab => None,
    };
    if matches!(app.page, Page::Detail(_)) {
        return screen::answers::click(app, column, row);
    }
    match (&mut app.page, app.tab) {
        (Page::Composer(composer), _) => composer.cursor = chosen.unwrap_or(composer.cursor),
        (Page::Detail(_), _) => {}
        (Page::Tab, Tab::Lab) => {
            if let Some(run) = screen::lab::run_at(app, column, row) {
                app.lab_view.cursor = Some(run);
                app.lab_view.follow = false;
            }
        }
        (Page::Tab, Tab::Rank) => match screen::rank::hit(app, column, row) {
            Some((_, Some(head))) => rank_view::select(app, head),
            Some((pane, None)) => app.rank_view.focus(pane),
            None => {}
        },
        (Page::Tab, Tab::Leaderboard) => {
            screen::leaderboard::click(app, column, row);
        }
        (Page::Tab, Tab::Curves) => {
            if screen::curves::over_chart(app, column, row) {
                app.curves_view.drag = Some(column);
            } else if let Some(run) = screen::curves::legend_at(app, column, row) {
                app.curves_view.selected = Some(run);
            }
        }
    }
}
