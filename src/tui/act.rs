//! What actions do to the model. Pure.
//! Promises: an action that cannot work now is not offered and does nothing. Must not know: which key it came from.

use crate::config::Theme;
use crate::core::{Metric, RunId};

use super::app::{App, DetailPane, DetailView, Link, Overlay, Page, Pending, Section};
use super::composer::{Composer, Stage};
use super::export::Export;
use super::keymap::{Action, Move, Place};
use super::msg::{Effect, Tab, XAxis};
use super::series::SMOOTHING;
use super::text_field::TextField;
use super::theme::Palette;
use super::update::{say, send};
use super::{answers, board_acts, columns, complete, complete_path, export, navigate, rank_view, verbs};

/// The metrics that Curves can show: those that a run has a newest value of. What is the same at every step is no curve.
#[must_use]
pub fn curve_metrics(app: &App) -> Vec<Metric> {
    let known = |metric: &Metric| app.runs().iter().any(|run| run.latest.contains_key(metric));
    let drawn = |metric: &Metric| *metric != Metric::TargetEntropy && (*metric == Metric::Loss || known(metric));
    Metric::ALL.into_iter().filter(drawn).collect()
}

/// Do `action`, if it can work now.
pub(super) fn perform(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    if !available(app, action) {
        return;
    }
    app.dirty = true;
    match action {
        Action::Leave | Action::Detach => effects.push(Effect::Quit),
        Action::Suspend => effects.push(Effect::Suspend),
        Action::Redraw => effects.push(Effect::Redraw),
        Action::Help => {
            let place = app.place();
            app.overlay = Some(Overlay::Help { place, query: TextField::default(), scroll: 0 });
        }
        Action::Palette => {
            let place = app.place();
            app.overlay = Some(Overlay::Palette { place, query: TextField::default(), cursor: 0 });
        }
        Action::Back => back(app),
        Action::ShowLab => show(app, Tab::Lab),
        Action::ShowCurves => show(app, Tab::Curves),
        Action::ShowRank => show(app, Tab::Rank),
        Action::ShowLeaderboard => show(app, Tab::Leaderboard),
        Action::AddStudy => {
            let taken = app.lab.iter().flat_map(|lab| &lab.studies).map(|study| study.id.to_string()).collect();
            app.page = Page::Composer(Box::new(Composer::new(&app.defaults, taken)));
        }
        Action::CycleTheme => cycle_theme(app),
        Action::ToggleMouse => {
            app.mouse = !app.mouse;
            app.remembered.mouse = Some(app.mouse);
            effects.push(Effect::SetMouse(app.mouse));
            let state = if app.mouse { "captured; m lets it go for copying" } else { "left to the terminal" };
            say(app, format!("mouse {state}"), false);
        }
        Action::Move(Move::NextPane) => match complete_path::begin(app) {
            Some(effect) => effects.push(effect),
            None => navigate::perform(app, Move::NextPane),
        },
        Action::Move(to) => navigate::perform(app, to),
        Action::Open => open(app, effects),
        Action::Mark => mark(app),
        Action::ClearMarks => app.marks.clear(),
        Action::ZoomPane => match &mut app.page {
            Page::Detail(view) => view.zoomed = !view.zoomed,
            Page::Tab if app.tab == Tab::Rank => app.rank_view.zoomed = !app.rank_view.zoomed,
            Page::Tab | Page::Composer(_) => app.lab_view.zoomed = !app.lab_view.zoomed,
        },
        Action::Filter => app.overlay = Some(Overlay::Filter),
        Action::Complete => complete::perform(app),
        Action::Follow => {
            app.lab_view.follow = !app.lab_view.follow;
            let state = if app.lab_view.follow { "follows the newest run" } else { "stays where it is" };
            say(app, format!("the cursor {state}"), false);
        }
        Action::Verb(verb) => verbs::perform(app, verb, effects),
        Action::CopyId => {
            if let Some(shown) = answers::of_page(&app.page) {
                effects.extend(answers::copied(shown).map(Effect::Copy));
                say(app, "copied the item", false);
            } else {
                let runs: Vec<String> = under_cursor(app).iter().map(RunId::to_string).collect();
                let said = match runs.as_slice() {
                    [run] => run.clone(),
                    several => format!("{} run ids", several.len()),
                };
                effects.push(Effect::Copy(runs.join(" ")));
                say(app, format!("copied {said}"), false);
            }
        }
        Action::NextMatch => navigate::to_match(app, true),
        Action::PreviousMatch => navigate::to_match(app, false),
        Action::Columns => app.overlay = Some(Overlay::Columns { tab: app.tab, cursor: 0 }),
        Action::ToggleColumn => columns::toggle(app),
        Action::Export => {
            if let Some(Export { screen, text, note }) = export::of_screen(app) {
                effects.push(Effect::Export { screen, text, note });
            }
        }
        Action::NextMetric | Action::PreviousMetric => turn_metric(app, action == Action::NextMetric),
        Action::NextMeasure | Action::PreviousMeasure => rank_view::turn_measure(app, action == Action::NextMeasure),
        Action::NextAttention => rank_view::turn_attention(app),
        Action::NextRun | Action::PreviousRun => rank_view::turn_run(app, action == Action::NextRun),
        Action::NextAxis => next_axis(app),
        Action::LogX => app.curves_view.log_x = !app.curves_view.log_x,
        Action::LogY => app.curves_view.log_y = !app.curves_view.log_y,
        Action::SmoothMore | Action::SmoothLess => {
            let now = app.curves_view.smoothing;
            let to = if action == Action::SmoothMore { now + 1 } else { now.saturating_sub(1) };
            app.curves_view.smoothing = to.min(SMOOTHING.len() - 1);
            app.remembered.smoothing = Some(app.curves_view.smoothing);
        }
        Action::FoldSeeds => {
            app.curves_view.fold = !app.curves_view.fold;
            app.remembered.fold_seeds = app.curves_view.fold;
        }
        Action::ZoomIn => navigate::zoom(app, 0.5),
        Action::ZoomOut => navigate::zoom(app, 2.0),
        Action::PanLeft => navigate::pan(app, -0.25),
        Action::PanRight => navigate::pan(app, 0.25),
        Action::ResetView => {
            app.curves_view.window = None;
            app.curves_view.cursor = None;
        }
        Action::NextSort => board_acts::next_sort(app),
        Action::ReverseSort => app.board.reversed = !app.board.reversed,
        Action::NextColumn | Action::PreviousColumn => board_acts::turn_column(app, action == Action::NextColumn),
        Action::NextBudget => board_acts::next_budget(app),
        Action::ToggleMatrix => board_acts::toggle_matrix(app),
        Action::OnlyWrong => answers::toggle_wrong(app),
        Action::NextStudy => turn_study(app, true),
        Action::PreviousStudy => turn_study(app, false),
        Action::EditStudy => {
            if let Page::Composer(composer) = &mut app.page {
                composer.edit(&app.defaults);
            }
        }
        Action::Proceed => proceed(app, effects),
        Action::Yes => verbs::answer(app, true, effects),
        Action::No => verbs::answer(app, false, effects),
    }
}

