//! What the dashboard does on a click, a drag, a search and an export: (model, messages) → (model, effects, cells).
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a broken test stops")]

mod dashboard_data;

use std::collections::BTreeSet;

use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use dashboard_data as data;
use data::keys::{key, press};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use trilab::core::study::Axis;
use trilab::core::summary::Point;
use trilab::core::texts::TokenizerSpec;
use trilab::core::{Architecture, AttentionDirection, Metric, Mlp, ModelPreset, Objective, Position, RunId};
use trilab::tui::app::{Overlay, Page, Section};
use trilab::tui::complete_path::Entry;
use trilab::tui::form::{Field, Form};
use trilab::tui::{App, Effect, Msg, Tab, act, board_acts, screen, update};
use trilab::wire::{Reply, Request, ServerFrame, Update};

fn mouse(app: &mut App, kind: MouseEventKind, (column, row): (u16, u16)) {
    update(app, Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
}

fn click(app: &mut App, at: (u16, u16)) {
    mouse(app, MouseEventKind::Down(MouseButton::Left), at);
    mouse(app, MouseEventKind::Up(MouseButton::Left), at);
}

fn drawn(app: &App) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(app.size.0, app.size.1)).unwrap();
    terminal.draw(|frame| screen::draw(app, frame.area(), frame.buffer_mut())).unwrap();
    terminal.backend().buffer().clone()
}

fn rows(app: &App) -> Vec<String> {
    let buffer = drawn(app);
    let row = |y| (0..app.size.0).map(|x| buffer[(x, y)].symbol().to_owned()).collect();
    (0..app.size.1).map(row).collect()
}

/// Where `text` first stands on the screen, below the header.
fn find(app: &App, text: &str) -> (u16, u16) {
    let found = rows(app).iter().enumerate().skip(1).find_map(|(y, row)| {
        let at = row.find(text)?;
        Some((row[..at].chars().count() as u16, y as u16))
    });
    found.unwrap_or_else(|| panic!("`{text}` is not on the screen:\n{}", rows(app).join("\n")))
}

fn board(app: &mut App) {
    press(app, "4");
    data::tell(app, Update::Leaderboard(data::leaderboard()));
}

fn curves(app: &mut App) {
    press(app, "2");
    data::tell_curves(app, Metric::Loss);
}

#[test]
fn a_click_selects_the_row_under_the_pointer_in_every_list() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        let mut app = data::app(size.0, size.1);
        for section in Section::ALL {
            let run = app.section(section)[0].clone();
            let (_, y) = find(&app, &format!("{}    {} ", run.cell(), run.seed));
            let x = if size.0 >= 160 && section == Section::Recent { size.0 / 2 + 5 } else { 5 };
            let y = if size.0 >= 160 && section == Section::Recent { find(&app, "state").1 + 1 } else { y };
            click(&mut app, (x, y));
            assert_eq!(app.lab_view.cursor, Some(run.id), "{size:?} {section:?}");
        }
        board(&mut app);
        let at = find(&app, "ND:MLM");
        click(&mut app, at);
        assert_eq!(act::under_cursor(&app), [data::id(12), data::id(6)], "{size:?}");
        press(&mut app, "M");
        let at = find(&app, "CD");
        click(&mut app, (at.0 + 8, at.1));
        assert_eq!(act::under_cursor(&app), [data::id(1), data::id(2)], "{size:?}: CD:FLM in the matrix");
        curves(&mut app);
        let first_row = format!("● {}", app.shown_curves()[0].cell());
        let (x, y) = find(&app, &first_row);
        press(&mut app, "jj");
        click(&mut app, (x, y + 1));
        assert_eq!(act::under_cursor(&app).len(), 1);
        assert_ne!(act::under_cursor(&app), [app.shown_curves()[0].id.clone()]);
        assert_eq!(act::under_cursor(&app), [app.shown_curves()[1].id.clone()], "{size:?}");
        press(&mut app, "a");
        let at = find(&app, "choose architectures, objectives");
        click(&mut app, at);
        let Page::Composer(composer) = &app.page else { panic!("the composer is closed") };
        assert_eq!(composer.cursor, app.defaults.studies.len());
    }
}

