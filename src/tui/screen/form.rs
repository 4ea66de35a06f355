//! Adding a study: the form, with every choice explained where it is made.
//! Promises: illegal cells are named with their reason before anything is asked of the server; the field with the focus is
//! always on the screen. Must not know: keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::core::text_width::columns_of;
use crate::tui::app::App;
use crate::tui::form::{Field, Form};
use crate::tui::form_check::Refused;
use crate::tui::form_field::{TRAINING, grid};
use crate::tui::format;
use crate::tui::table::{shorten, visible};

use super::frame::{lines, pane};
use super::mask_picture;

/// A line of a pane.
enum Entry {
    /// What the lines below are.
    Heading(&'static str),
    /// One field, or two beside each other.
    Fields(Vec<Field>),
    /// What they come to.
    Sum(String),
}

impl Entry {
    fn has(&self, field: Field) -> bool {
        match self {
            Self::Fields(fields) => fields.contains(&field),
            Self::Heading(_) | Self::Sum(_) => false,
        }
    }
}

/// Least height of the explanation.
const EXPLANATION: u16 = 5;
/// Room for the word before a value.
const LABEL: usize = 14;
/// Room for `◂ tokens ▸ `, so that what stands behind does not move.
const UNIT: u16 = 11;
/// Width from which on the amount of a budget stands beside its unit.
const AMOUNT_BESIDE: u16 = 38;

/// What stands in the row of the path until something is typed.
const OWN_TEXT: &str = "for a text of your own";

fn compared(form: &Form) -> Vec<Entry> {
    let choices = |fields: &[Field]| grid(fields).into_iter().map(Entry::Fields).collect::<Vec<_>>();
    let mut entries = vec![Entry::Fields(vec![Field::Name]), Entry::Heading("architectures")];
    entries.extend(choices(&Field::architectures()));
    entries.push(Entry::Heading("objectives"));
    entries.extend(choices(&Field::objectives()));
    entries.extend([Field::Lineages, Field::Seeds].map(|field| Entry::Fields(vec![field])));
    let (count, what) = match form.lineages().len() {
        0 => (form.legal_cells(), "legal cell"),
        lineages => (lineages, "lineage"),
    };
    entries.push(Entry::Sum(format!("{count} {what}{} × seeds × sizes", if count == 1 { "" } else { "s" })));
    entries
}

fn trained(form: &Form, width: u16) -> Vec<Entry> {
    // A budget is its unit and its amount; a field that means nothing now takes no line.
    let beside = width >= AMOUNT_BESIDE;
    let own_line = |field: &Field| form.is_live(*field) && !(beside && *field == Field::BudgetAmount);
    let line = |field: Field| {
        let amount = (beside && field == Field::BudgetKind).then_some(Field::BudgetAmount);
        std::iter::once(field).chain(amount).collect()
    };
    TRAINING.into_iter().filter(own_line).map(line).map(Entry::Fields).collect()
}

/// Draws the form.
pub fn draw(app: &App, form: &Form, area: Rect, buf: &mut Buffer) {
    // The grids need a column more than half.
    let half = area.width / 2 + 1;
    let (left, right) = (compared(form), trained(form, area.width - half));
    let wanted = left.len().max(right.len()) as u16 + 2;
    let height = wanted.min(area.height.saturating_sub(EXPLANATION));
    let upper = Rect { width: half, height, ..area };
    draw_entries(app, form, ("What to compare", &left), upper, buf);
    let upper = Rect { x: upper.right(), width: area.width - half, ..upper };
    draw_entries(app, form, ("How to train it", &right), upper, buf);
    explain(app, form, Rect { y: upper.bottom(), height: area.height - height, ..area }, buf);
}

fn draw_entries(app: &App, form: &Form, (title, entries): (&str, &[Entry]), area: Rect, buf: &mut Buffer) {
    let at = entries.iter().position(|entry| entry.has(form.focus));
    let shown = visible(entries.len(), at, usize::from(area.height.saturating_sub(2)));
    let title = if shown.len() < entries.len() {
        format!("{title} {}–{}/{}", shown.start + 1, shown.end, entries.len())
    } else {
        title.to_owned()
    };
    let inside = pane(app, &title, at.is_some(), area, buf);
    for (y, entry) in (inside.y..inside.bottom()).zip(entries.iter().skip(shown.start)) {
        let line = Rect { y, height: 1, ..inside };
        match entry {
            Entry::Heading(text) => {
                buf.set_stringn(line.x, y, text, usize::from(line.width), app.palette.dim);
            }
            Entry::Sum(text) => {
                buf.set_stringn(
                    line.x,
                    y,
                    shorten(text, usize::from(line.width)),
                    usize::from(line.width),
                    app.palette.dim,
                );
            }
            Entry::Fields(fields) => {
                let unit = 1 + LABEL as u16 + UNIT;
                let half = line.width.div_ceil(2);
                for (at, field) in fields.iter().enumerate() {
                    let choice = field.titles().is_some();
                    let (x, end) = match (at, choice) {
                        (0, true) => (0, half),
                        (0, false) => (0, line.width),
                        (_, true) => (half, line.width),
                        (_, false) => (unit, line.width),
                    };
                    let place = Rect { x: line.x + x, width: end.saturating_sub(x), ..line };
                    draw_field(app, form, (*field, at == 0 && !choice), place, buf);
                }
            }
        }
    }
}

/// `[x] EDS shared`: the title where it fits, else a word or two if there is room for those of the whole grid.
fn boxed(form: &Form, field: Field, width: usize) -> Option<String> {
    let titles = field.titles()?;
    let (on, grid) = if let Field::Architecture(architecture) = field {
        (form.architectures.contains(&architecture), Field::architectures())
    } else {
        (form.objectives.iter().any(|chosen| Field::Objective(*chosen) == field), Field::objectives())
    };
    let label = grid.iter().map(|field| field.label().len()).max().unwrap_or(0);
    let on = on && form.is_live(field);
    let start = format!("[{}] {:label$}", if on { "x" } else { " " }, field.label());
    let room = width.saturating_sub(columns_of(&start) + 1);
    let fits = |title: &str| columns_of(title) <= room;
    let all_short = grid.iter().filter_map(|field| field.titles()).all(|[_, short]| fits(short));
    let [long, short] = titles;
    let title = if fits(long) { Some(long) } else { all_short.then_some(short) };
    Some(title.map_or_else(|| start.clone(), |title| format!("{start} {title}")))
}

fn draw_field(app: &App, form: &Form, (field, labelled): (Field, bool), area: Rect, buf: &mut Buffer) {
    let palette = &app.palette;
    let focused = field == form.focus;
    let label_style = if focused { palette.title } else { palette.dim };
    let bad = form.error.as_ref().is_some_and(|(other, _)| *other == field);
    let unused = field == Field::CorpusPath && form.corpus_name().is_some();
    let style = match (bad, form.is_live(field) && !unused) {
        (true, _) => palette.bad,
        (false, true) => palette.text,
        (false, false) => palette.dim,
    };
    let mut spans = vec![Span::styled(if focused { "▸" } else { " " }, palette.key)];
    if labelled {
        spans.push(Span::styled(format!("{:LABEL$}", field.label()), label_style));
    }
    let room = usize::from(area.width).saturating_sub(spans.iter().map(Span::width).sum());
    let turning = |value: String| format!("◂ {} ▸", shorten(&value, room.saturating_sub(4)));
    let choice = boxed(form, field, room).or_else(|| form.choice(field).map(turning));
    match (choice, form.text(field)) {
        (Some(text), _) => spans.push(Span::styled(text, if focused { palette.selected } else { style })),
        (None, Some(text)) if focused => {
            let (before, after) = text.window(room);
            spans.push(Span::styled(before, style));
            spans.push(Span::styled("▏", palette.key));
            spans.push(Span::styled(after, style));
        }
        (None, Some(text)) if text.is_empty() && field == Field::CorpusPath => {
            spans.push(Span::styled(shorten(OWN_TEXT, room), palette.dim));
        }
        (None, Some(text)) => spans.push(Span::styled(shorten(&text.text(), room), style)),
        (None, None) => {}
    }
    buf.set_line(area.x, area.y, &Line::from(spans), area.width);
}

/// What the field under the cursor means, what is wrong, and which chosen cells cannot be trained.
fn explain(app: &App, form: &Form, area: Rect, buf: &mut Buffer) {
    let palette = &app.palette;
    let label = form.focus.label();
    let title = form.focus.titles().map_or_else(|| label.to_owned(), |[title, _]| format!("{label} {title}"));
    let inside = pane(app, &title, false, area, buf);
    let picture = if let Field::Architecture(architecture) = form.focus {
        mask_picture::lines(architecture, &form.looks)
    } else {
        Vec::new()
    };
    let picture_width = picture.iter().map(|row| columns_of(row)).max().unwrap_or(0) as u16;
    for (y, row) in (inside.y..inside.bottom()).zip(&picture) {
        buf.set_string(inside.x, y, row, palette.live);
    }
    let shift = if picture_width > 0 { picture_width + 2 } else { 0 };
    let beside = Rect { x: inside.x + shift, width: inside.width.saturating_sub(shift), ..inside };
    let width = usize::from(beside.width);
    let mut text: Vec<Line> = Vec::new();
    if let Some((field, reason)) = &form.error {
        let wrapped = format::wrap(&format!("{}: {reason}", field.label()), width);
        text.extend(wrapped.into_iter().map(|line| Line::styled(line, palette.bad)));
    }
    if !form.offered.is_empty() {
        let offer = format::wrap(&form.offered.join("  "), width);
        text.extend(offer.into_iter().map(|line| Line::styled(line, palette.key)));
    }
    text.extend(format::wrap(form.focus.hint(), width).into_iter().map(Line::raw));
    if matches!(form.focus, Field::CorpusPath | Field::Tokenizer) && !app.folder.as_os_str().is_empty() {
        let from = format!("paths start at {}", app.folder.display());
        text.extend(format::wrap(&from, width).into_iter().map(|line| Line::styled(line, palette.dim)));
    }
    let about: Vec<Line> =
        form.about().into_iter().flat_map(|about| format::wrap(about, width)).map(Line::raw).collect();
    // Of an architecture what is refused is said first: the picture says the rest too.
    let (before, mut after) = if picture.is_empty() { (about, Vec::new()) } else { (Vec::new(), about) };
    text.extend(before);
    let room = usize::from(inside.height).saturating_sub(text.len());
    let refused = told(&form.refused(), width, room);
    text.extend(refused.into_iter().map(|line| Line::styled(line, palette.warn)));
    if !picture.is_empty() {
        after.push(Line::styled("rows look at columns; █ is seen", palette.dim));
    }
    text.extend(after);
    text.truncate(usize::from(inside.height));
    lines(&text, 0, beside, buf);
}

/// As many reasons as there is room for; what is left over is counted.
fn told(refused: &[Refused], width: usize, room: usize) -> Vec<String> {
    let mut shown: Vec<String> = Vec::new();
    for (at, reason) in refused.iter().enumerate() {
        let wrapped = format::wrap(&format!("✗ {}", reason.told()), width);
        let left = refused.len() - at;
        let free = room.saturating_sub(shown.len());
        if wrapped.len() + usize::from(left > 1) <= free {
            shown.extend(wrapped);
            continue;
        }
        if at == 0 && free > 1 {
            // Better half of a reason than none: the review has it whole.
            shown.extend(wrapped.into_iter().take(free));
            if let Some(last) = shown.last_mut() {
                *last = shorten(&format!("{last} … the review says all"), width);
            }
        } else if free > 0 {
            shown.push(shorten(&format!("✗ {left} more: the review says all"), width));
        }
        break;
    }
    shown
}