/// Whether `action` can do something now; the footer shows nothing else.
#[must_use]
pub fn available(app: &App, action: Action) -> bool {
    let closes = matches!(action, Action::Back | Action::Proceed);
    (app.overlay.is_some() && closes) || available_on_page(app, action)
}

/// Whether `action` can do something once nothing lies over the page; help and palette show nothing else.
#[must_use]
pub fn available_on_page(app: &App, action: Action) -> bool {
    let up = matches!(app.link, Link::Up(_));
    let any_run = !app.runs().is_empty();
    match action {
        Action::Verb(verb) => up && verbs::available(app, verb),
        Action::Open => match &app.page {
            Page::Detail(view) => up && answers::can_open(view),
            Page::Tab | Page::Composer(_) => current(app).is_some() || on_lineage(app),
        },
        Action::CopyId => match answers::of_page(&app.page) {
            Some(shown) => !shown.shown().is_empty(),
            None => !under_cursor(app).is_empty(),
        },
        Action::OnlyWrong => answers::of_page(&app.page).is_some_and(|shown| shown.told.is_some()),
        Action::NextColumn | Action::PreviousColumn => board_acts::looked_at(app).is_some(),
        Action::ToggleMatrix => app.leaderboard.as_ref().is_some_and(|table| !table.rows.is_empty()),
        Action::Mark => !under_cursor(app).is_empty(),
        Action::ClearMarks => !app.marks.is_empty(),
        Action::Follow | Action::Filter => any_run,
        Action::NextMatch | Action::PreviousMatch => !app.filter.is_empty() || !app.marks.is_empty(),
        Action::Export => export::possible(app),
        Action::NextStudy | Action::PreviousStudy => app.lab.as_ref().is_some_and(|lab| !lab.studies.is_empty()),
        Action::ZoomIn | Action::ZoomOut | Action::PanLeft | Action::PanRight => app.x_range().is_some(),
        Action::ResetView => app.curves_view.window.is_some() || app.curves_view.cursor.is_some(),
        Action::SmoothMore => app.curves_view.smoothing + 1 < SMOOTHING.len(),
        Action::SmoothLess => app.curves_view.smoothing > 0,
        Action::Back => match &app.page {
            Page::Tab if app.tab == Tab::Rank => app.notice.is_some() || app.rank_view.zoomed,
            Page::Tab => !app.filter_text.is_empty() || app.notice.is_some() || app.lab_view.zoomed,
            Page::Detail(_) | Page::Composer(_) => true,
        },
        Action::NextMeasure | Action::PreviousMeasure => app.rank_view.newest().is_some(),
        Action::ZoomPane => app.place() != Place::Rank || app.rank_view.newest().is_some(),
        Action::NextAttention => rank_view::many_attentions(app),
        Action::NextRun | Action::PreviousRun => rank_view::others(app),
        Action::Proceed => can_proceed(app),
        Action::EditStudy => match &app.page {
            Page::Composer(composer) => match composer.stage {
                Stage::Choose => composer.cursor < app.defaults.studies.len(),
                Stage::Review => composer.review.as_ref().is_some_and(|review| review.waiting.is_none()),
                Stage::Form => false,
            },
            Page::Tab | Page::Detail(_) => false,
        },
        Action::Move(_)
        | Action::Leave
        | Action::Detach
        | Action::Suspend
        | Action::Redraw
        | Action::Help
        | Action::Palette
        | Action::ShowLab
        | Action::ShowCurves
        | Action::ShowRank
        | Action::ShowLeaderboard
        | Action::AddStudy
        | Action::CycleTheme
        | Action::Complete
        | Action::ToggleMouse
        | Action::NextMetric
        | Action::PreviousMetric
        | Action::NextAxis
        | Action::LogX
        | Action::LogY
        | Action::FoldSeeds
        | Action::Columns
        | Action::ToggleColumn
        | Action::NextSort
        | Action::ReverseSort
        | Action::NextBudget
        | Action::Yes
        | Action::No => true,
    }
}