#[test]
fn a_click_beside_the_rows_changes_nothing_and_one_on_a_name_shows_that_screen() {
    let mut app = data::app(80, 24);
    let before = app.lab_view.cursor.clone();
    for at in [(5, 3), (0, 23), (79, 23), (40, 22)] {
        click(&mut app, at);
        assert_eq!(app.lab_view.cursor, before, "{at:?}");
    }
    let column = rows(&app)[0].find("Curves").unwrap() as u16;
    click(&mut app, (column, 0));
    assert_eq!((app.tab, app.remembered.screen), (Tab::Curves, Tab::Curves));
}

#[test]
fn a_click_on_the_name_of_a_contest_changes_nothing_and_below_it_rows_are_hit() {
    let mut app = data::app(120, 40);
    press(&mut app, "4");
    data::tell(&mut app, Update::Leaderboard(data::two_contests()));
    press(&mut app, "j");
    let before = act::under_cursor(&app);
    let at = find(&app, "shipped:world 77aa01");
    click(&mut app, at);
    assert_eq!(act::under_cursor(&app), before);
    click(&mut app, (at.0, at.1 + 1));
    assert_eq!(act::under_cursor(&app), [data::id(3), data::id(4)]);
    click(&mut app, (at.0, at.1 + 2));
    assert_eq!(act::under_cursor(&app), [data::id(3), data::id(4)], "the chance line is no row");
}

#[test]
fn clicks_choose_panes_tasks_and_items() {
    let mut app = data::app(120, 40);
    press(&mut app, "\n");
    data::tell(&mut app, Update::Run(Box::new(data::detail(7))));
    let at = find(&app, "world_agreement_0");
    click(&mut app, at);
    let effects = press(&mut app, "\n");
    let sent = effects.iter().find_map(|effect| match effect {
        Effect::Send(frame) => Some(frame),
        _ => None,
    });
    let frame = sent.unwrap();
    assert!(matches!(&frame.request, Request::GetAnswers { task, .. } if task == "world_agreement_0"), "{frame:?}");
    let reply = Reply::Answers(Box::new(data::answers()));
    update(&mut app, Msg::Frame(Box::new(ServerFrame::Reply { id: frame.id, reply })));
    let at = find(&app, "  5 ✗");
    click(&mut app, at);
    find(&app, "Item 5 ");
    let item = find(&app, "margin -");
    click(&mut app, item);
    press(&mut app, "j");
    find(&app, "Item 5 ");
    press(&mut app, "\tj");
    find(&app, "Item 6 ");
}

#[test]
fn the_wheel_scrolls_lists_and_zooms_the_chart() {
    let mut app = data::app(80, 24);
    let first = app.lab_view.cursor.clone();
    mouse(&mut app, MouseEventKind::ScrollDown, (5, 12));
    assert_ne!(app.lab_view.cursor, first);
    mouse(&mut app, MouseEventKind::ScrollUp, (5, 12));
    assert_eq!(app.lab_view.cursor, first);
    curves(&mut app);
    let legend = find(&app, &format!("● {}", app.shown_curves()[0].cell()));
    mouse(&mut app, MouseEventKind::ScrollDown, legend);
    assert_eq!(app.curves_view.window, None, "over the legend the wheel moves the cursor");
    assert_eq!(act::under_cursor(&app), [app.shown_curves()[1].id.clone()]);
    mouse(&mut app, MouseEventKind::ScrollUp, (40, 5));
    assert!(app.curves_view.window.is_some(), "over the chart it zooms in");
}

#[test]
fn the_wheel_scrolls_the_page_of_a_run_and_the_review() {
    let mut app = data::app(80, 24);
    press(&mut app, "\n");
    data::tell(&mut app, Update::Run(Box::new(data::detail(7))));
    let before = rows(&app);
    mouse(&mut app, MouseEventKind::ScrollDown, (5, 12));
    assert_ne!(rows(&app), before);
    mouse(&mut app, MouseEventKind::ScrollUp, (5, 12));
    assert_eq!(rows(&app), before);
    let effects = press(&mut app, "\x1ba\n");
    let request = effects.iter().find_map(|effect| match effect {
        Effect::Send(frame) if matches!(frame.request, Request::CheckStudy { .. }) => Some(frame.id),
        _ => None,
    });
    let reply = Reply::Plan(Box::new(data::plan()));
    update(&mut app, Msg::Frame(Box::new(ServerFrame::Reply { id: request.unwrap(), reply })));
    let before = rows(&app);
    mouse(&mut app, MouseEventKind::ScrollDown, (5, 20));
    let Page::Composer(composer) = &app.page else { panic!("the review is closed") };
    assert_eq!(composer.review.as_ref().unwrap().scroll, 1);
    mouse(&mut app, MouseEventKind::ScrollUp, (5, 20));
    assert_eq!(rows(&app), before);
}

