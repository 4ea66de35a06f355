//! The heat map of the Rank screen: one block of layers × heads per attention, a number in every cell, and under it what
//! the head under the cursor has in full.
//! Promises: what does not fit scrolls with the cursor; brackets mark the cursor besides the colour.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::core::rank::{AttentionKind, HeadRank, RankAtStep, RankMeasures, RankReport};
use crate::core::text_width::columns_of;
use crate::tui::app::App;
use crate::tui::format;
use crate::tui::ramp::Ramp;
use crate::tui::rank_measure::Measure;
use crate::tui::rank_view::{HeadPlace, bound, grid, kinds, mean, shown_head_dim};
use crate::tui::table::visible;

/// Lines above and below the blocks, without the frame: the scale; the head's numbers, the bound.
const WORDS: u16 = 3;
/// Columns between blocks side by side.
const GAP: u16 = 2;

/// The heads of one attention on the screen.
struct Block {
    kind: AttentionKind,
    area: Rect,
    /// Whether a line above says which attention it is.
    named: bool,
    label: u16,
    /// Columns and rows of a cell.
    cell: (u16, u16),
    layers: Range<usize>,
    heads: Range<usize>,
    layer_count: usize,
    head_count: usize,
    with_mean: bool,
}

impl Block {
    fn above(&self) -> u16 {
        1 + u16::from(self.named)
    }

    fn place(&self, layer: usize, head: usize) -> Option<Rect> {
        let (down, across) = (layer.checked_sub(self.layers.start)?, head.checked_sub(self.heads.start)?);
        (self.layers.contains(&layer) && self.heads.contains(&head)).then(|| Rect {
            x: self.area.x + self.label + across as u16 * self.cell.0,
            y: self.area.y + self.above() + down as u16 * self.cell.1,
            width: self.cell.0,
            height: self.cell.1,
        })
    }

    /// Right of the cells.
    fn right(&self) -> u16 {
        self.area.x + self.label + self.heads.len() as u16 * self.cell.0
    }
}

/// Columns of a number: the widest that is shown.
fn digits(report: &RankReport, measure: Measure) -> u16 {
    let widest = report.heads.iter().map(|head| columns_of(&measure.figure(measure.of(head)))).max().unwrap_or(0);
    widest.max(4) as u16
}

fn label_width(layers: usize) -> u16 {
    layers.saturating_sub(1).to_string().len() as u16 + 2
}

/// Rows of the pane, frame included, `most` of them at most.
pub(super) fn rows(app: &App, at: &RankAtStep, width: u16, most: u16) -> u16 {
    let inside = Rect { x: 0, y: 0, width: width.saturating_sub(2), height: most.saturating_sub(2 + WORDS) };
    let blocks = blocks(app, &at.report, inside);
    let low = |block: &Block| block.area.y + block.above() + block.layers.len() as u16 * block.cell.1;
    blocks.iter().map(low).max().unwrap_or(2) + 2 + WORDS
}

/// Rows that show every layer of an attention, frame included.
pub(super) fn least_rows(report: &RankReport) -> u16 {
    let all = kinds(report);
    let layers = all.iter().map(|kind| grid(report, *kind).0).max().unwrap_or(0);
    layers as u16 + 1 + u16::from(all.len() > 1) + 2 + WORDS
}

/// Columns that all attentions side by side need, frame and means included.
pub(super) fn columns(app: &App, report: &RankReport) -> u16 {
    let all = kinds(report);
    let number = digits(report, app.rank_view.measure);
    let least = number + 2 + u16::from(!Ramp::new(app.theme, app.depth).coloured());
    let each = |kind: &AttentionKind| {
        let (layers, heads) = grid(report, *kind);
        label_width(layers) + heads as u16 * least + number + 1 + GAP
    };
    all.iter().map(each).sum::<u16>() + 2
}

