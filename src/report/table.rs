//! Tables: in the page, and as CSV and JSON beside it.

use serde_json::{Map, Value, json};

use crate::evaluation::grid;

/// A table with one heading row; numbers are set flush right.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What the table shows.
    pub caption: String,
    /// Column headings.
    pub headings: Vec<String>,
    /// Cells, row by row.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of two columns.
    pub fn of_pairs(caption: &str, headings: [&str; 2], rows: Vec<(String, String)>) -> Self {
        let rows = rows.into_iter().map(|(name, value)| vec![name, value]).collect();
        Self { caption: caption.to_owned(), headings: headings.map(str::to_owned).to_vec(), rows }
    }

    /// A table from lines, the first of which holds the headings.
    pub fn of_lines(caption: &str, mut lines: Vec<Vec<String>>) -> Self {
        let headings = if lines.is_empty() { Vec::new() } else { lines.remove(0) };
        Self { caption: caption.to_owned(), headings, rows: lines }
    }

    /// The table as CSV.
    pub fn csv(&self) -> String {
        grid::csv(&std::iter::once(self.headings.clone()).chain(self.rows.iter().cloned()).collect::<Vec<_>>())
    }

    /// Caption and rows; a row is an object by heading, a cell a number where it is one.
    pub fn json(&self) -> Value {
        let cell = |text: &String| text.parse::<f64>().ok().filter(|number| number.is_finite()).map_or_else(|| json!(text), |number| json!(number));
        let row = |cells: &Vec<String>| Value::Object(self.headings.iter().cloned().zip(cells.iter().map(cell)).collect::<Map<_, _>>());
        json!({"caption": self.caption, "rows": self.rows.iter().map(row).collect::<Vec<_>>()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_say_what_the_table_says() {
        let table = Table::of_lines("c", vec![vec!["name".into(), "value".into()], vec!["a,b".into(), "0.5".into()], vec!["x".into(), "-".into()]]);
        assert_eq!(table.csv(), "name,value\n\"a,b\",0.5\nx,-\n");
        assert_eq!(table.json(), json!({"caption": "c", "rows": [{"name": "a,b", "value": 0.5}, {"name": "x", "value": "-"}]}));
        let pairs = Table::of_pairs("c", ["name", "value"], vec![("a,b".into(), "0.5".into()), ("x".into(), "-".into())]);
        assert_eq!(pairs, table);
        assert_eq!(Table::of_lines("", Vec::new()), Table::default());
    }
}
