//! What the rank probe says of a model: measures per attention, layer and head, and of the residual stream by depth.
//! Promises: every number is a mean over the probe's examples; what is wanted for one number can be recomputed from
//! the stored parts. Must not know: how a rank is computed.

use serde::{Deserialize, Serialize};

use super::id::RunId;
use super::metric::{Metric, Metrics};
use super::picture::Picture;

/// Which attention a matrix belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttentionKind {
    /// An encoder position looks at encoder positions.
    EncoderSelf,
    /// A position of the decoder, or of the only stack, looks at positions of its own stack.
    DecoderSelf,
    /// A decoder position looks at encoder positions.
    Cross,
}

impl AttentionKind {
    /// All, in the order in which data flows.
    pub const ALL: [Self; 3] = [Self::EncoderSelf, Self::DecoderSelf, Self::Cross];

    /// The name in words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::EncoderSelf => "encoder self-attention",
            Self::DecoderSelf => "decoder self-attention",
            Self::Cross => "cross-attention",
        }
    }

    /// One short word for tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::EncoderSelf => "encoder",
            Self::DecoderSelf => "decoder",
            Self::Cross => "cross",
        }
    }
}

/// Which stack a residual stream runs through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StackKind {
    /// The encoder, also one that stands alone.
    Encoder,
    /// The decoder, also one that stands alone.
    Decoder,
}

impl StackKind {
    /// One short word for tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Decoder => "decoder",
        }
    }
}

/// Which positions see which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionMask {
    /// Every query sees every key.
    Bidirectional,
    /// A query sees itself and what is before it.
    Causal,
    /// Causal, but the first so many positions see each other both ways.
    Prefix(usize),
    /// Every query sees all of another text of that length, and itself and what is before it of its own.
    Merged,
}

impl AttentionMask {
    /// Least rank that logits over `length` positions need so that their softmax can be any generic attention under this
    /// mask: a head of fewer dimensions cannot form it exactly. Softmax ignores a constant per query, so only the
    /// differences between keys count: n − 1 of them if all are seen. A causal mask hides half of the matrix and needs
    /// ⌊n/2⌋; a prefix of p needs the larger of p − 1 and ⌊n/2⌋; merged attention needs n, since more keys than queries are
    /// seen by all. It holds for logits q kᵀ alone: a bias added by position may have any rank.
    #[must_use]
    pub fn least_logit_rank(self, length: usize) -> usize {
        match self {
            Self::Bidirectional => length.saturating_sub(1),
            Self::Causal => length / 2,
            Self::Prefix(prefix) => prefix.min(length).saturating_sub(1).max(length / 2),
            Self::Merged => length,
        }
    }
}

/// Ranks of a matrix, or means of them over several matrices of one shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RankMeasures {
    /// Singular values above max(rows, columns) · σ₁ · ε, with the ε of f32, in which the model computes.
    pub numerical: f64,
    /// exp of the entropy of σᵢ/Σσ (Roy & Vetterli 2007).
    pub effective: f64,
    /// Σσ² / σ₁².
    pub stable: f64,
    /// Fewest singular values whose squares reach 90 % of Σσ².
    pub k90: f64,
}

impl RankMeasures {
    /// The mean of each measure; zeros of none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a few matrices")]
    pub fn mean(all: &[Self]) -> Self {
        let of = |measure: fn(&Self) -> f64| all.iter().map(measure).sum::<f64>() / all.len().max(1) as f64;
        Self {
            numerical: of(|one| one.numerical),
            effective: of(|one| one.effective),
            stable: of(|one| one.stable),
            k90: of(|one| one.k90),
        }
    }

    const fn is_finite(&self) -> bool {
        self.numerical.is_finite() && self.effective.is_finite() && self.stable.is_finite() && self.k90.is_finite()
    }
}