/// Side by side if all fit so, else one under the other, else the one with the cursor alone.
fn blocks(app: &App, report: &RankReport, area: Rect) -> Vec<Block> {
    let all = kinds(report);
    let number = digits(report, app.rank_view.measure);
    let shade = u16::from(!Ramp::new(app.theme, app.depth).coloured());
    let least = number + 2 + shade;
    let (named, count) = (all.len() > 1, all.len().max(1) as u16);
    let shape = |kind: &AttentionKind| grid(report, *kind);
    let layers = all.iter().map(|kind| shape(kind).0).max().unwrap_or(0);
    let heads: u16 = all.iter().map(|kind| shape(kind).1 as u16).sum();
    let (label, above) = (label_width(layers), 1 + u16::from(named));
    let fixed = |means: u16| count * (label + means) + (count - 1) * GAP;
    let fits_across = |means: u16| fixed(means) + heads * least <= area.width;
    let fits_down = |height: u16| above + layers as u16 <= height;
    let with_mean = fits_across(number + 1);
    let means = if with_mean { number + 1 } else { 0 };
    if fits_across(means) && fits_down(area.height) {
        let wide = (area.width - fixed(means)) / heads.max(1);
        let tall = (area.height - above) / (layers as u16).max(1);
        let cell = (wide.clamp(least, least + 4), tall.clamp(1, 3));
        let mut x = area.x;
        return all
            .iter()
            .map(|kind| {
                let width = label + shape(kind).1 as u16 * cell.0 + means;
                let block = block(app, report, *kind, Rect { x, width, ..area }, (named, label, cell, with_mean));
                x += width + GAP;
                block
            })
            .collect();
    }
    let widest = all.iter().map(|kind| shape(kind).1 as u16).max().unwrap_or(0);
    let with_mean = label + widest * least + number < area.width;
    let each = area.height / count;
    if label + widest * least <= area.width && fits_down(each) && count > 1 {
        let wide = (area.width - label - if with_mean { number + 1 } else { 0 }) / widest.max(1);
        let cell = (wide.clamp(least, least + 4), 1);
        let height = above + layers as u16;
        let place = |at: usize| Rect { y: area.y + at as u16 * height, height, ..area };
        let made = all.iter().enumerate();
        return made.map(|(at, kind)| block(app, report, *kind, place(at), (named, label, cell, with_mean))).collect();
    }
    let tall = area.height.saturating_sub(above) / (layers as u16).max(1);
    let wide = area.width.saturating_sub(label + number + 1) / widest.max(1);
    let cell = (wide.clamp(least, least + 4), tall.clamp(1, 3));
    vec![block(app, report, app.rank_view.attention, area, (named, label, cell, true))]
}

/// The part of an attention that fits into `area`, with the cursor in it.
fn block(
    app: &App,
    report: &RankReport,
    kind: AttentionKind,
    area: Rect,
    (named, label, cell, with_mean): (bool, u16, (u16, u16), bool),
) -> Block {
    let (layer_count, head_count) = grid(report, kind);
    let view = &app.rank_view;
    let means = if with_mean { digits(report, view.measure) + 1 } else { 0 };
    let across = usize::from(area.width.saturating_sub(label + means) / cell.0.max(1)).max(1);
    let down = usize::from(area.height.saturating_sub(1 + u16::from(named)) / cell.1.max(1)).max(1);
    let (layers, heads) = (visible(layer_count, Some(view.layer), down), visible(head_count, Some(view.head), across));
    Block { kind, area, named, label, cell, layers, heads, layer_count, head_count, with_mean }
}

fn room_for_blocks(inside: Rect) -> Rect {
    Rect { y: inside.y + 1, height: inside.height.saturating_sub(WORDS), ..inside }
}

/// The head at a place of the screen.
pub(super) fn head_at(app: &App, at: &RankAtStep, inside: Rect, (column, row): (u16, u16)) -> Option<HeadPlace> {
    blocks(app, &at.report, room_for_blocks(inside)).iter().find_map(|block| {
        let mut places = block.layers.clone().flat_map(|layer| block.heads.clone().map(move |head| (layer, head)));
        let found = places
            .find(|(layer, head)| block.place(*layer, *head).is_some_and(|place| place.contains((column, row).into())));
        found.map(|(layer, head)| (block.kind, layer, head))
    })
}

/// Draws the pane's inside.
pub(super) fn draw(app: &App, at: &RankAtStep, inside: Rect, buf: &mut Buffer) {
    let blocks = blocks(app, &at.report, room_for_blocks(inside));
    scale(app, at, &blocks, Rect { height: 1, ..inside }, buf);
    for block in &blocks {
        draw_block(app, &at.report, block, buf);
    }
    let Some(head) = app.rank_view.under_cursor() else { return };
    let width = usize::from(inside.width);
    if inside.height > WORDS {
        buf.set_line(inside.x, inside.bottom() - 2, &numbers(app, head, width), inside.width);
        if let Some(head_dim) = shown_head_dim(app) {
            let mask = at.report.mask(head);
            let text = bound(head_dim, mask, at.report.seq_len);
            let below = head_dim < mask.least_logit_rank(at.report.seq_len);
            let style = if below { app.palette.warn } else { app.palette.text };
            buf.set_stringn(inside.x, inside.bottom() - 1, text, width, style);
        }
    }
}

