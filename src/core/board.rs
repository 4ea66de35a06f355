//! The leaderboard as a value: lineages with their seeds folded, columns, places and ties. The store computes it, the
//! wire carries it, the dashboard draws it and the command line prints it.
//! Promises: what averages over different targets never shares a column. Must not know: how a tie is tested.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::architecture::Architecture;
use super::cell::{cell_label, lineage_label};
use super::id::{RunId, StudyId};
use super::metric::{Direction, Metric};
use super::objective::Objective;

/// Mean over seeds, and its 95 % interval where there are two values or more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Mean.
    pub mean: f64,
    /// Half width of an interval that is as long on either side (Student's t); absent where there is none, or where it is not,
    /// because what is measured has bounds.
    pub half_width: Option<f64>,
    /// Where the interval begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Where it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// How many values.
    pub n: usize,
}

impl Estimate {
    /// `[.412,.963]`: an interval that is not as long on either side. What is left out of a number is a zero before its point, or
    /// the last digit of one that has none to leave out, so that the ends of shares are equally long.
    #[must_use]
    pub fn brackets(&self, decimals: usize) -> Option<String> {
        let (low, high) = self.low.zip(self.high).filter(|_| self.half_width.is_none())?;
        let short = |value: f64| {
            let text = format!("{value:.decimals$}");
            let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
            match (digits.strip_prefix("0."), decimals) {
                (Some(share), _) => format!("{sign}.{share}"),
                (None, 0 | 1) => text,
                (None, _) => format!("{value:.0$}", decimals - 1),
            }
        };
        Some(format!("[{},{}]", short(low), short(high)))
    }
}

/// What lineages must have in common to be compared. Each value is the last one measured within the budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EqualBudget {
    /// Nothing: every lineage as far as it was trained.
    #[default]
    AsTrained,
    /// Places are given among lineages whose parameter counts differ by 10 % at most.
    Parameters,
    /// As many training FLOPs as every lineage has spent.
    Flops,
    /// As many training positions as every lineage has seen.
    Tokens,
    /// As many training seconds as every lineage has taken.
    WallClock,
}

impl EqualBudget {
    /// All, in the order of the switch.
    pub const ALL: [Self; 5] = [Self::AsTrained, Self::Parameters, Self::Flops, Self::Tokens, Self::WallClock];

    /// The word of the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AsTrained => "as-trained",
            Self::Parameters => "parameters",
            Self::Flops => "flops",
            Self::Tokens => "tokens",
            Self::WallClock => "wall-clock",
        }
    }

    /// In words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::AsTrained => "as trained",
            Self::Parameters => "equal parameters",
            Self::Flops => "equal FLOPs",
            Self::Tokens => "equal tokens",
            Self::WallClock => "equal training time",
        }
    }
}

impl FromStr for EqualBudget {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|budget| budget.name() == text).ok_or_else(|| format!("use one of {}", known()))
    }
}

impl fmt::Display for EqualBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What kind of number a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// A metric that means the same for every objective.
    Metric,
    /// A validation loss, of one objective: it averages over that objective's own targets.
    OwnLoss,
    /// A mean over the zero-shot tasks that runs asked themselves, because their studies say so.
    ZeroShot,
    /// One family of zero-shot tasks that runs asked themselves.
    Family,
    /// One family of zero-shot tasks that runs were asked later, by `trilab eval`: no part of any mean.
    Later,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoardColumn {
    /// Its name in files and on the command line.
    pub key: String,
    /// Its short heading.
    pub heading: String,
    /// Unit; empty if it has none.
    pub unit: String,
    /// Which way is better.
    pub direction: Direction,
    /// Digits after the point.
    pub decimals: usize,
    /// What guessing reaches, where something is chosen.
    pub chance: Option<f64>,
    /// Kind.
    pub kind: ColumnKind,
    /// What a mean over zero-shot tasks is taken over: families of wordings, and tasks that are wordings of nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<String>,
}

/// What is known of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Footing {
    /// Nobody shares its place.
    Clear,
    /// It shares its place: a paired test over seeds, and over items where there are some, finds as many rows clearly
    /// better than the others of its place (p < 0.05).
    Tied,
    /// Too few seeds in common for a test: the order of the means is all there is.
    Untested,
}

/// A number of a row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoardCell {
    /// Over seeds.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Standard error of the mean over items and seeds, where there are items.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stderr: Option<f64>,
    /// (mean − chance) / (1 − chance), where there is a chance level.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub above_chance: Option<f64>,
    /// One more than the number of rows of its contest that are clearly better; never above a row with a better mean.
    pub place: usize,
    /// How sure that is.
    pub footing: Footing,
}

impl BoardCell {
    /// `1`, `2=` for a tie, `1?` where nothing could be tested.
    #[must_use]
    pub fn place_text(&self) -> String {
        let mark = match self.footing {
            Footing::Clear => "",
            Footing::Tied => "=",
            Footing::Untested => "?",
        };
        format!("{}{mark}", self.place)
    }

    /// Whether the mean is more than two standard errors above `chance`; `None` without an error.
    #[must_use]
    pub fn beats(&self, chance: f64) -> Option<bool> {
        self.stderr.map(|stderr| self.estimate.mean > chance + 2.0 * stderr)
    }
}

