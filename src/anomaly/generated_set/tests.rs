use std::fs;
use std::io::Write;
use std::path::Path;

use super::*;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::exit_code;

fn kind() -> Kind {
    Kind::new("plate", "scratch")
}

fn pair(kind: &Kind, index: u64, recipe: &str) -> Finished {
    let PairPaths { image, mask } = PairPaths::new(kind, index);
    let entry = Entry {
        image,
        mask,
        normal: "plate/train/good/000.png".into(),
        object: kind.object.clone(),
        defect: kind.defect.clone(),
        index,
        seed: 7,
        template: "a photo of a {}".into(),
        mask_source: "real".into(),
        steps: 50,
        eta: 1.0,
        guidance: 1.0,
        coarse_noise: 1.0,
        close_up: 1.0,
        reweight: "default".into(),
        recipe: recipe.into(),
    };
    let shade = index as f32 / 100.0;
    Finished { image: Picture::from_parts(4, 4, vec![shade; 48]), mask: Mask::from_fn(4, 4, |column, _| column == 1), entry }
}

fn write(root: &Path, kind: &Kind, indices: &[u64]) {
    let mut writer = GeneratedSet::open(root, kind, "r1", Shard::WHOLE).unwrap().into_writer().unwrap();
    for &index in indices {
        writer.add(vec![pair(kind, index, "r1")]).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn pairs_are_in_place_and_only_missing_ones_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &kind(), &[0, 2]);
    let set = GeneratedSet::open(folder.path(), &kind(), "r1", Shard::WHOLE).unwrap();
    assert_eq!(set.missing(&kind(), 4), [1, 3]);
    assert_eq!(set.finished(&kind()).map(|entry| entry.index).collect::<Vec<_>>(), [0, 2]);
    assert!(folder.path().join("plate/test/scratch/000002.png").is_file());
    let mask = Mask::load(&folder.path().join("plate/ground_truth/scratch/000002_mask.png")).unwrap();
    assert_eq!(mask, pair(&kind(), 2, "r1").mask);
    // A second type shares the folder.
    let other = Kind::new("plate", "dent");
    write(folder.path(), &other, &[0]);
    assert_eq!(GeneratedSet::open(folder.path(), &kind(), "r1", Shard::WHOLE).unwrap().missing(&kind(), 3), [1]);
    let lines = fs::read_to_string(folder.path().join(NAME)).unwrap();
    assert_eq!(lines.lines().count(), 3);
    assert!(lines.contains("\"type\":\"dent\""), "{lines}");
}

#[test]
fn half_a_line_is_cut_off_and_a_wrong_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &kind(), &[0, 1]);
    let path = folder.path().join(NAME);
    let whole = fs::read(&path).unwrap();
    for cut in 1..60 {
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let set = GeneratedSet::open(folder.path(), &kind(), "r1", Shard::WHOLE).unwrap();
        assert_eq!(set.missing(&kind(), 2), [1], "{cut} bytes cut off");
    }
    write(folder.path(), &kind(), &[1]);
    assert_eq!(fs::read(&path).unwrap(), whole);
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"image\": 3}\n").unwrap();
    let error = GeneratedSet::open(folder.path(), &kind(), "r1", Shard::WHOLE).unwrap_err();
    assert_eq!(exit_code(&error), 2);
    assert!(error.to_string().contains("line 3"), "{error}");
}

#[test]
fn other_settings_and_names_outside_the_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &kind(), &[0]);
    let error = GeneratedSet::open(folder.path(), &kind(), "r2", Shard::WHOLE).unwrap_err();
    assert_eq!(exit_code(&error), 2);
    assert!(error.to_string().contains("seed 7") && error.to_string().contains("--out"), "{error}");
    for name in ["..", "a/b", ""] {
        assert_eq!(exit_code(&GeneratedSet::open(folder.path(), &Kind::new("plate", name), "r1", Shard::WHOLE).unwrap_err()), 2, "{name:?}");
    }
}

#[test]
fn what_stopped_the_writing_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = GeneratedSet::open(folder.path(), &kind(), "r1", Shard::WHOLE).unwrap().into_writer().unwrap();
    fs::remove_dir_all(folder.path().join("plate")).unwrap();
    writer.add(vec![pair(&kind(), 0, "r1")]).unwrap();
    let error = writer.finish().unwrap_err();
    assert_eq!(exit_code(&error), 2);
    assert!(error.to_string().contains("000000.png"), "{error}");
    assert_eq!(GeneratedSet::open(folder.path(), &kind(), "r1", Shard::WHOLE).unwrap().missing(&kind(), 1), [0]);
}
