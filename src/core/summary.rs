//! Values that screens and commands show. The store computes them, the wire carries them, the dashboard draws them and
//! `--json` prints them: one value, so that no two places can disagree.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::architecture::Architecture;
use super::cell::{cell_label, lineage_label};
use super::event::StampedEvent;
use super::id::{RunId, StudyId};
use super::metric::{Metric, Metrics};
use super::objective::Objective;
use super::spec::{Ancestor, RunSpec};
use super::status::RunStatus;
use super::task::{ScoringForm, TaskRecord};

/// A run in one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Id.
    pub id: RunId,
    /// Studies that contain it.
    pub studies: Vec<StudyId>,
    /// Wiring.
    pub architecture: Architecture,
    /// Objective.
    pub objective: Objective,
    /// All earlier stages, the first first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<Ancestor>,
    /// The one task that it is finetuned on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Seed.
    pub seed: u64,
    /// `d128 L4 h4x32 n128`.
    pub size: String,
    /// Name of its corpus.
    pub corpus: String,
    /// Where it is.
    pub status: RunStatus,
    /// Place in the queue, from 0; only while queued.
    pub queue_position: Option<usize>,
    /// Priority; higher starts sooner.
    pub priority: i32,
    /// Attempts so far.
    pub attempt: u32,
    /// Steps made.
    pub step: u64,
    /// Steps asked for.
    pub steps: u64,
    /// Positions seen.
    pub tokens: u64,
    /// Positions of one step.
    pub step_tokens: u64,
    /// FLOPs of one step.
    pub step_flops: f64,
    /// Parameters.
    pub parameters: u64,
    /// Newest value of each metric, of training and validation.
    pub latest: Metrics,
    /// Training seconds so far.
    pub elapsed_s: f64,
    /// Seconds to go at the present speed; only while running.
    pub eta_s: Option<f64>,
    /// Training loss, thinned to at most 32 values, oldest first.
    pub sparkline: Vec<f64>,
    /// Newest complete checkpoint.
    pub checkpoint_step: Option<u64>,
    /// When its newest event was written, Unix milliseconds; 0 if there is none.
    pub last_event_ms: u64,
    /// When it was first queued, Unix milliseconds.
    pub queued_ms: u64,
    /// Lines of its logs and evaluations that were written and are damaged or gone.
    #[serde(default)]
    pub lost_lines: u64,
}

impl RunSummary {
    /// `ED:MLM`, or with its earlier stages `ED:MLM→MTF`.
    #[must_use]
    pub fn cell(&self) -> String {
        let own = cell_label(self.architecture, self.objective, self.task.as_deref());
        lineage_label(self.ancestors.iter().map(|ancestor| ancestor.cell.as_str()).chain([own.as_str()]))
    }

    /// Positions and training FLOPs of all earlier stages.
    #[must_use]
    pub fn inherited(&self) -> (u64, f64) {
        let sum = |(tokens, flops): (u64, f64), stage: &Ancestor| (tokens + stage.tokens, flops + stage.flops);
        self.ancestors.iter().fold((0, 0.0), sum)
    }
}

/// A study in one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudySummary {
    /// Name.
    pub id: StudyId,
    /// What it asks.
    pub description: String,
    /// Its runs, in planning order.
    pub runs: Vec<RunId>,
    /// Runs by status word.
    pub counts: BTreeMap<String, usize>,
    /// When it was submitted, Unix milliseconds.
    pub submitted_ms: u64,
}

/// A point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Optimizer step.
    pub step: u64,
    /// Positions seen.
    pub tokens: u64,
    /// Training seconds.
    pub elapsed_s: f64,
    /// Value.
    pub value: f64,
}

/// One metric of one run, thinned to what a screen can show; first and last point are always kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Run.
    pub run: RunId,
    /// Metric.
    pub metric: Metric,
    /// Points by step.
    pub points: Vec<Point>,
    /// How many were stored before thinning.
    pub stored: usize,
}

/// One place where a worker can run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlotSummary {
    /// The run in it.
    pub run: Option<RunId>,
}

/// A corpus that is being prepared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreparationSummary {
    /// Corpus name.
    pub corpus: String,
    /// What is being done.
    pub phase: String,
    /// 0 to 1.
    pub fraction: f64,
}

