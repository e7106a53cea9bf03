//! A vocabulary for a small text encoder: the bytes, and merges until every given word is one token.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::json;

use crate::error::{Result, ensure};
use crate::models::tokenizer::ClipTokenizer;
use crate::models::tokenizer::files::{END, START};
use crate::models::tokenizer::vocabulary;

/// Builds the contents of `vocab.json` and `merges.txt` in CLIP's layout (bytes, bytes that end a word, merges, start and end token), such that every
/// word of the texts is a single token. The pair that most words share is merged first; ties go to the first in alphabetical order.
///
/// # Errors
/// When there is no word in the texts.
pub fn train<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<(String, String)> {
    let mut tokens = vocabulary::bytes();
    let mut words = words(texts, &tokens)?;
    ensure!(!words.is_empty(), "a tokenizer needs at least one word");
    let mut merges = String::from("#version: 0.2\n");
    while let Some((first, second)) = most_shared_pair(&words) {
        let merged = format!("{first}{second}");
        words.iter_mut().for_each(|word| merge(word, &first, &second, &merged));
        writeln!(merges, "{first} {second}")?;
        tokens.push(merged);
    }
    Ok((vocabulary::numbered(tokens)?, merges))
}

/// The distinct words of the texts as symbols, cut as the tokenizer cuts them: with a vocabulary of bytes only, every byte is a token.
fn words<'a>(texts: impl IntoIterator<Item = &'a str>, bytes: &[String]) -> Result<Vec<Vec<String>>> {
    let all = bytes.iter().map(String::as_str).chain([START, END]);
    let ids: serde_json::Map<_, _> = all.enumerate().map(|(id, token)| (token.to_owned(), json!(id))).collect();
    let cutter = ClipTokenizer::from_vocabulary(&serde_json::to_string(&ids)?, "", 77)?;
    let mut distinct = BTreeSet::new();
    for text in texts {
        let mut word = Vec::new();
        for id in cutter.encode_bare(text)? {
            let Some(symbol) = bytes.get(id as usize) else { continue };
            word.push(symbol.clone());
            if symbol.ends_with("</w>") {
                distinct.insert(std::mem::take(&mut word));
            }
        }
    }
    Ok(distinct.into_iter().collect())
}

fn most_shared_pair(words: &[Vec<String>]) -> Option<(String, String)> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for word in words {
        for pair in word.windows(2) {
            *counts.entry((&pair[0], &pair[1])).or_default() += 1;
        }
    }
    let (pair, _) = counts.into_iter().max_by_key(|&(pair, count)| (count, Reverse(pair)))?;
    Some((pair.0.to_owned(), pair.1.to_owned()))
}

/// Replaces the pair from left to right, as the encoder does.
fn merge(word: &mut Vec<String>, first: &str, second: &str, merged: &str) {
    let mut index = 0;
    while index + 1 < word.len() {
        if word[index] == first && word[index + 1] == second {
            word[index] = merged.to_owned();
            word.remove(index + 1);
        }
        index += 1;
    }
}
