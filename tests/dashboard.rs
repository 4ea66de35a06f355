//! The dashboard as tables of (model, keys) → (model, effects) and as screens in text, at three sizes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a broken test stops")]

mod dashboard_data;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use dashboard_data as data;
use data::keys::{key, press};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use trilab::core::board::EqualBudget;
use trilab::core::cell::LineageName;
use trilab::core::spec::{Ancestor, ParentSpec, PromptSpec};
use trilab::core::stage::StageSettings;
use trilab::core::summary::TaskAnswers;
use trilab::core::task::ScoringForm;
use trilab::core::{Architecture, Metric, RunId};
use trilab::tui::app::{Overlay, Page};
use trilab::tui::form::{Field, Form};
use trilab::tui::{App, Effect, Msg, Tab, screen, update};
use trilab::wire::{Reply, Request, RunSelection, ServerFrame, Topic, Update};

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

fn requests(effects: &[Effect]) -> Vec<Request> {
    let request = |effect: &Effect| match effect {
        Effect::Send(frame) => Some(frame.request.clone()),
        Effect::Quit
        | Effect::Copy(_)
        | Effect::SetMouse(_)
        | Effect::Suspend
        | Effect::Redraw
        | Effect::List(_)
        | Effect::Export { .. } => None,
    };
    effects.iter().filter_map(request).collect()
}

fn reply(app: &mut App, effects: &[Effect], reply: Reply) -> Vec<Effect> {
    let id = effects
        .iter()
        .find_map(|effect| match effect {
            Effect::Send(frame) if !matches!(frame.request, Request::Subscribe { .. }) => Some(frame.id),
            _ => None,
        })
        .unwrap();
    update(app, Msg::Frame(Box::new(ServerFrame::Reply { id, reply })))
}

fn shown(app: &App) -> String {
    let mut terminal = Terminal::new(TestBackend::new(app.size.0, app.size.1)).unwrap();
    terminal.draw(|frame| screen::draw(app, frame.area(), frame.buffer_mut())).unwrap();
    terminal.backend().to_string()
}

fn snapshot(name: &str, app: &App) {
    insta::assert_snapshot!(format!("{name}_{}x{}", app.size.0, app.size.1), shown(app));
}

#[test]
fn lab_screens() {
    for (columns, rows) in SIZES {
        snapshot("lab", &data::app(columns, rows));
    }
}

#[test]
fn curves_screens() {
    for (columns, rows) in SIZES {
        let mut app = data::app(columns, rows);
        press(&mut app, "2ss");
        data::tell_curves(&mut app, Metric::Loss);
        for _ in 0..30 {
            key(&mut app, KeyCode::Left);
        }
        snapshot("curves", &app);
    }
}

#[test]
fn folded_curves_screen() {
    let mut app = data::app(120, 40);
    press(&mut app, "2bXLY");
    data::tell(&mut app, Update::Leaderboard(data::leaderboard()));
    data::tell_curves(&mut app, Metric::Loss);
    snapshot("curves_folded", &app);
}

#[test]
fn leaderboard_screens() {
    for (columns, rows) in SIZES {
        let mut app = data::app(columns, rows);
        press(&mut app, "4");
        data::tell(&mut app, Update::Leaderboard(data::leaderboard()));
        press(&mut app, "j\n");
        snapshot("leaderboard", &app);
        press(&mut app, ">>>>>");
        snapshot("leaderboard_scrolled", &app);
    }
}

#[test]
fn lineages_and_long_sizes_leave_room_for_what_is_looked_at() {
    for (columns, rows) in [(60, 16), SIZES[0], SIZES[1]] {
        let mut app = data::app(columns, rows);
        let mut board = data::leaderboard();
        for (at, row) in board.rows.iter_mut().enumerate() {
            let dropout = if at % 2 == 0 { "" } else { " dropout0.1" };
            row.size = format!("d64 L2 h4x16 n64 ff128 geglu tied{dropout}");
            row.earlier = [&["CD:FLM@3000"][..], &["CD:FLM", "ND:MLM@1350"], &[]][at % 3]
                .iter()
                .map(|stage| (*stage).to_owned())
                .collect();
        }
        press(&mut app, "4");
        data::tell(&mut app, Update::Leaderboard(board));
        press(&mut app, ">>>");
        snapshot("leaderboard_lineages", &app);
    }
}

