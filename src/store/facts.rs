//! What a log says now: the fold of its events. Pure, so the same events give the same facts whether they came one by
//! one while the run trained or all at once when the index was rebuilt.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::{Metrics, RunEvent, StampedEvent};

/// How an attempt ended, in its own words. An attempt without an ending is alive or died.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ending", rename_all = "snake_case")]
pub enum Ending {
    /// It left on request, to go on later.
    Paused {
        /// Steps made.
        step: u64,
    },
    /// It left on request.
    Stopped {
        /// Steps made.
        step: u64,
    },
    /// All steps are made.
    Finished {
        /// Steps made.
        step: u64,
    },
    /// The loss was not finite or ran away.
    Diverged {
        /// The step that did.
        step: u64,
        /// What was seen.
        reason: String,
    },
    /// An error.
    Failed {
        /// The error and the cure.
        message: String,
    },
}

/// One attempt, as its log says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptFacts {
    /// 1 for the first.
    pub attempt: u32,
    /// Bytes of its log that were read.
    pub offset: u64,
    /// Events among them.
    pub events: u64,
    /// Time of its first event; 0 before that.
    pub started_ms: u64,
    /// The furthest step it logged.
    pub step: u64,
    /// The newest checkpoint it made.
    pub checkpoint_step: Option<u64>,
    /// How it ended, if it said so.
    pub ending: Option<Ending>,
    /// Lines that were read, damaged ones included, where lines are numbered.
    #[serde(default)]
    pub lines: Option<u64>,
    /// Lines that were written and are damaged or gone.
    #[serde(default)]
    pub lost: u64,
    /// Why nothing more of its log can be read, if so.
    #[serde(default)]
    pub unreadable: Option<String>,
}

/// A run, as its logs say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogFacts {
    /// The newest attempt that has a log; 0 if there is none.
    pub attempt: u32,
    /// Steps made: falls back to the checkpoint when an attempt continues from it.
    pub step: u64,
    /// Positions seen.
    pub tokens: u64,
    /// Positions per step, from the newest logged step.
    pub step_tokens: u64,
    /// Training seconds of all attempts.
    pub elapsed_s: f64,
    /// Newest value of each metric.
    pub latest: Metrics,
    /// The newest checkpoint that was made.
    pub checkpoint_step: Option<u64>,
    /// The newest validated step.
    pub validated_step: Option<u64>,
    /// Time of the first event of all; 0 if there is none.
    pub first_event_ms: u64,
    /// Time of the newest event; 0 if there is none.
    pub last_event_ms: u64,
    /// Bytes read of each file of later evaluations, by its number.
    #[serde(default)]
    pub evals: BTreeMap<u32, u64>,
    /// Lines of those files that are damaged or gone.
    #[serde(default)]
    pub lost_scores: u64,
    /// Each attempt that has a log, by number.
    pub attempts: BTreeMap<u32, AttemptFacts>,
}

impl LogFacts {
    /// The attempt of that number.
    #[must_use]
    pub fn of_attempt(&self, attempt: u32) -> Option<&AttemptFacts> {
        self.attempts.get(&attempt)
    }

    /// Bytes of an attempt's log that were read.
    #[must_use]
    pub fn offset(&self, attempt: u32) -> u64 {
        self.of_attempt(attempt).map_or(0, |facts| facts.offset)
    }

    /// Lines that the run's files have lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost_scores + self.attempts.values().map(|attempt| attempt.lost).sum::<u64>()
    }

    /// How the newest attempt ended, if it said so.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        self.attempts.values().next_back().and_then(|attempt| attempt.ending.as_ref())
    }

    /// The facts of an attempt, made if they are new.
    pub(super) fn entry(&mut self, attempt: u32) -> &mut AttemptFacts {
        self.attempt = self.attempt.max(attempt);
        self.attempts.entry(attempt).or_insert_with(|| AttemptFacts { attempt, ..AttemptFacts::default() })
    }
}

