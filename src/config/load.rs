//! Where layers come from: the shipped text, a config file, a study file, `--set` on the command line.

use std::io;
use std::path::{Path, PathBuf};

use super::layers::{ConfigError, Layer, read};
use super::{Config, files};
use crate::core::encoding::text_of;
use crate::core::study::StudySpec;

/// The shipped `config.toml`.
pub const SHIPPED_CONFIG: &str = include_str!("../../config.toml");

/// Bytes that a file of settings, a study's included, may have.
pub(super) const LARGEST: u64 = 1 << 20;

/// Sections that are not defaults of studies.
const NOT_FOR_STUDIES: [&str; 2] = ["lab", "screen"];

/// `key=value` of `--set`.
pub type Override = Layer;

fn shipped() -> Result<Layer, ConfigError> {
    Layer::parse("shipped config.toml", SHIPPED_CONFIG)
}

fn file(path: &Path) -> Result<Layer, ConfigError> {
    let name = path.display().to_string();
    let unreadable =
        |message: String| ConfigError { place: name.clone(), message: format!("cannot be read: {message}") };
    let bytes = files::read(path, LARGEST).map_err(|error| unreadable(error.to_string()))?;
    let text = text_of(&bytes).map_err(|error| unreadable(error.to_string()))?;
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    Ok(Layer::parse(&name, text)?.anchored(&folder))
}

/// The shipped config with the file at `path` over it.
///
/// # Errors
/// The file cannot be read, is not TOML, or has an unknown key or a value of the wrong type.
pub fn load_config(path: Option<&Path>) -> Result<Config, ConfigError> {
    let mut layers = vec![shipped()?];
    layers.extend(path.map(file).transpose()?);
    read(&layers)
}

