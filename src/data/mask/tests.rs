use super::*;
use crate::data::picture::Picture;
use crate::data::rectangle::Rectangle;
use crate::data::similarity::Similarity;
use crate::tensor::random::Sampler;

/// Random masks of every density and many shapes, thin ones too.
fn random_masks(count: u64) -> impl Iterator<Item = Mask> {
    (0..count).map(|index| {
        let mut sampler = Sampler::new(index, "random masks", &[]);
        let (width, height) = (1 + sampler.below(70), 1 + sampler.below(70));
        let density = *sampler.pick(&[0.0, 0.001, 0.02, 0.5, 0.98, 1.0]);
        let draws: Vec<bool> = (0..width * height).map(|_| sampler.chance(density)).collect();
        Mask::from_parts(width, height, draws)
    })
}

#[test]
fn a_mask_with_pixels_never_loses_all_of_them() {
    for mask in random_masks(300) {
        for (width, height) in [(8, 8), (1, 1), (13, 5), (100, 90)] {
            for rule in [CellRule::Any, CellRule::Share(0.25), CellRule::Share(1.0)] {
                let cells = mask.resized(width, height, rule);
                assert_eq!(cells.is_empty(), mask.is_empty(), "{mask:?} to {width}x{height} by {rule:?}");
            }
        }
    }
}

/// `Any` against its definition, by brute force.
#[test]
fn any_pixel_sets_its_cell() {
    for mask in random_masks(100) {
        let (width, height) = (9, 7);
        let cells = mask.resized(width, height, CellRule::Any);
        let under = |cell: usize, pixel: usize, from: usize, to: usize| pixel * to < (cell + 1) * from && (pixel + 1) * to > cell * from;
        let expected = Mask::from_fn(width, height, |column, row| {
            (0..mask.height())
                .any(|y| under(row, y, mask.height(), height) && (0..mask.width()).any(|x| under(column, x, mask.width(), width) && mask.at(x, y)))
        });
        assert_eq!(cells, expected, "{mask:?}");
    }
}

#[test]
fn shares_count_the_covered_area() {
    let quarter = Mask::from_fn(16, 8, |column, row| column < 4 && row < 4);
    assert_eq!(quarter.resized(2, 1, CellRule::Share(0.25)).pixels(), [true, false]);
    let two = quarter.union(&Mask::from_fn(16, 8, |column, _| column >= 8));
    assert_eq!(two.resized(2, 1, CellRule::Share(0.26)).pixels(), [false, true]);
}

/// The released program's rule loses a thin line that misses the middle of its blocks; `Any` does not.
#[test]
fn official_cells_see_only_the_middle_of_a_block() {
    let edge = Mask::from_fn(64, 64, |column, _| column == 8);
    assert!(edge.resized(8, 8, CellRule::Official).is_empty());
    assert_eq!(edge.resized(8, 8, CellRule::Any).area(), 8);
    let middle = Mask::from_fn(64, 64, |column, _| column == 11);
    assert_eq!(middle.resized(8, 8, CellRule::Official).area(), 8);
}

#[test]
fn dilation_against_its_definition() {
    for mask in random_masks(120) {
        for radius in [0, 1, 3, 80] {
            let expected = Mask::from_fn(mask.width(), mask.height(), |column, row| {
                let rows = row.saturating_sub(radius)..=(row + radius).min(mask.height() - 1);
                rows.into_iter().any(|y| (column.saturating_sub(radius)..=(column + radius).min(mask.width() - 1)).any(|x| mask.at(x, y)))
            });
            assert_eq!(mask.dilated(radius), expected, "{mask:?} by {radius}");
        }
    }
    let square = Mask::from_fn(9, 9, |column, row| (2..7).contains(&column) && (2..7).contains(&row));
    assert_eq!(square.eroded(1).dilated(1), square);
    assert_eq!(square.eroded(1).area(), 9);
}

#[test]
fn distances_against_brute_force() {
    for mask in random_masks(60) {
        let distances = mask.distances();
        for (index, &found) in distances.iter().enumerate().step_by(7) {
            let (x, y) = ((index % mask.width()) as f32, (index / mask.width()) as f32);
            let set = (0..mask.pixels().len()).filter(|&i| mask.pixels()[i]);
            let squares = set.map(|i| (x - (i % mask.width()) as f32).powi(2) + (y - (i / mask.width()) as f32).powi(2));
            let expected = squares.fold(f32::INFINITY, f32::min).sqrt();
            assert!(found == expected || (found - expected).abs() < 1e-4, "{mask:?} at {index}: {found}, expected {expected}");
        }
    }
}

#[test]
fn feathering_is_one_inside_zero_beyond_and_falls_between() {
    let mask = Mask::from_fn(40, 3, |column, _| column < 10);
    let alpha = mask.feathered(6.0);
    let row = &alpha[..40];
    assert!(row[..10].iter().all(|&x| x == 1.0) && row[15..].iter().all(|&x| x == 0.0));
    assert!(row[9..16].windows(2).all(|pair| pair[0] > pair[1] || pair == [0.0, 0.0]), "{row:?}");
    assert_eq!(mask.feathered(0.0), mask.to_tensor().unwrap().to_f32_vec().unwrap());
    assert!(Mask::empty(4, 4).feathered(3.0).iter().all(|&x| x == 0.0));
}