#[test]
fn contests_and_the_matrix_screens() {
    for (columns, rows) in SIZES {
        let mut app = data::app(columns, rows);
        press(&mut app, "4");
        data::tell(&mut app, Update::Leaderboard(data::two_contests()));
        press(&mut app, "/-PLM|world\n>>>");
        snapshot("leaderboard_contests", &app);
        press(&mut app, "\x1b\x1bMj");
        snapshot("matrix", &app);
    }
}

#[test]
fn screens_of_cells_beyond_the_classical_ones() {
    for (columns, rows) in SIZES {
        for (name, cells) in [("others", data::OTHERS.to_vec()), ("all", data::every_cell())] {
            let mut app = data::fresh(columns, rows);
            update(&mut app, Msg::Connected(data::info()));
            data::tell(&mut app, Update::Lab(Box::new(data::lab_with(&cells))));
            snapshot(&format!("lab_{name}"), &app);
            press(&mut app, "4");
            data::tell(&mut app, Update::Leaderboard(data::leaderboard_with(&cells)));
            press(&mut app, ">>>M");
            // To the cell of the last one.
            press(&mut app, &"j".repeat(20));
            press(&mut app, "kllllllllll");
            snapshot(&format!("matrix_{name}"), &app);
        }
    }
}

fn with_tasks(columns: u16, rows: u16) -> App {
    let mut app = data::app(columns, rows);
    press(&mut app, "\n");
    data::tell(&mut app, Update::Run(Box::new(data::detail(7))));
    press(&mut app, "\t");
    app
}

#[test]
fn tasks_and_answers_screens() {
    for (columns, rows) in SIZES {
        let mut app = with_tasks(columns, rows);
        press(&mut app, "jj");
        snapshot("tasks", &app);
        press(&mut app, "z");
        snapshot("tasks_zoomed", &app);
        let effects = press(&mut app, "zg\n");
        reply(&mut app, &effects, Reply::Answers(Box::new(data::answers())));
        press(&mut app, "j");
        snapshot("answers", &app);
    }
}

/// The same items, if their answers had been written.
fn answers_written() -> TaskAnswers {
    let mut told = data::answers();
    for answer in &mut told.answers {
        let right = answer.right == Some(true);
        answer.choices = vec!["the grey mill".to_owned(), "a mill".to_owned()];
        answer.written = Some(if right { "The grey mill" } else { "an old\nmill" }.to_owned());
        (answer.log_likelihoods, answer.predicted, answer.gold) = (Vec::new(), None, Vec::new());
    }
    told
}

#[test]
fn answers_that_were_written_stand_beside_the_right_ones() {
    for (columns, rows) in SIZES {
        let mut app = with_tasks(columns, rows);
        let effects = press(&mut app, "jjg\n");
        reply(&mut app, &effects, Reply::Answers(Box::new(answers_written())));
        press(&mut app, "j");
        snapshot("answers_written", &app);
        let [Effect::Export { text, .. }] = &press(&mut app, "e")[..] else { panic!("nothing is exported") };
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().any(|line| line.ends_with(",right,written,gold")), "{text}");
        assert!(lines.iter().any(|line| line.ends_with(",false,an old mill,the grey mill | a mill")), "{text}");
    }
}

#[test]
fn a_later_stage_says_what_it_goes_on_from_and_trains_on() {
    let mut app = data::app(160, 45);
    let mut detail = data::detail(7);
    let (run, cell) = (RunId::try_from("00000000f00d".to_owned()).unwrap(), "CD:FLM@900".to_owned());
    let before = Ancestor { run: run.clone(), cell, steps: 900, examples: 3_600, tokens: 1_000_000, flops: 2.5e12 };
    let sources = vec!["shipped:world".to_owned()];
    let held_out = vec!["world_order".to_owned(), "world_counting".to_owned()];
    detail.spec.prompts =
        Some(PromptSpec { sources, held_out, examples: 500, cap: 10_000, fingerprint: String::new() });
    detail.spec.parent = Some(ParentSpec { run: run.clone(), step: 900, lineage: run });
    detail.spec.ancestors = vec![before.clone()];
    detail.summary.ancestors = vec![before];
    (detail.summary.step_tokens, detail.summary.step_flops) = (1_000, 1e9);
    press(&mut app, "\n");
    data::tell(&mut app, Update::Run(Box::new(detail)));
    let screen = shown(&app);
    for words in [
        "parent     00000000f00d at step 900 ",
        "trained on shipped:world",
        "held out   world_order world_counting",
        "in all     3.00M tokens, 4.5e12 FLOPs",
    ] {
        assert!(screen.contains(words), "{words}\n{screen}");
    }
}

