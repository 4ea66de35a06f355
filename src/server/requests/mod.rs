//! One request in, one reply out: the handshake, and which file answers what.
//! Promises: every request is answered; what cannot be done is refused with the cure.

pub(super) mod queue;
pub(super) mod read;
pub(super) mod runs;

use self::runs::Verb;
use super::engine::{Ended, Engine, Happened};
use super::look::changes;
use super::session::SessionId;
use super::submit::Asker;
use crate::wire::{ClientFrame, PROTOCOL, Reply, Request};

impl Engine {
    /// Answer a frame, now or when a task beside the loop has what it takes.
    pub(super) fn answer(&mut self, session: SessionId, frame: ClientFrame) {
        let asker = Asker { session, id: frame.id };
        if let Some(message) = self.not_understood(session, &frame.request) {
            self.refuse(asker, message);
            return;
        }
        match frame.request {
            Request::Hello { protocol } => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.protocol = Some(protocol);
                }
                self.reply(asker, Reply::Welcome(self.info()));
            }
            Request::CheckStudy { study } => self.check_study(asker, *study),
            Request::SubmitStudy { study, force } => self.submit_study(asker, *study, force),
            Request::PauseRuns { runs } => self.change(asker, runs, Verb::Pause),
            Request::ResumeRuns { runs } => self.change(asker, runs, Verb::Resume),
            Request::StopRuns { runs } => self.change(asker, runs, Verb::Stop),
            Request::RetryRuns { runs } => self.change(asker, runs, Verb::Retry),
            Request::MoveRun { run, by } => self.move_run(asker, &run, by),
            Request::ChangePriority { runs, by } => self.change(asker, runs, Verb::Priority(by)),
            Request::PauseQueue => self.pause_queue(asker, true),
            Request::ResumeQueue => self.pause_queue(asker, false),
            Request::ListRuns { study } => self.list_runs(asker, study),
            Request::ListStudies => self.reply(asker, Reply::Studies(self.study_summaries())),
            Request::ShowStudy { study } => self.show_study(asker, &study),
            Request::ShowRun { run } => self.show_run(asker, &run),
            Request::GetCurve { run, metric, width } => self.get_curve(asker, run, metric, width),
            Request::GetRank { run } => self.get_rank(asker, run),
            Request::GetLeaderboard { study, budget } => self.get_leaderboard(asker, study, budget),
            Request::GetAnswers { run, task, form } => self.get_answers(asker, run, task, form),
            Request::LookAt { run } => self.look_at(asker, run),
            Request::GetLab => {
                self.load.sample();
                self.reply(asker, Reply::Lab(Box::new(self.lab())));
            }
            Request::GetEvents { run } => self.get_events(asker, run),
            Request::Subscribe { topics } => {
                self.reply(asker, Reply::Done);
                self.subscribe(session, topics);
            }
            Request::Reindex => self.reindex(asker),
            Request::ServerStatus => self.reply(asker, Reply::Welcome(self.info())),
            Request::Shutdown => {
                self.log.say("asked to leave; runs go on");
                self.reply(asker, Reply::Done);
                self.leaving = Some(Ended::Asked);
            }
        }
    }

    /// Why a request cannot be taken for what it seems to be.
    fn not_understood(&self, session: SessionId, request: &Request) -> Option<String> {
        if self.read_only && changes(request) {
            let home = self.home.root().display();
            return Some(format!("change the lab in {home}: it cannot be written; use a copy of it that can"));
        }
        let protocol = self.sessions.get(&session)?.protocol;
        match (request, protocol) {
            // These are understood across versions, so that an old server can be asked to leave.
            (Request::Hello { .. } | Request::Shutdown | Request::ServerStatus, _) | (_, Some(PROTOCOL)) => None,
            (_, None) => Some("talk to the server: the first message must be a greeting".to_owned()),
            (_, Some(theirs)) if theirs < PROTOCOL => Some(format!(
                "talk to the server: it speaks protocol {PROTOCOL}, the client {theirs} and is the older program; leave and \
                 start trilab again"
            )),
            (_, Some(theirs)) => Some(format!(
                "talk to the server: it speaks protocol {PROTOCOL}, the client {theirs}; run `trilab server stop` \
                 (runs go on) and start again"
            )),
        }
    }

    pub(super) fn reply(&self, asker: Asker, reply: Reply) {
        if let Some(session) = self.sessions.get(&asker.session) {
            session.outbox.reply(asker.id, reply);
        }
    }

    pub(super) fn refuse(&self, asker: Asker, message: String) {
        self.reply(asker, Reply::Refused { message });
    }

    fn reindex(&mut self, asker: Asker) {
        self.log.say("the index is rebuilt, because a client asked");
        let (home, store, news) = (self.home.clone(), self.store.clone(), self.news.clone());
        let outbox = self.sessions.get(&asker.session).map(|session| session.outbox.clone());
        tokio::task::spawn_blocking(move || {
            let result = store.reindex(&home);
            if let Some(outbox) = outbox {
                outbox.reply(
                    asker.id,
                    match &result {
                        Ok(_) => Reply::Done,
                        Err(error) => Reply::Refused { message: error.to_string() },
                    },
                );
            }
            _ = news.blocking_send(match result {
                Ok(notices) => Happened::Reindexed(notices),
                Err(error) => Happened::StoreLost(error),
            });
        });
    }
}