/// What the Lab screen shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabSummary {
    /// Every run, in queue order first, then newest first.
    pub runs: Vec<RunSummary>,
    /// Every study, newest first.
    pub studies: Vec<StudySummary>,
    /// Slots.
    pub slots: Vec<SlotSummary>,
    /// True while nothing new is started.
    pub queue_paused: bool,
    /// Why runs and queue wait, if the machine is short of something.
    #[serde(default)]
    pub held: Option<String>,
    /// Corpora in preparation.
    pub preparing: Vec<PreparationSummary>,
    /// Share of the processor in use, 0 to 1; absent if unknown.
    pub machine_load: Option<f64>,
    /// Share of memory in use, 0 to 1; absent if unknown.
    pub memory_used: Option<f64>,
    /// Seconds until the queue is empty at the present speed; absent if unknown.
    pub queue_eta_s: Option<f64>,
    /// Something the lab wants known: a rebuilt index, a failed launch.
    pub notices: Vec<String>,
    /// The server's clock, Unix milliseconds.
    pub now_ms: u64,
}

/// One answer to a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Place of the document in its split, from 0.
    pub document: usize,
    /// What every choice follows; absent if the task's file cannot be read any more.
    pub context: Option<String>,
    /// What was scored: choices, or one continuation or text; of an answer that is written, those that are right; empty
    /// if the task's file cannot be read any more.
    pub choices: Vec<String>,
    /// Log-likelihoods, nats, one a choice.
    pub log_likelihoods: Vec<f64>,
    /// The likeliest choice, where there are choices.
    pub predicted: Option<usize>,
    /// The right choices, where there are choices.
    pub gold: Vec<usize>,
    /// What was written, where an answer is.
    pub written: Option<String>,
    /// Whether it counts as right; absent where nothing is right or wrong.
    pub right: Option<bool>,
}

/// The answers of a run to a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskAnswers {
    /// Run.
    pub run: RunId,
    /// Task.
    pub task: String,
    /// Form.
    pub form: ScoringForm,
    /// Step of the checkpoint that answered.
    pub step: u64,
    /// By document.
    pub answers: Vec<Answer>,
    /// Why texts are missing, if they are.
    pub notice: Option<String>,
}

/// A text the model wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Step.
    pub step: u64,
    /// What it was given.
    pub prompt: String,
    /// What it wrote.
    pub text: String,
}

/// All about one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunDetail {
    /// Its row.
    pub summary: RunSummary,
    /// What was asked.
    pub spec: RunSpec,
    /// Newest scores of every zero-shot task, asked by the run itself or later, by form and name.
    pub tasks: Vec<TaskRecord>,
    /// Newest samples, newest first.
    pub samples: Vec<Sample>,
    /// Newest events that are not steps, newest last.
    pub events: Vec<StampedEvent>,
    /// End of the worker's output.
    pub output_tail: String,
    /// Its folder.
    pub directory: String,
}

/// A cell the planner refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Refusal {
    /// `ND:FLM`.
    pub cell: String,
    /// Why, and the nearest legal cell.
    pub reason: String,
}

/// A run the planner would queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedRun {
    /// Id.
    pub id: RunId,
    /// `ED:MLM`.
    pub cell: String,
    /// `d128 L4 h4x32 n128`.
    pub size: String,
    /// Seed.
    pub seed: u64,
    /// Steps.
    pub steps: u64,
    /// Parameters.
    pub parameters: u64,
    /// Training FLOPs of the whole run.
    pub flops: f64,
    /// Positions of the whole run.
    pub tokens: u64,
    /// Estimated bytes of its process.
    pub memory_bytes: u64,
    /// Where it is, if the lab has it already: it will not be trained twice.
    pub existing: Option<RunStatus>,
}

/// What a study would do; the review page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanReport {
    /// Study name.
    pub study: StudyId,
    /// What it asks.
    pub description: String,
    /// Runs.
    pub runs: Vec<PlannedRun>,
    /// Refused cells.
    pub refusals: Vec<Refusal>,
    /// Names of the texts: of the study, and of stages that have their own.
    pub corpus: String,
    /// Fingerprint of the study's texts.
    pub fingerprint: String,
    /// Whether all are prepared already.
    pub corpus_ready: bool,
    /// UTF-8 bytes of their training parts.
    pub corpus_bytes: u64,
    /// FLOPs of the runs that are not finished.
    pub flops: f64,
    /// Peak estimated memory with all slots busy.
    pub memory_bytes: u64,
    /// Seconds of work on this machine, from the speed of finished runs; absent if nothing has run yet.
    pub seconds: Option<f64>,
    /// Seconds until the queue, this study included, is empty.
    pub queue_done_s: Option<f64>,
    /// What a person should know of its texts and tasks, a sentence each.
    pub notices: Vec<String>,
}
