//! RELIABILITY 1: files from strangers never panic, never allocate what they claim, and are refused with a sentence.

use std::fmt::Write;

use super::{bytes, file};
use crate::error::exit_code;
use crate::tensor::random::Sampler;
use crate::testing::random;
use crate::weights::Archive;

/// The refusal of a file.
#[track_caller]
fn refusal(content: Vec<u8>) -> String {
    let error = Archive::from_bytes("bad.safetensors", content).expect_err("a refusal");
    assert_eq!(exit_code(&error), 2);
    let text = error.to_string();
    assert!(text.contains("bad.safetensors") && text.len() < 700 && !text.contains('\n'), "{text}");
    text
}

fn tensor(dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
}

#[test]
fn lengths_that_lie() {
    assert!(refusal(Vec::new()).contains("0 bytes, expected at least 8"));
    assert!(refusal(vec![1, 2, 3]).contains("3 bytes"));
    assert!(refusal(u64::MAX.to_le_bytes().to_vec()).contains("the format allows 100000000"));
    assert!(refusal(100_000_001u64.to_le_bytes().to_vec()).contains("claims 100000001 bytes"));
    assert!(refusal(90_000_000u64.to_le_bytes().to_vec()).contains("truncated"));
}

#[test]
fn headers_that_are_not_tensors() {
    for header in ["", "{", "[]", "null", "3", "\"x\"", r#"{"x":3}"#, r#"{"x":{}}"#, r#"{"x":{"dtype":"F32","shape":[1]}}"#, "{} {}"] {
        assert!(refusal(file(header, 4)).contains("damaged"), "{header}");
    }
    assert!(refusal(file(&"[".repeat(100_000), 0)).contains("damaged"), "deep nesting");
    assert!(refusal(file(&format!(r#"{{"x":{}"#, "{\"a\":".repeat(100_000)), 0)).contains("damaged"), "deep nesting");
    let mut invalid = file("{\"x\":1}", 0);
    invalid[10] = 0xff;
    assert!(refusal(invalid).contains("not UTF-8 at byte 2"));
    assert!(refusal(file(r#"{"__metadata__":{"step":3}}"#, 0)).contains("__metadata__"));
    assert!(refusal(file(r#"{"__metadata__":{},"__metadata__":{}}"#, 0)).contains("twice"));
}

#[test]
fn tensors_that_lie() {
    for (header, data, expected) in [
        (tensor("F31", "[1]", "[0,4]"), 4, "element type \"F31\", expected one of F64, F32"),
        (tensor("F32", "[2]", "[0,4]"), 4, "needs 8 bytes, found 4"),
        (tensor("F32", "[]", "[0,8]"), 8, "needs 4 bytes, found 8"),
        (tensor("F32", "[1]", "[0,4]"), 3, "claims the bytes 0..4, the file has 0..3"),
        (tensor("F32", "[1]", "[4,0]"), 4, "claims the bytes 4..0"),
        (tensor("F32", "[1]", "[18446744073709551615,3]"), 4, "claims the bytes"),
        (tensor("F32", "[0,3]", "[0,0]"), 0, "has no elements"),
        (tensor("F32", "[4294967296,4294967296]", "[0,4]"), 4, "overflows"),
        (tensor("F32", "[-1]", "[0,4]"), 4, "damaged"),
        (tensor("F32", "[1.5]", "[0,4]"), 4, "damaged"),
        (tensor("F32", "[1e999]", "[0,4]"), 4, "damaged"),
        (tensor("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "more than 8 axes"),
        (tensor("F32", "[1]", "[0,4,8]"), 4, "damaged"),
        (tensor("F32", "[1]", "[0,4]"), 5, "the last 1 bytes belong to no tensor"),
        (tensor("F32", "[1]", "[1,5]"), 5, "1 bytes before tensor x belong to none"),
    ] {
        let text = refusal(file(&header, data));
        assert!(text.contains(expected), "{header}: {text}");
    }
}

#[test]
fn pairs_of_tensors_that_lie() {
    let pair = |first: &str, second: &str, a: &str, b: &str| {
        format!(r#"{{"{first}":{{"dtype":"U8","shape":[4],"data_offsets":{a}}},"{second}":{{"dtype":"U8","shape":[4],"data_offsets":{b}}}}}"#)
    };
    assert!(refusal(file(&pair("x", "x", "[0,4]", "[4,8]"), 8)).contains("has the tensor x twice"));
    assert!(refusal(file(&pair("x", "\\u0078", "[0,4]", "[4,8]"), 8)).contains("has the tensor x twice"), "escaped to the same name");
    assert!(refusal(file(&pair("x", "y", "[0,4]", "[2,6]"), 6)).contains("inside the one before it"));
    assert!(refusal(file(&pair("x", "y", "[0,4]", "[0,4]"), 4)).contains("inside the one before it"));
    assert!(refusal(file(&pair("x", "y", "[0,4]", "[5,9]"), 9)).contains("1 bytes before tensor y"));
    assert!(refusal(file(&pair("a\\nb", "a\\nb", "[0,4]", "[4,8]"), 8)).contains("a\\nb"), "a line break in a name is escaped");
    let long = "n".repeat(10_000);
    refusal(file(&pair(&long, &long, "[0,4]", "[4,8]"), 8));
}

#[test]
fn a_million_tensors() {
    let mut header = String::from("{");
    for index in 0..1_000_000 {
        let comma = if index == 0 { "" } else { "," };
        write!(header, r#"{comma}"{index}":{{"dtype":"U8","shape":[1],"data_offsets":[{index},{}]}}"#, index + 1).unwrap();
    }
    header.push('}');
    assert!(refusal(file(&header, 1_000_000)).contains("more than 20000 tensors"));
}

#[test]
fn a_million_notes() {
    let entries: Vec<String> = (0..1_000_000).map(|index| format!("\"{index}\":\"\"")).collect();
    assert!(refusal(file(&format!(r#"{{"__metadata__":{{{}}}}}"#, entries.join(",")), 0)).contains("more than 10000 entries"));
}

/// Every single damage ends in a refusal or in a file that the reference reader takes, too; and what we take can be read.
#[test]
fn mutants() {
    let original = bytes(&[("a.weight", random("a", &[3, 4])), ("a.bias", random("b", &[3])), ("norm", random("c", &[5]))]);
    let header_end = 8 + u64::from_le_bytes(original[..8].try_into().unwrap()) as usize;
    let mut sampler = Sampler::new(7, "mutants", &[]);
    let mut accepted = 0;
    for round in 0..3000u32 {
        let mut mutant = original.clone();
        let at = sampler.below(header_end);
        match round % 6 {
            0 => mutant[at] ^= 1 << sampler.below(8),
            1 => mutant[at] = sampler.below(256) as u8,
            2 => mutant.truncate(sampler.below(original.len())),
            3 => drop(mutant.remove(at)),
            4 => mutant.insert(at, b"0123456789[]{},:\"-"[sampler.below(18)]),
            _ => {
                let other = sampler.below(header_end);
                mutant.swap(at, other);
            }
        }
        let reference = safetensors::SafeTensors::deserialize(&mutant).is_ok();
        match Archive::from_bytes("mutant", mutant) {
            Ok(archive) => {
                assert!(reference, "round {round}: taken by us, refused by the reference reader");
                accepted += 1;
                archive.names().for_each(|name| drop(archive.tensor(name)));
            }
            Err(error) => assert_eq!(exit_code(&error), 2, "round {round}: {error}"),
        }
    }
    assert!(accepted > 0 && accepted < 1000, "{accepted} mutants were harmless (a changed name)");
}
