//! `trilab doctor`: every file of the home against what was written.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Result;

use super::lab::Lab;
use super::output::{print, print_json};
use crate::core::visible::visible;
use crate::doctor::{Care, Report, examine};

pub(super) fn run(lab: &Lab, repair: bool, json: bool) -> Result<ExitCode> {
    let report = examine(&lab.home, repair, &mut |_| {})?;
    if json {
        print_json(&report)?
    } else {
        print(&text(&report))?
    }
    Ok(if report.leaves_damage() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let (mut mended, mut mendable) = (0, 0);
    for finding in &report.findings {
        let (word, how) = match &finding.care {
            Care::Mended(how) => ("mended", how),
            Care::Mendable(how) => ("mendable", how),
            Care::Person(how) => ("damaged", how),
        };
        mended += usize::from(word == "mended");
        mendable += usize::from(word == "mendable");
        let path = finding.path.display().to_string();
        // The findings of a part begin with the path of the file, which may be that of the whole.
        _ = writeln!(
            text,
            "{word:<9} {}\n          {}\n          {}",
            visible(&path),
            visible(&finding.what),
            visible(how)
        );
    }
    let unsealed = match report.unsealed {
        0 => String::new(),
        count => format!("; {count} of an earlier version have no checksums"),
    };
    let (files, found) = (report.files, report.findings.len());
    _ = writeln!(text, "{files} files and folders read, {found} damaged, {mended} mended{unsealed}");
    if mendable > 0 {
        text += "`trilab doctor --repair` mends what is mendable\n";
    }
    text
}
