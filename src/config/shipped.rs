//! The studies in `data/studies`, which travel inside the binary: a new file there is a new shipped study.

use include_dir::{Dir, include_dir};

static STUDIES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/data/studies");

/// A study that is part of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShippedStudy {
    /// File name without `.toml`.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// All of them, by name.
#[must_use]
pub fn shipped_studies() -> Vec<ShippedStudy> {
    let one = |file: &'static include_dir::File<'static>| {
        let name = file.path().file_name()?.to_str()?.strip_suffix(".toml")?;
        Some(ShippedStudy { name, text: file.contents_utf8()? })
    };
    let mut studies: Vec<ShippedStudy> = STUDIES.files().filter_map(one).collect();
    studies.sort_by_key(|study| study.name);
    studies
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_study;
    use std::path::Path;

    #[test]
    fn shipped_studies_load_and_are_called_like_their_files() {
        let studies = shipped_studies();
        assert!(studies.iter().any(|study| study.name == "six-cells"));
        for study in studies {
            let spec = load_study(None, study.name, study.text, Path::new("/"), &[]).unwrap();
            assert_eq!(spec.name.as_str(), study.name);
            assert!(!spec.description.is_empty());
        }
    }
}
