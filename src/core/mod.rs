//! The words of the lab: ids, specs, events, statuses, metrics, seeds, costs and the values that screens show.
//! Promises: no input or output, no clock, no global state; every type here means the same in every module.
//! Must not know: files, sockets, tensors, terminals.

pub mod architecture;
pub mod board;
pub mod cell;
pub mod control;
pub mod cost;
pub mod encoding;
pub mod event;
pub mod file_seal;
pub mod grid;
pub mod id;
pub mod json;
pub mod legal;
pub mod metric;
pub mod model;
pub mod objective;
pub mod picture;
pub mod rank;
pub mod rows;
pub mod sealed;
pub mod seed;
pub mod shell;
pub mod shortage;
pub mod spec;
pub mod stage;
pub mod status;
pub mod study;
pub mod summary;
pub mod task;
pub mod text_width;
pub mod texts;
pub mod visible;

pub use architecture::{Architecture, Layout};
pub use board::Estimate;
pub use control::{Control, ControlSource};
pub use event::{EventSink, RunEvent, SinkError, StampedEvent};
pub use id::{RunId, StudyId};
pub use metric::{Direction, Metric, Metrics};
pub use model::{AttentionDirection, Mlp, ModelPreset, ModelSpec, NormKind, Position};
pub use objective::{MixturePart, Mode, Objective, ObjectiveSpec, Task};
pub use rank::{RankHistory, RankReport};
pub use shortage::Shortage;
pub use spec::{
    Ancestor, DataSpec, Device, ExecutionSpec, LearningRateSchedule, OptimizerSpec, ParentSpec, Precision, ProbeSpec,
    PromptSpec, RunSpec, TrainingSpec,
};
pub use status::RunStatus;
