//! Names from strangers: which are usable, in which order, and which was meant.

use std::cmp::Ordering;

use crate::error::Result;
use crate::invalid_input;

/// Refuses what cannot name an object or a type: names become parts of paths and, joined by `+`, of the keys in learned files.
///
/// # Errors
/// Exit code 2, saying what is wrong with the name; `kind` ("object", "type") begins the message.
pub fn check_name(kind: &str, name: &str) -> Result<()> {
    let problem = match name {
        "" => "it is empty",
        "." | ".." => "it is a path, not a name",
        _ if name.contains(['/', '\\']) => "it contains a path separator",
        _ if name.chars().any(char::is_control) => "it contains control characters",
        _ if kind == "object" && name.contains('+') => "it contains '+', which separates object and type in learned files",
        _ if name.starts_with('.') => "it starts with a dot",
        _ if name.len() > 200 => "it is longer than 200 bytes",
        _ => return Ok(()),
    };
    invalid_input!("{kind} {name:?} cannot be used as a name: {problem}; rename it")
}

/// Natural order: runs of digits compare as numbers, so that `2` comes before `10`; the rest by character. Total: only equal names are equal.
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (Some(x), Some(y)) = (left.chars().next(), right.chars().next()) else {
            // The shorter first; names equal up to leading zeros by their text.
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (m, n) = (digits(&mut left), digits(&mut right));
            m.len().cmp(&n.len()).then_with(|| m.cmp(n))
        } else {
            (left, right) = (&left[x.len_utf8()..], &right[y.len_utf8()..]);
            x.cmp(&y)
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Takes the leading run of digits off, and gives it without leading zeros.
fn digits<'a>(text: &mut &'a str) -> &'a str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (run, rest) = text.split_at(end);
    *text = rest;
    run.trim_start_matches('0')
}

/// The known name with the fewest edits from `name`, if that is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let best = known.into_iter().map(|candidate| (edits(name, candidate), candidate)).min_by_key(|(distance, _)| *distance)?;
    (best.0 <= 1 + name.chars().count() / 3).then_some(best.1)
}

/// "did you mean …? there are: …"
pub(super) fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 30;
    let mut names: Vec<&str> = known.collect();
    names.sort_by(|a, b| natural_order(a, b));
    names.dedup();
    let meant = nearest(name, names.iter().copied()).map_or(String::new(), |meant| format!("did you mean {meant:?}? "));
    let rest = names.len().saturating_sub(MOST);
    names.truncate(MOST);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{meant}there are: {}{more}", names.join(", "))
}

/// Levenshtein distance, letter case ignored.
fn edits(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, &y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}
