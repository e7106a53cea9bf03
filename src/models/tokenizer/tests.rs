use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::*;
use crate::error::exit_code;
use crate::tensor::random::Sampler;

#[derive(Deserialize)]
struct Reference {
    plain: BTreeMap<String, String>,
    texts: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    files: BTreeMap<String, String>,
    pad: i32,
    ids: Vec<(Vec<i32>, usize)>,
}

/// What `tests/fixtures/scripts/tokenizer.py` wrote.
fn reference() -> Reference {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizer.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn load(files: &BTreeMap<String, String>) -> Result<ClipTokenizer> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    ClipTokenizer::load(&Folder::disk(folder.path()))
}

#[test]
fn equals_transformers() {
    let Reference { plain, texts, cases } = reference();
    assert!(cases.len() >= 5 && texts.len() >= 20);
    for case in cases {
        let mut files = if case.files.contains_key("tokenizer.json") { BTreeMap::new() } else { plain.clone() };
        files.extend(case.files);
        let tokenizer = load(&files).unwrap();
        assert_eq!(tokenizer.pad_id(), case.pad, "{}", case.name);
        for (text, (mut expected, length)) in texts.iter().zip(case.ids) {
            expected.resize(length, *expected.last().unwrap());
            assert_eq!(tokenizer.encode(text).unwrap(), expected, "{}: {text:?}", case.name);
        }
    }
}

#[test]
fn long_texts_are_cut_and_short_ones_padded() {
    let tokenizer = load(&reference().plain).unwrap();
    let (short, long) = (tokenizer.encode("a nut").unwrap(), tokenizer.encode(&"nut ".repeat(500)).unwrap());
    assert_eq!((short.len(), long.len(), tokenizer.length()), (77, 77, 77));
    assert_eq!((long[0], long[76]), (tokenizer.start_id(), tokenizer.end_id()));
    assert_eq!(tokenizer.encode_bare(&"nut ".repeat(500)).unwrap().len() % 500, 0);
    assert_eq!(tokenizer.frame(&tokenizer.encode_bare("a nut").unwrap()), short);
}

#[test]
fn single_tokens() {
    let (vocab, merges) = train(["anomaly crack"]).unwrap();
    let tokenizer = ClipTokenizer::from_vocabulary(&vocab, &merges, 77).unwrap();
    assert_eq!(tokenizer.single_token("Crack").unwrap(), tokenizer.encode_bare("crack").unwrap()[0]);
    for word in ["", "anomaly crack", "cracks"] {
        assert_eq!(exit_code(&tokenizer.single_token(word).unwrap_err()), 2);
    }
}

#[test]
fn a_trained_vocabulary_has_every_word_as_one_token() {
    let captions = ["a photo of a brushed steel plate with a dark scratch", "close-up: 2 woven FABRICS, it's été 50%", "banana bandana anna"];
    let (vocab, merges) = train(captions).unwrap();
    assert_eq!(train(captions).unwrap(), (vocab.clone(), merges.clone()), "the same every time");
    let tokenizer = ClipTokenizer::from_vocabulary(&vocab, &merges, 20).unwrap();
    for (caption, words) in captions.iter().zip([11, 14, 3]) {
        assert_eq!(tokenizer.encode_bare(caption).unwrap().len(), words, "{caption}");
    }
    let unseen = tokenizer.encode_bare("zylophon 漢").unwrap();
    assert!(unseen.len() > 2 && !unseen.contains(&tokenizer.end_id()), "unseen words are bytes, not unknown: {unseen:?}");
    assert_eq!(tokenizer.vocabulary_size(), serde_json::from_str::<BTreeMap<String, u32>>(&vocab).unwrap().len());
    assert!(train([""; 2]).is_err());
}

#[test]
fn the_files_of_a_tokenizer_load_again() {
    let (vocab, merges) = train(["a photo of a plate"]).unwrap();
    let tokenizer = ClipTokenizer::from_vocabulary(&vocab, &merges, 32).unwrap();
    let files = tokenizer.files().iter().map(|(name, content)| (name.clone(), String::from_utf8(content.clone()).unwrap())).collect();
    let again = load(&files).unwrap();
    assert_eq!(format!("{again:?}"), format!("{tokenizer:?}"));
    assert_eq!(again.encode("a photo of two plates").unwrap(), tokenizer.encode("a photo of two plates").unwrap());
}

