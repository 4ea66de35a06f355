//! `trilab leaderboard`: the screen as text, CSV or JSON.

use anyhow::Result;

use super::lab::{Lab, unexpected};
use super::output::{print, print_json};
use crate::core::StudyId;
use crate::report::leaderboard::table;
use crate::wire::{Reply, Request};

pub(super) fn run(lab: &Lab, study: Option<StudyId>, json: bool, csv: bool) -> Result<()> {
    let board = match lab.ask(Request::GetLeaderboard { study })? {
        Reply::Leaderboard(board) => board,
        other => return unexpected(&other),
    };
    match (json, csv) {
        (true, _) => print_json(&board),
        (false, true) => print(&table(&board).csv()),
        (false, false) => print(&table(&board).text()),
    }
}
