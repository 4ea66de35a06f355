//! Table, matrix and answers as CSV, with every digit, in the order shown.
//! Promises: pure; a number reads back as the same value. Must not know: files.

use crate::core::RunId;
use crate::core::board::{BoardCell, LeaderboardRow};
use crate::core::summary::Answer;

use super::answers::{AnswersView, answered, choice, margin, right_ones};
use super::app::App;
use super::board;
use super::board_acts;
use super::export::{Export, number, table as written, words};

fn about(row: &LeaderboardRow) -> Vec<String> {
    let runs: Vec<&str> = row.runs.iter().map(RunId::as_str).collect();
    vec![
        row.cell(),
        row.size.clone(),
        row.corpus.clone(),
        row.contest.split_whitespace().collect::<Vec<_>>().join(" "),
        row.learning_rate.to_string(),
        row.steps.to_string(),
        row.parameters.to_string(),
        row.progress.to_string(),
        row.counts.get("finished").copied().unwrap_or(0).to_string(),
        runs.join(" "),
    ]
}

const ABOUT: [&str; 10] =
    ["cell", "size", "corpus", "contest", "learning_rate", "steps", "parameters", "progress", "finished", "runs"];

fn figures(cell: Option<&BoardCell>) -> [String; 8] {
    [
        number(cell.map(|cell| cell.estimate.mean)),
        number(cell.and_then(|cell| cell.estimate.half_width)),
        number(cell.and_then(|cell| cell.estimate.low)),
        number(cell.and_then(|cell| cell.estimate.high)),
        number(cell.map(|cell| cell.estimate.n)),
        number(cell.and_then(|cell| cell.stderr)),
        number(cell.and_then(|cell| cell.above_chance)),
        cell.map(BoardCell::place_text).unwrap_or_default(),
    ]
}

const FIGURES: [&str; 8] = ["", " half_width", " low", " high", " seeds", " stderr", " above_chance", " place"];

/// The table: the lineages that pass the filter, every column that is not hidden.
pub(super) fn table(app: &App) -> Option<Export> {
    let hidden = &app.remembered.hidden_leaderboard;
    let columns = || app.leaderboard.iter().flat_map(|table| &table.columns).filter(|c| !hidden.contains(&c.key));
    let mut headings = words(&["place"]);
    headings.extend(words(&ABOUT));
    for column in columns() {
        headings.extend(FIGURES.map(|part| format!("{}{part}", column.key)));
    }
    let looked_at = board_acts::looked_at(app);
    let row = |row: &LeaderboardRow| {
        let place = looked_at.and_then(|column| row.cells.get(&column.key)).map(BoardCell::place_text);
        let mut cells = vec![place.unwrap_or_default()];
        cells.extend(about(row));
        for column in columns() {
            cells.extend(figures(row.cells.get(&column.key)));
        }
        cells
    };
    let rows: Vec<Vec<String>> = board_acts::rows(app).into_iter().map(row).collect();
    written("leaderboard", "row", &headings, &rows)
}

/// The matrix: every cell that has a lineage, with the best of them in the column that is looked at.
pub(super) fn matrix(app: &App) -> Option<Export> {
    let column = board_acts::looked_at(app)?;
    let mut headings = words(&["column", "chance", "lineages"]);
    headings.extend(words(&ABOUT));
    headings.extend(FIGURES.map(|part| format!("value{part}")));
    let shown = board_acts::rows(app);
    let of_matrix = board_acts::cells(&shown);
    let mut rows = Vec::new();
    for (_, own) in board::contests(&shown) {
        for architecture in &of_matrix.architectures {
            for objective in &of_matrix.objectives {
                let found = board::in_cell(&own, (*architecture, *objective), Some(column));
                let Some(best) = found.first() else { continue };
                let mut cells = vec![column.key.clone(), number(column.chance), found.len().to_string()];
                cells.extend(about(best));
                cells.extend(figures(best.cells.get(&column.key)));
                rows.push(cells);
            }
        }
    }
    written("matrix", "cell", &headings, &rows)
}

/// The answers that are listed.
pub(super) fn answers(view: &AnswersView) -> Option<Export> {
    let told = view.told.as_ref()?;
    let mut headings = words(&["run", "task", "form", "step", "item", "right"]);
    let about = |answer: &Answer| {
        vec![
            told.run.to_string(),
            told.task.clone(),
            told.form.to_string(),
            told.step.to_string(),
            (answer.document + 1).to_string(),
            number(answer.right),
        ]
    };
    let mut rows = Vec::new();
    if told.answers.iter().any(|answer| answer.written.is_some()) {
        headings.extend(words(&["written", "gold"]));
        for answer in view.shown() {
            let texts = [answered(answer).unwrap_or_default(), right_ones(answer)];
            rows.push(about(answer).into_iter().chain(texts).collect());
        }
        return written("answers", "item", &headings, &rows);
    }
    headings.extend(words(&["predicted", "gold", "margin", "choice", "text", "log_likelihood"]));
    for answer in view.shown() {
        let gold: Vec<String> = answer.gold.iter().map(|at| (at + 1).to_string()).collect();
        for (at, value) in answer.log_likelihoods.iter().enumerate() {
            let scores = [
                number(answer.predicted.map(|at| at + 1)),
                gold.join(" "),
                number(margin(answer)),
                (at + 1).to_string(),
                choice(answer, at),
                value.to_string(),
            ];
            rows.push(about(answer).into_iter().chain(scores).collect());
        }
    }
    written("answers", "choice", &headings, &rows)
}