/// A lineage: one cell with its seeds folded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeaderboardRow {
    /// Id of the lineage: the content without the seed.
    pub lineage: RunId,
    /// Wiring.
    pub architecture: Architecture,
    /// Objective.
    pub objective: Objective,
    /// Cells of its earlier stages, the first first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<String>,
    /// The one task that it is finetuned on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// What its study calls its last stage, where another row is called the same otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// `d128 L4 h4x32 n128`.
    pub size: String,
    /// Corpus.
    pub corpus: String,
    /// What it shares with the rows it is ranked against: the corpus, and the number of parameters where those must be equal.
    pub contest: String,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Steps asked for.
    pub steps: u64,
    /// Parameters.
    pub parameters: u64,
    /// Share of its budget that is done, over all seeds, 0 to 1.
    pub progress: f64,
    /// Runs by status word.
    pub counts: BTreeMap<String, usize>,
    /// Every metric, folded over the seeds that have it, as trained.
    pub metrics: BTreeMap<Metric, Estimate>,
    /// The numbers of the table, by the key of their column.
    pub cells: BTreeMap<String, BoardCell>,
    /// Its runs, by seed.
    pub runs: Vec<RunId>,
    /// The studies that these are of.
    #[serde(default)]
    pub studies: BTreeSet<StudyId>,
}

impl LeaderboardRow {
    /// `ED:MLM`, or with its earlier stages `ED:MLM→MTF`; where only the name of its stage tells it from another row,
    /// `ED:MLM→MTF [mtf_2]`.
    #[must_use]
    pub fn cell(&self) -> String {
        let own = cell_label(self.architecture, self.objective, self.task.as_deref());
        let stage = self.stage.as_ref().map_or_else(String::new, |stage| format!(" [{stage}]"));
        lineage_label(self.earlier.iter().map(String::as_str).chain([own.as_str()])) + &stage
    }
}

/// The table of lineages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Leaderboard {
    /// The study it was asked for; absent for the whole lab.
    pub study: Option<StudyId>,
    /// What was made equal.
    pub budget: EqualBudget,
    /// The common budget: FLOPs, positions or seconds; absent if nothing had to be cut.
    pub budget_at: Option<f64>,
    /// Columns, in order.
    pub columns: Vec<BoardColumn>,
    /// What a person should know of the columns, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
    /// Rows, the best in the first column first.
    pub rows: Vec<LeaderboardRow>,
}

impl Leaderboard {
    /// The column of that key or heading; the message lists what there is.
    ///
    /// # Errors
    /// There is no such column.
    pub fn column(&self, name: &str) -> Result<&BoardColumn, String> {
        let named = |column: &&BoardColumn| column.key == name || column.heading == name;
        self.columns.iter().find(named).ok_or_else(|| {
            let known: Vec<&str> = self.columns.iter().map(|column| column.key.as_str()).collect();
            format!("there is no column `{name}`; columns are {}", known.join(", "))
        })
    }

    /// Brings the rows into the order of a column, best first, contests apart, rows without a value last.
    pub fn sort_by(&mut self, column: &BoardColumn) {
        let better = |row: &LeaderboardRow| {
            row.cells.get(&column.key).map_or(f64::INFINITY, |cell| match column.direction {
                Direction::Lower | Direction::Neutral => cell.estimate.mean,
                Direction::Higher => -cell.estimate.mean,
            })
        };
        self.rows.sort_by(|a, b| {
            a.contest
                .cmp(&b.contest)
                .then(better(a).total_cmp(&better(b)))
                .then_with(|| (a.architecture, a.objective, &a.lineage).cmp(&(b.architecture, b.objective, &b.lineage)))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_called_as_they_are_typed() {
        for budget in EqualBudget::ALL {
            assert_eq!(budget.name().parse(), Ok(budget));
        }
        assert!("time".parse::<EqualBudget>().unwrap_err().contains("wall-clock"));
    }

    #[test]
    fn brackets_are_equally_long() {
        let of = |low, high| Estimate { mean: 0.9, low: Some(low), high: Some(high), n: 3, half_width: None };
        assert_eq!(of(0.4123, 0.9634).brackets(3).unwrap(), "[.412,.963]");
        assert_eq!(of(0.0, 1.0).brackets(3).unwrap(), "[.000,1.00]");
        assert_eq!(of(-0.25, 0.5).brackets(3).unwrap(), "[-.250,.500]");
        assert_eq!(of(9.5, 12.25).brackets(2).unwrap(), "[9.5,12.2]");
        assert_eq!(Estimate { half_width: Some(0.1), ..of(0.8, 1.0) }.brackets(3), None);
    }

    #[test]
    fn a_place_says_how_sure_it_is() {
        let estimate = Estimate { mean: 0.6, half_width: Some(0.1), n: 3, ..Estimate::default() };
        let cell = |footing| BoardCell { estimate, stderr: Some(0.04), above_chance: None, place: 2, footing };
        assert_eq!([Footing::Clear, Footing::Tied, Footing::Untested].map(|f| cell(f).place_text()), ["2", "2=", "2?"]);
        assert_eq!((cell(Footing::Tied).beats(0.5), cell(Footing::Tied).beats(0.53)), (Some(true), Some(false)));
    }
}
