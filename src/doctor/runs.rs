//! The folders of the runs: spec, wish, logs, answers, checkpoints.

use std::path::Path;

use super::Doctor;
use crate::core::RunSpec;
use crate::runlog::evals::{eval_numbers, eval_path, read_evals};
use crate::runlog::sealed_file::set_aside;
use crate::runlog::{RunFolder, RunLogError, Witness, read_from};
use crate::train::checkpoint;

impl Doctor<'_> {
    pub(super) fn runs(&mut self) -> Result<(), RunLogError> {
        for run in self.home.list_runs()? {
            let folder = self.home.run(&run);
            let spec = self.spec(&folder);
            self.wish(&folder);
            for number in folder.attempts()? {
                let attempt = folder.attempt(number);
                if let (Some(spec), Some((path, what))) = (&spec, folder.damaged_copy(&attempt)) {
                    self.look_at(&path);
                    self.mendable(&path, what, "it is written anew from the run's spec.json", || {
                        folder.copy_spec(&attempt, spec).map_err(|error| error.to_string())?;
                        Ok("it was written anew from the run's spec.json".to_owned())
                    });
                }
                self.log(&attempt.events_path());
            }
            for number in eval_numbers(&folder)? {
                self.answers(&eval_path(&folder, number));
            }
            if let Some(spec) = spec {
                self.checkpoints(&folder, &spec);
            }
        }
        Ok(())
    }

    fn spec(&mut self, folder: &RunFolder) -> Option<RunSpec> {
        let path = folder.spec_path();
        self.look_at(&path);
        match folder.spec() {
            Ok(spec) => Some(spec),
            Err(error) => {
                let mut restored = None;
                let how = "it is restored from the copy of its newest attempt, if there is one";
                self.mendable(&path, error.to_string(), how, || {
                    restored = folder.restore_spec().map_err(|error| error.to_string())?;
                    let none = "find a copy of it: no attempt has begun; submit its study again, which writes it anew";
                    restored.as_ref().map_or_else(|| Err(none.to_owned()), |_| Ok("it is restored".to_owned()))
                });
                restored
            }
        }
    }

    fn wish(&mut self, folder: &RunFolder) {
        let path = folder.control_path();
        if path.exists() {
            self.look_at(&path);
        }
        if let Err(RunLogError::Content { reason, .. }) = folder.control() {
            self.mendable(&path, reason, "it is set aside; a wish that is not there is to run", || {
                let aside = set_aside(&path).map_err(|error| error.to_string())?;
                Ok(format!("it is {} now", aside.display()))
            });
        }
    }

    fn log(&mut self, path: &Path) {
        if !path.exists() && Witness::of(path).is_none() {
            return;
        }
        self.look_at(path);
        let (mut offset, mut lost, mut next, mut last) = (0, 0, 0, None);
        loop {
            match read_from(path, offset) {
                Ok(chunk) if chunk.next_offset == offset => break,
                Ok(chunk) => {
                    offset = chunk.next_offset;
                    lost += chunk.lost;
                    next = chunk.next_line.unwrap_or(next);
                    last = chunk.events.into_iter().next_back().or(last);
                }
                Err(error) => {
                    self.lost(path, error.to_string(), "bring it back from a copy of the lab");
                    return;
                }
            }
        }
        if Witness::is_damaged(path) {
            let ended = last.filter(|event| event.event.is_ending() && lost == 0);
            let witness = ended.map(|ending| Witness { bytes: offset, lines: next, ending });
            let what = "end.json beside it, which says how the attempt ended, is damaged".to_owned();
            match witness {
                Some(witness) => self.mendable(path, what, "it is written anew from the log, which is whole", || {
                    witness.save(path).map_err(|error| error.to_string())?;
                    Ok("it was written anew from the log, which is whole".to_owned())
                }),
                None => self.lost(path, what, "bring it back from a copy of the lab"),
            }
        }
        lost += Witness::of(path).map_or(0, |witness| witness.lines.saturating_sub(next));
        if lost > 0 {
            let advice = "what stood there is gone; what is shown is what was written. Bring the log back from a copy of the lab, \
                          or train the run again in another home";
            self.lost(path, format!("{lost} of its lines are damaged or gone"), advice);
        }
    }

    fn answers(&mut self, path: &Path) {
        self.look_at(path);
        let (mut offset, mut lost) = (0, 0);
        loop {
            match read_evals(path, offset, &|_| true) {
                Ok(chunk) if chunk.next_offset == offset => break,
                Ok(chunk) => {
                    offset = chunk.next_offset;
                    lost += chunk.lost;
                }
                Err(error) => {
                    self.lost(path, error.to_string(), "score the run again with `trilab eval`");
                    return;
                }
            }
        }
        if lost > 0 {
            let what = format!("{lost} of its lines are damaged or gone");
            self.lost(path, what, "score the run again with `trilab eval`");
        }
    }

    fn checkpoints(&mut self, folder: &RunFolder, spec: &RunSpec) {
        let Ok(steps) = folder.checkpoint_steps() else { return };
        let trains = folder.is_locked().unwrap_or(true);
        for step in steps {
            let path = folder.checkpoint_dir(step);
            self.look_at(&path);
            match checkpoint::verify(&path, spec) {
                Ok(found) => {
                    self.report.unsealed += found.unsealed.len();
                    if found.is_whole() {
                        continue;
                    }
                    let what = found.damaged.join("; ");
                    let run = folder.id();
                    let how = format!(
                        "it is set aside; the run goes on from the one before it, and if it has ended, `trilab run retry {run}` \
                         makes it again"
                    );
                    self.mendable(&path, what, &how, || {
                        if trains {
                            return Err("set it aside while the run trains".to_owned());
                        }
                        let aside = checkpoint::set_aside(&path).map_err(|error| error.to_string())?;
                        Ok(format!("it is {} now; `trilab run retry {run}` makes it again", aside.display()))
                    });
                }
                // A worker has replaced it meanwhile.
                Err(_) if !path.exists() => {}
                Err(error) => self.lost(&path, error.to_string(), "let this user read it"),
            }
        }
    }
}
