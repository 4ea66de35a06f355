//! Adding a study: the list of shipped ones and the form, with every choice explained where it is made.
//! Promises: illegal cells are named with their reason before anything is asked of the server. Must not know: keys.

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::text::{Line, Span};

use crate::core::{Architecture, Objective, legal};
use crate::tui::app::App;
use crate::tui::composer::Composer;
use crate::tui::form::{Field, Form};
use crate::tui::format;

use super::frame::{body, lines, pane};

/// Draws the list of shipped studies.
pub fn draw_chooser(app: &App, composer: &Composer, area: Rect, buf: &mut Buffer) {
    let inside = pane(app, "Add a study: choose one that ships with trilab, or compose your own", true, area, buf);
    let (text, scroll) = choices(app, composer, inside);
    let text: Vec<Line> = text.into_iter().map(|(_, line)| line).collect();
    lines(&text, scroll, inside, buf);
}

/// The lines of the list, each with the place of its study, and the first that is shown.
fn choices<'a>(app: &'a App, composer: &Composer, inside: Rect) -> (Vec<(usize, Line<'a>)>, usize) {
    let palette = &app.palette;
    let width = usize::from(inside.width.saturating_sub(2));
    let own = ("compose your own", "choose architectures, objectives, seeds, sizes, budget and corpus");
    let shipped = app.defaults.studies.iter().map(|study| (study.name.as_str(), study.description.as_str()));
    let mut text: Vec<(usize, Line)> = Vec::new();
    let mut cursor_line = 0;
    for (at, (name, description)) in shipped.chain([own]).enumerate() {
        let chosen = at == composer.cursor;
        if chosen {
            cursor_line = text.len();
        }
        let style = if chosen { palette.selected } else { palette.title };
        let title = format!(" {} {name} ", if chosen { "▸" } else { " " });
        text.push((at, Line::from(Span::styled(title, style))));
        let about = format::wrap(description, width.saturating_sub(4));
        text.extend(about.into_iter().map(|line| (at, Line::styled(format!("     {line}"), palette.text))));
    }
    let height = usize::from(inside.height);
    let scroll = (cursor_line + 4).saturating_sub(height).min(text.len().saturating_sub(height));
    (text, scroll)
}

/// The study at a place of the screen.
#[must_use]
pub fn choice_at(app: &App, composer: &Composer, column: u16, row: u16) -> Option<usize> {
    let area = body(Rect::new(0, 0, app.size.0, app.size.1));
    let inside = area.inner(Margin::new(1, 1));
    if !inside.contains((column, row).into()) {
        return None;
    }
    let (text, scroll) = choices(app, composer, inside);
    text.get(scroll + usize::from(row - inside.y)).map(|(at, _)| *at)
}

const LEFT: [Field; 8] = [
    Field::Name,
    Field::Architecture(Architecture::CausalDecoder),
    Field::Architecture(Architecture::NonCausalDecoder),
    Field::Architecture(Architecture::EncoderDecoder),
    Field::Objective(Objective::FullLm),
    Field::Objective(Objective::PrefixLm),
    Field::Objective(Objective::SpanCorruption),
    Field::Seeds,
];

const RIGHT: [Field; 13] = [
    Field::Preset,
    Field::DModel,
    Field::NumLayers,
    Field::NumHeads,
    Field::HeadDim,
    Field::SeqLen,
    Field::BatchSize,
    Field::LearningRate,
    Field::BudgetKind,
    Field::BudgetAmount,
    Field::Corpus,
    Field::CorpusPath,
    Field::Tokenizer,
];

/// Draws the form.
pub fn draw_form(app: &App, form: &Form, area: Rect, buf: &mut Buffer) {
    let upper_height = RIGHT.len() as u16 + 2;
    let left = Rect { width: area.width / 2, height: upper_height.min(area.height), ..area };
    let right = Rect { x: left.right(), width: area.width - left.width, ..left };
    let below = Rect { y: left.bottom(), height: area.height - left.height, ..area };
    let inside = pane(app, "What to compare", LEFT.contains(&form.focus), left, buf);
    let mut y = inside.y;
    for field in LEFT {
        let heading = if field == Field::Architecture(Architecture::CausalDecoder) {
            Some("architectures")
        } else {
            (field == Field::Objective(Objective::FullLm)).then_some("objectives")
        };
        if let Some(heading) = heading {
            buf.set_stringn(inside.x, y, heading, usize::from(inside.width), app.palette.dim);
            y += 1;
        }
        draw_field(app, form, field, Rect { y, height: 1, ..inside }, buf);
        y += 1;
    }
    let cells = format!("{} legal cells × seeds × sizes", form.legal_cells());
    buf.set_stringn(inside.x, y + 1, cells, usize::from(inside.width), app.palette.dim);
    let inside = pane(app, "How to train it", RIGHT.contains(&form.focus), right, buf);
    for (y, field) in (inside.y..inside.bottom()).zip(RIGHT) {
        draw_field(app, form, field, Rect { y, height: 1, ..inside }, buf);
    }
    explain(app, form, below, buf);
}

fn draw_field(app: &App, form: &Form, field: Field, area: Rect, buf: &mut Buffer) {
    let palette = &app.palette;
    let focused = field == form.focus;
    let pointer = if focused { "▸" } else { " " };
    let label_style = if focused { palette.title } else { palette.dim };
    let bad = form.error.as_ref().is_some_and(|(other, _)| *other == field);
    let style = if bad { palette.bad } else { palette.text };
    let boxed = |on: bool, title: &str| format!("[{}] {} {title}", if on { "x" } else { " " }, field.label());
    let turning = |value: &str| format!("◂ {value} ▸");
    let choice = match field {
        Field::Architecture(architecture) => {
            Some(boxed(form.architectures.contains(&architecture), architecture.title()))
        }
        Field::Objective(objective) => Some(boxed(form.objectives.contains(&objective), objective.title())),
        Field::Preset => Some(turning(form.preset())),
        Field::BudgetKind => Some(turning(form.budget.word())),
        Field::Corpus => Some(turning(form.corpus_name().unwrap_or("a path"))),
        Field::Name
        | Field::Seeds
        | Field::DModel
        | Field::NumLayers
        | Field::NumHeads
        | Field::HeadDim
        | Field::SeqLen
        | Field::BatchSize
        | Field::LearningRate
        | Field::BudgetAmount
        | Field::CorpusPath
        | Field::Tokenizer => None,
    };
    let labelled = !matches!(field, Field::Architecture(_) | Field::Objective(_));
    let mut spans = vec![Span::styled(pointer, palette.key)];
    if labelled {
        spans.push(Span::styled(format!("{:14}", field.label()), label_style));
    }
    let room = usize::from(area.width).saturating_sub(spans.iter().map(Span::width).sum());
    match (choice, form.text(field)) {
        (Some(text), _) => spans.push(Span::styled(text, if focused { palette.selected } else { style })),
        (None, Some(_)) if !form.is_live(field) => spans.push(Span::styled("-", palette.dim)),
        (None, Some(text)) if focused => {
            let (before, after) = text.halves();
            // The end of what is before the cursor is where the eyes are.
            let skip = before.chars().count().saturating_sub(room.saturating_sub(2));
            spans.push(Span::styled(before.chars().skip(skip).collect::<String>(), style));
            spans.push(Span::styled("▏", palette.key));
            spans.push(Span::styled(after, style));
        }
        (None, Some(text)) => spans.push(Span::styled(crate::tui::table::shorten(&text.text(), room), style)),
        (None, None) => {}
    }
    buf.set_line(area.x, area.y, &Line::from(spans), area.width);
}

/// What the field under the cursor means, what is wrong, and which chosen cells cannot be trained.
fn explain(app: &App, form: &Form, area: Rect, buf: &mut Buffer) {
    let palette = &app.palette;
    if area.height == 0 {
        return;
    }
    let inside = pane(app, form.focus.label(), false, area, buf);
    let picture = if let Field::Architecture(architecture) = form.focus { mask_picture(architecture) } else { &[] };
    let picture_width = picture.iter().map(|row| row.chars().count()).max().unwrap_or(0) as u16;
    for (y, row) in (inside.y..inside.bottom()).zip(picture) {
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
    text.extend(format::wrap(form.focus.hint(), width).into_iter().map(Line::raw));
    if picture_width > 0 && inside.height >= 5 {
        text.push(Line::styled("rows look at columns; █ is seen", palette.dim));
    }
    for illegal in illegal_here(form) {
        let wrapped = format::wrap(&format!("✗ {illegal}"), width);
        text.extend(wrapped.into_iter().map(|line| Line::styled(line, palette.warn)));
    }
    lines(&text, 0, beside, buf);
}

/// The illegal cells to speak of: those of the choice under the cursor first.
fn illegal_here(form: &Form) -> Vec<legal::Illegal> {
    let mut illegal = form.illegal();
    let labelled = matches!(form.focus, Field::Architecture(_) | Field::Objective(_));
    let here = if labelled { form.focus.label() } else { "" };
    illegal.sort_by_key(|cell| !cell.cell.contains(here));
    illegal
}

/// Who sees whom: rows look at columns.
const fn mask_picture(architecture: Architecture) -> &'static [&'static str] {
    match architecture {
        Architecture::CausalDecoder => &["█····", "██···", "███··", "████·", "█████"],
        Architecture::NonCausalDecoder => &["███··", "███··", "███··", "████·", "█████"],
        Architecture::EncoderDecoder
        | Architecture::SharedEncoderDecoder
        | Architecture::HalfEncoderDecoder
        | Architecture::MergedEncoderDecoder => &["███ │     ", "███ │ ███ █· ", "███ │ ███ ██", " in │ in  out"],
        Architecture::CausalEncoderDecoder => &["█·· │     ", "██· │ ███ █· ", "███ │ ███ ██", " in │ in  out"],
        Architecture::EncoderOnly => &["█████", "█████", "█████", "█████", "█████"],
    }
}
