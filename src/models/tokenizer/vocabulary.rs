//! CLIP's vocabulary: bytes, bytes that end a word, merged tokens, start and end token, numbered in this order.

use serde_json::json;

use crate::error::Result;
use crate::models::tokenizer::files::{END, START};

/// The merges of OpenAI's CLIP, with which every Stable Diffusion 1.x and 2.x was trained: weights/clip/README.md.
pub(super) const CLIP_MERGES: &str = include_str!("../../../weights/clip/merges.txt");

/// `vocab.json` of OpenAI's CLIP.
pub(super) fn clip() -> Result<String> {
    let merged = CLIP_MERGES.lines().filter(|line| !line.starts_with("#version")).map(|line| line.replacen(' ', "", 1));
    numbered(bytes().into_iter().chain(merged))
}

/// The tokens of single bytes: inside a word, then at its end.
pub(super) fn bytes() -> Vec<String> {
    let alphabet = byte_alphabet();
    let inside = alphabet.iter().map(char::to_string);
    inside.chain(alphabet.iter().map(|byte| format!("{byte}</w>"))).collect()
}

/// `vocab.json` of these tokens and the start and end token behind them. Two ways to one token do not give it two ids.
pub(super) fn numbered(tokens: impl IntoIterator<Item = String>) -> Result<String> {
    let mut ids = serde_json::Map::new();
    for token in tokens.into_iter().chain([START, END].map(str::to_owned)) {
        let next = ids.len();
        ids.entry(token).or_insert(json!(next));
    }
    Ok(serde_json::to_string(&ids)?)
}

/// What every byte is written as: itself where it is a visible character, a character from U+0100 on otherwise (GPT-2's `bytes_to_unicode`), in the
/// order of CLIP's vocabulary.
fn byte_alphabet() -> Vec<char> {
    let visible = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let plain = (0..=255u8).filter(|&byte| visible(byte)).map(char::from);
    let moved = (0..=255u8).filter(|&byte| !visible(byte)).zip('\u{100}'..).map(|(_, character)| character);
    plain.chain(moved).collect()
}
