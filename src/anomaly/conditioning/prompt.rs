//! A template as tokens around a hole.

use crate::anomaly::templates::PLACEHOLDER;
use crate::error::Result;
use crate::invalid_input;
use crate::models::tokenizer::ClipTokenizer;

/// The tokens before and behind the placeholder: with the start token, the end token and the padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prompt {
    pub(super) before: Vec<i32>,
    pub(super) after: Vec<i32>,
}

impl Prompt {
    /// Tokenises a template that will hold `rows` learned rows.
    ///
    /// The halves are tokenised by themselves: a byte-pair vocabulary never joins pieces across the space before the placeholder, and so no word has
    /// to be given up for it.
    ///
    /// # Errors
    /// When the text before the placeholder and the rows do not fit (exit code 2). What is behind them may be cut, as in the released program.
    pub(super) fn new(tokenizer: &ClipTokenizer, template: &str, rows: usize) -> Result<Self> {
        let (head, tail) = template.split_once(PLACEHOLDER).unwrap_or((template, ""));
        let mut before = vec![tokenizer.start_id()];
        before.extend(tokenizer.encode_bare(head)?);
        let room = tokenizer.length().saturating_sub(before.len() + rows);
        if room == 0 {
            invalid_input!(
                "prompt template {template:?} has {} tokens before the placeholder; with {rows} learned ones that is more than the text encoder's {}",
                before.len(),
                tokenizer.length()
            );
        }
        let mut after = tokenizer.encode_bare(tail)?;
        after.push(tokenizer.end_id());
        after.resize(after.len().max(room), tokenizer.pad_id());
        after.truncate(room);
        Ok(Self { before, after })
    }
}
