use super::*;

/// A picture that is bright exactly where the mask is: together they stay that way, or they were not moved together.
fn bright_defect(width: usize, height: usize, mask: Mask) -> Sample {
    let pixels = mask.pixels().iter().flat_map(|&set| [if set { 1.0 } else { -0.9 }; 3]).collect();
    Sample { picture: Picture::from_parts(width, height, pixels), mask }
}

fn random_sample(index: u64) -> Sample {
    let mut sampler = Sampler::new(index, "samples", &[]);
    let (width, height) = (20 + sampler.below(60), 20 + sampler.below(60));
    let (left, top) = (sampler.below(width - 8), sampler.below(height - 8));
    let (columns, rows) = (4 + sampler.below(width / 3), 4 + sampler.below(height / 3));
    let inside = move |x: usize, y: usize| (left..left + columns).contains(&x) && (top..top + rows).contains(&y);
    bright_defect(width, height, Mask::from_fn(width, height, inside))
}

#[track_caller]
fn assert_aligned(sample: &Sample) {
    // Away from the outline and the border, where interpolation mixes both sides: over a pixel before a magnification of up to 2.5.
    let (width, height) = (sample.mask.width(), sample.mask.height());
    let inner = Mask::from_fn(width, height, |x, y| (4..width - 4).contains(&x) && (4..height - 4).contains(&y));
    let (inside, outside) = (sample.mask.eroded(4).intersection(&inner), sample.mask.dilated(4).inverted().intersection(&inner));
    for (index, pixel) in sample.picture.pixels().chunks(3).enumerate() {
        assert!(!inside.pixels()[index] || pixel[0] > 0.5, "dark inside the mask at {index}");
        assert!(!outside.pixels()[index] || pixel[0] < -0.3, "bright outside the mask at {index}");
    }
}

#[test]
fn picture_and_mask_move_together_and_the_defect_stays() {
    let always = Augmentation { probability: 1.0, least_crop: 0.4, ..Augmentation::default() };
    for index in 0..60 {
        let sample = random_sample(index);
        let found = always.apply(&sample, &mut Sampler::new(index, "augmentation", &[]));
        assert_eq!((found.picture.width(), found.picture.height()), (sample.picture.width(), sample.picture.height()));
        assert!(!found.mask.is_empty());
        assert_aligned(&found);
    }
}

#[test]
fn crops_contain_the_defect_and_keep_their_least_size() {
    let mut sampler = Sampler::new(5, "extents", &[]);
    let mut lengths = Vec::new();
    for _ in 0..5000 {
        let size = 1 + sampler.below(50);
        let start = sampler.below(size);
        let end = start + 1 + sampler.below(size - start);
        let (first, length) = Augmentation { least_crop: 0.5, ..Augmentation::default() }.extent(start, end, size, &mut sampler);
        assert!(first <= start && first + length >= end && first + length <= size && 2 * length >= size, "{first} {length} of {size}");
        lengths.push(length);
    }
    assert!(lengths.iter().max() > Some(&40) && lengths.iter().min() < Some(&5));
}

/// A mask in the corner that turning moves out is drawn again; a sample without a defect is left alone.
#[test]
fn masks_do_not_come_out_empty() {
    let corner = bright_defect(40, 40, Mask::from_fn(40, 40, |x, y| x == 0 && y == 0));
    let always = Augmentation { probability: 1.0, ..Augmentation::default() };
    for index in 0..200 {
        assert!(!always.apply(&corner, &mut Sampler::new(index, "augmentation", &[])).mask.is_empty());
    }
    let clean = bright_defect(10, 10, Mask::empty(10, 10));
    assert_eq!(always.apply(&clean, &mut Sampler::new(0, "augmentation", &[])), clean);
}

#[test]
fn half_of_the_samples_stay_and_seeds_decide() {
    let sample = random_sample(3);
    let draw = |index: u64| Augmentation::default().apply(&sample, &mut Sampler::new(index, "augmentation", &[]));
    let unchanged = (0..400).filter(|&index| draw(index) == sample).count();
    assert!((160..240).contains(&unchanged), "{unchanged} of 400");
    assert_eq!(draw(7), draw(7));
}

#[test]
fn official_batches_share_the_decision_and_the_crop() {
    let batch: Vec<Sample> = (0..3).map(|index| bright_defect(64, 64, random_sample(index).mask.resized(64, 64, CellRule::Any))).collect();
    let mut unchanged = 0;
    for seed in 0..60 {
        let found = augment_official(&batch, 32, 32, &mut Sampler::new(seed, "official", &[]));
        assert!(found.iter().all(|sample| sample.picture.width() == 32 && sample.mask.height() == 32));
        let plain: Vec<Sample> = batch.iter().map(|sample| bilinear(sample, 32, 32)).collect();
        let same = found.iter().zip(&plain).filter(|(a, b)| a == b).count();
        assert!(same == 3 || same == 0, "{same} of 3 samples unchanged: the decision is for the whole batch");
        unchanged += usize::from(same == 3);
    }
    assert!((18..42).contains(&unchanged), "{unchanged} of 60");
}

#[test]
fn turns_are_counter_clockwise() {
    let right = bright_defect(21, 21, Mask::from_fn(21, 21, |x, y| x == 20 && y == 10));
    for turned in [turn::filled(&right, 90.0), turn::mirrored(&right, 90.0)] {
        assert_eq!(turned.mask.bounding_box(), Some(Rectangle { left: 10, top: 0, width: 1, height: 1 }));
        assert!(turned.picture.pixel(10, 0)[0] > 0.99);
    }
    assert_eq!(turn::filled(&right, 0.0), right);
    assert_eq!(turn::filled(&right, 45.0).picture.pixel(0, 0), [0.0; 3]);
}
