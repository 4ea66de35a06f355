//! What the worker is asked: the file the server writes, and TERM or INT from the system, which mean: save and leave,
//! the run goes on elsewhere or later. A hangup means nothing: a worker has no terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::core::{Control, ControlSource};
use crate::runlog::ControlFile;

/// File and signals together.
pub(super) struct Wishes {
    file: ControlFile,
    asked: Arc<AtomicBool>,
}

impl Wishes {
    /// Begins to listen.
    pub(super) fn new(file: ControlFile) -> std::io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&asked))?;
        }
        signal_hook::flag::register(SIGHUP, Arc::new(AtomicBool::new(false)))?;
        Ok(Self { file, asked })
    }

    /// Becomes true when the system asks this process to leave.
    pub(super) fn asked(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asked)
    }
}

impl ControlSource for Wishes {
    fn control(&mut self) -> Control {
        match self.file.control() {
            Control::Run if self.asked.load(Ordering::Relaxed) => Control::Yield,
            wish => wish,
        }
    }

    fn kept_steps(&self) -> &[u64] {
        self.file.kept_steps()
    }
}
