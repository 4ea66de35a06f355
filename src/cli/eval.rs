//! `trilab eval`: scores a run on zero-shot tasks. Reads the run's spec and checkpoint, writes one file of its own; a
//! run may be training meanwhile.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::arguments::EvalCommand;
use super::lab::Lab;
use super::output::{print, print_json};
use crate::core::task::{ScoringForm, TaskScores};
use crate::core::{RunEvent, StampedEvent};
use crate::corpus::Corpus;
use crate::eval::{FamilyReport, GroupReport, Suite, TaskReport, evaluate, families, group_reports};
use crate::kernel::memory::retain_heap;
use crate::report::eval::{Row, table};
use crate::runlog::evals::EVAL_FORMAT;
use crate::runlog::{EvalHeader, EvalLog, EvalRow, RunFolder};
use crate::train::{ModelScorer, Trainer, checkpoint, forms};
use crate::worker::with_threads;

/// What `--json` prints.
#[derive(Serialize)]
struct Output {
    run: String,
    cell: String,
    step: u64,
    file: PathBuf,
    tasks: Vec<TaskOutput>,
    groups: Vec<Grouped<GroupReport>>,
    families: Vec<Grouped<FamilyReport>>,
    /// Tasks that could not be scored, with the reason.
    failed: Vec<String>,
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
    with_threads(spec.execution.threads)?;
    retain_heap();
    let suite = suite(&command.tasks)?;
    let corpus = Corpus::open(&spec.data.directory)?;
    let mut trainer = Trainer::new(&spec)?;
    let mut warn = |warning: String| eprintln!("trilab: {warning}");
    let state = checkpoint::load(&folder.checkpoints_dir(), command.checkpoint, &mut trainer, &mut warn)?;
    let header = EvalHeader {
        format: EVAL_FORMAT,
        run: spec.id.clone(),
        step: state.step,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        limit: command.limit,
    };
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
    };
    for form in forms(spec.objective.objective) {
        let mut scorer = ModelScorer::new(&trainer, corpus.tokenizer(), *form)?;
        score(&suite, &mut scorer, *form, command.limit, &mut log, &mut output)?;
    }
    if command.json {
        print_json(&output)?
    } else {
        print(&text(&output))?
    }
    Ok(if output.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Scores every task in one form. A task that fails is told and left out; the others go on.
fn score(
    suite: &Suite,
    scorer: &mut ModelScorer<'_>,
    form: ScoringForm,
    limit: Option<u64>,
    log: &mut EvalLog,
    output: &mut Output,
) -> Result<()> {
    let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut reports = Vec::new();
    for task in suite.tasks() {
        let began = Instant::now();
        let report = match evaluate(task, &|path| std::fs::read_to_string(path), scorer, limit) {
            Ok(report) => report,
            Err(error) => {
                eprintln!("trilab: could not {error}");
                output.failed.push(error.to_string());
                continue;
            }
        };
        for notice in &report.notices {
            eprintln!("trilab: {}: {notice}", report.task);
        }
        let seconds = began.elapsed().as_secs_f64();
        record(log, &report, form, output.step, seconds)?;
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
    for report in families(&reports) {
        log.append(&EvalRow::Family { form, report: report.clone() })?;
        output.families.push(Grouped { form, report });
    }
    Ok(())
}

fn record(log: &mut EvalLog, report: &TaskReport, form: ScoringForm, step: u64, seconds: f64) -> Result<()> {
    for item in &report.items {
        log.append(&EvalRow::Item { task: report.task.clone(), form, item: item.clone() })?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let event = RunEvent::TaskScored {
        step,
        task: report.task.clone(),
        form,
        scores: report.scores.clone(),
        items: report.items.len() as u64,
        seconds,
    };
    let time_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    Ok(log.append(&EvalRow::Task(StampedEvent { time_ms, event }))?)
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
    for family in &output.families {
        let name = format!("{} (median of {})", family.report.family, family.report.tasks.len());
        rows.push(Row { name, form: family.form, items: None, scores: &family.report.medians });
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

/// The tasks of all files. A file that was named must be usable; one that was found in a folder is told and left out.
fn suite(paths: &[PathBuf]) -> Result<Suite> {
    let read = |path: &Path| std::fs::read_to_string(path);
    let (mut suite, mut found) = (Suite::default(), false);
    for path in paths {
        if !path.is_dir() {
            suite.add(path, &read).map_err(|error| anyhow::anyhow!("could not {error}"))?;
            continue;
        }
        found = true;
        for file in task_files(path)? {
            if let Err(error) = suite.add(&file, &read) {
                eprintln!("trilab: could not {error}; it is left out");
            }
        }
    }
    match suite.check() {
        Err(error) if found => eprintln!("trilab: could not {error}; the group is left out"),
        checked => checked.map_err(|error| anyhow::anyhow!("could not {error}"))?,
    }
    if suite.tasks().is_empty() {
        bail!("there is no task in the given files; give --tasks FILE or a folder with .yaml files");
    }
    Ok(suite)
}

/// The `.yaml` files of a folder, by name.
fn task_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("could not list {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml"));
    files.sort();
    Ok(files)
}
