//! `trilab study`: from a file to a queue.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use super::Interrupted;
use super::arguments::{StudyArguments, StudyCommand};
use super::lab::{Lab, ask, block_on, unexpected};
use super::output::{print, print_json};
use crate::config::paths::absolute;
use crate::config::{Override, load_study, parse_override, save_study, shipped_studies};
use crate::core::encoding::text_of;
use crate::core::study::StudySpec;
use crate::core::summary::{LabSummary, PlanReport, RunSummary, StudySummary};
use crate::core::{RunId, RunStatus, StudyId};
use crate::report::plan::text as plan_text;
use crate::report::runs::{studies as study_table, table as run_table};
use crate::wire::{ClientFrame, Connection, Reply, Request, ServerFrame, Topic, Update};

pub(super) fn run(lab: &Lab, command: StudyCommand) -> Result<ExitCode> {
    block_on(async {
        match command {
            StudyCommand::Check(arguments) => {
                let study = Box::new(load(lab, &arguments).await?);
                let plan = match ask(&mut lab.connect().await?, Request::CheckStudy { study }).await? {
                    Reply::Plan(plan) => plan,
                    other => return unexpected(&other),
                };
                show_plan(&plan, arguments.json)?;
                Ok(if plan.runs.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
            }
            StudyCommand::Submit { arguments, wait } => submit(lab, &arguments, wait).await,
            StudyCommand::List { json } => list(lab, json).await.map(|()| ExitCode::SUCCESS),
            StudyCommand::Show(arguments) => show(lab, &arguments).await.map(|()| ExitCode::SUCCESS),
        }
    })
}

fn show_plan(plan: &PlanReport, json: bool) -> Result<()> {
    if json { print_json(plan) } else { print(&plan_text(plan)) }
}

/// The study that an argument names: a file, a shipped study, or a submitted one; with `--set` on top.
async fn load(lab: &Lab, arguments: &StudyArguments) -> Result<StudySpec> {
    let here = std::env::current_dir().context("could not find the working directory")?;
    let overrides: Vec<Override> =
        arguments.overrides.iter().map(|text| parse_override(text, &here)).collect::<Result<_, _>>()?;
    let config = lab.config_file.as_deref();
    let path = absolute(Path::new(&arguments.study), &here);
    if path.is_file() || arguments.study.contains(['/', '\\']) {
        let bytes = std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
        let text = text_of(&bytes).with_context(|| format!("could not read {}", path.display()))?;
        let folder = path.parent().unwrap_or(&here);
        return Ok(load_study(config, &arguments.study, text, folder, &overrides)?);
    }
    if let Some(shipped) = shipped_studies().into_iter().find(|study| study.name == arguments.study) {
        return Ok(load_study(config, &format!("shipped {}.toml", shipped.name), shipped.text, &here, &overrides)?);
    }
    let (_, spec) = submitted(&mut lab.connect().await?, &arguments.study).await?;
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
    let studies = match ask(&mut lab.connect().await?, Request::ListStudies).await? {
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
    let mut connection = lab.connect().await?;
    let (summary, spec) = submitted(&mut connection, &arguments.study).await?;
    if arguments.json {
        return print_json(&serde_json::json!({ "summary": summary, "spec": spec }));
    }
    let runs = super::lab::runs(&mut connection, Request::ListRuns { study: Some(summary.id.clone()) }).await?;
    print(&format!("{}\n{}", run_table(&runs).text(), save_study(&spec)?))
}

async fn submit(lab: &Lab, arguments: &StudyArguments, wait: bool) -> Result<ExitCode> {
    let study = Box::new(load(lab, arguments).await?);
    let mut connection = lab.connect().await?;
    let plan = match ask(&mut connection, Request::SubmitStudy { study }).await? {
        Reply::Submitted(plan) => plan,
        other => return unexpected(&other),
    };
    let runs: Vec<RunId> = plan.runs.iter().map(|run| run.id.clone()).collect();
    if !wait {
        show_plan(&plan, arguments.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    for refusal in &plan.refusals {
        eprintln!("trilab: {}: {}", refusal.cell, refusal.reason);
    }
    plan.notices.iter().for_each(|notice| eprintln!("trilab: note: {notice}"));
    let last = tokio::select! {
        last = watch(connection, &runs) => last?,
        signal = tokio::signal::ctrl_c() => {
            signal.context("could not listen to Ctrl-C")?;
            eprintln!("trilab: no longer waiting; the runs go on (`trilab run list --study {}`)", plan.study);
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
        eprintln!("trilab: {} {}: {}", run.id, run.cell(), run.status.reason());
    }
    let finished = ours.iter().filter(|run| run.status == RunStatus::Finished).count();
    Ok(if finished == runs.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Shows the progress of `runs` on stderr until each is over, and gives the lab as it then is.
async fn watch(connection: Connection, runs: &[RunId]) -> Result<LabSummary> {
    let (requests, mut frames) = connection.split();
    let subscription = ClientFrame { id: 1, request: Request::Subscribe { topics: vec![Topic::Lab] } };
    requests.send(subscription).await.context("the server is gone; start the command again, the runs go on")?;
    let template = "{wide_bar} {pos}/{len} steps  {msg}";
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(template)?);
    loop {
        let lab = match frames.next().await? {
            ServerFrame::Update(Update::Lab(lab)) => *lab,
            ServerFrame::Reply { reply: Reply::Refused { message }, .. } => bail!("could not {message}"),
            ServerFrame::Update(_) | ServerFrame::Reply { .. } => continue,
        };
        let ours: Vec<_> = lab.runs.iter().filter(|run| runs.contains(&run.id)).collect();
        bar.set_length(ours.iter().map(|run| run.steps).sum());
        bar.set_position(ours.iter().map(|run| run.step).sum());
        // What is blocked begins only if somebody retries what it goes on from.
        let over = |run: &&&RunSummary| run.status.is_over() || matches!(run.status, RunStatus::Blocked { .. });
        let over = ours.iter().filter(over).count();
        bar.set_message(format!("{over}/{} runs over", runs.len()));
        if over == runs.len() {
            bar.finish_and_clear();
            return Ok(lab);
        }
    }
}
