//! What is too much for a server or a machine, as a person meets it: grids, sizes, clients.

use std::process::{Child, Stdio};

use trilab::wire::{Connection, connect};

use super::lab::Lab;
use super::patience::Patience;

#[test]
fn a_grid_that_nobody_can_train_is_refused_and_the_server_goes_on() {
    let lab = Lab::new();
    let list = |count: u32, factor: u32| (1..=count).map(|n| (n * factor).to_string()).collect::<Vec<_>>().join(", ");
    let axes = format!("[grid]\nseed = [{}]\n[training]\nlearning_rate = [{}]\n", list(40_000, 1), list(25_000, 1));
    let huge = lab.folder().join("huge.toml");
    std::fs::write(&huge, format!("name = \"huge\"\n{axes}")).unwrap();
    lab.ok(&["server", "start"]);
    for verb in ["check", "submit"] {
        let done = lab.run(&["study", verb, "./huge.toml"]);
        assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
        let said = "trilab: could not plan the study: the grid has 1,000,000,000 runs (grid.seed 40,000 × \
                    training.learning_rate 25,000); a study may have 20,000: ";
        assert!(done.stderr.starts_with(said), "{done:?}");
    }
    let wide = ["--set", "model.d_model=100000", "--set", "model.num_heads=2"];
    let study = lab.study("wide", "");
    for verb in ["check", "submit"] {
        let done = lab.run(&[&["study", verb, &study], wide.as_slice()].concat());
        assert!(done.code == Some(1) && done.stderr.contains(" of memory, too little for 1 of 1 runs: "), "{done:?}");
    }
    let done = lab.run(&["study", "check", &study, "--set", "execution.threads=1000000000"]);
    assert!(done.code == Some(1) && done.stderr.contains("`execution.threads` is 1000000000"), "{done:?}");
    assert_eq!(lab.json(&["run", "list", "--json"]).as_array().unwrap().len(), 0);
    assert!(lab.server().is_some(), "it went on");
}

#[test]
fn a_study_that_many_submit_at_once_is_submitted_once() {
    let lab = Lab::new();
    let study = lab.study("together", "[grid]\nseed = [1, 2, 3]\n[budget]\nsteps = 40");
    lab.ok(&["server", "start"]);
    let start = |_| -> Child {
        let mut command = lab.command(&["study", "submit", &study, "--json"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<Child> = (0..6).map(start).collect();
    for mut child in children {
        let ended = lab.wait_for("a submission", || child.try_wait().unwrap());
        assert_eq!(ended.code(), Some(0));
    }
    assert_eq!(lab.json(&["run", "list", "--json"]).as_array().unwrap().len(), 3);
}

#[test]
fn a_client_too_many_is_told_so_and_there_is_room_again_when_one_leaves() {
    let lab = Lab::new();
    // Most of these are the lab's own.
    let start = lab.command(&["server", "start"]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -n 120; exec \"$0\" \"$@\""]).arg(start.get_program()).args(start.get_args());
    shell.current_dir(lab.folder()).stdin(Stdio::null());
    for (name, value) in start.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    assert!(shell.stdout(Stdio::null()).status().unwrap().success());
    let home = lab.home();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut clients: Vec<Connection> = Vec::new();
        // The client that started the server may be leaving still, and then there is room for one more.
        let mut patience = Patience::new(&home);
        loop {
            match connect(&home).await {
                Ok(client) => clients.push(client),
                Err(error) => {
                    let full = format!("talk to the server: it has {} clients, as many as it can", clients.len());
                    if error.to_string().starts_with(&full) {
                        break;
                    }
                    patience.keep("a full server", || error.to_string());
                }
            }
        }
        assert!((2..24).contains(&clients.len()), "{} clients", clients.len());
        let done = lab.run(&["run", "list"]);
        assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
        assert!(done.stderr.starts_with("trilab: could not talk to the server: it has "), "{done:?}");
        assert!(done.stderr.contains("close one"), "{done:?}");
        clients.pop();
        lab.wait_until("room", || lab.run(&["run", "list"]).code == Some(0));
    });
}
