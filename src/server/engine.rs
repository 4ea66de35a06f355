//! All state of a running lab, and the one loop that changes it. Everything else reports to the loop and is told by it.
//! Promises: the loop waits for nothing but news; files of size, the store and texts are read by tasks beside it; an
//! idle lab has no timer faster than a second.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::STORE_DEADLINE;
use super::beside::Beside;
use super::clients::Room;
use super::ledger::Ledger;
use super::lifecycle::Log;
use super::load::Load;
use super::observe::{Seen, Sight};
use super::prepare::{Preparation, PreparationNews};
use super::replace::Replacement;
use super::requests::runs::Wished;
use super::session::{Session, SessionId, Stream};
use super::shortage::Shortfall;
use super::studies::StudyRecord;
use super::submit::{Recorded, Surveyed};
use super::subscribe::{Changes, Published, Publishing};
use crate::core::cost::{parameters, step_flops, step_tokens};
use crate::core::{Control, RunId, RunSpec, RunStatus, StudyId};
use crate::runlog::Home;
use crate::schedule::Launcher;
use crate::store::{StoreError, StoreHandle};
use crate::wire::{ClientFrame, LabIdentity, PROTOCOL, ServerInfo};

/// Unix milliseconds, supplied so that tests can own time.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A new client.
pub type Incoming = Box<dyn Stream>;

/// News for the loop that may wait; senders wait when it is full.
const NEWS: usize = 1024;

/// Between two looks at running workers.
const LOOK: Duration = Duration::from_millis(300);

/// Between two looks at everything that rarely changes.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// Notices kept for the screens.
const NOTICES: usize = 8;

/// What a lab needs to run.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// Folder of the lab.
    pub home: PathBuf,
    /// Workers at the same time, at least 1.
    pub slots: usize,
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A client or a signal asked.
    Asked,
    /// Its home was deleted or moved; what lies there now is not its own.
    Displaced,
}

/// What the loop learns.
pub(super) enum Happened {
    /// A client sent a request.
    Asked(SessionId, ClientFrame),
    /// A client is gone.
    Left(SessionId),
    /// Our own worker ended.
    Exited(RunId),
    /// Runs were looked at.
    Observed(Vec<Seen>),
    /// Wishes for runs were written.
    Wished(Box<Wished>),
    /// The texts of a study were read.
    Surveyed(Box<Surveyed>),
    /// A study is on disk.
    Recorded(Box<Recorded>),
    /// A preparation goes on or has ended.
    Preparation(PreparationNews),
    /// Values for subscribers are ready.
    Published(Published),
    /// The index was read anew.
    Reindexed(Vec<String>),
    /// The store cannot go on.
    StoreLost(StoreError),
    /// There is another one, or there is none.
    StoreReplaced(Result<String, StoreError>),
}

/// Our own worker of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    /// There is none.
    None,
    /// It is not reaped yet.
    Running,
    /// It is gone, but nobody has looked yet at how it went; until then it keeps its slot.
    Unread,
}

/// A run, as the engine knows it.
pub(super) struct RunRecord {
    pub(super) spec: RunSpec,
    pub(super) studies: Vec<StudyId>,
    pub(super) status: RunStatus,
    pub(super) wish: Control,
    pub(super) sight: Sight,
    /// Training loss, thinned, oldest first.
    pub(super) sparkline: Vec<f64>,
    /// The step from which on the sparkline is drawn anew.
    pub(super) sparkline_from: u64,
    /// Counts launches and exits; a look from before the newest one is not believed.
    pub(super) epoch: u64,
    pub(super) process: Process,
    pub(super) parameters: u64,
    pub(super) step_flops: f64,
    pub(super) step_tokens: u64,
}

impl RunRecord {
    pub(super) fn new(spec: RunSpec, wish: Control) -> Self {
        Self {
            parameters: parameters(&spec.model),
            step_flops: step_flops(&spec.model, &spec.objective, &spec.training).unwrap_or(0.0),
            step_tokens: step_tokens(&spec),
            spec,
            studies: Vec::new(),
            status: RunStatus::Queued,
            wish,
            sight: Sight::default(),
            sparkline: Vec::new(),
            sparkline_from: 0,
            epoch: 0,
            process: Process::None,
        }
    }

    /// A worker occupies a slot for it.
    pub(super) const fn is_alive(&self) -> bool {
        !matches!(self.process, Process::None) || self.sight.locked
    }
}

