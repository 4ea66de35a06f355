//! The dashboard: a model, one update function, screens that are functions of the model, and a loop around them.
//! Promises: the first frame needs no server; closing the terminal never stops a run; idle means silent.
//! Must not know: stores, workers, schedules; it sees `core`, `config` and `wire` only.

pub mod act;
pub mod action;
pub mod answers;
pub mod app;
pub mod axis;
pub mod board;
pub mod board_acts;
mod board_export;
pub mod cells;
pub mod chart;
pub mod columns;
pub mod complete;
pub mod complete_path;
pub mod composer;
pub mod export;
pub mod filter;
pub mod form;
pub mod form_check;
pub mod form_field;
mod form_path;
mod form_study;
mod form_text;
pub mod format;
mod frames;
pub mod key;
pub mod keymap;
pub mod msg;
pub mod navigate;
pub mod overlay;
pub mod ramp;
mod rank_export;
pub mod rank_measure;
pub mod rank_view;
pub mod screen;
pub mod series;
pub mod table;
mod terminal;
pub mod text_field;
pub mod theme;
pub mod update;
pub mod verbs;

use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use crossterm::event::{Event, EventStream};
use futures_util::StreamExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::config::ScreenConfig;
use crate::wire::ClientFrame;

pub use app::App;
pub use msg::{ComposerDefaults, Effect, FromServer, Msg, Remembered, StudyChoice, Tab};
pub use update::update;

use complete_path::Entry;
use terminal::Screen;

/// The two ends of a connection that its owner keeps alive.
#[derive(Debug)]
pub struct Connection {
    /// To the server. When it is full the request is refused on the screen, never waited for.
    pub requests: Sender<ClientFrame>,
    /// From the server.
    pub frames: Receiver<FromServer>,
}

/// What the surroundings say: abilities of the terminal and the name of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// Colours.
    pub depth: theme::Depth,
    /// Host.
    pub host: String,
}

