//! The house rules that a compiler does not know: imports only go down, outside crates stay in their rooms, files stay
//! small, names say something. The table below is the plan of the house; change it together with the code.
#![expect(clippy::unwrap_used, reason = "a broken test stops")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules in layer order, each with the outside crates it may use besides those everyone may.
const HOUSE: &[(&str, &[&str])] = &[
    ("core", &["blake3", "rand_chacha", "rand", "unicode_width", "unicode_segmentation"]),
    ("config", &["include_dir", "toml", "serde_path_to_error", "strsim", "glob"]),
    ("corpus", &["tokenizers", "memmap2", "blake3", "rand", "toml"]),
    ("objective", &["rand", "rand_chacha"]),
    ("kernel", &["candle_core", "gemm", "gemmkit", "half", "pulp"]),
    ("model", &["candle_core", "rand"]),
    ("optim", &["candle_core"]),
    ("rank", &["faer"]),
    ("eval", &["blake3", "include_dir", "minijinja", "minijinja_contrib", "fancy_regex", "saphyr_parser"]),
    ("stats", &["statrs"]),
    ("train", &["candle_core", "rand", "rand_chacha"]),
    ("runlog", &["rustix"]),
    ("worker", &["anyhow", "signal_hook", "rustix"]),
    ("store", &["sled"]),
    ("schedule", &["rustix"]),
    ("wire", &["tokio", "tokio_util", "futures_util", "blake3", "rustix"]),
    ("server", &["anyhow", "tokio", "tokio_util", "futures_util", "rustix"]),
    ("tui", &["anyhow", "ratatui", "crossterm", "tokio", "futures_util", "rustix"]),
    ("report", &[]),
    ("cli", &["anyhow", "clap", "clap_complete", "indicatif", "tokio", "rustix"]),
];

/// Crates that are words and formats, welcome everywhere.
const EVERYWHERE: &[&str] = &["std", "core", "alloc", "crate", "self", "super", "serde", "serde_json", "thiserror"];

/// What the dashboard may see of the house.
const TUI_SEES: &[&str] = &["core", "config", "wire", "tui"];

/// Science knows no runtime, database or terminal.
const SCIENCE: &[&str] = &["corpus", "objective", "kernel", "model", "optim", "rank", "eval", "stats", "train"];
const NOT_FOR_SCIENCE: &[&str] = &["runlog", "worker", "store", "schedule", "wire", "server", "tui"];

const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "manager", "imp"];
const MOST_LINES: usize = 500;

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.sort();
    found
}

