//! How well files fit a model: what is missing, left over or of another shape, all of it in one message.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::weights::header::shown;

/// What was noticed while a model took its parameters.
#[derive(Debug, Default)]
pub(super) struct Fit {
    pub used: BTreeSet<String>,
    pub missing: Vec<(String, Vec<usize>)>,
    pub misshaped: Vec<Misshaped>,
    /// Elements made up for missing and mis-shaped tensors so far.
    pub placeholders: usize,
}

/// A tensor that is there, but not as the model needs it.
#[derive(Debug)]
pub(super) struct Misshaped {
    pub name: String,
    pub expected: Vec<usize>,
    pub found: String,
}

/// Suggestions are looked for while this many tensors are missing; with more, the file is simply of another model.
const MOST_SUGGESTIONS: usize = 64;

impl Fit {
    /// The whole story, or `None` when everything fits. `left_over` are names that the model did not ask for.
    pub fn complaint(&self, label: &str, left_over: &[&str]) -> Option<String> {
        if self.missing.is_empty() && self.misshaped.is_empty() && left_over.is_empty() {
            return None;
        }
        let counts = [(self.missing.len(), "missing"), (left_over.len(), "left over"), (self.misshaped.len(), "of another shape or type")];
        let counts: Vec<String> = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        let mut text = format!("{label} does not fit the model that its configuration describes: tensors {}", counts.join(", "));
        for (name, shape) in &self.missing {
            let _ = write!(text, "\n  missing: {} {shape:?}", shown(name));
            if self.missing.len() <= MOST_SUGGESTIONS
                && let Some(nearest) = nearest(name, left_over)
            {
                let _ = write!(text, ", perhaps called {} in the file", shown(nearest));
            }
        }
        for name in left_over {
            let _ = write!(text, "\n  left over: {}", shown(name));
        }
        for Misshaped { name, expected, found } in &self.misshaped {
            let _ = write!(text, "\n  other shape: {} expected {expected:?}, found {found}", shown(name));
        }
        Some(text)
    }
}

/// The name most like `name`, if one is alike at all: at most a third of the letters differ.
fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    const MOST_CANDIDATES: usize = 1000;
    let likely = candidates.iter().take(MOST_CANDIDATES).filter(|candidate| candidate.len().abs_diff(name.len()) <= name.len() / 3);
    let (distance, best) = likely.map(|&candidate| (distance(name, candidate), candidate)).min()?;
    (distance <= name.len().max(best.len()) / 3).then_some(best)
}

/// Levenshtein distance over bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(nearest("mid.attention.weight", &["mid.atention.weight", "conv_in.weight"]), Some("mid.atention.weight"));
        assert_eq!(nearest("mid.attention.weight", &["x"]), None);
    }
}
