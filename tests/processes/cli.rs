//! The command line as scripts use it: exit codes, JSON, prefixes of ids, and verbs that change runs.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use trilab::core::Metric;

use super::lab::Lab;
use super::records::{checkpoints, steps_logged, values};

const PAIR: &str = "[grid]\nseed = [1, 2]\n[budget]\nsteps = 40";
const ENDLESS: &str = "[budget]\nsteps = 1000000";

#[test]
fn a_submitted_study_trains_and_its_numbers_come_out() {
    let lab = Lab::new();
    let study = lab.study("pair", PAIR);
    let plan = lab.json(&["study", "check", &study, "--json"]);
    assert_eq!((plan["study"].as_str(), plan["runs"].as_array().unwrap().len()), (Some("pair"), 2));
    assert_eq!(lab.json(&["run", "list", "--json"]), Value::Array(Vec::new()), "a check queues nothing");
    let done = lab.run(&["study", "submit", &study, "--wait", "--json"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let words: Vec<_> = done.json().as_array().unwrap().iter().map(|run| run["status"]["state"].clone()).collect();
    assert_eq!(words, ["finished", "finished"]);
    let known = lab.json(&["study", "check", &study, "--json"]);
    assert_eq!(known["runs"][0]["existing"]["state"], "finished", "it would not be trained twice");
    let info = lab.json(&["server", "status", "--json"]);
    assert_eq!(info["pid"].as_i64().unwrap(), i64::from(lab.server().unwrap().pid));
    let before = lab.json(&["leaderboard", "--json"]);
    assert_eq!(before["rows"][0]["metrics"]["validation_loss"]["n"], 2);
    lab.ok(&["reindex"]);
    lab.wait_until("the same leaderboard", || lab.json(&["leaderboard", "--json"]) == before);
    exports_agree(&lab);
    let snapshot = lab.ok(&[]);
    assert!(snapshot.contains("finished") && snapshot.contains("pair") && !snapshot.contains('\x1b'), "{snapshot}");
    lab.ok(&["server", "stop"]);
    let gone = lab.run(&["server", "status", "--json"]);
    assert_eq!((gone.code, gone.json()), (Some(1), Value::Null));
    assert_eq!(lab.json(&["leaderboard", "--json"]), before, "a new server, the same numbers");
}

/// Both formats hold every value of the logs, to the last bit.
fn exports_agree(lab: &Lab) {
    let runs = lab.runs();
    let ids: Vec<&str> = runs.iter().map(|run| run.id().as_str()).collect();
    let key =
        |run: &str, step: u64, metric: &str, value: f64| (run.to_owned(), step, metric.to_owned(), value.to_bits());
    let csv = lab.ok(&[&["export", "metrics", "--format", "csv"], ids.as_slice()].concat());
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("run,step,metric,value"));
    let from_csv: BTreeSet<_> = lines
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            key(cells[0], cells[1].parse().unwrap(), cells[2], cells[3].parse().unwrap())
        })
        .collect();
    let mut from_jsonl = BTreeSet::new();
    for line in lab.ok(&[&["export", "metrics", "--format", "jsonl"], ids.as_slice()].concat()).lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let (run, step) = (record["run"].as_str().unwrap(), record["step"].as_u64().unwrap());
        for (metric, value) in record["metrics"].as_object().unwrap() {
            from_jsonl.insert(key(run, step, metric, value.as_f64().unwrap()));
        }
    }
    assert_eq!(from_csv, from_jsonl);
    for run in &runs {
        let logged = values(run);
        assert!(logged.len() > 100);
        for ((step, metric), bits) in logged {
            let entry = (run.id().to_string(), step, metric.name().to_owned(), bits);
            assert!(from_csv.contains(&entry), "{entry:?}");
        }
    }
    assert!(from_csv.iter().any(|(_, _, metric, _)| metric == Metric::TokensPerSecond.name()));
}

#[test]
fn wrong_usage_is_2_and_names_the_place_and_a_failure_is_1() {
    let lab = Lab::new();
    fs::write(lab.folder().join("typo.toml"), "name = \"typo\"\n\n[training]\nlearning_rat = 1e-3\n").unwrap();
    let cases: [(&[&str], i32, &[&str]); 8] = [
        (&["study", "check", "./typo.toml"], 2, &["typo.toml:4", "learning_rat", "`learning_rate`"]),
        (&["study", "check", "first-steps", "--set", "budget.step=3"], 2, &["--set budget.step=3", "`steps`"]),
        (&["study", "check", "first-steps", "--set", "nonsense"], 2, &["key=value"]),
        (&["study", "frobnicate"], 2, &["frobnicate"]),
        (&["run", "stop"], 2, &["<RUN>", "--help"]),
        (&["study", "check", "./missing.toml"], 1, &["could not read", "missing.toml"]),
        (&["study", "check", "missing"], 1, &["missing", "trilab study list"]),
        (&["run", "show", "zz"], 1, &["`zz`", "trilab run list"]),
    ];
    for (arguments, code, words) in cases {
        let done = lab.run(arguments);
        assert_eq!((done.code, done.stdout.as_str()), (Some(code), ""), "{arguments:?}: {done:?}");
        for word in words {
            assert!(done.stderr.contains(word), "{arguments:?} does not say `{word}`: {}", done.stderr);
        }
    }
    let config = fs::read_to_string(lab.config()).unwrap();
    fs::write(lab.config(), "[lab]\nslot = 2\n").unwrap();
    let typo = lab.run(&["run", "list"]);
    fs::write(lab.config(), config).unwrap();
    assert!(typo.code == Some(2) && typo.stderr.contains("lab.toml:2") && typo.stderr.contains("`slots`"), "{typo:?}");
}

