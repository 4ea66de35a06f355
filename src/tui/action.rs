//! The words of the keymap: places where a key is pressed, and what a person can want there.
//! Must not know: keys, what an action does.

/// Where a key is pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Lab screen.
    Lab,
    /// Curves screen.
    Curves,
    /// Rank screen.
    Rank,
    /// Leaderboard screen.
    Leaderboard,
    /// All about one run.
    Detail,
    /// Composer: list of shipped studies.
    Chooser,
    /// Composer: the form.
    Form,
    /// Composer: what the study would do.
    Review,
    /// List of keys.
    Help,
    /// List of actions.
    Palette,
    /// A question.
    Confirm,
    /// The filter line has the focus.
    Filter,
    /// A long message.
    Report,
    /// Which columns a table shows.
    Columns,
    /// The answers of a run to a task.
    Answers,
}

impl Place {
    /// All places.
    pub const ALL: [Self; 15] = [
        Self::Lab,
        Self::Curves,
        Self::Rank,
        Self::Leaderboard,
        Self::Detail,
        Self::Chooser,
        Self::Form,
        Self::Review,
        Self::Help,
        Self::Palette,
        Self::Confirm,
        Self::Filter,
        Self::Report,
        Self::Columns,
        Self::Answers,
    ];
}

/// What is wanted of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each verb is described by its row in the table below")]
pub enum Verb {
    PauseOrResume,
    Stop,
    Retry,
    Raise,
    Lower,
    Sooner,
    Later,
    HoldQueue,
}

/// Where to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each movement is described by its row in the table below")]
pub enum Move {
    Up,
    Down,
    Left,
    Right,
    Top,
    Bottom,
    PageUp,
    PageDown,
    NextPane,
    PreviousPane,
    Toggle,
}

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each action is described by its row in the table below")]
pub enum Action {
    /// A verb on runs.
    Verb(Verb),
    /// A movement.
    Move(Move),
    Leave,
    Detach,
    Suspend,
    Redraw,
    Help,
    Palette,
    Back,
    ShowLab,
    ShowCurves,
    ShowRank,
    ShowLeaderboard,
    AddStudy,
    CycleTheme,
    ToggleMouse,
    Open,
    Mark,
    ClearMarks,
    ZoomPane,
    Filter,
    Complete,
    Follow,
    CopyId,
    NextMatch,
    PreviousMatch,
    Export,
    Columns,
    ToggleColumn,
    NextMetric,
    PreviousMetric,
    NextMeasure,
    PreviousMeasure,
    NextAttention,
    NextRun,
    PreviousRun,
    NextAxis,
    LogX,
    LogY,
    SmoothMore,
    SmoothLess,
    FoldSeeds,
    ZoomIn,
    ZoomOut,
    PanLeft,
    PanRight,
    ResetView,
    NextSort,
    ReverseSort,
    NextColumn,
    PreviousColumn,
    NextBudget,
    ToggleMatrix,
    OnlyWrong,
    NextStudy,
    PreviousStudy,
    EditStudy,
    Proceed,
    Yes,
    No,
}