#[test]
fn detail_screens() {
    for (columns, rows) in SIZES {
        let mut app = data::app(columns, rows);
        press(&mut app, "\n");
        data::tell(&mut app, Update::Run(Box::new(data::detail(7))));
        data::tell_curves(&mut app, Metric::Loss);
        data::tell_curves(&mut app, Metric::ValidationLoss);
        snapshot("detail", &app);
    }
}

#[test]
fn composer_screens() {
    for (columns, rows) in SIZES {
        let mut app = data::app(columns, rows);
        press(&mut app, "a");
        snapshot("chooser", &app);
        press(&mut app, "G\n");
        // Over the architectures to the first objective.
        press(&mut app, &"\t".repeat(9));
        press(&mut app, " ");
        snapshot("form", &app);
        // Back to EDM beside ED, with T5's parts and mixed heads.
        press(&mut app, " ");
        for code in [KeyCode::Up, KeyCode::Up, KeyCode::Char(' '), KeyCode::Left, KeyCode::Char(' ')] {
            key(&mut app, code);
        }
        let Page::Composer(composer) = &mut app.page else { panic!("not in the composer") };
        composer.form.focus = Field::Looks;
        key(&mut app, KeyCode::Right);
        key(&mut app, KeyCode::Up);
        key(&mut app, KeyCode::Up);
        key(&mut app, KeyCode::Right);
        snapshot("form_family", &app);
        let Page::Composer(composer) = &mut app.page else { panic!("not in the composer") };
        composer.form.focus = Field::Architecture(Architecture::MergedEncoderDecoder);
        snapshot("form_edm", &app);
    }
}

#[test]
fn review_screens() {
    for (columns, rows) in SIZES {
        let mut app = data::app(columns, rows);
        let effects = press(&mut app, "a\n");
        reply(&mut app, &effects, Reply::Plan(Box::new(data::plan())));
        snapshot("review", &app);
        let mut noted = data::plan();
        noted.notices = vec![
            "5 files in `/texts/stories` are not read, because only .txt and .jsonl are: 4 .jsonl.gz, 1 .md; decompress what \
             should be read"
                .to_owned(),
            "of the settings of the tokenizer /texts/words.json, its BPE dropout of 0.1 is switched off, because the same text \
             must have the same tokens"
                .to_owned(),
            "copa: 3 of 40 labels name no choice and are left out".to_owned(),
        ];
        let mut app = data::app(columns, rows);
        let effects = press(&mut app, "a\n");
        reply(&mut app, &effects, Reply::Plan(Box::new(noted)));
        snapshot("review_notes", &app);
    }
}

#[test]
fn help_and_palette_screens() {
    for (columns, rows) in SIZES {
        let mut app = data::app(columns, rows);
        press(&mut app, "?");
        snapshot("help", &app);
        press(&mut app, "\x1b:run");
        snapshot("palette", &app);
    }
}

#[test]
fn dialogs_and_empty_screens() {
    let mut app = data::app(80, 24);
    press(&mut app, "x");
    snapshot("stop", &app);
    let mut app = data::fresh(80, 24);
    snapshot("connecting", &app);
    press(&mut app, "2");
    snapshot("curves_empty", &app);
    let mut app = data::app(80, 24);
    press(&mut app, "/arch:ND stat");
    snapshot("filter", &app);
    update(&mut app, Msg::Disconnected { reason: "connection reset".to_owned() });
    press(&mut app, "\n");
    snapshot("gone", &app);
    let mut app = data::fresh(59, 24);
    app.dirty = true;
    assert!(shown(&app).contains("trilab needs 60×16; this is 59×24"));
}

