//! A terminal with the program in it, and a home of its own.
//! Promises: when a test ends, also by failing, no server and no worker of its home is left.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use serde_json::Value;
use tempfile::TempDir;
use trilab::runlog;

use super::patience::{self, Patience};

const PROGRAM: &str = env!("CARGO_BIN_EXE_trilab");
/// How long the terminal may be silent before the wait looks whether anything advances.
const PAUSE: Duration = Duration::from_millis(200);

/// A home with a config that makes runs short and quick to start.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = "[lab]\nslots = 2\nnice = 0\n[probes]\nvalidation_examples = 8\nsample_tokens = 8\n";
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        Self { folder }
    }

    /// The working directory of every command.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn lab(&self) -> std::path::PathBuf {
        self.folder.path().join("lab")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("--home").arg(self.lab()).args(arguments).current_dir(self.path());
        command.env("XDG_RUNTIME_DIR", self.path()).env_remove("TRILAB_HOME");
        command.stdin(Stdio::null());
        command
    }

    /// What a command prints with `--json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = patience::output(&runlog::Home::new(self.lab()), &mut self.command(arguments));
        assert!(output.status.success(), "{arguments:?} failed: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The runs whose state is `state`.
    pub(crate) fn runs(&self, state: &str) -> Vec<String> {
        let runs = self.json(&["run", "list", "--json"]);
        let of_it = runs.as_array().unwrap().iter().filter(|run| run["status"]["state"] == state);
        of_it.map(|run| run["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Opens the dashboard on a terminal of this size.
    pub(crate) fn open(&self, columns: u16, rows: u16) -> Terminal {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(PROGRAM);
        command.arg("--home");
        command.arg(self.lab());
        command.cwd(self.path());
        for (name, value) in [("TERM", "xterm-256color"), ("COLORTERM", "truecolor")] {
            command.env(name, value);
        }
        command.env("XDG_RUNTIME_DIR", self.path());
        command.env_remove("NO_COLOR");
        command.env_remove("TRILAB_HOME");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (tell, told) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if tell.send(buffer.get(..count).unwrap_or_default().to_vec()).is_err() {
                    return;
                }
            }
        });
        let writer = pair.master.take_writer().unwrap();
        let parser = vt100::Parser::new(NonZeroU16::new(rows).unwrap(), NonZeroU16::new(columns).unwrap(), 0);
        let home = runlog::Home::new(self.lab());
        Terminal { home, master: pair.master, child, writer, told, parser, recent: Vec::new() }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Workers first: a stopped server would leave them to go on.
        for arguments in [["run", "stop", "--all"].as_slice(), &["server", "stop"]] {
            let _ = self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        end_workers(&self.lab());
    }
}

/// Ends every process that was started with a run directory of this home.
fn end_workers(lab: &Path) {
    let runs = lab.join("runs");
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    for entry in processes.flatten() {
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let mut arguments = line.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
        if arguments.any(|argument| Path::new(&argument).starts_with(&runs)) {
            let _ = Command::new("kill").arg("-KILL").arg(entry.file_name()).status();
        }
    }
}

/// A terminal.
pub(crate) struct Terminal {
    home: runlog::Home,
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    told: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    recent: Vec<u8>,
}

impl Terminal {
    /// Types `keys`; a character each, `\r` is Enter, `\x1b` Esc.
    pub(crate) fn keys(&mut self, keys: &str) -> &mut Self {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
        self
    }

    /// What stands on the screen.
    pub(crate) fn text(&self) -> String {
        self.parser.screen().contents()
    }

    /// The lines of the screen.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }

    fn take(&mut self, bytes: &[u8]) {
        self.parser.process(bytes);
        self.recent.extend_from_slice(bytes);
        let kept = self.recent.len().saturating_sub(65_536);
        self.recent.drain(..kept);
    }

    /// Whether the newest synchronised update has ended: half a frame is nothing to look at.
    fn frame_is_whole(&self) -> bool {
        let last = |mark: &[u8]| self.recent.windows(mark.len()).rposition(|bytes| bytes == mark);
        last(b"\x1b[?2026l") >= last(b"\x1b[?2026h")
    }

    /// Waits until the screen fulfils `wanted`; fails with the screen when nothing advances.
    pub(crate) fn until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let home = self.home.clone();
        let mut patience = Patience::new(&home);
        loop {
            let text = self.text();
            if self.frame_is_whole() && wanted(&text) {
                return text;
            }
            patience.keep(what, || text.clone());
            match self.told.recv_timeout(PAUSE) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("the program ended before {what}:\n{text}"),
            }
        }
    }

    /// Waits until `text` is shown.
    pub(crate) fn shows(&mut self, text: &str) -> String {
        self.until(&format!("`{text}`"), |screen| screen.contains(text))
    }

    /// Waits until `text` is not shown.
    pub(crate) fn hides(&mut self, text: &str) -> String {
        self.until(&format!("`{text}` to go"), |screen| !screen.contains(text))
    }

    /// Changes the size of the window.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        // What the program wrote for the old size is taken in first.
        while let Ok(bytes) = self.told.try_recv() {
            self.take(&bytes);
        }
        self.parser.set_size(NonZeroU16::new(rows).unwrap(), NonZeroU16::new(columns).unwrap());
        self.master.resize(PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }).unwrap();
    }

    /// Waits until the program has ended; gives its exit code and what it left on the terminal.
    pub(crate) fn ended(&mut self) -> (u32, String) {
        let home = self.home.clone();
        let mut patience = Patience::new(&home);
        loop {
            patience.keep("the end of the program", || self.text());
            match self.told.recv_timeout(PAUSE) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        assert!(!self.parser.screen().alternate_screen(), "the terminal is given back");
        let code = self.child.wait().unwrap().exit_code();
        (code, self.parser.screen().contents())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