fn can_proceed(app: &App) -> bool {
    match &app.page {
        Page::Composer(composer) => match composer.stage {
            Stage::Choose => composer.cursor >= app.defaults.studies.len() || matches!(app.link, Link::Up(_)),
            Stage::Form => matches!(app.link, Link::Up(_)),
            Stage::Review => composer.review.as_ref().is_some_and(|review| {
                review.waiting.is_none() && review.plan.as_ref().is_some_and(|plan| !plan.runs.is_empty())
            }),
        },
        Page::Tab | Page::Detail(_) => false,
    }
}

fn on_lineage(app: &App) -> bool {
    app.tab == Tab::Leaderboard && !under_cursor(app).is_empty()
}

/// The runs of the row under the cursor.
#[must_use]
pub fn under_cursor(app: &App) -> Vec<RunId> {
    match (&app.page, app.tab) {
        (Page::Detail(view), _) => vec![view.run.clone()],
        (Page::Composer(_), _) => Vec::new(),
        (Page::Tab, Tab::Rank) => app.rank_view.run.iter().filter(|run| app.run(run).is_some()).cloned().collect(),
        (Page::Tab, Tab::Lab) => app.lab_view.cursor.iter().filter(|run| lab_shows(app, run)).cloned().collect(),
        (Page::Tab, Tab::Curves) => {
            let series = app.series();
            navigate::legend_place(app, &series).and_then(|at| series.get(at)).map_or_else(Vec::new, |s| s.runs.clone())
        }
        (Page::Tab, Tab::Leaderboard) => board_acts::under_cursor(app),
    }
}

