//! The model: everything the screen shows and where the person is in it.
//! Promises: a value without clock, socket or terminal; the cursor is an id, so a new run never moves it.
//! Must not know: how it is drawn, how frames travel.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::config::{ScreenConfig, Theme};
use crate::core::board::{EqualBudget, Leaderboard};
use crate::core::summary::{Curve, LabSummary, RunDetail, RunSummary};
use crate::core::{Metric, RunId, RunStatus, StudyId};
use crate::wire::{ServerInfo, Topic};

use super::answers::{AnswersView, TaskKey};
use super::board::BoardView;
use super::composer::{Composer, Stage};
use super::filter::Filter;
use super::keymap::Place;
use super::msg::{ComposerDefaults, Remembered, Tab, XAxis};
pub use super::overlay::Overlay;
use super::rank_view::RankView;
use super::series::{DEFAULT_SMOOTHING, SMOOTHING};
use super::text_field::TextField;
use super::theme::{Depth, Palette};

/// How things stand with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not yet heard of.
    Connecting,
    /// There.
    Up(ServerInfo),
    /// Gone; the last values stay on the screen.
    Gone {
        /// Why.
        reason: String,
    },
}

/// What fills the screen.
#[derive(Clone, Debug, PartialEq)]
pub enum Page {
    /// One of the screens with a digit.
    Tab,
    /// One run.
    Detail(Box<DetailView>),
    /// A new study.
    Composer(Box<Composer>),
}

/// The panes of the detail page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetailPane {
    /// Status and spec.
    Spec,
    /// Zero-shot scores.
    Tasks,
    /// What happened.
    Events,
    /// What the model wrote.
    Samples,
    /// What the worker printed.
    Output,
}

impl DetailPane {
    /// All panes, in the order of Tab.
    pub const ALL: [Self; 5] = [Self::Spec, Self::Tasks, Self::Events, Self::Samples, Self::Output];
}

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct DetailView {
    /// Which.
    pub run: RunId,
    /// All about it, once the server has told.
    pub detail: Option<Box<RunDetail>>,
    /// The pane with the focus.
    pub pane: DetailPane,
    /// Lines scrolled, per pane.
    pub scroll: [usize; 5],
    /// Whether the pane has the whole page.
    pub zoomed: bool,
    /// The task under the cursor; the first if absent.
    pub task: Option<TaskKey>,
    /// The answers that lie over the page.
    pub answers: Option<Box<AnswersView>>,
}

/// The Lab screen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabView {
    /// The run under the cursor.
    pub cursor: Option<RunId>,
    /// Whether the list under the cursor has the whole screen.
    pub zoomed: bool,
    /// Whether the cursor follows the run heard of last.
    pub follow: bool,
}

/// The Curves screen.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvesView {
    /// What is drawn.
    pub metric: Metric,
    /// Against what.
    pub x_axis: XAxis,
    /// Logarithmic x.
    pub log_x: bool,
    /// Logarithmic y.
    pub log_y: bool,
    /// Place in [`SMOOTHING`].
    pub smoothing: usize,
    /// Whether seeds are folded.
    pub fold: bool,
    /// x of the reading line.
    pub cursor: Option<f64>,
    /// What part of x is shown; all if absent.
    pub window: Option<(f64, f64)>,
    /// The run under the cursor in the legend.
    pub selected: Option<RunId>,
    /// Column where a drag is.
    pub drag: Option<u16>,
}

/// A line for the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What.
    pub text: String,
    /// Whether something went wrong.
    pub bad: bool,
    /// When it appeared, Unix milliseconds.
    pub at_ms: u64,
}

/// What a request on its way is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pending {
    /// The review page waits for its plan.
    Plan,
    /// A study was submitted.
    Submit,
    /// A verb on runs, in the past tense: `stopped`.
    Verb(&'static str),
    /// The page of answers waits for them.
    Answers,
}