/// One head of one attention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadRank {
    /// Which attention.
    pub attention: AttentionKind,
    /// Block, from 0.
    pub layer: usize,
    /// Head, from 0.
    pub head: usize,
    /// Positions that look: rows of the matrices.
    pub queries: usize,
    /// Positions that are looked at: columns.
    pub keys: usize,
    /// Whether no query sees what is behind it, or none what is before it: one half of P is exactly zero.
    #[serde(default)]
    pub one_way: bool,
    /// Of the probabilities P, after mask and softmax.
    pub of_probabilities: RankMeasures,
    /// Of the scaled logits q kᵀ / √K before the mask.
    pub of_logits: RankMeasures,
    /// Singular values of P, largest first: all min(queries, keys) of them, or 64 at equal steps of their place, the
    /// first and the last among them. Empty where only measures are kept.
    pub spectrum: Vec<f32>,
    /// P in little, at most 32 × 32 cells, each the mass that falls into its keys, averaged over its queries. Empty in
    /// old logs and where only measures are kept.
    #[serde(default, skip_serializing_if = "Picture::is_empty")]
    pub picture: Picture,
}

impl HeadRank {
    /// Largest rank the matrices can have.
    #[must_use]
    pub fn full_rank(&self) -> usize {
        self.queries.min(self.keys)
    }

    /// The singular values that were kept, each with its place among all, from 1.
    pub fn spectrum_places(&self) -> impl Iterator<Item = (usize, f64)> {
        let (kept, last) = (self.spectrum.len(), self.full_rank().saturating_sub(1));
        let place = move |index: usize| if kept < 2 { 1 } else { 1 + index * last / (kept - 1) };
        self.spectrum.iter().enumerate().map(move |(index, value)| (place(index), f64::from(*value)))
    }

    /// Effective rank of P as a share of the largest possible.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]
    pub fn effective_rank_share(&self) -> f64 {
        self.of_probabilities.effective / self.full_rank().max(1) as f64
    }
}

/// The residual stream after some blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResidualRank {
    /// Which stack.
    pub stack: StackKind,
    /// Blocks passed: 0 is the embedding.
    pub depth: usize,
    /// Of the positions × `d_model` matrix X.
    pub measures: RankMeasures,
    /// ‖X − 1x̄ᵀ‖ / ‖X‖ with the mean position x̄: 0 when all positions are alike (Dong et al. 2021, arXiv 2103.03404).
    pub rank_one_residual: f64,
}

/// What the probe saw at one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RankReport {
    /// Decoder positions of a probe example: the run's `seq_len`.
    pub seq_len: usize,
    /// Leading positions of a decoder that see each other both ways; 0 where it is causal.
    pub prefix_length: usize,
    /// Examples averaged over.
    pub examples: usize,
    /// Every head, by attention, layer and head.
    pub heads: Vec<HeadRank>,
    /// Every depth, by stack.
    pub residual: Vec<ResidualRank>,
}

impl RankReport {
    /// The heads of one attention.
    pub fn of(&self, attention: AttentionKind) -> impl Iterator<Item = &HeadRank> {
        self.heads.iter().filter(move |head| head.attention == attention)
    }

    /// Mean over the heads of one attention of the effective rank of P as a share of the largest possible; `None` if
    /// the model has no such attention.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a few heads")]
    pub fn effective_rank_share(&self, attention: AttentionKind) -> Option<f64> {
        let shares: Vec<f64> = self.of(attention).map(HeadRank::effective_rank_share).collect();
        (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
    }

    /// The headline: the share of decoder self-attention, or of an encoder's that stands alone.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let of = |attention| self.effective_rank_share(attention);
        let share = of(AttentionKind::DecoderSelf).or_else(|| of(AttentionKind::EncoderSelf));
        share.map(|share| (Metric::EffectiveRankShare, share)).into_iter().collect()
    }

    /// The name of an attention in words.
    #[must_use]
    pub fn title(&self, attention: AttentionKind) -> &'static str {
        let merged = attention == AttentionKind::DecoderSelf && self.of(attention).any(|head| head.keys > head.queries);
        if merged { "merged attention" } else { attention.title() }
    }

    /// Which positions of one head see which.
    #[must_use]
    pub const fn mask(&self, head: &HeadRank) -> AttentionMask {
        match head.attention {
            AttentionKind::DecoderSelf if head.keys > head.queries => AttentionMask::Merged,
            AttentionKind::EncoderSelf if head.one_way => AttentionMask::Causal,
            AttentionKind::EncoderSelf | AttentionKind::Cross => AttentionMask::Bidirectional,
            AttentionKind::DecoderSelf if self.prefix_length == 0 => AttentionMask::Causal,
            AttentionKind::DecoderSelf => AttentionMask::Prefix(self.prefix_length),
        }
    }

    /// The same without spectra and pictures, for histories.
    #[must_use]
    pub fn without_spectra(mut self) -> Self {
        for head in &mut self.heads {
            head.spectrum = Vec::new();
            head.picture = Picture::default();
        }
        self
    }

    /// Whether a log can hold every number of it.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        let head = |head: &HeadRank| {
            head.of_probabilities.is_finite()
                && head.of_logits.is_finite()
                && head.spectrum.iter().all(|value| value.is_finite())
        };
        let residual = |depth: &ResidualRank| depth.measures.is_finite() && depth.rank_one_residual.is_finite();
        self.heads.iter().all(head) && self.residual.iter().all(residual)
    }
}

