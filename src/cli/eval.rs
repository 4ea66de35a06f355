//! `trilab eval`: scores a run on zero-shot tasks. Reads the run's spec and checkpoint, writes one file of its own; a
//! run may be training meanwhile.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::arguments::EvalCommand;
use super::lab::{Lab, ask, block_on, start_of_paths};
use super::output::{print, print_json, say};
use crate::config::paths::absolute_text;
use crate::core::task::{FamilyScore, ScoringForm, TaskRecord, TaskScores};
use crate::core::{RunEvent, RunId, RunSpec, StampedEvent};
use crate::corpus::Corpus;
use crate::eval::{
    EvalError, Gathered, GroupReport, PreparedTask, Suite, TaskReport, families, gather, group_reports, leak, read,
    templates,
};
use crate::kernel::memory::keep_large_blocks;
use crate::report::eval::{Row, table};
use crate::runlog::{EvalHeader, EvalLog, EvalRow, RunFolder};
use crate::train::{ModelScorer, TrainError, Trainer, checkpoint, forms};
use crate::wire::{Request, connect};
use crate::worker::without_pools;

/// What `--json` prints.
#[derive(Serialize)]
struct Output {
    run: String,
    cell: String,
    step: u64,
    file: PathBuf,
    tasks: Vec<TaskOutput>,
    groups: Vec<Grouped<GroupReport>>,
    families: Vec<FamilyScore>,
    /// Tasks that could not be scored, with the reason.
    failed: Vec<String>,
    /// What of the tasks is left out or cannot be right.
    notices: Vec<String>,
}

#[derive(Serialize)]
struct TaskOutput {
    task: String,
    form: ScoringForm,
    scores: TaskScores,
    items: usize,
    requests: usize,
    cut: usize,
    seconds: f64,
}

#[derive(Serialize)]
struct Grouped<T> {
    form: ScoringForm,
    #[serde(flatten)]
    report: T,
}

