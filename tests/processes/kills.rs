//! The storm: workers, server and dashboard are killed in random order while a study trains, nearly a third of the
//! kills into a worker that is writing a checkpoint. In the end nothing that a client was ever told is missing or
//! different, and every run equals that of a lab that nobody disturbed, to the last bit.

use std::collections::BTreeSet;
use std::str::FromStr;

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use trilab::core::RunId;
use trilab::core::seed::{Stream, generator};
use trilab::runlog::RunFolder;

use super::lab::Lab;
use super::process::Process;
use super::records::{assert_same, checkpoints, steps_logged, unfinished, values};
use super::terminal::Terminal;
use super::watcher::Watcher;

/// Of a hundred kills, how many must hit a checkpoint that is being written.
const WRITING_PERCENT: usize = 30;

/// Length of a run.
const STEPS: u64 = 150;

/// Whom a kill is meant for.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// A worker, when a checkpoint is seen that it is writing.
    Writing,
    /// A worker, at any instant.
    Worker,
    Server,
    Dashboard,
}

/// What was killed so far.
#[derive(Debug, Default)]
struct Tally {
    workers: usize,
    /// Workers that left an unfinished checkpoint behind.
    while_writing: usize,
    servers: usize,
    dashboards: usize,
    /// Servers that were brought back by an open dashboard and not by a command.
    revived_by_dashboard: usize,
}

impl Tally {
    const fn kills(&self) -> usize {
        self.workers + self.servers + self.dashboards
    }

    const fn enough_while_writing(&self) -> bool {
        self.while_writing * 100 >= self.kills() * WRITING_PERCENT
    }
}

struct Storm<'a> {
    lab: &'a Lab,
    watcher: Watcher,
    chance: ChaCha8Rng,
    dashboard: Option<Terminal>,
    /// Studies so far: the storm brings new ones while it lasts.
    rounds: u64,
    tally: Tally,
    /// Runs whose worker was killed last before it had made a step; not again at once, or the lab gives them up.
    silenced: BTreeSet<RunId>,
}

fn from_environment<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// The study of a round: three cells, each with two seeds of its own.
fn study(lab: &Lab, round: u64) -> String {
    let exclude = r#"["ND:FLM", "ED:FLM", "CD:PLM", "ED:PLM", "CD:MLM", "ND:MLM"]"#;
    let grid = format!(
        "[grid]\narchitecture = [\"CD\", \"ND\", \"ED\"]\nobjective = [\"FLM\", \"PLM\", \"MLM\"]\nseed = [{}, {}]\n\
         exclude = {exclude}\n[budget]\nsteps = {STEPS}",
        2 * round,
        2 * round + 1,
    );
    lab.study(&format!("storm-{round}"), &grid)
}

#[test]
fn a_storm_of_kills_changes_nothing() {
    let kills: usize = from_environment("TRILAB_KILLS", 12);
    let seed: u64 = from_environment("TRILAB_KILL_SEED", 20_260_131);
    println!("TRILAB_KILL_SEED={seed} TRILAB_KILLS={kills}");
    let lab = Lab::new();
    let watcher = Watcher::start(lab.home());
    let (chance, tally, silenced) = (generator(seed, Stream::Sample, 0), Tally::default(), BTreeSet::new());
    let mut storm = Storm { lab: &lab, watcher, chance, dashboard: None, rounds: 0, tally, silenced };
    storm.dashboard = Some(Terminal::open(&lab));
    storm.rage(kills);
    let Storm { watcher, tally, rounds, .. } = storm;
    println!("{} kills: {tally:?}", tally.kills());
    assert!(tally.kills() >= kills && tally.enough_while_writing(), "{tally:?}");

    // Nobody disturbs this one, and it trains the same studies.
    let quiet = Lab::new();
    for round in 0..rounds {
        lab.ok(&["study", "submit", &study(&lab, round), "--wait"]);
        quiet.ok(&["study", "submit", &study(&quiet, round), "--wait"]);
    }
    let told = watcher.finish();
    let (runs, points) = (lab.runs(), told.points.len());
    let attempts: usize = runs.iter().map(|run| run.attempts().unwrap().len()).sum();
    println!("{rounds} studies, {} runs, {attempts} attempts; {points} points told", runs.len());
    assert!(points as u64 > STEPS, "the client was told too little to prove anything");
    assert!(told.taken_back.is_empty(), "told and taken back: {:?}", told.taken_back);
    assert!(attempts >= runs.len() + tally.while_writing, "who died while writing had a successor");
    let ids = |lab: &Lab| lab.runs().iter().map(|run| run.id().clone()).collect::<Vec<_>>();
    assert_eq!(ids(&lab), ids(&quiet));
    for run in &runs {
        assert_eq!(lab.status(run.id()), "finished");
        assert_same(run, &quiet.home().run(run.id()));
        assert!(unfinished(run).is_empty(), "the last attempt has swept");
        let truth = values(run);
        for ((_, metric, step), bits) in told.points.iter().filter(|((of, ..), _)| of == run.id()) {
            assert_eq!(truth.get(&(*step, *metric)), Some(bits), "run {}: {metric} of step {step}", run.id());
        }
    }
}