#[test]
fn a_drag_keeps_what_is_under_the_pointer_under_it() {
    for keys in ["", "L"] {
        let mut app = data::app(120, 40);
        curves(&mut app);
        press(&mut app, keys);
        press(&mut app, "+<");
        let (low, high) = app.curves_view.window.unwrap();
        let plot = screen::curves::plot(&app).unwrap();
        mouse(&mut app, MouseEventKind::Down(MouseButton::Left), (plot.x + 10, plot.y + 3));
        mouse(&mut app, MouseEventKind::Drag(MouseButton::Left), (plot.x + 7, plot.y + 9));
        let (after_low, after_high) = app.curves_view.window.unwrap();
        let inner = |x: f64| if keys == "L" { x.ln() } else { x };
        let share = 3.0 / f64::from(plot.width - 1);
        let moved = share * (inner(high) - inner(low));
        assert!((inner(after_low) - inner(low) - moved).abs() < 1e-9, "{keys:?}: {low} → {after_low}");
        assert!((inner(after_high) - inner(high) - moved).abs() < 1e-9);
        mouse(&mut app, MouseEventKind::Up(MouseButton::Left), (plot.x + 7, plot.y + 9));
        mouse(&mut app, MouseEventKind::Drag(MouseButton::Left), (plot.x, plot.y));
        assert_eq!(app.curves_view.window, Some((after_low, after_high)), "a drag ends with the button");
    }
}

#[test]
fn n_goes_round_the_matches_and_marks_come_first() {
    let mut app = data::app(80, 24);
    let before = app.lab_view.cursor.clone();
    press(&mut app, "nN");
    assert_eq!(app.lab_view.cursor, before, "without filter and marks there is no next match");
    press(&mut app, "/arch:CD\n");
    let cursor = |app: &App| app.run(app.lab_view.cursor.as_ref().unwrap()).unwrap().id.clone();
    let matches: Vec<RunId> =
        Section::ALL.into_iter().flat_map(|section| app.section(section)).map(|run| run.id.clone()).collect();
    assert!(matches.len() > 3);
    for wanted in matches.iter().cycle().skip(1).take(matches.len()) {
        press(&mut app, "n");
        assert_eq!(cursor(&app), *wanted);
    }
    press(&mut app, "N");
    assert_eq!(cursor(&app), *matches.last().unwrap(), "before the first comes the last");
    press(&mut app, "\x1b\x1bg  jjj g");
    let marks = app.marks.clone();
    assert_eq!(marks.len(), 3);
    let visited: Vec<RunId> = (0..3)
        .map(|_| {
            press(&mut app, "n");
            cursor(&app)
        })
        .collect();
    assert_eq!(visited.into_iter().collect::<std::collections::BTreeSet<_>>(), marks);
    board(&mut app);
    press(&mut app, "u/PLM\n");
    let first = act::under_cursor(&app);
    press(&mut app, "n");
    let second = act::under_cursor(&app);
    assert_ne!(first, second);
    press(&mut app, "N");
    assert_eq!(act::under_cursor(&app), first);
}

