use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;
use crate::anomaly::generated_set::NAME;
use crate::anomaly::learned::{Kind, Learned};
use crate::anomaly::mask_source::MaskSource;
use crate::anomaly::presets::{GenerationPreset, Preset, PresetName};
use crate::anomaly::shard::Shard;
use crate::anomaly::templates::Templates;
use crate::data::dataset::Dataset;
use crate::data::picture::Picture;
use crate::error::{Error, exit_code};
use crate::models::base::BaseModel;
use crate::testing::miniature;

struct World {
    folder: tempfile::TempDir,
    base: BaseModel,
    learned: Learned,
    dataset: Dataset,
}

fn world(name: PresetName) -> World {
    let miniature::World { folder, base, dataset } = miniature::World::new();
    let preset = Preset::new(name);
    let templates = Templates::built_in(preset.templates);
    let kinds = vec![Kind::new("plate", "dot"), Kind::new("plate", "line")];
    let learned = Learned::create(&base, preset, templates, kinds, miniature::RESOLUTION, 5).unwrap();
    World { folder, base, learned, dataset }
}

fn order<'a>(world: &'a World, out: &'a Path, count: u64, batch_size: usize) -> Order<'a> {
    let settings = GenerationPreset { steps: 3, ..world.learned.metadata.preset.generation.clone() };
    Order {
        base: &world.base,
        learned: &world.learned,
        dataset: &world.dataset,
        kind: Kind::new("plate", "dot"),
        settings,
        masks: MaskSource::Real,
        count,
        batch_size,
        seed: 4,
        out,
        shard: Shard::WHOLE,
    }
}

/// Stops after some batches, as a signal would.
struct Watch {
    batches_left: usize,
}

impl Observer for Watch {
    fn does_not_fit(&mut self, error: &Error, _: usize) {
        panic!("{error:#}");
    }

    fn finished(&mut self, _: &[Finished], _: u64) {
        self.batches_left -= 1;
    }

    fn interrupted(&self) -> Option<i32> {
        (self.batches_left == 0).then_some(15)
    }
}

fn watch() -> Watch {
    Watch { batches_left: usize::MAX }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn batch_size_interruption_and_order_change_no_byte() {
    for name in [PresetName::Default, PresetName::Official] {
        let world = world(name);
        let out = |name: &str| world.folder.path().join(name);
        produce(&order(&world, &out("at once"), 6, 4), &mut watch()).unwrap();
        let error = produce(&order(&world, &out("in parts"), 6, 1), &mut Watch { batches_left: 2 }).unwrap_err();
        assert_eq!(exit_code(&error), 143);
        assert_eq!(fs::read_to_string(out("in parts").join(NAME)).unwrap().lines().count(), 2);
        produce(&order(&world, &out("in parts"), 3, 3), &mut watch()).unwrap();
        let summary = produce(&order(&world, &out("in parts"), 6, 2), &mut watch()).unwrap();
        assert_eq!(summary, Summary { made: 3, kept: 3 });
        assert_eq!(files(&out("at once")), files(&out("in parts")), "{name:?}");
        assert_eq!(produce(&order(&world, &out("in parts"), 6, 2), &mut watch()).unwrap(), Summary { made: 0, kept: 6 });
    }
}

/// Drawn in a close-up or not, only the mask and two pixels around it change.
#[test]
fn the_background_stays() {
    for close_up in [1.0, 3.0] {
        let mut world = world(PresetName::Default);
        world.learned.metadata.preset.close_up = close_up;
        let out = world.folder.path().join("out");
        produce(&order(&world, &out, 4, 4), &mut watch()).unwrap();
        let text = fs::read_to_string(out.join(NAME)).unwrap();
        for line in text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
            let path = |root: &Path, key: &str| root.join(line[key].as_str().unwrap());
            assert_eq!(line["close_up"].as_f64(), Some(close_up));
            let [image, normal] = [path(&out, "image"), path(&world.dataset.root, "normal")].map(|path| Picture::load(&path).unwrap());
            let normal = normal.resized(image.width(), image.height()).quantized();
            let mask = Mask::load(&path(&out, "mask")).unwrap();
            let (mut inside, near) = (0, mask.dilated(2));
            for (index, (new, old)) in image.pixels().iter().zip(normal.pixels()).enumerate() {
                assert!(near.pixels()[index / 3] || new == old, "close-up {close_up}: the background changed");
                inside += usize::from(mask.pixels()[index / 3] && new != old);
            }
            assert!(inside > 0, "close-up {close_up}: nothing was drawn");
        }
    }
}