#[test]
fn the_budget_is_asked_for_and_a_table_of_another_is_not_taken() {
    let mut app = data::app(80, 24);
    press(&mut app, "4");
    data::tell(&mut app, Update::Leaderboard(data::leaderboard()));
    for budget in EqualBudget::ALL.into_iter().cycle().skip(1).take(5) {
        let asked = topics(&press(&mut app, "b"));
        assert_eq!(asked, [Topic::Lab, Topic::Leaderboard { study: None, budget }]);
    }
    press(&mut app, "bbb");
    assert!(shown(&app).contains("asking for equal tokens"), "{}", shown(&app));
    let mut told = data::leaderboard();
    told.rows.truncate(1);
    data::tell(&mut app, Update::Leaderboard(told.clone()));
    assert!(shown(&app).contains("asking for equal tokens"));
    assert!(app.leaderboard.as_ref().unwrap().rows.len() > 1, "the old one, as trained, was not what was asked for");
    told.budget = EqualBudget::Tokens;
    told.budget_at = Some(1.2e6);
    data::tell(&mut app, Update::Leaderboard(told));
    assert!(shown(&app).contains("equal tokens at 1.20M"), "{}", shown(&app));
    assert_eq!(app.leaderboard.as_ref().unwrap().rows.len(), 1);
}

#[test]
fn a_task_leads_to_its_answers_and_back() {
    let mut app = with_tasks(80, 24);
    let effects = press(&mut app, "j\n");
    let asked =
        Request::GetAnswers { run: data::id(7), task: "world_agreement_1".to_owned(), form: ScoringForm::Plain };
    assert_eq!(requests(&effects), [asked]);
    assert!(shown(&app).contains("asking the server"));
    // Answers to something else are not taken for these.
    let mut told = data::answers();
    reply(&mut app, &effects, Reply::Answers(Box::new(told.clone())));
    assert!(shown(&app).contains("asking the server"));
    press(&mut app, "\x1b");
    let effects = press(&mut app, "k\n");
    let message = "find answers of run x to t in plain form; they are kept when a run ends";
    reply(&mut app, &effects, Reply::Refused { message: message.to_owned() });
    assert!(shown(&app).contains("could not find answers"), "{}", shown(&app));
    press(&mut app, "\x1b");
    let effects = press(&mut app, "\n");
    told.notice = Some("the task's file is gone".to_owned());
    told.answers[1].context = None;
    told.answers[1].choices.clear();
    reply(&mut app, &effects, Reply::Answers(Box::new(told)));
    press(&mut app, "j");
    let screen = shown(&app);
    assert!(screen.contains("texts are missing: the task's file is gone"), "{screen}");
    assert!(screen.contains("choice 1") && screen.contains("-2.125"), "{screen}");
    press(&mut app, "w");
    assert!(shown(&app).contains("Wrong 13 of 40"), "{}", shown(&app));
    assert!(
        matches!(&press(&mut app, "y")[..], [Effect::Copy(text)] if text.contains("item 2") && text.contains("choice 2"))
    );
    assert!(matches!(&press(&mut app, "e")[..], [Effect::Export { screen: "answers", .. }]));
    press(&mut app, "\x1b");
    assert!(matches!(&app.page, Page::Detail(view) if view.answers.is_none()));
    press(&mut app, "\x1b");
    assert_eq!(app.page, Page::Tab);
}

#[test]
fn the_matrix_moves_by_cells_and_opens_its_lineage_in_the_table() {
    let mut app = data::app(120, 40);
    press(&mut app, "4");
    data::tell(&mut app, Update::Leaderboard(data::leaderboard()));
    press(&mut app, "gM");
    assert!(shown(&app).contains("3.1234 ±0.0375"), "{}", shown(&app));
    press(&mut app, "j");
    assert!(shown(&app).contains("ND:FLM is not a legal cell: a bidirectional prefix"), "{}", shown(&app));
    assert_eq!(trilab::tui::act::under_cursor(&app), Vec::<RunId>::new());
    press(&mut app, "l");
    assert_eq!(trilab::tui::act::under_cursor(&app), [data::id(8), data::id(5)]);
    press(&mut app, "]");
    assert!(shown(&app).contains("cont bits/byte"), "{}", shown(&app));
    press(&mut app, "\n");
    assert!(!app.board.matrix && app.board.opened.len() == 1);
    assert_eq!(trilab::tui::act::under_cursor(&app), [data::id(8), data::id(5)]);
    assert!(shown(&app).contains(data::id(8).as_str()));
}

