//! A `config.toml` that nobody named: it lies in the working directory, and may as well be another program's.
//! Promises: what cannot be used is told apart by whose it is, so that a caller can ignore a stranger's and not its own.

use std::path::Path;

use toml::Table;

use super::layers::ConfigError;
use super::load::{LARGEST, SHIPPED_CONFIG, load_config};
use super::{Config, Layer, files};
use crate::core::encoding::text_of;

/// A `config.toml` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableNeighbour {
    /// Why not.
    pub error: ConfigError,
    /// It has a section of this program's, so that it is probably meant for it and has a mistake.
    pub ours: bool,
    /// It names a lab, or may: who ignores it may find himself in another one.
    pub names_home: bool,
}

impl UnusableNeighbour {
    /// Why it cannot be used, in words that fit a file of another program too.
    #[must_use]
    pub fn reason(&self) -> String {
        if self.ours { self.error.to_string() } else { format!("it is not trilab's ({})", self.error) }
    }

    /// The error of a command to which the settings matter.
    #[must_use]
    pub fn refusal(self) -> ConfigError {
        let ConfigError { place, message } = self.error;
        let cure = if self.names_home {
            "mend it, name the lab with --home DIR and the settings with --config FILE, or run trilab in another folder"
        } else {
            "name the settings with --config FILE, or run trilab in another folder"
        };
        ConfigError { place, message: format!("{message}; this file was picked up from the working directory: {cure}") }
    }
}

/// The shipped config with the file at `path` over it, which nobody named.
///
/// # Errors
/// It cannot be used as a config of this program.
pub fn load_neighbour(path: &Path) -> Result<Config, UnusableNeighbour> {
    load_config(Some(path)).map_err(|error| {
        let bytes = files::read(path, LARGEST).unwrap_or_default();
        let text = text_of(&bytes).unwrap_or_default();
        let (ours, names_home) = match toml::from_str::<Table>(text) {
            Ok(table) => (
                table.keys().any(|key| is_section(key)),
                table.get("lab").and_then(|lab| lab.get("home")).is_some_and(toml::Value::is_str),
            ),
            Err(_) => {
                let heads = || text.lines().map(str::trim).filter_map(|line| line.strip_prefix('['));
                let head = |line: &str| line.split([']', '.']).next().is_some_and(is_section);
                let home =
                    |line: &str| line.trim_start().starts_with("home") || line.trim_start().starts_with("lab.home");
                (heads().any(head), heads().any(|line| line.starts_with("lab]")) && text.lines().any(home))
            }
        };
        UnusableNeighbour { error, ours, names_home }
    })
}

/// Whether the shipped config has a section of that name.
fn is_section(name: &str) -> bool {
    Layer::parse("shipped config.toml", SHIPPED_CONFIG).is_ok_and(|shipped| shipped.has(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// What becomes of a file with that text: ours, names a home, and why not.
    fn unusable(text: &[u8]) -> (bool, bool, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, text).unwrap();
        let found = load_neighbour(&path).unwrap_err();
        (found.ours, found.names_home, found.reason().replace(&path.display().to_string(), "config.toml"))
    }

    #[test]
    fn a_strangers_file_is_told_from_ours_with_a_mistake() {
        let (ours, home, reason) = unusable(b"baseURL = 'https://example.org/'\n[params]\nauthor = 'x'\n");
        assert!(
            !ours && !home && reason.starts_with("it is not trilab's (config.toml:1: unknown key `baseURL`"),
            "{reason}"
        );
        assert!(!unusable(b"not toml {{\n").0);
        assert!(!unusable(b"\xff\xfe").0);
        let (ours, home, reason) = unusable(b"[training]\nlearning_rat = 1\n");
        assert!(ours && !home && reason.starts_with("config.toml:2: unknown key `training.learning_rat`"), "{reason}");
        assert!(unusable(b"[training]\nsteps =\n").0);
    }

    #[test]
    fn a_file_that_names_a_lab_is_told_even_where_it_cannot_be_read() {
        let named =
            [&b"[lab]\nhome = '/lab'\nslot = 2\n"[..], b"[lab]\nhome = '/lab'\nslots = \n", b"lab.home = 7\n[lab]\nx"];
        assert_eq!(named.map(|text| unusable(text).1), [true, true, true]);
        assert!(!unusable(b"home = '/site'\n").1, "another program's home");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, "[lab]\nslot = 2\n").unwrap();
        let told = load_neighbour(&path).unwrap_err().refusal().to_string();
        assert!(told.contains("config.toml:2") && told.contains("picked up from the working directory"), "{told}");
        assert!(told.contains("--config FILE"), "{told}");
    }
}
