//! The vocabulary of the socket. Requests are imperative, updates carry whole values: a client that lost some is right
//! again with the next.

use serde::{Deserialize, Serialize};

use super::identity::LabIdentity;

use crate::core::board::{EqualBudget, Leaderboard};
use crate::core::metric::Metric;
use crate::core::rank::RankHistory;
use crate::core::study::StudySpec;
use crate::core::summary::{Curve, LabSummary, PlanReport, RunDetail, RunSummary, StudySummary, TaskAnswers};
use crate::core::task::ScoringForm;
use crate::core::{RunId, StampedEvent, StudyId};

/// Which runs a verb is meant for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunSelection {
    /// These.
    Runs(Vec<RunId>),
    /// All runs of a study.
    Study(StudyId),
    /// Every run for which the verb makes sense.
    All,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// First message of every connection.
    Hello {
        /// The client's protocol version.
        protocol: u32,
    },
    /// Expand a study without queueing it.
    CheckStudy {
        /// The study.
        study: Box<StudySpec>,
    },
    /// Expand and queue a study.
    SubmitStudy {
        /// The study.
        study: Box<StudySpec>,
        /// Take what does not fit this machine all the same: another one may train it.
        #[serde(default)]
        force: bool,
    },
    /// Hold runs: running ones checkpoint and leave, queued ones wait.
    PauseRuns {
        /// Which.
        runs: RunSelection,
    },
    /// Let held runs go on.
    ResumeRuns {
        /// Which.
        runs: RunSelection,
    },
    /// End runs; their checkpoints stay.
    StopRuns {
        /// Which.
        runs: RunSelection,
    },
    /// Queue failed, diverged or stopped runs again, from their last checkpoint.
    RetryRuns {
        /// Which.
        runs: RunSelection,
    },
    /// Move a queued run to a place in the queue.
    MoveRun {
        /// Which.
        run: RunId,
        /// Places to move: negative is sooner.
        by: i64,
    },
    /// Change the priority of runs; higher starts sooner.
    ChangePriority {
        /// Which.
        runs: RunSelection,
        /// By how much.
        by: i32,
    },
    /// Start nothing new until `ResumeQueue`; what runs goes on.
    PauseQueue,
    /// Start queued runs again.
    ResumeQueue,
    /// All runs.
    ListRuns {
        /// Only of this study.
        study: Option<StudyId>,
    },
    /// All studies.
    ListStudies,
    /// One study as it was submitted.
    ShowStudy {
        /// Which.
        study: StudyId,
    },
    /// All about a run.
    ShowRun {
        /// Which.
        run: RunId,
    },
    /// A metric over training.
    GetCurve {
        /// Which.
        run: RunId,
        /// What.
        metric: Metric,
        /// Most points wanted; absent for all.
        width: Option<usize>,
    },
    /// The rank reports of a run.
    GetRank {
        /// Which.
        run: RunId,
    },
    /// The table of lineages.
    GetLeaderboard {
        /// Only of this study.
        study: Option<StudyId>,
        /// What to make equal.
        budget: EqualBudget,
    },
    /// The newest answers of a run to a task.
    GetAnswers {
        /// Which.
        run: RunId,
        /// Which.
        task: String,
        /// How it was asked.
        form: ScoringForm,
    },
    /// Look at the files of a run: something other than its worker has written there.
    LookAt {
        /// Which.
        run: RunId,
    },
    /// What the Lab screen shows.
    GetLab,
    /// The events of a run, as logged.
    GetEvents {
        /// Which.
        run: RunId,
    },
    /// Replace what this connection is told about; the present values follow at once, changes as they come.
    Subscribe {
        /// What is on the client's screen.
        topics: Vec<Topic>,
    },
    /// Rebuild the index from the run directories.
    Reindex,
    /// Identify the server.
    ServerStatus,
    /// Leave; runs go on.
    Shutdown,
}

/// Something a client can be kept informed about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "topic", rename_all = "snake_case")]
pub enum Topic {
    /// [`LabSummary`].
    Lab,
    /// [`Curve`]s of these runs.
    Curves {
        /// Which.
        runs: Vec<RunId>,
        /// What.
        metric: Metric,
        /// Most points wanted per curve.
        width: usize,
    },
    /// [`Leaderboard`].
    Leaderboard {
        /// Only of this study.
        study: Option<StudyId>,
        /// What to make equal.
        budget: EqualBudget,
    },
    /// [`RunDetail`].
    Run {
        /// Which.
        run: RunId,
    },
    /// [`RankHistory`].
    Rank {
        /// Which.
        run: RunId,
    },
}

/// Answer to one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", content = "value", rename_all = "snake_case")]
pub enum Reply {
    /// The handshake: who answers.
    Welcome(ServerInfo),
    /// Done; nothing else to say.
    Done,
    /// Done; how many runs were affected, and why others were not.
    Changed {
        /// Runs that changed.
        runs: Vec<RunId>,
        /// Runs that did not, each with the reason.
        refused: Vec<(RunId, String)>,
    },
    /// What a study would do.
    Plan(Box<PlanReport>),
    /// The study is queued.
    Submitted(Box<PlanReport>),
    /// Runs.
    Runs(Vec<RunSummary>),
    /// Studies.
    Studies(Vec<StudySummary>),
    /// One study: its row and its specification.
    Study(Box<(StudySummary, StudySpec)>),
    /// One run.
    Run(Box<RunDetail>),
    /// One curve.
    Curve(Curve),
    /// Ranks over training.
    Rank(RankHistory),
    /// The table.
    Leaderboard(Leaderboard),
    /// Answers to a task.
    Answers(Box<TaskAnswers>),
    /// The Lab.
    Lab(Box<LabSummary>),
    /// Events.
    Events {
        /// In the order of the logs.
        events: Vec<StampedEvent>,
        /// Lines of the logs that are damaged or gone.
        lost: u64,
    },
    /// It could not be done; the text says why and names the cure.
    Refused {
        /// A lowercase fragment.
        message: String,
    },
}

/// Who the server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Program version.
    pub version: String,
    /// Protocol version.
    pub protocol: u32,
    /// Process id.
    pub pid: u32,
    /// Its home.
    pub home: String,
    /// Which lab that is; absent if a server of another version does not say.
    pub lab: Option<LabIdentity>,
    /// Since when, Unix milliseconds.
    pub started_ms: u64,
    /// Why runs and queue wait, if the machine is short of something.
    #[serde(default)]
    pub held: Option<String>,
}

/// A value the client subscribed to, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "update", content = "value", rename_all = "snake_case")]
pub enum Update {
    /// The Lab.
    Lab(Box<LabSummary>),
    /// Curves, in the order subscribed; runs without points are there with none.
    Curves(Vec<Curve>),
    /// The table.
    Leaderboard(Leaderboard),
    /// A run.
    Run(Box<RunDetail>),
    /// Ranks over training.
    Rank(RankHistory),
}

/// A frame from client to server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientFrame {
    /// Chosen by the client; the reply carries it back.
    pub id: u64,
    /// What is asked.
    pub request: Request,
}

/// A frame from server to client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerFrame {
    /// To one request.
    Reply {
        /// Of the request.
        id: u64,
        /// The answer.
        reply: Reply,
    },
    /// To a subscription.
    Update(Update),
}
