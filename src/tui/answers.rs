//! The scores of a run by task, and its answers to one task: cursors, the filter for wrong answers, margins. Pure.
//! Promises: a cursor stays on its task and on its item. Must not know: how they are drawn, which keys there are.

use crate::core::summary::{Answer, RunDetail, TaskAnswers};
use crate::core::task::{ScoringForm, TaskMetric, TaskRecord, TaskScore};
use crate::wire::Request;

use super::app::{App, DetailPane, DetailView, Page, Pending};
use super::msg::Effect;
use super::update::send;

/// What names a task of a run.
pub type TaskKey = (ScoringForm, String);

/// The answers of a run to a task.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswersView {
    /// Task and form.
    pub task: TaskKey,
    /// The answers, once the server has told.
    pub told: Option<Box<TaskAnswers>>,
    /// Why there are none.
    pub problem: Option<String>,
    /// Document of the item under the cursor.
    pub cursor: usize,
    /// Whether only wrong answers are listed.
    pub only_wrong: bool,
    /// Whether movements scroll the item and not the list.
    pub reading: bool,
    /// Lines of the item scrolled.
    pub scroll: usize,
}

impl AnswersView {
    /// The items of the list.
    #[must_use]
    pub fn shown(&self) -> Vec<&Answer> {
        let kept = |answer: &&Answer| !self.only_wrong || answer.right == Some(false);
        self.told.iter().flat_map(|told| &told.answers).filter(kept).collect()
    }

    /// The place of the cursor in the list: its item, or the nearest that is shown.
    #[must_use]
    pub fn place(&self, shown: &[&Answer]) -> Option<usize> {
        let distance = |answer: &&Answer| answer.document.abs_diff(self.cursor);
        (0..shown.len()).min_by_key(|at| shown.get(*at).map_or(usize::MAX, distance))
    }

    /// How many are right, and of how many that can be right or wrong.
    #[must_use]
    pub fn right(&self) -> (usize, usize) {
        let judged = self.told.iter().flat_map(|told| &told.answers).filter_map(|answer| answer.right);
        judged.fold((0, 0), |(right, all), this| (right + usize::from(this), all + 1))
    }

    fn select(&mut self, at: usize) {
        if let Some(document) = self.shown().get(at).map(|answer| answer.document) {
            self.scroll = if document == self.cursor { self.scroll } else { 0 };
            self.cursor = document;
        }
    }
}

/// The answers on the screen.
#[must_use]
pub fn of_page(page: &Page) -> Option<&AnswersView> {
    match page {
        Page::Detail(view) => view.answers.as_deref(),
        Page::Tab | Page::Composer(_) => None,
    }
}

/// Log-likelihood of the best right choice over that of the best wrong one, nats: above 0 where the answer is right.
#[must_use]
pub fn margin(answer: &Answer) -> Option<f64> {
    let best = |wanted: bool| {
        let of_it = answer.log_likelihoods.iter().enumerate().filter(|(at, _)| answer.gold.contains(at) == wanted);
        of_it.map(|(_, value)| *value).max_by(|a, b| a.total_cmp(b))
    };
    Some(best(true)? - best(false)?)
}

/// The choice at `at` as a line of text, or its number where texts are missing.
#[must_use]
pub fn choice(answer: &Answer, at: usize) -> String {
    let text = answer.choices.get(at).map(|text| line(text));
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| format!("choice {}", at + 1))
}

/// What was answered as a line of text: the choice, or what was written.
#[must_use]
pub fn answered(answer: &Answer) -> Option<String> {
    answer.written.as_deref().map(line).or_else(|| answer.predicted.map(|at| choice(answer, at)))
}

/// The right answers as a line of text.
#[must_use]
pub fn right_ones(answer: &Answer) -> String {
    if answer.written.is_some() {
        return answer.choices.iter().map(|text| line(text)).collect::<Vec<_>>().join(" | ");
    }
    answer.gold.iter().map(|at| choice(answer, *at)).collect::<Vec<_>>().join(" | ")
}

fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The score that a task is judged by: accuracy, or the first there is.
#[must_use]
pub fn headline(record: &TaskRecord) -> Option<(TaskMetric, TaskScore)> {
    TaskMetric::ALL.into_iter().find_map(|metric| record.scores.get(&metric).map(|score| (metric, *score)))
}

