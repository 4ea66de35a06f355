//! Verbs on runs: the marked ones, or the one under the cursor. Pure: each becomes a request.
//! Promises: stopping asks first, and its answer defaults to No. Must not know: keys, colours.

use crate::core::summary::RunSummary;
use crate::core::{RunId, RunStatus};
use crate::wire::{Request, RunSelection};

use super::act::{current, under_cursor};
use super::app::{App, Overlay, Page, Pending};
use super::format;
use super::keymap::Verb;
use super::update::{say, send};

/// The runs a verb is meant for.
#[must_use]
pub fn targets(app: &App) -> Vec<RunId> {
    if app.marks.is_empty() || matches!(app.page, Page::Detail(_)) {
        under_cursor(app)
    } else {
        app.marks.iter().cloned().collect()
    }
}

fn waits(status: &RunStatus) -> bool {
    status.is_queued() || matches!(status, RunStatus::Paused)
}

/// The targets for which `verb` makes sense.
fn fitting(app: &App, verb: Verb) -> Vec<&RunSummary> {
    let fits = |run: &&RunSummary| match verb {
        Verb::PauseOrResume | Verb::Stop => !run.status.is_over(),
        Verb::Retry => run.status.can_retry(),
        Verb::Raise | Verb::Lower => waits(&run.status),
        Verb::Sooner | Verb::Later | Verb::HoldQueue => false,
    };
    targets(app).iter().filter_map(|run| app.run(run)).filter(fits).collect()
}

/// Whether a verb can do something now.
#[must_use]
pub(super) fn available(app: &App, verb: Verb) -> bool {
    match verb {
        Verb::HoldQueue => app.lab.is_some(),
        Verb::Sooner | Verb::Later => {
            current(app).and_then(|run| Some(app.run(&run)?.status == RunStatus::Queued)).unwrap_or(false)
        }
        Verb::PauseOrResume | Verb::Stop | Verb::Retry | Verb::Raise | Verb::Lower => !fitting(app, verb).is_empty(),
    }
}

/// Turn a verb into its request, or into the question before it.
pub(super) fn perform(app: &mut App, verb: Verb, effects: &mut Vec<super::msg::Effect>) {
    let fitting = fitting(app, verb);
    let runs: Vec<RunId> = fitting.iter().map(|run| run.id.clone()).collect();
    let all_paused = fitting.iter().all(|run| run.status == RunStatus::Paused);
    let going = || fitting.iter().filter(|run| run.status != RunStatus::Paused).map(|run| run.id.clone()).collect();
    let selection = RunSelection::Runs(runs);
    let (request, past) = match verb {
        Verb::PauseOrResume if all_paused => (Request::ResumeRuns { runs: selection }, "resumed"),
        Verb::PauseOrResume => (Request::PauseRuns { runs: RunSelection::Runs(going()) }, "paused"),
        Verb::Retry => (Request::RetryRuns { runs: selection }, "queued again"),
        Verb::Raise => (Request::ChangePriority { runs: selection, by: 1 }, "raised the priority of"),
        Verb::Lower => (Request::ChangePriority { runs: selection, by: -1 }, "lowered the priority of"),
        Verb::HoldQueue if app.lab.as_ref().is_some_and(|lab| lab.queue_paused) => {
            (Request::ResumeQueue, "the queue starts runs again")
        }
        Verb::HoldQueue => (Request::PauseQueue, "the queue is held; what runs goes on"),
        Verb::Sooner | Verb::Later => {
            let Some(run) = current(app) else { return };
            (Request::MoveRun { run, by: if verb == Verb::Sooner { -1 } else { 1 } }, "moved")
        }
        Verb::Stop => {
            let overlay = question(&fitting, selection);
            app.overlay = Some(overlay);
            return;
        }
    };
    send(app, request, Some(Pending::Verb(past)), effects);
}

fn question(runs: &[&RunSummary], selection: RunSelection) -> Overlay {
    let line = |run: &&RunSummary| {
        format!("{}  {} {} s{}  {} of {} steps", run.id, run.cell(), run.size, run.seed, run.step, run.steps)
    };
    let mut lines: Vec<String> = runs.iter().take(8).map(line).collect();
    if runs.len() > lines.len() {
        lines.push(format!("and {} more", runs.len() - lines.len()));
    }
    lines.push("Checkpoints stay; R goes on from them.".to_owned());
    Overlay::Confirm {
        question: format!("Stop {}?", format::runs(runs.len())),
        lines,
        yes: false,
        request: Box::new(Request::StopRuns { runs: selection }),
    }
}

/// The answer to the question on the screen.
pub(super) fn answer(app: &mut App, yes: bool, effects: &mut Vec<super::msg::Effect>) {
    let Some(Overlay::Confirm { request, .. }) = app.overlay.take() else { return };
    if yes {
        send(app, *request, Some(Pending::Verb("stopped")), effects);
    } else {
        say(app, "nothing was stopped", false);
    }
}
