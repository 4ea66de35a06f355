//! `trilab` without a command: the dashboard.
use super::lab::Lab;
pub(super) fn run(_lab: &Lab) -> anyhow::Result<()> { Ok(()) }