#[test]
fn hidden_columns_are_gone_remembered_and_come_back() {
    let mut app = data::app(200, 60);
    board(&mut app);
    let shows = |app: &App, heading: &str| rows(app).iter().any(|row| row.contains(heading));
    assert!(shows(&app, "eff rank/n"));
    press(&mut app, "c");
    let choices = trilab::tui::columns::choices(&app, Tab::Leaderboard);
    let at = choices.iter().position(|choice| choice.heading == "eff rank/n").unwrap();
    press(&mut app, &format!("{} \x1b", "j".repeat(at)));
    assert_eq!(app.overlay, None::<Overlay>);
    assert!(!shows(&app, "eff rank/n") && shows(&app, "zero-shot"));
    assert_eq!(app.remembered.hidden_leaderboard, ["effective_rank_share".to_owned()].into());
    let text = serde_json::to_string(&app.remembered).unwrap();
    assert_eq!(serde_json::from_str::<trilab::tui::Remembered>(&text).unwrap(), app.remembered);
    press(&mut app, &format!("c{}\n\x1b", "j".repeat(at)));
    assert!(shows(&app, "eff rank/n"));
    press(&mut app, "1");
    assert!(shows(&app, "trend"));
    press(&mut app, "c");
    let at = trilab::tui::columns::choices(&app, Tab::Lab).iter().position(|choice| choice.heading == "trend").unwrap();
    press(&mut app, &format!("{} \x1b", "j".repeat(at)));
    assert!(!shows(&app, "trend") && shows(&app, "tok/s"));
}

fn exported(effects: &[Effect]) -> (&'static str, Vec<Vec<String>>, String) {
    let export = effects.iter().find_map(|effect| match effect {
        Effect::Export { screen, text, note } => Some((*screen, text, note)),
        _ => None,
    });
    let (screen, text, note) = export.unwrap();
    let rows: Vec<Vec<String>> =
        text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>()).collect();
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{text}");
    (screen, rows, note.clone())
}

#[test]
fn what_is_exported_is_what_is_on_the_screen_with_every_digit() {
    let mut app = data::app(120, 40);
    press(&mut app, "/arch:CD\n");
    let (screen, table, note) = exported(&press(&mut app, "e"));
    let shown: usize = Section::ALL.into_iter().map(|section| app.section(section).len()).sum();
    assert_eq!((screen, table.len() - 1, note), ("lab", shown, format!("{shown} runs")));
    let column = |table: &[Vec<String>], name: &str| table[0].iter().position(|heading| heading == name).unwrap();
    let first = app.section(Section::Running)[0];
    assert_eq!(table[1][column(&table, "run")], first.id.to_string());
    let loss: f64 = table[1][column(&table, "loss")].parse().unwrap();
    assert_eq!(loss.to_bits(), first.latest[&Metric::Loss].to_bits());
    press(&mut app, "\x1b\x1b");
    curves(&mut app);
    let (screen, table, _) = exported(&press(&mut app, "e"));
    assert_eq!(screen, "curves");
    let points: Vec<Point> = app.shown_curves().iter().flat_map(|run| data::curve(run, Metric::Loss).points).collect();
    assert_eq!(table.len() - 1, points.len());
    let last: f64 = table.last().unwrap()[column(&table, "value")].parse().unwrap();
    assert_eq!(last.to_bits(), points.last().unwrap().value.to_bits());
    assert_eq!(table[1][column(&table, "window")], "10");
    data::tell(&mut app, Update::Leaderboard(data::leaderboard()));
    let (_, table, _) = exported(&press(&mut app, "be"));
    assert!(table[0].contains(&"least".to_owned()), "{:?}", table[0]);
    board(&mut app);
    let (screen, table, _) = exported(&press(&mut app, "e"));
    assert_eq!((screen, table.len() - 1), ("leaderboard", data::leaderboard().rows.len()));
    let at = column(&table, "continuation_loss");
    let mean: f64 = table[1][at].parse().unwrap();
    assert_eq!(mean.to_bits(), data::leaderboard().rows[0].cells["continuation_loss"].estimate.mean.to_bits());
    assert_eq!(table[1][column(&table, "continuation_loss place")], "1=");
    assert_eq!(table[1][column(&table, "place")], "1=");
    let (screen, table, _) = exported(&press(&mut app, "M>>>e"));
    assert_eq!((screen, table.len() - 1), ("matrix", data::leaderboard().rows.len()));
    assert_eq!(table[1][column(&table, "column")], "zero_shot");
    assert_eq!(table[1][column(&table, "chance")], "0.375");
    press(&mut app, "M");
    update(&mut app, Msg::Exported { told: Ok("trilab-leaderboard-1.csv".to_owned()), note: "7 rows".to_owned() });
    assert!(rows(&app).last().unwrap().contains("saved trilab-leaderboard-1.csv: 7 rows"));
    update(&mut app, Msg::Exported { told: Err("disk full".to_owned()), note: String::new() });
    assert!(app.notice.unwrap().bad);
    assert_eq!(press(&mut data::fresh(80, 24), "e"), [], "nothing there, nothing written");
}