impl Surroundings {
    /// Reads `NO_COLOR`, `CLICOLOR_FORCE`, `TERM`, `COLORTERM` and the host's name.
    #[must_use]
    pub fn from_environment() -> Self {
        let read = |name: &str| env::var(name).ok();
        let [refused, forced, term, colours] = ["NO_COLOR", "CLICOLOR_FORCE", "TERM", "COLORTERM"].map(read);
        let named = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| read("HOSTNAME"));
        Self {
            depth: theme::depth(refused.as_deref(), forced.as_deref(), term.as_deref(), colours.as_deref()),
            host: named.unwrap_or_default().trim().to_owned(),
        }
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Shows the dashboard until the person leaves, and gives back what the next start should begin with and what is said on leaving.
///
/// # Errors
/// The terminal cannot be taken, read or written.
pub async fn run(
    config: ScreenConfig,
    remembered: Remembered,
    connection: Connection,
    defaults: ComposerDefaults,
) -> anyhow::Result<(Remembered, String)> {
    let surroundings = Surroundings::from_environment();
    let mut app = App::new(&config, remembered, defaults, surroundings.depth);
    app.host = surroundings.host;
    // Without one only whole paths can be typed, and the form says so.
    app.folder = env::current_dir().unwrap_or_default();
    let mut screen = Screen::new(app.mouse).context("could not take the terminal")?;
    app.size = screen.size().context("could not read the terminal's size")?;
    app.now_ms = now_ms();
    let outcome = event_loop(&mut app, &mut screen, connection, config.frames_per_second).await;
    drop(screen);
    outcome?;
    let parting = parting(&app);
    Ok((app.remembered, parting))
}

/// What is said on leaving.
#[must_use]
pub fn parting(app: &App) -> String {
    let count = |section| app.runs().iter().filter(|run| app::Section::of(&run.status) == section).count();
    let (running, queued) = (count(app::Section::Running), count(app::Section::Queue));
    if running + queued == 0 {
        return "left the dashboard; `trilab` opens it again".to_owned();
    }
    let verb = if running == 1 { "goes" } else { "go" };
    format!(
        "left the dashboard: {} {verb} on, {queued} more in the queue; `trilab` opens it again",
        format::runs(running)
    )
}

async fn event_loop(
    app: &mut App,
    screen: &mut Screen,
    mut connection: Connection,
    frames_per_second: u32,
) -> anyhow::Result<()> {
    let frame = Duration::from_secs(1) / frames_per_second.clamp(1, 30);
    let mut terminated = signal(SignalKind::terminate()).context("could not listen for TERM")?;
    let mut hung_up = signal(SignalKind::hangup()).context("could not listen for HUP")?;
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut events = EventStream::new();
    let mut due = Instant::now();
    let mut talking = true;
    loop {
        let msg = tokio::select! {
            biased;
            _ = terminated.recv() => return Ok(()),
            _ = hung_up.recv() => return Ok(()),
            () = sleep_until(due), if app.dirty => {
                screen.draw(app).context("could not draw on the terminal")?;
                app.dirty = false;
                due = Instant::now() + frame;
                continue;
            }
            event = events.next() => match event {
                Some(Ok(event)) => from_terminal(event),
                // The terminal is gone: there is nobody to show anything to.
                Some(Err(_)) | None => return Ok(()),
            },
            told = connection.frames.recv(), if talking => match told {
                Some(FromServer::Connected(info)) => Some(Msg::Connected(info)),
                Some(FromServer::Frame(frame)) => Some(Msg::Frame(frame)),
                Some(FromServer::Closed { reason }) => Some(Msg::Disconnected { reason }),
                None => {
                    talking = false;
                    Some(Msg::Disconnected { reason: "the connection's task ended".to_owned() })
                }
            },
            _ = ticks.tick() => Some(Msg::Tick { now_ms: now_ms() }),
        };
        let Some(msg) = msg else { continue };
        // A key is answered in the next frame and not a frame later.
        if matches!(msg, Msg::Key(_)) {
            due = due.min(Instant::now() + frame / 8);
        }
        let effects = update(app, msg);
        if perform(app, screen, &connection.requests, effects)? {
            return Ok(());
        }
    }
}

fn from_terminal(event: Event) -> Option<Msg> {
    match event {
        Event::Key(key) => Some(Msg::Key(key)),
        Event::Mouse(mouse) => Some(Msg::Mouse(mouse)),
        Event::Paste(text) => Some(Msg::Paste(text)),
        Event::Resize(columns, rows) => Some(Msg::Resize(columns, rows)),
        Event::FocusGained | Event::FocusLost => None,
    }
}

/// Does what the model wants done; true to leave.
fn perform(
    app: &mut App,
    screen: &mut Screen,
    requests: &Sender<ClientFrame>,
    effects: Vec<Effect>,
) -> anyhow::Result<bool> {
    for effect in effects {
        match effect {
            Effect::Quit => return Ok(true),
            Effect::Send(frame) => {
                if let Err(refused) = requests.try_send(frame) {
                    update(app, Msg::NotSent(refused.into_inner()));
                }
            }
            Effect::Copy(text) => Screen::copy(&text).context("could not write to the terminal")?,
            Effect::SetMouse(mouse) => Screen::set_mouse(mouse).context("could not switch the mouse")?,
            Effect::Export { screen, text, note } => {
                let told = save(Path::new("."), screen, &text).map_err(|error| error.to_string());
                update(app, Msg::Exported { told, note });
            }
            Effect::List(folder) => {
                let told = list(&folder).map_err(|error| error.to_string());
                update(app, Msg::Listed { folder, told });
            }
            Effect::Redraw => screen.forget().context("could not clear the terminal")?,
            Effect::Suspend => {
                screen.suspend(app.mouse).context("could not go to the shell and back")?;
                app.size = screen.size().context("could not read the terminal's size")?;
                app.dirty = true;
            }
        }
    }
    Ok(false)
}

/// What is in a folder, as far as it has names that can be typed.
fn list(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            entries.push(Entry { name, folder: entry.path().is_dir() });
        }
    }
    Ok(entries)
}

/// Writes `text` beside what was exported before, and gives back the name of the new file: none is ever overwritten.
fn save(folder: &Path, screen: &str, text: &str) -> io::Result<String> {
    for number in 1..10_000 {
        let name = format!("trilab-{screen}-{number}.csv");
        match File::create_new(folder.join(&name)) {
            Ok(mut file) => {
                file.write_all(text.as_bytes())?;
                return Ok(name);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "there are 9999 exports already; move some away"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_numbered_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("trilab-lab-1.csv"), "mine").unwrap();
        assert_eq!(save(folder.path(), "lab", "a\n").unwrap(), "trilab-lab-2.csv");
        assert_eq!(save(folder.path(), "lab", "b\n").unwrap(), "trilab-lab-3.csv");
        assert_eq!(std::fs::read_to_string(folder.path().join("trilab-lab-1.csv")).unwrap(), "mine");
        assert_eq!(std::fs::read_to_string(folder.path().join("trilab-lab-2.csv")).unwrap(), "a\n");
        assert!(save(&folder.path().join("gone"), "lab", "").is_err());
    }
}
