//! A table of texts: aligned columns for people, CSV for programs.

use std::fmt::Write;

/// How a column lines up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A heading and its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    headings: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new(headings: &[(&str, Align)]) -> Self {
        Self { headings: headings.iter().map(|(name, align)| ((*name).to_owned(), *align)).collect(), rows: Vec::new() }
    }

    /// Appends a row; it has one cell per column.
    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// Aligned text, one line per row, without trailing blanks.
    #[must_use]
    pub fn text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let heading = self.headings.get(column).map(|(name, _)| name);
            cells.chain(heading).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.headings.len()).map(width).collect();
        let headings: Vec<String> = self.headings.iter().map(|(name, _)| name.clone()).collect();
        let mut text = String::new();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(&self.headings) {
                // Writing to a String cannot fail.
                let _ = match align {
                    Align::Left => write!(line, "{cell:<width$}  "),
                    Align::Right => write!(line, "{cell:>width$}  "),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// A Markdown table.
    #[must_use]
    pub fn markdown(&self) -> String {
        let line = |cells: &mut dyn Iterator<Item = String>| format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
        let rule = |(_, align): &(String, Align)| match align {
            Align::Left => "---".to_owned(),
            Align::Right => "---:".to_owned(),
        };
        let escaped = |cell: &String| cell.replace('|', "\\|").replace('<', "&lt;");
        let mut text = line(&mut self.headings.iter().map(|(name, _)| escaped(name)));
        text += &line(&mut self.headings.iter().map(rule));
        text.extend(self.rows.iter().map(|row| line(&mut row.iter().map(escaped))));
        text
    }

    /// RFC 4180 text.
    #[must_use]
    pub fn csv(&self) -> String {
        let headings: Vec<String> = self.headings.iter().map(|(name, _)| name.clone()).collect();
        let line = |row: &Vec<String>| row.iter().map(|cell| csv_cell(cell)).collect::<Vec<_>>().join(",") + "\n";
        std::iter::once(&headings).chain(&self.rows).map(line).collect()
    }
}

fn csv_cell(cell: &str) -> String {
    if cell.contains([',', '"', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_csv_quotes() {
        let mut table = Table::new(&[("cell", Align::Left), ("loss", Align::Right)]);
        table.push(vec!["CD:FLM".to_owned(), "1.5".to_owned()]);
        table.push(vec!["a,\"b\"".to_owned(), "12.25".to_owned()]);
        assert_eq!(table.text(), "cell     loss\nCD:FLM    1.5\na,\"b\"   12.25\n");
        let markdown = "| cell | loss |\n| --- | ---: |\n| CD:FLM | 1.5 |\n| a,\"b\" | 12.25 |\n";
        assert_eq!(table.markdown(), markdown);
        assert_eq!(table.csv(), "cell,loss\nCD:FLM,1.5\n\"a,\"\"b\"\"\",12.25\n");
    }
}
