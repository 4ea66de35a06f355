//! Composing a study with keys alone.

use super::pty::Terminal;

const CLEAR: &str = "\x15";

/// What stands in a field of the form.
fn field(screen: &str, label: &str) -> String {
    let lines = screen.lines().flat_map(|line| line.split(['│', '┃']));
    let values = lines.filter_map(|part| part.trim_matches([' ', '▸', '▏']).strip_prefix(label));
    values
        .map(|value| value.trim_matches([' ', '▸']).to_owned())
        .find(|value| !value.is_empty() && !value.contains('◂'))
        .unwrap_or_default()
}

/// Sizes, batch and length of a tiny run, from the field of the seeds to the last one.
fn sizes(terminal: &mut Terminal, steps: u64) {
    // Over the preset to the sizes; over heads, family, positions and looks; over rate and unit to the budget.
    terminal.keys(&format!("\t\t{CLEAR}16\t{CLEAR}1\t\t\t\t\t\t{CLEAR}32\t{CLEAR}2\t\t\t{CLEAR}{steps}"));
    terminal.until("the sizes", |screen| {
        let labels = ["d_model", "num_layers", "seq_len", "batch_size", "budget in     ◂ steps ▸"];
        labels.map(|label| field(screen, label)) == ["16", "1", "32", "2", &steps.to_string()]
    });
}

/// One tiny run of the form's first choices, `steps` long, from the Lab to the queue.
pub(crate) fn one(terminal: &mut Terminal, steps: u64) {
    terminal.keys("a").shows("Add a study");
    terminal.keys("G\r").shows("What to compare");
    // From the name over all architectures and objectives and the lineages.
    terminal.keys(&"\t".repeat(19)).shows("▸seeds");
    sizes(terminal, steps);
    terminal.keys("\r").shows("1 to train");
    terminal.keys("\r").shows("1 run queued");
}

/// A grid of CD and ND with PLM and MLM and seeds 1 and 2, tiny, `steps` long, from the Lab to the queue.
pub(crate) fn grid(terminal: &mut Terminal, steps: u64) {
    terminal.keys("a").shows("Add a study");
    terminal.keys("G\r").shows("What to compare");
    // From the name: over CD, ND on, over the other architectures, FLM off, PLM on, MLM on, over the others and the lineages, one more seed.
    let (architectures, objectives) = ("\t".repeat(7), "\t".repeat(8));
    terminal
        .keys(&format!("\t\t {architectures} \t \t {objectives},2"))
        .until("two seeds", |screen| field(screen, "seeds") == "1,2");
    sizes(terminal, steps);
    terminal.keys("\r").shows("Runs 8");
    let review = terminal.shows("8 to train");
    for cell in ["CD:PLM", "CD:MLM", "ND:PLM", "ND:MLM"] {
        assert_eq!(review.matches(cell).count(), 2, "two seeds of {cell}:\n{review}");
    }
    assert!(review.contains("nothing is queued yet"), "{review}");
    terminal.keys("\r").shows("8 runs queued");
}