/// Whether a score is more than two standard errors above chance; `false` where that cannot be said.
#[must_use]
pub fn beats_chance(score: &TaskScore) -> bool {
    score.chance.zip(score.stderr).is_some_and(|(chance, stderr)| score.value > chance + 2.0 * stderr)
}

/// The tasks of a run, by form, family and name.
#[must_use]
pub fn tasks(detail: &RunDetail) -> Vec<&TaskRecord> {
    let mut all: Vec<&TaskRecord> = detail.tasks.iter().collect();
    let key = |record: &TaskRecord| (record.form, record.family().to_owned(), record.task.clone());
    all.sort_by_cached_key(|record| key(record));
    all
}

/// The place of the cursor among `tasks`.
#[must_use]
pub fn task_place(view: &DetailView, tasks: &[&TaskRecord]) -> Option<usize> {
    let at = |(form, name): &TaskKey| tasks.iter().position(|task| task.form == *form && task.task == *name);
    view.task.as_ref().and_then(at).or_else(|| (!tasks.is_empty()).then_some(0))
}

/// The panes of a run that there is something to show in, in the order of Tab.
#[must_use]
pub fn panes(view: &DetailView) -> Vec<DetailPane> {
    let asked =
        view.detail.as_ref().is_some_and(|detail| !detail.tasks.is_empty() || !detail.spec.probes.zero_shot.is_empty());
    DetailPane::ALL.into_iter().filter(|pane| *pane != DetailPane::Tasks || asked).collect()
}

/// Move the cursor of the tasks.
pub(super) fn step_tasks(view: &mut DetailView, by: i64) {
    let Some(detail) = &view.detail else { return };
    let tasks = tasks(detail);
    let at = moved(task_place(view, &tasks).unwrap_or(0), by, tasks.len());
    let key = tasks.get(at).map(|task| (task.form, task.task.clone()));
    view.task = key;
}

/// List only wrong answers, or all.
pub(super) fn toggle_wrong(app: &mut App) {
    if let Page::Detail(view) = &mut app.page
        && let Some(shown) = &mut view.answers
    {
        shown.only_wrong = !shown.only_wrong;
        shown.reading = false;
        shown.scroll = 0;
    }
}

/// Move the cursor of the list, or scroll the item.
pub(super) fn step(view: &mut AnswersView, by: i64) {
    if view.reading {
        // Where the text ends is known when it is drawn.
        view.scroll = moved(view.scroll, by, 1 << 20);
        return;
    }
    let shown = view.shown();
    let at = moved(view.place(&shown).unwrap_or(0), by, shown.len());
    view.select(at);
}

fn moved(at: usize, by: i64, count: usize) -> usize {
    let last = count.saturating_sub(1) as i64;
    usize::try_from((at as i64).saturating_add(by).clamp(0, last)).unwrap_or(0)
}

/// Put the cursor of the list on a place of it.
pub(super) fn select(view: &mut AnswersView, at: usize) {
    view.reading = false;
    view.select(at);
}

/// Whether Enter on the page of a run has answers to ask for.
#[must_use]
pub fn can_open(view: &DetailView) -> bool {
    let any = view.detail.as_ref().is_some_and(|detail| !detail.tasks.is_empty());
    view.pane == DetailPane::Tasks && any && view.answers.is_none()
}

/// Open the answers to the task under the cursor.
pub(super) fn open(app: &mut App, effects: &mut Vec<Effect>) {
    let Page::Detail(view) = &mut app.page else { return };
    let Some(detail) = view.detail.as_ref().filter(|_| can_open(view)) else { return };
    let tasks = tasks(detail);
    let chosen = task_place(view, &tasks).and_then(|at| tasks.get(at));
    let Some((form, task)) = chosen.map(|task| (task.form, task.task.clone())) else { return };
    view.task = Some((form, task.clone()));
    view.answers = Some(Box::new(AnswersView {
        task: (form, task.clone()),
        told: None,
        problem: None,
        cursor: 0,
        only_wrong: false,
        reading: false,
        scroll: 0,
    }));
    let request = Request::GetAnswers { run: view.run.clone(), task, form };
    send(app, request, Some(Pending::Answers), effects);
}