/// The refusal of a small tokenizer in which one file was replaced.
#[track_caller]
fn refusal(name: &str, content: &str) -> String {
    let (vocab, merges) = train(["ab"]).unwrap();
    let mut files = BTreeMap::from([("vocab.json".to_owned(), vocab), ("merges.txt".to_owned(), merges)]);
    files.insert(name.to_owned(), content.to_owned());
    let error = load(&files).unwrap_err();
    assert_eq!(exit_code(&error), 2, "{error:#}");
    format!("{error:#}")
}

#[test]
fn damaged_files_are_refused() {
    for (name, content, expected) in [
        ("vocab.json", "{", "vocab.json is damaged"),
        ("vocab.json", r#"{"a": -1}"#, "vocab.json is damaged"),
        ("vocab.json", r#"{"a": 0, "b</w>": 0, "ab</w>": 1}"#, "has id 0, which another token has"),
        ("vocab.json", r#"{"a": 0, "b</w>": 4000000000}"#, "expected at most 1048576"),
        ("vocab.json", r#"{"a": 0, "b</w>": 1, "ab</w>": 2}"#, "lacks the special token \"<|startoftext|>\""),
        ("merges.txt", "a b c\n", "merge 1: expected two tokens"),
        ("merges.txt", "#version: 0.2\na \n", "merge 2: expected two tokens"),
        ("merges.txt", "a c</w>\n", "needs the token \"ac</w>\""),
        ("tokenizer_config.json", "[]", "tokenizer_config.json is damaged"),
        ("tokenizer_config.json", r#"{"model_max_length": 0}"#, "model_max_length is 0"),
        ("tokenizer_config.json", r#"{"model_max_length": 1000000000}"#, "model_max_length is 1000000000"),
        ("tokenizer_config.json", r#"{"model_max_length": "77"}"#, "in its configuration"),
        ("tokenizer_config.json", r#"{"pad_token": "<pad>"}"#, "lacks the special token \"<pad>\""),
        ("tokenizer.json", r#"{"model": {"type": "Unigram", "vocab": []}}"#, "model.type is Unigram, expected BPE"),
        ("tokenizer.json", r#"{"model": {"type": "BPE", "vocab": [1]}}"#, "model.vocab"),
        ("tokenizer.json", "{}", "tokenizer.json is damaged"),
    ] {
        let text = refusal(name, content);
        assert!(text.contains(expected), "{name} {content}: {text}");
    }
    let error = load(&BTreeMap::from([("vocab.json".to_owned(), "{}".to_owned())])).unwrap_err().to_string();
    assert!(error.contains("expected tokenizer.json, or vocab.json and merges.txt; found vocab.json"), "{error}");
}

#[test]
fn mutants_never_panic() {
    let (vocab, merges) = train(["ab abc"]).unwrap();
    let config = r#"{"model_max_length": 77, "eos_token": {"content": "<|endoftext|>", "normalized": true}}"#.to_owned();
    let names = ["vocab.json", "merges.txt", "tokenizer_config.json"];
    let mut sampler = Sampler::new(3, "tokenizer mutants", &[]);
    let mut refused = 0;
    for round in 0..400 {
        let mut contents = [vocab.clone(), merges.clone(), config.clone()].map(String::into_bytes);
        let content = &mut contents[round % 3];
        let at = sampler.below(content.len());
        match sampler.below(3) {
            0 => content[at] = b" {}[]\",:0a\n"[sampler.below(11)],
            1 => content.truncate(at),
            _ => drop(content.remove(at)),
        }
        let files = names.iter().zip(contents).map(|(name, content)| ((*name).to_owned(), String::from_utf8_lossy(&content).into_owned())).collect();
        match load(&files) {
            Ok(tokenizer) => assert!(tokenizer.encode("abc d").unwrap().len() == tokenizer.length()),
            Err(error) => {
                assert_eq!(exit_code(&error), 2, "{error:#}");
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "{refused}");
}