pub(super) fn run(lab: &Lab, command: &EvalCommand) -> Result<ExitCode> {
    let folder = folder(lab, &command.run)?;
    let spec = folder.spec()?;
    without_pools()?;
    keep_large_blocks();
    let sources = sources(&spec, &command.tasks)?;
    no_leak(lab, &spec, &sources)?;
    let Gathered { suite, notices } = gather(&sources).map_err(|error| anyhow::anyhow!("could not {error}"))?;
    notices.iter().for_each(|notice| say(notice));
    let corpus = Corpus::open(&folder.corpus_dir(&spec.data))?;
    let mut trainer = Trainer::new(&spec)?;
    let checkpoints = folder.checkpoints_dir();
    let loaded = checkpoint::load(&checkpoints, command.checkpoint, &mut trainer);
    let state = loaded.map_err(|error| to_be_made_again(error, &checkpoints, &spec.id))?;
    let header = EvalHeader::new(spec.id.clone(), state.step, command.limit, sources);
    let mut log = EvalLog::create(&folder, &header)?;
    let mut output = Output {
        run: spec.id.to_string(),
        cell: spec.cell(),
        step: state.step,
        file: log.path().to_owned(),
        tasks: Vec::new(),
        groups: Vec::new(),
        families: Vec::new(),
        failed: Vec::new(),
        notices: Vec::new(),
    };
    let limit = command.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let prepared = prepared(&suite, limit, &mut output);
    for form in &forms(&spec.objective) {
        let mut scorer = ModelScorer::new(&trainer, corpus.tokenizer(), *form)?;
        score(&suite, &prepared, &mut scorer, *form, &mut log, &mut output)?;
    }
    tell_server(lab, &spec.id);
    if command.json {
        print_json(&output)?
    } else {
        print(&text(&output))?
    }
    Ok(if output.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a person can do about a checkpoint that is damaged. It is set aside, so that the next evaluation takes another one and
/// the lab sees that it is to be made again.
fn to_be_made_again(error: TrainError, checkpoints: &Path, run: &RunId) -> anyhow::Error {
    let TrainError::Damaged { path, .. } = &error else { return error.into() };
    let aside = path.ancestors().find(|folder| folder.parent() == Some(checkpoints)).map(checkpoint::set_aside);
    let Some(Ok(aside)) = aside else { return anyhow::anyhow!("{error}; name another one with `--checkpoint`") };
    let name = aside.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let others = checkpoint::list(checkpoints).unwrap_or_default();
    let others: Vec<String> = others.iter().map(|(step, _)| step.to_string()).collect();
    let left =
        if others.is_empty() { "no other is left".to_owned() } else { format!("left are {}", others.join(", ")) };
    anyhow::anyhow!(
        "{error}; it is set aside as {name}, {left}; `trilab run retry {run}` makes it again once the run is over"
    )
}

/// Refuses tasks that ask what the run, or a stage before it, was trained on.
fn no_leak(lab: &Lab, spec: &RunSpec, sources: &[String]) -> Result<()> {
    let before = spec.ancestors.iter().map(|stage| lab.home.run(&stage.run).spec());
    let before: Vec<RunSpec> =
        before.collect::<Result<_, _>>().context("could not see what earlier stages were trained on")?;
    for prompts in before.into_iter().chain([spec.clone()]).filter_map(|stage| stage.prompts) {
        let leak = templates(&prompts).and_then(|trained| leak(&trained, sources));
        if let Some(leak) = leak.map_err(|error| anyhow::anyhow!("could not {error}"))? {
            bail!("could not score {}: {leak}", spec.id);
        }
    }
    Ok(())
}

/// The prompts of all tasks, made once for all forms. A task that cannot be asked is told and left out; the others go on.
fn prepared(suite: &Suite, limit: Option<usize>, output: &mut Output) -> Vec<PreparedTask> {
    let mut prepared = Vec::new();
    for task in suite.tasks() {
        match PreparedTask::new(task, &read, limit) {
            Ok(task) => {
                task.notices().iter().for_each(|notice| tell(output, task.name(), notice));
                prepared.push(task);
            }
            Err(error) => fail(output, &error),
        }
    }
    prepared
}

/// A word on a task, once.
fn tell(output: &mut Output, task: &str, notice: &str) {
    let notice = format!("{task}: {notice}");
    if !output.notices.contains(&notice) {
        say(&notice);
        output.notices.push(notice);
    }
}

/// A task has no scores.
fn fail(output: &mut Output, error: &EvalError) {
    let error = error.to_string();
    if !output.failed.contains(&error) {
        say(&format!("could not {error}"));
        output.failed.push(error);
    }
}

/// Scores every task in one form. A task that fails is told and left out; the others go on.
fn score(
    suite: &Suite,
    prepared: &[PreparedTask],
    scorer: &mut ModelScorer<'_>,
    form: ScoringForm,
    log: &mut EvalLog,
    output: &mut Output,
) -> Result<()> {
    let (mut reports, mut records) = (Vec::new(), Vec::new());
    for task in prepared {
        let began = Instant::now();
        let report = match task.ask(scorer, None) {
            Ok(report) => report,
            Err(error) => {
                fail(output, &error);
                continue;
            }
        };
        for notice in &report.notices {
            tell(output, &report.task, notice);
        }
        let seconds = began.elapsed().as_secs_f64();
        let record = report.record(output.step, form, seconds);
        write(log, &report, &record)?;
        records.push(record);
        output.tasks.push(TaskOutput {
            task: report.task.clone(),
            form,
            scores: report.scores.clone(),
            items: report.items.len(),
            requests: report.requests,
            cut: report.cut,
            seconds,
        });
        reports.push(report);
    }
    for report in group_reports(suite, &reports) {
        log.append(&EvalRow::Group { form, report: report.clone() })?;
        output.groups.push(Grouped { form, report });
    }
    for score in families(&records) {
        log.append(&EvalRow::Family { score: score.clone() })?;
        output.families.push(score);
    }
    Ok(())
}

fn write(log: &mut EvalLog, report: &TaskReport, record: &TaskRecord) -> Result<()> {
    for item in &report.items {
        log.append(&EvalRow::Item { task: report.task.clone(), form: record.form, item: item.clone() })?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    Ok(log.append(&EvalRow::Task(StampedEvent { time_ms, event: RunEvent::TaskScored(record.clone()) }))?)
}

/// A server that runs shows the scores at once; the next one finds them by itself.
fn tell_server(lab: &Lab, run: &RunId) {
    // No server, or one of another home: nobody is waiting for the scores.
    drop(block_on(async { ask(&mut connect(&lab.home).await?, Request::LookAt { run: run.clone() }).await }));
}

/// Where the tasks come from: as named (files and folders absolute, so that they are found again), or those of the run, or
/// the shipped ones.
fn sources(spec: &RunSpec, named: &[String]) -> Result<Vec<String>> {
    if named.is_empty() {
        let own = spec.probes.zero_shot.clone();
        return Ok(if own.is_empty() { vec!["shipped:world".to_owned()] } else { own });
    }
    let here = start_of_paths(named.iter().map(String::as_str))?;
    Ok(named.iter().map(|source| absolute_text(source, &here)).collect())
}

fn text(output: &Output) -> String {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for task in &output.tasks {
        rows.push(Row { name: task.task.clone(), form: task.form, items: Some(task.items), scores: &task.scores });
    }
    for group in &output.groups {
        let name = format!("{} (group)", group.report.group);
        rows.push(Row { name, form: group.form, items: None, scores: &group.report.scores });
    }
    for family in output.families.iter().filter(|family| family.tasks.len() > 1) {
        let name = format!("{} (median of {})", family.family, family.tasks.len());
        rows.push(Row { name, form: family.form, items: None, scores: &family.medians });
    }
    let head = format!("run {}  {}  step {}\n", output.run, output.cell, output.step);
    let cut: usize = output.tasks.iter().map(|task| task.cut).sum();
    let note = if cut > 0 { format!("{cut} contexts did not fit and were cut on the left\n") } else { String::new() };
    format!("{head}{}{note}rows       {}\n", table(&rows).text(), output.file.display())
}

/// The run of that id, of that beginning of an id, or in that folder.
fn folder(lab: &Lab, text: &str) -> Result<RunFolder> {
    let path = Path::new(text);
    if path.join("spec.json").is_file() {
        let whole = path.canonicalize().with_context(|| format!("could not find {text}"))?;
        return Ok(RunFolder::open(whole)?);
    }
    let known = lab.home.list_runs()?;
    let fitting: Vec<_> = known.iter().filter(|run| run.as_str().starts_with(text)).collect();
    match fitting.as_slice() {
        [] => bail!("no run is called `{text}` in {}; `trilab run list` shows the ids", lab.home.root().display()),
        [one] => Ok(lab.home.run(one)),
        more => bail!("`{text}` fits {} runs; give more of the id", more.len()),
    }
}
