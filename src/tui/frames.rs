//! What the server says, taken into the model.
//! Promises: an update replaces a value whole; a cursor stays on its run. Must not know: keys.

use crate::core::board::Leaderboard;
use crate::core::summary::PlanReport;
use crate::core::text_width::columns_of;
use crate::core::{Metric, RunId};
use crate::wire::{Reply, ServerFrame, Topic, Update};

use super::answers;
use super::app::{App, Overlay, Page, Pending, Section};
use super::composer::{Review, Stage, Waiting};
use super::msg::Tab;
use super::update::say;
use super::{format, rank_view};

/// Longest message that is shown as one line.
const ONE_LINE: usize = 70;

/// Take a frame in.
pub(super) fn take(app: &mut App, frame: ServerFrame) {
    match frame {
        ServerFrame::Update(update) => take_update(app, update),
        ServerFrame::Reply { id, reply } => {
            let purpose = app.pending.remove(&id);
            take_reply(app, purpose, reply);
        }
    }
}

fn take_update(app: &mut App, update: Update) {
    match update {
        Update::Lab(lab) => {
            app.index = lab.runs.iter().enumerate().map(|(at, run)| (run.id.clone(), at)).collect();
            app.marks.retain(|run| app.index.contains_key(run));
            app.lab = Some(lab);
            place_cursor(app);
            if app.tab == Tab::Rank {
                rank_view::choose(app);
            }
        }
        Update::Curves(curves) => {
            for curve in curves {
                app.curves.insert((curve.run.clone(), curve.metric), curve);
            }
        }
        Update::Rank(history) => rank_view::take(app, history),
        Update::Leaderboard(table) => take_leaderboard(app, table),
        Update::Run(detail) => {
            if let Page::Detail(view) = &mut app.page
                && view.run == detail.summary.id
            {
                view.detail = Some(detail);
            }
        }
    }
}

fn take_leaderboard(app: &mut App, table: Leaderboard) {
    for row in &table.rows {
        app.lineages.extend(row.runs.iter().map(|run| (run.clone(), row.lineage.clone())));
    }
    // Curves asks for the whole table only to fold seeds; the Leaderboard shows the study and the budget it asked for.
    if table.study == app.study && table.budget == app.board.budget {
        app.leaderboard = Some(table);
    }
}

/// Keep the cursor on its run, or put it on the first one.
fn place_cursor(app: &mut App) {
    if app.lab_view.follow {
        let newest = app.runs().iter().filter(|run| Section::of(&run.status) == Section::Running);
        let newest = newest.max_by_key(|run| (run.last_event_ms, run.queued_ms)).map(|run| run.id.clone());
        if newest.is_some() {
            app.lab_view.cursor = newest;
        }
    }
    let known = |run: &RunId| app.index.contains_key(run);
    if !app.lab_view.cursor.as_ref().is_some_and(known) {
        app.lab_view.cursor =
            Section::ALL.into_iter().find_map(|section| app.section(section).first().map(|run| run.id.clone()));
    }
}

fn take_reply(app: &mut App, purpose: Option<Pending>, reply: Reply) {
    match (purpose, reply) {
        (Some(Pending::Plan), Reply::Plan(plan)) => {
            if let Some(review) = review(app) {
                review.waiting = None;
                review.plan = Some(plan);
            }
        }
        (Some(Pending::Submit), Reply::Submitted(plan)) => submitted(app, &plan),
        (Some(Pending::Plan | Pending::Submit), Reply::Refused { message }) => match review(app) {
            Some(review) => {
                review.waiting = None;
                review.error = Some(message);
            }
            None => report(app, "the study was refused", message),
        },
        (Some(Pending::Verb(verb)), Reply::Changed { runs, refused }) => changed(app, verb, runs.len(), &refused),
        (Some(Pending::Answers), Reply::Answers(told)) => answers::take(app, told),
        (Some(Pending::Answers), Reply::Refused { message }) => {
            answers::fail(app, format!("could not {message}"));
        }
        (Some(Pending::Verb(verb)), Reply::Done) => say(app, format!("{verb}."), false),
        (_, Reply::Refused { message }) => report(app, "the server refused", message),
        // Answers that nobody waits for any more, and kinds the dashboard never asks for.
        (
            Some(Pending::Plan | Pending::Submit | Pending::Verb(_) | Pending::Answers) | None,
            Reply::Welcome(_)
            | Reply::Done
            | Reply::Changed { .. }
            | Reply::Plan(_)
            | Reply::Submitted(_)
            | Reply::Runs(_)
            | Reply::Studies(_)
            | Reply::Study(_)
            | Reply::Run(_)
            | Reply::Curve(_)
            | Reply::Rank(_)
            | Reply::Leaderboard(_)
            | Reply::Answers(_)
            | Reply::Lab(_)
            | Reply::Events { .. },
        ) => {}
    }
}

