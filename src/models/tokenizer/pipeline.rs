//! The steps from text to ids, written down as the `tokenizer.json` that transformers' `CLIPTokenizer` amounts to.

use serde_json::{Value, json};
use tokenizers::Tokenizer;

use crate::error::Result;
use crate::input_error;
use crate::models::tokenizer::files::Vocabulary;

/// What a word is: an English contraction, letters, one digit, or anything else without spaces.
const WORDS: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

pub(super) fn build(vocabulary: &Vocabulary) -> Result<Tokenizer> {
    let special: Vec<Value> = vocabulary.special.iter().filter_map(|(content, normalized)| special_token(vocabulary, content, *normalized)).collect();
    let merges: Vec<[&str; 2]> = vocabulary.merges.iter().map(|(first, second)| [first.as_str(), second]).collect();
    let description = json!({
        "version": "1.0",
        "added_tokens": special,
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "NFC" },
            { "type": "Replace", "pattern": { "Regex": r"\s+" }, "content": " " },
            { "type": "Lowercase" },
        ] },
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": WORDS }, "behavior": "Removed", "invert": true },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        ] },
        "model": {
            "type": "BPE", "dropout": null, "unk_token": vocabulary.unknown, "continuing_subword_prefix": "", "end_of_word_suffix": "</w>",
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": vocabulary.ids, "merges": merges,
        },
    });
    Tokenizer::from_bytes(serde_json::to_vec(&description)?).map_err(|error| input_error!("the tokenizer's files do not fit together: {error}"))
}

/// A token that is found in the text as it stands; one that the vocabulary lacks has no embedding and is left out.
fn special_token(vocabulary: &Vocabulary, content: &str, normalized: bool) -> Option<Value> {
    let id = vocabulary.ids.get(content)?;
    Some(json!({
        "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": normalized, "special": true,
    }))
}