#[test]
fn the_row_under_the_cursor_is_one_bar_on_every_screen() {
    for keys in ["", "\t", "\t\t", "2", "4"] {
        let mut app = data::app(120, 40);
        press(&mut app, keys);
        data::tell(&mut app, Update::Leaderboard(data::leaderboard()));
        data::tell_curves(&mut app, Metric::Loss);
        let buffer = drawn(&app);
        let selected = app.palette.selected;
        let is_bar = |x, y| buffer[(x, y)].modifier == selected.add_modifier;
        let bars: Vec<u16> = (1..39).filter(|y| (0..120).filter(|x| is_bar(*x, *y)).count() > 20).collect();
        assert_eq!(bars.len(), 1, "{keys:?}");
        let cells: Vec<u16> = (0..120).filter(|x| is_bar(*x, bars[0])).collect();
        assert!(cells.windows(2).all(|pair| pair[1] == pair[0] + 1), "{keys:?}: a hole in the bar");
        let first = buffer[(cells[0], bars[0])].style();
        assert!(cells.iter().all(|x| buffer[(*x, bars[0])].style() == first), "{keys:?}: patches in the bar");
    }
}

#[test]
fn one_value_is_told_in_words_and_many_curves_are_drawn_without_noise() {
    let mut app = data::app(80, 24);
    press(&mut app, "2");
    let run = app.shown_curves()[0].clone();
    let mut curve = data::curve(&run, Metric::Loss);
    curve.points.truncate(1);
    data::tell(&mut app, Update::Curves(vec![curve]));
    assert!(rows(&app).iter().any(|row| row.contains("one value so far")), "{}", rows(&app).join("\n"));
    data::tell_curves(&mut app, Metric::Loss);
    assert!(rows(&app)[1].contains("smoothed 10"), "{}", rows(&app)[1]);
    assert!(app.series().len() > 3 && app.series().iter().all(|series| series.raw.is_empty()));
    press(&mut app, "1 2");
    data::tell_curves(&mut app, Metric::Loss);
    assert!(app.series().len() <= 3 && app.series().iter().all(|series| !series.raw.is_empty()));
}

/// A dashboard of runs in every cell that can be trained, with the matrix before it.
fn full_matrix(columns: u16, rows: u16, cells: &[(Architecture, Objective)]) -> App {
    let mut app = data::app(columns, rows);
    data::tell(&mut app, Update::Lab(Box::new(data::lab_with(cells))));
    press(&mut app, "4");
    data::tell(&mut app, Update::Leaderboard(data::leaderboard_with(cells)));
    press(&mut app, ">>>M");
    app
}

#[test]
fn the_cursor_of_the_matrix_goes_through_the_shown_cells_and_no_number_is_cut() {
    for (columns, rows) in [(60, 16), (80, 24), (120, 40), (200, 60)] {
        for (cells, width, height) in
            [(data::OTHERS.to_vec(), 6, 5), (data::every_cell(), Objective::ALL.len(), Architecture::ALL.len())]
        {
            let mut app = full_matrix(columns, rows, &cells);
            press(&mut app, &"k".repeat(20));
            press(&mut app, &"h".repeat(20));
            let mut seen = BTreeSet::new();
            for line in 0..height {
                for across in 0..width {
                    let spot = board_acts::spot(&app).unwrap();
                    seen.insert((spot.architecture, spot.objective));
                    let screen = self::rows(&app);
                    if let Some(best) = board_acts::best_at(&app, &spot)
                        && let Some(cell) = best.cells.get("zero_shot")
                    {
                        let value = format!("{:.3}", cell.estimate.mean);
                        let shown = screen.iter().filter(|row| row.contains(&value)).count();
                        assert!(
                            shown >= if columns < 120 { 2 } else { 1 },
                            "{columns}×{rows} {spot:?}\n{}",
                            screen.join("\n")
                        );
                    }
                    let cut = |row: &String| row.contains('…') && row.contains(" ±");
                    assert!(!screen[3..screen.len() - 5].iter().any(cut), "{}", screen.join("\n"));
                    press(&mut app, if across + 1 < width { "l" } else { "" });
                }
                press(&mut app, &"h".repeat(width));
                press(&mut app, if line + 1 < height { "j" } else { "" });
            }
            assert_eq!(seen.len(), width * height, "{columns}×{rows}");
            assert!(cells.iter().all(|cell| seen.contains(cell)));
            let before = board_acts::spot(&app);
            press(&mut app, "j");
            assert_eq!(board_acts::spot(&app), before, "there is nothing below the last row");
            let (_, table, _) = exported(&press(&mut app, "e"));
            assert!(cells.iter().all(|(a, o)| table.iter().any(|row| row.contains(&format!("{a}:{o}")))));
            // A filter takes the row away that the cursor is on.
            press(&mut app, "/arch:CD\n");
            let spot = board_acts::spot(&app).unwrap();
            assert_eq!(spot.architecture, Architecture::CausalDecoder);
        }
    }
}

