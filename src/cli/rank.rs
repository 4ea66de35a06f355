//! `trilab rank`: the ranks of a run's attention and residual stream, as text or JSON.

use anyhow::{Result, bail};

use super::lab::{Lab, ask, block_on, resolve, unexpected};
use super::output::{print, print_json};
use crate::report::rank::text;
use crate::wire::{Reply, Request};

pub(super) fn run(lab: &Lab, name: String, json: bool) -> Result<()> {
    block_on(async {
        let mut connection = lab.look_aloud().await?;
        let Some(run) = resolve(&mut connection, &[name]).await?.pop() else { bail!("no run was named") };
        let history = match ask(&mut connection, Request::GetRank { run }).await? {
            Reply::Rank(history) => history,
            other => return unexpected(&other),
        };
        if json {
            return print_json(&history);
        }
        match text(&history) {
            Some(text) => print(&text),
            None => bail!(
                "run {} has no rank measured yet; it is measured every `probes.rank_every` steps and at the end, \
                 unless that is 0",
                history.run
            ),
        }
    })
}
