//! Paths as people write them, in settings and on the command line: relative to a folder, `~` for the home directory, and
//! patterns such as `data/*.jsonl`. One rule for every setting that is a path.
//! Must not know: what the files hold.

use std::io;
use std::path::{Component, Path, PathBuf};

/// What stands before the names of texts and tasks that are part of the program.
const SHIPPED: &str = "shipped:";

/// `path` without `~`, starting at `folder` if it is relative. `~` stays where the home directory is not known.
#[must_use]
pub fn absolute(path: &Path, folder: &Path) -> PathBuf {
    match path.strip_prefix("~").ok().and_then(|rest| Some((std::env::home_dir()?, rest))) {
        // Not `join("")`, which would end in a slash.
        Some((home, rest)) if rest.as_os_str().is_empty() => home,
        Some((home, rest)) => home.join(rest),
        // `join` keeps a `.` in the middle, which is only noise in messages.
        None => folder.join(path).components().filter(|part| *part != Component::CurDir).collect(),
    }
}

/// [`absolute`] for a text that may be the name of something shipped, which stays as it is.
#[must_use]
pub fn absolute_text(text: &str, folder: &Path) -> String {
    if text.starts_with(SHIPPED) {
        return text.to_owned();
    }
    absolute(Path::new(text), folder).to_string_lossy().into_owned()
}

/// The files and folders that `path` stands for, sorted by name: itself if it exists or is no pattern, else all that fit the
/// pattern; none if nothing does. `*`, `?` and `[…]` stand for parts of a name, `**` for folders at any depth; hidden files fit
/// only what begins with a dot itself.
///
/// # Errors
/// The pattern is not well formed, or a folder cannot be read.
pub fn matching(path: &str) -> io::Result<Vec<PathBuf>> {
    let itself = PathBuf::from(path);
    if !path.contains(['*', '?', '[']) || itself.symlink_metadata().is_ok() {
        return Ok(vec![itself]);
    }
    let options =
        glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let found = glob::glob_with(path, options).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("the pattern is not well formed: {}", error.msg))
    })?;
    found.map(|entry| entry.map_err(io::Error::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_tilde_is_the_home_directory_and_the_rest_is_relative_to_a_folder() {
        let home = std::env::home_dir().unwrap();
        let of = |text: &str| absolute_text(text, Path::new("/there"));
        assert_eq!(of("~/a.txt"), home.join("a.txt").to_string_lossy());
        assert_eq!(of("~"), home.to_string_lossy());
        assert_eq!(of("~other/a.txt"), "/there/~other/a.txt", "a file may be called so");
        assert_eq!(of("./a/./b.txt"), "/there/a/b.txt");
        assert_eq!(of("../a.txt"), "/there/../a.txt");
        assert_eq!(of("/x/~/a.txt"), "/x/~/a.txt");
        assert_eq!(of("shipped:harbour"), "shipped:harbour");
    }

    #[test]
    fn patterns_stand_for_files_sorted_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.txt", "a.txt", ".c.txt", "d.md", "x[1].txt", "x1.txt"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("deep/e.txt"), "x").unwrap();
        let of = |pattern: &str| -> Vec<String> {
            let found = matching(&folder.path().join(pattern).to_string_lossy()).unwrap();
            found.iter().map(|path| path.strip_prefix(folder.path()).unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(of("*.txt"), ["a.txt", "b.txt", "x1.txt", "x[1].txt"]);
        assert_eq!(of("**/*.txt"), ["a.txt", "b.txt", "deep/e.txt", "x1.txt", "x[1].txt"]);
        assert_eq!(of("[ab].txt"), ["a.txt", "b.txt"]);
        assert_eq!(of("x[1].txt"), ["x[1].txt"], "a file of that very name comes before the pattern");
        assert_eq!(of("*.csv"), Vec::<String>::new());
        assert_eq!(of("none.txt"), ["none.txt"], "what is no pattern is left to its reader");
        assert!(matching("/x/[a").unwrap_err().to_string().contains("not well formed"));
    }
}