#[test]
fn the_column_that_is_looked_at_is_always_on_the_screen_and_never_cut() {
    for columns in [60, 80, 100, 120, 200] {
        let mut app = data::app(columns, 24);
        press(&mut app, "4");
        data::tell(&mut app, Update::Leaderboard(data::leaderboard()));
        let table = data::leaderboard();
        let count = table.columns.len();
        for _ in 0..count + 1 {
            press(&mut app, ">");
            let looked_at = trilab::tui::board_acts::looked_at(&app).unwrap().heading.clone();
            let heading = looked_at.strip_prefix("world_").unwrap_or(&looked_at).to_owned();
            for keys in ["", "h", "hhhhhhhhhhhhhhhhhhhhhhhhh", "lllllllllllllllllllllllllllll"] {
                press(&mut app, keys);
                assert!(shown(&app).contains(&format!("▾{heading}")), "{columns} {keys}\n{}", shown(&app));
            }
        }
        // To the end: the last column is reached.
        assert!(shown(&app).contains("corpus"), "{}", shown(&app));
    }
}

fn run_ids(numbers: &[u64]) -> RunSelection {
    RunSelection::Runs(numbers.iter().map(|number| data::id(*number)).collect())
}

#[test]
fn verbs_become_requests_for_the_run_under_the_cursor_or_the_marked_ones() {
    for (keys, wanted) in [
        ("p", Request::PauseRuns { runs: run_ids(&[7]) }),
        ("\tK", Request::MoveRun { run: data::id(9), by: -1 }),
        ("\tjJ", Request::MoveRun { run: data::id(10), by: 1 }),
        ("\t+", Request::ChangePriority { runs: run_ids(&[9]), by: 1 }),
        ("\t-", Request::ChangePriority { runs: run_ids(&[9]), by: -1 }),
        ("P", Request::PauseQueue),
        // Down the lists to the paused run.
        ("jjjjjp", Request::ResumeRuns { runs: run_ids(&[12]) }),
        // Space goes on to the next run; the mark on a queued one does not take part in a retry.
        ("  p", Request::PauseRuns { runs: run_ids(&[7, 8]) }),
        ("xy", Request::StopRuns { runs: run_ids(&[7]) }),
        ("x\t\n", Request::StopRuns { runs: run_ids(&[7]) }),
        ("/status:failed\nR", Request::RetryRuns { runs: run_ids(&[13]) }),
    ] {
        let mut app = data::app(80, 24);
        assert_eq!(requests(&press(&mut app, keys)), [wanted], "{keys:?}");
    }
}

#[test]
fn verbs_that_make_no_sense_and_answers_of_no_send_nothing() {
    for keys in ["R", "K", "x\n", "xn", "x\x1b", "\t\tp", "\t\t+", "/status:finished\nR"] {
        let mut app = data::app(80, 24);
        assert_eq!(requests(&press(&mut app, keys)), [], "{keys:?}");
    }
    let mut app = data::app(80, 24);
    update(&mut app, Msg::Disconnected { reason: "gone".to_owned() });
    assert_eq!(requests(&press(&mut app, "pxyP")), [], "without a server there is nothing to send to");
}

fn topics(effects: &[Effect]) -> Vec<Topic> {
    match requests(effects).pop() {
        Some(Request::Subscribe { topics }) => topics,
        other => panic!("no subscription but {other:?}"),
    }
}