#[test]
fn a_click_hits_the_cell_of_a_scrolled_matrix() {
    let mut app = full_matrix(80, 24, &data::every_cell());
    press(&mut app, &"j".repeat(20));
    press(&mut app, &"l".repeat(20));
    let (x, _) = find(&app, "GLM");
    let (_, y) = find(&app, "EDM ");
    click(&mut app, (x + 1, y));
    let spot = board_acts::spot(&app).unwrap();
    assert_eq!((spot.architecture, spot.objective), (Architecture::MergedEncoderDecoder, Objective::BlankInfilling));
}

fn form(app: &App) -> &Form {
    let Page::Composer(composer) = &app.page else { panic!("not in the composer") };
    &composer.form
}

fn focus(app: &mut App, field: Field) {
    let Page::Composer(composer) = &mut app.page else { panic!("not in the composer") };
    composer.form.focus = field;
}

#[test]
fn every_architecture_and_objective_can_be_chosen_and_the_model_has_choices() {
    let mut app = data::app(80, 24);
    press(&mut app, "aG\n\t");
    // All on: CD and ND are.
    press(&mut app, &format!("\t\t{}", " \t".repeat(6)));
    press(&mut app, &format!(" \t\t{}", " \t".repeat(6)));
    assert_eq!(form(&app).architectures.len(), Architecture::ALL.len());
    assert_eq!(form(&app).objectives.len(), Objective::ALL.len() - 3, "all but MIX and those of later stages");
    assert_eq!(form(&app).text(Field::Name).unwrap().text(), "8-architectures_8-objectives");
    let told = form(&app).refused();
    assert!(told.iter().any(|refused| refused.told().starts_with("EO:FLM EO:PLM EO:MLM EO:IID +3: an encoder-only")));
    for (field, turns, said) in
        [(Field::Family, 1, "t5"), (Field::Positions, 2, "t5_bias"), (Field::Looks, 2, "altern")]
    {
        focus(&mut app, field);
        (0..turns).for_each(|_| drop(key(&mut app, KeyCode::Right)));
        find(&app, &format!("▸{:14}◂ {said}", field.label()));
    }
    let told = form(&app).refused();
    assert!(told[0].told().starts_with("CD ND EDC: a head that looks at what follows"), "{}", told[0].told());
    let study = form(&app).study().unwrap();
    assert_eq!(study.model.preset, ModelPreset::T5.into());
    assert_eq!(study.model.position, Some(Position::T5Bias.into()));
    assert_eq!(study.model.direction, AttentionDirection::AlternatingLayers.into());
    focus(&mut app, Field::Positions);
    (0..2).for_each(|_| drop(key(&mut app, KeyCode::Left)));
    assert_eq!(form(&app).study().unwrap().model.position, None);
    find(&app, "◂ preset's: t5_bias ▸");
}

#[test]
fn arrows_cross_the_grids_and_space_chooses() {
    let mut app = data::app(80, 24);
    press(&mut app, "aG\n\t");
    key(&mut app, KeyCode::Right);
    assert_eq!(form(&app).focus, Field::Architecture(Architecture::HalfEncoderDecoder));
    press(&mut app, " ");
    assert!(form(&app).architectures.contains(&Architecture::HalfEncoderDecoder));
    key(&mut app, KeyCode::Left);
    key(&mut app, KeyCode::Left);
    assert_eq!(form(&app).focus, Field::Architecture(Architecture::CausalDecoder));
    assert_eq!(form(&app).architectures.len(), 3, "an arrow chooses nothing");
}

