//! `trilab study`: from a file to a queue.

use std::collections::HashSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::Interrupted;
use super::arguments::{StudyArguments, StudyCommand};
use super::lab::{Lab, ask, block_on, start_of_paths, unexpected};
use super::output::{Bar, print, print_json, say};
use crate::config::paths::absolute;
use crate::config::{Override, load_study, parse_override, read_study, save_study, shipped_studies};
use crate::core::grid;
use crate::core::study::StudySpec;
use crate::core::summary::{LabSummary, PlanReport, RunSummary, StudySummary};
use crate::core::{RunId, RunStatus, StudyId};
use crate::report::plan::text as plan_text;
use crate::report::runs::{studies as study_table, table as run_table};
use crate::wire::{ClientFrame, Connection, Reply, Request, ServerFrame, Topic, Update, WireError};

/// Between the end of one server and the search for the next.
const RETRY: Duration = Duration::from_millis(300);

pub(super) fn run(lab: &Lab, command: StudyCommand) -> Result<ExitCode> {
    block_on(async {
        match command {
            StudyCommand::Check(arguments) => {
                let study = Box::new(load(lab, &arguments).await?);
                let plan = match ask(&mut lab.look_aloud().await?, Request::CheckStudy { study }).await? {
                    Reply::Plan(plan) => plan,
                    other => return unexpected(&other),
                };
                show_plan(&plan, arguments.json)?;
                Ok(if plan.runs.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
            }
            StudyCommand::Submit { arguments, wait, force } => submit(lab, &arguments, wait, force).await,
            StudyCommand::List { json } => list(lab, json).await.map(|()| ExitCode::SUCCESS),
            StudyCommand::Show(arguments) => show(lab, &arguments).await.map(|()| ExitCode::SUCCESS),
        }
    })
}

fn show_plan(plan: &PlanReport, json: bool) -> Result<()> {
    if json { print_json(plan) } else { print(&plan_text(plan)) }
}

/// The study that an argument names, which is small enough to be expanded.
async fn load(lab: &Lab, arguments: &StudyArguments) -> Result<StudySpec> {
    let study = read(lab, arguments).await?;
    grid::count(&study).map_err(|error| anyhow!("could not plan the study: {error}"))?;
    Ok(study)
}

/// The study that an argument names: a file, a shipped study, or a submitted one; with `--set` on top.
async fn read(lab: &Lab, arguments: &StudyArguments) -> Result<StudySpec> {
    let is_path = arguments.study.contains(['/', '\\']);
    // A change may be the path of a text, too.
    let changes = arguments.overrides.iter().map(String::as_str);
    let here = start_of_paths(is_path.then_some(arguments.study.as_str()).into_iter().chain(changes))?;
    let overrides: Vec<Override> =
        arguments.overrides.iter().map(|text| parse_override(text, &here)).collect::<Result<_, _>>()?;
    let config = lab.config_file.as_deref();
    let path = absolute(Path::new(&arguments.study), &here);
    if path.is_file() || is_path {
        let text = read_study(&path).with_context(|| format!("could not read {}", path.display()))?;
        let folder = path.parent().unwrap_or(&here);
        return Ok(load_study(config, &arguments.study, &text, folder, &overrides)?);
    }
    if let Some(shipped) = shipped_studies().into_iter().find(|study| study.name == arguments.study) {
        return Ok(load_study(config, &format!("shipped {}.toml", shipped.name), shipped.text, &here, &overrides)?);
    }
    let (_, spec) = submitted(&mut lab.look_aloud().await?, &arguments.study).await?;
    Ok(load_study(config, &arguments.study, &save_study(&spec)?, &here, &overrides)?)
}

async fn submitted(connection: &mut Connection, name: &str) -> Result<(StudySummary, StudySpec)> {
    let Ok(study) = name.parse::<StudyId>() else {
        bail!("there is no file, shipped study or submitted study called `{name}`; `trilab study list` shows them");
    };
    match ask(connection, Request::ShowStudy { study }).await? {
        Reply::Study(found) => Ok(*found),
        other => unexpected(&other),
    }
}

async fn list(lab: &Lab, json: bool) -> Result<()> {
    let studies = match ask(&mut lab.look_aloud().await?, Request::ListStudies).await? {
        Reply::Studies(studies) => studies,
        other => return unexpected(&other),
    };
    if json {
        return print_json(&studies);
    }
    let shipped: Vec<&str> = shipped_studies().iter().map(|study| study.name).collect();
    print(&format!("{}\nshipped: {}\n", study_table(&studies).text(), shipped.join(", ")))
}

async fn show(lab: &Lab, arguments: &StudyArguments) -> Result<()> {
    let mut connection = lab.look_aloud().await?;
    let (summary, spec) = submitted(&mut connection, &arguments.study).await?;
    if arguments.json {
        return print_json(&serde_json::json!({ "summary": summary, "spec": spec }));
    }
    let runs = super::lab::runs(&mut connection, Request::ListRuns { study: Some(summary.id.clone()) }).await?;
    print(&format!("{}\n{}", run_table(&runs).text(), save_study(&spec)?))
}

async fn submit(lab: &Lab, arguments: &StudyArguments, wait: bool, force: bool) -> Result<ExitCode> {
    let study = Box::new(load(lab, arguments).await?);
    let mut connection = lab.connect().await?;
    let plan = match ask(&mut connection, Request::SubmitStudy { study, force }).await? {
        Reply::Submitted(plan) => plan,
        other => return unexpected(&other),
    };
    let runs: HashSet<RunId> = plan.runs.iter().map(|run| run.id.clone()).collect();
    if !wait {
        show_plan(&plan, arguments.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    for refusal in &plan.refusals {
        say(&format!("{}: {}", refusal.cell, refusal.reason));
    }
    plan.notices.iter().for_each(|notice| say(&format!("note: {notice}")));
    let last = tokio::select! {
        last = watch(lab, connection, &runs) => last?,
        signal = tokio::signal::ctrl_c() => {
            signal.context("could not listen to Ctrl-C")?;
            say(&format!("no longer waiting; the runs go on (`trilab run list --study {}`)", plan.study));
            return Err(Interrupted.into());
        }
    };
    let ours: Vec<_> = last.runs.into_iter().filter(|run| runs.contains(&run.id)).collect();
    if arguments.json {
        print_json(&ours)?
    } else {
        print(&run_table(&ours).text())?
    }
    for run in ours.iter().filter(|run| !run.status.reason().is_empty()) {
        say(&format!("{} {}: {}", run.id, run.cell(), run.status.reason()));
    }
    let finished = ours.iter().filter(|run| run.status == RunStatus::Finished).count();
    Ok(if finished == runs.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Shows the progress of `runs` on stderr until each is over, and gives the lab as it then is. Runs need a server to follow one
/// another: if it goes, because it was stopped or its program was replaced, another is found or started.
async fn watch(lab: &Lab, mut connection: Connection, runs: &HashSet<RunId>) -> Result<LabSummary> {
    let bar = Bar::new("{wide_bar} {pos}/{len} steps  {msg}")?;
    loop {
        match follow(connection, runs, &bar).await {
            Ok(last) => {
                bar.clear();
                return Ok(last);
            }
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(RETRY).await;
        let again = lab.connect().await;
        connection = again.context("could not go on waiting, the server is gone; the runs that have a worker go on")?;
    }
}

/// Whether the server went away in the middle.
fn is_gone(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<WireError>(), Some(WireError::Closed | WireError::Io(_)))
}

/// Watches through one connection.
async fn follow(connection: Connection, runs: &HashSet<RunId>, bar: &Bar) -> Result<LabSummary> {
    let (requests, mut frames) = connection.split();
    let subscription = ClientFrame { id: 1, request: Request::Subscribe { topics: vec![Topic::Lab] } };
    requests.send(subscription).await.map_err(|_| WireError::Closed)?;
    loop {
        let lab = match frames.next().await? {
            ServerFrame::Update(Update::Lab(lab)) => *lab,
            ServerFrame::Reply { reply: Reply::Refused { message }, .. } => bail!("could not {message}"),
            ServerFrame::Update(_) | ServerFrame::Reply { .. } => continue,
        };
        let ours: Vec<_> = lab.runs.iter().filter(|run| runs.contains(&run.id)).collect();
        bar.set(ours.iter().map(|run| run.step).sum(), ours.iter().map(|run| run.steps).sum());
        // What is blocked begins only if somebody retries what it goes on from.
        let over = |run: &&&RunSummary| run.status.is_over() || matches!(run.status, RunStatus::Blocked { .. });
        let over = ours.iter().filter(over).count();
        bar.name(&format!("{over}/{} runs over", runs.len()));
        if over == runs.len() {
            return Ok(lab);
        }
    }
}
