//! The dashboard on a pseudo-terminal: what it wrote, what its screen shows, and the end of the terminal.

use std::io::Read;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, SlavePty, native_pty_system};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use trilab::runlog::Home;

use super::lab::{FOREIGN, Lab, TRILAB};
use super::patience::{Patience, wait_for};
use super::process::Process;

const SIZE: PtySize = PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 };

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

pub(crate) struct Terminal {
    home: Home,
    child: Box<dyn Child + Send + Sync>,
    /// Both sides, until the terminal is closed; the far one shows how the dashboard left it.
    sides: Option<(Box<dyn MasterPty + Send>, Box<dyn SlavePty + Send>)>,
    /// The settings of the terminal before the dashboard took it, as text.
    settings: String,
    written: Arc<Mutex<Vec<u8>>>,
    closing: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Opens the dashboard of `lab`.
    pub(crate) fn open(lab: &Lab) -> Self {
        let pair = native_pty_system().openpty(SIZE).unwrap();
        let settings = format!("{:?}", pair.master.get_termios().unwrap());
        let mut command = CommandBuilder::new(TRILAB);
        command.args(["--home", lab.home().root().to_str().unwrap(), "--config", lab.config().to_str().unwrap()]);
        command.cwd(lab.folder());
        FOREIGN.iter().for_each(|name| command.env_remove(name));
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).unwrap();
        let (written, closing) = (Arc::default(), Arc::default());
        let reader = read(&*pair.master, Arc::clone(&written), Arc::clone(&closing));
        Self {
            home: lab.home(),
            child,
            sides: Some((pair.master, pair.slave)),
            settings,
            written,
            closing,
            reader: Some(reader),
        }
    }

    pub(crate) fn process(&self) -> Option<Process> {
        Process::of(self.child.process_id()?.cast_signed())
    }

    /// All bytes that the dashboard wrote.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.written.lock().unwrap().clone()
    }

    /// What the screen shows now.
    pub(crate) fn screen(&self) -> String {
        let mut parser = vt100::Parser::new(SIZE.rows.try_into().unwrap(), SIZE.cols.try_into().unwrap(), 0);
        parser.process(&self.bytes());
        parser.screen().contents()
    }

    /// Looks until it is so.
    pub(crate) fn wait_until(&self, what: &str, mut so: impl FnMut() -> bool) {
        let mut patience = Patience::new(&self.home);
        while !so() {
            patience.keep(what, || self.screen());
            std::thread::sleep(PAUSE);
        }
    }

    pub(crate) fn wait_for(&self, text: &str) {
        self.wait_until(&format!("`{text}` on the screen"), || self.screen().contains(text));
    }

    /// Whether the terminal is set as it was before the dashboard.
    pub(crate) fn is_as_before(&self) -> bool {
        let (near, _) = self.sides.as_ref().unwrap();
        format!("{:?}", near.get_termios().unwrap()) == self.settings
    }

    /// Waits for the end of the dashboard.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        wait_for(&self.home, "the end of the dashboard", || self.child.try_wait().unwrap())
    }

    /// Closes the terminal, as when a window or a connection is closed, and waits for the end of the dashboard.
    pub(crate) fn hang_up(mut self) -> ExitStatus {
        self.close();
        self.ended()
    }

    fn close(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        // With the last descriptor of this side the system sends the hangup.
        self.sides = None;
    }
}

/// No dashboard outlives its test: it would bring back the server that the lab stops.
impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
        if !std::thread::panicking() {
            self.close();
        }
    }
}

/// Collects what is written, without ever blocking: a blocked reader would hold the terminal open.
fn read(master: &dyn MasterPty, written: Arc<Mutex<Vec<u8>>>, closing: Arc<AtomicBool>) -> JoinHandle<()> {
    #[expect(unsafe_code, reason = "portable-pty gives the descriptor as a number only")]
    // SAFETY: the master owns the descriptor and outlives this borrow, which ends with the two calls below it.
    let descriptor = unsafe { BorrowedFd::borrow_raw(master.as_raw_fd().unwrap()) };
    fcntl_setfl(descriptor, fcntl_getfl(descriptor).unwrap() | OFlags::NONBLOCK).unwrap();
    let mut reader = master.try_clone_reader().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while !closing.load(Ordering::Relaxed) {
            match reader.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => written.lock().unwrap().extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    std::thread::sleep(PAUSE);
                }
                // Nobody has the other side open any more.
                Err(_) => return,
            }
        }
    })
}