fn lab_shows(app: &App, run: &RunId) -> bool {
    app.run(run).is_some_and(|run| app.filter.keeps_run(run))
}

/// The one run under the cursor.
#[must_use]
pub fn current(app: &App) -> Option<RunId> {
    match under_cursor(app).as_slice() {
        [run] => Some(run.clone()),
        _ => None,
    }
}

pub(super) fn show(app: &mut App, tab: Tab) {
    if tab == Tab::Rank {
        let runs = under_cursor(app);
        rank_view::open(app, &runs);
    }
    app.tab = tab;
    app.page = Page::Tab;
    app.overlay = None;
    app.remembered.screen = tab;
}

fn back(app: &mut App) {
    match app.overlay.take() {
        Some(Overlay::Filter) => {
            app.filter_text = TextField::default();
            read_filter(app);
            return;
        }
        Some(
            Overlay::Help { .. }
            | Overlay::Palette { .. }
            | Overlay::Confirm { .. }
            | Overlay::Report { .. }
            | Overlay::Columns { .. },
        ) => return,
        None => {}
    }
    match &mut app.page {
        Page::Detail(view) if view.answers.is_some() => view.answers = None,
        Page::Detail(_) => app.page = Page::Tab,
        Page::Composer(composer) => {
            if !composer.back(&app.defaults) {
                app.page = Page::Tab;
            }
        }
        Page::Tab if app.notice.take().is_some() => {}
        Page::Tab if app.tab == Tab::Rank => app.rank_view.zoomed = false,
        Page::Tab if app.lab_view.zoomed => app.lab_view.zoomed = false,
        Page::Tab => {
            app.filter_text = TextField::default();
            read_filter(app);
        }
    }
}

/// Understand the filter line; while it cannot be understood the last good filter stays.
pub(super) fn read_filter(app: &mut App) {
    match app.filter_text.text().parse() {
        Ok(filter) => {
            app.filter = filter;
            app.filter_error = None;
            let shown = app.lab_view.cursor.as_ref().is_some_and(|run| lab_shows(app, run));
            if !shown {
                let first = Section::ALL.into_iter().find_map(|s| app.section(s).first().map(|run| run.id.clone()));
                app.lab_view.cursor = first.or_else(|| app.lab_view.cursor.clone());
            }
        }
        Err(error) => app.filter_error = Some(error),
    }
}

fn cycle_theme(app: &mut App) {
    app.theme = match app.theme {
        Theme::Dark => Theme::Light,
        Theme::Light => Theme::Mono,
        Theme::Mono => Theme::Dark,
    };
    app.palette = Palette::new(app.theme, app.depth);
    app.remembered.theme = Some(app.theme);
    let name = match app.theme {
        Theme::Dark => "dark",
        Theme::Light => "light",
        Theme::Mono => "no colours",
    };
    say(app, format!("theme: {name}"), false);
}

