//! Tables on a terminal: columns as wide as their widest cell, nothing else.

use crate::printable::Printable;

/// A table with a heading.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column headings.
    pub fn new<const N: usize>(heading: [&str; N]) -> Table {
        Table { rows: vec![heading.map(str::to_owned).to_vec()] }
    }

    /// Adds a row. Cells may come from images and devices: they are made [`Printable`].
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        // Cells come from images, devices and AWS. This is where all of them pass.
        self.rows.push(cells.map(|cell| Printable::of(&cell).to_string()).to_vec());
    }

    /// Whether there is nothing but the heading.
    pub fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell: &String| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let dim = anstyle::Style::new().dimmed();
        for (number, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            match number {
                0 => writeln!(f, "{dim}{}{dim:#}", line.trim_end())?,
                _ => writeln!(f, "{}", line.trim_end())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_untrusted_cells_cannot_move_the_cursor() {
        let mut table = Table::new(["device", "size"]);
        table.row(["/dev/sda".into(), "1 GiB".into()]);
        table.row(["x\x1b[2J".into(), "é".into()]);
        let text = anstream::adapter::strip_str(&table.to_string()).to_string();
        assert_eq!(text, "device      size\n/dev/sda    1 GiB\nx\\u{1b}[2J  é\n");
    }
}
