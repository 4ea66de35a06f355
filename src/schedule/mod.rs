//! From a study to runs, from the queue to launches, from what is found on disk to what a run is now.
//! Promises: planning, queue and adoption are pure; only `launch` touches the system, behind a trait.
//! Must not know: sockets, sessions, screens.

mod facts;
pub mod admission;
mod assemble;
mod cells;
mod fits;
mod models;
mod stages;
pub mod plan;
pub mod check;
pub mod report;
pub mod queue;
pub mod adopt;
pub mod launch;

pub use admission::Machine;
pub use adopt::{Action, Found, Parent, Standing, standing};
pub use check::{PlanError, study as check};
pub use facts::{CorpusFacts, PartFacts, StageFacts, StudyFacts};
pub use launch::{LaunchError, Launched, Launcher, LocalLauncher};
pub use plan::{Plan, plan};
pub use queue::{Entry, Queue, QueueError, launches};
pub use report::{Workload, planned_run, report};