fn review(app: &mut App) -> Option<&mut Review> {
    match &mut app.page {
        Page::Composer(composer) if composer.stage == Stage::Review => composer.review.as_mut(),
        Page::Composer(_) | Page::Tab | Page::Detail(_) => None,
    }
}

fn submitted(app: &mut App, plan: &PlanReport) {
    let existing = plan.runs.iter().filter(|run| run.existing.is_some()).count();
    let queued = plan.runs.len() - existing;
    let known = if existing > 0 { format!("; {} known already", format::runs(existing)) } else { String::new() };
    say(app, format!("study {}: {} queued{known}", plan.study, format::runs(queued)), false);
    let reviewed = review(app).is_some_and(|review| review.study.name == plan.study);
    if reviewed {
        app.page = Page::Tab;
        app.tab = Tab::Lab;
    }
}

fn changed(app: &mut App, verb: &str, count: usize, refused: &[(RunId, String)]) {
    let done = format!("{verb} {}", format::runs(count));
    match refused {
        [] => say(app, done, false),
        [(run, reason)] if columns_of(reason) < ONE_LINE => {
            let done = if count == 0 { format!("not {verb}") } else { format!("{done}, not") };
            say(app, format!("{done} {run}: {reason}"), true);
        }
        several => {
            let lines: Vec<String> = several.iter().map(|(run, reason)| format!("{run}: {reason}")).collect();
            report(app, &format!("{done}; {} refused", several.len()), lines.join("\n"));
        }
    }
}

fn report(app: &mut App, title: &str, text: String) {
    if columns_of(&text) <= ONE_LINE && !text.contains('\n') {
        say(app, text, true);
    } else {
        app.overlay = Some(Overlay::Report { title: title.to_owned(), text, scroll: 0 });
    }
}

/// The connection is gone: say so where an answer is awaited.
pub(super) fn forget_pending(app: &mut App) {
    let awaited = app.pending.values().any(|purpose| *purpose != Pending::Answers);
    app.pending.clear();
    answers::fail(app, "the connection ended before the answers came; Esc and Enter ask again".to_owned());
    if let Some(review) = review(app)
        && let Some(waiting) = review.waiting.take()
    {
        let what = match waiting {
            Waiting::Plan => "the plan was lost",
            Waiting::Submit => "the server went away before it confirmed; look at the Lab before submitting again",
        };
        review.error = Some(format!("{what}: the connection ended; Esc and Enter ask again"));
    } else if awaited {
        say(app, "the connection ended before the server confirmed; check the runs and repeat", true);
    }
}

/// A request could not be handed on.
pub(super) fn not_sent(app: &mut App, id: u64) {
    let Some(purpose) = app.pending.remove(&id) else { return };
    if purpose == Pending::Answers {
        answers::fail(app, "not sent: the server does not keep up; Esc and Enter ask again".to_owned());
        return;
    }
    match (purpose, review(app)) {
        (Pending::Plan | Pending::Submit, Some(review)) => {
            review.waiting = None;
            review.error = Some("not sent: the server does not keep up; try again".to_owned());
        }
        (Pending::Plan | Pending::Submit | Pending::Verb(_) | Pending::Answers, _) => {
            say(app, "not sent: the server is not reachable or does not keep up; try again", true);
        }
    }
}

/// Forget curves that are not wanted any more, so that memory does not grow with browsing.
pub(super) fn keep_only(app: &mut App, topics: &[Topic]) {
    let wanted = |run: &RunId, metric: Metric| {
        topics.iter().any(|topic| match topic {
            Topic::Curves { runs, metric: other, .. } => *other == metric && runs.contains(run),
            Topic::Lab | Topic::Leaderboard { .. } | Topic::Run { .. } | Topic::Rank { .. } => false,
        })
    };
    app.curves.retain(|(run, metric), _| wanted(run, *metric));
}
