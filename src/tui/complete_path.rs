//! What the path before the cursor of a field can become: names of files and folders on the machine of the dashboard.
//! Promises: pure; the loop lists the folder that is asked for, and what comes too late changes nothing. A comma in a name is
//! written `\\,`, because a comma stands between paths. Must not know: the terminal, how the field is drawn.

use std::path::{Path, PathBuf};

use crate::config::paths;
use crate::core::text_width::characters;

use super::app::{App, Page};
use super::composer::Stage;
use super::form::Form;
use super::msg::Effect;

/// Signs of a pattern, which has no name to complete.
const PATTERN: [char; 3] = ['*', '?', '['];

/// Something in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Whether it is a folder, or a link to one.
    pub folder: bool,
}

/// Where to look and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The folder that is named so far.
    pub folder: PathBuf,
    /// What is typed of a name in it.
    pub typed: String,
}

/// The paths of a list with commas between them.
#[must_use]
pub fn split(text: &str) -> Vec<String> {
    let mut paths = vec![String::new()];
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' if rest.peek() == Some(&',') => {
                rest.next();
                paths.last_mut().into_iter().for_each(|path| path.push(','));
            }
            ',' => paths.push(String::new()),
            c => paths.last_mut().into_iter().for_each(|path| path.push(c)),
        }
    }
    paths.into_iter().map(|path| path.trim().to_owned()).filter(|path| !path.is_empty()).collect()
}

/// A path as it stands in such a list.
#[must_use]
pub fn written(path: &str) -> String {
    path.replace(',', "\\,")
}

/// What the end of `before` asks for, seen from the folder `here`; nothing where there is no name to complete.
#[must_use]
pub fn wanted(before: &str, here: &Path) -> Option<Wanted> {
    let path = if before.trim_end().ends_with(',') && !before.trim_end().ends_with("\\,") {
        return None;
    } else {
        split(before).pop()?
    };
    if path.starts_with("shipped:") || path.contains(PATTERN) {
        return None;
    }
    let (folder, typed) = match path.rsplit_once('/') {
        Some((folder, name)) => (format!("{folder}/"), name),
        None => (String::new(), path.as_str()),
    };
    Some(Wanted { folder: paths::absolute(Path::new(&folder), here), typed: typed.to_owned() })
}

/// What begins as it is typed, sorted, and how far all of that agrees. Hidden names are for those who type their dot.
#[must_use]
pub fn fitting(typed: &str, entries: &[Entry]) -> (Vec<String>, String) {
    let fits =
        |entry: &&Entry| entry.name.starts_with(typed) && (typed.starts_with('.') || !entry.name.starts_with('.'));
    let name = |entry: &Entry| if entry.folder { format!("{}/", entry.name) } else { entry.name.clone() };
    let mut choices: Vec<String> = entries.iter().filter(fits).map(name).collect();
    choices.sort();
    let same = |text: String, other: &String| -> String {
        characters(&text).zip(characters(other)).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
    };
    let agreed = match choices.split_first() {
        Some((first, rest)) => rest.iter().fold(first.clone(), same),
        None => String::new(),
    };
    (choices, agreed)
}

/// The form, if the field with the focus holds a path that can be completed.
fn asking(app: &mut App) -> Option<(&mut Form, Wanted)> {
    let here = app.folder.clone();
    match &mut app.page {
        Page::Composer(composer) if composer.stage == Stage::Form => {
            let wanted = composer.form.path_before().and_then(|before| wanted(before, &here))?;
            Some((&mut composer.form, wanted))
        }
        Page::Composer(_) | Page::Detail(_) | Page::Tab => None,
    }
}

/// Tab in a field of a path: the listing that it needs. Nothing where Tab goes to the next field: there is no path, or what
/// can be said of it was said when Tab was pressed before.
pub(super) fn begin(app: &mut App) -> Option<Effect> {
    let (form, wanted) = asking(app)?;
    (!form.has_told()).then_some(Effect::List(wanted.folder))
}

/// A folder was listed: complete what stands before the cursor as far as all choices agree.
pub(super) fn perform(app: &mut App, folder: &Path, told: Result<Vec<Entry>, String>) {
    let Some((form, wanted)) = asking(app).filter(|(_, wanted)| wanted.folder == folder) else { return };
    let shown = folder.display();
    let (choices, agreed) = match told {
        Ok(entries) => fitting(&wanted.typed, &entries),
        Err(reason) => return form.tell(format!("could not look into {shown}: {reason}")),
    };
    let tilde = wanted.typed == "~" && choices.is_empty();
    if tilde {
        form.complete("~", "~/");
    } else if choices.is_empty() && !wanted.typed.is_empty() {
        form.tell(format!("nothing in {shown} begins with `{}`", wanted.typed));
    } else if agreed.len() > wanted.typed.len() {
        form.complete(&written(&wanted.typed), &written(&agreed));
    } else if choices.len() > 1 && !choices.contains(&wanted.typed) {
        form.offer(choices);
    } else {
        // It is all there.
        form.step(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(names: &[&str]) -> Vec<Entry> {
        let entry = |name: &&str| Entry { name: name.trim_end_matches('/').to_owned(), folder: name.ends_with('/') };
        names.iter().map(entry).collect()
    }

    #[test]
    fn a_path_is_looked_up_where_the_dashboard_was_started() {
        let of = |before: &str| wanted(before, Path::new("/here")).map(|found| (found.folder, found.typed));
        let found = |folder: &str, typed: &str| Some((PathBuf::from(folder), typed.to_owned()));
        assert_eq!(of("my"), found("/here", "my"));
        assert_eq!(of("a.txt, data/h"), found("/here/data", "h"));
        assert_eq!(of("/abs/x"), found("/abs", "x"));
        assert_eq!(of("/"), found("/", ""));
        assert_eq!(of("~/t"), Some((std::env::home_dir().unwrap(), "t".to_owned())));
        assert_eq!(of("Moby\\, Di"), found("/here", "Moby, Di"));
        for nothing in ["", " ", "a.txt,", "a.txt, ", "shipped:har", "data/*.js"] {
            assert_eq!(of(nothing), None, "`{nothing}`");
        }
    }

    #[test]
    fn names_are_completed_as_far_as_they_agree() {
        let all = entries(&["harbour.txt", "harbour-2.txt", "data/", ".hidden", "港の物語.txt"]);
        let of = |typed: &str| {
            let (choices, agreed) = fitting(typed, &all);
            (choices.join(" "), agreed)
        };
        let pair = |choices: &str, agreed: &str| (choices.to_owned(), agreed.to_owned());
        assert_eq!(of("ha"), pair("harbour-2.txt harbour.txt", "harbour"));
        assert_eq!(of("harbour."), pair("harbour.txt", "harbour.txt"));
        assert_eq!(of("d"), pair("data/", "data/"));
        assert_eq!(of("港"), pair("港の物語.txt", "港の物語.txt"));
        assert_eq!(of(".h"), pair(".hidden", ".hidden"));
        assert_eq!(of("x"), pair("", ""));
        assert_eq!(of(""), pair("data/ harbour-2.txt harbour.txt 港の物語.txt", ""));
    }

    #[test]
    fn commas_stand_between_paths_and_can_stand_in_them() {
        assert_eq!(split(" a.txt, b c.txt ,,"), ["a.txt", "b c.txt"]);
        assert_eq!(split(&written("Moby, Dick.txt")), ["Moby, Dick.txt"]);
        assert_eq!(split("a\\b"), ["a\\b"]);
        assert!(split("").is_empty());
    }
}