#[test]
fn timing_changes_no_byte() {
    let world = world(PresetName::Official);
    let out = |name: &str| world.folder.path().join(name);
    produce(&order(&world, &out("at once"), 5, 1), &mut watch()).unwrap();
    produce(&order(&world, &out("slowly"), 5, 2), &mut Slow).unwrap();
    assert_eq!(files(&out("at once")), files(&out("slowly")));
}

/// Takes its time, so that preparing and writing have done all that they may.
struct Slow;

impl Observer for Slow {
    fn does_not_fit(&mut self, error: &Error, _: usize) {
        panic!("{error:#}");
    }

    fn finished(&mut self, _: &[Finished], _: u64) {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_picture_that_breaks_on_the_way_ends_the_run_behind_the_batches_before_it() {
    let world = world(PresetName::Default);
    let out = |name: &str| world.folder.path().join(name);
    produce(&order(&world, &out("whole"), 4, 1), &mut watch()).unwrap();
    // The picture that the third pair is made on.
    let text = fs::read_to_string(out("whole").join(NAME)).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.lines().nth(2).unwrap()).unwrap();
    let picture = world.dataset.root.join(line["normal"].as_str().unwrap());
    let content = fs::read(&picture).unwrap();
    fs::write(&picture, &content[..content.len() / 2]).unwrap();
    let error = produce(&order(&world, &out("broken"), 4, 1), &mut watch()).unwrap_err();
    assert_eq!(exit_code(&error), 2, "{error}");
    assert!(format!("{error:#}").contains(picture.file_name().unwrap().to_str().unwrap()), "{error:#}");
    assert_eq!(fs::read_to_string(out("broken").join(NAME)).unwrap().lines().count(), 2);
    fs::write(&picture, content).unwrap();
    produce(&order(&world, &out("broken"), 4, 1), &mut watch()).unwrap();
    assert_eq!(files(&out("broken")), files(&out("whole")));
}

#[test]
fn a_pair_that_cannot_be_written_ends_the_run_and_leaves_no_part_of_it() {
    let world = world(PresetName::Default);
    let out = |name: &str| world.folder.path().join(name);
    produce(&order(&world, &out("whole"), 6, 1), &mut watch()).unwrap();
    // A folder where the second pair's image shall be.
    let taken = out("full").join("plate/test/dot/000001.png");
    fs::create_dir_all(&taken).unwrap();
    let error = produce(&order(&world, &out("full"), 6, 1), &mut watch()).unwrap_err();
    assert_eq!(exit_code(&error), 2, "{error}");
    assert!(format!("{error:#}").contains("000001.png"), "{error:#}");
    assert_eq!(fs::read_to_string(out("full").join(NAME)).unwrap().lines().count(), 1);
    let written = files(&out("full"));
    assert!(written.keys().all(|name| files(&out("whole")).contains_key(name)), "{:?}", written.keys());
    fs::remove_dir(&taken).unwrap();
    assert_eq!(produce(&order(&world, &out("full"), 6, 1), &mut watch()).unwrap(), Summary { made: 5, kept: 1 });
    assert_eq!(files(&out("full")), files(&out("whole")));
}

#[test]
fn a_pair_without_its_line_is_made_again_to_the_same_bytes() {
    let world = world(PresetName::Default);
    let out = world.folder.path().join("out");
    produce(&order(&world, &out, 3, 3), &mut watch()).unwrap();
    let whole = files(&out);
    // As if killed between the last pair's files and its line, with half of the line written.
    let manifest = &whole[NAME];
    fs::write(out.join(NAME), &manifest[..manifest.len() - 20]).unwrap();
    fs::write(out.join("plate/test/dot/000002.png"), b"old").unwrap();
    assert_eq!(produce(&order(&world, &out, 3, 3), &mut watch()).unwrap(), Summary { made: 1, kept: 2 });
    assert_eq!(files(&out), whole);
}

#[test]
fn lines_tell_where_a_pair_came_from() {
    let world = world(PresetName::Default);
    let out = world.folder.path().join("out");
    produce(&order(&world, &out, 8, 8), &mut watch()).unwrap();
    produce(&Order { kind: Kind::new("plate", "line"), ..order(&world, &out, 1, 1) }, &mut watch()).unwrap();
    let text = fs::read_to_string(out.join(NAME)).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 9);
    let mut normals = BTreeMap::new();
    for line in &lines {
        for (key, root) in [("image", &out), ("mask", &out), ("normal", &world.dataset.root)] {
            assert!(root.join(line[key].as_str().unwrap()).is_file(), "{line}");
        }
        assert_eq!((line["object"].as_str().unwrap(), line["seed"].as_u64().unwrap(), line["steps"].as_u64().unwrap()), ("plate", 4, 3));
        assert!(line["template"].as_str().unwrap().contains("{}"));
        *normals.entry(line["normal"].as_str().unwrap().to_owned()).or_insert(0) += u32::from(line["type"] == "dot");
    }
    assert_eq!(normals.values().copied().collect::<Vec<_>>(), [2; 4], "every normal picture is used alike");
    let mask = Mask::load(&out.join(lines[0]["mask"].as_str().unwrap())).unwrap();
    let image = Picture::load(&out.join(lines[0]["image"].as_str().unwrap())).unwrap();
    assert_eq!((mask.width(), mask.height()), (image.width(), image.height()));
    // The folder is itself a data set in MVTec layout.
    assert_eq!(Dataset::scan(&out).unwrap().object("plate").unwrap().defect_type("dot").unwrap().pairs.len(), 8);
}

