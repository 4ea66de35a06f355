//! Numbers as people read them.

use crate::core::{Metric, Metrics};

/// `1.23M`: three digits and an SI prefix.
#[must_use]
pub fn count(value: f64) -> String {
    let steps = [(1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let Some((unit, prefix)) = steps.into_iter().find(|(unit, _)| value >= *unit * 0.9995) else {
        // An empty sum is -0.
        return format!("{:.0}", value + 0.0);
    };
    let scaled = value / unit;
    let decimals = if scaled < 9.995 { 2 } else { usize::from(scaled < 99.95) };
    format!("{scaled:.decimals$}{prefix}")
}

/// `42s`, `3m12s`, `2h05m`, `3d04h`.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "durations are far below 2^63 seconds")]
pub fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0 if seconds > 0.0 => format!("{seconds:.2}s"),
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        3600..86_400 => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d{:02}h", s / 86_400, s % 86_400 / 3600),
    }
}

/// `512MiB`, `1.5GiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "sizes are shown with three digits")]
pub fn bytes(value: u64) -> String {
    let mebibytes = value as f64 / (1 << 20) as f64;
    if mebibytes < 1000.0 { format!("{mebibytes:.0}MiB") } else { format!("{:.1}GiB", mebibytes / 1024.0) }
}

/// The metric's value with its own digits; a dash if there is none.
#[must_use]
pub fn metric(metrics: &Metrics, which: Metric) -> String {
    metrics.get(&which).map_or_else(|| "-".to_owned(), |value| format!("{value:.*}", which.definition().decimals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(
            [7.0, 999.0, 1234.0, 12_345.0, 999_600.0, 1.5e9].map(count),
            ["7", "999", "1.23k", "12.3k", "1.00M", "1.50G"]
        );
        assert_eq!([0.4, 59.6, 192.0, 7500.0, 273_600.0].map(duration), ["0.40s", "1m00s", "3m12s", "2h05m", "3d04h"]);
        assert_eq!([1 << 20, 1536 << 20].map(bytes), ["1MiB", "1.5GiB"]);
    }
}
