//! Every cell of the comparison, queued as one study and trained by the real program, with stages, tasks and answers.

use std::collections::BTreeSet;
use std::fmt::Write;

use trilab::core::{Architecture, Objective, RunEvent, legal};

use super::lab::Lab;
use super::records::all_events;

/// Few steps of small models; every parameter without a gradient would be an error.
const MICRO: &str = "name = 'all-cells'\n\
    [corpus]\npaths = ['shipped:world?level=1&documents=400']\ntokenizer = 'bpe:400'\n\
    [model]\nd_model = 16\nnum_layers = 2\nnum_heads = 2\nd_ff = 24\n\
    [training]\nseq_len = 48\nbatch_size = 4\nwarmup_steps = 1\n[budget]\nsteps = 4\n\
    [probes]\nvalidation_every = 4\nvalidation_examples = 4\nrank_every = 4\nsample_every = 4\nsample_tokens = 4\n\
    zero_shot = ['order.yaml', 'span.yaml']\nzero_shot_every = 0\n\
    [stages.mtf]\nobjective = 'MTF'\ndropout = 0.1\ntasks = ['shipped:write_classification', 'shipped:write_span']\nheld_out = ['write_span']\nexamples = 12\n\
    [stages.ft]\nobjective = 'FT'\ndropout = 0.1\ntasks = ['shipped:write_span']\nexamples = 20\n";

/// Shipped tasks of both kinds with a few items each: many items would tell no more of a cell.
const TASKS: [(&str, &str); 2] = [
    ("order.yaml", include_str!("../../data/tasks/world_order_0.yaml")),
    ("span.yaml", include_str!("../../data/tasks/write_span.yaml")),
];

fn with_few_items(task: &str) -> String {
    let line = |line: &str| if line.starts_with("  count: ") { "  count: 4".to_owned() } else { line.to_owned() };
    task.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_study_of_all_cells_finishes() {
    let lab = Lab::new();
    let mut study = MICRO.to_owned();
    let all = Architecture::ALL.into_iter().flat_map(|a| Objective::ALL.into_iter().map(move |o| (a, o)));
    let cells = all.filter(|(_, o)| *o != Objective::Mixture && !o.is_prompted());
    let cells: Vec<_> = cells.filter(|(a, o)| legal::usual(*a, *o).is_ok()).collect();
    let mut lineages: Vec<String> = cells.iter().map(|(a, o)| format!("{a}:{o}")).collect();
    let mut seen = BTreeSet::new();
    for (architecture, objective) in cells.iter().filter(|(a, _)| *a != Architecture::EncoderOnly && seen.insert(*a)) {
        lineages.extend(["mtf", "ft"].map(|stage| format!("{architecture}:{objective} > {stage}")));
    }
    writeln!(study, "[grid]\nlineages = {lineages:?}").unwrap();
    std::fs::write(lab.folder().join("all.toml"), study).unwrap();
    for (name, task) in TASKS {
        std::fs::write(lab.folder().join(name), with_few_items(task)).unwrap();
    }
    let done = lab.run(&["study", "submit", "all.toml", "--wait"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let runs = lab.run(&["run", "list", "--json"]).json();
    let runs = runs.as_array().unwrap();
    assert_eq!(runs.len(), lineages.len(), "every lineage is a run; common ancestors are trained once");
    assert!(runs.iter().all(|run| run["status"]["state"] == "finished"));
    // Every model that can write was timed, and every one was asked both kinds of tasks.
    for run in runs {
        let latest = &run["latest"];
        let writes = run["architecture"] != "EO";
        assert_eq!(latest["decode_tokens_per_second"].is_number(), writes, "{run}");
        assert!(latest["zero_shot_acc"].is_number() || latest["zero_shot_acc_sentinel"].is_number(), "{run}");
        assert!(latest["effective_rank_share"].is_number(), "{run}");
    }
    for run in lab.home().list_runs().unwrap() {
        let warning = |event| if let RunEvent::Warned { message } = event { Some(message) } else { None };
        let warned: Vec<String> = all_events(&lab.home().run(&run)).into_iter().filter_map(warning).collect();
        assert!(warned.is_empty(), "{run}: {warned:?}");
    }
}