impl Storm<'_> {
    /// At least `kills` kills, and then more until enough of them hit a checkpoint being written.
    fn rage(&mut self, kills: usize) {
        let share = |percent: usize| kills * percent / 100;
        let (server, dashboard, worker) = (share(25).max(1), share(17).max(1), share(23).max(1));
        let writing = kills.saturating_sub(server + dashboard + worker);
        let mut deck = [
            vec![Target::Server; server],
            vec![Target::Dashboard; dashboard],
            vec![Target::Worker; worker],
            vec![Target::Writing; writing],
        ]
        .concat();
        deck.shuffle(&mut self.chance);
        for target in deck {
            self.wait_a_while();
            match target {
                Target::Writing => self.kill_while_writing(),
                Target::Worker => self.kill_worker(),
                Target::Server => self.kill_server(),
                Target::Dashboard => self.kill_dashboard(),
            }
        }
        while !self.tally.enough_while_writing() || self.tally.kills() < kills {
            self.kill_while_writing();
        }
    }

    /// Brings another study before the workers run out of work.
    fn keep_busy(&mut self) {
        let open = |run: &RunFolder| checkpoints(run).last() != Some(&STEPS);
        if self.lab.runs().iter().filter(|run| open(run)).count() < 4 {
            self.lab.ok(&["study", "submit", &study(self.lab, self.rounds)]);
            self.rounds += 1;
        }
    }

    /// Until the client was told a random number of new points: a random moment, in the time of the lab.
    fn wait_a_while(&mut self) {
        let until = self.watcher.told().points.len() + self.chance.random_range(0..25);
        self.lab.wait_until("new points", || {
            self.keep_busy();
            self.watcher.told().points.len() >= until
        });
    }

    /// Kills a worker at the sight of a checkpoint being written, after a random number of them was let pass.
    fn kill_while_writing(&mut self) {
        let pass = self.chance.random_range(0..4);
        let mut seen = BTreeSet::new();
        let (run, name, worker) = self.lab.wait_for("a checkpoint being written", || {
            self.keep_busy();
            let workers = self.lab.workers();
            for (run, worker) in workers {
                for name in unfinished(&self.lab.home().run(&run)) {
                    seen.insert((run.clone(), name.clone()));
                    if seen.len() > pass {
                        return Some((run, name, worker));
                    }
                }
            }
            None
        });
        if !worker.kill() {
            return;
        }
        self.tally.workers += 1;
        let run = self.lab.home().run(&run);
        // Read at once: the next worker of the run sweeps it away.
        self.tally.while_writing += usize::from(unfinished(&run).contains(&name));
    }

    fn kill_worker(&mut self) {
        let victim = self.chance.random_range(0..2);
        let (run, worker) = self.lab.wait_for("a worker", || {
            self.keep_busy();
            let mut workers = self.lab.workers();
            workers.sort_by(|a, b| a.0.cmp(&b.0));
            let (run, worker) = workers.into_iter().nth(victim)?;
            (!self.silenced.contains(&run) || self.has_made_a_step(&run)).then_some((run, worker))
        });
        if !worker.kill() {
            return;
        }
        self.tally.workers += 1;
        if self.has_made_a_step(&run) {
            self.silenced.remove(&run);
        } else {
            self.silenced.insert(run);
        }
    }

    /// In its newest attempt.
    fn has_made_a_step(&self, run: &RunId) -> bool {
        let run = self.lab.home().run(run);
        run.attempts().unwrap().last().is_some_and(|attempt| steps_logged(&run, *attempt) > 0)
    }

    /// Kills the server; an open dashboard or a command brings it back.
    fn kill_server(&mut self) {
        let server = self.lab.wait_for("a server", || self.lab.server());
        if !server.kill() {
            return;
        }
        let answers = self.watcher.told().answers;
        self.tally.servers += 1;
        if self.dashboard.is_some() && self.chance.random_bool(0.5) {
            self.tally.revived_by_dashboard += 1;
        } else {
            self.lab.ok(&["run", "list"]);
        }
        self.lab.wait_until("a new server", || self.lab.server().is_some_and(|new| new.pid != server.pid));
        self.lab.wait_until("an answer of the new server", || self.watcher.told().answers > answers);
    }

    /// Kills the dashboard, or the terminal with it, and opens another.
    fn kill_dashboard(&mut self) {
        let Some(mut terminal) = self.dashboard.take() else { return };
        terminal.process().as_ref().map(Process::kill);
        terminal.ended();
        self.tally.dashboards += 1;
        self.dashboard = Some(Terminal::open(self.lab));
    }
}