/// The dashboard.
#[derive(Clone, Debug)]
pub struct App {
    /// Columns and rows.
    pub size: (u16, u16),
    /// The clock as last told, Unix milliseconds.
    pub now_ms: u64,
    /// The server.
    pub link: Link,
    /// This machine.
    pub host: String,
    /// The screen.
    pub tab: Tab,
    /// What fills it.
    pub page: Page,
    /// What lies over it.
    pub overlay: Option<Overlay>,
    /// The Lab as last told; absent before.
    pub lab: Option<Box<LabSummary>>,
    /// Place of each run in the Lab.
    pub index: BTreeMap<RunId, usize>,
    /// The table as last told.
    pub leaderboard: Option<Leaderboard>,
    /// Lineage of each run, as far as known.
    pub lineages: BTreeMap<RunId, RunId>,
    /// Curves as last told.
    pub curves: BTreeMap<(RunId, Metric), Curve>,
    /// Marked runs.
    pub marks: BTreeSet<RunId>,
    /// The study that Curves and Leaderboard are narrowed to.
    pub study: Option<StudyId>,
    /// Lab screen.
    pub lab_view: LabView,
    /// Curves screen.
    pub curves_view: CurvesView,
    /// Rank screen.
    pub rank_view: RankView,
    /// Leaderboard screen.
    pub board: BoardView,
    /// The filter as typed.
    pub filter_text: TextField,
    /// The filter as understood.
    pub filter: Filter,
    /// Why it was not understood.
    pub filter_error: Option<String>,
    /// The line for the person.
    pub notice: Option<Notice>,
    /// Colours by choice.
    pub theme: Theme,
    /// Colours by ability.
    pub depth: Depth,
    /// Styles.
    pub palette: Palette,
    /// Braille charts.
    pub braille: bool,
    /// Mouse capture.
    pub mouse: bool,
    /// What the next start should begin with.
    pub remembered: Remembered,
    /// Where the dashboard was started: paths that are typed start here. Empty if that folder is gone.
    pub folder: PathBuf,
    /// What the composer starts from.
    pub defaults: ComposerDefaults,
    /// Requests on their way.
    pub pending: BTreeMap<u64, Pending>,
    /// Id of the next request.
    pub next_id: u64,
    /// What the server was last asked to tell.
    pub subscribed: Option<Vec<Topic>>,
    /// Whether the screen shows something else than the model.
    pub dirty: bool,
}

/// The three lists of the Lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Runs that train.
    Running,
    /// Runs that wait, in queue order.
    Queue,
    /// Runs that ended, the latest first.
    Recent,
}

impl Section {
    /// All, from top to bottom.
    pub const ALL: [Self; 3] = [Self::Running, Self::Queue, Self::Recent];

    /// The list that a run in this state is in.
    #[must_use]
    pub const fn of(status: &RunStatus) -> Self {
        match status {
            RunStatus::Running { .. } => Self::Running,
            RunStatus::Preparing
            | RunStatus::Waiting { .. }
            | RunStatus::Blocked { .. }
            | RunStatus::Queued
            | RunStatus::Paused => Self::Queue,
            RunStatus::Stopped | RunStatus::Finished | RunStatus::Diverged { .. } | RunStatus::Failed { .. } => {
                Self::Recent
            }
        }
    }
}

/// Points that are asked for where they are averaged: thinning keeps extremes, of which no mean can be taken.
const AVERAGED_POINTS: usize = 2_048;
/// The most curves shown when no runs are marked.
const MOST_UNMARKED: usize = 8;