/// Apply one event of `attempt`. Events of an attempt come in the order of its log, attempts in their order.
pub fn fold(facts: &mut LogFacts, attempt: u32, event: &StampedEvent) {
    if facts.first_event_ms == 0 {
        facts.first_event_ms = event.time_ms;
    }
    facts.last_event_ms = facts.last_event_ms.max(event.time_ms);
    let own = facts.entry(attempt);
    own.events += 1;
    if own.started_ms == 0 {
        own.started_ms = event.time_ms;
    }
    match &event.event {
        RunEvent::Started { .. } => at_step(facts, 0),
        RunEvent::Resumed { step } => {
            at_step(facts, *step);
            facts.tokens = step.saturating_mul(facts.step_tokens);
        }
        RunEvent::StepLogged { step, tokens, elapsed_s, metrics } => {
            own.step = own.step.max(*step);
            facts.step = *step;
            facts.tokens = *tokens;
            facts.step_tokens = tokens.checked_div(*step).unwrap_or(0);
            facts.elapsed_s = *elapsed_s;
            facts.latest.extend(metrics);
        }
        RunEvent::Validated { step, metrics, .. } => {
            own.step = own.step.max(*step);
            facts.validated_step = Some(*step);
            facts.latest.extend(metrics);
        }
        RunEvent::RankMeasured { step, metrics, .. }
        | RunEvent::ZeroShotMeasured { step, metrics, .. }
        | RunEvent::InferenceMeasured { step, metrics, .. } => {
            own.step = own.step.max(*step);
            facts.latest.extend(metrics);
        }
        RunEvent::CheckpointSaved { step, .. } => {
            own.step = own.step.max(*step);
            own.checkpoint_step = Some(*step);
            facts.checkpoint_step = Some(*step);
        }
        RunEvent::Heartbeat { step } => at_step(facts, *step),
        RunEvent::Paused { step } => end(facts, attempt, Some(*step), Ending::Paused { step: *step }),
        RunEvent::Stopped { step } => end(facts, attempt, Some(*step), Ending::Stopped { step: *step }),
        RunEvent::Finished { step } => end(facts, attempt, Some(*step), Ending::Finished { step: *step }),
        RunEvent::Diverged { step, reason } => {
            end(facts, attempt, None, Ending::Diverged { step: *step, reason: reason.clone() });
        }
        RunEvent::Failed { message } => end(facts, attempt, None, Ending::Failed { message: message.clone() }),
        RunEvent::TaskScored(_) | RunEvent::SampleGenerated { .. } | RunEvent::Warned { .. } => {}
    }
}

/// The run stands at `step`; its positions follow where the positions of a step are known.
fn at_step(facts: &mut LogFacts, step: u64) {
    facts.step = step;
    facts.tokens = step.saturating_mul(facts.step_tokens);
}

fn end(facts: &mut LogFacts, attempt: u32, step: Option<u64>, ending: Ending) {
    if let Some(step) = step {
        at_step(facts, step);
    }
    facts.entry(attempt).ending = Some(ending);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Metric;

    fn logged(step: u64, loss: f64) -> RunEvent {
        let metrics = Metrics::from([(Metric::Loss, loss)]);
        RunEvent::StepLogged { step, tokens: step * 64, elapsed_s: step as f64, metrics }
    }

    fn folded(events: &[(u32, RunEvent)]) -> LogFacts {
        let mut facts = LogFacts::default();
        for (time, (attempt, event)) in events.iter().enumerate() {
            fold(&mut facts, *attempt, &StampedEvent { time_ms: 10 + time as u64, event: event.clone() });
        }
        facts
    }

    fn started(attempt: u32) -> RunEvent {
        RunEvent::Started {
            attempt,
            program_version: "0".to_owned(),
            device: "cpu".to_owned(),
            threads: 1,
            host: "h".to_owned(),
            pid: 1,
            parameters: 10,
            steps: 100,
        }
    }

    #[test]
    fn a_second_attempt_goes_back_to_its_checkpoint() {
        let facts = folded(&[
            (1, started(1)),
            (1, logged(1, 5.0)),
            (1, RunEvent::CheckpointSaved { step: 1, bytes: 9, seconds: 0.1 }),
            (1, logged(2, 4.0)),
            (2, started(2)),
            (2, RunEvent::Resumed { step: 1 }),
        ]);
        assert_eq!((facts.attempt, facts.step, facts.tokens), (2, 1, 64));
        assert_eq!(facts.checkpoint_step, Some(1));
        assert_eq!((facts.first_event_ms, facts.last_event_ms), (10, 15));
        assert_eq!(facts.of_attempt(1).unwrap().step, 2, "the furthest step of the first attempt");
        assert_eq!(facts.of_attempt(2).unwrap().step, 0, "the second has logged none");
        assert_eq!(facts.of_attempt(2).unwrap().started_ms, 14);
        assert_eq!(facts.ending(), None);
    }

    #[test]
    fn endings_belong_to_their_attempt() {
        let facts = folded(&[(1, logged(3, 5.0)), (1, RunEvent::Paused { step: 4 })]);
        assert_eq!(facts.ending(), Some(&Ending::Paused { step: 4 }));
        assert_eq!((facts.step, facts.tokens), (4, 256));
        let facts = folded(&[(1, RunEvent::Failed { message: "no memory".to_owned() }), (2, started(2))]);
        assert_eq!(facts.ending(), None, "a new attempt has not ended");
        assert!(facts.of_attempt(1).unwrap().ending.is_some());
    }

    #[test]
    fn latest_keeps_training_and_validation_values() {
        let validated = RunEvent::Validated {
            step: 1,
            metrics: Metrics::from([(Metric::ValidationLoss, 4.5)]),
            targets: 9,
            seconds: 0.1,
        };
        let facts = folded(&[(1, logged(1, 5.0)), (1, validated), (1, logged(2, 4.0))]);
        assert_eq!(facts.latest, Metrics::from([(Metric::Loss, 4.0), (Metric::ValidationLoss, 4.5)]));
        assert_eq!(facts.validated_step, Some(1));
    }
}
