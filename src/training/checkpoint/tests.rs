use serde_json::json;

use super::*;
use crate::error::exit_code;
use crate::testing::random;

fn identity() -> Identity {
    Identity { task: "test".to_owned(), base_model: "abc".to_owned(), seed: 1 << 60, config: json!({"rate": 0.1, "sizes": [1, 2]}) }
}

/// A checkpoint whose content follows from its step.
fn checkpoint(step: u64) -> Checkpoint {
    let tensors = vec![
        ("parameter.a".to_owned(), random(&format!("a {step}"), &[7, 11])),
        ("parameter.half".to_owned(), random(&format!("half {step}"), &[5]).to_dtype(crate::tensor::DType::F16).unwrap()),
        ("steps.a".to_owned(), Tensor::from_i32(vec![step as i32], &[]).unwrap()),
    ];
    Checkpoint { step, identity: identity(), notes: BTreeMap::from([("window".to_owned(), "1 2".to_owned())]), tensors }
}

#[track_caller]
fn assert_same(found: &Checkpoint, expected: &Checkpoint) {
    assert_eq!(found.step, expected.step);
    assert_eq!(found.notes, expected.notes);
    assert_eq!(found.tensors.len(), expected.tensors.len());
    for (found, expected) in found.tensors.iter().zip(&expected.tensors) {
        assert_eq!((&found.0, found.1.shape(), found.1.dtype()), (&expected.0, expected.1.shape(), expected.1.dtype()));
        assert_eq!(found.1.bytes().unwrap(), expected.1.bytes().unwrap(), "{}", found.0);
    }
}

#[test]
fn what_is_saved_is_loaded_and_the_one_before_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Checkpoint::load(folder.path()).unwrap().is_none());
    for step in 1..=3 {
        checkpoint(step).save(folder.path()).unwrap();
    }
    assert_same(&Checkpoint::load(folder.path()).unwrap().unwrap(), &checkpoint(3));
    assert_same(&Checkpoint::read(&folder.path().join(PREVIOUS)).unwrap(), &checkpoint(2));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn saving_twice_gives_the_same_bytes_and_other_programs_can_read_them() {
    let folder = tempfile::tempdir().unwrap();
    checkpoint(4).save(folder.path()).unwrap();
    checkpoint(4).save(folder.path()).unwrap();
    let bytes = fs::read(folder.path().join(CURRENT)).unwrap();
    assert_eq!(bytes, fs::read(folder.path().join(PREVIOUS)).unwrap());
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("parameter.a").unwrap().data(), &*checkpoint(4).tensors[0].1.bytes().unwrap());
}

#[test]
fn every_flipped_bit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    checkpoint(1).save(folder.path()).unwrap();
    let path = folder.path().join(CURRENT);
    let whole = fs::read(&path).unwrap();
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 1 << (position % 8);
        fs::write(&path, &bytes).unwrap();
        assert!(Checkpoint::read(&path).is_err(), "bit {} of byte {position}", position % 8);
    }
}

#[test]
fn every_truncation_and_extension_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    checkpoint(1).save(folder.path()).unwrap();
    let path = folder.path().join(CURRENT);
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(Checkpoint::read(&path).is_err(), "cut to {length} bytes");
    }
    fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
    assert!(Checkpoint::read(&path).is_err(), "one byte too many");
    fs::write(&path, &whole).unwrap();
    assert!(Checkpoint::read(&path).is_ok(), "the test's own check");
}

#[test]
fn a_damaged_one_falls_back_to_the_one_before_and_a_missing_one_too() {
    let folder = tempfile::tempdir().unwrap();
    checkpoint(1).save(folder.path()).unwrap();
    checkpoint(2).save(folder.path()).unwrap();
    let path = folder.path().join(CURRENT);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert_same(&Checkpoint::load(folder.path()).unwrap().unwrap(), &checkpoint(1));
    fs::remove_file(&path).unwrap();
    assert_same(&Checkpoint::load(folder.path()).unwrap().unwrap(), &checkpoint(1));
    fs::write(folder.path().join(PREVIOUS), b"x").unwrap();
    fs::write(&path, b"y").unwrap();
    let error = Checkpoint::load(folder.path()).unwrap_err();
    assert_eq!(exit_code(&error), 2);
    assert!(error.to_string().contains(CURRENT) && error.to_string().contains(PREVIOUS), "{error}");
}

#[test]
fn foreign_files_and_lying_headers_are_refused_without_allocating_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(CURRENT);
    let foreign = safetensors::serialize([("a", safetensors::tensor::TensorView::new(safetensors::Dtype::U8, vec![1], &[1]).unwrap())], None);
    fs::write(&path, foreign.unwrap()).unwrap();
    assert!(format!("{:#}", Checkpoint::read(&path).unwrap_err()).contains("no checkpoint of this program"));
    fs::write(&path, u64::MAX.to_le_bytes().repeat(4)).unwrap();
    assert!(format!("{:#}", Checkpoint::read(&path).unwrap_err()).contains("truncated or damaged"));
}

#[test]
fn another_runs_checkpoint_is_refused_field_by_field() {
    identity().check(&identity()).unwrap();
    let other = Identity { base_model: "xyz".to_owned(), config: json!({"rate": 0.2, "sizes": [1, 2], "more": true}), ..identity() };
    let error = identity().check(&other).unwrap_err();
    assert_eq!(exit_code(&error), 2);
    let text = error.to_string();
    for part in [r#"base_model: expected "abc", found "xyz""#, "config.rate: expected 0.1, found 0.2", "config.more: expected nothing, found true"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("sizes") && !text.contains("seed"), "{text}");
}

#[test]
fn an_interrupted_exchange_of_names_is_taken_up_again() {
    let folder = tempfile::tempdir().unwrap();
    checkpoint(1).save(folder.path()).unwrap();
    // Killed after the link was renamed, before the new checkpoint was: both names are one file.
    fs::hard_link(folder.path().join(CURRENT), folder.path().join(PREVIOUS)).unwrap();
    checkpoint(2).save(folder.path()).unwrap();
    assert_same(&Checkpoint::read(&folder.path().join(PREVIOUS)).unwrap(), &checkpoint(1));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn tensors_have_one_taker_each() {
    let mut tensors = checkpoint(1).into_tensors();
    assert!(tensors.take("parameter.a", &[7, 12]).unwrap_err().to_string().contains("[7, 11]"));
    assert!(tensors.take("parameter.b", &[1]).is_err());
    assert!(tensors.finish().unwrap_err().to_string().contains("2 tensors"));
}
