//! The Rank screen as tables of (model, messages) → (model, effects, cells), and as pictures at three sizes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a broken test stops")]

#[path = "../dashboard_data/mod.rs"]
#[expect(dead_code, reason = "other screens' data")]
mod data;
mod ranks;

use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use data::keys::{key, press};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use trilab::config::Theme;
use trilab::core::RunId;
use trilab::core::rank::{AttentionKind, RankHistory};
use trilab::tui::rank_measure::Measure;
use trilab::tui::rank_view::RankPane;
use trilab::tui::theme::{Depth, Palette};
use trilab::tui::{App, Effect, Msg, Tab, screen, update};
use trilab::wire::{Request, Topic, Update};

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

fn click(app: &mut App, (column, row): (u16, u16)) {
    let kind = MouseEventKind::Down(MouseButton::Left);
    update(app, Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
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

fn text(app: &App) -> String {
    rows(app).join("\n")
}

/// Where `wanted` first stands below the header.
fn find(app: &App, wanted: &str) -> (u16, u16) {
    let found = rows(app).iter().enumerate().skip(1).find_map(|(y, row)| {
        let at = row.find(wanted)?;
        Some((row[..at].chars().count() as u16, y as u16))
    });
    found.unwrap_or_else(|| panic!("`{wanted}` is not on the screen:\n{}", text(app)))
}

fn snapshot(name: &str, app: &App) {
    let mut terminal = Terminal::new(TestBackend::new(app.size.0, app.size.1)).unwrap();
    terminal.draw(|frame| screen::draw(app, frame.area(), frame.buffer_mut())).unwrap();
    insta::assert_snapshot!(format!("{name}_{}x{}", app.size.0, app.size.1), terminal.backend().to_string());
}

/// Rank of the running causal decoder, with 12 reports.
fn causal(columns: u16, rows: u16) -> App {
    let mut app = ranks::app(columns, rows);
    press(&mut app, "3");
    data::tell(&mut app, Update::Rank(ranks::history(7, (4, 4), 1_200)));
    app
}

/// Rank of an encoder-decoder.
fn three_attentions(columns: u16, rows: u16) -> App {
    let mut app = ranks::app(columns, rows);
    app.lab_view.cursor = Some(data::id(10));
    press(&mut app, "3");
    data::tell(&mut app, Update::Rank(ranks::history(10, (4, 4), 500)));
    app
}

#[test]
fn rank_screens() {
    for (columns, rows) in SIZES {
        let mut app = causal(columns, rows);
        press(&mut app, "jll");
        snapshot("rank", &app);
        snapshot("rank_three", &three_attentions(columns, rows));
        let mut app = ranks::app(columns, rows);
        app.lab_view.cursor = Some(data::id(9));
        press(&mut app, "3");
        data::tell(&mut app, Update::Rank(RankHistory { run: data::id(9), reports: Vec::new() }));
        snapshot("rank_empty", &app);
    }
}

#[test]
fn each_pane_has_its_turn_at_80_by_24() {
    let mut app = causal(80, 24);
    press(&mut app, "jl");
    for name in ["course", "spectrum", "matrix", "residual"] {
        press(&mut app, "\t");
        snapshot(&format!("rank_{name}"), &app);
    }
    press(&mut app, "\t");
    assert_eq!((app.rank_view.pane, app.rank_view.below), (RankPane::Heat, RankPane::Residual));
    key(&mut app, KeyCode::BackTab);
    assert_eq!(app.rank_view.pane, RankPane::Residual);
}

#[test]
fn without_colours_shades_carry_the_map_and_the_matrix() {
    let mut app = causal(80, 24);
    app.depth = Depth::Ansi;
    app.palette = Palette::new(Theme::Dark, Depth::Ansi);
    press(&mut app, "jl\t\t\t");
    snapshot("rank_shades", &app);
}

fn topics(effects: &[Effect]) -> Option<Vec<Topic>> {
    effects.iter().rev().find_map(|effect| match effect {
        Effect::Send(frame) => match &frame.request {
            Request::Subscribe { topics } => Some(topics.clone()),
            _ => None,
        },
        _ => None,
    })
}

#[test]
fn ranks_are_asked_for_only_while_they_are_shown() {
    let mut app = ranks::app(80, 24);
    let rank = |run: RunId| Some(vec![Topic::Lab, Topic::Rank { run }]);
    assert_eq!(topics(&press(&mut app, "3")), rank(data::id(7)));
    assert_eq!(topics(&press(&mut app, "jl]v\tz")), None, "what is on the screen of a run asks for nothing more");
    assert_eq!(topics(&press(&mut app, "1")), Some(vec![Topic::Lab]));
    let second = app.section(trilab::tui::app::Section::Running)[1].id.clone();
    assert_eq!(topics(&press(&mut app, "j3")), rank(second));
}

#[test]
fn three_opens_the_run_under_the_cursor_of_every_list() {
    let mut app = ranks::app(120, 40);
    press(&mut app, "\n3");
    assert_eq!((app.tab, app.rank_view.run.clone()), (Tab::Rank, Some(data::id(7))), "from the page of a run");
    press(&mut app, "4");
    data::tell(&mut app, Update::Leaderboard(data::leaderboard()));
    let under = trilab::tui::act::under_cursor(&app);
    press(&mut app, "3");
    assert!(under.contains(app.rank_view.run.as_ref().unwrap()), "one of the lineage's runs");
    press(&mut app, "2");
    data::tell_curves(&mut app, trilab::core::Metric::Loss);
    press(&mut app, "j");
    let under = trilab::tui::act::under_cursor(&app);
    press(&mut app, "3");
    assert_eq!(app.rank_view.run, under.first().cloned());
    let before = app.rank_view.run.clone();
    press(&mut app, "3");
    assert_eq!(app.rank_view.run, before, "3 on Rank changes nothing");
    assert_eq!(app.remembered.screen, Tab::Rank);
    let mut lab = data::lab();
    lab.runs.truncate(6);
    data::tell(&mut app, Update::Lab(Box::new(lab)));
    assert!(app.run(app.rank_view.run.as_ref().unwrap()).is_some(), "a run that is gone gives way to another");
}

#[test]
fn a_remembered_rank_screen_finds_a_run_by_itself() {
    let mut app = data::fresh(80, 24);
    app.tab = Tab::Rank;
    assert!(text(&app).contains("waiting for the lab's server"));
    update(&mut app, Msg::Connected(data::info()));
    data::tell(&mut app, Update::Lab(Box::new(ranks::app(80, 24).lab.as_deref().unwrap().clone())));
    assert_eq!(app.rank_view.run, Some(data::id(7)), "the running one that has rank");
}

#[test]
fn the_cursor_moves_over_heads_and_stays_on_them() {
    let mut app = causal(80, 24);
    let at = |app: &App| (app.rank_view.layer, app.rank_view.head);
    press(&mut app, "hk");
    assert_eq!(at(&app), (0, 0));
    press(&mut app, "jjl");
    key(&mut app, KeyCode::Right);
    assert_eq!(at(&app), (2, 2));
    press(&mut app, "Gllll");
    assert_eq!(at(&app), (3, 3), "the last layer and head");
    press(&mut app, "g");
    key(&mut app, KeyCode::Left);
    assert_eq!(at(&app), (0, 2));
    data::tell(&mut app, Update::Rank(ranks::history(7, (4, 2), 1_300)));
    assert_eq!(at(&app), (0, 1), "a smaller report takes the cursor along");
    data::tell(&mut app, Update::Rank(ranks::history(13, (4, 4), 100)));
    assert_eq!(app.rank_view.newest().unwrap().step, 1_300, "ranks of another run are not taken");
}

#[test]
fn measures_and_attentions_turn() {
    let mut app = causal(80, 24);
    assert!(text(&app).contains("effective rank of P / n"));
    press(&mut app, "]");
    assert_eq!((app.rank_view.measure, app.remembered.rank_measure), (Measure::Effective, Measure::Effective));
    press(&mut app, "[[");
    assert!(text(&app).contains("k90 of logits"));
    press(&mut app, "v");
    assert_eq!(app.rank_view.attention, AttentionKind::DecoderSelf, "there is no other");
    let saved = serde_json::to_string(&app.remembered).unwrap();
    assert_eq!(serde_json::from_str::<trilab::tui::Remembered>(&saved).unwrap(), app.remembered);
    let mut app = three_attentions(80, 24);
    for wanted in [AttentionKind::Cross, AttentionKind::EncoderSelf, AttentionKind::DecoderSelf] {
        press(&mut app, "v");
        assert_eq!(app.rank_view.attention, wanted);
    }
}

#[test]
fn n_goes_round_the_runs_that_have_rank() {
    let mut app = causal(120, 40);
    let candidates = trilab::tui::rank_view::candidates(&app);
    assert!(candidates.len() > 3 && !candidates.contains(&data::id(8)));
    for wanted in candidates.iter().cycle().skip(1).take(candidates.len()) {
        press(&mut app, "n");
        assert_eq!(app.rank_view.run.as_ref(), Some(wanted));
        assert_eq!(app.rank_view.history, None, "no numbers of another run under its name");
        assert!(text(&app).contains(&format!("waiting for the ranks of {wanted}")));
    }
    press(&mut app, "N");
    assert_eq!(app.rank_view.run.as_ref(), candidates.last());
    app.marks = [data::id(1), data::id(2), data::id(8)].into();
    press(&mut app, "nn");
    assert!([data::id(1), data::id(2)].contains(app.rank_view.run.as_ref().unwrap()), "the marked ones that have some");
}

#[test]
fn a_click_selects_a_head_or_a_pane() {
    for (columns, lines) in SIZES {
        let mut app = three_attentions(columns, lines);
        press(&mut app, "]");
        let (x, y) = find(&app, "L2");
        click(&mut app, (x + 5, y));
        assert_eq!((app.rank_view.layer, app.rank_view.head), (2, 0), "{columns}×{lines}");
        let (x, y) = find(&app, "H3");
        click(&mut app, (x, y + 1));
        assert_eq!((app.rank_view.layer, app.rank_view.head), (0, 3), "{columns}×{lines}");
        if columns > 80 {
            let (x, y) = find(&app, "Spectrum");
            click(&mut app, (x, y));
            assert_eq!(app.rank_view.pane, RankPane::Spectrum);
        }
    }
}

#[test]
fn zoom_gives_the_pane_the_whole_screen_and_esc_takes_it_back() {
    let mut app = causal(120, 40);
    press(&mut app, "\t\tz");
    let shown = text(&app);
    assert!(shown.contains("Spectrum of P") && !shown.contains("Residual") && shown.contains("CD:MLM seed 1"));
    press(&mut app, "\x1b");
    assert!(text(&app).contains("Residual"));
    let mut narrow = causal(60, 16);
    assert!(rows(&narrow)[1].contains("CD:MLM seed 1 · 07f6e5d4c3b4 · step 1200 of 2000 ━"), "{}", rows(&narrow)[1]);
    press(&mut narrow, "\t\t\tz");
    assert!(!rows(&narrow)[1].contains('…'), "whole parts or none: {}", rows(&narrow)[1]);
}

#[test]
fn the_bound_is_said_for_each_mask() {
    assert!(text(&causal(80, 24)).contains("head_dim 32 < ⌊n/2⌋ = 64: below the bound of a causal mask"));
    let mut app = three_attentions(80, 24);
    press(&mut app, "v");
    assert!(text(&app).contains("head_dim 32 < n−1 = 127: below the bound of a bidirectional mask"));
    let mut app = ranks::app(80, 24);
    app.lab_view.cursor = Some(data::id(5));
    press(&mut app, "3");
    data::tell(&mut app, Update::Rank(ranks::history(5, (4, 4), 2_000)));
    assert!(text(&app).contains("head_dim 32 < max(p−1, ⌊n/2⌋) = 64: below the bound of a prefix of 64"));
}

#[test]
fn many_layers_and_heads_scroll_with_the_cursor_and_no_number_is_cut() {
    let mut app = ranks::app(80, 24);
    press(&mut app, "3");
    data::tell(&mut app, Update::Rank(ranks::history(7, (24, 32), 300)));
    for keys in ["", "G", "llllllllllllllllllllllllllllllll", "gj"] {
        press(&mut app, keys);
        let shown = rows(&app);
        let view = &app.rank_view;
        let value = view.measure.figure(view.measure.of(view.under_cursor().unwrap()));
        assert!(shown.iter().any(|row| row.contains(&format!("[{value}]"))), "{value}\n{}", shown.join("\n"));
        for name in [format!("L{}", view.layer), format!("H{}", view.head)] {
            assert!(shown.iter().any(|row| row.contains(&name)), "{name}\n{}", shown.join("\n"));
        }
        assert!(shown.join("\n").contains("of 24"), "what part is shown is said");
    }
}

#[test]
fn every_measure_shows_whole_numbers_at_every_size() {
    for (columns, lines) in [(60, 16), (61, 17), (79, 23), (100, 40), (110, 24), (159, 33), (260, 90)] {
        for mut app in [causal(columns, lines), three_attentions(columns, lines)] {
            for _ in Measure::ALL {
                press(&mut app, "]jlv");
                let view = &app.rank_view;
                let value = view.measure.figure(view.measure.of(view.under_cursor().unwrap()));
                assert!(text(&app).contains(&format!("{value}]")), "{columns}×{lines} {value}\n{}", text(&app));
                for keys in ["\t", "z", "z"] {
                    press(&mut app, keys);
                    assert!(text(&app).contains("trilab"));
                }
            }
        }
    }
}

#[test]
fn the_focused_pane_is_exported_with_every_digit() {
    let mut app = causal(80, 24);
    press(&mut app, "jll");
    let export = |app: &mut App| {
        let effects = press(app, "e");
        let Some(Effect::Export { screen, text, .. }) = effects.first() else { panic!("{effects:?}") };
        let lines: Vec<Vec<String>> = text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{text}");
        (*screen, lines)
    };
    let head = app.rank_view.under_cursor().unwrap().clone();
    let (screen, lines) = export(&mut app);
    assert_eq!((screen, lines.len()), ("rank", 17));
    assert_eq!(lines[7][8].parse::<f64>().unwrap().to_bits(), head.of_probabilities.effective.to_bits());
    press(&mut app, "\t");
    let (screen, lines) = export(&mut app);
    assert_eq!((screen, lines.len()), ("rank-course", 1 + 2 * 12));
    press(&mut app, "\t");
    let (screen, lines) = export(&mut app);
    assert_eq!((screen, lines.len()), ("rank-spectrum", 65));
    assert_eq!((lines[1][5].as_str(), lines[64][5].as_str()), ("1", "128"));
    press(&mut app, "\t");
    let (screen, lines) = export(&mut app);
    assert_eq!((screen, lines.len()), ("rank-matrix", 1 + 32 * 32));
    press(&mut app, "\t");
    assert_eq!(export(&mut app).0, "rank-residual");
    let mut empty = ranks::app(80, 24);
    assert_eq!(press(&mut empty, "3e").iter().filter(|effect| matches!(effect, Effect::Export { .. })).count(), 0);
}

#[test]
fn what_is_missing_is_said_with_a_cure() {
    for (number, said) in [(9, "has not begun"), (8, "at step 310"), (1, "ended without a rank report")] {
        let mut app = ranks::app(80, 24);
        app.lab_view.cursor = Some(data::id(number));
        press(&mut app, "3");
        assert!(text(&app).contains("waiting for the ranks"));
        data::tell(&mut app, Update::Rank(RankHistory { run: data::id(number), reports: Vec::new() }));
        let shown = text(&app);
        assert!(shown.contains(said) && shown.contains("rank_every"), "{shown}");
    }
    let mut app = data::fresh(80, 24);
    press(&mut app, "3");
    assert!(text(&app).contains("waiting for the lab"));
    let mut old = ranks::history(7, (4, 4), 1_200);
    for at in &mut old.reports {
        at.report.heads.iter_mut().for_each(|head| head.picture = trilab::core::picture::Picture::default());
    }
    let mut app = causal(80, 24);
    data::tell(&mut app, Update::Rank(old));
    press(&mut app, "\t\t\t");
    assert!(text(&app).contains("kept no pictures"), "an old log says why");
}

#[test]
fn the_footer_and_help_name_what_works() {
    let mut app = causal(200, 60);
    let footer = rows(&app).pop().unwrap();
    for word in ["next run", "measure", "zoom", "pane", "copy id", "export"] {
        assert!(footer.contains(word), "{word}: {footer}");
    }
    assert!(!footer.contains("attention"), "a causal decoder has one only: {footer}");
    assert_eq!(press(&mut app, "y"), [Effect::Copy(data::id(7).to_string())]);
    press(&mut app, "?");
    assert!(text(&app).contains("next measure: of P after the mask"));
    let footer = rows(&three_attentions(80, 24)).pop().unwrap();
    assert!(footer.contains("v attention") && footer.contains("n next run"), "{footer}");
    app.overlay = None;
    press(&mut app, "\n");
    assert!(matches!(app.page, trilab::tui::app::Page::Detail(_)), "Enter opens the run");
    press(&mut app, "\x1b");
    assert_eq!((app.tab, app.page), (Tab::Rank, trilab::tui::app::Page::Tab));
}
