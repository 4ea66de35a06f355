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

use super::lab::Lab;
use super::process::{Process, wait_for, wait_until};
use super::records::{assert_same, checkpoints, steps_logged, unfinished, values};
use super::terminal::Terminal;
use super::watcher::Watcher;

/// Of a hundred kills, how many must hit a checkpoint that is being written.
const WRITING_PERCENT: usize = 30;

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
    steps: u64,
    tally: Tally,
    /// Runs whose worker was killed last before it had made a step; not again at once, or the lab gives them up.
    silenced: BTreeSet<RunId>,
}

fn from_environment<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn study(lab: &Lab, steps: u64) -> String {
    // Seven legal cells less four: three wirings with three objectives.
    let exclude = r#"["ND:FLM", "ED:FLM", "CD:PLM", "ED:PLM", "CD:MLM", "ND:MLM"]"#;
    let grid = format!(
        "[grid]\narchitecture = [\"CD\", \"ND\", \"ED\"]\nobjective = [\"FLM\", \"PLM\", \"MLM\"]\nseed = [1, 2]\n\
         exclude = {exclude}\n[budget]\nsteps = {steps}"
    );
    lab.study("storm", &grid)
}

#[test]
fn a_storm_of_kills_changes_nothing() {
    let kills: usize = from_environment("TRILAB_KILLS", 12);
    let seed: u64 = from_environment("TRILAB_KILL_SEED", 20_260_131);
    println!("TRILAB_KILL_SEED={seed} TRILAB_KILLS={kills}");
    // Enough work that somebody is still training when the last kill comes.
    let steps = 20 * kills as u64 + 60;
    let quiet = Lab::new();
    quiet.ok(&["study", "submit", &study(&quiet, steps), "--wait"]);

    let lab = Lab::new();
    let file = study(&lab, steps);
    lab.ok(&["study", "submit", &file]);
    let runs: Vec<RunId> = lab.runs().iter().map(|run| run.id().clone()).collect();
    assert_eq!(runs.len(), 6);
    let chance = generator(seed, Stream::Sample, 0);
    let watcher = Watcher::start(lab.home(), runs.clone());
    let dashboard = Some(Terminal::open(&lab));
    let (tally, silenced) = (Tally::default(), BTreeSet::new());
    let mut storm = Storm { lab: &lab, watcher, chance, dashboard, steps, tally, silenced };
    storm.rage(kills);
    let Storm { watcher, tally, .. } = storm;
    println!("{} kills: {tally:?}", tally.kills());
    assert!(tally.kills() >= kills && tally.enough_while_writing(), "{tally:?}");

    lab.ok(&["study", "submit", &file, "--wait"]);
    let told = watcher.finish();
    let attempts: usize = lab.runs().iter().map(|run| run.attempts().unwrap().len()).sum();
    println!("{} points were told in {} answers; {attempts} attempts", told.points.len(), told.answers);
    assert!(told.taken_back.is_empty(), "told and taken back: {:?}", told.taken_back);
    assert!(attempts >= runs.len() + tally.workers, "every killed worker had a successor");
    for run in lab.runs() {
        assert_eq!(lab.status(run.id()), "finished");
        assert_same(&run, &quiet.home().run(run.id()));
        let truth = values(&run);
        for ((_, metric, step), bits) in told.points.iter().filter(|((of, ..), _)| of == run.id()) {
            assert_eq!(truth.get(&(*step, *metric)), Some(bits), "run {}: {metric} of step {step}", run.id());
        }
        assert!(unfinished(&run).is_empty(), "the last attempt has swept");
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
        while !self.tally.enough_while_writing() {
            self.kill_while_writing();
        }
    }

    fn assert_training(&self) {
        let over = |run: &RunId| checkpoints(&self.lab.home().run(run)).last() == Some(&self.steps);
        let runs = self.lab.runs();
        let tally = &self.tally;
        assert!(
            !runs.iter().all(|run| over(run.id())),
            "the study was over too soon, after {tally:?}; give it more steps"
        );
    }

    /// Until the client was told a random number of new points: a random moment, in the time of the lab.
    fn wait_a_while(&mut self) {
        let until = self.watcher.told().points.len() + self.chance.random_range(0..25);
        wait_until("new points", || {
            self.assert_training();
            self.watcher.told().points.len() >= until
        });
    }

    /// Kills a worker at the sight of a checkpoint being written, after a random number of them was let pass.
    fn kill_while_writing(&mut self) {
        let pass = self.chance.random_range(0..4);
        let mut seen = BTreeSet::new();
        let (run, name, worker) = wait_for("a checkpoint being written", || {
            let workers = self.lab.workers();
            for (run, worker) in workers {
                for name in unfinished(&self.lab.home().run(&run)) {
                    seen.insert((run.clone(), name.clone()));
                    if seen.len() > pass {
                        return Some((run, name, worker));
                    }
                }
            }
            self.assert_training();
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
        let victim: usize = self.chance.random_range(0..2);
        let (run, worker) = wait_for("a worker", || {
            self.assert_training();
            let mut workers = self.lab.workers();
            workers.sort_by(|a, b| a.0.cmp(&b.0));
            let (run, worker) = workers.into_iter().cycle_at(victim)?;
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
        let server = wait_for("a server", || self.lab.server());
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
        wait_until("a new server", || self.lab.server().is_some_and(|new| new.pid != server.pid));
        wait_until("an answer of the new server", || self.watcher.told().answers > answers);
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

/// The item at a place, counted round and round.
trait CycleAt: Iterator + Sized {
    fn cycle_at(self, place: usize) -> Option<Self::Item> {
        let mut items: Vec<_> = self.collect();
        if items.is_empty() { None } else { Some(items.swap_remove(place % items.len())) }
    }
}

impl<I: Iterator> CycleAt for I {}
