//! Every figure on the screen is the figure that the commands print, rounded as it is shown.

use serde_json::Value;

use super::lab::NO_FILTER;
use super::pty::{Home, Terminal};

fn decimals(value: &Value, digits: usize) -> String {
    format!("{:.digits$}", value.as_f64().unwrap())
}

/// `12.3k`, as counts are shown.
fn count(value: f64) -> String {
    let (scaled, letter) = match value {
        small if small < 999.5 => return format!("{small:.0}"),
        thousands if thousands < 999_500.0 => (thousands / 1e3, 'k'),
        millions => (millions / 1e6, 'M'),
    };
    let digits = if scaled < 9.995 { 2 } else { usize::from(scaled < 99.95) };
    format!("{scaled:.digits$}{letter}")
}

fn rounded(metrics: &Value) -> Vec<String> {
    vec![decimals(&metrics["loss"], 4), decimals(&metrics["validation_loss"], 4)]
}

fn row(screen: &str, part: &str) -> String {
    screen.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("no row of {part}:\n{screen}")).to_owned()
}

fn has_all(row: &str, figures: &[String]) {
    for figure in figures {
        // A star says that a score is above chance.
        let found = row.split([' ', '│', '┃']).any(|word| word.trim_end_matches('*') == figure);
        assert!(found, "`{figure}` is not in: {row}");
    }
}

/// All runs on the Lab, one in detail, and all rows of the Leaderboard.
pub(crate) fn agree(home: &Home, terminal: &mut Terminal) {
    let finished = home.runs("finished");
    for id in &finished {
        let run = home.json(&["run", "show", "--json", id]);
        let summary = &run["summary"];
        let step = format!("{}/{}", summary["step"], summary["steps"]);
        terminal.keys(&format!("/id:{id}\r"));
        let screen = terminal.until("one run", |screen| screen.contains("Ended 1 (filtered)"));
        let mut figures = rounded(&summary["latest"]);
        figures.extend([step, summary["seed"].to_string()]);
        has_all(&row(&screen, " finished "), &figures);
        terminal.keys(NO_FILTER).shows("Ended 9");
    }
    detail(home, terminal, finished.first().unwrap());
    leaderboard(home, terminal);
}

fn detail(home: &Home, terminal: &mut Terminal, id: &str) {
    let run = home.json(&["run", "show", "--json", id]);
    let summary = &run["summary"];
    terminal.keys(&format!("/id:{id}\r"));
    terminal.shows("Ended 1 (filtered)");
    terminal.keys("g\r");
    let screen =
        terminal.until("all about the run", |screen| screen.contains("fingerprint") || screen.contains("data "));
    let mut figures = rounded(&summary["latest"]);
    figures.push(count(summary["latest"]["tokens_per_second"].as_f64().unwrap().round()));
    figures.push(format!("{}/{}", summary["step"], summary["steps"]));
    has_all(&row(&screen, "tok/s"), &figures);
    let parameters = count(summary["parameters"].as_f64().unwrap());
    assert!(row(&screen, "size ").contains(&parameters), "{screen}");
    assert!(screen.contains(id), "{screen}");
    terminal.keys("\x1b").shows("Coverage");
    terminal.keys(NO_FILTER).shows("Ended 9");
}

/// Every number of every column, found by looking at one column after the other.
fn leaderboard(home: &Home, terminal: &mut Terminal) {
    let table = home.json(&["leaderboard", "--json"]);
    terminal.keys("4");
    terminal.until("the finished table", |screen| screen.matches("2/2").count() == 4);
    let rows = table["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 5, "the stopped run has a row too");
    let columns = table["columns"].as_array().unwrap();
    let has = |key: &str| columns.iter().any(|column| column["key"] == key);
    for key in ["continuation_loss", "validation_loss:PLM", "validation_loss:MLM", "tokens_per_second"] {
        assert!(has(key), "no column {key}: {columns:?}");
    }
    let mut numbers = 0;
    for column in columns {
        let key = column["key"].as_str().unwrap();
        let digits = usize::try_from(column["decimals"].as_u64().unwrap()).unwrap();
        let written = |value: &Value| match key {
            _ if key.ends_with("tokens_per_second") => count(value.as_f64().unwrap().round()),
            _ => decimals(value, digits),
        };
        let screen = terminal.shows(&format!("▾{}", column["heading"].as_str().unwrap()));
        for lineage in rows {
            let name = |key: &str| lineage[key].as_str().unwrap().to_owned();
            let line = row(&screen, &format!(" {}:{} ", name("architecture"), name("objective")));
            let Some(cell) = lineage["cells"].get(key) else { continue };
            let mark = match cell["footing"].as_str().unwrap() {
                "tied" => "=",
                "untested" => "?",
                _ => "",
            };
            let interval = match &cell["half_width"] {
                // One seed makes no interval.
                Value::Null if cell["low"].is_null() => None,
                Value::Null => {
                    // Shares without the zero before their point; 1 has a digit less.
                    let end = |key: &str| match cell[key].as_f64().unwrap() {
                        whole if whole.abs() >= 1.0 => decimals(&cell[key], digits - 1),
                        _ => decimals(&cell[key], digits).replacen("0.", ".", 1),
                    };
                    Some(format!("[{},{}]", end("low"), end("high")))
                }
                half => Some(format!("±{}", written(half))),
            };
            let mut figures = vec![format!("{}{mark}", cell["place"]), written(&cell["mean"])];
            figures.extend(interval);
            has_all(&line, &figures);
            numbers += 1;
        }
        terminal.keys(">");
    }
    assert!(numbers > 2 * rows.len(), "only {numbers} numbers were compared");
}
