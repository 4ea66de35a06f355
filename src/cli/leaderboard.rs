//! `trilab leaderboard`: the screen as text, Markdown, CSV or JSON.

use anyhow::{Result, anyhow};

use super::arguments::TableFormat;
use super::lab::{Lab, unexpected};
use super::output::{print, print_data, print_json};
use crate::core::StudyId;
use crate::core::board::EqualBudget;
use crate::report::leaderboard::{csv, markdown, text};
use crate::wire::{Reply, Request};

pub(super) fn run(
    lab: &Lab,
    study: Option<StudyId>,
    budget: EqualBudget,
    sort: Option<&str>,
    format: TableFormat,
) -> Result<()> {
    let mut board = match lab.ask_to_look(Request::GetLeaderboard { study, budget })? {
        Reply::Leaderboard(board) => board,
        other => return unexpected(&other),
    };
    if let Some(name) = sort {
        let column = board.column(name).map_err(|reason| anyhow!("could not sort the leaderboard: {reason}"))?.clone();
        board.sort_by(&column);
    }
    if format.json {
        print_json(&board)
    } else if format.csv {
        print_data(&csv(&board))
    } else if format.markdown {
        print_data(&markdown(&board, sort))
    } else {
        print(&text(&board, sort))
    }
}