#[test]
fn bounding_boxes() {
    for mask in random_masks(100) {
        let Some(area) = mask.bounding_box() else {
            assert!(mask.is_empty());
            continue;
        };
        assert_eq!(mask.cropped(area).area(), mask.area());
        assert_eq!(mask.cropped(area).bounding_box(), Some(Rectangle { left: 0, top: 0, ..area }));
    }
}

#[test]
fn files_hold_0_and_255_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mask.png");
    for mask in random_masks(12) {
        mask.save(&path).unwrap();
        assert_eq!(Mask::load(&path).unwrap(), mask);
        assert_eq!(Mask::load_official(&path, mask.width(), mask.height()).unwrap(), mask);
        let file = image::open(&path).unwrap();
        assert_eq!(file.color(), image::ColorType::L8);
        assert!(file.as_bytes().iter().all(|&x| x == 0 || x == 255));
    }
}

#[test]
fn any_value_but_zero_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mask.png");
    image::GrayImage::from_raw(4, 1, vec![0, 1, 128, 255]).unwrap().save(&path).unwrap();
    assert_eq!(Mask::load(&path).unwrap().pixels(), [false, true, true, true]);
    assert_eq!(Mask::load_official(&path, 4, 1).unwrap().pixels(), [false, false, true, true]);
    let blue = Picture::from_parts(2, 1, vec![-1.0, -1.0, -1.0, -1.0, -1.0, 1.0]);
    blue.save(&path).unwrap();
    assert_eq!(Mask::load(&path).unwrap().pixels(), [false, true]);
}

#[test]
fn jpeg_noise_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mask.jpg");
    let disc = Mask::from_fn(64, 64, |column, row| (column as f32 - 30.0).hypot(row as f32 - 30.0) < 12.0);
    let bytes = disc.pixels().iter().map(|&set| if set { 255 } else { 0 }).collect();
    image::GrayImage::from_raw(64, 64, bytes).unwrap().save(&path).unwrap();
    let loaded = Mask::load(&path).unwrap();
    assert!(loaded.area().abs_diff(disc.area()) < 20, "{loaded:?} of {disc:?}");
}

#[test]
fn tensors_and_back() {
    let mask = Mask::from_fn(5, 3, |column, row| column == row);
    let tensor = mask.to_tensor().unwrap();
    assert_eq!(tensor.shape(), [1, 3, 5, 1]);
    assert_eq!(Mask::from_tensor(&tensor).unwrap(), mask);
    assert!(Mask::stack(&[&mask, &Mask::empty(2, 2)]).is_err());
}

#[test]
fn corners_connect_regions() {
    let picture = [".#..#", "#....", "...##", ".#..#"];
    let mask = Mask::from_fn(5, 4, |column, row| picture[row].as_bytes()[column] == b'#');
    assert_eq!(mask.regions(), [vec![1, 5], vec![4], vec![13, 14, 19], vec![16]]);
    assert!(Mask::empty(3, 3).regions().is_empty());
}

#[test]
fn a_moved_mask_lies_where_it_was_sent() {
    let mask = Mask::from_fn(9, 7, |column, row| (2..5).contains(&column) && row == 3);
    let middle = mask.bounding_box().unwrap().middle();
    assert_eq!(middle, [3.0, 3.0]);
    let how = Similarity { from: middle, to: [6.0, 2.0], degrees: 0.0, scale: 1.0, mirrored: false };
    assert_eq!(mask.moved(how), Mask::from_fn(9, 7, |column, row| (5..8).contains(&column) && row == 2));
    let quarter = Mask::from_fn(9, 7, |column, row| column == 6 && (1..4).contains(&row));
    assert_eq!(mask.moved(Similarity { degrees: 90.0, ..how }), quarter);
    assert_eq!(mask.moved(Similarity { to: [3.0, 3.0], scale: 2.0, ..how }).bounding_box().unwrap().width, 6, "halves are rounded away from zero");
    let corner = Mask::from_fn(9, 7, |column, row| column == 2 && row == 3);
    assert_eq!(corner.moved(Similarity { to: [3.0, 3.0], mirrored: true, ..how }), Mask::from_fn(9, 7, |column, row| column == 4 && row == 3));
    assert!(mask.moved(Similarity { to: [-40.0, 2.0], ..how }).is_empty());
}

#[test]
fn a_shifted_mask_keeps_its_pixels() {
    for mask in random_masks(200).filter(|mask| !mask.is_empty()) {
        let extent = mask.bounding_box().unwrap();
        let corners = [(0, 0), (mask.width() - extent.width, mask.height() - extent.height)];
        for (left, top) in corners {
            let shifted = mask.shifted_to(left, top);
            assert_eq!(shifted.bounding_box().unwrap(), Rectangle { left, top, ..extent });
            assert_eq!(shifted.shifted_to(extent.left, extent.top), mask);
        }
    }
    assert!(Mask::empty(3, 2).shifted_to(1, 1).is_empty());
}
