//! `trilab export`: every logged value, for other tools.

use anyhow::{Result, ensure};
use serde::Serialize;

use super::arguments::{ExportCommand, MetricsFormat};
use super::lab::{Lab, ask, block_on, resolve, unexpected};
use super::output::{print_data, print_json_lines, say};
use crate::core::{Metric, Metrics, RunEvent, RunId};
use crate::report::Table;
use crate::report::table::Align;
use crate::wire::{Reply, Request};

/// The measurements of one step.
#[derive(Serialize)]
struct Record<'a> {
    run: &'a RunId,
    step: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed_s: Option<f64>,
    metrics: &'a Metrics,
}

pub(super) fn run(lab: &Lab, command: &ExportCommand) -> Result<()> {
    let ExportCommand::Metrics { runs, format } = command;
    block_on(async {
        let mut connection = lab.look_aloud().await?;
        let mut table = Table::new(&["run", "step", "metric", "value"].map(|name| (name, Align::Left)));
        let mut lines = String::new();
        let mut incomplete = 0;
        for run in resolve(&mut connection, runs).await? {
            let (events, lost) = match ask(&mut connection, Request::GetEvents { run: run.clone() }).await? {
                Reply::Events { events, lost } => (events, lost),
                other => return unexpected(&other),
            };
            if lost > 0 {
                incomplete += 1;
                say(&format!("run {run}: {lost} lines of its logs are damaged or gone, and their values with them"));
            }
            for stamped in &events {
                let Some(record) = record(&run, &stamped.event) else { continue };
                match format {
                    MetricsFormat::Jsonl => lines += &(serde_json::to_string(&record)? + "\n"),
                    MetricsFormat::Csv => rows(&record, &mut table),
                }
            }
        }
        match format {
            MetricsFormat::Jsonl => print_json_lines(&lines),
            MetricsFormat::Csv => print_data(&table.csv()),
        }?;
        ensure!(incomplete == 0, "{incomplete} of the runs are not complete; `trilab doctor` names the files");
        Ok(())
    })
}

fn record<'a>(run: &'a RunId, event: &'a RunEvent) -> Option<Record<'a>> {
    match event {
        RunEvent::StepLogged { step, tokens, elapsed_s, metrics } => {
            Some(Record { run, step: *step, tokens: Some(*tokens), elapsed_s: Some(*elapsed_s), metrics })
        }
        RunEvent::Validated { step, metrics, .. }
        | RunEvent::RankMeasured { step, metrics, .. }
        | RunEvent::ZeroShotMeasured { step, metrics, .. }
        | RunEvent::InferenceMeasured { step, metrics, .. } => {
            Some(Record { run, step: *step, tokens: None, elapsed_s: None, metrics })
        }
        RunEvent::Started { .. }
        | RunEvent::Resumed { .. }
        | RunEvent::TaskScored(_)
        | RunEvent::SampleGenerated { .. }
        | RunEvent::CheckpointSaved { .. }
        | RunEvent::Paused { .. }
        | RunEvent::Heartbeat { .. }
        | RunEvent::Diverged { .. }
        | RunEvent::Warned { .. }
        | RunEvent::Stopped { .. }
        | RunEvent::Finished { .. }
        | RunEvent::Failed { .. } => None,
    }
}

fn rows(record: &Record<'_>, table: &mut Table) {
    for metric in Metric::ALL {
        if let Some(value) = record.metrics.get(&metric) {
            table.push(vec![record.run.to_string(), record.step.to_string(), metric.to_string(), value.to_string()]);
        }
    }
}
