//! Aligned text for people.

use super::refusal::one_line;

/// What stands where there is no value.
pub(super) const NOTHING: &str = "-";

/// How a column lines up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows under headings.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings (upper case).
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, one cell a column; an empty cell is shown as `-`.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells
            .into_iter()
            .map(|cell| if cell.is_empty() { NOTHING.to_owned() } else { one_line(&cell) })
            .collect();
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }
}

impl std::fmt::Display for Table {
    /// Two blanks between columns, none at the end of a line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width_of = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            widest.max(self.columns[column].0.chars().count())
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width_of).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for ((cell, width), (_, align)) in cells.zip(&widths).zip(&self.columns) {
                let gap = " ".repeat(width - cell.chars().count());
                match align {
                    Align::Left => line.extend([cell, &gap]),
                    Align::Right => line.extend([&gap, cell]),
                }
                line.push_str("  ");
            }
            line.truncate(line.trim_end().len());
            line
        };
        writeln!(f, "{}", line(&mut self.columns.iter().map(|(name, _)| *name)))?;
        for row in &self.rows {
            writeln!(f, "{}", line(&mut row.iter().map(String::as_str)))?;
        }
        Ok(())
    }
}

/// `name: value` lines with the values lined up; an empty value is shown as `-`.
pub(super) fn facts<N: AsRef<str>>(facts: impl IntoIterator<Item = (N, String)>) -> String {
    let facts: Vec<(N, String)> = facts.into_iter().collect();
    let width = facts.iter().map(|(name, _)| name.as_ref().len() + 1).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in facts {
        let value = if value.is_empty() { NOTHING.to_owned() } else { one_line(&value) };
        text.push_str(&format!("{:width$} {value}\n", format!("{}:", name.as_ref())));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Align, Table, facts};

    #[test]
    fn columns_line_up_and_no_line_ends_in_a_blank() {
        let mut table =
            Table::new(&[("NAME", Align::Left), ("SIZE", Align::Right), ("KEY", Align::Left)]);
        table.row(["db".to_owned(), "10G".to_owned(), "finance".to_owned()]);
        table.row(["archive-ä".to_owned(), "1536M".to_owned(), String::new()]);
        assert_eq!(
            table.to_string(),
            "NAME        SIZE  KEY\n\
             db           10G  finance\n\
             archive-ä  1536M  -\n"
        );
    }

    #[test]
    fn a_cell_cannot_break_out_of_its_line() {
        let mut table = Table::new(&[("NAME", Align::Left)]);
        table.row(["a\nb\x1b[2J".to_owned()]);
        assert_eq!(table.to_string(), "NAME\na b\\u{1b}[2J\n");
    }

    #[test]
    fn facts_line_their_values_up() {
        let text = facts([("name", "db".to_owned()), ("key-state", String::new())]);
        assert_eq!(text, "name:      db\nkey-state: -\n");
    }
}