/// What the colours mean, and which part is shown if not all is.
fn scale(app: &App, at: &RankAtStep, blocks: &[Block], area: Rect, buf: &mut Buffer) {
    let (view, ramp) = (&app.rank_view, Ramp::new(app.theme, app.depth));
    let most = app.rank_view.under_cursor().map_or(1.0, |head| view.measure.most(head, shown_head_dim(app)));
    let mut spans = vec![Span::styled(view.measure.title(), app.palette.title), Span::styled("  0 ", app.palette.dim)];
    for step in 0..9 {
        let share = f64::from(step) / 8.0;
        spans.push(match ramp.colour(share) {
            Some(colour) => Span::styled(" ", ratatui::style::Style::new().bg(colour)),
            None => Span::raw(ramp.shade(share).to_string()),
        });
    }
    spans.push(Span::styled(format!(" {} root scale", format::count(most)), app.palette.dim));
    if let [block] = blocks
        && (block.layers.len() < block.layer_count || block.heads.len() < block.head_count)
    {
        let part = |name: &str, range: &Range<usize>, count: usize| {
            format!("  {name}{}–{} of {count}", range.start, range.end.saturating_sub(1))
        };
        spans.push(Span::styled(part("L", &block.layers, block.layer_count), app.palette.key));
        spans.push(Span::styled(part("H", &block.heads, block.head_count), app.palette.key));
    }
    let shown = |kind: &AttentionKind| blocks.iter().any(|block| block.kind == *kind);
    let hidden: Vec<&str> = kinds(&at.report).iter().filter(|kind| !shown(kind)).map(|kind| kind.label()).collect();
    if !hidden.is_empty() {
        spans.push(Span::styled(format!("  v: {}", hidden.join(", ")), app.palette.dim));
    }
    let mut line = Line::default();
    for span in spans {
        if line.width() + span.width() <= usize::from(area.width) {
            line.push_span(span);
        }
    }
    buf.set_line(area.x, area.y, &line, area.width);
}

fn draw_block(app: &App, report: &RankReport, block: &Block, buf: &mut Buffer) {
    let (view, palette, ramp) = (&app.rank_view, &app.palette, Ramp::new(app.theme, app.depth));
    let head_dim = shown_head_dim(app);
    let here = block.kind == view.attention;
    let mut y = block.area.y;
    if block.named {
        let style = if here { palette.title } else { palette.dim };
        let room = usize::from(block.area.width);
        let title = report.title(block.kind);
        let name = if columns_of(title) <= room { title } else { block.kind.label() };
        buf.set_stringn(block.area.x, y, name, room, style);
        y += 1;
    }
    for head in block.heads.clone() {
        let Some(place) = block.place(block.layers.start, head) else { continue };
        let text = format!("{:^1$}", format!("H{head}"), usize::from(place.width));
        let style = if here && head == view.head { palette.key } else { palette.dim };
        buf.set_string(place.x, y, text, style);
    }
    let number = usize::from(digits(report, view.measure));
    if block.with_mean {
        buf.set_string(block.right(), y, format!("{:>1$}", "mean", number + 1), palette.dim);
    }
    for layer in block.layers.clone() {
        let Some(first) = block.place(layer, block.heads.start) else { continue };
        let middle = first.y + (first.height - 1) / 2;
        let style = if here && layer == view.layer { palette.key } else { palette.dim };
        buf.set_string(block.area.x, middle, format!("L{layer}"), style);
        if block.with_mean
            && let Some(mean) = mean(report, block.kind, Some(layer), view.measure)
        {
            let text = format!("{:>1$}", view.measure.figure(mean), number + 1);
            buf.set_string(block.right(), middle, text, palette.text);
        }
    }
    for head in report.of(block.kind) {
        let Some(place) = block.place(head.layer, head.head) else { continue };
        let value = view.measure.of(head);
        // Equal steps of the root: small ranks, where heads collapse, are told apart best.
        let share = (value / view.measure.most(head, head_dim)).clamp(0.0, 1.0).sqrt();
        let chosen = here && (head.layer, head.head) == (view.layer, view.head);
        draw_cell(&view.measure.figure(value), share, chosen, number, place, ramp, buf);
    }
}

fn draw_cell(figure: &str, share: f64, chosen: bool, number: usize, place: Rect, ramp: Ramp, buf: &mut Buffer) {
    let style = if chosen { ramp.chosen(share) } else { ramp.on(share) };
    for y in place.y..place.bottom() {
        buf.set_string(place.x, y, " ".repeat(usize::from(place.width)), style);
    }
    let shade = if ramp.coloured() { String::new() } else { ramp.shade(share).to_string() };
    let (open, close) = if chosen { ('[', ']') } else { (' ', ' ') };
    let text = format!("{open}{shade}{figure:>number$}{close}");
    let spare = usize::from(place.width).saturating_sub(columns_of(&text));
    let x = place.x + (spare / 2) as u16;
    buf.set_string(x, place.y + (place.height - 1) / 2, text, style);
}

/// Every measure of a head, as far as there is room for whole ones.
fn numbers(app: &App, head: &HeadRank, width: usize) -> Line<'static> {
    let of = |name: &str, measures: &RankMeasures| {
        [
            format!("{name} eff {}", format::count(measures.effective)),
            format!("num {}", format::count(measures.numerical)),
            format!("stable {}", format::count(measures.stable)),
            format!("k90 {}", format::count(measures.k90)),
        ]
    };
    let name = format!("{} L{} H{}:", head.attention.label(), head.layer, head.head);
    let mut line = Line::from(Span::styled(name, app.palette.key));
    let parts = of("P", &head.of_probabilities).into_iter().chain(of("· logits", &head.of_logits));
    for part in parts {
        if line.width() + 1 + columns_of(&part) > width {
            break;
        }
        line.push_span(Span::raw(format!(" {part}")));
    }
    line
}
