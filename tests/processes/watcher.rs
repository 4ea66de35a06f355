//! A client that asks for curves for as long as it lives, through any number of servers, and remembers every point that
//! it was told: what was once acknowledged must never be missing or different.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use trilab::core::{Metric, RunId};
use trilab::runlog::Home;
use trilab::wire::{Connection, Reply, Request, WireError, connect};

/// What is asked for.
const METRICS: [Metric; 3] = [Metric::Loss, Metric::GradNorm, Metric::ValidationLoss];

/// Between two rounds of questions, and two tries to reach a server.
const PAUSE: Duration = Duration::from_millis(30);

/// What the client was told.
#[derive(Default)]
pub(crate) struct Told {
    /// Points, as bits.
    pub(crate) points: BTreeMap<(RunId, Metric, u64), u64>,
    /// Curves that were answered.
    pub(crate) answers: usize,
    /// Points that a later answer took back.
    pub(crate) taken_back: Vec<String>,
}

pub(crate) struct Watcher {
    told: Arc<Mutex<Told>>,
    enough: Arc<AtomicBool>,
    asking: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Begins to ask for the curves of all runs; it never starts a server itself.
    pub(crate) fn start(home: Home) -> Self {
        let (told, enough): (Arc<Mutex<Told>>, Arc<AtomicBool>) = (Arc::default(), Arc::default());
        let (theirs, until) = (Arc::clone(&told), Arc::clone(&enough));
        let asking = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                while !until.load(Ordering::Relaxed) {
                    if let Ok(mut connection) = connect(&home).await {
                        ask(&mut connection, &home, &theirs, &until).await;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            });
        });
        Self { told, enough, asking: Some(asking) }
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    /// No more questions; what it was told.
    pub(crate) fn finish(mut self) -> Told {
        self.enough.store(true, Ordering::Relaxed);
        self.asking.take().unwrap().join().unwrap();
        std::mem::take(&mut *self.told())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
    }
}

/// Asks until the server is gone or enough was asked.
async fn ask(connection: &mut Connection, home: &Home, told: &Mutex<Told>, enough: &AtomicBool) {
    while !enough.load(Ordering::Relaxed) {
        for run in home.list_runs().unwrap() {
            for metric in METRICS {
                let question = Request::GetCurve { run: run.clone(), metric, width: None };
                match connection.request(question).await {
                    Ok(Reply::Curve(curve)) => {
                        let points = curve.points.iter().map(|point| (point.step, point.value.to_bits()));
                        told.lock().unwrap().take(&run, metric, &points.collect());
                    }
                    Ok(other) => panic!("no curve: {other:?}"),
                    // Its files are there already, but the server has not taken it in.
                    Err(WireError::Refused(_)) => {}
                    Err(_) => return,
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Told {
    fn take(&mut self, run: &RunId, metric: Metric, now: &BTreeMap<u64, u64>) {
        self.answers += 1;
        let of_curve = (run.clone(), metric, 0)..=(run.clone(), metric, u64::MAX);
        for ((_, _, step), bits) in self.points.range(of_curve) {
            if now.get(step) != Some(bits) {
                self.taken_back.push(format!("run {run}: {metric} at step {step}: {:?}", now.get(step)));
            }
        }
        self.points.extend(now.iter().map(|(step, bits)| ((run.clone(), metric, *step), *bits)));
    }
}