#[test]
fn settings_without_a_field_and_axes_of_several_values_stay_until_they_are_turned() {
    let mut base = data::study();
    base.model.preset = Axis(ModelPreset::ALL.to_vec());
    base.model.position = Some(Axis(vec![Position::Rope, Position::None]));
    base.model.mlp = Some(Axis(vec![Mlp::Relu]));
    base.model.match_parameters = true;
    let mut app = data::app(80, 24);
    press(&mut app, "aG\n");
    let Page::Composer(composer) = &mut app.page else { panic!("not in the composer") };
    composer.form = Form::filled(&base, &app.defaults.corpora);
    find(&app, "◂ llama, t5 ▸");
    find(&app, "◂ rope, none ▸");
    assert_eq!(form(&app).study().unwrap(), base);
    focus(&mut app, Field::Family);
    key(&mut app, KeyCode::Right);
    let study = form(&app).study().unwrap();
    assert_eq!((&study.model.preset, study.model.match_parameters), (&ModelPreset::Llama.into(), true));
    assert_eq!((&study.model.position, &study.model.mlp), (&base.model.position, &base.model.mlp));
}

#[test]
fn a_mixture_that_is_not_listed_is_an_error_on_its_field() {
    let mut app = data::app(80, 24);
    press(&mut app, "aG\n");
    focus(&mut app, Field::Objective(Objective::Mixture));
    press(&mut app, " ");
    for _ in 0..2 {
        let (field, reason) = form(&app).error.clone().unwrap();
        assert_eq!(field, Field::Objective(Objective::Mixture));
        assert!(reason.contains("in a study file"), "{reason}");
        find(&app, "trilab study submit FILE");
        focus(&mut app, Field::Seeds);
        press(&mut app, "\n");
    }
    focus(&mut app, Field::Objective(Objective::Mixture));
    press(&mut app, " ");
    assert_eq!(form(&app).error, None);
    let mut base = data::study();
    base.objective.mixture = Objective::Ul2R.mixture(0.15);
    let mut listed = Form::filled(&base, &[]);
    listed.focus = Field::Objective(Objective::Mixture);
    listed.turn(true);
    assert!(listed.study().is_ok() && listed.error.is_none());
}

#[test]
fn the_form_shows_its_focus_and_its_error_at_the_smallest_size() {
    let mut app = data::app(60, 16);
    press(&mut app, "aG\n");
    for field in Field::all() {
        focus(&mut app, field);
        if !form(&app).is_live(field) {
            continue;
        }
        let screen = rows(&app);
        assert!(
            screen[..12].iter().any(|row| row.contains('▸') || row.contains('▏')),
            "{field:?}\n{}",
            screen.join("\n")
        );
        find(&app, field.label());
    }
    focus(&mut app, Field::Tokenizer);
    press(&mut app, "x\n");
    find(&app, "as in `bpe:1024`");
}

/// Presses Tab and answers the listing that it asks for.
fn tab(app: &mut App, names: &[&str]) -> Option<String> {
    let effects = press(app, "\t");
    let folder =
        effects.iter().find_map(|effect| if let Effect::List(folder) = effect { Some(folder) } else { None })?;
    let entry = |name: &&str| Entry { name: name.trim_end_matches('/').to_owned(), folder: name.ends_with('/') };
    update(app, Msg::Listed { folder: folder.clone(), told: Ok(names.iter().map(entry).collect()) });
    Some(folder.display().to_string())
}

