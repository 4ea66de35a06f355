//! Moving: cursors through lists, the reading line and the window of the chart, focus through panes and fields.
//! Promises: pure; a cursor never leaves its list. Must not know: keys, colours.

use crate::core::RunId;

use super::answers;
use super::app::{App, DetailPane, Overlay, Page, Section};
use super::board::Entry;
use super::board_acts;
use super::composer::{Composer, Stage};
use super::keymap::Move;
use super::msg::Tab;
use super::series::Series;
use super::{columns, rank_view};

/// Do a movement.
pub(super) fn perform(app: &mut App, to: Move) {
    let page = i64::from(app.size.1 / 2).max(1);
    let by = match to {
        Move::Up => -1,
        Move::Down => 1,
        Move::PageUp => -page,
        Move::PageDown => page,
        Move::Top => i64::MIN / 2,
        Move::Bottom => i64::MAX / 2,
        Move::Left => return sideways(app, false),
        Move::Right => return sideways(app, true),
        Move::Toggle => return toggle(app),
        Move::NextPane => return pane(app, true),
        Move::PreviousPane => return pane(app, false),
    };
    match &mut app.overlay {
        Some(Overlay::Help { scroll, .. } | Overlay::Report { scroll, .. }) => return shift(scroll, by, None),
        Some(Overlay::Palette { place, query, cursor }) => {
            let (place, text, mut at) = (*place, query.text(), *cursor);
            let rows = super::screen::help::palette_rows(app, place, &text).len();
            shift(&mut at, by, Some(rows));
            if let Some(Overlay::Palette { cursor, .. }) = &mut app.overlay {
                *cursor = at;
            }
            return;
        }
        Some(Overlay::Columns { tab, cursor }) => {
            let (tab, mut at) = (*tab, *cursor);
            shift(&mut at, by, Some(columns::choices(app, tab).len()));
            app.overlay = Some(Overlay::Columns { tab, cursor: at });
            return;
        }
        Some(Overlay::Confirm { .. } | Overlay::Filter) | None => {}
    }
    match &mut app.page {
        Page::Detail(view) if view.answers.is_some() => {
            if let Some(shown) = &mut view.answers {
                answers::step(shown, by);
            }
        }
        Page::Detail(view) if view.pane == DetailPane::Tasks => answers::step_tasks(view, by),
        Page::Detail(view) => {
            let at = DetailPane::ALL.iter().position(|pane| *pane == view.pane).unwrap_or(0);
            if let Some(scroll) = view.scroll.get_mut(at) {
                shift(scroll, by, None);
            }
        }
        Page::Composer(composer) => in_composer(composer, by, app.defaults.studies.len()),
        Page::Tab => match app.tab {
            Tab::Lab => in_lab(app, by),
            Tab::Curves => in_legend(app, by),
            Tab::Rank => rank_view::move_by(app, by, 0),
            Tab::Leaderboard => board_acts::step(app, by),
        },
    }
}

/// Move `at` by `by`, not below 0 and not to `count`. The end of a scroll without a count is known when it is drawn.
fn shift(at: &mut usize, by: i64, count: Option<usize>) {
    const FAR: i64 = 1 << 20;
    let last = count.map_or(FAR, |count| count.saturating_sub(1) as i64);
    *at = usize::try_from((*at as i64).saturating_add(by).clamp(0, last)).unwrap_or(0);
}

fn in_composer(composer: &mut Composer, by: i64, studies: usize) {
    match composer.stage {
        Stage::Choose => shift(&mut composer.cursor, by, Some(studies + 1)),
        Stage::Form => composer.form.step(by > 0),
        Stage::Review => {
            if let Some(review) = &mut composer.review {
                // Behind the runs stands what was refused.
                let rows = review.plan.as_ref().map_or(0, |plan| plan.runs.len() + plan.refusals.len());
                shift(&mut review.scroll, by, Some(rows));
            }
        }
    }
}

fn lab_order(app: &App) -> Vec<RunId> {
    Section::ALL.into_iter().flat_map(|section| app.section(section)).map(|run| run.id.clone()).collect()
}

fn in_lab(app: &mut App, by: i64) {
    let order = lab_order(app);
    let now = app.lab_view.cursor.as_ref().and_then(|cursor| order.iter().position(|run| run == cursor));
    let mut at = now.unwrap_or(0);
    shift(&mut at, if now.is_some() { by } else { 0 }, Some(order.len()));
    if let Some(run) = order.get(at) {
        app.lab_view.cursor = Some(run.clone());
        app.lab_view.follow = false;
    }
}

/// To the next row that is marked; without marks, to the next that the filter keeps. After the last comes the first.
pub(super) fn to_match(app: &mut App, forward: bool) {
    let next = |rows: &[bool], now: Option<usize>| {
        let count = rows.len();
        let start = now.unwrap_or(if forward { count.saturating_sub(1) } else { 0 });
        let place = |by: usize| (if forward { start + by } else { start + count - by }) % count;
        (1..=count).map(place).find(|at| rows.get(*at).copied().unwrap_or(false))
    };
    match app.tab {
        Tab::Lab => {
            let order = lab_order(app);
            let any = order.iter().any(|run| app.marks.contains(run));
            let rows: Vec<bool> = order.iter().map(|run| !any || app.marks.contains(run)).collect();
            let now = app.lab_view.cursor.as_ref().and_then(|cursor| order.iter().position(|run| run == cursor));
            if let Some(run) = next(&rows, now).and_then(|at| order.get(at)) {
                app.lab_view.cursor = Some(run.clone());
                app.lab_view.follow = false;
            }
        }
        Tab::Leaderboard => {
            let entries = board_acts::entries(app);
            let marked = |entry: &Entry| entry.runs().iter().any(|run| app.marks.contains(run));
            let any = entries.iter().any(marked);
            let rows: Vec<bool> = entries.iter().map(|entry| !any || marked(entry)).collect();
            let found = next(&rows, board_acts::place(app, &entries)).and_then(|at| entries.get(at)).map(Entry::key);
            if found.is_some() {
                app.board.cursor = found;
                // The matrix goes along.
                app.board.spot = None;
            }
        }
        Tab::Curves | Tab::Rank => {}
    }
}