#[test]
fn what_is_subscribed_is_what_is_on_the_screen() {
    let mut app = data::fresh(80, 24);
    assert_eq!(requests(&press(&mut app, "1")), [], "nothing is sent before there is a server");
    let effects = update(&mut app, Msg::Connected(data::info()));
    assert_eq!(topics(&effects), [Topic::Lab]);
    data::tell(&mut app, Update::Lab(Box::new(data::lab())));
    assert_eq!(
        topics(&press(&mut app, "4")),
        [Topic::Lab, Topic::Leaderboard { study: None, budget: EqualBudget::AsTrained }]
    );
    let study = Some("night-shift".parse().unwrap());
    assert_eq!(
        topics(&press(&mut app, "\t")),
        [Topic::Lab, Topic::Leaderboard { study, budget: EqualBudget::AsTrained }]
    );
    // Without smoothing, points as wide as the screen are enough.
    press(&mut app, "\t\t2S1  ");
    let marked = |width| {
        let runs = vec![data::id(7), data::id(8)];
        vec![Topic::Lab, Topic::Curves { runs, metric: Metric::Loss, width }]
    };
    assert_eq!(topics(&press(&mut app, "2")), marked(160));
    assert_eq!(topics(&update(&mut app, Msg::Resize(100, 30))), marked(200));
    let effects = press(&mut app, "]");
    assert!(matches!(&topics(&effects)[1], Topic::Curves { metric: Metric::ValidationLoss, .. }));
    let effects = press(&mut app, "1\n");
    assert!(topics(&effects).contains(&Topic::Run { run: data::id(10) }) || matches!(app.page, Page::Detail(_)));
    assert_eq!(topics(&press(&mut app, "\x1b")), [Topic::Lab]);
    assert_eq!(requests(&press(&mut app, "jk")), [], "moving the cursor on the Lab asks for nothing");
    let effects = update(&mut app, Msg::Connected(data::info()));
    assert_eq!(topics(&effects), [Topic::Lab], "a new connection is told again");
}

#[test]
fn zooming_asks_for_more_points_and_panning_does_not() {
    let mut app = data::app(80, 24);
    press(&mut app, "2");
    data::tell_curves(&mut app, Metric::Loss);
    assert!(app.wanted().iter().any(|topic| matches!(topic, Topic::Curves { width: 2_048, .. })), "means need points");
    press(&mut app, "S");
    let width = |effects: &[Effect]| match topics(effects).pop() {
        Some(Topic::Curves { width, .. }) => width,
        other => panic!("{other:?}"),
    };
    assert_eq!(width(&press(&mut app, "+")), 320);
    assert_eq!(width(&press(&mut app, "+")), 640);
    assert_eq!(requests(&press(&mut app, "<>")), []);
    assert_eq!(width(&press(&mut app, "0")), 160);
}

#[test]
fn a_new_run_never_moves_the_cursor() {
    let mut app = data::app(80, 24);
    press(&mut app, "jj");
    let before = app.lab_view.cursor.clone().unwrap();
    let mut lab = data::lab();
    let mut new = lab.runs[0].clone();
    new.id = "ffffffffffff".parse().unwrap();
    new.status = lab.runs[4].status.clone();
    lab.runs.insert(0, new);
    data::tell(&mut app, Update::Lab(Box::new(lab)));
    assert_eq!(app.lab_view.cursor, Some(before));
    let mut app = data::app(80, 24);
    press(&mut app, "4");
    data::tell(&mut app, Update::Leaderboard(data::leaderboard()));
    press(&mut app, "jj");
    let under = trilab::tui::act::under_cursor(&app);
    press(&mut app, "ssS");
    assert_eq!(trilab::tui::act::under_cursor(&app), under, "sorting keeps the row");
}

#[test]
fn a_shipped_study_is_reviewed_then_submitted() {
    let mut app = data::app(80, 24);
    let effects = press(&mut app, "aj\n");
    let sent = requests(&effects);
    assert!(
        matches!(&sent[..], [Request::CheckStudy { study }] if study.name.as_str() == "three-by-three"),
        "{sent:?}"
    );
    assert_eq!(requests(&press(&mut app, "\n")), [], "nothing to submit before the plan is there");
    let mut plan = data::plan();
    plan.study = "three-by-three".parse().unwrap();
    reply(&mut app, &effects, Reply::Plan(Box::new(plan.clone())));
    let effects = press(&mut app, "\n");
    assert!(matches!(&requests(&effects)[..], [Request::SubmitStudy { .. }]));
    assert_eq!(requests(&press(&mut app, "\n")), [], "a second Enter does not submit twice");
    reply(&mut app, &effects, Reply::Submitted(Box::new(plan)));
    assert_eq!((app.tab, &app.page), (Tab::Lab, &Page::Tab));
    let said = app.notice.unwrap().text;
    assert_eq!(said, "study three-by-three: 6 runs queued; 2 runs known already");
}

