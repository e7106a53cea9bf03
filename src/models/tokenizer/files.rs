//! The files of a tokenizer, read and checked.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::Value;

use crate::error::Result;
use crate::weights::Folder;
use crate::{input_error, invalid_input};

const LARGEST_FILE: u64 = 64 << 20;
const MOST_TOKENS: usize = 1 << 20;
/// Where a configuration gives no length, or transformers' stand-in for "none" (1e30).
pub(super) const DEFAULT_LENGTH: usize = 77;
const LONGEST: f64 = 4096.0;

/// What a tokenizer is made of, checked.
#[derive(Debug)]
pub(super) struct Vocabulary {
    pub ids: BTreeMap<String, u32>,
    pub merges: Vec<(String, String)>,
    pub start: String,
    pub end: String,
    pub pad: String,
    pub unknown: String,
    /// Tokens that are found in the text as they stand: with `true`, after lower-casing.
    pub special: BTreeMap<String, bool>,
    pub length: usize,
    pub files: Vec<(String, Vec<u8>)>,
    /// What messages call the tokenizer.
    origin: String,
}

/// Reads whatever files the folder has.
pub(super) fn read(folder: &Folder) -> Result<Vocabulary> {
    let mut files = Vec::new();
    let mut text = |name: &str| -> Result<String> {
        let bytes = folder.read(name, LARGEST_FILE)?;
        files.push((name.to_owned(), bytes.clone()));
        String::from_utf8(bytes).map_err(|error| input_error!("{} is not UTF-8: {error}", folder.show(name)))
    };
    let (vocab, merges, whole) = ("vocab.json", "merges.txt", "tokenizer.json");
    let (ids, merges, mut declared) = if folder.has(whole) {
        from_tokenizer_json(&text(whole)?, &folder.show(whole))?
    } else if folder.has(vocab) && folder.has(merges) {
        (parse(&text(vocab)?, &folder.show(vocab))?, parse_merges(&text(merges)?, &folder.show(merges))?, BTreeMap::new())
    } else {
        let found = folder.file_names().join(", ");
        invalid_input!(
            "{folder} has no tokenizer: expected {whole}, or {vocab} and {merges}; found {}",
            if found.is_empty() { "no files" } else { &found }
        );
    };
    let mut settings = serde_json::Map::new();
    for name in ["tokenizer_config.json", "special_tokens_map.json"].into_iter().filter(|name| folder.has(name)) {
        // The second overrides the first, as in transformers: SD 2 has its padding token there only.
        settings.extend(parse::<serde_json::Map<String, Value>>(&text(name)?, &folder.show(name))?);
    }
    let origin = folder.to_string();
    let settings: Settings = serde_json::from_value(settings.into()).map_err(|error| input_error!("{origin}: in its configuration: {error}"))?;
    for token in settings.added_tokens_decoder.unwrap_or_default().into_values() {
        declared.insert(token.content, token.normalized);
    }
    let mut special = declared.clone();
    let mut name = |given: Option<Token>, default: &str| {
        let token = given.unwrap_or_else(|| Token::Plain(default.to_owned()));
        let (content, normalized) = match token {
            Token::Plain(content) => (content, None),
            Token::Full(full) => (full.content, Some(full.normalized)),
        };
        // A later mention overrides an earlier one, as when transformers adds them in this order.
        let normalized = normalized.or_else(|| declared.get(&content).copied()).unwrap_or(false);
        special.insert(content.clone(), normalized);
        content
    };
    let (start, end, unknown) = (name(settings.bos_token, START), name(settings.eos_token, END), name(settings.unk_token, END));
    let pad = name(settings.pad_token, END);
    let length = length(settings.model_max_length, &origin)?;
    let vocabulary = Vocabulary { ids, merges, start, end, pad, unknown, special, length, files, origin };
    vocabulary.check()?;
    Ok(vocabulary)
}

pub(super) const START: &str = "<|startoftext|>";
pub(super) const END: &str = "<|endoftext|>";