fn open(app: &mut App, effects: &mut Vec<Effect>) {
    if matches!(app.page, Page::Detail(_)) {
        return answers::open(app, effects);
    }
    if app.tab == Tab::Leaderboard && board_acts::open(app) {
        return;
    }
    if let Some(run) = under_cursor(app).into_iter().next() {
        app.page = Page::Detail(Box::new(DetailView {
            run,
            detail: None,
            pane: DetailPane::Spec,
            scroll: [0; 5],
            zoomed: false,
            task: None,
            answers: None,
        }));
    }
}

fn mark(app: &mut App) {
    let runs = under_cursor(app);
    if runs.iter().all(|run| app.marks.contains(run)) {
        runs.iter().for_each(|run| {
            app.marks.remove(run);
        });
    } else {
        app.marks.extend(runs);
    }
    if app.tab != Tab::Curves {
        navigate::perform(app, Move::Down);
    }
}

fn turn_metric(app: &mut App, forward: bool) {
    let all = curve_metrics(app);
    let at = all.iter().position(|metric| *metric == app.curves_view.metric).unwrap_or(0);
    let to = if forward { at + 1 } else { at + all.len() - 1 } % all.len().max(1);
    app.curves_view.metric = all.get(to).copied().unwrap_or(Metric::Loss);
}

fn next_axis(app: &mut App) {
    let view = &mut app.curves_view;
    view.x_axis = match view.x_axis {
        XAxis::Step => XAxis::Tokens,
        XAxis::Tokens => XAxis::Flops,
        XAxis::Flops => XAxis::WallClock,
        XAxis::WallClock => XAxis::Step,
    };
    // Window and cursor are in the old axis's numbers.
    view.window = None;
    view.cursor = None;
    app.remembered.x_axis = view.x_axis;
}

fn turn_study(app: &mut App, forward: bool) {
    let Some(lab) = &app.lab else { return };
    let mut choices = vec![None];
    choices.extend(lab.studies.iter().map(|study| Some(study.id.clone())));
    let at = choices.iter().position(|choice| *choice == app.study).unwrap_or(0);
    let to = if forward { at + 1 } else { at + choices.len() - 1 } % choices.len();
    app.study = choices.get(to).cloned().flatten();
    app.curves_view.window = None;
}

fn proceed(app: &mut App, effects: &mut Vec<Effect>) {
    match app.overlay.take() {
        Some(Overlay::Palette { place, query, cursor }) => {
            let chosen = super::screen::help::palette_rows(app, place, &query.text()).get(cursor).map(|row| row.action);
            if let Some(action) = chosen {
                perform(app, action, effects);
            }
            return;
        }
        Some(Overlay::Confirm { question, lines, yes, request }) => {
            app.overlay = Some(Overlay::Confirm { question, lines, yes, request });
            verbs::answer(app, yes, effects);
            return;
        }
        Some(Overlay::Filter | Overlay::Help { .. } | Overlay::Report { .. } | Overlay::Columns { .. }) => return,
        None => {}
    }
    let Page::Composer(composer) = &mut app.page else { return };
    match composer.stage {
        Stage::Choose => match app.defaults.studies.get(composer.cursor) {
            Some(study) => {
                let request = composer.review(study.spec.clone());
                send(app, request, Some(Pending::Plan), effects);
            }
            None => composer.stage = Stage::Form,
        },
        Stage::Form => match composer.form.study_from(&app.folder) {
            Ok(study) => {
                let request = composer.review(study);
                send(app, request, Some(Pending::Plan), effects);
            }
            Err((field, reason)) => {
                composer.form.focus = field;
                composer.form.error = Some((field, reason));
            }
        },
        Stage::Review => {
            if let Some(request) = composer.submit() {
                send(app, request, Some(Pending::Submit), effects);
            }
        }
    }
}

/// A drag of the chart to `column`: what was under the pointer stays under it.
pub(super) fn drag(app: &mut App, column: u16) {
    let Some(from) = app.curves_view.drag else { return };
    if let Some(plot) = super::screen::curves::plot(app) {
        let moved = f64::from(from) - f64::from(column);
        navigate::pan(app, moved / f64::from(plot.width.saturating_sub(1).max(1)));
    }
    app.curves_view.drag = Some(column);
}