impl App {
    /// The dashboard before anything is known.
    #[must_use]
    pub fn new(config: &ScreenConfig, remembered: Remembered, defaults: ComposerDefaults, depth: Depth) -> Self {
        let theme = remembered.theme.unwrap_or(config.theme);
        let curves_view = CurvesView {
            metric: Metric::Loss,
            x_axis: remembered.x_axis,
            log_x: false,
            log_y: false,
            smoothing: remembered.smoothing.unwrap_or(DEFAULT_SMOOTHING).min(SMOOTHING.len() - 1),
            fold: remembered.fold_seeds,
            cursor: None,
            window: None,
            selected: None,
            drag: None,
        };
        Self {
            size: (80, 24),
            now_ms: 0,
            link: Link::Connecting,
            host: String::new(),
            tab: remembered.screen,
            page: Page::Tab,
            overlay: None,
            lab: None,
            index: BTreeMap::new(),
            leaderboard: None,
            lineages: BTreeMap::new(),
            curves: BTreeMap::new(),
            marks: BTreeSet::new(),
            study: None,
            lab_view: LabView::default(),
            curves_view,
            rank_view: RankView::new(remembered.rank_measure),
            board: BoardView::default(),
            folder: PathBuf::new(),
            filter_text: TextField::default(),
            filter: Filter::default(),
            filter_error: None,
            notice: None,
            theme,
            depth,
            palette: Palette::new(theme, depth),
            braille: config.braille,
            mouse: remembered.mouse.unwrap_or(config.mouse),
            remembered,
            defaults,
            pending: BTreeMap::new(),
            next_id: 1,
            subscribed: None,
            dirty: true,
        }
    }

    /// Where a key would be pressed now.
    #[must_use]
    pub const fn place(&self) -> Place {
        match &self.overlay {
            Some(Overlay::Help { .. }) => Place::Help,
            Some(Overlay::Palette { .. }) => Place::Palette,
            Some(Overlay::Confirm { .. }) => Place::Confirm,
            Some(Overlay::Filter) => Place::Filter,
            Some(Overlay::Report { .. }) => Place::Report,
            Some(Overlay::Columns { .. }) => Place::Columns,
            None => self.page_place(),
        }
    }

    /// Where a key would be pressed if nothing lay over the page.
    #[must_use]
    pub const fn page_place(&self) -> Place {
        match &self.page {
            Page::Detail(view) if view.answers.is_some() => Place::Answers,
            Page::Detail(_) => Place::Detail,
            Page::Composer(composer) => match composer.stage {
                Stage::Choose => Place::Chooser,
                Stage::Form => Place::Form,
                Stage::Review => Place::Review,
            },
            Page::Tab => match self.tab {
                Tab::Lab => Place::Lab,
                Tab::Curves => Place::Curves,
                Tab::Rank => Place::Rank,
                Tab::Leaderboard => Place::Leaderboard,
            },
        }
    }

    /// All runs, in the server's order.
    #[must_use]
    pub fn runs(&self) -> &[RunSummary] {
        self.lab.as_ref().map_or(&[], |lab| &lab.runs)
    }

    /// The row of a run.
    #[must_use]
    pub fn run(&self, id: &RunId) -> Option<&RunSummary> {
        self.runs().get(*self.index.get(id)?)
    }

    /// The runs of one list of the Lab that pass the filter, in the order shown.
    #[must_use]
    pub fn section(&self, section: Section) -> Vec<&RunSummary> {
        let of_it = |run: &&RunSummary| Section::of(&run.status) == section && self.filter.keeps_run(run);
        let mut runs: Vec<&RunSummary> = self.runs().iter().filter(of_it).collect();
        match section {
            Section::Running => runs.sort_by(|a, b| (a.queued_ms, &a.id).cmp(&(b.queued_ms, &b.id))),
            Section::Queue => runs.sort_by_key(|run| run.queue_position.unwrap_or(usize::MAX)),
            Section::Recent => runs.sort_by(|a, b| (b.last_event_ms, &b.id).cmp(&(a.last_event_ms, &a.id))),
        }
        runs
    }

    /// The runs whose curves are shown: the marked ones, else those of the study, else the newest that have begun.
    #[must_use]
    pub fn shown_curves(&self) -> Vec<&RunSummary> {
        let marked: Vec<&RunSummary> = self.runs().iter().filter(|run| self.marks.contains(&run.id)).collect();
        if !marked.is_empty() {
            return in_stable_order(marked);
        }
        let mut begun: Vec<&RunSummary> = self
            .runs()
            .iter()
            .filter(|run| run.step > 0 && self.study.as_ref().is_none_or(|study| run.studies.contains(study)))
            .collect();
        if self.study.is_none() {
            begun.sort_by(|a, b| (b.queued_ms, &b.id).cmp(&(a.queued_ms, &a.id)));
            begun.truncate(MOST_UNMARKED);
        }
        in_stable_order(begun)
    }

