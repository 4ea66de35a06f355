//! Axes of charts: linear or logarithmic scales and round tick marks.
//! Promises: pure; every tick lies inside the axis. Must not know: pixels or terminals.

use super::format;

/// How the numbers of an axis are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// With as many digits as the ticks need.
    Plain,
    /// `12.3k`.
    Count,
    /// `3.4e12`.
    Flops,
    /// `3m12s`.
    Duration,
}

/// A range of values and how it is spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// Least value.
    pub low: f64,
    /// Largest value.
    pub high: f64,
    /// Whether equal ratios, rather than equal differences, have equal lengths.
    pub log: bool,
    /// How ticks are written.
    pub writing: Writing,
}

impl Axis {
    /// An axis over `values`, those that it can show; `None` if there is none.
    #[must_use]
    pub fn over(values: impl Iterator<Item = f64>, log: bool, writing: Writing) -> Option<Self> {
        let shown = values.filter(|value| value.is_finite() && (!log || *value > 0.0));
        let (low, high) =
            shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return None;
        }
        // One value alone still needs a length.
        let (low, high) = match (low == high, log) {
            (false, _) => (low, high),
            (true, true) => (low / 1.5, high * 1.5),
            (true, false) => {
                let margin = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
                (low - margin, high + margin)
            }
        };
        Some(Self { low, high, log, writing })
    }

    /// The same axis with a little room at both ends.
    #[must_use]
    pub fn with_margin(self, share: f64) -> Self {
        let room = share * (self.inner(self.high) - self.inner(self.low));
        let outer = |inner: f64| if self.log { 10f64.powf(inner) } else { inner };
        Self { low: outer(self.inner(self.low) - room), high: outer(self.inner(self.high) + room), ..self }
    }

    fn inner(&self, value: f64) -> f64 {
        if self.log { value.log10() } else { value }
    }

    /// Where `value` lies, 0 at the low end and 1 at the high end; `None` if a logarithm cannot show it.
    #[must_use]
    pub fn place(&self, value: f64) -> Option<f64> {
        if !value.is_finite() || (self.log && value <= 0.0) {
            return None;
        }
        let (low, high) = (self.inner(self.low), self.inner(self.high));
        Some((self.inner(value) - low) / (high - low))
    }

    /// The value at `share` of the way from low to high.
    #[must_use]
    pub fn value(&self, share: f64) -> f64 {
        let (low, high) = (self.inner(self.low), self.inner(self.high));
        let inner = low + share * (high - low);
        if self.log { 10f64.powf(inner) } else { inner }
    }

    /// At most `most` round values inside the axis, with their texts.
    #[must_use]
    pub fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        let most = most.max(2);
        let decades = (self.high / self.low).log10();
        let (values, step) =
            if self.log && decades >= 1.0 { (self.log_ticks(most), f64::NAN) } else { self.linear_ticks(most) };
        values.iter().map(|value| (*value, self.write(*value, step))).collect()
    }

    /// Multiples of 1, 2 or 5 times a power of ten, and their distance. Two at least, where the axis has a length.
    fn linear_ticks(&self, most: usize) -> (Vec<f64>, f64) {
        let raw = (self.high - self.low) / most as f64;
        let power = 10f64.powf(raw.log10().floor());
        // Rounding must not push an exact step to the next size.
        let sizes = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        let enough = sizes.iter().position(|step| *step >= raw * 0.999).unwrap_or(3);
        let at = |step: f64| -> Vec<f64> {
            let (first, last) = ((self.low / step).ceil() as i64, (self.high / step).floor() as i64);
            (first..=last).take(2 * most + 2).map(|times| times as f64 * step).collect()
        };
        let chosen = sizes.get(enough).copied().unwrap_or(raw);
        let finer = [chosen, sizes.get(enough.saturating_sub(1)).copied().unwrap_or(chosen), power];
        let step = finer.into_iter().find(|step| at(*step).len() >= 2).unwrap_or(power);
        (at(step), step)
    }

    fn log_ticks(&self, most: usize) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let inside = |factors: &[f64], every: i32| -> Vec<f64> {
            (first..=last)
                .filter(|power| power % every == 0)
                .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)))
                .filter(|value| (self.low..=self.high).contains(value))
                .collect()
        };
        let dense = [inside(&[1.0, 2.0, 5.0], 1), inside(&[1.0, 3.0], 1), inside(&[1.0], 1)];
        let sparse = (2..=last - first + 1).map(|every| inside(&[1.0], every));
        dense.into_iter().chain(sparse).find(|ticks| ticks.len() <= most).unwrap_or_default()
    }

    /// A value on this axis as text; `step` is the least distance that must show.
    #[must_use]
    pub fn write(&self, value: f64, step: f64) -> String {
        match self.writing {
            Writing::Count => format::count(value),
            Writing::Flops if value == 0.0 => "0".to_owned(),
            Writing::Flops => format::flops(value),
            // Below a second a tick has the decimals that its step has.
            Writing::Duration if step > 0.0 && step < 1.0 => {
                format!("{value:.*}s", (-step.log10().floor()).clamp(0.0, 3.0) as usize)
            }
            Writing::Duration => format::duration(value),
            Writing::Plain => {
                let size = value.abs();
                if size >= 1e5 || (size > 0.0 && size < 1e-3) {
                    return format::learning_rate(value);
                }
                let decimals =
                    if step.is_finite() && step > 0.0 { (-step.log10().floor()).clamp(0.0, 6.0) } else { 3.0 };
                format!("{value:.*}", decimals as usize)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(low: f64, high: f64, log: bool, writing: Writing, most: usize) -> Vec<String> {
        let axis = Axis { low, high, log, writing };
        let ticks = axis.ticks(most);
        assert!(ticks.iter().all(|(value, _)| (0.0..=1.0).contains(&axis.place(*value).unwrap())), "{ticks:?}");
        ticks.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(texts(2.93, 6.1, false, Writing::Plain, 5), ["3", "4", "5", "6"]);
        assert_eq!(texts(3.01, 3.09, false, Writing::Plain, 4), ["3.02", "3.04", "3.06", "3.08"]);
        assert_eq!(texts(0.0, 2_000.0, false, Writing::Count, 5), ["0", "500", "1.00k", "1.50k", "2.00k"]);
        assert_eq!(texts(1.0, 2_000.0, true, Writing::Count, 5), ["1", "10", "100", "1.00k"]);
        assert_eq!(texts(2.0, 6.0, true, Writing::Plain, 5), ["2", "3", "4", "5", "6"]);
    }

    #[test]
    fn place_and_value_are_inverse() {
        for log in [false, true] {
            let axis = Axis { low: 0.5, high: 80.0, log, writing: Writing::Plain };
            for share in [0.0, 0.25, 1.0] {
                assert!((axis.place(axis.value(share)).unwrap() - share).abs() < 1e-12);
            }
        }
        let axis = Axis::over([3.0, -1.0, 0.0].into_iter(), true, Writing::Plain).unwrap();
        assert_eq!(axis.place(-1.0), None);
        assert!(axis.low > 0.0);
        assert!(Axis::over([f64::NAN].into_iter(), false, Writing::Plain).is_none());
    }
}
