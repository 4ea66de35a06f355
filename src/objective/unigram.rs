//! What a model without context reaches: the entropy of the targets' unigram distribution, a yardstick for losses.
//! Must not know: models.

use std::collections::BTreeMap;

use super::batch::Batch;

/// How often each token is a target, by loss weight.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnigramCounts {
    weights: BTreeMap<u32, f64>,
}

impl UnigramCounts {
    /// Counts the weighted targets of `batch`.
    pub fn add(&mut self, batch: &Batch) {
        for (target, weight) in batch.targets.iter().zip(&batch.loss_weights).filter(|(_, weight)| **weight > 0.0) {
            *self.weights.entry(*target).or_default() += f64::from(*weight);
        }
    }

    /// Sum of the weights counted.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.weights.values().sum()
    }

    /// Entropy in nats per target: the loss of the best prediction that ignores all context. 0 before anything is counted.
    #[must_use]
    pub fn entropy(&self) -> f64 {
        let total = self.weight();
        if total == 0.0 {
            return 0.0;
        }
        self.weights.values().map(|weight| weight / total).map(|share| -share * share.ln()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Layout;
    use crate::corpus::Vocabulary;

    #[test]
    fn entropy_of_known_distributions() {
        let mut counts = UnigramCounts::default();
        assert!(counts.entropy().abs() < 1e-12);
        let mut batch = Batch::empty(4, None);
        batch.push_pair(Layout::Decoder { prefix: false }, &Vocabulary::new(10), (&[], &[1, 2, 3, 4]), false);
        counts.add(&batch);
        assert!((counts.entropy() - 4f64.ln()).abs() < 1e-12);
        // Positions without loss are not counted.
        let mut later = Batch::empty(4, None);
        later.push_pair(Layout::Decoder { prefix: false }, &Vocabulary::new(10), (&[7, 7], &[1, 1]), false);
        counts.add(&later);
        let expected = -(0.5 * 0.5f64.ln() + 3.0 / 6.0 * (1.0f64 / 6.0).ln());
        assert!((counts.entropy() - expected).abs() < 1e-12);
        assert!((counts.weight() - 6.0).abs() < 1e-12);
    }
}