#[test]
fn a_refusal_is_shown_in_full_and_can_be_mended() {
    let mut app = data::app(80, 24);
    let effects = press(&mut app, "a\n");
    let message = "the corpus `shipped:tales` could not be read: the folder holds no .txt or .jsonl file; name one with \
                   corpus.paths or choose another corpus in the form";
    reply(&mut app, &effects, Reply::Refused { message: message.to_owned() });
    let screen = shown(&app).replace(['"', '\n', '┃', '│'], " ");
    for word in message.split(' ') {
        assert!(screen.contains(word), "`{word}` is missing:\n{screen}");
    }
    press(&mut app, "e");
    assert_eq!(app.page_place(), trilab::tui::keymap::Place::Form);
}

#[test]
fn the_form_makes_a_study() {
    let mut app = data::app(80, 24);
    press(&mut app, "aG\n");
    // The name, then ED on, over the other architectures, FLM off and PLM on as they are, MLM on, then the seeds.
    press(&mut app, &["\t".repeat(3), " ".to_owned(), "\t".repeat(8), " ".to_owned(), "\t".repeat(8)].concat());
    press(&mut app, ",7");
    let Page::Composer(composer) = &mut app.page else { panic!("not in the composer") };
    assert_eq!(composer.form.text(Field::Name).unwrap().text(), "cd-nd-ed_plm-mlm");
    let effects = press(&mut app, "\n");
    let [Request::CheckStudy { study }] = &requests(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(study.grid.architecture.0.len() * study.grid.objective.0.len(), 6);
    assert_eq!(study.grid.seed.0, [1, 2, 7]);
    assert_eq!(study.name.as_str(), "cd-nd-ed_plm-mlm");
    assert_eq!(study.training, data::study().training);
}

#[test]
fn the_form_shows_the_lineages_of_a_study_and_makes_a_study_of_them() {
    let mut base = data::study();
    let names = ["CD:FLM", "CD:FLM > mtf"].map(|name| LineageName::try_from(name.to_owned()).unwrap());
    base.grid.lineages = names.to_vec();
    base.stages = ["mtf", "adapt"].map(|name| (name.to_owned(), StageSettings::default())).into();
    let mut form = Form::filled(&base, &[]);
    assert_eq!(form.lineages(), ["CD:FLM", "CD:FLM > mtf"]);
    let made = form.study().unwrap();
    assert_eq!((made.grid.lineages, made.stages.len()), (names.to_vec(), 1), "what no lineage names is left out");
    // The choices mean nothing, so Tab passes them by, and a click on one says why.
    form.step(true);
    assert_eq!(form.focus, Field::Lineages);
    form.focus = Field::Architecture(Architecture::NonCausalDecoder);
    form.turn(true);
    assert!(form.error.as_ref().unwrap().1.contains("lineages below"), "{:?}", form.error);
    form.focus = Field::Lineages;
    form.paste(" > ");
    let (field, reason) = form.study().unwrap_err();
    assert!(field == Field::Lineages && reason.contains("no name"), "{reason}");
    for _ in 0..40 {
        form.key(KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE));
    }
    assert!(form.is_live(Field::Architecture(Architecture::NonCausalDecoder)));
    assert!(form.study().unwrap().stages.is_empty());
}

#[test]
fn the_form_names_the_field_that_is_wrong() {
    for (field, text, said) in [
        (Field::Seeds, "1,x", "`x` is not a number; write it like 1,2"),
        (Field::DModel, "0", "must be at least 1"),
        (Field::LearningRate, "-1", "`-1` is not above 0"),
        (Field::BudgetAmount, "many", "`many` is not a number like 2000"),
        (Field::Tokenizer, "words", "unknown tokenizer `words`"),
        (Field::Name, "No Spaces", "may hold only"),
        (Field::BatchSize, "8,16", "takes one number like 16"),
    ] {
        let mut app = data::app(80, 24);
        press(&mut app, "aG\n");
        let Page::Composer(composer) = &mut app.page else { panic!("not in the composer") };
        composer.form.focus = field;
        update(&mut app, Msg::Key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL)));
        press(&mut app, text);
        assert_eq!(requests(&press(&mut app, "\n")), [], "{field:?}");
        let Page::Composer(composer) = &app.page else { panic!("not in the composer") };
        let (wrong, reason) = composer.form.error.clone().unwrap();
        assert_eq!(wrong, field);
        assert!(reason.contains(said), "{reason}");
        assert!(shown(&app).contains(field.label()));
    }
}

