use std::fs;

use super::*;
use crate::data::mask::Mask;
use crate::error::exit_code;
use crate::tensor::random::Sampler;
use crate::testing::miniature;

/// Twice the area inside a polygon, positive when it runs clockwise on the screen.
fn doubled_area(corners: &[(usize, usize)]) -> i64 {
    let next = corners.iter().cycle().skip(1);
    corners.iter().zip(next).map(|(a, b)| a.0 as i64 * b.1 as i64 - b.0 as i64 * a.1 as i64).sum()
}

/// Even-odd rule at the middle of a pixel.
fn inside(corners: &[(usize, usize)], column: usize, row: usize) -> bool {
    let (x, y) = (column as f64 + 0.5, row as f64 + 0.5);
    let next = corners.iter().cycle().skip(1);
    let crossed = corners.iter().zip(next).filter(|(a, b)| a.0 == b.0 && (a.0 as f64) > x && ((a.1 as f64) < y) != ((b.1 as f64) < y));
    crossed.count() % 2 == 1
}

#[test]
fn outlines_are_the_regions() {
    for seed in 0..300 {
        let mut sampler = Sampler::new(seed, "outlines", &[]);
        let (width, height) = (1 + sampler.below(12), 1 + sampler.below(12));
        let density = sampler.range(0.1, 0.9);
        let pixels: Vec<bool> = (0..width * height).map(|_| sampler.chance(density)).collect();
        let mask = Mask::from_parts(width, height, pixels);
        let regions = mask.regions();
        let outlines = outlines(&mask);
        assert_eq!(outlines.len(), regions.len());
        for (outline, region) in outlines.iter().zip(&regions) {
            assert_eq!(outline.area, region.len());
            let filled: Vec<usize> = (0..width * height).filter(|index| inside(&outline.corners, index % width, index / width)).collect();
            assert!(region.iter().all(|index| filled.contains(index)), "seed {seed}: all of the region is inside");
            assert_eq!(doubled_area(&outline.corners), 2 * filled.len() as i64, "seed {seed}: area and sense");
            // What is filled beside the region is enclosed by it: it does not reach the border of the region's bounds.
            let [left, top, columns, rows] = outline.bounds;
            for index in filled.iter().filter(|index| !region.contains(index)) {
                let (column, row) = (index % width, index / width);
                assert!(column > left && row > top && column + 1 < left + columns && row + 1 < top + rows, "seed {seed}");
            }
        }
    }
    let square = Mask::from_fn(5, 4, |x, y| (1..3).contains(&x) && (1..4).contains(&y));
    let expected = Outline { corners: vec![(3, 1), (3, 4), (1, 4), (1, 1)], area: 6, bounds: [1, 1, 2, 3] };
    assert_eq!(outlines(&square), [expected]);
}

struct World {
    folder: tempfile::TempDir,
    data: Dataset,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    miniature::data_set(&folder.path().join("data"), 3);
    let data = Dataset::scan(&folder.path().join("data")).unwrap();
    World { folder, data }
}

#[test]
fn coco_holds_every_region_exactly() {
    let world = world();
    let out = world.folder.path().join("coco");
    let mut done = 0;
    let exported = coco(&world.data, &out, &mut || {
        done += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!((exported.pairs, done), (6, 6));
    let all: serde_json::Value = serde_json::from_slice(&fs::read(out.join(&exported.entry_points[0])).unwrap()).unwrap();
    assert_eq!(all["categories"][1]["name"], "plate+line");
    assert_eq!(all["images"][0]["file_name"], "plate/test/dot/000.png");
    for (image, pair) in all["images"].as_array().unwrap().iter().zip(world.data.types().flat_map(|(_, kind)| &kind.pairs)) {
        let mask = Mask::load(&pair.mask).unwrap();
        let mut seen = vec![false; mask.pixels().len()];
        for annotation in all["annotations"].as_array().unwrap().iter().filter(|annotation| annotation["image_id"] == image["id"]) {
            let (mut position, mut set, mut area) = (0, false, 0);
            for count in annotation["segmentation"]["counts"].as_array().unwrap() {
                for _ in 0..count.as_u64().unwrap() {
                    if set {
                        seen[position % mask.height() * mask.width() + position / mask.height()] = true;
                        area += 1;
                    }
                    position += 1;
                }
                set = !set;
            }
            assert_eq!((position, annotation["area"].as_u64()), (seen.len(), Some(area)));
        }
        assert_eq!(seen, mask.pixels());
    }
}

#[test]
fn yolo_has_a_label_for_every_picture() {
    let world = world();
    let out = world.folder.path().join("yolo");
    let exported = yolo(&world.data, Some(&world.data), &out, &mut || Ok(())).unwrap();
    assert_eq!((exported.pairs, exported.normals), (6, 4));
    let names = |part: &str| -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(out.join(part)).unwrap().map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    for part in ["train", "val"] {
        assert_eq!(names(&format!("images/{part}")), names(&format!("labels/{part}")));
    }
    assert_eq!(names("images/val"), ["plate-dot_000002", "plate-line_000002"]);
    let label = fs::read_to_string(out.join("labels/train/plate-line_000000.txt")).unwrap();
    assert!(label.starts_with("1 ") && label.split_whitespace().count() % 2 == 1, "{label}");
    assert!(label.split_whitespace().skip(1).all(|number| (0.0..=1.0).contains(&number.parse::<f64>().unwrap())));
    assert_eq!(fs::read(out.join("labels/train/plate_normal_000000.txt")).unwrap(), b"");
    assert_eq!(
        fs::read_to_string(out.join("data.yaml")).unwrap(),
        "train: images/train\nval: images/val\nnames:\n  0: \"plate+dot\"\n  1: \"plate+line\"\n"
    );
}

#[test]
fn anomalib_gets_a_folder_a_configuration_and_a_table() {
    let world = world();
    let out = world.folder.path().join("anomalib");
    for _ in 0..2 {
        let exported = anomalib(&world.data, &world.data, &out, &mut || Ok(())).unwrap();
        assert_eq!((exported.pairs, exported.normals), (6, 4));
        assert_eq!(exported.entry_points, ["plate.yaml", "plate.csv"]);
    }
    let table = fs::read_to_string(out.join("plate.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 4 + 6);
    assert!(table.contains("plate/test/dot/000.png,1,plate/ground_truth/dot/000_mask.png,test\n"), "{table}");
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        assert!(out.join(fields[0]).is_file() && (fields[2].is_empty() || out.join(fields[2]).is_file()), "{line}");
    }
    let again = Dataset::scan(&out).unwrap();
    assert_eq!((again.objects[0].normals.len(), again.types().count()), (4, 2));
    let mut without = world.data.clone();
    without.objects[0].normals.clear();
    let error = anomalib(&world.data, &without, &out, &mut || Ok(())).unwrap_err();
    assert!(exit_code(&error) == 2 && error.to_string().contains("normal pictures"), "{error}");
}
