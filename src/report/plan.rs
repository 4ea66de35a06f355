//! What a study would do, in words.

use std::fmt::Write;

use super::figures::{bytes, count, duration};
use super::table::{Align, Table};
use crate::core::summary::PlanReport;

/// The plan as text: runs, refusals, cost.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are shown with three digits")]
pub fn text(plan: &PlanReport) -> String {
    let mut table = Table::new(&[
        ("run", Align::Left),
        ("cell", Align::Left),
        ("seed", Align::Right),
        ("size", Align::Left),
        ("steps", Align::Right),
        ("params", Align::Right),
        ("tokens", Align::Right),
        ("FLOPs", Align::Right),
        ("memory", Align::Right),
        ("known as", Align::Left),
    ]);
    for run in &plan.runs {
        table.push(vec![
            run.id.to_string(),
            run.cell.clone(),
            run.seed.to_string(),
            run.size.clone(),
            run.steps.to_string(),
            count(run.parameters as f64),
            count(run.tokens as f64),
            count(run.flops),
            bytes(run.memory_bytes),
            run.existing.as_ref().map_or("new", |status| status.word()).to_owned(),
        ]);
    }
    let mut text = format!("study {}\n", plan.study);
    if !plan.description.is_empty() {
        let _ = writeln!(text, "{}", plan.description.trim());
    }
    let ready = if plan.corpus_ready { "prepared" } else { "to be prepared" };
    let _ = writeln!(text, "corpus {} ({}, {} of text)\n", plan.corpus, ready, bytes(plan.corpus_bytes));
    text.push_str(&table.text());
    for refusal in &plan.refusals {
        let _ = writeln!(text, "refused {}: {}", refusal.cell, refusal.reason);
    }
    for notice in &plan.notices {
        let _ = writeln!(text, "note: {notice}");
    }
    let _ = write!(
        text,
        "\n{} runs, {} FLOPs to go, about {} of memory at once",
        plan.runs.len(),
        count(plan.flops),
        bytes(plan.memory_bytes)
    );
    if let Some(seconds) = plan.seconds {
        let _ = write!(text, ", about {}", duration(seconds));
    }
    if let Some(seconds) = plan.queue_done_s {
        let _ = write!(text, "; the queue would be empty in {}", duration(seconds));
    }
    text.push('\n');
    text
}