#[test]
fn a_text_of_ones_own_is_found_where_the_dashboard_was_started() {
    let mut app = data::app(80, 24);
    app.folder = "/home/ada/texts".into();
    press(&mut app, "aG\n");
    let own = "path          for a text of your own";
    find(&app, own);
    focus(&mut app, Field::Corpus);
    press(&mut app, "\t");
    assert_eq!(form(&app).focus, Field::CorpusPath, "the row of the path is always there");
    find(&app, "paths start at /home/ada/texts");
    press(&mut app, "da");
    assert_eq!(tab(&mut app, &["data/", "notes.txt"]).as_deref(), Some("/home/ada/texts"));
    assert_eq!(tab(&mut app, &["harbour.txt", "harbour-2.txt"]).as_deref(), Some("/home/ada/texts/data"));
    find(&app, "▸path          data/harbour▏");
    find(&app, "◂ a path ▸");
    // Where nothing more agrees the choices are shown, and the next Tab goes on.
    assert!(tab(&mut app, &["harbour.txt", "harbour-2.txt"]).is_some());
    find(&app, "harbour-2.txt  harbour.txt");
    press(&mut app, ".");
    assert!(tab(&mut app, &["harbour.txt", "harbour-2.txt"]).is_some());
    press(&mut app, ", ~/more, /abs/*.jsonl");
    let home = std::env::home_dir().unwrap().join("more").display().to_string();
    assert_eq!(tab(&mut app, &[]), None, "a pattern is no name to complete");
    assert_eq!(form(&app).focus, Field::Tokenizer);
    assert_eq!(tab(&mut app, &[]), None, "`bytes` is no path");
    focus(&mut app, Field::Tokenizer);
    key(&mut app, KeyCode::Home);
    (0..30).for_each(|_| drop(key(&mut app, KeyCode::Delete)));
    press(&mut app, "tok");
    assert!(tab(&mut app, &["tok.json"]).is_some());
    let effects = press(&mut app, "\n");
    let Some(Effect::Send(frame)) = effects.first() else { panic!("{effects:?}") };
    let Request::CheckStudy { study } = &frame.request else { panic!("{frame:?}") };
    assert_eq!(study.corpus.paths, ["/home/ada/texts/data/harbour.txt", &home, "/abs/*.jsonl"]);
    assert_eq!(study.corpus.tokenizer, TokenizerSpec::File("/home/ada/texts/tok.json".into()));
}

#[test]
fn what_cannot_be_completed_is_said_and_never_holds_the_focus() {
    let mut app = data::app(120, 40);
    app.folder = "/here".into();
    press(&mut app, "aG\n");
    focus(&mut app, Field::CorpusPath);
    press(&mut app, "non");
    assert!(tab(&mut app, &["a.txt"]).is_some());
    find(&app, "nothing in /here begins with `non`");
    assert_eq!(tab(&mut app, &["a.txt"]), None);
    assert_eq!(form(&app).focus, Field::Tokenizer);
    focus(&mut app, Field::CorpusPath);
    press(&mut app, "/x/");
    press(&mut app, "\t");
    update(&mut app, Msg::Listed { folder: "/elsewhere".into(), told: Ok(Vec::new()) });
    assert_eq!(form(&app).focus, Field::CorpusPath, "the answer to another question changes nothing");
    update(&mut app, Msg::Listed { folder: "/here/non/x".into(), told: Err("Permission denied".to_owned()) });
    find(&app, "could not look into /here/non/x: Permission denied");
    // A folder that is gone is no place to start from.
    app.folder = std::path::PathBuf::new();
    press(&mut app, "\n");
    find(&app, "type the path from `/` or `~`");
}

#[test]
fn wide_and_commanding_characters_of_samples_are_whole_and_harmless() {
    let mut app = data::app(80, 24);
    press(&mut app, "\n");
    let mut detail = data::detail(7);
    let wide = "夜の港に船が静かに入ってきた、潮とともに。".repeat(8);
    detail.samples[0].prompt = format!("\x1b[2J\u{202e}{wide}");
    data::tell(&mut app, Update::Run(Box::new(detail)));
    press(&mut app, "\t\t\tz");
    let screen: String = rows(&app).concat().chars().filter(|c| !c.is_whitespace() && !"┃│".contains(*c)).collect();
    assert!(screen.contains(&format!("\\x1b[2J\\u{{202e}}{wide}")), "{}", rows(&app).join("\n"));
}

#[test]
fn tab_completes_the_filter() {
    let mut app = data::app(80, 24);
    press(&mut app, "/ar\te\t");
    assert_eq!(app.filter_text.text(), "arch:E");
    assert!(rows(&app)[23].ends_with("Tab: ED EDS EDH EDC EDM EO "), "{}", rows(&app)[23]);
    press(&mut app, "ds\tobj:gl\tstudy:ni\t\n");
    assert_eq!(app.filter_text.text(), "arch:EDS obj:GLM study:night-shift ");
    assert_eq!(app.overlay, None);
}
