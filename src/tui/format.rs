//! Numbers as people read them: durations, counts, FLOPs, bytes, metric values.
//! Promises: pure, never more precise than asked, and never a text that a narrow column would cut: callers drop whole
//! columns instead. Must not know: colours or screens.

use crate::core::Metric;
use crate::core::board::{BoardCell, BoardColumn, EqualBudget, Leaderboard};
use crate::core::metric::Notation;

pub use crate::core::text_width::wrap;

/// `45s`, `3m12s`, `2h05m`, `3d04h`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "?".to_owned();
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3_600 => format!("{}m{:02}s", whole / 60, whole % 60),
        3_600..86_400 => format!("{}h{:02}m", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{}d{:02}h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

/// Three significant digits with an SI letter: `999`, `1.20k`, `12.3k`, `1.23M`.
#[must_use]
pub fn count(value: f64) -> String {
    if !value.is_finite() {
        return "?".to_owned();
    }
    let size = value.abs();
    if size < 999.5 {
        return if value.fract() == 0.0 { format!("{value:.0}") } else { significant(value) };
    }
    for (unit, letter) in [(1e3, 'k'), (1e6, 'M'), (1e9, 'G'), (1e12, 'T')] {
        if size < unit * 999.5 {
            return format!("{}{letter}", significant(value / unit));
        }
    }
    flops(value)
}

fn significant(value: f64) -> String {
    match value.abs() {
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// `3.4e12`.
#[must_use]
pub fn flops(value: f64) -> String {
    format!("{value:.1e}")
}

/// `1.5 GiB`.
#[must_use]
pub fn bytes(value: u64) -> String {
    let mut size = value as f64;
    for unit in ["B", "KiB", "MiB"] {
        if size < 1023.5 {
            return if unit == "B" { format!("{value} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1} GiB")
}

/// `87 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A value with the digits its metric is shown with.
#[must_use]
pub fn metric(metric: Metric, value: f64) -> String {
    let definition = metric.definition();
    match definition.notation {
        Notation::Scientific => learning_rate(value),
        Notation::Count => count(value.round()),
        Notation::Fixed if value.abs() >= 1e6 => format!("{value:.2e}"),
        Notation::Fixed => format!("{value:.0$}", definition.decimals),
    }
}

/// `1e-3`, `3.5e-4`: the shortest text that means the value to three digits.
#[must_use]
pub fn learning_rate(value: f64) -> String {
    let text = format!("{value:.2e}");
    match text.split_once('e') {
        Some((digits, exponent)) if digits.contains('.') => {
            format!("{}e{exponent}", digits.trim_end_matches('0').trim_end_matches('.'))
        }
        Some(_) | None => text,
    }
}

/// A value of a column of the leaderboard with the digits it is shown with.
#[must_use]
pub fn board_value(column: &BoardColumn, value: f64) -> String {
    match Metric::from_name(&column.key) {
        Some(known) => metric(known, value),
        None if value.abs() >= 1e6 => format!("{value:.2e}"),
        None => format!("{value:.0$}", column.decimals),
    }
}

/// A number of the leaderboard in parts, so that they can stand under each other: mean, interval over seeds (` ±` its half width,
/// or its ends in brackets where it is not as long on either side; nothing with one seed), and a star if it is more than two standard errors above chance.
#[must_use]
pub fn board_cell(column: &BoardColumn, cell: &BoardCell) -> [String; 3] {
    let half = cell.estimate.half_width.map(|half| format!(" ±{}", board_value(column, half)));
    let half = half.or_else(|| cell.estimate.brackets(column.decimals).map(|ends| format!(" {ends}")));
    let beats = column.chance.and_then(|chance| cell.beats(chance)).unwrap_or(false);
    let star = if beats { "*" } else { "" }.to_owned();
    let mean = board_value(column, cell.estimate.mean);
    match half {
        Some(half) => [mean, half, star],
        // The star stands at its number.
        None => [mean, star, String::new()],
    }
}

/// `equal tokens at 1.20M`.
#[must_use]
pub fn budget(board: &Leaderboard) -> String {
    let at = match (board.budget, board.budget_at) {
        (EqualBudget::AsTrained | EqualBudget::Parameters, _) => String::new(),
        (EqualBudget::Flops, Some(at)) => format!(" at {}", flops(at)),
        (EqualBudget::Tokens, Some(at)) => format!(" at {}", count(at)),
        (EqualBudget::WallClock, Some(at)) => format!(" at {}", duration(at)),
        (EqualBudget::Flops | EqualBudget::Tokens | EqualBudget::WallClock, None) => ": nothing trained yet".to_owned(),
    };
    format!("{}{at}", board.budget.title())
}

/// The time of day in UTC: `14:03:59`.
#[must_use]
pub fn clock(time_ms: u64) -> String {
    let seconds = time_ms / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds % 3_600 / 60, seconds % 60)
}

/// Values as a row of blocks, newest at the right; at most `width` of them.
#[must_use]
pub fn sparkline(values: &[f64], width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = values.get(values.len().saturating_sub(width)..).unwrap_or(&[]);
    let finite = || shown.iter().copied().filter(|value| value.is_finite());
    let low = finite().fold(f64::INFINITY, f64::min);
    let high = finite().fold(f64::NEG_INFINITY, f64::max);
    let span = (high - low).max(f64::MIN_POSITIVE);
    shown
        .iter()
        .map(|value| BLOCKS.get(((value - low) / span * 7.0).round() as usize).copied().unwrap_or(' '))
        .collect()
}

/// `1 run`, `2 runs`.
#[must_use]
pub fn runs(count: usize) -> String {
    if count == 1 { "1 run".to_owned() } else { format!("{count} runs") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [duration(5.2), duration(192.0), duration(7_500.0), duration(273_600.0)],
            ["5s", "3m12s", "2h05m", "3d04h"]
        );
        assert_eq!(
            [count(0.0), count(999.0), count(1_200.0), count(12_345.0), count(999_600.0)],
            ["0", "999", "1.20k", "12.3k", "1.00M"]
        );
        assert_eq!(flops(3.4e12), "3.4e12");
        assert_eq!([bytes(12), bytes(1_536), bytes(3 << 30)], ["12 B", "1.5 KiB", "3.0 GiB"]);
        assert_eq!([learning_rate(1e-3), learning_rate(3.5e-4)], ["1e-3", "3.5e-4"]);
        assert_eq!(metric(Metric::ValidationLoss, 2.345678), "2.3457");
        assert_eq!(clock(3_661_000), "01:01:01");
    }

    #[test]
    fn the_budget_is_named_with_its_amount() {
        let text = |budget_, budget_at| budget(&Leaderboard { budget: budget_, budget_at, ..Leaderboard::default() });
        assert_eq!(text(EqualBudget::AsTrained, None), "as trained");
        assert_eq!(text(EqualBudget::Parameters, None), "equal parameters");
        assert_eq!(text(EqualBudget::Flops, Some(2.8e13)), "equal FLOPs at 2.8e13");
        assert_eq!(text(EqualBudget::Tokens, Some(1.2e6)), "equal tokens at 1.20M");
        assert_eq!(text(EqualBudget::WallClock, Some(192.0)), "equal training time at 3m12s");
        assert_eq!(text(EqualBudget::Tokens, None), "equal tokens: nothing trained yet");
    }

    #[test]
    fn sparklines_keep_the_newest() {
        assert_eq!(sparkline(&[9.0, 3.0, 2.0, 1.0], 3), "█▅▁");
        assert_eq!(sparkline(&[1.0, 1.0], 5), "▁▁");
    }
}
