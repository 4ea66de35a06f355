//! The tasks and groups of several files, by name.
//! Promises: a name is given once; a group's members exist. Must not know: how tasks are asked.

use std::path::{Path, PathBuf};

use super::EvalError;
use super::dataset::DatasetKind;
use super::document::ReadText;
use super::prompted::{self, is_prompted};
use super::task_file::{Group, Task, TaskFile, load};

/// What is to be evaluated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suite {
    tasks: Vec<Task>,
    groups: Vec<Group>,
}

impl Suite {
    /// Adds the task or group in the file at `path`.
    ///
    /// # Errors
    /// The file cannot be used, or its name is taken.
    pub fn add(&mut self, path: &Path, read: ReadText<'_>) -> Result<(), EvalError> {
        let file = if is_prompted(path) { TaskFile::Task(Box::new(prompted::task(path))) } else { load(path, read)? };
        let (name, path) = match &file {
            TaskFile::Task(task) => (&task.name, &task.path),
            TaskFile::Group(group) => (&group.name, &group.path),
        };
        let mut known = self.tasks.iter().map(|task| (&task.name, &task.path));
        let known_groups = self.groups.iter().map(|group| (&group.name, &group.path));
        if let Some((_, other)) = known.by_ref().chain(known_groups).find(|(known, _)| *known == name) {
            let reason = format!("the name `{name}` is taken by {}", other.display());
            return Err(EvalError::File { path: path.to_owned(), line: 1, reason });
        }
        match file {
            TaskFile::Task(task) => self.tasks.push(*task),
            TaskFile::Group(group) => self.groups.push(group),
        }
        Ok(())
    }

    /// The suite of all `paths`.
    ///
    /// # Errors
    /// A file cannot be used, a name is given twice, or a group names a member that is in none of the files.
    pub fn load(paths: &[PathBuf], read: ReadText<'_>) -> Result<Self, EvalError> {
        let mut suite = Self::default();
        for path in paths {
            suite.add(path, read)?;
        }
        suite.check()?;
        Ok(suite)
    }

    /// Whether every member of every group is there, and no family of wordings is called as a task that is none of them.
    ///
    /// # Errors
    /// One is missing, or a name means two things.
    pub fn check(&self) -> Result<(), EvalError> {
        for task in &self.tasks {
            let Some(family) = &task.wording_of else { continue };
            let stranger = |other: &&Task| other.name == *family && other.wording_of.as_ref() != Some(family);
            if let Some(other) = self.tasks.iter().find(stranger) {
                let reason = format!(
                    "it is a wording of `{family}`, which is also the name of the task in {}; call the family otherwise, \
                     or declare that task a wording of it too",
                    other.path.display()
                );
                return Err(EvalError::File { path: task.path.clone(), line: 1, reason });
            }
        }
        for group in &self.groups {
            if let Some(missing) = group.members.iter().find(|member| !self.knows(member)) {
                let reason = format!("its member `{missing}` is in none of the given files; give that file too");
                return Err(EvalError::File { path: group.path.clone(), line: 1, reason });
            }
        }
        Ok(())
    }

    /// Gives files of written-out prompts their data set as a tag, and as the family that they are wordings of.
    pub(super) fn tag_prompted(&mut self) {
        let written = |task: &&Task| task.dataset.kind == DatasetKind::Prompted;
        let names: Vec<String> = self.tasks.iter().filter(written).map(|task| task.name.clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for task in self.tasks.iter_mut().filter(|task| task.dataset.kind == DatasetKind::Prompted) {
            task.wording_of = prompted::data_set(&task.name, &names);
            task.tags = task.wording_of.iter().cloned().collect();
        }
    }

    fn knows(&self, name: &String) -> bool {
        self.tasks.iter().any(|task| task.name == *name || task.tags.contains(name))
            || self.groups.iter().any(|group| group.name == *name)
    }

    /// The files of the group, tag or task called `name`, those of its members included; `None` if there is none.
    #[must_use]
    pub(super) fn paths_of(&self, name: &str) -> Option<Vec<PathBuf>> {
        let group = self.groups.iter().find(|group| group.name == name);
        let wanted: Vec<String> = match group {
            Some(group) => self.leaves(group)?,
            None => vec![name.to_owned()],
        };
        let fits = |task: &&Task| wanted.iter().any(|name| task.name == *name || task.tags.contains(name));
        let tasks = self.tasks.iter().filter(fits).map(|task| task.path.clone());
        let within = |other: &&Group| {
            let leaves = self.leaves(other).unwrap_or_default();
            group.is_some() && leaves.iter().all(|leaf| wanted.contains(leaf))
        };
        let groups = self.groups.iter().filter(within).map(|group| group.path.clone());
        let paths: Vec<PathBuf> = tasks.chain(groups).collect();
        (!paths.is_empty()).then_some(paths)
    }

    /// Tasks in the order of the files.
    #[must_use]
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// Groups in the order of the files.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The tasks of a group, those of its groups and tags included, each once, in order; `None` if one is missing.
    #[must_use]
    pub fn leaves(&self, group: &Group) -> Option<Vec<String>> {
        let (mut found, mut seen) = (Vec::new(), vec![group.name.clone()]);
        let mut waiting: Vec<String> = group.members.iter().rev().cloned().collect();
        while let Some(member) = waiting.pop() {
            if !self.knows(&member) {
                return None;
            }
            let tasks = self.tasks.iter().filter(|task| task.name == member || task.tags.contains(&member));
            for task in tasks {
                if !found.contains(&task.name) {
                    found.push(task.name.clone());
                }
            }
            let inner = self.groups.iter().find(|group| group.name == member && !seen.contains(&group.name));
            if let Some(inner) = inner {
                seen.push(inner.name.clone());
                waiting.extend(inner.members.iter().rev().cloned());
            }
        }
        Some(found)
    }
}