#[test]
fn changes_are_reported_with_their_refusals() {
    let mut app = data::app(80, 24);
    let effects = press(&mut app, "p");
    reply(&mut app, &effects, Reply::Changed { runs: vec![data::id(7)], refused: Vec::new() });
    assert_eq!(app.notice.as_ref().unwrap().text, "paused 1 run");
    let effects = press(&mut app, "p");
    reply(&mut app, &effects, Reply::Changed { runs: vec![], refused: vec![(data::id(7), "it is over".to_owned())] });
    let notice = app.notice.clone().unwrap();
    assert!(notice.bad && notice.text.ends_with("it is over"), "{notice:?}");
    update(&mut app, Msg::Tick { now_ms: notice.at_ms + 9_000 });
    assert_eq!(app.notice, None, "a line for the person goes after a while");
}

#[test]
fn lost_requests_are_told() {
    let mut app = data::app(80, 24);
    press(&mut app, "p");
    update(&mut app, Msg::Disconnected { reason: "connection reset".to_owned() });
    assert!(app.notice.unwrap().bad);
    assert!(app.pending.is_empty());
}

#[test]
fn overlays_open_search_and_close() {
    let mut app = data::app(80, 24);
    press(&mut app, "?prio");
    let text = shown(&app);
    assert!(text.contains("priority") && !text.contains("OSC 52"), "{text}");
    press(&mut app, "\x1b");
    assert_eq!(app.overlay, None);
    press(&mut app, ":theme\n");
    assert_eq!(app.remembered.theme, Some(trilab::config::Theme::Light));
    press(&mut app, "/arch:CD\n");
    assert_eq!(app.overlay, None::<Overlay>);
    assert!(app.section(trilab::tui::app::Section::Running).iter().all(|run| run.cell().starts_with("CD")));
    press(&mut app, "\x1b\x1b");
    assert!(app.filter.is_empty());
}

#[test]
fn leaving_is_always_possible_and_says_that_runs_go_on() {
    let mut app = data::app(80, 24);
    assert_eq!(press(&mut app, "q"), [Effect::Quit]);
    assert_eq!(
        trilab::tui::parting(&app),
        "left the dashboard: 2 runs go on, 4 more in the queue; `trilab` opens it again"
    );
    for keys in ["", "2", "4", "\n", "a", "aG\n", "?", ":", "/", "x"] {
        let mut app = data::app(80, 24);
        press(&mut app, keys);
        let event = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert!(update(&mut app, Msg::Key(event)).contains(&Effect::Quit), "{keys:?}");
    }
}

#[test]
fn copying_takes_the_whole_id() {
    let mut app = data::app(80, 24);
    assert_eq!(press(&mut app, "y"), [Effect::Copy(data::id(7).to_string())]);
    let whole: RunId = data::id(7);
    assert_eq!(whole.as_str().len(), 12);
}

#[test]
fn every_screen_survives_every_size_and_hostile_text() {
    for columns in [60, 61, 79, 100, 159, 160, 260] {
        for rows in [16, 17, 23, 40, 90] {
            for keys in ["", "2", "4", "4M", "4b", "\n", "a", "aG\n", "?", ":", "x", "z"] {
                let mut app = data::app(columns, rows);
                press(&mut app, "4");
                data::tell(&mut app, Update::Leaderboard(data::two_contests()));
                press(&mut app, &format!("1{keys}"));
                data::tell(&mut app, Update::Leaderboard(data::leaderboard_with(&data::every_cell())));
                data::tell_curves(&mut app, Metric::Loss);
                let mut detail = data::detail(7);
                detail.output_tail = "\x1b[31mred\x07 \u{0} 漢字 👩‍👩‍👧 ".repeat(40);
                data::tell(&mut app, Update::Run(Box::new(detail)));
                let text = shown(&app);
                assert!(!text.contains('\x1b') && text.contains("trilab"), "{columns}×{rows} {keys:?}");
            }
        }
    }
}
