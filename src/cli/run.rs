//! `trilab run`: look at runs and say what should become of them.

use std::path::Path;

use anyhow::{Result, bail};

use super::arguments::{RunArguments, RunCommand};
use super::lab::{Lab, ask, block_on, resolve, runs, unexpected};
use super::output::{print, print_json, print_json_lines, say};
use crate::core::shell::quoted;
use crate::core::summary::RunDetail;
use crate::core::task::ScoringForm;
use crate::core::text_width::left;
use crate::core::visible::visible;
use crate::core::{Metric, RunId};
use crate::report::figures::{count, duration};
use crate::report::runs::table;
use crate::wire::{Connection, Reply, Request, RunSelection};

pub(super) fn run(lab: &Lab, command: RunCommand) -> Result<()> {
    block_on(async {
        let looks = matches!(command, RunCommand::List { .. } | RunCommand::Show { .. } | RunCommand::Log { .. });
        let mut connection = if looks { lab.look_aloud().await? } else { lab.connect().await? };
        let to = &mut connection;
        match command {
            RunCommand::List { study, json } => {
                let runs = runs(to, Request::ListRuns { study }).await?;
                if json { print_json(&runs) } else { print(&table(&runs).text()) }
            }
            RunCommand::Show { run, json } => show(lab, to, run, json).await,
            RunCommand::Log { run, json } => log(to, run, json).await,
            RunCommand::Pause(which) => change(to, which, |runs| Request::PauseRuns { runs }).await,
            RunCommand::Resume(which) => change(to, which, |runs| Request::ResumeRuns { runs }).await,
            RunCommand::Stop(which) => change(to, which, |runs| Request::StopRuns { runs }).await,
            RunCommand::Retry(which) => change(to, which, |runs| Request::RetryRuns { runs }).await,
            RunCommand::Move { run, by } => {
                let run = one(to, run).await?;
                report(ask(to, Request::MoveRun { run, by }).await?, false, false)
            }
            RunCommand::Priority { run, by } => {
                let runs = RunSelection::Runs(vec![one(to, run).await?]);
                report(ask(to, Request::ChangePriority { runs, by }).await?, false, false)
            }
        }
    })
}

async fn one(connection: &mut Connection, text: String) -> Result<RunId> {
    match resolve(connection, &[text]).await?.pop() {
        Some(run) => Ok(run),
        None => bail!("no run was named"),
    }
}

async fn change(to: &mut Connection, which: RunArguments, request: impl Fn(RunSelection) -> Request) -> Result<()> {
    let selection = match which.study {
        Some(study) => RunSelection::Study(study),
        None if which.all => RunSelection::All,
        None => RunSelection::Runs(resolve(to, &which.runs).await?),
    };
    let named = matches!(selection, RunSelection::Runs(_));
    report(ask(to, request(selection)).await?, which.json, named)
}

/// Says what changed. Where runs were named one by one, a refusal is a failure.
fn report(reply: Reply, json: bool, named: bool) -> Result<()> {
    match &reply {
        Reply::Changed { runs, refused } => {
            if json {
                print_json(&reply)?;
            } else {
                print(&runs.iter().map(|run| format!("{run}\n")).collect::<String>())?;
            }
            for (run, reason) in refused {
                say(&format!("{run}: {reason}"));
            }
            if named && !refused.is_empty() {
                bail!("{} of {} runs did not change", refused.len(), refused.len() + runs.len());
            }
            Ok(())
        }
        Reply::Done => Ok(()),
        other => unexpected(other),
    }
}

async fn show(lab: &Lab, to: &mut Connection, run: String, json: bool) -> Result<()> {
    let run = one(to, run).await?;
    match ask(to, Request::ShowRun { run }).await? {
        Reply::Run(detail) if json => print_json(&detail),
        Reply::Run(detail) => print(&text(&detail, lab.home.run(&detail.summary.id).path())?),
        other => unexpected(&other),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are shown with three digits")]
fn text(detail: &RunDetail, folder: &Path) -> Result<String> {
    let run = &detail.summary;
    let mut lines = vec![
        format!("run        {}  {}  seed {}", run.id, run.cell(), run.seed),
        format!("size       {}  {} parameters", run.size, count(run.parameters as f64)),
        format!("corpus     {}", visible(&run.corpus)),
        format!("status     {}  {}", run.status.word(), visible(&run.status.reason())).trim_end().to_owned(),
        format!(
            "steps      {}/{}  {} tokens  {}",
            run.step,
            run.steps,
            count(run.tokens as f64),
            duration(run.elapsed_s)
        ),
        format!("folder     {}", folder.display()),
        format!("reproduce  trilab worker {}", quoted(folder)),
    ];
    if run.lost_lines > 0 {
        lines.push(format!("damage     {} lines of its files are lost; `trilab doctor` names them", run.lost_lines));
    }
    lines.extend(detail.spec.stage.iter().map(|stage| format!("stage      {stage}")));
    if let Some(prompts) = &detail.spec.prompts {
        lines.push(format!("trained on {}", visible(&prompts.sources.join(" "))));
        lines.push(format!("held out   {}", visible(&prompts.held_out.join(" "))));
    }
    for metric in Metric::ALL {
        if let Some(value) = run.latest.get(&metric) {
            let definition = metric.definition();
            lines.push(format!("{:<18} {:.*} {}", definition.name, definition.decimals, value, definition.unit));
        }
    }
    for task in detail.tasks.iter().filter(|task| Some(task.step) == detail.tasks.iter().map(|task| task.step).max()) {
        let scores = task.scores.iter().map(|(metric, score)| format!("{metric} {:.4}", score.value));
        let form = if task.form == ScoringForm::Sentinel { " <X0>" } else { "" };
        let name = format!("{}{form}", task.task);
        let name = left(&visible(&name), 18);
        lines.push(format!("{name} {}  ({} items)", scores.collect::<Vec<_>>().join("  "), task.items));
    }
    if let Some(sample) = detail.samples.first() {
        lines.push(format!("sample at step {}:\n  {} | {}", sample.step, sample.prompt.trim_end(), sample.text));
    }
    if !detail.output_tail.trim().is_empty() {
        lines.push(format!("output:\n{}", detail.output_tail.trim_end()));
    }
    lines.push(format!("spec:\n{}", serde_json::to_string_pretty(&detail.spec)?));
    Ok(lines.join("\n") + "\n")
}

async fn log(to: &mut Connection, run: String, json: bool) -> Result<()> {
    let run = one(to, run).await?;
    let (events, lost) = match ask(to, Request::GetEvents { run }).await? {
        Reply::Events { events, lost } => (events, lost),
        other => return unexpected(&other),
    };
    if lost > 0 {
        say(&format!("{lost} lines of its logs are damaged or gone; `trilab doctor` names the files"));
    }
    let mut text = String::new();
    for stamped in &events {
        let event = if json { serde_json::to_string(stamped)? } else { serde_json::to_string(&stamped.event)? };
        text += &(event + "\n");
    }
    print_json_lines(&text)
}
