//! The residual stream by depth: how many directions it uses, and how far its positions are from being all alike.
//! Promises: one row per depth, stacks side by side; what does not fit scrolls with the layer under the cursor.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::core::rank::{RankReport, ResidualRank, StackKind};
use crate::tui::app::App;
use crate::tui::format;
use crate::tui::rank_measure::share;
use crate::tui::table::{self, Cell, Column, Row};

const ONE: [Column; 4] = [
    Column::new("depth", 9).right(),
    Column::new("eff rank", 8).right(),
    Column::new("apart", 7).right(),
    Column::new("", 1),
];

const TWO: [Column; 5] = [
    Column::new("depth", 9).right(),
    Column::new("enc eff", 8).right(),
    Column::new("apart", 6).right(),
    Column::new("dec eff", 8).right(),
    Column::new("apart", 6).right(),
];

/// Widest bar.
const BAR: f64 = 12.0;

fn depths(report: &RankReport) -> Vec<usize> {
    let mut all: Vec<usize> = report.residual.iter().map(|one| one.depth).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Rows of the pane, frame included.
pub(super) fn rows(report: &RankReport) -> u16 {
    depths(report).len() as u16 + 5
}

fn find(report: &RankReport, stack: StackKind, depth: usize) -> Option<&ResidualRank> {
    report.residual.iter().find(|one| one.stack == stack && one.depth == depth)
}

/// `value` of `most` as eighths of blocks.
fn bar(value: f64, most: f64) -> String {
    const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
    let eighths = (value / most.max(f64::MIN_POSITIVE) * BAR * 8.0).round().clamp(0.0, BAR * 8.0) as usize;
    let rest = (eighths % 8).checked_sub(1).and_then(|at| EIGHTHS.get(at));
    "█".repeat(eighths / 8) + &rest.map(char::to_string).unwrap_or_default()
}

/// Draws the pane's inside.
pub(super) fn draw(app: &App, report: &RankReport, area: Rect, buf: &mut Buffer) {
    let depths = depths(report);
    let plain = |text: String| Cell::new(text, Style::new());
    let has = |stack| report.residual.iter().any(|one| one.stack == stack);
    let both = has(StackKind::Encoder) && has(StackKind::Decoder);
    let only = if has(StackKind::Decoder) { StackKind::Decoder } else { StackKind::Encoder };
    let most = report.residual.iter().map(|one| one.measures.effective).fold(0.0, f64::max);
    let numbers = |one: Option<&ResidualRank>| {
        let text = |value: Option<String>| plain(value.unwrap_or_else(|| "-".to_owned()));
        [text(one.map(|one| format::count(one.measures.effective))), text(one.map(|one| share(one.rank_one_residual)))]
    };
    let note = format::wrap(
        "depth 0 is the embedding; apart is |X − mean| / |X|: 0 when all positions are alike",
        usize::from(area.width.saturating_sub(1)),
    );
    let noted = usize::from(area.height) > depths.len() + note.len();
    let height = usize::from(area.height.saturating_sub(1)) - if noted { note.len() } else { 0 };
    let shown = table::visible(depths.len(), Some(app.rank_view.layer + 1), height.max(1));
    let (from, count) = (shown.start, shown.len());
    let rows: Vec<Row> = depths
        .iter()
        .skip(from)
        .take(count)
        .map(|depth| {
            let mut cells = vec![plain(depth.to_string())];
            if both {
                cells.extend(numbers(find(report, StackKind::Encoder, *depth)));
                cells.extend(numbers(find(report, StackKind::Decoder, *depth)));
            } else {
                let alone = find(report, only, *depth);
                cells.extend(numbers(alone));
                let effective = alone.map_or(0.0, |one| one.measures.effective);
                cells.push(Cell::new(bar(effective, most), app.palette.series(0)));
            }
            Row { cells, selected: false }
        })
        .collect();
    let columns: &[Column] = if both { &TWO } else { &ONE };
    table::draw(columns, &rows, area, buf, &app.palette);
    if noted {
        for (y, line) in (area.bottom() - note.len() as u16..area.bottom()).zip(note) {
            buf.set_stringn(area.x, y, line, usize::from(area.width), app.palette.dim);
        }
    }
}
