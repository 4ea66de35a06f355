//! The learning rate as a function of the step.

use crate::core::{LearningRateSchedule, OptimizerSpec};

/// Learning rate of optimizer step `step` (the first is 1) in a run of `steps`: linear warm-up to the peak, then
/// half a cosine to `final_fraction` of it (Loshchilov & Hutter 2017, arXiv 1608.03983, eq. 5, without restarts),
/// peak × √(warm-up / step) (Raffel et al. 2019, §3.1.2, scaled to the peak), or the peak.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
pub fn learning_rate(spec: &OptimizerSpec, step: u64, steps: u64) -> f64 {
    let (peak, warmup) = (spec.learning_rate, spec.warmup_steps);
    if step < warmup {
        return peak * step as f64 / warmup as f64;
    }
    match spec.schedule {
        LearningRateSchedule::Constant => peak,
        LearningRateSchedule::Rsqrt => peak * (warmup.max(1) as f64 / step.max(1) as f64).sqrt(),
        LearningRateSchedule::Cosine => {
            let progress = step.saturating_sub(warmup) as f64 / steps.saturating_sub(warmup).max(1) as f64;
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos());
            peak * (spec.final_fraction + (1.0 - spec.final_fraction) * cosine)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(schedule: LearningRateSchedule, step: u64) -> f64 {
        let spec = OptimizerSpec {
            learning_rate: 1.0,
            schedule,
            warmup_steps: 10,
            final_fraction: 0.1,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.0,
            grad_clip_norm: 0.0,
        };
        learning_rate(&spec, step, 110)
    }

    #[test]
    fn schedules_pass_their_landmarks() {
        for schedule in [LearningRateSchedule::Cosine, LearningRateSchedule::Rsqrt, LearningRateSchedule::Constant] {
            assert!((at(schedule, 1) - 0.1).abs() < 1e-12);
            assert!((at(schedule, 10) - 1.0).abs() < 1e-12);
        }
        assert!((at(LearningRateSchedule::Cosine, 60) - 0.55).abs() < 1e-12);
        assert!((at(LearningRateSchedule::Cosine, 110) - 0.1).abs() < 1e-12);
        assert!((at(LearningRateSchedule::Rsqrt, 40) - 0.5).abs() < 1e-12);
        assert!((at(LearningRateSchedule::Constant, 110) - 1.0).abs() < 1e-12);
    }
}
