//! Rows of text as a table for people and as CSV.

/// Lines with their columns under each other: the first `names` columns flush left, the rest, which are numbers, flush right.
pub fn aligned(lines: &[Vec<String>], names: usize) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |line: &[String], column: usize| line.get(column).cloned().unwrap_or_default();
    let width = |column: usize| lines.iter().map(|line| cell(line, column).chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |line: &Vec<String>| {
        let padded = widths.iter().enumerate().map(|(column, &width)| {
            let cell = cell(line, column);
            if column < names { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Lines of fields (RFC 4180, with plain line ends).
pub fn csv(lines: &[Vec<String>]) -> String {
    let line = |fields: &Vec<String>| fields.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(",") + "\n";
    lines.iter().map(line).collect()
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// A number for CSV, empty where there is none.
pub fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_and_fields_are_quoted() {
        let lines = [vec!["a".to_owned(), "number".into()], vec!["long".into(), "1".into()], vec!["x".into()]];
        assert_eq!(aligned(&lines, 1), "a     number\nlong       1\nx");
        assert_eq!(csv(&[vec!["a,b".into(), "say \"x\"".into(), "1".into()]]), "\"a,b\",\"say \"\"x\"\"\",1\n");
        assert_eq!((number(Some(0.5)), number(None)), ("0.5".into(), String::new()));
    }
}
