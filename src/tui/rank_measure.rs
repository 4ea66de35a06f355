//! What the Rank screen can show of a head: names, values, scales, and the lines they are compared with.
//! Promises: pure; a figure is never longer than it must be. Must not know: runs, keys, colours.

use serde::{Deserialize, Serialize};

use crate::core::rank::{HeadRank, RankMeasures};

use super::format;

/// What the heat map and the course show of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Effective rank of P as a share of the largest possible.
    #[default]
    EffectiveShare,
    /// Effective rank of P.
    Effective,
    /// Numerical rank of P.
    Numerical,
    /// Stable rank of P.
    Stable,
    /// Singular values for 90 % of P.
    K90,
    /// Effective rank of the logits.
    LogitsEffective,
    /// Numerical rank of the logits.
    LogitsNumerical,
    /// Stable rank of the logits.
    LogitsStable,
    /// Singular values for 90 % of the logits.
    LogitsK90,
}

impl Measure {
    /// All, in the order of the key.
    pub const ALL: [Self; 9] = [
        Self::EffectiveShare,
        Self::Effective,
        Self::Numerical,
        Self::Stable,
        Self::K90,
        Self::LogitsEffective,
        Self::LogitsNumerical,
        Self::LogitsStable,
        Self::LogitsK90,
    ];

    /// The one after or before it.
    #[must_use]
    pub fn turned(self, forward: bool) -> Self {
        super::rank_view::turned(&Self::ALL, self, forward)
    }

    /// In words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::EffectiveShare => "effective rank of P / n",
            Self::Effective => "effective rank of P",
            Self::Numerical => "numerical rank of P",
            Self::Stable => "stable rank of P",
            Self::K90 => "k90 of P",
            Self::LogitsEffective => "effective rank of logits",
            Self::LogitsNumerical => "numerical rank of logits",
            Self::LogitsStable => "stable rank of logits",
            Self::LogitsK90 => "k90 of logits",
        }
    }

    /// Its value for a head.
    #[must_use]
    pub fn of(self, head: &HeadRank) -> f64 {
        let (p, logits): (&RankMeasures, &RankMeasures) = (&head.of_probabilities, &head.of_logits);
        match self {
            Self::EffectiveShare => head.effective_rank_share(),
            Self::Effective => p.effective,
            Self::Numerical => p.numerical,
            Self::Stable => p.stable,
            Self::K90 => p.k90,
            Self::LogitsEffective => logits.effective,
            Self::LogitsNumerical => logits.numerical,
            Self::LogitsStable => logits.stable,
            Self::LogitsK90 => logits.k90,
        }
    }

    /// The largest value it can have for a head of `head_dim` dimensions.
    #[must_use]
    pub fn most(self, head: &HeadRank, head_dim: Option<usize>) -> f64 {
        let full = head.full_rank().max(1);
        match self {
            Self::EffectiveShare => 1.0,
            Self::Effective | Self::Numerical | Self::Stable | Self::K90 => full as f64,
            Self::LogitsEffective | Self::LogitsNumerical | Self::LogitsStable | Self::LogitsK90 => {
                full.min(head_dim.unwrap_or(full)).max(1) as f64
            }
        }
    }

    /// A value as it is written: shares as `.312`, ranks with three digits.
    #[must_use]
    pub fn figure(self, value: f64) -> String {
        if self == Self::EffectiveShare { share(value) } else { format::count(value) }
    }

    /// Values that uniform attention has over `length` positions, with what to call them: a head at such a line does not
    /// choose where to look.
    #[must_use]
    pub fn references(self, length: usize, head_dim: Option<usize>) -> Vec<(f64, String)> {
        let n = length.max(1) as f64;
        match self {
            Self::EffectiveShare => {
                vec![(0.25, "1/4 uniform causal".to_owned()), (1.0 / n, "1/n uniform, all seen".to_owned())]
            }
            Self::Effective => {
                vec![(n / 4.0, "n/4 uniform causal".to_owned()), (1.0, "1 uniform, all seen".to_owned())]
            }
            Self::Numerical | Self::Stable | Self::K90 => Vec::new(),
            Self::LogitsEffective | Self::LogitsNumerical | Self::LogitsStable | Self::LogitsK90 => {
                head_dim.into_iter().map(|most| (most as f64, format!("head_dim {most}"))).collect()
            }
        }
    }
}

/// `.312`, and `1.00` for what rounds to one.
#[must_use]
pub fn share(value: f64) -> String {
    if value.abs() < 0.9995 { format!("{value:.3}").replacen("0.", ".", 1) } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_whole() {
        let texts: Vec<String> = [0.3124, 0.0, 0.99949, 0.9996, 1.0].map(share).to_vec();
        assert_eq!(texts, [".312", ".000", ".999", "1.00", "1.00"]);
        assert_eq!(Measure::Effective.figure(31.24), "31.2");
        assert_eq!(Measure::Numerical.figure(128.0), "128");
    }

    #[test]
    fn every_measure_comes_up_once_in_a_turn() {
        let mut seen = vec![Measure::default()];
        while seen.len() < 9 {
            seen.push(seen[seen.len() - 1].turned(true));
        }
        assert_eq!(seen, Measure::ALL);
        assert_eq!(seen[8].turned(true), Measure::default());
        assert_eq!(Measure::default().turned(false), Measure::LogitsK90);
    }
}
