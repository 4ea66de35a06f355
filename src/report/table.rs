//! A table of texts: aligned columns for people, Markdown for pages, CSV for programs.
//! Promises: a cell is one line and keeps to its column whatever it holds: wide characters, ends of lines, bars, commas.
//! Must not know: what is in the cells.

use crate::core::text_width::{columns_of, left, right};
use crate::core::visible::visible;

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
        let headings = self.headings.iter().map(|(name, _)| visible(name)).collect();
        let cells = self.rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect());
        let rows: Vec<Vec<_>> = std::iter::once(headings).chain(cells).collect();
        let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| columns_of(cell)).max();
        let widths: Vec<usize> = (0..self.headings.len()).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in &rows {
            let mut line = String::new();
            for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(&self.headings) {
                line += &match align {
                    Align::Left => left(cell, *width),
                    Align::Right => right(cell, *width),
                };
                line += "  ";
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
        let mut text = line(&mut self.headings.iter().map(|(name, _)| markdown_cell(name)));
        text += &line(&mut self.headings.iter().map(rule));
        text.extend(self.rows.iter().map(|row| line(&mut row.iter().map(|cell| markdown_cell(cell)))));
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

/// One line, in which a bar ends no cell: neither alone nor behind a backslash, which would escape the escape.
fn markdown_cell(cell: &str) -> String {
    visible(cell).replace("\\|", "\\\\|").replace('|', "\\|").replace('<', "&lt;")
}

fn csv_cell(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
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

    #[test]
    fn columns_stay_where_they_are_whatever_a_name_holds() {
        let mut table = Table::new(&[("corpus", Align::Left), ("loss", Align::Right)]);
        for name in ["港の物語", "ascii", "a\nb\x1b[2J", "e\u{301}"] {
            table.push(vec![name.to_owned(), "1.5".to_owned()]);
        }
        let text =
            "corpus       loss\n港の物語      1.5\nascii         1.5\na\\nb\\x1b[2J   1.5\ne\u{301}             1.5\n";
        assert_eq!(table.text(), text);
        let mut table = Table::new(&[("name", Align::Left)]);
        for name in ["a|b", "a\\|b", "a\r\nb", "\u{202e}c"] {
            table.push(vec![name.to_owned()]);
        }
        let markdown = "| name |\n| --- |\n| a\\|b |\n| a\\\\\\|b |\n| a\\r\\nb |\n| \\u{202e}c |\n";
        assert_eq!(table.markdown(), markdown);
        assert_eq!(table.csv(), "name\na|b\na\\|b\n\"a\r\nb\"\n\u{202e}c\n");
    }
}