#[test]
fn runs_are_paused_resumed_stopped_and_retried_by_the_beginning_of_an_id() {
    let lab = Lab::new();
    let study = lab.study("endless", ENDLESS);
    let mut waiting = lab.spawn(&["study", "submit", &study, "--wait"]);
    let id = lab.wait_for("the run", || Some(lab.runs().first()?.id().clone()));
    let run = lab.home().run(&id);
    let short = &id.as_str()[..5];
    lab.wait_until("steps", || steps_logged(&run, 1) > 3);
    let state = |word: &str| lab.wait_until(word, || lab.status(&id) == word);
    state("running");
    assert_eq!(lab.ok(&["run", "pause", short]), format!("{id}\n"));
    state("paused");
    assert!(!run.is_locked().unwrap());
    let paused_at = *checkpoints(&run).last().unwrap();
    let twice = lab.run(&["run", "pause", short]);
    assert!(twice.code == Some(1) && twice.stderr.contains("paused already"), "{twice:?}");
    assert!(waiting.try_wait().unwrap().is_none(), "a paused study is not over");
    let changed = lab.json(&["run", "resume", short, "--json"]);
    assert_eq!(changed["value"]["runs"][0], id.as_str());
    lab.wait_until("steps after the pause", || steps_logged(&run, 2) > paused_at);
    lab.ok(&["run", "stop", "--study", "endless"]);
    state("stopped");
    assert_eq!(waiting.wait().unwrap().code(), Some(1), "a stopped run has not finished");
    let stopped_at = *checkpoints(&run).last().unwrap();
    lab.ok(&["run", "retry", short]);
    lab.wait_until("steps after the retry", || steps_logged(&run, 3) > stopped_at);
    let detail = lab.json(&["run", "show", short, "--json"]);
    assert_eq!((detail["summary"]["id"].as_str(), detail["summary"]["attempt"].as_u64()), (Some(id.as_str()), Some(3)));
    lab.ok(&["run", "stop", "--all"]);
    state("stopped");
    let log = lab.ok(&["run", "log", short]);
    let count = |event: &str| log.lines().filter(|line| line.contains(&format!("\"event\":\"{event}\""))).count();
    assert_eq!((count("started"), count("paused"), count("resumed"), count("stopped")), (3, 1, 2, 2), "{log}");
}

#[test]
fn a_corpus_is_prepared_ahead_and_reported_as_json() {
    let lab = Lab::new();
    let text = "the pier lay still. ".repeat(200);
    fs::write(lab.folder().join("pier.txt"), &text).unwrap();
    let prepare = ["corpus", "prepare", "pier.txt", "--tokenizer", "chars", "--validation-fraction", "0.2", "--json"];
    let manifest = lab.json(&prepare);
    assert_eq!(manifest["train"]["bytes"].as_u64().unwrap() + manifest["validation"]["bytes"].as_u64().unwrap(), 4000);
    let folder = lab.home().corpora_dir().join(manifest["fingerprint"].as_str().unwrap());
    assert!(folder.is_dir());
    let again = |state: &str| {
        let told = lab.json(&prepare);
        assert_eq!((told["state"].as_str(), &told["files"]), (Some(state), &manifest["files"]), "{told}");
        told["damaged"].as_array().unwrap().len()
    };
    assert_eq!((manifest["state"].as_str(), again("whole")), (Some("prepared"), 0), "prepared once");
    let shard = folder.join("train.tokens");
    let mut bytes = fs::read(&shard).unwrap();
    bytes[99] ^= 1;
    fs::write(&shard, bytes).unwrap();
    assert_eq!((again("repaired"), again("whole")), (1, 0));
    let told = lab.run(&prepare[..prepare.len() - 1]);
    assert!(told.stdout.contains("state        is whole"), "{told:?}");
    let missing = lab.run(&["corpus", "prepare", "absent.txt", "--json"]);
    assert!(missing.code == Some(1) && missing.stderr.contains("absent.txt"), "{missing:?}");
    assert!(lab.server().is_none(), "no server is needed for that");
}