/// The code of a file without comments, strings and the inline test module.
fn code(text: &str) -> String {
    let body = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    body.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

fn module_of(path: &Path) -> String {
    let relative = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    relative.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Every `crate::X` path and every `use X` root, grouped imports included.
fn mentioned(code: &str) -> (Vec<String>, Vec<String>) {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut inside = Vec::new();
    for (place, _) in code.match_indices("crate::") {
        let rest = code.get(place + "crate::".len()..).unwrap_or("");
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut start = true;
            for (at, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if start && depth == 0 && !c.is_whitespace() => {
                        inside.push(word(group.get(at..).unwrap_or("")));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            inside.push(word(rest));
        }
    }
    let mut outside = Vec::new();
    for line in code.lines() {
        let line = line.trim_start();
        let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
        if let Some(rest) = line.strip_prefix("use ") {
            outside.push(word(rest.trim_start_matches("::")));
        }
    }
    let dependencies = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    for name in dependencies.lines().filter_map(|line| line.split_once(" = ").map(|(name, _)| name.replace('-', "_"))) {
        for (place, _) in code.match_indices(&format!("{name}::")) {
            let before = code.get(..place).unwrap_or("").chars().next_back().unwrap_or(' ');
            if !before.is_alphanumeric() && before != '_' && before != ':' {
                outside.push(name.clone());
            }
        }
    }
    (inside, outside)
}

/// Everything that is wrong with one file, in words.
fn offences(path: &Path, text: &str) -> Vec<String> {
    let layer: BTreeMap<&str, usize> = HOUSE.iter().enumerate().map(|(at, (name, _))| (*name, at)).collect();
    let module = module_of(path);
    let mut found = Vec::new();
    let shown = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(path).display().to_string();
    if !text.starts_with("//!") {
        found.push(format!("{shown}: does not open with //!"));
    }
    if text.lines().count() > MOST_LINES {
        found.push(format!("{shown}: {} lines, at most {MOST_LINES}", text.lines().count()));
    }
    let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
    if EMPTY_NAMES.contains(&stem.as_str()) || EMPTY_NAMES.contains(&module.as_str()) {
        found.push(format!("{shown}: a name that says nothing"));
    }
    if module == "main" || module == "lib" {
        return found;
    }
    let Some(own) = layer.get(module.as_str()) else {
        found.push(format!("{shown}: module `{module}` is not in the plan of the house"));
        return found;
    };
    let (inside, outside) = mentioned(&code(text));
    for other in inside.iter().filter(|name| layer.contains_key(name.as_str())) {
        if layer.get(other.as_str()) > Some(own) {
            found.push(format!("{shown}: `{module}` imports `{other}`, which lies above it"));
        }
        if module == "tui" && !TUI_SEES.contains(&other.as_str()) {
            found.push(format!("{shown}: the dashboard sees `{other}`"));
        }
        if SCIENCE.contains(&module.as_str()) && NOT_FOR_SCIENCE.contains(&other.as_str()) {
            found.push(format!("{shown}: science sees `{other}`"));
        }
    }
    let allowed = HOUSE.iter().find(|(name, _)| *name == module).map_or(&[][..], |(_, crates)| crates);
    let modules =
        text.lines().filter_map(|line| line.trim().strip_prefix("mod ").or(line.trim().strip_prefix("pub mod ")));
    let local: Vec<String> = modules.map(|rest| rest.trim_end_matches([';', '{', ' ']).to_owned()).collect();
    for name in outside {
        let known = EVERYWHERE.contains(&name.as_str()) || allowed.contains(&name.as_str()) || local.contains(&name);
        let is_type = name.chars().next().is_none_or(char::is_uppercase);
        if !known && !is_type {
            found.push(format!("{shown}: `{module}` uses the crate `{name}`"));
        }
    }
    found
}

#[test]
fn the_house_stands() {
    let mut found: Vec<String> = sources().iter().flat_map(|(path, text)| offences(path, text)).collect();
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn planted_offences_are_found() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let said = |file: &str, text: &str| offences(&src.join(file), text).join("; ");
    assert!(said("core/id.rs", "//! x\nuse crate::server::Session;\n").contains("lies above"));
    assert!(said("core/id.rs", "//! x\nuse crate::{config::Theme, wire};\n").contains("lies above"));
    assert!(said("corpus/x.rs", "//! x\nfn f() { let _ = crate::store::open(); }\n").contains("lies above"));
    assert!(said("tui/x.rs", "//! x\nuse crate::store::Store;\n").contains("dashboard sees"));
    assert!(said("cli/x.rs", "//! x\nuse crate::store::Store;\n").is_empty());
    assert!(said("train/x.rs", "//! x\nuse tokio::select;\n").contains("uses the crate `tokio`"));
    assert!(said("train/x.rs", "//! x\nfn f() { sled::open(); }\n").contains("uses the crate `sled`"));
    assert!(said("core/x.rs", "fn f() {}\n").contains("does not open"));
    assert!(said("core/utils.rs", "//! x\n").contains("says nothing"));
    assert!(said("attic/x.rs", "//! x\n").contains("not in the plan"));
    assert!(said("core/x.rs", &format!("//! x\n{}", "\n".repeat(MOST_LINES))).contains("at most"));
    assert!(said("core/x.rs", "//! x\n#[cfg(test)]\nmod tests {\nuse crate::server::X;\n}\n").is_empty());
}