impl Vocabulary {
    /// CLIP's special tokens with a vocabulary of one's own.
    pub fn from_texts(vocab: &str, merges: &str, length: usize, pad: &str) -> Result<Self> {
        let config = serde_json::json!({
            "tokenizer_class": "CLIPTokenizer", "model_max_length": length,
            "bos_token": START, "eos_token": END, "unk_token": END, "pad_token": pad,
        });
        let [start, end, pad, unknown] = [START, END, pad, END].map(str::to_owned);
        let vocabulary = Self {
            ids: parse(vocab, "vocab.json")?,
            merges: parse_merges(merges, "merges.txt")?,
            special: BTreeMap::from([(start.clone(), false), (end.clone(), false), (pad.clone(), false)]),
            start,
            end,
            pad,
            unknown,
            length: self::length(Some(length as f64), "length")?,
            files: [("vocab.json", vocab.to_owned()), ("merges.txt", merges.to_owned()), ("tokenizer_config.json", format!("{config:#}\n"))]
                .map(|(name, content)| (name.to_owned(), content.into_bytes()))
                .to_vec(),
            origin: "the tokenizer".to_owned(),
        };
        vocabulary.check()?;
        Ok(vocabulary)
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> Result<i32> {
        match self.ids.get(token) {
            Some(&id) => Ok(i32::try_from(id)?),
            None => invalid_input!("{}: the vocabulary lacks the special token {token:?}", self.origin),
        }
    }

    /// One more than the largest id.
    pub fn size(&self) -> usize {
        self.ids.values().max().map_or(0, |&largest| largest as usize + 1)
    }

    fn check(&self) -> Result<()> {
        let origin = &self.origin;
        if self.ids.len() > MOST_TOKENS || self.size() > MOST_TOKENS {
            invalid_input!("{origin}: the vocabulary has {} tokens up to id {}, expected at most {MOST_TOKENS}", self.ids.len(), self.size() - 1);
        }
        let mut seen = HashSet::new();
        if let Some((token, id)) = self.ids.iter().find(|(_, id)| !seen.insert(**id)) {
            invalid_input!("{origin}: token {token:?} has id {id}, which another token has, too");
        }
        for token in [&self.start, &self.end, &self.pad, &self.unknown] {
            self.id(token)?;
        }
        for (first, second) in &self.merges {
            for token in [first, second, &format!("{first}{second}")] {
                if !self.ids.contains_key(token) {
                    invalid_input!("{origin}: the merge of {first:?} and {second:?} needs the token {token:?}, which the vocabulary lacks");
                }
            }
        }
        Ok(())
    }
}

/// The fields that matter of `tokenizer_config.json` and `special_tokens_map.json`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Settings {
    model_max_length: Option<f64>,
    bos_token: Option<Token>,
    eos_token: Option<Token>,
    pad_token: Option<Token>,
    unk_token: Option<Token>,
    added_tokens_decoder: Option<BTreeMap<String, FullToken>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Token {
    Plain(String),
    Full(FullToken),
}

#[derive(Deserialize)]
struct FullToken {
    content: String,
    #[serde(default)]
    normalized: bool,
}

type Parts = (BTreeMap<String, u32>, Vec<(String, String)>, BTreeMap<String, bool>);

fn from_tokenizer_json(text: &str, origin: &str) -> Result<Parts> {
    #[derive(Deserialize)]
    struct Whole {
        model: Model,
        #[serde(default)]
        added_tokens: Vec<FullToken>,
    }
    #[derive(Deserialize)]
    struct Model {
        r#type: Option<String>,
        vocab: Value,
        #[serde(default)]
        merges: Vec<Merge>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Merge {
        Pair(String, String),
        Line(String),
    }
    let Whole { model, added_tokens } = parse(text, origin)?;
    let kind = model.r#type.unwrap_or_else(|| "BPE".to_owned());
    if kind != "BPE" {
        invalid_input!("{origin}: model.type is {kind}, expected BPE: this is not the tokenizer of a CLIP text encoder (T5's is Unigram)");
    }
    let ids = serde_json::from_value(model.vocab).map_err(|error| input_error!("{origin}: model.vocab: {error}"))?;
    let merges = model.merges.into_iter().enumerate().map(|(index, merge)| match merge {
        Merge::Pair(first, second) => Ok((first, second)),
        Merge::Line(line) => split_merge(&line, index, origin),
    });
    Ok((ids, merges.collect::<Result<_>>()?, added_tokens.into_iter().map(|token| (token.content, token.normalized)).collect()))
}

/// One merge a line, the first line may be a comment with the version.
fn parse_merges(text: &str, origin: &str) -> Result<Vec<(String, String)>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with("#version") && !line.trim().is_empty());
    lines.map(|(number, line)| split_merge(line, number, origin)).collect()
}

fn split_merge(line: &str, index: usize, origin: &str) -> Result<(String, String)> {
    match line.split(' ').collect::<Vec<_>>()[..] {
        [first, second] if !first.is_empty() && !second.is_empty() => Ok((first.to_owned(), second.to_owned())),
        _ => {
            let shown: String = line.chars().take(60).collect();
            invalid_input!("{origin}: merge {}: expected two tokens with a space between, found {shown:?}", index + 1)
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(text: &str, origin: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| input_error!("{origin} is damaged: {error}"))
}

fn length(given: Option<f64>, origin: &str) -> Result<usize> {
    match given {
        None => Ok(DEFAULT_LENGTH),
        Some(length) if length >= 1e20 => Ok(DEFAULT_LENGTH),
        Some(length) if (3.0..=LONGEST).contains(&length) && length.fract() == 0.0 => Ok(length as usize),
        Some(length) => invalid_input!("{origin}: model_max_length is {length}, expected 3 to {LONGEST}"),
    }
}