/// The answers came.
pub(super) fn take(app: &mut App, told: Box<TaskAnswers>) {
    if let Page::Detail(view) = &mut app.page
        && view.run == told.run
        && let Some(answers) = &mut view.answers
        && answers.task == (told.form, told.task.clone())
    {
        answers.told = Some(told);
        answers.problem = None;
        answers.select(0);
    }
}

/// They do not come; false if nobody waits for them any more.
pub(super) fn fail(app: &mut App, problem: String) -> bool {
    match &mut app.page {
        Page::Detail(view) => match &mut view.answers {
            Some(answers) if answers.told.is_none() => {
                answers.problem = Some(problem);
                true
            }
            Some(_) | None => false,
        },
        Page::Tab | Page::Composer(_) => false,
    }
}

/// The item under the cursor as text, to be copied.
#[must_use]
pub fn copied(view: &AnswersView) -> Option<String> {
    let (run, shown) = (&view.told.as_ref()?.run, view.shown());
    let answer = shown.get(view.place(&shown)?)?;
    let mut lines = vec![format!("run {run}, task {} ({}), item {}", view.task.1, view.task.0, answer.document + 1)];
    lines.extend(answer.context.clone());
    for (at, value) in answer.log_likelihoods.iter().enumerate() {
        let [predicted, right] = marks(answer, at);
        lines.push(format!("{predicted}{right} {value:.4} {}", choice(answer, at)));
    }
    if let Some(written) = &answer.written {
        lines.push(format!("written: {}", line(written)));
        lines.push(format!("right: {}", right_ones(answer)));
    }
    Some(lines.join("\n"))
}

/// The marks of a choice: predicted, right.
#[must_use]
pub fn marks(answer: &Answer, at: usize) -> [&'static str; 2] {
    let predicted = answer.predicted == Some(at);
    [if predicted { "▸" } else { " " }, if answer.gold.contains(&at) { "✓" } else { " " }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(document: usize, log_likelihoods: &[f64], gold: &[usize], right: Option<bool>) -> Answer {
        Answer {
            document,
            context: None,
            choices: Vec::new(),
            log_likelihoods: log_likelihoods.to_vec(),
            predicted: None,
            gold: gold.to_vec(),
            written: None,
            right,
        }
    }

    #[test]
    fn a_margin_is_above_zero_where_the_answer_is_right() {
        assert_eq!(margin(&answer(0, &[-1.0, -3.0, -2.0], &[0], Some(true))), Some(1.0));
        assert_eq!(margin(&answer(0, &[-1.0, -3.0, -2.0], &[1, 2], Some(false))), Some(-1.0));
        assert_eq!(margin(&answer(0, &[-1.0], &[], None)), None, "nothing was chosen");
        assert_eq!(margin(&answer(0, &[-1.0], &[0], Some(true))), None, "nothing to choose from");
    }

    #[test]
    fn the_cursor_stays_near_its_item_when_right_answers_go() {
        let right = [true, false, true, true, false];
        let answers = right.iter().enumerate().map(|(at, right)| answer(at, &[-1.0], &[0], Some(*right))).collect();
        let told = TaskAnswers {
            run: "0123456789ab".parse().unwrap(),
            task: "t".to_owned(),
            form: ScoringForm::Plain,
            step: 1,
            answers,
            notice: None,
        };
        let mut view = AnswersView {
            task: (ScoringForm::Plain, "t".to_owned()),
            told: Some(Box::new(told)),
            problem: None,
            cursor: 3,
            only_wrong: true,
            reading: false,
            scroll: 2,
        };
        let documents = |view: &AnswersView| view.shown().iter().map(|answer| answer.document).collect::<Vec<_>>();
        assert_eq!((documents(&view), view.place(&view.shown())), (vec![1, 4], Some(1)));
        step(&mut view, -1);
        assert_eq!((view.cursor, view.scroll), (1, 0));
        view.only_wrong = false;
        step(&mut view, 100);
        assert_eq!((view.cursor, view.right()), (4, (3, 5)));
    }
}
