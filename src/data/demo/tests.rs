use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::error::exit_code;

const SMALL: Plan = Plan { size: 48, normals: 2, test_normals: 1, pairs: 2, seed: 0 };

#[test]
fn pictures_are_functions_of_seed_object_type_and_index() {
    for thing in &THINGS {
        assert_eq!(thing.normal(&SMALL, 3), thing.normal(&SMALL, 3));
        assert_ne!(thing.normal(&SMALL, 3), thing.normal(&SMALL, 4));
        assert_ne!(thing.normal(&SMALL, 3), thing.normal(&Plan { seed: 1, ..SMALL }, 3));
        assert_ne!(thing.pair(&SMALL, 0, 0).0, thing.pair(&SMALL, 1, 0).0);
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(alone.install(|| thing.pair(&SMALL, 0, 1)), thing.pair(&SMALL, 0, 1));
    }
}

#[test]
fn masks_are_of_a_defects_size_and_vary() {
    for thing in &THINGS {
        for kind in 0..thing.types.len() {
            let masks: Vec<Mask> = (0..12).map(|index| thing.pair(&Plan { size: 64, ..SMALL }, kind, index).1).collect();
            for (index, mask) in masks.iter().enumerate() {
                assert!((0.002..0.12).contains(&mask.share()), "{} {} {index}: {mask:?}", thing.name, thing.types[kind]);
            }
            let places: BTreeSet<_> = masks.iter().filter_map(Mask::bounding_box).map(|area| (area.left, area.top)).collect();
            assert!(places.len() > 6, "{} {}: only {} places", thing.name, thing.types[kind], places.len());
        }
    }
}

/// The mask is where the picture differs from the same scene without its defect, to a pixel's width.
#[test]
fn masks_are_exact() {
    let size = 96;
    for thing in &THINGS {
        for kind in 0..thing.types.len() {
            for index in 0..4 {
                // The scene is drawn before the defect, from the same stream: so its twin without a defect is the same scene.
                let stream = || Sampler::new(7, "demo twin", &[kind as u64, index]);
                let (damaged, mask) = (thing.draw)(size, Some(kind), &mut stream());
                let (clean, empty) = (thing.draw)(size, None, &mut stream());
                assert!(empty.is_empty());
                let (near, far) = (mask.dilated(2), mask.eroded(1));
                let (mut inside, mut changed) = (0, 0);
                for pixel in 0..size * size {
                    let difference: f32 = (0..3).map(|k| (damaged.pixels()[3 * pixel + k] - clean.pixels()[3 * pixel + k]).abs()).sum();
                    assert!(near.pixels()[pixel] || difference < 0.02, "{} {}: changed outside of the mask", thing.name, thing.types[kind]);
                    inside += usize::from(far.pixels()[pixel]);
                    changed += usize::from(far.pixels()[pixel] && difference > 0.06);
                }
                assert!(changed * 10 >= inside * 7, "{} {}: {changed} of {inside} pixels changed", thing.name, thing.types[kind]);
            }
        }
    }
}

#[test]
fn the_data_set_scans_without_a_complaint() {
    let folder = tempfile::tempdir().unwrap();
    let count = AtomicUsize::new(0);
    write(folder.path(), &SMALL, || _ = count.fetch_add(1, Ordering::Relaxed)).unwrap();
    assert_eq!(count.into_inner(), picture_count(&SMALL));
    let dataset = crate::data::dataset::Dataset::scan(folder.path()).unwrap();
    assert!(dataset.issues.is_empty(), "{:?}", dataset.issues);
    assert_eq!(dataset.objects.len(), THINGS.len());
    for (object, thing) in dataset.objects.iter().zip(&THINGS) {
        assert_eq!((object.name.as_str(), object.normals.len(), object.test_normals.len()), (thing.name, 2, 1));
        for (kind, name) in object.types.iter().zip(thing.types) {
            assert_eq!((kind.name.as_str(), kind.pairs.len()), (name, 2));
            let look = crate::data::dataset::inspect_type(folder.path(), kind);
            assert!(look.issues.is_empty() && look.usable == 2, "{:?}", look.issues);
        }
    }
    let mask = Mask::load(&dataset.objects[0].types[0].pairs[1].mask).unwrap();
    assert_eq!(mask, THINGS[0].pair(&SMALL, 0, 1).1);
}

#[test]
fn senseless_sizes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for size in [0, 15, 5000] {
        let error = write(folder.path(), &Plan { size, ..SMALL }, || ()).unwrap_err();
        assert_eq!(exit_code(&error), 2);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