/// The series under the cursor of the legend.
#[must_use]
pub fn legend_place(app: &App, series: &[Series]) -> Option<usize> {
    let selected = app.curves_view.selected.as_ref();
    let found = selected.and_then(|run| series.iter().position(|series| series.runs.contains(run)));
    found.or_else(|| (!series.is_empty()).then_some(0))
}

fn in_legend(app: &mut App, by: i64) {
    let series = app.series();
    let mut at = legend_place(app, &series).unwrap_or(0);
    shift(&mut at, by, Some(series.len()));
    app.curves_view.selected = series.get(at).and_then(|series| series.runs.first()).cloned();
}

fn sideways(app: &mut App, forward: bool) {
    match (&mut app.page, app.tab) {
        (Page::Composer(composer), _) => composer.form.sideways(forward),
        (Page::Tab, Tab::Curves) => move_reading_line(app, forward),
        (Page::Tab, Tab::Rank) => rank_view::move_by(app, 0, if forward { 1 } else { -1 }),
        (Page::Tab, Tab::Leaderboard) => board_acts::sideways(app, forward),
        (Page::Tab, Tab::Lab) | (Page::Detail(_), _) => {}
    }
}

fn toggle(app: &mut App) {
    if let Page::Composer(composer) = &mut app.page {
        composer.form.turn(true);
    }
}

/// What part of x is shown.
#[must_use]
pub fn shown_window(app: &App) -> Option<(f64, f64)> {
    app.curves_view.window.or_else(|| app.x_range())
}

fn move_reading_line(app: &mut App, forward: bool) {
    let Some((low, high)) = shown_window(app) else { return };
    let (log, columns) = (app.curves_view.log_x && low > 0.0, 80.0);
    let inner = |x: f64| if log { x.max(f64::MIN_POSITIVE).ln() } else { x };
    let step = (inner(high) - inner(low)) / columns;
    let now = app.curves_view.cursor.filter(|x| (low..=high).contains(x)).unwrap_or(high);
    let to = inner(now) + if forward { step } else { -step };
    let to = if log { to.exp() } else { to };
    app.curves_view.cursor = Some(to.clamp(low, high));
}

/// Make the window `factor` times as wide, around the reading line or its middle.
pub(super) fn zoom(app: &mut App, factor: f64) {
    let (Some((first, last)), Some((low, high))) = (app.x_range(), shown_window(app)) else { return };
    let centre = app.curves_view.cursor.filter(|x| (low..=high).contains(x)).unwrap_or(f64::midpoint(low, high));
    let width = ((high - low) * factor).max((last - first) / 1e4);
    if width >= last - first {
        app.curves_view.window = None;
        return;
    }
    let share = (centre - low) / (high - low).max(f64::MIN_POSITIVE);
    let start = (centre - share * width).clamp(first, last - width);
    app.curves_view.window = Some((start, start + width));
}

/// Move the window by a share of its width; the ends of the data stop it.
pub(super) fn pan(app: &mut App, share: f64) {
    let (Some((first, last)), Some((low, high))) = (app.x_range(), app.curves_view.window) else { return };
    // On a logarithmic axis equal distances are equal ratios.
    let log = app.curves_view.log_x && low > 0.0 && first > 0.0;
    let inner = |x: f64| if log { x.ln() } else { x };
    let outer = |x: f64| if log { x.exp() } else { x };
    let width = inner(high) - inner(low);
    let start = (inner(low) + share * width).clamp(inner(first), (inner(last) - width).max(inner(first)));
    app.curves_view.window = Some((outer(start), outer(start + width)));
}

fn pane(app: &mut App, forward: bool) {
    if let Some(Overlay::Confirm { yes, .. }) = &mut app.overlay {
        *yes = !*yes;
        return;
    }
    match &mut app.page {
        Page::Composer(composer) => composer.form.step(forward),
        Page::Detail(view) => {
            if let Some(shown) = &mut view.answers {
                shown.reading = !shown.reading;
                return;
            }
            let panes = answers::panes(view);
            let at = panes.iter().position(|pane| *pane == view.pane).unwrap_or(0);
            let to = if forward { at + 1 } else { at + panes.len() - 1 } % panes.len().max(1);
            view.pane = panes.get(to).copied().unwrap_or(DetailPane::Spec);
        }
        Page::Tab if app.tab == Tab::Rank => rank_view::turn_pane(app, forward),
        Page::Tab => lab_pane(app, forward),
    }
}

/// To the first run of the next list that has one.
fn lab_pane(app: &mut App, forward: bool) {
    let now = app.lab_view.cursor.as_ref().and_then(|run| app.run(run)).map(|run| Section::of(&run.status));
    let at = now.and_then(|now| Section::ALL.iter().position(|section| *section == now)).unwrap_or(0);
    let count = Section::ALL.len();
    let found = (1..=count).find_map(|step| {
        let to = if forward { at + step } else { at + count - step } % count;
        app.section(*Section::ALL.get(to)?).first().map(|run| run.id.clone())
    });
    if let Some(run) = found {
        app.lab_view.cursor = Some(run);
        app.lab_view.follow = false;
    }
}
