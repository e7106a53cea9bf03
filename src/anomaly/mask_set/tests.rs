use std::cell::Cell;
use std::path::Path;

use super::*;
use crate::anomaly::learned_masks::{LEARNED_MASKS, LearnedMasks};
use crate::anomaly::mask_source::MaskSource;
use crate::anomaly::presets::{MaskPreset, PresetName};
use crate::anomaly::shard::Shard;
use crate::data::mask::Mask;
use crate::data::mask_rules::MaskRules;
use crate::error::{Error, exit_code};
use crate::testing::miniature::{self, World};

fn world() -> World {
    let world = World::new();
    let mut preset = MaskPreset::new(PresetName::Default, 2);
    preset.sampling.steps = 2;
    let kinds = vec![Kind::new("plate", "dot"), Kind::new("plate", "line")];
    LearnedMasks::create(&world.base, preset, kinds, miniature::RESOLUTION, 5).unwrap().save(&world.folder.path().join(LEARNED_MASKS)).unwrap();
    world
}

fn order<'a>(world: &'a World, masks: MaskSource, out: &'a Path) -> MaskOrder<'a> {
    MaskOrder {
        base: &world.base,
        dataset: &world.dataset,
        kind: Kind::new("plate", "dot"),
        masks,
        preset: PresetName::Default,
        side: miniature::RESOLUTION,
        count: 6,
        batch_size: 4,
        seed: 3,
        out,
        shard: Shard::WHOLE,
    }
}

/// Is asked to stop after so many questions.
struct Patience(Cell<usize>);

impl MaskObserver for Patience {
    fn progress(&mut self, _: u64, _: u64) {}

    fn does_not_fit(&mut self, error: &Error, _: usize) {
        panic!("{error:#}");
    }

    fn interrupted(&self) -> Option<i32> {
        let left = self.0.get().checked_sub(1);
        self.0.set(left.unwrap_or(0));
        left.is_none().then_some(15)
    }
}

fn produce(order: &MaskOrder) -> Result<Acceptance> {
    produce_masks(order, &mut Patience(Cell::new(usize::MAX)))
}

/// All files with their bytes.
fn content(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = vec![(MASKS.to_owned(), std::fs::read(folder.join(MASKS)).unwrap())];
    for entry in std::fs::read_dir(folder.join("plate/dot")).unwrap() {
        let path = entry.unwrap().path();
        found.push((path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()));
    }
    found.sort();
    found
}

#[test]
fn every_source_obeys_its_rules_and_counts_what_it_rejected() {
    let world = world();
    let real: Vec<Mask> = world.dataset.objects[0].types[0].pairs[..2]
        .iter()
        .map(|pair| crate::anomaly::inversion::resized_mask(&Mask::load(&pair.mask).unwrap(), miniature::RESOLUTION))
        .collect();
    let rules = MaskRules::of_real_masks(miniature::RESOLUTION.pow(2), &real);
    for source in ["learned", "real", "scattered", "procedural"] {
        let out = world.folder.path().join(source);
        let masks = MaskSource::parse(source, &world.folder.path().join(LEARNED_MASKS));
        let acceptance = produce(&order(&world, masks, &out)).unwrap();
        let entries = entries(&out, &Kind::new("plate", "dot")).unwrap();
        assert_eq!((acceptance.masks, entries.len()), (6, 6));
        let rejected: usize = entries.values().map(|entry| entry.rejected.len()).sum();
        assert_eq!(acceptance.rejected.values().sum::<usize>(), rejected);
        assert_eq!(acceptance.drawn + acceptance.stand_ins, 6 + rejected);
        for entry in entries.values() {
            let mask = Mask::load(&out.join(&entry.mask)).unwrap();
            assert_eq!(mask.area(), entry.area);
            assert!(!mask.is_empty() && !mask.is_full());
            assert!(entry.source != "learned" || rules.fault(&mask).is_none(), "{entry:?}");
        }
        assert!(is_one(&out));
    }
}

#[test]
fn batches_restarts_and_shares_change_no_byte() {
    let world = world();
    let out = |name: &str| world.folder.path().join(name);
    let masks = || MaskSource::Learned(out(LEARNED_MASKS), None);
    produce(&order(&world, masks(), &out("whole"))).unwrap();
    let error = produce_masks(&MaskOrder { batch_size: 1, ..order(&world, masks(), &out("parts")) }, &mut Patience(Cell::new(12))).unwrap_err();
    assert_eq!(exit_code(&error), 143);
    produce(&MaskOrder { batch_size: 3, ..order(&world, masks(), &out("parts")) }).unwrap();
    assert_eq!(content(&out("whole")), content(&out("parts")));
    for number in [3, 1, 2] {
        let shard = Shard::parse(&format!("{number}/3"), |_| None).unwrap();
        produce(&MaskOrder { shard, count: 20, ..order(&world, masks(), &out("shares")) }).unwrap();
    }
    join(&out("shares"), &[Kind::new("plate", "dot")]).unwrap();
    produce(&MaskOrder { count: 20, ..order(&world, masks(), &out("whole")) }).unwrap();
    assert_eq!(content(&out("whole")), content(&out("shares")));
    let error = produce(&MaskOrder { seed: 9, ..order(&world, masks(), &out("whole")) }).unwrap_err();
    assert!(exit_code(&error) == 2 && error.to_string().contains("other settings"), "{error}");
}

#[test]
fn images_take_the_mask_of_their_number() {
    let world = world();
    let out = world.folder.path().join("set");
    produce(&MaskOrder { count: 3, ..order(&world, MaskSource::Real, &out) }).unwrap();
    let again = world.folder.path().join("again");
    let from_set = |count: u64| produce(&MaskOrder { count, ..order(&world, MaskSource::Folder(out.clone()), &again) });
    from_set(3).unwrap();
    let (first, second) = (entries(&out, &Kind::new("plate", "dot")).unwrap(), entries(&again, &Kind::new("plate", "dot")).unwrap());
    for (index, entry) in &first {
        assert_eq!(Mask::load(&out.join(&entry.mask)).unwrap(), Mask::load(&again.join(&second[index].mask)).unwrap());
    }
    let error = from_set(4).unwrap_err();
    assert!(exit_code(&error) == 2 && error.to_string().contains("number 3"), "{error}");
}