/// The lab.
pub struct Engine {
    pub(super) home: Home,
    lab: Option<LabIdentity>,
    /// Nothing is written, queued or started: whoever opened it only looks.
    pub(super) read_only: bool,
    pub(super) slots: usize,
    pub(super) clock: Clock,
    pub(super) log: Log,
    pub(super) launcher: Box<dyn Launcher>,
    pub(super) store: StoreHandle,
    pub(super) news: mpsc::Sender<Happened>,
    incoming_news: mpsc::Receiver<Happened>,
    pub(super) started_ms: u64,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    last_session: SessionId,
    pub(super) runs: BTreeMap<RunId, RunRecord>,
    pub(super) studies: BTreeMap<StudyId, StudyRecord>,
    /// Runs that go on from a run.
    pub(super) children: BTreeMap<RunId, BTreeSet<RunId>>,
    pub(super) beside: Beside,
    room: Room,
    pub(super) ledger: Ledger,
    /// Fingerprints of corpora that are whole.
    pub(super) ready: BTreeSet<String>,
    pub(super) preparations: BTreeMap<String, Preparation>,
    /// What reads other people's files; ends with the server.
    pub(super) digests: JoinSet<()>,
    /// Checks that a client waits for, which end with it.
    pub(super) checks: BTreeMap<SessionId, Vec<AbortHandle>>,
    pub(super) changes: Changes,
    pub(super) publishing: Publishing,
    pub(super) looking: bool,
    pub(super) look_again: BTreeSet<RunId>,
    pub(super) load: Load,
    pub(super) shortfall: Shortfall,
    pub(super) replacement: Replacement,
    pub(super) notices: VecDeque<String>,
    /// Everything was read; from now on changes are news.
    pub(super) serving: bool,
    pub(super) leaving: Option<Ended>,
}

impl Engine {
    /// Opens the lab: index, studies, queue, and every run, as the last server left them or as they went on since.
    /// Blocking.
    ///
    /// # Errors
    /// The home cannot be used, its index is in use, or its queue cannot be read.
    pub fn open(options: &LabOptions, launcher: Box<dyn Launcher>, clock: Clock) -> anyhow::Result<Self> {
        let home = Home::new(&options.home);
        home.create()?;
        let log = Log::open(&home, Arc::clone(&clock))?;
        let (store, rebuilt) = StoreHandle::start(&home, STORE_DEADLINE)?;
        let mut engine = Self::new(home, options.slots.max(1), store, log, clock, launcher)?;
        if let Some(notice) = rebuilt {
            engine.notice(notice);
        }
        engine.load_with_any_index()?;
        Ok(engine)
    }

    /// Opens a lab that cannot be written, as `notice` says, with an index that lies elsewhere. Blocking.
    ///
    /// # Errors
    /// Its runs or its queue cannot be read.
    pub(super) fn open_to_look(
        home: Home,
        store: StoreHandle,
        log: Log,
        clock: Clock,
        launcher: Box<dyn Launcher>,
        notice: String,
    ) -> anyhow::Result<Self> {
        let mut engine = Self::new(home, 1, store, log, clock, launcher)?;
        engine.read_only = true;
        engine.notice(notice);
        engine.load()?;
        Ok(engine)
    }

    fn new(
        home: Home,
        slots: usize,
        store: StoreHandle,
        log: Log,
        clock: Clock,
        launcher: Box<dyn Launcher>,
    ) -> anyhow::Result<Self> {
        let (news, incoming_news) = mpsc::channel(NEWS);
        let (ledger, notice) = Ledger::load(&home)?;
        Ok(Self {
            ledger,
            slots,
            started_ms: clock(),
            lab: LabIdentity::of(home.root()).ok(),
            read_only: false,
            home,
            clock,
            log,
            launcher,
            store,
            news,
            incoming_news,
            sessions: BTreeMap::new(),
            last_session: 0,
            runs: BTreeMap::new(),
            studies: BTreeMap::new(),
            children: BTreeMap::new(),
            beside: Beside::default(),
            room: Room::of_this_process(),
            ready: BTreeSet::new(),
            preparations: BTreeMap::new(),
            digests: JoinSet::new(),
            checks: BTreeMap::new(),
            changes: Changes::default(),
            publishing: Publishing::default(),
            looking: false,
            look_again: BTreeSet::new(),
            load: Load::default(),
            shortfall: Shortfall::default(),
            replacement: Replacement::default(),
            notices: notice.into_iter().collect(),
            serving: false,
            leaving: None,
        })
    }

    pub(super) fn add_run(&mut self, record: RunRecord) {
        let run = record.spec.id.clone();
        if let Some(parent) = &record.spec.parent {
            self.children.entry(parent.run.clone()).or_default().insert(run.clone());
        }
        self.runs.insert(run, record);
    }