#[test]
fn masks_from_a_folder_are_taken_in_order() {
    let world = world(PresetName::Default);
    let folder = world.folder.path().join("masks");
    fs::create_dir(&folder).unwrap();
    let side = miniature::RESOLUTION;
    let mask = |column: usize| Mask::from_fn(side, side, move |x, y| x / 4 == column && y > 20);
    mask(1).save(&folder.join("m2.png")).unwrap();
    mask(5).save(&folder.join("m10.png")).unwrap();
    let out = world.folder.path().join("out");
    let with = |masks: MaskSource| Order { masks, ..order(&world, &out, 3, 2) };
    produce(&with(MaskSource::Folder(folder.clone())), &mut watch()).unwrap();
    let made = |index: u64| Mask::load(&out.join(format!("plate/ground_truth/dot/{index:06}_mask.png"))).unwrap();
    assert_eq!([made(0), made(1), made(2)], [mask(1), mask(5), mask(1)]);
    assert!(fs::read_to_string(out.join(NAME)).unwrap().contains("\"mask_source\":\"m10.png\""));

    Mask::empty(8, 8).save(&folder.join("m3.png")).unwrap();
    for (masks, reason) in [
        (MaskSource::Folder(folder), "m3.png"),
        (MaskSource::Folder(world.folder.path().join("nowhere")), "expected learned, real, scattered, procedural or a folder"),
        (MaskSource::Real, "other settings"),
    ] {
        let error = produce(&with(masks), &mut watch()).unwrap_err();
        assert_eq!(exit_code(&error), 2);
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn impossible_orders_are_refused() {
    let world = world(PresetName::Default);
    let out = world.folder.path().join("out");
    let refused = |order: Order, reason: &str| {
        let error = produce(&order, &mut watch()).unwrap_err();
        assert_eq!(exit_code(&error), 2, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        assert!(!out.exists(), "nothing was written");
    };
    refused(order(&world, &out, 0, 1), "--count 0");
    refused(order(&world, &out, u64::MAX, 1), "--count");
    refused(order(&world, &out, 1, 0), "--batch-size 0");
    refused(Order { kind: Kind::new("plate", "hole"), ..order(&world, &out, 1, 1) }, "plate+hole");
}