/// The text of the study file at `path`.
///
/// # Errors
/// It is no regular file, cannot be read, is too large, or is no UTF-8.
pub fn read_study(path: &Path) -> io::Result<String> {
    let bytes = files::read(path, LARGEST)?;
    text_of(&bytes).map(str::to_owned).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Parses `KEY=VALUE`, as in `training.learning_rate=[1e-3,2e-3]`; a value that is not TOML is taken as text.
/// Relative corpus paths start at `folder`, the working directory.
///
/// # Errors
/// There is no `=`, or the key is not a dotted key.
pub fn parse_override(text: &str, folder: &Path) -> Result<Override, ConfigError> {
    let name = format!("--set {text}");
    let Some((key, value)) = text.split_once('=') else {
        return Err(ConfigError { place: name, message: "write it as key=value, as in budget.steps=100".to_owned() });
    };
    let (key, value) = (key.trim(), value.trim());
    let quoted = || format!("{key} = {}", toml::Value::String(value.to_owned()));
    let layer = Layer::parse(&name, &format!("{key} = {value}")).or_else(|_| Layer::parse(&name, &quoted()))?;
    Ok(layer.anchored(folder))
}

/// A study: the shipped config, the config file, the study text (from `name`, relative to `folder`), the overrides.
///
/// # Errors
/// As [`load_config`].
pub fn load_study(
    config: Option<&Path>,
    name: &str,
    text: &str,
    folder: &Path,
    overrides: &[Override],
) -> Result<StudySpec, ConfigError> {
    let mut layers = vec![shipped()?.without(&NOT_FOR_STUDIES)];
    layers.extend(config.map(file).transpose()?.map(|layer| layer.without(&NOT_FOR_STUDIES)));
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    layers.push(Layer::parse(name, text)?.anchored(&folder));
    layers.extend(overrides.iter().cloned());
    read(&layers)
}

/// A complete study as TOML, for the study's folder.
///
/// # Errors
/// A value has no place in TOML.
pub fn save_study(study: &StudySpec) -> Result<String, toml::ser::Error> {
    toml::to_string_pretty(study)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::stage::Budget;
    use crate::core::study::{Axis, HeadDim};
    use crate::core::texts::TokenizerSpec;
    use crate::core::{Architecture, Objective};

    fn study(text: &str, overrides: &[&str]) -> Result<StudySpec, ConfigError> {
        let overrides: Vec<_> = overrides.iter().map(|o| parse_override(o, Path::new("/here")).unwrap()).collect();
        load_study(None, "six.toml", text, Path::new("/there"), &overrides)
    }

    #[test]
    fn the_shipped_config_is_complete() {
        let config = load_config(None).unwrap();
        assert_eq!(config.budget, Budget::Steps(300));
        assert_eq!(config.corpus.tokenizer, TokenizerSpec::Bytes);
        assert_eq!(config.model.head_dim, Axis::from(HeadDim::STANDARD));
    }

    #[test]
    fn studies_and_overrides_lie_over_the_defaults() {
        let text = "name = 'a'\n[grid]\narchitecture = ['CD', 'ED']\nobjective = 'MLM'\n[corpus]\npaths = ['x.txt', 'shipped:harbour']\n[budget]\ntokens = 9";
        let spec = study(
            text,
            &["training.learning_rate=[1e-3, 2e-3]", "corpus.tokenizer=bpe:512", "corpus.validation=['v']"],
        )
        .unwrap();
        assert_eq!(spec.grid.architecture, Axis(vec![Architecture::CausalDecoder, Architecture::EncoderDecoder]));
        assert_eq!(spec.grid.objective, Axis(vec![Objective::SpanCorruption]));
        assert_eq!(spec.budget, Budget::Tokens(9));
        assert_eq!(spec.corpus.paths, ["/there/x.txt", "shipped:harbour"]);
        assert_eq!(spec.corpus.validation, ["/here/v"]);
        assert_eq!(spec.corpus.tokenizer, TokenizerSpec::Bpe(512));
        assert_eq!(spec.training.learning_rate, Axis(vec![1e-3, 2e-3]));
        let again = study(&save_study(&spec).unwrap(), &[]).unwrap();
        assert_eq!(again, spec);
    }

    #[test]
    fn errors_name_file_line_and_key() {
        let said = |text: &str| study(text, &[]).unwrap_err().to_string();
        assert_eq!(
            said("name = 'a'\n\n[training]\nlearning_rat = 1"),
            "six.toml:4: unknown key `training.learning_rat`; the nearest known key is `learning_rate`"
        );
        let mixed = "name = 'a'\n[objective]\nmixture = [{ task = 'full_lm', weight = nan }]";
        let words = "six.toml:3: key `objective.mixture.weight`: it must be a finite number, not inf or nan";
        assert_eq!(said(mixed), words);
        assert_eq!(said("name = 'a'\ncolour = 1").split(';').next().unwrap(), "six.toml:2: unknown key `colour`");
        assert!(
            said("name = 'a'\n[model]\nd_model = 'wide'").starts_with("six.toml:3: key `model.d_model`: invalid type"),
            "{}",
            said("name = 'a'\n[model]\nd_model = 'wide'")
        );
        assert!(
            said("name = 'a'\n[grid]\narchitecture = ['XX']")
                .starts_with("six.toml:3: key `grid.architecture`: unknown variant `XX`"),
            "{}",
            said("name = 'a'\n[grid]\narchitecture = ['XX']")
        );
        assert!(
            said("name = 'a'\n[corpus]\ntokenizer = 'words'")
                .contains("six.toml:3: key `corpus.tokenizer`: unknown tokenizer")
        );
        assert!(said("name = 'A b'").starts_with("six.toml:1: key `name`"), "{}", said("name = 'A b'"));
        assert!(
            said("name = 'a'\n[budget]\nsteps = 1\ntokens = 2").contains("key `budget`: it takes one key"),
            "{}",
            said("name = 'a'\n[budget]\nsteps = 1\ntokens = 2")
        );
        assert!(
            said("name = 'a'\n[grid]\nthen = ['s']").ends_with("expected a list in brackets"),
            "{}",
            said("name = 'a'\n[grid]\nthen = ['s']")
        );
        assert!(said("name = \n").starts_with("six.toml:1: "));
        assert!(said("[grid]\nseed = 1").contains("name"), "{}", said("[grid]\nseed = 1"));
        let wrong = study("name = 'a'", &["budget.stepz=3"]).unwrap_err().to_string();
        assert!(wrong.starts_with("--set budget.stepz=3: key `budget`: unknown variant `stepz`"), "{wrong}");
        assert!(wrong.ends_with("; the nearest is `steps`"), "{wrong}");
        let wrong = study("name = 'a'", &["trainin.seq_len=3"]).unwrap_err().to_string();
        assert_eq!(wrong, "--set trainin.seq_len=3: unknown key `trainin`; the nearest known key is `training`");
    }
}