/// A report and when it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankAtStep {
    /// Optimizer steps made.
    pub step: u64,
    /// Cost in seconds.
    pub seconds: f64,
    /// What was seen.
    pub report: RankReport,
}

/// The ranks of a run over training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankHistory {
    /// Run.
    pub run: RunId,
    /// Reports by step, thinned evenly where there are very many; only the newest has spectra. Empty if rank was never
    /// measured.
    pub reports: Vec<RankAtStep>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(attention: AttentionKind, effective: f64) -> HeadRank {
        let of_probabilities = RankMeasures { effective, ..RankMeasures::default() };
        let of_logits = RankMeasures::default();
        HeadRank {
            attention,
            layer: 0,
            head: 0,
            queries: 8,
            keys: 4,
            one_way: false,
            of_probabilities,
            of_logits,
            spectrum: vec![1.0],
            picture: Picture::packed(&[1.0]),
        }
    }

    #[test]
    fn the_headline_is_the_mean_over_decoder_heads() {
        let heads = vec![
            head(AttentionKind::EncoderSelf, 4.0),
            head(AttentionKind::DecoderSelf, 1.0),
            head(AttentionKind::DecoderSelf, 2.0),
        ];
        let mut report = RankReport { seq_len: 8, prefix_length: 0, examples: 1, heads, residual: Vec::new() };
        assert_eq!(report.metrics(), Metrics::from([(Metric::EffectiveRankShare, 0.375)]));
        assert_eq!(report.effective_rank_share(AttentionKind::EncoderSelf), Some(1.0));
        assert_eq!(report.effective_rank_share(AttentionKind::Cross), None);
        let bare = report.clone().without_spectra();
        assert!(bare.heads.iter().all(|head| head.spectrum.is_empty() && head.picture.is_empty()));
        let line = serde_json::to_string(&bare).unwrap();
        assert!(!line.contains("picture"), "what is empty takes no room: {line}");
        assert_eq!(serde_json::from_str::<RankReport>(&line).unwrap(), bare, "logs of before pictures load");
        assert!(report.is_finite());
        report.heads[0].spectrum[0] = f32::NAN;
        assert!(!report.is_finite());
        let mean = RankMeasures::mean(&[report.heads[1].of_probabilities, report.heads[2].of_probabilities]);
        assert_eq!(mean.effective, 1.5);
    }
    #[test]
    fn the_bound_of_each_mask() {
        use AttentionMask::{Bidirectional, Causal, Merged, Prefix};
        // The lengths at which it was checked by fitting logits to random targets: n = 4, 6, 7, 8; merged n = 3, 4, 6.
        let table = [
            (Bidirectional, 8, 7),
            (Causal, 8, 4),
            (Causal, 7, 3),
            (Causal, 4, 2),
            (Prefix(4), 8, 4),
            (Prefix(6), 8, 5),
            (Prefix(7), 8, 6),
            (Prefix(64), 128, 64),
            (Bidirectional, 128, 127),
            (Merged, 6, 6),
            (Bidirectional, 0, 0),
            (Causal, 1, 0),
        ];
        for (mask, length, wanted) in table {
            assert_eq!(mask.least_logit_rank(length), wanted, "{mask:?} n={length}");
        }
        for length in 2..40 {
            assert_eq!(Prefix(0).least_logit_rank(length), Causal.least_logit_rank(length), "no prefix is causal");
            assert_eq!(Prefix(length).least_logit_rank(length), Bidirectional.least_logit_rank(length));
        }
    }
}