    /// Serve `clients` until a client asks to leave, `stop` completes, the store is lost, or `housekeeping`, which is
    /// asked every second and before every request, says that the home is no longer this server's. Workers go on.
    ///
    /// # Errors
    /// A task beside the loop that closes the index was lost.
    pub async fn run(
        mut self,
        mut clients: mpsc::Receiver<Incoming>,
        stop: impl Future<Output = ()>,
        mut housekeeping: impl FnMut() -> bool + Send,
    ) -> anyhow::Result<Ended> {
        tokio::pin!(stop);
        self.serving = true;
        self.prepare_what_is_missing();
        self.schedule();
        self.save_ledger();
        let mut look_at = Instant::now() + LOOK;
        let mut housekeep_at = Instant::now() + HOUSEKEEPING;
        while self.leaving.is_none() {
            let looks = self.runs_to_watch();
            let publish_at = self.publishing.due(&self.changes);
            let mut displaced = false;
            tokio::select! {
                () = &mut stop => self.leaving = Some(Ended::Asked),
                client = clients.recv() => match client {
                    Some(stream) => self.greet(stream),
                    None => self.leaving = Some(Ended::Asked),
                },
                Some(happened) = self.incoming_news.recv() => {
                    // Not for a home that was moved away a moment ago: what lies in its place is another lab.
                    displaced = matches!(happened, Happened::Asked(..)) && !housekeeping();
                    if !displaced {
                        self.learn(happened);
                    }
                }
                () = sleep_until(look_at), if looks => {
                    self.look();
                    look_at = Instant::now() + LOOK;
                }
                () = sleep_until(publish_at.unwrap_or(housekeep_at)), if publish_at.is_some() => self.publish(),
                () = sleep_until(housekeep_at) => {
                    displaced = !housekeeping();
                    self.measure_load();
                    self.try_again();
                    housekeep_at = Instant::now() + HOUSEKEEPING;
                }
            }
            if displaced {
                self.log.say("the home was taken away; this server leaves, its workers go on");
                return Ok(Ended::Displaced);
            }
        }
        self.leave().await
    }

    fn greet(&mut self, stream: Incoming) {
        if !self.room.has_place(self.sessions.len()) {
            return self.room.turn_away(stream, self.sessions.len());
        }
        self.last_session += 1;
        let session = Session::start(self.last_session, stream, self.news.clone());
        self.sessions.insert(self.last_session, session);
    }

    fn learn(&mut self, happened: Happened) {
        match happened {
            Happened::Asked(session, frame) => self.answer(session, frame),
            Happened::Left(session) => {
                self.checks.remove(&session).into_iter().flatten().for_each(|check| check.abort());
                if let Some(session) = self.sessions.remove(&session) {
                    drop(session.hang_up());
                }
            }
            Happened::Exited(run) => self.worker_exited(&run),
            Happened::Observed(seen) => self.observed(seen),
            Happened::Wished(wished) => self.wished(*wished),
            Happened::Surveyed(surveyed) => self.surveyed(*surveyed),
            Happened::Recorded(recorded) => self.recorded(*recorded),
            Happened::Preparation(news) => self.preparation(news),
            Happened::Published(published) => self.published(published),
            Happened::Reindexed(notices) => self.reindexed(notices),
            Happened::StoreLost(error) => self.store_lost(&error),
            Happened::StoreReplaced(result) => self.store_replaced(result),
        }
    }

    fn measure_load(&mut self) {
        if self.runs.values().any(RunRecord::is_alive) && self.load.sample() {
            self.changes.lab = true;
        }
    }

    /// Say something to whoever watches, and to the log.
    pub(super) fn notice(&mut self, text: String) {
        if self.notices.contains(&text) {
            return;
        }
        self.log.say(&text);
        if self.notices.len() >= NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back(text);
        self.changes.lab = true;
    }

    pub(super) fn now_ms(&self) -> u64 {
        (self.clock)()
    }

    pub(super) fn info(&self) -> ServerInfo {
        ServerInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            pid: std::process::id(),
            home: self.home.root().display().to_string(),
            lab: self.lab,
            started_ms: self.started_ms,
            held: self.held(),
        }
    }

    /// Last words to the clients, then the index is closed.
    async fn leave(mut self) -> anyhow::Result<Ended> {
        let deadline = Instant::now() + HOUSEKEEPING;
        // Who was promised that its verb would be written is answered, if that is soon.
        while self.beside.verbs.is_writing()
            && let Ok(Some(happened)) = tokio::time::timeout_at(deadline, self.incoming_news.recv()).await
        {
            if let Happened::Wished(wished) = happened {
                self.wished(*wished);
            }
        }
        self.save_ledger();
        let writers: Vec<_> = std::mem::take(&mut self.sessions).into_values().map(Session::hang_up).collect();
        for writer in writers {
            // A client that does not read its last reply is left behind.
            drop(tokio::time::timeout_at(deadline, writer).await);
        }
        // Most are done in an instant; the others are killed, and a corpus that is half prepared is prepared anew.
        drop(tokio::time::timeout_at(deadline, async { while self.digests.join_next().await.is_some() {} }).await);
        self.digests.shutdown().await;
        let store = self.store.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || store.close()).await? {
            // Nothing is lost: the next server reads the logs again.
            self.log.say(&format!("could not {error}"));
        }
        Ok(self.leaving.unwrap_or(Ended::Asked))
    }
}