    /// The recipe of the Curves screen.
    #[must_use]
    pub fn recipe(&self) -> super::series::Recipe {
        let view = &self.curves_view;
        super::series::Recipe {
            metric: view.metric,
            x_axis: view.x_axis,
            // Only what is measured at every step is noise enough to average.
            smoothing: if matches!(view.metric, Metric::Loss | Metric::GradNorm | Metric::TokensPerSecond) {
                SMOOTHING.get(view.smoothing).copied().unwrap_or(0)
            } else {
                0
            },
            fold: view.fold,
        }
    }

    /// What Curves draws.
    #[must_use]
    pub fn series(&self) -> Vec<super::series::Series> {
        super::series::collect(&self.shown_curves(), &self.curves, &self.lineages, &self.recipe())
    }

    /// What is on the screen, in the server's words.
    #[must_use]
    pub fn wanted(&self) -> Vec<Topic> {
        let dots = usize::from(self.size.0).clamp(40, 512) * 2;
        let curve = |run: &RunId, metric| Topic::Curves { runs: vec![run.clone()], metric, width: dots };
        let mut topics = vec![Topic::Lab];
        match &self.page {
            Page::Detail(view) => topics.extend([
                Topic::Run { run: view.run.clone() },
                Topic::Curves { runs: vec![view.run.clone()], metric: Metric::Loss, width: dots.max(AVERAGED_POINTS) },
                curve(&view.run, Metric::ValidationLoss),
            ]),
            Page::Composer(_) => {}
            Page::Tab => match self.tab {
                Tab::Lab => {}
                Tab::Leaderboard => {
                    topics.push(Topic::Leaderboard { study: self.study.clone(), budget: self.board.budget });
                }
                Tab::Rank => topics.extend(self.rank_view.run.clone().map(|run| Topic::Rank { run })),
                Tab::Curves => {
                    let runs: Vec<RunId> = self.shown_curves().iter().map(|run| run.id.clone()).collect();
                    if !runs.is_empty() {
                        let width = dots * self.magnification();
                        let width = if self.recipe().smoothing > 0 { width.max(AVERAGED_POINTS) } else { width };
                        topics.push(Topic::Curves { runs, metric: self.curves_view.metric, width });
                    }
                    // Which runs differ by their seed alone is known by the table.
                    if self.curves_view.fold {
                        topics.push(Topic::Leaderboard { study: None, budget: EqualBudget::AsTrained });
                    }
                }
            },
        }
        topics
    }

    /// How many times more points a zoomed window needs, as a power of two so that panning does not ask again.
    fn magnification(&self) -> usize {
        let (Some((low, high)), Some((first, last))) = (self.curves_view.window, self.x_range()) else { return 1 };
        let times = (last - first) / (high - low).max(f64::MIN_POSITIVE);
        (times.clamp(1.0, 32.0).ceil() as usize).next_power_of_two()
    }

    /// Least and largest x of what Curves draws.
    #[must_use]
    pub fn x_range(&self) -> Option<(f64, f64)> {
        let axis = self.curves_view.x_axis;
        let places = self.shown_curves().into_iter().filter_map(|run| {
            let points = &self.curves.get(&(run.id.clone(), self.curves_view.metric))?.points;
            let x = |point| super::series::x_of(point, run, axis);
            Some((x(points.first()?), x(points.last()?)))
        });
        places.reduce(|(low, high), (first, last)| (low.min(first), high.max(last)))
    }
}

fn in_stable_order(mut runs: Vec<&RunSummary>) -> Vec<&RunSummary> {
    runs.sort_by(|a, b| {
        (a.architecture, a.objective, &a.size, a.seed, &a.id).cmp(&(
            b.architecture,
            b.objective,
            &b.size,
            b.seed,
            &b.id,
        ))
    });
    runs
}
